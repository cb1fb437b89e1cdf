"""A plane in true metres laid along a site, and the fine ground raster that a picture is made from."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from rail_watch.aoi.site import Site
from rail_watch.grid import WGS84, local_crs, transformer

Points = NDArray[np.float64]
Window = tuple[slice, slice]


@dataclass(frozen=True)
class Frame:
    """Rows and columns of ground, laid along the site's long side."""

    crs: str
    """Local transverse Mercator, metres east and north of the site's centre."""
    angle: float
    """Radians, anticlockwise from east to the frame's x axis."""
    step_m: float
    """Side of one ground cell."""
    left: float
    top: float
    """Frame coordinates of the upper-left corner."""
    shape: tuple[int, int]
    """(rows, columns)."""

    def turned(self, east_north: Points) -> Points:
        """(n, 2) metres east and north to frame (x, y)."""
        c, s = math.cos(self.angle), math.sin(self.angle)
        return np.stack(
            [c * east_north[..., 0] + s * east_north[..., 1], -s * east_north[..., 0] + c * east_north[..., 1]], axis=-1
        )

    def turned_back(self, xy: Points) -> Points:
        """(n, 2) frame (x, y) to metres east and north."""
        return replace(self, angle=-self.angle).turned(xy)

    def from_lonlat(self, lonlat: Points) -> Points:
        """(n, 2) WGS 84 lon, lat to frame (x, y)."""
        east, north = transformer(WGS84, self.crs).transform(lonlat[..., 0], lonlat[..., 1])
        return self.turned(np.stack([east, north], axis=-1))

    def to_lonlat(self, xy: Points) -> Points:
        """(n, 2) frame (x, y) to WGS 84 lon, lat."""
        back = self.turned_back(xy)
        lon, lat = transformer(self.crs, WGS84).transform(back[..., 0], back[..., 1])
        return np.stack([lon, lat], axis=-1)

    def row_col(self, xy: Points) -> Points:
        """(n, 2) frame (x, y) to fractional (row, column); whole numbers are cell centres."""
        return np.stack(
            [(self.top - xy[..., 1]) / self.step_m - 0.5, (xy[..., 0] - self.left) / self.step_m - 0.5], axis=-1
        )

    def axes(self) -> tuple[Points, Points]:
        """Return x of every column and y of every row, at cell centres."""
        rows, cols = self.shape
        x: Points = self.left + (np.arange(cols, dtype=np.float64) + 0.5) * self.step_m
        y: Points = self.top - (np.arange(rows, dtype=np.float64) + 0.5) * self.step_m
        return x, y

    def window(self, bounds: tuple[float, float, float, float]) -> Window | None:
        """Return the cells that frame coordinates (left, bottom, right, top) touch, None when there are none."""
        left, bottom, right, top = bounds
        first = self.row_col(np.array([left, top]))
        last = self.row_col(np.array([right, bottom]))
        rows = slice(max(0, math.floor(first[0])), min(self.shape[0], math.ceil(last[0]) + 1))
        cols = slice(max(0, math.floor(first[1])), min(self.shape[1], math.ceil(last[1]) + 1))
        return (rows, cols) if rows.start < rows.stop and cols.start < cols.stop else None

    def toward(self, azimuth_deg: float) -> tuple[float, float]:
        """Return the unit vector (x, y) toward an azimuth clockwise from north."""
        direction = math.pi / 2 - math.radians(azimuth_deg) - self.angle
        return math.cos(direction), math.sin(direction)


def shape_xy(frame: Frame, geometry: BaseGeometry) -> BaseGeometry:
    """Return a lon/lat geometry in frame metres."""
    return shapely.transform(geometry, frame.from_lonlat)


def shape_lonlat(frame: Frame, geometry: BaseGeometry) -> BaseGeometry:
    """Return a geometry in frame metres as lon/lat."""
    return shapely.transform(geometry, frame.to_lonlat)


def frame_over(site: Site, *, step_m: float, margin_m: float) -> Frame:
    """Return the frame whose raster covers a site and a margin round it.

    The axes depend on the site alone, so rasters of any cell size and margin show the same ground.
    """
    centre = site.polygon.centroid
    crs = local_crs(round(centre.x, 6), round(centre.y, 6))
    plain = Frame(crs, 0.0, step_m, 0.0, 0.0, (1, 1))
    flat = shape_xy(plain, site.polygon)
    corners = np.asarray(shapely.minimum_rotated_rectangle(flat).exterior.coords)
    sides = np.diff(corners, axis=0)
    longest = sides[np.argmax(np.hypot(sides[:, 0], sides[:, 1]))]
    angle = math.atan2(longest[1], longest[0])
    angle = (angle + math.pi / 2) % math.pi - math.pi / 2  # x runs eastward
    turned = replace(plain, angle=angle)
    left, bottom, right, top = shape_xy(turned, site.polygon).buffer(margin_m).bounds
    rows, cols = math.ceil((top - bottom) / step_m), math.ceil((right - left) / step_m)
    return replace(turned, left=left, top=top, shape=(rows, cols))
