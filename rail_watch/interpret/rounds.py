"""Rounds of looking: what empty track looks like, where trains stand, how deep shadows are, and again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from rail_watch.change.robust import weighted_median
from rail_watch.interpret.evidence import Residual, Shade, train_evidence
from rail_watch.interpret.segments import Level, empty_level, segments
from rail_watch.interpret.shadows import HALF_WIDTH_M, mean_heading
from rail_watch.interpret.strips import Strip
from rail_watch.interpret.yard import (
    FIRST_LEVEL,
    SceneModel,
    Yard,
    first_shade,
    others_at,
    own_shadow,
    residual_at,
    scene_models,
    update_baseline,
    update_variance,
    visible_steps,
)

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]

ROUNDS = 3
ENOUGH_SHADE = 60
"""Samples of shaded ground from which a scene's own shadows are measured."""


def update_trains(yard: Yard, models: Sequence[SceneModel | None]) -> None:
    """Ask every track of every scene for trains, from the sunward side on, twice over."""
    for t, model in enumerate(models):
        if model is None:
            continue
        residuals = [residual_at(yard, model, k, t) for k in range(len(yard.strips))]
        for k in range(len(yard.strips)):
            yard.occupied[k][t] = False
        seen = [visible_steps(yard, k, t) for k in range(len(yard.strips))]
        yard.level[t] = FIRST_LEVEL
        for sweep in range(2):
            for k in _order(yard, t, sweep):
                _ask(yard, residuals[k], k, t)
            yard.level[t] = empty_level([s[t] for s in yard.score], seen)
        for k in range(len(yard.strips)):
            yard.occupied[k][t] = _taken(yard, k, t, yard.level[t])


def update_shade(yard: Yard, models: Sequence[SceneModel | None]) -> None:
    """Measure how much light each scene's shadows keep, on ground that the trains found must shade.

    Scenes that show too little of it take what the others show, or the prior.
    """
    measured: dict[int, Shade] = {}
    for t, model in enumerate(models):
        if model is not None:
            ratios = np.concatenate([_shade_ratios(yard, model, k, t) for k in range(len(yard.strips))], axis=1)
            whole = ratios.mean(axis=0)
            if len(whole) >= ENOUGH_SHADE:
                # Ground wrongly thought shaded is lit, so the lower part of the sample is the shadow.
                low = ratios[:, whole <= np.quantile(whole, 0.6)]
                middle = np.median(low, axis=1)
                width = 1.4826 * float(np.median(np.abs(low - middle[:, None])))
                measured[t] = Shade(np.clip(middle, 0.0, 0.95), float(np.clip(1.5 * width, 0.05, 0.2)))
    usual = first_shade(yard.bands)
    if measured:
        usual = Shade(np.median([m.ratio for m in measured.values()], axis=0), 0.12)
    yard.shade = [measured.get(t, usual) for t in range(yard.times)]


