"""Areas of interest: what is read back, and one clear line for everything that is wrong."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from aoi_material import SQUARE, document, feature, good, line, polygon, save
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import rail_watch.aoi
from rail_watch import aoi
from rail_watch.aoi.document import parse
from rail_watch.aoi.geometry import area_m2, length_m
from rail_watch.errors import BadAoi, BadInput

SCHEMA = json.loads((Path(rail_watch.aoi.__file__).parent / "schema" / "aoi.schema.json").read_text())


def test_every_role_is_read(tmp_path: Path) -> None:
    path = save(tmp_path, good())
    site = aoi.read(path)
    assert (site.id, site.name, site.accuracy_m, site.timezone) == ("yard", "Test yard", 60.0, "Asia/Pyongyang")
    assert [track.id for track in site.tracks] == ["t1", "t2"]
    assert site.tracks[0].gauge_mm == 1520 and site.tracks[1].gauge_mm is None
    assert site.tracks[1].name == "t2", "a track without a name is called by its id"
    assert site.bridges[0].deck_width_m == 5.5
    assert [len(part) for part in (site.aprons, site.sheds, site.stables, site.excludes)] == [1, 1, 1, 1]
    assert site.linked == ("khasan",)
    assert site.digest == hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_schema_agrees_with_the_good_document() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(good(), SCHEMA)


def test_only_the_site_is_required(tmp_path: Path) -> None:
    site = aoi.read(save(tmp_path, document(feature("site", polygon(SQUARE)))))
    assert site.tracks == () and site.aprons == () and site.accuracy_m is None


def test_features_without_an_id_get_one_nobody_uses(tmp_path: Path) -> None:
    rails = line([130.601, 42.42], [130.619, 42.42])
    content = document(feature("site", polygon(SQUARE)), feature("track", rails), feature("track", rails, id="track-1"))
    assert sorted(track.id for track in aoi.read(save(tmp_path, content)).tracks) == ["track-1", "track-2"]


def test_lengths_and_areas_are_on_the_ellipsoid(tmp_path: Path) -> None:
    site = aoi.read(save(tmp_path, good()))
    assert area_m2(site.polygon) == pytest.approx(3.657e6, rel=2e-3)
    assert length_m(site.tracks[1].line) == pytest.approx(1481.7, rel=2e-3)


def _changed(**changes: Any) -> dict[str, Any]:
    return {**good(), **changes}


def _site(ring: list[Any], *more: dict[str, Any]) -> dict[str, Any]:
    return document(feature("site", polygon(ring)), *more)


def _track(geometry: Any, **properties: Any) -> dict[str, Any]:
    return document(feature("site", polygon(SQUARE)), feature("track", geometry, id="t1", **properties))


def _headed(**header: Any) -> dict[str, Any]:
    return document(feature("site", polygon(SQUARE)), **header)


BOW_TIE = [[130.60, 42.41], [130.62, 42.43], [130.62, 42.41], [130.60, 42.43], [130.60, 42.41]]
SWAPPED = [[lat, lon] for lon, lat in SQUARE]
UTM = [[632000, 4697000], [633000, 4697000], [633000, 4698000], [632000, 4697000]]
LONG_ID = "a" * 65
FAULTS: dict[str, tuple[Any, str]] = {
    "not JSON": ("{", "not JSON"),
    "empty file": ("", "not JSON"),
    "NaN coordinate": (json.dumps(good()).replace("130.619", "NaN"), "NaN is not a JSON number"),
    "infinite coordinate": (json.dumps(good()).replace("130.619", "1e999"), "not a finite number"),
    "a number of a million digits": (json.dumps(good()).replace("130.619", "9" * 1_000_000), "not JSON"),
    "nested a million deep": ("[" * 1_000_000 + "]" * 1_000_000, "nested too deeply"),
    "a list": ([], "not a GeoJSON FeatureCollection"),
    "null": ("null", "not a GeoJSON FeatureCollection"),
    "a Feature": (feature("site", polygon(SQUARE)), "must be 'FeatureCollection', not 'Feature'"),
    "a topology": (_changed(type="Topology"), "must be 'FeatureCollection'"),
    "features null": (_changed(features=None), "`features` must be a list"),
    "a feature null": (_changed(features=[None]), "not a Feature"),
    "another CRS": (_changed(crs={"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32652"}}), "`crs` is"),
    "a CRS as text": (_changed(crs="EPSG:3857"), "convert to WGS 84"),
    "no header": (_changed(rail_watch=None), "no `rail_watch` member"),
    "a later schema": (_headed(schema="2"), "`rail_watch.schema` is '2'"),
    "capital id": (_headed(id="Yard"), "bad id 'Yard'"),
    "climbing id": (_headed(id="../yard"), "bad id '../yard'"),
    "empty id": (_headed(id=""), "bad id ''"),
    "long id": (_headed(id=LONG_ID), "at most 64"),
    "numeric id": (_headed(id=7), "bad id '7'"),
    "name with an escape": (_headed(name="a\x1b[2Jb"), "control characters"),
    "name turned round": (_headed(name="a\u202eb"), "control characters"),
    "accuracy in words": (_headed(accuracy_m="good"), "`rail_watch.accuracy_m` must be a number"),
    "negative accuracy": (_headed(accuracy_m=-1), "at least 0"),
    "unknown zone": (_headed(timezone="Mars/Olympus"), "not an IANA name"),
    "climbing zone": (_headed(timezone="../../etc/passwd"), "not an IANA name"),
    "linked in words": (_headed(linked="khasan"), "must be a list"),
    "no site": (document(), "exactly one feature of role 'site' is needed, found none"),
    "two sites": (document(*[feature("site", polygon(SQUARE))] * 2), "found 2"),
    "no role": (document(feature("site", polygon(SQUARE)), feature(None, polygon(SQUARE))), "no `role`"),
    "site a line": (document(feature("site", line([130, 42], [131, 42]))), "must be a Polygon, not 'LineString'"),
    "site null": (document(feature("site", None)), "must be a Polygon, not null"),
    "site empty": (_site([]), "the polygon is empty"),
    "no ring": (document(feature("site", {"type": "Polygon", "coordinates": []})), "the polygon is empty"),
    "site a point": (_site([[130.6, 42.4]] * 4), "at least four positions"),
    "tiny site": (_site([[130, 42], [130.00001, 42], [130, 42.00001], [130, 42]]), "the site is empty"),
    "continent": (_site([[100, 40], [110, 40], [110, 50], [100, 50], [100, 40]]), "the most is 2,500 km²"),
    "polar cap": (_site([[-180, 89.5], [-60, 89.5], [60, 89.5], [180, 89.5], [-180, 89.5]]), "not valid"),
    "bow-tie": (_site(BOW_TIE), "not valid: Self-intersection"),
    "unclosed": (_site([*SQUARE[:-1], [130.5, 42.4]]), "not closed"),
    "swapped axes": (_site(SWAPPED), "axes look swapped"),
    "latitude 95": (_site([[100, 95], [101, 95], [101, 96], [100, 95]]), "between -90 and 90"),
    "projected": (_site(UTM), "not projected coordinates"),
    "text coordinates": (_site([["130", "42"]] * 4), "in numbers"),
    "true for a number": (_site([[True, 42.0]] * 4), "in numbers"),
    "one-number position": (_site([[130.0]] * 4), "in numbers"),
    "track of one point": (_track(line([130.61, 42.42], [130.61, 42.42])), "two different positions"),
    "track outside": (_track(line([131, 42.42], [131.1, 42.42])), "wholly outside the site"),
    "track a multi-line": (_track({"type": "MultiLineString", "coordinates": []}), "not 'MultiLineString'"),
    "gauge in words": (_track(line([130.601, 42.42], [130.61, 42.42]), gauge_mm="broad"), "`gauge_mm`"),
    "same id twice": (
        document(*good()["features"], feature("shed", polygon(SQUARE), id="t1")),
        "id 't1' is used twice",
    ),
}


@pytest.mark.parametrize("case", FAULTS)
def test_each_fault_is_one_line_naming_the_file(case: str, tmp_path: Path) -> None:
    content, expected = FAULTS[case]
    path = save(tmp_path, content, "wrong.geojson")
    with pytest.raises(BadAoi) as caught:
        aoi.read(path)
    message = str(caught.value)
    assert expected in message
    assert message.startswith(str(path)) and "\n" not in message and len(message) < 500


def test_all_faults_are_named_at_once(tmp_path: Path) -> None:
    content = document(
        feature("site", polygon(BOW_TIE), id="bounds"),
        feature("track", line([130.6, 42.42]), id="t1"),
        feature("apron", None, id="a1"),
        id="Yard",
    )
    faults = aoi.validate(save(tmp_path, content))
    assert [fault.split(":")[0] for fault in faults] == ["bad id 'Yard'", "site 'bounds'", "track 't1'", "apron 'a1'"]
    with pytest.raises(BadAoi, match=r"and 3 more; see `rail-watch aoi validate`"):
        aoi.read(tmp_path / "yard.geojson")


def test_a_good_file_has_no_faults(tmp_path: Path) -> None:
    assert aoi.validate(save(tmp_path, good())) == ()


def test_a_number_too_long_for_any_place_is_a_fault() -> None:
    document = {
        "type": "FeatureCollection",
        "rail_watch": {"schema": "1", "id": "x"},
        "features": [
            {
                "type": "Feature",
                "properties": {"role": "site"},
                "geometry": {"type": "Polygon", "coordinates": [[[10**400, 1], [2, 1], [2, 2], [10**400, 1]]]},
            }
        ],
    }
    site, faults = parse(document)
    assert site is None and "finite" in faults[0]


@pytest.mark.parametrize("name", ["urn:ogc:def:crs:OGC:1.3:CRS84", "urn:ogc:def:crs:EPSG::4326", "EPSG:4326"])
def test_a_crs_member_that_says_wgs84_is_accepted(name: str, tmp_path: Path) -> None:
    content = _changed(crs={"type": "name", "properties": {"name": name}})
    assert aoi.read(save(tmp_path, content)).id == "yard"


@pytest.mark.parametrize(
    "ring",
    [
        [[179.99, 10], [-179.99, 10], [-179.99, 10.01], [179.99, 10.01], [179.99, 10]],
        [[179.99, 10], [180.01, 10], [180.01, 10.01], [179.99, 10.01], [179.99, 10]],
        [[-180.01, 10], [-179.99, 10], [-179.99, 10.01], [-180.01, 10.01], [-180.01, 10]],
    ],
    ids=["jump", "past 180", "past -180"],
)
def test_a_site_across_the_antimeridian_is_whole(ring: list[list[float]], tmp_path: Path) -> None:
    rails = feature("track", line([179.995, 10.005], [-179.995, 10.005]), id="t1")
    site = aoi.read(save(tmp_path, _site(ring, rails)))
    assert area_m2(site.polygon) == pytest.approx(0.02 * 0.01 * 111_320**2 * 0.978, rel=0.02)
    assert site.tracks[0].line.intersection(site.polygon).length == pytest.approx(0.01, rel=1e-6)
    assert length_m(site.tracks[0].line) == pytest.approx(1096, rel=0.01)


def test_a_folder_is_read_in_order_of_file_name(tmp_path: Path) -> None:
    for name in ("b", "a", "c"):
        save(tmp_path, _headed(id=name), f"{name}.geojson")
    (tmp_path / "readme.txt").write_text("not an AOI")
    assert [site.id for site in aoi.read_many(tmp_path)] == ["a", "b", "c"]
    assert [site.id for site in aoi.read_many(tmp_path / "b.geojson")] == ["b"]


def test_one_id_in_two_files_of_a_folder_is_refused(tmp_path: Path) -> None:
    save(tmp_path, _headed(id="same"), "one.geojson")
    save(tmp_path, _headed(id="same"), "two.geojson")
    with pytest.raises(BadAoi, match=r"two\.geojson: its id 'same' is already that of one\.geojson"):
        aoi.read_many(tmp_path)


def test_an_empty_folder_and_unknown_names_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadAoi, match=r"no \.geojson file"):
        aoi.read_many(tmp_path)
    with pytest.raises(BadAoi, match="a folder where one AOI file is needed"):
        aoi.read(tmp_path)
    with pytest.raises(BadAoi, match="nowhere: no such AOI"):
        aoi.read("nowhere")
    with pytest.raises(BadAoi, match="NUL"):
        aoi.read("a\0b")
    with pytest.raises(BadAoi, match="no such AOI"):
        aoi.read("x" * 5000)


def test_a_huge_file_is_refused_before_it_is_parsed(tmp_path: Path) -> None:
    path = tmp_path / "huge.geojson"
    with path.open("wb") as stream:
        stream.truncate(30_000_000)
    with pytest.raises(BadAoi, match="larger than 20 MB"):
        aoi.read(path)


def test_the_shipped_sites_are_good() -> None:
    for name in aoi.shipped():
        assert aoi.read(name).id == name
        assert aoi.validate(name) == ()


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    junk=JSON, where=st.sampled_from(["features", "crs", "rail_watch", "geometry", "coordinates", "properties", "ring"])
)
def test_junk_anywhere_is_bad_input_or_ignored(junk: Any, where: str, tmp_path: Path) -> None:
    content = good()
    first = content["features"][0]
    if where in ("features", "crs", "rail_watch"):
        content[where] = junk
    elif where in ("geometry", "properties"):
        first[where] = junk
    elif where == "coordinates":
        first["geometry"]["coordinates"] = junk
    else:
        first["geometry"]["coordinates"] = [junk]
    try:
        aoi.read(save(tmp_path, content))
    except BadInput as fault:
        assert "\n" not in str(fault)
