"""What reaches the terminal: plain text, how much of it, and a progress bar."""

from __future__ import annotations

import os
import shutil
import sys
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass
class Talk:
    """How much is said on standard error: -1 only errors, 0 the usual, 1 each step, 2 everything."""

    level: int = 0


def plain(text: str) -> str:
    """Return one line without control characters and without those that turn the direction of writing.

    Names of files, scenes and tracks come from outside; a terminal must not obey them.
    """
    spaced = "".join(" " if letter.isspace() else letter for letter in text)
    kept = "".join(letter for letter in spaced if unicodedata.category(letter) not in ("Cc", "Cf", "Cs", "Zl", "Zp"))
    return " ".join(kept.split())


def talk_of(ctx: click.Context) -> Talk:
    """Return how much this run may say."""
    return ctx.ensure_object(Talk)


def note(ctx: click.Context, text: str, *, level: int = 0) -> None:
    """Say a line on standard error, if the user wants to hear lines of that level."""
    if talk_of(ctx).level >= level:
        click.echo(f"rail-watch: {plain(text)}", err=True)


def _louder(ctx: click.Context, _: click.Parameter, value: int) -> None:
    if value:
        talk_of(ctx).level += value
        _listen(talk_of(ctx).level)


def _quieter(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        talk_of(ctx).level = -1


def verbosity_options(command: Command) -> Command:
    """Give a command the options -v and -q."""
    verbose = click.option(
        "-v",
        "--verbose",
        count=True,
        expose_value=False,
        callback=_louder,
        help="Say each step on standard error; -vv: and what the libraries say, and tracebacks.",
    )
    quiet = click.option(
        "-q",
        "--quiet",
        is_flag=True,
        expose_value=False,
        callback=_quieter,
        help="Say nothing on standard error but errors.",
    )
    return verbose(quiet(command))


def hush_libraries() -> None:
    """Keep warnings and log lines of the libraries off the terminal."""
    import logging
    import warnings

    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    logging.getLogger().addHandler(logging.NullHandler())


def _listen(level: int) -> None:
    """Let the libraries be heard again with -vv."""
    import logging
    import warnings

    if level < 2:
        return
    warnings.simplefilter("default")
    logging.captureWarnings(True)
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(levelname)s: %(message)s", force=True)


def use_colour() -> bool | None:
    """Return False where the user wants no colours (no-color.org); None leaves it to whether it is a terminal."""
    return False if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" else None


def columns(*, most: int = 100) -> int:
    """Return how wide text may be: the terminal's width, 80 where there is none."""
    return max(40, min(shutil.get_terminal_size((80, 24)).columns, most))


class Bar:
    """A progress bar on one line of standard error; silent where that is no terminal."""

    def __init__(self, talk: Talk) -> None:
        self.level = talk.level
        self.live = talk.level == 0 and sys.stderr is not None and sys.stderr.isatty()
        self._drawn = False

    def __call__(self, done: int, of: int, what: str) -> None:
        """Show that `done` of `of` steps are made."""
        if self.level > 0:
            click.echo(f"rail-watch: {done}/{of} {plain(what)}", err=True)
        if not self.live:
            return
        filled = 20 * done // max(of, 1)
        line = f"[{'#' * filled}{'.' * (20 - filled)}] {done}/{of} {plain(what)}"
        click.echo(f"\r\033[K{line[: columns() - 1]}", err=True, nl=False)
        self._drawn = True

    def close(self) -> None:
        """Wipe the line, so that what follows stands alone."""
        if self._drawn:
            click.echo("\r\033[K", err=True, nl=False)
            self._drawn = False
