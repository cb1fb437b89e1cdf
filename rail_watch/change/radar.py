"""Change in radar imagery: tests for ratios of speckled backscatter, for one pair and for a series.

The ratio of two gamma variates of n1 and n2 looks follows Fisher's F law with 2 n1 and 2 n2 degrees of freedom. For a
series the likelihood ratio of "all alike" and its factors, each asking whether a scene is like those before it, are
those of Conradsen, Nielsen and Skriver [1]_ for a diagonal covariance; scenes of different numbers of looks are
Bartlett's test [2]_, of which theirs is the case of equal looks.

References
----------
.. [1] Conradsen, Nielsen and Skriver, Determining the points of change in time series of polarimetric SAR data,
   IEEE TGRS 54(5), 2016, doi:10.1109/TGRS.2015.2510160.
.. [2] Bartlett, Properties of sufficiency and statistical tests, Proc. R. Soc. A 160, 1937,
   doi:10.1098/rspa.1937.0109; the second order after Box, Biometrika 36, 1949, doi:10.1093/biomet/36.3-4.317.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from rail_watch.change.robust import robust_covariance
from rail_watch.change.speckle import (
    Array,
    Mask,
    Multilooked,
    Speckle,
    Unit,
    log_bias,
    log_intensity,
    looks_of,
    multilook,
    speckle_of,
    unit_of,
)

LEAST_GROUND = 200
"""So many pixels are needed to know a scene's gain and how far real ground departs from speckle."""
MOST_POINTS = 50_000


@dataclass(frozen=True)
class Omnibus:
    """Tests of a series, pixel by pixel."""

    p_value: Array
    """(row, column) of "nothing changed in the series"; NaN where fewer than two scenes saw the place."""
    steps: Array
    """(T - 1, row, column) of "scene t + 1 is like all before it"; independent of one another while nothing changes."""


@dataclass(frozen=True)
class RadarChange:
    """Each scene against the usual state of the others."""

    p_value: NDArray[np.float32]
    """(T, row, column) probability that unchanged ground departs by so much or more; NaN where not judged."""
    score: NDArray[np.float32]
    """(T, B, row, column) departure in standard deviations of unchanged ground, positive where brighter."""
    decibels: NDArray[np.float32]
    """(T, row, column) brightness against the usual state, mean over bands."""
    speckle: tuple[tuple[Speckle | None, ...], ...]
    """[t][b]; None where too little was seen."""
    units: tuple[Unit, ...]
    """Unit each scene was taken to come in."""
    inflation: Array
    """(T,) how many times as far as speckle alone unchanged ground of the scene departs; at least 1, NaN unjudged."""
    series: Omnibus
    """With looks lowered by the inflation."""


def ratio_score(log_ratio: Array, looks: Array, usual_looks: Array) -> Array:
    """Return what a log-ratio of averaged backscatter would be as a standard normal variate.

    Parameters
    ----------
    log_ratio : ln(new / usual) of geometric means, the mean of each speckle's logarithm taken off.
    looks, usual_looks : their effective numbers of looks.

    Returns
    -------
    Same shape; positive where brighter. NaN where an input is. Twice the normal tail beyond it is the p-value.
    """
    # As a ratio of gamma variates, whose logarithms do have a mean.
    value = log_ratio + log_bias(looks) - log_bias(usual_looks)
    # Of F(2a, 2b) the share below v is the incomplete beta function; from the other side it keeps its digits.
    odds = value + np.log(looks / usual_looks)
    below = special.betainc(looks, usual_looks, special.expit(odds))
    above = special.betainc(usual_looks, looks, special.expit(-odds))
    tail = np.maximum(np.minimum(below, above), 1e-300)
    return np.asarray(np.where(below < above, 1.0, -1.0) * special.ndtri(tail))


def _deviance(logs: Array, looks: Array) -> Array:
    """(row, column) -2 ln Q of equal backscatter over the first axis; what is not seen has 0 looks."""
    total = looks.sum(axis=0)
    safe = np.where(total > 0, total, 1.0)
    highest = np.where(looks > 0, logs, -np.inf).max(axis=0)
    highest = np.where(np.isfinite(highest), highest, 0.0)
    relative = np.where(looks > 0, logs - highest, 0.0)
    pooled = np.log(np.maximum((looks * np.exp(relative)).sum(axis=0) / safe, 1e-300))
    return np.asarray(2 * (total * pooled - (looks * relative).sum(axis=0)))


