"""One scene at working resolution: trains, piles and vehicles on the ground, sun, shadows, lean, snow and rain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .ground import MATERIALS, Frame, Ground
from .noise import fractal, smooth
from .trains import PAINTS, Car, Train


@dataclass(frozen=True)
class Pile:
    """Cargo on an apron."""

    id: str
    apron: str
    xy: np.ndarray
    height: float
    colour: tuple[float, ...]
    domed: bool


@dataclass(frozen=True)
class Vehicle:
    """A car or lorry on the road or an apron."""

    u: float
    v: float
    heading: float
    length: float
    width: float
    height: float
    colour: tuple[float, ...]
    on: str = "road"
    """Role of what it stands on."""

    @property
    def corners(self) -> np.ndarray:
        """Outline in the frame."""
        c, s = np.cos(self.heading), np.sin(self.heading)
        x, y = self.length / 2, self.width / 2
        return np.array([(-x, -y), (x, -y), (x, y), (-x, y)]) @ np.array([[c, s], [-s, c]]) + (self.u, self.v)


@dataclass(frozen=True)
class Weather:
    """What the scene's day was like."""

    season: float
    """0 winter to 1 summer."""
    wet: float
    snow: float
    """Share of ground under snow."""
    snow_depth: float
    """0..1: how far rails and sleepers vanish."""


@dataclass(frozen=True)
class Light:
    """Sun and view, in the frame."""

    sun: tuple[float, float]
    """Unit vector toward the sun, (u, v)."""
    sun_elevation: float
    lean: tuple[float, float]
    """Metres a point moves in the picture per metre of its height, (u, v)."""
    sky: tuple[float, ...]
    """Light in shadow against light in the sun, per band."""


class Canvas:
    """Albedo and height being painted."""

    def __init__(self, ground: Ground, weather: Weather, far, rng: np.random.Generator) -> None:
        self.ground, self.rng = ground, rng
        self.albedo = ground.albedo.copy()
        self.height = ground.height.copy()
        self.slope = [s.copy() for s in ground.relief]
        grass = self._mix("straw", "grass", weather.season)
        crown = self._mix("twig", "leaf", weather.season)
        cover = ground.leaves * (0.45 + 0.55 * weather.season)
        for band in range(4):
            self.albedo[band] += ground.summer * (grass[band] - self.albedo[band])
            self.albedo[band] += cover * (crown[band] - self.albedo[band])
        if weather.wet > 0:
            self.albedo *= 1 - (weather.wet * 0.45) * ground.wettable
        self.albedo *= 1 + 0.025 * fractal(rng, ground.frame.shape, (40 / ground.frame.res, 10 / ground.frame.res))
        if weather.snow > 0:
            self._snow(weather, far)

    @staticmethod
    def _mix(winter: str, summer: str, season: float) -> np.ndarray:
        return (1 - season) * np.array(MATERIALS[winter]) + season * np.array(MATERIALS[summer])

    def _snow(self, weather: Weather, far) -> None:
        ground, res = self.ground, self.ground.frame.res
        field = far.sample(far.snow, *ground.frame.centres()) + 0.3 * smooth(self.rng, ground.frame.shape, 2 / res)
        field += np.clip(ground.near_track / 8, 0, 1) * 0.8 - 0.8 * (1 - weather.snow_depth) * (ground.near_track < 2)
        field -= ground.leaves * 1.2 + 0.8
        field += 0.8 * (ground.near_track > 8)
        cover = np.clip(field / 0.35, 0, 1)
        cover *= np.where(ground.near_track < 1.4, 0.55 + 0.45 * weather.snow_depth, 1.0)
        bright = 1 + 0.04 * smooth(self.rng, ground.frame.shape, 3 / res)
        for band in range(4):
            self.albedo[band] += cover * (MATERIALS["snow"][band] * bright - self.albedo[band])
        self.slope = [slope * (1 - 0.6 * cover) for slope in self.slope]

    def put(self, r, c, colour, height, wear=1.0) -> None:
        """Set colour (4 values or arrays), height, and flatten the micro-relief."""
        for band in range(4):
            self.albedo[band][r, c] = np.clip(np.asarray(colour[band]) * wear, 0.01, 0.95)
        self.height[r, c] = height
        for slope in self.slope:
            slope[r, c] = 0

    def train(self, bed, train: Train, snowy: float, sun_left: float) -> None:
        """Paint a train; `sun_left` is the sun's component to the left of the track."""
        for (a, b), car in zip(train.spans(), train.cars, strict=True):
            r, c, s, d = bed.between(a, b, car.width / 2)
            if r.size:
                _paint_car(self, car, (r, c, s, d), snowy, sun_left)

    def pile(self, pile: Pile, pixels, res: float) -> None:
        """Paint a pile or a stack of crates."""
        from scipy import ndimage

        r, c = pixels
        if r.size == 0:
            return
        rng = np.random.default_rng(sum(map(ord, pile.id)))
        grain = 1 + 0.1 * rng.standard_normal(r.size)
        tall = np.full(r.size, pile.height)
        if pile.domed:
            window = np.zeros((np.ptp(r) + 3, np.ptp(c) + 3), bool)
            window[r - r.min() + 1, c - c.min() + 1] = True
            inside = ndimage.distance_transform_edt(window) * res
            tall = np.minimum(inside[r - r.min() + 1, c - c.min() + 1] * 0.8, pile.height) + 0.1 * grain
        self.put(r, c, pile.colour, tall, grain)
        if pile.domed:
            rise_v, rise_u = np.gradient(np.pad(inside, 0).clip(max=pile.height / 0.8) * 0.8, res)
            self.slope[0][r, c] = rise_u[r - r.min() + 1, c - c.min() + 1]
            self.slope[1][r, c] = -rise_v[r - r.min() + 1, c - c.min() + 1]

    def vehicle(self, vehicle: Vehicle) -> None:
        """Paint a road vehicle."""
        from .ground import block_pixels

        r, col = block_pixels(self.ground.frame, vehicle.corners)
        self.put(r, col, vehicle.colour, vehicle.height)


