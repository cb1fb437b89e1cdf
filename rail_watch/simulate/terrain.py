"""The ground of a site without anything on it: grass, soil, fields, roads, water, ballast, sleepers and rails."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from rail_watch.simulate.canvas import Canvas, Coat, Local, Plane, dressed, fill, lay, local, whole
from rail_watch.simulate.curve import Curve
from rail_watch.simulate.frame import Frame
from rail_watch.simulate.materials import GROUND, Material
from rail_watch.simulate.noise import fractal, hashed, smoothstep
from rail_watch.simulate.scenery import Block, Path, Scenery
from rail_watch.simulate.world import World

SLEEPER_PITCH_M = 0.6
SLEEPER_M = 0.25
WATER_LEVEL_M = -7.0


@dataclass(frozen=True)
class Season:
    """The time of year, as the ground shows it."""

    green: float
    """0 dry or bare, 1 in full leaf."""
    wet: float = 0.0
    """0 dry, 1 soaked: dark."""


def bare_canvas(world: World, frame: Frame) -> Canvas:
    """Return a canvas of level ground with its texture, not yet painted."""
    fine = fractal(frame, 3.0, world.seed + 1, octaves=5, gain=0.75)
    coarse = fractal(frame, 70.0, world.seed + 2, octaves=5, gain=0.7)
    zero = np.zeros(frame.shape, dtype=np.float32)
    return Canvas(
        frame,
        np.zeros((4, *frame.shape), np.float32),
        zero,
        np.zeros((2, *frame.shape), np.float32),
        np.ones(frame.shape, np.float32),
        (fine, coarse),
    )


def _from_tracks(world: World, scenery: Scenery, frame: Frame) -> Plane:
    """Return each cell's distance from the nearest rail, metres."""
    from rasterio.features import rasterize
    from rasterio.transform import Affine

    lines = [curve.line for curve in world.true.values()]
    lines += [siding(world, one).line for one in scenery.sidings]
    if not lines:
        return np.full(frame.shape, 1e3, dtype=np.float32)
    transform = Affine(frame.step_m, 0, frame.left, 0, -frame.step_m, frame.top)
    mask = rasterize([(line, 1) for line in lines], out_shape=frame.shape, transform=transform, all_touched=True)
    return np.asarray(ndimage.distance_transform_edt(mask == 0) * frame.step_m, dtype=np.float32)


def siding(world: World, path: Path) -> Curve:
    """Return a scenery path as a line in frame metres."""
    return world.curve(path.by).path(list(path.points))


def _blend(canvas: Canvas, material: Material, share: Plane) -> None:
    window = whole(canvas.frame)
    lay(canvas, window, share, Coat(dressed(canvas, material, window), snow=material.snow))


def _fields(canvas: Canvas, world: World, away: Plane) -> None:
    """Lay a patchwork of parcels, ploughed in rows, where it is far from the tracks."""
    frame = canvas.frame
    warp = fractal(frame, 120.0, world.seed + 5, octaves=2) * np.float32(14)
    x, y = frame.axes()
    across, down = (x[None, :] + warp) / 82.0, (y[:, None] + 0.6 * warp) / 47.0
    parcel_x, parcel_y = np.floor(across).astype(np.int64), np.floor(down).astype(np.int64)
    tone = hashed(parcel_x, parcel_y, world.seed + 6)
    kind = hashed(parcel_x, parcel_y, world.seed + 7)
    edge = np.minimum(np.abs(across - np.round(across)) * 82, np.abs(down - np.round(down)) * 47)
    rows = np.sin(np.where(kind > 0, y[:, None], x[None, :]) * np.float32(2 * np.pi / 3.6))
    farmed = smoothstep(fractal(frame, 260.0, world.seed + 8, octaves=2), -0.15, 0.1)
    share = farmed * smoothstep(away, 32, 45) * smoothstep(edge.astype(np.float32), 0.8, 2.2)
    for low, name in ((-1.1, "field"), (-0.2, "soil"), (0.45, "dry-grass")):
        _blend(canvas, GROUND[name], share * (tone > low) * np.float32(0.9))
    canvas.colour *= 1 + np.float32(0.05) * (rows * share * (kind > -0.4)).astype(np.float32)


