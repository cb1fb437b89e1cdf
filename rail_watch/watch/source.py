"""Which scenes of a source are new, told from what it lists, before a pixel is read."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

from rail_watch.archive.store import Archive, packed
from rail_watch.imagery.interval import Interval, within
from rail_watch.imagery.scene import SceneRef

MOST_ATTEMPTS = 5
"""Checks in which a scene that cannot be judged is tried again; after that only when its entry changes."""
MOST_FILES = 200_000
_VERSIONS = ("updated", "processing:datetime", "published", "created", "s2:generation_time")


@dataclass(frozen=True)
class Entry:
    """One scene of a source and what tells it from the same scene processed again."""

    ref: SceneRef
    fingerprint: str


def _file_state(href: str) -> list[int] | None:
    try:
        found = os.stat(href)
    except (OSError, ValueError):
        return None
    return [found.st_size, found.st_mtime_ns]


def _place(href: str) -> list[object]:
    """Return where a file lies and its state; of an address what stays when it is signed anew for each search."""
    if "://" not in href:
        return [href, _file_state(href)]
    parts = urlsplit(href)
    return [f"{parts.hostname}{parts.path}", None]


def entry_of(ref: SceneRef) -> Entry:
    """Return a scene with its fingerprint: versions and checksums of the catalogue, size and age of its files."""
    versions = [str(ref.properties.get(name, "")) for name in _VERSIONS]
    assets = [[a.key, *_place(a.href), a.checksum] for a in ref.assets]
    text = packed([ref.id, ref.when.isoformat(), versions, sorted(assets, key=str)])
    return Entry(ref, hashlib.sha256(text.encode()).hexdigest())


def new_entries(archive: Archive, site: str, refs: Sequence[SceneRef], window: Interval) -> list[Entry]:
    """Return the scenes in a window that the archive has no verdict of, or of other pixels only."""
    found = []
    for ref in refs:
        if not within(ref.when, window):
            continue
        entry = entry_of(ref)
        row = archive.row(
            "SELECT fingerprint, attempts, settled FROM listing WHERE site = ? AND scene = ?", (site, ref.id)
        )
        same = row is not None and row["fingerprint"] == entry.fingerprint
        if row is None or not same or not (row["settled"] or row["attempts"] >= MOST_ATTEMPTS):
            found.append(entry)
    return found


def keep_entry(archive: Archive, site: str, entry: Entry, *, settled: bool) -> None:
    """Remember that a scene of this fingerprint was looked at. Only inside `writing`."""
    archive.do(
        "INSERT INTO listing VALUES (?, ?, ?, 1, ?) ON CONFLICT (site, scene) DO UPDATE SET "
        "attempts = CASE WHEN listing.fingerprint = excluded.fingerprint THEN listing.attempts + 1 ELSE 1 END, "
        "fingerprint = excluded.fingerprint, settled = excluded.settled",
        (site, entry.ref.id, entry.fingerprint, int(settled)),
    )


def unsettled(archive: Archive, site: str) -> bool:
    """Return whether a scene waits to be tried again."""
    return bool(
        archive.value(
            "SELECT count(*) FROM listing WHERE site = ? AND settled = 0 AND attempts < ?", (site, MOST_ATTEMPTS)
        )
    )


def local_state(source: str) -> str | None:
    """Return a digest of names, sizes and ages of all files of a local source; None where that says nothing."""
    path = Path(source)
    if not path.exists():
        return None
    digest = hashlib.sha256(str(path.resolve()).encode("utf-8", "surrogateescape"))
    for count, line in enumerate(_lines(path)):
        if count > MOST_FILES:
            return None
        digest.update(line.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _lines(path: Path) -> Iterator[str]:
    if path.is_file():
        yield f"{path}\t{_file_state(str(path))}\n"
        # A catalogue's file names others, beside it and below.
        path = path.parent
    pending = [path]
    while pending:
        folder = pending.pop()
        with os.scandir(folder) as entries:
            for entry in sorted(entries, key=lambda one: one.name):
                if entry.is_dir(follow_symlinks=False):
                    pending.append(Path(entry.path))
                else:
                    yield f"{entry.path}\t{_file_state(entry.path)}\n"


def kept_state(archive: Archive, site: str) -> str | None:
    """Return the state of the source when the site was last found to have nothing new."""
    state: str | None = archive.value("SELECT state FROM source_state WHERE site = ?", (site,))
    return state


def keep_state(archive: Archive, site: str, state: str | None) -> None:
    """Remember the state of a source. Only inside `writing`."""
    if state is None:
        archive.do("DELETE FROM source_state WHERE site = ?", (site,))
        return
    archive.do(
        "INSERT INTO source_state VALUES (?, ?) ON CONFLICT (site) DO UPDATE SET state = excluded.state", (site, state)
    )


def pieces(entries: Sequence[Entry], *, most: int) -> list[list[Entry]]:
    """Cut new scenes into pieces that are judged, and kept, one after another."""
    ordered = sorted(entries, key=lambda entry: (entry.ref.when, entry.ref.id))
    return [list(ordered[start : start + most]) for start in range(0, len(ordered), most)]


def span_of(entries: Sequence[Entry]) -> tuple[datetime, datetime]:
    """Return the times of the first and the last."""
    times = [entry.ref.when for entry in entries]
    return min(times), max(times)
