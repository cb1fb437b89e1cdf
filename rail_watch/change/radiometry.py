"""One scene's radiometry in terms of another's: gain and offset per band over ground that has not changed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rail_watch.change.robust import line_fit
from rail_watch.prepare.stack import Stack
from rail_watch.prepare.zones import Zones

SAMPLE = 20_000
"""Ground pixels are thinned to about this many: enough for gains good to a thousandth."""


@dataclass(frozen=True)
class Radiometry:
    """How each scene's values follow from the reference scene's: scene = gain * reference + offset."""

    reference: int
    gain: NDArray[np.float64]
    """(T, B); near 0 where the ground of the scene tells nothing of the reference's (full snow)."""
    offset: NDArray[np.float64]
    """(T, B)"""
    sigma: NDArray[np.float64]
    """(T, B) robust residual of the fit, in the scene's units."""
    dark: NDArray[np.float64]
    """(T, B) the scene's dark level (path radiance and sky light in full shade), in its own units."""


def fit_radiometry(stack: Stack, zones: Zones) -> Radiometry:
    """Fit gain and offset of each scene to the one with most clear ground.

    Linear relative normalisation on invariant ground, robustly weighted (after Schott et al., Remote Sens. Environ.
    1988, and the no-change weighting of Canty and Nielsen, Remote Sens. Environ. 2008).
    """
    clear = stack.clear() & zones.stable & np.isfinite(stack.pixels).all(axis=1)
    snowy = np.array([(q == 5).mean() for q in stack.quality])
    reference = int(np.argmax([c.sum() * (1 - s) for c, s in zip(clear, snowy, strict=True)]))
    times, bands = stack.pixels.shape[:2]
    gain, offset = np.ones((times, bands)), np.zeros((times, bands))
    sigma, dark = np.full((times, bands), np.nan), np.zeros((times, bands))
    for t in range(times):
        both = clear[t] & clear[reference]
        if both.sum() < 30:
            both = clear[t]
        index = np.flatnonzero(both)
        index = index[:: max(1, len(index) // SAMPLE)]
        for b in range(bands):
            values = stack.pixels[t, b].ravel()[index].astype(np.float64)
            if len(values) < 30:
                continue
            dark[t, b] = np.percentile(values, 0.5)
            if t == reference:
                sigma[t, b] = 1e-6
                continue
            basis = stack.pixels[reference, b].ravel()[index].astype(np.float64)
            good = np.isfinite(basis)
            if good.sum() >= 30:
                gain[t, b], offset[t, b], sigma[t, b] = line_fit(basis[good], values[good])
    return Radiometry(reference, np.maximum(gain, 0.0), offset, sigma, dark)
