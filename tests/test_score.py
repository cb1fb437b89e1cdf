"""The scorer against hand-made truths and documents whose marks are known beforehand."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapely import Polygon

from rail_watch.aoi.site import Area, Site, Track
from rail_watch.errors import BadInput
from rail_watch.evaluate import SceneScore, figures, parse_truth, read_truth, score
from rail_watch.evaluate.figures import MEASURES, same_train_auc, sure_ratio
from rail_watch.evaluate.match import Yard, iou, pair_areas
from rail_watch.evaluate.score import SameTrain, Sighting
from rail_watch.evaluate.standards import Goal, goals_for, standards_for
from rail_watch.grid import WGS84, local_crs, transformer

LON, LAT = 18.0, 47.0
SCHEMA = Path(__file__).parent.parent / "rail_watch/evaluate/schema/truth.schema.json"


def lonlat(xy: Any) -> np.ndarray:
    """Metres east and north of the site's middle to degrees."""
    x, y = np.asarray(xy, float).T
    return np.column_stack(transformer(local_crs(LON, LAT), WGS84).transform(x, y))


def box(x0: float, y0: float, x1: float, y1: float) -> list[list[float]]:
    return lonlat([(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)]).tolist()


def site(spacing: float = 5.0) -> Site:
    """Three tracks of 500 m eastward; the third begins 100 m later and runs the other way."""
    from shapely import LineString

    ends = {"t1": (0, 500), "t2": (0, 500), "t3": (600, 100)}
    tracks = tuple(
        Track(name, name, LineString(lonlat([(a, k * spacing), (b, k * spacing)])))
        for k, (name, (a, b)) in enumerate(ends.items())
    )
    apron = Area("a1", "Apron", Polygon(box(100, 30, 200, 50)))
    return Site("yard", "Yard", Polygon(box(-50, -50, 650, 100)), tracks, aprons=(apron,))


def train(start: float, end: float, cars: int = 10, **more: Any) -> dict[str, Any]:
    return {"id": "c1", "start_m": start, "end_m": end, "railcars": cars, "visible_fraction": 1.0} | more


def truth(*tracks: list[dict[str, Any]], gsd: float = 0.5, **scene: Any) -> dict[str, Any]:
    rows = [
        {"track": f"t{k + 1}", "visible_fraction": 1.0, "trains": trains}
        for k, trains in enumerate([*tracks, [], [], []][:3])
    ]
    body = {"id": "s1", "datetime": "2024-05-01T10:00:00Z", "shift_m": None, "tracks": rows} | scene
    return {"schema": "rail-watch/truth/1", "aoi": "yard", "gsd_m": gsd, "scenes": [body]}


def claim(track: str, start: float, end: float, *, scene: str = "s1", y: float | None = None, **more: Any) -> dict:
    """A claimed train; its outline is where t1 and t2 have it, or for t3 counted from the east."""
    row = {"t1": 0.0, "t2": 5.0, "t3": 10.0}[track] if y is None else y
    a, b = (600 - end, 600 - start) if track == "t3" else (start, end)
    properties = {
        "kind": "train",
        "scene": scene,
        "track": track,
        "tracks": [track],
        "start_m": start,
        "end_m": end,
        "length_m": end - start,
        "length_m_95": [end - start - 2, end - start + 2],
        "railcars": 10,
        "railcars_95": [9, 11],
    }
    geometry = {"type": "Polygon", "coordinates": [box(a, row - 1.6, b, row + 1.6)]}
    return {"type": "Feature", "id": f"{scene}-{track}-{start}", "geometry": geometry, "properties": properties | more}


def cargo(outline: list[list[float]], area: float) -> dict[str, Any]:
    properties = {"kind": "cargo", "scene": "s1", "track": None, "tracks": [], "area_m2": area}
    geometry = {"type": "Polygon", "coordinates": [outline]}
    return {"type": "Feature", "id": f"pile-{outline[0]}", "geometry": geometry, "properties": properties}


