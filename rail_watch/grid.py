"""Where pixels lie on the ground: coordinate system, affine transform and shape as one value."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from affine import Affine
from pyproj import CRS, Transformer

if TYPE_CHECKING:
    from numpy.typing import NDArray

WGS84 = "EPSG:4326"


@lru_cache(maxsize=64)
def transformer(source: str, target: str) -> Transformer:
    """Return a cached coordinate transformer, x/lon always first."""
    return Transformer.from_crs(CRS.from_user_input(source), CRS.from_user_input(target), always_xy=True)


def local_crs(lon: float, lat: float) -> str:
    """Transverse Mercator centred on a point, scale 1: plane coordinates in true metres.

    Lengths are exact to better than 1e-6 within 10 km of the centre.
    """
    return f"+proj=tmerc +lat_0={lat:.9f} +lon_0={lon:.9f} +k=1 +x_0=0 +y_0=0 +datum=WGS84 +units=m +type=crs"


@dataclass(frozen=True)
class Grid:
    """A raster's place on the ground."""

    crs: str
    """Projected coordinate system as WKT or an authority code, as pyproj reads it."""
    transform: Affine
    """(column, row) of a pixel's upper-left corner to (x, y) in `crs`; any rotation."""
    shape: tuple[int, int]
    """(rows, columns)."""

    @property
    def pixel_size(self) -> tuple[float, float]:
        """Length of a (column step, row step) in units of the CRS."""
        t = self.transform
        return math.hypot(t.a, t.d), math.hypot(t.b, t.e)

    def xy(self, row_col: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n, 2) pixel centres as (row, column) to (n, 2) (x, y) in the CRS."""
        t = self.transform
        row, col = row_col[..., 0] + 0.5, row_col[..., 1] + 0.5
        return np.stack([t.a * col + t.b * row + t.c, t.d * col + t.e * row + t.f], axis=-1)

    def row_col(self, xy: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n, 2) (x, y) in the CRS to fractional (row, column); integers are pixel centres."""
        t = ~self.transform
        x, y = xy[..., 0], xy[..., 1]
        return np.stack([t.d * x + t.e * y + t.f - 0.5, t.a * x + t.b * y + t.c - 0.5], axis=-1)

    def lonlat(self, row_col: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n, 2) fractional (row, column) to (n, 2) WGS 84 (lon, lat)."""
        xy = self.xy(row_col)
        lon, lat = transformer(self.crs, WGS84).transform(xy[..., 0], xy[..., 1])
        return np.stack([lon, lat], axis=-1)

    def from_lonlat(self, lonlat: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n, 2) WGS 84 (lon, lat) to (n, 2) fractional (row, column)."""
        x, y = transformer(WGS84, self.crs).transform(lonlat[..., 0], lonlat[..., 1])
        return self.row_col(np.stack([x, y], axis=-1))

    def crop(self, row: int, col: int, shape: tuple[int, int]) -> Grid:
        """Return the grid of a window whose upper-left pixel is (row, col)."""
        t = self.transform  # multiplied out: affine 3 turns from `*` to `@`, affine 2 knows only `*`
        left, top = t.a * col + t.b * row + t.c, t.d * col + t.e * row + t.f
        return replace(self, transform=Affine(t.a, t.b, left, t.d, t.e, top), shape=shape)

    def metres_per_pixel(self) -> float:
        """True ground length of a pixel's side at the grid's centre, in metres (geometric mean)."""
        jacobian = self.jacobian_m()
        return float(np.sqrt(abs(np.linalg.det(jacobian))))

    def jacobian_m(self) -> NDArray[np.float64]:
        """(2, 2) true (east, north) metres per (row, column) step at the grid's centre."""
        centre = np.array([(self.shape[0] - 1) / 2, (self.shape[1] - 1) / 2])
        lon, lat = self.lonlat(centre)
        to_local = transformer(WGS84, local_crs(float(lon), float(lat)))
        step = 0.5
        columns = []
        for axis in np.eye(2):
            ahead, behind = self.lonlat(centre + step * axis), self.lonlat(centre - step * axis)
            e1, n1 = to_local.transform(*ahead)
            e0, n0 = to_local.transform(*behind)
            columns.append([e1 - e0, n1 - n0])
        return np.array(columns).T
