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


def _pair_scores(a: Signature, lengths_m: Array, colours: Array, background: tuple[Array, Array]) -> Array:
    """(draws, n, m) log-likelihood ratio that car i of one train is car j of others: (draws, m) and (draws, m, B)."""
    mean, spread = background
    bands = colours.shape[-1]
    wide = np.sqrt(spread**2 + COLOUR_SIGMA**2)
    other = -0.5 * (((colours - mean) / wide) ** 2).sum(axis=-1) - np.log(wide).sum()
    unlike = np.minimum(((a.lengths_m[:, None] - lengths_m[:, None, :]) / LENGTH_SIGMA_M) ** 2, 9.0) * 0.5
    for band in range(bands):
        difference = (a.colours[:, band, None] - colours[:, None, :, band]) / (np.sqrt(2) * COLOUR_SIGMA)
        unlike += np.minimum(difference**2, 9.0)
    return np.asarray(0.5 - 0.5 * unlike - bands * np.log(np.sqrt(2) * COLOUR_SIGMA) - other[:, None, :])


def _best_run(scores: Array) -> Array:
    """(draws,) largest sum along a diagonal of at least three quarters of the shorter train; ends may hang over."""
    _, n, m = scores.shape
    least = max(LEAST_CARS, int(np.ceil(0.75 * min(n, m))))
    best = np.full(len(scores), -np.inf)
    for offset in range(-(n - least), m - least + 1):
        diagonal = scores.diagonal(offset, axis1=1, axis2=2)
        if diagonal.shape[1] >= least:
            best = np.maximum(best, diagonal.sum(axis=1))
    return best


def _alikeness(a: Signature, lengths_m: Array, colours: Array, background: tuple[Array, Array]) -> Array:
    """(draws,) score of the best alignment in either direction with each of several trains of one length."""
    scores = _pair_scores(a, lengths_m, colours, background)
    return np.maximum(_best_run(scores), _best_run(scores[..., ::-1]))


def alikeness(a: Signature, b: Signature, background: tuple[Array, Array]) -> float:
    """Score of the best alignment in either direction; -inf where either is too short."""
    if min(len(a), len(b)) < LEAST_CARS:
        return float("-inf")
    return float(_alikeness(a, b.lengths_m[None], b.colours[None], background)[0])


def background_of(signatures: Sequence[Signature]) -> tuple[Array, Array]:
    """Mean and spread of the colours of all cars seen."""
    cars = np.concatenate([s.colours for s in signatures])
    return cars.mean(axis=0), np.maximum(cars.std(axis=0), 0.15)


def match(a: Signature, b: Signature, pool: Sequence[Signature]) -> Match:
    """Compare two trains, against trains drawn at random from the cars of the pool."""
    return matches(a, [b], pool)[0]


def matches(a: Signature, others: Sequence[Signature], pool: Sequence[Signature]) -> list[Match]:
    """Compare a train with each of several; those of one length are held against the same trains drawn at random."""
    background = background_of(pool)
    law: dict[int, tuple[float, float]] = {}
    found = []
    for b in others:
        score = alikeness(a, b, background)
        if not np.isfinite(score):
            found.append(Match(score, 1.0))
            continue
        if len(b) not in law:
            drawn = _alikeness(a, *_strangers(pool, len(a), len(b)), background)
            law[len(b)] = float(drawn.mean()), float(max(drawn.std() * np.sqrt(6) / np.pi, 0.2))
        mean, scale = law[len(b)]
        tail = float(-np.expm1(-np.exp(-np.clip((score - mean) / scale + 0.5772, -30, 700))))
        found.append(Match(score, max(tail, 1e-12)))
    return found


def _strangers(pool: Sequence[Signature], own: int, count: int) -> tuple[Array, Array]:
    """Lengths (draws, count) and colours (draws, count, B) of trains of cars drawn from all that were seen."""
    lengths = np.concatenate([s.lengths_m for s in pool])
    colours = np.concatenate([s.colours for s in pool])
    rng = np.random.default_rng(len(lengths) * 1000 + own * 37 + count)
    cars = np.empty((DRAWS, count), dtype=np.intp)
    noise = np.empty((DRAWS, count, colours.shape[1]))
    for i in range(DRAWS):
        cars[i] = rng.integers(len(lengths), size=count)
        noise[i] = rng.normal(scale=0.1, size=noise.shape[1:])
    return lengths[cars], colours[cars] + noise