def answers(*claims: dict[str, Any], states: str = "eee", p: float = 0.5, **scene: Any) -> dict[str, Any]:
    words = {"e": "empty", "o": "occupied", "u": "unknown"}
    rows = [
        {"track": f"t{k + 1}", "state": words[s], "p_value": p, "shortest_detectable_m": 14.0}
        for k, s in enumerate(states)
    ]
    body = {"id": "s1", "status": "used", "shift_m": None, "tracks": rows} | scene
    return {"schema": "rail-watch/detections/1", "scenes": [body], "observations": {"features": list(claims)}}


def marks(true: dict[str, Any], said: dict[str, Any]) -> SceneScore:
    return score(said, parse_truth(true), site())[0]


def test_a_perfect_answer_scores_full_marks() -> None:
    own = marks(truth([train(100, 240)]), answers(claim("t1", 100, 240), states="oee"))
    assert (own.found, own.missed, own.false) == (1, 0, 0)
    assert own.state_right == (True, True, True)
    assert own.false_alarm == (False, False)
    assert own.p_values == (0.5, 0.5)
    assert own.length_error_m == (0.0,)
    assert own.length_covered == own.count_covered == (True,)


def test_a_missed_train_a_false_one_and_a_false_alarm() -> None:
    own = marks(truth([train(100, 240)]), answers(claim("t2", 300, 400), states="eoe"))
    assert (own.found, own.missed, own.false) == (0, 1, 1)
    assert own.state_right == (False, False, True)
    assert own.false_alarm == (True, False)


def test_half_a_train_is_not_the_train() -> None:
    own = marks(truth([train(100, 240)]), answers(claim("t1", 100, 160), states="oee"))
    assert (own.found, own.missed, own.false) == (0, 1, 1)


def test_a_short_train_is_neither_miss_nor_false_alarm() -> None:
    true = truth([train(100, 130, 2)], gsd=3.0)
    found = marks(true, answers(claim("t1", 100, 130), states="oee"))
    assert (found.found, found.missed, found.false) == (0, 0, 0)
    assert found.state_right == (True, True)
    assert (marks(true, answers()).missed, len(marks(true, answers()).state_right)) == (0, 2)


@pytest.mark.parametrize(("gsd", "expected"), [(0.5, (0, 1, 1)), (3.0, (1, 0, 0)), (10.0, (1, 0, 0))])
def test_the_neighbouring_track_is_accepted_where_the_sensor_mixes_them(
    gsd: float, expected: tuple[int, int, int]
) -> None:
    own = marks(truth([train(100, 300)], gsd=gsd), answers(claim("t2", 100, 300), states="eoe"))
    assert (own.found, own.missed, own.false) == expected


def test_a_neighbour_that_is_counted_from_its_other_end_is_compared_on_the_ground() -> None:
    own = marks(truth([], [train(200, 400)], gsd=3.0), answers(claim("t3", 200, 400), states="eeo"))
    assert own.found == 1
    far = marks(truth([], [train(200, 330)], gsd=3.0), answers(claim("t3", 200, 330), states="eeo"))
    assert far.found == 0


def test_two_tracks_away_is_never_accepted() -> None:
    own = marks(truth([train(200, 400)], gsd=10.0), answers(claim("t3", 200, 400), states="eeo"))
    assert (own.found, own.false) == (0, 1)


def test_under_cloud_only_unknown_is_right() -> None:
    true = truth([train(100, 240, visible_fraction=0.0)])
    for track in true["scenes"][0]["tracks"]:
        track["visible_fraction"] = 0.0
    assert marks(true, answers(states="uuu")).hidden_right == (True, True, True)
    blind = marks(true, answers(states="eeu"))
    assert blind.hidden_right == (False, False, True)
    assert (blind.missed, blind.state_right) == (0, ())


def test_a_train_half_under_cloud_counts_neither_way() -> None:
    true = truth([train(100, 240, visible_fraction=0.5)])
    true["scenes"][0]["tracks"][0]["visible_fraction"] = 0.6
    own = marks(true, answers(claim("t1", 170, 240), states="oee"))
    assert (own.found, own.missed, own.false) == (0, 0, 0)


