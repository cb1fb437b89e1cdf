"""The same train again: the order of its cars, by length and colour.

A train is read as a profile along its length: the lightness, the hues and the length of the car at each place. Two
profiles are slid over each other in either direction, ends may hang over (cars added or left behind), and a cut
missed or put in the wrong place costs no more than the metres it touches. What counts is whether light cars meet light
ones and dark ones dark: the correlation along the overlap, which haze, season and the hour hardly change, and which is
nothing where all cars are alike, as they then cannot be told from those of the next train.

What such a score is worth is learnt from trains that cannot be the same: on labelled series that nothing else was
settled on, and from the trains that stand on the site's tracks at one moment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

STEP_M = 2.0
CAR_M = 14.0
"""Length along a train that says one thing: what varies over less is the same car."""
FLOOR = (0.015, 0.015, 0.015, 0.07)
"""Spread of lightness, two hues and log length between two looks at one car; less contrast than this says little."""
WEIGHT = (1.0, 0.8, 0.8, 0.7)
"""What the four say beside each other: they are not independent."""
LIKELY_OFFSET = (0.45, 0.3, 0.3, 0.2)
"""By how much a whole train may differ from look to look: snow on roofs, wet, haze, a low sun."""
EXPECTED = 0.1
"""Evidence that a car of full contrast must give: where profiles do not follow each other, that speaks against."""
FITTED = 2.0
"""Cars that always agree, as a mean and a scale are fitted."""
HIGHEST = 0.995
"""No correlation is believed beyond this."""
GAUSSIAN = 3.0
"""Kurtosis up to which all cars speak."""
LEAST_CARS = 3
"""Shorter trains have too little of a signature to be told apart."""
SHARE = 0.6
"""Of the shorter train so much must lie on the other; and"""
LEAST_M = 50.0
"""this much of it, if it is so long."""

SHARES = (1.0, 0.5, 0.1, 0.01)
"""Of pairs of different trains on held-out series (`benchmarks/same_train.py`), that score so much or more:"""
ANYWHERE = (-12.0, -3.6, -2.0, -0.4)
"""laid on each other as well as can be, and"""
IN_PLACE = (-12.0, -2.1, -0.9, -0.1)
"""as they stand on one track."""
TAIL = 0.8
"""Mean excess over the last of these: beyond it the share falls exponentially."""
PRIOR_PAIRS, PRIOR_EXCESSES = 300, 10
"""What is usual counts as much as so many pairs, and so many of them beyond the last score, of the site's own."""
LEAST_P = 1e-12
UNLIKE = -3.0
"""A train that stands where it stood does not score less in its place."""

SPACING_M = 40.0
"""Ends of different trains on one track lie as near to each other as if drawn evenly over this, or farther."""
END_ERROR_M = 0.5


@dataclass(frozen=True)
class Signature:
    """A train's cars in order."""

    lengths_m: Array
    """(n,)"""
    colours: Array
    """(n, 3) log of lightness over the scene's open ground, log of blue over red, of near infrared over red; columns
    that the sensor cannot tell are NaN."""

    def __len__(self) -> int:
        return len(self.lengths_m)

    def turned(self) -> Signature:
        """Return the same train seen from its other end."""
        return Signature(self.lengths_m[::-1], self.colours[::-1])

    @cached_property
    def profile(self) -> Array:
        """(4, N) colours and log length of the car at every `STEP_M` along the train."""
        edges = np.concatenate([[0.0], np.cumsum(self.lengths_m)])
        count = max(round(float(edges[-1]) / STEP_M), 1)
        at = (np.arange(count) + 0.5) * edges[-1] / count
        car = np.clip(np.searchsorted(edges, at, side="right") - 1, 0, len(self) - 1)
        return np.concatenate([self.colours.T, np.log(np.maximum(self.lengths_m, 1.0))[None]])[:, car]


@dataclass(frozen=True)
class Match:
    """How alike two trains are."""

    score: float
    p_value: float
    """Probability that two different trains look this alike."""


@dataclass(frozen=True)
class Law:
    """How alike different trains look."""

    share: float
    """Of pairs of different trains, those that score more than the last of `ANYWHERE`, and"""
    tail: float
    """by how much more they do on average."""

    def p_value(self, score: float, usual: Sequence[float] = ANYWHERE) -> float:
        """Probability that two different trains score this or more."""
        if score > usual[-1]:
            return max(self.share * float(np.exp(-(score - usual[-1]) / self.tail)), LEAST_P)
        share = float(np.exp(np.interp(score, usual, np.log(SHARES))))
        return min(share * max(self.share / SHARES[-1], 1.0), 1.0)


USUAL = Law(SHARES[-1], TAIL)


def law_of(scores: Sequence[float]) -> Law:
    """Learn how alike different trains look here, from scores of pairs that cannot be one train.

    Few pairs say little: they are weighed against what is usual.
    """
    known = np.array([score for score in scores if np.isfinite(score)])
    beyond = known[known > ANYWHERE[-1]] - ANYWHERE[-1]
    share = (len(beyond) + PRIOR_PAIRS * SHARES[-1]) / (len(known) + PRIOR_PAIRS)
    tail = (beyond.sum() + PRIOR_EXCESSES * TAIL) / (len(beyond) + PRIOR_EXCESSES)
    return Law(float(share), float(tail))


