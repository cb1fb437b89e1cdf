"""Where a yard lies on earth, and the frame it is drawn in: metres (u along the yard, v to its left)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pyproj import Geod, Transformer

# Boxes (west, south, east, north) well inside the area of use of some national grids.
NATIONAL = (
    (2180, (16, 50, 23, 53.5)),
    (5186, (126.5, 35, 128.5, 37.5)),
    (2193, (172, -44, 176, -38)),
    (27700, (-3, 51, 0, 54)),
    (28992, (4.8, 51.7, 6.5, 53)),
    (3006, (13, 56, 18, 63)),
    (6677, (139.5, 35.5, 140.2, 36.5)),
    (2154, (0, 44, 5, 48)),
    (31287, (13, 47, 15.5, 48.3)),
    (5880, (-52, -25, -46, -18)),
)


@dataclass(frozen=True)
class Place:
    """Map projection and the yard frame's place in it."""

    lon: float
    lat: float
    epsg: int
    east: float
    north: float
    turn: float
    """Angle of the u axis from grid east, counter-clockwise, radians."""
    scale: float
    """Grid metres per ground metre."""
    north_bearing_deg: float
    """Grid bearing of true north."""

    def to_grid(self, u, v):
        """Frame to projected coordinates."""
        c, s = np.cos(self.turn), np.sin(self.turn)
        u, v = np.asarray(u, float), np.asarray(v, float)
        return self.east + self.scale * (u * c - v * s), self.north + self.scale * (u * s + v * c)

    def from_grid(self, x, y):
        """Projected coordinates to frame."""
        c, s = np.cos(self.turn), np.sin(self.turn)
        dx, dy = (x - self.east) / self.scale, (y - self.north) / self.scale
        return dx * c + dy * s, -dx * s + dy * c

    def lonlat(self, u, v):
        """Frame to WGS 84 degrees."""
        to_wgs = Transformer.from_crs(self.epsg, 4326, always_xy=True)
        return to_wgs.transform(*self.to_grid(u, v))

    def toward(self, azimuth_deg: float) -> tuple[float, float]:
        """Unit vector in the frame of a true azimuth."""
        grid = np.radians(90 - (azimuth_deg + self.north_bearing_deg)) - self.turn
        return float(np.cos(grid)), float(np.sin(grid))


def draw_place(rng: np.random.Generator) -> Place:
    """Anywhere between 52 S and 64 N, mostly in UTM, now and then in a national grid."""
    if rng.random() < 0.18:
        epsg, (west, south, east, north) = NATIONAL[rng.integers(len(NATIONAL))]
        lon, lat = rng.uniform(west, east), rng.uniform(south, north)
    else:
        lon, lat = rng.uniform(-175, 175), rng.uniform(15, 62) if rng.random() < 0.65 else rng.uniform(-50, 15)
        epsg = (32600 if lat >= 0 else 32700) + int((lon + 180) // 6) + 1
    to_grid = Transformer.from_crs(4326, epsg, always_xy=True)
    x, y = to_grid.transform(lon, lat)
    x1, y1 = to_grid.transform(lon, lat + 1e-3)
    ground = Geod(ellps="WGS84").inv(lon, lat, lon, lat + 1e-3)[2]
    scale, bearing = np.hypot(x1 - x, y1 - y) / ground, np.degrees(np.arctan2(x1 - x, y1 - y))
    return Place(lon, lat, epsg, x, y, rng.uniform(0, 2 * np.pi), float(scale), float(bearing))
