"""Yards that exist nowhere, drawn by seed, for measuring the detector on sites it has not seen.

Ranges are wider than the detector should assume: any place, projection zone and hemisphere; straight and curved
yards of 2 to 9 tracks, 4.3 to 6 m apart; suns of 10 to 70 degrees; snow, wet, cloud, new gravel; oblique views; AOI
lines off by metres; three bands as well as four.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import shapely
from shapely.geometry import mapping
from shapely.geometry.base import BaseGeometry

from rail_watch.aoi.site import Area, Site, Track
from rail_watch.grid import WGS84, local_crs, transformer
from rail_watch.simulate.curve import Curve
from rail_watch.simulate.random_story import Habits, story_of
from rail_watch.simulate.scenery import Block, Scenery
from rail_watch.simulate.scenery import Path as Line
from rail_watch.simulate.sensor import SENSORS, Sensor
from rail_watch.simulate.series import play
from rail_watch.simulate.story import Story, Work

MIN_SUN_DEG, MAX_SUN_DEG = 10.0, 70.0


@dataclass(frozen=True)
class Yard:
    """A yard and what lies round it."""

    site: Site
    sidings: tuple[Line, ...]
    """Ladders that join the tracks' ends."""
    line_error_m: float


def _spine(rng: np.random.Generator, length_m: float) -> Curve:
    """Return the yard's middle line round (0, 0): straight, or an arc of 350 to 2500 m radius, or half of each."""
    bearing = float(rng.uniform(0, 2 * math.pi))
    kind, radius = float(rng.random()), float(rng.choice([-1, 1]) * rng.uniform(350, 2500))
    marks = np.linspace(-length_m / 2, length_m / 2, max(3, int(length_m / 25)))
    turn = np.zeros_like(marks) if kind < 0.5 else np.maximum(marks, 0 if kind < 0.7 else -length_m) / radius
    steps = np.diff(marks)[:, None] * np.stack([np.cos(bearing + turn[:-1]), np.sin(bearing + turn[:-1])], axis=-1)
    points = np.concatenate([[[0.0, 0.0]], np.cumsum(steps, axis=0)])
    return Curve(points - points.mean(axis=0))


def _part(spine: Curve, left_m: float, begin_m: float, end_m: float) -> Curve:
    """Return the line beside the spine between two distances along it."""
    count = max(2, int((end_m - begin_m) / 25) + 1) if len(spine.points) > 2 else 2
    return Curve(np.array([spine.at(float(along), left_m) for along in np.linspace(begin_m, end_m, count)]))


def _strip(spine: Curve, begin_m: float, end_m: float, between: tuple[float, float]) -> shapely.Polygon:
    """Return the ground beside the spine between two distances along it and two to its left."""
    near, far = (_part(spine, left, begin_m, end_m).points for left in between)
    return shapely.Polygon([*near, *far[::-1]])


def _offsets(rng: np.random.Generator) -> list[float]:
    """Return how far left of the first track each track lies; now and then a gap for a platform."""
    pitch, gaps = float(rng.uniform(4.3, 6.0)), []
    for _ in range(int(rng.integers(1, 9))):
        gaps.append(float(rng.uniform(8, 15)) if rng.random() < 0.12 else pitch + float(rng.normal(0, 0.12)))
    return [0.0, *np.cumsum(gaps).tolist()]


def _lonlat(shape: BaseGeometry, lon: float, lat: float) -> BaseGeometry:
    back = transformer(local_crs(lon, lat), WGS84)
    return shapely.transform(shape, lambda xy: np.round(np.stack(back.transform(xy[:, 0], xy[:, 1]), axis=-1), 8))


def _grounds(rng: np.random.Generator, spine: Curve, edge_m: float) -> list[tuple[str, shapely.Polygon]]:
    """Return aprons, and sheds beyond and between them, to the left of the last track."""
    grounds: list[tuple[str, shapely.Polygon]] = []
    along, length = float(rng.uniform(10, 40)), spine.length_m
    near, deep = edge_m + float(rng.uniform(3.2, 6)), float(rng.uniform(18, 36))
    while along + 50 < length - 10 and len(grounds) < 4 and rng.random() < 0.8:
        kind = "apron" if rng.random() < 0.7 else "shed"
        reach = float(rng.uniform(40, min(140 if kind == "apron" else 70, length - 10 - along)))
        depth = deep if kind == "apron" else float(rng.uniform(14, 24))
        grounds.append((kind, _strip(spine, along, along + reach, (near, near + depth))))
        along += reach + float(rng.uniform(6, 40))
    return grounds


