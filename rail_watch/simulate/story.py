"""A story: what stands where and when on some sites, and the pictures taken of it. One JSON file.

`trains` are named consists; `stays` say on which track of which site one stands from when until when; `cargo`,
`lorries` and `works` (new paving) likewise. `scenes` are the acquisitions. Anything with `from` and `until` is there
from the first instant up to, not including, the second.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from shapely import Polygon

from rail_watch.errors import BadInput
from rail_watch.simulate.materials import PAINT
from rail_watch.simulate.objects import CAR_TYPES, Car, Lorry, Pile, PlacedCar, Things, couple
from rail_watch.simulate.scene import Shot
from rail_watch.simulate.scenery import Block, Scenery, block_of, scenery_of
from rail_watch.simulate.sensor import SENSORS
from rail_watch.simulate.weather import Weather
from rail_watch.simulate.world import World

SCHEMA = "rail-watch/story/1"
ALWAYS = (datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC))


@dataclass(frozen=True)
class Stay:
    """A train, or part of one, on a track for a while."""

    train: str
    track: str
    start_m: float
    """Where the first car's body begins, along the track."""
    cars: tuple[Car, ...]
    """In order along the track."""
    during: tuple[datetime, datetime]
    speed_mps: float = 0.0
    """Of a train that is passing, along the track; `start_m` is then where it is when a scene's first band is taken."""


@dataclass(frozen=True)
class Heap:
    """Cargo on the ground for a while."""

    id: str
    apron: str
    by: str
    at: tuple[float, float]
    size_m: tuple[float, float]
    height_m: float
    cover: str
    during: tuple[datetime, datetime]


@dataclass(frozen=True)
class Parked:
    """A lorry for a while."""

    by: str
    at: tuple[float, float]
    heading_deg: float
    """Anticlockwise from the track's direction."""
    colour: str
    during: tuple[datetime, datetime]


@dataclass(frozen=True)
class Work:
    """Ground paved or gravelled for a while, or for good."""

    block: Block
    during: tuple[datetime, datetime]


@dataclass(frozen=True)
class SiteStory:
    """All that a story tells of one site."""

    aoi: str
    line_error_m: float
    scenery: Scenery
    stays: tuple[Stay, ...] = ()
    heaps: tuple[Heap, ...] = ()
    parked: tuple[Parked, ...] = ()
    works: tuple[Work, ...] = ()
    shots: tuple[Shot, ...] = ()


@dataclass(frozen=True)
class Story:
    """The whole."""

    id: str
    title: str
    seed: int
    text: str
    sites: Mapping[str, SiteStory] = field(default_factory=dict)


