"""Observations put in order of time: what has arrived, what still stands, and what was seen before elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from math import isfinite

from rail_watch.interpret.signature import Signature, matches
from rail_watch.observe.records import Observation, SceneRecord

MEMORY = timedelta(days=30)
"""A train is looked for again among those seen in this time before."""
SAME_TRAIN_P = 0.05
"""Two trains are said to appear the same when different trains would look this alike less often than this."""
SAME_PLACE = 0.6
"""Overlap (intersection over union) from which something counts as standing where it stood."""

SAME_PILE = 0.3
"""Share of the smaller outline from which two heaps on an apron are one that has grown or shrunk."""

Seen = tuple[Observation, Signature | None]


def overlap(a: Observation, b: Observation) -> float:
    """Intersection over union: along the track for trains, on the ground for the rest."""
    if a.start_m is not None and a.end_m is not None and b.start_m is not None and b.end_m is not None:
        shared = min(a.end_m, b.end_m) - max(a.start_m, b.start_m)
        return max(shared, 0.0) / (max(a.end_m, b.end_m) - min(a.start_m, b.start_m))
    union = a.geometry.union(b.geometry).area
    return float(a.geometry.intersection(b.geometry).area / union) if union else 0.0


def shared_ground(a: Observation, b: Observation) -> float:
    """Share of the smaller outline that lies on the other."""
    smaller = min(a.geometry.area, b.geometry.area)
    return float(a.geometry.intersection(b.geometry).area / smaller) if smaller else 0.0


def _last_clear(item: Observation, scenes: Sequence[SceneRecord]) -> SceneRecord | None:
    """Return the latest earlier scene of the same sensor that showed the place of the observation."""
    own = next(s for s in scenes if s.id == item.scene)
    for scene in sorted((s for s in scenes if s.when < own.when and s.sensor == own.sensor), key=lambda s: s.when)[
        ::-1
    ]:
        if scene.status == "skipped":
            continue
        if item.track is not None:
            seen = any(look.track == item.track and look.state != "unknown" for look in scene.tracks)
        elif item.apron is not None:
            seen = any(look.apron == item.apron and look.visible_fraction >= 0.5 for look in scene.aprons)
        else:
            seen = scene.clear_fraction >= 0.5
        if seen:
            return scene
    return None


def _standing(item: Observation, before: SceneRecord, earlier: Sequence[Seen]) -> Seen | None:
    """Return what stood in the same place at the previous clear look."""
    measured, least = (shared_ground, SAME_PILE) if item.kind == "cargo" else (overlap, SAME_PLACE)
    candidates = [
        (measured(item, other), other.id, seen)
        for seen in earlier
        if (other := seen[0]).scene == before.id
        and other.kind == item.kind
        and (other.track, other.apron) == (item.track, item.apron)
    ]
    best = max(candidates, key=lambda c: c[:2], default=None)
    return best[2] if best is not None and best[0] >= least else None


def _same_train(
    item: Observation, signature: Signature, earlier: Sequence[Seen], pool: Sequence[Signature]
) -> tuple[Observation, float] | None:
    """Return the earlier train most like this one, if different trains would hardly look so alike."""
    candidates = [
        (other, theirs)
        for other, theirs in earlier
        if theirs is not None and item.when - other.when <= MEMORY and other.when < item.when
    ]
    # Trains too short to have a signature are no trials; every other comparison made is allowed for (Bonferroni).
    compared = zip(matches(signature, [theirs for _, theirs in candidates], pool), candidates, strict=True)
    trials = [(m, other) for m, (other, _) in compared if isfinite(m.score)]
    if not trials:
        return None
    # Of several looks at the same train the latest is named: they all match.
    good = [(m, other) for m, other in trials if m.p_value * len(trials) < SAME_TRAIN_P]
    if not good:
        return None
    chosen = max(good, key=lambda pair: (pair[1].when, pair[0].score))
    return chosen[1], min(chosen[0].p_value * len(trials), 1.0)


def link(
    seen: Sequence[Seen], scenes: Mapping[str, Sequence[SceneRecord]], *, elsewhere: Sequence[Seen] = ()
) -> list[Observation]:
    """Compare each observation with what was seen before it.

    Parameters
    ----------
    seen : the site's observations with their signatures.
    scenes : site id to its scene records.
    elsewhere : what was seen at the sites this one is linked with.

    Returns
    -------
    The observations in order of time, with `change`, `last_clear_before`, `first_seen` and `same_as` filled in.
    """
    pool = [s for _, s in [*seen, *elsewhere] if s is not None]
    ordered = sorted(seen, key=lambda pair: (pair[0].when, pair[0].scene, pair[0].track or "", pair[0].id))
    done: list[Seen] = []
    first_seen: dict[str, datetime] = {}
    for item, signature in ordered:
        placed = _placed(item, scenes[item.site], done, first_seen)
        if signature is not None:
            everyone = [*done, *elsewhere]
            same = _same_train(placed, signature, everyone, pool)
            if same is not None:
                other, p_value = same
                placed = replace(
                    placed, same_as=other.id, same_as_p=p_value, same_as_site=other.site, same_as_when=other.when
                )
        first_seen[placed.id] = placed.first_seen
        done.append((placed, signature))
    return [item for item, _ in done]


def _placed(
    item: Observation, scenes: Sequence[SceneRecord], done: Sequence[Seen], first_seen: Mapping[str, datetime]
) -> Observation:
    before = _last_clear(item, scenes)
    if before is None:
        return item
    stood = _standing(item, before, done)
    if stood is None:
        return replace(item, change="arrived", last_clear_before=before.when)
    other = stood[0]
    same = other.id if item.track is None else None
    return replace(
        item,
        change="standing",
        last_clear_before=before.when,
        first_seen=first_seen.get(other.id, other.when),
        same_as=same,
        same_as_site=None if same is None else other.site,
        same_as_when=None if same is None else other.when,
        area_m2_before_95=other.area_m2_95 if item.kind == "cargo" else None,
    )
