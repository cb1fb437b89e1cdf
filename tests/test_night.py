"""A night does what is due, once, and what is wrong with one site or scene stays with it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest
from archive_material import day
from watch_material import Clock, Yard, evening, exported, judge, night, report

from rail_watch import imagery
from rail_watch.aoi.site import Site
from rail_watch.archive import archive_path, open_archive
from rail_watch.archive.runs import runs
from rail_watch.archive.store import SqliteEngine, moment
from rail_watch.errors import ArchiveFault, Busy, NoUsableImagery
from rail_watch.imagery.interval import Interval
from rail_watch.watch.channels import channels_of
from rail_watch.watch.health import health_of, metrics
from rail_watch.watch.lock import one_run
from rail_watch.watch.night import Asked, Means, due_sites, run_night
from rail_watch.watch.outbox import send_all, teller
from rail_watch.watch.rules import Rule
from rail_watch.watch.sites import WatchedSite, next_due, slot_of


@pytest.fixture
def yard(tmp_path: Path) -> Yard:
    made = Yard(tmp_path)
    for number in range(4):
        made.add(number, "oe" if number == 2 else "ee")
    return made.write()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def judgements(home: Path) -> list[tuple[str, str]]:
    with open_archive(archive_path(home)) as archive:
        rows = archive.rows(
            "SELECT s.id, j.status FROM judgement AS j JOIN scene AS s ON s.number = j.scene ORDER BY 1"
        )
        return [(row[0], row[1]) for row in rows]


def test_the_first_check_takes_all_and_tells_what_came_and_went(yard: Yard, home: Path) -> None:
    done = night(home, [yard.watched()], evening(3))
    (one,) = done.sites
    assert (one.new_scenes, one.fault, one.unread) == (4, None, ())
    assert [piece.kind for piece in one.news] == ["train-arrived", "train-departed"]
    assert "200 m long, stands on t1" in one.news[0].sentence
    assert one.news[1].sentence.endswith("is gone: this look would have shown one of 40 m there.")
    folder = home / "reports" / "yard" / str(done.run)
    assert {path.name for path in folder.iterdir()} == {"detections.json", "overview.png"}


def test_a_second_run_of_the_night_changes_nothing(yard: Yard, home: Path) -> None:
    night(home, [yard.watched()], evening(3))
    before = exported(home)
    again = night(home, [yard.watched()], evening(3) + timedelta(hours=1))
    assert (again.run, again.sites, again.not_due) == (None, (), 1)
    assert exported(home) == before


def test_the_next_night_judges_the_new_scene_only_and_keeps_first_verdicts(yard: Yard, home: Path) -> None:
    night(home, [yard.watched()], evening(3))
    before = [line for line in exported(home) if '"table":"observation"' in line]
    yard.add(4, "oe", **{"test:start": 150.0})
    yard.write()
    (one,) = night(home, [yard.watched()], evening(4)).sites
    assert one.new_scenes == 1 and [piece.kind for piece in one.news] == ["train-arrived"]
    after = [line for line in exported(home) if '"table":"observation"' in line]
    assert set(before) < set(after) and len(after) == 2


def test_what_still_stands_is_no_news(yard: Yard, home: Path) -> None:
    night(home, [yard.watched()], evening(3))
    for number, states, kinds in (
        (4, "oe", ["train-arrived"]),
        (5, "oe", []),
        (6, "uu", []),
        (7, "ee", ["train-departed"]),
    ):
        yard.add(number, states)
        yard.write()
        (one,) = night(home, [yard.watched()], evening(number)).sites
        assert [piece.kind for piece in one.news] == kinds, number
    assert "last seen on T1 at 2023-10-06 02:30 UTC (there since 2023-10-05 02:30 UTC)" in _last(home, yard)


def _last(home: Path, yard: Yard) -> str:
    from rail_watch.watch.news import news_of

    with open_archive(archive_path(home)) as archive:
        return news_of(archive, yard.watched().site(), fresh={"scene-007"}, now=evening(7))[0].sentence


def test_a_late_scene_of_a_known_train_is_no_news(yard: Yard, home: Path) -> None:
    yard.add(6, "oe")
    yard.write()
    night(home, [yard.watched()], evening(6))
    yard.add(5, "oe")
    yard.write()
    (one,) = night(home, [yard.watched()], evening(7)).sites
    assert (one.new_scenes, one.news) == (1, ())


def test_late_scenes_are_found_as_far_as_the_look_back_reaches(yard: Yard, home: Path) -> None:
    night(home, [yard.watched()], evening(3))
    yard.add(20)
    yard.add(9)
    yard.write()
    (one,) = night(home, [yard.watched(look_back=timedelta(days=20))], evening(35)).sites
    assert one.new_scenes == 1
    done = night(home, [yard.watched()], evening(35), asked=Asked(due=False, when=(day(8), day(10))))
    assert done.sites[0].new_scenes == 1


def test_a_reprocessed_scene_is_kept_beside_and_is_no_news(yard: Yard, home: Path) -> None:
    night(home, [yard.watched()], evening(3))
    yard.add(2, "oe", version="2", **{"test:start": 110.0})
    yard.write()
    (one,) = night(home, [yard.watched()], evening(4)).sites
    assert (one.new_scenes, one.news) == (1, ())
    assert [name for name, _ in judgements(home)].count("scene-002") == 2


def test_a_run_that_was_asked_for_and_found_nothing_leaves_no_trace(yard: Yard, home: Path) -> None:
    night(home, [yard.watched()], evening(3))
    before = exported(home)
    done = night(home, [yard.watched()], evening(4), asked=Asked(due=False))
    assert done.run is None and exported(home) == before


def test_a_scene_that_cannot_be_read_is_named_and_tried_again(yard: Yard, home: Path) -> None:
    yard.add(3, "xx")
    yard.write()
    (one,) = night(home, [yard.watched()], evening(3)).sites
    assert one.unread == ("scene-003: the file is damaged",) and one.new_scenes == 4
    (again,) = night(home, [yard.watched()], evening(4)).sites
    assert again.unread and again.new_scenes == 0
    yard.add(3, "oe", **{"test:start": 350.0})
    yard.write()
    (mended,) = night(home, [yard.watched()], evening(5)).sites
    assert (mended.unread, mended.new_scenes) == ((), 1)
    assert [piece.kind for piece in mended.news] == ["train-arrived", "train-departed"]


def test_it_is_tried_five_times_only(yard: Yard, home: Path) -> None:
    yard.add(3, "xx")
    yard.write()
    tries = [len(night(home, [yard.watched()], evening(3 + n)).sites[0].unread) for n in range(7)]
    assert tries == [1, 1, 1, 1, 1, 0, 0]


def test_nothing_usable_at_all_is_remembered_as_unseen(yard: Yard, home: Path) -> None:
    def refuses(*_: object) -> Any:
        raise NoUsableImagery("nothing")

    (one,) = night(home, [yard.watched()], evening(3), judge=refuses).sites
    assert len(one.unread) == 4 and {status for _, status in judgements(home)} == {"skipped"}
    (later,) = night(home, [yard.watched()], evening(4)).sites
    assert later.new_scenes == 4


def test_three_nights_without_the_provider_and_then_all_is_caught_up(yard: Yard, home: Path) -> None:
    night(home, [yard.watched()], evening(3))
    away = yard.source.with_suffix(".away")
    for number in (4, 5, 6):
        yard.add(number, "oe")
        yard.write()
        yard.source.rename(away)
        (one,) = night(home, [yard.watched()], evening(number)).sites
        assert one.fault is not None and "no such file or folder" in one.fault
        away.rename(yard.source)
    (back,) = night(home, [yard.watched()], evening(7)).sites
    assert back.new_scenes == 3 and [piece.kind for piece in back.news] == ["train-arrived"]
    with open_archive(archive_path(home)) as archive:
        assert not health_of(archive, [yard.watched()], evening(7)).troubled


def test_one_bad_site_does_not_take_the_others_with_it(yard: Yard, home: Path) -> None:
    bad = replace(yard.watched(), name="bad", source=str(yard.folder / "nowhere"))
    done = night(home, [bad, yard.watched()], evening(3))
    assert [one.fault is None for one in done.sites] == [False, True]
    with open_archive(archive_path(home)) as archive:
        health = health_of(archive, [yard.watched()], evening(3))
        assert health.sites[0].last_check == evening(3) and health.sites[0].scenes == 4
        assert 'rail_watch_site_scenes{site="yard"} 4' in metrics(health)


def test_a_fault_of_ours_is_told_and_stays_with_its_site(yard: Yard, home: Path) -> None:
    def breaks(*_: object) -> Any:
        raise RuntimeError("the sky fell")

    (one,) = night(home, [yard.watched()], evening(3), judge=breaks).sites
    assert one.fault == "unexpected RuntimeError: the sky fell"


@pytest.mark.parametrize("fault", [ArchiveFault("disk full"), Busy("held")])
def test_a_fault_of_the_archive_ends_the_run(yard: Yard, home: Path, fault: Exception) -> None:
    def breaks(*_: object) -> Any:
        raise fault

    with pytest.raises(type(fault)):
        night(home, [yard.watched()], evening(3), judge=breaks)
    assert night(home, [yard.watched()], evening(3)).sites[0].new_scenes == 4


def test_sigterm_finishes_the_piece_in_hand(tmp_path: Path, home: Path) -> None:
    many = Yard(tmp_path)
    for number in range(100):
        many.add(number)
    many.write()
    asked = [False, False, True]
    (one,) = night(home, [many.watched()], evening(99), stop=lambda: asked.pop(0)).sites
    assert one.cut_short and one.new_scenes == 40
    with open_archive(archive_path(home)) as archive:
        assert health_of(archive, [many.watched()], evening(99)).cut_short
    (rest,) = night(home, [many.watched()], evening(99)).sites
    assert rest.new_scenes == 60 and not rest.cut_short
    with open_archive(archive_path(home)) as archive:
        assert [(run.finished is None) for run in runs(archive)] == [False]


def test_a_run_left_long_ago_is_closed_and_a_new_one_begun(yard: Yard, home: Path) -> None:
    assert night(home, [yard.watched()], evening(3), stop=lambda: True).sites == ()
    assert night(home, [yard.watched()], evening(6)).sites[0].new_scenes == 4
    with open_archive(archive_path(home)) as archive:
        assert [run.finished is None for run in runs(archive)] == [False, False]


def test_a_clock_set_back_a_year_and_forward_again_misses_no_night(yard: Yard, home: Path) -> None:
    ids = []
    for number, at in enumerate(
        (evening(3), evening(4) - timedelta(days=365), evening(4) - timedelta(days=364), evening(5))
    ):
        yard.add(4 + number)
        yard.write()
        done = night(home, [yard.watched()], at)
        ids.append((done.run is not None, done.sites[0].new_scenes))
    assert ids == [(True, 5), (True, 1), (True, 1), (True, 1)]
    assert len(judgements(home)) == 8


@pytest.mark.parametrize(
    ("zone_night", "hours"),
    [(datetime(2023, 3, 26, tzinfo=UTC), 24), (datetime(2023, 10, 29, tzinfo=UTC), 24)],
)
def test_a_night_in_which_clocks_change_is_one_night(zone_night: datetime, hours: int) -> None:
    watched = WatchedSite("yard", "x", "y", at=time(1, 30))
    slots = {slot_of(watched, zone_night + timedelta(minutes=10 * n)) for n in range(6 * hours)}
    assert len(slots) == 2
    assert next_due(watched, slot_of(watched, zone_night)) == zone_night + timedelta(hours=1, minutes=30)


def test_rejudging_keeps_both_verdicts(yard: Yard, home: Path) -> None:
    night(home, [yard.watched()], evening(3))
    again = yard.watched(false_alarm_rate=0.05)
    done = night(home, [again], evening(4), asked=Asked(due=False, rejudge=True))
    assert done.sites[0].new_scenes == 4 and done.sites[0].news == ()
    assert len(judgements(home)) == 8
    assert night(home, [again], evening(5), asked=Asked(due=False, rejudge=True)).run is None


def test_two_runs_at_once_the_second_leaves(home: Path) -> None:
    again = pytest.raises(Busy, match=r"another run works on .* \(process \d+\); nothing was done")
    with one_run(home), again, one_run(home):
        pass
    with one_run(home):
        pass


def test_nothing_seen_for_long_is_told(yard: Yard, home: Path) -> None:
    night(home, [yard.watched()], evening(3))
    (one,) = night(home, [yard.watched()], evening(18)).sites
    assert [piece.kind for piece in one.news] == ["nothing-seen"]
    assert "since 2023-10-04" in one.news[0].sentence
    assert one.news[0].when == evening(18) and one.news[0].simulated


def test_reports_hold_the_new_scenes_only(yard: Yard, home: Path) -> None:
    night(home, [yard.watched()], evening(3))
    yard.add(4, "oe")
    yard.write()
    done = night(home, [yard.watched()], evening(4))
    document = json.loads((home / "reports" / "yard" / str(done.run) / "detections.json").read_text(encoding="utf-8"))
    assert [scene["status"] for scene in document["scenes"]] == ["baseline"] * 4 + ["used"]
    assert [f["properties"]["scene"] for f in document["observations"]["features"]] == ["scene-004"]


@pytest.mark.parametrize("where", ["judge", "report"])
def test_what_breaks_before_the_archive_is_done_again(yard: Yard, home: Path, where: str) -> None:
    def breaks(*_: object) -> Any:
        raise KeyboardInterrupt

    plain: dict[str, Callable[..., Any]] = {"judge": judge, "report": report}
    with pytest.raises(KeyboardInterrupt):
        night(home, [yard.watched()], evening(3), **{**plain, where: breaks})
    night(home, [yard.watched()], evening(3))
    other = home.parent / "undisturbed"
    night(other, [yard.watched()], evening(3))
    assert exported(home) == exported(other)


def test_the_clock_is_read_only_through_what_is_handed_in(yard: Yard, home: Path) -> None:
    night(home, [yard.watched()], evening(3), clock=Clock(evening(3)))
    with open_archive(archive_path(home)) as archive:
        (run,) = runs(archive)
    assert run.id == "20231004T143000Z" and run.finished == evening(3)


def test_an_address_that_is_signed_anew_is_no_new_scene(yard: Yard, home: Path) -> None:
    turn = [0]

    def find(site: Site, when: Interval, *, source: str, sensor: str | None) -> imagery.Found:
        found = imagery.find(site, when, source=source, sensor=sensor)
        asset = imagery.Asset("data", f"https://example.org/a.tif?sig={turn[0]}", ())
        return replace(found, scenes=tuple(replace(ref, assets=(asset,)) for ref in found.scenes))

    asked = Asked(due=False)
    assert night(home, [yard.watched()], evening(3), asked=asked, find=find).sites[0].new_scenes == 4
    turn[0] = 1
    judged: list[object] = []
    night(home, [yard.watched()], evening(4), asked=asked, find=find, judge=lambda *given: judged.append(given))
    assert judged == []


def test_a_service_is_asked_for_no_more_than_is_judged(yard: Yard, home: Path) -> None:
    asked: list[Interval] = []

    def find(site: Site, when: Interval, *, source: str, sensor: str | None) -> imagery.Found:
        asked.append(when)
        return imagery.Found(())

    night(home, [yard.watched(source="earth-search")], evening(3), find=find)
    assert asked == [(evening(3) - timedelta(days=30), None)]


def _age(database: sqlite3.Connection, nights: int) -> None:
    """Put many nights of years ago into an archive that has seen one: runs, looks, listings, alerts that were sent."""
    rows = range(nights)
    when = [moment(day(0) - timedelta(days=2000, minutes=-number)) for number in rows]
    state = database.execute("SELECT request, software FROM run").fetchone()
    top = {name: database.execute(f"SELECT max(number) FROM {name}").fetchone()[0] for name in ("scene", "judgement")}
    last = database.execute("SELECT max(number) FROM alert").fetchone()[0]
    database.execute("BEGIN")
    put = database.executemany
    put("INSERT INTO run VALUES (?, ?, ?, ?, ?, ?)", ((-n - 1, f"o{n}", state[0], when[n], when[n], "1") for n in rows))
    put("INSERT INTO run_site VALUES (?, 'yard', 'done', ?, 1, 0, NULL, ?)", ((-n - 1, n, when[n]) for n in rows))
    put("INSERT INTO listing VALUES ('yard', ?, 'f', 1, ?)", ((f"o{n}", n % 20 > 0) for n in rows))
    put("UPDATE listing SET attempts = 9 WHERE scene = ?", ((f"o{n}",) for n in rows))
    put(
        "INSERT INTO scene SELECT ?, site_version, ?, ?, pixels, ?, platform, sensor, gsd_m, simulated, credit, "
        "digests FROM scene WHERE number = ?",
        ((-n - 1, f"o{n}", f"o{n}", when[n], top["scene"]) for n in rows),
    )
    put(
        "INSERT INTO judgement SELECT ?, ?, software, parameters, run, site, ?, ?, status, reason, clear_fraction, "
        "shift_east_m, shift_north_m, shift_error_m, notes, activity FROM judgement WHERE number = ?",
        ((-n - 1, -n - 1, f"o{n}", when[n], top["judgement"]) for n in rows),
    )
    put(
        "INSERT INTO alert SELECT ?, ?, site, kind, ?, created, message FROM alert WHERE number = ?",
        ((-n - 1, f"o{n}", when[n], last) for n in rows),
    )
    put("INSERT INTO delivery VALUES (?, 'feed', ?, 0, 1, ?, NULL)", ((-n - 1, when[n], when[n]) for n in rows))
    database.execute("COMMIT")


def _work(folder: Path, nights: int) -> int:
    """Return the steps that SQLite makes in one night with a new train, after so many nights of years ago.

    The train is no novelty: only for one that may be is the whole record asked.
    """
    steps = [0]

    def step() -> None:
        steps[0] += 1

    yard = Yard(folder)
    for number in range(6):
        yard.add(number, "oe" if number in (2, 4) else "ee")
    yard.write()
    home, sites = folder / "home", [yard.watched(rules=(Rule(channels=("feed",)),))]
    for at in (evening(6), evening(8)):
        with open_archive(archive_path(home)) as archive:
            assert isinstance(archive.engine, SqliteEngine)
            if at == evening(8):
                _age(archive.engine.database, nights)
                yard.add(7, "oe")
                yard.write()
                archive.engine.database.set_progress_handler(step, 1)
            means = Means(home=home, archive=archive, clock=Clock(at), judge=judge, report=report, tell=teller(home))
            (one,) = run_night(means, sites, Asked()).sites
            assert one.news and send_all(archive, channels_of(home, archive, clock=Clock(at), environment={}), at).sent
            assert due_sites(archive, sites, at) == []
    return steps[0]


def test_a_night_asks_no_more_after_many_nights(tmp_path: Path) -> None:
    # The feed holds 200 alerts: from there on nothing grows any more.
    few, many = _work(tmp_path / "few", 250), _work(tmp_path / "many", 2500)
    assert many <= 1.05 * few
