"""One picture: a site at a moment, with what stands there, under its sun and sky, through a sensor."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyproj import Transformer
from shapely.geometry.base import BaseGeometry

from rail_watch.grid import WGS84, Grid, transformer
from rail_watch.simulate.canvas import Canvas, Plane, cover_of
from rail_watch.simulate.frame import Frame, frame_over, shape_lonlat
from rail_watch.simulate.light import MIN_ELEVATION_DEG, lighting, seen_from
from rail_watch.simulate.materials import GROUND, ROOFS, greenness
from rail_watch.simulate.objects import Things, paint_things
from rail_watch.simulate.scenery import Scenery
from rail_watch.simulate.sensor import Sensor, numbers, places, seen
from rail_watch.simulate.structures import (
    Member,
    Spot,
    building_of,
    crown_shadows,
    draw_members,
    is_open,
    lay_bridge,
    masts,
    members_shadow,
    paint_block,
    paint_building,
    paint_tree,
    paint_wall,
    tree_spots,
    truss_members,
    village_houses,
)
from rail_watch.simulate.terrain import (
    Season,
    bare_canvas,
    lay_aprons,
    lay_block,
    lay_ground,
    lay_road,
    lay_track,
    lay_water,
    siding,
)
from rail_watch.simulate.weather import Region, Sky, Weather, clouds, lay_snow, through_air, wet_ground
from rail_watch.simulate.world import World
from rail_watch.sun import SunPosition, sun_position

CLOUDY = 0.35
"""Opacity from which a pixel counts as cloud."""
DARK = 0.5
"""Share of the beam taken from which it counts as cloud shadow."""


@dataclass(frozen=True)
class Shot:
    """How one picture is taken."""

    id: str
    when: datetime
    sensor: Sensor
    weather: Weather = field(default_factory=Weather)
    off_nadir_deg: float = 0.0
    view_azimuth_deg: float = 0.0
    """From the ground to the sensor."""
    covers: tuple[float, float] = (0.0, 1.0)
    """Which part of the site's long side is inside the footprint."""
    shift_m: tuple[float, float] = (0.0, 0.0)
    """East, north: where things appear minus where they are."""
    gain: float = 1.0
    notes: Mapping[str, object] = field(default_factory=dict)
    """Further properties of the scene, passed on to its metadata."""


@dataclass(frozen=True)
class Picture:
    """A rendered scene."""

    shot: Shot
    grid: Grid
    dn: NDArray[np.uint16]
    """(band, row, column); 0 where there is nothing."""
    quality: NDArray[np.uint8]
    """(row, column) of `QUALITY` names by number."""
    footprint: BaseGeometry
    """Lon/lat."""
    sun: SunPosition
    sky: Sky
    """On the canvas."""
    snow_fraction: float
    frame: Frame


QUALITY = ("outside", "clear", "snow", "shadow", "cloud", "water", "vegetation")


@dataclass(frozen=True)
class Stage:
    """The unchanging part of a site's pictures on one raster and in one season: made once, used for every scene."""

    world: World
    scenery: Scenery
    ground: Canvas
    members: tuple[Member, ...]
    crowns: tuple[Spot, ...]
    """Trees that stand bare."""
    site: Region
    """The cells inside the site's polygon."""


def stage(world: World, scenery: Scenery, frame: Frame, season: Season) -> Stage:
    """Build the ground and everything fixed on it."""
    canvas = bare_canvas(world, frame)
    lay_ground(canvas, world, scenery, season)
    lay_water(canvas, world, scenery)
    for road in scenery.roads:
        lay_road(canvas, world, road)
    for block in scenery.paved:
        lay_block(canvas, world, block)
    lay_aprons(canvas, world, scenery)
    _tracks(canvas, world, scenery)
    for block in scenery.platforms:
        lay_block(canvas, world, block)
    _buildings(canvas, world, scenery)
    canvas.colour *= np.asarray(scenery.tone, dtype=np.float32)[:, None, None]
    trees = [spot for spot in tree_spots(world, scenery, 360.0) if _on_land(canvas, spot)]
    for spot in trees:
        paint_tree(canvas, spot, season.green)
    members = [member for truss in scenery.trusses for member in truss_members(world, truss)]
    for name in scenery.masts_by:
        members += masts(world.curve(name))
    crowns = tuple(spot for spot in trees if is_open(spot, season.green))
    return Stage(world, scenery, canvas, tuple(members), crowns, _site_cells(world, frame))


def _site_cells(world: World, frame: Frame) -> Region:
    cells = np.zeros(frame.shape, dtype=bool)
    found = cover_of(frame, world.outline)
    if found is not None:
        cells[found[0]] = found[1] >= 0.5
    return Region(frame, cells if cells.any() else ~cells)


