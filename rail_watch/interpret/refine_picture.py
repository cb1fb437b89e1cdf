"""What the ground near a site's lines looks like over a whole series: one row of looks for each pixel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree
from shapely import LineString

from rail_watch.aoi.site import Site
from rail_watch.change.robust import spread, weighted_median
from rail_watch.grid import WGS84, Grid, transformer
from rail_watch.imagery.scene import Quality
from rail_watch.prepare.stack import Stack
from rail_watch.prepare.zones import local_frame, mask_of

Floats = NDArray[np.float64]
Array = NDArray[np.float32]

BANDS = ("blue", "green", "red", "nir", "pan")
PIXEL_M = 1.0
"""Finer pixels are averaged to about this size: lines are hundreds of metres long, and a metre of them is enough."""
MOST_PIXELS = 12_000
"""So many pixels, evenly drawn, carry the fit: they settle a line to centimetres, and cost little."""
LEAST_SEEN = 0.3
"""A scene that shows less of the ground near the lines takes no part, nor a pixel seen in fewer of the scenes."""
LEAST_CHANGES = 4
"""From so many scenes on it can be said where things come and go."""
CLIP = 3.0
"""Looks beyond so many standard deviations count as that many: a roof must not outweigh a hundred metres of track."""
WIDE_M = 15.0
NARROW_M = 4.0
"""Surroundings against which a pixel stands out, and in which roughness is measured."""
SHED_MARGIN_M = 4.0


@dataclass(frozen=True)
class Ground:
    """The pixels that carry the fit."""

    xy: Floats
    """(N, 2) local-frame metres."""
    members: NDArray[np.int64]
    """(N, M) pixels of the stack's grid, the rows one after the other, whose mean each is."""
    at: NDArray[np.int64]
    """(N, 2) row and column among the averaged pixels."""
    size_m: float
    """Side of an averaged pixel."""


@dataclass(frozen=True)
class Picture:
    """What a series, or a part of it, shows."""

    xy: Floats
    """(N, 2) local-frame metres."""
    looks: Floats
    """(N, K) brightness of each band, and where there are scenes enough, how much and how things come and go; each
    with mean 0 and a robust spread of about 1."""


def dense(line: LineString, step_m: float) -> Floats:
    """(n, 2) points along a line, ends included, about a step apart."""
    count = max(int(line.length / step_m), 2)
    at = np.linspace(0, line.length, count + 1)
    return np.asarray(shapely.get_coordinates(shapely.line_interpolate_point(line, at)))


def _plane(grid: Grid, frame: str) -> Floats:
    """(3, 2) affine from (row, column, 1) to local-frame metres: exact to a centimetre over a few kilometres."""
    rows, cols = (np.linspace(0, n - 1, 3) for n in grid.shape)
    at = np.stack(np.meshgrid(rows, cols, indexing="ij"), axis=-1).reshape(-1, 2)
    lonlat = grid.lonlat(at)
    east, north = transformer(WGS84, frame).transform(lonlat[:, 0], lonlat[:, 1])
    solved = np.linalg.lstsq(np.column_stack([at, np.ones(len(at))]), np.column_stack([east, north]), rcond=None)
    return np.asarray(solved[0])


def _hidden(site: Site, grid: Grid, gsd_m: float) -> NDArray[np.bool_]:
    """(row, column) True under sheds and close to them: roofs hide the track and lean over it."""
    roofs = mask_of([area.polygon for area in site.sheds], grid)
    return ndimage.binary_dilation(roofs, iterations=max(1, round(SHED_MARGIN_M / gsd_m))) if roofs.any() else roofs


