"""Where tracks run together: one train there, on the track along which it goes on.

At a turnout two centre lines lie nearer to one another than a railcar is wide, and what stands there shows on both. Two
trains cannot: beyond the fouling point a vehicle on either would touch one on the other. So a stretch that lies within
such a place alone is taken as part of the train that goes on along the other track, where one does. Lines that run side
by side and never meet are no such place, near as they may be drawn: each is a track, and one of them lies a little off.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from rail_watch.interpret.segments import segments
from rail_watch.interpret.strips import Neighbour
from rail_watch.interpret.yard import Yard, visible_steps

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]

FOULING_M = 3.5
"""Centre lines nearer than this leave no room for vehicles on both: they are 2.9 to 3.3 m wide."""
MEETING_M = 2.0
"""Lines that run together come as near as this somewhere; the nearest tracks side by side lie some 4 m apart, their
lines less by what these are off."""
ITS_OWN_M = 10.0
"""A stretch with as much of it clear of the other track stands on its own."""
AHEAD_M = 15.0
"""A train on the other track that begins within this distance is one that goes on there."""
CEDED = -2.0
"""Log odds that are left to the track on which a train does not stand."""


@dataclass(frozen=True)
class _Shared:
    """Steps of a track at which another is within `FOULING_M`."""

    other: int
    here: Mask
    """(S,)"""
    step: NDArray[np.int32]
    """(S,) of the other track."""


def cede_fouled(yard: Yard, scenes: Collection[int]) -> None:
    """Give what stands where tracks run together to the track along which it goes on, in the yard's log odds.

    Decks are no tracks: a track may run along one.
    """
    shared: list[list[_Shared]] = []
    for k, strip in enumerate(yard.strips):
        tracks = [near for near in yard.near[k] if not (strip.is_bridge or yard.strips[near.index].is_bridge)]
        shared.append([part for near in tracks if (part := _shared(near)) is not None])
    fouled = [_any([part.here for part in parts]) for parts in shared]
    for t in scenes:
        for k, parts in enumerate(shared):
            for part in parts:
                if (yard.score[k][t][part.here] > 0).any():
                    _cede(yard, t, k, part, fouled)


def _shared(near: Neighbour) -> _Shared | None:
    middle = near.offset_m.shape[1] // 2
    away = np.nan_to_num(np.abs(near.offset_m[:, middle]), nan=np.inf)
    places, _ = ndimage.label(away <= FOULING_M)
    meeting = np.unique(places[(away <= MEETING_M) & (places > 0)])
    here = np.isin(places, meeting) & (places > 0)
    return _Shared(near.index, here, near.step[:, middle]) if here.any() else None


def _any(masks: list[Mask]) -> Mask | None:
    return np.logical_or.reduce(masks) if masks else None


def _cede(yard: Yard, t: int, k: int, part: _Shared, fouled: list[Mask | None]) -> None:
    strip, own = yard.strips[k], yard.score[k][t]
    for first, last in segments(own, visible_steps(yard, k, t), strip.step_m, gsd_m=yard.gsd_m):
        run = np.zeros(len(own), dtype=bool)
        run[first:last] = True
        inside = run & part.here
        if not inside.any() or int((run & ~part.here).sum()) * strip.step_m >= ITS_OWN_M:
            continue
        steps = part.step[inside]
        theirs = yard.score[part.other][t]
        if float(theirs[steps].mean()) > float(own[inside].mean()) or _goes_on(yard, t, part.other, steps, fouled):
            theirs[steps] = np.maximum(theirs[steps], own[inside])
            own[run] = np.minimum(own[run], CEDED)


def _goes_on(yard: Yard, t: int, k: int, steps: NDArray[np.int32], fouled: list[Mask | None]) -> bool:
    """Whether a train on track k, some of it clear of all others, stands at these steps or near them."""
    strip, clear = yard.strips[k], fouled[k]
    reach = round(AHEAD_M / strip.step_m)
    low, high = int(steps.min()) - reach, int(steps.max()) + reach
    for first, last in segments(yard.score[k][t], visible_steps(yard, k, t), strip.step_m, gsd_m=yard.gsd_m):
        own = last - first - (0 if clear is None else int(clear[first:last].sum()))
        if first <= high and last >= low and own * strip.step_m >= ITS_OWN_M:
            return True
    return False
