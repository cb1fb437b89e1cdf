"""A whole series: what happens in it, its pictures, and the truth."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import numpy as np
from affine import Affine
from matplotlib.path import Path as Outline
from shapely import LineString, MultiPoint, Polygon

from . import picture as pic
from .ground import MATERIALS, add_block, block_pixels, build_ground, near_frame
from .place import Place, draw_place
from .sensor import Far, Sensor, Sky, Window, clouds, digital, draw_sensor, image_of, through_air
from .sunlight import solar_position
from .trains import LOADS, PAINTS, Dispatcher, Train
from .yard import Block, Yard, along, arc, draw_yard


@dataclass
class Day:
    """One scene before it is drawn."""

    when: datetime
    sun: tuple[float, float]
    off_nadir: float
    view_azimuth: float
    weather: pic.Weather
    sky: Sky
    trains: dict[str, list[Train]]
    piles: list[pic.Pile]
    shift: tuple[float, float]
    footprint_cut: tuple[float, float] | None
    """Direction and distance from the centre of a straight edge of the footprint, frame radians and metres."""
    snowy_roofs: float
    seed: int


@dataclass
class Series:
    """A yard, a camera and the days."""

    gsd: float
    seed: int
    place: Place
    yard: Yard
    sensor: Sensor
    days: list[Day]
    aoi_lines: dict[str, np.ndarray]
    """Track lines as the AOI has them, frame metres."""
    aoi_error: dict[str, float]
    site: Polygon
    """Frame metres."""
    change_at: int | None
    regravel: tuple[str, float, float, str] | None
    rotated: float
    own_phase: bool
    origin: tuple[float, float] = field(default=(0.0, 0.0))


def draw_series(gsd: float, seed: int, scenes: int | None = None) -> Series:
    """Everything about a series but its pixels."""
    rng = np.random.default_rng([seed, int(gsd * 10), 77])
    place, yard, sensor = draw_place(rng), draw_yard(rng, gsd), draw_sensor(rng, gsd)
    count = scenes or int(rng.integers(5, 15 if gsd < 8 else 21))
    lines, errors = _aoi_lines(rng, yard)
    days = _days(rng, place, yard, sensor, count)
    site = MultiPoint(
        np.concatenate([t.xy for t in yard.tracks] + [b.xy for b in yard.blocks if b.role in ("apron", "shed")])
    )
    change = int(rng.integers(1, count)) if (yard.later or rng.random() < 0.15) and count > 2 else None
    regravel = None
    if change is not None and rng.random() < 0.6:
        track = yard.tracks[rng.integers(len(yard.tracks))]
        a, b = np.sort(rng.uniform(0, track.length, 2))
        regravel = (track.id, float(a), float(b), str(rng.choice(["pale", "grey", "brown"])))
    rotated = float(rng.uniform(3, 40)) if rng.random() < 0.08 and gsd < 8 else 0.0
    own_phase = bool(gsd < 2 and rng.random() < 0.5)
    return Series(
        gsd,
        seed,
        place,
        yard,
        sensor,
        days,
        lines,
        errors,
        site.convex_hull.buffer(rng.uniform(15, 40)),
        change,
        regravel,
        rotated,
        own_phase,
        tuple(rng.uniform(0, 1, 2)),
    )


def _aoi_lines(rng: np.random.Generator, yard: Yard) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Track lines a few decimetres to three metres off, smoothly, common to all tracks and each its own."""
    worst = rng.uniform(0.1, 1.5) if yard.gsd < 2 and rng.random() < 0.85 else rng.uniform(0.3, 3.0)
    common = rng.normal(0, 1, 2)
    lines, errors = {}, {}
    for track in yard.tracks:
        s = arc(track.xy)
        wave = 0.35 * np.cumsum(rng.normal(0, 1, 6)) / 2
        off = np.interp(s, np.linspace(0, s[-1], 6), wave)[:, None] * rng.normal(0, 1, 2) + common
        off *= worst / max(np.hypot(*off.T).max(), worst if rng.random() < 0.5 else 1e-6)
        moved = LineString(track.xy + off).simplify(0.15)
        lines[track.id] = np.array(moved.coords)
        errors[track.id] = float(np.sqrt((np.hypot(*off.T) ** 2).mean()))
    return lines, errors


