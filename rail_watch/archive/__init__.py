"""The archive: every site, scene, look and observation, kept for years. SQLite, one file."""

from rail_watch.archive.home import archive_path, archive_place, default_home
from rail_watch.archive.store import Archive, open_archive

__all__ = ["Archive", "archive_path", "archive_place", "default_home", "open_archive"]
