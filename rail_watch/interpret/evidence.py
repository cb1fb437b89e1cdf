"""Evidence that a sample of ground is covered: log densities under bare ground, cover and shadow.

Student-t densities over the bands, whitened so that the scene's own noise is 1 (Lange, Little and Taylor, JASA 1989,
for the robust likelihood).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rail_watch.change.robust import whitening

Array = NDArray[np.float32]

TAIL = 5.0
"""Degrees of freedom of the Student-t: real ground has more outliers than a Gaussian."""


@dataclass(frozen=True)
class Residual:
    """One window at one scene in noise units, rotated so that noise is 1 and the colours of objects diagonal."""

    z: Array
    """(B, …) observed minus predicted for sunlit empty ground."""
    lit: Array
    """(B, …) predicted minus the scene's dark level, in the same units: the light that a shadow takes away from."""
    fall: Array
    """(B, …) what a full shadow takes away."""
    valid: NDArray[np.bool_]
    """(…)"""
    colour: Array
    """(B,) variance of the objects' colours about the ground's, in the same units."""


def log_density(r: Residual, cover: Array, shade: Array, *, sigma: float) -> Array:
    """(…) log density of each sample under a share of cover and of shade, up to a constant."""
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


def noise_units(covariance: NDArray[np.float64], level: NDArray[np.float64]) -> tuple[NDArray[np.float64], Array]:
    """Transform that makes noise 1 and the spread of the objects' colours diagonal, and that spread's variances.

    Objects are brighter or darker than the ground by half its level, all bands together, and differ from it in colour
    by a sixth of it.
    """
    colours = 0.25 * np.outer(level, level) + np.diag((0.16 * level) ** 2)
    white = whitening(covariance)
    values, vectors = np.linalg.eigh(white @ colours @ white.T)
    return vectors.T @ white, np.maximum(values, 1e-3).astype(np.float32)


def first_shade(bands: Sequence[str]) -> NDArray[np.float64]:
    """(B,) share of its light that shaded ground keeps: clear-sky shares of diffuse light at a middle sun."""
    share = {"coastal": 0.5, "blue": 0.4, "green": 0.32, "red": 0.26, "nir": 0.18}
    return np.array([share.get(band, 0.3) for band in bands])