def _days(rng: np.random.Generator, place: Place, yard: Yard, sensor: Sensor, count: int) -> list[Day]:
    steps = {0.5: (1, 40), 3.0: (1, 9)}.get(sensor.gsd, (2, 12))
    snowy = rng.random() < 0.35 and abs(place.lat) > 33
    for _ in range(200):
        start = datetime(int(rng.integers(2017, 2026)), 1, 1, tzinfo=UTC) + timedelta(days=float(rng.uniform(0, 365)))
        if not snowy or _season(start, place.lat) < 0.3:
            break
    hour = rng.uniform(9.7, 11.0)
    days, trains, piles, at = [], {}, [], start
    ballast = MATERIALS[yard.ballast]
    dispatcher = Dispatcher(rng, sensor.gsd, ballast, float(rng.uniform(0.1, 0.7)), [])
    tilt, wetness = rng.uniform(0, 15), rng.uniform(0.05, 0.4)
    spread = rng.uniform(0.15, 0.7)
    shift_rms = spread / np.sqrt(2)
    k = 0
    while len(days) < count:
        k += 1
        at = at + timedelta(days=int(rng.integers(*steps)) if rng.random() < 0.9 else 0.12)
        local = hour if sensor.gsd >= 8 else rng.uniform(8.7, 15.3) if sensor.gsd < 2 else hour + rng.normal(0, 0.6)
        midnight = at.replace(hour=0, minute=0, second=0, microsecond=0)
        when = midnight + timedelta(hours=float(local - place.lon / 15))
        when = when.replace(microsecond=0)
        sun = solar_position(when, place.lon, place.lat)
        if not 10 <= sun[1] <= 72 and k < 400:
            at += timedelta(days=6 if k > 20 else 0)
            continue
        if days and when <= days[-1].when:
            when = days[-1].when + timedelta(hours=2)
            sun = solar_position(when, place.lon, place.lat)
            if sun[1] < 10:
                continue
        trains = dispatcher.step(yard.tracks, trains)
        piles = _cargo(rng, yard, piles, len(days))
        season = _season(when, place.lat)
        days.append(
            Day(
                when,
                sun,
                *_view(rng, sensor, tilt),
                _weather(rng, season, snowy, wetness),
                _sky(rng, sensor),
                trains,
                piles,
                _shift(rng, sensor, place, shift_rms),
                _cut(rng, yard),
                0.0,
                int(rng.integers(1 << 31)),
            )
        )
        if days[-1].weather.snow > 0 and rng.random() < 0.6:
            days[-1].snowy_roofs = float(rng.uniform(0.3, 1.0))
    return days


def _season(when: datetime, lat: float) -> float:
    """0 in deep winter, 1 in high summer; hardly varies near the equator."""
    year = when.timetuple().tm_yday / 365.25
    swing = np.clip(abs(lat) / 45, 0.1, 1)
    value = 0.5 - 0.5 * np.cos(2 * np.pi * (year - 0.06)) * np.sign(lat or 1)
    return float(np.clip(0.7 + swing * (value - 0.6) * 1.4, 0, 1))


def _view(rng, sensor: Sensor, tilt: float) -> tuple[float, float]:
    if sensor.gsd >= 8:
        return float(rng.uniform(0, 6)), float(rng.choice([100.0, 285.0]))
    if sensor.gsd >= 2:
        return float(rng.uniform(0, 5)), float(rng.uniform(0, 360))
    return float(np.clip(rng.normal(tilt, 4), 0.3, 15)), float(rng.uniform(0, 360))


def _weather(rng, season: float, snowy: bool, wetness: float) -> pic.Weather:
    snow = 0.0
    if snowy and season < 0.45 and rng.random() < 0.55:
        snow = 1.0 if rng.random() < 0.4 else float(rng.uniform(0.1, 0.9))
    wet = float(rng.uniform(0.3, 1.0)) if rng.random() < wetness else 0.0
    return pic.Weather(season, wet, snow, float(rng.uniform(0, 1)))


