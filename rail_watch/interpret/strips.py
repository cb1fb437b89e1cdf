"""Tracks straightened into strips: arc length along, signed offset across, both in true metres."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy import ndimage, sparse
from scipy.spatial import cKDTree
from shapely import LineString

from rail_watch.aoi.site import Bridge, Site, Track
from rail_watch.grid import WGS84, Grid, transformer
from rail_watch.imagery.quality import NO_VALUE
from rail_watch.imagery.scene import Quality
from rail_watch.prepare.regrid import SPLINE_PX, filled
from rail_watch.prepare.stack import Stack
from rail_watch.prepare.zones import local_frame, reproject

Array = NDArray[np.float32]

FINE_GSD_M = 1.3
"""Up to this GSD a railcar is at least two pixels wide and has an inside, edges and a shadow of its own."""
PAD_PX = 12
"""Room round a grid for the splines' coefficients, the edge repeated."""
MIDDLE_GSD_M = 6.0
"""Up to this GSD a track has pixels of its own; beyond it shares them with its neighbours."""


@dataclass(frozen=True)
class Strip:
    """One track (or deck) sampled across and along."""

    track: str
    is_bridge: bool
    line: LineString
    """Centre line in the local frame, metres; as used, so refined where the imagery asked for it."""
    along_m: NDArray[np.float64]
    """(S,) arc length of each step from the line's first vertex."""
    across_m: NDArray[np.float64]
    """(O,) signed offset, positive to the left of the direction of travel."""
    heading_deg: NDArray[np.float64]
    """(S,) direction of travel, clockwise from north."""
    where: NDArray[np.float64]
    """(S, O, 2) local-frame metres east, north."""
    pixels: Array
    """(T, B, S, O), NaN where nothing was measured."""
    quality: NDArray[np.uint8]
    """(T, S, O) of `Quality`."""
    roofed: NDArray[np.bool_]
    """(S,) under a shed: cannot be seen in any scene."""

    @property
    def step_m(self) -> float:
        """Spacing along the track."""
        return float(self.along_m[1] - self.along_m[0])

    @property
    def offset_step_m(self) -> float:
        """Spacing across the track."""
        return float(self.across_m[1] - self.across_m[0])


def steps_for(gsd_m: float) -> tuple[float, float, float]:
    """Spacing along, spacing across and reach to either side, in metres: one layout for each class of GSD."""
    if gsd_m <= FINE_GSD_M:
        return 0.5, 1.0, 13.0
    return (1.5, 1.5, 15.0) if gsd_m <= MIDDLE_GSD_M else (5.0, 5.0, 30.0)


def offsets_m(gsd_m: float) -> NDArray[np.float64]:
    """(O,) offsets across at which a strip is sampled."""
    _, step, reach = steps_for(gsd_m)
    half = int(round(reach / step))
    return np.arange(-half, half + 1, dtype=np.float64) * np.float64(step)


