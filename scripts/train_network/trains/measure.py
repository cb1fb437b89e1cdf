"""Measure what a network says of empty track, on series that took no part in its learning.

From each track at each scene (a look) comes one statistic for what has nothing beside it and one for what lies beside
trains. Looks at tracks that are truly empty and in view give the law; the same looks, and those at occupied tracks, the
figures. They are of looks and stretches alone: what `rail-watch detect` makes of them is scored by
`benchmarks/quality.py`, on seeds that nothing here has seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from numpy.typing import NDArray
from shapely.geometry import mapping
from shapely.ops import substring

from rail_watch.errors import BadInput
from rail_watch.evaluate.claims import SCHEMA
from rail_watch.evaluate.score import SceneScore, score
from rail_watch.evaluate.standards import standards_for
from rail_watch.grid import WGS84
from rail_watch.interpret import rounds
from rail_watch.interpret.controls import Controls, controls_of
from rail_watch.interpret.looks import Looks, has_own_law, judge, refer
from rail_watch.interpret.network import Network
from rail_watch.interpret.null import PLAIN, EmptyLaw, EmptyLaws
from rail_watch.interpret.segments import segments
from rail_watch.interpret.strips import FINE_GSD_M, MIDDLE_GSD_M
from rail_watch.interpret.yard import SceneModel
from rail_watch.prepare.zones import local_frame, reproject
from scripts.train_network.seeds import GSD_M
from scripts.train_network.series import LabelledYard, TrackTruth, labelled_yards, read_truth

Array = NDArray[np.float64]

RATE = 0.01
"""False-alarm rate at which figures are given: the default of `rail-watch detect`."""
IN_VIEW = 0.9
"""Share of a track that must be in view for its look to count."""
BODY = 0.9
"""Share of the law of odd ground taken from ranks."""
PRIOR_LOOKS, PRIOR_SCALE = 4.0, 1.6
"""A law's tail counts this many looks, of this mean excess, beside those measured."""
KNOTS = 40
NEAR_M, NEAR_COARSE_M = 7.0, 16.0
"""Trains nearer than this are in the pixels of a track, up to 6 m GSD and beyond; where cars have pixels of their own
none are."""
FEWEST = 25
"""Fewer looks give no law."""
NOISY = 0.08
"""Ground that differs from place to place by more than this (spread of the logarithm of light) counts as odd."""
FINAL_BODY = 0.9
"""Share of the final law taken from ranks."""
IDENTITY = EmptyLaw(np.zeros(1), np.zeros(1), 1.0, 1.0)
"""The final law that leaves p-values as they are."""
NOTHING_KNOWN = EmptyLaws((IDENTITY, IDENTITY), (IDENTITY, IDENTITY), np.inf, IDENTITY)
"""Laws for looking before any have been measured."""
PLACES = ("with nothing beside it", "beside trains", "odd ground")
"""What the laws are of, in their order."""


@dataclass(frozen=True)
class Look:
    """One track at one scene."""

    scene: str
    track: str
    truth: TrackTruth
    statistic: Array
    """(2,) strongest evidence of a train with nothing beside it, and beside trains; NaN where there is no such part."""
    metres: Array
    """(2,) length of either part."""
    noise: float
    """How much the ground differs from how it usually looks, from place to place."""
    shared: bool
    """Its pixels show a train on a track near by: at this GSD they cannot tell the two apart."""
    stretches: tuple[dict[str, Any], ...]
    """What the network takes for trains, as features of a detections document."""
    p_value: float = float("nan")

    @property
    def counts(self) -> bool:
        """Whether enough of the track is in view, and something of it could be judged."""
        return self.truth.track.visible_fraction > IN_VIEW and bool(np.isfinite(self.statistic).any())

    @property
    def empty(self) -> bool:
        """Whether the track is truly empty."""
        return not self.truth.track.trains


