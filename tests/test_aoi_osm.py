"""A yard drawn in metres, written as a map would hold it, and read back as an area of interest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from server_material import serving

from rail_watch import aoi
from rail_watch.aoi.document import parse
from rail_watch.aoi.geometry import area_m2, length_m
from rail_watch.aoi.osm import document_of, plane
from rail_watch.aoi.osm_read import ways_in
from rail_watch.cli.main import run
from rail_watch.errors import BadAoi
from rail_watch.grid import WGS84, local_crs, transformer

LON, LAT = 130.62, 42.417
WAYS: list[tuple[list[tuple[float, float]], dict[str, str]]] = [
    ([(-700, 0), (-400, 0), (400, 0), (700, 0)], {"railway": "rail", "gauge": "1435;1520", "name": "Main line"}),
    ([(-400, 0), (-340, 6), (340, 6), (400, 0)], {"railway": "rail", "service": "yard", "railway:track_ref": "3"}),
    ([(-340, 6), (-280, 12), (280, 12)], {"railway": "siding", "gauge": "1520"}),
    ([(280, 12), (300, 14)], {"railway": "spur"}),
    ([(700, 0), (900, 0)], {"railway": "rail", "bridge": "yes", "name": "River bridge"}),
    ([(-100, 22), (60, 22), (60, 34), (-100, 34), (-100, 22)], {"building": "warehouse"}),
    ([(-100, 400), (60, 400), (60, 440), (-100, 440), (-100, 400)], {"building": "yes"}),
    ([(-100, -20), (60, -20)], {"highway": "service"}),
    ([(-600, -200), (600, -200)], {"railway": "abandoned"}),
]


def lonlat(points: list[tuple[float, float]]) -> list[list[float]]:
    x, y = np.array(points, dtype=float).T
    lon, lat = transformer(local_crs(LON, LAT), WGS84).transform(x, y)
    return np.round(np.column_stack([lon, lat]), 7).tolist()


def overpass() -> dict[str, Any]:
    elements = []
    for number, (points, tags) in enumerate(WAYS):
        shape = [{"lon": lon, "lat": lat} for lon, lat in lonlat(points)]
        elements.append({"type": "way", "id": number, "geometry": shape, "tags": tags})
    return {"version": 0.6, "elements": elements}


def overpass_with_nodes() -> dict[str, Any]:
    elements: list[dict[str, Any]] = []
    numbers: dict[tuple[float, float], int] = {}
    for number, (points, tags) in enumerate(WAYS):
        names = []
        for lon, lat in lonlat(points):
            names.append(numbers.setdefault((lon, lat), len(numbers) + 1))
        elements.append({"type": "way", "id": number, "nodes": names, "tags": tags})
    nodes = [{"type": "node", "id": name, "lon": lon, "lat": lat} for (lon, lat), name in numbers.items()]
    return {"elements": [*nodes, *elements]}


def geojson() -> dict[str, Any]:
    features = []
    for points, tags in WAYS:
        shape = lonlat(points)
        closed = "building" in tags
        geometry = {"type": "Polygon" if closed else "LineString", "coordinates": [shape] if closed else shape}
        features.append({"type": "Feature", "geometry": geometry, "properties": tags})
    return {"type": "FeatureCollection", "features": features}


@pytest.mark.parametrize("made", [overpass, overpass_with_nodes, geojson])
def test_a_map_becomes_a_valid_area(made: Any) -> None:
    site, faults = parse(document_of("yard", ways_in(made()), title="Yard", source="a map"))
    assert faults == () and site is not None and site.accuracy_m == 10
    lengths = sorted(round(length_m(track.line)) for track in site.tracks)
    # Two ends of the main line, its middle, track 3 in two pieces (a switch at -340), the siding with its last bit.
    assert lengths == pytest.approx([60, 300, 300, 640, 741, 800], abs=2)
    names = {track.name: track.gauge_mm for track in site.tracks}
    assert names["Main line (2 of 3)"] == 1435 and names["Track 3 (1 of 2)"] is None
    assert names["Unnumbered track 6"] == 1520 and len(names) == 6
    assert [round(length_m(bridge.line)) for bridge in site.bridges] == [200]
    assert site.bridges[0].name == "River bridge"
    assert [round(area_m2(shed.polygon)) for shed in site.sheds] == [1920], "the far building is none of the yard's"
    assert site.aprons and all("guess" in apron.name for apron in site.aprons)
    assert not any(apron.polygon.intersects(site.sheds[0].polygon.buffer(-1e-6)) for apron in site.aprons)
    ends = [(track.line.coords[0][0], track.line.coords[-1][0]) for track in site.tracks]
    assert all(first < last for first, last in ends), "all drawn the same way"


def test_a_box_cuts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "map.json").write_text(json.dumps(overpass()))
    out = tmp_path / "yard.geojson"
    asked = ["aoi", "new", "yard", "--osm", str(tmp_path / "map.json"), "--out", str(out)]
    assert run([*asked, "--around", f"{LON},{LAT},200", "--title", "My yard"]) == 0
    site = aoi.read(out)
    assert site.name == "My yard" and not site.bridges and len(site.tracks) == 3
    assert "3 tracks, 1 shed" in capsys.readouterr().out or site.aprons
    assert run([*asked, "--box", "1,2,3,4"]) == 2
    assert "no railway" in capsys.readouterr().err


def test_the_public_service_is_asked_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    served = tmp_path / "served"
    served.mkdir()
    (served / "map.json").write_text(json.dumps(overpass()))
    out = tmp_path / "yard.geojson"
    asked = ["aoi", "new", "yard", "--osm", "overpass", "--out", str(out)]
    assert run(asked) == 2 and "needs --box or --around" in capsys.readouterr().err
    with serving(served, tmp_path / "log") as server:
        for mode, says in (("busy", "429"), ("broken", "ask for a smaller box")):
            monkeypatch.setenv("RAIL_WATCH_OVERPASS", server.at(f"overpass/{mode}"))
            assert run([*asked, "--around", f"{LON},{LAT},900"]) == 2
            err = capsys.readouterr().err
            assert says in err and err.count("\n") == 1
            assert len(server.requests(f"overpass/{mode}")) == 1, "once, and no more"
        monkeypatch.setenv("RAIL_WATCH_OVERPASS", server.at("overpass/fine"))
        assert run([*asked, "--around", f"{LON},{LAT},900"]) == 0
        assert run([*asked, "--box", "100,1,120,2"]) == 2
        assert "too much to ask" in capsys.readouterr().err
        assert len(server.requests("overpass/fine")) == 1
    assert len(aoi.read(out).tracks) == 6 and "public service" in aoi.read(out).source


def write_extract(path: Path) -> None:
    osmium = pytest.importorskip("osmium", reason="osmium is not installed (the extra `osm`)")
    document = overpass_with_nodes()["elements"]
    with osmium.SimpleWriter(str(path)) as writer:
        for one in document:
            if one["type"] == "node":
                place = (one["lon"], one["lat"])
                writer.add_node(osmium.osm.mutable.Node(id=one["id"], location=place))
        for one in document:
            if one["type"] == "way":
                writer.add_way(osmium.osm.mutable.Way(id=one["id"] + 1, nodes=one["nodes"], tags=one["tags"]))


def test_an_extract_gives_what_the_map_gives(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_extract(tmp_path / "map.osm.pbf")
    (tmp_path / "map.json").write_text(json.dumps(overpass()))
    sites = []
    for name in ("map.osm.pbf", "map.json"):
        out = tmp_path / f"{name}.geojson"
        asked = ["aoi", "new", "yard", "--osm", str(tmp_path / name), "--out", str(out)]
        assert run([*asked, "--around", f"{LON},{LAT},900"]) == 0
        sites.append(aoi.read(out))
    one, other = sites
    assert [track.line for track in one.tracks] == [track.line for track in other.tracks] != []
    assert [shed.polygon for shed in one.sheds] == [shed.polygon for shed in other.sheds] != []
    bad = tmp_path / "bad.osm.pbf"
    bad.write_bytes(b"\0\0\0\x0dno extract at all")
    for file, more in ((bad, ["--around", f"{LON},{LAT},900"]), (tmp_path / "map.osm.pbf", [])):
        capsys.readouterr()
        assert run(["aoi", "new", "yard", "--osm", str(file), *more, "--out", str(tmp_path / "o.geojson")]) == 2
        assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "not JSON"),
        ("[]", "neither Overpass JSON"),
        ('{"elements": []}', "no railway=rail"),
        ('{"elements": [{"type": "node", "id": 1, "lon": 42, "lat": 130}]}', "swapped"),
        ('{"elements": [{"type": "node", "id": 1, "lon": "x", "lat": 1}]}', "no number of degrees"),
        ('{"features": [{"geometry": {"type": "LineString", "coordinates": 7}}]}', "no railway=rail"),
    ],
)
def test_a_bad_map_is_one_line(tmp_path: Path, content: str, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "map.json").write_text(content)
    asked = ["aoi", "new", "yard", "--osm", str(tmp_path / "map.json"), "--out", str(tmp_path / "o.geojson")]
    assert run(asked) == 2
    err = capsys.readouterr().err
    assert says in err and "map.json" in err and err.count("\n") == 1 and not (tmp_path / "o.geojson").exists()


@pytest.mark.parametrize(
    "options", [["--box", "1,2"], ["--around", "x"], ["--around", "1,2,3"], ["--box", "1,2,3,4", "--around", "1,2,30"]]
)
def test_bad_options_are_one_line(tmp_path: Path, options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["aoi", "new", "yard", "--osm", "map.json", "--out", str(tmp_path / "o.geojson"), *options]
    assert run(asked) == 2 and capsys.readouterr().err.count("\n") == 1


def test_an_area_survives_a_geopackage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    package, back = tmp_path / "t.gpkg", tmp_path / "t.geojson"
    assert run(["aoi", "edit", "tumangang", "--out", str(package)]) == 0
    assert run(["aoi", "edit", str(package), "--out", str(back)]) == 0
    old, new = aoi.read("tumangang"), aoi.read(back)
    assert (new.id, new.name, new.accuracy_m, new.source, new.linked) == (
        old.id, old.name, old.accuracy_m, old.source, old.linked
    )  # fmt: skip
    for mine, theirs in ((old.tracks, new.tracks), (old.bridges, new.bridges)):
        assert {one.id: one.line.wkt for one in mine} == {one.id: one.line.wkt for one in theirs}
    assert {t.id: t.gauge_mm for t in old.tracks} == {t.id: t.gauge_mm for t in new.tracks}
    for mine, theirs in ((old.aprons, new.aprons), (old.sheds, new.sheds), (old.stables, new.stables)):
        assert {one.id for one in mine} == {one.id for one in theirs}
    assert old.polygon.equals_exact(new.polygon, 1e-7)
    (tmp_path / "bad.gpkg").write_text("no")
    capsys.readouterr()
    assert run(["aoi", "edit", str(tmp_path / "bad.gpkg"), "--out", str(back)]) == 2
    assert run(["aoi", "edit", "tumangang", "--out", str(back)]) == 2
    assert capsys.readouterr().err.count("\n") == 2


def test_a_map_of_far_too_much_is_refused() -> None:
    way = {"type": "way", "geometry": [{"lon": 1, "lat": 1}, {"lon": 2, "lat": 2}], "tags": {"railway": "rail"}}
    with pytest.raises(BadAoi, match="cut it to the yard"):
        plane(ways_in({"elements": [way] * 50_001}), None)
