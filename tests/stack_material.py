"""Small aligned stacks and sites made in code, for the tests of what comes after preparation."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from shapely import LineString, Polygon

from rail_watch.aoi.site import Area, Site, Track
from rail_watch.grid import Grid
from rail_watch.imagery.scene import SceneRef
from rail_watch.prepare.stack import Stack

CRS = "EPSG:32652"
LEFT, TOP = 600_000.0, 4_700_000.0


def grid_of(gsd_m: float, shape: tuple[int, int]) -> Grid:
    return Grid(CRS, Affine(gsd_m, 0, LEFT, 0, -gsd_m, TOP), shape)


def stack_of(pixels: NDArray[np.float32], *, gsd_m: float = 3.0, quality: NDArray[np.uint8] | None = None) -> Stack:
    """A stack of (time, band, row, column), all clear unless told, nine days apart."""
    times, bands = pixels.shape[:2]
    first = datetime(2022, 6, 1, 2, tzinfo=UTC)
    return Stack(
        sensor=f"testsat, {gsd_m:g} m",
        grid=grid_of(gsd_m, (pixels.shape[2], pixels.shape[3])),
        gsd_m=gsd_m,
        bands=("blue", "green", "red", "nir")[:bands],
        scenes=tuple(SceneRef(f"scene-{t}", first + timedelta(days=9 * t), "testsat", gsd_m, ()) for t in range(times)),
        pixels=pixels,
        quality=np.zeros((times, *pixels.shape[2:]), np.uint8) if quality is None else quality,
        shift_m=np.zeros((times, 2)),
        shift_error_m=np.zeros(times),
    )


def lonlat(points: list[tuple[float, float]], *, gsd_m: float) -> list[tuple[float, float]]:
    """(row, column) of a grid of this GSD to lon/lat."""
    placed = grid_of(gsd_m, (1, 1)).lonlat(np.array(points, dtype=np.float64))
    return [(float(lon), float(lat)) for lon, lat in placed]


def box(rows: tuple[float, float], cols: tuple[float, float], *, gsd_m: float) -> Polygon:
    """A rectangle of the grid as a lon/lat polygon."""
    corners = [(rows[0], cols[0]), (rows[0], cols[1]), (rows[1], cols[1]), (rows[1], cols[0])]
    return Polygon(lonlat(corners, gsd_m=gsd_m))


def site_of(
    shape: tuple[int, int], *, gsd_m: float = 3.0, tracks: tuple[tuple[tuple[float, float], ...], ...] = ()
) -> Site:
    """A site as large as the grid, with tracks given by (row, column) vertices."""
    lines = tuple(
        Track(f"t{i}", f"Track {i}", LineString(lonlat(list(points), gsd_m=gsd_m))) for i, points in enumerate(tracks)
    )
    return Site("yard", "Test yard", box((0, shape[0] - 1), (0, shape[1] - 1), gsd_m=gsd_m), lines)


def with_shed(site: Site, polygon: Polygon) -> Site:
    return Site(site.id, site.name, site.polygon, site.tracks, sheds=(Area("shed", "Shed", polygon),))
