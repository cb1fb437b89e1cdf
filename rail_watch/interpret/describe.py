"""The sections of a track at one scene, from the state of the solution."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rail_watch.change.robust import spread
from rail_watch.interpret.sections import light, others_near, parts_of, scalars, stacked, turned
from rail_watch.interpret.shadows import Sun
from rail_watch.interpret.yard import SceneModel, Yard

Array = NDArray[np.float32]

FILLED = 5
"""Place among the scalars of the share of the footprint whose baseline is a guess from elsewhere along the track."""


@dataclass(frozen=True)
class Ground:
    """What is known of a stretch of track before a scene is looked at; (S, O) samples beside it."""

    across_m: NDArray[np.float64]
    """(O,)"""
    baseline: Array
    """(B, S, O) empty track in the reference's units."""
    seen: Array
    """(S, O) 1 where the scene can be judged, 0 elsewhere."""
    unrest: Array
    others: Array
    filled: Array

    def steps(self, index: NDArray[np.int_]) -> Ground:
        """The same at these steps only."""
        rest = (part[index] for part in (self.seen, self.unrest, self.others, self.filled))
        return Ground(self.across_m, self.baseline[:, index], *rest)


def unrest(yard: Yard, models: Sequence[SceneModel | None], k: int) -> Array:
    """(S, O) logarithm of how much a sample's brightness usually differs from the baseline over the series."""
    strip = yard.strips[k]
    changes = [
        np.where(yard.usable[k][t], change_of(strip.pixels[t], yard.baseline[k], model, yard.bands), np.nan)
        for t, model in enumerate(models)
        if model is not None
    ]
    if not changes:
        return np.zeros(strip.where.shape[:2], dtype=np.float32)
    usual = np.nan_to_num(spread(np.stack(changes).astype(np.float32), axis=0), nan=0.1)
    return (np.log(0.02 + usual) + 2.5).astype(np.float32)


def ground_of(yard: Yard, k: int, t: int, restless: Array, others: Array | None = None) -> Ground:
    """Return what is known of strip k at scene t; `restless` from `unrest`, `others` from `others_near` where known."""
    strip = yard.strips[k]
    seen = yard.usable[k][t] & np.isfinite(yard.baseline[k]).all(axis=0)
    others = others_near(yard.near[k], strip.where.shape[:2]) if others is None else others
    return Ground(strip.across_m, yard.baseline[k], seen.astype("f4"), restless, others, yard.filled[k].astype("f4"))


def _lit(pixels: Array, model: SceneModel) -> Array:
    return light(pixels, model.dark, model.level)


def _change(lit: Array, baseline: Array, model: SceneModel) -> Array:
    """(B, S, O) logarithm of a scene's light, `lit`, over what empty track would show."""
    gain, offset = (v[:, None, None].astype(np.float32) for v in (model.gain, model.offset))
    return lit - _lit(gain * baseline + offset, model)


def change_of(pixels: Array, baseline: Array, model: SceneModel, bands: Sequence[str]) -> Array:
    """(S, O) logarithm of a scene's brightness over what empty track would show. pixels, baseline: (B, S, O)."""
    return parts_of(_change(_lit(pixels, model), baseline, model), bands)[0]


def describe(pixels: Array, ground: Ground, model: SceneModel, *, sun: Sun, bands: Sequence[str]) -> Array:
    """(S, F) what the network is shown of a stretch of track at one scene. pixels: (B, S, O)."""
    level = np.log(model.level)[:, None, None].astype(np.float32)
    with np.errstate(invalid="ignore"):
        lit = _lit(pixels, model)
        contrast = parts_of(lit - level, bands)
        change = parts_of(_change(lit, ground.baseline, model), bands)
        around = (ground.unrest, ground.seen, ground.others)
        section = stacked(change, contrast, noise=model.noise, around=around)
    section = turned(section, sun).reshape(len(section), -1)
    likeness = float(np.min(model.gain))
    whole = np.tile(scalars(sun, noise=model.noise, likeness=likeness, bands=bands), (len(section), 1))
    whole[:, FILLED] = ground.filled[:, np.abs(ground.across_m) <= 2.0].mean(axis=1)
    return np.asarray(np.nan_to_num(np.concatenate([section, whole], axis=1)), dtype=np.float32)


def sections_of(
    yard: Yard, models: Sequence[SceneModel | None], k: int, *, only: Collection[int] | None = None
) -> list[Array]:
    """[scene] (S, F) sections of strip k at every scene with a model, or at some of them only."""
    restless, others = unrest(yard, models, k), others_near(yard.near[k], yard.strips[k].where.shape[:2])
    sections = []
    for t, model in enumerate(models):
        if model is not None and (only is None or t in only):
            ground = ground_of(yard, k, t, restless, others)
            sections.append(describe(yard.strips[k].pixels[t], ground, model, sun=yard.suns[k][t], bands=yard.bands))
    return sections
