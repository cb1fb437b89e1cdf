"""Draw by seed what stands on a site and what the weather is: trains, cargo, lorries, and the pictures taken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np
import shapely

from rail_watch.aoi.site import Site
from rail_watch.simulate.materials import PAINT, greenness
from rail_watch.simulate.objects import Car
from rail_watch.simulate.scene import Shot
from rail_watch.simulate.scenery import AlongLeft, Path, Scenery, Village
from rail_watch.simulate.sensor import SENSORS, Sensor
from rail_watch.simulate.story import Heap, Parked, SiteStory, Stay, Story, with_habits
from rail_watch.simulate.weather import Weather
from rail_watch.simulate.world import World, world_of

CAR_PAINTS = (
    "grey",
    "light-grey",
    "dark-grey",
    "red",
    "reddish-brown",
    "brown",
    "rust",
    "light-blue",
    "blue",
    "green",
    "dark-green",
    "black",
    "yellow",
    "orange",
    "white",
    "ballast-grey",
)
LOADS = ("coal", "ore", "stone", "timber")
COVERS = tuple(name for name in PAINT if name.startswith("tarpaulin")) + ("crates", "timber", "coal", "stone")
LONGEST_STAY = timedelta(days=6)
APART_M = (4.0, 90.0)
"""How far two trains on one track stand apart: any order of size alike."""


@dataclass(frozen=True)
class Habits:
    """How busy a site is and how its pictures are taken; the ranges `rail-watch evaluate` draws from."""

    busy: float = 0.4
    """Mean share of time that a track is occupied."""
    cloudy: float = 0.25
    """Share of the pictures with clouds."""
    snowy: float = 0.15
    partly: float = 0.12
    """Share of the pictures that cover only a part of the site."""
    shift_px: float = 0.6
    line_error_m: float = 1.0
    single_cars: float = 0.15
    """Share of the trains that are one to three cars."""


def random_cars(rng: np.random.Generator, room_m: float, habits: Habits) -> tuple[Car, ...]:
    """Return a consist no longer than the room there is: blocks of like cars, perhaps behind a locomotive."""
    wanted = rng.integers(1, 4) if rng.random() < habits.single_cars else round(float(rng.gamma(2.2, 5.5))) + 2
    cars: list[Car] = []
    if rng.random() < 0.4:
        cars.append(
            Car(
                str(rng.choice(["locomotive-m62", "locomotive-tem2", "locomotive-2te10"])),
                str(rng.choice(["green", "dark-green", "blue", "red", "orange"])),
            )
        )
    while len(cars) < wanted:
        like = _random_car(rng)
        for _ in range(int(rng.integers(1, 7))):
            cars.append(like if rng.random() < 0.7 else replace(like, colour=str(rng.choice(CAR_PAINTS))))
    cars = cars[:wanted]
    while cars and sum(car.dimensions.length_m for car in cars) > room_m:
        cars.pop()
    return tuple(cars if rng.random() < 0.5 else cars[::-1])


def _random_car(rng: np.random.Generator) -> Car:
    kind = str(
        rng.choice(
            [
                "gondola",
                "gondola",
                "boxcar",
                "boxcar-long",
                "boxcar-p70",
                "tank",
                "flat",
                "gondola-covered",
                "container-flat",
                "gondola-c70",
            ]
        )
    )
    colour, load = str(rng.choice(CAR_PAINTS)), None
    if kind.startswith("gondola") and kind != "gondola-covered" and rng.random() < 0.7:
        load = str(rng.choice(LOADS))
    if kind in {"flat", "container-flat"}:
        load = "+".join(rng.choice(CAR_PAINTS, size=int(rng.integers(1, 3))))
    return Car(kind, colour, load)


def random_stays(
    world: World, during: tuple[datetime, datetime], rng: np.random.Generator, habits: Habits
) -> list[Stay]:
    """Return trains that come and go on every track meanwhile."""
    stays = []
    begin, end = during
    for number, (track, curve) in enumerate(sorted(world.drawn.items())):
        busy = rng.beta(1.2, 1.2 * (1 - habits.busy) / habits.busy)
        now = begin - LONGEST_STAY
        while now < end:
            there = timedelta(days=float(rng.uniform(0.3, 6)))
            away = there * float((1 - busy) / max(busy, 0.05))
            now += away * float(rng.uniform(0.3, 1.7)) + timedelta(hours=2)
            stays += _standing(track, curve.length_m, (now, now + there), rng=rng, habits=habits, name=f"t{number}")
            now += there
    return stays


def _standing(
    track: str,
    length_m: float,
    during: tuple[datetime, datetime],
    *,
    rng: np.random.Generator,
    habits: Habits,
    name: str,
) -> list[Stay]:
    """Return one train, or two with a gap between them, a few metres as often as many."""
    stays, free = [], float(rng.uniform(1, max(2.0, 0.5 * length_m)))
    for part in range(2 if rng.random() < 0.2 else 1):
        cars = random_cars(rng, length_m - free - 2, habits)
        if not cars:
            break
        stays.append(Stay(f"{name}-{during[0]:%m%d%H}-{part}", track, round(free, 2), cars, during))
        free += sum(car.dimensions.length_m for car in cars) + float(np.exp(rng.uniform(*np.log(APART_M))))
    return stays


def random_heaps(world: World, during: tuple[datetime, datetime], rng: np.random.Generator) -> list[Heap]:
    """Return cargo that is set down on the aprons, grows, shrinks and goes."""
    heaps: list[Heap] = []
    for area in world.site.aprons:
        by = _nearest_track(world, area.id)
        for number, at in enumerate(_slots(world, area.id, by)):
            if by is not None and rng.random() < 0.7:
                heaps += _one_heap(Slot(f"{area.id}-{number}", area.id, by, at), during, rng)
    return heaps


@dataclass(frozen=True)
class Slot:
    """A place on an apron where cargo may stand."""

    id: str
    apron: str
    by: str
    at: tuple[float, float]


def _nearest_track(world: World, area: str) -> str | None:
    return min(world.true, key=lambda name: float(world.true[name].line.distance(world.areas[area])), default=None)


def _slots(world: World, apron: str, by: str | None, spacing_m: tuple[float, float] = (17.0, 11.0)) -> list[AlongLeft]:
    """Return places on an apron, in rows along its track, far enough apart that no two heaps touch."""
    if by is None:
        return []
    curve, ground = world.true[by], world.areas[apron]
    places = []
    for along in np.arange(spacing_m[0] / 2, curve.length_m, spacing_m[0]):
        for left in np.arange(-80.0, 80.0, spacing_m[1]):
            if ground.contains(shapely.Point(curve.at(float(along), float(left))).buffer(6.5)):
                places.append((float(along), float(left)))
    return places


def _one_heap(slot: Slot, during: tuple[datetime, datetime], rng: np.random.Generator) -> list[Heap]:
    """Return one heap through its stages: set down, then larger or smaller, then gone."""
    size = rng.uniform(3.5, 12.5), rng.uniform(3.0, 7.0)
    height, cover = float(rng.uniform(0.8, 3.2)), str(rng.choice(COVERS))
    whole = (during[1] - during[0]).total_seconds()
    begin = during[0] + timedelta(seconds=float(rng.uniform(-0.3, 0.9)) * whole)
    stages = []
    for _ in range(int(rng.integers(1, 4))):
        end = begin + timedelta(days=float(rng.uniform(0.5, 8)))
        stages.append(Heap(slot.id, slot.apron, slot.by, slot.at, size, height, cover, (begin, end)))
        factor = float(rng.uniform(0.55, 1.25))
        size, begin = (min(size[0] * factor, 12.5), min(size[1] * factor, 7.0)), end
    return stages


def random_lorries(world: World, times: Sequence[datetime], rng: np.random.Generator) -> list[Parked]:
    """Return lorries on aprons, and on the ground beside them, some of the time."""
    parked = []
    for area in world.site.aprons:
        by = _nearest_track(world, area.id)
        slots = _slots(world, area.id, by, (13.0, 17.0))
        for when in times:
            if by is not None and slots and rng.random() < 0.35:
                along, left = slots[int(rng.integers(len(slots)))]
                at = (along + 8.0, left + 5.5)  # between the rows of heaps
                parked.append(
                    Parked(
                        by,
                        at,
                        float(rng.uniform(0, 360)),
                        str(rng.choice(CAR_PAINTS)),
                        (when - timedelta(hours=2), when + timedelta(hours=2)),
                    )
                )
    return parked


def random_weather(rng: np.random.Generator, habits: Habits, *, cold: bool) -> Weather:
    """Return the weather of one picture."""
    cloud = float(rng.choice([rng.uniform(0.05, 0.6), rng.uniform(0.6, 1.0)])) if rng.random() < habits.cloudy else 0.0
    snow = float(rng.uniform(0.05, 0.9)) if cold and rng.random() < habits.snowy else 0.0
    wet = float(rng.uniform(0.2, 1)) if rng.random() < 0.2 else 0.0
    return Weather(cloud=cloud, haze=float(rng.gamma(1.5, 0.12)), snow=snow, wet=wet)


def random_shot(site: Site, sensor: Sensor, when: datetime, rng: np.random.Generator, habits: Habits) -> Shot:
    """Return how one picture is taken."""
    latitude = site.polygon.centroid.y
    cold = greenness(when.timetuple().tm_yday, latitude) < 0.3 and abs(latitude) > 30
    covers = (0.0, 1.0)
    if rng.random() < habits.partly:
        cut = float(rng.uniform(0.25, 0.85))
        covers = (0.0, cut) if rng.random() < 0.5 else (cut, 1.0)
    shot = Shot(
        f"{site.id}_{when:%Y%m%dT%H%M%SZ}_{sensor.name}",
        when,
        sensor,
        random_weather(rng, habits, cold=cold),
        covers=covers,
    )
    return with_habits(shot, shift_px=habits.shift_px)


def random_scenery(world: World, rng: np.random.Generator) -> Scenery:
    """Return roads, houses and trees round a site's tracks, and masts along some."""
    if not world.true:
        return Scenery(trees_per_ha=float(rng.uniform(5, 60)))
    names = sorted(world.true)
    edge = names[int(rng.integers(len(names)))]
    length, side = world.true[edge].length_m, float(rng.choice([-1, 1]))
    far = side * float(rng.uniform(60, 90))
    bend = tuple((float(a), far + float(rng.normal(0, 6))) for a in np.linspace(-0.3 * length, 1.3 * length, 5))
    village = Village(edge, (0.1 * length, far + side * 25 - 30), int(rng.integers(1, 4)), max(2, int(length / 30)))
    return Scenery(
        roads=(Path(edge, bend, str(rng.choice(["asphalt", "dirt"])), float(rng.uniform(3.5, 7))),),
        villages=(village,) if rng.random() < 0.5 else (),
        masts_by=tuple(name for name in names if rng.random() < 0.2),
        trees_per_ha=float(rng.uniform(5, 60)),
        fields=bool(rng.random() < 0.6),
        apron=str(rng.choice(["concrete", "dirt", "asphalt", "gravel"])),
    )