def _sky(rng, sensor: Sensor) -> Sky:
    chance = {0.5: 0.3, 3.0: 0.35}.get(sensor.gsd, 0.4) if sensor.quality != "none" else 0.04
    cover = float(rng.beta(1.0, 1.8)) if rng.random() < chance else 0.0
    spread = rng.choice([0.01, 0.03, 0.08])
    return Sky(
        cover,
        bool(rng.random() < 0.2),
        float(rng.choice([0.0, rng.uniform(0, 0.2), rng.uniform(0.2, 0.8)], p=[0.4, 0.4, 0.2])),
        tuple(np.exp(rng.normal(0, spread) + rng.normal(0, 0.02, 4))),
        tuple(rng.normal(0, 0.004, 4)),
        float(rng.uniform(0, 0.06)),
        int(rng.integers(1 << 31)),
    )


def _shift(rng, sensor: Sensor, place: Place, rms: float) -> tuple[float, float]:
    for _ in range(50):
        east, north = rng.normal(0, rms, 2)
        if np.hypot(east, north) <= 1.5:
            break
    return float(east * sensor.gsd), float(north * sensor.gsd)


def _cut(rng, yard: Yard) -> tuple[float, float] | None:
    if rng.random() > 0.1:
        return None
    return float(rng.uniform(0, 2 * np.pi)), float(rng.uniform(-0.3, 0.45) * yard.length)


def _cargo(rng, yard: Yard, before: list[pic.Pile], index: int) -> list[pic.Pile]:
    """Piles stay, go, shrink; new ones are set down."""
    after = []
    for pile in before:
        fate = rng.random()
        if fate < 0.6:
            after.append(pile)
        elif fate < 0.75 and np.ptp(pile.xy, 0).max() > 6:
            after.append(replace(pile, xy=pile.xy.mean(0) + (pile.xy - pile.xy.mean(0)) * rng.uniform(0.6, 0.95)))
    for apron in (b for b in yard.blocks if b.role == "apron"):
        if rng.random() < 0.12:
            heap = _stockpile(rng, apron, f"{apron.id}-{index}-heap")
            after = [p for p in after if not _near(heap, p)] + [heap]
        if rng.random() < 0.45:
            for k in range(int(rng.integers(1, 7))):
                pile = _pile(rng, apron, f"{apron.id}-{index}-{k}")
                if pile and not any(_near(pile, other) for other in after):
                    after.append(pile)
    return after


def _near(a: pic.Pile, b: pic.Pile) -> bool:
    return Polygon(a.xy).buffer(1.5).intersects(Polygon(b.xy))


def _stockpile(rng, apron: Block, name: str) -> pic.Pile:
    """A heap that fills much of an apron, often under tarpaulins."""
    n = len(apron.xy) // 2
    sides = apron.xy[:n], apron.xy[n:][::-1]
    a = rng.uniform(0, 0.5)
    run = np.linspace(a, min(a + rng.uniform(0.25, 0.9), 0.97), 12) * (n - 1)
    edge = [np.stack([np.interp(run, np.arange(n), side[:, k]) for k in (0, 1)], -1) for side in sides]
    low, high = rng.uniform(0.05, 0.35), rng.uniform(0.55, 0.95)
    xy = np.concatenate([edge[0] + low * (edge[1] - edge[0]), (edge[0] + high * (edge[1] - edge[0]))[::-1]])
    colour = np.array((0.3, 0.2, 0.08, 0.2) if rng.random() < 0.5 else list(LOADS.values())[rng.integers(len(LOADS))])
    return pic.Pile(
        name, apron.id, xy, float(rng.uniform(1.5, 4)), tuple(colour * rng.uniform(0.8, 1.2)), rng.random() < 0.4
    )


