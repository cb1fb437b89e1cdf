"""What commands have in common: the rate of false alarms, the form of output, the time stamped, the folder."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from rail_watch.errors import BadInput

if TYPE_CHECKING:
    from rail_watch.providers import Source

MOST_ITEMS_BYTES = 64_000_000
CACHE, CACHE_GB = "RAIL_WATCH_CACHE", "RAIL_WATCH_CACHE_GB"
Command = TypeVar("Command", bound=Callable[..., Any])


def _a_number(_ctx: click.Context, _option: click.Parameter, value: float) -> float:
    """Refuse NaN, which lies in every range."""
    if math.isnan(value):
        raise click.BadParameter("nan is not a number.")
    return value


def false_alarm_rate_option(command: Command) -> Command:
    """Give a command the option --false-alarm-rate."""
    return click.option(
        "--false-alarm-rate",
        type=click.FloatRange(0, 0.5, min_open=True, max_open=True),
        callback=_a_number,
        default=0.01,
        show_default=True,
        help="False alarms you can bear, per track and scene.",
    )(command)


def language_option(command: Command) -> Command:
    """Give a command the option --language."""
    return click.option(
        "--language",
        type=click.Choice(("en", "ko", "ja", "fr", "de", "es")),
        default="en",
        show_default=True,
        help="Language of captions, labels and dates; names and JSON stay as they are.",
    )(command)


def table_or_json_option(words: str = "What goes to standard output.") -> Callable[[Command], Command]:
    """Give a command the option --format with the choices table and json; `words`: its help."""
    return click.option(
        "--format", "style", type=click.Choice(("table", "json")), default="table", show_default=True, help=words
    )


def stamp() -> datetime:
    """Return SOURCE_DATE_EPOCH (reproducible-builds.org) where it is set, else now, in whole seconds.

    To be called before anything heavy is loaded: numpy too reads SOURCE_DATE_EPOCH, and fails with a traceback.

    Raises
    ------
    BadInput
        SOURCE_DATE_EPOCH is no number of seconds.
    """
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    if epoch is None:
        return datetime.now(UTC).replace(microsecond=0)
    try:
        return datetime.fromtimestamp(int(epoch), UTC)
    except (ValueError, OverflowError, OSError) as fault:
        raise BadInput(f"SOURCE_DATE_EPOCH is {epoch[:40]!r}; it must be whole seconds since 1970") from fault


def check_folder(folder: Path) -> None:
    """Refuse a folder that cannot be made or written to now, not after a minute of work.

    Raises
    ------
    BadInput
        With the folder that stands in the way.
    """
    standing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not standing.is_dir() or not os.access(standing, os.W_OK | os.X_OK):
        raise BadInput(f"{folder}: cannot write ({standing} is no folder one may write to); choose another with --out")


def cache_folder() -> Path:
    """Return the folder of windows read from the network: RAIL_WATCH_CACHE, else where the system keeps such things."""
    from platformdirs import user_cache_path

    given = os.environ.get(CACHE)
    return Path(given) if given else user_cache_path("rail-watch")


def cache_bytes() -> int | None:
    """Return the limit that RAIL_WATCH_CACHE_GB sets, None for the usual one.

    Raises
    ------
    BadInput
        It is no number above zero.
    """
    given = os.environ.get(CACHE_GB)
    if given is None:
        return None
    try:
        limit = float(given)
    except ValueError:
        limit = math.nan
    if not 0 < limit < 1e6:
        raise BadInput(f"{CACHE_GB} is {given[:40]!r}; it must be a number of gigabytes above zero")
    return int(limit * 1e9)


def source_of(source: str | None, items: str | None, *, offline: bool, cache: bool) -> Source | None:
    """Return what --source, --items, --offline and --no-cache mean together; None for the sample imagery.

    Raises
    ------
    BadInput
        Both a source and items, or items that cannot be read.
    """
    from rail_watch.providers import Source

    if offline:
        os.environ["PROJ_NETWORK"] = "OFF"
    if source is not None and items is not None:
        raise BadInput("--source and --items are two answers to one question; give one of them")
    if source is None and items is None:
        return None
    folder, limit = (cache_folder() if cache else None), cache_bytes()
    if items is None:
        assert source is not None
        return Source(source, offline=offline, cache=folder, cache_bytes=limit)
    return Source(
        "standard input" if items == "-" else items, _items(items), offline=offline, cache=folder, cache_bytes=limit
    )


def _items(items: str) -> bytes:
    """Return the bytes of --items, from a file or standard input."""
    from rail_watch.aoi.json_file import read_bytes
    from rail_watch.errors import BadCatalogue

    if items != "-":
        return read_bytes(Path(items), error=BadCatalogue, max_bytes=MOST_ITEMS_BYTES)
    data: bytes = sys.stdin.buffer.read(MOST_ITEMS_BYTES + 1)
    if len(data) > MOST_ITEMS_BYTES:
        raise BadCatalogue(f"standard input: larger than {MOST_ITEMS_BYTES / 1e6:.0f} MB; hand in fewer items")
    return data
