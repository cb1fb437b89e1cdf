"""Turn GeoJSON geometries from outside into checked shapely ones, and say plainly why not."""

from __future__ import annotations

import math
from typing import TypeVar

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import Geod
from shapely import LineString, Polygon

from rail_watch.errors import BadAoi

GEOD = Geod(ellps="WGS84")
MAX_VERTICES = 100_000

Position = tuple[float, float]
Shape = TypeVar("Shape", LineString, Polygon)


def _position(value: object) -> Position:
    if not isinstance(value, list) or len(value) < 2 or not all(_is_number(part) for part in value[:2]):
        raise BadAoi("a position must be [longitude, latitude] in numbers")
    try:
        lon, lat = float(value[0]), float(value[1])
    except OverflowError:  # JSON knows whole numbers of any length
        lon, lat = math.inf, math.inf
    if not (math.isfinite(lon) and math.isfinite(lat)):
        raise BadAoi("a coordinate is not a finite number")
    if abs(lat) > 90 or abs(lon) > 360:
        raise BadAoi(_range_fault(lon, lat))
    return lon, lat


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _range_fault(lon: float, lat: float) -> str:
    where = f"[{lon:.10g}, {lat:.10g}]"
    if abs(lon) <= 90 and abs(lat) <= 180:
        return f"latitude out of range at {where}: the axes look swapped, positions are [longitude, latitude]"
    if abs(lon) > 360:
        return f"{where} is not in degrees: give WGS 84 longitude and latitude, not projected coordinates"
    return f"latitude out of range at {where}: it must lie between -90 and 90"


def _positions(value: object) -> list[Position]:
    if not isinstance(value, list):
        raise BadAoi("coordinates must be a list of positions")
    if len(value) > MAX_VERTICES:
        raise BadAoi(f"more than {MAX_VERTICES} positions in one line")
    points = [_position(part) for part in value]
    return [point for index, point in enumerate(points) if index == 0 or point != points[index - 1]]


def _typed(geometry: object, kind: str) -> object:
    if not isinstance(geometry, dict):
        raise BadAoi(f"the geometry must be a {kind}, not {'null' if geometry is None else type(geometry).__name__}")
    if geometry.get("type") != kind:
        raise BadAoi(f"the geometry must be a {kind}, not {str(geometry.get('type'))[:40]!r}")
    return geometry.get("coordinates")


def line_string(geometry: object) -> LineString:
    """Return a checked LineString; consecutive equal vertices are merged."""
    points = _positions(_typed(geometry, "LineString"))
    if len(points) < 2:
        raise BadAoi("a line needs two different positions")
    return LineString(points)


def _ring(value: object) -> list[Position]:
    points = _positions(value)
    if not points:
        raise BadAoi("the polygon is empty")
    if len(points) < 4:
        raise BadAoi("a polygon's ring needs at least four positions, the last one equal to the first")
    if points[0] != points[-1]:
        raise BadAoi("a polygon's ring is not closed: repeat its first position at the end")
    return points


def polygon(geometry: object) -> Polygon:
    """Return a checked Polygon. A bow-tie is refused, not repaired: which half was meant is a guess."""
    rings = _typed(geometry, "Polygon")
    if not isinstance(rings, list) or not rings:
        raise BadAoi("the polygon is empty")
    shape = Polygon(_ring(rings[0]), [_ring(ring) for ring in rings[1:]])
    shape = unwrapped(shape, towards=shape.exterior.coords[0][0])
    if not shape.is_valid:
        reason = shapely.is_valid_reason(shape)
        raise BadAoi(f"the polygon is not valid: {reason}; redraw it so that it does not cross itself")
    return shape


def unwrapped(shape: Shape, *, towards: float) -> Shape:
    """Return the shape with every longitude within 180 degrees of one: whole, where it crosses the antimeridian.

    Longitudes may then run past 180. No site spans half the earth, so the short way round is always the one meant.
    """

    def shift(points: NDArray[np.float64]) -> NDArray[np.float64]:
        lon = points[:, 0]
        return np.column_stack([lon - 360 * np.round((lon - towards) / 360), points[:, 1]])

    return shapely.transform(shape, shift)


def area_m2(shape: Polygon) -> float:
    """Return the area on the WGS 84 ellipsoid."""
    return abs(float(GEOD.geometry_area_perimeter(shape)[0]))


def length_m(line: LineString) -> float:
    """Return the length on the WGS 84 ellipsoid."""
    return float(GEOD.geometry_length(line))
