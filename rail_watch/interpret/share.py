"""Neighbouring tracks whose pixels are shared: what speaks for a train on either goes to the likelier.

Where pixels are wider than the room between tracks, the sensor mixes them. The evidence that a train stands on one of
two tracks is then stronger than that for either; the track for which more speaks gets all of it, the others keep only
what speaks for themselves.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from rail_watch.interpret.segments import shortest_train_m
from rail_watch.interpret.strips import MIDDLE_GSD_M, Neighbour
from rail_watch.interpret.yard import Yard

Mask = NDArray[np.bool_]

SHARED_M, SHARED_COARSE_M = 6.6, 8.5
"""Tracks nearer than this share evidence, up to 6 m GSD and beyond."""
WINDOW = 2.0
"""The likelier track is chosen over so many shortest trains along it."""


def shared_m(gsd_m: float) -> float:
    """Distance between tracks up to which they share evidence."""
    return SHARED_M if gsd_m <= MIDDLE_GSD_M else SHARED_COARSE_M


def beside_steps(near: Neighbour, *, gsd_m: float) -> tuple[NDArray[np.int32], Mask]:
    """(S,) nearest step of the other track, and (S,) whether it is near enough to share evidence."""
    middle = near.offset_m.shape[1] // 2
    return near.step[:, middle], np.abs(near.offset_m[:, middle]) <= shared_m(gsd_m)


def share_evidence(yard: Yard) -> None:
    """Replace each track's log odds by those of the group where it is the likeliest of the group."""
    own = []
    for k, strip in enumerate(yard.strips):
        width = max(round(WINDOW * shortest_train_m(yard.gsd_m) / strip.step_m), 1)
        own.append(ndimage.uniform_filter1d(yard.score[k], width, axis=1, mode="nearest"))
    for k in range(len(yard.strips)):
        likeliest = np.ones(yard.score[k].shape, dtype=bool)
        for near in yard.near[k]:
            step, beside = beside_steps(near, gsd_m=yard.gsd_m)
            likeliest &= ~beside[None] | (own[near.index][:, step] <= own[k])
        yard.score[k] = np.where(likeliest, yard.other[k], np.minimum(yard.score[k], yard.other[k]))