def positions(
    line: LineString, along_m: NDArray[np.float64], across_m: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(S, O, 2) points beside a line and (S,) headings in degrees.

    The direction is smoothed over 6 m, so that a vertex of a coarse polyline does not fan or fold the strip.
    """
    ends = np.clip(np.stack([along_m - 3, along_m + 3]), 0, line.length)
    behind, ahead = (shapely.get_coordinates(shapely.line_interpolate_point(line, e)) for e in ends)
    direction = ahead - behind
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    left = np.stack([-direction[:, 1], direction[:, 0]], axis=1)
    centre = shapely.get_coordinates(shapely.line_interpolate_point(line, along_m))
    where = centre[:, None, :] + across_m[None, :, None] * left[:, None, :]
    return where, np.degrees(np.arctan2(direction[:, 0], direction[:, 1])) % 360


def row_col_of(where: NDArray[np.float64], frame: str, grid: Grid) -> NDArray[np.float64]:
    """(…, 2) local-frame metres to (…, 2) fractional (row, column) of a grid."""
    # By way of longitude and latitude, as the file's own lines go: no other datum shift may be chosen.
    lon, lat = transformer(frame, WGS84).transform(where[..., 0], where[..., 1])
    return grid.from_lonlat(np.stack([lon, lat], axis=-1))


@dataclass(frozen=True)
class _Layout:
    """Where one strip's samples lie on the stack's grid: the same for every scene and band."""

    shape: tuple[int, int]
    """(S, O)"""
    reading: sparse.csr_array
    """(samples, pixels) weights of the pixels, the grid's rows one after the other; a padded grid's where cubic."""
    nearest: NDArray[np.int64]
    """(points, samples) nearest pixel, one past the last beyond the grid. Each sample is the mean of its points."""


def _layout(where: NDArray[np.float64], stack: Stack, points: int) -> _Layout:
    """Lay out samples at fractional (row, column) positions (S, O * points, 2)."""
    rows, cols = stack.grid.shape
    flat = where.reshape(-1, points, 2)
    near = np.floor(flat + 0.5).astype(np.int64)
    outside = ((flat < 0) | (flat > (rows - 1, cols - 1))).any(axis=-1)
    nearest = np.where(outside, rows * cols, near[..., 0] * cols + near[..., 1]).T
    # Linear where pixels are small against the vehicle; cubic where they are not and every bit of sharpness counts.
    reading = _linear(flat, stack.grid.shape) if stack.gsd_m <= FINE_GSD_M else _cubic(flat, stack.grid.shape)
    return _Layout((where.shape[0], where.shape[1] // points), reading, nearest)


def _linear(where: NDArray[np.float64], shape: tuple[int, int]) -> sparse.csr_array:
    """Bilinear weights of the mean of (samples, points, 2), the edge repeated."""
    inside = np.clip(where, 0, np.array(shape) - 1)
    first = np.minimum(np.floor(inside).astype(np.int64), np.maximum(np.array(shape) - 2, 0))
    share = inside - first
    return _weights(first, np.stack([1 - share, share], axis=-1), shape)


def _cubic(where: NDArray[np.float64], shape: tuple[int, int]) -> sparse.csr_array:
    """Weights of cubic B-splines, for coefficients on a grid padded by `PAD_PX`."""
    inside = np.clip(where, 0, np.array(shape) - 1) + PAD_PX
    first = np.floor(inside).astype(np.int64)
    x = inside - first
    parts = [(1 - x) ** 3, 3 * x**3 - 6 * x**2 + 4, 3 * (1 - x) ** 3 - 6 * (1 - x) ** 2 + 4, x**3]
    return _weights(first - 1, np.stack(parts, axis=-1) / 6, (shape[0] + 2 * PAD_PX, shape[1] + 2 * PAD_PX))


def _weights(first: NDArray[np.int64], share: NDArray[np.float64], shape: tuple[int, int]) -> sparse.csr_array:
    """Sparse weights from first pixels (samples, points, 2) and the shares along each axis (samples, points, 2, n)."""
    samples, points, _, taps = share.shape
    steps = np.arange(taps)
    row, col = (np.minimum(first[..., axis, None] + steps, shape[axis] - 1) for axis in (0, 1))
    index = row[..., :, None] * shape[1] + col[..., None, :]
    weight = share[:, :, 0, :, None] * share[:, :, 1, None, :] / points
    each = points * taps**2
    data = (weight.ravel().astype(np.float32), index.ravel().astype(np.int32), np.arange(samples + 1) * each)
    return sparse.csr_array(data, shape=(samples, shape[0] * shape[1]))


def _planes(stack: Stack, t: int, used: NDArray[np.bool_]) -> Array:
    """(B, …) what the layouts read from: the scene's bands, its gaps bridged, as spline coefficients where cubic."""
    planes = stack.pixels[t]
    missing = ~np.isfinite(planes).all(axis=0)
    fine = stack.gsd_m <= FINE_GSD_M
    if (missing & used).any() or not fine:
        planes = filled(planes, missing, reach_px=2 if fine else SPLINE_PX)
    if fine:
        return np.asarray(planes.reshape(len(planes), -1))
    padded = np.pad(planes, ((0, 0), (PAD_PX, PAD_PX), (PAD_PX, PAD_PX)), mode="edge")
    smooth = [ndimage.spline_filter(plane, order=3, mode="mirror", output=np.float32) for plane in padded]
    return np.asarray(np.stack(smooth).reshape(len(planes), -1))


def _sampled(stack: Stack, layouts: Sequence[_Layout]) -> list[tuple[Array, NDArray[np.uint8]]]:
    """Pixels (T, B, S, O) and quality (T, S, O) of every layout; one scene after the other."""
    times, bands = stack.pixels.shape[:2]
    out = [
        (np.empty((times, bands, *layout.shape), np.float32), np.empty((times, *layout.shape), np.uint8))
        for layout in layouts
    ]
    used = np.zeros(stack.grid.shape, dtype=bool)
    if stack.gsd_m <= FINE_GSD_M:
        for layout in layouts:
            used.ravel()[layout.reading.indices] = True
    for t in range(times):
        planes = _planes(stack, t, used)
        states = np.append(stack.quality[t].ravel(), np.uint8(Quality.OUTSIDE))
        for layout, (pixels, quality) in zip(layouts, out, strict=True):
            for b in range(bands):
                pixels[t, b] = (layout.reading @ planes[b]).reshape(layout.shape)
            points = states[layout.nearest]
            pixels[t] += NO_VALUE[points].sum(axis=0).reshape(layout.shape)
            # What either of two points is but clear, their mean is.
            quality[t] = np.where(points[0] == Quality.CLEAR, points[-1], points[0]).reshape(layout.shape)
    return out


def _halves(line: LineString, along_m: NDArray[np.float64], across_m: NDArray[np.float64]) -> NDArray[np.float64]:
    """(S, 2 O, 2) two points for each offset, a quarter of the spacing to either side of it."""
    quarter = 0.25 * (across_m[1] - across_m[0])
    return positions(line, along_m, np.stack([across_m - quarter, across_m + quarter], axis=1).ravel())[0]


def make_strip(stack: Stack, site: Site, item: Track | Bridge, *, line: LineString | None = None) -> Strip:
    """Sample one track of the site from every scene of the stack.

    `line`, in the local frame, replaces the file's line where it has been refined.
    """
    used = reproject(item.line, WGS84, local_frame(site)) if line is None else line
    assert isinstance(used, LineString)
    return strips_along(stack, site, [(item, used)])[0]


def make_strips(stack: Stack, site: Site) -> list[Strip]:
    """Strips of all tracks and decks of a site, tracks first, in the file's order."""
    frame = local_frame(site)
    items: list[Track | Bridge] = [*site.tracks, *site.bridges]
    return strips_along(stack, site, [(item, LineString(reproject(item.line, WGS84, frame))) for item in items])


def strips_along(stack: Stack, site: Site, items: Sequence[tuple[Track | Bridge, LineString]]) -> list[Strip]:
    """Sample lines in the local frame from every scene of the stack, all together."""
    frame = local_frame(site)
    roofs = [reproject(shed.polygon, WGS84, frame) for shed in site.sheds]
    plans = [_plan(line, stack.gsd_m) for _, line in items]
    layouts = []
    for (_, line), (along, across, where, _) in zip(items, plans, strict=True):
        fine = stack.gsd_m <= FINE_GSD_M
        points = _halves(line, along, across) if fine else where
        layouts.append(_layout(row_col_of(points, frame, stack.grid), stack, 2 if fine else 1))
    strips = []
    for (item, line), (along, across, where, heading), (pixels, quality) in zip(
        items, plans, _sampled(stack, layouts), strict=True
    ):
        centre = where[:, len(across) // 2]
        roofed = np.zeros(len(along), dtype=bool)
        for roof in roofs:
            roofed |= shapely.contains_xy(roof, centre[:, 0], centre[:, 1])
        strips.append(
            Strip(
                track=item.id,
                is_bridge=isinstance(item, Bridge),
                line=line,
                along_m=along,
                across_m=across,
                heading_deg=heading,
                where=where,
                pixels=pixels,
                quality=quality,
                roofed=roofed,
            )
        )
    return strips


def _plan(
    line: LineString, gsd_m: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Steps along (S,), offsets across (O,), positions (S, O, 2) and headings (S,)."""
    step = steps_for(gsd_m)[0]
    count = max(int(np.floor(line.length / step)), 2)
    along = (np.arange(count) + 0.5) * (line.length / count)
    across = offsets_m(gsd_m)
    where, heading = positions(line, along, across)
    return along, across, where, heading


@dataclass(frozen=True)
class Neighbour:
    """Where the pixels of one strip lie in the frame of another track."""

    index: int
    """Which strip."""
    step: NDArray[np.int32]
    """(S, O) nearest step of the other strip."""
    offset_m: Array
    """(S, O) signed distance from the other centre line; inf beyond its ends."""


def neighbours(strips: Sequence[Strip], index: int, *, within_m: float = 20.0) -> list[Neighbour]:
    """For one strip, where its pixels lie in the frames of the other tracks near it."""
    own = strips[index]
    flat = own.where.reshape(-1, 2)
    found = []
    for other_index, other in enumerate(strips):
        if other_index == index:
            continue
        middle = other.where[:, len(other.across_m) // 2]
        distance, step = cKDTree(middle).query(flat, distance_upper_bound=within_m)
        if not np.isfinite(distance).any():
            continue
        step = np.minimum(step, len(middle) - 1)
        angle = np.radians(other.heading_deg[step])
        delta = flat - middle[step]
        offset = -delta[:, 0] * np.cos(angle) + delta[:, 1] * np.sin(angle)
        beside = np.abs(delta[:, 0] * np.sin(angle) + delta[:, 1] * np.cos(angle)) <= other.step_m
        offset = np.where(np.isfinite(distance) & beside, offset, np.inf)
        shape = own.where.shape[:2]
        found.append(Neighbour(other_index, step.reshape(shape).astype(np.int32), offset.reshape(shape).astype("f4")))
    return found
