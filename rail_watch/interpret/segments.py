"""Stretches of a track on which the evidence speaks for a train, and how strongly a look does as a whole."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

SWITCH_COST = 8.0
"""Log odds that a change between empty and occupied must gain: neighbouring steps do not speak independently."""
BOUND = 4.0
"""Log odds per step are bounded, so that the path follows the many."""
MOST = 12.0
"""No step says more for a train than this."""
UNSEEN = -0.1
"""Steps that could not be judged speak weakly against a train: what is hidden between two stretches of train is sooner
more of it than the gap between two."""


def shortest_train_m(gsd_m: float) -> float:
    """The shortest train looked for: a railcar where it can be seen, else what fills enough pixels."""
    return max(11.0, 10.0 * gsd_m)


def segments(
    score: NDArray[np.float32], visible: NDArray[np.bool_], step_m: float, *, gsd_m: float
) -> list[tuple[int, int]]:
    """Split a track into empty and occupied by the best path through two states.

    A change of state costs as much as a few steps' evidence (Viterbi, IEEE Trans. Inf. Theory 1967), so that single
    samples neither make a train nor cut one.

    Parameters
    ----------
    score : (S,) log odds of a train per step.
    visible : (S,) steps that could be judged; the others speak weakly against a train.

    Returns
    -------
    [first, last) steps of each occupied stretch that is long enough.
    """
    evidence = np.where(visible, np.clip(score.astype(np.float64), -BOUND, BOUND), UNSEEN)
    if float(evidence[evidence > 0].sum()) < 0.99 * SWITCH_COST:
        return []  # not enough for one change of state
    back = []
    empty, taken = 0.0, -SWITCH_COST
    for value in evidence.tolist():
        ended, begun = taken - SWITCH_COST > empty, empty - SWITCH_COST > taken
        back.append((ended, begun))
        empty, taken = taken - SWITCH_COST if ended else empty, (empty - SWITCH_COST if begun else taken) + value
    shortest = max(int(0.5 * shortest_train_m(gsd_m) / step_m), 1)
    return _runs(back, taken > empty, visible, shortest)


def _runs(
    back: Sequence[tuple[bool, bool]], state: bool, visible: NDArray[np.bool_], shortest: int
) -> list[tuple[int, int]]:
    """Walk the path back, and cut its runs down to what was seen."""
    path = np.zeros(len(back), dtype=bool)
    for i in range(len(back) - 1, -1, -1):
        path[i] = state
        if back[i][state]:
            state = not state
    labels, found = ndimage.label(path)
    runs = []
    for piece in ndimage.find_objects(labels, max_label=found):
        seen = np.flatnonzero(visible[piece[0]]) + piece[0].start
        if len(seen) >= shortest:
            runs.append((int(seen[0]), int(seen[-1]) + 1))
    return runs


def window_statistic(score: NDArray[np.float32], visible: NDArray[np.bool_], step_m: float, *, gsd_m: float) -> float:
    """Strongest evidence of a stretch at least one train long: the maximum of windowed means, three lengths tried.

    NaN where no window can be seen.
    """
    shortest = max(int(round(shortest_train_m(gsd_m) / step_m)), 1)
    total = np.concatenate([[0.0], np.cumsum(np.where(visible, np.minimum(score, MOST), 0), dtype=np.float64)])
    seen = np.concatenate([[0.0], np.cumsum(visible, dtype=np.float64)])
    best = -np.inf
    for times in (1, 2, 4):
        width = shortest * times
        if width > len(score):
            break
        count = seen[width:] - seen[:-width]
        enough = count >= 0.6 * width
        if enough.any():
            means = (total[width:] - total[:-width])[enough] / count[enough]
            best = max(best, float(means.max()))
    return best if np.isfinite(best) else float("nan")