def read_story(path: Path) -> Story:
    """Read a story file.

    Raises
    ------
    BadInput
        One line: the file, what is wrong in it.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror}); give a story file") from error
    except ValueError as error:
        raise BadInput(f"{path}: not valid JSON ({error}); mend it there") from error
    try:
        return parse_story(document, name=path.stem)
    except KeyError as error:
        raise BadInput(f"{path}: a member {error} is missing or names nothing known; see docs/simulation.md") from error
    except (TypeError, ValueError, AttributeError) as error:
        raise BadInput(f"{path}: {error}; see docs/simulation.md") from error


def parse_story(document: Mapping[str, Any], *, name: str) -> Story:
    """Turn a story document into data.

    Raises
    ------
    KeyError, TypeError, ValueError, AttributeError
        A member is missing, unknown or of the wrong type.
    """
    if document.get("schema") != SCHEMA:
        raise ValueError(f'"schema" must be "{SCHEMA}"')
    trains = {train: tuple(_car(car) for car in cars) for train, cars in document.get("trains", {}).items()}
    sites = {site: _site(site, value, document, trains) for site, value in document["sites"].items()}
    return Story(
        str(document.get("id", name)),
        str(document["title"]),
        int(document["seed"]),
        str(document.get("text", "")),
        sites,
    )


def _of(entries: Iterable[Mapping[str, Any]], site: str) -> list[Mapping[str, Any]]:
    return [entry for entry in entries if entry["site"] == site]


def _site(
    site: str, value: Mapping[str, Any], document: Mapping[str, Any], trains: Mapping[str, tuple[Car, ...]]
) -> SiteStory:
    return SiteStory(
        aoi=str(value.get("aoi", site)),
        line_error_m=float(value.get("line_error_m", 0.0)),
        scenery=scenery_of(value.get("scenery", {})),
        stays=tuple(_stay(entry, trains) for entry in _of(document.get("stays", ()), site)),
        heaps=tuple(_heap(entry) for entry in _of(document.get("cargo", ()), site)),
        parked=tuple(_parked(entry) for entry in _of(document.get("lorries", ()), site)),
        works=tuple(Work(block_of(entry), _during(entry)) for entry in _of(document.get("works", ()), site)),
        shots=tuple(_shot(entry, site) for entry in _of(document.get("scenes", ()), site)),
    )


def _car(value: list[str]) -> Car:
    car = Car(*value)
    names = [car.colour, *(car.load or "").split("+")] if car.load else [car.colour]
    if car.type not in CAR_TYPES or not set(names) <= set(PAINT):
        raise ValueError(f"unknown railcar or colour in {value}")
    return car


def _time(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"the time {text} lacks its zone (write …Z)")
    return moment.astimezone(UTC)


def _during(value: Mapping[str, Any]) -> tuple[datetime, datetime]:
    return (
        _time(value["from"]) if "from" in value else ALWAYS[0],
        _time(value["until"]) if "until" in value else ALWAYS[1],
    )


def _stay(value: Mapping[str, Any], trains: Mapping[str, tuple[Car, ...]]) -> Stay:
    first, last = value.get("cars", (0, None))
    cars = trains[value["train"]][first:last]
    return Stay(
        str(value["train"]),
        str(value["track"]),
        float(value["start_m"]),
        cars[::-1] if value.get("reversed") else cars,
        _during(value),
        float(value.get("speed_mps", 0.0)),
    )


def _heap(value: Mapping[str, Any]) -> Heap:
    along, left = value["at"]
    length, width = value["size_m"]
    if value["cover"] not in PAINT:
        raise ValueError(f"unknown cover {value['cover']}")
    return Heap(
        str(value["id"]),
        str(value["apron"]),
        str(value["by"]),
        (float(along), float(left)),
        (float(length), float(width)),
        float(value["height_m"]),
        str(value["cover"]),
        _during(value),
    )


def _parked(value: Mapping[str, Any]) -> Parked:
    along, left = value["at"]
    return Parked(
        str(value["by"]),
        (float(along), float(left)),
        float(value.get("heading_deg", 0.0)),
        str(value.get("colour", "dark-green")),
        _during(value),
    )


def _shot(value: Mapping[str, Any], site: str) -> Shot:
    sensor, when = SENSORS[value["sensor"]], _time(value["datetime"])
    first, last = value.get("covers", (0.0, 1.0))
    weather = Weather(
        *(
            float(value.get(name, default))
            for name, default in (("cloud", 0.0), ("haze", 0.1), ("snow", 0.0), ("wet", 0.0))
        )
    )
    scene_id = f"{site}_{when:%Y%m%dT%H%M%SZ}_{sensor.name}"
    return with_habits(
        Shot(
            scene_id,
            when,
            sensor,
            weather,
            covers=(float(first), float(last)),
            notes={
                "rail_watch:source": str(value.get("source", "invented for this sample")),
                **({"rail_watch:detector": int(value["detector"])} if "detector" in value else {}),
            },
        )
    )


def with_habits(shot: Shot, *, shift_px: float = 0.3) -> Shot:
    """Return the shot with an angle of view, a misregistration (RMS `shift_px` pixels each way) and a gain of its own.

    Drawn from the scene's id.
    """
    rng = np.random.default_rng([zlib.crc32(shot.id.encode()), 5])
    east, north = np.round(rng.normal(0, shift_px * shot.sensor.gsd_m, 2), 3)
    return replace(
        shot,
        off_nadir_deg=round(float(rng.uniform(0.1, 1.0)) * shot.sensor.off_nadir_deg, 1),
        view_azimuth_deg=round(float(rng.uniform(0, 360)), 1),
        shift_m=(float(east), float(north)),
        gain=round(float(rng.normal(1, 0.015)), 4),
    )


def _there(during: tuple[datetime, datetime], when: datetime) -> bool:
    return during[0] <= when < during[1]


def things_at(story: SiteStory, world: World, when: datetime, *, delay_s: float = 0.0) -> Things:
    """Return all that stands on a site at an instant, passing trains `delay_s` seconds on."""
    trains: dict[str, dict[str, list[PlacedCar]]] = {}
    for stay in story.stays:
        if _there(stay.during, when):
            seed = zlib.crc32(stay.train.encode()) % 100_000
            cars = couple(world.curve(stay.track), stay.start_m + delay_s * stay.speed_mps, list(stay.cars), seed=seed)
            trains.setdefault(stay.track, {})[stay.train] = cars
    piles = tuple(pile_of(heap, world) for heap in story.heaps if _there(heap.during, when))
    lorries = tuple(lorry_of(parked, world) for parked in story.parked if _there(parked.during, when))
    works = tuple(work.block for work in story.works if _there(work.during, when))
    return Things(trains, piles, lorries, works)


def passing(story: SiteStory, when: datetime) -> bool:
    """Whether a train is moving on the site at an instant."""
    return any(stay.speed_mps != 0 and _there(stay.during, when) for stay in story.stays)


def pile_of(heap: Heap, world: World) -> Pile:
    """Return cargo with its outline: a rectangle with uneven, rounded corners."""
    curve = world.curve(heap.by)
    seed = zlib.crc32(heap.id.encode()) % 100_000
    rng = np.random.default_rng([seed, 3])
    centre, heading = curve.at(*heap.at), curve.heading(heap.at[0]) + rng.normal(0, 0.05)
    c, s = math.cos(heading), math.sin(heading)
    corners = np.array([(1, 1), (1, -1), (-1, -1), (-1, 1)]) * np.array(heap.size_m) / 2
    corners = corners * rng.uniform(0.88, 1.0, (4, 2))
    round_m = min(heap.size_m) * 0.12
    outline = Polygon(corners @ np.array([[c, s], [-s, c]]) + centre).buffer(-round_m).buffer(round_m)
    return Pile(heap.id, outline, heap.height_m, heap.cover, seed, heap.apron)


def lorry_of(parked: Parked, world: World) -> Lorry:
    """Return a lorry where it is parked."""
    curve = world.curve(parked.by)
    return Lorry(curve.at(*parked.at), curve.heading(parked.at[0]) + math.radians(parked.heading_deg), parked.colour)
