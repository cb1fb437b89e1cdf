"""Check a bundle, offline: every digest, then the finding itself, judged again from the pixels enclosed."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rail_watch.aoi.json_file import read_json
from rail_watch.detect import software
from rail_watch.errors import BadInput
from rail_watch.evidence import crate
from rail_watch.evidence.bundle import record_of, site_of
from rail_watch.evidence.container import unpack
from rail_watch.evidence.enclose import MOST_JSON, check_size, enclosed, kept_from
from rail_watch.evidence.replay import Difference, Recorded, differences, replay

Verdict = Literal["reproduced", "differs", "not replayed"]
SCHEMA = "rail-watch/verification/1"
_UNUSABLE = (
    TypeError, ValueError, AttributeError, LookupError, ArithmeticError, RecursionError, MemoryError
)  # fmt: skip
"""What numbers and texts of a forger can lead to, deep in what judges: his digests are right, his values absurd."""
_SEEN = "every file has its SHA-256"


@dataclass(frozen=True)
class Verification:
    """What was found of a bundle."""

    verdict: Verdict
    """``not replayed``: all that is there is in order, but the pixels were left out."""
    observation: str | None
    text: str | None
    """The recorded sentence."""
    damaged: tuple[str, ...] = ()
    """One line for each file that is not as it was written."""
    differences: tuple[Difference, ...] = ()
    checked: tuple[str, ...] = ()
    not_checked: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """Return it as JSON values."""
        rows = [
            {"what": one.what, "recorded": one.recorded, "replayed": one.replayed, "rounding": one.slight}
            for one in self.differences
        ]
        return {
            "schema": SCHEMA,
            "verdict": self.verdict,
            "observation": self.observation,
            "text": self.text,
            "damaged": list(self.damaged),
            "differences": rows,
            "checked": list(self.checked),
            "not_checked": list(self.not_checked),
            "notes": list(self.notes),
        }


@dataclass(frozen=True)
class _Head:
    """The bundle's own document."""

    observation: str
    kept: Mapping[str, Any]
    left_out: Mapping[str, str]
    names: Mapping[str, str]


def verify(path: Path) -> Verification:
    """Check a bundle in a temporary folder.

    Raises
    ------
    BadInput
        One line: the file is no bundle, is damaged outside of its files, or is hostile.
    """
    with tempfile.TemporaryDirectory(prefix="rail-watch-") as name:
        root = Path(name).resolve()
        found = unpack(path, root)
        try:
            if found.damaged:
                return _broken([f"{one}: changed, its CRC-32 is not the one written" for one in found.damaged])
            missing = [one for one in crate.NEEDED if one not in found.digests]
            if missing:
                raise BadInput(f"not a bundle of evidence, it has no {missing[0]}")
            listed = crate.manifest_of(root / crate.MANIFEST)
            faults = crate.faults_of(listed, found.digests) or crate.crate_faults(_json(root, crate.CRATE), listed)
            return _broken(faults) if faults else _judged(root)
        except BadInput as fault:
            raise BadInput(f"{path}: {str(fault).replace(f'{root}/', '')}") from fault
        except _UNUSABLE as fault:
            told = " ".join(f"{type(fault).__name__}: {fault}".replace(f"{root}/", "").split())[:160]
            raise BadInput(f"{path}: what it holds cannot be judged ({told})") from fault


def _broken(faults: list[str]) -> Verification:
    return Verification("differs", None, None, damaged=tuple(faults), not_checked=("the finding was not replayed",))


def _json(root: Path, name: str) -> object:
    return read_json(root / name, error=BadInput, max_bytes=MOST_JSON)


def _head(root: Path) -> _Head:
    head = _json(root, crate.HEAD)
    if not isinstance(head, dict) or head.get("schema") != crate.SCHEMA:
        raise BadInput(f'{crate.HEAD}: its "schema" must be "{crate.SCHEMA}"')
    try:
        observation, left_out, names = head["observation"], dict(head["left_out"]), dict(head["site_names"])
        texts = [observation, *left_out, *left_out.values(), *names, *names.values()]
        if not all(isinstance(one, str) for one in texts):
            raise TypeError("not a text")
        kept_from(head)
    except KeyError as fault:
        raise BadInput(f"{crate.HEAD}: lacks the member {fault}") from fault
    except (TypeError, ValueError) as fault:
        raise BadInput(f"{crate.HEAD}: a member is of the wrong kind ({str(fault)[:80]})") from fault
    return _Head(observation, head, left_out, names)


def _judged(root: Path) -> Verification:
    """Check a bundle whose files are all as listed."""
    head = _head(root)
    record = record_of((root / crate.RECORD).read_bytes(), crate.RECORD, head.observation)
    site = site_of((root / crate.AREA).read_bytes(), crate.AREA)
    seen = record.detections
    if (site.id, site.digest) != (seen.site, seen.aoi_digest):
        return _differs(record, [Difference(crate.AREA, seen.aoi_digest, site.digest)])
    alone = _json(root, crate.FINDING)
    feature = next(one for one in record.document["observations"]["features"] if one["id"] == head.observation)
    if alone != {"type": "FeatureCollection", "features": [feature]}:
        return _differs(record, [Difference(crate.FINDING, "the observation of the record", "another")])
    checked = [_SEEN, "the area is the version that the record names"]
    refs = enclosed(kept_from(head.kept), root)
    if head.left_out:
        return _without_pixels(record, head, checked)
    check_size(refs)
    found = differences(record, replay(site, refs, record, root), names=head.names)
    if any(not one.slight for one in found):
        return _differs(record, found)
    checked.append(f"the pixels of {len(refs)} scenes have the digests of the record")
    checked.append("the observation and the looks of these scenes, judged again, are as recorded")
    return Verification(
        "reproduced",
        head.observation,
        record.observation.text,
        differences=tuple(found),
        checked=tuple(checked),
        not_checked=_links(record),
        notes=_versions(record),
    )


def _differs(record: Recorded, found: list[Difference]) -> Verification:
    text = record.observation.text
    return Verification(
        "differs", record.observation.id, text, (), tuple(found), (_SEEN,), _links(record), _versions(record)
    )


def _without_pixels(record: Recorded, head: _Head, checked: list[str]) -> Verification:
    many = f"{len(head.left_out)} files of pixels were left out; bundle.json has their digests"
    return Verification(
        "not replayed",
        head.observation,
        record.observation.text,
        checked=tuple(checked),
        not_checked=(many, "the finding was not replayed", *_links(record)),
        notes=_versions(record),
    )


def _links(record: Recorded) -> tuple[str, ...]:
    """Say that a link with another train is as recorded: it rests on sensors and sites that are not enclosed."""
    one = record.observation
    if one.same_as is None or one.same_as_p is None:
        return ()
    return (f"that it appears the same as {one.same_as} at {one.same_as_site or one.site} is recorded, not replayed",)


def _versions(record: Recorded) -> tuple[str, ...]:
    """Say which software is not the one that judged."""
    now, then = software(), record.detections.software
    names = [name for name in dict.fromkeys([*then, *now]) if then.get(name) != now.get(name)]
    if not names:
        return ()
    was = ", ".join(f"{name} {then.get(name, 'unknown')}" for name in names)
    here = ", ".join(f"{name} {now.get(name, 'none')}" for name in names)
    return (f"judged with {was}; replayed with {here}",)
