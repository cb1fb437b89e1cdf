"""From a statistic to a p-value: what the empty tracks of the series itself look like.

Among the statistics of a series some belong to trains; most belong to empty track. A two-component mixture, a Gumbel
law for the maxima of empty track and a broad law for everything above, is fitted by expectation-maximisation
(Efron, JASA 2004, doi:10.1198/016214504000000089: the null is estimated from the bulk of the tests themselves).
A weak prior carries series too short to speak for themselves.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

PRIOR_WEIGHT = 6.0
"""The prior counts as much as this many empty looks."""


@dataclass(frozen=True)
class GumbelNull:
    """Law of the statistic of an empty track: P(U > u) = 1 - exp(-exp(-(u - location) / scale))."""

    location: float
    scale: float
    looks: float
    """How many looks it rests on (the summed probability of being empty)."""

    def p_value(self, statistic: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the probability that an empty track shows this or more."""
        reduced = (np.asarray(statistic, dtype=np.float64) - self.location) / self.scale
        return np.maximum(-np.expm1(-np.exp(-np.clip(reduced, -30, 700))), 1e-300)

    def threshold(self, rate: float) -> float:
        """Return the statistic that empty track exceeds at this rate."""
        return float(self.location - self.scale * np.log(-np.log1p(-rate)))


def _log_density(values: NDArray[np.float64], location: float, scale: float) -> NDArray[np.float64]:
    reduced = np.clip((values - location) / scale, -30, 700)
    return np.asarray(-np.log(scale) - reduced - np.exp(-reduced))


def fit_null(statistics: NDArray[np.float64], *, prior: tuple[float, float]) -> GumbelNull:
    """Fit the law of empty track to a series' statistics, trains among them.

    Parameters
    ----------
    statistics : (n,) one per look that could be judged.
    prior : location and scale expected before anything is seen.
    """
    values = np.asarray(statistics, dtype=np.float64)
    location, scale = prior
    if len(values) == 0:
        return GumbelNull(location, scale, 0.0)
    # The quiet half of the sample places the start; the prior alone would be blind to a series of another kind.
    location = 0.5 * (location + float(np.percentile(values, 30)))
    top = max(float(values.max()), location + 20 * scale)
    share = 0.7
    member = np.ones(len(values))
    for _ in range(60):
        log_null = _log_density(values, location, scale)
        # Trains may lie anywhere above the body of the empties, evenly as far as we know.
        above = values > location + scale
        log_train = np.where(above, -np.log(max(top - location - scale, scale)), -np.inf)
        new_member = 1 / (1 + np.exp(np.clip(log_train - log_null, -700, 700)) * (1 - share) / share)
        share = float(np.clip((new_member.sum() + 1.4) / (len(values) + 2), 0.05, 0.99))
        old = (location, scale)
        location, scale = _weighted_gumbel(values, new_member, prior)
        settled = abs(location - old[0]) + abs(scale - old[1]) < 1e-5 * prior[1]
        member = new_member
        if settled:
            break
    return GumbelNull(location, scale, float(member.sum()))


def _weighted_gumbel(
    values: NDArray[np.float64], weights: NDArray[np.float64], prior: tuple[float, float]
) -> tuple[float, float]:
    """Maximum a posteriori location and scale; the prior enters as quantiles of itself with a small weight."""
    ranks = (np.arange(20) + 0.5) / 20
    pseudo = prior[0] - prior[1] * np.log(-np.log(ranks))
    everything = np.concatenate([values, pseudo])
    weight = np.concatenate([weights, np.full(20, PRIOR_WEIGHT / 20)])

    def loss(parameters: NDArray[np.float64]) -> float:
        return -float(weight @ _log_density(everything, parameters[0], float(np.exp(parameters[1]))))

    mean = float(weight @ everything / weight.sum())
    deviation = float(np.sqrt(weight @ (everything - mean) ** 2 / weight.sum()))
    start = [mean - 0.45 * deviation, np.log(max(0.78 * deviation, 1e-3))]
    best = optimize.minimize(loss, start, method="Nelder-Mead", options={"xatol": 1e-5, "fatol": 1e-7})
    return float(best.x[0]), float(np.exp(best.x[1]))
