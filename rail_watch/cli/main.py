"""``rail-watch``: the program, its commands, and how it ends."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import click

from rail_watch import __version__
from rail_watch.cli.console import Talk, hush_libraries, plain, use_colour, verbosity_options
from rail_watch.cli.home import home_option
from rail_watch.errors import RailWatchError

COMMANDS = {
    "detect": ("rail_watch.cli.detect", "Find trains and cargo in imagery of an area of interest."),
    "search": ("rail_watch.cli.search", "List the scenes that show an area of interest."),
    "aoi": ("rail_watch.cli.aoi", "List, show, check, make and refine areas of interest."),
    "run": ("rail_watch.cli.run", "Check the watched sites once: search, judge, report, archive, alert."),
    "site": ("rail_watch.cli.site", "Add, list and remove the sites that are watched."),
    "status": (
        "rail_watch.cli.status",
        "Say when each site was and will be checked, what failed, and what could not be seen for long.",
    ),
    "schedule": (
        "rail_watch.cli.schedule",
        "Print, install and remove the nightly check for the scheduler of this machine or of a service.",
    ),
    "watch": (
        "rail_watch.cli.watch",
        "Check sites as they fall due, until told to end: for containers and services.",
    ),
    "history": ("rail_watch.cli.history", "Show what stood at a site and when, by the archive."),
    "review": (
        "rail_watch.cli.review",
        "Confirm, reject and correct observations; the machine's answer stays as it is.",
    ),
    "serve": ("rail_watch.cli.serve", "Show the archive in a browser: sites, maps, dates side by side, reviews."),
    "diff": (
        "rail_watch.cli.diff",
        "Show what the second RUN says otherwise than the first, of the scenes that both judged.",
    ),
    "export": ("rail_watch.cli.export", "Write an answer as GeoJSON, GeoParquet, GeoPackage, CSV or STAC."),
    "figure": ("rail_watch.cli.figure", "Make a picture to publish: pair, sequence, overview, grid, timeline."),
    "alerts": ("rail_watch.cli.alerts", "List, send and try out alerts."),
    "archive": ("rail_watch.cli.archive", "Check, copy and export the archive."),
    "bundle": (
        "rail_watch.cli.bundle",
        "Put a finding and all it rests on into one zip file (RO-Crate) that `verify` replays elsewhere.",
    ),
    "verify": ("rail_watch.cli.verify", "Check a bundle and judge its finding again, offline."),
    "simulate": ("rail_watch.cli.simulate", "Make SIMULATED imagery of a site, with its truth."),
    "evaluate": (
        "rail_watch.cli.evaluate",
        "Measure the detector against known truth, or against the reviews in the archive.",
    ),
    "cache": ("rail_watch.cli.cache", "Look at, or empty, the store of what was read from the network."),
    "doctor": ("rail_watch.cli.doctor", "Check versions, drivers, keys, providers and disk."),
}
"""Name to the module that holds it as `command`, and its line of help. Modules load when their command is called."""

INTERRUPTED = 130
BROKEN_PIPE = 141
"""What a shell reports of a program ended by SIGINT or SIGPIPE."""


class LazyGroup(click.Group):
    """A group that loads a command only when it is called, so that --help stays quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the commands in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load one command."""
        if cmd_name not in COMMANDS:
            return None
        for library in ("OPENBLAS", "MKL", "OMP"):
            # The matrices are small and the work is shared out between processes: more threads would only wait.
            os.environ.setdefault(f"{library}_NUM_THREADS", "1")
        command: click.Command = import_module(COMMANDS[cmd_name][0]).command
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; when the reader of a pipe has gone, end as quietly as SIGPIPE would."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            _swallow_output()
            ctx.exit(BROKEN_PIPE)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without loading them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.group(
    cls=LazyGroup,
    name="rail-watch",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Start with: rail-watch detect --aoi tumangang",
)
@click.version_option(__version__, message="%(prog)s %(version)s", prog_name="rail-watch", help="Show the version.")
@home_option
@verbosity_options
def cli() -> None:
    """Watch rail yards, bridges and ports in satellite imagery.

    Finds trains and cargo, says how sure it is of each, and says what it could not have seen.
    """


def _complain(message: str) -> None:
    with contextlib.suppress(OSError):
        click.echo(f"rail-watch: error: {plain(message)}", err=True)


def _usage(error: click.ClickException) -> str:
    """One line for a wrong command line, with where to read how it is right."""
    message = error.format_message().rstrip()
    ctx = getattr(error, "ctx", None)
    if ctx is None:
        return message
    stop = "" if message.endswith((".", "?", "!")) else "."
    return f"{message}{stop} See `{ctx.command_path} --help`."


def _swallow_output() -> None:
    """Let what is still buffered go nowhere: the reader has gone, and Python would complain once more at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)


def _failed(error: BaseException, talk: Talk) -> int:
    """Say what went wrong, and return the exit status for it."""
    match error:
        case RailWatchError():
            message, status = str(error), error.exit_status
        case click.Abort() | KeyboardInterrupt():
            message, status = "interrupted", INTERRUPTED
        case click.ClickException():
            message, status = _usage(error), error.exit_code
        case BrokenPipeError():
            _swallow_output()
            return BROKEN_PIPE
        case OSError():
            message, status = f"{error.filename or 'output'}: {error.strerror or error}", 1
        case _:
            return _unexpected(error, talk)
    _complain(message)
    return status


def _unexpected(error: BaseException, talk: Talk) -> int:
    if talk.level >= 2:
        import traceback

        traceback.print_exception(error)
    hint = "" if talk.level >= 2 else " (run again with -vv for the traceback)"
    _complain(f"unexpected {type(error).__name__}: {str(error)[:500]}{hint}")
    return 1


def _outcome(arguments: Sequence[str] | None, talk: Talk) -> int:
    """Run the command line and return its exit status; standard output is written out before this returns."""
    try:
        status: Any = cli.main(
            args=None if arguments is None else list(arguments),
            prog_name="rail-watch",
            standalone_mode=False,
            obj=talk,
            color=use_colour(),
        )
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return error.exit_code
    if sys.stdout is not None:
        sys.stdout.flush()
    return status if isinstance(status, int) else 0


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the program and return its exit status; every error becomes one line on standard error."""
    talk = Talk()
    hush_libraries()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        return _outcome(arguments, talk)
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the edge of the program: nobody stands above
        return _failed(error, talk)


def main() -> None:
    """Entry point of the command ``rail-watch``."""
    sys.exit(run())
