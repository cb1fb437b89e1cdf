"""Judge the scenes of a bundle again, and compare what is said now with what was recorded."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from rail_watch.aoi.site import Site
from rail_watch.archive.observations import same_thing
from rail_watch.detect import DetectOptions, DetectRun, detect_sites
from rail_watch.errors import BadInput, NoUsableImagery
from rail_watch.imagery.catalogue import Found
from rail_watch.imagery.scene import SceneRef
from rail_watch.observe.document import to_document
from rail_watch.observe.records import Detections, Observation, SceneRecord
from rail_watch.observe.sentences import text_of
from rail_watch.providers import Enclosed

LINKS = ("same_as", "same_as_p", "same_as_aoi", "same_as_datetime")
"""What rests on other sensors and on linked sites too, whose pixels a bundle does not hold."""
NOT_COMPARED = frozenset({"notes", "sensor", "reason"})
"""Words about a scene that name its source's files, or other sensors of the run. (Nor is it compared whether another
scene of the series was asked for, or served for comparison: in a night's record that is what was new.)"""
CLOSE, CLOSE_DEGREES = 1e-3, 2e-7
"""Numbers this alike (relative; degrees: absolute) are the same but for the last digit written: another processor
or library may round otherwise."""


@dataclass(frozen=True)
class Difference:
    """One thing that is not as recorded."""

    what: str
    recorded: object
    replayed: object
    slight: bool = False
    """No more than rounding."""

    def line(self) -> str:
        """Return it in words."""
        return f"{self.what}: recorded {_short(self.recorded)}, replayed {_short(self.replayed)}"


def _short(value: object) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= 120 else f"{text[:117]}..."


@dataclass(frozen=True)
class Recorded:
    """One finding and the document it stands in."""

    detections: Detections
    observation: Observation
    document: Mapping[str, Any]
    """The detections document as JSON values."""

    @property
    def scene(self) -> SceneRecord:
        """The scene it was seen in."""
        return next(one for one in self.detections.scenes if one.id == self.observation.scene)

    @property
    def judged(self) -> tuple[SceneRecord, ...]:
        """The scenes that were judged together with it: those of its sensor that were read."""
        sensor = self.scene.sensor
        return tuple(one for one in self.detections.scenes if one.sensor == sensor and one.digests)


def recorded(detections: Detections, document: Mapping[str, Any], observation: str) -> Recorded:
    """Return one finding of a document.

    Raises
    ------
    BadInput
        It has no such observation, or not the scene of it.
    """
    found = next((one for one in detections.observations if one.id == observation), None)
    if found is None:
        raise BadInput(f"{observation[:80]}: no such observation in the record of {detections.site}")
    if not any(one.id == found.scene and one.digests for one in detections.scenes):
        raise BadInput(f"{observation[:80]}: the record says nothing of the pixels of its scene {found.scene[:80]}")
    return Recorded(detections, found, document)


def options_of(parameters: Mapping[str, object]) -> DetectOptions:
    """Return the options that a document's parameters were.

    Raises
    ------
    BadInput
        A parameter is missing or of the wrong kind.
    """
    try:
        rate = parameters["false_alarm_rate"]
        ends = parameters["datetime"]
        if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not 0 < rate < 0.5:
            raise ValueError("false_alarm_rate")
        if not isinstance(ends, list) or len(ends) != 2:
            raise ValueError("datetime")
        first, last = (None if end is None else datetime.fromisoformat(end) for end in ends)
        if any(end is not None and end.tzinfo is None for end in (first, last)):
            raise ValueError("datetime")
    except (KeyError, TypeError, ValueError) as fault:
        raise BadInput(f"the record's parameters cannot be used ({str(fault)[:80]})") from fault
    return DetectOptions(when=(first, last), false_alarm_rate=float(rate), jobs=1)


def replay(site: Site, refs: Sequence[SceneRef], record: Recorded, folder: Path) -> DetectRun | None:
    """Judge the scenes as the record's run did; None where none of them can be used."""
    options = options_of(record.detections.parameters)
    source = Enclosed(folder, {site.id: Found(tuple(refs))})
    try:
        return detect_sites([site], source=source, options=options, created=record.detections.created)[0]
    except NoUsableImagery:
        return None


# ---- comparing ----------------------------------------------------------------------------------------------------


