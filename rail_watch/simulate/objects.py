"""Railcars, cargo and lorries: their true dimensions and how to paint them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from shapely import Polygon

from rail_watch.simulate.canvas import Canvas, Coat, Local, cover_of, lay, local
from rail_watch.simulate.curve import Curve
from rail_watch.simulate.frame import Points
from rail_watch.simulate.materials import GROUND, paint
from rail_watch.simulate.scenery import Block

Plane = NDArray[np.float32]
COUPLER_M = 0.5
"""From the end of a car's body to the coupling face."""


@dataclass(frozen=True)
class CarType:
    """Dimensions of one type of vehicle, metres."""

    length_m: float
    """Over couplers."""
    width_m: float
    height_m: float
    """Top of the body above the rails."""
    form: str
    """locomotive, box, gondola, tank, flat, covered."""


CAR_TYPES = {
    "locomotive-m62": CarType(17.55, 2.95, 4.49, "locomotive"),
    "locomotive-tem2": CarType(16.97, 3.12, 5.1, "locomotive"),
    "locomotive-2te10": CarType(16.97, 3.2, 4.85, "locomotive"),
    "boxcar": CarType(14.73, 3.28, 4.69, "box"),
    "boxcar-long": CarType(16.97, 3.27, 4.69, "box"),
    "boxcar-p70": CarType(17.07, 3.3, 4.77, "box"),
    "gondola": CarType(13.92, 3.16, 3.48, "gondola"),
    "gondola-covered": CarType(13.92, 3.16, 3.78, "covered"),
    "gondola-c70": CarType(13.98, 3.24, 3.14, "gondola"),
    "tank": CarType(12.02, 3.2, 4.6, "tank"),
    "flat": CarType(14.62, 3.1, 1.3, "flat"),
    "container-flat": CarType(14.62, 2.8, 1.3, "flat"),
    "small-covered": CarType(10.6, 2.9, 3.6, "covered"),
}


@dataclass(frozen=True)
class Car:
    """One railcar as a story names it."""

    type: str
    colour: str
    load: str | None = None
    """Gondola: what it carries (a paint), None is empty. Flat: colours of its containers, separated by +."""

    @property
    def dimensions(self) -> CarType:
        """Of its type."""
        return CAR_TYPES[self.type]


@dataclass(frozen=True)
class PlacedCar:
    """A railcar where it stands."""

    car: Car
    centre: Points
    heading: float
    """Radians from the frame's x axis; the car's front."""
    seed: int

    @property
    def body_length_m(self) -> float:
        """Without its couplers: what a picture shows."""
        return self.car.dimensions.length_m - 2 * COUPLER_M

    def ends(self) -> tuple[Points, Points]:
        """Return the middles of the body's two ends, front first."""
        half = self.body_length_m / 2 * np.array([math.cos(self.heading), math.sin(self.heading)])
        return self.centre + half, self.centre - half

    def outline(self) -> Polygon:
        """Return the body's outline in frame metres."""
        along = np.array([math.cos(self.heading), math.sin(self.heading)])
        across = np.array([-along[1], along[0]]) * self.car.dimensions.width_m / 2
        front, back = self.ends()
        return Polygon([front + across, front - across, back - across, back + across])


@dataclass(frozen=True)
class Pile:
    """Cargo on the ground."""

    id: str
    outline: Polygon
    """Frame metres."""
    height_m: float
    cover: str
    """A paint: tarpaulin-blue, crates, coal …"""
    seed: int
    apron: str | None = None


@dataclass(frozen=True)
class Lorry:
    """A road vehicle: looks like cargo, is none."""

    centre: Points
    heading: float
    colour: str
    length_m: float = 8.2
    width_m: float = 2.5
    height_m: float = 3.0

    def outline(self) -> Polygon:
        """Return its outline in frame metres."""
        along = np.array([math.cos(self.heading), math.sin(self.heading)]) * self.length_m / 2
        across = np.array([-along[1], along[0]]) / self.length_m * self.width_m
        return Polygon(
            [
                self.centre + along + across,
                self.centre + along - across,
                self.centre - along - across,
                self.centre - along + across,
            ]
        )


