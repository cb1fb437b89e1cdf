"""Stretches of a track on which the evidence speaks for a train."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

COUPLING_M = 3.0
"""Dips shorter than half of this, over the couplings between cars, are smoothed away."""
END_CAR_M = 16.0
SWITCH_COST = 10.0
BOUND = 4.0
"""Evidence per step is taken relative to the level of empty track and bounded, so that the path follows the many."""
MOST = 12.0
"""No step says more for a train than this: one bright sample must not carry a whole window."""


def shortest_train_m(gsd_m: float) -> float:
    """The shortest train looked for: a railcar where it can be seen, else what fills enough pixels."""
    return max(11.0, 10.0 * gsd_m)


@dataclass(frozen=True)
class Level:
    """What empty track gives at a scene."""

    middle: float
    """Evidence per step."""
    turn: float
    """Evidence from which a step counts for a train: between that of empty track and even odds."""


def empty_level(scores: Sequence[NDArray[np.float32]], visible: Sequence[NDArray[np.bool_]]) -> Level:
    """Measure the evidence of plain empty track at a scene by the low quantiles over all its tracks."""
    values = np.concatenate([s[v] for s, v in zip(scores, visible, strict=True)])
    if len(values) < 20:
        return Level(-2.0, 0.0)
    low, middle = (float(q) for q in np.quantile(values, [0.05, 0.25]))
    middle = min(middle, -0.5)
    return Level(middle, min(max(0.5 * middle, middle + 2.0 * (middle - low)), 0.0))


def segments(
    score: NDArray[np.float32], visible: NDArray[np.bool_], step_m: float, *, gsd_m: float, level: Level
) -> list[tuple[int, int]]:
    """Split a track into empty and occupied by the best path through two states.

    A change of state costs as much as a few steps' evidence (Viterbi, IEEE Trans. Inf. Theory 1967), so that single
    samples neither make a train nor cut one. A step counts for the train when it is nearer to even odds than to what
    empty track gives: a car of the ballast's own colour inside a train is not a gap.

    Parameters
    ----------
    score : (S,) log-likelihood ratio per step.
    visible : (S,) steps that could be judged; the others speak weakly against a train.
    level : what empty track gives at this scene, from `empty_level`.

    Returns
    -------
    [first, last) steps of each occupied stretch that is long enough.
    """
    cost = SWITCH_COST if gsd_m <= 1.3 else 0.6 * SWITCH_COST
    window = max(int(round(COUPLING_M / step_m)) // 2 * 2 + 1, 1)
    smooth = ndimage.median_filter(score.astype(np.float64), window, mode="nearest")
    relative = (smooth - level.turn) * min(1.0, BOUND / abs(level.middle))
    evidence = np.where(visible, np.clip(relative, -BOUND, BOUND), -0.3)
    count = len(evidence)
    back = np.zeros((count, 2), dtype=bool)
    empty, taken = 0.0, -cost
    for i, value in enumerate(evidence.tolist()):
        back[i, 0] = taken - cost > empty
        back[i, 1] = empty - cost > taken
        empty, taken = max(empty, taken - cost), max(taken, empty - cost) + value
    shortest = max(int(0.5 * shortest_train_m(gsd_m) / step_m), 1)
    sure = visible & (smooth > 0)
    runs = [_trimmed(run, sure, step_m) for run in _runs(back, taken > empty, visible, shortest)]
    return [run for run in runs if sure[run[0] : run[1]].sum() >= shortest]


def _trimmed(run: tuple[int, int], sure: NDArray[np.bool_], step_m: float) -> tuple[int, int]:
    """Draw the ends of a run in to where the evidence is sure, over at most a car's length.

    Beyond the last car lies its shadow; a last car of the ballast's own colour stays.
    """
    reach = round(END_CAR_M / step_m)
    first, last = run
    ahead = np.flatnonzero(sure[first : min(first + reach, last)])
    behind = np.flatnonzero(sure[max(last - reach, first) : last][::-1])
    return first + (int(ahead[0]) if len(ahead) else 0), last - (int(behind[0]) if len(behind) else 0)


def _runs(back: NDArray[np.bool_], state: bool, visible: NDArray[np.bool_], shortest: int) -> list[tuple[int, int]]:
    """Walk the path back, and cut its runs down to what was seen."""
    path = np.zeros(len(back), dtype=bool)
    for i in range(len(back) - 1, -1, -1):
        path[i] = state
        if back[i, int(state)]:
            state = not state
    labels, found = ndimage.label(path)
    runs = []
    for piece in ndimage.find_objects(labels, max_label=found):
        seen = np.flatnonzero(visible[piece[0]]) + piece[0].start
        if len(seen) >= shortest:
            runs.append((int(seen[0]), int(seen[-1]) + 1))
    return runs


def weighed(score: NDArray[np.float32]) -> NDArray[np.float64]:
    """Bound evidence for a train, and draw strong evidence against one together: empty is empty."""
    against = -3 * np.log1p(np.maximum(-score, 0) / 3)
    return np.asarray(np.where(score < 0, against, np.minimum(score, MOST)), dtype=np.float64)


def window_statistic(score: NDArray[np.float32], visible: NDArray[np.bool_], step_m: float, *, gsd_m: float) -> float:
    """Strongest evidence of a stretch at least one train long: the maximum of windowed sums, four lengths tried.

    Longer windows are scaled by the square root of their length, as noise adds; NaN where no window can be seen.
    """
    shortest = max(int(round(shortest_train_m(gsd_m) / step_m)), 1)
    best = -np.inf
    total = np.concatenate([[0.0], np.cumsum(np.where(visible, weighed(score), 0), dtype=np.float64)])
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
