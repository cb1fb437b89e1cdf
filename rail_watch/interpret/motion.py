"""Whether a train moves, which way and how fast, from bands that look at it one after another.

In band b the train appears displaced by its speed times the band's delay. The change along the track is taken as a
stretch of one contrast c_b between two ends, seen through the sensor's point spread and displaced by v d_b, plus noise.
Ends and contrasts are not known: for each speed those that fit best are taken, all bands together (maximum likelihood;
the contrasts by generalised least squares, the ends by search). The noise is that of the same deck empty, in its
covariance between bands and along the track, so that ground which does not move cannot pass for a standing train;
the train itself has what is uneven along it (railcars of several colours), a random process that moves with it.

The interval is that of the profile likelihood (Wilks 1938), widened by what standing trains were measured to need.
Bands are registered to each other with an error that acts like a speed; it is a nuisance parameter of known spread,
profiled with the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, special
from scipy.interpolate import PchipInterpolator

from rail_watch.change.robust import robust_covariance
from rail_watch.interpret.band_times import BandTimes

Array = NDArray[np.float64]
Verdict = Literal["moving", "standing", "cannot be told"]

FASTEST_MPS = 35.0
"""126 km/h: no train on a deck is taken to be faster."""
SLOW_MPS = 3.0
"""A train is said to stand when its speed is below this with 95 %: a walking pace cannot be told from a stop."""
SIGNIFICANT = 0.01
"""Share of standing trains that may be called moving."""
SPEEDS = np.linspace(-FASTEST_MPS, FASTEST_MPS, 57)
SHARES = (0.3, 0.9)
"""Of what is uneven along a train, how much all bands have in common."""
MOVES_M = np.linspace(-24.0, 24.0, 17)
"""How far a train's ends may lie from where the detector put them: at 10 m it misses one by 11 m, RMS."""
_END_PAIRS = tuple(part.ravel() for part in np.meshgrid(np.arange(17), np.arange(17), indexing="ij"))
SHORTEST_M = 10.0
RAILCAR_M = 15.0
"""How far along it a train stays like itself."""
COLOURS = (0.16 / 0.5) ** 2
"""Variance between railcars of a train, as a share of its contrast squared."""
BLUR_PX = 0.55
"""Standard deviation of the point spread and of the resampling onto the strip, in pixels."""
NUGGET = 0.15
"""Share of the noise that is taken as new at every step. Profiles are resampled finer than the pixels: what passes for
noise-free in between would otherwise be believed, and no point spread is known that well."""
LAGS_M = 60.0
"""Noise farther apart along the track than this is taken as independent."""
INFLATION = 2.5
"""Twice the log-likelihood ratio of standing trains is on average this, not 1 as theory has it: what is uneven along a
train, its shadow and the deck is only roughly described. Measured on rendered crossings (docs/method-motion.md)."""
DROP = 0.5 * INFLATION * float(special.chdtri(1, 0.05))
"""Below its maximum, where the log-likelihood leaves the 95 % interval."""


@dataclass(frozen=True)
class Motion:
    """How a train moves along its line."""

    verdict: Verdict
    speed_mps: float
    """Most likely speed, positive from the line's first vertex to its last; without a sign (never negative) where
    `signed` is False."""
    speed_mps_95: tuple[float, float]
    p_value: float
    """Probability that a standing train looks like this or more so."""
    signed: bool
    """Whether the order of the bands, and with it the direction, is known."""

    @property
    def direction(self) -> Literal["forward", "backward"] | None:
        """Along the line as drawn: forward is from its first vertex to its last. None: cannot be told."""
        if self.verdict != "moving" or not self.signed:
            return None
        return "forward" if self.speed_mps > 0 else "backward"


@dataclass(frozen=True)
class DeckNoise:
    """How the change along a deck scatters where no train stands."""

    covariance: Array
    """(B, B) between bands."""
    correlation: Array
    """(K,) along the track, by steps apart, from 1 at none; beyond the last it is 0."""


def deck_noise(empty: Sequence[Array], *, step_m: float, least: Array) -> DeckNoise | None:
    """Measure the noise on empty deck.

    Parameters
    ----------
    empty : (B, S) profiles, NaN where a train stands or nothing could be judged.
    step_m : along the track.
    least : (B,) standard deviation that no band is better than.

    Returns
    -------
    DeckNoise, or None where less than eight steps a band are left. The correlation is tapered (Bartlett) so that it
    is that of a process.
    """
    whole = [np.where(np.isfinite(p).all(axis=0), p, np.nan) for p in empty]
    points = np.concatenate([p[:, np.isfinite(p[0])] for p in whole], axis=1) if whole else np.empty((len(least), 0))
    if points.shape[1] < max(8, 2 * len(least)):
        return None
    covariance = robust_covariance(points.T, keep=0.9) + np.diag(np.asarray(least, dtype=np.float64) ** 2)
    count = max(round(LAGS_M / step_m), 2)
    total, pairs = np.zeros(count), np.zeros(count)
    bound = 3 * np.sqrt(np.diag(covariance))[:, None]
    for profile in whole:
        clipped = np.clip(profile, -bound, bound) / bound
        for lag in range(min(count, profile.shape[1])):
            product = clipped[:, lag:] * clipped[:, : profile.shape[1] - lag]
            total[lag] += float(np.nansum(product))
            pairs[lag] += int(np.isfinite(product).sum())
    correlation = (total / np.maximum(pairs, 1)) / max(total[0] / max(pairs[0], 1), 1e-12)
    correlation *= (1 - NUGGET) * (1 - np.arange(count) / count)
    correlation[0] = 1.0
    return DeckNoise(covariance, correlation)


