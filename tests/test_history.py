"""Stays, windows and novelty follow from the look log; reviews stand beside, and runs can be compared."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from archive_material import day, detections, home_arguments, keep, scene, train
from hypothesis import given
from hypothesis import strategies as st

from rail_watch.archive import Archive
from rail_watch.archive import history as history_module
from rail_watch.archive.compare import compare
from rail_watch.archive.history import History, history_of, months
from rail_watch.archive.novelty import may_be_new, novelties
from rail_watch.archive.review import Review, agreement, keep_reviews, reviews_by_observation
from rail_watch.archive.runs import run_named
from rail_watch.archive.stays import Look, Stay, looks_between, stays, stays_of
from rail_watch.cli.main import run
from rail_watch.errors import BadInput
from rail_watch.evaluate.reviews import review_figures, reviewed
from rail_watch.observe.records import Observation


def call(archive: Archive, *arguments: str) -> int:
    return run([*home_arguments(archive), *arguments])


def look(number: int, state: str = "empty", limit: float | None = 40.0, *, sensor: str = "fine") -> Look:
    seen = "not-visible" if state == "unknown" else "clear"
    return Look(f"scene-{number:03d}", day(number), sensor, 3.0, "track", "t1", state, seen, None, limit, None, None)


def window(stay: Stay) -> tuple[object, ...]:
    before, after = stay.absent_before, stay.absent_after
    return before and before.when, stay.first.when, stay.last.when, after and after.when


def test_a_train_came_and_left_between_looks() -> None:
    looks = [look(0), look(1), look(2, "occupied"), look(3, "occupied"), look(5)]
    (stay,) = stays_of(looks, [train(2), train(3, 101, 303)])
    assert window(stay) == (day(1), day(2), day(3), day(5))
    assert stay.dwell() == (timedelta(days=1), timedelta(days=4))


@pytest.mark.parametrize(
    "blind",
    [look(4, "unknown", None), look(4, "empty", 250.0), look(4, "empty", None), replace(look(4), visibility="partial")],
)
def test_a_look_that_could_not_have_shown_it_says_nothing(blind: Look) -> None:
    (stay,) = stays_of([look(2, "occupied"), blind], [train(2)])
    assert window(stay) == (None, day(2), day(2), None) and stay.dwell() == (timedelta(0), None)


def test_another_train_elsewhere_on_the_track_shows_that_the_first_has_left() -> None:
    found = stays_of([look(1, "occupied"), look(2, "occupied")], [train(1), train(2, 400, 550)])
    assert [window(stay) for stay in found] == [(None, day(1), day(1), day(2)), (day(1), day(2), day(2), None)]


def test_a_train_half_across_the_place_leaves_it_open() -> None:
    found = stays_of([look(1, "occupied"), look(2, "occupied")], [train(1), train(2, 250, 450)])
    assert [stay.absent_after for stay in found] == [None, None]


def test_two_sensors_may_place_the_ends_of_one_train_differently() -> None:
    looks = [look(1, "occupied"), look(2, "occupied", sensor="coarse")]
    assert len(stays_of(looks, [train(1), train(2, 180, 420)])) == 1
    assert len(stays_of([looks[0], look(2, "occupied")], [train(1), train(2, 180, 420)])) == 2


@given(st.lists(st.sampled_from("oeu"), min_size=1, max_size=12))
def test_every_sighting_belongs_to_one_stay_and_windows_hold(states: list[str]) -> None:
    words = {"o": "occupied", "e": "empty", "u": "unknown"}
    looks = [look(n, words[s], None if s == "u" else 40.0) for n, s in enumerate(states)]
    seen = [train(n) for n, s in enumerate(states) if s == "o"]
    found = stays_of(looks, seen)
    assert sorted(one.id for stay in found for one in stay.sightings) == sorted(one.id for one in seen)
    groups = "".join(states).replace("u", "").strip("e").split("e")
    assert len(found) == len([group for group in groups if group])
    for stay in found:
        before, after = stay.absent_before, stay.absent_after
        assert before is None or before.when < stay.first.when
        assert after is None or after.when > stay.last.when


def new_on_record(looks: list[Look], seen: list[Observation]) -> tuple[str, ...]:
    everything = stays_of(looks, seen)
    return novelties(everything[-1], looks, everything, name="track 1")


def test_first_on_record_names_the_looks_behind_it() -> None:
    assert new_on_record([*map(look, range(6)), look(6, "occupied")], [train(6)]) == (
        "First train on track 1 on record: 6 clear looks since 2023-10-01 would each have shown a train of 40 m or "
        "longer, and none did.",
    )


def test_first_since_counts_only_looks_that_would_have_shown_it() -> None:
    looks = [
        look(0, "occupied"),
        *map(look, range(1, 6)),
        look(6, "unknown", None),
        look(7, limit=300),
        look(8, "occupied"),
    ]
    assert new_on_record(looks, [train(0), train(8)]) == (
        "First train on track 1 since 2023-10-01: 5 clear looks in between would each have shown a train of 40 m or "
        "longer, and none did.",
    )


@pytest.mark.parametrize("blind", [look(3, "unknown", None), look(3, limit=300), look(3, limit=None)])
def test_too_few_clear_looks_say_nothing_new(blind: Look) -> None:
    looks = [*map(look, range(3)), blind, look(4), look(5, "occupied")]
    assert new_on_record(looks, [train(5)]) == ()


def test_longest_and_most_railcars_only_where_the_intervals_do_not_meet() -> None:
    looks = [look(n, "occupied" if n in (1, 6) else "empty") for n in range(7)]
    far = "of 1 seen in 6 looks since 2023-10-01."
    assert new_on_record(looks, [train(1), train(6, 100, 420)])[-2:] == (
        f"Longest train on record at this site, {far}",
        f"Most railcars on record at this site, {far}",
    )
    assert new_on_record(looks, [train(1), train(6, 100, 308)]) == ()
    uncounted = train(1, railcars=None, railcars_95=None)
    assert new_on_record(looks, [uncounted, train(6, 100, 420)])[-1:] == (
        f"Longest train on record at this site, {far}",
    )


@given(st.lists(st.sampled_from(["e", "u", "s", "l"]), min_size=1, max_size=30), st.integers(1, 25))
def test_a_stretch_of_the_record_never_hides_what_the_whole_would_tell(states: list[str], kept: int) -> None:
    """Trains, short (s) and long (l); the last look always shows one."""
    words = {"e": "empty", "u": "unknown"}
    looks = [look(n, words.get(s, "occupied"), None if s == "u" else 40.0) for n, s in enumerate([*states, "l"])]
    seen = [train(n, 100, 220 if s == "s" else 420) for n, s in enumerate([*states, "l"]) if s in "sl"]
    whole = stays_of(looks, seen)
    first = len(states) - kept
    part = stays_of(looks[max(first, 0) :], [one for one in seen if one.when >= day(first)])
    if whole[-1].first.id == part[-1].first.id and novelties(whole[-1], looks, whole, name="t1"):
        assert may_be_new(part[-1], looks[max(first, 0) :], part)


def fill(archive: Archive) -> None:
    scenes = [scene(0), scene(1, "oe"), scene(2, "oe"), scene(3, "uu"), scene(35, "ee"), scene(36, "eo")]
    keep(archive, detections(scenes, [train(1), train(2), train(36, track="t2")]))


def history(archive: Archive) -> History:
    return history_of(archive, "yard")


def test_months_have_their_looks_beside_them(archive: Archive) -> None:
    fill(archive)
    october, november = months(history(archive))
    assert (october["looks"], october["clear_looks"], october["trains"]) == (4, 3, 1)
    assert (october["track_looks_known"], october["track_looks_occupied"]) == (6, 2)
    assert november["trains"] == 1 and november["occupied_share"] == 0.25


def test_each_date_is_put_into_its_month_once(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(archive)
    found, month, asked = history(archive), history_module._month, []
    monkeypatch.setattr(history_module, "_month", lambda when: asked.append(when) or month(when))
    assert len(months(found)) == 2
    assert len(asked) == len(found.looks) + sum(len(stay.sightings) for stay in found.stays)


def test_one_look_bounds_no_stay(archive: Archive, capsys: pytest.CaptureFixture[str]) -> None:
    keep(archive, detections([scene(0, "oe")], [train(0, 100, 114)]))
    assert call(archive, "history", "--aoi", "yard") == 0
    assert capsys.readouterr().out.splitlines()[1:] == [
        "2023-10-01 02:30  train on t1: 14 m, 1 railcar",
        "    seen in 1 look, last 2023-10-01 02:30, not seen to leave",
        "Not seen to leave: no look since would have shown it and did not.",
    ]


def test_an_interval_keeps_what_bounds_its_stays(archive: Archive) -> None:
    fill(archive)
    found = history_of(archive, "yard", (day(2), day(4)))
    assert [window(stay) for stay in found.stays] == [(day(0), day(1), day(2), day(35))]
    assert {look.when for look in found.looks} == {day(2), day(3)}
    assert len(looks_between(archive, "yard", day(2), day(4))) == len(found.looks)
    assert len(stays(archive, "yard")) == 2


def test_the_table_reads_and_marks_what_is_simulated(archive: Archive, capsys: pytest.CaptureFixture[str]) -> None:
    fill(archive)
    assert call(archive, "history", "--aoi", "yard") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "The yard (yard)  SIMULATED imagery"
    assert lines[1] == "2023-10-02 02:30  train on t1: 200 m, 14 railcars"
    assert lines[2] == (
        "    came after 2023-10-01 02:30, seen in 2 looks, last 2023-10-03 02:30, left by 2023-11-05 02:30; "
        "stood 24 h to 35.0 d"
    )
    assert call(archive, "history", "--aoi", "yard", "--what", "looks") == 0
    assert "2023-10-04 02:30   ?  ?  ?  test-sat" in capsys.readouterr().out
    assert call(archive, "history", "--aoi", "yard", "--what", "months") == 0
    assert "2023-10      4      3       1" in capsys.readouterr().out


@pytest.mark.parametrize("what", ["stays", "looks", "months"])
def test_csv_cannot_be_a_formula(archive: Archive, what: str, capsys: pytest.CaptureFixture[str]) -> None:
    bad = replace(scene(0, "oe"), sensor="=cmd|' /C calc'!A0", tracks=scene(0, "oe").tracks)
    keep(archive, detections([bad], [train(0, likelihood="+1")]))
    assert call(archive, "history", "--aoi", "yard", "--what", what, "--format", "csv") == 0
    rows = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    assert len(rows) >= 2 and all(cell[:1] not in ("=", "+", "@") for row in rows for cell in row)


def test_json_and_geojson(archive: Archive, capsys: pytest.CaptureFixture[str]) -> None:
    fill(archive)
    assert call(archive, "history", "--aoi", "yard", "--format", "json", "--datetime", "2023") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["simulated"] and len(document["stays"]) == 2 and document["looks"][1]["detectable"] == 40.0
    assert document["stays"][0]["came_after"] == "2023-10-01T02:30:00Z"
    assert call(archive, "history", "--aoi", "yard", "--format", "geojson") == 0
    features = json.loads(capsys.readouterr().out)["features"]
    assert [one["geometry"]["type"] for one in features] == ["Polygon"] * 2


def test_an_unknown_site_is_named(archive: Archive, capsys: pytest.CaptureFixture[str]) -> None:
    fill(archive)
    assert call(archive, "history", "--aoi", "nowhere") == 2
    assert "nowhere: the archive holds no such site; it holds yard" in capsys.readouterr().err


def test_reviews_stand_beside_the_machines_answer(
    archive: Archive, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    fill(archive)
    before = archive.rows("SELECT feature FROM observation ORDER BY id")
    name = train(1).id
    assert call(archive, "review", "add", name, "confirm", "--reviewer", "Kim", "--note", "two tones") == 0
    later = Review(name, "Lee", day(200), "correct", railcars=13)
    assert keep_reviews(archive, [later, later]) == 1 and keep_reviews(archive, [later]) == 0
    keep_reviews(archive, [Review(train(36, track="t2").id, "Kim", day(1), "reject")])
    assert archive.rows("SELECT feature FROM observation ORDER BY id") == before
    found = agreement(reviews_by_observation(archive, "yard"))
    assert (found.confirmed, found.corrected, found.rejected, found.share) == (0, 1, 1, 0.5)
    capsys.readouterr()
    assert call(archive, "review", "agreement", "--aoi", "yard") == 0
    assert "in 50% (95 %: 9%-91%)" in capsys.readouterr().out
    assert call(archive, "history", "--aoi", "yard") == 0
    assert "    Kim: confirm two tones\n" in capsys.readouterr().out
    assert call(archive, "review", "list", "--aoi", "yard") == 0
    assert capsys.readouterr().out.startswith(f"{train(2).id}  2023-10-03 02:30  A train")


def test_reviews_go_out_and_come_in_by_file(
    archive: Archive, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(archive)
    given_ = Review(train(1).id, "=Kim", day(1), "correct", railcars=12, length_m=180.5, note="+ long")
    keep_reviews(archive, [given_])
    assert call(archive, "review", "export", "--aoi", "yard") == 0
    text = capsys.readouterr().out
    assert ",'=Kim," in text
    (tmp_path / "reviews.csv").write_text(text, encoding="utf-8")
    assert call(archive, "review", "import", str(tmp_path / "reviews.csv")) == 0
    assert capsys.readouterr().out == "0 kept, 1 were there already\n"
    other = [{"observation": train(2).id, "reviewer": "Lee", "at": "2023-12-01T00:00:00Z", "verdict": "reject"}]
    (tmp_path / "reviews.json").write_text(json.dumps(other), encoding="utf-8")
    assert call(archive, "review", "import", str(tmp_path / "reviews.json")) == 0
    assert capsys.readouterr().out == "1 kept\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[", "neither CSV nor JSON"),
        ("{}", "must be a list"),
        ('[{"observation": "x"}]', "review 1: lacks"),
        ('[{"observation": "x", "reviewer": "k", "at": "soon", "verdict": "reject"}]', "review 1: Invalid"),
        ('[{"observation": "x", "reviewer": "k", "at": "2023-01-01", "verdict": "maybe"}]', "must be one of"),
        ('[{"observation": "x", "reviewer": " ", "at": "2023-01-01", "verdict": "note"}]', "who reviews"),
        ('[{"observation": "x", "reviewer": "k", "at": "2023-01-01", "verdict": "correct"}]', "needs railcars"),
        (
            '[{"observation": "x", "reviewer": "k", "at": "2023-01-01", "verdict": "correct", "railcars": -1}]',
            "from 0 to 1000",
        ),
        (
            '[{"observation": "x", "reviewer": "k", "at": "2023-01-01", "verdict": "correct", "length_m": NaN}]',
            "length in metres",
        ),
        ('[{"observation": "x", "reviewer": "k", "at": "2023-01-01", "verdict": "note"}]', "no such observation"),
        ("[" * 100_000, "neither CSV nor JSON"),
    ],
)
def test_a_wrong_file_of_reviews_is_one_line(
    archive: Archive, tmp_path: Path, text: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "reviews.json"
    file.write_text(text, encoding="utf-8")
    assert call(archive, "review", "import", str(file)) == 2
    err = capsys.readouterr().err
    assert words in err and err.count("\n") == 1
    with pytest.raises(BadInput):
        keep_reviews(archive, [Review("x", "k" * 200, day(1), "note")])


def test_asking_in_the_terminal(archive: Archive) -> None:
    from click.testing import CliRunner

    from rail_watch.cli.main import cli

    fill(archive)
    asked = [*home_arguments(archive), "review", "ask", "--aoi", "yard", "--reviewer", "Kim"]
    done = CliRunner().invoke(cli, asked, input="c\nclear\no\n12\n\ns\n")
    assert done.exit_code == 0, done.output
    verdicts = [one[0]["verdict"] for one in reviews_by_observation(archive, "yard").values()]
    assert sorted(verdicts) == ["confirm", "correct"]


def test_two_runs_are_compared(archive: Archive, capsys: pytest.CaptureFixture[str]) -> None:
    keep(archive, detections([scene(0, "oe"), scene(1, "ee")], [train(0)]))
    again = detections([scene(0, "ee"), scene(2), scene(1, "uu")], [], version="0.2.0")
    keep(archive, again, run="r2")
    first, second = run_named(archive, "r1"), run_named(archive, "r2")
    assert first is not None and second is not None
    found = compare(archive, first, second)
    assert (found.shared, found.only_before, found.only_after) == (2, 0, 1)
    assert call(archive, "diff", "r1", "r2", "--exit-code") == 10
    out = capsys.readouterr().out
    assert "yard  t1: occupied -> empty  (scene-000)" in out and "train of 200 m -> nothing" in out
    assert "scene: used -> skipped" in out and "a1: empty -> unknown" in out
    assert call(archive, "diff", "r1", "r1", "--exit-code") == 0
    assert "They say the same." in capsys.readouterr().out
    assert call(archive, "diff", "r1", "r9") == 2
    assert "no such run; the latest are r2, r1" in capsys.readouterr().err


def test_reviews_score_the_machine(archive: Archive, capsys: pytest.CaptureFixture[str]) -> None:
    fill(archive)
    other = replace(scene(40, "oe"), sensor="other-sat")
    keep(archive, detections([other], [train(40, kind="train-on-bridge")]), run="r2")
    one, two, three, four = train(1).id, train(2).id, train(36, track="t2").id, train(40).id
    keep_reviews(
        archive,
        [
            Review(one, "Kim", day(50), "confirm"),
            Review(two, "Kim", day(50), "reject"),
            Review(two, "Lee", day(51), "correct", railcars=11),
            Review(three, "Kim", day(50), "reject"),
            Review(three, "Kim", day(51), "note", note="a shadow"),
            Review(four, "Kim", day(50), "note"),
        ],
    )
    everything, *groups = review_figures(reviewed(archive))
    assert (everything.confirmed, everything.corrected, everything.rejected, everything.disputed) == (1, 1, 1, 1)
    # Wilson's interval for 2 of 3, by hand.
    assert everything.precision == pytest.approx(2 / 3)
    assert everything.precision_95 == pytest.approx((0.2077, 0.9385), abs=1e-4)
    # 14 railcars said of each; 14 confirmed, 11 counted, and 13-15 was the machine's interval.
    assert (everything.counts, everything.count_error, everything.count_bias) == (2, 1.5, 1.5)
    assert everything.count_covered == 0.5
    assert [(one.group, one.name) for one in groups] == [
        ("site", "yard"),
        ("kind", "train"),
        ("sensor", "test-sat, 3 m"),
    ]
    keep_reviews(archive, [Review(four, "Kim", day(52), "reject")])
    by_name = {one.name: one for one in review_figures(reviewed(archive, ["yard"]))}
    assert by_name["other-sat"].precision == by_name["train-on-bridge"].precision == 0.0
    assert by_name["other-sat"].count_error is None and by_name["test-sat, 3 m"].precision == pytest.approx(2 / 3)

    assert call(archive, "evaluate", "--reviews") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "4 observations with a verdict, SIMULATED"
    assert lines[2].split() == ["all", "4", "0.50", "0.15-0.85", "1.5", "2"]
    assert lines[-1].startswith("Of 1 people disagree")
    assert call(archive, "evaluate", "--reviews", "--aoi", "yard", "--format", "json") == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["schema"], document["reviewed"]) == ("rail-watch/review-evaluation/1", 4)
    assert document["results"][0]["precision_95"] == pytest.approx([0.150036, 0.849964], abs=1e-6)


def test_reviews_of_nothing_and_of_no_such_site(archive: Archive, capsys: pytest.CaptureFixture[str]) -> None:
    fill(archive)
    assert call(archive, "evaluate", "--reviews") == 0
    assert "Nobody has given a verdict yet" in capsys.readouterr().out
    assert call(archive, "evaluate", "--reviews", "--aoi", "gone") == 2
    assert "holds no such site; it holds yard" in capsys.readouterr().err
    for wrong in (("--reviews", "--series", "."), ("--aoi", "yard"), ()):
        assert call(archive, "evaluate", *wrong) == 2
