"""Things that stand: buildings, walls, trees, the bridge, and thin members in the air (trusses, masts)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from rail_watch.simulate.canvas import Canvas, Coat, Plane, dressed, fill, lay, local
from rail_watch.simulate.curve import Curve
from rail_watch.simulate.frame import Frame, Points
from rail_watch.simulate.materials import GROUND, ROOFS, Material
from rail_watch.simulate.noise import fractal
from rail_watch.simulate.scenery import Block, Path, Scenery, Truss, Village
from rail_watch.simulate.terrain import WATER_LEVEL_M, siding
from rail_watch.simulate.world import World

CONIFERS = 0.25
"""Share of the trees that are conifers."""


@dataclass(frozen=True)
class Member:
    """A straight thin member in the air."""

    a: tuple[float, float, float]
    """Frame x, y and height, metres."""
    b: tuple[float, float, float]
    width_m: float


@dataclass(frozen=True)
class Building:
    """A house or shed with a ridge roof."""

    centre: Points
    heading: float
    length_m: float
    width_m: float
    eaves_m: float
    roof: str
    pitch: float = 0.35
    """Rise of the roof over its run."""


def paint_building(canvas: Canvas, house: Building) -> None:
    """Paint a ridge roof: two slopes, a ridge, sheets or tiles in rows, trodden ground round it."""
    half_u, half_v = house.length_m / 2, house.width_m / 2
    here = local(canvas.frame, house.centre, heading=house.heading, half=(half_u + 3, half_v + 3))
    if here is None:
        return
    yard = np.clip(1 - np.maximum(np.abs(here.u) - half_u, np.abs(here.v) - half_v) / 3, 0, 1)
    lay(
        canvas,
        here.window,
        (0.55 * yard).astype(np.float32),
        Coat(dressed(canvas, GROUND["dirt"], here.window) * np.float32(0.92)),
    )
    material = ROOFS[house.roof]
    sheets = 1 + np.float32(0.035) * np.sign(np.sin(here.u * np.float32(2 * math.pi / 2.2)))
    colour = dressed(canvas, material, here.window) * sheets
    pitch = np.float32(house.pitch)
    rise = pitch * (np.float32(half_v) - np.abs(here.v))
    slope = here.normal(0.0, pitch * np.sign(here.v))
    lay(
        canvas,
        here.window,
        here.box(half_u, half_v),
        Coat(colour, np.float32(house.eaves_m) + rise, slope, material.snow),
    )
    ridge = here.box(half_u, 0.2) * np.float32(0.5)
    lay(canvas, here.window, ridge, Coat(colour * np.float32(1.25), snow=material.snow))


def building_of(polygon: BaseGeometry, roof: str, eaves_m: float) -> Building:
    """Return the building that fills a polygon's smallest rectangle."""
    corners = np.asarray(shapely.minimum_rotated_rectangle(polygon).exterior.coords)
    first, second = corners[1] - corners[0], corners[2] - corners[1]
    long, short = (first, second) if np.hypot(*first) >= np.hypot(*second) else (second, first)
    centre = (corners[0] + corners[2]) / 2
    return Building(
        centre, math.atan2(long[1], long[0]), float(np.hypot(*long)), float(np.hypot(*short)), eaves_m, roof, pitch=0.14
    )


def paint_block(canvas: Canvas, world: World, block: Block) -> None:
    """Paint a building of the scenery."""
    curve = world.curve(block.by)
    long = block.size_m[0] >= block.size_m[1]
    heading = curve.heading(block.at[0]) + (0 if long else math.pi / 2)
    size = block.size_m if long else block.size_m[::-1]
    paint_building(canvas, Building(curve.at(*block.at), heading, size[0], size[1], block.height_m, block.kind))


