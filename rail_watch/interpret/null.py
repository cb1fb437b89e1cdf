"""From a statistic to a p-value: how often empty track shows as much.

The law was measured on empty tracks of simulated yards that took no part in the network's learning (docs/method.md):
ranks in its body, an exponential tail above (peaks over threshold: Pickands, Ann. Statist. 1975). It holds for
`metres` of track in sight; the maximum over a longer stretch is larger, as that of so many independent pieces.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class EmptyLaw:
    """Law of the strongest evidence that `metres` of empty track show."""

    body: Array
    """Ordered statistics, with"""
    mass: Array
    """their cumulative probabilities; the last begins the tail."""
    scale: float
    """Mean excess of the tail."""
    metres: float

    def p_value(self, statistic: Array, metres: Array) -> Array:
        """Probability that as many metres of empty track show this or more; NaN stays NaN."""
        values = np.asarray(statistic, dtype=np.float64)
        tail = (1 - self.mass[-1]) * np.exp(-np.maximum(values - self.body[-1], 0) / self.scale)
        single = np.where(values > self.body[-1], tail, 1 - np.interp(values, self.body, self.mass))
        power = np.maximum(np.asarray(metres, dtype=np.float64), 1.0) / self.metres
        with np.errstate(divide="ignore"):
            return np.asarray(-np.expm1(power * np.log1p(-np.minimum(single, 1.0))))

    def threshold(self, rate: float, metres: float) -> float:
        """Statistic that as many metres of empty track exceed at this rate."""
        single = float(-np.expm1(np.log1p(-rate) * self.metres / max(metres, 1.0)))
        if single >= 1 - self.mass[-1]:
            return float(np.interp(1 - single, self.mass, self.body))
        return float(self.body[-1] + self.scale * np.log((1 - self.mass[-1]) / single))


@dataclass(frozen=True)
class EmptyLaws:
    """Laws of one class of GSD, each for track with nothing beside it and beside trains."""

    usual: tuple[EmptyLaw, EmptyLaw]
    odd: tuple[EmptyLaw, EmptyLaw]
    """Where the ground looks little as it usually does."""


@cache
def load_laws(name: str) -> EmptyLaws:
    """Read the laws that come with the package."""
    file = resources.files("rail_watch.interpret").joinpath("weights", f"{name}-empty.npz")
    with file.open("rb") as stream, np.load(stream, allow_pickle=False) as data:
        alone, beside, odd = (
            EmptyLaw(data[f"body_{i}"], data[f"mass_{i}"], float(data[f"scale_{i}"]), float(data[f"metres_{i}"]))
            for i in range(3)
        )
    return EmptyLaws((alone, beside), (odd, odd))
