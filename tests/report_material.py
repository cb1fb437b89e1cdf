"""A painted rail yard with wagons, cargo and cloud, and the records a run would give of it: material for report tests.

Not the product's simulator: flat paint, just enough to look at a figure.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from shapely import LineString, Polygon

from rail_watch.aoi.site import Area, Bridge, Site, Track
from rail_watch.grid import WGS84, Grid, local_crs, transformer
from rail_watch.imagery.scene import Quality, SceneRef
from rail_watch.observe.records import ApronLook, Car, Detections, Observation, SceneRecord, TrackLook
from rail_watch.prepare.stack import Stack
from rail_watch.sun import sun_position

LON, LAT = 130.624, 42.416
PLANE = local_crs(LON, LAT)
TILT_DEG = -24.0
"""Direction of the yard's tracks, counter-clockwise from east."""
APRON = (-40.0, 60.0, 22.0, 52.0)
"""Left, right, bottom, top along and across the yard's axis, metres."""
SHEDS = ((-130.0, -60.0, 24.0, 50.0), (80.0, 150.0, 24.0, 50.0))
COLOURS = ((0.36, 0.26, 0.2), (0.3, 0.19, 0.11), (0.09, 0.12, 0.3), (0.33, 0.33, 0.33), (0.14, 0.2, 0.18))
"""Blue, green, red."""


@dataclass(frozen=True)
class Train:
    """A train painted and reported."""

    track: int
    start: float
    cars: int
    change: str = "arrived"

    @property
    def length(self) -> float:
        return 13.92 * self.cars


@dataclass(frozen=True)
class Look:
    """What one painted scene shows."""

    when: datetime
    trains: tuple[Train, ...] = ()
    fill: float = 0.0
    """Share of the apron covered with cargo."""
    cloud: float = 0.0
    """Share of the yard's length hidden, from the right end."""
    sensor: str = "SkySat 0.5 m"
    gain: float = 1.0
    skipped: bool = False


