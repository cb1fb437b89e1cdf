"""Training rows: what is shown of each car the detector finds, and what kind it truly is."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rail_watch.interpret.kinds import FEATURES, KINDS, describe_cars
from rail_watch.interpret.rounds import solve
from rail_watch.interpret.segments import segments
from rail_watch.interpret.trains import COUPLED_M, _merged, _train
from rail_watch.interpret.yard import visible_steps
from scripts.train_network.seeds import Drawn
from scripts.train_network.series import LabelledYard, labelled_yards

Array = NDArray[np.float64]
Cars = Mapping[tuple[str, str], list[Mapping[str, Any]]]

LIKE = {"hopper": "gondola", "container": "flat", "passenger": "other", "small": "other"}
"""Kinds that are told as another, which from above they look like."""


@dataclass(frozen=True)
class Rows:
    """Cars of one series."""

    features: Array
    """(n, features)"""
    kinds: NDArray[np.int_]
    """(n,) index into `KINDS`."""


def kind_of(truth: str) -> str:
    """Name the kind of a car as the truth of either renderer calls it: "boxcar-long", "gondola-covered", "hopper"."""
    stem = truth.split("-", maxsplit=1)[0].replace("boxcar", "box")
    stem = LIKE.get(stem, stem)
    return stem if stem in KINDS else "other"


def cars_of_truth(folder: Path) -> Cars:
    """Return the true cars by scene and track."""
    document = json.loads((folder / "truth.json").read_text(encoding="utf-8"))
    return {
        (scene["id"], track["track"]): [car for train in track["trains"] for car in train.get("cars", ())]
        for scene in document["scenes"]
        for track in scene["tracks"]
    }


def true_kind(cars: list[Mapping[str, Any]], start_m: float, end_m: float) -> str | None:
    """Return the kind of the car that fills more than half of a stretch; None where none does."""
    for car in cars:
        if min(end_m, car["end_m"]) - max(start_m, car["start_m"]) > 0.5 * (end_m - start_m):
            return kind_of(car["kind"])
    return None


def rows_of(series: Drawn, work: Path) -> Rows:
    """Find the trains of a series as `detect` does, whatever their p-values, and describe those cars that are cars."""
    folder = series.folder(work)
    truth = cars_of_truth(folder)
    pairs = [pair for labelled in labelled_yards(folder) for pair in _described(labelled, truth)]
    if not pairs:
        return Rows(np.zeros((0, len(FEATURES))), np.zeros(0, dtype=np.int_))
    return Rows(np.array([row for row, _ in pairs]), np.array([KINDS.index(kind) for _, kind in pairs]))


def _described(labelled: LabelledYard, truth: Cars) -> Iterator[tuple[Array, str]]:
    yard, models = labelled.yard, solve(labelled.yard)
    for k, t in np.ndindex(len(yard.strips), yard.times):
        model, strip = models[t], yard.strips[k]
        if model is None:
            continue
        cars = truth.get((labelled.scenes[t], strip.track), [])
        found = segments(yard.score[k][t], visible_steps(yard, k, t), strip.step_m, gsd_m=yard.gsd_m)
        for run in _merged(found, strip.step_m, gap_m=COUPLED_M):
            train = _train(yard, model, (k, t), run, 0.0)
            if len(train.edges_m) < 2:
                continue
            features, seen = describe_cars(yard, labelled.stack, labelled.site, model, train)
            for row, share, ends in zip(features, seen, pairwise(train.edges_m), strict=True):
                kind = true_kind(cars, *ends)
                if kind is not None and share >= 0.5:
                    yield row, kind
