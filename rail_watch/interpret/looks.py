"""Each track at each scene: what could be seen, and how unlike empty track it looked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from rail_watch.imagery.scene import Quality
from rail_watch.interpret.controls import Controls
from rail_watch.interpret.network import network_class
from rail_watch.interpret.null import EmptyLaw, EmptyLaws, adapted, load_laws, raised
from rail_watch.interpret.segments import shortest_train_m, window_statistic
from rail_watch.interpret.strips import FINE_GSD_M, MIDDLE_GSD_M
from rail_watch.interpret.yard import SceneModel, Yard, visible_steps

BESIDE_M, BESIDE_GSDS = 6.5, 1.6
"""A train this near, in metres or GSDs, throws light or shadow on a track: steps beside it have a law of their own,
where `has_own_law` says so."""
ALIKE_RESOLVED, ALIKE_MIXED = 0.5, 1.0
"""How far control strips stand for tracks. Where a track has pixels of its own, by half: other ground holds more than
a track (lorries, bushes, shadows of trees). Where pixels mix track and surroundings, wholly."""
LEAST_VISIBLE = 0.5
"""Less of a track than this in sight, and an empty part says nothing of the track: the state is unknown."""

UNSURE = 0.02
"""A track on which something speaks for a train is not called empty where fewer empty ones show as much."""
TOO_SHORT = "too short for pixels of this size"
"""Why a track in full view is not judged."""

REASONS = {
    Quality.OUTSIDE: "outside the scene",
    Quality.NODATA: "no data from the sensor",
    Quality.CLOUD: "cloud",
    Quality.CLOUD_SHADOW: "cloud shadow",
    Quality.READ_FAILED: "could not be read",
    Quality.SATURATED: "saturated",
}


@dataclass(frozen=True)
class Looks:
    """Every track (first axis) at every scene (second axis)."""

    visible: list[NDArray[np.bool_]]
    """[strip] (T, S) the step could be judged."""
    beside: list[NDArray[np.bool_]]
    """[strip] (T, S) a train that shows more plainly stands on a track beside this step; nowhere where that makes no
    difference."""
    visible_fraction: NDArray[np.float64]
    """(K, T)"""
    metres: NDArray[np.float64]
    """(2, K, T) length of track in sight with nothing beside it, and beside trains."""
    statistic: NDArray[np.float64]
    """(2, K, T) strongest evidence of a train on either; NaN where nothing could be judged."""
    p_value: NDArray[np.float64]
    """(K, T)"""
    laws: list[tuple[EmptyLaw, EmptyLaw]]
    """[scene] law of the statistic of empty track with nothing beside it, and beside trains."""
    known: EmptyLaws
    """The laws as they were measured."""
    reason: list[list[str | None]]
    """[strip][scene] why not everything was seen."""

    def taken(self, k: int, t: int, rate: float) -> bool:
        """Whether strip k at scene t counts as occupied.

        Empty track shows as much less often than the rate asked for, and what is shown speaks more for a train than
        against one.
        """
        return bool(self.p_value[k, t] < rate and np.nanmax(self.statistic[:, k, t]) > 0)

    def unsure(self, k: int, t: int) -> bool:
        """Whether what strip k shows at scene t speaks for a train, and empty track seldom shows as much.

        Where such a track does not count as occupied, to call it empty would be as much too bold.
        """
        return bool(self.p_value[k, t] < UNSURE and np.nanmax(self.statistic[:, k, t]) > 0)

    def threshold(self, k: int, t: int, rate: float) -> float:
        """Statistic that a train on strip k at scene t needs, away from others, for a false-alarm rate."""
        parts = int(np.isfinite(self.statistic[:, k, t]).sum())
        raw = float(np.exp(-self.known.final.threshold(rate, 1.0)))
        needed = self.laws[t][0].threshold(1 - (1 - raw) ** (1 / max(parts, 1)), float(self.metres[:, k, t].sum()))
        return max(needed, 0.0)


def _reason(yard: Yard, k: int, t: int, *, seen: float, least_m: float) -> str | None:
    """Say why not everything was judged. seen: share of the strip; least_m: a shorter one is not judged at all."""
    strip = yard.strips[k]
    if seen > 0.995:
        return TOO_SHORT if len(strip.along_m) * strip.step_m < least_m else None
    middle = strip.quality[t][:, len(strip.across_m) // 2]
    counts = {name: int((middle == code).sum()) for code, name in REASONS.items()}
    if strip.roofed.any():
        counts["under a roof"] = int(strip.roofed.sum())
    worst = max(counts, key=lambda name: counts[name])
    return worst if counts[worst] else None


def has_own_law(gsd_m: float) -> bool:
    """Whether track beside trains has a law of its own.

    Not with pixels of 1.3 to 6 m: what empty track shows there beside trains it shows about as often elsewhere, and to
    ask each part of a track apart costs more trains than it spares false alarms (docs/method.md, section 7).
    """
    return not FINE_GSD_M < gsd_m <= MIDDLE_GSD_M


def beside(yard: Yard, k: int, t: int) -> NDArray[np.bool_]:
    """(S,) steps of strip k with a train on a track beside them that shows more plainly than what is here."""
    strip = yard.strips[k]
    own = ndimage.uniform_filter1d(yard.score[k][t], max(round(shortest_train_m(yard.gsd_m) / strip.step_m), 1))
    out = np.zeros(len(own), dtype=bool)
    if not has_own_law(yard.gsd_m):
        return out
    middle = len(strip.across_m) // 2
    for near in yard.near[k]:
        step, distance = near.step[:, middle], np.abs(near.offset_m[:, middle])
        other = yard.score[near.index][t]
        other = ndimage.uniform_filter1d(other, max(round(shortest_train_m(yard.gsd_m) / strip.step_m), 1))
        taken = yard.occupied[near.index][t][step] & (distance <= max(BESIDE_M, BESIDE_GSDS * yard.gsd_m))
        out |= taken & (other[step] > own)
    return out


def _laws(
    known: EmptyLaws,
    models: Sequence[SceneModel | None],
    statistic: NDArray[np.float64],
    metres: NDArray[np.float64],
    controls: Controls | None,
    *,
    alike: float,
) -> list[tuple[EmptyLaw, EmptyLaw]]:
    """[scene] the laws that hold there: of usual ground as the series shows them, and never below the controls'."""
    odd = np.array([m is None or m.unevenness > known.noisy for m in models])
    usual = tuple(
        adapted(law, statistic[part][:, ~odd].ravel(), metres[part][:, ~odd].ravel())
        for part, law in enumerate(known.usual)
    )
    laws = []
    for t, strange in enumerate(odd):
        first, second = known.odd if strange else usual
        if controls is not None:
            same = np.broadcast_to(odd == strange, controls.statistic.shape).ravel()
            here = np.broadcast_to(np.arange(len(odd)) == t, controls.statistic.shape).ravel()[same]
            asked = controls.statistic.ravel()[same], controls.metres.ravel()[same]
            first, second = raised(first, *asked, here, alike=alike), raised(second, *asked, here, alike=alike)
        laws.append((first, second))
    return laws


