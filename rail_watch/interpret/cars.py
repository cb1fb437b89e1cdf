"""Railcars of a train: where one ends and the next begins, and how sure the count is.

Over a coupling one sees the ground, or the shadow between two cars: a thin line unlike both sides. Beyond it the
colour may change. Both are turned into evidence for a boundary at each step, and all ways to cut the train into cars
are summed with a prior on their lengths (a hidden semi-Markov model; Rabiner, Proc. IEEE 1989). The count is the
median of its posterior.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, special

Array = NDArray[np.float64]

SHORTEST_CAR_M = 8.5
LONGEST_CAR_M = 27.0
PITCH_M = (12.0, 13.9, 14.7, 16.97, 19.2, 25.0)
"""Lengths over couplers of the common fleets; the prior is broad around them."""
PITCH_MEAN_M = 14.6
PITCH_SIGMA_M = 1.5
"""Mean pitch of a train whose cars cannot be told apart, and how it varies from train to train."""


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


def boundary_evidence(profile: Array, step_m: float) -> Array:
    """(S,) log-likelihood ratio of a coupling at each step, from the colours along the roof line.

    Parameters
    ----------
    profile : (B, S) colour along the train in noise units, averaged over the middle of its width.
    """
    reach = max(1, round(1.5 / step_m))
    padded = np.pad(profile, ((0, 0), (reach, reach)), mode="edge")
    before, after = padded[:, : -2 * reach], padded[:, 2 * reach :]
    # Unlike both sides: the smaller of the two differences counts, so that a plain colour step is no gap.
    to_before = np.linalg.norm(profile - before, axis=0)
    to_after = np.linalg.norm(profile - after, axis=0)
    gap = np.minimum(to_before, to_after)
    wide = max(2, round(3.0 / step_m))
    padded = np.pad(profile, ((0, 0), (wide, wide)), mode="edge")
    means = ndimage.uniform_filter1d(padded, wide, axis=1)
    jump = (
        np.linalg.norm(means[:, 2 * wide :] - means[:, : -2 * wide], axis=0) if profile.shape[1] > 2 * wide else gap * 0
    )
    gap_level = max(float(np.median(gap)), 1.0)
    jump_level = max(float(np.median(jump)), 1.0)
    evidence = 2.2 * (np.log(gap / gap_level + 0.1) - 0.7) + 0.8 * np.clip(
        np.log(jump / jump_level + 0.1) - 0.5, -0.5, 2
    )
    return np.asarray(np.clip(evidence, -4, 6))


def _lengths(step_m: float) -> NDArray[np.int_]:
    return np.arange(round(SHORTEST_CAR_M / step_m), round(LONGEST_CAR_M / step_m) + 1)


def count_cars(profile: Array, step_m: float) -> CarCount:
    """Cut one train into cars.

    Parameters
    ----------
    profile : (B, S) colour along the train in noise units, one column per step.
    step_m : spacing of the columns.
    """
    steps = profile.shape[1]
    total_m = steps * step_m
    if total_m < 2 * SHORTEST_CAR_M:
        return CarCount(1, (1, 1) if total_m < 1.6 * SHORTEST_CAR_M else (1, 2), (0.0, total_m))
    evidence = np.append(boundary_evidence(profile, step_m), 0.0)
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


def count_from_length(length_m: float, sigma_m: float) -> CarCount:
    """Count of cars that cannot be told apart: the length over the fleet's pitch."""
    count = max(round(length_m / PITCH_MEAN_M), 1)
    relative = np.hypot(PITCH_SIGMA_M / PITCH_MEAN_M, sigma_m / max(length_m, 1.0))
    low = int(np.floor(length_m / PITCH_MEAN_M * (1 - 1.96 * relative)))
    high = int(np.ceil(length_m / PITCH_MEAN_M * (1 + 1.96 * relative)))
    return CarCount(count, (max(low, 1), max(high, count)), ())