@dataclass(frozen=True)
class Things:
    """All that stands in a scene for a while."""

    trains: dict[str, dict[str, list[PlacedCar]]] = field(default_factory=dict)
    """Track or bridge id to train id to its cars."""
    piles: tuple[Pile, ...] = ()
    lorries: tuple[Lorry, ...] = ()
    works: tuple[Block, ...] = ()
    """Ground newly paved or gravelled: a change that is no cargo."""


def couple(curve: Curve, start_m: float, cars: list[Car], *, seed: int) -> list[PlacedCar]:
    """Stand coupled cars on a line, the first car's body beginning at `start_m`, onward along the line.

    Each car's two bogies stand on the line, so it cuts the corner of a curve as a real one does.
    """
    placed, front = [], start_m - COUPLER_M
    for number, car in enumerate(cars):
        length = car.dimensions.length_m
        bogie = length * 0.31
        middle = front + length / 2
        behind, ahead = curve.at(middle - bogie), curve.at(middle + bogie)
        heading = math.atan2(*(behind - ahead)[::-1])
        placed.append(PlacedCar(car, (behind + ahead) / 2, heading, seed * 1009 + number))
        front += length
    return placed


def paint_car(canvas: Canvas, placed: PlacedCar) -> None:
    """Paint one railcar: underframe, then the body of its form."""
    kind = placed.car.dimensions
    half_u, half_v = placed.body_length_m / 2, kind.width_m / 2
    here = local(canvas.frame, placed.centre, heading=placed.heading, half=(half_u + 1, half_v + 1))
    if here is None:
        return
    frame_cover = here.box(half_u + COUPLER_M, 0.25)
    lay(canvas, here.window, frame_cover, Coat(paint("black"), 1.0, snow=0.3))
    painters = {
        "locomotive": _locomotive,
        "box": _box,
        "gondola": _gondola,
        "tank": _tank,
        "flat": _flat,
        "covered": _covered,
    }
    painters[kind.form](canvas, here, placed)


def _weathered(canvas: Canvas, here: Local, placed: PlacedCar) -> Plane:
    """Return (4, …) a car's paint, streaked and dulled in its own way."""
    rng = np.random.default_rng(placed.seed)
    fine = canvas.texture[0][here.window]
    tone = 1 + 0.08 * rng.standard_normal()
    streak = 0.05 * np.sin(here.u * np.float32(rng.uniform(0.6, 1.6)) + np.float32(rng.uniform(0, 6)))
    dirt = rng.uniform(0.05, 0.2)
    colour = paint(placed.car.colour) * (1 - dirt) + GROUND["track-bed"].spectrum * dirt
    colour = colour * (1 + 0.012 * rng.standard_normal(4))
    dulled: Plane = (colour[:, None, None] * (tone + 0.07 * fine + streak)).astype(np.float32)
    return dulled


def _box(canvas: Canvas, here: Local, placed: PlacedCar) -> None:
    """Paint a boxcar: a low curved roof with a running board along it and hatches in the long ones."""
    kind, half = placed.car.dimensions, placed.body_length_m / 2
    half_v = kind.width_m / 2
    colour = _weathered(canvas, here, placed)
    across = here.v / half_v
    height = kind.height_m - np.float32(0.45) * across**2
    slope = here.normal(0.0, np.float32(0.9 / half_v) * across * np.float32(0.5))
    lay(canvas, here.window, here.box(half, half_v), Coat(colour, height, slope))
    board = here.box(half - 0.2, 0.28) * 0.55
    lay(canvas, here.window, board, Coat(colour * np.float32(0.8)))
    rib = np.cos(here.u * np.float32(2 * np.pi / 1.55)) > 0.9
    lay(canvas, here.window, here.box(half, half_v) * rib * np.float32(0.25), Coat(colour * np.float32(0.75)))


