"""The global option --home, and what the commands of the watch have in common."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from rail_watch.archive import Archive

Command = TypeVar("Command", bound=Callable[..., Any])
_KEY = "rail_watch.home"


def _keep(ctx: click.Context, _: click.Parameter, value: Path | None) -> None:
    if value is not None:
        ctx.meta[_KEY] = value


def home_option(command: Command) -> Command:
    """Give the program the option --home."""
    return click.option(
        "--home",
        type=click.Path(path_type=Path, file_okay=False),
        metavar="DIR",
        expose_value=False,
        callback=_keep,
        help="Folder of the archive, the watched sites and their reports.  [default: $RAIL_WATCH_HOME, else the "
        "user's data folder]",
    )(command)


def home_of(ctx: click.Context) -> Path:
    """Return the home this run works with."""
    from rail_watch.archive.home import default_home

    named: Path | None = ctx.meta.get(_KEY)
    return named if named is not None else default_home(os.environ)


def home_named(ctx: click.Context) -> bool:
    """Return whether the user wrote --home."""
    return _KEY in ctx.meta


def reading(ctx: click.Context) -> Archive:
    """Open the archive of the home to read."""
    from rail_watch.archive.home import archive_place
    from rail_watch.archive.store import read_archive

    return read_archive(archive_place(home_of(ctx), os.environ))


def now() -> datetime:
    """Return SOURCE_DATE_EPOCH where it is set, else now."""
    from rail_watch.cli.options import stamp

    return stamp() if "SOURCE_DATE_EPOCH" in os.environ else datetime.now(UTC)


@contextmanager
def stopping() -> Iterator[Callable[[], bool]]:
    """Give what tells whether SIGTERM has come: the piece of work in hand is finished first."""
    asked: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _frame: asked.append(number))
    try:
        yield lambda: bool(asked)
    finally:
        signal.signal(signal.SIGTERM, before)


def cell(value: object) -> object:
    """Return a cell for CSV that no spreadsheet takes for a formula; numbers stay numbers."""
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"):
        return "'" + value
    return value


def write_csv(header: list[str], rows: list[list[object]]) -> None:
    """Write a table to standard output as CSV."""
    import csv
    import io

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([["" if value is None else cell(value) for value in row] for row in rows])
    click.echo(text.getvalue(), nl=False)
    sys.stdout.flush()
