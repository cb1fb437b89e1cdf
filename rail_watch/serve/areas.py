"""Areas of interest drawn or edited on the page: each saved is a file of its own, and none is ever written over."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rail_watch.aoi.document import parse
from rail_watch.aoi.json_file import read_json
from rail_watch.aoi.site import Site
from rail_watch.archive.sites import site_document
from rail_watch.archive.store import packed
from rail_watch.errors import BadAoi
from rail_watch.report.stretch import ways
from rail_watch.serve.ground import ground_of, metres

MAX_BYTES = 2_000_000
MOST_VERSIONS = 9999


@dataclass(frozen=True)
class SavedArea:
    """One file."""

    site: str
    number: int
    path: Path
    digest: str
    """SHA-256 of its bytes, as runs and bundles name it."""


def folder_of(home: Path, site: str) -> Path:
    """Return where the saved versions of a site lie."""
    return home / "areas" / site


def versions(home: Path, site: str) -> list[int]:
    """Return the numbers of the versions saved of a site, in order."""
    found = folder_of(home, site).glob("[0-9][0-9][0-9][0-9].geojson")
    return sorted(int(path.stem) for path in found if path.is_file())


def save_area(home: Path, document: object) -> SavedArea:
    """Save an area as the next version of its site.

    Raises
    ------
    BadAoi
        With its first fault, as `rail-watch aoi validate` says it.
    """
    site, faults = parse(document)
    if site is None:
        raise BadAoi("; ".join(faults[:5]))
    content = (json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()
    folder = folder_of(home, site.id)  # the reader has let nothing but a-z, 0-9, - and _ through
    try:
        folder.mkdir(parents=True, exist_ok=True)
        number = _put(folder, content)
    except OSError as fault:
        raise BadAoi(f"{folder}: cannot be written ({fault.strerror}); mend the rights, or make room") from fault
    return SavedArea(site.id, number, folder / _name(number), hashlib.sha256(content).hexdigest())


def _name(number: int) -> str:
    return f"{number:04d}.geojson"


def _put(folder: Path, content: bytes) -> int:
    """Write beside, then take the first free number: of two that save at once neither loses."""
    handle, beside = tempfile.mkstemp(dir=folder, prefix=".")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(beside, 0o644)
        taken = [int(path.stem) for path in folder.glob("[0-9][0-9][0-9][0-9].geojson")]
        for number in range(max(taken, default=0) + 1, MOST_VERSIONS + 1):
            try:
                os.link(beside, folder / _name(number))
            except FileExistsError:
                continue
            return number
    finally:
        os.unlink(beside)
    raise BadAoi(f"{folder}: {MOST_VERSIONS} versions are kept there; move some away")


def area_to_edit(home: Path, judged: Site) -> dict[str, Any]:
    """Return the latest saved version of a site, else the one that was judged, with its shapes in metres too."""
    saved = versions(home, judged.id)
    document: Any = json.loads(packed(site_document(judged)))
    if saved:
        document = read_json(folder_of(home, judged.id) / _name(saved[-1]), error=BadAoi, max_bytes=MAX_BYTES * 4)
    site, faults = parse(document)
    if site is None:
        raise BadAoi(f"{judged.id}: the area kept of it cannot be used: {faults[0]}")
    ground = ground_of(judged)
    drawn: dict[str, Any] = {"site": site.polygon}
    drawn |= {one.id: one.line for one in ways(site)}
    drawn |= {one.id: one.polygon for one in (*site.aprons, *site.sheds, *site.stables, *site.excludes)}
    normal = json.loads(packed(site_document(site)))
    for feature in normal["features"]:
        properties = feature["properties"]
        key = "site" if properties["role"] == "site" else properties["id"]
        feature["metres"] = metres(ground, drawn[key])
    return {"version": saved[-1] if saved else None, "versions": saved, "area": normal}
