"""Hold a detections document against the truth, scene by scene.

`score` returns one small record per scene, so that figures can be drawn, with intervals, by resampling scenes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from shapely import unary_union

from rail_watch.aoi.site import Site
from rail_watch.evaluate.claims import Answer, Claim, Interval, TrackRow, parse_answers
from rail_watch.evaluate.match import Yard, iou, pair_areas, pair_trains, span_on
from rail_watch.evaluate.standards import Standards, standards_for
from rail_watch.evaluate.truth import TrueScene, TrueTrack, TrueTrain, Truth

UNSEEN = TrackRow("unknown", None, None, 0.0)
NOT_THERE = Answer("skipped", None, {}, {}, ())
Yes = tuple[bool, ...]
Numbers = tuple[float, ...]


IN_VIEW = 0.98
"""Of a track, so that what is said of it holds wherever a train stands."""
SHOWN = 0.5
"""Share of a train on which one must be said for it to count as shown."""


@dataclass(frozen=True)
class Sighting:
    """One true train in view, and whether it was shown: for detection probability against length."""

    length_m: float
    shortest_m: float | None
    """The detection limit the document states for that track and scene."""
    found: bool
    """A train is said on half of where it stands at least, be it joined with another or cut in two."""
    alone: bool = True
    """No other train stands on its track, nor where its pixels might be shared on the tracks beside it, and the whole
    track is said to be in view: then the limit is of this very case."""


@dataclass(frozen=True)
class SameTrain:
    """One found train of eight cars or more: had it been found before, and does the document say so? One such train."""

    truly: bool
    score: float
    """1 - same_as_p where an earlier observation is named, else 0."""


@dataclass(frozen=True)
class SceneScore:
    """What one scene's answers are worth. Sums and lists only, so that scenes can be pooled."""

    scene: str
    found: int = 0
    missed: int = 0
    false: int = 0
    state_right: Yes = ()
    """Tracks wholly in view, with a train long enough or with none."""
    hidden_right: Yes = ()
    """Tracks out of view: said to be unknown?"""
    false_alarm: Yes = ()
    """Empty tracks wholly in view: said to be occupied?"""
    false_alarm_apart: Yes = ()
    """The same, of tracks whose neighbours are empty too."""
    p_values: Numbers = ()
    """Of empty tracks wholly in view."""
    length_error_m: Numbers = ()
    length_covered: Yes = ()
    count_error: Numbers = ()
    count_covered: Yes = ()
    cargo_found: int = 0
    cargo_missed: int = 0
    cargo_false: int = 0
    fill_error: Numbers = ()
    shift_error_px: tuple[float, float] | None = None
    """After taking away what all scenes of the series have in common: the reference's own shift cannot be known."""
    sightings: tuple[Sighting, ...] = ()
    same: tuple[SameTrain, ...] = ()
    identities: Mapping[str, str] = field(default_factory=dict)
    """Observation to the true train it was matched to."""
    shown: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Observation to the true trains it shows: half of each, or trains that half of it lies on. Several where trains
    were taken for one."""


def score(document: object, truth: Truth, site: Site, *, standards: Standards | None = None) -> tuple[SceneScore, ...]:
    """Score a detections document against the truth of the same series.

    Parameters
    ----------
    document
        Parsed JSON of `rail-watch detect --format json`.
    truth, site
        Truth and AOI of the series.
    standards
        What counts as right; by the truth's ground sample distance where not given.

    Returns
    -------
    tuple of SceneScore
        One for each scene of the truth, but for those the document used as baseline only. A scene the document
        does not name was answered with "unknown" throughout.

    Raises
    ------
    BadInput
        The document is not a detections document.
    """
    answers, yard = parse_answers(document), Yard.of(site)
    rules = standards or standards_for(truth.gsd_m)
    pairs = [(scene, answers.get(scene.id, NOT_THERE)) for scene in truth.scenes]
    pairs = [(scene, answer) for scene, answer in pairs if answer.status != "baseline"]
    scores = [_scene_score(scene, answer, yard, rules) for scene, answer in pairs]
    scores = _with_shifts(scores, pairs, truth.gsd_m)
    return tuple(_with_identities(scores, pairs))


def _scene_score(scene: TrueScene, answer: Answer, yard: Yard, rules: Standards) -> SceneScore:
    own = _train_part(scene, answer, yard, rules)
    own = _with_states(own, scene, answer, yard=yard, rules=rules)
    own = _with_cargo(own, scene, answer, yard=yard, rules=rules)
    return replace(own, fill_error=_fill_errors(scene, answer, yard, rules))


def _counts(train: TrueTrain, rules: Standards) -> bool:
    return train.length_m >= rules.shortest_train_m and train.visible_fraction >= rules.train_seen


def _train_part(scene: TrueScene, answer: Answer, yard: Yard, rules: Standards) -> SceneScore:
    truths = [(track.track, train) for track in scene.tracks for train in track.trains]
    claims = [claim for claim in answer.claims if claim.kind == "train" and claim.span is not None]
    pairs = pair_trains(truths, claims, yard, least=rules.iou, neighbours=rules.neighbour_accepted)
    counted = {i for i, (_, train) in enumerate(truths) if _counts(train, rules)}
    unpaired = [claim for j, claim in enumerate(claims) if j not in pairs.values()]
    excused = [t for i, t in enumerate(truths) if i not in counted]
    false = [claim for claim in unpaired if not _excusable(claim, excused, yard, rules)]
    hits = [(truths[i][1], claims[j]) for i, j in sorted(pairs.items()) if i in counted]
    return SceneScore(
        scene=scene.id,
        found=len(hits),
        missed=len(counted) - len(hits),
        false=len(false),
        length_error_m=tuple(abs(c.length_m - t.length_m) for t, c in hits if c.length_m is not None),
        length_covered=_covered([(t.length_m, c.length_95) for t, c in hits]),
        count_error=tuple(
            float(abs(c.railcars - t.railcars)) for t, c in hits if c.railcars is not None and t.railcars is not None
        ),
        count_covered=_covered([(t.railcars, c.railcars_95) for t, c in hits]),
        sightings=tuple(_sighting(truths, i, claims, answer, yard=yard, rules=rules) for i in _in_view(truths, rules)),
        identities={claims[j].id: truths[i][1].id for i, j in pairs.items() if truths[i][1].id},
        shown={claim.id: _shown(claim, truths, yard, rules) for claim in claims},
    )


def _shown(claim: Claim, truths: Sequence[tuple[str, TrueTrain]], yard: Yard, rules: Standards) -> frozenset[str]:
    found = set()
    for track, train in truths:
        span = span_on(claim, track, yard, neighbour_accepted=rules.neighbour_accepted)
        if span is None or not train.id:
            continue
        common = min(span[1], train.end_m) - max(span[0], train.start_m)
        if common >= SHOWN * min(span[1] - span[0], train.length_m):
            found.add(train.id)
    return frozenset(found)


def _in_view(truths: Sequence[tuple[str, TrueTrain]], rules: Standards) -> list[int]:
    return [i for i, (_, train) in enumerate(truths) if train.visible_fraction >= rules.train_seen]


def _sighting(
    truths: Sequence[tuple[str, TrueTrain]],
    which: int,
    claims: Sequence[Claim],
    answer: Answer,
    *,
    yard: Yard,
    rules: Standards,
) -> Sighting:
    track, train = truths[which]
    spans = [span_on(claim, track, yard, neighbour_accepted=rules.neighbour_accepted) for claim in claims]
    shown = sum(max(min(s[1], train.end_m) - max(s[0], train.start_m), 0.0) for s in spans if s is not None)
    row = answer.tracks.get(track, UNSEEN)
    near = {track, *(yard.beside.get(track, frozenset()) if rules.neighbour_accepted else ())}
    others = any(name in near for i, (name, _) in enumerate(truths) if i != which)
    alone = not others and row.visible_fraction >= IN_VIEW
    return Sighting(train.length_m, row.shortest_m, shown >= SHOWN * train.length_m, alone)


def _covered(pairs: Sequence[tuple[float | None, Interval | None]]) -> Yes:
    return tuple(span[0] <= true <= span[1] for true, span in pairs if span is not None and true is not None)


def _excusable(claim: Claim, excused: Sequence[tuple[str, TrueTrain]], yard: Yard, rules: Standards) -> bool:
    """Whether a claim lies, by half its length or the usual overlap, on a train too short or too hidden to count."""
    for track, train in excused:
        span = span_on(claim, track, yard, neighbour_accepted=rules.neighbour_accepted)
        if span is None:
            continue
        common = min(span[1], train.end_m) - max(span[0], train.start_m)
        if common >= 0.5 * max(span[1] - span[0], 1e-9) or iou(span, (train.start_m, train.end_m)) >= rules.iou:
            return True
    return False


def _with_states(own: SceneScore, scene: TrueScene, answer: Answer, *, yard: Yard, rules: Standards) -> SceneScore:
    right, hidden, alarms, apart, values = [], [], [], [], []
    busy = {track.track for track in scene.tracks if track.trains}
    for track in scene.tracks:
        row = answer.tracks.get(track.track, UNSEEN)
        if track.in_view_fraction <= rules.hidden:
            hidden.append(row.state == "unknown")
        expected = _expected(track, rules)
        if expected is None:
            continue
        right.append(row.state == expected)
        if expected == "empty":
            alarms.append(row.state == "occupied")
            if not yard.beside.get(track.track, frozenset()) & busy:
                apart.append(alarms[-1])
            if row.p_value is not None:
                values.append(row.p_value)
    return replace(
        own,
        state_right=tuple(right),
        hidden_right=tuple(hidden),
        false_alarm=tuple(alarms),
        false_alarm_apart=tuple(apart),
        p_values=tuple(values),
    )


def _expected(track: TrueTrack, rules: Standards) -> str | None:
    """The only right state, or None where either would do."""
    if track.visible_fraction < rules.seen:
        return None
    if not track.trains:
        return "empty"
    return "occupied" if any(_counts(train, rules) for train in track.trains) else None


def _with_cargo(own: SceneScore, scene: TrueScene, answer: Answer, *, yard: Yard, rules: Standards) -> SceneScore:
    claims = [c for c in answer.claims if c.kind == "cargo"]
    ground = [yard.plane.polygon(c.polygon) for c in claims]
    truths = [yard.plane.polygon(p.polygon) for p in scene.cargo]
    pairs = pair_areas(truths, ground, least=rules.cargo_iou)
    counted = {
        i
        for i, pile in enumerate(scene.cargo)
        if pile.area_m2 >= rules.smallest_cargo_m2 and pile.visible_fraction >= rules.train_seen
    }
    found = sum(i in counted for i in pairs)
    small = [truth for i, truth in enumerate(truths) if i not in counted]
    excused = unary_union(small + [yard.plane.polygon(p) for p in scene.ignored])
    false = 0
    for j, claim in enumerate(claims):
        size = claim.area_m2 if claim.area_m2 is not None else ground[j].area
        if j in pairs.values() or size < rules.smallest_cargo_m2:
            continue
        false += not ground[j].intersection(excused).area >= 0.4 * ground[j].area
    return replace(own, cargo_found=found, cargo_missed=len(counted) - found, cargo_false=false)


def _fill_errors(scene: TrueScene, answer: Answer, yard: Yard, rules: Standards) -> Numbers:
    """Difference in the share of each apron in view that is covered; from the pieces where no share is stated."""
    if not any(row.state != "unknown" for row in answer.tracks.values()) and not answer.fill:
        return ()
    covered = unary_union([yard.plane.polygon(c.polygon) for c in answer.claims if c.kind == "cargo"])
    errors = []
    for apron in scene.aprons:
        if apron.visible_fraction < rules.seen or apron.apron not in yard.aprons:
            continue
        ground = yard.aprons[apron.apron]
        stated = answer.fill.get(apron.apron)
        share = covered.intersection(ground).area / ground.area if stated is None else stated
        errors.append(abs(share - apron.fill_fraction))
    return tuple(errors)


def _with_shifts(
    scores: Sequence[SceneScore], pairs: Sequence[tuple[TrueScene, Answer]], gsd_m: float
) -> list[SceneScore]:
    errors: list[tuple[float, float] | None] = [
        None
        if scene.shift_m is None or answer.shift_m is None
        else (answer.shift_m[0] - scene.shift_m[0], answer.shift_m[1] - scene.shift_m[1])
        for scene, answer in pairs
    ]
    known = np.array([e for e in errors if e is not None]).reshape(-1, 2)
    if len(known) < 2:
        return list(scores)
    common = np.median(known, axis=0)
    return [
        s
        if e is None
        else replace(s, shift_error_px=(float(e[0] - common[0]) / gsd_m, float(e[1] - common[1]) / gsd_m))
        for s, e in zip(scores, errors, strict=True)
    ]


def _with_identities(scores: Sequence[SceneScore], pairs: Sequence[tuple[TrueScene, Answer]]) -> list[SceneScore]:
    """Judge "the same train as": needs what earlier scenes' observations truly were."""
    known: set[str] = set()
    shown: dict[str, frozenset[str]] = {}
    out = []
    for own, (scene, answer) in zip(scores, pairs, strict=True):
        cars = {train.id: train.railcars or 0 for track in scene.tracks for train in track.trains}
        same = []
        for claim in answer.claims:
            identity = own.identities.get(claim.id)
            if identity is None or cars.get(identity, 0) < 8:
                continue
            said = claim.same_as is not None
            right = (
                bool(own.shown[claim.id] & shown.get(claim.same_as or "", frozenset())) if said else identity in known
            )
            same.append(SameTrain(right, 1 - (claim.same_as_p or 0.0) if said else 0.0))
        known.update(own.identities.values())
        shown.update(own.shown)
        out.append(replace(own, same=tuple(same)))
    return out
