"""What maps of real yards hold that a tidy one does not: one test for each thing that once went wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import shapely

from rail_watch import aoi
from rail_watch.aoi.document import parse
from rail_watch.aoi.geometry import area_m2, length_m
from rail_watch.aoi.osm import document_of
from rail_watch.aoi.osm_read import Way, ways_in
from rail_watch.aoi.site import Site
from rail_watch.cli.main import run
from rail_watch.errors import BadAoi
from rail_watch.grid import WGS84, local_crs, transformer

Points = list[tuple[float, float]]
MAIN: Points = [(-500, 0), (-200, 0), (200, 0), (500, 0)]


def lonlat(points: Points, place: tuple[float, float] = (130.62, 42.417)) -> list[list[float]]:
    x, y = np.array(points, dtype=float).T
    lon, lat = transformer(local_crs(*place), WGS84).transform(x, y)
    return np.round(np.column_stack([lon, lat]), 7).tolist()


def way(points: Points, *, place: tuple[float, float] = (130.62, 42.417), **tags: str) -> Way:
    named = {key.replace("__", ":"): value for key, value in tags.items()}
    return Way(tuple((lon, lat) for lon, lat in lonlat(points, place)), {"railway": "rail", **named})


def site_of(*ways: Way, **more: Any) -> Site:
    document = document_of("yard", ways, title="Yard", source="a map", **more)
    site, faults = parse(document)
    assert faults == () and site is not None
    return site


def lengths(site: Site) -> list[int]:
    return sorted(round(length_m(track.line)) for track in site.tracks)


def rectangle(west: float, south: float, east: float, north: float) -> Points:
    return [(west, south), (east, south), (east, north), (west, north), (west, south)]


def element(number: int, points: Points, **tags: str) -> dict[str, Any]:
    shape = [{"lon": lon, "lat": lat} for lon, lat in lonlat(points)]
    return {"type": "way", "id": number, "geometry": shape, "tags": tags}


@pytest.mark.parametrize(
    "tags",
    [
        {"railway": "disused"},
        {"railway": "construction", "construction": "rail"},
        {"abandoned": "yes"},
        {"disused": "yes"},
        {"tunnel": "yes"},
        {"location": "underground"},
        {"railway": "platform"},
    ],
)
def test_track_without_trains_is_left_out(tags: dict[str, str]) -> None:
    site = site_of(way(MAIN), way([(-500, 30), (500, 30)], **tags))
    assert lengths(site) == [1000]


def test_no_tunnel_and_no_bridge_are_said_too() -> None:
    site = site_of(way(MAIN, tunnel="no", bridge="no", disused="no"))
    assert lengths(site) == [1000] and not site.bridges


def test_a_yard_drawn_as_an_area_is_ground_not_track() -> None:
    site = site_of(way(MAIN), way(rectangle(-400, -40, 400, 100), railway="yard"))
    assert lengths(site) == [1000]
    assert site.polygon.contains(shapely.Point(lonlat([(0, 90)])[0])), "railway land belongs to the site"


def test_ways_cut_turned_and_repeated_are_one_track() -> None:
    cut = [way([MAIN[1], MAIN[0]]), way(MAIN[1:3]), way(MAIN[2:]), way(MAIN[1:]), way(MAIN[::-1])]
    assert lengths(site_of(*cut)) == [1000]


def test_a_track_drawn_twice_side_by_side_is_one() -> None:
    again = [(x, y + 0.6) for x, y in MAIN]
    assert lengths(site_of(way(MAIN, gauge="1435"), way(again, gauge="1520"))) == [1000]
    assert lengths(site_of(way(MAIN), way([(x, 4.5) for x, _ in MAIN]))) == [1000, 1000]


def test_a_loop_is_a_track() -> None:
    turn = np.linspace(0, 2 * np.pi, 40)
    ring = [(float(200 * np.cos(t)), float(200 * np.sin(t))) for t in turn[:-1]]
    (length,) = lengths(site_of(way([*ring, ring[0]])))
    assert length == pytest.approx(1257, abs=10)


def test_a_short_dead_end_does_not_split_the_track() -> None:
    assert lengths(site_of(way(MAIN), way([(200, 0), (220, 4)]))) == [1000]


def test_a_crossover_splits_and_is_no_track_of_its_own() -> None:
    other = [(-500, 5), (-140, 5), (500, 5)]
    site = site_of(way(MAIN), way(other), way([(-200, 0), (-140, 5)], service="crossover"))
    assert lengths(site) == [300, 360, 640, 700]


def test_the_rungs_of_a_ladder_are_no_tracks() -> None:
    rungs = [way([(-300 + 45 * k, 5 * k), (-255 + 45 * k, 5 * (k + 1))]) for k in range(3)]
    rows = [way([(-255 + 45 * k, 5 * (k + 1)), (400, 5 * (k + 1))]) for k in range(3)]
    site = site_of(way([(-500, 0), (-300, 0), (400, 0)]), *rungs, *rows)
    assert lengths(site) == [200, 610, 610, 655, 700]


def test_lines_that_cross_without_a_common_vertex_lie_one_above_the_other() -> None:
    site = site_of(way(MAIN), way([(0, -300), (1, 300)], layer="1"))
    assert lengths(site) == [600, 1000]


def test_a_culvert_is_no_bridge() -> None:
    site = site_of(way(MAIN[:2]), way([(-200, 0), (-190, 0)], bridge="yes"), way([(-190, 0), (500, 0)]))
    assert lengths(site) == [1000] and not site.bridges


def test_two_tracks_on_one_deck_are_two_bridges_as_wide_as_it() -> None:
    deck = way(rectangle(-5, -7, 305, 7), railway="", man_made="bridge")
    spans = [way([(0, y), (150, y), (300, y)], bridge="viaduct", name="Iron bridge") for y in (-2.5, 2.5)]
    site = site_of(way([(-400, -2.5), (0, -2.5)]), *spans, deck)
    assert [one.name for one in site.bridges] == ["Iron bridge (1 of 2)", "Iron bridge (2 of 2)"]
    assert [one.deck_width_m for one in site.bridges] == pytest.approx([14, 14], abs=0.2)


def test_a_number_that_the_map_gives_is_given_to_no_other_track() -> None:
    rows = [way([(-300, 6 * row), (300, 6 * row)], **tags) for row, tags in enumerate(NUMBERED)]
    names = [track.name for track in site_of(*rows).tracks]
    assert names == ["Track 3", "Unnumbered track 2", "Unnumbered track 3", "Line 42", "Track 9", "Depot road"]


NUMBERED: list[dict[str, str]] = [
    {"railway__track_ref": "3", "name": "Coast line"},
    {},
    {"name": " \t "},
    {"ref": "42", "usage": "main"},
    {"ref": "9", "service": "yard"},
    {"name": "Depot road"},
]


@pytest.mark.parametrize(
    ("told", "gauge"),
    [("1520;1435", 1520), (" 1435 ", 1435), ("1067.0", 1067), ("14350", None), ("standard", None), ("762 mm", 762)],
)
def test_gauges_as_mappers_write_them(told: str, gauge: int | None) -> None:
    assert site_of(way(MAIN, gauge=told)).tracks[0].gauge_mm == gauge


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "a\x00b\x1b[31m\u202e", "N" * 10_000, "\ud800", "\n\n"])
def test_hostile_names_are_words_on_one_line(name: str, tmp_path: Path) -> None:
    bridge = element(2, [(500, 0), (700, 0)], railway="rail", bridge="yes", name=name, ref=name)
    track = element(1, MAIN, railway="rail", name=name, railway__track_ref=name)
    (tmp_path / "map.json").write_text(json.dumps({"elements": [track, bridge]}))
    out = tmp_path / "o.geojson"
    assert run(["aoi", "new", "yard", "--osm", str(tmp_path / "map.json"), "--out", str(out)]) == 0
    site = aoi.read(out)
    assert all(0 < len(one.name) <= 110 and one.name.isprintable() for one in (*site.tracks, *site.bridges))


def test_a_way_does_not_jump_over_what_the_export_cut_off() -> None:
    inside = element(1, MAIN, railway="rail")
    inside["geometry"][1:3] = [None, *inside["geometry"][1:3], None]
    assert lengths(site_of(*ways_in({"elements": [inside]}))) == [400]
    nodes = [{"type": "node", "id": n, "lon": lon, "lat": lat} for n, (lon, lat) in enumerate(lonlat(MAIN)) if n != 1]
    whole = {"type": "way", "id": 1, "nodes": [0, 1, 2, 3], "tags": {"railway": "rail"}}
    assert lengths(site_of(*ways_in({"elements": [*nodes, whole]}))) == [300]


def test_ways_without_places_are_told_so() -> None:
    with pytest.raises(BadAoi, match="out geom"):
        ways_in({"elements": [{"type": "way", "id": 1, "nodes": [1, 2], "tags": {"railway": "rail"}}]})


def test_ids_that_are_no_numbers_are_left_out() -> None:
    good = element(1, MAIN, railway="rail")
    odd = [{"type": "node", "id": [1], "lon": 1, "lat": 1}, {"type": "way", "id": {}, "nodes": [[1]]}]
    assert len(ways_in({"elements": [*odd, {"type": "node", "id": 4}, good]})) == 1


@pytest.mark.parametrize("whole", [True, False])
def test_a_building_of_several_ways_keeps_its_court(whole: bool) -> None:
    outer, inner = rectangle(-60, 12, 60, 52), rectangle(-20, 25, 20, 40)
    parts = [("outer", outer[:3]), ("outer", outer[2:]), ("inner", inner)]
    members, bare = [], []
    for number, (role, points) in enumerate(parts, 10):
        one = element(number, points)
        bare.append(one)
        members.append({"type": "way", "ref": number, "role": role} | ({"geometry": one["geometry"]} if whole else {}))
    relation = {"type": "relation", "id": 5, "members": members, "tags": {"type": "multipolygon", "building": "yes"}}
    elements = [element(1, MAIN, railway="rail"), relation, *([] if whole else bare)]
    (shed,) = site_of(*ways_in({"elements": elements})).sheds
    assert area_m2(shed.polygon) == pytest.approx(120 * 40 - 40 * 15, rel=0.01) and len(shed.polygon.interiors) == 1


def test_a_building_given_twice_is_one_shed() -> None:
    house = element(2, rectangle(-60, 12, 60, 52), building="yes")
    elements = [element(1, MAIN, railway="rail"), house, {**house, "id": 3}]
    assert len(site_of(*ways_in({"elements": elements})).sheds) == 1


def test_tags_that_gdal_keeps_in_one_column() -> None:
    told = {"osm_id": "1", "other_tags": '"railway"=>"rail","gauge"=>"1520","railway:track_ref"=>"5"', "bridge": False}
    line = {"type": "Feature", "geometry": {"type": "LineString", "coordinates": lonlat(MAIN)}, "properties": told}
    (track,) = site_of(*ways_in({"features": [line]})).tracks
    assert (track.name, track.gauge_mm) == ("Track 5", 1520)


def test_an_apron_lies_between_the_shed_and_the_track() -> None:
    house = way(rectangle(-60, 8, 60, 18), railway="", building="yes")
    site = site_of(way(MAIN), way([(-500, -30), (500, -30)]), house)
    (apron,) = site.aprons
    north, south = (lonlat([(0, y)])[0] for y in (20.0, -4.0))
    assert apron.polygon.contains(shapely.Point(lonlat([(0, 5.0)])[0]))
    assert not apron.polygon.contains(shapely.Point(north)), "not behind the shed"
    assert not apron.polygon.contains(shapely.Point(south)), "not beyond the track"


@pytest.mark.parametrize("place", [(179.999, -16.5), (-179.999, -16.5), (-70.4, -23.65), (18.0, -33.9)])
def test_yards_anywhere_in_the_world(place: tuple[float, float], tmp_path: Path) -> None:
    shape = [{"lon": lon, "lat": lat} for lon, lat in lonlat(MAIN, place)]
    house = [{"lon": lon, "lat": lat} for lon, lat in lonlat(rectangle(-60, 12, 60, 52), place)]
    rail = {"type": "way", "id": 1, "geometry": shape, "tags": {"railway": "rail"}}
    shed = {"type": "way", "id": 2, "geometry": house, "tags": {"building": "yes"}}
    (tmp_path / "map.json").write_text(json.dumps({"elements": [rail, shed]}))
    out = tmp_path / "o.geojson"
    asked = ["aoi", "new", "yard", "--osm", str(tmp_path / "map.json"), "--out", str(out)]
    west, east = ((place[0] + turn + 180) % 360 - 180 for turn in (-0.01, 0.01))
    boxes = (
        [],
        ["--around", f"{place[0]},{place[1]},800"],
        ["--box", f"{west:.4f},{place[1] - 0.01:.4f},{east:.4f},{place[1] + 0.01:.4f}"],
    )
    for box in boxes:
        assert run([*asked, *box]) == 0
        site = aoi.read(out)
        assert lengths(site) == [1000] and len(site.sheds) == 1 and site.aprons
        assert area_m2(site.polygon) < 3e5


def test_a_land_is_too_much_and_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    far = element(1, [(-60_000, 0), (0, 60_000), (60_000, 0)], railway="rail")
    (tmp_path / "map.json").write_text(json.dumps({"elements": [far]}))
    asked = ["aoi", "new", "y", "--osm", str(tmp_path / "map.json"), "--out", str(tmp_path / "o.geojson")]
    assert run(asked) == 2 and "give --box or --around" in capsys.readouterr().err
    assert run([*asked, "--around", "130.62,42.95,3000"]) == 0


def test_an_extract_gives_areas_of_several_ways_and_leaves_gaps(tmp_path: Path) -> None:
    osmium = pytest.importorskip("osmium", reason="osmium is not installed (the extra `osm`)")
    mutable = osmium.osm.mutable
    places = [*MAIN, *rectangle(-360, 12, -240, 52)[:4], *rectangle(-320, 25, -280, 40)[:4]]
    ways = {1: [1, 2, 99, 3, 4], 2: [5, 6, 7], 3: [7, 8, 5], 4: [9, 10, 11, 12, 9]}
    with osmium.SimpleWriter(str(tmp_path / "map.osm.pbf")) as writer:
        for number, (lon, lat) in enumerate(lonlat(places), 1):
            writer.add_node(mutable.Node(id=number, location=(lon, lat)))
        for number, nodes in ways.items():
            tags = {"railway": "rail"} if number == 1 else {}
            writer.add_way(mutable.Way(id=number, nodes=nodes, tags=tags))
        members = [("w", 2, "outer"), ("w", 3, "outer"), ("w", 4, "inner")]
        tags = {"type": "multipolygon", "building": "yes"}
        writer.add_relation(mutable.Relation(id=1, members=members, tags=tags))
    out = tmp_path / "o.geojson"
    asked = ["aoi", "new", "y", "--osm", str(tmp_path / "map.osm.pbf"), "--out", str(out)]
    assert run([*asked, "--around", "130.62,42.417,900"]) == 0
    site = aoi.read(out)
    assert lengths(site) == [300, 300]
    assert area_m2(site.sheds[0].polygon) == pytest.approx(120 * 40 - 40 * 15, rel=0.01)


def test_a_guess_stays_one_through_a_geopackage(tmp_path: Path) -> None:
    house = way(rectangle(-60, 8, 60, 18), railway="", building="yes")
    made, package, back = (tmp_path / name for name in ("yard.geojson", "yard.gpkg", "back.geojson"))
    made.write_text(json.dumps(document_of("yard", [way(MAIN), house], title="Yard", source="a map")))
    assert run(["aoi", "edit", str(made), "--out", str(package)]) == 0
    assert run(["aoi", "edit", str(package), "--out", str(back)]) == 0
    told = [[one["properties"] for one in json.loads(path.read_text())["features"]] for path in (made, back)]
    assert sorted(told[0], key=lambda one: one["id"]) == sorted(told[1], key=lambda one: one["id"])


def spoilt_package(tmp_path: Path, kind: str) -> Path:
    """Write what becomes of a package in a GIS."""
    package, bad = tmp_path / "khasan.gpkg", tmp_path / "my-yard.gpkg"
    assert run(["aoi", "edit", "khasan", "--out", str(package)]) == 0
    lines, areas = (geopandas.read_file(package, layer=layer) for layer in ("lines", "areas"))
    if kind == "site drawn anew":
        areas["rail_watch"] = None
    if kind == "header broken":
        areas["rail_watch"] = "[1]"
    if kind == "no shape":
        lines.loc[0, "geometry"] = None
    if kind == "several lines in one":
        lines.loc[0, "geometry"] = shapely.MultiLineString([lines.geometry[0], lines.geometry[1]])
    lines.to_file(bad, layer="tracks" if kind == "other layers" else "lines", driver="GPKG")
    if kind != "other layers":
        areas.to_file(bad, layer="areas", driver="GPKG")
    return bad


@pytest.mark.parametrize(
    ("kind", "status", "says"),
    [
        ("site drawn anew", 0, "my-yard"),
        ("header broken", 0, "my-yard"),
        ("no shape", 2, "without a shape"),
        ("several lines in one", 2, "must be a LineString"),
        ("other layers", 2, "`lines`"),
    ],
)
def test_what_a_gis_leaves_is_taken_or_one_line(
    tmp_path: Path, kind: str, status: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = spoilt_package(tmp_path, kind)
    capsys.readouterr()
    assert run(["aoi", "edit", str(bad), "--out", str(tmp_path / "o.geojson")]) == status
    err = capsys.readouterr().err
    assert says in err and err.count("\n") == 1
    if status == 0:
        assert aoi.read(tmp_path / "o.geojson").id == "my-yard"
