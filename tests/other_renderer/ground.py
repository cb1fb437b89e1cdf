"""The yard without trains, as rasters in the yard frame: reflectance, height, and what season does to it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree
from skimage.draw import polygon as fill_polygon

from .noise import fractal, smooth
from .yard import Block, Track, Yard, arc

# Reflectance blue, green, red, near infrared.
MATERIALS = {
    "grey": (0.135, 0.145, 0.155, 0.185),
    "brown": (0.105, 0.12, 0.15, 0.2),
    "pale": (0.24, 0.26, 0.275, 0.31),
    "dark": (0.07, 0.074, 0.08, 0.1),
    "soil": (0.09, 0.125, 0.165, 0.24),
    "gravel": (0.17, 0.185, 0.2, 0.235),
    "concrete": (0.24, 0.265, 0.28, 0.31),
    "asphalt": (0.075, 0.08, 0.085, 0.105),
    "metal": (0.3, 0.31, 0.32, 0.34),
    "tile": (0.07, 0.09, 0.2, 0.28),
    "blue": (0.26, 0.17, 0.1, 0.2),
    "grass": (0.035, 0.075, 0.055, 0.36),
    "straw": (0.08, 0.115, 0.15, 0.25),
    "leaf": (0.025, 0.05, 0.03, 0.32),
    "twig": (0.05, 0.06, 0.07, 0.13),
    "snow": (0.8, 0.82, 0.82, 0.76),
}


@dataclass
class Frame:
    """Raster geometry: row 0 is the top (largest v)."""

    left: float
    top: float
    res: float
    rows: int
    cols: int

    @property
    def shape(self) -> tuple[int, int]:
        """Rows, columns."""
        return self.rows, self.cols

    def centres(self) -> tuple[np.ndarray, np.ndarray]:
        """Pixel centres: u (1, cols) and v (rows, 1)."""
        u = self.left + (np.arange(self.cols) + 0.5) * self.res
        return u[None], (self.top - (np.arange(self.rows) + 0.5) * self.res)[:, None]

    def pixel(self, xy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Fractional row, column (pixel centres are whole numbers) of frame points."""
        xy = np.asarray(xy, float)
        return (self.top - xy[..., 1]) / self.res - 0.5, (xy[..., 0] - self.left) / self.res - 0.5


@dataclass
class Bed:
    """Pixels near one track, sorted by distance along it."""

    rows: np.ndarray
    cols: np.ndarray
    s: np.ndarray
    d: np.ndarray
    """Metres left of the centre line."""

    def between(self, a: float, b: float, half_width: float) -> tuple[np.ndarray, ...]:
        """Row, column, s - a, d of the pixels from `a` to `b` within `half_width`."""
        i, j = np.searchsorted(self.s, [a, b])
        keep = np.abs(self.d[i:j]) <= half_width
        part = slice(i, j)
        return self.rows[part][keep], self.cols[part][keep], self.s[part][keep] - a, self.d[part][keep]


@dataclass
class Ground:
    """Everything that stands still."""

    frame: Frame
    albedo: np.ndarray
    """(4, rows, cols)."""
    summer: np.ndarray
    """Vegetation share 0..1, grass; turns to straw in winter."""
    leaves: np.ndarray
    """Tree crowns 0..1."""
    height: np.ndarray
    """Metres above ground."""
    relief: tuple[np.ndarray, np.ndarray]
    """Micro-relief slopes along columns and (upward) rows."""
    beds: dict[str, Bed]
    near_track: np.ndarray
    """Metres to the nearest track."""
    wettable: np.ndarray
    """How strongly a pixel darkens when wet, 0..1."""


def near_frame(yard: Yard, res: float, margin: float) -> Frame:
    """Frame round the yard."""
    s = np.arange(-margin, yard.length + margin, 5.0)
    low = min(-45.0, *(yard_side(yard, b)[0] for b in yard.blocks or [_dot()])) - margin / 2
    high = max(yard.offsets[-1] + 45, *(yard_side(yard, b)[1] for b in yard.blocks or [_dot()])) + margin / 2
    edge = np.concatenate([yard.at(s, np.full_like(s, low)), yard.at(s, np.full_like(s, high))])
    (x0, y0), (x1, y1) = edge.min(0), edge.max(0)
    return Frame(float(x0), float(y1), res, int((y1 - y0) / res), int((x1 - x0) / res))