def random_yard(seed: int) -> Yard:
    """Return a yard; the same seed gives the same."""
    rng = np.random.default_rng([seed, 201])
    lon, lat = float(rng.uniform(-179, 179)), float(rng.choice([-1, 1], p=[0.3, 0.7]) * rng.uniform(4, 58))
    length = float(rng.uniform(180, 620))
    spine, offsets = _spine(rng, length), _offsets(rng)
    trims = [(float(rng.uniform(0, 0.12) * length), float(rng.uniform(0, 0.12) * length)) for _ in offsets]
    tracks = [_part(spine, left, begin, length - end) for left, (begin, end) in zip(offsets, trims, strict=True)]
    grounds = _grounds(rng, spine, offsets[-1])
    body = shapely.unary_union(
        [track.line.buffer(10) for track in tracks] + [ground.buffer(8) for _, ground in grounds]
    )
    outline = body.convex_hull.buffer(float(rng.uniform(6, 16)), join_style="mitre").simplify(0.5)
    line_error = float(rng.choice([0.0, rng.uniform(0.2, 1.5), rng.uniform(1.5, 3.5)]))
    areas = {kind: _areas(kind, [g for k, g in grounds if k == kind], lon, lat) for kind in ("apron", "shed")}
    gauge = int(rng.choice([1435, 1520, 1067, 1676]))
    site = Site(
        id=f"random-{seed}",
        name=f"Random yard {seed}",
        polygon=_lonlat(outline, lon, lat),
        tracks=tuple(
            Track(f"t{n + 1}", f"Track {n + 1}", _lonlat(track.line, lon, lat), gauge) for n, track in enumerate(tracks)
        ),
        aprons=areas["apron"],
        sheds=areas["shed"],
        accuracy_m=round(max(1.0, 2 * line_error), 1),
        source="Drawn at random by the rail-watch simulator; exists nowhere.",
    )
    return Yard(site, _ladders(offsets, trims, length), line_error)


def _areas(role: str, polygons: Sequence[shapely.Polygon], lon: float, lat: float) -> tuple[Area, ...]:
    return tuple(
        Area(f"{role}-{n + 1}", f"{role.capitalize()} {n + 1}", _lonlat(polygon, lon, lat))
        for n, polygon in enumerate(polygons)
    )


def _ladders(offsets: Sequence[float], trims: Sequence[tuple[float, float]], length_m: float) -> tuple[Line, ...]:
    """Return turnouts that join each track to the one before it, at both ends."""
    lines = []
    for n in range(1, len(offsets)):
        gap, (begin, end), (before, after) = offsets[n] - offsets[n - 1], trims[n], trims[n - 1]
        first, last = begin - before, length_m - end - before
        lines.append(Line(f"t{n}", ((first - 9 * gap, 0.0), (first - 4 * gap, gap * 0.35), (first, gap))))
        lines.append(Line(f"t{n}", ((last, gap), (last + 4 * gap, gap * 0.35), (last + 9 * gap, 0.0))))
        lines.append(Line(f"t{n}", ((length_m - before - after, 0.0), (length_m - before - after + 60, 0.0))))
    return tuple(lines)


def random_times(site: Site, count: int, rng: np.random.Generator) -> list[datetime]:
    """Return times of pictures, days apart, at about one hour of day, the sun 10 to 70 degrees high."""
    from rail_watch.sun import sun_position

    lon, lat = site.polygon.centroid.x, site.polygon.centroid.y
    times: list[datetime] = []
    while len(times) < count:
        solar_hour = float(rng.uniform(8.5, 15))
        day = datetime(int(rng.integers(2017, 2026)), 1, 1, tzinfo=UTC) + timedelta(days=int(rng.integers(0, 365)))
        times = []
        for _ in range(count):
            day += timedelta(days=int(rng.choice([1, 1, 2, 3, 5, 9])))
            when = day + timedelta(hours=solar_hour - lon / 15 + float(rng.normal(0, 0.6)))
            if MIN_SUN_DEG <= sun_position(when, lon, lat).elevation_deg <= MAX_SUN_DEG:
                times.append(when.replace(microsecond=0, second=0))
    return times


