"""From a statistic to a p-value: how often empty track shows as much.

The law was measured on empty tracks of simulated yards that took no part in the network's learning
(docs/method.md): ranks in its body, an exponential tail above (peaks over threshold: Pickands, Ann. Statist. 1975). It
holds for `metres` of track in sight; the maximum over a longer stretch is larger, as that of so many independent
pieces. How plain empty track looks differs from series to series, and is taken from the series itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

PLAIN = -1.0
"""Mean log odds below this over the strongest window: plainly empty."""
UPPER = 0.05
"""The decision falls in this upper part of a law."""
PRIOR_PASSES = 8.0
"""The law counts as much as this many passes of `PLAIN`, against those that control strips show."""
PRIOR_LOOKS = 8.0
"""The law counts as much as this many looks of the series itself."""


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


def adapted(law: EmptyLaw, statistic: Array, metres: Array) -> EmptyLaw:
    """Return the law as the looks of a series itself show it, where they are plainly empty.

    Below `PLAIN`, or where the law's highest twentieth begins if that is lower, the series' own looks are ranked among
    themselves, a few drawn from the law beside them; how often empty track passes that line, and what lies above it,
    where the decision falls, stays as it was measured.
    """
    plain = min(PLAIN, law.threshold(UPPER, law.metres))
    own = np.isfinite(statistic) & (statistic < plain) & (metres > 0)
    values, count = statistic[own], int(own.sum())
    logs = np.log(metres[own]).sum() + PRIOR_LOOKS * np.log(law.metres)
    length = float(np.exp(logs / (count + PRIOR_LOOKS)))
    mass = 1 - law.p_value(law.body, np.full(len(law.body), length))
    below = 1 - float(law.p_value(np.array(plain), np.array(length)))
    drawn = np.interp((np.arange(16) + 0.5) / 16 * below, mass, law.body)
    everything = np.concatenate([values, drawn])
    weight = np.concatenate([np.ones(count), np.full(16, PRIOR_LOOKS / 16)])
    order = np.argsort(everything, kind="stable")
    level = (np.cumsum(weight[order]) - 0.5 * weight[order]) / weight.sum() * below
    above = law.body > plain
    body = np.concatenate([[everything.min() - 1.0], everything[order], [plain], law.body[above]])
    steps = np.concatenate([[0.0], level, [below], mass[above]])
    return EmptyLaw(np.maximum.accumulate(body + 1e-9 * np.arange(len(body))), steps, law.scale, length)


def raised(law: EmptyLaw, statistic: Array, metres: Array, here: NDArray[np.bool_], *, alike: float) -> EmptyLaw:
    """Return the law with as heavy a tail as control strips show, where theirs is heavier.

    Parameters
    ----------
    statistic, metres : (n,) of the control strips' looks in the whole series.
    here : (n,) which of them are of the scene in question; they count for it more than the others.
    alike : how far the ground of controls stands for that of tracks, 0 to 1: the power to which what it shows is taken.
    """
    known = np.isfinite(statistic)
    values, own = statistic[known], here[known]
    expected = np.asarray(law.p_value(np.full(len(values), PLAIN), metres[known]), dtype=np.float64)
    above = values > PLAIN
    series = (PRIOR_PASSES + above.sum()) / (PRIOR_PASSES + expected.sum())
    scene = (1 + above[own].sum()) / (1 + series * expected[own].sum())
    factor = float(max(series * scene, 1.0) ** alike)
    scale = ((values[above] - PLAIN).sum() + 2 * PRIOR_PASSES * law.scale) / (above.sum() + 2 * PRIOR_PASSES)
    start = 1 - float(law.p_value(np.array(PLAIN), np.array(law.metres)))
    plain = law.body < PLAIN
    body = np.concatenate([law.body[plain], [PLAIN], law.body[~plain]])
    mass = np.concatenate([law.mass[plain], [start], law.mass[~plain]])
    # As if so many more pieces had been searched; plainly empty looks keep their order and share what is left.
    mass = np.where(body < PLAIN, mass * start ** (factor - 1), mass**factor)
    return EmptyLaw(
        np.maximum.accumulate(body), mass, float(law.scale * max(scale / law.scale, 1.0) ** alike), law.metres
    )


@dataclass(frozen=True)
class EmptyLaws:
    """Laws of one class of GSD, each for track with nothing beside it and beside trains."""

    usual: tuple[EmptyLaw, EmptyLaw]
    odd: tuple[EmptyLaw, EmptyLaw]
    """Where the ground differs from how it usually looks from place to place: half-melted snow, haze."""
    noisy: float
    """Scenes of which `SceneModel.unevenness` is more are of that kind; even snow is not, trains show well on it."""
    final: EmptyLaw
    """Law of minus the logarithm of the p-value that looks at empty tracks come to, once the laws have been adapted to
    their series and to control strips: what adapting makes too bold or too timid on the whole is set right by it."""

    def settled(self, p_value: Array) -> Array:
        """Return p-values as the final law has them; NaN stays NaN."""
        with np.errstate(divide="ignore"):
            logs = -np.log(np.maximum(p_value, 1e-300))
        return self.final.p_value(logs, np.ones(np.shape(logs)))


def from_arrays(values: Mapping[str, NDArray[Any]]) -> EmptyLaws:
    """Return laws from the arrays they are kept as: alone, beside trains, odd ground and final, in this order."""
    alone, beside, odd, final = (
        EmptyLaw(values[f"body_{i}"], values[f"mass_{i}"], float(values[f"scale_{i}"]), float(values[f"metres_{i}"]))
        for i in range(4)
    )
    return EmptyLaws((alone, beside), (odd, odd), float(values["noisy"]), final)


@cache
def load_laws(name: str) -> EmptyLaws:
    """Read the laws that come with the package."""
    file = resources.files("rail_watch.interpret").joinpath("weights", f"{name}-empty.npz")
    with file.open("rb") as stream, np.load(stream, allow_pickle=False) as data:
        return from_arrays({key: data[key] for key in data.files})
