"""Sorting over a short first axis, for many places at once."""

from __future__ import annotations

from functools import cache
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Values = TypeVar("Values", bound=NDArray[np.floating[Any]])

LONGEST = 64
"""A network for more rows than this does more work than an ordinary sort."""


@cache
def network(rows: int) -> tuple[tuple[int, int], ...]:
    """Pairs to put in order, one after the other, that sort so many rows (Batcher, AFIPS 1968: odd-even merging)."""
    pairs = []
    block = 1
    while block < rows:
        step = block
        while step:
            for low in range(step % block, rows - step, 2 * step):
                for i in range(low, min(low + step, rows - step)):
                    if i // (2 * block) == (i + step) // (2 * block):
                        pairs.append((i, i + step))
            step //= 2
        block *= 2
    return tuple(pairs)


def sort_rows(values: Values) -> None:
    """Sort (row, place) over the first axis in place; there must be no NaN.

    Whole rows are compared with one another, so that the processor's vectors are full however few rows there are.
    It is quickest where the array fits the processor's cache.
    """
    if len(values) > LONGEST:
        values.sort(axis=0)
        return
    spare = np.empty_like(values[0])
    for low, high in network(len(values)):
        np.minimum(values[low], values[high], out=spare)
        np.maximum(values[low], values[high], out=values[high])
        values[low] = spare
