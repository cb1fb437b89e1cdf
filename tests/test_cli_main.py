"""The program as a whole: start, help, errors, endings."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
import types
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest

from rail_watch import __version__
from rail_watch.cli import main as program
from rail_watch.cli.console import Bar, Talk, plain
from rail_watch.errors import BadAoi, NoUsableImagery

CHECKOUT = Path(__file__).resolve().parents[1]
HEAVY = ("numpy", "rasterio", "shapely", "matplotlib", "pyproj", "scipy", "skimage", "geopandas")


def rail_watch(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "rail_watch", *arguments],
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
        cwd=CHECKOUT,
        **options,  # type: ignore[call-overload]
    )


@pytest.fixture(autouse=True)
def _own_logging(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The program sets up logging and warnings for its own process; give them back."""
    monkeypatch.setattr(logging.getLogger(), "handlers", list(logging.getLogger().handlers))
    with warnings.catch_warnings():
        yield
    logging.captureWarnings(False)


@pytest.fixture
def ending(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Run a command `boom` that ends as told; return the exit status and standard error."""

    def end(error: BaseException, *arguments: str) -> tuple[int, str]:
        @click.command()
        def boom() -> None:
            raise error

        monkeypatch.setitem(sys.modules, "boom_for_test", types.SimpleNamespace(command=boom))  # type: ignore[arg-type]
        monkeypatch.setitem(program.COMMANDS, "boom", ("boom_for_test", "Fails."))
        return program.run([*arguments, "boom"]), capsys.readouterr().err

    return end


def test_version() -> None:
    done = rail_watch("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"rail-watch {__version__}\n", "")


def test_help_lists_every_command_and_loads_nothing_heavy() -> None:
    code = (
        "import sys\nfrom rail_watch.cli.main import run\n"
        f"assert run(['--help']) == 0\nprint('loaded', sorted(set({HEAVY!r}) & set(sys.modules)))\n"
        f"assert run(['detect', '--help']) == 0\nprint('loaded', sorted(set({HEAVY!r}) & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=False, text=True, timeout=60, cwd=CHECKOUT
    )
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stdout.splitlines() if line.startswith("loaded")] == ["loaded []"] * 2
    assert all(f"  {name} " in done.stdout for name in program.COMMANDS)


def _walk(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        ctx = click.Context(command)
        for name in command.list_commands(ctx):
            child = command.get_command(ctx, name)
            assert child is not None
            yield from _walk(child, f"{path} {name}")


def test_every_command_and_option_has_help() -> None:
    commands = dict(_walk(program.cli, "rail-watch"))
    assert {"rail-watch detect", "rail-watch aoi list", "rail-watch simulate"} <= set(commands)
    mute = [path for path, command in commands.items() if not command.help]
    mute += [
        f"{path} {option.opts[0]}"
        for path, command in commands.items()
        for option in command.params
        if isinstance(option, click.Option) and not option.help
    ]
    assert mute == []


def test_no_help_page_shows_marks_meant_for_click() -> None:
    for path, command in _walk(program.cli, "rail-watch"):
        text = command.get_help(click.Context(command, info_name=path, terminal_width=80))
        assert "\\b" not in text and "\b" not in text, path


def test_each_exit_status_has_its_line_of_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.run(["detect", "--help"]) == 0
    starts = [line.split()[0] for line in capsys.readouterr().out.splitlines() if line[4:6].strip().isdigit()]
    assert starts == ["0", "1", "2", "3", "4", "10"]


def test_the_table_of_commands_says_what_the_commands_say() -> None:
    for name, (_, line) in program.COMMANDS.items():
        command = program.cli.get_command(click.Context(program.cli), name)
        assert command is not None and command.get_short_help_str(200) == line


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["detct"], ["No such command 'detct'", "rail-watch --help"]),
        (["detect"], ["Missing option '--aoi'", "rail-watch detect --help"]),
        (["detect", "--aoi", "tumangang", "--nonsense"], ["--nonsense", "rail-watch detect --help"]),
        (["detect", "--aoi", "tumangang", "--false-alarm-rate", "0"], ["--false-alarm-rate", "0<x<0.5"]),
        (["detect", "--aoi", "tumangang", "--false-alarm-rate", "0.5"], ["--false-alarm-rate"]),
        (["detect", "--aoi", "tumangang", "--format", "xml"], ["--format", "table"]),
        (["aoi", "show", "nowhere"], ["nowhere: no such AOI"]),
    ],
)
def test_bad_usage_is_one_line_and_status_2(
    arguments: list[str], words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert program.run(arguments) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("rail-watch: error: ") and err.count("\n") == 1
    assert all(word in err for word in words)


def test_no_arguments_show_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.run([]) == 2
    assert capsys.readouterr().err.startswith("Usage: rail-watch")


@pytest.mark.parametrize("epoch", ["soon", ""])
def test_a_bad_epoch_is_named_before_a_library_stumbles_over_it(epoch: str) -> None:
    done = rail_watch("detect", "--aoi", "tumangang", env={**os.environ, "SOURCE_DATE_EPOCH": epoch})
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"rail-watch: error: SOURCE_DATE_EPOCH is '{epoch}'; it must be whole seconds since 1970\n"


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (BadAoi("yard.geojson: no site polygon; draw one"), 2, "yard.geojson: no site polygon; draw one"),
        (NoUsableImagery("nothing"), 4, "nothing"),
        (BadAoi("evil\x1b[2J\u202e\n\tname"), 2, "evil[2J name"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (PermissionError(13, "Permission denied", "out/x"), 1, "out/x: Permission denied"),
        (
            RuntimeError("the\nsky fell"),
            1,
            "unexpected RuntimeError: the sky fell (run again with -vv for the traceback)",
        ),
    ],
)
def test_endings(ending: Callable[..., tuple[int, str]], error: BaseException, status: int, line: str) -> None:
    code, err = ending(error)
    assert code == status
    assert err.lstrip("\n") == f"rail-watch: error: {line}\n"


def test_with_vv_there_is_a_traceback(ending: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging, "basicConfig", lambda **_: None)
    code, err = ending(RuntimeError("the sky fell"), "-vv")
    assert code == 1 and "Traceback" in err and err.endswith("error: unexpected RuntimeError: the sky fell\n")


def test_a_reader_that_goes_away_is_no_error() -> None:
    code = (
        "import sys, types, click\nfrom rail_watch.cli import main\n"
        "command = click.Command('flood', callback=lambda: [click.echo('x' * 1000) for _ in range(1000)])\n"
        "sys.modules['flood'] = types.SimpleNamespace(command=command)\n"
        "main.COMMANDS['flood'] = ('flood', 'Writes.')\nsys.argv = ['rail-watch', 'flood']\nmain.main()"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait(30) == program.BROKEN_PIPE


def test_a_full_disk_is_one_line() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "rail_watch", "--version"],
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
            text=True,
            timeout=60,
        )
    assert done.returncode == 1
    assert done.stderr == "rail-watch: error: output: No space left on device\n"


def test_an_interrupt_from_the_keyboard() -> None:
    code = (
        "import signal, sys, time, types, click\nfrom rail_watch.cli import main\n"
        "def wait():\n    click.echo('ready')\n    sys.stdout.flush()\n    time.sleep(60)\n"
        "sys.modules['wait'] = types.SimpleNamespace(command=click.Command('wait', callback=wait))\n"
        "main.COMMANDS['wait'] = ('wait', 'Waits.')\nsys.argv = ['rail-watch', 'wait']\n"
        # A shell that runs the tests in the background leaves interrupts ignored to all below it.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\nmain.main()"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err.strip()) == (130, "rail-watch: error: interrupted")


def test_libraries_are_not_heard_by_default(capfd: pytest.CaptureFixture[str]) -> None:
    code = (
        "import logging, warnings\nfrom rail_watch.cli.main import hush_libraries\nhush_libraries()\n"
        "logging.getLogger('rasterio._env').warning('CPLE_AppDefined')\nwarnings.warn('deprecated')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
        env={key: value for key, value in os.environ.items() if key != "PYTHONWARNINGS"},
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_an_ascii_terminal_gets_escapes_not_a_crash() -> None:
    done = rail_watch("aoi", "list", env={**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"})
    assert done.returncode == 0 and done.stdout.isascii()


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("a\x1b[31mb\x07", "a[31mb"),
        ("two\nlines\u2028more", "two lines more"),
        ("\u202eab\u200b\ud800", "ab"),
        ("Tümen 강", "Tümen 강"),
    ],
)
def test_plain_text_cannot_command_a_terminal(text: str, kept: str) -> None:
    assert plain(text) == kept


class _Terminal:
    def __init__(self) -> None:
        self.text = ""

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None:
        pass


def test_the_bar_is_one_line_that_wipes_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = _Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    bar = Bar(Talk())
    bar(1, 4, "yard: reading\x1b[2J " + "long " * 40)
    bar(4, 4, "yard: reading b")
    bar.close()
    lines = terminal.text.split("\r\033[K")
    assert lines[0] == "" and lines[-1] == "" and "\n" not in terminal.text
    assert lines[1].startswith("[#####...............] 1/4 yard: reading[2J long")
    assert len(lines[1]) < 100 and lines[2] == "[####################] 4/4 yard: reading b"


def test_no_bar_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    for talk in (Talk(), Talk(-1)):
        bar = Bar(talk)
        bar(1, 2, "x")
        bar.close()
    assert capsys.readouterr().err == ""
