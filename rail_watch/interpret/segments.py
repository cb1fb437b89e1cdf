"""Stretches of a track on which the evidence speaks for a train."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage


MOST = 12.0
"""No step says more for a train than this: one bright sample must not carry a whole window."""


def shortest_train_m(gsd_m: float) -> float:
    """The shortest train looked for: a railcar where it can be seen, else what fills enough pixels."""
    return max(11.0, 10.0 * gsd_m)


def segments(score: NDArray[np.float32], step_m: float, *, gsd_m: float) -> list[tuple[int, int]]:
    """Split a track into empty and occupied by the best path through two states.

    A change of state costs as much as a few steps' evidence (Viterbi, IEEE Trans. Inf. Theory 1967), so that single
    samples neither make a train nor cut one.

    Parameters
    ----------
    score : (S,) log-likelihood ratio per step.

    Returns
    -------
    [first, last) steps of each occupied stretch that is long enough.
    """
    cost = 6.0
    smooth = np.clip(score, -8, 8).astype(np.float64)
    count = len(smooth)
    back = np.zeros((count, 2), dtype=bool)
    empty, taken = 0.0, -cost
    for i, value in enumerate(smooth):
        back[i, 0] = taken - cost > empty
        back[i, 1] = empty - cost > taken
        empty, taken = max(empty, taken - cost), max(taken, empty - cost) + value
    state = taken > empty
    path = np.zeros(count, dtype=bool)
    for i in range(count - 1, -1, -1):
        path[i] = state
        if back[i, int(state)]:
            state = not state
    labels, found = ndimage.label(path)
    runs = ndimage.find_objects(labels, max_label=found)
    shortest = 0.5 * shortest_train_m(gsd_m)
    return [(r[0].start, r[0].stop) for r in runs if (r[0].stop - r[0].start) * step_m >= shortest]


def window_statistic(score: NDArray[np.float32], visible: NDArray[np.bool_], step_m: float, *, gsd_m: float) -> float:
    """Strongest evidence of a stretch at least one train long: the maximum of windowed sums, four lengths tried.

    Longer windows are scaled by the square root of their length, as noise adds; NaN where no window can be seen.
    """
    shortest = max(int(round(shortest_train_m(gsd_m) / step_m)), 1)
    best = -np.inf
    total = np.concatenate([[0.0], np.cumsum(np.where(visible, np.clip(score, -60, MOST), 0), dtype=np.float64)])
    seen = np.concatenate([[0.0], np.cumsum(visible, dtype=np.float64)])
    for times in (1, 2, 4, 8):
        width = shortest * times
        if width > len(score):
            break
        sums = (total[width:] - total[:-width]) / np.sqrt(times)
        enough = (seen[width:] - seen[:-width]) >= 0.6 * width
        if enough.any():
            best = max(best, float(sums[enough].max()))
    return best if np.isfinite(best) else float("nan")
