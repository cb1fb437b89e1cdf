"""Schedulers get text they understand, whatever stands in the paths; the daemon loops, stops and tells how it does."""

from __future__ import annotations

import os
import plistlib
import shlex
import signal
import socket
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml
from archive_material import detections, keep, scene
from hypothesis import given
from hypothesis import strategies as st
from watch_material import Yard, evening, night

from rail_watch.archive import open_archive
from rail_watch.cli.main import run
from rail_watch.errors import BadInput
from rail_watch.observe.words import likelihood_of_p_value
from rail_watch.watch.daemon import Notifier, Stop, loop, until_told
from rail_watch.watch.rules import Rule
from rail_watch.watch.schedule import CRON_BEGIN, KINDS, Job, false_alerts, texts, with_cron

JOB = Job("/opt/rail watch/bin/rail-watch", '/data/100 % sure/$HOME/it\'s "here"')


def test_cron_gives_the_shell_the_words_that_were_meant() -> None:
    line = texts("cron", JOB)["crontab"].splitlines()[1]
    minute, hour, *_, command = line.split(maxsplit=5)
    assert (minute, hour) == ("17", "*")
    assert shlex.split(command.replace("\\%", "%")) == JOB.arguments and " % " not in command


def test_systemd_quotes_its_specifiers() -> None:
    made = texts("systemd", JOB)
    line = next(one for one in made["rail-watch.service"].splitlines() if one.startswith("ExecStart="))
    assert '"/data/100 %% sure/$$HOME/it\'s \\"here\\""' in line
    assert "Persistent=true" in made["rail-watch.timer"] and "RandomizedDelaySec" in made["rail-watch.timer"]


def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    import shutil

    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze here")
    for name, text in texts("systemd", Job(sys.executable, "/tmp")).items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    done = subprocess.run(
        ["systemd-analyze", "verify", *map(str, tmp_path.iterdir())],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert "rail-watch" not in done.stderr, done.stderr


def test_launchd_and_windows_hold_the_words() -> None:
    document = plistlib.loads(next(iter(texts("launchd", JOB).values())).encode())
    assert document["ProgramArguments"] == JOB.arguments
    task = ElementTree.fromstring(texts("windows", Job("C:\\a & b\\x.exe", "C:\\my home"))["rail-watch.xml"])
    space = "{http://schemas.microsoft.com/windows/2004/02/mit/task}"
    assert task.findtext(f".//{space}Command") == "C:\\a & b\\x.exe"
    assert task.findtext(f".//{space}Arguments") == '--home "C:\\my home" run --due -q'


@pytest.mark.parametrize("kind", ["github", "kubernetes"])
def test_services_get_yaml(kind: str) -> None:
    (text,) = texts(kind, JOB).values()
    document = yaml.safe_load(text)
    assert document["metadata" if kind == "kubernetes" else "jobs"]
    if kind == "kubernetes":
        assert document["spec"]["timeZone"] == "Etc/UTC" and document["spec"]["concurrencyPolicy"] == "Forbid"


def test_a_path_that_would_begin_a_new_line_is_refused() -> None:
    with pytest.raises(BadInput):
        Job("/bin/x", "/data\n* * * * * evil")


@given(st.lists(st.sampled_from(["0 1 * * * other", "# a comment", "", "MAILTO=x"]), max_size=6))
def test_a_crontab_keeps_its_other_lines(lines: list[str]) -> None:
    block = texts("cron", JOB)["crontab"]
    table = "".join(f"{line}\n" for line in lines)
    once = with_cron(table, block)
    assert with_cron(once, block) == once and once.count(CRON_BEGIN) == 1
    assert with_cron(once, "") == table


def put_on_path(folder: Path, name: str, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def test_cron_is_installed_shown_and_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "table"
    put_on_path(
        tmp_path / "bin",
        "crontab",
        f'if [ "$1" = -l ]; then [ -f {table} ] && cat {table} || {{ echo "no crontab for x" >&2; exit 1; }}; '
        f"else cat > {table}; fi",
        monkeypatch,
    )
    call = ["--home", str(tmp_path / "home"), "schedule"]
    assert run([*call, "install", "--for", "cron"]) == 0
    assert run([*call, "install", "--for", "cron"]) == 0
    assert table.read_text(encoding="utf-8").count(CRON_BEGIN) == 1
    capsys.readouterr()
    assert run([*call, "show", "--for", "cron"]) == 0
    out, err = capsys.readouterr()
    assert out == f"# ---- crontab\n{table.read_text(encoding='utf-8')}\n"
    assert "# tumangang: false alerts to expect are known after the first check" in err
    assert run([*call, "remove", "--for", "cron"]) == 0
    assert table.read_text(encoding="utf-8") == ""


def test_systemd_is_installed_for_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_on_path(tmp_path / "bin", "systemctl", f'echo "$@" >> {tmp_path}/calls', monkeypatch)
    monkeypatch.setenv("HOME", str(tmp_path))
    call = ["--home", str(tmp_path / "home"), "schedule"]
    assert run([*call, "install", "--for", "systemd"]) == 0
    units = tmp_path / ".config" / "systemd" / "user"
    assert sorted(path.name for path in units.iterdir()) == ["rail-watch.service", "rail-watch.timer"]
    assert run([*call, "remove", "--for", "systemd"]) == 0
    assert list(units.iterdir()) == []
    calls = (tmp_path / "calls").read_text(encoding="utf-8").splitlines()
    assert calls[1] == "--user enable --now rail-watch.timer" and calls[-1] == "--user disable --now rail-watch.timer"


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["install", "--for", "github"], 2, "schedule show --for github"),
        (["remove", "--for", "kubernetes"], 2, "where you keep it"),
        (["install", "--for", "windows"], 2, "schtasks is not on this machine"),
    ],
)
def test_what_cannot_be_installed_is_one_line(
    tmp_path: Path, arguments: list[str], status: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["--home", str(tmp_path), "schedule", *arguments]) == status
    err = capsys.readouterr().err
    assert words in err and err.count("\n") == 1