def differences(record: Recorded, run: DetectRun | None, *, names: Mapping[str, str]) -> list[Difference]:
    """Return what of the finding, and of the looks and pixels of its series, is not as recorded.

    Parameters
    ----------
    names : site id to its name, for the sentence.
    """
    if run is None:
        return [Difference("scenes", f"{len(record.judged)} judged", "none that could be used")]
    document = to_document(run.detections)
    out = pixel_differences(record, run.detections)
    for scene in record.judged:
        own, now = (_scene(one, scene.id, record.observation.scene) for one in (record.document, document))
        out += _unlike(f"scene {scene.id}", own, now) if now is not None else []
    return out + _finding(record, run, document, names)


def pixel_differences(record: Recorded, now: Detections) -> list[Difference]:
    """Return the scenes whose pixels as read are not those of the record."""
    read = {one.id: dict(one.digests) for one in now.scenes if one.digests}
    out = []
    for scene in record.judged:
        if scene.id not in read:
            out.append(Difference(f"scene {scene.id}", "read", None))
        elif read[scene.id] != dict(scene.digests):
            out.append(Difference(f"pixels of {scene.id}", dict(scene.digests), read[scene.id]))
    more = sorted(set(read) - {one.id for one in record.judged})
    return out + [Difference(f"scene {name}", None, "read") for name in more]


def _scene(document: Mapping[str, Any], name: str, finding: str) -> Mapping[str, Any] | None:
    found = next((one for one in document["scenes"] if one["id"] == name), None)
    left = NOT_COMPARED if name == finding else NOT_COMPARED | {"status"}
    return None if found is None else {key: value for key, value in found.items() if key not in left}


def _finding(
    record: Recorded, run: DetectRun, document: Mapping[str, Any], names: Mapping[str, str]
) -> list[Difference]:
    wanted = record.observation
    here = [one for one in run.detections.observations if one.scene == wanted.scene]
    found = next((one for one in here if one.id == wanted.id), None)
    if found is None:
        found = max((one for one in here if same_thing(wanted, one) > 0), default=None, key=_likeness(wanted))
    what = f"observation {wanted.id}"
    if found is None:
        return [Difference(what, wanted.text, None)]
    own, now = (_feature(one, name) for one, name in ((record.document, wanted.id), (document, found.id)))
    by_place = wanted.same_as_p is None and found.same_as_p is None
    for one in (own, now):
        one["properties"] = {
            key: value for key, value in one["properties"].items() if key != "text" and (by_place or key not in LINKS)
        }
    return [*_unlike(what, own, now), *_sentence(what, wanted, found, run.site, names)]


def _likeness(wanted: Observation) -> Any:
    return lambda one: same_thing(wanted, one)


def _feature(document: Mapping[str, Any], name: str) -> dict[str, Any]:
    return dict(next(one for one in document["observations"]["features"] if one["id"] == name))


def _sentence(
    what: str, wanted: Observation, found: Observation, site: Site, names: Mapping[str, str]
) -> list[Difference]:
    """Compare the sentence with the one that what is seen now gives, its links taken as recorded."""
    linked = replace(
        found,
        same_as=wanted.same_as,
        same_as_p=wanted.same_as_p,
        same_as_site=wanted.same_as_site,
        same_as_when=wanted.same_as_when,
    )
    if wanted.same_as_site not in (None, site.id, *names):
        return []
    text = text_of(linked, site, site_names={site.id: site.name, **names})
    return [] if text == wanted.text else [Difference(f"{what}: text", wanted.text, text)]


def _unlike(what: str, recorded_: object, replayed: object) -> list[Difference]:
    """Return where two JSON values are unlike, each with its path."""
    if isinstance(recorded_, Mapping) and isinstance(replayed, Mapping):
        keys = dict.fromkeys([*recorded_, *replayed])
        return [one for key in keys for one in _unlike(f"{what}: {key}", recorded_.get(key), replayed.get(key))]
    if isinstance(recorded_, list) and isinstance(replayed, list) and len(recorded_) == len(replayed):
        pairs = enumerate(zip(recorded_, replayed, strict=True), 1)
        return [one for number, (a, b) in pairs for one in _unlike(f"{what} {number}", a, b)]
    if recorded_ == replayed:
        return []
    return [Difference(what, recorded_, replayed, _slight(what, recorded_, replayed))]


def _slight(what: str, a: object, b: object) -> bool:
    if isinstance(a, bool) or isinstance(b, bool) or not isinstance(a, (int, float)) or not isinstance(b, (int, float)):
        return False
    if "coordinates" in what:
        return math.isclose(a, b, rel_tol=0.0, abs_tol=CLOSE_DEGREES)
    return math.isclose(a, b, rel_tol=CLOSE, abs_tol=1e-6)
