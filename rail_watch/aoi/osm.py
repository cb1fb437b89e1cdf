"""A first area of interest from a map: OpenStreetMap's tracks, bridges and buildings, cleaned, numbered, named.

What the map does not know is guessed and says so: where cargo may be set down, between tracks and buildings beside
them.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import LineString, Polygon
from shapely.geometry.base import BaseGeometry

from rail_watch.aoi.geometry import unwrapped
from rail_watch.aoi.osm_lines import BEND_M, SHORTEST_M, Pair, Tags, merged, trains_stand_on
from rail_watch.aoi.osm_read import MOST_WAYS, Way
from rail_watch.errors import BadAoi
from rail_watch.grid import WGS84, local_crs, transformer

RAIL = frozenset({"rail", "yard", "siding", "spur", "narrow_gauge"})
GONE = ("abandoned", "construction", "demolished", "disused", "proposed", "razed")
"""Tags that say of a track, beside railway=rail, that no train runs on it."""
MOST_POINTS = 500_000
MOST_TRACKS = 1000
"""The largest marshalling yards have some hundreds of pieces between switches."""
MARGIN_M = 60.0
"""Of the site beyond its outermost track."""
GROUND_REACH_M = 150.0
"""Railway land so near to a track belongs to the site."""
SHED_REACH_M, APRON_REACH_M, APRON_DEPTH_M = 40.0, 25.0, 15.0
CLEARANCE_M = 2.5
"""Half the width a train needs."""
LEAST_SHED_M2, LEAST_APRON_M2 = 60.0, 100.0
DECK_M = (3.0, 60.0)
"""Widths of a deck that are believed."""
FROM_PICTURE = "found in a picture by rail-watch"
"""Tag `source` of lines that no map knows."""
ACCURACY_M = 10.0
"""What lines traced from imagery that nobody laid onto the ground may be off by."""


@dataclass(frozen=True)
class Map:
    """What of a map matters to a yard, in metres on a plane around its middle."""

    crs: str
    lon: float
    """Of the middle; what is written back lies within 180 degrees of it."""
    tracks: tuple[Pair, ...]
    bridges: tuple[Pair, ...]
    buildings: tuple[Polygon, ...]
    grounds: tuple[Polygon, ...] = field(default=())
    """landuse=railway, and yards drawn as areas."""
    decks: tuple[Polygon, ...] = field(default=())
    """man_made=bridge."""


def _yes(tags: Tags, key: str) -> bool:
    return tags.get(key, "no") not in ("no", "")


def _is_track(way: Way) -> bool:
    tags = way.tags
    if tags.get("railway") not in RAIL or any(tags.get(key) == "yes" for key in GONE):
        return False
    hidden = _yes(tags, "tunnel") or tags.get("location") == "underground"
    return not hidden and not (tags["railway"] == "yard" and way.closed)


def _is_ground(way: Way) -> bool:
    return way.closed and (way.tags.get("landuse") == "railway" or way.tags.get("railway") == "yard")


def plane(ways: Sequence[Way], box: Polygon | None) -> Map:
    """Return what of the ways matters to a yard, in metres, cut to a lon/lat box where one is given.

    Raises
    ------
    BadAoi
        No track among them, or far too much.
    """
    rails = [way for way in ways if _is_track(way)]
    towards = box.centroid.x if box is not None else rails[0].points[0][0] if rails else 0.0

    def whole(way: Way) -> LineString:
        return unwrapped(LineString(way.points), towards=towards)

    if box is not None:
        rails = [way for way in rails if whole(way).intersects(box)]
    if not rails:
        raise BadAoi("no railway=rail, yard, siding or spur in it (or in the box); export the tracks too")
    if len(rails) > MOST_WAYS or sum(len(way.points) for way in rails) > MOST_POINTS:
        raise BadAoi(f"{len(rails)} ways of track; cut it to the yard with --box or --around (at most {MOST_WAYS})")
    middle = (box or shapely.MultiPoint(np.vstack([whole(way).coords for way in rails]))).centroid
    crs = local_crs(middle.x, middle.y)
    to = transformer(WGS84, crs)

    def laid(shape: BaseGeometry) -> BaseGeometry:
        return shapely.transform(shape, lambda xy: np.column_stack(to.transform(xy[:, 0], xy[:, 1])))

    limit = None if box is None else laid(shapely.segmentize(box, 0.002))

    def cut(shape: BaseGeometry) -> BaseGeometry:
        return shape if limit is None or limit.covers(shape) else shape.intersection(limit)

    def areas(wanted: Callable[[Way], bool]) -> tuple[Polygon, ...]:
        chosen = [Polygon(way.points, way.holes) for way in ways if way.closed and wanted(way)]
        near = [unwrapped(shape, towards=towards) for shape in chosen]
        near = [shape for shape in near if box is None or shape.envelope.intersects(box)]
        parts = [part for shape in near for part in _polygons(cut(_valid(laid(shape))))]
        return tuple({shapely.normalize(part).wkb: part for part in parts}.values())  # each once

    tracks, bridges = _told_apart([(part, way.tags) for way in rails for part in _lines(cut(laid(whole(way))))])
    return Map(
        crs,
        middle.x,
        tuple(tracks),
        tuple(bridges),
        areas(lambda way: _yes(way.tags, "building")),
        areas(_is_ground),
        areas(lambda way: way.tags.get("man_made") == "bridge"),
    )


def _valid(shape: BaseGeometry) -> BaseGeometry:
    return shape if shape.is_valid else shape.buffer(0)


def _told_apart(pairs: Sequence[Pair]) -> tuple[list[Pair], list[Pair]]:
    """Return tracks and bridges; what spans less than a train is a culvert in a track."""
    spans = merged(pair for pair in pairs if _yes(pair[1], "bridge"))
    short = [pair for pair in spans if pair[0].length < SHORTEST_M]
    level = [pair for pair in pairs if not _yes(pair[1], "bridge")]
    tracks = trains_stand_on(merged([*level, *short]))
    return tracks, trains_stand_on(pair for pair in spans if pair[0].length >= SHORTEST_M)


def _lines(shape: BaseGeometry) -> list[LineString]:
    parts = shapely.get_parts(shape).tolist()
    return [part for part in parts if isinstance(part, LineString) and part.length > 0]


def _polygons(shape: BaseGeometry) -> list[Polygon]:
    return [part for part in shapely.get_parts(shape).tolist() if isinstance(part, Polygon) and part.area > 0]


def _direction(lines: Sequence[LineString]) -> float:
    """Return the main direction of lines, radians from east, by doubled angles weighted with length."""
    ends = np.array([np.subtract(line.coords[-1], line.coords[0])[:2] for line in lines])
    angle, weight = np.arctan2(ends[:, 1], ends[:, 0]), np.hypot(*ends.T)
    return float(np.angle((weight * np.exp(2j * angle)).sum()) / 2)


def _ordered(pairs: Sequence[Pair]) -> list[Pair]:
    """Return lines from one side of the yard to the other, all drawn the same way."""
    if not pairs:
        return []
    along = _direction([line for line, _ in pairs])
    unit = np.array([np.cos(along), np.sin(along)])
    turned = []
    for line, tags in pairs:
        ends = np.subtract(line.coords[-1], line.coords[0])[:2]
        turned.append((line if ends @ unit >= 0 else LineString(line.coords[::-1]), tags))

    def side(pair: Pair) -> tuple[float, float]:
        middle = np.array(pair[0].interpolate(0.5, normalized=True).coords[0])[:2]
        return round(float(middle @ [-unit[1], unit[0]]), 1), round(float(middle @ unit), 1)

    return sorted(turned, key=side)


def _gauge(tags: Tags) -> int | None:
    """Return the gauge in millimetres; of several (a track for two) the first."""
    match = re.match(r"\s*(\d{3,4})(?!\d)", tags.get("gauge", ""))
    return int(match[1]) if match and 300 <= int(match[1]) <= 3000 else None


def _aprons(tracks: Sequence[LineString], sheds: Sequence[Polygon], roofs: Sequence[Polygon]) -> list[Polygon]:
    """Guess where cargo may be set down: between a building and the tracks beside it, clear of both.

    Parameters
    ----------
    sheds : buildings that cargo may come from.
    roofs : all buildings; no ground is free under them.
    """
    tree, covers = shapely.STRtree(tracks), shapely.STRtree(roofs)
    found = []
    for shed in sheds:
        near = [tracks[one] for one in tree.query(shed, predicate="dwithin", distance=APRON_REACH_M).tolist()]
        over = [roofs[one] for one in covers.query(shed, predicate="dwithin", distance=APRON_DEPTH_M).tolist()]
        reach, deep = shed.buffer(APRON_REACH_M), shed.buffer(APRON_DEPTH_M)
        between = [shapely.union(shed, line.intersection(reach)).convex_hull for line in near]
        taken = shapely.union_all([line.intersection(reach).buffer(CLEARANCE_M) for line in near] + over)
        free = shapely.union_all(between).intersection(deep).difference(taken)
        # What lies beyond the next track is not between.
        beside = shapely.union_all([part for part in _polygons(free) if part.distance(shed) < 0.1])
        found.append(beside.simplify(1.0).buffer(-2.0).buffer(2.0, join_style="mitre").difference(taken))
    return [part for part in _polygons(shapely.union_all(found)) if part.area >= LEAST_APRON_M2 and not part.interiors]


@dataclass(frozen=True)
class _Writer:
    """Makes features from shapes on the plane."""

    crs: str
    lon: float

    def feature(self, role: str, key: str, shape: LineString | Polygon, **members: object) -> dict[str, object]:
        to = transformer(self.crs, WGS84)

        def back(xy: NDArray[np.float64]) -> NDArray[np.float64]:
            return np.column_stack(to.transform(xy[:, 0], xy[:, 1]))

        placed = unwrapped(shapely.transform(shape, back), towards=self.lon)
        placed = shapely.transform(placed, lambda xy: np.round(xy, 7))
        if isinstance(placed, Polygon):
            # Rounding can make a ring touch itself.
            whole = placed if placed.is_valid else max(_polygons(placed.buffer(0)), key=lambda part: part.area)
            placed = shapely.orient_polygons(whole)
        geometry = json.loads(json.dumps(shapely.geometry.mapping(placed)))  # lists, as a file would hold them
        properties = {"role": role, "id": key, **{key: value for key, value in members.items() if value is not None}}
        return {"type": "Feature", "geometry": geometry, "properties": properties}


def _text(value: str) -> str:
    """Return a stranger's words on one line, without what is no letter."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in value).split())[:100]


