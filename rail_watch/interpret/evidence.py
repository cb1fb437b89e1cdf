"""Evidence for a train, step by step along a track: a log-likelihood ratio over the cross-section.

Each sample across the track is compared under two accounts of it: the empty track (sunlit, or in the shadow of
something known), and the same with a railcar on it, which covers its footprint with a colour of its own and throws
the shadow that the sun of that minute must throw. Both are Student-t densities over the bands, whitened so that the
scene's own noise is 1 (Lange, Little and Taylor, JASA 1989, for the robust likelihood). Samples of other trains and
their shadows are explained by those before this track is asked.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from rail_watch.interpret.shadows import HALF_WIDTH_M, HEIGHTS_M, LONGEST_SHADOW_M, Sun, coverage

Array = NDArray[np.float32]

TAIL = 5.0
"""Degrees of freedom of the Student-t: real ground has more outliers than a Gaussian."""
SHADED_GSD_M = 5.0
"""Up to this GSD the ground beside a track has pixels that tell whether it lies in shadow."""
CLIP = 6.0
"""No single sample says more than this."""


@dataclass(frozen=True)
class Shade:
    """What the scene's shadows look like, band by band: shaded = dark + ratio * (lit - dark).

    Shadows are lit by the sky, which is bluer than the sun: they keep more of the short wavelengths.
    """

    ratio: NDArray[np.float64]
    """(B,)"""
    sigma: float
    """Spread of the ratio from place to place."""


@dataclass(frozen=True)
class Residual:
    """One strip at one scene in noise units, rotated so that noise is 1 and railcar colours diagonal."""

    z: Array
    """(B, S, O) observed minus predicted for sunlit empty ground."""
    lit: Array
    """(B, S, O) predicted minus the scene's dark level, in the same units: the light that a shadow takes away from."""
    fall: Array
    """(B, S, O) what a full shadow takes away."""
    valid: NDArray[np.bool_]
    """(S, O)"""
    colour: Array
    """(B,) variance of railcar colours about the ground's, in the same units."""


@dataclass(frozen=True)
class Others:
    """What other trains do to the samples of a strip."""

    cover: Array
    """(S, O) 0 to 1, share of the sample covered by another train."""
    shade: Array
    """(S, O) 0 to 1, share of the sample in the known shadow of another train."""


def log_density(r: Residual, cover: Array, shade: Array, *, sigma: float) -> Array:
    """(S, O) log density of each sample under a share of cover and of shade, up to a constant."""
    open_shade = shade * (1 - cover)
    # A shadow's colour is uncertain too, by a share of its depth in every direction.
    depth = (r.lit**2).sum(axis=0)
    quadratic = np.zeros(r.valid.shape, dtype=np.float32)
    log_determinant = np.zeros(r.valid.shape, dtype=np.float32)
    for z, lit, fall, k in zip(r.z, r.lit, r.fall, r.colour, strict=True):
        variance = 1 + cover**2 * k + (sigma * open_shade) ** 2 * (lit**2 + 0.1 * depth)
        quadratic += (z + open_shade * fall) ** 2 / variance
        log_determinant += np.log(variance)
    dims = len(r.colour)
    return np.asarray(-0.5 * log_determinant - 0.5 * (TAIL + dims) * np.log1p(quadratic / TAIL), dtype=np.float32)


def _columns(r: Residual, others: Others, index: NDArray[np.int_]) -> tuple[Residual, Others]:
    part = Residual(r.z[..., index], r.lit[..., index], r.fall[..., index], r.valid[:, index], r.colour)
    return part, Others(others.cover[:, index], others.shade[:, index])


def shadow_band(across_m: NDArray[np.float64], sun: Sun, height_m: float, *, blur_m: float) -> Array:
    """(O,) share of each sample in the shadow of a train of this height on this track."""
    width = min(height_m * sun.across, LONGEST_SHADOW_M)
    if sun.side == 0 or width < 0.3:
        return np.zeros(len(across_m), dtype=np.float32)
    return coverage(sun.side * across_m, HALF_WIDTH_M, HALF_WIDTH_M + width, blur_m=blur_m)


def _sheared(values: Array, across_m: NDArray[np.float64], sun: Sun, step_m: float) -> Array:
    """Bring each sample of a shadow back to the step of the train that throws it."""
    out = values.copy()
    for column, across in enumerate(across_m):
        beyond = sun.side * across - HALF_WIDTH_M
        shift = int(round(sun.shear * beyond / step_m)) if sun.side and beyond > 0 else 0
        if shift:
            out[:, column] = 0
            if shift > 0:
                out[:-shift, column] = values[shift:, column]
            else:
                out[-shift:, column] = values[:shift, column]
    return out


