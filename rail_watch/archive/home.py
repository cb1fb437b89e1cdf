"""Where the archive lies."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

ARCHIVE_NAME = "archive.sqlite"


def default_home(environment: Mapping[str, str]) -> Path:
    """Return the folder that holds the archive when none is named: RAIL_WATCH_HOME, else the user's data folder."""
    named = environment.get("RAIL_WATCH_HOME")
    if named:
        return Path(named)
    from platformdirs import user_data_path

    return user_data_path("rail-watch", appauthor=False)


def archive_path(home: Path) -> Path:
    """Return the file of the archive in a home."""
    return home / ARCHIVE_NAME
