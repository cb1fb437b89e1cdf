"""A first area of interest from a map: OpenStreetMap's tracks, bridges and buildings, cleaned, numbered, named.

What the map does not know is guessed and says so: where cargo may be set down, between tracks and buildings beside
them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import shapely
from shapely import LineString, MultiLineString, Polygon
from shapely.geometry.base import BaseGeometry

from rail_watch.errors import BadAoi
from rail_watch.grid import WGS84, local_crs, transformer

RAIL = frozenset({"rail", "yard", "siding", "spur", "narrow_gauge"})
MOST_WAYS = 50_000
MARGIN_M = 60.0
"""Of the site beyond its outermost track."""
SHORTEST_M = 40.0
"""Bits of track between switches shorter than this are left out: no train stands on them alone."""
BEND_M = 0.5
"""Vertices that move a line by less are dropped."""
SHED_REACH_M, APRON_REACH_M, APRON_DEPTH_M = 40.0, 25.0, 15.0
CLEARANCE_M = 2.5
"""Half the width a train needs."""
LEAST_SHED_M2, LEAST_APRON_M2 = 60.0, 100.0
FROM_PICTURE = "found in a picture by rail-watch"
"""Tag `source` of lines that no map knows."""
ACCURACY_M = 10.0
"""What lines traced from imagery that nobody laid onto the ground may be off by."""


@dataclass(frozen=True)
class Way:
    """One way of the map, lon/lat."""

    points: tuple[tuple[float, float], ...]
    tags: Mapping[str, str]

    @property
    def closed(self) -> bool:
        """Whether it ends where it begins."""
        return len(self.points) >= 4 and self.points[0] == self.points[-1]


@dataclass(frozen=True)
class Map:
    """The ways of one file, in metres on a plane around their middle."""

    ways: tuple[Way, ...]
    crs: str
    tracks: tuple[tuple[LineString, Way], ...]
    bridges: tuple[tuple[LineString, Way], ...]
    buildings: tuple[Polygon, ...]
    grounds: tuple[Polygon, ...] = field(default=())
    """landuse=railway."""


def _tags(value: object) -> dict[str, str]:
    return {str(k): str(v)[:200] for k, v in value.items() if v is not None} if isinstance(value, dict) else {}


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= 360:
        raise BadAoi("a coordinate that is no number of degrees; export the map again")
    return float(value)


def _point(lon: object, lat: object) -> tuple[float, float]:
    point = _number(lon), _number(lat)
    if abs(point[1]) > 90:
        raise BadAoi(f"latitude {point[1]:g} in it; are longitude and latitude swapped?")
    return point


def _overpass(elements: Sequence[object]) -> Iterator[Way]:
    """Give the ways of Overpass JSON, written with ``out geom`` or with their nodes."""
    known = [one for one in elements if isinstance(one, dict)]
    nodes = {one.get("id"): _point(one.get("lon"), one.get("lat")) for one in known if one.get("type") == "node"}
    for one in known:
        if one.get("type") != "way":
            continue
        shape = one.get("geometry")
        if isinstance(shape, list):
            points = [_point(part.get("lon"), part.get("lat")) for part in shape if isinstance(part, dict)]
        else:
            listed = one.get("nodes")
            points = [nodes[name] for name in listed if name in nodes] if isinstance(listed, list) else []
        yield Way(tuple(points), _tags(one.get("tags")))


def _geojson(features: Sequence[object]) -> Iterator[Way]:
    """Give the lines and outer rings of GeoJSON; tags are its properties."""
    for feature in features:
        if not isinstance(feature, dict) or not isinstance(feature.get("geometry"), dict):
            continue
        shape, tags = feature["geometry"], _tags(feature.get("properties"))
        inner = _tags(feature.get("properties", {}).get("tags")) if tags else {}
        parts = shape.get("coordinates")
        lists = {
            "LineString": [parts],
            "MultiLineString": parts,
            "Polygon": parts[:1] if isinstance(parts, list) else [],
            "MultiPolygon": [part[0] for part in parts if part] if isinstance(parts, list) else [],
        }.get(str(shape.get("type")), [])
        for part in lists if isinstance(lists, list) else []:
            if isinstance(part, list) and all(isinstance(one, list) and len(one) >= 2 for one in part):
                yield Way(tuple(_point(one[0], one[1]) for one in part), {**tags, **inner})


def ways_in(document: object) -> tuple[Way, ...]:
    """Return the ways of Overpass JSON or GeoJSON.

    Raises
    ------
    BadAoi
        One line without the file's name.
    """
    whole = document if isinstance(document, dict) else {}
    elements, features = whole.get("elements"), whole.get("features")
    if isinstance(elements, list):
        found = tuple(way for way in _overpass(elements) if len(way.points) >= 2)
    elif isinstance(features, list):
        found = tuple(way for way in _geojson(features) if len(way.points) >= 2)
    else:
        raise BadAoi(
            "neither Overpass JSON (`elements`) nor a GeoJSON FeatureCollection; export the map as one of them"
        )
    if len(found) > MOST_WAYS:
        raise BadAoi(f"{len(found)} ways; cut it to the yard (at most {MOST_WAYS})")
    return found


def _is_track(way: Way) -> bool:
    return way.tags.get("railway") in RAIL and not way.tags.get("tunnel")


def _is_bridge(way: Way) -> bool:
    return way.tags.get("bridge", "no") not in ("no", "")


def plane(ways: Sequence[Way], box: Polygon | None) -> Map:
    """Return what of the ways matters to a yard, in metres, cut to a lon/lat box where one is given.

    Raises
    ------
    BadAoi
        No track among them.
    """
    rails = [way for way in ways if _is_track(way)]
    if box is not None:
        rails = [way for way in rails if LineString(way.points).intersects(box)]
    if not rails:
        raise BadAoi("no railway=rail, yard, siding or spur in it (or in the box); export the tracks too")
    middle = (box or shapely.MultiPoint([point for way in rails for point in way.points])).centroid
    crs = local_crs(middle.x, middle.y)

    def laid(shape: BaseGeometry) -> BaseGeometry:
        to = transformer(WGS84, crs)
        return shapely.transform(shape, lambda xy: np.column_stack(to.transform(xy[:, 0], xy[:, 1])))

    limit = None if box is None else laid(shapely.segmentize(box, 0.002))

    def cut(shape: BaseGeometry) -> BaseGeometry:
        return shape if limit is None else shape.intersection(limit)

    lines = [(part, way) for way in rails for part in _lines(cut(laid(LineString(way.points))))]
    areas = [(part, way) for way in ways if way.closed for part in _polygons(cut(laid(Polygon(way.points)).buffer(0)))]
    return Map(
        tuple(ways),
        crs,
        tuple(pair for pair in lines if not _is_bridge(pair[1])),
        tuple(pair for pair in lines if _is_bridge(pair[1])),
        tuple(shape for shape, way in areas if way.tags.get("building", "no") != "no"),
        tuple(shape for shape, way in areas if way.tags.get("landuse") == "railway"),
    )


def _lines(shape: BaseGeometry) -> list[LineString]:
    parts = shapely.get_parts(shape).tolist()
    return [part for part in parts if isinstance(part, LineString) and part.length > 0]


def _polygons(shape: BaseGeometry) -> list[Polygon]:
    return [part for part in shapely.get_parts(shape).tolist() if isinstance(part, Polygon) and part.area > 0]


def _merged(pairs: Iterable[tuple[LineString, Way]]) -> list[tuple[LineString, Way]]:
    """Return lines split where others join and merged where nothing does, each with the way it mostly is."""
    own = list(pairs)
    if not own:
        return []
    noded = shapely.node(MultiLineString([line for line, _ in own]))
    whole = _lines(shapely.line_merge(noded))
    found = []
    for line in whole:
        if line.length < SHORTEST_M:
            continue
        inside = line.interpolate(0.5, normalized=True)
        _, way = min(own, key=lambda pair: pair[0].distance(inside))
        found.append((line.simplify(BEND_M), way))
    return found


def _direction(lines: Sequence[LineString]) -> float:
    """Return the main direction of lines, radians from east, by doubled angles weighted with length."""
    ends = np.array([np.subtract(line.coords[-1], line.coords[0])[:2] for line in lines])
    angle, weight = np.arctan2(ends[:, 1], ends[:, 0]), np.hypot(*ends.T)
    return float(np.angle((weight * np.exp(2j * angle)).sum()) / 2)


def _ordered(pairs: list[tuple[LineString, Way]]) -> list[tuple[LineString, Way]]:
    """Return lines from one side of the yard to the other, all drawn the same way."""
    if not pairs:
        return []
    along = _direction([line for line, _ in pairs])
    unit = np.array([np.cos(along), np.sin(along)])
    turned = []
    for line, way in pairs:
        ends = np.subtract(line.coords[-1], line.coords[0])[:2]
        turned.append((line if ends @ unit >= 0 else LineString(line.coords[::-1]), way))

    def side(pair: tuple[LineString, Way]) -> tuple[float, float]:
        middle = np.array(pair[0].interpolate(0.5, normalized=True).coords[0])[:2]
        return round(float(middle @ [-unit[1], unit[0]]), 1), round(float(middle @ unit), 1)

    return sorted(turned, key=side)


def _gauge(way: Way) -> int | None:
    """Return the gauge in millimetres; of several (a track for two) the first."""
    match = re.match(r"\d{3,4}", way.tags.get("gauge", ""))
    return int(match.group()) if match and 300 <= int(match.group()) <= 3000 else None


def _aprons(tracks: BaseGeometry, sheds: Sequence[Polygon]) -> list[Polygon]:
    """Guess where cargo may be set down: ground beside a building and beside a track, clear of both."""
    if not sheds:
        return []
    roofs = shapely.union_all(list(sheds))
    ground = roofs.buffer(APRON_DEPTH_M).intersection(tracks.buffer(APRON_REACH_M))
    open_ground = ground.difference(roofs).difference(tracks.buffer(CLEARANCE_M)).simplify(1.0)
    opened = open_ground.buffer(-2.0).buffer(2.0, join_style="mitre")
    return [part for part in _polygons(opened) if part.area >= LEAST_APRON_M2 and not part.interiors]


@dataclass(frozen=True)
class _Writer:
    """Makes features from shapes on the plane."""

    crs: str

    def feature(self, role: str, key: str, shape: BaseGeometry, **members: object) -> dict[str, object]:
        to = transformer(self.crs, WGS84)
        back = shapely.transform(shape, lambda xy: np.round(np.column_stack(to.transform(xy[:, 0], xy[:, 1])), 7))
        back = shapely.orient_polygons(back) if isinstance(back, Polygon) else back
        geometry = json.loads(json.dumps(shapely.geometry.mapping(back)))  # lists, as a file would hold them
        properties = {"role": role, "id": key, **{key: value for key, value in members.items() if value is not None}}
        return {"type": "Feature", "geometry": geometry, "properties": properties}


def _named(way: Way, otherwise: str) -> str:
    given = way.tags.get("railway:track_ref") or way.tags.get("ref")
    own = way.tags.get("name", "")
    text = f"Track {given}" if given else own or otherwise
    return "".join(letter for letter in text if letter.isprintable())[:100] or otherwise


def document_of(
    name: str, ways: Sequence[Way], *, title: str, source: str, box: Polygon | None = None
) -> dict[str, object]:
    """Return an AOI document from the ways of a map.

    Parameters
    ----------
    name : the site's id.
    title, source : for people.
    box : lon/lat; what lies outside is left. Without it everything in the map counts.

    Raises
    ------
    BadAoi
        The map has no track there.
    """
    chart = plane(ways, box)
    tracks, bridges = _ordered(_merged(chart.tracks)), _ordered(_merged(chart.bridges))
    if not tracks and not bridges:
        raise BadAoi(f"no piece of track of {SHORTEST_M:g} m or more between switches; is the box too small?")
    rails = shapely.union_all([line for line, _ in (*tracks, *bridges)])
    sheds = [
        shape.simplify(BEND_M)
        for shape in chart.buildings
        if shape.area >= LEAST_SHED_M2 and shape.distance(rails) <= SHED_REACH_M and not shape.interiors
    ]
    writer = _Writer(chart.crs)
    site = shapely.union_all([rails, *sheds]).buffer(MARGIN_M).convex_hull.simplify(1.0)
    features = [writer.feature("site", "site", site, name=title)]
    for number, (line, way) in enumerate(tracks, 1):
        guess = way.tags.get("source") == FROM_PICTURE or None
        own = _named(way, f"Track {number} (a guess)" if guess else f"Track {number}")
        features.append(writer.feature("track", f"track-{number}", line, name=own, gauge_mm=_gauge(way), guess=guess))
    for number, (line, way) in enumerate(bridges, 1):
        features.append(
            writer.feature("bridge", f"bridge-{number}", line, name=way.tags.get("name", f"Bridge {number}"))
        )
    for number, shape in enumerate(sheds, 1):
        features.append(writer.feature("shed", f"shed-{number}", shape, name=f"Building {number}"))
    for number, shape in enumerate(_aprons(rails, sheds), 1):
        features.append(writer.feature("apron", f"apron-{number}", shape, name=f"Apron {number} (a guess)", guess=True))
    header = {"schema": "1", "id": name, "name": title, "accuracy_m": ACCURACY_M, "source": source}
    return {"type": "FeatureCollection", "rail_watch": header, "features": features}