def test_unknown_in_full_view_is_wrong() -> None:
    assert marks(truth([train(100, 240)]), answers(states="uue")).state_right == (False, False, True)


def test_a_scene_left_out_is_unknown_and_a_baseline_scene_is_not_asked_for() -> None:
    true = parse_truth(truth([train(100, 240)]))
    nothing = {"schema": "rail-watch/detections/1", "scenes": [], "observations": {"features": []}}
    own = score(nothing, true, site())[0]
    assert (own.missed, own.state_right) == (1, (False, False, False))
    assert score(answers(status="baseline"), true, site()) == ()


def test_intervals_that_miss_are_counted_as_such() -> None:
    said = claim("t1", 105, 240, length_m_95=[130, 138], railcars=9, railcars_95=[9, 9])
    own = marks(truth([train(100, 240)]), answers(said, states="oee"))
    assert own.length_error_m == (5.0,)
    assert own.count_error == (1.0,)
    assert own.length_covered == own.count_covered == (False,)


def test_cargo_found_missed_false_small_and_lorries() -> None:
    piles = [(110, 35, 120, 40), (150, 35, 160, 40), (170, 35, 172, 37)]
    true = truth(
        cargo=[
            {"area_m2": (c - a) * (d - b), "geometry": {"type": "Polygon", "coordinates": [box(a, b, c, d)]}}
            for a, b, c, d in piles
        ],
        aprons=[{"apron": "a1", "visible_fraction": 1.0, "fill_fraction": 0.052}],
        ignored=[{"geometry": {"type": "Polygon", "coordinates": [box(180, 35, 190, 38)]}}],
    )
    said = answers(
        cargo(box(110, 35.5, 120, 40), 45), cargo(box(180, 35, 190, 38), 30), cargo(box(130, 42, 135, 46), 20)
    )
    own = marks(true, said)
    assert (own.cargo_found, own.cargo_missed, own.cargo_false) == (1, 1, 1)
    assert own.fill_error[0] == pytest.approx(abs((45 + 30 + 20) / 2000 - 0.052), abs=1e-4)
    stated = answers(aprons=[{"apron": "a1", "fill_fraction": 0.06}])
    assert marks(true, stated).fill_error[0] == pytest.approx(0.008)


def test_shift_errors_are_taken_without_what_all_scenes_share() -> None:
    true, said = truth(gsd=3.0), answers()
    shifts = [((1.0, 2.0), (1.3, 2.0)), ((-1.0, 0.5), (-0.7, 0.5)), ((0.0, 0.0), (0.6, 0.0))]
    true["scenes"] = [true["scenes"][0] | {"id": f"s{k}", "shift_m": a} for k, (a, _) in enumerate(shifts)]
    said["scenes"] = [said["scenes"][0] | {"id": f"s{k}", "shift_m": b} for k, (_, b) in enumerate(shifts)]
    errors = [s.shift_error_px for s in score(said, parse_truth(true), site())]
    assert errors == [pytest.approx((0, 0)), pytest.approx((0, 0)), pytest.approx((0.1, 0))]


def test_the_same_train_again_rightly_and_wrongly_named() -> None:
    true, said = truth([train(100, 240)], [train(300, 440, id="c2")]), answers(states="ooe")
    first = true["scenes"][0]
    true["scenes"] = [first, copy.deepcopy(first) | {"id": "s2"}]
    said["scenes"] = [said["scenes"][0], said["scenes"][0] | {"id": "s2"}]
    said["observations"]["features"] = [
        claim("t1", 100, 240),
        claim("t2", 300, 440),
        claim("t1", 100, 240, scene="s2", same_as="s1-t1-100", same_as_p=0.01),
        claim("t2", 300, 440, scene="s2", same_as="s1-t1-100", same_as_p=0.2),
    ]
    own = score(said, parse_truth(true), site())
    assert own[0].same == (SameTrain(False, 0.0), SameTrain(False, 0.0))
    assert own[1].same == (SameTrain(True, 0.99), SameTrain(False, 0.8))
    assert same_train_auc(own) == (1.0, 4)