def _persistence(profile: Array) -> Array:
    """(4,) correlation of one car with the next: where cars of a kind stand together, each says less."""
    lag = round(CAR_M / STEP_M)
    if profile.shape[1] < 2 * lag:
        return np.zeros(len(profile))
    centred = profile - profile.mean(axis=1, keepdims=True)
    power = (centred**2).mean(axis=1) + 1e-9
    found = (centred[:, lag:] * centred[:, :-lag]).mean(axis=1) / power
    # Taken about its own mean a short train seems less persistent than it is (Marriott and Pope 1954).
    return np.asarray(np.clip(found + (1 + 3 * found) * lag / profile.shape[1], 0, 0.95))


def _evenness(profile: Array) -> Array:
    """(4,) share of the cars that speak: where one stands out (a locomotive before its wagons), it speaks alone."""
    squares = (profile - profile.mean(axis=1, keepdims=True)) ** 2 + 1e-9
    return np.asarray(np.minimum(GAUSSIAN * squares.mean(axis=1) ** 2 / (squares**2).mean(axis=1), 1.0))


def _sums(profile: Array) -> Array:
    """(2, 4, N + 1) running sums of values and of their squares."""
    both = np.stack([profile, profile**2])
    return np.concatenate([np.zeros((*both.shape[:2], 1)), np.cumsum(both, axis=2)], axis=2)


def _scores(x: Array, y: Array, lags: NDArray[np.int_]) -> Array:
    """(L,) evidence that two profiles are of one train, step i of `y` lying on step i + lag of `x`."""
    told = np.isfinite(x).all(axis=1) & np.isfinite(y).all(axis=1)
    x, y = x[told], y[told]
    floor, weight, offset = (np.array(v)[told, None] for v in (FLOOR, WEIGHT, LIKELY_OFFSET))
    middle = x.mean(axis=1, keepdims=True)
    x, y = x - middle, y - middle
    first, last = np.maximum(lags, 0), np.minimum(x.shape[1], lags + y.shape[1])
    steps = last - first
    of_x, of_y = _sums(x), _sums(y)
    mean_x, square_x = (of_x[..., last] - of_x[..., first]) / steps
    mean_y, square_y = (of_y[..., last - lags] - of_y[..., first - lags]) / steps
    product = np.stack([np.correlate(a, b, mode="full") for a, b in zip(x, y, strict=True)])
    product = product[:, lags + y.shape[1] - 1] / steps
    var_x, var_y = np.maximum(square_x - mean_x**2, 0), np.maximum(square_y - mean_y**2, 0)
    both = (product - mean_x * mean_y) / np.sqrt((var_x + floor**2) * (var_y + floor**2))
    both = np.clip(both, 0, HIGHEST)
    contrast = np.sqrt(var_x * var_y)
    shared = (_persistence(x) * _persistence(y))[:, None]
    even = np.minimum(_evenness(x), _evenness(y))[:, None]
    cars = steps * STEP_M / CAR_M * even * (1 - shared) / (1 + shared)
    follows = -0.5 * np.maximum(cars - FITTED, 0) * np.log(1 - both**2)
    evidence = (weight * (follows - cars * EXPECTED * contrast / (contrast + floor**2))).sum(axis=0)
    return np.asarray(evidence - 0.5 * (((mean_x - mean_y) / offset) ** 2).sum(axis=0))


def alikeness(a: Signature, b: Signature) -> float:
    """Score of the best alignment in either direction; -inf where either is too short."""
    if min(len(a), len(b)) < LEAST_CARS:
        return float("-inf")
    x, y = a.profile, b.profile
    n, m = x.shape[1], y.shape[1]
    least = min(max(round(LEAST_M / STEP_M), int(np.ceil(SHARE * min(n, m)))), n, m)
    lags = np.arange(least - m, n - least + 1)
    best = float(max(_scores(x, y, lags).max(), _scores(x, y[:, ::-1], lags).max()))
    # The more places there are to lay one on the other, the likelier a good one by chance.
    return best - float(np.log(2 * (1 + len(lags) * STEP_M / CAR_M)))


def alikeness_at(a: Signature, b: Signature, ahead_m: float) -> float:
    """Score of two trains as they stand, the start of `b` that much further along the track than the start of `a`."""
    x, y = a.profile, b.profile
    lag = round(ahead_m / STEP_M)
    lags = np.array([at for at in (lag - 1, lag, lag + 1) if -y.shape[1] < at < x.shape[1]], dtype=int)
    return float(_scores(x, y, lags).max()) if len(lags) else float("-inf")


def match(a: Signature, b: Signature, law: Law = USUAL) -> Match:
    """Compare two trains."""
    score = alikeness(a, b)
    return Match(score, law.p_value(score) if np.isfinite(score) else 1.0)


def standing_p(a: Signature, b: Signature, ends_m: tuple[float, float], law: Law = USUAL) -> float:
    """Probability that another train stands as `b` did where `a` stands now, as far as place and cars tell.

    Parameters
    ----------
    ends_m : how much further along the track the two ends of `b` lay, metres.
    """
    score = alikeness_at(a, b, ends_m[0])
    if score < UNLIKE:
        return 1.0
    one, other = sorted(min(max(abs(end), END_ERROR_M) / (0.5 * SPACING_M), 1.0) for end in ends_m)
    # An end may be hidden, or cars added or taken away there: the nearer end counts by itself.
    place = min(one, other**2)
    return max(_both(place, law.p_value(score, IN_PLACE)), LEAST_P)


def _both(one: float, other: float) -> float:
    """p-value of two independent ones together (Fisher, 1932)."""
    product = max(one * other, 1e-300)
    return min(product * (1 - float(np.log(product))), 1.0)
