"""Labelled series on disk: find them, run the detector over them, score its answers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from rail_watch import aoi
from rail_watch.aoi.site import Site
from rail_watch.detect import DetectOptions, detect_sites
from rail_watch.errors import BadInput, RailWatchError
from rail_watch.evaluate.claims import SCHEMA
from rail_watch.evaluate.score import SceneScore, score
from rail_watch.evaluate.truth import Truth, parse_truth
from rail_watch.observe.document import to_document

BUNDLE = "rail-watch/truths/1"
"""A truth.json that holds several truths: of several areas, or of several sensors over one."""
NOTHING_SAID: Mapping[str, object] = {"schema": SCHEMA, "scenes": [], "observations": {"features": []}}


@dataclass(frozen=True)
class Series:
    """Imagery of one area with what is true of it, one truth for each sensor."""

    folder: Path
    site: Site
    truths: tuple[Truth, ...]


@dataclass(frozen=True)
class Judged:
    """One series at one ground sample distance, scored."""

    name: str
    gsd_m: float
    scores: tuple[SceneScore, ...]
    simulated: bool = False
    faults: tuple[str, ...] = ()
    """Why the detector gave no answer, or which scenes it could not read."""


def find_series(paths: Sequence[Path]) -> list[Series]:
    """Find the labelled series under some folders, at any depth, in order of name.

    A series is a folder with `truth.json`, a catalogue, and the area as `aoi.geojson` or `<id>.geojson`; an area that
    is shipped need not lie there.

    Raises
    ------
    BadInput
        A folder is not there or holds no series, or a truth or area cannot be used.
    """
    found: dict[Path, None] = {}
    for path in paths:
        here = sorted(path.rglob("truth.json"), key=lambda file: [_natural(part) for part in file.parts])
        if not here:
            raise BadInput(f"{path}: no truth.json in this folder or below; give folders of labelled series")
        found |= dict.fromkeys(file.resolve() for file in here)
    return [series for file in found for series in _in_folder(file)]


def _natural(name: str) -> tuple[int, str]:
    return (int(name), name) if name.isdecimal() else (1 << 30, name)


def _in_folder(file: Path) -> list[Series]:
    truths = read_truths(file)
    areas = dict.fromkeys(truth.aoi for truth in truths)
    return [
        Series(file.parent, _area(file.parent, area), tuple(truth for truth in truths if truth.aoi == area))
        for area in areas
    ]


def read_truths(file: Path) -> list[Truth]:
    """Read a truth.json that holds one truth or a bundle of them.

    Raises
    ------
    BadInput
        The file cannot be read, is not JSON, or does not say what it must.
    """
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        bundle = isinstance(document, Mapping) and document.get("schema") == BUNDLE
        return [parse_truth(one) for one in (document["truths"] if bundle else [document])]
    except OSError as fault:
        raise BadInput(f"{file}: cannot be read ({fault.strerror}); check its permissions") from fault
    except (ValueError, KeyError, TypeError) as fault:
        raise BadInput(f"{file}: not a truth document ({fault}); see truth.schema.json") from fault
    except BadInput as fault:
        raise BadInput(f"{file}: {fault}") from fault


def _area(folder: Path, name: str) -> Site:
    for path in (folder / "aoi.geojson", folder / f"{name}.geojson"):
        if path.is_file() and (site := aoi.read(path)).id == name:
            return site
    if name in aoi.shipped():
        return aoi.read(name)
    raise BadInput(f"{folder / 'truth.json'}: the area {name[:80]!r} is not here; put it beside it as aoi.geojson")


def judge(series: Series, *, options: DetectOptions, created: datetime) -> list[Judged]:
    """Run the detector over one series and score its answers; one it refuses counts as "unknown" throughout."""
    document, faults = _answer(series, options=options, created=created)
    name, simulated = f"{series.folder.name} ({series.site.id})", bool(document.get("simulated", False))
    return [
        Judged(name, truth.gsd_m, score(document, truth, series.site), simulated, faults if number == 0 else ())
        for number, truth in enumerate(series.truths)
    ]


def _answer(
    series: Series, *, options: DetectOptions, created: datetime
) -> tuple[Mapping[str, object], tuple[str, ...]]:
    try:
        run = detect_sites([series.site], source=series.folder, options=options, created=created)[0]
    except RailWatchError as fault:
        return NOTHING_SAID, (str(fault),)
    faults = tuple(f"{item.ref.id}: {item.reason}" for item in run.unread if item.failed)
    return to_document(run.detections), faults
