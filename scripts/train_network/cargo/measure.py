"""Measure what a network says of bare aprons, and how far its areas and shares are off, on held-out series.

A look is one apron at one scene. From the pieces of each look that lie on bare ground comes the law: how strong the
strongest false piece is. Pieces that are cargo give the errors of areas; looks as a whole those of fills. What
`rail-watch detect` makes of them is scored by `benchmarks/quality.py`, on seeds that nothing here has seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from shapely.geometry import mapping

from rail_watch import aoi
from rail_watch.errors import BadInput
from rail_watch.evaluate.claims import SCHEMA
from rail_watch.evaluate.figures import sure_ratio
from rail_watch.evaluate.score import SceneScore, score
from rail_watch.interpret import cargo
from rail_watch.interpret.cargo import LEAST_AREA_M2, ApronOdds, ApronState, judge_apron, odds_of
from rail_watch.interpret.ground_network import GroundNetwork
from rail_watch.interpret.null import EmptyLaw
from rail_watch.interpret.pieces import CargoTrust, area_interval, pieces_of, pixel_doubt
from scripts.train_network.cargo.rows import LabelledApron, covered_share, labelled_aprons
from scripts.train_network.series import read_truth

Array = NDArray[np.float64]
Labels = NDArray[np.int32]

RATE = 0.01
"""False-alarm rate at which figures are given: the default of `rail-watch detect`."""
FEWEST = 25
"""Fewer looks give no law, fewer pieces no errors."""
NONE = -1.0
"""Statistic of a look that shows no false piece: below that of any piece."""
BODY, KNOTS = 0.9, 40
"""Share of a law taken from ranks, at so many points."""
PRIOR_LOOKS, PRIOR_SCALE = 4.0, 1.5
"""The tail of a law counts this many looks, of this mean excess, beside those measured."""
BARE = 0.1
"""A piece of which a smaller share is truly cargo, and a smaller share a vehicle, lies on bare ground."""
OVERLAP = 0.3
"""Least overlap, intersection over union, for a piece to be a true heap."""
IN_VIEW = 0.98
"""Share of an apron that must be in view for its fill to count."""
SEEN = 0.9
"""Share of a heap that must be in view for it to count."""
INSIDE = 0.95
"""Share of errors that intervals hold."""
SIZES = 5
"""Groups of pieces by size, in each of which intervals of areas hold."""
SIDES = (0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.7, 1.0)
DOUBTS = (0.1, 0.2, 0.3, 0.5, 0.75, 1.0)
"""Values tried for the parts of an interval's half width."""


@dataclass(frozen=True)
class Heap:
    """One true heap in view, and the area of the piece that was found there; None where none was."""

    area_m2: float
    found_m2: float | None
    statistic: float
    """Of that piece."""


@dataclass(frozen=True)
class Look:
    """One apron at one scene."""

    area_m2: float
    """Of open apron in sight, and"""
    bare_m2: float
    """how much of it is bare."""
    odd: bool
    strongest: float
    """Statistic of the strongest piece on bare ground; `NONE` where there is none."""
    heaps: tuple[Heap, ...]
    fill: float
    """Share covered, as said, and"""
    true_fill: float | None
    """as it is; None where too little of the apron is in view."""
    doubt: float
    """How undecided the pixels are."""


@dataclass(frozen=True)
class Looked:
    """One apron over a series, looked at."""

    folder: Path
    labelled: LabelledApron
    odds: tuple[ApronOdds | None, ...]
    looks: tuple[Look, ...]


def looked_at(folder: Path, network: GroundNetwork) -> Iterator[Looked]:
    """Look at every apron of a series with a network of its class of GSD."""
    for labelled in labelled_aprons(folder):
        yield look_at(folder, labelled, network)


def look_at(folder: Path, labelled: LabelledApron, network: GroundNetwork) -> Looked:
    """Look at one apron."""
    with mock.patch.object(cargo, "load_ground_network", return_value=network):
        odds = tuple(odds_of(labelled.window))
    looks = tuple(_look(labelled, shown, t) for t, shown in enumerate(odds) if shown is not None)
    return Looked(folder, labelled, odds, looks)