def _on_land(canvas: Canvas, spot: Spot) -> bool:
    row, col = np.rint(canvas.frame.row_col(np.array(spot[:2]))).astype(int)
    rows, cols = canvas.frame.shape
    return 0 <= row < rows and 0 <= col < cols and bool(canvas.height[row, col] > -0.5)


def _tracks(canvas: Canvas, world: World, scenery: Scenery) -> None:
    gauges = {track.id: track.gauge_mm or 1435 for track in world.site.tracks}
    for number, path in enumerate(scenery.sidings):
        lay_track(canvas, siding(world, path), gauge_mm=gauges.get(path.by, 1435), seed=world.seed + number)
    for number, track in enumerate(world.site.tracks):
        lay_track(canvas, world.curve(track.id), gauge_mm=gauges[track.id], seed=world.seed + 100 + number)
    decks = {truss.bridge for truss in scenery.trusses}
    for truss in scenery.trusses:
        lay_bridge(canvas, world, truss)
    for bridge in world.site.bridges:
        lay_track(canvas, world.curve(bridge.id), gauge_mm=1520, seed=world.seed, deck=bridge.id in decks)


def _buildings(canvas: Canvas, world: World, scenery: Scenery) -> None:
    roofs = sorted(ROOFS)
    for area in world.site.sheds:
        roof = roofs[zlib.crc32(f"{world.seed}{area.id}".encode()) % len(roofs)]
        paint_building(canvas, building_of(world.areas[area.id], roof, 6.2))
    for wall in scenery.walls:
        paint_wall(canvas, world, wall)
    for block in scenery.buildings:
        paint_block(canvas, world, block)
    for number, village in enumerate(scenery.villages):
        for house in village_houses(world, village, world.seed + number):
            paint_building(canvas, house)


def season_of(when: datetime, latitude: float) -> Season:
    """Return the season of a date, in tenths of green: pictures of one tenth share their ground."""
    return Season(green=round(greenness(when.timetuple().tm_yday, latitude), 1))


def frame_for(world: World, sensor: Sensor) -> Frame:
    """Return the raster of ground a sensor's pictures of a site are made from."""
    return frame_over(world.site, step_m=sensor.step_m, margin_m=sensor.margin_m + 25)


def footprint_xy(world: World, shot: Shot) -> BaseGeometry:
    """Return a scene's footprint in frame metres: the site and a margin, cut where the swath ends."""
    body = world.outline.buffer(shot.sensor.margin_m, join_style="mitre")
    left, bottom, right, top = body.bounds
    begin, end = (left + part * (right - left) for part in shot.covers)
    slant = 0.12 * (top - bottom)
    cut = shapely.Polygon([(begin - slant, bottom), (end - slant, bottom), (end + slant, top), (begin + slant, top)])
    if shot.covers[0] <= 0:
        cut = cut.union(shapely.box(left - 1, bottom, (begin + end) / 2, top))
    if shot.covers[1] >= 1:
        cut = cut.union(shapely.box((begin + end) / 2, bottom, right + 1, top))
    return body.intersection(cut)


