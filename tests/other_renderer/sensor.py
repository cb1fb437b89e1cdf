"""From the picture at working resolution to a scene's digital numbers on its own grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from affine import Affine
from scipy import ndimage
from scipy.spatial import cKDTree

from .ground import Frame
from .noise import blur, fractal, smooth
from .place import Place


@dataclass(frozen=True)
class Sensor:
    """What the camera of a series is like."""

    name: str
    gsd: float
    bands: tuple[str, ...]
    fwhm_px: float
    scale: float
    offset: float
    bits: int
    noise: float
    """Reflectance noise at 0.15 reflectance, one pixel."""
    quality: str
    """scl, udm2, data-mask, cloud or none."""
    per_band_assets: bool
    path: tuple[float, ...]
    """Extra path radiance by band (blue, green, red, nir)."""


MIX = {
    "blue": (1, 0, 0, 0),
    "green": (0, 1, 0, 0),
    "red": (0, 0, 1, 0),
    "nir": (0, 0, 0, 1),
    "pan": (0.2, 0.35, 0.33, 0.12),
    "coastal": (1.1, -0.1, 0, 0),
    "green05": (0.3, 0.7, 0, 0),
    "yellow": (0, 0.55, 0.45, 0),
    "rededge": (0, 0, 0.65, 0.35),
}


def draw_sensor(rng: np.random.Generator, gsd: float) -> Sensor:
    """A camera for this GSD."""
    four, rgb = ("blue", "green", "red", "nir"), ("red", "green", "blue")
    fwhm = float(rng.uniform(1.0, 1.3))
    path = tuple(rng.uniform(0.2, 1.0) * np.array([0.035, 0.02, 0.012, 0.004]))
    if gsd >= 8:
        offset = -0.1 if rng.random() < 0.6 else 0.0
        return Sensor("Sentinel-2-like", gsd, four, fwhm, 1e-4, offset, 12, 0.0025, "scl", True, path)
    if gsd >= 2:
        eight = ("coastal", "blue", "green05", "green", "yellow", "red", "rededge", "nir")
        bands = (four, rgb, eight)[rng.choice(3, p=[0.6, 0.25, 0.15])]
        quality = str(rng.choice(["udm2", "data-mask"], p=[0.7, 0.3]))
        return Sensor(
            "PlanetScope-like", gsd, bands, fwhm, 1e-4, 0.0, 12, rng.uniform(0.003, 0.006), quality, False, path
        )
    bands = (four, rgb, ("pan",))[rng.choice(3, p=[0.5, 0.35, 0.15])]
    bits = 8 if bands == rgb and rng.random() < 0.5 else 11
    quality = str(rng.choice(["data-mask", "cloud", "none"], p=[0.5, 0.2, 0.3]))
    scale = float(rng.choice([1e-4, 4e-4, 5e-5]))
    return Sensor(
        "VHR-like", gsd, bands, fwhm, scale, 0.0, bits, rng.uniform(0.003, 0.007), quality, rng.random() < 0.2, path
    )


@dataclass(frozen=True)
class Sky:
    """Cloud, haze, gains of one scene."""

    cover: float
    thin: bool
    haze: float
    gain: tuple[float, ...]
    offset: tuple[float, ...]
    vignette: float
    seed: int


@dataclass(frozen=True)
class Window:
    """A scene's pixel grid."""

    affine: Affine
    rows: int
    cols: int

    def centres(self, dr: float = 0.0, dc: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
        """Projected coordinates of the pixel centres, moved by a part of a pixel."""
        r = (np.arange(self.rows) + 0.5 + dr)[:, None]
        c = (np.arange(self.cols) + 0.5 + dc)[None]
        a = self.affine
        return a.a * c + a.b * r + a.c, a.d * c + a.e * r + a.f

    def pixel(self, x, y) -> tuple[np.ndarray, np.ndarray]:
        """Fractional row and column (centres whole) of projected points."""
        back = ~self.affine
        x, y = np.asarray(x), np.asarray(y)
        col, row = back.a * x + back.b * y + back.c, back.d * x + back.e * y + back.f
        return row - 0.5, col - 0.5


def image_of(picture: np.ndarray, frame: Frame, far, place: Place, window: Window, sensor: Sensor, shift) -> np.ndarray:
    """Blur by the point spread and sample on the window's grid; `far` fills what lies beyond the frame."""
    step = max(1, int(sensor.gsd / frame.res / 5))
    small = _block_mean(picture, step)
    res = frame.res * step
    total = sensor.fwhm_px * sensor.gsd / 2.3548
    small = blur(small, np.sqrt(max(total**2 - (0.2 * sensor.gsd) ** 2 - (0.29 * res) ** 2, 0)) / res)
    out = np.zeros((4, window.rows, window.cols), np.float32)
    for dr in (-0.2, 0.2):
        for dc in (-0.2, 0.2):
            x, y = window.centres(dr, dc)
            u, v = place.from_grid(x - shift[0], y - shift[1])
            row, col = (frame.top - v) / res - 0.5, (u - frame.left) / res - 0.5
            inside = _feather(row, col, small.shape[1:], 12.0 / res)
            outside = far(u, v)
            for band in range(4):
                near = ndimage.map_coordinates(small[band], [row, col], order=1, mode="nearest")
                out[band] += 0.25 * (outside[band] + inside * (near - outside[band]))
    return out


def _feather(row, col, shape, width) -> np.ndarray:
    edge = np.minimum(np.minimum(row, shape[0] - 1 - row), np.minimum(col, shape[1] - 1 - col))
    return np.clip(edge / width, 0, 1).astype(np.float32)


def _block_mean(picture: np.ndarray, step: int) -> np.ndarray:
    if step == 1:
        return picture
    rows, cols = (n // step * step for n in picture.shape[1:])
    return picture[:, :rows, :cols].reshape(4, rows // step, step, cols // step, step).mean((2, 4))


def clouds(window: Window, sensor: Sensor, sky: Sky) -> tuple[np.ndarray, np.ndarray]:
    """Cloud opacity and cloud-shadow depth, 0..1."""
    shape = (window.rows, window.cols)
    if sky.cover <= 0:
        return np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    rng = np.random.default_rng(sky.seed)
    big = (shape[0] * 2, shape[1] * 2)
    size = np.array([250.0, 110.0, 45.0, 18.0]) / sensor.gsd
    field = fractal(rng, big, tuple(np.maximum(size, 1.0)))
    level = np.quantile(field[::3, ::3], 1 - sky.cover)
    alpha = np.clip((field - level) / 0.45, 0, 1) * (rng.uniform(0.12, 0.35) if sky.thin else 1.0)
    r0, c0 = (int(rng.integers(0, n // 2)) for n in shape)
    r1, c1 = (int(rng.integers(0, n)) for n in shape)
    here, shade = (alpha[r : r + shape[0], c : c + shape[1]] for r, c in ((r0, c0), (r1, c1)))
    return here.astype(np.float32), (ndimage.gaussian_filter(shade, 15 / sensor.gsd) * (1 - here)).astype(np.float32)


def through_air(image: np.ndarray, sensor: Sensor, sky: Sky, cloud: np.ndarray, shade: np.ndarray) -> np.ndarray:
    """Cloud shadow, haze, cloud, gains."""
    image = image * (1 - shade * np.array([0.45, 0.52, 0.57, 0.65], np.float32)[:, None, None])
    path = np.array(sensor.path)[:, None, None] * (1 + sky.haze * 4)
    image = image * (1 - 0.35 * sky.haze) + path
    image = image * (1 - cloud) + cloud * np.array([0.62, 0.62, 0.62, 0.64])[:, None, None]
    rows, cols = np.meshgrid(*(np.linspace(-1, 1, n) for n in image.shape[1:]), indexing="ij")
    fall = 1 - sky.vignette * (rows**2 + cols**2) / 2
    return image * np.array(sky.gain)[:, None, None] * fall + np.array(sky.offset)[:, None, None]


def digital(image: np.ndarray, sensor: Sensor, rng: np.random.Generator) -> np.ndarray:
    """Select bands, add noise, quantise; uint16 numbers, never 0 (0 is nodata)."""
    out = np.stack([np.tensordot(np.array(MIX[b], np.float32), image, 1) for b in sensor.bands])
    sigma = sensor.noise * np.sqrt(0.35 + 0.65 * np.clip(out, 0, None) / 0.15)
    grain = rng.standard_normal(out.shape, dtype=np.float32)
    streak = 0.25 * rng.standard_normal((out.shape[0], 1, out.shape[2]), dtype=np.float32)
    out = np.clip(out + sigma * (grain + streak), 0, 1.05 if sensor.bits > 8 else 0.6)
    lsb = (1.05 if sensor.bits > 8 else 0.6) / (2**sensor.bits - 1)
    out = np.round(out / lsb) * lsb
    return np.clip(np.round((out - sensor.offset) / sensor.scale), 1, 65535).astype(np.uint16)


class Far:
    """Fields and houses all round, coarse, sampled anywhere in the frame; the yard is drawn on top."""

    def __init__(self, rng: np.random.Generator, size: float, res: float) -> None:
        n = int(size / res)
        self.size, self.res = size, res
        seeds = rng.uniform(0, n, (int(rng.integers(15, 160)), 2))
        y, x = np.mgrid[0:n, 0:n]
        warp = 14 / res * np.stack([smooth(rng, (n, n), 60 / res), smooth(rng, (n, n), 60 / res)], -1)
        cell = cKDTree(seeds).query(np.stack([y, x], -1) + warp)[1]
        patch = fractal(rng, (n, n), (70 / res, 20 / res))
        lush = rng.uniform(0.1, 1, len(seeds))[cell] + 0.12 * patch
        self.green = np.clip(lush, 0, 1).astype(np.float32)
        soil = np.array([0.09, 0.125, 0.165, 0.24]) * rng.uniform(0.7, 1.3) * rng.normal(1, 0.05, 4)
        bare = rng.uniform(0.65, 1.35, len(seeds))[cell] * (1 + 0.08 * patch)
        self.base = (soil[:, None, None] * bare).astype(np.float32)
        fine = 0.05 * fractal(rng, (n, n), (12 / res, 4 / res, 1)) + 0.03 * smooth(rng, (n, n), 1)
        self.texture = (1 + fine).astype(np.float32)
        self._boxes(rng, n)
        self.snow = np.zeros((n, n), np.float32)
        self.image = np.zeros((4, n, n), np.float32)

    def _boxes(self, rng: np.random.Generator, n: int) -> None:
        """Houses, kept out of the middle, where the yard is drawn with its own."""
        for _ in range(60):
            r, c = rng.integers(0, n - 30, 2)
            if abs(r - n / 2) * self.res < 110:
                continue
            h, w = (int(x / self.res) + 1 for x in rng.uniform(8, 24, 2))
            self.base[:, r : r + h, c : c + w] = rng.uniform(0.08, 0.32) * np.array([0.9, 1, 1.1, 1.2])[:, None, None]
            self.green[r : r + h, c : c + w] = 0

    def prepare(self, rng: np.random.Generator, weather, sigma: float) -> None:
        """Fix the scene's look; `weather` has season, wet and snow."""
        season = weather.season
        grass = season * np.array([0.035, 0.075, 0.055, 0.36]) + (1 - season) * np.array([0.08, 0.115, 0.15, 0.25])
        image = self.base + self.green * (grass.astype(np.float32)[:, None, None] - self.base)
        image = image * self.texture * (1 - 0.45 * weather.wet)
        if weather.snow > 0:
            self.snow = fractal(rng, self.snow.shape, (80 / self.res, 25 / self.res, max(6 / self.res, 1)))
            self.snow -= np.quantile(self.snow[::4, ::4], 1 - weather.snow) if weather.snow < 0.97 else -9
            image += np.clip(self.snow / 0.35, 0, 1) * (np.float32(0.8) - image)
        self.image = blur(image, sigma / self.res)

    def sample(self, layer: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        """One layer at frame points; repeats beyond its edge."""
        row, col = (self.size / 2 - v) / self.res, (u + self.size / 2) / self.res
        at = np.broadcast_arrays(row % (layer.shape[0] - 1), col % (layer.shape[1] - 1))
        return ndimage.map_coordinates(layer, at, order=1, mode="nearest")

    def __call__(self, u: np.ndarray, v: np.ndarray) -> list[np.ndarray]:
        """The scene's reflectance at frame points, per band."""
        return [self.sample(band, u, v) for band in self.image]