@dataclass(frozen=True)
class Looked:
    """The scenes of one series that are judged together, looked at."""

    gsd_m: float
    models: Sequence[SceneModel | None]
    statistic: Array
    """(2, K, T) and"""
    metres: Array
    """(2, K, T) as in `rail_watch.interpret.looks.Looks`."""
    controls: Controls | None
    looks: Mapping[tuple[int, int], Look]
    """By track and scene."""

    def referred(self, laws: EmptyLaws) -> list[Look]:
        """Return the looks with their p-values by these laws, adapted to the series and to its control strips."""
        _, p_value = refer(laws, self.models, self.statistic, self.metres, self.controls, gsd_m=self.gsd_m)
        return [replace(look, p_value=float(p_value[place])) for place, look in self.looks.items()]


def looked_at(folder: Path, network: Network) -> Iterator[Looked]:
    """Look at every track of a series, and at control strips, with a network of its class of GSD."""
    for labelled in labelled_yards(folder):
        with mock.patch.object(rounds, "load_network", return_value=network):
            models = rounds.solve(labelled.yard)
            controls = controls_of(labelled.stack, labelled.site, labelled.radiometry)
        looks = judge(labelled.yard, models, known=NOTHING_KNOWN)
        found = {}
        for k in range(len(labelled.yard.strips)):
            for t, model in enumerate(models):
                truth = labelled.of(k, t)
                if model is not None and truth is not None:
                    found[k, t] = _look(labelled, looks, model, truth, place=(k, t))
        yield Looked(labelled.yard.gsd_m, models, looks.statistic, looks.metres, controls, found)


def _look(
    labelled: LabelledYard, looks: Looks, model: SceneModel, truth: TrackTruth, *, place: tuple[int, int]
) -> Look:
    k, t = place
    return Look(
        scene=labelled.scenes[t],
        track=labelled.yard.strips[k].track,
        truth=truth,
        statistic=looks.statistic[:, k, t],
        metres=looks.metres[:, k, t],
        noise=model.unevenness,
        shared=_train_near(labelled, place),
        stretches=tuple(_stretches(labelled, looks.visible[k][t], place)),
    )


def _train_near(labelled: LabelledYard, place: tuple[int, int]) -> bool:
    """Whether a train truly stands on another track near this one."""
    k, t = place
    strips, gsd_m = labelled.yard.strips, labelled.yard.gsd_m
    reach = 0.0 if gsd_m <= FINE_GSD_M else NEAR_M if gsd_m <= MIDDLE_GSD_M else NEAR_COARSE_M
    others = [j for j, strip in enumerate(strips) if j != k and strip.line.distance(strips[k].line) < reach]
    return any(truth.track.trains for j in others if (truth := labelled.of(j, t)) is not None)


def _stretches(labelled: LabelledYard, visible: NDArray[np.bool_], place: tuple[int, int]) -> Iterator[dict[str, Any]]:
    k, t = place
    yard, strip = labelled.yard, labelled.yard.strips[k]
    for first, last in segments(yard.score[k][t], visible, strip.step_m, gsd_m=yard.gsd_m):
        start, end = first * strip.step_m, last * strip.step_m
        outline = reproject(substring(strip.line, start, end).buffer(1.5), local_frame(labelled.site), WGS84)
        about = {"kind": "train", "scene": labelled.scenes[t], "track": strip.track, "start_m": start, "end_m": end}
        yield {"id": f"{labelled.scenes[t]} {strip.track} {first}", "geometry": mapping(outline), "properties": about}


def fit_law(statistic: Array, metres: Array, *, where: str = "") -> EmptyLaw:
    """Fit the law of the strongest evidence that usual empty track shows.

    Ranks while looks are plainly empty, an exponential tail where they cease to be. Few looks reach so far, so that
    the tail's scale is drawn towards what is usual.

    Parameters
    ----------
    statistic, metres : (N,) of looks at empty track, and how much of it each saw. The law is that of a look of the
        middle length.
    where : what ground this is, for messages.

    Raises
    ------
    BadInput
        Fewer than `FEWEST` looks, or none of them plainly empty.
    """
    _enough(statistic, where)
    plain, beyond = statistic[statistic <= PLAIN], statistic[statistic > PLAIN] - PLAIN
    if not len(plain):
        raise BadInput(f"no look at empty track{where} is plainly empty: this network cannot tell trains from track")
    share = 1 - (len(beyond) + 0.5) / (len(statistic) + 1)
    mass = np.linspace(0.005, 0.995, KNOTS)
    scale = (beyond.sum() + PRIOR_LOOKS * PRIOR_SCALE) / (len(beyond) + PRIOR_LOOKS)
    body = np.concatenate([[plain.min() - 1.0], np.quantile(plain, mass), [PLAIN]])
    return _law(body, np.concatenate([[0.0], mass * share, [share]]), scale=float(scale), metres=metres)


