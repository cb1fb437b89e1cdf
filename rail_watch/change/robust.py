"""Robust statistics over scenes: what most looks agree on, whatever stands there on some of them."""

from __future__ import annotations

import warnings
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import special

from rail_watch.prepare.order import sort_rows

Array = NDArray[np.float32]

MAD_TO_SIGMA = 1.4826
CHUNK = 8192
"""So many medians are taken at once: the sort stays in the processor's cache."""
SHARES = 2**28
"""The largest weight at a place, as a whole number."""
MASK = np.int64(2**29 - 1)
"""The bits of a float64 that a float32 leaves 0."""
FIT_SAMPLE = 6000
"""Points a line is fitted to: gains come out good to a thousandth."""


def weighted_median(values: Array, weights: Array) -> Array:
    """Return the weighted median over the first axis.

    Parameters
    ----------
    values, weights : (time, …) of one shape; a weight of 0 (or a value that is not finite) takes no part.

    Returns
    -------
    (…) float32, NaN where no weight is left. Between the two values that share the middle their mean is taken,
    so equal weights give the usual median.
    """
    shape = values.shape[1:]
    flat = values.reshape(len(values), -1).astype(np.float32, copy=False)
    mass = np.broadcast_to(weights, values.shape).reshape(flat.shape).astype(np.float32, copy=False)
    out = np.empty(flat.shape[1], dtype=np.float32)
    for start in range(0, len(out), CHUNK):
        part = slice(start, start + CHUNK)
        out[part] = _middle(flat[:, part], mass[:, part])
    return out.reshape(shape)


def _middle(values: Array, weights: Array) -> Array:
    """Weighted median over the first axis of (time, n).

    A float32 leaves 29 bits of a float64 unused: each weight travels there, as a share of the largest at its place,
    so that one sort of plain numbers puts both in order.
    """
    known = np.isfinite(values)
    if not known.all():
        values, weights = np.where(known, values, np.float32(0)), np.where(known, weights, np.float32(0))
    unit = np.float32(SHARES) / np.maximum(weights.max(axis=0), np.float32(1e-30))
    keys = values.astype(np.float64)
    bits = keys.view(np.int64)
    bits |= (weights * unit).astype(np.int32)
    sort_rows(keys)
    mass = bits & MASK
    bits &= ~MASK
    # Row by row: NumPy's own running sum over a first axis walks every place by itself, at thirty times the cost.
    for before, row in pairwise(mass):
        np.add(row, before, out=row)
    total = mass[-1]
    play = total >> 20
    low = (mass < (total - play) >> 1).sum(axis=0, dtype=np.uint16)
    high = (mass <= (total + play) >> 1).sum(axis=0, dtype=np.uint16)
    first = np.take_along_axis(keys, low[None], axis=0)[0]
    second = np.take_along_axis(keys, np.minimum(high, len(keys) - 1)[None], axis=0)[0]
    return np.where(total > 0, 0.5 * (first + second), np.nan).astype(np.float32)


def spread(values: Array, *, axis: int | tuple[int, ...] | None = None) -> NDArray[np.float64]:
    """Robust standard deviation about zero of values that should be near zero: 1.4826 times the median size."""
    sizes = np.abs(values)
    if axis is None:
        known = sizes[~np.isnan(sizes)]
        return np.asarray(MAD_TO_SIGMA * (np.median(known) if known.size else np.nan), dtype=np.float64)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.asarray(MAD_TO_SIGMA * np.nanmedian(sizes, axis=axis), dtype=np.float64)