def unknown_shade(
    r: Residual, across_m: NDArray[np.float64], sun: Sun, *, sigma: float, resolution: tuple[float, float]
) -> Array:
    """(S,) probability that the track lies in the shadow of something not known, from the ground on its sunward side.

    A shadow that reaches the footprint has crossed the gap beside it first; a dark railcar leaves that gap sunlit.
    """
    gsd_m, step_m = resolution
    toward = -sun.side * across_m
    low = HALF_WIDTH_M + max(0.3, 0.8 * gsd_m - 0.1)
    index = np.flatnonzero((toward >= low) & (toward <= low + max(1.5, gsd_m)))
    if sun.side == 0 or len(index) == 0:
        return np.full(len(r.valid), 0.02, dtype=np.float32)
    part = Residual(r.z[..., index], r.lit[..., index], r.fall[..., index], r.valid[:, index], r.colour)
    zero, one = np.zeros(part.valid.shape, dtype=np.float32), np.ones(part.valid.shape, dtype=np.float32)
    gain = log_density(part, zero, one, sigma=sigma) - log_density(part, zero, zero, sigma=sigma)
    gain = np.where(part.valid, np.clip(gain, -3, 3), 0).sum(axis=1) / 2
    logit = -4 + np.clip(ndimage.uniform_filter1d(gain, max(1, round(3 / step_m))), 0, 7)
    return np.asarray(1 / (1 + np.exp(-logit)), dtype=np.float32)


def unknown_cover(
    r: Residual, others: Others, across_m: NDArray[np.float64], *, sigma: float, resolution: tuple[float, float]
) -> Array:
    """(S,) probability that something wide and bright (a wisp of cloud, a patch of snow) lies over the track.

    A railcar ends at its sides. What brightens the ground on both sides of the footprint too is no railcar.
    """
    gsd_m, step_m = resolution
    low = HALF_WIDTH_M + 0.8 * gsd_m
    high = low + max(1.5, gsd_m)
    sides = []
    for side in (1, -1):
        index = np.flatnonzero((side * across_m >= low) & (side * across_m <= high))
        if len(index) == 0:
            return np.full(len(r.valid), 0.005, dtype=np.float32)
        part, around = _columns(r, others, index)
        one = np.ones(part.valid.shape, dtype=np.float32)
        gain = log_density(part, one, around.shade, sigma=sigma)
        gain -= log_density(part, around.cover, around.shade, sigma=sigma)
        brighter = (part.z * part.lit).sum(axis=0) > 0
        gain = np.where(part.valid & brighter, np.clip(gain, -3, 3), -1.0).mean(axis=1)
        sides.append(ndimage.uniform_filter1d(gain, max(1, round(3 / step_m))))
    logit = -5 + 4 * np.clip(np.minimum(*sides), -0.5, 2.5)
    return np.asarray(1 / (1 + np.exp(-logit)), dtype=np.float32)


def train_evidence(
    r: Residual,
    others: Others,
    across_m: NDArray[np.float64],
    *,
    sun: Sun,
    sigma: float,
    resolution: tuple[float, float],
) -> tuple[Array, NDArray[np.intp]]:
    """Log-likelihood ratio of a train against empty track at each step.

    Parameters
    ----------
    r, others : the strip at this scene.
    across_m : (O,) offsets of the samples.
    sun, sigma : direction of shadows, and spread of their ratio.
    resolution : (GSD, step along the track), metres.

    Returns
    -------
    (S,) log-likelihood ratio, (S,) index into `HEIGHTS_M` of the height that explains the shadow best.
    """
    gsd_m, step_m = resolution
    blur = 0.5 * gsd_m
    footprint = coverage(across_m, -HALF_WIDTH_M, HALF_WIDTH_M, blur_m=blur)
    bands = [shadow_band(across_m, sun, h, blur_m=blur) for h in HEIGHTS_M]
    used = np.flatnonzero((footprint > 0.05) | (bands[-1] > 0.05))
    part, around = _columns(r, others, used)
    fine = gsd_m <= 1.3
    empty = log_density(part, around.cover, around.shade, sigma=sigma)
    if gsd_m <= SHADED_GSD_M:
        chance = unknown_shade(r, across_m, sun, sigma=sigma, resolution=resolution)[:, None]
        shaded = log_density(part, around.cover, np.maximum(around.shade, 1.0), sigma=sigma)
        empty = np.logaddexp(empty + np.log1p(-chance), shaded + np.log(chance))
    if fine:
        covered = unknown_cover(r, others, across_m, sigma=sigma, resolution=resolution)[:, None]
        wide = log_density(part, np.ones_like(around.cover), around.shade, sigma=sigma)
        empty = np.logaddexp(empty + np.log1p(-covered), wide + np.log(covered))
    per_sample = (1.3 * gsd_m) ** 2 / (step_m * (across_m[1] - across_m[0]))
    scores = []
    for band in bands:
        own_cover = np.maximum(around.cover, footprint[used])
        own_shade = np.maximum(around.shade, band[used])
        ratio = log_density(part, own_cover, own_shade, sigma=sigma) - empty
        ratio = np.where(part.valid, np.clip(ratio, -CLIP, CLIP), 0) / max(per_sample, 1.0)
        scores.append(_sheared(ratio, across_m[used], sun, step_m).sum(axis=1))
    table = np.stack(scores)
    smooth = ndimage.uniform_filter1d(table, max(1, round(9 / step_m)), axis=1, mode="nearest")
    best = np.argmax(smooth, axis=0)
    return table[best, np.arange(table.shape[1])].astype(np.float32), best