def test_a_scheduler_that_fails_is_told_in_its_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    put_on_path(tmp_path / "bin", "systemctl", "echo 'Failed to connect to bus' >&2; exit 1", monkeypatch)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert run(["--home", str(tmp_path), "schedule", "install", "--for", "systemd"]) == 1
    assert "systemctl --user daemon-reload: Failed to connect to bus" in capsys.readouterr().err


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_shown(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--home", str(tmp_path), "schedule", "show", "--for", kind]) == 0
    assert "run" in capsys.readouterr().out


def test_false_alerts_are_rate_times_looks(tmp_path: Path) -> None:
    yard = Yard(tmp_path).write()
    with open_archive(tmp_path / "archive.sqlite") as archive:
        # Sixty days, a scene each day, two tracks and an apron; half of the scenes under cloud.
        keep(archive, detections([scene(n, "ee" if n % 2 else "uu") for n in range(61)], []))
        (found,) = false_alerts(archive, [yard.watched()])
        assert found.looks_a_month == pytest.approx(30) and found.expected == pytest.approx(0.3)
        assert found.apron_looks_a_month == pytest.approx(15)
        (other,) = false_alerts(archive, [yard.watched(false_alarm_rate=0.05)])
        assert other.expected == pytest.approx(1.5) and other.rate == 0.05
    assert false_alerts(None, [yard.watched()])[0].expected is None


def test_false_alerts_of_a_rule_are_those_it_would_tell(tmp_path: Path) -> None:
    yard = Yard(tmp_path).write()
    rules = (
        Rule(),
        Rule(what=("train-arrived",)),
        Rule(what=("train-arrived", "train-departed")),
        Rule(what=("train-arrived",), at_least="almost certain"),
        Rule(what=("cargo-arrived",)),
        Rule(what=("bridge", "nothing-seen", "novelty", "change")),
    )
    with open_archive(tmp_path / "archive.sqlite") as archive:
        keep(archive, detections([scene(n, "ee") for n in range(61)], []))
        (found,) = false_alerts(archive, [yard.watched(rules=rules, false_alarm_rate=0.02)])
    # 61 looks at each of two tracks and at an apron, in two months; a false train comes and goes.
    assert found.by_rule[0] == pytest.approx(0.02 * 2 * (61 + 30.5))
    assert found.by_rule[1] == pytest.approx(0.02 * 61) and found.by_rule[2] == pytest.approx(0.02 * 61 * 2)
    # "Almost certain" is said of p-values below 0.0034: of false ones, that share of those below 0.02.
    limit = found.by_rule[3] / 61
    assert 0.003 < limit < 0.004 and likelihood_of_p_value(limit * 0.999) == "almost certain"
    assert found.by_rule[4] == pytest.approx(0.02 * 30.5) and found.by_rule[5] == 0.0


def test_a_gap_within_the_last_ninety_days_does_not_make_a_month_busier(tmp_path: Path) -> None:
    yard = Yard(tmp_path).write()
    with open_archive(tmp_path / "archive.sqlite") as archive:
        days = [0, *range(190, 200)]
        keep(archive, detections([scene(n, "ee") for n in days], []))
        (found,) = false_alerts(archive, [yard.watched()])
    assert found.looks_a_month == pytest.approx(20 / 3)


def test_false_alerts_are_shown_for_each_rule(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    yard, home = Yard(tmp_path).write(), tmp_path / "home"
    with open_archive(home / "archive.sqlite") as archive:
        keep(archive, detections([scene(n, "ee") for n in range(61)], []))
    (home / "sites").mkdir()
    text = f'aoi = "{yard.aoi}"\nsource = "{yard.source}"\nfalse_alarm_rate = 0.05\n'
    rules = '[[rule]]\nwhat = ["train-arrived"]\n[[rule]]\nwhat = ["bridge"]\n'
    (home / "sites" / "yard.toml").write_text(text + rules, encoding="utf-8")
    assert run(["--home", str(home), "schedule", "show", "--for", "cron"]) == 0
    assert capsys.readouterr().err.splitlines() == [
        "# yard: 61 looks at tracks and decks, 30 at aprons, a month, at a rate of 0.05: about 3.1 false trains",
        "# yard: rule 1 sends at most 3.1 false alerts a month, coming and going",
        "# yard: rule 2 sends at most 0.0 false alerts a month, coming and going",
        "# nothing was installed: `rail-watch schedule install` does that",
    ]


class Told:
    """A Stop that ends after some rounds, and remembers the waits."""

    def __init__(self, rounds: int) -> None:
        self.rounds, self.waits = rounds, list[float]()

    def stop(self) -> Stop:
        return Stop(lambda: len(self.waits) >= self.rounds, self.waits.append)


def test_the_loop_waits_between_rounds_and_says_how_it_does() -> None:
    told, said = Told(2), list[str]()
    assert loop(lambda: "nothing is due", told.stop(), said.append, pause_s=300) == 2
    assert told.waits == [300, 300]
    assert said[0] == "READY=1" and said[-1] == "STOPPING=1"
    assert said.count("WATCHDOG=1\nSTATUS=nothing is due") == 2


@pytest.mark.parametrize("shape", ["path", "abstract"])
def test_the_notifier_speaks_to_the_socket_it_is_given(tmp_path: Path, shape: str) -> None:
    if shape == "abstract" and not sys.platform.startswith("linux"):
        pytest.skip("abstract sockets are Linux's")
    name = str(tmp_path / "notify") if shape == "path" else f"@rail-watch-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(name if shape == "path" else "\0" + name[1:])
        Notifier({"NOTIFY_SOCKET": name})("READY=1")
        assert receiver.recv(100) == b"READY=1"
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")})("READY=1")
    Notifier({})("READY=1")


def test_sigterm_cuts_the_wait_short() -> None:
    before = signal.getsignal(signal.SIGTERM)
    start = time.monotonic()
    with until_told() as stop:
        signal.setitimer(signal.ITIMER_REAL, 0)
        os.kill(os.getpid(), signal.SIGTERM)
        stop.wait(30)
        assert stop.asked()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
    assert time.monotonic() - start < 5 and signal.getsignal(signal.SIGTERM) == before


def test_the_daemon_checks_and_ends_when_told(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "sites").mkdir(parents=True)
    (home / "sites" / "gone.toml").write_text('aoi = "khasan"\nsource = "/no/such"\n', encoding="utf-8")
    with subprocess.Popen(
        [sys.executable, "-m", "rail_watch", "--home", str(home), "watch"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stderr is not None
        assert "watching the sites" in process.stderr.readline()
        assert "gone could not be checked" in process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        assert process.stderr.read() == ""


@pytest.mark.parametrize(("failures", "wait"), [(1, 5), (2, 10), (3, 20), (4, 40), (6, 40)])
def test_a_site_that_fails_is_tried_again_after_a_while(tmp_path: Path, failures: int, wait: int) -> None:
    yard = Yard(tmp_path)
    yard.add(0)
    yard.write()
    home, at = tmp_path / "home", evening(0)
    bad = yard.watched(source=str(tmp_path / "nowhere"))
    for _ in range(failures):
        assert night(home, [bad], at).sites[0].fault
        at += timedelta(minutes=60)
    at -= timedelta(minutes=60)
    assert night(home, [bad], at + timedelta(minutes=wait - 1)).sites == ()
    assert night(home, [yard.watched()], at + timedelta(minutes=wait)).sites[0].fault is None
