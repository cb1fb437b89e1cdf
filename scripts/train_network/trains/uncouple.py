"""Trains near one another: a stretch of a train gives way to the same track as another scene shows it empty.

Drawn trains stand where there is room. In a busy yard two stand a few metres apart, and whether that is one train or
two shows in a few pixels only; so such places are made, and count for more than others.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from rail_watch.interpret.sections import SCALARS
from rail_watch.interpret.strips import FINE_GSD_M, steps_for

UNCOUPLED = 0.3
"""Share of looks at which a train is taken apart."""
LEFT_M = 12.0
"""So much of a train is left on either side, or two pixels where they are wider."""
LONGEST_GAP_M = 40.0
ALIKE = {"likeness to the reference": 0.25, "noise": 0.6}
"""Scenes differ by no more than this where ground of one is laid into another."""
NEAR_M = 30.0
"""Trains nearer than this to one another have their gap weighed."""
WEIGHT = 3.0


def uncoupled(
    sections: Tensor, labels: tuple[Tensor, Tensor], rng: np.random.Generator, *, scenes: int, gsd_m: float
) -> None:
    """Take trains of some looks apart, in place.

    Parameters
    ----------
    sections : (N, F, S), `scenes` of each track one after the other.
    labels : (N, S) trains, and gaps between cars or trains near by, as `Row` has them.
    gsd_m : of the class.
    """
    step = steps_for(gsd_m)[0]
    for i in np.flatnonzero(rng.random(len(sections)) < UNCOUPLED).tolist():
        first = i // scenes * scenes
        donors = [j for j in range(first, first + scenes) if j != i and _alike(sections[i], sections[j])]
        length = float(np.exp(rng.uniform(np.log(max(2.0, 0.8 * gsd_m)), np.log(max(LONGEST_GAP_M, 6 * gsd_m)))))
        place = _place(labels, i, max(round(length / step), 1), rng, gsd_m=gsd_m)
        if place is None:
            continue
        around = slice(max(place.start - 2, 0), place.stop + 2)
        empty = [j for j in donors if bool((labels[0][j, around] == 0).all())]
        if empty:
            _replace(sections, labels, (i, int(rng.choice(empty))), place, gsd_m=gsd_m)


def _alike(one: Tensor, other: Tensor) -> bool:
    start = len(one) - len(SCALARS)
    return all(
        abs(float(one[start + SCALARS.index(name), 0] - other[start + SCALARS.index(name), 0])) < most
        for name, most in ALIKE.items()
    )


def _place(
    labels: tuple[Tensor, Tensor], i: int, length: int, rng: np.random.Generator, *, gsd_m: float
) -> slice | None:
    """Return where a train of look i can lose so many steps: after a car's end, where these show."""
    occupied, other = (part[i].numpy() for part in labels)
    left = max(round(max(LEFT_M, 2 * gsd_m) / steps_for(gsd_m)[0]), 1)
    width = length + 2 * left
    taken = np.concatenate([[0], np.cumsum(occupied == 1)])
    starts = (
        np.flatnonzero(taken[width:] - taken[:-width] == width) + left if len(occupied) >= width else np.empty(0, int)
    )
    if gsd_m <= FINE_GSD_M:
        starts = starts[other[starts] == 1]
    if starts.size == 0:
        return None
    start = int(rng.choice(starts))
    return slice(start, start + length)


def _replace(
    sections: Tensor, labels: tuple[Tensor, Tensor], looks: tuple[int, int], place: slice, *, gsd_m: float
) -> None:
    i, j = looks
    channels = sections.shape[1] - len(SCALARS)
    share = torch.zeros(1, 1, sections.shape[-1])
    share[..., place] = 1.0
    for _ in range(1 if gsd_m <= FINE_GSD_M else 2):  # a pixel spreads the light of what stands beside it
        share = functional.avg_pool1d(share, 3, 1, 1)
    share = share[0]
    sections[i, :channels] += share * (sections[j, :channels] - sections[i, :channels])
    labels[0][i, place] = 0
    labels[1][i, place] = 0 if gsd_m <= FINE_GSD_M else -1


def weights_of(occupied: Tensor, *, gsd_m: float) -> Tensor:
    """(N, S) how much each step counts: more between trains that stand near one another, and at their ends."""
    step = steps_for(gsd_m)[0]
    reach = max(round(NEAR_M / 2 / step), 1)
    train = (occupied == 1).float()[:, None]
    near = functional.max_pool1d(train, 2 * reach + 1, 1, reach)
    closed = -functional.max_pool1d(-near, 2 * reach + 1, 1, reach)  # gaps up to twice the reach are filled
    between = (closed > train)[:, 0]
    return 1.0 + (WEIGHT - 1.0) * between.float()
