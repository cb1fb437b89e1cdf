"""Walk a static STAC catalogue on disk: every item once, no loops, nothing outside its folder, no network."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rail_watch.aoi.json_file import read_json
from rail_watch.errors import BadCatalogue
from rail_watch.imagery.hrefs import is_remote, resolved
from rail_watch.imagery.stac_item import members

MAX_BYTES = 32_000_000
MAX_DOCUMENTS = 100_000
ENTRY_FILES = ("catalog.json", "collection.json")


@dataclass(frozen=True)
class Found:
    """One item as it stands in the catalogue."""

    item: dict[str, object]
    file: Path
    collection: dict[str, object]
    """Empty when the item belongs to none."""


@dataclass(frozen=True)
class _Visit:
    file: Path
    collection: dict[str, object]


def read_document(file: Path) -> object:
    """Return a catalogue's document."""
    return read_json(file, error=BadCatalogue, max_bytes=MAX_BYTES)


def _targets(document: dict[str, object], file: Path, root: Path, faults: list[str]) -> list[Path]:
    """Return the local files that the document's child and item links name, in order."""
    links = document.get("links")
    targets = []
    for link in links if isinstance(links, list) else []:
        entry = members(link)
        if entry.get("rel") not in ("child", "item"):
            continue
        try:
            href = resolved(entry.get("href"), folder=file.parent, root=root)
        except BadCatalogue as fault:
            faults.append(f"{file}: {fault}")
            continue
        if is_remote(href):
            faults.append(f"{file}: link to {href[:80]!r} not followed; download that part of the catalogue beside it")
        else:
            targets.append(Path(href))
    return targets


def _own_collection(document: dict[str, object], file: Path, root: Path) -> dict[str, object]:
    """Return the collection that an item started from links to, where that is a local file."""
    for link in document["links"] if isinstance(document.get("links"), list) else []:  # type: ignore[attr-defined]
        entry = members(link)
        if entry.get("rel") != "collection":
            continue
        try:
            href = resolved(entry.get("href"), folder=file.parent, root=root)
            return {} if is_remote(href) else members(read_document(Path(href)))
        except BadCatalogue:
            return {}
    return {}


def _items_of(document: object, visit: _Visit, root: Path) -> list[Found] | None:
    """Return the items a document is or holds, or None when it is a catalogue to walk on."""
    if isinstance(document, list):
        document = {"type": "FeatureCollection", "features": document}
    kind = members(document).get("type")
    if kind == "Feature" and isinstance(document, dict):
        collection = visit.collection or _own_collection(document, visit.file, root)
        return [Found(document, visit.file, collection)]
    if kind == "FeatureCollection" and isinstance(document, dict):
        features = document.get("features")
        return (
            [Found(members(one), visit.file, visit.collection) for one in features]
            if isinstance(features, list)
            else []
        )
    if kind in ("Catalog", "Collection") or isinstance(members(document).get("links"), list):
        return None
    raise BadCatalogue("not a STAC catalogue, collection, item or ItemCollection")


def walk(start: Path, *, root: Path, faults: list[str]) -> Iterator[Found]:
    """Give every item reachable from a document, each file once, in the order of its links.

    Parameters
    ----------
    start : the first document.
    root : folder that no link leads out of.
    faults : lines on documents and links that could not be followed are added here.

    Raises
    ------
    BadCatalogue
        The first document itself cannot be used.
    """
    pending, seen = [_Visit(start, {})], {start.resolve()}
    while pending:
        visit = pending.pop()
        try:
            document = read_document(visit.file)
            found = _items_of(document, visit, root)
        except BadCatalogue as fault:
            line = str(fault) if str(visit.file) in str(fault) else f"{visit.file}: {fault}"
            if visit.file == start:
                raise BadCatalogue(line) from fault
            faults.append(line)
            continue
        if found is not None:
            yield from found
            continue
        whole = members(document)
        collection = whole if whole.get("type") == "Collection" else visit.collection
        fresh = [target for target in _targets(whole, visit.file, root, faults) if target not in seen]
        seen.update(fresh)
        if len(seen) > MAX_DOCUMENTS:
            raise BadCatalogue(f"{start}: more than {MAX_DOCUMENTS} documents; start from a smaller catalogue")
        pending.extend(_Visit(target, collection) for target in reversed(fresh))