def _pile(rng, apron: Block, name: str) -> pic.Pile | None:
    inside = Outline(apron.xy)
    low, high = apron.xy.min(0), apron.xy.max(0)
    side = apron.xy[1] - apron.xy[0]
    heading = np.arctan2(side[1], side[0]) + rng.choice([0, np.pi / 2, rng.uniform(0, np.pi)], p=[0.5, 0.2, 0.3])
    for _ in range(12):
        long, short = rng.uniform(3, 22), rng.uniform(2.5, 9)
        domed = rng.random() < 0.45
        angle = np.linspace(0, 2 * np.pi, 17)[:-1] if domed else np.array([0.25, 0.75, 1.25, 1.75]) * np.pi
        unit = np.stack([np.cos(angle), np.sin(angle)], -1) * (1 if domed else np.sqrt(2))
        if domed:
            unit *= rng.uniform(0.8, 1.1, (16, 1))
        c, s = np.cos(heading), np.sin(heading)
        xy = unit * (long / 2, short / 2) @ np.array([[c, s], [-s, c]]) + rng.uniform(low, high)
        if inside.contains_points(xy).all():
            pool = list(LOADS.values()) if domed else [*PAINTS.values(), (0.3, 0.2, 0.08, 0.2), (0.3, 0.2, 0.08, 0.2)]
            colour = np.array(pool[rng.integers(len(pool))]) * rng.uniform(0.8, 1.2)
            return pic.Pile(name, apron.id, xy, float(rng.uniform(1.0, 4.0)), tuple(colour), domed)
    return None