def _box_tail(deviance: Array, looks: Array) -> Array:
    """Upper tail of the deviance summed over bands, after Box to the second order.

    Parameters
    ----------
    deviance : (row, column) summed over bands.
    looks : (T, B, row, column), 0 where not seen.
    """
    seen = looks > 0
    freedom = (seen.sum(axis=0) - 1).clip(min=0).sum(axis=0).astype(np.float64)
    inverse = np.where(seen, 1 / np.where(seen, looks, 1.0), 0.0).sum(axis=0)
    total = looks.sum(axis=0)
    inverse = (inverse - np.where(total > 0, 1 / np.where(total > 0, total, 1.0), 0.0)).sum(axis=0)
    safe = np.maximum(freedom, 1.0)
    rho = np.maximum(1 - inverse / (6 * safe), 0.05)
    second = -0.25 * safe * (1 - 1 / rho) ** 2
    scaled = rho * np.maximum(deviance, 0)
    tail = special.chdtrc(safe, scaled)
    tail += second * (special.chdtrc(safe + 4, scaled) - tail)
    return np.asarray(np.where(freedom > 0, np.clip(tail, 0, 1), np.nan))


def omnibus(log_mean: Array, looks: Array) -> Omnibus:
    """Test a series for any change, and each scene against all before it.

    Parameters
    ----------
    log_mean, looks : (T, B, row, column) as `Multilooked`; NaN where not seen. Bands are taken for independent.

    Returns
    -------
    Omnibus
        The omnibus p-value is Box's approximation. The steps are exact F laws, over several bands joined by Fisher's
        method (which the sum of squared normal scores would equal but for the sign).
    """
    seen = np.isfinite(log_mean) & np.isfinite(looks)
    weight = np.where(seen, looks, 0.0)
    # Back to a gamma variate, whose likelihood the test compares.
    logs = np.where(seen, log_mean + log_bias(np.where(seen, looks, 1.0)), 0.0)
    bands = range(log_mean.shape[1])
    deviance = np.sum([_deviance(logs[:, b], weight[:, b]) for b in bands], axis=0)
    steps = [np.stack([_step(logs[: t + 1, b], weight[: t + 1, b]) for b in bands]) for t in range(1, len(logs))]
    joined = [_fisher(step) for step in steps]
    shape = (0, *log_mean.shape[2:])
    return Omnibus(_box_tail(deviance, weight), np.stack(joined) if joined else np.zeros(shape))


def _step(logs: Array, looks: Array) -> Array:
    """(row, column) p-value of "the last scene is like the pooled ones before"; NaN where one of the two is unseen."""
    before = looks[:-1].sum(axis=0)
    possible = (before > 0) & (looks[-1] > 0)
    n_old, n_new = np.where(possible, before, 1.0), np.where(possible, looks[-1], 1.0)
    pooled = np.log(np.maximum((looks[:-1] * np.exp(logs[:-1])).sum(axis=0) / n_old, 1e-300))
    score = ratio_score(logs[-1] - pooled - log_bias(n_new) + log_bias(n_old), n_new, n_old)
    return np.asarray(np.where(possible, 2 * special.ndtr(-np.abs(score)), np.nan))


def _fisher(p_values: Array) -> Array:
    """Join independent p-values over the first axis; those not known take no part."""
    known = np.isfinite(p_values)
    count = known.sum(axis=0)
    statistic = -2 * np.log(np.where(known, np.maximum(p_values, 1e-300), 1.0)).sum(axis=0)
    return np.asarray(np.where(count > 0, special.chdtrc(2 * np.maximum(count, 1), statistic), np.nan))


def shorth(values: Array) -> float:
    """Middle of the shortest half of a sample (Rousseeuw 1984): unmoved by change that leans to one side."""
    ordered = np.sort(values)
    half = len(ordered) // 2 + 1
    widths = ordered[half - 1 :] - ordered[: len(ordered) - half + 1]
    start = int(np.argmin(widths))
    return float(0.5 * (ordered[start] + ordered[start + half - 1]))


def _median(values: Array) -> Array:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.asarray(np.nanmedian(values, axis=0))


def median_cost(count: NDArray[np.integer]) -> Array:
    """Return how much more the median of so many Gaussian values varies than their mean; right to 3 per cent."""
    few = np.where(count % 2 == 1, np.pi / 2 - 1, np.pi - 2)
    return np.asarray(0.5 * np.pi * count / (count + few))


