"""Figures of merit over scenes, each with a bootstrap interval."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special, stats

from rail_watch.evaluate.score import SceneScore

Scores = Sequence[SceneScore]
Reading = tuple[float | None, int]
"""Value (None where there is nothing to take it from) and how many things it rests on."""


@dataclass(frozen=True)
class Figure:
    """One figure and what it rests on."""

    name: str
    words: str
    value: float | None
    interval_95: tuple[float, float] | None
    """Percentile bootstrap over scenes."""
    count: int


def figures(scores: Scores, *, resamples: int = 400, seed: int = 0) -> dict[str, Figure]:
    """Compute every figure over the scenes of one or several series of the same ground sample distance."""
    rng = np.random.default_rng(seed)
    draws = [rng.integers(0, len(scores), len(scores)) for _ in range(resamples)] if scores else []
    out = {}
    for name, (words, measure) in MEASURES.items():
        value, count = measure(scores)
        again = [measure([scores[i] for i in draw])[0] for draw in draws] if value is not None else []
        spread = np.array([v for v in again if v is not None])
        interval = None
        if spread.size >= 20 and name not in UNRESAMPLED:
            interval = (float(np.quantile(spread, 0.025)), float(np.quantile(spread, 0.975)))
        out[name] = Figure(name, words, value, interval, count)
    return out


def _f1(found: int, missed: int, false: int) -> Reading:
    total = 2 * found + missed + false
    return (2 * found / total if total else None), found + missed


def train_f1(scores: Scores) -> Reading:
    """F1 of trains long enough to count."""
    return _f1(sum(s.found for s in scores), sum(s.missed for s in scores), sum(s.false for s in scores))


def cargo_f1(scores: Scores) -> Reading:
    """F1 of pieces of cargo large enough to count."""
    found = sum(s.cargo_found for s in scores)
    return _f1(found, sum(s.cargo_missed for s in scores), sum(s.cargo_false for s in scores))


def _mean(pick: Callable[[SceneScore], Sequence[float]]) -> Callable[[Scores], Reading]:
    def measure(scores: Scores) -> Reading:
        values = _pool(scores, pick)
        return (float(values.mean()) if values.size else None), values.size

    return measure


def _pool(scores: Scores, pick: Callable[[SceneScore], Sequence[float]]) -> NDArray[np.float64]:
    return np.array(list(itertools.chain.from_iterable(pick(s) for s in scores)), dtype=float)


def precision(scores: Scores) -> Reading:
    """Share of claimed trains that are there."""
    found, false = sum(s.found for s in scores), sum(s.false for s in scores)
    return (found / (found + false) if found + false else None), found + false


def recall(scores: Scores) -> Reading:
    """Share of trains found."""
    found, missed = sum(s.found for s in scores), sum(s.missed for s in scores)
    return (found / (found + missed) if found + missed else None), found + missed


def p_uniform(scores: Scores) -> Reading:
    """P-value of the Kolmogorov-Smirnov test that the empty tracks' p-values are uniform."""
    values = _pool(scores, lambda s: s.p_values)
    return (float(stats.kstest(values, "uniform").pvalue) if values.size >= 5 else None), values.size


def alignment_px(scores: Scores) -> Reading:
    """RMS length of the error of the shift, pixels, per scene."""
    errors = np.array([s.shift_error_px for s in scores if s.shift_error_px is not None]).reshape(-1, 2)
    return (float(np.sqrt((errors**2).sum(1).mean())) if len(errors) else None), len(errors)


def same_train_auc(scores: Scores) -> Reading:
    """Area under the ROC curve of "the same train as": rank of right claims against the rest."""
    cases = list(itertools.chain.from_iterable(s.same for s in scores))
    truly = np.array([c.truly for c in cases], dtype=bool)
    values = np.array([c.score for c in cases])
    positives, negatives = int(truly.sum()), int((~truly).sum())
    if not positives or not negatives:
        return None, len(cases)
    ranks = stats.rankdata(values)
    area = (ranks[truly].sum() - positives * (positives + 1) / 2) / (positives * negatives)
    return float(area), len(cases)


