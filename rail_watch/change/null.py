"""From a statistic to a p-value: what the empty tracks of the series itself look like.

Two kinds of evidence on the law of empty track: stretches taken for empty, and whole looks at which something may
stand. The first belong to it; the second share in it as far as a two-component mixture says (Efron, JASA 2004,
doi:10.1198/016214504000000089: the null is estimated from the tests themselves). The law is the sample's own ranks in
its body and an exponential tail above (peaks over threshold: Pickands, Ann. Statist. 1975), so that the p-values of
empty track are even whatever shape the body has. A weak prior carries series too short to speak for themselves.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

BODY = 0.75
"""Share of the law described by ranks; the rest by the tail."""
PRIOR_LOOKS = 8.0
"""The prior counts as much as this many empty looks."""


@dataclass(frozen=True)
class TailNull:
    """Law of the statistic of an empty look."""

    body: Array
    """Ordered statistics of the body, with"""
    mass: Array
    """their cumulative probabilities, up to `BODY`."""
    scale: float
    """Mean excess of the tail."""
    looks: float
    """How many looks it rests on."""

    def p_value(self, statistic: Array) -> Array:
        """Return the probability that an empty look shows this or more."""
        values = np.asarray(statistic, dtype=np.float64)
        inside = 1 - np.interp(values, self.body, self.mass)
        excess = np.maximum(values - self.body[-1], 0)
        tail = (1 - BODY) * np.exp(-np.minimum(excess / self.scale, 680))
        return np.asarray(np.where(values > self.body[-1], tail, inside))

    def threshold(self, rate: float) -> float:
        """Return the statistic that an empty look exceeds at this rate."""
        if rate >= 1 - BODY:
            return float(np.interp(1 - rate, self.mass, self.body))
        return float(self.body[-1] + self.scale * np.log((1 - BODY) / rate))


def _prior_sample(prior: tuple[float, float], count: int) -> Array:
    """Quantiles of a Gumbel law of this location and scale."""
    ranks = (np.arange(count) + 0.5) / count
    return np.asarray(prior[0] - prior[1] * np.log(-np.log(ranks)))


def _law(values: Array, weights: Array, prior: tuple[float, float], heavier: float) -> TailNull:
    extra = _prior_sample(prior, 16)
    everything = np.concatenate([values, extra])
    weight = np.concatenate([weights, np.full(16, PRIOR_LOOKS / 16)])
    order = np.argsort(everything, kind="stable")
    ordered, mass = everything[order], weight[order]
    level = (np.cumsum(mass) - 0.5 * mass) / mass.sum()
    knot = float(np.interp(BODY, level, ordered))
    keep = level < BODY
    above = ordered > knot
    excess = float((mass[above] * (ordered[above] - knot)).sum() / max(mass[above].sum(), 1e-9))
    low = ordered[0] - (ordered[min(3, len(ordered) - 1)] - ordered[0]) - 0.5 * prior[1]
    body = np.concatenate([[low], ordered[keep], [knot]])
    return TailNull(
        np.maximum.accumulate(body + np.arange(len(body)) * 1e-9),
        np.concatenate([[0.0], level[keep], [BODY]]),
        heavier * max(excess, 0.3 * prior[1]),
        float(weights.sum()),
    )


def _density(law: TailNull, values: Array) -> Array:
    """Tail density, held constant below the knot, where nothing is in doubt."""
    excess = np.maximum(values - law.body[-1], 0)
    return np.asarray((1 - BODY) / law.scale * np.exp(-np.minimum(excess / law.scale, 680)))


def fit_null(empty: Array, doubtful: Array, *, prior: tuple[float, float], heavier: float = 1.0) -> TailNull:
    """Fit the law of empty track.

    Parameters
    ----------
    empty : (n,) statistics of stretches taken for empty.
    doubtful : (m,) statistics of looks at which something may stand.
    prior : location and scale of the Gumbel law expected before anything is seen.
    heavier : by how much the far tail, which decides, falls off more slowly than the near one, which can be measured.
    """
    values = np.concatenate([empty, doubtful])
    weights = np.concatenate([np.ones(len(empty)), np.full(len(doubtful), 0.05)])
    law = _law(values, weights, prior, heavier)
    share = 0.5
    for _ in range(40):
        # What may stand there shows anything above the body, evenly as far as we know.
        reach = max(float(values.max(initial=law.body[-1])) - law.body[-1], 10 * law.scale)
        null = _density(law, values)
        other = np.where(values > law.body[-1], 1 / reach, 0)
        member = share * null / (share * null + (1 - share) * other + 1e-300)
        # Of the stretches taken for empty a few were not: at most one in twenty is doubted.
        first = 0.95 * null / (0.95 * null + 0.05 * other + 1e-300)
        new = np.concatenate([first[: len(empty)], member[len(empty) :]])
        share = float(np.clip((member[len(empty) :].sum() + 1) / (len(doubtful) + 2), 0.02, 0.98))
        law = _law(values, new, prior, heavier)
        if np.abs(new - weights).max(initial=0) < 1e-4:
            break
        weights = new
    return law
