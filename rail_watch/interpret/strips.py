"""Tracks straightened into strips: arc length along, signed offset across, both in true metres."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree
from shapely import LineString

from rail_watch.aoi.site import Bridge, Site, Track
from rail_watch.grid import WGS84, Grid, transformer
from rail_watch.imagery.scene import Quality
from rail_watch.prepare.regrid import filled
from rail_watch.prepare.stack import Stack
from rail_watch.prepare.zones import local_frame, reproject

Array = NDArray[np.float32]

FINE_GSD_M = 1.3
"""Up to this GSD a railcar is at least two pixels wide and has an inside, edges and a shadow of its own."""
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


def _sample(stack: Stack, where: NDArray[np.float64]) -> tuple[Array, NDArray[np.uint8]]:
    """Pixels (T, B, S, O) and quality (T, S, O) at fractional (row, column) positions."""
    coordinates = np.moveaxis(where, -1, 0)
    low = np.floor(coordinates.reshape(2, -1).min(axis=1)).astype(int) - 4
    high = np.ceil(coordinates.reshape(2, -1).max(axis=1)).astype(int) + 5
    low = np.clip(low, 0, np.array(stack.grid.shape) - 1)
    high = np.clip(high, low + 1, stack.grid.shape)
    window = (slice(low[0], high[0]), slice(low[1], high[1]))
    coordinates = coordinates - low[:, None, None]
    # Linear where pixels are small against the vehicle; cubic where they are not and every bit of sharpness counts.
    order = 1 if stack.gsd_m <= FINE_GSD_M else 3
    shape = (*stack.pixels.shape[:2], *where.shape[:2])
    pixels = np.empty(shape, dtype=np.float32)
    quality = np.empty((shape[0], *shape[2:]), dtype=np.uint8)
    outside = int(Quality.OUTSIDE)
    for t in range(shape[0]):
        quality[t] = ndimage.map_coordinates(
            stack.quality[t][window], coordinates, order=0, mode="constant", cval=outside
        )
        for b in range(shape[1]):
            band = stack.pixels[t, b][window]
            band = filled(band, ~np.isfinite(band))
            pixels[t, b] = ndimage.map_coordinates(band, coordinates, order=order, mode="nearest")
        nothing = np.isin(quality[t], (Quality.OUTSIDE, Quality.NODATA, Quality.READ_FAILED))
        pixels[t][:, nothing] = np.nan
    return pixels, quality


def _halves(line: LineString, along_m: NDArray[np.float64], across_m: NDArray[np.float64]) -> NDArray[np.float64]:
    """(S, 2 O, 2) two points for each offset, a quarter of the spacing to either side of it."""
    quarter = 0.25 * (across_m[1] - across_m[0])
    return positions(line, along_m, np.stack([across_m - quarter, across_m + quarter], axis=1).ravel())[0]


def _averaged(pixels: Array, quality: NDArray[np.uint8]) -> tuple[Array, NDArray[np.uint8]]:
    """Average pairs across the track; what either of them is but clear, both are."""
    first, second = quality[..., ::2], quality[..., 1::2]
    return 0.5 * (pixels[..., ::2] + pixels[..., 1::2]), np.where(first == Quality.CLEAR, second, first)


def make_strip(stack: Stack, site: Site, item: Track | Bridge, *, line: LineString | None = None) -> Strip:
    """Sample one track of the site from every scene of the stack.

    `line`, in the local frame, replaces the file's line where it has been refined.
    """
    frame = local_frame(site)
    used = reproject(item.line, WGS84, frame) if line is None else line
    assert isinstance(used, LineString)
    step, step_across, reach = steps_for(stack.gsd_m)
    count = max(int(np.floor(used.length / step)), 2)
    along = (np.arange(count) + 0.5) * (used.length / count)
    half = int(round(reach / step_across))
    across = np.arange(-half, half + 1, dtype=np.float64) * np.float64(step_across)
    where, heading = positions(used, along, across)
    if stack.gsd_m <= FINE_GSD_M:
        pixels, quality = _averaged(*_sample(stack, row_col_of(_halves(used, along, across), frame, stack.grid)))
    else:
        pixels, quality = _sample(stack, row_col_of(where, frame, stack.grid))
    roofs = [reproject(shed.polygon, WGS84, frame) for shed in site.sheds]
    centre = where[:, half]
    roofed = np.zeros(count, dtype=bool)
    for roof in roofs:
        roofed |= shapely.contains_xy(roof, centre[:, 0], centre[:, 1])
    return Strip(
        track=item.id,
        is_bridge=isinstance(item, Bridge),
        line=used,
        along_m=along,
        across_m=across,
        heading_deg=heading,
        where=where,
        pixels=pixels,
        quality=quality,
        roofed=roofed,
    )


def make_strips(stack: Stack, site: Site) -> list[Strip]:
    """Strips of all tracks and decks of a site, tracks first, in the file's order."""
    items: list[Track | Bridge] = [*site.tracks, *site.bridges]
    return [make_strip(stack, site, item) for item in items]


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