def fit_odd_law(statistic: Array, metres: Array, *, where: str = "") -> EmptyLaw:
    """Fit the law of ground that differs from place to place, where hardly a look is plainly empty.

    Ranks up to `BODY`, an exponential tail above; otherwise as `fit_law`.
    """
    _enough(statistic, where)
    mass = np.linspace(0.005, BODY, KNOTS)
    body = np.quantile(statistic, mass)
    beyond = statistic[statistic > body[-1]] - body[-1]
    scale = float((beyond.sum() + PRIOR_LOOKS * PRIOR_SCALE) / (len(beyond) + PRIOR_LOOKS))
    body = np.concatenate([[statistic.min() - 1.0], body])
    return _law(body, np.concatenate([[0.0], mass]), scale=scale, metres=metres)


def _enough(statistic: Array, where: str) -> None:
    if len(statistic) < FEWEST:
        raise BadInput(
            f"only {len(statistic)} looks at empty track{where}, a law needs {FEWEST}: draw more held-out series"
        )


def _law(body: Array, mass: Array, *, scale: float, metres: Array) -> EmptyLaw:
    # Knots of the same height are parted by a hair, so that the law can be read both ways.
    rising = np.maximum.accumulate(body + np.arange(len(body)) * 1e-6)
    return EmptyLaw(rising, mass, scale, float(np.median(metres)))


def _parts(looks: Sequence[Look], parts: Sequence[int]) -> tuple[Array, Array]:
    """(N,) statistics and metres of some parts of looks, without those that are not there."""
    chosen = [(look.statistic[i], look.metres[i]) for look in looks for i in parts if np.isfinite(look.statistic[i])]
    pairs = np.array(chosen, dtype=np.float64).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]


def laws_of(looks: Sequence[Look], *, gsd_m: float) -> EmptyLaws:
    """Laws of empty track with nothing beside it, of empty track beside trains, and of odd ground; no final law yet.

    Where track beside trains has no law of its own, the first is that of all usual ground.

    Where pixels are wider than the room between tracks, looks that show a train on a track near by tell nothing of odd
    ground: what they show is that train.
    """
    empty = [look for look in looks if look.counts and look.empty]
    usual = [look for look in empty if look.noise <= NOISY]
    odd = [look for look in empty if look.noise > NOISY and not (gsd_m > MIDDLE_GSD_M and look.shared)]
    if len(_parts(odd, (0, 1))[0]) < FEWEST:
        # Too few: the noisiest of the others stand in for them, which are the likest.
        apart = [look for look in usual if not look.shared]
        odd += sorted(apart, key=lambda look: -look.noise)[:FEWEST]
    if has_own_law(gsd_m):
        alone = fit_law(*_parts([look for look in usual if not look.shared], (0,)), where=f" {PLACES[0]}")
        beside = fit_law(*_parts(usual, (1,)), where=f" {PLACES[1]}")
    else:
        alone = beside = fit_law(*_parts(usual, (0,)))
    strange = fit_odd_law(*_parts(odd, (0, 1)), where=f" on {PLACES[2]}")
    return EmptyLaws((alone, beside), (strange, strange), NOISY, IDENTITY)


def settled(laws: EmptyLaws, looks: Sequence[Look], *, gsd_m: float) -> EmptyLaws:
    """Return the laws with their final law: of what looks at empty tracks come to by the others. looks: referred.

    Where pixels are wider than the room between tracks, those that show a train on a track near by are left out: what
    they show is that train.
    """
    apart = gsd_m > MIDDLE_GSD_M
    raw = np.array([look.p_value for look in looks if look.counts and look.empty and not (apart and look.shared)])
    _enough(raw, "")
    logs = -np.log(np.maximum(raw, 1e-300))
    body = np.quantile(logs, np.linspace(0.005, FINAL_BODY, KNOTS))
    beyond = logs[logs > body[-1]] - body[-1]
    # Few looks reach so far: the scale is drawn towards 1, which leaves p-values as they are.
    scale = float((beyond.sum() + PRIOR_LOOKS) / (len(beyond) + PRIOR_LOOKS))
    mass = np.concatenate([[0.0], np.linspace(0.005, FINAL_BODY, KNOTS)])
    final = _law(np.concatenate([[-1.0], body]), mass, scale=scale, metres=np.ones(1))
    return replace(laws, final=final)


