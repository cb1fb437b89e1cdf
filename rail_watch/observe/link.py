"""Observations put in order of time: what has arrived, what still stands, and what was seen before elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import combinations
from math import isfinite

from rail_watch.interpret.signature import Law, Signature, alikeness, alikeness_at, law_of, match, standing_p
from rail_watch.observe.records import Observation, SceneRecord

MEMORY, MOST = timedelta(days=730), 150
"""A train is looked for again among those seen in this time before, and among so many of them, the latest: stored
trains stand for months, and a yard may be seen a few times a year."""
SAME_TRAIN_P = 0.05
"""Two trains are said to appear the same when different trains would look this alike less often than this."""
IN_ITS_PLACE = 0.25
"""Overlap from which a train may be the one that stood there, with cars added or taken away."""
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


@dataclass(frozen=True)
class _Trial:
    """An earlier train compared with this one."""

    other: Observation
    score: float
    p_value: float


def _different(seen: Sequence[Seen]) -> Iterator[tuple[Signature, Signature]]:
    """Pairs of trains that cannot be one: both stand somewhere at the same moment."""
    together: dict[tuple[str, str], list[Signature]] = {}
    for item, signature in seen:
        if signature is not None:
            together.setdefault((item.site, item.scene), []).append(signature)
    for signatures in together.values():
        yield from combinations(signatures, 2)


def _trials(item: Observation, signature: Signature, earlier: Sequence[Seen], law: Law) -> list[_Trial]:
    """Compare with every train of late; those too short to have a signature are no trials."""
    candidates = [
        (other, theirs)
        for other, theirs in earlier
        if theirs is not None and item.when - other.when <= MEMORY and other.when < item.when
    ]
    candidates.sort(key=lambda pair: (pair[0].when, pair[0].id))
    compared = [(other, match(signature, theirs, law)) for other, theirs in candidates[-MOST:]]
    return [_Trial(other, m.score, m.p_value) for other, m in compared if isfinite(m.score)]


def _same_train(trials: Sequence[_Trial], standing: _Trial | None, first: Mapping[str, str]) -> _Trial | None:
    """Return the earlier train most like this one, if different trains would hardly look so alike.

    first : id of an observation to that of the first of the looks that appear to be at the same train.
    """
    # Every other train compared is allowed for (Bonferroni), and that two questions are asked where one stood here.
    questions = 1 if standing is None else 2
    count = questions * len({first[trial.other.id] for trial in trials})
    judged = [replace(trial, p_value=min(trial.p_value * count, 1.0)) for trial in trials]
    if standing is not None:
        judged.append(replace(standing, p_value=min(standing.p_value * questions, 1.0)))
    good = [trial for trial in judged if trial.p_value < SAME_TRAIN_P]
    if not good:
        return None
    # Of several looks at the train most like this one the latest is named: they all match.
    best = min(good, key=lambda trial: (trial.p_value, -trial.score))
    own = [trial for trial in good if first[trial.other.id] == first[best.other.id]]
    return replace(max(own, key=lambda trial: (trial.other.when, trial.score)), p_value=best.p_value)


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
    law = law_of([alikeness(a, b) for a, b in _different([*seen, *elsewhere])])
    ordered = sorted(seen, key=lambda pair: (pair[0].when, pair[0].scene, pair[0].track or "", pair[0].id))
    done: list[Seen] = []
    first_seen: dict[str, datetime] = {}
    first = {item.id: item.id for item, _ in [*seen, *elsewhere]}
    for item, signature in ordered:
        placed = _placed(item, scenes[item.site], done, first_seen)
        if signature is not None:
            trials = _trials(placed, signature, [*done, *elsewhere], law)
            same = _same_train(trials, _standing_trial(placed, signature, done, law), first)
            if same is not None:
                other = same.other
                placed = replace(
                    placed, same_as=other.id, same_as_p=same.p_value, same_as_site=other.site, same_as_when=other.when
                )
                first[placed.id] = first[other.id]
        first_seen[placed.id] = placed.first_seen
        done.append((placed, signature))
    return [item for item, _ in done]


def _standing_trial(item: Observation, signature: Signature, earlier: Sequence[Seen], law: Law) -> _Trial | None:
    """Ask whether it is the train that was the last to be seen in this place."""
    there = [
        (share >= SAME_PLACE, other.when, share, other.id, (other, theirs))
        for other, theirs in earlier
        if theirs is not None
        and (other.site, other.track) == (item.site, item.track)
        and item.when - MEMORY <= other.when < item.when
        and (share := overlap(item, other)) >= IN_ITS_PLACE
    ]
    if not there or item.start_m is None or item.end_m is None:
        return None
    # One seen in part only tells less than the whole one before it.
    other, theirs = max(there, key=lambda place: place[:4])[4]
    if other.start_m is None or other.end_m is None:
        return None
    ends = (other.start_m - item.start_m, other.end_m - item.end_m)
    return _Trial(other, alikeness_at(signature, theirs, ends[0]), standing_p(signature, theirs, ends, law))


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
