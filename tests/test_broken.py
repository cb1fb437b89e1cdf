"""What happens when it is killed, when the disk is full or may not be written to, and over a year of nights."""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import nights
import pytest
import watch_material as material
from archive_material import detections, keep, scene

from rail_watch.archive import archive_path, open_archive
from rail_watch.archive.store import read_archive
from rail_watch.cli.main import run
from rail_watch.errors import ArchiveFault, BadInput, RailWatchError
from rail_watch.watch.sweep import sweep

TESTS = Path(__file__).resolve().parent
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="made with what Linux has")


def driven(*arguments: object, script: str = "nights.py") -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, str(TESTS / script), *map(str, arguments)],
        capture_output=True, check=False, text=True, timeout=300, cwd=TESTS,
        env=os.environ | {"PYTHONPATH": f"{TESTS}{os.pathsep}{TESTS.parent}"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills processes of its own making")
def test_thirty_kills_leave_no_trace(tmp_path: Path) -> None:
    found = driven(tmp_path, 30, 1)
    assert int(str(found["kills"])) >= 30 and found["same_archive"] and found["same_files"], found
    assert found["lost"] == 0 and found["drafts"] == 0, found
    # At least once: a kill between sending and marking, and nothing else, sends twice.
    assert int(str(found["doubled"])) <= int(str(found["kills"])), found


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills processes of its own making")
def test_kills_of_the_real_detector_over_the_sample_leave_no_trace(tmp_path: Path) -> None:
    # The first three evenings of the story; `benchmarks/nights.py kills 300 sample` lives through all of it.
    found = driven(tmp_path, 6, 1, 3, script="sample_nights.py")
    assert int(str(found["kills"])) >= 6, found
    assert found["same_archive"] and found["same_files"] and found["same_cache"] and int(str(found["windows"])) > 0
    assert (found["lost"], found["drafts"]) == (0, 0), found
    assert int(str(found["doubled"])) <= int(str(found["kills"])), found


@pytest.mark.slow
def test_a_season_of_nights_misses_and_doubles_nothing(tmp_path: Path) -> None:
    found = nights.year(tmp_path, yards=2, nights=60, seed=3)
    assert [found[name] for name in ("missed_checks", "missed_scenes", "doubled", "damage", "sent_twice")] == [0] * 5
    assert found["bytes_a_night_last_half"] <= 2 * found["bytes_a_night_first_half"]


def test_drafts_are_swept_up_and_nothing_else(tmp_path: Path) -> None:
    drafts = ("alerts/.feed.atom.ab_12345", "reports/yard/r1/a.png.part")
    for name in (*drafts, "reports/yard/r1/a.png", "reports/yard/r0/.old", "alerts/.htaccess", "alerts/feed.atom"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    assert sweep(tmp_path, "r1") == 2
    assert (tmp_path / "alerts/.htaccess").exists() and (tmp_path / "alerts/feed.atom").exists()
    assert (tmp_path / "reports/yard/r1/a.png").exists() and (tmp_path / "reports/yard/r0/.old").exists()


def test_a_killed_holder_of_the_lock_leaves_it_free(tmp_path: Path) -> None:
    from rail_watch.watch.lock import one_run

    code = (
        "import sys, time\nfrom pathlib import Path\nfrom rail_watch.watch.lock import one_run\n"
        "with one_run(Path(sys.argv[1])):\n    print('held', flush=True)\n    time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        with pytest.raises(RailWatchError, match=rf"\(process {process.pid}\)"), one_run(tmp_path):
            pass
        process.send_signal(signal.SIGKILL)
        process.wait(30)
    with one_run(tmp_path):
        pass


def story(folder: Path) -> nights.Story:
    made = nights.Story(folder, yards=1, nights=12, seed=5)
    for number in range(12):
        made.write(number)
    return made


@linux
def test_a_file_that_may_not_grow_is_one_line_and_costs_nothing(tmp_path: Path) -> None:
    made, home = story(tmp_path), tmp_path / "home"
    open_archive(archive_path(home)).close()
    held = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, held[1]))
    try:
        with pytest.raises(ArchiveFault, match="what was written before stands"):
            nights.one_night(home, made.sites(), material.evening(12))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, held)
        signal.signal(signal.SIGXFSZ, before)
    nights.one_night(home, made.sites(), material.evening(12))
    nights.one_night(tmp_path / "plain", made.sites(), material.evening(12))
    found = nights.compared(tmp_path / "plain", home)
    assert found["same_archive"] and found["same_files"] and (found["lost"], found["doubled"]) == (0, 0)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """A disk of its own that can be made smaller, larger and read-only, where this user may mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()

    def mount(options: str) -> Path:
        again = "remount," if os.path.ismount(disk) else ""
        command = ["mount", "-t", "tmpfs", "-o", f"{again}{options}", "tmpfs", str(disk)]
        done = subprocess.run(command, capture_output=True, check=False, text=True, timeout=30)
        if done.returncode:
            pytest.skip(f"no disk may be mounted here ({done.stderr.strip()[:60]})")
        return disk

    if shutil.which("mount") is None or not sys.platform.startswith("linux"):
        pytest.skip("no mount here")
    yield mount
    subprocess.run(["umount", str(disk)], capture_output=True, check=False, timeout=30)


@pytest.mark.parametrize("seed", range(4))
def test_a_full_disk_is_one_line_and_costs_nothing(
    tmp_path: Path, small_disk: Callable[[str], Path], seed: int
) -> None:
    room = random.Random(seed).randrange(140_000, 330_000)
    made, home = story(tmp_path), small_disk(f"size={room}") / "home"
    try:
        nights.one_night(home, made.sites(), material.evening(12))
    except RailWatchError as fault:
        assert "\n" not in str(fault) and str(home) in str(fault)
    small_disk("size=20m")
    # An hour later, since a check that failed waits a little; the reports and alerts that count are the same.
    nights.one_night(home, made.sites(), material.evening(12.05))
    with open_archive(archive_path(home)) as archive:
        assert archive.check() == ()
        scenes = archive.value("SELECT count(DISTINCT acquisition) FROM judgement")
    nights.one_night(tmp_path / "plain", made.sites(), material.evening(12))
    found = nights.compared(tmp_path / "plain", home)
    assert (scenes, found["lost"], found["doubled"], found["drafts"]) == (12, 0, 0, 0), found


def test_a_disk_that_is_read_only_can_still_be_read(
    tmp_path: Path, small_disk: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    home = small_disk("size=20m") / "home"
    with open_archive(archive_path(home)) as archive:
        keep(archive, detections([scene(0)], []))
    small_disk("ro")
    with pytest.raises(BadInput, match="another folder with --home"):
        nights.one_night(home, story(tmp_path).sites(), material.evening(12))
    with read_archive(archive_path(home)) as archive:
        assert archive.value("SELECT count(*) FROM judgement") == 1
    assert run(["--home", str(home), "history", "--aoi", "yard", "--what", "looks"]) == 0
    assert run(["--home", str(home), "run", "--due"]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "--home" in err


def test_a_database_that_another_program_holds_is_waited_for_and_then_left(tmp_path: Path) -> None:
    import sqlite3

    made, home = story(tmp_path), tmp_path / "home"
    open_archive(archive_path(home)).close()
    other = sqlite3.connect(archive_path(home), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with open_archive(archive_path(home), patience_s=0.05) as archive, pytest.raises(RailWatchError) as fault:
        keep(archive, detections([scene(0)], []))
    assert fault.value.exit_status == 5
    other.execute("ROLLBACK")
    other.close()
    nights.one_night(home, made.sites(), material.evening(12))


def test_a_reader_does_not_hold_up_a_night(tmp_path: Path) -> None:
    made, home = story(tmp_path), tmp_path / "home"
    with open_archive(archive_path(home)) as reader:
        keep(reader, detections([scene(0)], []))
        cursor = reader.engine.execute("SELECT * FROM look")
        cursor.fetchone()
        nights.one_night(home, made.sites(), material.evening(12))
        cursor.close()
    with open_archive(archive_path(home)) as archive:
        assert archive.check() == ()


def test_a_backup_brought_back_is_caught_up(tmp_path: Path) -> None:
    made, home = nights.Story(tmp_path, yards=1, nights=6, seed=5), tmp_path / "home"
    for number in range(6):
        made.write(number)
        nights.one_night(home, made.sites(), material.evening(number))
        if number == 2:
            with open_archive(archive_path(home)) as archive:
                archive.backup(tmp_path / "backup.sqlite")
    before = {line for line in nights.exported(home) if '"table":"judgement"' in line or '"table":"look"' in line}
    for path in home.glob("archive.sqlite*"):
        path.unlink()
    shutil.copy(tmp_path / "backup.sqlite", archive_path(home))
    nights.one_night(home, made.sites(), material.evening(5))
    after = nights.exported(home)
    assert {line.split('"run"')[0] for line in before} == {
        line.split('"run"')[0] for line in after if '"table":"judgement"' in line or '"table":"look"' in line
    }
