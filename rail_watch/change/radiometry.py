"""One scene's radiometry in terms of another's: gain and offset per band over ground that has not changed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rail_watch.change.robust import line_fit, ranks
from rail_watch.prepare.stack import Stack
from rail_watch.prepare.zones import Zones, within

SAMPLE = 20_000
"""Ground pixels are thinned to about this many: enough for gains good to a thousandth."""
LEAST_PIXELS = 30
"""Fewer pixels of ground fit nothing."""
NEAR_M = 6.0
"""Ground this near to a track is its surroundings."""
UNLIKE = 0.5
"""A fit elsewhere than on stable ground counts where its residual is at most this share of what it varies by."""
SLOWEST, FASTEST = 0.3, 3.0
"""A scene whose ground follows the reference's less than this, or more, shows other ground, such as snow: an even cover
of it, put in the reference's units, would seem to be the same everywhere."""
DARKEST = 0.5
"""The dark level is at most this share of what the ground that is looked at usually shows."""


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


def follows_reference(gain: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(T,) scenes whose ground can be put in the reference's units: in every band it follows the reference's.

    gain: (T, B) as in `Radiometry`.
    """
    return np.asarray(((gain >= SLOWEST) & (gain <= FASTEST)).all(axis=1))


def clarity_of(gain: NDArray[np.float64]) -> NDArray[np.float64]:
    """(T,) weight of each scene's picture of the ground, 1 where it follows the reference's. gain: (T, B)."""
    follows = np.minimum(gain.min(axis=1), FASTEST / np.maximum(gain.max(axis=1), 1e-3))
    return np.asarray(np.clip(follows, 0.02, 1.0) ** 2)


def dark_under(dark: NDArray[np.float64], usual: NDArray[np.float64]) -> NDArray[np.float64]:
    """(B,) a scene's dark level for ground that usually shows `usual`, (B,).

    Where nothing in the scene is dark, or the ground looked at is itself the darkest, the darkest is no dark level.
    """
    return np.asarray(np.minimum(dark, DARKEST * usual))


def most_typical(stack: Stack, clear: NDArray[np.bool_]) -> int:
    """Index of the scene most like the others: its ground correlates best with theirs, and much of it is clear.

    A scene under snow can be the clearest of all and yet say nothing of the ground.
    """
    share = clear.mean(axis=(1, 2)) / max(float(clear.mean(axis=(1, 2)).max()), 1e-9)
    if len(clear) < 3:
        return int(np.argmax(share))
    thin = (
        slice(None),
        slice(None, None, max(1, clear.shape[1] // 150)),
        slice(None, None, max(1, clear.shape[2] // 150)),
    )
    seen = clear[thin].reshape(len(clear), -1)
    values = np.nan_to_num(stack.pixels[:, :, *thin[1:]].mean(axis=1)).reshape(len(clear), -1)
    likeness = np.zeros((len(clear), len(clear)))
    for i in range(len(clear)):
        for j in range(i):
            both = seen[i] & seen[j]
            if both.sum() >= 50:
                likeness[i, j] = likeness[j, i] = np.corrcoef(ranks(values[i][both]), ranks(values[j][both]))[0, 1]
    support = np.sort(np.nan_to_num(likeness), axis=1)[:, len(clear) // 2 :].mean(axis=1)
    return int(np.argmax(support * np.minimum(share / 0.8, 1.0) + 0.01 * share))


def fit_radiometry(stack: Stack, zones: Zones) -> Radiometry:
    """Fit gain and offset of each scene to the one with most clear ground.

    Linear relative normalisation on invariant ground, robustly weighted (after Schott et al., Remote Sens. Environ.
    1988, and the no-change weighting of Canty and Nielsen, Remote Sens. Environ. 2008). Where a scene's ground does not
    follow the reference's (fields that have changed places with the seasons, a roof for all stable ground), the tracks'
    own surroundings and then all open ground are asked: what follows there counts.
    """
    clear = stack.clear() & np.isfinite(stack.pixels).all(axis=1)
    stable = clear & zones.stable
    reference = most_typical(stack, stable)
    times, bands = stack.pixels.shape[:2]
    gain, offset = np.ones((times, bands)), np.zeros((times, bands))
    sigma, dark = np.full((times, bands), np.nan), np.zeros((times, bands))
    sigma[reference] = 1e-6
    instead = (_near_tracks(zones, stack.gsd_m), zones.ground)
    for t in range(times):
        both = stable[t] & stable[reference]
        if both.sum() < LEAST_PIXELS:
            both = stable[t]
        index = _thinned(both)
        if len(index) >= LEAST_PIXELS:
            dark[t] = np.percentile(stack.pixels[t].reshape(bands, -1)[:, index].astype(np.float64), 0.5, axis=1)
        if t == reference:
            continue
        gain[t], offset[t], sigma[t], _ = _fitted(stack, t, reference, index)
        if follows_reference(gain[t][None])[0] and np.isfinite(sigma[t]).all():
            continue
        for area in instead:
            *found, unlike = _fitted(stack, t, reference, _thinned(area & clear[t] & clear[reference]))
            if follows_reference(found[0][None])[0] and unlike <= UNLIKE:
                gain[t], offset[t], sigma[t] = found
                break
    return Radiometry(reference, np.maximum(gain, 0.0), offset, sigma, dark)


def _thinned(area: NDArray[np.bool_]) -> NDArray[np.int_]:
    index = np.flatnonzero(area)
    return index[:: max(1, len(index) // SAMPLE)]


def _near_tracks(zones: Zones, gsd_m: float) -> NDArray[np.bool_]:
    """(row, column) tracks and the ground beside them, less what is no open ground."""
    return within(zones.tracks, NEAR_M / gsd_m) & zones.site & ~zones.aprons & ~zones.sheds & ~zones.exclude


def _fitted(
    stack: Stack, t: int, reference: int, index: NDArray[np.int_]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], float]:
    """(B,) gain, offset and residual over some pixels, and the residual's largest share of what the scene varies by.

    Of bands that cannot be fitted 1, 0 and NaN, and infinity.
    """
    bands = stack.pixels.shape[1]
    gain, offset, sigma, unlike = np.ones(bands), np.zeros(bands), np.full(bands, np.nan), np.full(bands, np.inf)
    for b in range(bands):
        basis, values = (stack.pixels[i, b].ravel()[index].astype(np.float64) for i in (reference, t))
        good = np.isfinite(basis)
        if good.sum() >= LEAST_PIXELS:
            gain[b], offset[b], sigma[b] = line_fit(basis[good], values[good])
            unlike[b] = sigma[b] / max(float(np.std(values[good])), 1e-9)
    return gain, offset, sigma, float(unlike.max())
