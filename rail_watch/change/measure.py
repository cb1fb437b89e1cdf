"""How each scene differs from what the site usually looks like, pixel by pixel, with p-values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from scipy import special

from rail_watch.change.radiometry import Radiometry, clarity_of, fit_radiometry
from rail_watch.change.robust import robust_covariance, weighted_median, whitening
from rail_watch.grid import Grid
from rail_watch.prepare.stack import Stack
from rail_watch.prepare.zones import Zones

Array = NDArray[np.float32]

CHANGE_GSD_M = 2.0
"""Finer imagery is averaged to about this before change away from tracks and aprons is judged."""


@dataclass(frozen=True)
class ChangeMap:
    """Change of every scene against the baseline of the others."""

    grid: Grid
    p_value: Array
    """(T, row, column) probability that unchanged ground differs by this much or more; NaN where not seen."""
    brightness: Array
    """(T, row, column) mean over bands of the difference in noise units: positive where brighter than usual."""
    residual: Array
    """(T, B, row, column) difference in noise units."""
    ratio: Array
    """(T, B, row, column) observed over expected light, both above the scene's dark level; NaN where not seen."""
    factor: int
    """How many pixels of the stack a side of these pixels is."""

    @property
    def seen(self) -> NDArray[np.bool_]:
        """(T, row, column) could be judged."""
        return np.isfinite(self.p_value)


def _reduced(stack: Stack, factor: int) -> tuple[Grid, Array, NDArray[np.bool_]]:
    """Average blocks of pixels; a block is clear where at least three quarters of it are."""
    clear = stack.clear() & np.isfinite(stack.pixels).all(axis=1)
    if factor == 1:
        return stack.grid, stack.pixels, clear
    rows, cols = (n // factor for n in stack.grid.shape)
    values = np.empty((*stack.pixels.shape[:2], rows, cols), dtype=np.float32)
    count = np.empty((len(clear), rows, cols), dtype=np.float32)
    for t, seen in enumerate(clear[:, : rows * factor, : cols * factor]):
        count[t] = _block_sums(seen.view(np.uint8), factor)
        for b, plane in enumerate(stack.pixels[t, :, : rows * factor, : cols * factor]):
            values[t, b] = _block_sums(np.where(seen, plane, np.float32(0)), factor)
        values[t] /= np.maximum(count[t], 1)
    own = stack.grid.transform
    larger = Affine(own.a * factor, own.b * factor, own.c, own.d * factor, own.e * factor, own.f)
    grid = Grid(stack.grid.crs, larger, (rows, cols))
    return grid, values, count >= 0.75 * factor**2


def _block_sums(plane: NDArray[np.generic], factor: int) -> Array:
    """(row, column) sums over blocks; rows first, which the processor adds many columns at a time."""
    rows = plane.reshape(-1, factor, plane.shape[1]).sum(axis=1, dtype=np.float32)
    return np.asarray(rows.reshape(len(rows), -1, factor).sum(axis=2))


def reduction(gsd_m: float) -> int:
    """How many pixels a side are averaged for this GSD."""
    return max(1, int(CHANGE_GSD_M // max(gsd_m, 1e-3)))


def _baseline(values: Array, seen: NDArray[np.bool_], t: int, *, weight: NDArray[np.float64]) -> Array:
    """(B, row, column) what the other scenes agree on, in the reference's units; itself too when there are many."""
    mass = (seen * weight[:, None, None]).astype(np.float32)
    if len(values) <= 6:
        mass[t] = 0
    return np.stack([weighted_median(values[:, b], mass) for b in range(values.shape[1])])


def measure(stack: Stack, zones: Zones, *, radiometry: Radiometry | None = None) -> ChangeMap:
    """Measure change at every scene.

    The scene is predicted from the baseline by the gain and offset that relate it to the reference; what is left is
    whitened by its own robust covariance over ground that most likely did not change, and its squared length referred
    to a chi-square law scaled to fit the quiet half of the pixels (multivariate alteration detection with no-change
    weights: Nielsen, IEEE Trans. Image Process. 2007, in its simplest, affine-invariant form).

    Parameters
    ----------
    stack : prepared scenes; with one scene alone nothing can be compared and every p-value is NaN.
    zones : on the stack's own grid.
    """
    radiometry = radiometry or fit_radiometry(stack, zones)
    factor = reduction(stack.gsd_m)
    grid, pixels, seen = _reduced(stack, factor)
    site = zones.site[: grid.shape[0] * factor : factor, : grid.shape[1] * factor : factor]
    seen = seen & site
    gain = np.maximum(radiometry.gain, 0.05)[:, :, None, None]
    values = ((pixels - radiometry.offset[:, :, None, None]) / gain).astype(np.float32)
    weight = clarity_of(radiometry.gain)
    p_value = np.full(seen.shape, np.nan, dtype=np.float32)
    residual = np.full(pixels.shape, np.nan, dtype=np.float32)
    ratio = np.full(pixels.shape, np.nan, dtype=np.float32)
    shared = _baseline(values, seen, 0, weight=weight) if len(values) > 6 else None
    for t in range(len(pixels)):
        baseline = shared if shared is not None else _baseline(values, seen, t, weight=weight)
        known = seen[t] & np.isfinite(baseline).all(axis=0)
        if known.sum() < 50:
            continue
        predicted = baseline * radiometry.gain[t][:, None, None] + radiometry.offset[t][:, None, None]
        dark = radiometry.dark[t][:, None, None]
        light = np.maximum(predicted - dark, 0.02 * np.nanmedian(predicted))
        ratio[t][:, known] = ((pixels[t] - dark) / light)[:, known]
        difference = (pixels[t] - predicted)[:, known].T.astype(np.float64)
        difference -= np.median(difference, axis=0)
        sample = difference[:: max(1, len(difference) // 50_000)]
        white = difference @ whitening(robust_covariance(sample)).T
        residual[t][:, known] = white.T
        p_value[t][known] = _p_of((white**2).sum(axis=1), white.shape[1])
    with np.errstate(invalid="ignore"):
        brightness = residual.mean(axis=1)
    return ChangeMap(grid, p_value, brightness, residual, ratio, factor)


def _p_of(energy: NDArray[np.float64], dims: int) -> NDArray[np.float64]:
    """Upper tail of a scaled chi-square: the scale from the median of the quieter 60 per cent."""
    kept = np.percentile(energy, 60)
    scale = float(np.median(energy[energy <= kept])) / float(special.chdtri(dims, 1 - 0.3))
    return np.asarray(special.chdtrc(dims, energy / max(scale, 1e-9)))
