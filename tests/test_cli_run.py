"""`rail-watch run`, `site`, `status` and `archive` on a small series, with the real detector."""

from __future__ import annotations

import http.server
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_material import DAYS, write_aoi, write_series
from watch_material import Yard

from rail_watch.archive.export import export_lines
from rail_watch.archive.store import open_archive, read_archive
from rail_watch.cli.home import cell
from rail_watch.cli.main import run
from rail_watch.watch.lock import one_run

EPOCH = "1697950800"
"""2023-10-22, the day after the last scene."""


@pytest.fixture(autouse=True)
def _quiet_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", EPOCH)
    monkeypatch.delenv("RAIL_WATCH_HOME", raising=False)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A yard, three of its scenes, a home that watches it, and one run done."""
    folder = tmp_path_factory.mktemp("watch")
    write_aoi(folder / "small.geojson")
    whole = write_series(folder / "whole")
    (folder / "imagery").mkdir()
    for day in DAYS[2:5]:
        name = f"{day}_023000_small.tif"
        (folder / "imagery" / name).write_bytes((whole / name).read_bytes())
    home = str(folder / "home")
    environment = os.environ | {"SOURCE_DATE_EPOCH": EPOCH}
    named = ["--aoi", str(folder / "small.geojson"), "--source", str(folder / "imagery")]
    for arguments in (["site", "add", "small-yard", *named], ["run", "--due"]):
        command = [sys.executable, "-m", "rail_watch", "--home", home, *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        (folder / f"{arguments[0]}.txt").write_text(done.stdout, encoding="utf-8")
    return folder


def call(place: Path, *arguments: str) -> int:
    return run(["--home", str(place / "home"), *arguments])


def test_the_run_says_what_came_and_what_went(place: Path) -> None:
    lines = (place / "run.txt").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "small-yard: 3 new scenes"
    assert lines[1].startswith("  SIMULATED  2023-10-13 02:30 UTC: A train of ")
    assert "is gone: this look would have shown" in lines[2]
    pictures = list((place / "home" / "reports" / "small-yard" / "20231022T050000Z").glob("*.png"))
    assert pictures and not list((place / "home").rglob(".*"))


def test_nothing_is_due_twice(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(place, "run", "--due") == 0
    assert capsys.readouterr().out == "Nothing is due.\n"


def test_cron_has_nothing_to_mail_when_there_is_no_news(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(place, "run", "--due", "-q") == 0
    assert call(place, "run", "--aoi", "small-yard", "-q") == 0
    assert capsys.readouterr() == ("", "")


def test_what_was_asked_for_again_changes_nothing(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def lines() -> list[str]:
        with read_archive(place / "home" / "archive.sqlite") as archive:
            return list(export_lines(archive))

    before = lines()
    assert call(place, "run", "--aoi", "small-yard", "--datetime", "2023-10") == 0
    assert capsys.readouterr().out == "small-yard: no new scenes\n" and lines() == before


def test_a_source_without_a_scene_of_the_site_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    yard, home = Yard(tmp_path, "bare").write(), ["--home", str(tmp_path / "home")]
    assert run([*home, "site", "add", "bare", "--aoi", str(yard.aoi), "--source", str(yard.source)]) == 0
    capsys.readouterr()
    assert run([*home, "run", "--due"]) == 0
    assert capsys.readouterr().out == "bare: its source holds no scene of it\n"
    assert run([*home, "status"]) == 0
    assert "0 scenes\n  no scene of it found yet in its source\n" in capsys.readouterr().out


def test_status_in_its_three_forms(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(place, "status", "--exit-code") == 0
    text = capsys.readouterr().out
    assert "checked 2023-10-22 05:00 UTC, next 2023-10-23 00:00 UTC, 3 scenes" in text
    assert call(place, "status", "--format", "json") == 0
    assert json.loads(capsys.readouterr().out)["sites"][0]["last_clear_look"] == "2023-10-17T02:30:00Z"
    assert call(place, "status", "--format", "prometheus") == 0
    assert f"rail_watch_last_run_timestamp_seconds {EPOCH}\n" in capsys.readouterr().out


def test_a_site_that_nobody_could_see_is_named(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", str(int(EPOCH) + 30 * 86_400))
    assert call(place, "status") == 0
    assert "  no clear look for 35 days (the last: 2023-10-17 02:30 UTC)" in capsys.readouterr().out


def test_check_backup_and_export(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(place, "archive", "check") == 0
    assert capsys.readouterr().out.endswith(": good (3 scenes judged)\n")
    assert call(place, "archive", "backup", str(tmp_path / "copy.sqlite")) == 0
    assert call(place, "archive", "backup", str(tmp_path / "copy.sqlite")) == 2
    capsys.readouterr()
    assert call(place, "archive", "export") == 0
    lines = capsys.readouterr().out.splitlines()
    with open_archive(tmp_path / "copy.sqlite") as copy:
        assert lines == list(export_lines(copy)) and json.loads(lines[0])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run"], ["--due", "--aoi NAME"]),
        (["run", "--due", "--aoi", "small-yard"], ["either --due"]),
        (["run", "--due", "--rejudge"], ["--rejudge go with --aoi"]),
        (["run", "--aoi", "nowhere"], ["nowhere: no such site", "small-yard"]),
        (["run", "--aoi", "small-yard", "--datetime", "soon"], ["soon"]),
        (["site", "add", "../x", "--aoi", "tumangang"], ["cannot be a site's name"]),
        (["site", "add", "small-yard", "--aoi", "tumangang"], ["is watched already"]),
        (["site", "add", "new", "--aoi", "nowhere"], ["nowhere: no such AOI"]),
        (["site", "remove", "nowhere"], ["no such site"]),
    ],
)
def test_bad_usage_is_one_line(
    place: Path, arguments: list[str], words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(place, *arguments) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and all(word in err for word in words), err


def test_two_runs_at_once(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with one_run(place / "home"):
        assert call(place, "run", "--due") == 5
    assert "another run works on" in capsys.readouterr().err


def test_without_an_archive_it_is_said_how_to_make_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in (["status"], ["archive", "check"]):
        assert run(["--home", str(tmp_path), *command]) == 2
        assert "`rail-watch run --due` makes one" in capsys.readouterr().err


def test_sites_come_and_go(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = ["--home", str(tmp_path)]
    assert run([*home, "site", "list"]) == 0
    out = capsys.readouterr().out
    assert "the sample, which is SIMULATED, is watched" in out and "tumangang" in out
    assert run([*home, "site", "add", "mine", "--aoi", "khasan", "--sensor", "skysat"]) == 0
    assert run([*home, "site", "list"]) == 0
    assert "mine                 every 24 h  khasan  " in capsys.readouterr().out
    assert run([*home, "site", "remove", "mine"]) == 0
    assert not list((tmp_path / "sites").iterdir())


def test_a_home_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAIL_WATCH_HOME", str(tmp_path / "there"))
    assert run(["site", "add", "mine", "--aoi", "khasan"]) == 0
    assert (tmp_path / "there" / "sites" / "mine.toml").is_file()


class _Pinged(http.server.BaseHTTPRequestHandler):
    paths: list[str] = []  # noqa: RUF012 - one list for all requests

    def do_GET(self) -> None:
        self.paths.append(self.path)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def pinged() -> Iterator[tuple[str, list[str]]]:
    _Pinged.paths.clear()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Pinged) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/ping", _Pinged.paths
        server.shutdown()
        thread.join()


def test_the_switch_is_pinged_and_metrics_written(
    place: Path, pinged: tuple[str, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    url, paths = pinged
    settings = place / "home" / "health.toml"
    settings.write_text(f'ping_url = "{url}"\nmetrics_file = "rail-watch.prom"\n', encoding="utf-8")
    try:
        assert call(place, "run", "--due") == 0
        assert paths == ["/ping"]
        assert "rail_watch_site_failed" in (place / "home" / "rail-watch.prom").read_text(encoding="utf-8")
        settings.write_text('ping_url = "ftp://x"\n', encoding="utf-8")
        assert call(place, "run", "--due") == 2
        assert "health.toml: ping_url must be an http or https address" in capsys.readouterr().err
    finally:
        settings.unlink()


def test_a_failed_run_pings_the_fail_address(
    tmp_path: Path, pinged: tuple[str, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    url, paths = pinged
    (tmp_path / "health.toml").write_text(f'ping_url = "{url}"\n', encoding="utf-8")
    (tmp_path / "sites").mkdir()
    (tmp_path / "sites" / "gone.toml").write_text('aoi = "khasan"\nsource = "/no/such"\n', encoding="utf-8")
    assert run(["--home", str(tmp_path), "run", "--due"]) == 1
    assert paths == ["/ping/fail"]
    assert "gone could not be checked: /no/such" in capsys.readouterr().err
    assert run(["--home", str(tmp_path), "status", "--exit-code"]) == 10
    assert "FAILED: /no/such" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("aoi = ", ["no TOML"]),
        ('source = "x"', ["no area of interest"]),
        ('aoi = "khasan"\nevry = "1d"', ["'evry' is not known here", "every"]),
        ('aoi = "khasan"\nevery = "soon"', ['such as "12h"']),
        ('aoi = "khasan"\nat = "25:00"', ["a time of day"]),
        ('aoi = "khasan"\nlook_back_days = 0', ["a number from 1 to 3650"]),
        ('aoi = "khasan"\nreports = "no"', ["true or false"]),
        ('aoi = "khasan"\nsensor = 3', ["a text in quotes"]),
        ('aoi = "khasan"\n[[rule]]\nwhat = ["trains"]', ["rule 1", "train-arrived"]),
        ('aoi = "khasan"\n[[rule]]\nat_least = "sure"', ["almost certain"]),
        ('aoi = "khasan"\n[[rule]]\nquiet = ["22:00"]', ["two times of day"]),
        ('aoi = "khasan"\n[[rule]]\nzone = "Mars/Olympus"', ["IANA"]),
        ('aoi = "khasan"\nrule = 3', ["[[rule]]"]),
    ],
)
def test_a_wrong_site_file_is_one_line(
    tmp_path: Path, text: str, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "sites").mkdir()
    (tmp_path / "sites" / "mine.toml").write_text(text, encoding="utf-8")
    assert run(["--home", str(tmp_path), "run", "--due"]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "mine.toml" in err and all(word in err for word in words), err


def test_sigterm_ends_a_run_between_pieces(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys\nfrom rail_watch.cli.home import stopping\n"
        "with stopping() as stop:\n    assert not stop()\n    os.kill(os.getpid(), signal.SIGTERM)\n    assert stop()\n"
        "print('alive')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "alive\n"), signal.SIGTERM


@pytest.mark.parametrize("text", ["=1+1", "+x", "-x", "@x", "\tx", "\rx", "\nx", "＝x"])
def test_no_cell_is_a_formula(text: str) -> None:
    assert cell(text) == "'" + text
    assert cell(-3.5) == -3.5 and cell("plain") == "plain"


def test_an_area_that_has_gone_does_not_silence_the_status(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "sites").mkdir()
    (tmp_path / "sites" / "gone.toml").write_text('aoi = "gone.geojson"\n', encoding="utf-8")
    (tmp_path / "health.toml").write_text('metrics_file = "m.prom"\n', encoding="utf-8")
    home = ["--home", str(tmp_path)]
    assert run([*home, "run", "--due"]) == 1
    assert "gone.geojson: no such AOI" in capsys.readouterr().err
    assert run([*home, "status"]) == 0
    assert "FAILED: gone.geojson: no such AOI" in capsys.readouterr().out
    assert 'rail_watch_site_failed{site="gone"} 1' in (tmp_path / "m.prom").read_text(encoding="utf-8")
    assert run([*home, "schedule", "show", "--for", "cron"]) == 0


@pytest.mark.parametrize(
    ("sites", "stopped", "status"),
    [
        ([], False, 0),
        ([{}], False, 0),
        ([{"unread": ("x: damaged",)}], False, 3),
        ([{"fault": "no such folder"}, {}], False, 3),
        ([{"fault": "no such folder"}], False, 1),
        ([{"cut_short": True}], True, 3),
        ([{}], True, 3),
    ],
)
def test_the_exit_status_says_how_much_was_done(sites: list[dict[str, object]], stopped: bool, status: int) -> None:
    from rail_watch.cli.run import status_of
    from rail_watch.watch.night import Night, SiteNight
    from rail_watch.watch.sites import WatchedSite

    watched = WatchedSite("yard", "yard.geojson", "imagery")
    done = tuple(SiteNight(watched, **one) for one in sites)  # type: ignore[arg-type]
    assert status_of(Night("r1", done), stopped=stopped) == status
