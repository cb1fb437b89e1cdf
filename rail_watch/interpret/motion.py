"""Whether a train moves, which way and how fast, from bands that look at it one after another.

In band b the train appears displaced by its speed times the band's delay. The change along the track is taken as a
stretch of one contrast c_b between two ends, seen through the sensor's point spread and displaced by v d_b, plus noise.
Ends and contrasts are not known: for each speed those that fit best are taken, all bands together (maximum likelihood;
the contrasts by generalised least squares, the ends by search). The noise is that of the same deck empty, in its
covariance between bands and along the track, so that ground which does not move cannot pass for a standing train;
inside the train it has what is uneven along it (railcars of several colours) besides.

The interval is that of the profile likelihood (Wilks 1938). Bands are registered to each other with an error that acts
like a speed; it is a nuisance parameter of known spread, profiled with the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
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
PLACE_M = 0.5
"""Places of an end are told apart to this."""
SHORTEST_M = 10.0
RAILCAR_M = 15.0
"""How far along it a train stays like itself."""
COLOURS = (0.16 / 0.5) ** 2
"""Variance between railcars of a train, as a share of its contrast squared."""
BLUR_PX = 0.55
"""Standard deviation of the point spread and of the resampling onto the strip, in pixels."""
LAGS_M = 60.0
"""Noise farther apart along the track than this is taken as independent."""
DROP = 0.5 * float(special.chdtri(1, 0.05))
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
    return DeckNoise(covariance, correlation * (1 - np.arange(count) / count))


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

    def covariance(self, texture: Array) -> Array:
        """Of the samples that count: deck noise, a level of each band's own, and what is uneven inside the train.

        `texture` (B,) is the variance of the last; it is as long as a railcar and taken as each band's own.
        """
        steps = self.values.shape[1]
        place = np.arange(steps)
        apart = np.abs(place[:, None] - place[None, :])
        along = np.concatenate([self.noise.correlation, np.zeros(steps)])[apart]
        middle = (place + 0.5) * self.step_m
        inside = (middle > self.ends_m[0] - self.blur_m) & (middle < self.ends_m[1] + self.blur_m)
        alike = np.exp(-apart * self.step_m / RAILCAR_M) * np.outer(inside, inside)
        spread = np.diag(np.diag(self.noise.covariance))
        full = np.kron(self.noise.covariance, along) + np.kron(spread, np.full(apart.shape, 0.25))
        full += np.kron(np.diag(texture), alike)
        return np.asarray(full[np.ix_(self.use, self.use)])


def _steps_up(seen: _Seen, places_m: Array) -> Array:
    """(samples, B * U) unit steps at each place in each band, as the sensor blurs them."""
    bands, steps = seen.values.shape
    middle = (np.arange(steps) + 0.5) * seen.step_m
    up = special.ndtr((middle[:, None] - places_m[None, :]) / seen.blur_m)
    return np.asarray(np.kron(np.eye(bands), up)[seen.use])


@dataclass(frozen=True)
class _Search:
    """Which speeds and ends are tried."""

    speeds: Array
    end_m: float
    """How far from `ends_m` either end may lie."""
    step_m: float


@dataclass(frozen=True)
class _Fit:
    """Best of a search."""

    profile: Array
    """Log-likelihood at each speed, ends and contrasts put best, up to a constant."""
    contrast: Array
    """(B,) of the best."""
    ends_m: tuple[float, float]
    left: Array
    """What it leaves of the samples."""


ROUGH = _Search(np.linspace(-FASTEST_MPS, FASTEST_MPS, 15), 30.0, 5.0)
"""A detector at 10 m misses an end by 15 m, root mean square."""
FINE = _Search(np.linspace(-FASTEST_MPS, FASTEST_MPS, 57), 20.0, 2.5)


def _fit(seen: _Seen, texture: Array, search: _Search) -> _Fit:
    """Try every speed with every pair of ends; the contrasts of the bands follow by least squares."""
    bands = len(seen.delay_s)
    lower = linalg.cholesky(seen.covariance(texture), lower=True, check_finite=False)
    data = seen.values.ravel()[seen.use]
    white = linalg.solve_triangular(lower, data, lower=True, check_finite=False)
    reach = search.end_m + FASTEST_MPS * float(np.abs(seen.delay_s).max()) + PLACE_M
    near = np.arange(-reach, reach + PLACE_M, PLACE_M)
    raw = [_steps_up(seen, end + near) for end in seen.ends_m]
    edges = [linalg.solve_triangular(lower, e, lower=True, check_finite=False) for e in raw]
    moves = np.arange(-search.end_m, search.end_m + 1e-6, search.step_m)
    first, last = (part.ravel() for part in np.meshgrid(moves, moves, indexing="ij"))
    kept = seen.ends_m[1] + last - seen.ends_m[0] - first >= SHORTEST_M
    pair = _Pair(edges, white, bands)
    profile, found = np.empty(len(search.speeds)), []
    for n, speed in enumerate(search.speeds):
        shift = speed * seen.delay_s[:, None]
        one, two = (np.rint((m[kept] + shift + reach) / PLACE_M).astype(int) for m in (first, last))
        gained, contrast = pair.weigh(one, two)
        top = int(np.argmax(gained))
        profile[n] = gained[top]
        ends = (seen.ends_m[0] + float(first[kept][top]), seen.ends_m[1] + float(last[kept][top]))
        found.append((contrast[top], one[:, top], two[:, top], ends))
    contrast, one, two, ends = found[int(np.argmax(profile))]
    column = np.arange(bands) * len(near)
    return _Fit(profile, contrast, ends, data - (raw[0][:, column + one] - raw[1][:, column + two]) @ contrast)


class _Pair:
    """Inner products of all unit steps at the train's two ends: every fit is put together from them."""

    def __init__(self, edges: Sequence[Array], white: Array, bands: int) -> None:
        """Take the whitened steps (samples, B * U) at the first end and the last, and the whitened data."""
        self.band = np.arange(bands)
        self.pulls = [(e.T @ white).reshape(bands, -1) for e in edges]
        self.gram = [
            (edges[i].T @ edges[j]).reshape(bands, edges[i].shape[1] // bands, bands, -1)
            for i, j in ((0, 0), (0, 1), (1, 1))
        ]

    def weigh(self, one: NDArray[np.intp], two: NDArray[np.intp]) -> tuple[Array, Array]:
        """(n,) gain in log-likelihood and (n, B) contrasts of trains between places `one` and `two` (B, n)."""
        b, r, c = self.band[:, None], self.band[:, None, None], self.band[None, :, None]
        pull = (self.pulls[0][b, one] - self.pulls[1][b, two]).T
        cross = self.gram[1][r, one[:, None], c, two[None]]
        square = self.gram[0][r, one[:, None], c, one[None]] + self.gram[2][r, two[:, None], c, two[None]]
        square = (square - cross - cross.transpose(1, 0, 2)).transpose(2, 0, 1) + 1e-9 * np.eye(len(self.band))
        contrast = np.linalg.solve(square, pull[:, :, None])[:, :, 0]
        return 0.5 * (contrast * pull).sum(axis=1), contrast


def _texture(seen: _Seen, fit: _Fit) -> Array:
    """(B,) variance, beyond the deck's own, of what a stretch of one contrast leaves inside the train.

    At least what railcars differ by in colour: a sixth of the ground's light, where they differ from it by half.
    """
    full = np.full(seen.values.size, np.nan)
    full[seen.use] = fit.left
    middle = (np.arange(seen.values.shape[1]) + 0.5) * seen.step_m
    inside = (middle > seen.ends_m[0]) & (middle < seen.ends_m[1])
    rest = full.reshape(seen.values.shape)[:, inside]
    power = np.nanmean(rest**2, axis=1) if np.isfinite(rest).any() else np.zeros(len(rest))
    return np.asarray(np.maximum(np.nan_to_num(power) - np.diag(seen.noise.covariance), COLOURS * fit.contrast**2))


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
    rough = _fit(seen, np.zeros(len(seen.delay_s)), ROUGH)
    seen = replace(seen, ends_m=rough.ends_m)
    found = _fit(seen, _texture(seen, rough), FINE)
    speeds = np.arange(-FASTEST_MPS, FASTEST_MPS + 0.05, 0.1)
    fine = np.asarray(PchipInterpolator(FINE.speeds, found.profile)(speeds))
    spread = registration_m * _sensitivity(seen, found.contrast)
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
    p_value = float(special.chdtrc(1, max(2 * (float(profile[best]) - at_rest), 0.0)))
    low, high = (v - times.relative_error * abs(v) * side for v, side in ((low, 1.0), (high, -1.0)))
    speed = float(speeds[best])
    moving = p_value < SIGNIFICANT and (low > 0 or high < 0)
    if not times.sign_known:
        low, high = (max(low, -high, 0.0), max(-low, high))
        speed = abs(speed)
    standing = not moving and max(abs(low), abs(high)) <= SLOW_MPS
    verdict: Verdict = "moving" if moving else "standing" if standing else "cannot be told"
    return Motion(verdict, round(speed, 1) + 0.0, (low, high), p_value, times.sign_known)


__all__ = ["DeckNoise", "Motion", "deck_noise", "motion_on"]
