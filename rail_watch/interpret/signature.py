"""The same train again: the order of its cars, by length and colour.

Two trains are laid against each other in either direction, with cars added or left behind at the ends, and scored by
the log-likelihood ratio of matching cars. What such a score is worth is learnt from trains that cannot be the same:
trains built by drawing cars at random from all that were seen, of the same lengths (a permutation null).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

LENGTH_SIGMA_M = 1.2
COLOUR_SIGMA = 0.22
"""Error of a car's log-reflectance relative to the scene's ground, between two looks."""
DRAWS = 400
LEAST_CARS = 3
"""Shorter trains have too little of a signature to be told apart."""


@dataclass(frozen=True)
class Signature:
    """A train's cars in order."""

    lengths_m: Array
    """(n,)"""
    colours: Array
    """(n, B) log of reflectance relative to the scene's open ground."""

    def __len__(self) -> int:
        return len(self.lengths_m)

    def turned(self) -> Signature:
        """Return the same train seen from its other end."""
        return Signature(self.lengths_m[::-1], self.colours[::-1])


@dataclass(frozen=True)
class Match:
    """How alike two trains are."""

    score: float
    p_value: float
    """Probability that two different trains made of the cars seen look this alike."""


def _pair_scores(a: Signature, b: Signature, background: tuple[Array, Array]) -> Array:
    """(n, m) log-likelihood ratio that car i of one is car j of the other."""
    mean, spread = background
    difference = (a.colours[:, None, :] - b.colours[None, :, :]) / (np.sqrt(2) * COLOUR_SIGMA)
    same = -0.5 * np.minimum(difference**2, 9.0).sum(axis=-1) - a.colours.shape[1] * np.log(np.sqrt(2) * COLOUR_SIGMA)
    wide = np.sqrt(spread**2 + COLOUR_SIGMA**2)
    other = -0.5 * (((b.colours - mean) / wide) ** 2).sum(axis=-1) - np.log(wide).sum()
    length = np.minimum(((a.lengths_m[:, None] - b.lengths_m[None, :]) / LENGTH_SIGMA_M) ** 2, 9.0)
    return np.asarray(same - other[None, :] - 0.25 * length + 0.5)


def _best_run(scores: Array) -> float:
    """Largest sum along a diagonal of at least three quarters of the shorter train; ends may hang over."""
    n, m = scores.shape
    least = max(LEAST_CARS, int(np.ceil(0.75 * min(n, m))))
    best = -np.inf
    for offset in range(-(n - least), m - least + 1):
        diagonal = np.diagonal(scores, offset)
        if len(diagonal) >= least:
            best = max(best, float(diagonal.sum()))
    return best


def alikeness(a: Signature, b: Signature, background: tuple[Array, Array]) -> float:
    """Score of the best alignment in either direction; -inf where either is too short."""
    if min(len(a), len(b)) < LEAST_CARS:
        return float("-inf")
    return max(_best_run(_pair_scores(a, b, background)), _best_run(_pair_scores(a, b.turned(), background)))


def background_of(signatures: Sequence[Signature]) -> tuple[Array, Array]:
    """Mean and spread of the colours of all cars seen."""
    cars = np.concatenate([s.colours for s in signatures])
    return cars.mean(axis=0), np.maximum(cars.std(axis=0), 0.15)


def match(a: Signature, b: Signature, pool: Sequence[Signature]) -> Match:
    """Compare two trains, against trains drawn at random from the cars of the pool."""
    background = background_of(pool)
    score = alikeness(a, b, background)
    if not np.isfinite(score):
        return Match(score, 1.0)
    lengths = np.concatenate([s.lengths_m for s in pool])
    colours = np.concatenate([s.colours for s in pool])
    rng = np.random.default_rng(len(lengths) * 1000 + len(a) * 37 + len(b))
    drawn = np.empty(DRAWS)
    for i in range(DRAWS):
        cars = rng.integers(len(lengths), size=len(b))
        other = Signature(lengths[cars], colours[cars] + rng.normal(scale=0.1, size=(len(b), colours.shape[1])))
        drawn[i] = alikeness(a, other, background)
    mean, scale = float(drawn.mean()), float(max(drawn.std() * np.sqrt(6) / np.pi, 0.2))
    tail = float(-np.expm1(-np.exp(-np.clip((score - mean) / scale + 0.5772, -30, 700))))
    return Match(score, max(tail, 1e-12))
