"""Each track at each scene: what could be seen, and how unlike empty track it looked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from rail_watch.change.null import TailNull, fit_null
from rail_watch.imagery.scene import Quality
from rail_watch.interpret.segments import shortest_train_m, weighed, window_statistic
from rail_watch.interpret.strips import FINE_GSD_M
from rail_watch.interpret.yard import Yard, visible_steps

PRIOR_NULL = (3.0, 0.8)
"""Location and scale of the standardised statistic of empty track before a series has spoken."""
ENOUGH_TRAINS = 10
"""Empty track this many shortest trains long tells a scene's own noise; less, and the series' is taken."""
SURE = 8.0
"""Even odds of a train lie at least this many units above plain empty track: where pixels are fine, what unsettles
empty track is not noise but stains and shadows, and the unit is a share of the way to even odds."""
KNEE = 8.0
"""Statistics grow linearly up to about this, logarithmically beyond."""
HEAVIER_FINE, HEAVIER_COARSE = 2.0, 1.2
"""The far tail of empty track falls off more slowly than the near one: stains, shadows and wisps of cloud come at all
strengths, and fine pixels show more of them. Measured on random yards (docs/method.md)."""
TYPICAL_TRACK_M = 400.0
LEAST_VISIBLE = 0.5
"""Less of a track than this in sight, and an empty part says nothing of the track: the state is unknown."""

REASONS = {
    Quality.OUTSIDE: "outside the scene",
    Quality.NODATA: "no data from the sensor",
    Quality.CLOUD: "cloud",
    Quality.CLOUD_SHADOW: "cloud shadow",
    Quality.READ_FAILED: "could not be read",
    Quality.SATURATED: "saturated",
}


def standardised(raw: float, scale: tuple[float, float] | NDArray[np.float64]) -> float:
    """Refer a window's evidence to the scene's empty windows; the inverse hyperbolic sine tames the long upper tail.

    Noise stays as it is, while stains, puddles and passing shadows, which come in all strengths, are drawn together,
    so that one law with an exponential tail fits both.
    """
    return float(np.arcsinh((raw - scale[0]) / (KNEE * scale[1])) * KNEE)


@dataclass(frozen=True)
class Looks:
    """Every track (first axis) at every scene (second axis)."""

    visible: list[NDArray[np.bool_]]
    """[strip] (T, S) the step could be judged."""
    visible_fraction: NDArray[np.float64]
    """(K, T)"""
    statistic: NDArray[np.float64]
    """(K, T) standardised; NaN where nothing could be judged."""
    p_value: NDArray[np.float64]
    """(K, T)"""
    spread: NDArray[np.float64]
    """(T,) and"""
    centre: NDArray[np.float64]
    """(T,) by which each scene's statistics were standardised."""
    null: TailNull
    correction: NDArray[np.float64]
    """(K, T) taken off for the length in sight."""
    reason: list[list[str | None]]
    """[strip][scene] why not everything was seen."""

    def p_of(self, raw: float, k: int, t: int) -> float:
        """p-value of a raw window statistic on strip k at scene t."""
        value = standardised(raw, (self.centre[t], self.spread[t])) - self.correction[k, t]
        return float(self.null.p_value(np.array([value]))[0])