def _named(tags: Tags) -> str:
    """Return what a map calls a track, empty where it calls it nothing."""
    number, own, line = (_text(tags.get(key, "")) for key in ("railway:track_ref", "name", "ref"))
    if number or (line and not own and "service" in tags):  # of a siding, `ref` is its number too
        return f"Track {number or line}"
    return own or (f"Line {line}" if line else "")


def _names(pairs: Sequence[Pair], word: str) -> list[str]:
    """Return a name for each line, no two alike."""
    told = [_named(tags) if word == "Track" else _text(tags.get("name", "")) for _, tags in pairs]
    numbered = any(re.match(r"Track \d", name) for name in told)
    bare = "Unnumbered track" if numbered else word
    count, seen, names = Counter(told), Counter[str](), []
    for number, ((_, tags), name) in enumerate(zip(pairs, told, strict=True), 1):
        seen[name] += 1
        if name:
            names.append(f"{name} ({seen[name]} of {count[name]})" if count[name] > 1 else name)
        else:
            names.append(f"{bare} {number}" + (" (a guess)" if tags.get("source") == FROM_PICTURE else ""))
    return names


def _deck_m(line: LineString, decks: Sequence[Polygon]) -> float | None:
    """Return how wide the outline of a bridge is in which a line lies."""
    middle = line.interpolate(0.5, normalized=True)
    for deck in decks:
        if deck.contains(middle):
            corners = np.array(deck.minimum_rotated_rectangle.exterior.coords)
            width = float(np.hypot(*np.diff(corners, axis=0)[:2].T).min())
            return round(width, 1) if DECK_M[0] <= width <= DECK_M[1] else None
    return None


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
    tracks, bridges = _ordered(chart.tracks), _ordered(chart.bridges)
    if not tracks and not bridges:
        raise BadAoi(f"no piece of track of {SHORTEST_M:g} m or more between switches; is the box too small?")
    lines = [line for line, _ in (*tracks, *bridges)]
    if len(lines) > MOST_TRACKS:
        raise BadAoi(f"{len(lines)} pieces of track are no one yard (at most {MOST_TRACKS}); give --box or --around")
    rails = shapely.union_all(lines)
    large = [shape for shape in chart.buildings if shape.area >= LEAST_SHED_M2]
    tree = shapely.STRtree(lines)
    sheds = [shape.simplify(BEND_M) for shape in large if len(tree.query(shape, "dwithin", SHED_REACH_M))]
    writer = _Writer(chart.crs, chart.lon)
    land = shapely.union_all(list(chart.grounds)).intersection(rails.buffer(GROUND_REACH_M))
    site = shapely.union_all([rails, *sheds]).buffer(MARGIN_M).union(land).convex_hull.simplify(1.0)
    features = [writer.feature("site", "site", site, name=title)]
    features += _track_features(writer, tracks)
    for number, ((line, _), own) in enumerate(zip(bridges, _names(bridges, "Bridge"), strict=True), 1):
        width = _deck_m(line, chart.decks)
        features.append(writer.feature("bridge", f"bridge-{number}", line, name=own, deck_width_m=width))
    for number, shape in enumerate(sheds, 1):
        features.append(writer.feature("shed", f"shed-{number}", shape, name=f"Building {number}"))
    for number, shape in enumerate(_aprons(lines, sheds, chart.buildings), 1):
        features.append(writer.feature("apron", f"apron-{number}", shape, name=f"Apron {number} (a guess)", guess=True))
    header = {"schema": "1", "id": name, "name": title, "accuracy_m": ACCURACY_M, "source": _text(source)}
    return {"type": "FeatureCollection", "rail_watch": header, "features": features}


def _track_features(writer: _Writer, tracks: Sequence[Pair]) -> list[dict[str, object]]:
    features = []
    for number, ((line, tags), own) in enumerate(zip(tracks, _names(tracks, "Track"), strict=True), 1):
        guess = tags.get("source") == FROM_PICTURE or None
        features.append(writer.feature("track", f"track-{number}", line, name=own, gauge_mm=_gauge(tags), guess=guess))
    return features
