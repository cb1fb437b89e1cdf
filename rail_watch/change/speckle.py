"""Speckle of a radar scene: in which unit it comes, how many looks it has, how its pixels hang together.

Fully developed speckle multiplies the ground's backscatter by a gamma variate of mean 1 and shape L, the equivalent
number of looks (ENL) [1]_. In logarithms it is added: ln x = ln sigma + ln g, where the mean of ln g is
psi(L) - ln L and its variance is psi'(L), whatever the ground [2]_. Everything here is done in logarithms of
intensity, so that bright metal beside dark water weighs no more than it should, and a scene's gain is a constant.

References
----------
.. [1] Oliver and Quegan, Understanding Synthetic Aperture Radar Images, SciTech 2004, ch. 4.
.. [2] Nicolas, Introduction aux statistiques de deuxieme espece, Traitement du Signal 19(3), 2002 (log-cumulants).
.. [3] Anfinsen, Doulgeris and Eltoft, Estimation of the equivalent number of looks in polarimetric synthetic aperture
   radar imagery, IEEE TGRS 47(11), 2009, doi:10.1109/TGRS.2009.2019269 (mode of the estimates of small windows).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy  # signal loads when it is first named: most runs do without
from numpy.typing import NDArray
from scipy import ndimage, special

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Unit = Literal["decibel", "amplitude", "intensity"]

SIDES_PX = (3, 5, 7)
"""Windows combined into one kernel: the smallest finds narrow things, the widest quietens speckle."""
WINDOW_PX = 7
"""Side of the windows in which looks are counted."""
REACH_PX = 3
"""Speckle of pixels farther apart than this is taken for unrelated."""
MOST_POWER = 5.0
"""No calibrated scene has half of its ground brighter than this (7 dB)."""
EVEN = 1.75
"""Windows of up to this many times the commonest variance are even ground: speckle alone seldom gives more, and to cut
lower would leave out the very windows that show how its pixels hang together."""
LEAST_WINDOWS = 40
"""So many independent windows are needed to count looks."""
LEAST_SEEN = 0.35
"""Share of the kernel's weight that must have been seen: a corner of the image just has it."""

_LOOKS = np.geomspace(0.05, 1e7, 4000)
_LOG_LOOKS = np.log(_LOOKS)
_LOG_VARIANCE = np.log(special.polygamma(1, _LOOKS))


@dataclass(frozen=True)
class Speckle:
    """What one band of one scene is like on even ground."""

    looks: float
    """Equivalent number of looks of a single pixel."""
    correlation: Array
    """(7, 7) correlation of ln intensity at lags of up to 3 pixels, 1 in the middle, never negative."""


@dataclass(frozen=True)
class Multilooked:
    """One band of one scene averaged over the kernel."""

    log_mean: Array
    """(row, column) ln of the backscatter, the mean of the speckle's logarithm taken off; NaN where not seen."""
    looks: Array
    """(row, column) looks of a gamma variate whose logarithm varies as much; NaN where not seen."""