def village_houses(world: World, village: Village, seed: int) -> list[Building]:
    """Return rows of single-storey houses, much alike and a little crooked."""
    rng = np.random.default_rng([seed, 31])
    curve, houses = world.curve(village.by), []
    heading = curve.heading(village.at[0])
    for row in range(village.rows):
        for column in range(village.columns):
            if rng.random() < 0.12:
                continue
            spot = curve.at(
                village.at[0] + column * 15.5 + rng.normal(0, 0.7), village.at[1] + row * 17 + rng.normal(0, 0.7)
            )
            roof = str(rng.choice(["tile", "tile", "grey-sheet", "tar", "rusty-sheet"]))
            houses.append(
                Building(
                    spot,
                    heading + rng.normal(0, 0.02),
                    rng.uniform(9, 12.5),
                    rng.uniform(6, 7.5),
                    rng.uniform(2.6, 3.1),
                    roof,
                )
            )
    return houses


def paint_wall(canvas: Canvas, world: World, wall: Path) -> None:
    """Paint a wall 2.4 m high, and watch posts every 50 m outside it where its kind is `posts`."""
    line = siding(world, wall)
    fill(canvas, line.line.buffer(max(wall.width_m, 0.4) / 2, cap_style="flat"), GROUND["concrete"], height=2.4)
    if wall.kind != "posts":
        return
    for along in np.arange(6.0, line.length_m, 50.0):
        paint_building(canvas, Building(line.at(float(along), 1.6), line.heading(float(along)), 1.9, 1.8, 4.2, "tar"))


def tree_spots(world: World, scenery: Scenery, reach_m: float) -> list[Spot]:
    """Return trees as (x, y, radius, kind in 0..1), in groves, clear of tracks, aprons, buildings and roads."""
    rng = np.random.default_rng([world.seed, 41])
    half = world.reach + reach_m
    count = int(scenery.trees_per_ha * (2 * half) ** 2 / 1e4)
    spots = rng.uniform(-half, half, size=(count, 2))
    size, kind, luck = rng.gamma(6, 0.42, count), rng.random(count), rng.uniform(-0.5, 0.9, count)
    groves = _noise_at(world, spots)
    keep = (groves > luck) & ~shapely.contains_xy(_kept_clear(world, scenery), spots)
    return [
        (float(x), float(y), float(r), float(k))
        for (x, y), r, k in zip(spots[keep], size[keep], kind[keep], strict=True)
    ]


def _noise_at(world: World, spots: Points) -> NDArray[np.float64]:
    half = float(np.abs(spots).max()) + 20 if len(spots) else 20.0
    cells = int(2 * half / 10) + 2
    frame = Frame(world.frame.crs, world.frame.angle, 10.0, -half, half, (cells, cells))
    plane = fractal(frame, 110.0, world.seed + 16, octaves=3)
    at = np.clip(np.round(frame.row_col(spots)).astype(int), 0, cells - 1)
    return np.asarray(plane[at[:, 0], at[:, 1]], dtype=np.float64)


def _kept_clear(world: World, scenery: Scenery) -> BaseGeometry:
    """Return where no tree stands."""
    shapes = [curve.line.buffer(9) for curve in world.true.values()]
    shapes += [siding(world, one).line.buffer(8) for one in (*scenery.sidings, *scenery.roads)]
    shapes += [siding(world, one).line.convex_hull.buffer(3) for one in scenery.walls]
    shapes += [world.areas[area.id].buffer(5) for area in (*world.site.aprons, *world.site.sheds, *world.site.excludes)]
    for block in (*scenery.buildings, *scenery.platforms, *scenery.paved):
        shapes.append(shapely.Point(world.curve(block.by).at(*block.at)).buffer(max(block.size_m) / 2 + 3))
    for village in scenery.villages:
        far = (village.at[0] + village.columns * 15.5, village.at[1] + village.rows * 17)
        shapes.append(world.curve(village.by).path([village.at, far]).line.envelope.buffer(8))
    return shapely.unary_union(shapes) if shapes else shapely.Polygon()


