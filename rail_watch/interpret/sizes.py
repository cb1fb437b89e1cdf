"""How far true lengths and counts lie from those said: what an interval must be to hold the truth in 95 of 100.

Errors of a train's length are mostly small and now and then large, where two trains were taken for one, or one was seen
in part; no formula for the blur of an end foretells these. Intervals are therefore the quantiles of the errors on
simulated yards that took no part in the network's learning (split conformal prediction: Lei et al., J. Am. Stat. Assoc.
2018), for short and for long trains.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class SizeErrors:
    """Errors of one class of GSD; what lies between the two lengths is interpolated."""

    length_m: Array
    """(2,) said lengths, short and long, at which"""
    shorter_m: Array
    """(2,) a true length lies so far below the one said in 2.5 of 100 (not above 0), and"""
    longer_m: Array
    """(2,) so far above it in 2.5 of 100 (not below 0)."""
    fewer: Array
    """(2,) The same of railcars below"""
    more: Array
    """(2,) and above the count said."""
    limit_factor: Array
    """() How much longer a train must be than the limit found with trains put into a scene to be found as surely."""

    def length_95(self, length_m: float) -> tuple[float, float]:
        """95 % interval of a length, metres."""
        low = length_m + float(np.interp(length_m, self.length_m, self.shorter_m))
        high = length_m + float(np.interp(length_m, self.length_m, self.longer_m))
        return max(low, 0.0), high

    def railcars_95(self, count: int, length_m: float, known: tuple[int, int]) -> tuple[int, int]:
        """95 % interval of a count: that known from the train itself, and no narrower than errors usually are."""
        low = count + round(float(np.interp(length_m, self.length_m, self.fewer)))
        high = count + round(float(np.interp(length_m, self.length_m, self.more)))
        return max(min(low, known[0]), 1), max(high, known[1])


def as_arrays(errors: SizeErrors) -> dict[str, Array]:
    """Return the errors by the names they have in a file."""
    return {field.name: np.asarray(getattr(errors, field.name), dtype=np.float64) for field in fields(errors)}


def from_arrays(values: Mapping[str, Array]) -> SizeErrors:
    """Return the errors that `as_arrays` took apart."""
    return SizeErrors(**{field.name: np.asarray(values[field.name], dtype=np.float64) for field in fields(SizeErrors)})


@cache
def load_size_errors(name: str) -> SizeErrors:
    """Read the errors that come with the package, for a class of GSD."""
    file = resources.files("rail_watch.interpret").joinpath("weights", f"{name}-sizes.npz")
    with file.open("rb") as stream, np.load(stream, allow_pickle=False) as data:
        return from_arrays({key: np.asarray(data[key]) for key in data.files})