def _shade_ratios(yard: Yard, model: SceneModel, k: int, t: int) -> NDArray[np.float64]:
    """(B, n) observed over sunlit light of samples that a known train should shade and none covers."""
    strip = yard.strips[k]
    others = others_at(yard, k, t)
    shaded = np.maximum(others.shade, own_shadow(yard, k, t)) > 0.9
    near = np.abs(strip.across_m) <= HALF_WIDTH_M + 0.6 * yard.gsd_m
    shaded &= (others.cover < 0.05) & ~(yard.occupied[k][t][:, None] & near) & yard.usable[k][t]
    index = np.flatnonzero(shaded & np.isfinite(yard.baseline[k]).all(axis=0))
    index = index[:: max(1, len(index) // 3000)]
    bands = len(strip.pixels[t])
    base = yard.baseline[k].reshape(bands, -1)[:, index]
    lit = model.gain[:, None] * base + (model.offset - model.dark)[:, None]
    seen = strip.pixels[t].reshape(bands, -1)[:, index] - model.dark[:, None]
    ratio = np.asarray(seen / np.maximum(lit, 0.02 * model.level[:, None] + 1e-12), dtype=np.float64)
    return ratio[:, np.isfinite(ratio).all(axis=0)]


def _ask(yard: Yard, r: Residual, k: int, t: int) -> None:
    strip = yard.strips[k]
    score, height = train_evidence(
        r,
        others_at(yard, k, t),
        strip.across_m,
        sun=yard.suns[k][t],
        sigma=yard.shade[t].sigma,
        resolution=(yard.gsd_m, strip.step_m),
    )
    yard.score[k][t] = score
    yard.height[k][t] = height
    yard.occupied[k][t] = _taken(yard, k, t, yard.level[t])


def _taken(yard: Yard, k: int, t: int, level: Level) -> Mask:
    taken = np.zeros(len(yard.score[k][t]), dtype=bool)
    step_m = yard.strips[k].step_m
    for first, last in segments(yard.score[k][t], visible_steps(yard, k, t), step_m, gsd_m=yard.gsd_m, level=level):
        taken[first:last] = True
    return taken


def _order(yard: Yard, t: int, sweep: int) -> list[int]:
    """Tracks from the sunward side; in the second sweep from the strongest evidence."""
    if sweep:
        strength = [-float(np.where(o[t], s[t], 0).sum()) for o, s in zip(yard.occupied, yard.score, strict=True)]
        return list(np.argsort(strength, kind="stable"))
    sun = yard.suns[0][t]
    heading = np.radians(mean_heading(yard.strips[0].heading_deg))
    left = np.array([-np.cos(heading), np.sin(heading)])
    places = [float(s.where[len(s.along_m) // 2, len(s.across_m) // 2] @ left) * sun.side for s in yard.strips]
    return list(np.argsort(places, kind="stable"))


def _profile(values: Array, strip: Strip, gsd_m: float) -> Array:
    """(S, 3 B) mean of the footprint and of the ground to its left and right, along a strip. values: (B, S, O)."""
    inner = np.abs(strip.across_m) <= max(1.1, 0.3 * gsd_m)
    sides = [
        (side * strip.across_m > max(1.8, 0.5 * gsd_m)) & (side * strip.across_m <= max(4.0, 1.2 * gsd_m))
        for side in (1, -1)
    ]
    return np.concatenate([values[..., pick].mean(axis=-1) for pick in (inner, *sides)]).T


def right_majorities(yard: Yard) -> None:
    """Where most scenes agree with one another but not with the rest of the track, doubt them and not the few.

    A train that stands through most of a series makes the median, and the looks at bare track then differ from it.
    Which of the two is the track is asked of the track itself: its cross-section elsewhere.
    """
    radiometry = yard.radiometry
    for k, strip in enumerate(yard.strips):
        flagged = yard.occupied[k]
        weights = (flagged & (radiometry.gain.min(axis=1) > 0.3)[:, None]).astype(np.float32)
        if not weights.any():
            continue
        values = np.empty_like(yard.baseline[k])
        mass = weights[:, :, None] * yard.usable[k]
        for b in range(len(values)):
            gain = np.maximum(radiometry.gain[:, b], 0.05)[:, None, None]
            scaled = (strip.pixels[:, b] - radiometry.offset[:, b][:, None, None]) / gain
            values[b] = weighted_median(scaled.astype(np.float32), mass)
        usual, other = (_profile(v, strip, yard.gsd_m) for v in (yard.baseline[k], values))
        middle = np.nanmedian(usual, axis=0)
        width = np.maximum(np.nanmedian(np.abs(usual - middle), axis=0) * 1.4826, 0.01 * np.abs(middle) + 1e-9)
        unlike = [np.minimum(((p - middle) / width) ** 2, 30).mean(axis=1) for p in (usual, other)]
        better = np.where(np.isfinite(unlike[1]), unlike[0] - unlike[1], -1.0)
        better = ndimage.uniform_filter1d(better, max(1, round(15 / strip.step_m)), mode="nearest")
        swap = (better > 1.0) & flagged.any(axis=0)
        yard.empty[k] = np.where(swap[None, :], np.where(flagged, 1.0, 0.02), yard.empty[k]).astype(np.float32)
        yard.occupied[k] = flagged & ~swap


def solve(yard: Yard) -> list[SceneModel | None]:
    """Run the rounds; returns each scene's model (None where nothing of the tracks can be seen)."""
    models: list[SceneModel | None] = []
    for round_number in range(ROUNDS):
        update_baseline(yard)
        update_variance(yard, scene_models(yard))
        models = scene_models(yard)
        update_trains(yard, models)
        update_shade(yard, models)
        if round_number < ROUNDS - 1:
            yard.empty = [
                np.where(o, 0.05, np.maximum(e, 0.3)).astype(np.float32)
                for e, o in zip(yard.empty, yard.occupied, strict=True)
            ]
            right_majorities(yard)
    return models
