"""Training rows: the sections of every track at every scene, with what is true at each step.

Each series is described twice, as the detector's two rounds see it: with the first guess of empty track, and with the
trains left out of it. What the second round leaves out is the truth with the mistakes a first round makes: a train
overlooked, one too many, ends some steps off. A network taught on the bare truth would trust its baseline too far.

Control strips, beside the tracks where no train can stand, are taught as empty: what lies there (fields, bushes, roads,
half-melted snow) is what a network that has seen nothing but track takes for trains.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rail_watch.errors import BadInput
from rail_watch.evaluate.truth import TrueTrack
from rail_watch.interpret.controls import control_yard
from rail_watch.interpret.describe import sections_of
from rail_watch.interpret.rounds import ROUNDS, TAKEN, fit_scenes
from rail_watch.interpret.share import beside_steps
from rail_watch.interpret.strips import FINE_GSD_M
from rail_watch.interpret.yard import Yard, as_fitted, visible_steps
from scripts.train_network.seeds import RENDERERS, Drawn
from scripts.train_network.series import LabelledYard, TrackTruth, labelled_yards

Labels = NDArray[np.int8]
Mask = NDArray[np.bool_]

UNKNOWN = -1
SEEN_ENOUGH = 0.6
"""A train of which less is in view is neither taught nor counted as empty track."""
LEAST_GAP_STEPS = 0.75
"""A gap between cars is taught this far to either side of its middle at least."""
OVERLOOKED, IMAGINED = 0.08, 0.08
"""How often a train is overlooked, and how often a track gets one that is not there."""
ENDS_OFF = 3
"""Steps by which ends are off at most."""


@dataclass(frozen=True)
class Row:
    """One track at one scene in one round."""

    sections: NDArray[np.float16]
    """(S, F) as `describe` gives them."""
    occupied: Labels
    """(S,) 1 a train, 0 empty, -1 not known or not seen."""
    other: Labels
    """(S,) at fine GSD 1 between two cars; at coarser GSD 1 where a train stands here or on a track beside."""
    round: int
    strip: int
    """Which track of the series: rows of one track and one round are of different scenes."""


def occupied_steps(truth: TrackTruth | None, along_m: NDArray[np.float64]) -> Labels:
    """(S,) 1 where a train stands, 0 where none does, -1 where that is not known or the train is hardly in view."""
    if truth is None:
        return np.full(len(along_m), UNKNOWN, np.int8)
    out = np.zeros(len(along_m), np.int8)
    for train in truth.track.trains:
        inside = (along_m >= train.start_m) & (along_m <= train.end_m)
        out[inside] = 1 if train.visible_fraction > SEEN_ENOUGH else UNKNOWN
    return out


def coupling_steps(truth: TrackTruth | None, along_m: NDArray[np.float64], step_m: float) -> Labels:
    """(S,) 1 between two cars."""
    out = np.zeros(len(along_m), np.int8)
    for start, end in truth.gaps_m if truth is not None else ():
        half = max((end - start) / 2, LEAST_GAP_STEPS * step_m)
        out[np.abs(along_m - (start + end) / 2) <= half] = 1
    return out


def shared_steps(labelled: LabelledYard, k: int, t: int, own: Labels) -> Labels:
    """(S,) 1 where a train stands on strip k or a track that shares its evidence, -1 where that is not known."""
    out, unknown = own == 1, own == UNKNOWN
    for near in labelled.yard.near[k]:
        step, beside = beside_steps(near, gsd_m=labelled.yard.gsd_m)
        other = occupied_steps(labelled.of(near.index, t), labelled.yard.strips[near.index].along_m)[step]
        out |= beside & (other == 1)
        unknown |= beside & (other == UNKNOWN)
    return np.where(out, 1, np.where(unknown, UNKNOWN, 0)).astype(np.int8)


def mistaken(occupied: Mask, rng: np.random.Generator) -> Mask:
    """(T, S) truth with the mistakes of a first round. occupied: (T, S)."""
    return np.stack([_mistaken(row, rng) for row in occupied])


def _mistaken(row: Mask, rng: np.random.Generator) -> Mask:
    out, steps = np.zeros_like(row), len(row)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], row, [False]]).astype(np.int8)))
    for first, last in edges.reshape(-1, 2).tolist():
        if rng.random() >= OVERLOOKED:
            before, after = rng.integers(-ENDS_OFF, ENDS_OFF + 1, 2).tolist()
            out[max(first + before, 0) : max(last + after, 0)] = True
    if rng.random() < IMAGINED:
        length = int(rng.integers(steps // 20 + 2, steps // 5 + 4))
        start = int(rng.integers(0, max(steps - length, 1)))
        out[start : start + length] = True
    return out


def _described(labelled: LabelledYard, round_number: int, first_strip: int) -> Iterator[Row]:
    yard = labelled.yard
    yard.radiometry = as_fitted(yard.radiometry, fit_scenes(yard))
    models = fit_scenes(yard)
    scenes = [t for t, model in enumerate(models) if model is not None]
    for k, strip in enumerate(yard.strips):
        for t, sections in zip(scenes, sections_of(yard, models, k), strict=True):
            truth, visible = labelled.of(k, t), visible_steps(yard, k, t)
            occupied = occupied_steps(truth, strip.along_m)
            if yard.gsd_m <= FINE_GSD_M:
                other = coupling_steps(truth, strip.along_m, strip.step_m)
            else:
                other = np.where(visible, shared_steps(labelled, k, t, occupied), UNKNOWN)
            occupied = np.where(visible, occupied, UNKNOWN)
            labels = (part.astype(np.int8) for part in (occupied, other))
            yield Row(sections.astype(np.float16), *labels, round_number, first_strip + k)


def _leave_out_trains(labelled: LabelledYard, first: Sequence[NDArray[np.float32]], rng: np.random.Generator) -> None:
    """Set the yard as a first round leaves it. first: [strip] (T, S) weights as empty track before any round."""
    yard: Yard = labelled.yard
    for k, strip in enumerate(yard.strips):
        truth = [occupied_steps(labelled.of(k, t), strip.along_m) == 1 for t in range(yard.times)]
        yard.occupied[k] = mistaken(np.stack(truth), rng)
        yard.empty[k] = np.where(yard.occupied[k], TAKEN, np.maximum(first[k], 0.3)).astype(np.float32)


def rows_of(labelled: LabelledYard, rng: np.random.Generator, *, first_strip: int) -> Iterator[Row]:
    """Yield the training rows of one yard, round by round; works on the yard in place."""
    first = [weights.copy() for weights in labelled.yard.empty]
    for round_number in range(ROUNDS):
        if round_number:
            _leave_out_trains(labelled, first, rng)
        yield from _described(labelled, round_number, first_strip)


def control_rows(labelled: LabelledYard, rng: np.random.Generator, *, first_strip: int) -> Iterator[Row]:
    """Yield the rows of the series' control strips, all of them empty; none where the site has no room for any."""
    yard = control_yard(labelled.stack, labelled.site, labelled.radiometry)
    if yard is not None:
        truth = {
            (scene, strip.track): TrackTruth(TrueTrack(strip.track, 1.0, 1.0, ()), ())
            for scene in labelled.scenes
            for strip in yard.strips
        }
        yield from rows_of(replace(labelled, yard=yard, truth=truth), rng, first_strip=first_strip)


