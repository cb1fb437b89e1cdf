"""The archive keeps each verdict once, keeps old ones beside new ones, and says in one line what is wrong."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from archive_material import day, detections, keep, scene, site, train
from hypothesis import given, settings
from hypothesis import strategies as st

from rail_watch import aoi
from rail_watch.archive import Archive, default_home, open_archive
from rail_watch.archive.export import QUESTIONS, export_lines
from rail_watch.archive.migrations import STEPS
from rail_watch.archive.observations import observations_between
from rail_watch.archive.record import acquisition_of
from rail_watch.archive.sites import site_document
from rail_watch.archive.store import moment, read_archive, time_of
from rail_watch.errors import ArchiveFault, BadInput, Busy
from rail_watch.observe.records import ApronLook


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Archive]:
    with open_archive(tmp_path / "home" / "archive.sqlite") as opened:
        yield opened


def count(archive: Archive, table: str) -> int:
    number: int = archive.value(f"SELECT count(*) FROM {table}")
    return number


def test_the_file_is_what_it_promises(file: Archive) -> None:
    assert file.value("PRAGMA journal_mode") == "wal" and file.value("PRAGMA synchronous") == 2
    assert file.value("PRAGMA foreign_keys") == 1 and file.value("PRAGMA user_version") == len(STEPS)
    assert file.check() == ()
    loose = file.rows("SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND NOT strict")
    assert {row["name"] for row in loose} <= {"sqlite_schema"}


def test_opening_again_changes_nothing(file: Archive) -> None:
    keep(file, detections([scene(0)], []))
    before = list(export_lines(file))
    with open_archive(file.path) as again:
        assert list(export_lines(again)) == before


def test_a_scene_is_judged_once(archive: Archive) -> None:
    found = detections([scene(0), scene(1, "oe")], [train(1)])
    assert keep(archive, found).scenes == ("scene-000", "scene-001")
    before = list(export_lines(archive))
    later = detections([scene(0), scene(1, "oe")], [train(1, 100.4, 300.2)])
    assert keep(archive, later).scenes == ()
    assert list(export_lines(archive)) == before
    assert (count(archive, "look"), count(archive, "observation"), count(archive, "footprint")) == (6, 1, 1)


def test_more_scenes_later_leave_the_first_verdict(archive: Archive) -> None:
    keep(archive, detections([scene(0, "ee")], []))
    kept = keep(archive, detections([scene(0, "oe"), scene(1)], [train(0)]), run="r2")
    assert kept.scenes == ("scene-001",)
    assert observations_between(archive, "yard") == []


def test_a_scene_that_could_not_be_judged_may_be_later(archive: Archive) -> None:
    keep(archive, detections([scene(0, "uu", reason="nothing to compare it with")], []))
    kept = keep(archive, detections([scene(0, "oe")], [train(0)]), run="r2")
    assert kept.observations == (train(0).id,)
    states = archive.rows("SELECT state FROM look WHERE role = 'track' ORDER BY place")
    assert [row["state"] for row in states] == ["occupied", "empty"]
    assert keep(archive, detections([scene(0, "uu")], []), run="r3").scenes == ()


@pytest.mark.parametrize(
    "again",
    [
        {"digests": {"image": "f" * 64}},
        {"name": "S2B_MSIL2A_20231001T023000_N0510_R001_T52TDN_20240101T000000"},
    ],
)
def test_a_reprocessed_product_supersedes_its_older_self(archive: Archive, again: dict[str, object]) -> None:
    name = "S2B_MSIL2A_20231001T023000_N0400_R001_T52TDN_20231001T050000"
    keep(archive, detections([scene(0, "oe", name=name)], [train(0, scene=name)]))
    newer = scene(0, "ee", **{"name": name, **again})  # type: ignore[arg-type]
    newer = replace(newer, digests={"image": "f" * 64})
    assert keep(archive, detections([newer], []), run="r2").scenes == (newer.id,)
    assert (count(archive, "judgement"), count(archive, "observation")) == (2, 1)
    current = archive.rows("SELECT * FROM current")
    assert len(current) == 1 and observations_between(archive, "yard") == []


def test_a_reprocessed_product_that_cannot_be_read_supersedes_nothing(archive: Archive) -> None:
    keep(archive, detections([scene(0, "oe")], [train(0)]))
    keep(archive, detections([scene(0, "uu", digests={})], []), run="r2")
    assert [one.id for one in observations_between(archive, "yard")] == [train(0).id]


@pytest.mark.parametrize("changed", [{"version": "0.2.0"}, {"rate": 0.05}])
def test_a_newer_version_or_other_parameters_are_kept_beside(archive: Archive, changed: dict[str, object]) -> None:
    keep(archive, detections([scene(0, "oe")], [train(0)]))
    keep(archive, detections([scene(0, "oe")], [train(0)], **changed), run="r2")  # type: ignore[arg-type]
    assert (count(archive, "judgement"), count(archive, "scene"), count(archive, "observation")) == (2, 1, 2)
    assert len(observations_between(archive, "yard")) == 1


def test_another_version_of_the_site_is_kept_beside(archive: Archive) -> None:
    keep(archive, detections([scene(0)], []))
    keep(archive, detections([scene(0)], []), of=site(digest="b" * 64), run="r2")
    assert (count(archive, "site_version"), count(archive, "judgement"), count(archive, "current")) == (2, 2, 1)


def test_links_name_what_the_archive_knows(archive: Archive) -> None:
    keep(archive, detections([scene(0, "oe")], [train(0)]))
    moved = train(0, 100.4, 300.2)
    now = train(1, change="standing", last_clear_before=day(0), same_as=moved.id, same_as_p=0.01, same_as_when=day(0))
    keep(archive, detections([scene(0, "oe"), scene(1, "oe")], [moved, now]), run="r2")
    links = [tuple(row) for row in archive.rows("SELECT relation, earlier, p FROM link ORDER BY relation")]
    assert links == [("appears-same", train(0).id, 0.01), ("stands", train(0).id, None)]


def test_observations_come_back_as_they_were(archive: Archive) -> None:
    keep(archive, detections([scene(1, "oe")], [train(1)]))
    (back,) = observations_between(archive, "yard", day(1), day(1))
    assert replace(back, geometry=train(1).geometry) == train(1)
    assert back.geometry.symmetric_difference(train(1).geometry).area < 1e-11


@settings(max_examples=6)
@given(st.permutations(range(4)))
def test_the_export_does_not_depend_on_the_order_of_nights(
    tmp_path_factory: pytest.TempPathFactory, order: list[int]
) -> None:
    def lines(numbers: list[int]) -> list[str]:
        with open_archive(tmp_path_factory.mktemp("order") / "archive.sqlite") as archive:
            for number in numbers:
                keep(archive, detections([scene(number, "oe")], [train(number)]))
            return list(export_lines(archive))

    assert lines(order) == lines(list(range(4)))


def test_the_export_is_json_of_every_table(file: Archive) -> None:
    keep(file, detections([scene(1, "oe")], [train(1)]))
    tables = {json.loads(line)["table"] for line in export_lines(file)}
    assert {"site", "scene", "judgement", "look", "observation", "run"} <= tables <= set(QUESTIONS)
    known = {row["name"] for row in file.rows("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    assert {name for name in known if "footprint" not in name} - {"listing", "source_state"} == set(QUESTIONS)


def test_what_fails_inside_never_was(archive: Archive) -> None:
    before = list(export_lines(archive))
    with pytest.raises(BadInput), archive.writing():
        _half(archive)
    assert list(export_lines(archive)) == before


def _half(archive: Archive) -> None:
    archive.do("INSERT INTO site VALUES ('x', 'X')")
    raise BadInput("no")


def test_a_locked_archive_is_said_to_be_busy(file: Archive) -> None:
    other = sqlite3.connect(file.path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with (
        open_archive(file.path, patience_s=0.05) as second,
        pytest.raises(Busy, match="another process"),
        second.writing(),
    ):
        pass
    other.close()


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("text", "no archive of rail-watch"),
        ("folder", "unable to open"),
        ("foreign", "of another program"),
        ("newer", "newer rail-watch"),
    ],
)
def test_what_is_no_archive_is_refused(tmp_path: Path, kind: str, words: str) -> None:
    path = tmp_path / "archive.sqlite"
    make: dict[str, Callable[[Path], object]] = {
        "text": lambda path: path.write_bytes(b"no database at all" * 100),
        "folder": Path.mkdir,
        "foreign": _foreign,
        "newer": _newer,
    }
    make[kind](path)
    with pytest.raises(BadInput, match=words) as fault:
        open_archive(path)
    assert str(path) in str(fault.value) and ("--home" in str(fault.value) or "update" in str(fault.value))


def _foreign(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE other (x)")
    database.close()


def _newer(path: Path) -> None:
    open_archive(path).close()
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()


def test_a_home_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    with pytest.raises(BadInput, match="--home"):
        open_archive(tmp_path / "file" / "home" / "archive.sqlite")


def test_a_full_disk_is_one_line(file: Archive) -> None:
    file.rows("PRAGMA max_page_count = 1")
    pages = file.value("PRAGMA page_count")
    file.rows(f"PRAGMA max_page_count = {pages}")
    many = [scene(number, "oe") for number in range(300)]
    with pytest.raises(ArchiveFault, match=r"full.*make room"):
        keep(file, detections(many, []))
    assert file.check() == () and count(file, "judgement") == 0


def test_reading_needs_an_archive(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no archive yet"):
        read_archive(tmp_path / "archive.sqlite")


def test_a_backup_is_an_archive(file: Archive, tmp_path: Path) -> None:
    keep(file, detections([scene(0)], []))
    file.backup(tmp_path / "copy.sqlite")
    with read_archive(tmp_path / "copy.sqlite") as copy:
        assert list(export_lines(copy)) == list(export_lines(file)) and copy.check() == ()


def test_a_damaged_row_is_found(file: Archive) -> None:
    with sqlite3.connect(file.path) as other:
        other.execute("INSERT INTO site_version VALUES (7, 'nowhere', 'd', '{}')")
    other.close()
    assert file.check() == ("site_version: a row points to nothing in site",)


def test_the_footprints_can_be_asked_for_a_place(archive: Archive) -> None:
    keep(archive, detections([scene(1, "oo")], [train(1, 0, 50), train(1, 400, 500, track="t2")]))
    west = train(1, 0, 50).geometry.bounds[2]
    rows = archive.rows(
        "SELECT o.id FROM footprint AS f JOIN observation AS o ON o.number = f.observation WHERE f.west < ?", (west,)
    )
    assert [row["id"] for row in rows] == [train(1, 0, 50).id]


@pytest.mark.parametrize("name", ["tumangang", "khasan", "tumen-bridge"])
def test_a_site_is_kept_whole(name: str, tmp_path: Path) -> None:
    shipped = aoi.read(name)
    (tmp_path / "copy.geojson").write_text(json.dumps(site_document(shipped)), encoding="utf-8")
    assert replace(aoi.read(tmp_path / "copy.geojson"), digest=shipped.digest) == shipped


@given(st.datetimes(), st.datetimes())
def test_times_sort_as_text(one: object, other: object) -> None:
    first, second = (moment(time_of(f"{when.isoformat()}+00:00")) for when in (one, other))  # type: ignore[attr-defined]
    assert (first < second) == (one < other)  # type: ignore[operator]


@pytest.mark.parametrize(
    ("name", "acquisition"),
    [
        (
            "S2A_MSIL2A_20230101T021101_N0509_R103_T52TDN_20230101T050000",
            "S2A_MSIL2A_20230101T021101_R103_T52TDN",
        ),
        ("anything-else", "anything-else"),
    ],
)
def test_what_two_products_share(name: str, acquisition: str) -> None:
    assert acquisition_of(name) == acquisition


def test_the_home_is_named_or_the_data_folder(tmp_path: Path) -> None:
    assert default_home({"RAIL_WATCH_HOME": str(tmp_path)}) == tmp_path
    assert default_home({}).name == "rail-watch"


def test_a_database_of_another_program_is_not_read_whatever_its_version(tmp_path: Path) -> None:
    path = tmp_path / "archive.sqlite"
    other = sqlite3.connect(path)
    other.execute(f"PRAGMA user_version = {len(STEPS)}")
    other.execute("CREATE TABLE notes (text TEXT)")
    other.commit()
    other.close()
    with pytest.raises(BadInput, match="a database of another program"):
        read_archive(path)


def test_an_apron_is_occupied_where_cargo_was_found_not_at_any_fill(archive: Archive) -> None:
    apron = ApronLook("a1", "clear", 1.0, 6e-6, (0.0, 0.0095), 1100.0)
    heap = replace(
        train(1), id="heap", kind="cargo", track=None, tracks=(), apron="a1", length_m=None, length_m_95=None,
        railcars=None, railcars_95=None, area_m2=40.0, area_m2_95=(30.0, 50.0),
    )  # fmt: skip
    gone = replace(heap, id="gone", scene="scene-003", when=day(3), change="departed")
    unfound = replace(apron, fill_fraction=0.05, fill_fraction_95=(0.02, 0.08))
    scenes = [
        scene(0, aprons=(apron,)),
        scene(1, aprons=(apron,)),
        scene(2, aprons=(unfound,)),
        scene(3, aprons=(apron,)),
        scene(4, aprons=(replace(apron, visible_fraction=0.3),)),
    ]
    keep(archive, detections(scenes, [heap, gone]))
    rows = archive.rows(
        "SELECT l.state FROM look AS l JOIN judgement AS j ON j.number = l.judgement WHERE l.role = 'apron' "
        "ORDER BY j.datetime"
    )
    assert [row["state"] for row in rows] == ["empty", "occupied", "unknown", "empty", "unknown"]
