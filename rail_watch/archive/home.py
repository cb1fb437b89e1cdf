"""Where the archive lies."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rail_watch.errors import BadInput

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


def archive_place(home: Path, environment: Mapping[str, str]) -> Path | str:
    """Return where the archive of a home is: the database of RAIL_WATCH_ARCHIVE where that is set, else the file.

    Raises
    ------
    BadInput
        RAIL_WATCH_ARCHIVE is no address of a PostgreSQL database.
    """
    named = environment.get("RAIL_WATCH_ARCHIVE")
    if not named:
        return archive_path(home)
    if not named.startswith(("postgresql://", "postgres://")):
        raise BadInput("RAIL_WATCH_ARCHIVE must be postgresql://USER@HOST/DATABASE; unset it for an archive in a file")
    return named