def _paths_worn(canvas: Canvas, world: World, away: Plane) -> None:
    """Show bare earth where people and cars go beside the tracks."""
    worn = fractal(canvas.frame, 26.0, world.seed + 9, octaves=4)
    _blend(canvas, GROUND["dirt"], smoothstep(worn, 0.25, 0.75) * smoothstep(-away, -26, -9) * np.float32(0.8))
    edge = away + np.float32(1.6) * fractal(canvas.frame, 9.0, world.seed + 10, octaves=4)
    _blend(canvas, GROUND["old-ballast"], smoothstep(-edge, -5.4, -3.4) * np.float32(0.92))


def lay_ground(canvas: Canvas, world: World, scenery: Scenery, season: Season) -> None:
    """Paint grass, soil and fields over everything, worn bare beside the tracks."""
    window = whole(canvas.frame)
    grass = dressed(canvas, GROUND["dry-grass"], window) * (1 - season.green)
    grass += dressed(canvas, GROUND["green-grass"], window) * season.green
    canvas.colour[:] = grass
    patches = fractal(canvas.frame, 34.0, world.seed + 3, octaves=6, gain=0.72)
    _blend(canvas, GROUND["soil"], smoothstep(patches, 0.0, 0.6) * np.float32(0.85))
    away = _from_tracks(world, scenery, canvas.frame)
    if scenery.fields:
        _fields(canvas, world, away)
    _paths_worn(canvas, world, away)


def lay_block(canvas: Canvas, world: World, block: Block) -> None:
    """Paint a paved place or a platform: slabs with joints, an edge where it is raised."""
    curve = world.curve(block.by)
    half_u, half_v = block.size_m[0] / 2, block.size_m[1] / 2
    here = local(canvas.frame, curve.at(*block.at), heading=curve.heading(block.at[0]), half=(half_u, half_v))
    if here is None:
        return
    material = GROUND[block.kind]
    colour = dressed(canvas, material, here.window)
    cover = here.box(half_u, half_v)
    lay(canvas, here.window, cover, Coat(colour, block.height_m or None, None, material.snow))
    if block.kind == "concrete":
        slab = np.float32(6)
        joints = np.maximum(here.span(here.u % slab - slab / 2, 0.06), here.span(here.v % slab - slab / 2, 0.06))
        lay(canvas, here.window, cover * joints * np.float32(0.5), Coat(colour * np.float32(0.6)))


def lay_road(canvas: Canvas, world: World, road: Path) -> None:
    """Paint a road with two worn wheel tracks."""
    line = siding(world, road).line
    fill(canvas, line.buffer(road.width_m / 2 + 0.8, cap_style="flat"), GROUND["dirt"])
    fill(canvas, line.buffer(road.width_m / 2, cap_style="flat"), GROUND[road.kind or "dirt"])
    for offset in (-0.9, 0.9):
        worn = Material(tuple(1.12 * v for v in GROUND[road.kind or "dirt"].bgrn), 0.05, 0.1)  # type: ignore[arg-type]
        fill(canvas, line.offset_curve(offset).buffer(0.35, cap_style="flat"), worn)


def lay_aprons(canvas: Canvas, world: World, scenery: Scenery) -> None:
    """Pave the aprons; they are stained where things stood."""
    for area in world.site.aprons:
        polygon = world.areas[area.id]
        fill(canvas, polygon.buffer(1.0), GROUND["dirt"])
        fill(canvas, polygon, GROUND[scenery.apron])
        stain = smoothstep(fractal(canvas.frame, 11.0, world.seed + 12, octaves=4), 0.35, 1.0)
        window = canvas.frame.window(polygon.bounds)
        if window is not None:
            lay(
                canvas,
                window,
                stain[window] * np.float32(0.3),
                Coat(dressed(canvas, GROUND["dirt"], window) * np.float32(0.75)),
            )


def lay_track(canvas: Canvas, curve: Curve, *, gauge_mm: int, seed: int, deck: bool = False) -> None:
    """Paint one track: ballast, the darker bed between the rails, sleepers and two rails."""
    rng = np.random.default_rng([seed, 21])
    wooden = rng.random() < 0.6
    for piece in range(len(curve.points) - 1):
        a, b = curve.points[piece], curve.points[piece + 1]
        length = float(np.hypot(*(b - a)))
        heading = math.atan2(*(b - a)[::-1])
        here = local(canvas.frame, (a + b) / 2, heading=heading, half=(length / 2 + 0.2, 3.2))
        if here is None:
            continue
        on = here.span(here.u, length / 2 + 0.15)
        if not deck:
            _bed(canvas, here, on)
        _steel(canvas, here, on, gauge_m=gauge_mm / 1000, wooden=wooden)