def story_of(
    site: Site, sensors: Sequence[str | Sensor], times: Sequence[datetime], *, seed: int, habits: Habits | None = None
) -> Story:
    """Return a story drawn at random on a given site.

    Parameters
    ----------
    site : where.
    sensors : names of `SENSORS`, or sensors.
    times : of the pictures; every sensor takes one at each.
    seed : the same gives the same story.
    habits : how busy the site is, and so on; the default's values where None.
    """
    habits, rng = habits or Habits(), np.random.default_rng([seed, 101])
    world = world_of(site, seed=seed, line_error_m=habits.line_error_m)
    ordered = sorted(times)
    during = (ordered[0] - timedelta(days=1), ordered[-1] + timedelta(days=1))
    kinds = [SENSORS[one] if isinstance(one, str) else one for one in sensors]
    told = SiteStory(
        aoi=site.id,
        line_error_m=habits.line_error_m,
        scenery=random_scenery(world, rng),
        stays=tuple(random_stays(world, during, rng, habits)),
        heaps=tuple(random_heaps(world, during, rng)),
        parked=tuple(random_lorries(world, ordered, rng)),
        shots=tuple(random_shot(site, sensor, when, rng, habits) for sensor in kinds for when in ordered),
    )
    return Story(f"random-{seed}", f"{site.name}, drawn at random (seed {seed})", seed, "", {site.id: told})