def _look(labelled: LabelledApron, shown: ApronOdds, t: int) -> Look:
    window = labelled.window
    square = window.gsd_m**2
    ground = np.isfinite(shown.odds)
    pieces = pieces_of(shown.odds, ground, gsd_m=window.gsd_m)
    share, vehicles = labelled.share[t], labelled.vehicles[t]
    index = np.arange(1, len(pieces.area_m2) + 1)
    near = ndimage.maximum_filter(np.maximum(share, vehicles), 3)
    taken = np.asarray(ndimage.mean(near, pieces.labels, index)) if len(index) else np.zeros(0)
    false = (taken < BARE) & (pieces.area_m2 >= LEAST_AREA_M2)
    open_apron = [a for a in labelled.truth[t].aprons if a.apron == window.area.id]
    in_view = bool(open_apron) and open_apron[0].visible_fraction >= IN_VIEW
    probability = 1 / (1 + np.exp(-shown.odds[ground].astype(np.float64)))
    return Look(
        area_m2=float(ground.sum()) * square,
        bare_m2=float(((share < BARE) & ground).sum()) * square,
        odd=shown.odd,
        strongest=float(pieces.statistic[false].max()) if false.any() else NONE,
        heaps=tuple(_heaps(labelled, t, pieces.labels, pieces.area_m2, pieces.statistic)),
        fill=float(probability.mean()) if len(probability) else 0.0,
        true_fill=open_apron[0].fill_fraction if in_view else None,
        doubt=pixel_doubt(probability) if len(probability) else 0.0,
    )


def _heaps(labelled: LabelledApron, t: int, labels: Labels, area_m2: Array, statistic: Array) -> Iterator[Heap]:
    window = labelled.window
    for pile in labelled.truth[t].cargo:
        under = covered_share([pile.polygon], window.grid, window.gsd_m)
        if pile.visible_fraction < SEEN or (under * window.inside).sum() < 0.5 * pile.area_m2 / window.gsd_m**2:
            continue
        pieces = np.unique(labels[(under > 0) & (labels > 0)])
        overlaps = [under[labels == i].sum() / np.maximum(under, labels == i).sum() for i in pieces]
        best = int(np.argmax(overlaps)) if overlaps else -1
        if best < 0 or overlaps[best] < OVERLAP:
            yield Heap(pile.area_m2, None, NONE)
        else:
            piece = int(pieces[best]) - 1
            yield Heap(pile.area_m2, float(area_m2[piece]), float(statistic[piece]))


def fit_law(statistic: Array, area_m2: Array, *, where: str = "") -> EmptyLaw:
    """Fit the law of the strongest false piece: ranks up to `BODY`, an exponential tail above.

    Raises
    ------
    BadInput
        Fewer than `FEWEST` looks.
    """
    if len(statistic) < FEWEST:
        raise BadInput(f"only {len(statistic)} looks at aprons{where}, a law needs {FEWEST}: draw more held-out series")
    start = max(float(np.quantile(statistic, BODY)), 0.0)
    beyond = statistic[statistic > start] - start
    # As many looks pass as were seen to, and one half more: that none was seen does not mean that none will.
    share = 1 - (len(beyond) + 0.5) / (len(statistic) + 1)
    scale = float((beyond.sum() + PRIOR_LOOKS * PRIOR_SCALE) / (len(beyond) + PRIOR_LOOKS))
    mass = np.linspace(0.0, share, KNOTS)[1:-1]
    body = np.concatenate([[NONE - 1.0], np.quantile(statistic[statistic <= start], mass / share), [start]])
    # Knots of the same height are parted by a hair, so that the law can be read both ways.
    rising = np.maximum.accumulate(body + np.arange(len(body)) * 1e-6)
    return EmptyLaw(rising, np.concatenate([[0.0], mass, [share]]), scale, float(np.median(area_m2)))


