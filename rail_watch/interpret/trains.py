"""Trains: stretches of a track that empty track does not explain, with ends, cars and colours."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from rail_watch.interpret.cars import CarCount, count_cars, count_from_length
from rail_watch.interpret.looks import Looks, together
from rail_watch.interpret.network import network_class
from rail_watch.interpret.segments import segments, shortest_train_m, window_statistic
from rail_watch.interpret.sizes import SizeErrors, load_size_errors
from rail_watch.interpret.strips import FINE_GSD_M
from rail_watch.interpret.yard import SceneModel, Yard

Array = NDArray[np.float32]

LARGEST_COUNTED_GSD_M = 5.0
"""Beyond this GSD a length says too little of a count."""
COUPLED_M = 2.0
"""Stretches nearer than this (or two and a half pixels) are one train: couplings leave 0.6 to 1.4 m between cars."""


@dataclass(frozen=True)
class Train:
    """One train on one track at one scene."""

    strip: int
    scene: int
    start_m: float
    end_m: float
    length_95: tuple[float, float]
    """95 % interval of the length, metres."""
    p_value: float
    count: CarCount | None
    """None where the sensor cannot tell."""
    colours: tuple[tuple[float, ...], ...]
    """Mean value per band of each car (or of equal parts of the train where cars cannot be told apart)."""

    @property
    def length_m(self) -> float:
        """Length along the track."""
        return self.end_m - self.start_m

    @property
    def edges_m(self) -> tuple[float, ...]:
        """Along the track, where its cars begin and end; empty where they cannot be told apart."""
        if self.count is None or len(self.count.cuts_m) != len(self.colours) + 1:
            return ()
        inner = np.clip(self.start_m + np.array(self.count.cuts_m[:-1]), self.start_m, self.end_m)
        return (*inner.tolist(), self.end_m)


def _merged(runs: Sequence[tuple[int, int]], step_m: float, *, gap_m: float) -> list[tuple[int, int]]:
    out: list[tuple[int, int]] = []
    for first, last in runs:
        if out and (first - out[-1][1]) * step_m < gap_m:
            out[-1] = (out[-1][0], last)
        else:
            out.append((first, last))
    return out


def _segment_p(yard: Yard, looks: Looks, k: int, t: int, run: tuple[int, int]) -> float:
    """p-value of one stretch: its own strongest window against the law of whole empty tracks."""
    strip = yard.strips[k]
    pad = max(int(round(shortest_train_m(yard.gsd_m) / strip.step_m)) // 2, 1)
    part = slice(max(run[0] - pad, 0), run[1] + pad)
    single = np.full(2, np.nan)
    for side, law in enumerate(looks.laws[t]):
        where = looks.visible[k][t] & (looks.beside[k][t] == bool(side))
        raw = window_statistic(yard.score[k][t][part], where[part], strip.step_m, gsd_m=yard.gsd_m)
        single[side] = law.p_value(np.array(raw), looks.metres[side, k, t])
    return float(looks.known.settled(together(single))) if np.isfinite(single).any() else 1.0


def trains_of(yard: Yard, looks: Looks, models: Sequence[SceneModel | None], *, false_alarm_rate: float) -> list[Train]:
    """Return every train on tracks that count as occupied at the rate asked for.

    Where a track's look passes and no stretch of it does alone, its strongest window is the train.
    """
    found = []
    for k in range(len(yard.strips)):
        for t, model in enumerate(models):
            if model is None or not looks.taken(k, t, false_alarm_rate):
                continue
            for run, p in _runs(yard, looks, k, t, false_alarm_rate):
                found.append(_train(yard, model, (k, t), run, p))
    return found


def _runs(yard: Yard, looks: Looks, k: int, t: int, rate: float) -> list[tuple[tuple[int, int], float]]:
    strip, score, visible = yard.strips[k], yard.score[k][t], looks.visible[k][t]
    gap = max(COUPLED_M, 2.5 * yard.gsd_m)
    runs = _merged(segments(score, visible, strip.step_m, gsd_m=yard.gsd_m), strip.step_m, gap_m=gap)
    judged = [(run, _segment_p(yard, looks, k, t, run)) for run in runs]
    passing = [(run, p) for run, p in judged if p < rate]
    if passing:
        return passing
    width = max(int(round(shortest_train_m(yard.gsd_m) / strip.step_m)), 1)
    sums = np.convolve(np.where(visible, score, 0), np.ones(width), mode="valid")
    start = int(np.argmax(sums))
    return [((start, start + width), float(looks.p_value[k, t]))]


def _train(yard: Yard, model: SceneModel, place: tuple[int, int], run: tuple[int, int], p_value: float) -> Train:
    k, t = place
    strip = yard.strips[k]
    start, end = _ends(yard, k, t, run)
    errors = load_size_errors(network_class(yard.gsd_m))
    length_95 = errors.length_95(end - start)
    if yard.gsd_m > FINE_GSD_M:
        count = _widened(count_from_length(end - start), end - start, errors)
        return Train(k, t, start, end, length_95, p_value, count if yard.gsd_m <= LARGEST_COUNTED_GSD_M else None, ())
    first = int(np.clip(start / strip.step_m, 0, len(strip.along_m) - 2))
    last = int(np.clip(np.ceil(end / strip.step_m), first + 1, len(strip.along_m)))
    count = count_cars(yard.other[k][t][first:last].astype(np.float64), strip.step_m)
    middle = np.abs(strip.across_m) <= 1.1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        roof = np.nanmean(strip.pixels[t][:, first:last, middle], axis=-1)
        cuts = np.clip((np.array(count.cuts_m) / strip.step_m).round().astype(int), 0, last - first)
        colours = tuple(tuple(float(v) for v in np.nanmean(roof[:, a:b], axis=1)) for a, b in pairwise(cuts) if b > a)
    return Train(k, t, start, end, length_95, p_value, _widened(count, end - start, errors), colours)


def _widened(count: CarCount, length_m: float, errors: SizeErrors) -> CarCount:
    return replace(count, count_95=errors.railcars_95(count.count, length_m, count.count_95))


def _ends(yard: Yard, k: int, t: int, run: tuple[int, int]) -> tuple[float, float]:
    """Where the log odds cross even odds, between steps."""
    strip, score = yard.strips[k], yard.score[k][t].astype(np.float64)
    start, end = run[0] - _beyond(score, run[0], -1), run[1] + _beyond(score, run[1] - 1, 1)
    scale = strip.line.length / len(strip.along_m)
    return max(start * scale, 0.0), min(end * scale, strip.line.length)


def _beyond(score: NDArray[np.float64], last: int, way: int) -> float:
    """How far past the edge of its last step a stretch reaches, in steps: half of one either way at most."""
    inside, outside = score[last], score[last + way] if 0 <= last + way < len(score) else np.nan
    if not (np.isfinite(outside) and inside > 0 >= outside):
        return 0.0
    return float(np.clip(inside / (inside - outside) - 0.5, -0.5, 0.5))


__all__ = ["Train", "trains_of"]