def write_sections(series: Drawn, work: Path) -> int:
    """Describe one series and write its rows; returns how many."""
    rng = np.random.default_rng([series.seed, RENDERERS.index(series.renderer)])
    rows: list[Row] = []
    for labelled in labelled_yards(series.folder(work)):
        for rows_from in (control_rows, rows_of):  # the first leaves the yard as it is
            rows += rows_from(labelled, rng, first_strip=1 + max((row.strip for row in rows), default=-1))
    if not rows:
        raise BadInput(f"{series.folder(work)}: shows no track; draw the series again")
    file = series.sections(work)
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    with part.open("wb") as stream:
        np.savez(
            stream,
            sections=np.concatenate([row.sections for row in rows]),
            occupied=np.concatenate([row.occupied for row in rows]),
            other=np.concatenate([row.other for row in rows]),
            steps=np.array([len(row.occupied) for row in rows]),
            round=np.array([row.round for row in rows]),
            strip=np.array([row.strip for row in rows]),
        )
    part.rename(file)
    return len(rows)


def read_sections(file: Path) -> list[Row]:
    """Read the rows of one series."""
    with np.load(file, allow_pickle=False) as data:
        cuts = np.cumsum(data["steps"])[:-1]
        parts = [np.split(data[name], cuts) for name in ("sections", "occupied", "other")]
        places = (data["round"].tolist(), data["strip"].tolist())
    return [Row(*row) for row in zip(*parts, *places, strict=True)]