def test_a_claim_over_two_trains_shows_both() -> None:
    first = truth([train(100, 300, 14), train(304, 440, 10, id="c2")])
    second = truth([train(304, 440, 10, id="c2")], id="s2")
    both = first | {"scenes": [*first["scenes"], *second["scenes"]]}
    said = answers(claim("t1", 100, 440), claim("t1", 304, 440, scene="s2", same_as="s1-t1-100", same_as_p=0.01))
    said["scenes"].append(copy.deepcopy(said["scenes"][0]) | {"id": "s2"})
    marked = score(said, parse_truth(both), site())
    assert marked[0].shown == {"s1-t1-100": {"c1", "c2"}}
    assert marked[1].same == (SameTrain(True, 0.99),)


def test_only_trains_alone_and_in_view_tell_of_the_limit() -> None:
    alone = marks(truth([train(100, 160)], gsd=3.0), answers(claim("t1", 100, 160), states="oee"))
    assert [s.alone for s in alone.sightings] == [True]
    behind = marks(truth([train(100, 160), train(200, 260)]), answers(claim("t1", 100, 260), states="oee"))
    beside = [marks(truth([train(100, 160)], [train(300, 360)], gsd=gsd), answers()) for gsd in (0.5, 3.0)]
    assert [[s.alone for s in own.sightings] for own in (behind, *beside)] == [[False] * 2, [True] * 2, [False] * 2]
    hidden = answers(claim("t1", 100, 160), states="oee")
    hidden["scenes"][0]["tracks"][0]["visible_fraction"] = 0.6
    assert [s.alone for s in marks(truth([train(100, 160)]), hidden).sightings] == [False]


def test_neighbours_are_the_tracks_on_either_side() -> None:
    beside = Yard.of(site()).beside
    assert beside == {"t1": {"t2"}, "t2": {"t1", "t3"}, "t3": {"t2"}}
    assert Yard.of(site(spacing=20.0)).beside["t1"] == frozenset()


@given(st.floats(0, 500), st.floats(1, 300), st.floats(0, 500), st.floats(1, 300))
def test_overlap_is_symmetric_and_between_nought_and_one(a: float, long: float, b: float, wide: float) -> None:
    one, two = (a, a + long), (b, b + wide)
    assert iou(one, two) == iou(two, one)
    assert 0 <= iou(one, two) <= 1
    assert iou(one, one) == pytest.approx(1)


def test_areas_are_matched_once_and_best_first() -> None:
    square = Polygon([(0, 0), (10, 0), (10, 10), (0, 10)])
    shifted = Polygon([(2, 0), (12, 0), (12, 10), (2, 10)])
    assert pair_areas([square], [shifted, square], least=0.3) == {0: 1}


def test_figures_pool_scenes_and_give_intervals() -> None:
    scenes = [SceneScore(str(k), found=8, missed=1, false=1, p_values=(k / 40,)) for k in range(40)]
    found = figures(scenes, resamples=100)
    assert found["train_f1"].value == pytest.approx(16 / 18)
    assert found["train_f1"].interval_95 == pytest.approx((16 / 18, 16 / 18))
    assert found["p_uniform"].value is not None and found["p_uniform"].value > 0.9
    assert found["cargo_f1"].value is None
    assert set(found) == set(MEASURES)
    assert figures(scenes, resamples=50) == figures(scenes, resamples=50)


def test_bunched_p_values_are_found_out() -> None:
    scenes = [SceneScore(str(k), p_values=(0.01 + k / 1000,)) for k in range(100)]
    assert (figures(scenes, resamples=0)["p_uniform"].value or 0.0) < 1e-6


