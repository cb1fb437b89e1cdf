"""The sensors that are imitated, and how one turns light into numbers: PSF, sampling, noise, quantisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from rail_watch.grid import WGS84, Grid, transformer
from rail_watch.simulate.canvas import Plane
from rail_watch.simulate.frame import Frame
from rail_watch.simulate.materials import BANDS


@dataclass(frozen=True)
class Sensor:
    """A sensor like a real one; everything made with it says SIMULATED."""

    name: str
    constellation: str
    gsd_m: float
    bands: tuple[str, ...] = BANDS
    psf_fwhm_px: float = 1.15
    """Full width at half maximum of optics, detector and resampling together, in pixels."""
    colour_fwhm_px: float | None = None
    """Pan-sharpened products: the width for colour, coarser than that for brightness."""
    noise: tuple[float, float] = (0.0010, 0.0040)
    """Reflectance: floor, and the part that grows with the square root of reflectance."""
    scale: float = 0.0001
    offset: float = 0.0
    max_dn: int = 10000
    quality: Literal["udm2", "scl"] = "udm2"
    off_nadir_deg: float = 12.0
    """Largest by habit."""
    margin_m: float = 5.0
    """How far its pictures reach beyond the site."""
    delays_s: tuple[float, ...] = ()
    """When each band of `materials.BANDS` is taken, seconds after the first; none: all at once."""

    @property
    def step_m(self) -> float:
        """Cell size of the ground its pictures are made from."""
        return self.gsd_m / 2 if self.gsd_m <= 1 else max(0.5, self.gsd_m / 5) if self.gsd_m <= 4 else self.gsd_m / 10

    @property
    def platform(self) -> str:
        """Name for metadata."""
        return f"simulated-{self.name}"

    @property
    def stored_bands(self) -> tuple[int, ...]:
        """Places of its bands in `materials.BANDS`."""
        return tuple(BANDS.index(band) for band in self.bands)


SENSORS = {
    sensor.name: sensor
    for sensor in (
        Sensor(
            "skysat-like",
            "simulated-skysat-like",
            0.5,
            psf_fwhm_px=1.25,
            colour_fwhm_px=2.4,
            scale=0.002,
            max_dn=1023,
            off_nadir_deg=18.0,
        ),
        Sensor(
            "planetscope-like",
            "simulated-planetscope-like",
            3.0,
            psf_fwhm_px=1.35,
            noise=(0.0015, 0.004),
            off_nadir_deg=4.0,
            margin_m=40.0,
        ),
        Sensor(
            "sentinel-2-like",
            "simulated-sentinel-2-like",
            10.0,
            psf_fwhm_px=1.2,
            noise=(0.0010, 0.0025),
            offset=-0.1,
            max_dn=20000,
            quality="scl",
            off_nadir_deg=8.0,
            margin_m=110.0,
            delays_s=(0.0, 0.527, 1.005, 0.264),
        ),
    )
}


def places(frame: Frame, grid: Grid, inside: NDArray[np.bool_], shift_m: tuple[float, float]) -> NDArray[np.float64]:
    """Return (2, n) where on the canvas each scene pixel inside the footprint looks.

    `shift_m` (grid east, north) is where a feature appears minus where it lies, so the pixel looks that much back.
    """
    row_col = np.argwhere(inside).astype(float)
    xy = grid.xy(row_col) - np.asarray(shift_m)
    lon, lat = transformer(grid.crs, WGS84).transform(xy[:, 0], xy[:, 1])
    return frame.row_col(frame.from_lonlat(np.stack([lon, lat], axis=-1))).T


def _smooth(plane: Plane, fwhm_px: float, sensor: Sensor, step_m: float) -> Plane:
    blurred: Plane = ndimage.gaussian_filter(plane, fwhm_px * sensor.gsd_m / 2.3548 / step_m, mode="nearest")
    return blurred


def _sample(plane: Plane, at: NDArray[np.float64]) -> Plane:
    sampled: Plane = ndimage.map_coordinates(plane, at, order=1, mode="nearest", prefilter=False)
    return sampled


def seen(light: Plane, at: NDArray[np.float64], sensor: Sensor, step_m: float) -> Plane:
    """Return (4, n) the light at each pixel after the sensor's point spread.

    With `colour_fwhm_px`, colour is blurred more than brightness, as pan-sharpening leaves it.
    """
    if sensor.colour_fwhm_px is None:
        return np.stack([_sample(_smooth(band, sensor.psf_fwhm_px, sensor, step_m), at) for band in light])
    coarse = np.stack([_sample(_smooth(band, sensor.colour_fwhm_px, sensor, step_m), at) for band in light])
    pan = light[:3].mean(axis=0)
    detail = _sample(_smooth(pan, sensor.psf_fwhm_px, sensor, step_m), at)
    ratio = detail / np.maximum(coarse[:3].mean(axis=0), 1e-3)
    return np.asarray(coarse * np.clip(ratio, 0.2, 4), dtype=np.float32)


def numbers(light: Plane, sensor: Sensor, rng: np.random.Generator, gain: float = 1.0) -> NDArray[np.uint16]:
    """Return (bands, n) digital numbers: noise of the detector, the scene's own gain, quantisation; 0 is kept free."""
    floor, shot = sensor.noise
    kept = light[list(sensor.stored_bands)] * np.float32(gain)
    noise = rng.standard_normal(kept.shape, dtype=np.float32)
    noisy = kept + noise * np.sqrt(floor**2 + shot**2 * np.maximum(kept, 0)).astype(np.float32)
    dn = np.clip(np.rint((noisy - sensor.offset) / sensor.scale), 1, sensor.max_dn)
    return np.asarray(dn, dtype=np.uint16)
