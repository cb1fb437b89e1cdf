"""How trains move, on bridge decks and on open line: from the solved yard to the delays between bands."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from shapely.ops import substring

from rail_watch.imagery.scene import SceneRef
from rail_watch.interpret.band_times import band_times
from rail_watch.interpret.motion import DeckNoise, Motion, deck_noise, motion_on
from rail_watch.interpret.shadows import HALF_WIDTH_M, coverage
from rail_watch.interpret.trains import Train
from rail_watch.interpret.yard import SceneModel, Yard, visible_steps

Array = NDArray[np.float64]

APART_PX = 3.0
"""Deck this near to a train, in pixels, is not taken for empty."""
ALONE_PX = 2.5
"""A line with another this near, in pixels, tells nothing: of trains that stood in rendered yards one in ten seemed to
move, because trains on neighbouring tracks end elsewhere and have other colours."""
LEAST_NOISE = 0.005
"""Share of the scene's light that no band's noise is below."""


def deck_profile(yard: Yard, model: SceneModel, k: int, t: int) -> Array:
    """(B, S) change of one strip at one scene along the track, in units of the scene, NaN where it cannot be judged.

    The mean across, weighted by the share of each sample that a railcar would cover.
    """
    strip = yard.strips[k]
    predicted = model.gain[:, None, None] * yard.baseline[k] + model.offset[:, None, None]
    change = np.asarray(strip.pixels[t] - predicted, dtype=np.float64)
    valid = yard.usable[k][t] & np.isfinite(change).all(axis=0)
    weight = coverage(strip.across_m, -HALF_WIDTH_M, HALF_WIDTH_M, blur_m=0.5 * yard.gsd_m)
    weights = np.where(valid, weight[None, :], 0.0)
    total = weights.sum(axis=1)
    known = visible_steps(yard, k, t) & (total >= 0.5 * weight.sum())
    profile = (np.where(valid, change, 0.0) * weights).sum(axis=2) / np.maximum(total, 1e-9)
    return np.where(known[None], profile, np.nan)


def noise_of_deck(yard: Yard, models: Sequence[SceneModel | None], k: int, t: int) -> DeckNoise | None:
    """Noise of one strip at one scene: its own empty deck, and that of the other scenes brought to its light."""
    own = models[t]
    if own is None:
        return None
    near = int(np.ceil(APART_PX * yard.gsd_m / yard.strips[k].step_m))
    empty = []
    for other, model in enumerate(models):
        if model is None:
            continue
        taken = np.convolve(yard.occupied[k][other], np.ones(2 * near + 1), mode="same") > 0
        scale = (own.level / model.level)[:, None]
        empty.append(np.where(taken[None], np.nan, deck_profile(yard, model, k, other) * scale))
    return deck_noise(empty, step_m=yard.strips[k].step_m, least=LEAST_NOISE * own.level)


def motions_of(
    yard: Yard, models: Sequence[SceneModel | None], scenes: Sequence[SceneRef], trains: Sequence[Train]
) -> tuple[Motion | None, ...]:
    """Return how each train moves, in their order; see `motion_of`."""
    noises: dict[tuple[int, int], DeckNoise | None] = {}
    return tuple(motion_of(yard, models, scenes, train, noises) for train in trains)


def motion_of(
    yard: Yard,
    models: Sequence[SceneModel | None],
    scenes: Sequence[SceneRef],
    train: Train,
    noises: dict[tuple[int, int], DeckNoise | None] | None = None,
) -> Motion | None:
    """Return how a train moves.

    Parameters
    ----------
    yard, models : as solved.
    scenes : what the catalogue says of each, in the yard's order: platform, and the detector where it is known.
    train : one of `trains_of`.
    noises : what is known of strips at scenes already; filled.

    Returns
    -------
    Motion, or None: bands without published times, other tracks too near, or too little of the line to be seen empty.
    """
    k, t = train.strip, train.scene
    strip, model = yard.strips[k], models[t]
    times = band_times(scenes[t], yard.bands)
    if times is None or model is None or not _alone(yard, train):
        return None
    noises = {} if noises is None else noises
    if (k, t) not in noises:
        noises[k, t] = noise_of_deck(yard, models, k, t)
    noise = noises[k, t]
    if noise is None:
        return None
    step = strip.step_m
    span = (int(train.start_m / step), int(np.ceil(train.end_m / step)))
    return motion_on(deck_profile(yard, model, k, t), noise, times, span=span, step_m=step, gsd_m=yard.gsd_m)


def _alone(yard: Yard, train: Train) -> bool:
    """Whether the pixels under a train show no other track."""
    own = yard.strips[train.strip]
    under = substring(own.line, train.start_m, train.end_m)
    return all(s is own or s.line.distance(under) > ALONE_PX * yard.gsd_m for s in yard.strips)


__all__ = ["deck_profile", "motion_of", "motions_of", "noise_of_deck"]