Spot = tuple[float, float, float, float]
"""A tree: x, y, radius of its crown, and its kind from 0 to 1."""


def is_open(spot: Spot, green: float) -> bool:
    """Return whether a tree stands bare: light falls through its twigs."""
    return spot[3] >= CONIFERS and green <= 0.4


def paint_tree(canvas: Canvas, spot: Spot, green: float) -> None:
    """Paint a crown: a rough dome, dense in a conifer or in leaf, open twigs in a bare tree."""
    x, y, radius, kind = spot
    here = local(canvas.frame, np.array([x, y]), heading=0.0, half=(radius + 0.5, radius + 0.5))
    if here is None:
        return
    name = "conifer" if kind < CONIFERS else "leafy-tree" if green > 0.4 else "bare-tree"
    fine = canvas.texture[0][here.window]
    far = np.hypot(here.u, here.v) / radius + 0.2 * fine
    dome = np.sqrt(np.clip(1 - far**2, 0, 1)).astype(np.float32)
    if is_open(spot, green):
        lay(
            canvas,
            here.window,
            dome * np.clip(0.55 + 0.5 * fine, 0.1, 0.9),
            Coat(dressed(canvas, GROUND[name], here.window), snow=0.5),
        )
        return
    tall = _tall(spot) * dome
    slope = here.normal(0.7 * here.u / radius, 0.7 * here.v / radius)
    solid = np.clip(dome * 4, 0, 1) * (tall > canvas.height[here.window])
    lay(
        canvas,
        here.window,
        solid.astype(np.float32),
        Coat(dressed(canvas, GROUND[name], here.window), tall, slope, snow=0.4),
    )


def _tall(spot: Spot) -> float:
    return (2.3 if spot[3] < CONIFERS else 1.7) * spot[2] + 1.2


def crown_shadows(frame: Frame, crowns: list[Spot], away: tuple[float, float]) -> Plane:
    """Return the share of the sun's beam that bare crowns take; `away` is the shadow's run for a metre of height."""
    shadow = np.zeros(frame.shape, dtype=np.float32)
    run = math.hypot(*away)
    for spot in crowns:
        x, y, radius, _ = spot
        tall = _tall(spot)
        centre = np.array([x + away[0] * 0.55 * tall, y + away[1] * 0.55 * tall])
        half = (0.42 * tall * run + 0.6 * radius, 0.85 * radius)
        here = local(frame, centre, heading=math.atan2(away[1], away[0]), half=half)
        if here is not None:
            taken = 0.62 * np.clip(1 - (here.u / half[0]) ** 2 - (here.v / half[1]) ** 2, 0, 1) ** 0.6
            shadow[here.window] = np.maximum(shadow[here.window], taken)
    return shadow


def masts(curve: Curve, *, left_m: float = 2.9) -> list[Member]:
    """Return catenary masts every 55 m beside a track, with their arms."""
    members = []
    for along in np.arange(15.0, curve.length_m, 55.0):
        foot, arm = curve.at(float(along), left_m), curve.at(float(along), 0.0)
        members.append(Member((*foot, 0.0), (*foot, 7.5), 0.35))
        members.append(Member((*foot, 6.6), (*arm, 6.2), 0.12))
    return members


def lay_bridge(canvas: Canvas, world: World, truss: Truss) -> None:
    """Paint piers in the water and the planked deck."""
    curve = world.curve(truss.bridge)
    width = next((b.deck_width_m for b in world.site.bridges if b.id == truss.bridge), None) or truss.width_m
    ends = np.concatenate([[0.0], np.cumsum(truss.spans_m)])
    for along in ends[1:-1]:
        here = local(canvas.frame, curve.at(float(along)), heading=curve.heading(float(along)), half=(2.5, 8))
        if here is not None:
            lay(canvas, here.window, here.box(1.7, 6.2), Coat(GROUND["concrete"].spectrum * np.float32(0.8), -1.2))
    band = curve.line.buffer(width / 2, cap_style="flat")
    fill(canvas, band, GROUND["planks"], height=0.0)
    for side in (-1, 1):
        edge = curve.line.offset_curve(side * (width / 2 - 0.35)).buffer(0.3, cap_style="flat")
        fill(canvas, edge, Material((0.15, 0.155, 0.16, 0.175), 0.05, 0.05, 0.4), height=0.3)