def ground_of(stack: Stack, site: Site, lines: Sequence[LineString], *, within_m: float) -> Ground:
    """Choose the pixels within a distance of the lines, beside them and not past their ends."""
    size = max(1, round(PIXEL_M / stack.gsd_m))
    rows, cols = (n // size for n in stack.grid.shape)
    row, col = np.meshgrid(np.arange(rows), np.arange(cols), indexing="ij")
    middle = np.asarray(np.stack([row, col], axis=-1).reshape(-1, 2) * size + 0.5 * (size - 1), dtype=np.float64)
    xy = np.column_stack([middle, np.ones(len(middle))]) @ _plane(stack.grid, local_frame(site))
    points = [dense(line, 2.0) for line in lines]
    ends = np.cumsum([len(part) for part in points])
    distance, nearest = cKDTree(np.concatenate(points)).query(xy, distance_upper_bound=within_m)
    keep = np.isfinite(distance) & ~np.isin(nearest, np.concatenate([ends - 1, ends[:-1], [0]]))
    keep &= ~_hidden(site, stack.grid, stack.gsd_m).ravel()[_members(middle, size, stack.grid.shape)].any(axis=1)
    at = np.stack([row, col], axis=-1).reshape(-1, 2)[keep]
    return Ground(xy[keep], _members(middle[keep], size, stack.grid.shape), at, size * stack.gsd_m)


def _members(middle: Floats, size: int, shape: tuple[int, int]) -> NDArray[np.int64]:
    first = np.round(middle - 0.5 * (size - 1)).astype(np.int64)
    row, col = np.divmod(np.arange(size * size), size)
    return np.asarray((first[:, :1] + row) * shape[1] + first[:, 1:] + col)


def readings(stack: Stack, ground: Ground) -> Array:
    """(T, B, N) levels of the scenes that show the ground, brought to one gain and offset; NaN where not seen."""
    bands = [stack.bands.index(name) for name in BANDS if name in stack.bands]
    out = []
    for pixels, quality in zip(stack.pixels, stack.quality, strict=True):
        state = quality.ravel()[ground.members]
        clear = ((state == Quality.CLEAR) | (state == Quality.SNOW)).all(axis=1)
        levels = pixels[bands].reshape(len(bands), -1)[:, ground.members].mean(axis=-1)
        clear &= np.isfinite(levels).all(axis=0)
        if len(clear) and clear.mean() >= LEAST_SEEN:
            out.append(np.where(clear, levels, np.float32(np.nan)))
    return _evened(np.stack(out)) if out else np.empty((0, len(bands), len(ground.xy)), np.float32)


def _evened(levels: Array) -> Array:
    """Give every scene and band the median and the spread of the series' middle scene."""
    low, middle, high = np.nanpercentile(levels, [20, 50, 80], axis=2)[..., None]
    width = np.maximum(high - low, 1e-6)
    even = (levels - middle) / width * np.median(width, axis=0) + np.median(middle, axis=0)
    return np.asarray(even, dtype=np.float32)


def pictures_of(levels: Array, ground: Ground) -> tuple[Picture, Picture]:
    """Sum up scenes (T, B, N): what the ground looks like on most of them, and where things come and go.

    Returns
    -------
    standing_out, plain : Picture
        Each look less its mean over the surroundings, so that a wide bright apron beside the track, or a field on one
        side, does not count; and the looks as they are.
    """
    seen = np.isfinite(levels[:, 0]).mean(axis=0) >= LEAST_SEEN
    levels = levels[:, :, seen]
    usual = weighted_median(levels, np.ones_like(levels))
    near = _Nearby.of(ground.at[seen], ground.size_m)
    looks = [*usual] + (_changes(levels - usual) if len(levels) >= LEAST_CHANGES else [])
    rough = near.roughness(usual.mean(axis=0))
    xy = ground.xy[seen]
    out = _picture(xy, [*(look - near.mean(look, WIDE_M) for look in looks), rough])
    return out, _picture(xy, [*looks, rough])


def _picture(xy: Floats, looks: Sequence[Array]) -> Picture:
    table = np.stack(looks, axis=-1).astype(np.float64)
    table -= np.median(table, axis=0)
    width = spread(table.astype(np.float32), axis=0)
    table = np.clip(table[:, width > 0] / width[width > 0], -CLIP, CLIP)
    return thinned(Picture(xy, table - table.mean(axis=0)), MOST_PIXELS)


def thinned(picture: Picture, count: int) -> Picture:
    """Return about so many pixels of a picture, evenly drawn."""
    if len(picture.xy) <= count:
        return picture
    chosen = np.sort(np.random.default_rng(1).choice(len(picture.xy), count, replace=False))
    looks = picture.looks[chosen]
    return Picture(picture.xy[chosen], looks - looks.mean(axis=0))


@dataclass(frozen=True)
class _Nearby:
    """Means over squares around pixels, of the pixels known there."""

    place: tuple[NDArray[np.int64], ...]
    known: Array
    size_m: float

    @classmethod
    def of(cls, at: NDArray[np.int64], size_m: float) -> _Nearby:
        """Lay pixels (N, 2) out on their raster."""
        first = at.min(axis=0)
        known = np.zeros(at.max(axis=0) - first + 1, np.float32)
        place = tuple((at - first).T)
        known[place] = 1
        return cls(place, known, size_m)

    def mean(self, look: Array, width_m: float) -> Array:
        """(N,) mean over squares of about a width."""
        plane = np.zeros_like(self.known)
        plane[self.place] = look
        width = 2 * max(1, round(0.5 * width_m / self.size_m)) + 1
        share = ndimage.uniform_filter(self.known, width, mode="constant")[self.place]
        return np.asarray(ndimage.uniform_filter(plane, width, mode="constant")[self.place] / np.maximum(share, 1e-6))

    def roughness(self, look: Array) -> Array:
        """(N,) logarithm of the variance close by: ballast is even, a rail is a thin line, grass is neither."""
        rough = np.maximum(self.mean((look - self.mean(look, NARROW_M)) ** 2, NARROW_M), 0)
        return np.asarray(np.log(rough + 1e-3 * max(float(np.median(rough)), 1e-12)))


def _changes(away: Array) -> list[Array]:
    """How much a pixel changes, how much it brightens (shadows never do), and how much its colour changes."""
    light = away.mean(axis=1)
    found = [np.abs(light), np.clip(light, 0, None)]
    if away.shape[1] > 1:
        found.append(np.sqrt(((away - light[:, None]) ** 2).sum(axis=1)))
    usual = [float(np.nanmedian(np.abs(light)))] * 2 + [float(np.nanmedian(found[-1]))]
    out = []
    for size, unit in zip(found, usual, strict=False):
        # A scene's outlier, a cloud's edge perhaps, is no more than eight times the usual.
        mean = np.nanmean(np.minimum(size, 8 * unit), axis=0)
        out.append(np.log(mean + 0.3 * max(unit, 1e-9)))
    return out
