"""A labelled series as the networks meet it: prepared as `detect` prepares it, with what is true of it beside it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rail_watch import aoi, imagery
from rail_watch.aoi.site import Site
from rail_watch.change.measure import measure
from rail_watch.change.radiometry import Radiometry, fit_radiometry
from rail_watch.detect import _laid, _read_all, groups_of
from rail_watch.evaluate.truth import TrueScene, TrueTrack, Truth, parse_truth
from rail_watch.interpret.hidden import in_sight
from rail_watch.interpret.strips import make_strips
from rail_watch.interpret.yard import Yard, make_yard
from rail_watch.prepare.stack import Stack, prepare
from rail_watch.prepare.zones import Zones, zones_of

Interval = tuple[float, float]


@dataclass(frozen=True)
class TrackTruth:
    """What is true of one track in one scene."""

    track: TrueTrack
    gaps_m: tuple[Interval, ...]
    """From one car body's end to the next one's start, along the track."""

    @property
    def longest_m(self) -> float:
        """Length of the longest train; 0 for an empty track."""
        return max((train.length_m for train in self.track.trains), default=0.0)


@dataclass(frozen=True)
class LabelledYard:
    """The scenes of one series that are judged together, before anything has been found in them."""

    yard: Yard
    site: Site
    scenes: tuple[str, ...]
    truth: Mapping[tuple[str, str], TrackTruth]
    """By scene and track."""
    stack: Stack
    radiometry: Radiometry

    def of(self, k: int, t: int) -> TrackTruth | None:
        """What is true of strip k at scene t; None where nothing is known (a deck)."""
        return self.truth.get((self.scenes[t], self.yard.strips[k].track))


@dataclass(frozen=True)
class LabelledStack:
    """The scenes of one series that are judged together, as `rail_watch.interpret.findings` hands them to each part."""

    stack: Stack
    """For tracks, and"""
    ground: Stack
    """for aprons: what hides them is not the same."""
    site: Site
    zones: Zones
    radiometry: Radiometry
    truth: tuple[TrueScene, ...]
    """Of each scene."""


def read_truth(folder: Path) -> tuple[Truth, dict[tuple[str, str], TrackTruth]]:
    """Read the truth of a series, and by scene and track where its cars are coupled."""
    document = json.loads((folder / "truth.json").read_text(encoding="utf-8"))
    truth = parse_truth(document)
    cars = {(s["id"], t["track"]): _gaps(t) for s in document["scenes"] for t in s["tracks"]}
    return truth, {(s.id, t.track): TrackTruth(t, cars[s.id, t.track]) for s in truth.scenes for t in s.tracks}


def _gaps(track: Mapping[str, Any]) -> tuple[Interval, ...]:
    pairs = [pair for train in track["trains"] for pair in zip(train["cars"], train["cars"][1:], strict=False)]
    return tuple((float(first["end_m"]), float(second["start_m"])) for first, second in pairs)


def labelled_stacks(folder: Path) -> Iterator[LabelledStack]:
    """Prepare a series up to where looking begins; one stack per group of scenes judged together.

    Lines of which the file says that they are coarse are laid onto the imagery, as `detect` does.
    """
    drawn = aoi.read(str(folder / "aoi.geojson"))
    truth = {scene.id: scene for scene in read_truth(folder)[0].scenes}
    refs = imagery.find(drawn, (None, None), source=str(folder)).scenes
    scenes, _ = _read_all(refs, drawn, jobs=1, progress=None)
    for sensor, group in groups_of(scenes):
        stack = prepare(group, drawn, sensor=sensor)
        site, _ = _laid(drawn, stack)
        zones = zones_of(site, stack.grid)
        radiometry = fit_radiometry(stack, zones)
        change = measure(stack, zones, radiometry=radiometry)
        stack, ground = in_sight(stack, change, aprons=zones.aprons, tracks=zones.tracks)
        yield LabelledStack(stack, ground, site, zones, radiometry, tuple(truth[ref.id] for ref in stack.scenes))


def labelled_yards(folder: Path) -> Iterator[LabelledYard]:
    """Prepare a series up to where the rounds of looking begin; one yard per group of scenes judged together."""
    _, truth = read_truth(folder)
    for labelled in labelled_stacks(folder):
        strips = make_strips(labelled.stack, labelled.site)
        if strips:
            yard = make_yard(labelled.stack, labelled.site, strips, labelled.radiometry)
            scenes = tuple(ref.id for ref in labelled.stack.scenes)
            yield LabelledYard(yard, labelled.site, scenes, truth, labelled.stack, labelled.radiometry)