@dataclass
class Body:
    """A car's pixels while it is painted."""

    car: Car
    rng: np.random.Generator
    s: np.ndarray
    """Metres from the body's first end."""
    d: np.ndarray
    """Metres left of the centre line."""
    sun_left: float
    speckle: np.ndarray
    colour: np.ndarray
    """(4, pixels)."""
    height: np.ndarray

    @property
    def end(self) -> np.ndarray:
        """Metres to the nearer end."""
        return np.minimum(self.s, self.car.length - self.s)

    def where(self, part: np.ndarray, colour: np.ndarray | float | None, height: np.ndarray | float | None) -> None:
        """Paint part of it."""
        if colour is not None:
            self.colour = np.where(part, colour, self.colour)
        if height is not None:
            self.height = np.where(part, height, self.height)


def _open_top(body: Body) -> None:
    car, rng, s, d = body.car, body.rng, body.s, body.d
    inner = (np.abs(d) < car.width / 2 - 0.22) & (body.end > 0.25)
    if not car.loaded:
        body.where(inner, 0.7 * np.array(car.paint)[:, None] * body.speckle, 1.3)
        return
    mound = np.interp(s, np.linspace(0, car.length, 9), rng.uniform(0.6, 1.0, 9))
    load = np.array(car.load)[:, None] * (1 + 0.1 * rng.standard_normal(s.size))
    body.where(inner, load, car.height - 0.5 + 0.6 * mound * (1 - (2 * d / car.width) ** 2))


def _tank(body: Body) -> None:
    car, s, d = body.car, body.s, body.d
    across = np.clip(2 * d / car.width, -1, 1)
    bulge = np.sqrt(np.clip(1 - across**2, 0, 1))
    body.colour = body.colour * np.clip(0.75 * bulge + 0.45 * across * np.sign(body.sun_left) + 0.25, 0.35, 1.35)
    body.height = car.height - car.width / 2 * (1 - bulge)
    dome = (np.abs(s - car.length / 2) < 0.7) & (np.abs(d) < 0.7)
    body.where(dome | (np.abs(d) < 0.25), 0.75 * body.colour, None)
    body.where(body.end < 0.5, np.array([0.06, 0.06, 0.07, 0.08])[:, None], None)


def _flat(body: Body) -> None:
    car, rng = body.car, body.rng
    body.colour = np.array([0.09, 0.1, 0.12, 0.16])[:, None] * rng.uniform(0.6, 1.9) * body.speckle
    if car.loaded:
        on = (np.abs(body.d) < 1.2) & (body.s > 1.2) & (body.s < car.length * rng.uniform(0.5, 0.95))
        body.where(on, np.array(car.load)[:, None] * body.speckle, 1.3 + rng.uniform(0.4, 2.2))


def _containers(body: Body) -> None:
    car, rng, s = body.car, body.rng, body.s
    body.colour = np.array([0.05, 0.05, 0.055, 0.07])[:, None] * body.speckle
    body.height = np.full(s.size, 1.3)
    at = rng.uniform(0.3, 0.8)
    while at + 6.1 < car.length:
        box = 12.19 if rng.random() < 0.5 and at + 12.2 < car.length else 6.06
        if rng.random() < 0.85 or not car.loaded:
            tint = np.array(PAINTS[str(rng.choice(list(PAINTS)))])[:, None]
            body.where((s > at) & (s < at + box) & (np.abs(body.d) < 1.22), tint * body.speckle, 3.9)
        at += box + rng.uniform(0.1, 0.5)