def refer(
    known: EmptyLaws,
    models: Sequence[SceneModel | None],
    statistic: NDArray[np.float64],
    metres: NDArray[np.float64],
    controls: Controls | None,
    *,
    gsd_m: float,
) -> tuple[list[tuple[EmptyLaw, EmptyLaw]], NDArray[np.float64]]:
    """[scene] laws that hold there, and (K, T) p-values. statistic, metres: (2, K, T) as in `Looks`."""
    alike = ALIKE_RESOLVED if gsd_m <= MIDDLE_GSD_M else ALIKE_MIXED
    laws = _laws(known, models, statistic, metres, controls, alike=alike)
    single = np.full(statistic.shape, np.nan)
    for t, pair in enumerate(laws):
        for part, law in enumerate(pair):
            single[part, :, t] = law.p_value(statistic[part, :, t], metres[part, :, t])
    return laws, known.settled(together(single))


def together(single: NDArray[np.float64]) -> NDArray[np.float64]:
    """p-value of the least of the parts of a look (first axis), of which some may be NaN."""
    parts = np.isfinite(single).sum(axis=0)
    with np.errstate(divide="ignore"):
        return np.asarray(-np.expm1(parts * np.log1p(-np.fmin(*single))))


def judge(
    yard: Yard,
    models: Sequence[SceneModel | None],
    controls: Controls | None = None,
    *,
    known: EmptyLaws | None = None,
) -> Looks:
    """Refer every look's statistic to the law of empty track; of scenes without a model nothing is said.

    `known` are the laws as they were measured; those that come with the package if not given.
    """
    judged = np.array([model is not None for model in models])
    visible = [np.stack([visible_steps(yard, k, t) for t in range(yard.times)]) for k in range(len(yard.strips))]
    flanked = [np.stack([beside(yard, k, t) for t in range(yard.times)]) for k in range(len(yard.strips))]
    shape = (len(yard.strips), yard.times)
    statistic, metres, fraction = np.full((2, *shape), np.nan), np.zeros((2, *shape)), np.zeros(shape)
    least = 1.5 * shortest_train_m(yard.gsd_m)
    for k, strip in enumerate(yard.strips):
        for t in np.flatnonzero(judged).tolist():
            fraction[k, t] = float(visible[k][t].mean())
            if visible[k][t].sum() * strip.step_m < least:
                continue
            for part, where in enumerate((visible[k][t] & ~flanked[k][t], visible[k][t] & flanked[k][t])):
                metres[part, k, t] = where.sum() * strip.step_m
                statistic[part, k, t] = window_statistic(yard.score[k][t], where, strip.step_m, gsd_m=yard.gsd_m)
    known = load_laws(network_class(yard.gsd_m)) if known is None else known
    laws, p_value = refer(known, models, statistic, metres, controls, gsd_m=yard.gsd_m)
    reason = [
        [_reason(yard, k, t, seen=float(fraction[k, t]), least_m=least) for t in range(yard.times)]
        for k in range(shape[0])
    ]
    return Looks(visible, flanked, fraction, metres, statistic, p_value, laws, known, reason)


__all__ = ["LEAST_VISIBLE", "Looks", "judge"]