def truss_members(world: World, truss: Truss) -> list[Member]:
    """Return the members of the through trusses: chords, verticals, diagonals and the bracing overhead."""
    curve = world.curve(truss.bridge)
    ends = np.concatenate([[0.0], np.cumsum(truss.spans_m)])
    members: list[Member] = []
    for number in truss.trussed:
        members += _one_truss(curve, float(ends[number]), float(ends[number + 1]), truss)
    return members


def _one_truss(curve: Curve, start: float, end: float, truss: Truss) -> list[Member]:
    panels = max(4, round((end - start) / 8.3))
    marks = np.linspace(start + 0.6, end - 0.6, panels + 1)
    half, top = truss.width_m / 2, truss.height_m

    def node(index: int, side: float, height: float) -> tuple[float, float, float]:
        x, y = curve.at(float(marks[index]), side * half)
        return float(x), float(y), height

    members = []
    for side in (-1.0, 1.0):
        members.append(Member(node(1, side, top), node(panels - 1, side, top), 0.55))
        members.append(Member(node(0, side, 0.5), node(1, side, top), 0.5))
        members.append(Member(node(panels, side, 0.5), node(panels - 1, side, top), 0.5))
        for k in range(1, panels):
            members.append(Member(node(k, side, 0.5), node(k, side, top), 0.3))
            up = k % 2 == 1
            if k < panels - 1:
                members.append(Member(node(k, side, top if up else 0.5), node(k + 1, side, 0.5 if up else top), 0.4))
    for k in range(1, panels):
        members.append(Member(node(k, -1.0, top), node(k, 1.0, top), 0.3))
        if k < panels - 1:
            members.append(Member(node(k, -1.0, top), node(k + 1, 1.0, top), 0.2))
            members.append(Member(node(k, 1.0, top), node(k + 1, -1.0, top), 0.2))
    return members


def draw_members(frame: Frame, members: list[Member], offset: tuple[float, float], plane_m: float) -> Plane:
    """Return the share of each cell covered by the members' pictures on the level `plane_m`.

    `offset` is the horizontal displacement (x, y) for each metre of height above that level: away from the sun
    for shadows, away from the sensor for what is seen.
    """
    cover = np.zeros(frame.shape, dtype=np.float32)
    for member in members:
        a, b = (
            np.array([x + (z - plane_m) * offset[0], y + (z - plane_m) * offset[1]]) for x, y, z in (member.a, member.b)
        )
        if max(member.a[2], member.b[2]) < plane_m:
            continue
        length = float(np.hypot(*(b - a)))
        heading = math.atan2(*(b - a)[::-1]) if length > 0 else 0.0
        half = (length / 2 + member.width_m / 2, member.width_m / 2)
        here = local(frame, (a + b) / 2, heading=heading, half=(half[0] + 0.5, half[1] + 0.5))
        if here is not None:
            cover[here.window] = np.maximum(cover[here.window], here.box(*half))
    return cover


def members_shadow(canvas: Canvas, members: list[Member], offset: tuple[float, float]) -> Plane:
    """Return the share of the sun's beam that thin members take from each cell, by the level the cell lies on."""
    shadow = np.zeros(canvas.frame.shape, dtype=np.float32)
    for plane_m, low, high in ((WATER_LEVEL_M, -99.0, -3.0), (0.0, -3.0, 1.8), (4.2, 1.8, 99.0)):
        level = (canvas.height >= low) & (canvas.height < high)
        if level.any():
            shadow[level] = draw_members(canvas.frame, members, offset, plane_m)[level]
    return shadow