def _covered(canvas: Canvas, here: Local, placed: PlacedCar) -> None:
    """Paint a car under a cover or flat roof: bows show through it."""
    kind, half = placed.car.dimensions, placed.body_length_m / 2
    half_v = kind.width_m / 2
    colour = _weathered(canvas, here, placed)
    height = kind.height_m - np.float32(0.25) * np.abs(here.v) / half_v
    slope = here.normal(
        0.06 * np.cos(here.u * np.float32(2 * np.pi / 2.3)), np.sign(here.v) * np.float32(0.25 / half_v)
    )
    lay(canvas, here.window, here.box(half, half_v), Coat(colour, height, slope))
    edge = here.box(half, half_v) - here.box(half - 0.3, half_v - 0.25)
    lay(canvas, here.window, np.clip(edge, 0, 1) * np.float32(0.5), Coat(colour * np.float32(0.62)))


def _gondola(canvas: Canvas, here: Local, placed: PlacedCar) -> None:
    """Paint an open car: thin walls, and inside them its load or the floor in shade."""
    kind, half = placed.car.dimensions, placed.body_length_m / 2
    half_v = kind.width_m / 2
    colour = _weathered(canvas, here, placed)
    lay(canvas, here.window, here.box(half, half_v), Coat(colour, kind.height_m))
    inside = here.box(half - 0.18, half_v - 0.16)
    if placed.car.load is None:
        lay(canvas, here.window, inside, Coat(colour * np.float32(0.8), 1.35, snow=0.7))
        return
    rng = np.random.default_rng(placed.seed + 1)
    heap = np.float32(0.5) * np.exp(-(((np.mod(here.u + half, half * 2 / 3) - half / 3) / np.float32(1.6)) ** 2))
    heap = heap * (1 - (here.v / half_v) ** 2) * np.float32(rng.uniform(0.3, 1.4))
    load = paint(placed.car.load)[:, None, None] * (1 + 0.15 * canvas.texture[0][here.window])
    lay(canvas, here.window, inside, Coat(load.astype(np.float32), kind.height_m - 0.35 + heap, None))


def _tank(canvas: Canvas, here: Local, placed: PlacedCar) -> None:
    """Paint a tank car: a barrel lit from one side, a dome and a walkway."""
    kind, half = placed.car.dimensions, placed.body_length_m / 2
    radius = 1.5
    deck = here.box(half, 1.35)
    lay(canvas, here.window, deck, Coat(paint("black"), 1.25, snow=0.6))
    colour = _weathered(canvas, here, placed)
    part = np.clip(here.v / radius, -0.97, 0.97)
    bulge = np.sqrt(1 - part**2)
    height = kind.height_m - 0.35 - radius + radius * bulge
    slope = here.normal(0.0, part / bulge)
    barrel = here.box(half - 0.45, radius)
    lay(canvas, here.window, barrel, Coat(colour, height, slope, snow=0.4))
    dome = np.clip((0.75 - np.hypot(here.u, here.v)) / here.step_m + 0.5, 0, 1).astype(np.float32)
    lay(canvas, here.window, dome, Coat(colour * np.float32(0.9), kind.height_m))
    lay(canvas, here.window, here.box(half * 0.35, 0.3) * np.float32(0.5), Coat(paint("dark-grey")))


def _flat(canvas: Canvas, here: Local, placed: PlacedCar) -> None:
    """Paint a flat car and what stands on it: 20 ft or 40 ft containers (ISO 668), or nothing."""
    kind, half = placed.car.dimensions, placed.body_length_m / 2
    deck = GROUND["planks"].spectrum if placed.car.type == "flat" else paint(placed.car.colour) * np.float32(0.6)
    lay(canvas, here.window, here.box(half, kind.width_m / 2), Coat(deck.astype(np.float32), kind.height_m))
    loads = placed.car.load.split("+") if placed.car.load else []
    length = 12.19 if len(loads) == 1 else 6.06
    for number, colour in enumerate(loads):
        centre = (number - (len(loads) - 1) / 2) * (length + 0.35)
        moved = Local(here.window, here.u - np.float32(centre), here.v, here.heading, here.step_m)
        ribs = 1 + 0.05 * np.sign(np.sin(moved.u * np.float32(2 * np.pi / 1.2)))
        tone = (paint(colour)[:, None, None] * ribs).astype(np.float32)
        lay(canvas, here.window, moved.box(length / 2, 1.22), Coat(tone, kind.height_m + 2.59))


