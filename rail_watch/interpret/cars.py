"""Railcars of a train: where one ends and the next begins, and how sure the count is.

Over a coupling one sees the ground, or the shadow between two cars. The network's log odds of that at each step are
the evidence for a boundary there, and all ways to cut the train into cars
are summed with a prior on their lengths (a hidden semi-Markov model; Rabiner, Proc. IEEE 1989). The count is the
median of its posterior.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

Array = NDArray[np.float64]

SHORTEST_CAR_M = 8.5
LONGEST_CAR_M = 27.0
PITCH_M = (12.0, 13.9, 14.7, 16.97, 19.2, 25.0)
"""Lengths over couplers of the common fleets; the prior is broad around them."""
PITCH_MEAN_M = 14.6
PITCH_SIGMA_M = 1.5
"""Mean pitch of a train whose cars cannot be told apart, and how it varies from train to train."""


USUAL_ODDS = 2.0
"""Minus the log odds that a step inside a train shows a gap, before it is looked at."""


@dataclass(frozen=True)
class CarCount:
    """How many cars, with the interval, and the likeliest cuts."""

    count: int
    count_95: tuple[int, int]
    cuts_m: tuple[float, ...]
    """Positions along the train of the cuts between cars, its two ends included; empty where cars cannot be seen."""


def length_prior(lengths_m: NDArray[np.floating]) -> Array:
    """Log prior of one car's length over couplers."""
    peaks = sum(np.exp(-0.5 * ((lengths_m - p) / 0.6) ** 2) / 0.6 for p in PITCH_M) / len(PITCH_M)
    broad = np.exp(-0.5 * ((lengths_m - 15.0) / 4.0) ** 2) / 4.0
    return np.asarray(np.log(0.5 * peaks + 0.5 * broad + 1e-4))


def _lengths(step_m: float) -> NDArray[np.int_]:
    return np.arange(round(SHORTEST_CAR_M / step_m), round(LONGEST_CAR_M / step_m) + 1)


def count_cars(coupling: Array, step_m: float) -> CarCount:
    """Cut one train into cars.

    Parameters
    ----------
    coupling : (S,) log odds, at each step along the train, that it shows the gap between two cars.
    step_m : spacing of the steps.
    """
    steps = len(coupling)
    total_m = steps * step_m
    if total_m < 2 * SHORTEST_CAR_M:
        return CarCount(1, (1, 1) if total_m < 1.6 * SHORTEST_CAR_M else (1, 2), (0.0, total_m))
    # Odds given by the network hold its experience of how often steps are gaps; here only what the pixels add counts.
    evidence = np.append(np.clip(coupling + USUAL_ODDS, -4, 6), 0.0)
    evidence[0] = evidence[-1] = 0.0
    lengths = _lengths(step_m)
    prior = length_prior(lengths * step_m) + np.log(step_m)
    most = int(total_m // SHORTEST_CAR_M) + 1
    forward = np.full((steps + 1, most + 1), -np.inf)
    best = np.full(steps + 1, -np.inf)
    previous = np.zeros(steps + 1, dtype=int)
    forward[0, 0] = best[0] = 0.0
    for end in range(int(lengths[0]), steps + 1):
        usable = lengths[lengths <= end]
        starts = end - usable
        gain = prior[: len(usable)] + evidence[end]
        forward[end, 1:] = special.logsumexp(forward[starts, :-1] + gain[:, None], axis=0)
        candidates = best[starts] + gain
        chosen = int(np.argmax(candidates))
        best[end], previous[end] = candidates[chosen], starts[chosen]
    return _summary(forward, previous, step_m)


def _summary(forward: Array, previous: NDArray[np.int_], step_m: float) -> CarCount:
    """Posterior of the count; the end of the train may lie a step or two from where it was drawn."""
    steps = len(previous) - 1
    slack = [end for end in range(max(steps - round(1.5 / step_m), 1), steps + 1) if np.isfinite(forward[end]).any()]
    if not slack:
        return CarCount(1, (1, 2), (0.0, steps * step_m))
    weights = special.logsumexp(forward[slack], axis=0)
    posterior = np.exp(weights - special.logsumexp(weights))
    cumulative = np.cumsum(posterior)
    count = int(np.searchsorted(cumulative, 0.5))
    low, high = int(np.searchsorted(cumulative, 0.025)), int(np.searchsorted(cumulative, 0.975))
    end = max(slack, key=lambda e: float(np.nan_to_num(forward[e], neginf=-1e9).max()))
    cuts = [end]
    while cuts[-1] > 0:
        cuts.append(int(previous[cuts[-1]]))
    places = [c * step_m for c in reversed(cuts)]
    places[-1] = steps * step_m
    return CarCount(max(count, 1), (max(low, 1), max(high, 1)), tuple(places))


def count_from_length(length_m: float) -> CarCount:
    """Count of cars that cannot be told apart: the length over the fleet's pitch, which varies from train to train."""
    cars = length_m / PITCH_MEAN_M
    spread = 1.96 * PITCH_SIGMA_M / PITCH_MEAN_M
    count = max(round(cars), 1)
    return CarCount(
        count, (max(int(np.floor(cars * (1 - spread))), 1), max(int(np.ceil(cars * (1 + spread))), count)), ()
    )