def _dot() -> Block:
    return Block("", "", np.zeros((1, 2)))


def yard_side(yard: Yard, block: Block) -> tuple[float, float]:
    """Least and greatest distance left of the base line, from a block's corners."""
    if block.role not in ("apron", "shed", "platform"):
        return 0.0, 0.0
    tree = cKDTree(yard.base)
    _, i = tree.query(block.xy)
    tangent = np.gradient(yard.base, axis=0)[i]
    away = block.xy - yard.base[i]
    d = tangent[:, 0] * away[:, 1] - tangent[:, 1] * away[:, 0]
    return float(d.min()), float(d.max())


def block_pixels(frame: Frame, xy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns inside a polygon."""
    return fill_polygon(*frame.pixel(xy), shape=frame.shape)


def build_ground(rng: np.random.Generator, yard: Yard, frame: Frame, far) -> Ground:
    """Draw the still part of the scene on the surroundings `far`."""
    shape, res = frame.shape, frame.res
    near = _distance(yard, frame)
    albedo = np.empty((4, *shape), np.float32)
    patch = fractal(rng, shape, (60 / res, 18 / res, 5 / res))
    _lay(albedo, np.ones(shape, bool), yard.surround if yard.surround != "grass" else "soil")
    albedo *= 1 + 0.10 * patch
    green = np.clip(0.5 + 0.9 * patch + (0.6 if yard.surround == "grass" else -0.5) + (near - 12) / 15, 0, 1)
    u, v = frame.centres()
    away = np.clip((near - 9 + 4 * patch) / 6, 0, 1)
    green += away * (far.sample(far.green, u, v) - green)
    for band in range(4):
        albedo[band] += away * (far.sample(far.base[band], u, v) - albedo[band])
    green *= near > 2.4
    beds = {t.id: _bed(t, frame, near) for t in yard.tracks}
    _lay_ballast(rng, albedo, green, near, yard.ballast)
    main = Track("main", yard.base, (0, 0), 0)
    for track in (*yard.tracks, main):
        _lay_rails(rng, albedo, _bed(track, frame, near) if track is main else beds[track.id])
    ground = Ground(
        frame,
        albedo,
        green.astype(np.float32),
        np.zeros(shape, np.float32),
        np.zeros(shape, np.float32),
        _slopes(rng, shape, res, near),
        beds,
        near,
        np.ones(shape, np.float32),
    )
    for block in yard.blocks:
        add_block(rng, ground, block)
    _fence(rng, ground, yard)
    for u, v, radius, tall in yard.trees:
        _tree(rng, ground, u, v, radius, tall)
    for u, v, tall in yard.masts:
        r, c = (int(round(float(x))) for x in frame.pixel(np.array([u, v])))
        if 0 <= r < shape[0] and 0 <= c < shape[1]:
            ground.height[r, c] = tall
    texture = 1 + 0.05 * smooth(rng, shape, 1) + 0.04 * smooth(rng, shape, 0.8 / res)
    ground.albedo *= texture.astype(np.float32)
    return ground


def _lay(albedo: np.ndarray, where: np.ndarray, material: str) -> None:
    for band in range(4):
        albedo[band][where] = MATERIALS[material][band]


def _distance(yard: Yard, frame: Frame) -> np.ndarray:
    """Metres from every pixel to the nearest track (or the line that leads out of the yard)."""
    mask = np.ones(frame.shape, bool)
    for xy in [yard.base, *(t.xy for t in yard.tracks)]:
        dense = np.stack([np.interp(np.arange(0, arc(xy)[-1], 0.2), arc(xy), xy[:, k]) for k in (0, 1)], -1)
        r, c = (np.round(a).astype(int) for a in frame.pixel(dense))
        ok = (r >= 0) & (r < frame.rows) & (c >= 0) & (c < frame.cols)
        mask[r[ok], c[ok]] = False
    return (ndimage.distance_transform_edt(mask) * frame.res).astype(np.float32)


def _bed(track: Track, frame: Frame, near: np.ndarray) -> Bed:
    rows, cols = np.nonzero(near < 3.5)
    points = np.column_stack([frame.left + (cols + 0.5) * frame.res, frame.top - (rows + 0.5) * frame.res])
    distance, i = cKDTree(track.xy).query(points, distance_upper_bound=3.5)
    keep = np.isfinite(distance)
    rows, cols, points, i = rows[keep], cols[keep], points[keep], i[keep]
    tangent = np.gradient(track.xy, axis=0)
    tangent /= np.hypot(*tangent.T)[:, None]
    away = points - track.xy[i]
    s = arc(track.xy)[i] + (tangent[i] * away).sum(1)
    d = tangent[i, 0] * away[:, 1] - tangent[i, 1] * away[:, 0]
    order = np.argsort(s, kind="stable")
    return Bed(rows[order], cols[order], s[order], d[order])


def _lay_ballast(rng, albedo, green, near, material) -> None:
    shoulder = np.clip((3.4 - near + 0.35 * smooth(rng, near.shape, 8)) / 0.8, 0, 1)
    between = np.clip((6.5 - near) / 2.0, 0, 1) * rng.uniform(0.2, 0.9)
    cover = np.maximum(shoulder, between)
    stain = 1 + 0.07 * fractal(rng, near.shape, (30, 90, 250))
    for band in range(4):
        albedo[band] += cover * (MATERIALS[material][band] * stain - albedo[band])
    green *= 1 - cover * rng.uniform(0.75, 1.0)


def _lay_rails(rng: np.random.Generator, albedo: np.ndarray, bed: Bed) -> None:
    """Oil down the middle, sleepers, and two rails, by how much of the pixel each takes."""
    if bed.s.size == 0:
        return
    r, c, s, d = bed.rows, bed.cols, bed.s, bed.d
    run = np.arange(0, max(s.max(), 1) + 2)
    oil = np.clip(ndimage.gaussian_filter1d(rng.standard_normal(run.size), 15) * 4 * rng.uniform(0.3, 1), 0, 1)
    dark = 1 - 0.45 * np.interp(s, run, oil) * np.exp(-((d / 0.5) ** 2))
    rust = np.clip(ndimage.gaussian_filter1d(rng.standard_normal(run.size), 25) * 2 + 0.5, 0, 1)
    share = np.where(np.abs(d) < 1.3, 0.25 + 0.1 * rng.standard_normal(s.size), 0)
    sleeper = np.array(rng.choice([0.09, 0.13, 0.22])) * np.array([0.92, 1.0, 1.06, 1.2])
    rail = np.clip(1.2 - np.abs(np.abs(d) - 0.75) / 0.2, 0, 1) * 0.3
    shine = np.array(rng.choice([0.08, 0.12, 0.3])) * np.array([0.85, 0.95, 1.1, 1.2])
    for band in range(4):
        value = albedo[band][r, c] * dark * (1 + (0.04, 0.02, 0.0, 0.02)[band] - 0.1 * np.interp(s, run, rust))
        value += np.clip(share, 0, 1) * (sleeper[band] - value)
        albedo[band][r, c] = value + rail * (shine[band] - value)


def _slopes(rng, shape, res, near) -> tuple[np.ndarray, np.ndarray]:
    bumps = 0.035 * smooth(rng, shape, 0.9 / res) + 0.1 * smooth(rng, shape, 11 / res)
    bumps *= np.clip(near / 12, 0.35, 1)
    return (np.gradient(bumps, res, axis=1).astype(np.float32), (-np.gradient(bumps, res, axis=0)).astype(np.float32))


def add_block(rng: np.random.Generator, ground: Ground, block: Block) -> None:
    """Put a built thing into the ground raster."""
    r, c = block_pixels(ground.frame, block.xy)
    if r.size == 0:
        return
    stain = 1 + 0.08 * rng.standard_normal() + 0.06 * smooth(rng, ground.frame.shape, 6 / ground.frame.res)[r, c]
    colour = np.array(MATERIALS[block.material]) * rng.uniform(0.8, 1.2)
    if block.role == "road":
        keep = ground.near_track[r, c] > 3.4
        r, c, stain = r[keep], c[keep], stain[keep]
    for band in range(4):
        ground.albedo[band][r, c] = colour[band] * stain
    ground.summer[r, c] = ground.summer[r, c] * 0.2 if block.role == "apron" and block.material == "soil" else 0
    ground.leaves[r, c] = 0
    for slope in ground.relief:
        slope[r, c] *= 0.3 if block.height == 0 else 0
    if block.height > 0:
        ground.height[r, c] = block.height
        ground.wettable[r, c] = 0.4
        if block.role in ("shed", "house") and rng.random() < 0.6:
            _ridge(ground, block, r, c)


def _ridge(ground: Ground, block: Block, r: np.ndarray, c: np.ndarray) -> None:
    """A pitched roof along the longer side."""
    centre = block.xy.mean(0)
    _, vectors = np.linalg.eigh(np.cov((block.xy - centre).T))
    x = ground.frame.left + (c + 0.5) * ground.frame.res - centre[0]
    y = ground.frame.top - (r + 0.5) * ground.frame.res - centre[1]
    across = x * vectors[0, 0] + y * vectors[1, 0]
    pitch, reach = 0.25, np.abs(across).max()
    ground.height[r, c] = block.height + pitch * (reach - np.abs(across)) * 0.5
    ground.relief[0][r, c] = -pitch * np.sign(across) * vectors[0, 0]
    ground.relief[1][r, c] = -pitch * np.sign(across) * vectors[1, 0]


def _fence(rng: np.random.Generator, ground: Ground, yard: Yard) -> None:
    if rng.random() < 0.5:
        return
    s = np.arange(-20, yard.length + 20, 0.1)
    d = -rng.uniform(16, 38) if rng.random() < 0.5 else yard.offsets[-1] + rng.uniform(16, 38)
    r, c = (np.round(a).astype(int) for a in ground.frame.pixel(yard.at(s, np.full_like(s, d))))
    ok = (r >= 0) & (r < ground.frame.rows) & (c >= 0) & (c < ground.frame.cols)
    ok[ok] &= ground.height[r[ok], c[ok]] == 0
    for block in yard.blocks:
        if block.role in ("apron", "road"):
            taken = np.zeros(ground.frame.shape, bool)
            taken[block_pixels(ground.frame, block.xy)] = True
            ok[ok] &= ~taken[r[ok], c[ok]]
    ground.height[r[ok], c[ok]] = rng.uniform(1.2, 2.5)
    ground.albedo[:, r[ok], c[ok]] *= rng.uniform(0.7, 1.4)


def _tree(rng: np.random.Generator, ground: Ground, u: float, v: float, radius: float, tall: float) -> None:
    frame = ground.frame
    row, col = frame.pixel(np.array([u, v]))
    reach = int(np.ceil(radius / frame.res)) + 1
    r0, r1 = max(int(row) - reach, 0), min(int(row) + reach + 2, frame.rows)
    c0, c1 = max(int(col) - reach, 0), min(int(col) + reach + 2, frame.cols)
    if r0 >= r1 or c0 >= c1:
        return
    y, x = np.mgrid[r0:r1, c0:c1]
    far = np.hypot(y - row, x - col) * frame.res / radius
    bumps = rng.normal(0, 0.16, far.shape)
    crown = far + bumps < 1
    crown &= ground.height[r0:r1, c0:c1] < tall
    dome = tall * (0.45 + 0.55 * np.sqrt(np.clip(1 - far**2, 0, 1))) * (1 + 0.7 * bumps)
    part = np.s_[r0:r1, c0:c1]
    ground.height[part] = np.where(crown, dome, ground.height[part])
    ground.leaves[part] = np.where(crown, np.clip(0.85 + bumps, 0.3, 1), ground.leaves[part])
