"""Series of lone trains: each track is empty or holds one, none beside another, of lengths about a detection limit.

Lengths are drawn evenly in their logarithm from 0.3 to 5 times the shortest train looked for; railcars are shortened
or lengthened to fit. So what is missed was too short to be seen, and not hidden, joined with another or taken for one
on the next track.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np

from tests.other_renderer import series
from tests.other_renderer.trains import Dispatcher, Train, make_train
from tests.other_renderer.write import render_series
from tests.other_renderer.yard import Track

SHORTEST, LONGEST = 0.3, 5.0
"""Lengths, in units of the shortest train that is looked for."""
LEAST_M, LEAST_GSDS = 11.0, 10.0
"""That length: a railcar, or so many pixels."""
OCCUPIED = 0.5
"""Share of the tracks with an empty one before them."""
CAR_M = 14.5
SCENES = 10


class Lone(Dispatcher):
    """Puts one train on a track at most, a new one each time."""

    def step(self, tracks: tuple[Track, ...], before: dict[str, list[Train]]) -> dict[str, list[Train]]:
        """Where trains stand next."""
        out: dict[str, list[Train]] = {}
        taken = False
        for track in tracks:
            taken = not taken and self.rng.random() < OCCUPIED
            out[track.id] = self._one(track) if taken else []
        return out

    def _one(self, track: Track) -> list[Train]:
        rng, room = self.rng, track.stand[1] - track.stand[0]
        unit = max(LEAST_M, LEAST_GSDS * self.gsd)
        length = min(unit * float(np.exp(rng.uniform(np.log(SHORTEST), np.log(LONGEST)))), 0.9 * room)
        self.made += 1
        train = make_train(rng, f"c{self.made}", max(round(length / CAR_M), 1), self.ballast)
        fit = length / train.length
        cars = tuple(replace(car, length=car.length * fit, gap=car.gap * fit) for car in train.cars)
        return [replace(train, cars=cars, start=float(track.stand[0] + rng.uniform(0, room - length)))]


def render_lone(gsd: float, seed: int, folder: Path, scenes: int | None = None) -> Path:
    """Draw one series of lone trains."""
    with mock.patch.object(series, "Dispatcher", Lone):
        return render_series(gsd, seed, folder, scenes or SCENES)
