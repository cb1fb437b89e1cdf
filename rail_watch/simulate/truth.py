"""What is true of a picture, in the form `rail_watch/evaluate/schema/truth.schema.json` fixes."""

from __future__ import annotations

from typing import Any

import numpy as np
import shapely

from rail_watch.simulate.frame import Points, shape_lonlat
from rail_watch.simulate.materials import paint
from rail_watch.simulate.objects import PlacedCar, Things
from rail_watch.simulate.scene import CLOUDY, DARK, Picture, footprint_xy
from rail_watch.simulate.world import World

SCHEMA = "rail-watch/truth/1"
Json = dict[str, Any]


def _visible(points: Points, world: World, picture: Picture) -> float:
    """Return the share of points inside the footprint and under no cloud or deep cloud shadow."""
    inside = shapely.contains_xy(footprint_xy(world, picture.shot), points)
    at = np.rint(picture.frame.row_col(points)).astype(int)
    row, col = (np.clip(part, 0, size - 1) for part, size in zip(at.T, picture.frame.shape, strict=True))
    clear = (picture.sky.opacity[row, col] < CLOUDY) & (picture.sky.shadow[row, col] < DARK)
    return round(float((inside & clear).mean()), 4) if len(points) else 0.0


def _along(points: Points, spacing_m: float = 1.0) -> Points:
    line = shapely.LineString(points)
    count = max(2, int(line.length / spacing_m))
    return np.asarray(shapely.get_coordinates(line.interpolate(np.linspace(0, line.length, count))))


def _spots(shape: shapely.geometry.base.BaseGeometry, count: int = 400) -> Points:
    left, bottom, right, top = shape.bounds
    step = max(((right - left) * (top - bottom) / count) ** 0.5, 0.25)
    x, y = np.meshgrid(np.arange(left, right, step) + step / 2, np.arange(bottom, top, step) + step / 2)
    spots = np.stack([x.ravel(), y.ravel()], axis=-1)
    kept = spots[shapely.contains_xy(shape, spots)]
    return kept if len(kept) else np.asarray(shape.centroid.coords)


def _car(placed: PlacedCar, world: World, track: str) -> Json:
    ends = sorted(world.drawn[track].along(end) for end in placed.ends())
    blue, green, red, _ = (round(float(v), 4) for v in paint(placed.car.colour))
    return {
        "start_m": round(ends[0], 2),
        "end_m": round(ends[1], 2),
        "kind": placed.car.type,
        "rgb": [red, green, blue],
    }


def _train(name: str, cars: list[PlacedCar], *, track: str, world: World, picture: Picture) -> Json:
    rows = sorted((_car(car, world, track) for car in cars), key=lambda row: float(row["start_m"]))
    middles = np.array([car.centre for car in cars])
    points = _along(middles) if len(cars) > 1 else middles
    return {
        "id": name,
        "start_m": rows[0]["start_m"],
        "end_m": rows[-1]["end_m"],
        "railcars": len(rows),
        "visible_fraction": _visible(points, world, picture),
        "cars": rows,
    }


def _track(track: str, things: Things, *, world: World, picture: Picture) -> Json:
    standing = things.trains.get(track, {})
    trains = [_train(name, cars, track=track, world=world, picture=picture) for name, cars in sorted(standing.items())]
    return {
        "track": track,
        "visible_fraction": _visible(_along(world.drawn[track].points), world, picture),
        "state": "occupied" if trains else "empty",
        "trains": sorted(trains, key=lambda one: float(one["start_m"])),
    }


def _cargo(things: Things, world: World, picture: Picture) -> list[Json]:
    rows = []
    for pile in things.piles:
        outline = shape_lonlat(world.frame, pile.outline)
        rows.append(
            {
                "id": pile.id,
                "apron": pile.apron,
                "area_m2": round(pile.outline.area, 1),
                "height_m": pile.height_m,
                "visible_fraction": _visible(_spots(pile.outline), world, picture),
                "geometry": _geometry(outline),
            }
        )
    return rows


def _geometry(shape: shapely.geometry.base.BaseGeometry) -> Json:
    ring = [[round(float(x), 7), round(float(y), 7)] for x, y in np.asarray(shape.exterior.coords)]
    return {"type": "Polygon", "coordinates": [ring]}


def _aprons(things: Things, world: World, picture: Picture) -> list[Json]:
    heap = shapely.unary_union([pile.outline for pile in things.piles])
    rows = []
    for area in world.site.aprons:
        ground = world.areas[area.id]
        rows.append(
            {
                "apron": area.id,
                "visible_fraction": _visible(_spots(ground), world, picture),
                "fill_fraction": round(float(ground.intersection(heap).area / ground.area), 4),
            }
        )
    return rows


def scene_truth(world: World, things: Things, picture: Picture) -> Json:
    """Return what is true of one picture."""
    return {
        "id": picture.shot.id,
        "datetime": f"{picture.shot.when:%Y-%m-%dT%H:%M:%SZ}",
        "shift_m": list(picture.shot.shift_m),
        "clear_fraction": _visible(_spots(world.outline, 4000), world, picture),
        "snow_fraction": round(picture.snow_fraction, 4),
        "tracks": [_track(name, things, world=world, picture=picture) for name in world.drawn],
        "aprons": _aprons(things, world, picture),
        "cargo": _cargo(things, world, picture),
        "ignored": [{"geometry": _geometry(shape_lonlat(world.frame, lorry.outline()))} for lorry in things.lorries],
    }


def truth_document(world: World, gsd_m: float, scenes: list[Json]) -> Json:
    """Return the truth of a series of one site and sensor."""
    tracks = []
    for name, drawn in world.drawn.items():
        spots = _along(world.true[name].points)
        off = shapely.distance(shapely.points(spots), drawn.line)
        tracks.append(
            {
                "track": name,
                "length_m": round(drawn.length_m, 2),
                "line_error_m": round(float(np.sqrt((off**2).mean())), 2),
            }
        )
    return {
        "schema": SCHEMA,
        "aoi": world.site.id,
        "gsd_m": gsd_m,
        "simulated": True,
        "seed": world.seed,
        "tracks": tracks,
        "scenes": sorted(scenes, key=lambda scene: str(scene["datetime"])),
    }