def test_a_true_detection_limit_measures_as_one() -> None:
    rng = np.random.default_rng(1)
    length = np.exp(rng.uniform(np.log(5), np.log(80), 3000))
    x = np.log(length / 20) * 6 + np.log(9)
    found = rng.random(3000) < 1 / (1 + np.exp(-x))
    sightings = tuple(Sighting(float(a), 20.0, bool(b)) for a, b in zip(length, found, strict=True))
    value = figures([SceneScore("s", sightings=sightings)], resamples=0)["limit_ratio"].value
    assert value == pytest.approx(1.0, abs=0.06)
    twice = tuple(replace(s, shortest_m=10.0) for s in sightings)
    value = figures([SceneScore("s", sightings=twice)], resamples=0)["limit_ratio"].value
    assert value == pytest.approx(2.0, abs=0.12)


def test_long_trains_that_were_missed_do_not_flatten_the_curve() -> None:
    rng = np.random.default_rng(4)
    ratios = np.exp(rng.uniform(np.log(0.4), np.log(10), 300))
    found = rng.random(300) < 1 / (1 + np.exp(-(np.log(9) + 8 * np.log(ratios))))
    plain = sure_ratio(ratios, found)
    found[np.argsort(ratios)[-3:]] = False
    assert plain == pytest.approx(1.0, abs=0.15) and sure_ratio(ratios, found) == pytest.approx(plain, abs=0.1)
    # More than a lapse now and then: half of them all.
    found[rng.random(300) < 0.5] = False
    assert (sure_ratio(ratios, found) or 0.0) > 10


def test_no_scenes_give_no_figures() -> None:
    assert all(figure.value is None for figure in figures([]).values())


def test_standards_and_goals_follow_the_pixel() -> None:
    assert [standards_for(g).shortest_train_m for g in (0.3, 0.5, 3.0, 10.0, 15.0)] == [12, 12, 40, 120, 120]
    assert set(goals_for(0.5)) >= set(goals_for(3.0)) >= set(goals_for(10.0))
    assert all(name in MEASURES for name in goals_for(0.5))
    assert Goal(0.93, 0.97).met(0.95) and not Goal(0.93, 0.97).met(0.99)
    assert [str(g) for g in (Goal(0.1, 0.2), Goal(low=1), Goal(high=2))] == ["0.1 to 0.2", ">= 1", "<= 2"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"schema": "other"}, '"schema" must be'),
        ({"scenes": 3}, "wrong type"),
        ({"scenes": [{"id": "s"}]}, "lacks the member 'tracks'"),
        ({"gsd_m": "half"}, "wrong type"),
    ],
)
def test_a_bad_truth_is_refused_in_one_line(change: dict[str, Any], words: str) -> None:
    with pytest.raises(BadInput, match=words) as caught:
        parse_truth(truth() | change)
    assert "\n" not in str(caught.value)


def test_a_truth_file_is_read_or_named_in_the_fault(tmp_path: Path) -> None:
    path = tmp_path / "truth.json"
    with pytest.raises(BadInput, match="cannot be read"):
        read_truth(path)
    path.write_text("{")
    with pytest.raises(BadInput, match=r"truth\.json: not valid JSON"):
        read_truth(path)
    path.write_text("[]")
    with pytest.raises(BadInput, match="not a truth document"):
        read_truth(path)
    path.write_text(json.dumps(truth([train(100, 240)])))
    assert read_truth(path) == parse_truth(truth([train(100, 240)]))


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"schema": "x"}, "not a detections document"),
        ({"schema": "rail-watch/detections/1"}, "lack the member 'observations'"),
        ({"schema": "rail-watch/detections/1", "observations": {"features": [3]}, "scenes": []}, "wrong type"),
    ],
)
def test_a_bad_document_is_refused(said: dict[str, Any], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        score(said, parse_truth(truth()), site())


def test_the_truth_format_is_published_and_holds_for_what_the_renderer_writes(tmp_path: Path) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    from tests.other_renderer.write import render_series

    schema = json.loads(SCHEMA.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    validator.validate(truth([train(100, 240)]))
    folder = render_series(10.0, 8, tmp_path / "series", scenes=2)
    validator.validate(json.loads((folder / "truth.json").read_text()))
