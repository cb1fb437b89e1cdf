"""Which pixels of a raster a site needs, and how one grid is laid onto another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS
from rasterio.enums import Resampling
from rasterio.features import geometry_mask
from rasterio.warp import reproject

from rail_watch.aoi.site import Site
from rail_watch.errors import BadRaster
from rail_watch.grid import WGS84, Grid, local_crs, transformer
from rail_watch.imagery.quiet import without_warning

MAX_VALUES = 400_000_000
"""Pixels times bands of one window: 1.6 GB as float32."""
Points = NDArray[np.float64]
Pixels = TypeVar("Pixels", NDArray[np.float32], NDArray[np.uint8])


def outline(site: Site, margin_m: float = 0.0) -> Points:
    """Return (n, 2) lon/lat points along the site's edge, widened by a margin, dense enough to bend with any CRS."""
    centre = site.polygon.centroid
    frame = local_crs(centre.x, centre.y)
    x, y = transformer(WGS84, frame).transform(*np.array(shapely.segmentize(site.polygon, 0.002).exterior.coords).T[:2])
    ring = shapely.Polygon(np.column_stack([x, y]))
    wide = ring.buffer(margin_m) if margin_m > 0 else ring
    step = max(math.sqrt(wide.area) / 40, 1e-6)
    edge = np.array(shapely.segmentize(wide.convex_hull.exterior, step).coords)
    lon, lat = transformer(frame, WGS84).transform(edge[:, 0], edge[:, 1])
    return np.column_stack([centre.x + (lon - centre.x + 180) % 360 - 180, lat])


def _is_geographic(grid: Grid) -> bool:
    return bool(CRS.from_user_input(grid.crs).is_geographic)


def _placed(grid: Grid, lonlat: Points) -> Points:
    """Return (n, 2) (row, column) on a grid; a geographic one may count its longitudes from elsewhere."""
    if _is_geographic(grid):
        middle = grid.xy(np.array([grid.shape[0] / 2, grid.shape[1] / 2]))[0]
        turn = 360 * round((middle - float(lonlat[:, 0].mean())) / 360)
        return grid.row_col(lonlat + [turn, 0.0]) if grid.crs == WGS84 else grid.from_lonlat(lonlat + [turn, 0.0])
    return grid.from_lonlat(lonlat)


def window_of(grid: Grid, lonlat: Points) -> Grid:
    """Return the grid's part (or continuation) that covers all points, on the same lattice.

    Raises
    ------
    BadRaster
        The points have no place in the grid's coordinate system.
    """
    placed = _placed(grid, lonlat)
    if not np.isfinite(placed).all():
        raise BadRaster("the site has no place in its coordinate system; is the right one written in the file?")
    if np.abs(placed).max() > 2**31:
        raise BadRaster("the site lies impossibly far from it; is the right coordinate system written in the file?")
    first = np.floor(placed.min(axis=0) + 0.5).astype(int)
    last = np.floor(placed.max(axis=0) + 0.5).astype(int)
    rows, cols = (int(size) for size in last - first + 1)
    return grid.crop(int(first[0]), int(first[1]), (rows, cols))


def offset_of(part: Grid, whole: Grid) -> tuple[int, int]:
    """Return the (row, column) in `whole` of the first pixel of a grid on the same lattice."""
    row, col = np.round(whole.row_col(part.xy(np.array([0.0, 0.0])))).astype(int)
    return int(row), int(col)


def clipped(part: Grid, whole: Grid) -> Grid | None:
    """Return what of a grid lies inside another of the same lattice, or None when nothing does."""
    row, col = offset_of(part, whole)
    top, left = max(row, 0), max(col, 0)
    bottom, right = min(row + part.shape[0], whole.shape[0]), min(col + part.shape[1], whole.shape[1])
    if top >= bottom or left >= right:
        return None
    return whole.crop(top, left, (bottom - top, right - left))


def _slices(part: Grid, whole: Grid) -> tuple[slice, slice]:
    row, col = offset_of(part, whole)
    return slice(row, row + part.shape[0]), slice(col, col + part.shape[1])


def covers(grid: Grid, site: Site) -> bool:
    """Return whether any pixel of a grid can lie inside the site."""
    return clipped(window_of(grid, outline(site)), grid) is not None