def _locomotive(canvas: Canvas, here: Local, placed: PlacedCar) -> None:
    """Paint a diesel locomotive: dark roof between rounded cabs, radiator fans, exhaust."""
    kind, half = placed.car.dimensions, placed.body_length_m / 2
    half_v = kind.width_m / 2
    colour = _weathered(canvas, here, placed)
    part = here.v / half_v
    slope = here.normal(0.0, np.float32(0.5) * part**3)
    lay(canvas, here.window, here.box(half, half_v), Coat(colour, kind.height_m - 0.6 * part**4, slope))
    lay(canvas, here.window, here.box(half - 2.4, half_v - 0.45), Coat(paint("dark-grey") * np.float32(0.8)))
    for along in (half * 0.45, half * 0.2):
        ring = np.hypot(here.u - np.float32(along), here.v)
        fan = np.clip((0.85 - ring) / here.step_m + 0.5, 0, 1).astype(np.float32)
        lay(canvas, here.window, fan, Coat(paint("grey") * np.float32(1.1)))
    exhaust = here.between(here.u, -half * 0.25, -half * 0.08) * here.span(here.v, 0.4)
    lay(canvas, here.window, exhaust, Coat(paint("black")))
    cab = here.between(np.abs(here.u), half - 1.5, half - 0.9) * here.span(here.v, half_v)
    lay(canvas, here.window, cab * np.float32(0.8), Coat(paint("yellow") * np.float32(0.7)))


def paint_pile(canvas: Canvas, pile: Pile) -> None:
    """Paint cargo: a tarpaulin in folds over a stack, or crates in rows."""
    found = cover_of(canvas.frame, pile.outline)
    if found is None:
        return
    window, cover = found
    fine = canvas.texture[0][window]
    rng = np.random.default_rng(pile.seed)
    x, y = canvas.frame.axes()
    turn = rng.uniform(0, np.pi)
    fold = np.sin((np.cos(turn) * x[window[1]][None, :] + np.sin(turn) * y[window[0]][:, None]) * rng.uniform(1.2, 2.4))
    colour = paint(pile.cover)[:, None, None] * (1 + 0.06 * rng.standard_normal() + 0.10 * fine + 0.07 * fold)
    height = pile.height_m * (1 - 0.10 * np.abs(fold)) + 0.12 * fine
    slope = np.stack([0.10 * fold * np.cos(turn), 0.10 * fold * np.sin(turn)])
    lay(
        canvas, window, cover, Coat(colour.astype(np.float32), height.astype(np.float32), slope.astype(np.float32), 0.9)
    )


def paint_lorry(canvas: Canvas, lorry: Lorry) -> None:
    """Paint a lorry: cab, gap, body."""
    half_u, half_v = lorry.length_m / 2, lorry.width_m / 2
    here = local(canvas.frame, lorry.centre, heading=lorry.heading, half=(half_u, half_v))
    if here is None:
        return
    lay(canvas, here.window, here.box(half_u, half_v), Coat(paint("black"), 0.9, snow=0.3))
    body = here.between(here.u, -half_u, half_u - 2.4) * here.span(here.v, half_v)
    lay(canvas, here.window, body, Coat(paint(lorry.colour), lorry.height_m))
    cab = here.between(here.u, half_u - 1.9, half_u) * here.span(here.v, half_v - 0.1)
    lay(canvas, here.window, cab, Coat(paint("light-grey"), 2.4))


def paint_things(canvas: Canvas, things: Things) -> None:
    """Paint everything that stands in the scene."""
    for pile in things.piles:
        paint_pile(canvas, pile)
    for lorry in things.lorries:
        paint_lorry(canvas, lorry)
    for trains in things.trains.values():
        for cars in trains.values():
            for placed in cars:
                paint_car(canvas, placed)