def unit_of(pixels: NDArray[np.floating]) -> Unit:
    """Tell in which unit a band comes, from its finite values.

    Only decibels fall below -1: power, even less its thermal noise, does not. Whole numbers are digital numbers, which
    in detected products (Sentinel-1 GRD, 8-bit pictures) are amplitudes, and so are numbers mostly above 5, which are
    resampled ones. All else is taken for linear power (sigma0 or gamma0), most of which is below 1. Mistaking amplitude
    for power changes the logarithm by a factor 2 only, and the number of looks is counted in the same unit, so that it
    goes with it and the p-values hardly move.
    """
    values = pixels[np.isfinite(pixels)]
    if values.size == 0:
        return "intensity"
    if np.percentile(values, 1) < -1:
        return "decibel"
    sample = values.ravel()[:: max(1, values.size // 10_000)]
    whole = bool(np.all(sample == np.round(sample))) and float(values.max()) > 1
    return "amplitude" if whole or np.median(sample) > MOST_POWER else "intensity"


def log_intensity(pixels: NDArray[np.floating], unit: Unit) -> Array:
    """Natural logarithm of intensity (…), NaN where there is none.

    Zero and less (quantised, or noise subtracted) is put at half the smallest value above zero.
    """
    values = pixels.astype(np.float64)
    if unit == "decibel":
        return np.asarray(values * (np.log(10) / 10))
    above = values[np.isfinite(values) & (values > 0)]
    floor = 0.5 * float(above.min()) if above.size else 1.0
    with np.errstate(invalid="ignore"):
        return np.asarray((2 if unit == "amplitude" else 1) * np.log(np.maximum(values, floor)))


def looks_of(variance: Array | float) -> Array:
    """Looks L of speckle whose logarithm has this variance: the inverse of psi'(L)."""
    log_variance = np.log(np.maximum(np.asarray(variance, dtype=np.float64), 1e-7))
    return np.asarray(np.exp(np.interp(-log_variance, -_LOG_VARIANCE, _LOG_LOOKS)))


def log_bias(looks: Array | float) -> Array:
    """Mean of the logarithm of speckle, psi(L) - ln L."""
    return np.asarray(special.digamma(looks) - np.log(looks))


def kernel() -> Array:
    """(7, 7) weights of the mean over windows, each standardised: a pyramid with a sharp middle."""
    side = max(SIDES_PX)
    out = np.zeros((side, side))
    for width in SIDES_PX:
        inset = (side - width) // 2
        # A mean over width**2 pixels varies by 1 / width, so its standardised form has weights of 1 / width.
        out[inset : side - inset, inset : side - inset] += 1 / width
    return np.asarray(out / out.sum())


def _autocorrelation(weights: Array, reach: int) -> Array:
    """(2 reach + 1, 2 reach + 1) sum of products of weights a lag apart."""
    full = scipy.signal.correlate(weights, weights, mode="full", method="direct")
    full = np.pad(full, max(0, reach - weights.shape[0] + 1))
    middle = full.shape[0] // 2
    return np.asarray(full[middle - reach : middle + reach + 1, middle - reach : middle + reach + 1])


def variance_share(weights: Array, correlation: Array) -> float:
    """Return the variance of a weighted mean over that of one pixel."""
    return float((_autocorrelation(weights, correlation.shape[0] // 2) * correlation).sum())


def _local(values: Array, seen: Mask) -> tuple[Array, Array]:
    """Mean and (unbiased for independent pixels) variance in each window wholly seen; NaN elsewhere."""
    centre = float(np.median(values[seen])) if seen.any() else 0.0
    known = np.where(seen, values - centre, 0.0)
    whole = ndimage.minimum_filter(seen, WINDOW_PX, mode="constant", cval=False)
    mean = ndimage.uniform_filter(known, WINDOW_PX, mode="constant")
    square = ndimage.uniform_filter(known**2, WINDOW_PX, mode="constant")
    count = WINDOW_PX**2
    variance = np.maximum(square - mean**2, 0) * count / (count - 1)
    return np.where(whole, mean + centre, np.nan), np.where(whole, variance, np.nan)


def _correlation(residual: Array, even: Mask) -> Array:
    """(7, 7) correlation of residuals from their window's mean, over pixels on even ground."""
    known = np.where(even, residual, 0.0)
    size = 2 * REACH_PX + 1
    product, count = np.zeros((size, size)), np.zeros((size, size))
    rows, cols = known.shape
    for down in range(REACH_PX + 1):
        for right in range(-REACH_PX, REACH_PX + 1):
            first = (slice(0, rows - down), slice(max(0, -right), cols - max(0, right)))
            second = (slice(down, rows), slice(max(0, right), cols + min(0, right)))
            value = float((known[first] * known[second]).sum())
            pairs = float((even[first] & even[second]).sum())
            for at in ((REACH_PX + down, REACH_PX + right), (REACH_PX - down, REACH_PX - right)):
                product[at], count[at] = value, pairs
    raw = product / np.maximum(count, 1)
    raw = raw / max(raw[REACH_PX, REACH_PX], 1e-12)
    # Taking off the window's own mean lowers every correlation by about the variance of that mean; put it back.
    out = raw
    box = np.full((WINDOW_PX, WINDOW_PX), 1 / WINDOW_PX**2)
    for _ in range(4):
        lost = min(variance_share(box, np.maximum(out, 0)), 0.5)
        out = raw * (1 - lost) + lost
    noise = 2 / np.sqrt(max(float(count[REACH_PX, REACH_PX]), 1.0))
    return np.where(out > noise, np.minimum(out, 1.0), 0.0)


def _mode(values: Array, *, independent: float) -> float:
    """Mode of a sample by a Gaussian kernel; `independent` is how many of the values are."""
    low, high = np.percentile(values, [1, 99])
    quarter = float(np.subtract(*np.percentile(values, [75, 25]))) / 1.349
    width = 0.9 * max(min(float(values.std()), quarter), 1e-6) * independent**-0.2
    edges = np.linspace(low - width, high + width, 513)
    count, _ = np.histogram(values, edges)
    density = ndimage.gaussian_filter1d(count.astype(np.float64), width / (edges[1] - edges[0]))
    best = int(np.argmax(density))
    return float(0.5 * (edges[best] + edges[best + 1]))


def speckle_of(log_values: Array, seen: Mask) -> Speckle | None:
    """Count the looks of a band from its own even ground.

    The variance of ln intensity is taken in every window; over even ground it is psi'(L), elsewhere more. Its mode over
    the windows is the speckle's, allowed for what correlated pixels hide from a small window [3]_ (in logarithms the
    mode of a scaled chi-square is its scale). Texture that is everywhere is counted as speckle, which gives fewer looks
    and more caution.

    Parameters
    ----------
    log_values : (row, column) ln intensity.
    seen : (row, column) True where measured.

    Returns
    -------
    Speckle, or None where too little ground is seen.
    """
    mean, variance = _local(log_values, seen)
    whole = np.isfinite(variance) & (variance > 0)
    independent = float(whole.sum()) / WINDOW_PX**2
    if independent < LEAST_WINDOWS:
        return None
    mode = float(np.exp(_mode(np.log(variance[whole]), independent=independent)))
    even = whole & (variance <= EVEN * mode)
    correlation = _correlation(np.where(even, log_values - mean, 0.0), even)
    box = np.full((WINDOW_PX, WINDOW_PX), 1 / WINDOW_PX**2)
    lost = variance_share(box, correlation)
    shown = (1 - lost) * WINDOW_PX**2 / (WINDOW_PX**2 - 1)
    return Speckle(looks=float(looks_of(mode / max(shown, 0.1))), correlation=correlation)


def multilook(log_values: Array, seen: Mask, speckle: Speckle) -> Multilooked:
    """Average ln intensity over the kernel, and count the looks that gives.

    The geometric mean leaves a ratio of two scenes free of the ground's own texture, which an arithmetic mean does not
    where one bright pixel outweighs its window. Its logarithm varies as that of a gamma variate of so many looks.
    """
    weights = kernel()
    known = ndimage.convolve(seen.astype(np.float64), weights, mode="constant")
    enough = seen & (known >= LEAST_SEEN)
    total = ndimage.convolve(np.where(seen, log_values, 0.0), weights, mode="constant")
    squares = ndimage.convolve(seen.astype(np.float64), weights**2, mode="constant")
    safe = np.where(enough, known, 1.0)
    # Where part of the kernel was not seen, the variance grows as it would for independent pixels.
    growth = np.where(enough, squares / (safe**2 * float((weights**2).sum())), 1.0)
    share = variance_share(weights, speckle.correlation)
    looks = looks_of(float(special.polygamma(1, speckle.looks)) * share * growth)
    log_mean = total / safe - log_bias(speckle.looks)
    return Multilooked(np.where(enough, log_mean, np.nan), np.where(enough, looks, np.nan))