def _reason(yard: Yard, k: int, t: int) -> str | None:
    strip = yard.strips[k]
    middle = strip.quality[t][:, len(strip.across_m) // 2]
    counts = {name: int((middle == code).sum()) for code, name in REASONS.items()}
    if strip.roofed.any():
        counts["under a roof"] = int(strip.roofed.sum())
    worst = max(counts, key=lambda name: counts[name])
    return worst if counts[worst] else None


def _scale_of_scene(yard: Yard, visible: list[NDArray[np.bool_]], t: int) -> tuple[float, float]:
    """Median and upper half-spread of one-train windows over all empty stretches of a scene."""
    sums = []
    for k, strip in enumerate(yard.strips):
        width = max(int(round(shortest_train_m(yard.gsd_m) / strip.step_m)), 1)
        free = visible[k][t] & ~yard.occupied[k][t]
        score = np.where(free, weighed(yard.score[k][t]), 0)
        total, seen = np.cumsum(np.append(0, score)), np.cumsum(np.append(0, free))
        if len(score) >= width:
            window = total[width:] - total[:-width]
            sums.append(window[(seen[width:] - seen[:-width]) >= 0.9 * width])
    values = np.concatenate(sums) if sums else np.empty(0)
    if sum(len(v) for v in sums) * yard.strips[0].step_m < ENOUGH_TRAINS * shortest_train_m(yard.gsd_m):
        return float("nan"), float("nan")
    middle, upper = np.percentile(values, [50, 84])
    return float(middle), float(max(upper - middle, abs(middle) / SURE, 1e-3))


def _free_statistic(yard: Yard, k: int, t: int, visible: NDArray[np.bool_]) -> tuple[float, float]:
    """Statistic of the part of a look well away from what was taken for a train, and that part's length in metres."""
    strip = yard.strips[k]
    margin = max(int(round(1.5 * shortest_train_m(yard.gsd_m) / strip.step_m)), 1)
    free = visible & ~ndimage.binary_dilation(yard.occupied[k][t], iterations=margin)
    raw = window_statistic(yard.score[k][t], free, strip.step_m, gsd_m=yard.gsd_m)
    return raw, float(free.sum() * strip.step_m)


def _length_correction(metres: NDArray[np.float64]) -> NDArray[np.float64]:
    """The maximum over a longer stretch is larger by the scale times the logarithm of the ratio of lengths."""
    return np.asarray(PRIOR_NULL[1] * np.log(np.maximum(metres, 10.0) / TYPICAL_TRACK_M))


def judge(yard: Yard) -> Looks:
    """Standardise every look's statistic by its scene and refer it to the law of empty track."""
    visible = [np.stack([visible_steps(yard, k, t) for t in range(yard.times)]) for k in range(len(yard.strips))]
    shape = (len(yard.strips), yard.times)
    scales = np.array([_scale_of_scene(yard, visible, t) for t in range(yard.times)])
    typical = np.nanmedian(scales, axis=0) if np.isfinite(scales).any() else np.array([-20.0, 5.0])
    scales = np.where(np.isfinite(scales), scales, typical)
    # A scene's spread is one number from few independent windows: it is drawn half-way to the series'.
    scales[:, 1] = np.sqrt(scales[:, 1] * typical[1])
    statistic, empties = np.full(shape, np.nan), np.full(shape, np.nan)
    fraction, metres = np.zeros(shape), np.zeros(shape)
    even = np.zeros(shape, dtype=bool)
    for k, strip in enumerate(yard.strips):
        for t in range(yard.times):
            fraction[k, t] = float(visible[k][t].mean())
            raw = window_statistic(yard.score[k][t], visible[k][t], strip.step_m, gsd_m=yard.gsd_m)
            statistic[k, t] = standardised(raw, scales[t])
            # Evidence that does not reach even odds over one train's length is no train, whatever else it is.
            even[k, t] = raw > 0
            raw, metres[k, t] = _free_statistic(yard, k, t, visible[k][t])
            enough = metres[k, t] >= 3 * shortest_train_m(yard.gsd_m)
            empties[k, t] = standardised(raw, scales[t]) if enough else np.nan
            if visible[k][t].sum() * strip.step_m < 1.5 * shortest_train_m(yard.gsd_m):
                statistic[k, t] = np.nan
    correction = _length_correction(fraction * np.array([s.line.length for s in yard.strips])[:, None])
    statistic -= correction
    empties -= _length_correction(metres)
    taken = np.array([[o.any() for o in occupied] for occupied in yard.occupied])
    known = np.isfinite(statistic)
    empties = np.where(taken & ~even, statistic, empties)
    taken &= even
    heavier = HEAVIER_FINE if yard.gsd_m <= FINE_GSD_M else HEAVIER_COARSE
    null = fit_null(empties[np.isfinite(empties)], statistic[known & taken], prior=PRIOR_NULL, heavier=heavier)
    p_value = np.full(shape, np.nan)
    p_value[known] = null.p_value(statistic[known])
    reason = [
        [None if fraction[k, t] > 0.995 else _reason(yard, k, t) for t in range(yard.times)] for k in range(shape[0])
    ]
    return Looks(visible, fraction, statistic, p_value, scales[:, 1], scales[:, 0], null, correction, reason)


__all__ = ["LEAST_VISIBLE", "Looks", "judge"]
