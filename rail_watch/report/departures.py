"""What stood there at the previous look and is seen to be gone: read off the records, for the pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import shapely

from rail_watch.observe.records import Observation, SceneRecord

SAME_PLACE = 0.3
"""Share of the smaller outline that two sights of one object have in common at least."""


def departed(
    record: SceneRecord, seen: Sequence[Observation], previous: SceneRecord, before: Sequence[Observation]
) -> list[Observation]:
    """Return the earlier look's trains and cargo that this look shows to be gone, told as of this look.

    Gone means looked for and not found: the track is empty or the apron was seen clearly, not merely
    that nothing was reported.
    """
    kinds = ("train", "train-on-bridge", "cargo")
    told: dict[str, Any] = {
        "scene": record.id,
        "when": record.when,
        "change": "departed",
        "last_clear_before": previous.when,
        "text": "",
    }
    return [
        replace(one, id=f"{one.id}-gone", **told)
        for one in before
        if one.kind in kinds and _place_was_seen(record, one) and not any(same_place(one, other) for other in seen)
    ]


def same_place(one: Observation, other: Observation) -> bool:
    """True where two outlines lie on one another for a good part of the smaller."""
    if (one.kind == "cargo") != (other.kind == "cargo") or "change" in (one.kind, other.kind):
        return False
    smaller = min(one.geometry.area, other.geometry.area)
    return bool(shapely.intersection(one.geometry, other.geometry).area >= SAME_PLACE * smaller)


def _place_was_seen(record: SceneRecord, one: Observation) -> bool:
    if record.status == "skipped":
        return False
    if one.kind == "cargo":
        return any(look.apron == one.apron and look.visibility == "clear" for look in record.aprons)
    tracks = one.tracks or (one.track,)
    looks = [look for look in record.tracks if look.track in tracks]
    return bool(looks) and all(look.state == "empty" and look.visibility == "clear" for look in looks)
