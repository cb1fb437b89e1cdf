"""Which pixel of a grid lies in which part of a site."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.features import geometry_mask
from scipy import ndimage
from shapely.geometry.base import BaseGeometry

from rail_watch.aoi.site import Site
from rail_watch.grid import WGS84, Grid, local_crs, transformer

Mask = NDArray[np.bool_]

HALF_CLEARANCE_M = 2.2
"""Half the width that a train may touch around a centre line: half a vehicle (1.65 m) and the
imagery's and the line's own play."""
ENOUGH_STABLE = 3000
"""Pixels of named stable ground from which it is relied on alone."""


@dataclass(frozen=True)
class Zones:
    """Masks of one shape (row, column)."""

    site: Mask
    tracks: Mask
    """Within `HALF_CLEARANCE_M` of a track or deck."""
    aprons: Mask
    sheds: Mask
    exclude: Mask
    anchor: Mask
    """Ground that carries the co-registration: as `stable`, and beyond the site's edge where the file names none."""
    stable: Mask
    """Ground that should not change: the file's `stable` areas, or the site less tracks, aprons and excluded ground."""

    @property
    def ground(self) -> Mask:
        """Judged ground on which neither trains nor cargo stand."""
        return self.site & ~self.tracks & ~self.aprons & ~self.exclude


def local_frame(site: Site) -> str:
    """Return the site's own plane coordinates in true metres."""
    centre = site.polygon.centroid
    return local_crs(centre.x, centre.y)


def reproject(geometry: BaseGeometry, source: str, target: str) -> BaseGeometry:
    """Return the geometry in another coordinate system, vertex by vertex."""
    to_target = transformer(source, target)

    def convert(points: NDArray[np.float64]) -> NDArray[np.float64]:
        x, y = to_target.transform(points[:, 0], points[:, 1])
        return np.stack([x, y], axis=-1)

    return shapely.transform(geometry, convert)


def buffered_lonlat(line: BaseGeometry, half_width_m: float, frame: str) -> BaseGeometry:
    """Return a lon/lat polygon of all points within a distance of a line, flat at its ends."""
    plane = reproject(line, WGS84, frame)
    return reproject(plane.buffer(half_width_m, cap_style="flat"), frame, WGS84)


def within(mask: Mask, radius_px: float) -> Mask:
    """Return (row, column) True within a distance of a True pixel, in pixels."""
    return np.asarray(ndimage.distance_transform_edt(~mask) <= radius_px) if mask.any() else mask


def mask_of(polygons: Iterable[BaseGeometry], grid: Grid, *, touched: bool = False) -> Mask:
    """Return (row, column) True where a lon/lat polygon covers the pixel's centre (or touches it)."""
    shapes = [reproject(shapely.segmentize(polygon, 0.001), WGS84, grid.crs) for polygon in polygons]
    shapes = [shape for shape in shapes if not shape.is_empty]
    if not shapes:
        return np.zeros(grid.shape, dtype=bool)
    return np.asarray(geometry_mask(shapes, grid.shape, grid.transform, all_touched=touched, invert=True))


def zones_of(site: Site, grid: Grid) -> Zones:
    """Return the masks of a site's parts on a grid."""
    frame = local_frame(site)
    lines = [track.line for track in site.tracks] + [bridge.line for bridge in site.bridges]
    half_width = max(HALF_CLEARANCE_M, 0.5 * grid.metres_per_pixel())
    inside = mask_of([site.polygon], grid)
    tracks = mask_of([buffered_lonlat(line, half_width, frame) for line in lines], grid, touched=True) & inside
    aprons = mask_of([area.polygon for area in site.aprons], grid) & inside
    exclude = mask_of([area.polygon for area in site.excludes], grid)
    stable = mask_of([area.polygon for area in site.stables], grid) & inside
    anchor = stable
    if stable.sum() < ENOUGH_STABLE:
        # A platform or two cannot carry a sub-pixel shift nor a scene's radiometry alone.
        anchor = ~tracks & ~aprons & ~exclude
        stable = inside & ~tracks & ~aprons & ~exclude
    return Zones(
        site=inside,
        tracks=tracks,
        aprons=aprons,
        sheds=mask_of([area.polygon for area in site.sheds], grid),
        exclude=exclude,
        anchor=anchor,
        stable=stable,
    )
