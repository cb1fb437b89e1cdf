"""Random crossings: a line over a river, drawn by seed, with trains on its deck in some scenes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import shapely
from shapely import affinity

from rail_watch.aoi.site import Area, Bridge, Site
from rail_watch.grid import WGS84, local_crs, transformer
from rail_watch.simulate.random_story import Habits, random_cars, random_shot
from rail_watch.simulate.random_yard import aoi_document, random_sensor, random_times
from rail_watch.simulate.scenery import Scenery, Truss
from rail_watch.simulate.series import play
from rail_watch.simulate.story import SiteStory, Stay, Story, with_habits

HALF_LENGTH_M = (180.0, 450.0)
HALF_WIDTH_M = 160.0
"""Of the site, across the line."""
APPROACH = (0.15, 0.35)
"""Share of the line on land at either end."""
SPAN_M = (40.0, 110.0)
FASTEST_MPS = 20.0
TRUSSED, MOVING, OCCUPIED = 0.7, 0.3, 0.45
"""Shares of bridges with trusses above the deck, of trains that move, and of scenes with a train."""


def random_crossing(seed: int, *, sensor: str, scenes: int) -> tuple[Site, Story]:
    """Return a bridge somewhere on Earth, in any direction, and what pictures of it show; the same for the same seed.

    Parameters
    ----------
    sensor : name in `rail_watch.simulate.sensor.SENSORS`.
    scenes : how many pictures.
    """
    rng = np.random.default_rng([seed, 419])
    half, approach = float(rng.uniform(*HALF_LENGTH_M)), float(rng.uniform(*APPROACH))
    site = _site(rng, half, approach, name=f"crossing-{seed}")
    habits = Habits(cloudy=0.15, snowy=0.15, partly=0.05)
    like = random_sensor(sensor, rng)
    shots = [with_habits(random_shot(site, like, when, rng, habits)) for when in random_times(site, scenes, rng)]
    stays = []
    for number, shot in enumerate(shots):
        if rng.random() >= OCCUPIED:
            continue
        cars = random_cars(rng, 1.7 * half, habits)
        length = sum(car.dimensions.length_m for car in cars)
        start = float(rng.uniform(0, max(2 * half - length, 1.0)))
        speed = float(rng.uniform(-FASTEST_MPS, FASTEST_MPS)) if rng.random() < MOVING else 0.0
        until = shot.when.replace(hour=23, minute=59)
        stays.append(Stay(f"train-{number}", "deck", start, cars, (shot.when, until), speed))
    scenery = Scenery(
        trees_per_ha=float(rng.uniform(5, 40)), fields=bool(rng.random() < 0.5), water=("river",), trusses=()
    )
    if rng.random() < TRUSSED:
        over = 2 * half * (1 - 2 * approach)
        spans = max(round(over / float(rng.uniform(*SPAN_M))), 1)
        ends = (2 * half - over) / 2
        scenery = replace(scenery, trusses=(Truss("deck", (ends, *[over / spans] * spans, ends), ()),))
    told = SiteStory(
        site.id, float(rng.uniform(0, habits.line_error_m)), scenery, stays=tuple(stays), shots=tuple(shots)
    )
    return site, Story(site.id, "Crossing", seed, "", {site.id: told})


def _site(rng: np.random.Generator, half: float, approach: float, *, name: str) -> Site:
    lon, lat = float(rng.uniform(-170, 170)), float(rng.choice([-1, 1]) * rng.uniform(5, 55))
    turn, bank = float(rng.uniform(0, 180)), half * (1 - 2 * approach)
    back = transformer(local_crs(lon, lat), WGS84)

    def placed(shape: shapely.Geometry) -> shapely.Geometry:
        turned = affinity.rotate(shape, turn, origin=(0, 0))
        return shapely.transform(turned, lambda xy: np.stack(back.transform(xy[:, 0], xy[:, 1]), axis=-1))

    return Site(
        id=name,
        name="Crossing",
        polygon=placed(shapely.box(-half - 20, -HALF_WIDTH_M, half + 20, HALF_WIDTH_M)),
        bridges=(Bridge("deck", "The bridge", placed(shapely.LineString([(-half, 0), (half, 0)]))),),
        excludes=(Area("river", "River", placed(shapely.box(-bank, -2 * HALF_WIDTH_M, bank, 2 * HALF_WIDTH_M))),),
    )


def write_crossing(seed: int, out: Path, *, sensor: str, scenes: int = 10) -> Path:
    """Write a labelled series drawn by seed: `aoi.geojson`, a static STAC catalogue and `truth.json`; return `out`."""
    site, story = random_crossing(seed, sensor=sensor, scenes=scenes)
    out.mkdir(parents=True, exist_ok=True)
    (out / "aoi.geojson").write_text(json.dumps(aoi_document(site)) + "\n", encoding="utf-8")
    play(story, {site.id: site}, out)
    return out
