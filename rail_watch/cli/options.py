"""What commands have in common: the rate of false alarms, the time stamped on an answer, the folder it goes to."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from rail_watch.errors import BadInput

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
