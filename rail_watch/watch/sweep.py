"""Sweep up what a run that was killed left half written: never a file under its own name, only the drafts beside it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_DRAFT = re.compile(r"\..+\.[a-z0-9_]{8}|.+\.part")
"""As `write_text`, `write_whole` and the pictures' `save` name them; a `.htaccess` of the user's is none."""


def _drafts(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        yield from (path for path in folder.iterdir() if _DRAFT.fullmatch(path.name))


def sweep(home: Path, run: str | None = None) -> int:
    """Remove drafts beside the alerts, and beside the reports of a run that was cut short; return how many.

    Only while holding the lock of the home: nobody else writes there then.
    """
    folders = [home / "alerts"]
    if run is not None:
        folders += [path / run for path in (home / "reports").glob("*") if path.is_dir()]
    gone = 0
    for draft in [path for folder in folders for path in _drafts(folder)]:
        with suppress(OSError):
            draft.unlink()
            gone += 1
    return gone