class Renderer:
    """Draws a series' scenes."""

    def __init__(self, series: Series) -> None:
        self.series = series
        rng = np.random.default_rng([series.seed, int(series.gsd * 10), 5])
        res = 0.25 if series.gsd < 2 else 0.5
        self.frame = near_frame(series.yard, res, 70.0 if series.gsd < 8 else 120.0)
        far = max(1400.0, 2.2 * series.yard.length)
        self.far = Far(rng, far, 1.0 if series.gsd < 8 else 3.0)
        self.ground = build_ground(rng, series.yard, self.frame, self.far)
        self.margin = float(
            {0.5: rng.uniform(45, 120), 3.0: rng.uniform(80, 300)}.get(series.gsd, rng.uniform(200, 500))
        )
        self.changed = False

    def window(self, day: Day) -> Window:
        """The scene's own grid: all of the site and a margin."""
        series, rng = self.series, np.random.default_rng(day.seed + 1)
        gsd = series.gsd
        hull = np.array(series.site.buffer(self.margin).exterior.coords)
        x, y = series.place.to_grid(*hull.T)
        turn = np.radians(series.rotated)
        cos, sin = float(np.cos(turn)), float(np.sin(turn))
        px, py = cos * x + sin * y, cos * y - sin * x
        phase = rng.uniform(0, 1, 2) if series.own_phase else series.origin if gsd < 2 else (0, 0)
        left = (np.floor(px.min() / gsd) - rng.integers(0, 9) + phase[0]) * gsd
        top = (np.ceil(py.max() / gsd) + rng.integers(0, 9) + phase[1]) * gsd
        cols, rows = int((px.max() - left) / gsd) + 2, int((top - py.min()) / gsd) + 2
        corner = cos * left - sin * top, sin * left + cos * top
        affine = Affine(cos * gsd, sin * gsd, corner[0], sin * gsd, -cos * gsd, corner[1])
        return Window(affine, rows, cols)

    def scene(self, index: int) -> dict:
        """Digital numbers, masks and what the truth needs."""
        series, day = self.series, self.series.days[index]
        if series.change_at is not None and index >= series.change_at and not self.changed:
            self._change()
        sigma = series.sensor.fwhm_px * series.gsd / 2.3548
        self.far.prepare(np.random.default_rng(day.seed + 3), day.weather, sigma)
        picture = self._picture(day)
        window = self.window(day)
        image = image_of(picture, self.frame, self.far, series.place, window, series.sensor, day.shift)
        cloud, shade = clouds(window, series.sensor, day.sky)
        image = through_air(image, series.sensor, day.sky, cloud, shade)
        numbers = digital(image, series.sensor, np.random.default_rng(day.seed + 2))
        covered = self._covered(day, window)
        numbers[:, ~covered] = 0
        return {"window": window, "numbers": numbers, "cloud": cloud, "shade": shade, "covered": covered}

    def _change(self) -> None:
        self.changed = True
        rng = np.random.default_rng([self.series.seed, 9])
        for block in self.series.yard.later:
            add_block(rng, self.ground, block)
        if self.series.regravel:
            name, a, b, material = self.series.regravel
            r, c, *_ = self.ground.beds[name].between(a, b, 2.0)
            fresh = 1 + 0.07 * rng.standard_normal(r.size)
            for band in range(4):
                self.ground.albedo[band][r, c] = MATERIALS[material][band] * 1.1 * fresh

    def _picture(self, day: Day) -> np.ndarray:
        series, place = self.series, self.series.place
        rng = np.random.default_rng(day.seed)
        canvas = pic.Canvas(self.ground, day.weather, self.far, rng)
        toward = place.toward(day.sun[0])
        for pile in day.piles:
            canvas.pile(pile, block_pixels(self.frame, pile.xy), self.frame.res)
        for vehicle in self.vehicles(day):
            canvas.vehicle(vehicle)
        for track in series.yard.tracks:
            mid = along(track.xy, [track.length / 2, track.length / 2 + 1])
            ahead = (mid[1] - mid[0]) / np.hypot(*(mid[1] - mid[0]))
            for train in day.trains.get(track.id, []):
                roofs = day.snowy_roofs * (rng.random() < 0.7)
                canvas.train(self.ground.beds[track.id], train, roofs, ahead[0] * toward[1] - ahead[1] * toward[0])
        haze = 0.6 * day.sky.haze
        low = float(np.clip(1 + 0.25 * (30 / max(day.sun[1], 12) - 1), 0.7, 1.4))
        sky = tuple(np.array([0.34, 0.25, 0.19, 0.12]) * (1 + haze) * low)
        away = place.toward(day.view_azimuth + 180)
        lean = np.tan(np.radians(day.off_nadir))
        light = pic.Light(toward, day.sun[1], (away[0] * lean, away[1] * lean), sky)
        image = pic.lit(canvas, light)
        return pic.leaned(image, canvas.height, self.frame, light.lean, 0.65)

    def vehicles(self, day: Day) -> list[pic.Vehicle]:
        """Cars and lorries on the road and the aprons."""
        rng, out = np.random.default_rng(day.seed + 4), []
        colours = list(PAINTS.values())
        for block in self.series.yard.blocks:
            if block.role not in ("road", "apron"):
                continue
            for _ in range(int(rng.poisson(9 if block.role == "road" else 1.2))):
                n, lorry = len(block.xy) // 2, rng.random() < 0.3
                k, side = int(rng.integers(0, n - 1)), rng.choice([0.25, 0.75])
                left, right = block.xy[k], block.xy[-1 - k]
                ahead = block.xy[k + 1] - block.xy[k]
                at = (
                    left
                    + (right - left) * (side if block.role == "road" else rng.uniform(0.2, 0.8))
                    + ahead * rng.random()
                )
                colour = np.array(colours[rng.integers(len(colours))]) * rng.uniform(0.8, 1.2)
                size = (rng.uniform(7, 16), 2.5, rng.uniform(2.8, 4)) if lorry else (rng.uniform(3.8, 5), 1.8, 1.5)
                out.append(
                    pic.Vehicle(
                        *at, np.arctan2(ahead[1], ahead[0]) + rng.normal(0, 0.03), *size, tuple(colour), block.role
                    )
                )
        return out

    def _covered(self, day: Day, window: Window) -> np.ndarray:
        if day.footprint_cut is None:
            return np.ones((window.rows, window.cols), bool)
        u, v = self.series.place.from_grid(*window.centres())
        angle, reach = day.footprint_cut
        return u * np.cos(angle) + v * np.sin(angle) < reach