def random_sensor(name: str, rng: np.random.Generator) -> Sensor:
    """Return a sensor like the named one, a little different: sharpness, noise, view, sometimes without infrared."""
    like = SENSORS[name]
    noise = float(rng.uniform(0.7, 2.2))
    return replace(
        like,
        bands=like.bands[:3] if like.quality == "udm2" and rng.random() < 0.25 else like.bands,
        psf_fwhm_px=like.psf_fwhm_px * float(rng.uniform(0.85, 1.35)),
        noise=(like.noise[0] * noise, like.noise[1] * noise),
        off_nadir_deg=like.off_nadir_deg * float(rng.uniform(0.3, 1.5)),
    )


def random_story(seed: int, *, sensor: str = "skysat-like", scenes: int = 10) -> tuple[Site, Story]:
    """Return a yard and a series of pictures of it, drawn by seed."""
    rng = np.random.default_rng([seed, 202])
    yard = random_yard(seed)
    habits = Habits(
        busy=float(rng.choice([rng.uniform(0.15, 0.5), rng.uniform(0.5, 0.85)], p=[0.75, 0.25])),
        cloudy=float(rng.uniform(0, 0.5)),
        snowy=float(rng.uniform(0, 0.6)),
        line_error_m=yard.line_error_m,
        shift_px=float(rng.uniform(0.1, 1.2)),
    )
    times = random_times(yard.site, scenes, rng)
    story = story_of(yard.site, [random_sensor(sensor, rng)], times, seed=seed, habits=habits)
    told = story.sites[yard.site.id]
    scenery = _scenery(told.scenery, yard, rng)
    told = replace(told, scenery=scenery, works=_works(yard, times, rng))
    return yard.site, replace(story, sites={yard.site.id: told})


def _scenery(scenery: Scenery, yard: Yard, rng: np.random.Generator) -> Scenery:
    light, tint = float(rng.uniform(0.7, 1.35)), rng.normal(1, 0.07, 4)
    tone = tuple(float(light * part) for part in tint)
    return replace(scenery, sidings=yard.sidings, tone=tone)  # type: ignore[arg-type]


def _works(yard: Yard, times: Sequence[datetime], rng: np.random.Generator) -> tuple[Work, ...]:
    """Return new gravel, laid for good somewhere in the series, now and then."""
    if rng.random() > 0.3:
        return ()
    track = yard.site.tracks[int(rng.integers(len(yard.site.tracks)))].id
    size = (float(rng.uniform(12, 50)), float(rng.uniform(3, 9)))
    left = float(rng.choice([-1, 1]) * rng.uniform(6, 14))
    block = Block(track, (float(rng.uniform(20, 150)), left), size, str(rng.choice(["gravel", "ballast", "dirt"])))
    since = times[int(rng.integers(len(times)))]
    return (Work(block, (since, datetime(9999, 1, 1, tzinfo=UTC))),)


def aoi_document(site: Site) -> dict[str, object]:
    """Return a site as an AOI file's JSON."""
    head = {"schema": "1", "id": site.id, "name": site.name, "accuracy_m": site.accuracy_m, "source": site.source}
    parts: list[tuple[str, str, str, BaseGeometry, dict[str, object]]] = [("site", "site", site.name, site.polygon, {})]
    parts += [("track", t.id, t.name, t.line, {"gauge_mm": t.gauge_mm}) for t in site.tracks]
    parts += [("bridge", b.id, b.name, b.line, {}) for b in site.bridges]
    for role, areas in (("apron", site.aprons), ("shed", site.sheds), ("exclude", site.excludes)):
        parts += [(role, area.id, area.name, area.polygon, {}) for area in areas]
    features = [
        {"type": "Feature", "geometry": mapping(shape), "properties": {"role": role, "id": name, "name": words, **more}}
        for role, name, words, shape, more in parts
    ]
    return {"type": "FeatureCollection", "rail_watch": head, "features": features}


def write_series(seed: int, out: Path, *, sensor: str = "skysat-like", scenes: int = 10) -> Path:
    """Write a labelled series drawn by seed: `aoi.geojson`, a static STAC catalogue and `truth.json`; return `out`."""
    site, story = random_story(seed, sensor=sensor, scenes=scenes)
    out.mkdir(parents=True, exist_ok=True)
    (out / "aoi.geojson").write_text(json.dumps(aoi_document(site)) + "\n", encoding="utf-8")
    play(story, {site.id: site}, out)
    return out
