"""Series of busy yards: several cuts of cars stand on a track, often only a few metres apart.

The renderer's own trains keep their distance, and whether a few metres of ground between two cars part two trains
shows in a few pixels; what that looks like is learnt and measured on these.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np

from tests.other_renderer.trains import Dispatcher, Train
from tests.other_renderer.write import render_series
from tests.other_renderer.yard import Track

APART_M = (2.0, 40.0)
"""Between two trains, any ratio as often as any other; couplers leave 0.6 to 1.2 m between two cars."""
MOST = 6
"""Trains on a track."""
LONGEST = 24
"""Cars of a train."""


def _fill(self: Dispatcher, track: Track) -> list[Train]:
    rng = self.rng
    begin, end = track.stand
    at = begin + float(rng.uniform(0, 0.3)) * (end - begin)
    placed: list[Train] = []
    for _ in range(int(rng.integers(1, MOST + 1))):
        train = self._draw()
        while train.length > end - at and len(train.cars) > 1:
            train = replace(train, cars=train.cars[: int(len(train.cars) * 0.8)])
        if train.length > end - at:
            break
        placed.append(replace(train, start=at))
        at += train.length + float(np.exp(rng.uniform(*np.log(APART_M))))
    return placed


def _count(self: Dispatcher) -> int:
    return int(np.exp(self.rng.uniform(0, np.log(LONGEST + 1))))


def render_busy(gsd: float, seed: int, folder: Path, scenes: int | None = None) -> Path:
    """Draw one series of a busy yard."""
    with mock.patch.multiple(Dispatcher, _fill=_fill, _count=_count):
        return render_series(gsd, seed, folder, scenes)