def laws_of(looks: Sequence[Look]) -> tuple[EmptyLaw, EmptyLaw]:
    """Laws of ground as it usually looks, and of odd ground; where looks at that are few the strongest stand in."""
    bare = [look for look in looks if look.bare_m2 > 0]
    usual, odd = ([look for look in bare if look.odd == state] for state in (False, True))
    if len(odd) < FEWEST:
        odd = odd + sorted(usual, key=lambda look: -look.strongest)[:FEWEST]
    parts = ((usual, ""), (odd, " on odd ground"))
    return tuple(  # type: ignore[return-value]
        fit_law(np.array([look.strongest for look in part]), np.array([look.bare_m2 for look in part]), where=where)
        for part, where in parts
    )


def _narrowest(error: Array, area_m2: Array) -> tuple[float, float]:
    """Return the share of the area and the metres that hold `INSIDE` of errors, of pieces of every size."""
    sizes = np.array_split(np.argsort(area_m2, kind="stable"), max(min(len(area_m2) // FEWEST, SIZES), 1))
    best = (np.inf, 0.0, 0.0)
    for share in SIDES:
        rest = np.sqrt(np.maximum(error**2 - (share * area_m2) ** 2, 0) / area_m2)
        metres = max(float(np.sort(part)[_rank(len(part))]) for part in (rest[size] for size in sizes))
        width = float(np.mean(np.hypot(metres * np.sqrt(area_m2), share * area_m2) / area_m2))
        best = min(best, (width, share, metres))
    return best[1], best[2]


def _rank(count: int) -> int:
    return min(int(np.ceil(INSIDE * (count + 1))), count) - 1


def trust_of(looks: Sequence[Look]) -> CargoTrust:
    """Everything that is to be known of a class: laws, errors of areas and fills, what is surely found.

    Raises
    ------
    BadInput
        Too few looks or pieces.
    """
    usual, odd = laws_of(looks)
    pairs = np.array([(h.area_m2, h.found_m2) for look in looks for h in look.heaps if h.found_m2 is not None])
    if len(pairs) < FEWEST:
        raise BadInput(f"only {len(pairs)} heaps found, intervals need {FEWEST}: draw more held-out series")
    true, said = pairs[:, 0].astype(np.float64), pairs[:, 1].astype(np.float64)
    share, metres = _narrowest(np.abs(said - true), said)
    fills = np.array([(look.fill, look.true_fill, look.doubt) for look in looks if look.true_fill is not None])
    flat, doubt = _flat(np.abs(fills[:, 0] - fills[:, 1]), fills[:, 2])
    trust = CargoTrust(usual, odd, (share, metres), (flat, doubt), np.inf)
    return replace(trust, smallest_m2=_smallest(looks, trust))


def _flat(error: Array, doubt: Array) -> tuple[float, float]:
    """Return the flat part and the multiple of doubt that hold `INSIDE` of the errors of fills."""
    best = (np.inf, 0.0, 0.0)
    for times in DOUBTS:
        flat = max(float(np.sort(error - times * doubt)[_rank(len(error))]), 0.002)
        best = min(best, (float((flat + times * doubt).mean()), flat, times))
    return best[1], best[2]


def found(heap: Heap, look: Look, trust: CargoTrust) -> bool:
    """Whether a heap is found and passes the law."""
    law = trust.odd if look.odd else trust.usual
    p_value = float(law.p_value(np.array(heap.statistic), np.array(look.area_m2)))
    return heap.found_m2 is not None and heap.found_m2 >= LEAST_AREA_M2 and p_value < RATE


def _smallest(looks: Sequence[Look], trust: CargoTrust) -> float:
    cases = [(heap.area_m2, found(heap, look, trust)) for look in looks for heap in look.heaps]
    area, yes = np.array([case[0] for case in cases]), np.array([case[1] for case in cases], dtype=bool)
    at = sure_ratio(area, yes)
    # Larger than nearly all that was looked for, it was not measured.
    return float(at) if at is not None and at <= np.quantile(area, 0.98) else np.inf


def figures_of(looked: Sequence[Looked], trust: CargoTrust) -> dict[str, float]:
    """Say how network and laws do on the series they were measured on."""
    scores = [one for folder in dict.fromkeys(one.folder for one in looked) for one in _scored(folder, looked, trust)]
    hits, misses, false = (sum(getattr(s, f"cargo_{n}") for s in scores) for n in ("found", "missed", "false"))
    looks = [look for one in looked for look in one.looks]
    bare = [look for look in looks if not look.heaps and look.true_fill == 0]
    alarms = sum(
        float((trust.odd if b.odd else trust.usual).p_value(np.array(b.strongest), np.array(b.area_m2))) < RATE
        for b in bare
    )
    pairs = [(h.area_m2, h.found_m2) for k in looks for h in k.heaps if h.found_m2 is not None and found(h, k, trust)]
    inside = [low <= true <= high for true, said in pairs for low, high in [area_interval(said, trust)]]
    errors = [error for s in scores for error in s.fill_error]
    return {
        "looks at aprons": len(looks),
        "looks at bare aprons": len(bare),
        f"of these with a piece at {RATE:g}": alarms,
        "heaps found": hits,
        "missed": misses,
        "false": false,
        "F1": 2 * hits / max(2 * hits + misses + false, 1),
        "mean error of fill": float(np.mean(errors)) if errors else 0.0,
        "95 % intervals of areas hold": float(np.mean(inside)) if inside else 0.0,
    }


def _scored(folder: Path, looked: Sequence[Looked], trust: CargoTrust) -> tuple[SceneScore, ...]:
    """Hold the pieces of a series against the truth, by the rules of `rail-watch evaluate`."""
    truth, _ = read_truth(folder)
    fills: dict[str, list[dict[str, Any]]] = {scene.id: [] for scene in truth.scenes}
    features = []
    for one in looked:
        if one.folder != folder:
            continue
        for t, (scene, state) in enumerate(zip(one.labelled.truth, _states(one, trust), strict=True)):
            if state.fill_fraction is not None:
                fills[scene.id].append({"apron": state.apron, "fill_fraction": state.fill_fraction})
            for k, pile in enumerate(state.piles):
                about = {"kind": "cargo", "scene": scene.id, "area_m2": pile.area_m2}
                name = f"{state.apron} {t} {k}"
                features.append({"id": name, "geometry": mapping(pile.polygon), "properties": about})
    scenes = [{"id": name, "status": "used", "tracks": [], "aprons": rows} for name, rows in fills.items()]
    document = {"schema": SCHEMA, "scenes": scenes, "observations": {"features": features}}
    return score(document, truth, aoi.read(str(folder / "aoi.geojson")))


def _states(one: Looked, trust: CargoTrust) -> list[ApronState]:
    with mock.patch.object(cargo, "load_trust", return_value=trust):
        window = one.labelled.window
        return [judge_apron(window, odds, t, reason=None, rate=RATE) for t, odds in enumerate(one.odds)]


def table(name: str, figures: Mapping[str, float], trust: CargoTrust) -> str:
    """Lay the figures of one class out as a Markdown table."""
    rows = [(what, f"{value:.3f}" if isinstance(value, float) else f"{value}") for what, value in figures.items()]
    for place, law in (("usual ground", trust.usual), ("odd ground", trust.odd)):
        rows.append((f"threshold, {place}", f"{law.threshold(RATE, law.metres):.2f} (over {law.metres:.0f} m²)"))
    surely = f"{trust.smallest_m2:.0f} m²" if np.isfinite(trust.smallest_m2) else "none"
    rows.append(("smallest that is surely found", surely))
    return "\n".join([f"| {name}: cargo | |", "|---|---|", *(f"| {a} | {b} |" for a, b in rows)])
