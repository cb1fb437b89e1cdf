"""A strip must lie where the AOI's line lies, whatever datum the imagery's projection rests on."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from affine import Affine
from shapely import LineString

from rail_watch.grid import WGS84, Grid, local_crs, transformer
from rail_watch.interpret.strips import positions, row_col_of


@pytest.mark.parametrize(
    ("crs", "lon", "lat"),
    [
        ("EPSG:27700", -2.82, 52.235),
        ("EPSG:32652", 130.61, 42.42),
        ("EPSG:31370", 4.4, 50.8),
        ("EPSG:2193", 174.8, -41.2),
    ],
)
def test_the_middle_of_a_strip_is_the_line_itself(crs: str, lon: float, lat: float) -> None:
    x, y = transformer(WGS84, crs).transform(lon, lat)
    grid = Grid(crs, Affine(0.5, 0, x - 500, 0, -0.5, y + 500), (2000, 2000))
    frame = local_crs(lon, lat)
    line = LineString([(-100.0, -50.0), (120.0, 80.0)])
    along = np.array([0.5, 100.0, line.length - 0.5])
    where, _ = positions(line, along, np.array([0.0]))
    points = shapely.get_coordinates(shapely.line_interpolate_point(line, along))
    to_lonlat = transformer(frame, WGS84)
    expected = grid.from_lonlat(np.stack(to_lonlat.transform(points[:, 0], points[:, 1]), axis=-1))
    np.testing.assert_allclose(row_col_of(where, frame, grid)[:, 0], expected, atol=0.02)