@dataclass(frozen=True)
class _Seen:
    """The profiles around one train, and what is needed to weigh them."""

    values: Array
    """(B, S), NaN where nothing could be judged."""
    noise: DeckNoise
    delay_s: Array
    """(B,) about their mean."""
    step_m: float
    blur_m: float
    ends_m: tuple[float, float]
    """About where the train begins and ends, from the first sample's near side."""

    @property
    def use(self) -> NDArray[np.intp]:
        """Places of the samples that count in the raveled values."""
        return np.flatnonzero(np.isfinite(self.values).ravel())

    def covariance(self, texture: Array, speed: float) -> Array:
        """Of the samples that count: deck noise, a level of each band's own, and what is uneven along the train.

        `texture` (B, B) is the covariance of the last between bands; it is as long as a railcar and moves with the
        train.
        """
        steps = self.values.shape[1]
        place = np.arange(steps)
        apart = np.abs(place[:, None] - place[None, :])
        along = np.concatenate([self.noise.correlation, np.zeros(steps)])[apart]
        spread = np.diag(np.diag(self.noise.covariance))
        full = np.kron(self.noise.covariance, along) + np.kron(spread, np.full(apart.shape, 0.25))
        own = ((place + 0.5) * self.step_m)[None, :] - speed * self.delay_s[:, None]
        inside = ((own > self.ends_m[0]) & (own < self.ends_m[1])).ravel()
        lag = np.subtract.outer(own.ravel(), own.ravel())
        wide = np.hypot(RAILCAR_M, 2 * self.blur_m)
        alike = np.exp(-0.5 * (lag / wide) ** 2) * np.outer(inside, inside)
        full += np.repeat(np.repeat(texture, steps, axis=0), steps, axis=1) * alike
        return np.asarray(full[np.ix_(self.use, self.use)])


def _texture(seen: _Seen, share: float) -> Array:
    """(B, B) covariance of what is uneven along the train, of which all bands have `share` in common.

    At least what railcars differ by in colour: a sixth of the ground's light, where they differ from it by half.
    """
    middle = (np.arange(seen.values.shape[1]) + 0.5) * seen.step_m
    inside = seen.values[:, (middle > seen.ends_m[0]) & (middle < seen.ends_m[1]) & np.isfinite(seen.values[0])]
    noise = np.diag(seen.noise.covariance)
    if inside.shape[1] < 2:
        return np.diag(COLOURS * noise)
    mean = inside.mean(axis=1)
    power = np.maximum(inside.var(axis=1) - noise, COLOURS * np.maximum(mean**2, noise))
    rest = inside - mean[:, None]
    best = int(np.argmax(power / noise))
    size = np.sqrt(power) * np.where(rest @ rest[best] < 0, -1.0, 1.0)
    return np.asarray(share * np.outer(size, size) + (1 - share) * np.diag(power))


def _gain(seen: _Seen, texture: Array, speed: float) -> tuple[float, Array]:
    """Log-likelihood of a speed, ends and contrasts put best, up to a constant; and the contrasts (B,)."""
    bands, steps = seen.values.shape
    lower = linalg.cholesky(seen.covariance(texture, speed), lower=True, check_finite=False)
    middle = (np.arange(steps) + 0.5) * seen.step_m
    ends = np.array(seen.ends_m)[:, None] + MOVES_M[None, :]
    up = special.ndtr(
        (middle - speed * seen.delay_s[:, None])[:, :, None, None] / seen.blur_m - ends[None, None] / seen.blur_m
    )
    columns = np.zeros((bands, steps, bands, 2, len(MOVES_M)))
    columns[np.arange(bands), :, np.arange(bands)] = up
    data = np.column_stack([seen.values.ravel(), columns.reshape(bands * steps, -1)])[seen.use]
    white = linalg.solve_triangular(lower, data, lower=True, check_finite=False)
    inner = white[:, 1:].T @ white
    shape = (bands, 2, len(MOVES_M))
    pull, gram = inner[:, 0].reshape(shape), inner[:, 1:].reshape(*shape, *shape)
    first, last = _END_PAIRS
    kept = ends[1, last] - ends[0, first] >= SHORTEST_M
    first, last = first[kept], last[kept]
    pulls = (pull[:, 0, first] - pull[:, 1, last]).T
    square = _picked(gram, 0, 0, (first, first)) + _picked(gram, 1, 1, (last, last))
    square -= _picked(gram, 0, 1, (first, last)) + _picked(gram, 1, 0, (last, first))
    contrast = np.linalg.solve(square + 1e-9 * np.eye(bands), pulls[:, :, None])[:, :, 0]
    gains = 0.5 * (contrast * pulls).sum(axis=1)
    top = int(np.argmax(gains))
    rest = 0.5 * float(white[:, 0] @ white[:, 0]) + float(np.log(np.diag(lower)).sum())
    return float(gains[top]) - rest, contrast[top]