@dataclass(frozen=True)
class Figures:
    """How a network and its laws do on the series the laws were measured on."""

    empty: int
    """Looks at tracks truly empty and in view, and"""
    alarms: int
    """how many of them pass for occupied."""
    shared: int
    """The same of empty tracks whose pixels show a train near by: there the p-value speaks of a train on either, and"""
    shared_alarms: int
    """passing is no mistake of the law's."""
    occupied: int
    """Looks at tracks with a train long enough to count, and"""
    seen: int
    """how many of them pass."""
    found: int
    missed: int
    false: int

    @property
    def f1(self) -> float:
        """Of stretches, against the trains that count."""
        return 2 * self.found / max(2 * self.found + self.missed + self.false, 1)


def figures_of(series: Mapping[Path, Sequence[Look]], *, gsd_m: float) -> Figures:
    """Count over series (by folder) of looks with p-values."""
    least = standards_for(gsd_m).shortest_train_m
    looks = [look for own in series.values() for look in own if look.counts]
    empty = [look.p_value < RATE for look in looks if look.empty and not look.shared]
    shared = [look.p_value < RATE for look in looks if look.empty and look.shared]
    taken = [look.p_value < RATE for look in looks if look.truth.longest_m >= least]
    scores = [one for folder, own in series.items() for one in _scored(folder, own)]
    found, missed, false = (sum(getattr(one, name) for one in scores) for name in ("found", "missed", "false"))
    return Figures(
        empty=len(empty),
        alarms=sum(empty),
        shared=len(shared),
        shared_alarms=sum(shared),
        occupied=len(taken),
        seen=sum(taken),
        found=found,
        missed=missed,
        false=false,
    )


def _scored(folder: Path, looks: Sequence[Look]) -> tuple[SceneScore, ...]:
    """Hold the stretches of looks that pass against the truth, by the rules of `rail-watch evaluate`."""
    from rail_watch import aoi

    truth, _ = read_truth(folder)
    scenes = [{"id": scene.id, "status": "used", "tracks": []} for scene in truth.scenes]
    features = [stretch for look in looks if look.p_value < RATE for stretch in look.stretches]
    document = {"schema": SCHEMA, "scenes": scenes, "observations": {"features": features}}
    return score(document, truth, aoi.read(str(folder / "aoi.geojson")))


def table(name: str, figures: Figures, laws: EmptyLaws) -> str:
    """Lay the figures of one class out as a Markdown table."""
    rows = [
        ("looks at empty tracks", f"{figures.empty}"),
        (f"of these false alarms at {RATE:g}", _share(figures.alarms, figures.empty)),
        ("looks at occupied tracks", f"{figures.occupied}"),
        (f"of these seen at {RATE:g}", _share(figures.seen, figures.occupied)),
        ("trains found, missed, false", f"{figures.found}, {figures.missed}, {figures.false}"),
        ("F1 of stretches", f"{figures.f1:.3f}"),
    ]
    if figures.shared:
        rows[2:2] = [
            ("looks at empty tracks that share pixels with a train", f"{figures.shared}"),
            (f"of these taken for occupied at {RATE:g}", _share(figures.shared_alarms, figures.shared)),
        ]
    named = list(zip(PLACES, (*laws.usual, laws.odd[0]), strict=True))
    for what, law in named if has_own_law(GSD_M[name]) else [("usual ground", laws.usual[0]), named[-1]]:
        threshold = law.threshold(RATE, law.metres)
        rows.append((f"threshold {what}", f"{threshold:.2f} (over {law.metres:.0f} m; tail {law.scale:.2f})"))
    return "\n".join([f"| {name} | |", "|---|---|", *(f"| {what} | {value} |" for what, value in rows)])


def _share(part: int, whole: int) -> str:
    return f"{part} ({part / max(whole, 1):.3f})"
