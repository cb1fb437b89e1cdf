"""A shared archive in PostgreSQL says what one in a file says, and a server that goes costs nothing."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import nights
import pytest
import watch_material as material
from archive_material import detections, keep, scene, train
from postgres_material import Server

from rail_watch.archive import archive_place, open_archive
from rail_watch.archive.export import export_lines
from rail_watch.archive.postgres import PostgresEngine, shown, translated
from rail_watch.cli.main import run
from rail_watch.errors import ArchiveFault, BadInput, Busy

STORY_NIGHTS = 8


def test_a_story_leaves_the_same_lines_in_both(tmp_path: Path, postgres: Server) -> None:
    story, place = nights.Story(tmp_path, yards=2, nights=STORY_NIGHTS, seed=2), postgres.fresh()
    for number in range(STORY_NIGHTS):
        story.write(number)
        nights.one_night(tmp_path / "plain", story.sites(), material.evening(number))
        nights.one_night(tmp_path / "shared", story.sites(), material.evening(number), place=place)
    with open_archive(place) as archive:
        lines = list(export_lines(archive))
    assert lines == nights.exported(tmp_path / "plain") and len(lines) > 50
    sent = [(tmp_path / home / "sent.log").read_bytes() for home in ("plain", "shared")]
    assert sent[0] == sent[1]


def test_a_server_that_is_restarted_in_the_night_costs_nothing(tmp_path: Path, postgres: Server) -> None:
    story, place = nights.Story(tmp_path, yards=2, nights=STORY_NIGHTS, seed=2), postgres.fresh()
    for number in range(STORY_NIGHTS):
        story.write(number)
    judged: list[str] = []

    def judge(*given: object) -> object:
        judged.append("once")
        if len(judged) == 2:
            postgres.stop("immediate")
            postgres.start()
        return material.judge(*given)  # type: ignore[arg-type]

    at = material.evening(STORY_NIGHTS)
    with pytest.raises(ArchiveFault, match="what was written before stands"):
        nights.one_night(tmp_path / "shared", story.sites(), at, place=place, judge=judge)
    nights.one_night(tmp_path / "shared", story.sites(), at, place=place)
    nights.one_night(tmp_path / "plain", story.sites(), at)
    with open_archive(place) as archive:
        assert list(export_lines(archive)) == nights.exported(tmp_path / "plain")


class Killer:
    """Counts the statements of a night, and strikes at one of them."""

    def __init__(self, at: int, strike: Callable[[int], None]) -> None:
        self.at, self.strike, self.count = at, strike, 0

    def night(self, home: Path, story: nights.Story, at: datetime, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
        plain = PostgresEngine.execute

        def execute(engine: PostgresEngine, sql: str, values: Sequence[Any] = ()) -> Any:
            self.count += 1
            if self.count == self.at:
                self.strike(engine.connection.info.backend_pid)
            return plain(engine, sql, values)

        with monkeypatch.context() as patch:
            patch.setattr(PostgresEngine, "execute", execute)
            nights.one_night(home, story.sites(), at, place=place)


@pytest.mark.slow
@pytest.mark.parametrize("what", ["backend", "server", "restart"])
def test_a_server_killed_in_the_midst_of_a_night_costs_nothing(
    tmp_path: Path, postgres: Server, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    story, at = nights.Story(tmp_path, yards=2, nights=STORY_NIGHTS, seed=2), material.evening(STORY_NIGHTS)
    for number in range(STORY_NIGHTS):
        story.write(number)
    whole = Killer(0, lambda _: None)
    whole.night(tmp_path / "plain", story, at, postgres.fresh(), monkeypatch)

    def strike(pid: int) -> None:
        if what == "backend":
            os.kill(pid, signal.SIGKILL)
        elif what == "server":
            postgres.kill_whole()
        else:
            postgres.stop("immediate")
            postgres.start()

    # At some statement of the night, in a transaction or between two; what was done before is not done again.
    rng, place, hit = random.Random(what), postgres.fresh(), 0
    for _ in range(2):
        try:
            Killer(rng.randrange(1, whole.count // 2), strike).night(tmp_path / "shared", story, at, place, monkeypatch)
        except ArchiveFault as fault:
            assert "\n" not in str(fault) and "run again" in str(fault)
            hit += 1
            postgres.ready()
    assert hit >= 1
    nights.one_night(tmp_path / "shared", story.sites(), at, place=place)
    nights.one_night(tmp_path / "file", story.sites(), at)
    with open_archive(place) as archive:
        assert list(export_lines(archive)) == nights.exported(tmp_path / "file")
    wanted, sent = [(tmp_path / home / "sent.log").read_text().split() for home in ("file", "shared")]
    # At least once: a server that dies between the sending and the marking makes it be sent again.
    assert set(sent) == set(wanted) and len(sent) <= len(wanted) + hit


def test_two_runs_on_one_shared_archive(postgres: Server) -> None:
    place = postgres.fresh()
    with open_archive(place) as one, open_archive(place) as other:
        with one.engine.only_run(), pytest.raises(Busy, match="another run works on"), other.engine.only_run():
            pass
        with other.engine.only_run():
            pass


def test_a_writer_that_holds_it_is_waited_for_and_then_left(postgres: Server) -> None:
    place = postgres.fresh()
    with open_archive(place) as one, open_archive(place, patience_s=0.1) as other, one.writing(), pytest.raises(Busy):
        keep(other, detections([scene(0)], []))
    with open_archive(place) as again:
        keep(again, detections([scene(0)], []))


def test_one_that_had_to_give_up_can_write_later(postgres: Server) -> None:
    place = postgres.fresh()
    with open_archive(place) as one, open_archive(place, patience_s=0.1) as other:
        with one.writing(), pytest.raises(Busy):
            keep(other, detections([scene(0)], []))
        keep(other, detections([scene(0)], []))
        assert one.value("SELECT count(*) FROM judgement") == 1


def test_footprints_are_found_by_postgis(postgres: Server) -> None:
    with open_archive(postgres.fresh()) as archive:
        keep(archive, detections([scene(1, "oe")], [train(1)]))
        point = train(1).geometry.centroid
        sql = "SELECT count(*) FROM footprint WHERE box && ST_SetSRID(ST_MakePoint(?, ?), 4326)"
        assert archive.value(sql, (point.x, point.y)) == 1 and archive.value(sql, (0.0, 0.0)) == 0


def test_a_newer_archive_is_refused(postgres: Server) -> None:
    place = postgres.fresh()
    with open_archive(place) as archive, archive.writing():
        archive.do("INSERT INTO rail_watch_version VALUES (99)")
    with pytest.raises(BadInput, match="newer rail-watch"):
        open_archive(place)


def test_a_server_that_is_not_there_and_its_password_untold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("psycopg", reason="psycopg is not installed (the extra `postgis`)")
    monkeypatch.setenv("RAIL_WATCH_ARCHIVE", "postgresql://me:planted@127.0.0.1:9/watch")
    assert run(["--home", str(tmp_path), "status"]) == 1
    err = capsys.readouterr().err
    assert "postgresql://127.0.0.1/watch: the server cannot be reached" in err and "planted" not in err
    for wrong in ("postgresql://me:planted@h/watch?nonsense=1", "postgresql://me:planted%zz@h/watch"):
        monkeypatch.setenv("RAIL_WATCH_ARCHIVE", wrong)
        assert run(["--home", str(tmp_path), "status"]) == 2
        err = capsys.readouterr().err
        assert "planted" not in err and "not an address of a database" in err


def test_an_address_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="postgresql://USER@HOST/DATABASE"):
        archive_place(tmp_path, {"RAIL_WATCH_ARCHIVE": "mysql://x"})
    assert archive_place(tmp_path, {}) == tmp_path / "archive.sqlite"
    assert shown("postgresql://u:secret@host/db") == "postgresql://host/db"
    assert translated("a IS ? AND b = ? AND c LIKE '%'") == "a IS NOT DISTINCT FROM %s AND b = %s AND c LIKE '%%'"
