"""A small site and a small story for the tests of the simulator."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import shapely

from rail_watch.aoi.site import Area, Site, Track
from rail_watch.grid import WGS84, local_crs, transformer
from rail_watch.simulate.scene import Shot, Stage, frame_for, season_of, stage
from rail_watch.simulate.scenery import Scenery
from rail_watch.simulate.sensor import SENSORS, Sensor
from rail_watch.simulate.world import World, world_of

LON, LAT = 130.62, 42.417
WHEN = datetime(2022, 11, 30, 2, 11, tzinfo=UTC)
BARE = Scenery(trees_per_ha=0.0, fields=False)


def _placed(shape: shapely.Geometry) -> shapely.Geometry:
    back = transformer(local_crs(LON, LAT), WGS84)
    return shapely.transform(shape, lambda xy: np.stack(back.transform(xy[:, 0], xy[:, 1]), axis=-1))


def small_site() -> Site:
    """Return two tracks of 100 m from west-south-west, an apron north of them."""
    return Site(
        id="small",
        name="Small yard",
        polygon=_placed(shapely.box(-60, -15, 60, 35)),
        tracks=(
            Track("a", "Track A", _placed(shapely.LineString([(-50, -4), (50, 4)])), 1520),
            Track("b", "Track B", _placed(shapely.LineString([(-50, 1), (50, 9)])), 1520),
        ),
        aprons=(Area("apron", "Apron", _placed(shapely.box(-30, 13, 30, 28))),),
    )


def small_stage(sensor: Sensor = SENSORS["skysat-like"], *, seed: int = 3) -> tuple[World, Stage]:
    """Return the small site's ground with nothing but tracks and apron on it."""
    world = world_of(small_site(), seed=seed)
    return world, stage(world, BARE, frame_for(world, sensor), season_of(WHEN, LAT))


def shot(**changes: object) -> Shot:
    """Return a picture looking straight down on a clear day, without misregistration."""
    return Shot(**{"id": "test", "when": WHEN, "sensor": SENSORS["skysat-like"], **changes})  # type: ignore[arg-type]


def small_story() -> dict[str, object]:
    """Return a story of one train and one pile, seen by two sensors."""
    scenes = [
        {"site": "small", "sensor": sensor, "datetime": "2022-11-30T02:11:00Z"}
        for sensor in ("skysat-like", "sentinel-2-like")
    ]
    pile = {"site": "small", "id": "p", "apron": "apron", "by": "a", "at": [50, 18], "size_m": [10, 6]}
    return {
        "schema": "rail-watch/story/1",
        "title": "Small",
        "seed": 4,
        "sites": {"small": {"aoi": "small.geojson"}},
        "trains": {"one": [["locomotive-m62", "green"], ["boxcar", "red"]]},
        "stays": [{"train": "one", "site": "small", "track": "a", "start_m": 20}],
        "cargo": [{**pile, "height_m": 2.0, "cover": "crates"}],
        "scenes": scenes,
    }


def write_small_story(folder: Path, **changes: object) -> Path:
    """Write the small story and its AOI."""
    from rail_watch.simulate.random_yard import aoi_document

    (folder / "small.geojson").write_text(json.dumps(aoi_document(small_site())))
    path = folder / "story.json"
    path.write_text(json.dumps({**small_story(), **changes}))
    return path