def _roofed(body: Body) -> None:
    car, s, d = body.car, body.s, body.d
    body.colour = body.colour * (1 + 0.12 * np.sign(body.sun_left) * np.clip(2 * d / car.width, -1, 1))
    if car.kind == "locomotive":
        body.where((np.abs(d) < 0.8) & (np.abs((s % 4.5) - 2) < 0.9) & (body.end > 2), 0.06, None)
    body.height = car.height - 0.35 * (2 * d / car.width) ** 2


PAINTERS = {
    "gondola": _open_top,
    "hopper": _open_top,
    "tank": _tank,
    "flat": _flat,
    "container": _containers,
    "box": _roofed,
    "passenger": _roofed,
    "locomotive": _roofed,
}


def _paint_car(canvas: Canvas, car: Car, where, snowy: float, sun_left: float) -> None:
    r, c, s, d = where
    rng = np.random.default_rng(car.seed)
    speckle = (1 + 0.06 * rng.standard_normal(s.size)) * (1 + 0.05 * np.sin(s * 2 * np.pi / rng.uniform(1.0, 2.4)))
    colour, height = np.array(car.paint)[:, None] * speckle, np.full(s.size, car.height)
    body = Body(car, rng, s, d, sun_left, speckle, colour, height)
    PAINTERS[car.kind](body)
    if snowy > 0:
        cover = snowy * np.clip(0.8 + 0.3 * rng.standard_normal(s.size), 0, 1)
        body.colour = body.colour + cover * (np.array(MATERIALS["snow"])[:, None] - body.colour)
    canvas.put(r, c, body.colour, body.height)


def shadowed(height: np.ndarray, frame: Frame, light: Light) -> np.ndarray:
    """Share of direct sun blocked at each pixel, 0 or 1, by doubling the reach of the sun's horizon."""
    drop = np.tan(np.radians(light.sun_elevation)) * frame.res
    du, dv = light.sun
    scale = 1 / max(abs(du), abs(dv))
    horizon = _shift(height, -dv * scale, du * scale) - drop * scale
    step, reach = 1, float(height.max()) / max(drop * scale, 1e-6)
    while step < reach:
        moved = _shift(horizon, -dv * scale * step, du * scale * step) - drop * scale * step
        horizon = np.maximum(horizon, moved)
        step *= 2
    return np.clip((horizon - height) / 0.25, 0, 1)


def _shift(image: np.ndarray, rows: float, cols: float) -> np.ndarray:
    """Value `rows` down and `cols` right of each pixel (nearest pixel; edges repeat)."""
    r, c = int(np.floor(rows + 0.5)), int(np.floor(cols + 0.5))
    n, m = image.shape
    return image[np.clip(np.arange(n) + r, 0, n - 1)[:, None], np.clip(np.arange(m) + c, 0, m - 1)[None]]


def lit(canvas: Canvas, light: Light) -> np.ndarray:
    """Reflectance as the sun shows it, (4, rows, cols)."""
    dark = shadowed(canvas.height, canvas.ground.frame, light)
    cot = 1 / np.tan(np.radians(light.sun_elevation))
    facing = -(canvas.slope[0] * light.sun[0] + canvas.slope[1] * light.sun[1]) * cot
    direct = np.clip(1 + np.clip(facing, -0.9, 1.2) * 0.75, 0.15, 1.9) * (1 - dark)
    out = np.empty_like(canvas.albedo)
    for band in range(4):
        out[band] = canvas.albedo[band] * ((1 - light.sky[band]) * direct + light.sky[band])
    return out


def leaned(image: np.ndarray, height: np.ndarray, frame: Frame, lean: tuple[float, float], sunny: float) -> np.ndarray:
    """Displace what is tall; side walls are seen where they face the sensor."""
    tilt = float(np.hypot(*lean))
    if tilt < 0.02:
        return image
    top = float(np.quantile(height[::2, ::2], 0.9999))
    levels = np.arange(max(np.ceil(top / 0.4), 1), 0, -1) * 0.4
    rows = np.tile(np.arange(frame.rows, dtype=np.int32)[:, None], (1, frame.cols))
    cols = np.tile(np.arange(frame.cols, dtype=np.int32), (frame.rows, 1))
    taken = np.zeros(frame.shape, bool)
    wall = np.zeros(frame.shape, bool)
    own_r, own_c = rows.copy(), cols.copy()
    for level in levels:
        dr, dc = int(round(lean[1] * level / frame.res)), int(round(-lean[0] * level / frame.res))
        if dr == 0 and dc == 0:
            break
        there = _shift(height, dr, dc)
        hit = (there >= level) & ~taken
        own_r[hit] = np.clip(rows + dr, 0, frame.rows - 1)[hit]
        own_c[hit] = np.clip(cols + dc, 0, frame.cols - 1)[hit]
        wall |= hit & (there > level + 0.8)
        taken |= hit
    out = image[:, own_r, own_c]
    out[:, wall] *= sunny
    return out
