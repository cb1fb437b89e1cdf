"""Profiles of trains moving over a deck, as bands of a 10 m sensor see them one after another. Drawn by seed.

Nothing of the estimator is used: railcars of their own colours, a point spread of another width, whole pixels at a
place of their own, bands misplaced, and a cubic resampling onto the strip.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from rail_watch.interpret.band_times import BandTimes, sentinel_2_times
from rail_watch.interpret.motion import Motion, deck_noise, motion_on

BANDS = ("blue", "green", "red", "nir")
LIGHT = np.array([0.06, 0.08, 0.09, 0.12])
STEP_M, GSD_M, DECK_M, FINE_M = 5.0, 10.0, 620.0, 0.5
COVER = 0.27
"""Share of a 10 m pixel, blurred, that a railcar fills across the track."""
MISPLACED_M = 0.7
"""Of each band on its own, RMS."""


@dataclass(frozen=True)
class Pass:
    """One train on the deck."""

    speed_mps: float
    length_m: float
    noise: float = 0.02
    """Of each pixel, as a share of the deck's light."""
    mixed: bool = False
    """Railcars of several colours instead of one."""


def times(detector: int | None = 2) -> BandTimes:
    found = sentinel_2_times(BANDS, detector=detector)
    assert found is not None
    return found


def _train(one: Pass, rng: np.random.Generator) -> NDArray[np.float64]:
    """(cars, B) contrast of each railcar."""
    cars = max(1, round(one.length_m / 14))
    kinds = np.where(rng.random(3) < 0.7, rng.normal(-0.45, 0.1, 3), rng.normal(0.5, 0.1, 3))
    colours = rng.normal(0, 0.12, (3, 4))
    kind = rng.integers(3, size=cars) if one.mixed else np.zeros(cars, dtype=int)
    return np.asarray(LIGHT * COVER * (kinds[kind, None] + colours[kind] + rng.normal(0, 0.04, (cars, 4))))


def profile(
    one: Pass | None, rng: np.random.Generator, noise: float = 0.02
) -> tuple[NDArray[np.float64], tuple[int, int]]:
    """(B, S) change along the deck and the train's first step and the one after its last, as it was at first."""
    x = np.arange(0, DECK_M, FINE_M)
    start = rng.uniform(60, DECK_M - 60 - one.length_m) if one else 0.0
    cars = _train(one, rng) if one else np.zeros((1, 4))
    pixels = np.arange(rng.uniform(0, GSD_M), DECK_M, GSD_M)
    along = (np.arange(int(DECK_M / STEP_M)) + 0.5) * STEP_M
    out = np.empty((4, len(along)))
    for band in range(4):
        light = np.zeros(len(x))
        if one:
            at = x - start - one.speed_mps * times().delay_s[band] - rng.normal(0, MISPLACED_M)
            inside = (at >= 0) & (at < one.length_m)
            light[inside] = cars[(at[inside] / one.length_m * len(cars)).astype(int), band]
        seen = np.interp(pixels, x, ndimage.gaussian_filter1d(light, 5.1 / FINE_M))
        seen += rng.normal(0, noise * LIGHT[band], len(pixels))
        out[band] = ndimage.map_coordinates(seen, [(along - pixels[0]) / GSD_M], order=3, mode="nearest")
    length = one.length_m if one else 0.0
    return out, (int(start / STEP_M), int(np.ceil((start + length) / STEP_M)))


def judged(one: Pass, rng: np.random.Generator, *, detector: int | None = 2) -> Motion:
    """Judge one train, with the noise of four empty decks; the detector misses its ends by 10 m RMS."""
    empty = [profile(None, rng, one.noise)[0] for _ in range(4)]
    noise = deck_noise(empty, step_m=STEP_M, least=1e-3 * LIGHT)
    residual, (first, last) = profile(one, rng, one.noise)
    first, last = (end + round(float(np.clip(rng.normal(0, 2), -4, 4))) for end in (first, last))
    assert noise is not None
    found = motion_on(residual, noise, times(detector), span=(first, last), step_m=STEP_M, gsd_m=GSD_M)
    assert found is not None
    return found