def metric_grid(grid: Grid, lonlat: Points) -> Grid:
    """Return a north-up UTM grid over the points, with the true pixel size of a geographic grid."""
    near = window_of(grid, lonlat)
    gsd = near.metres_per_pixel()
    lon, lat = lonlat.mean(axis=0)
    zone = int((lon + 180) % 360 // 6) + 1
    crs = f"EPSG:{(32600 if lat >= 0 else 32700) + zone}"
    x, y = transformer(WGS84, crs).transform(lonlat[:, 0], lonlat[:, 1])
    left, top = math.floor(min(x) / gsd) * gsd, math.ceil(max(y) / gsd) * gsd
    shape = (math.ceil((top - min(y)) / gsd), math.ceil((max(x) - left) / gsd))
    return Grid(crs, Affine(gsd, 0, left, 0, -gsd, top), shape)


def target_of(grid: Grid, site: Site, *, margin_m: float, bands: int) -> Grid:
    """Return the grid a scene is read onto: its own lattice, or UTM for one in degrees.

    Raises
    ------
    BadRaster
        The window would be too large.
    """
    lonlat = outline(site, margin_m)
    target = metric_grid(grid, lonlat) if _is_geographic(grid) else window_of(grid, lonlat)
    rows, cols = target.shape
    if rows * cols * max(bands, 1) > MAX_VALUES:
        size = f"{rows} x {cols} pixels in {bands} band(s)"
        raise BadRaster(f"the site would need {size}, over {MAX_VALUES / 1e6:.0f} million values; draw a smaller site")
    return target


def site_mask(site: Site, grid: Grid) -> NDArray[np.bool_]:
    """Return (row, column) True where a pixel touches the site."""
    placed = _placed(grid, np.array(shapely.segmentize(site.polygon, 0.002).exterior.coords)[:, :2])
    ring = shapely.Polygon(placed[:, ::-1] + 0.5)
    with without_warning():
        return np.asarray(geometry_mask([ring], grid.shape, Affine.identity(), all_touched=True, invert=True))


def polygon_mask(polygons: Sequence[shapely.Polygon], grid: Grid) -> NDArray[np.bool_]:
    """Return (row, column) True where a pixel's centre lies in one of the lon/lat polygons."""
    rings = [
        shapely.Polygon(_placed(grid, np.array(shapely.segmentize(one, 0.002).exterior.coords)[:, :2])[:, ::-1] + 0.5)
        for one in polygons
    ]
    if not rings:
        return np.zeros(grid.shape, dtype=bool)
    with without_warning():
        return np.asarray(geometry_mask(rings, grid.shape, Affine.identity(), invert=True))


def near_lines(lines: Sequence[shapely.LineString], grid: Grid, *, reach_m: float) -> NDArray[np.bool_]:
    """Return (row, column) True where a pixel's centre lies so many metres or less from one of the lon/lat lines."""
    pixel_m = grid.metres_per_pixel()
    shapes = [
        shapely.LineString(_placed(grid, np.array(shapely.segmentize(one, 0.002).coords)[:, :2])[:, ::-1] + 0.5)
        for one in lines
    ]
    wide = [shape.buffer(max(reach_m / pixel_m, 0.75)) for shape in shapes]
    if not wide:
        return np.zeros(grid.shape, dtype=bool)
    with without_warning():
        return np.asarray(geometry_mask(wide, grid.shape, Affine.identity(), invert=True))


def same_lattice(one: Grid, other: Grid) -> bool:
    """Return whether two grids differ only by whole pixels."""
    a, b = one.transform, other.transform
    if one.crs != other.crs or not np.allclose([a.a, a.b, a.d, a.e], [b.a, b.b, b.d, b.e], rtol=1e-9, atol=0):
        return False
    corner = other.row_col(one.xy(np.array([0.0, 0.0])))
    return bool(np.abs(corner - np.round(corner)).max() < 1e-3)


def lay(values: Pixels, grid: Grid, target: Grid, *, fill: float, smooth: bool = False) -> Pixels:
    """Return (band, row, column) values on another grid, `fill` where there are none.

    On one lattice the values are copied, else resampled: nearest neighbour, or bilinear for measurements (`smooth`),
    for which NaN is no value.
    """
    if grid == target:
        return values
    laid = np.full((len(values), *target.shape), fill, dtype=values.dtype)
    if same_lattice(grid, target):
        shared = clipped(grid, target)
        if shared is not None:
            (rows, cols), (from_rows, from_cols) = _slices(shared, target), _slices(shared, grid)
            laid[:, rows, cols] = values[:, from_rows, from_cols]
        return laid
    with without_warning():
        reproject(
            values,
            laid,
            src_transform=grid.transform,
            src_crs=grid.crs,
            dst_transform=target.transform,
            dst_crs=target.crs,
            src_nodata=fill,
            dst_nodata=fill,
            resampling=Resampling.bilinear if smooth else Resampling.nearest,
        )
    return laid