def grid_for(world: World, sensor: Sensor, footprint: BaseGeometry) -> Grid:
    """Return the scene's grid: UTM, north up, on whole multiples of the pixel (two for Sentinel-2's coarser layers)."""
    centre = world.site.polygon.centroid
    zone = int((centre.x + 180) // 6) % 60 + 1
    crs = f"EPSG:{(32600 if centre.y >= 0 else 32700) + zone}"
    corners = _projected(footprint, transformer(WGS84, crs))
    unit = sensor.gsd_m * 2
    left, bottom = (np.floor(v / unit) * unit for v in corners.bounds[:2])
    right, top = (np.ceil(v / unit) * unit for v in corners.bounds[2:])
    shape = (round((top - bottom) / sensor.gsd_m), round((right - left) / sensor.gsd_m))
    return Grid(crs, Affine(sensor.gsd_m, 0, left, 0, -sensor.gsd_m, top), shape)


def _projected(shape: BaseGeometry, to: Transformer) -> BaseGeometry:
    return shapely.transform(shape, lambda points: np.stack(to.transform(points[:, 0], points[:, 1]), axis=-1))


def _inside(grid: Grid, footprint: BaseGeometry) -> NDArray[np.bool_]:
    from rasterio.features import rasterize

    shape = _projected(footprint, transformer(WGS84, grid.crs))
    mask: NDArray[np.uint8] = rasterize([(shape, 1)], out_shape=grid.shape, transform=grid.transform, dtype="uint8")
    return mask.astype(bool)


def _air_members(canvas: Canvas, light: Plane, staged: Stage, shot: Shot) -> Plane:
    """Draw trusses and masts over the lit ground, leaning as the view has it."""
    if not staged.members:
        return light
    x, y = canvas.frame.toward(shot.view_azimuth_deg)
    lean = np.tan(np.radians(shot.off_nadir_deg))
    cover = draw_members(canvas.frame, list(staged.members), (-x * lean, -y * lean), 0.0)
    steel = (GROUND["steel"].spectrum * np.float32(1.1))[:, None, None]
    return light + cover * (steel - light)


def _thin_shadows(canvas: Canvas, staged: Stage, sun: SunPosition) -> Plane:
    """Return what trusses, masts and bare trees take of the sun's beam."""
    x, y = canvas.frame.toward(sun.azimuth_deg)
    run = 1 / np.tan(np.radians(max(sun.elevation_deg, MIN_ELEVATION_DEG)))
    away = (-x * run, -y * run)
    dark = crown_shadows(canvas.frame, list(staged.crowns), away) * (canvas.height < 2)
    return np.maximum(dark, members_shadow(canvas, list(staged.members), away)) if staged.members else dark


def lit(staged: Stage, shot: Shot, things: Things, sun: SunPosition) -> tuple[Plane, Sky, Plane, Plane]:
    """Return the light that leaves the ground and the air above it, the sky, the snow and the bare colour (4, …)."""
    canvas = staged.ground.copy()
    seed = staged.world.seed + zlib.crc32(shot.when.isoformat().encode()) % 100_000
    for block in things.works:
        lay_block(canvas, staged.world, block)
    paint_things(canvas, things)
    wet_ground(canvas, shot.weather)
    snow = lay_snow(canvas, shot.weather, staged.world.seed + shot.when.timetuple().tm_yday)
    sky = clouds(staged.site, shot.weather, sun, seed)
    light = canvas.colour * lighting(canvas, sun, np.maximum(sky.shadow, _thin_shadows(canvas, staged, sun)))
    if shot.off_nadir_deg > 0.5:
        cells, wall = seen_from(canvas, shot.off_nadir_deg, shot.view_azimuth_deg)
        light = light.reshape(4, -1)[:, cells.ravel()].reshape(light.shape)
        light[:, wall] *= np.float32(0.8)
    light = _air_members(canvas, light, staged, shot)
    return through_air(light, sky, shot.weather, canvas.texture[1]), sky, snow, canvas.colour


def _quality(at: NDArray[np.float64], sky: Sky, snow: Plane, colour: Plane) -> NDArray[np.uint8]:
    """Return for each pixel the number of its name in `QUALITY`."""
    row, col = (np.clip(np.rint(part).astype(int), 0, size - 1) for part, size in zip(at, snow.shape, strict=True))
    blue, _, red, nir = (colour[band][row, col] for band in range(4))
    state = np.full(len(row), QUALITY.index("clear"), dtype=np.uint8)
    state[(nir - red) / (nir + red) > 0.4] = QUALITY.index("vegetation")
    state[(nir < 0.05) & (nir < blue)] = QUALITY.index("water")
    state[snow[row, col] > 0.5] = QUALITY.index("snow")
    state[sky.shadow[row, col] > DARK] = QUALITY.index("shadow")
    state[sky.opacity[row, col] > CLOUDY] = QUALITY.index("cloud")
    return state


def render(staged: Stage, shot: Shot, things: Things, *, later: Mapping[int, Things] | None = None) -> Picture:
    """Take one picture. The same stage, shot and things give the same numbers.

    `later` has what stands there when a band (by its place in `materials.BANDS`) is taken, where that is not `things`:
    trains move on from band to band.
    """
    world, sensor = staged.world, shot.sensor
    frame = staged.ground.frame
    centre = world.site.polygon.centroid
    sun = sun_position(shot.when, centre.x, centre.y)
    light, sky, snow, colour = lit(staged, shot, things, sun)
    for band, moved in (later or {}).items():
        light[band] = lit(staged, shot, moved, sun)[0][band]
    footprint = shape_lonlat(frame, footprint_xy(world, shot))
    grid = grid_for(world, sensor, footprint)
    inside = _inside(grid, footprint)
    at = places(frame, grid, inside, shot.shift_m)
    rng = np.random.default_rng([world.seed, zlib.crc32(shot.id.encode())])
    dn = np.zeros((len(sensor.bands), *grid.shape), dtype=np.uint16)
    dn[:, inside] = numbers(seen(light, at, sensor, frame.step_m), sensor, rng, shot.gain)
    quality = np.zeros(grid.shape, dtype=np.uint8)
    quality[inside] = _quality(at, sky, snow, colour)
    return Picture(shot, grid, dn, quality, footprint, sun, sky, float((snow > 0.5).mean()), frame)
