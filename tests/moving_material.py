"""Rendered series of a 10 m sensor in which some trains pass and some stand, drawn by seed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import shapely

from rail_watch import aoi
from rail_watch.aoi.site import Area, Bridge, Site, Track
from rail_watch.detect import DetectOptions, detect_sites
from rail_watch.grid import WGS84, local_crs, transformer
from rail_watch.observe.records import Detections, Observation
from rail_watch.simulate.random_story import Habits, random_cars, random_shot
from rail_watch.simulate.random_yard import random_sensor, random_times
from rail_watch.simulate.scenery import Scenery, Truss
from rail_watch.simulate.series import play
from rail_watch.simulate.story import SiteStory, Stay, Story, with_habits

CREATED = datetime(2026, 1, 1, tzinfo=UTC)
APPROACH_M = 200.0
"""Line on land before and after the water."""


@dataclass(frozen=True)
class Passage:
    """One train in one scene, as it truly was."""

    scene: str
    track: str
    speed_mps: float
    length_m: float


@dataclass(frozen=True)
class Told:
    """What a run said of one train that was there."""

    passage: Passage
    found: Observation | None
    """None: the train was not found."""


def _placed(shape: shapely.Geometry, lon: float, lat: float) -> shapely.Geometry:
    back = transformer(local_crs(lon, lat), WGS84)
    return shapely.transform(shape, lambda xy: np.stack(back.transform(xy[:, 0], xy[:, 1]), axis=-1))


def crossing(rng: np.random.Generator, *, bridge: bool) -> Site:
    """Return a line over a river, drawn as a bridge, or on open ground as a track; anywhere, in any direction."""
    lon, lat = float(rng.uniform(-170, 170)), float(rng.choice([-1, 1]) * rng.uniform(5, 55))
    half, turn = float(rng.uniform(350, 600)), float(rng.uniform(0, 180))
    line, river = shapely.LineString([(-half, 0), (half, 0)]), shapely.box(-half + APPROACH_M, -420, half - 200, 420)
    line, ground, river = (
        _placed(shapely.affinity.rotate(shape, turn, origin=(0, 0)), lon, lat)
        for shape in (line, shapely.box(-half - 20, -260, half + 20, 260), river)
    )
    return Site(
        id="crossing",
        name="Crossing",
        polygon=ground,
        tracks=() if bridge else (Track("line", "The line", line),),
        bridges=(Bridge("line", "The bridge", line),) if bridge else (),
        excludes=(Area("river", "River", river),) if bridge else (),
    )


def crossing_series(
    seed: int, out: Path, *, bridge: bool, speeds: tuple[float, ...], scenes: int = 12
) -> tuple[Site, list[Passage]]:
    """Render a line that is empty in half of the scenes; in the others a train has one of some speeds, either way."""
    rng = np.random.default_rng([seed, 301])
    site = crossing(rng, bridge=bridge)
    sensor = random_sensor("sentinel-2-like", rng)
    habits = Habits(cloudy=0.0, snowy=0.0, partly=0.0, shift_px=0.3)
    times = random_times(site, scenes, rng)
    shots = [random_shot(site, sensor, when, rng, habits) for when in times]
    shots = [with_habits(replace(s, notes={**s.notes, "rail_watch:detector": int(rng.integers(1, 13))})) for s in shots]
    length = _length_m(site)
    stays, passages = [], []
    for number, shot in enumerate(shots):
        if number % 2:
            continue
        cars = random_cars(rng, float(rng.uniform(90, 320)), replace(habits, single_cars=0.0))
        train = sum(car.dimensions.length_m for car in cars)
        start = float(rng.uniform(80, max(length - train - 80, 81)))
        speed = float(rng.choice(speeds) * rng.choice([-1, 1]))
        stays.append(
            Stay(f"train-{number}", "line", start, cars, (shot.when, shot.when.replace(hour=23, minute=59)), speed)
        )
        passages.append(Passage(shot.id, "line", speed, train))
    scenery = Scenery(trees_per_ha=float(rng.uniform(5, 40)), fields=bool(rng.random() < 0.5))
    if bridge:
        span = (length - 2 * APPROACH_M) / 6
        trusses = (Truss("line", (APPROACH_M, *[span] * 6, APPROACH_M), ()),)
        scenery = replace(scenery, trusses=trusses, water=("river",))
    told = SiteStory(site.id, 0.5, scenery, stays=tuple(stays), shots=tuple(shots))
    play(Story(f"crossing-{seed}", "Crossing", seed, "", {site.id: told}), {site.id: site}, out)
    return site, passages


def _length_m(site: Site) -> float:
    centre = site.polygon.centroid
    to_local = transformer(WGS84, local_crs(centre.x, centre.y))
    line = (*site.tracks, *site.bridges)[0].line
    flat = shapely.transform(line, lambda xy: np.stack(to_local.transform(xy[:, 0], xy[:, 1]), axis=-1))
    return float(flat.length)


def detections_of(site: Site | Path, source: Path) -> Detections:
    """Run the detector."""
    asked = aoi.read(str(site)) if isinstance(site, Path) else site
    return detect_sites([asked], source=source, options=DetectOptions(), created=CREATED)[0].detections


def told_of(passages: list[Passage], found: Detections) -> list[Told]:
    """Pair what was there with the longest train said to be on that line in that scene."""
    pairs = []
    for passage in passages:
        here = [o for o in found.observations if o.scene == passage.scene and o.track == passage.track]
        pairs.append(Told(passage, max(here, key=lambda o: o.length_m or 0.0, default=None)))
    return pairs