def _picked(gram: Array, one: int, other: int, at: tuple[NDArray[np.intp], NDArray[np.intp]]) -> Array:
    """(n, B, B) inner products of steps at two places each."""
    return np.asarray(np.moveaxis(gram[:, one][:, :, :, other][:, at[0], :, at[1]], 0, 0))


def motion_on(
    residual: Array, noise: DeckNoise, times: BandTimes, *, span: tuple[int, int], step_m: float, gsd_m: float
) -> Motion | None:
    """Find how the train on a stretch of deck moves.

    Parameters
    ----------
    residual : (B, S) change along the track, averaged across the train, NaN where it could not be judged.
    noise : of the same bands, from empty deck.
    times : when the bands were taken.
    span : first step of the train and the one after its last, as found in all bands together.
    step_m : between samples along the track.
    gsd_m : of the pixels they were taken from; point spread and misregistration of bands go with it.

    Returns
    -------
    Motion, or None where fewer than two bands have a known time or fewer than six steps can be judged.
    """
    bands = np.flatnonzero(times.known)
    if len(bands) < 2:
        return None
    delay = times.delay_s[bands] - times.delay_s[bands].mean()
    pad = int(np.ceil((FASTEST_MPS * float(np.abs(delay).max()) + 2 * gsd_m) / step_m))
    start, stop = max(span[0] - pad, 0), min(span[1] + pad, residual.shape[1])
    values = np.asarray(residual[bands, start:stop], dtype=np.float64)
    values = np.where(np.isfinite(values).all(axis=0), values, np.nan)
    if np.isfinite(values[0]).sum() < 6:
        return None
    seen = _Seen(
        values,
        DeckNoise(noise.covariance[np.ix_(bands, bands)], noise.correlation),
        delay,
        step_m,
        BLUR_PX * gsd_m,
        ((span[0] - start) * step_m, (span[1] - start) * step_m),
    )
    speeds, profile = _profile(seen, registration_m=times.registration_px * gsd_m / np.sqrt(2))
    return _motion(speeds, profile, times)


def _profile(seen: _Seen, *, registration_m: float) -> tuple[Array, Array]:
    """Speeds and the log-likelihood of each, all else put best."""
    found = [[_gain(seen, _texture(seen, share), float(v)) for v in SPEEDS] for share in SHARES]
    grid = np.array([[gain for gain, _ in one] for one in found])
    share, speed = np.unravel_index(int(np.argmax(grid)), grid.shape)
    contrast = found[int(share)][int(speed)][1]
    speeds = np.arange(-FASTEST_MPS, FASTEST_MPS + 0.05, 0.1)
    fine = np.asarray(PchipInterpolator(SPEEDS, grid.max(axis=0))(speeds))
    spread = registration_m * _sensitivity(seen, contrast)
    penalty = 0.5 * ((speeds[:, None] - speeds[None, :]) / max(spread, 1e-3)) ** 2
    return speeds, np.asarray((fine[None, :] - penalty).max(axis=1))


def _sensitivity(seen: _Seen, contrast: Array) -> float:
    """Root mean square error of the speed, in m/s, for bands misplaced by 1 m, each on its own.

    The slope of a weighted straight line of place over delay; a band weighs as its contrast over its noise, squared.
    """
    weight = contrast**2 / np.diag(seen.noise.covariance)
    centred = seen.delay_s - float(np.average(seen.delay_s, weights=weight))
    return float(np.sqrt((weight**2 * centred**2).sum()) / (weight * centred**2).sum())


def _motion(speeds: Array, profile: Array, times: BandTimes) -> Motion:
    best = int(np.argmax(profile))
    inside = speeds[profile >= profile[best] - DROP]
    low, high = float(inside[0]), float(inside[-1])
    at_rest = float(profile[int(np.argmin(np.abs(speeds)))])
    p_value = float(special.chdtrc(1, max(2 * (float(profile[best]) - at_rest) / INFLATION, 0.0)))
    low, high = (v - times.relative_error * abs(v) * side for v, side in ((low, 1.0), (high, -1.0)))
    speed = float(speeds[best])
    # The fastest speed that is tried is where the search ended, not what was found.
    bounded = 0 < best < len(speeds) - 1
    moving = bounded and p_value < SIGNIFICANT and (low > 0 or high < 0)
    if not times.sign_known:
        low, high = (max(low, -high, 0.0), max(-low, high))
        speed = abs(speed)
    standing = not moving and max(abs(low), abs(high)) <= SLOW_MPS
    verdict: Verdict = "moving" if moving else "standing" if standing else "cannot be told"
    return Motion(verdict, round(speed, 1) + 0.0, (low, high), p_value, times.sign_known)


__all__ = ["DeckNoise", "Motion", "deck_noise", "motion_on"]