def lonlat(along_across: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Yard coordinates in metres to lon/lat."""
    c, s = np.cos(np.radians(TILT_DEG)), np.sin(np.radians(TILT_DEG))
    plane = np.array(along_across) @ np.array([[c, s], [-s, c]])
    lon, lat = transformer(PLANE, WGS84).transform(plane[:, 0], plane[:, 1])
    return list(zip(lon.tolist(), lat.tolist(), strict=True))


def box(left: float, right: float, bottom: float, top: float) -> Polygon:
    return Polygon(lonlat([(left, bottom), (right, bottom), (right, top), (left, top)]))


def track_offset(number: int) -> float:
    """Across position of a track, metres; track 0 lies farthest down."""
    return -20.0 + 5.3 * number


def yard(*, tracks: int = 6, name: str = "Painted yard", half: float = 300.0) -> Site:
    """Return the painted yard as an area of interest."""
    lines = tuple(
        Track(
            f"t{n + 1}",
            f"Track {n + 1}",
            LineString(lonlat([(-half + 12 * n, track_offset(n)), (half - 9 * n, track_offset(n))])),
            1520,
        )
        for n in range(tracks)
    )
    return Site(
        id="yard",
        name=name,
        polygon=box(-half - 30, half + 30, -90, 110),
        tracks=lines,
        bridges=(Bridge("deck", "River deck", LineString(lonlat([(half - 60, -60), (half + 20, -60)])), 8.0),)
        if tracks
        else (),
        aprons=(Area("pad", "Cargo pad", box(*APRON)),) if tracks else (),
        sheds=tuple(Area(f"shed{n}", f"Shed {n}", box(*shed)) for n, shed in enumerate(SHEDS)) if tracks else (),
        accuracy_m=3.0,
        timezone="Asia/Pyongyang",
    )


def grid_of(gsd: float, *, half: float = 300.0) -> Grid:
    """A north-up UTM grid over the yard."""
    to_utm = transformer(WGS84, "EPSG:32652")
    x, y = to_utm.transform(*np.array(yard(half=half).polygon.exterior.coords).T)
    left, top = np.floor(x.min() - 20), np.ceil(y.max() + 20)
    shape = (int((top - y.min() + 20) / gsd), int((x.max() + 20 - left) / gsd))
    return Grid("EPSG:32652", Affine(gsd, 0, float(left), 0, -gsd, float(top)), shape)


def _coordinates(grid: Grid) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Along and across, metres, of every pixel."""
    row_col = np.stack(np.indices(grid.shape), axis=-1).reshape(-1, 2).astype(float)
    east, north = transformer(grid.crs, PLANE).transform(*grid.xy(row_col).T)
    c, s = np.cos(np.radians(TILT_DEG)), np.sin(np.radians(TILT_DEG))
    return (east * c + north * s).reshape(grid.shape), (north * c - east * s).reshape(grid.shape)


class _Paint:
    """Brushes in yard coordinates."""

    def __init__(self, grid: Grid, seed: int) -> None:
        self.along, self.across = _coordinates(grid)
        self.gsd, self.shape, self.rng = grid.metres_per_pixel(), grid.shape, np.random.default_rng(seed)
        ground = np.array([0.075, 0.105, 0.135, 0.24])[:, None, None]
        self.bands = ground + 0.012 * (self.cloth(3.0) + self.cloth(12.0)) * np.ones((4, 1, 1))

    def cloth(self, size_m: float) -> NDArray[np.float64]:
        """Smooth noise of that scale and unit spread."""
        sigma = size_m / self.gsd
        return gaussian_filter(self.rng.standard_normal(self.shape), sigma, truncate=2) * 3.5 * sigma

    def fill(self, mask: NDArray[np.bool_], colour: Sequence[float], grain: float = 0.0) -> None:
        noise = grain * self.rng.standard_normal(int(mask.sum()))
        self.bands[:, mask] = np.array([*colour, colour[-1] * 1.1])[:, None] + noise

    def rect(self, left: float, right: float, bottom: float, top: float) -> NDArray[np.bool_]:
        along, across = self.along, self.across
        return (along > left) & (along < right) & (across > bottom) & (across < top)


@lru_cache(maxsize=4)
def _painted_ground(grid: Grid, tracks: int) -> _Paint:
    paint = _Paint(grid, 7)
    _paint_ground(paint, tracks)
    return paint


def _paint_ground(paint: _Paint, tracks: int) -> None:
    paint.fill(paint.rect(-400, 400, 60, 66), (0.2, 0.2, 0.2), 0.01)
    if not tracks:
        return
    paint.fill(paint.rect(-310, 310, -24, track_offset(tracks - 1) + 4), (0.15, 0.16, 0.17), 0.02)
    paint.fill(paint.rect(*APRON), (0.25, 0.25, 0.25), 0.012)
    for number in range(tracks):
        for rail in (-0.75, 0.75):
            near = np.abs(paint.across - track_offset(number) - rail) < max(0.15, 0.3 * paint.gsd)
            paint.fill(near, (0.24, 0.23, 0.22))
    for left, right, bottom, top in SHEDS:
        paint.fill(paint.rect(left + 3, right + 3, top, top + 9), (0.03, 0.03, 0.035))
        paint.fill(paint.rect(left, right, bottom, top), (0.14, 0.17, 0.24), 0.006)
        paint.fill(paint.rect(left, right, (bottom + top) / 2, top), (0.11, 0.13, 0.19), 0.006)


def _paint_objects(paint: _Paint, look: Look) -> None:
    cars = [
        (track_offset(train.track), train.start + 13.92 * car, car)
        for train in look.trains
        for car in range(train.cars)
    ]
    for middle, left, _ in cars:
        paint.fill(paint.rect(left + 1.5, left + 14.5, middle + 1.6, middle + 5.2), (0.045, 0.045, 0.05))
    for middle, left, car in cars:
        paint.fill(paint.rect(left + 0.5, left + 13.4, middle - 1.6, middle + 1.6), COLOURS[(car * 3) % 5], 0.008)
    if look.fill:
        cut = APRON[0] + look.fill * (APRON[1] - APRON[0])
        paint.fill(paint.rect(APRON[0] + 4, cut, 26, 46), (0.42, 0.27, 0.16), 0.02)


def paint_look(
    look: Look, grid: Grid, *, tracks: int = 6, seed: int = 1
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """(band, row, column) blue, green, red, nir reflectance and (row, column) quality of a look."""
    paint = copy.deepcopy(_painted_ground(grid, tracks))
    _paint_objects(paint, look)
    quality = np.full(grid.shape, int(Quality.CLEAR), dtype=np.uint8)
    paint.rng = np.random.default_rng(seed)
    if look.cloud:
        veil = paint.cloth(20.0)
        hidden = paint.along + 25 * veil > 330 - 660 * look.cloud
        paint.bands[:, hidden] = 0.6 + 0.03 * veil[hidden]
        quality[hidden] = int(Quality.CLOUD)
    noise = 0.006 * paint.rng.standard_normal(paint.bands.shape)
    return (look.gain * gaussian_filter(paint.bands + noise, (0, 0.6, 0.6))).astype(np.float32), quality


def _ref(look: Look, number: int) -> SceneRef:
    return SceneRef(
        id=f"scene-{number:03d}",
        when=look.when,
        platform="painted",
        gsd_m=0.5,
        assets=(),
        simulated=True,
        credit="Painted for a test",
    )


def stacks_of(
    looks: Sequence[Look], *, gsd: Mapping[str, float], tracks: int = 6, half: float = 300.0
) -> dict[str, Stack]:
    """Return prepared stacks of painted looks, by sensor."""
    stacks = {}
    for sensor in dict.fromkeys(look.sensor for look in looks):
        grid = grid_of(gsd[sensor], half=half)
        chosen = [(n, look) for n, look in enumerate(looks) if look.sensor == sensor]
        painted = [paint_look(look, grid, tracks=tracks, seed=n) for n, look in chosen]
        stacks[sensor] = Stack(
            sensor=sensor,
            grid=grid,
            gsd_m=gsd[sensor],
            bands=("blue", "green", "red", "nir"),
            scenes=tuple(_ref(look, n) for n, look in chosen),
            pixels=np.stack([pixels for pixels, _ in painted]),
            quality=np.stack([quality for _, quality in painted]),
            shift_m=np.zeros((len(chosen), 2)),
            shift_error_m=np.full(len(chosen), 0.05),
        )
    return stacks


def _train_seen(look: Look, train: Train, number: int, gsd: float) -> Observation:
    end, middle = train.start + train.length, track_offset(train.track)
    track = f"t{train.track + 1}"
    loose = 0.3 + gsd
    return Observation(
        id=f"{number:03d}-{track}-{train.start:.0f}",
        kind="train",
        site="yard",
        scene=f"scene-{number:03d}",
        when=look.when,
        geometry=box(train.start, end, middle - 1.6, middle + 1.6),
        track=track,
        tracks=(track,) if gsd < 5 else (track, f"t{train.track + 2}"),
        apron=None,
        start_m=train.start + 300,
        end_m=end + 300,
        length_m=train.length,
        length_m_95=(train.length - 2 * loose, train.length + 2 * loose),
        railcars=train.cars,
        railcars_95=(train.cars, train.cars),
        cars=(Car(0, 13.9, (0.2, 0.2, 0.2), "box"),),
        area_m2=None,
        area_m2_95=None,
        height_m=None,
        p_value=1e-6,
        likelihood="almost certain" if gsd < 5 else "likely",
        change=train.change,  # type: ignore[arg-type]
        last_clear_before=look.when - timedelta(days=3),
        first_seen=look.when if train.change == "arrived" else look.when - timedelta(days=1),
        same_as=None,
        same_as_p=None,
    )


def _cargo_seen(look: Look, number: int) -> Observation:
    cut = APRON[0] + look.fill * (APRON[1] - APRON[0])
    area = (cut - APRON[0] - 4) * 20
    base = _train_seen(look, Train(0, 0, 1), number, 0.5)
    return replace(
        base, id=f"{number:03d}-cargo", kind="cargo", geometry=box(APRON[0] + 4, cut, 26, 46),
        track=None, tracks=(), apron="pad",
        start_m=None, end_m=None, length_m=None, length_m_95=None, railcars=None, railcars_95=None, cars=(),
        area_m2=area, area_m2_95=(0.9 * area, 1.1 * area),
    )  # fmt: skip


def record_of(look: Look, number: int, site: Site, gsd: float) -> SceneRecord:
    """Return what a look allowed to see."""
    sun = sun_position(look.when, LON, LAT)
    occupied = {f"t{train.track + 1}" for train in look.trains}
    seen = 0.0 if look.skipped else 1 - look.cloud
    visibility = "clear" if seen == 1 else "partial" if seen > 0.3 else "not-visible"
    state = {True: "occupied", False: "empty" if seen > 0.3 else "unknown"}
    tracks = tuple(
        TrackLook(
            part.id,
            visibility,
            seen,
            state[part.id in occupied],
            0.4,
            14.0 + 30 * gsd if seen > 0.3 else None,  # type: ignore[arg-type]
        )
        for part in (*site.tracks, *site.bridges)
    )
    aprons = tuple(
        ApronLook(
            area.id, visibility, seen, look.fill if seen > 0.3 else None,  # type: ignore[arg-type]
            (max(look.fill - 0.05, 0), look.fill + 0.05) if seen > 0.3 else None, 30.0,
        )
        for area in site.aprons
    )  # fmt: skip
    return SceneRecord(
        id=f"scene-{number:03d}", when=look.when, platform="painted", sensor=look.sensor, gsd_m=gsd,
        status="skipped" if look.skipped else "used", reason="cloud over the site" if look.skipped else None,
        clear_fraction=seen, shift_m=(0, 0), shift_error_m=0.05, sun_azimuth_deg=sun.azimuth_deg,
        sun_elevation_deg=sun.elevation_deg, simulated=True, credit="Painted for a test", tracks=tracks, aprons=aprons,
    )  # fmt: skip


def detections_of(looks: Sequence[Look], site: Site, *, gsd: Mapping[str, float]) -> Detections:
    """Return what a perfect detector would say of the looks."""
    observations: list[Observation] = []
    for number, look in enumerate(looks):
        observations += [_train_seen(look, train, number, gsd[look.sensor]) for train in look.trains]
        if look.fill:
            observations.append(_cargo_seen(look, number))
    return Detections(
        site=site.id,
        site_name=site.name,
        created=datetime(2026, 1, 1, tzinfo=UTC),
        software={},
        parameters={},
        scenes=tuple(record_of(look, n, site, gsd[look.sensor]) for n, look in enumerate(looks)),
        observations=tuple(observations),
        summary=(),
    )


def story(*, days: int = 14) -> list[Look]:
    """Two weeks: empty, a train comes, is unloaded, leaves; clouds between; three sensors."""
    start = datetime(2022, 11, 25, 2, 11, tzinfo=UTC)
    looks = []
    for number in range(days):
        trains: tuple[Train, ...] = ()
        if 3 <= number % 14 <= 8:
            trains = (Train(3, -60, 8, "arrived" if number % 14 == 3 else "standing"),)
        if 6 <= number % 14 <= 7:
            trains += (Train(1, 40, 12), Train(5, -220, 5))
        looks.append(
            Look(
                start + timedelta(days=number, minutes=37 * (number % 5)),
                trains,
                fill={4: 0.45, 5: 0.8, 6: 0.8, 7: 0.3}.get(number % 14, 0.0),
                cloud={2: 0.95, 6: 0.25, 10: 0.5}.get(number % 14, 0.0),
                sensor=("SkySat 0.5 m", "PlanetScope 3 m", "SkySat 0.5 m", "SkySat 0.5 m", "Sentinel-2 10 m")[
                    number % 5
                ],
                gain=1 + 0.15 * np.sin(number),
                skipped=number % 14 == 2,
            )
        )
    return looks


GSD = {"SkySat 0.5 m": 0.5, "PlanetScope 3 m": 3.0, "Sentinel-2 10 m": 10.0}
