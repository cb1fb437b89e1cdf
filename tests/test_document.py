"""Detections to JSON and back."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, get_args

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely import Polygon, affinity, box
from shapely.geometry import shape

from rail_watch.errors import BadInput
from rail_watch.observe import records as rec
from rail_watch.observe.document import (
    document_set,
    dumps,
    from_document,
    observations_geojson,
    schema_path,
    to_document,
)
from rail_watch.observe.words import TERMS

SCHEMA = json.loads(schema_path().read_text(encoding="utf-8"))
VALID = jsonschema.Draft202012Validator(SCHEMA)

ids = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,8}", fullmatch=True)
texts = st.text(max_size=20)
maybe = st.none
fractions = st.floats(0, 1)
lengths = st.floats(0, 5000)
times = st.datetimes(datetime(2015, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))
p_values = st.floats(0, 1)
digests = st.dictionaries(ids, st.text("0123456789abcdef", min_size=64, max_size=64), max_size=2)


def pairs(numbers: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, Any]]:
    return st.tuples(numbers, numbers).map(lambda pair: (min(pair), max(pair)))


@st.composite
def outlines(draw: st.DrawFn) -> Polygon:
    x, y = draw(st.floats(-179, 179)), draw(st.floats(-80, 80))
    ring = [(x, y), (x, y + 0.001), (x + 0.002, y + 0.001), (x + 0.002, y)]
    return Polygon(ring[:: draw(st.sampled_from((1, -1)))])


looks = st.one_of(
    st.builds(
        rec.TrackLook,
        track=ids,
        visibility=st.sampled_from(("clear", "partial")),
        visible_fraction=fractions,
        state=st.sampled_from(get_args(rec.State)),
        p_value=p_values,
        shortest_detectable_m=maybe() | lengths,
        reason=maybe() | texts,
        role=st.sampled_from(("track", "bridge")),
    ),
    st.builds(rec.TrackLook, ids, st.just("not-visible"), st.just(0.0), st.just("unknown"), maybe(), maybe(), texts),
)
aprons = st.builds(
    rec.ApronLook,
    apron=ids,
    visibility=st.sampled_from(get_args(rec.Visibility)),
    visible_fraction=fractions,
    fill_fraction=maybe() | fractions,
    fill_fraction_95=maybe() | pairs(fractions),
    smallest_detectable_m2=maybe() | lengths,
    reason=maybe() | texts,
)
scenes = st.builds(
    rec.SceneRecord,
    id=st.text(min_size=1, max_size=20),
    when=times,
    platform=maybe() | texts,
    sensor=st.text(min_size=1, max_size=20),
    gsd_m=st.floats(0.3, 30),
    status=st.sampled_from(get_args(rec.Status)),
    reason=maybe() | texts,
    clear_fraction=fractions,
    shift_m=maybe() | st.tuples(st.floats(-50, 50), st.floats(-50, 50)),
    shift_error_m=maybe() | st.floats(0, 5),
    sun_azimuth_deg=maybe() | st.floats(0, 360),
    sun_elevation_deg=maybe() | st.floats(-90, 90),
    simulated=st.booleans(),
    credit=maybe() | texts,
    tracks=st.lists(looks, max_size=3).map(tuple),
    aprons=st.lists(aprons, max_size=2).map(tuple),
    digests=digests,
    notes=st.lists(texts, max_size=2).map(tuple),
)
cars = st.builds(
    rec.Car,
    lengths,
    lengths,
    st.tuples(fractions, fractions, fractions),
    st.sampled_from((None, "locomotive")),
    maybe() | st.floats(0.6, 1),
)
counts = st.integers(0, 80)
movements = st.builds(
    rec.Movement,
    moving=maybe() | st.booleans(),
    speed_kmh=maybe() | st.floats(0, 130),
    speed_kmh_95=maybe() | pairs(st.floats(0, 130)),
    p_value=p_values,
    direction=maybe() | st.sampled_from(("forward", "backward")),
    bound_for=maybe() | st.sampled_from(("north", "south-west")),
)
observations = st.builds(
    rec.Observation,
    id=st.text("0123456789abcdef", min_size=16, max_size=16),
    kind=st.sampled_from(get_args(rec.Kind)),
    site=ids,
    scene=st.text(min_size=1, max_size=20),
    when=times,
    geometry=outlines(),
    track=maybe() | ids,
    tracks=st.lists(ids, max_size=3).map(tuple),
    apron=maybe() | ids,
    start_m=maybe() | lengths,
    end_m=maybe() | lengths,
    length_m=maybe() | lengths,
    length_m_95=maybe() | pairs(lengths),
    railcars=maybe() | counts,
    railcars_95=maybe() | pairs(counts),
    cars=st.lists(cars, max_size=3).map(tuple),
    area_m2=maybe() | lengths,
    area_m2_95=maybe() | pairs(lengths),
    height_m=maybe() | st.floats(0, 9),
    height_m_95=maybe() | pairs(st.floats(0, 9)),
    p_value=p_values,
    likelihood=st.sampled_from([term for _, _, term in TERMS]),
    change=st.sampled_from(get_args(rec.Direction)),
    last_clear_before=maybe() | times,
    first_seen=times,
    same_as=maybe() | ids,
    same_as_p=maybe() | p_values,
    same_as_site=maybe() | ids,
    same_as_when=maybe() | times,
    text=texts,
    area_m2_before_95=maybe() | pairs(lengths),
    movement=maybe() | movements,
)
detections = st.builds(
    rec.Detections,
    site=ids,
    site_name=st.text(min_size=1, max_size=20),
    created=times,
    software=st.dictionaries(ids, texts, max_size=2),
    parameters=st.dictionaries(ids, maybe() | st.floats(0, 0.5) | texts, max_size=3),
    scenes=st.lists(scenes, max_size=3).map(tuple),
    observations=st.lists(observations, max_size=3).map(tuple),
    summary=st.lists(texts, max_size=3).map(tuple),
    warnings=st.lists(texts, max_size=3).map(tuple),
    aoi_digest=st.just("") | st.text("0123456789abcdef", min_size=64, max_size=64),
)


@settings(max_examples=60)
@given(detections)
def test_what_is_written_is_valid_and_reads_back(made: rec.Detections) -> None:
    text = dumps(to_document(made))
    document = json.loads(text)
    VALID.validate(document)
    read = from_document(document)
    assert dumps(to_document(read)) == text
    assert (read.site, read.created, read.summary) == (made.site, made.created, made.summary)
    for ours, theirs in zip(made.observations, read.observations, strict=True):
        assert (
            theirs.geometry.equals_exact(ours.geometry, 1e-6)
            or theirs.geometry.hausdorff_distance(ours.geometry) < 1e-6
        )
        assert theirs.p_value == pytest.approx(max(ours.p_value, 1e-300), rel=1e-3)
        assert theirs.length_m == (None if ours.length_m is None else pytest.approx(ours.length_m, abs=0.0501))
        assert theirs.same_as_when == ours.same_as_when


@given(observations)
@settings(max_examples=30)
def test_rings_turn_the_way_of_rfc_7946(seen: rec.Observation) -> None:
    [feature] = observations_geojson(_run(seen))["features"]
    assert shape(feature["geometry"]).exterior.is_ccw


WHEN = datetime(2022, 11, 30, 2, 11, tzinfo=UTC)


def _observation(**changes: Any) -> rec.Observation:
    plain: dict[str, Any] = dict.fromkeys(rec.Observation.__dataclass_fields__)
    plain |= {
        "id": "0123456789abcdef",
        "kind": "train",
        "site": "yard",
        "scene": "s1",
        "when": WHEN,
        "geometry": box(130.0, 42.0, 130.001, 42.001),
        "tracks": (),
        "cars": (),
        "p_value": 1e-9,
        "likelihood": "almost certain",
        "change": "arrived",
        "first_seen": WHEN,
        "text": "A train.",
    }
    return rec.Observation(**(plain | changes))


def _scene(**changes: Any) -> rec.SceneRecord:
    plain: dict[str, Any] = dict.fromkeys(
        ("platform", "reason", "shift_m", "shift_error_m", "sun_azimuth_deg", "sun_elevation_deg", "credit")
    )
    plain |= {"id": "s1", "when": WHEN, "sensor": "x, 3 m", "gsd_m": 3.0, "status": "used", "clear_fraction": 1.0}
    return rec.SceneRecord(**(plain | {"simulated": False, "tracks": ()} | changes))


def _run(*seen: rec.Observation, scenes: tuple[rec.SceneRecord, ...] = ()) -> rec.Detections:
    return rec.Detections("yard", "Yard", WHEN, {"rail-watch": "1"}, {}, scenes, seen, ())


def test_numbers_are_rounded_and_never_nan() -> None:
    seen = _observation(
        length_m=111.36, length_m_95=(109.04, math.nan), p_value=0.0, start_m=-0.01, same_as_p=1.23456e-7
    )
    look = rec.TrackLook("t1", "clear", 0.999999, "empty", math.nan, math.inf)
    document = to_document(_run(seen, scenes=(_scene(tracks=(look,), shift_m=(0.12345, math.nan)),)))
    of = document["observations"]["features"][0]["properties"]
    assert (of["length_m"], of["length_m_95"], of["p_value"], of["same_as_p"]) == (111.4, None, 1e-300, 1.235e-07)
    assert str(of["start_m"]) == "0.0"
    row = document["scenes"][0]["tracks"][0]
    assert (row["visible_fraction"], row["p_value"], row["shortest_detectable_m"]) == (1.0, None, None)
    assert document["scenes"][0]["shift_m"] is None
    with pytest.raises(ValueError, match="JSON"):
        dumps({"bad": math.nan})


def test_times_are_utc() -> None:
    seoul = timezone(timedelta(hours=9))
    moved = _observation(when=datetime(2022, 11, 30, 11, 11, 0, 5000, tzinfo=seoul))
    of = to_document(_run(moved))["observations"]["features"][0]["properties"]
    assert of["datetime"] == "2022-11-30T02:11:00.005000Z" and of["first_seen"] == "2022-11-30T02:11:00Z"


def test_the_order_of_members_is_that_of_the_format() -> None:
    document = to_document(_run(_observation(), scenes=(_scene(),)))
    assert list(document)[:2] == ["schema", "aoi"] and list(document)[-2:] == ["summary", "warnings"]
    assert list(document["scenes"][0])[:2] == ["id", "datetime"]
    assert list(document["observations"]["features"][0]) == ["type", "id", "geometry", "properties"]


def test_bridges_aprons_and_simulation_are_told() -> None:
    bridge = rec.TrackLook("deck", "clear", 1.0, "empty", 0.4, 30.0, role="bridge")
    apron = rec.ApronLook("a1", "clear", 1.0, 0.25, (0.2, 0.3), 8.0)
    document = to_document(_run(_observation(), scenes=(_scene(tracks=(bridge,), aprons=(apron,), simulated=True),)))
    [scene] = document["scenes"]
    assert scene["tracks"][0]["role"] == "bridge" and scene["aprons"][0]["fill_fraction"] == 0.25
    assert document["simulated"] and document["observations"]["features"][0]["properties"]["simulated"]


def test_what_crosses_the_antimeridian_is_cut_there() -> None:
    across, beyond = box(179.999, 10, 180.001, 10.001), box(180.5, 10, 180.501, 10.001)
    features = observations_geojson(_run(_observation(geometry=across), _observation(geometry=beyond)))["features"]
    assert features[0]["geometry"]["type"] == "MultiPolygon"
    parts = shape(features[0]["geometry"]).geoms
    assert [part.bounds[0] < 0 for part in parts] == [False, True]
    assert all(abs(x) <= 180 for part in parts for x in (part.bounds[0], part.bounds[2]))
    assert shape(features[1]["geometry"]).bounds == pytest.approx((-179.5, 10, -179.499, 10.001))
    document = to_document(_run(_observation(geometry=across)))
    VALID.validate(document)
    assert from_document(document).observations[0].geometry.symmetric_difference(across).area < 1e-12
    slanting = affinity.rotate(across, 30)
    document = to_document(_run(_observation(geometry=slanting)))
    assert to_document(from_document(document)) == document


def test_a_car_without_a_colour_has_none() -> None:
    car = rec.Car(0.0, 13.9, (math.nan, math.nan, math.nan), None)
    document = to_document(_run(_observation(cars=(car,))))
    VALID.validate(document)
    assert document["observations"]["features"][0]["properties"]["cars"][0]["rgb"] is None
    assert to_document(from_document(document)) == document


def test_a_car_of_unknown_kind_as_it_was_once_written_has_none() -> None:
    document = to_document(_run(_observation(cars=(rec.Car(0.0, 13.9, (0.2, 0.2, 0.2), "box", 0.8),))))
    (car,) = document["observations"]["features"][0]["properties"]["cars"]
    assert (car["kind"], car["kind_p"]) == ("box", 0.8)
    car["kind"] = "unknown"
    del car["kind_p"]
    (read,) = from_document(document).observations[0].cars
    assert (read.kind, read.kind_p) == (None, None)


def test_what_is_wrong_with_a_document_is_said_of_the_member() -> None:
    document = to_document(_run(scenes=(_scene(status="done"),)))
    for made, path in ((document, ["scenes", 0]), (document_set([document]), ["documents", 0, "scenes", 0])):
        [error] = VALID.iter_errors(made)
        assert (list(error.absolute_path), error.instance) == ([*path, "status"], "done")


def test_a_set_is_valid() -> None:
    VALID.validate(document_set([to_document(_run()), to_document(_run(_observation()))]))


def test_the_schema_is_a_schema_and_holds_the_line_on_clouds() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    look = rec.TrackLook("t1", "not-visible", 0.0, "empty", None, None, "cloud")
    assert not VALID.is_valid(to_document(_run(scenes=(_scene(tracks=(look,)),))))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda d: d.update(schema="other/1"), "not a detections document"),
        (lambda d: d.pop("scenes"), "lacks the member 'scenes'"),
        (lambda d: d.update(created="yesterday"), "wrong kind"),
        (lambda d: d.update(created="2022-11-30T02:11:00"), "no time zone"),
        (lambda d: d.update(scenes=5), "wrong kind"),
        (
            lambda d: d["observations"]["features"][0].update(geometry={"type": "Point", "coordinates": [1, 2]}),
            "one polygon",
        ),
        (
            lambda d: d["observations"]["features"][0].update(geometry={"type": "Polygon", "coordinates": [[[0, 0]]]}),
            "wrong",
        ),
        (lambda d: d["observations"]["features"][0]["properties"].pop("kind"), "lacks the member 'kind'"),
    ],
)
def test_damaged_documents_are_refused_in_one_line(damage: Any, words: str) -> None:
    document = to_document(_run(_observation(), scenes=(_scene(),)))
    damage(document)
    with pytest.raises(BadInput, match=words) as caught:
        from_document(document)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("thing", [None, [], "text", 5])
def test_what_is_no_document_is_refused(thing: object) -> None:
    with pytest.raises(BadInput, match="not a detections document"):
        from_document(thing)