def limit_ratio(scores: Scores) -> Reading:
    """Measured length of 90 % detection over the stated one, of trains alone on their track; it should be 1."""
    cases = [c for s in scores for c in s.sightings if c.shortest_m and c.length_m > 0 and c.alone]
    ratios = np.array([c.length_m / float(c.shortest_m or 1) for c in cases])
    return sure_ratio(ratios, np.array([c.found for c in cases], dtype=bool)), len(cases)


SURE = 0.9
"""The limit is the length that is found with this probability."""
LARGEST_LAPSE = 0.06
"""Share of trains missed, however long, beyond which this is no lapse (Wichmann & Hill 2001)."""


def sure_ratio(ratios: NDArray[np.float64], found: NDArray[np.bool_]) -> float | None:
    """Ratio of true length to stated limit at which nine of ten trains are found.

    Detection probability is fitted as a logistic of the ratio's logarithm times the share that is missed at no length
    (a psychometric function with a lapse rate: Wichmann & Hill, Perception & Psychophysics 2001), without which one
    long train that was missed flattens the whole curve. None where there are fewer than 20 trains, or all or none of
    them were found.
    """
    if len(ratios) < 20 or found.all() or not found.any():
        return None
    x = np.log(ratios)

    def loss(at: NDArray[np.float64]) -> float:
        shown = (1 - at[2]) * special.expit((x - at[0]) * np.exp(at[1]))
        # A weak prior on the slope keeps separable samples finite.
        return float(-np.log(np.where(found, shown, 1 - shown) + 1e-12).sum() + (at[1] - 1) ** 2 / 2)

    bounds = [(None, None), (-3.0, 6.0), (0.0, LARGEST_LAPSE)]
    starts = [np.array([0.0, 1.0, lapse]) for lapse in (0.0, 0.02)]
    fits = [optimize.minimize(loss, start, method="Nelder-Mead", bounds=bounds) for start in starts]
    centre, slope, lapse = min(fits, key=lambda fit: float(fit.fun)).x
    return float(np.exp(centre + special.logit(SURE / (1 - lapse)) / np.exp(slope)))


MEASURES: Mapping[str, tuple[str, Callable[[Scores], Reading]]] = {
    "train_f1": ("train F1", train_f1),
    "train_precision": ("train precision", precision),
    "train_recall": ("train recall", recall),
    "state_right": ("track state right", _mean(lambda s: s.state_right)),
    "hidden_right": ("hidden track said unknown", _mean(lambda s: s.hidden_right)),
    "false_alarms": ("false alarms per empty track and scene", _mean(lambda s: s.false_alarm)),
    "false_alarms_apart": ("… of tracks with empty neighbours", _mean(lambda s: s.false_alarm_apart)),
    "p_uniform": ("p-values of empty tracks uniform (KS)", p_uniform),
    "length_error_m": ("length error, mean absolute, m", _mean(lambda s: s.length_error_m)),
    "count_error": ("railcar count error, mean absolute", _mean(lambda s: s.count_error)),
    "length_coverage": ("95 % length intervals cover", _mean(lambda s: s.length_covered)),
    "count_coverage": ("95 % count intervals cover", _mean(lambda s: s.count_covered)),
    "cargo_f1": ("cargo F1", cargo_f1),
    "fill_error": ("apron fill error, mean absolute", _mean(lambda s: s.fill_error)),
    "alignment_px": ("alignment error, RMS, px", alignment_px),
    "same_train_auc": ("same train, ROC area (8 cars or more)", same_train_auc),
    "limit_ratio": ("measured over stated detection limit", limit_ratio),
}
"""Name to words and measure."""

UNRESAMPLED = frozenset({"p_uniform"})
"""A test's p-value has no interval of its own."""
