"""The ways of a map out of the files people have: Overpass JSON and GeoJSON, both from strangers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import shapely
from shapely import LineString, Polygon

from rail_watch.errors import BadAoi

MOST_WAYS = 50_000
MOST_TEXT = 200
KEYS = ("railway", "building", "landuse", "man_made")
"""Ways with none of these tags are no matter."""
_HSTORE = re.compile(r'"((?:[^"\\]|\\.){1,200})"=>"((?:[^"\\]|\\.){0,200})"')
"""Tags as GDAL writes them into one column, `other_tags`."""

Point = tuple[float, float]
Points = tuple[Point, ...]


@dataclass(frozen=True)
class Way:
    """One way of the map, or one ring of an area with what is cut out of it; lon/lat."""

    points: Points
    tags: Mapping[str, str]
    holes: tuple[Points, ...] = ()

    @property
    def closed(self) -> bool:
        """Whether it ends where it begins."""
        return len(self.points) >= 4 and self.points[0] == self.points[-1]


def cleaned(value: object) -> str:
    """Return a tag's value as text; true and false as the map says them."""
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)[:MOST_TEXT]


def _tags(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        return {}
    return {str(key)[:MOST_TEXT]: cleaned(text) for key, text in value.items() if text is not None}


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= 360:
        raise BadAoi("a coordinate that is no number of degrees; export the map in longitude and latitude (WGS 84)")
    return float(value)


def _point(lon: object, lat: object) -> Point:
    point = _number(lon), _number(lat)
    if abs(point[1]) > 90:
        raise BadAoi(f"latitude {point[1]:g} in it; are longitude and latitude swapped?")
    return point


def pieces(points: Iterable[Point | None]) -> Iterator[Points]:
    """Give the stretches between gaps: a way goes on beyond the export's edge, it does not jump across."""
    run: list[Point] = []
    for point in points:
        if point is not None:
            run.append(point)
            continue
        if len(run) >= 2:
            yield tuple(run)
        run = []
    if len(run) >= 2:
        yield tuple(run)


def areas_of(outer: Iterable[Points], inner: Iterable[Points], tags: Mapping[str, str]) -> Iterator[Way]:
    """Give the rings that lines of a multipolygon make, each with the holes in it."""
    holes = _rings(inner)
    for ring in _rings(outer):
        whole = Polygon(ring)
        shapely.prepare(whole)
        inside = tuple(hole for hole in holes if whole.contains(Polygon(hole).representative_point()))
        yield Way(ring, tags, inside)


def _rings(lines: Iterable[Points]) -> list[Points]:
    made = shapely.polygonize([LineString(line) for line in lines])
    return [tuple((float(x), float(y)) for x, y in part.exterior.coords) for part in made.geoms]


Listed = dict[int, list[Point | None]]


def _shape(one: Mapping[str, object], nodes: Mapping[int, Point]) -> list[Point | None]:
    """Return a way's points; None where one is beyond the export's edge."""
    geometry, listed = one.get("geometry"), one.get("nodes")
    if isinstance(geometry, list):
        return [_point(part.get("lon"), part.get("lat")) if isinstance(part, dict) else None for part in geometry]
    return [nodes.get(name) if isinstance(name, int) else None for name in listed] if isinstance(listed, list) else []


def _overpass(elements: Sequence[object]) -> Iterator[Way]:
    """Give the ways and areas of Overpass JSON, written with ``out geom`` or with their nodes."""
    known = [one for one in elements if isinstance(one, dict) and isinstance(one.get("id", 0), int)]
    nodes = {
        one["id"]: _point(one["lon"], one["lat"])
        for one in known
        if one.get("type") == "node" and {"id", "lon", "lat"} <= one.keys()
    }
    lines: Listed = {}
    for one in known:
        if one.get("type") != "way":
            continue
        points = lines[one.get("id", 0)] = _shape(one, nodes)
        tags = _tags(one.get("tags"))
        if tags and not any(points):
            raise BadAoi("a way without its places; let the query end with `out geom;`")
        for piece in pieces(points):
            yield Way(piece, tags)
    for one in known:
        tags = _tags(one.get("tags"))
        if one.get("type") == "relation" and tags.get("type") == "multipolygon" and _matters(tags):
            yield from _relation(one.get("members"), tags, lines)


def _relation(members: object, tags: Mapping[str, str], lines: Listed) -> Iterator[Way]:
    """Give the areas of a multipolygon; its lines are written with it, or are ways of the same map."""
    own: dict[str, list[Points]] = {"outer": [], "inner": []}
    for one in members if isinstance(members, list) else []:
        if not isinstance(one, dict) or one.get("type") != "way":
            continue
        ref = one.get("ref")
        points = _shape(one, {}) or (lines.get(ref, []) if isinstance(ref, int) else [])
        own["inner" if one.get("role") == "inner" else "outer"] += pieces(points)
    yield from areas_of(own["outer"], own["inner"], tags)


def _geojson(features: Sequence[object]) -> Iterator[Way]:
    """Give the lines and areas of GeoJSON; tags are its properties."""
    for feature in features:
        if not isinstance(feature, dict) or not isinstance(feature.get("geometry"), dict):
            continue
        shape, tags = feature["geometry"], _properties(feature.get("properties"))
        kind, parts = str(shape.get("type")), shape.get("coordinates")
        if kind in ("LineString", "Polygon"):
            parts, kind = [parts], f"Multi{kind}"
        for part in parts if isinstance(parts, list) else []:
            rings = {"MultiLineString": [part], "MultiPolygon": part}.get(kind, [])
            lines = [line for one in rings if (line := _positions(one))] if isinstance(rings, list) else []
            if lines:
                yield Way(lines[0], tags, tuple(lines[1:]))


def _positions(value: object) -> Points:
    if not isinstance(value, list) or not all(isinstance(one, list) and len(one) >= 2 for one in value):
        return ()
    return tuple(_point(one[0], one[1]) for one in value)


def _properties(value: object) -> dict[str, str]:
    """Return a feature's tags: its properties, and those that tools keep in one of them."""
    if not isinstance(value, dict):
        return {}
    other = value.get("other_tags")
    told = dict(_HSTORE.findall(other)) if isinstance(other, str) else {}
    return {**told, **_tags(value), **_tags(value.get("tags"))}


def _matters(tags: Mapping[str, str]) -> bool:
    return any(key in tags for key in KEYS)


def ways_in(document: object) -> tuple[Way, ...]:
    """Return the ways of Overpass JSON or GeoJSON that may matter to a yard.

    Raises
    ------
    BadAoi
        One line without the file's name.
    """
    whole = document if isinstance(document, dict) else {}
    elements, features = whole.get("elements"), whole.get("features")
    if isinstance(elements, list):
        given = _overpass(elements)
    elif isinstance(features, list):
        given = _geojson(features)
    else:
        raise BadAoi(
            "neither Overpass JSON (`elements`) nor a GeoJSON FeatureCollection; export the map as one of them"
        )
    return tuple(way for way in given if len(way.points) >= 2 and _matters(way.tags))
