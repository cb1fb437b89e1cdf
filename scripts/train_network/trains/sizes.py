"""Measure how far true lengths, counts and detection limits lie from those said, on held-out series."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import numpy as np
from numpy.typing import NDArray

from rail_watch.errors import BadInput
from rail_watch.evaluate.figures import sure_ratio
from rail_watch.evaluate.score import IN_VIEW, SHOWN
from rail_watch.evaluate.standards import standards_for
from rail_watch.evaluate.truth import TrueTrain
from rail_watch.interpret import limits, rounds, trains
from rail_watch.interpret.controls import controls_of
from rail_watch.interpret.limits import detection_limits
from rail_watch.interpret.looks import Looks, judge
from rail_watch.interpret.network import Network
from rail_watch.interpret.null import EmptyLaws
from rail_watch.interpret.sizes import SizeErrors
from rail_watch.interpret.strips import FINE_GSD_M, MIDDLE_GSD_M
from rail_watch.interpret.trains import Train, trains_of
from scripts.train_network.seeds import LONE
from scripts.train_network.series import LabelledYard, labelled_yards
from scripts.train_network.trains.measure import NEAR_COARSE_M, NEAR_M, RATE

Array = NDArray[np.float64]

FEWEST, FEWEST_ALONE = 30, 20
"""Fewer trains give no quantiles, and fewer that stand alone no limit."""
TAIL = 0.025
NOTHING_KNOWN = SizeErrors(*(np.zeros(2) for _ in range(5)), np.ones(()))


@dataclass(frozen=True)
class Pair:
    """One train said, and the true one it is."""

    said: Train
    true: TrueTrain


@dataclass(frozen=True)
class Case:
    """One true train, the detection limit stated there, and whether it was found."""

    length_m: float
    limit_m: float
    found: bool


def compared(folder: Path, network: Network, laws: EmptyLaws) -> tuple[list[Pair], list[Case]]:
    """Look at a series as `detect` does, and hold what it says against the truth."""
    pairs: list[Pair] = []
    cases: list[Case] = []
    for labelled in labelled_yards(folder):
        with ExitStack() as patches:
            for module in (rounds, limits):
                patches.enter_context(mock.patch.object(module, "load_network", return_value=network))
            for module in (trains, limits):
                patches.enter_context(mock.patch.object(module, "load_size_errors", return_value=NOTHING_KNOWN))
            # Limits as trains put in have them: neither set right nor held to the shortest train looked for.
            patches.enter_context(mock.patch.object(limits, "_stated", side_effect=lambda found_m, **_: found_m))
            models = rounds.solve(labelled.yard)
            looks = judge(
                labelled.yard, models, controls_of(labelled.stack, labelled.site, labelled.radiometry), known=laws
            )
            said = trains_of(labelled.yard, looks, models, false_alarm_rate=RATE)
            stated = detection_limits(labelled.yard, looks, models, false_alarm_rate=RATE)
        own = [pair for train in said if (pair := _pair(labelled, train)) is not None]
        pairs += own
        cases += _cases(labelled, said, looks, stated)
    return pairs, cases


def _common(said: Train, true: TrueTrain) -> float:
    return max(min(said.end_m, true.end_m) - max(said.start_m, true.start_m), 0.0)


def _overlap(said: Train, true: TrueTrain) -> float:
    return _common(said, true) / (max(said.end_m, true.end_m) - min(said.start_m, true.start_m))


def _near(labelled: LabelledYard, k: int) -> list[int]:
    """Strips that pixels do not tell from strip k, and itself."""
    strips, gsd_m = labelled.yard.strips, labelled.yard.gsd_m
    reach = 0.0 if gsd_m <= FINE_GSD_M else NEAR_M if gsd_m <= MIDDLE_GSD_M else NEAR_COARSE_M
    return [j for j, strip in enumerate(strips) if j == k or strip.line.distance(strips[k].line) < reach]


def _pair(labelled: LabelledYard, said: Train) -> Pair | None:
    """Find the true train that overlaps most with one said, on its track or, at coarser GSD, one beside it."""
    standards = standards_for(labelled.yard.gsd_m)
    known = [truth for k in _near(labelled, said.strip) if (truth := labelled.of(k, said.scene)) is not None]
    candidates = [
        true for truth in known for true in truth.track.trains if true.visible_fraction >= standards.train_seen
    ]
    best = max(candidates, key=lambda true: _overlap(said, true), default=None)
    return Pair(said, best) if best is not None and _overlap(said, best) >= standards.iou else None


def _cases(labelled: LabelledYard, said: Sequence[Train], looks: Looks, stated: Array) -> Iterator[Case]:
    """Trains alone where their pixels are, on tracks wholly in view: others are missed or found for other reasons."""
    for k, t in np.argwhere(np.isfinite(stated) & (looks.visible_fraction >= IN_VIEW)).tolist():
        near = _near(labelled, k)
        known = [truth for j in near if (truth := labelled.of(j, t)) is not None]
        trains = [true for truth in known for true in truth.track.trains]
        here = [train for train in said if train.scene == t and train.strip in near]
        own = labelled.of(k, t)
        if len(trains) != 1 or own is None or own.track.trains != (trains[0],):
            continue
        shown = sum(_common(train, trains[0]) for train in here)
        yield Case(trains[0].length_m, float(stated[k, t]), shown >= SHOWN * trains[0].length_m)


def size_errors_of(pairs: Sequence[Pair]) -> SizeErrors:
    """Quantiles of errors for short and long trains; nothing yet of detection limits.

    Raises
    ------
    BadInput
        Fewer than `FEWEST` trains were found.
    """
    if len(pairs) < FEWEST:
        raise BadInput(f"only {len(pairs)} trains found, intervals need {FEWEST}: draw more held-out series")
    ordered = sorted(pairs, key=lambda pair: pair.said.length_m)
    halves = ordered[: len(ordered) // 2], ordered[len(ordered) // 2 :]
    length = np.array([[np.median([pair.said.length_m for pair in half])] for half in halves])[:, 0]
    metres = [[pair.true.length_m - pair.said.length_m for pair in half] for half in halves]
    cars = [
        [
            float(pair.true.railcars - pair.said.count.count)
            for pair in half
            if pair.said.count is not None and pair.true.railcars is not None
        ]
        for half in halves
    ]
    shorter, longer = _tails(metres)
    fewer, more = _tails(cars)
    return SizeErrors(length, shorter, longer, fewer, more, np.ones(()))


def _tails(errors: Iterable[Sequence[float]]) -> tuple[Array, Array]:
    """(2,) lower and (2,) upper quantile of each half, those of a finite sample: the next rank outwards."""
    low, high = [], []
    for half in errors:
        low.append(min(float(np.quantile(half, TAIL, method="lower")), 0.0) if half else 0.0)
        high.append(max(float(np.quantile(half, 1 - TAIL, method="higher")), 0.0) if half else 0.0)
    return np.array(low), np.array(high)


def limit_factor(cases: Sequence[Case]) -> float:
    """Multiple of the stated limit at which 90 % of true trains are shown; 1 where that cannot be told.

    Raises
    ------
    BadInput
        Fewer than `FEWEST_ALONE` trains stand alone.
    """
    if len(cases) < FEWEST_ALONE:
        raise BadInput(f"only {len(cases)} trains stand alone, limits need {FEWEST_ALONE}: draw more {LONE!r} series")
    ratios = np.array([case.length_m / case.limit_m for case in cases])
    return sure_ratio(ratios, np.array([case.found for case in cases], dtype=bool)) or 1.0


def sizes_table(name: str, errors: SizeErrors, *, trains: int) -> str:
    """Lay the errors of one class out as a Markdown table."""
    rows = []
    for i, what in enumerate(("short", "long")):
        metres = f"{errors.shorter_m[i]:+.1f} to {errors.longer_m[i]:+.1f} m"
        rows.append((f"errors of {what} trains, about {errors.length_m[i]:.0f} m", metres))
        if errors.fewer.any() or errors.more.any():
            rows.append((f"errors of their counts, {what} trains", f"{errors.fewer[i]:+.0f} to {errors.more[i]:+.0f}"))
    return "\n".join([f"| {name}: {trains} trains found | |", "|---|---|", *(f"| {a} | {b} |" for a, b in rows)])


def limits_table(name: str, cases: Sequence[Case], factor: float) -> str:
    """Lay out as a Markdown table on what the factor of detection limits rests."""
    stated = np.quantile([case.limit_m for case in cases], [0.1, 0.5, 0.9])
    rows = [
        ("trains that stand alone", f"{len(cases)}"),
        ("of these found", f"{sum(case.found for case in cases)}"),
        (
            "limits of trains put in: a tenth, half, nine tenths below",
            ", ".join(f"{metres:.0f} m" for metres in stated),
        ),
        ("measured over found detection limit", f"{factor:.2f}"),
    ]
    return "\n".join([f"| {name} | |", "|---|---|", *(f"| {a} | {b} |" for a, b in rows)])