def _bed(canvas: Canvas, here: Local, on: Plane) -> None:
    rough = 1 + np.float32(0.12) * canvas.texture[0][here.window]
    shoulder = np.clip((1.9 * rough - np.abs(here.v)) / 0.5 + 0.5, 0, 1).astype(np.float32)
    lay(
        canvas,
        here.window,
        on * shoulder * np.float32(0.85),
        Coat(dressed(canvas, GROUND["ballast"], here.window), snow=0.75),
    )
    inner = np.exp(-((here.v / np.float32(0.85)) ** 2)).astype(np.float32)
    lay(
        canvas,
        here.window,
        on * inner * np.float32(0.55),
        Coat(dressed(canvas, GROUND["track-bed"], here.window), snow=0.55),
    )


def _sleepers_before(u: Plane) -> Plane:
    """Return how many metres of sleeper lie before u along the track: differences of it are exact cell averages."""
    whole_ones = np.floor(u / np.float32(SLEEPER_PITCH_M))
    part = u - whole_ones * np.float32(SLEEPER_PITCH_M)
    return np.asarray(whole_ones * np.float32(SLEEPER_M) + np.minimum(part, np.float32(SLEEPER_M)), dtype=np.float32)


def _steel(canvas: Canvas, here: Local, on: Plane, *, gauge_m: float, wooden: bool) -> None:
    tone = GROUND["planks"].spectrum * np.float32(0.8) if wooden else GROUND["concrete"].spectrum * np.float32(0.85)
    beat = (_sleepers_before(here.u + here.step_m / 2) - _sleepers_before(here.u - here.step_m / 2)) / here.step_m
    lay(canvas, here.window, on * here.span(here.v, 1.32) * beat * np.float32(0.5), Coat(tone, snow=0.6))
    for side in (-0.5, 0.5):
        rail = here.span(here.v - np.float32(side * gauge_m), 0.045)
        lay(canvas, here.window, on * rail, Coat(GROUND["steel"].spectrum * np.float32(1.25), snow=0.2))


def lay_water(canvas: Canvas, world: World, scenery: Scenery) -> None:
    """Paint a river through the exclusions that are water; it runs on, widening them along its own course."""
    if not scenery.water:
        return
    import shapely

    body = shapely.unary_union([world.areas[name] for name in scenery.water])
    box = shapely.minimum_rotated_rectangle(body)
    corners = np.asarray(box.exterior.coords)
    centre = np.asarray(box.centroid.coords)[0]
    sides = np.diff(corners, axis=0)[:2]
    long = sides[np.argmax(np.hypot(sides[:, 0], sides[:, 1]))]
    width = float(np.hypot(*long))
    along = long / width
    here = local(canvas.frame, centre, heading=math.atan2(along[1], along[0]), half=(width, 5000.0))
    if here is None:
        return
    ragged = np.float32(7) * fractal(canvas.frame, 90.0, world.seed + 14, octaves=5)[here.window]
    meander = np.float32(0.12) * here.v
    inside = width / 2 - np.abs(here.u - meander) + ragged
    bank = smoothstep(inside, -14, -2)
    lay(canvas, here.window, bank * np.float32(0.9), Coat(dressed(canvas, GROUND["sand"], here.window), snow=0.8))
    wet = smoothstep(inside, -0.6, 0.6)
    deep = dressed(canvas, GROUND["water"], here.window)
    shoal = smoothstep(fractal(canvas.frame, 60.0, world.seed + 15, octaves=4)[here.window], 0.2, 1.2)
    deep = deep + shoal * np.array([0.012, 0.02, 0.022, 0.006], np.float32)[:, None, None]
    lay(canvas, here.window, wet, Coat(deep.astype(np.float32), snow=0.0))
    level = np.float32(WATER_LEVEL_M) * smoothstep(inside, -9, 1)
    canvas.height[here.window] = np.minimum(canvas.height[here.window], level)
