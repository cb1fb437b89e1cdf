"""Whether the shadows in the picture fall where the sun that was stated throws them.

A catalogue's sun may be of another time, or computed from a time of day that is only supposed. Shadows then pass for
trains, and trains for shadows. The trains themselves tell: the ground to one side of them is darker than to the other.
Where they contradict the sun, the look is read again with no sun, it is measured to which side the shadows fall, and
the sun is set to that.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rail_watch.interpret.describe import change_of
from rail_watch.interpret.shadows import HALF_WIDTH_M, LONGEST_SHADOW_M, TALL_M, Sun, SunState, mean_heading
from rail_watch.interpret.yard import SceneModel, Yard, visible_steps

Array = NDArray[np.float32]

BESIDE_M = (2.5, 6.0)
"""Offsets between which a shadow lies beside a train when the sun is not too high."""
LEAST_M = 10.0
"""Shorter trains, or less of a train with nothing beside it, say nothing of the sun."""
PLAIN = 0.25
"""Difference of the logarithm of the light on either side of trains that is a shadow, and"""
FAINT = 0.12
"""below which there is none. Fixed beforehand: full shadow takes away a logarithm of 0.7 to 1.5."""
SEEN_ACROSS = 0.45
"""Metres of shadow across the track per metre of height from which it must show at `BESIDE_M`."""
NO_SUN = Sun(0, 0.0, 0.0)


@dataclass(frozen=True)
class Shade:
    """The ground on either side of the trains of one look."""

    left: float
    """How much darker it is left of trains than right, in logarithms of light; seen along the first strip's heading."""
    reach_m: float
    """How far from the centre line the darker side is dark."""
    metres: float
    """Length of trains it was measured on."""


def shade_beside(yard: Yard, model: SceneModel, t: int) -> Shade | None:
    """Measure the light on either side of trains with no other train near; None where there are too few."""
    profiles, weights = [], []
    across = yard.strips[0].across_m
    for k, strip in enumerate(yard.strips):
        alone = yard.occupied[k][t] & ~_others_beside(yard, k, t) & visible_steps(yard, k, t)
        metres = float(alone.sum() * strip.step_m)
        if metres < LEAST_M:
            continue
        change = change_of(strip.pixels[t], yard.baseline[k], model, yard.bands)
        profile = _middle(np.where(yard.usable[k][t], change, np.nan)[alone])
        profiles.append(profile if _along(yard, k) else profile[::-1])
        weights.append(metres)
    if not profiles:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        low, high = BESIDE_M
        sides = [np.nanmean(p[(s * across >= low) & (s * across <= high)]) for p in profiles for s in (-1, 1)]
    right, left = np.array(sides[::2]), np.array(sides[1::2])
    known = np.isfinite(right - left)
    if not known.any():
        return None
    weight = np.array(weights)[known]
    darker = float(((right - left)[known] * weight).sum() / weight.sum())
    turned = [p if darker > 0 else p[::-1] for p, ok in zip(profiles, known, strict=True) if ok]
    return Shade(darker, _reach(_middle(np.stack(turned)), across), float(weight.sum()))


def _middle(values: Array) -> Array:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.asarray(np.nanmedian(values, axis=0))


def _along(yard: Yard, k: int) -> bool:
    """Whether a strip runs the first one's way."""
    first, own = (mean_heading(yard.strips[i].heading_deg) for i in (0, k))
    return math.cos(math.radians(own - first)) >= 0


def _others_beside(yard: Yard, k: int, t: int) -> NDArray[np.bool_]:
    """(S,) steps with a train on another track within the strip's reach."""
    out = np.zeros(len(yard.strips[k].along_m), dtype=bool)
    for near in yard.near[k]:
        out |= (yard.occupied[near.index][t][near.step] & np.isfinite(near.offset_m)).any(axis=1)
    return out


def _reach(profile: Array, across: NDArray[np.float64]) -> float:
    """How far to positive offsets the ground is darker than half of what it is beside the train."""
    beside = (across >= BESIDE_M[0]) & (across <= LONGEST_SHADOW_M)
    values, places = np.nan_to_num(profile[beside]), across[beside]
    if not len(values):
        return 0.0
    lit = np.flatnonzero(values > 0.5 * values[:2].min())
    return float(places[lit[0]] if len(lit) else places[-1])


def stated_side(yard: Yard, t: int) -> tuple[int, float]:
    """On which side of the first strip the stated sun throws shadows (1 left, -1 right, 0 none), and metres across."""
    across = [sun[t].across for sun in yard.suns]
    return yard.suns[0][t].side, float(np.median(across))


def disputed(yard: Yard, model: SceneModel, t: int) -> bool:
    """Whether the trains found contradict the sun: shadows on the wrong side, or none where they must show."""
    shade = shade_beside(yard, model, t)
    if shade is None:
        return False
    side, across = stated_side(yard, t)
    if across < SEEN_ACROSS:
        return abs(shade.left) > PLAIN
    return side * shade.left < FAINT


def measured_sun(yard: Yard, model: SceneModel, t: int, stated: tuple[int, float]) -> tuple[SunState, list[Sun]]:
    """Return what a look that was read with no sun says of it, and the sun over each strip.

    Parameters
    ----------
    stated : side and reach of the sun that was stated, from `stated_side`.
    """
    shade = shade_beside(yard, model, t)
    side, across = stated
    if shade is None or abs(shade.left) < PLAIN:
        return SunState.SHADOWLESS, [NO_SUN] * len(yard.strips)
    seen = 1 if shade.left > 0 else -1
    reach = max((shade.reach_m - HALF_WIDTH_M) / TALL_M, 0.3)
    suns = [Sun(seen if _along(yard, k) else -seen, reach, 0.0) for k in range(len(yard.strips))]
    return (SunState.UNDISPUTED if seen == side and across >= SEEN_ACROSS else SunState.ELSEWHERE), suns