def _usual(logs: Array, looks: Array, t: int) -> tuple[Array, Array]:
    """What all scenes but t usually show (B, row, column), and the looks of that."""
    others = np.arange(len(logs)) != t
    centre = _median(logs[others])
    count = np.isfinite(logs[others]).sum(axis=0)
    variance = np.where(np.isfinite(looks[others]), special.polygamma(1, looks[others]), 0.0).sum(axis=0)
    many = np.maximum(count, 1)
    return centre, np.where(count > 0, looks_of(variance * median_cost(many) / many**2), np.nan)


def _without_gain(logs: Array, ground: Mask) -> Array:
    """Take off each scene's own gain in each band, as unchanged ground shows it."""
    centre = _median(logs)
    out = np.full_like(logs, np.nan)
    for t, b in np.ndindex(*logs.shape[:2]):
        off = (logs[t, b] - centre[b])[ground]
        off = off[np.isfinite(off)]
        if len(off) >= LEAST_GROUND:
            out[t, b] = logs[t, b] - shorth(off)
    return out


def _judged(score: Array, ground: Mask) -> tuple[Array, Array, float] | None:
    """Refer scores (B, row, column) to how far unchanged ground really departs: score, p-value, inflation.

    Real ground departs by more than its speckle, and its bands depart together: wet soil, wind, crops, a sub-pixel
    shift. The covariance of the quieter 60 per cent says by how much; it is never taken for less than speckle's.
    """
    known = np.isfinite(score).all(axis=0)
    points = score[:, known & ground].T
    if len(points) < LEAST_GROUND:
        return None
    covariance = robust_covariance(points[:: max(1, len(points) // MOST_POINTS)])
    values, vectors = np.linalg.eigh(covariance)
    values = np.maximum(values, 1.0)
    white = vectors @ np.diag(values**-0.5) @ vectors.T
    out = np.einsum("ij,j...->i...", white, score)
    p_value = np.where(known, special.chdtrc(len(score), (out**2).sum(axis=0)), np.nan)
    return out, p_value, float(np.sqrt(values.mean()))


def _averaged(pixels: Array, seen: Mask, units: Sequence[Unit]) -> tuple[Array, Array, list[list[Speckle | None]]]:
    """(T, B, row, column) log means and looks, NaN where not seen, and the speckle of each."""
    logs, looks = np.full(pixels.shape, np.nan), np.full(pixels.shape, np.nan)
    speckle: list[list[Speckle | None]] = [[None] * pixels.shape[1] for _ in units]
    for t, b in np.ndindex(*pixels.shape[:2]):
        values = log_intensity(np.where(seen[t], pixels[t, b], np.nan), units[t])
        known = np.isfinite(values)
        found = speckle_of(values, known)
        speckle[t][b] = found
        if found is not None:
            mean: Multilooked = multilook(values, known, found)
            logs[t, b], looks[t, b] = mean.log_mean, mean.looks
    return logs, looks, speckle


def radar_change(pixels: NDArray[np.floating], seen: Mask, ground: Mask) -> RadarChange:
    """Judge each scene of a series against the usual state of the others.

    Parameters
    ----------
    pixels : (T, B, row, column) amplitude, intensity or decibels (see `unit_of`), of one viewing geometry.
    seen : (T, row, column) True where the ground can be judged.
    ground : (row, column) ground on which most is taken for unchanged: gains and the null lean on it.

    Returns
    -------
    RadarChange
        The usual state is the median of the other scenes, of a single other scene that scene.
    """
    units = [unit_of(np.where(seen[t], pixels[t], np.nan)) for t in range(len(pixels))]
    logs, looks, speckle = _averaged(np.asarray(pixels, dtype=np.float64), seen, units)
    logs = _without_gain(logs, ground)
    p_value = np.full(seen.shape, np.nan, dtype=np.float32)
    score = np.full(logs.shape, np.nan, dtype=np.float32)
    decibels = np.full(seen.shape, np.nan, dtype=np.float32)
    inflation = np.full(len(logs), np.nan)
    for t in range(len(logs)):
        usual, usual_looks = _usual(logs, looks, t)
        difference = logs[t] - usual
        found = _judged(ratio_score(difference, looks[t], usual_looks), ground)
        if found is not None:
            score[t], p_value[t], inflation[t] = found
            decibels[t] = (10 / np.log(10)) * difference.mean(axis=0)
    lowered = looks / np.where(np.isfinite(inflation), inflation, np.nan)[:, None, None, None] ** 2
    return RadarChange(
        p_value=p_value,
        score=score,
        decibels=decibels,
        speckle=tuple(tuple(row) for row in speckle),
        units=tuple(units),
        inflation=inflation,
        series=omnibus(logs, lowered),
    )