def ranks(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Rank each of (n,) values from 1, equal ones alike at the mean of their ranks; none may be NaN."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    first = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
    ends = np.append(first[1:], len(values))
    out = np.empty(len(values))
    out[order] = np.repeat(0.5 * (first + ends + 1), ends - first)
    return out


def half_sample_mode(values: NDArray[np.float64]) -> float:
    """Mode of a sample by repeated halving (Bickel and Fruehwirth, Comput. Stat. Data Anal. 2006)."""
    ordered = np.sort(values[np.isfinite(values)])
    if len(ordered) == 0:
        return float("nan")
    while len(ordered) > 3:
        half = (len(ordered) + 1) // 2
        widths = ordered[half - 1 :] - ordered[: len(ordered) - half + 1]
        start = int(np.argmin(widths))
        ordered = ordered[start : start + half]
    return float(np.mean(ordered))


def line_fit(x: NDArray[np.float64], y: NDArray[np.float64], *, rounds: int = 15) -> tuple[float, float, float]:
    """Fit y = gain * x + offset, robust to a third of the points being changed.

    Iteratively reweighted least squares with Tukey weights, started from the quartiles of both samples.

    Returns
    -------
    gain, offset, sigma : sigma is the robust residual spread.
    """
    thin = max(1, len(x) // FIT_SAMPLE)
    x, y = np.ascontiguousarray(x[::thin]), np.ascontiguousarray(y[::thin])
    low_x, high_x = np.percentile(x, [25, 75])
    low_y, high_y = np.percentile(y, [25, 75])
    correlation = np.corrcoef(x, y)[0, 1] if np.ptp(x) > 0 and np.ptp(y) > 0 else 0.0
    gain = (high_y - low_y) / max(high_x - low_x, 1e-9) * max(float(np.nan_to_num(correlation)), 0.0)
    offset = float(np.median(y - gain * x))
    sigma = float("nan")
    for _ in range(rounds):
        residual = y - gain * x - offset
        sigma = max(float(MAD_TO_SIGMA * np.median(np.abs(residual))), 1e-9)
        weight = np.clip(1 - (residual / (4.685 * sigma)) ** 2, 0, None) ** 2
        # Sums rather than dot products: a threaded dot of a few thousand numbers costs more than it saves.
        total = weight.sum()
        mean_x, mean_y = (weight * x).sum() / total, (weight * y).sum() / total
        centred = weight * (x - mean_x)
        new_gain = float((centred * (y - mean_y)).sum() / max(float((centred * (x - mean_x)).sum()), 1e-12))
        step = abs(new_gain - gain)
        gain, offset = new_gain, float(mean_y - new_gain * mean_x)
        if step < 1e-5 * max(abs(gain), 1e-3):
            break
    return gain, offset, sigma


def robust_covariance(points: NDArray[np.float64], *, keep: float = 0.6, rounds: int = 10) -> NDArray[np.float64]:
    """Covariance about zero of the quieter share of points, scaled to be right for a Gaussian.

    Concentration steps of the fast MCD (Rousseeuw and Van Driessen, Technometrics 1999) with a known centre of 0:
    the share `keep` with the smallest Mahalanobis distance is kept, its covariance computed, and again.

    Parameters
    ----------
    points : (n, d)
    """
    dims = points.shape[1]
    scale = np.maximum(spread(points.astype(np.float32), axis=0), 1e-6)
    covariance = np.diag(scale**2)
    count = max(int(keep * len(points)), min(dims + 1, len(points)))
    cut = special.chdtri(dims, 1 - keep)
    inside = special.chdtr(dims + 2, cut) / keep
    floor = np.diag((0.05 * scale) ** 2)
    by_axis = np.ascontiguousarray(points.T)
    for _ in range(rounds):
        distance = ((np.linalg.inv(covariance + floor) @ by_axis) * by_axis).sum(axis=0)
        near = points[np.argpartition(distance, count - 1)[:count]]
        covariance = near.T @ near / (count * inside)
    return covariance + floor


def whitening(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    """(d, d) matrix W with W C W' = 1, symmetric (so that a band stays mostly itself)."""
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray(vectors @ np.diag(1 / np.sqrt(np.maximum(values, 1e-12))) @ vectors.T)
