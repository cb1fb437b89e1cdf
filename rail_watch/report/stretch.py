"""The stretch of ground a figure shows: which, turned how, in which tone, and what was hidden there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from shapely import LineString, Polygon
from shapely.geometry.base import BaseGeometry

from rail_watch.aoi.site import Bridge, Site, Track
from rail_watch.grid import WGS84, Grid, transformer
from rail_watch.imagery.scene import Quality, Scene
from rail_watch.prepare.stack import Stack
from rail_watch.prepare.zones import local_frame, reproject, zones_of

Floats = NDArray[np.float64]
Bytes = NDArray[np.uint8]
Mask = NDArray[np.bool_]

PAD_M = 28.0
"""Ground shown round the outermost object, so that it has a neighbourhood."""
MIN_PIXELS = 80
"""A stretch is at least this many of the sensor's pixels long; fewer show no place, only squares."""
SHORTEST_M, LONGEST_M = 240.0, 720.0
"""Bounds of a stretch's length unless one object is longer or the pixels are coarse."""
THINNEST, TALLEST = 0.26, 0.95
"""Bounds of a stretch's width over its length."""
THINNEST_SITE = 0.2
"""The lower bound where the site itself is thinner: no image need lie beyond it."""
TONE_TAILS = (0.5, 99.7)
"""Percentiles of clear ground mapped near to black and white."""
DEEPEST_BLACK, LEAST_SPAN = 0.7, 0.8
"""Shares of the median: what may be cut to black at most, and what the tones span at least. More contrast
would turn snow or forest into false colours."""
MIDDLE_GREY, GAMMA_BOUNDS = 0.36, (0.5, 1.1)
"""The median is brought to this tone by a gamma within bounds, lest a few bright roofs leave all else dark."""
TURNED_AT = 0.5
"""Pixels of a picture are made at this share of the sensor's, and enlarged from there."""
GAIN_BOUNDS = (0.5, 2.0)
"""A gain outside is not haze or sun but snow or flood, and is not hidden."""


@dataclass(frozen=True)
class Frame:
    """A rectangle on the ground, turned, and the picture it fills."""

    crs: str
    """Local plane coordinates in true metres (east, north)."""
    centre: tuple[float, float]
    """East, north in `crs`."""
    angle_deg: float
    """Where the picture's right points, counter-clockwise from east."""
    length_m: float
    """Along the picture's right."""
    width_m: float
    shape: tuple[int, int]
    """Rows and columns of the picture."""

    @property
    def metres_per_px(self) -> float:
        """Ground length of one picture pixel."""
        return self.length_m / self.shape[1]

    @property
    def north(self) -> tuple[float, float]:
        """Unit vector (right, down) in the picture that points to true north."""
        return self.bearing(0.0)

    def bearing(self, azimuth_deg: float) -> tuple[float, float]:
        """Unit vector (right, down) in the picture towards an azimuth clockwise from north."""
        angle = math.radians(90 - azimuth_deg - self.angle_deg)
        return math.cos(angle), -math.sin(angle)

    def resized(self, columns: int) -> Frame:
        """Return the same ground in a picture of another width."""
        rows = max(round(columns * self.width_m / self.length_m), 1)
        return Frame(self.crs, self.centre, self.angle_deg, self.length_m, self.width_m, (rows, columns))

    def to_px(self, lonlat: Floats) -> Floats:
        """(n, 2) WGS 84 lon/lat to (n, 2) picture pixels (x right, y down) from the upper-left corner."""
        east, north = transformer(WGS84, self.crs).transform(lonlat[:, 0], lonlat[:, 1])
        return self.plane_to_px(np.stack([east, north], axis=-1))

    def plane_to_px(self, plane: Floats) -> Floats:
        """(n, 2) metres in `crs` to (n, 2) picture pixels."""
        turned = (plane - self.centre) @ rotation(self.angle_deg).T
        return (turned * [1, -1] + [self.length_m / 2, self.width_m / 2]) / self.metres_per_px

    def to_lonlat(self, px: Floats) -> Floats:
        """(n, 2) picture pixels to (n, 2) WGS 84 lon/lat."""
        turned = (px * self.metres_per_px - [self.length_m / 2, self.width_m / 2]) * [1, -1]
        plane = turned @ rotation(self.angle_deg) + self.centre
        lon, lat = transformer(self.crs, WGS84).transform(plane[:, 0], plane[:, 1])
        return np.stack([lon, lat], axis=-1)

    def corners(self) -> Floats:
        """(4, 2) lon/lat of the corners."""
        rows, cols = self.shape
        return self.to_lonlat(np.array([[0, 0], [cols, 0], [cols, rows], [0, rows]], dtype=float))

    def shape_px(self, geometry: BaseGeometry) -> BaseGeometry:
        """Return a lon/lat geometry in picture pixels."""
        return shapely.transform(geometry, self.to_px)


def ways(site: Site) -> tuple[Track | Bridge, ...]:
    """Tracks and bridge decks: all that a train may stand on."""
    return (*site.tracks, *site.bridges)


def rotation(angle_deg: float) -> Floats:
    """(2, 2) matrix that turns (east, north) into (along, across) of an axis at that angle."""
    c, s = math.cos(math.radians(angle_deg)), math.sin(math.radians(angle_deg))
    return np.array([[c, s], [-s, c]])


def frames(site: Site, outlines: Sequence[Polygon], gsd_m: float) -> list[tuple[Frame, list[int]]]:
    """Return the stretches that show all outlines, from left to right, each with the indices it shows.

    Outlines are joined while they fit into one readable stretch; each stretch lies along the
    nearest tracks, north upwards as far as that allows; with no track it lies north up.
    """
    plane = local_frame(site)
    shapes = [reproject(outline, WGS84, plane) for outline in outlines]
    longest = max(LONGEST_M, 3 * MIN_PIXELS * gsd_m)
    groups: list[list[int]] = [[index] for index in range(len(shapes))]
    while len(groups) > 1:
        spans = [
            (_diagonal([shapes[i] for i in one + two]), a, a + 1 + b)
            for a, one in enumerate(groups)
            for b, two in enumerate(groups[a + 1 :])
        ]
        span, a, b = min(spans)
        if span > longest:
            break
        groups[a] = sorted(groups[a] + groups.pop(b))
    groups.sort(key=lambda group: shapely.union_all([shapes[i] for i in group]).centroid.x)
    return [(_frame(site, [shapes[i] for i in group], gsd_m), group) for group in groups]


def _diagonal(shapes: Sequence[BaseGeometry]) -> float:
    left, bottom, right, top = shapely.total_bounds(shapely.GeometryCollection(list(shapes)))
    return float(math.hypot(right - left, top - bottom))


def _frame(site: Site, shapes: Sequence[BaseGeometry], gsd_m: float) -> Frame:
    plane = local_frame(site)
    angle = axis_deg(site, shapely.union_all(list(shapes)))
    turn = rotation(angle)
    along, across = (np.concatenate([shapely.get_coordinates(s) for s in shapes]) @ turn.T).T
    site_box = shapely.get_coordinates(reproject(site.polygon, WGS84, plane)) @ turn.T
    shortest = min(max(MIN_PIXELS * gsd_m, SHORTEST_M), float(np.ptp(site_box[:, 0])))
    length = max(np.ptp(along) + 2 * PAD_M, 1.12 * np.ptp(along), shortest)
    thinnest = min(THINNEST * length, max(float(np.ptp(site_box[:, 1])), THINNEST_SITE * length))
    width = max(float(np.ptp(across)) + 2 * PAD_M, thinnest)
    length = max(length, width / TALLEST)
    along_middle = _inside(0.5 * (float(along.min()) + float(along.max())), length, site_box[:, 0])
    reach = shapely.box(along_middle - length / 2, -1e6, along_middle + length / 2, 1e6)
    ground = shapely.get_coordinates(shapely.intersection(Polygon(site_box).buffer(0), reach))
    ground = ground if len(ground) else site_box
    across_middle = _inside(0.5 * (float(across.min()) + float(across.max())), width, ground[:, 1])
    east, north = np.array([along_middle, across_middle]) @ turn
    frame = Frame(plane, (float(east), float(north)), angle, float(length), width, (1, 1))
    return frame.resized(1000)


def _inside(middle: float, side: float, bounds: Floats) -> float:
    """Move a span so that it lies inside the bounds, where it fits."""
    low, high = float(bounds.min()) + side / 2, float(bounds.max()) - side / 2
    return min(max(middle, low), high) if low < high else 0.5 * (low + high)


def axis_deg(site: Site, shape: BaseGeometry) -> float:
    """Direction of the tracks nearest to a shape (local plane), -90 to 90 degrees from east; 0 with no track."""
    lines = [reproject(part.line, WGS84, local_frame(site)) for part in ways(site)]
    if not lines:
        return 0.0
    nearest = min(lines, key=lambda line: float(line.distance(shape.centroid)))
    left, bottom, right, top = shape.bounds
    reach = max(math.hypot(right - left, top - bottom) / 2, 60.0)
    at = nearest.project(shape.centroid)
    ends = [nearest.interpolate(float(np.clip(at + way * reach, 0, nearest.length))) for way in (-1, 1)]
    angle = math.degrees(math.atan2(ends[1].y - ends[0].y, ends[1].x - ends[0].x))
    return round((angle + 90) % 180 - 90, 1)


@dataclass(frozen=True)
class View:
    """One scene in a frame, ready to draw."""

    rgb: Bytes
    """(row, column, 3)."""
    hidden: Mask
    """(row, column) cloud or its shadow lies there."""
    absent: Mask
    """(row, column) no picture there: outside the scene, no data, not readable."""


CLOUDY = (Quality.CLOUD, Quality.CLOUD_SHADOW)
ABSENT = (Quality.OUTSIDE, Quality.NODATA, Quality.READ_FAILED)


def views(stack: Stack, site: Site, frame: Frame, indices: Sequence[int]) -> list[View]:
    """Return scenes of one stack in one frame, in one tone.

    Each band of the later pictures is brought to the first by one gain, the median ratio over
    stable ground clear in both, so that sun and haze do not pass for change; then all get the
    same stretch between robust percentiles.
    """
    rows, cols = _window(stack.grid, frame)
    if rows.start >= rows.stop or cols.start >= cols.stop:
        return [_blank(frame) for _ in indices]
    quality = [stack.quality[index, rows, cols] for index in indices]
    clear = [~np.isin(part, (*CLOUDY, *ABSENT)) for part in quality]
    bands = [_shown(stack.bands, stack.pixels[index, :, rows, cols]) for index in indices]
    if len(indices) > 1:
        stable = clear[0] & zones_of(site, stack.grid.crop(rows.start, cols.start, quality[0].shape)).stable
        bands[1:] = [_gained(part, bands[0], stable & ok) for part, ok in zip(bands[1:], clear[1:], strict=True)]
    tones = _toned(bands, clear)
    place = _pixel_to_pixel(stack.grid, frame, rows.start, cols.start)
    return [_view(tone, part, frame, place) for tone, part in zip(tones, quality, strict=True)]


@dataclass(frozen=True)
class Sheet:
    """One scene by itself, in tone, on its own grid: views of it are cut out without reading it again."""

    grid: Grid
    tone: Bytes
    """(row, column, 3)."""
    quality: Bytes
    """(row, column) of `Quality`."""


def sheet_of(scene: Scene) -> Sheet:
    """Return a scene in the tone that its own clear ground asks for.

    The median of clear ground comes to the same grey in every scene, so that two of them can be flicked between.
    """
    clear = ~np.isin(scene.quality, (*CLOUDY, *ABSENT))
    tone = _toned([_shown(scene.bands, scene.pixels)], [clear])[0]
    return Sheet(scene.grid, np.ascontiguousarray(tone), scene.quality)


def view_of(sheet: Sheet, frame: Frame) -> View:
    """Return what a frame shows of a sheet."""
    rows, cols = _window(sheet.grid, frame)
    if rows.start >= rows.stop or cols.start >= cols.stop:
        return _blank(frame)
    place = _pixel_to_pixel(sheet.grid, frame, rows.start, cols.start)
    return _view(sheet.tone[rows, cols], sheet.quality[rows, cols], frame, place)


def _blank(frame: Frame) -> View:
    nothing = np.zeros(frame.shape, dtype=bool)
    return View(np.full((*frame.shape, 3), 128, dtype=np.uint8), nothing, ~nothing)


def _window(grid: Grid, frame: Frame) -> tuple[slice, slice]:
    """Rows and columns of the grid that the frame needs, with a margin for the interpolation."""
    corners = grid.from_lonlat(frame.corners())
    low = np.floor(corners.min(axis=0)).astype(int) - 3
    high = np.ceil(corners.max(axis=0)).astype(int) + 4
    top, left = np.clip(low, 0, grid.shape)
    bottom, right = np.clip(high, 0, grid.shape)
    return slice(int(top), int(bottom)), slice(int(left), int(right))


def _shown(names: tuple[str, ...], pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """(3 or 1, row, column): true colour where there is one, else grey; radar in decibels."""
    if {"red", "green", "blue"} <= set(names):
        return pixels[[names.index(name) for name in ("red", "green", "blue")]]
    radar = [names.index(name) for name in ("vv", "hh", "vh", "hv") if name in names]
    if radar:
        decibels: NDArray[np.float32] = 10 * np.log10(np.maximum(pixels[radar[:1]], 1e-5))
        return decibels
    chosen = [names.index("pan")] if "pan" in names else list(range(len(names)))
    return np.asarray(pixels[chosen].mean(axis=0, keepdims=True))


def _gained(bands: NDArray[np.float32], base: NDArray[np.float32], ground: Mask) -> NDArray[np.float32]:
    """Scale each band by the median of base / band over the ground; as it is where there is too little."""
    result = bands.copy()
    for index, (band, wanted) in enumerate(zip(bands, base, strict=True)):
        usable = ground & np.isfinite(band) & np.isfinite(wanted) & (band > 0) & (wanted > 0)
        if usable.sum() >= 50:
            result[index] = band * np.clip(np.median(wanted[usable] / band[usable]), *GAIN_BOUNDS)
    return result


def _toned(scenes: Sequence[NDArray[np.float32]], clear: Sequence[Mask]) -> list[Bytes]:
    """(row, column, 3) bytes of each scene: black point per band (haze), one white point for all (true hues)."""
    ground = [np.where(ok, bands, np.nan) for bands, ok in zip(scenes, clear, strict=True)]
    seen = np.concatenate([part.reshape(len(part), -1) for part in ground], axis=1)
    seen = seen[:, np.isfinite(seen).all(axis=0)]
    if seen.shape[1] < 16:
        fallback = np.concatenate([part.reshape(len(part), -1) for part in scenes], axis=1)
        seen = np.nan_to_num(fallback)
    low, middle, high = np.percentile(seen, (TONE_TAILS[0], 50, TONE_TAILS[1]), axis=1).astype(np.float32)
    low = np.where(middle > 0, np.minimum(low, DEEPEST_BLACK * middle), low).astype(np.float32)
    span = np.float32(max(float((high - low).max()), LEAST_SPAN * float(middle.max()), 1e-6))
    grey = float(np.clip(((middle - low) / span).mean(), 1e-3, 0.999))
    gamma = float(np.clip(math.log(MIDDLE_GREY) / math.log(grey), *GAMMA_BOUNDS))
    table = (255 * np.linspace(0, 1, 4096) ** gamma + 0.5).astype(np.uint8)
    tones = []
    for bands in scenes:
        scaled = np.clip((np.nan_to_num(bands) - low[:, None, None]) / span, 0, 1)
        tone = table[(scaled * (len(table) - 1)).astype(np.uint16)]
        tones.append(np.broadcast_to(np.moveaxis(tone, 0, -1), (*bands.shape[1:], 3)))
    return tones


def _pixel_to_pixel(grid: Grid, frame: Frame, top: int, left: int) -> tuple[float, ...]:
    """Six numbers that take picture pixels to window pixels (x, y from corners), as Pillow wants them.

    Exact at three corners; over a stretch the curvature of any projection is below a thousandth of a pixel.
    """
    rows, cols = frame.shape
    picture = np.array([[0, 0], [cols, 0], [0, rows]], dtype=float)
    row_col = grid.from_lonlat(frame.to_lonlat(picture)) + 0.5 - [top, left]
    x, y = row_col[:, 1], row_col[:, 0]
    return tuple(float(v) for part in (x, y) for v in ((part[1] - part[0]) / cols, (part[2] - part[0]) / rows, part[0]))


def _view(tone: Bytes, quality: Bytes, frame: Frame, place: tuple[float, ...]) -> View:
    size = (frame.shape[1], frame.shape[0])
    states = Image.fromarray(np.ascontiguousarray(quality)).transform(
        size, Image.Transform.AFFINE, place, Image.Resampling.NEAREST, fillcolor=int(Quality.OUTSIDE)
    )
    state = np.asarray(states)
    return View(_turned(tone, size, place), np.isin(state, CLOUDY), np.isin(state, ABSENT))


def _turned(tone: Bytes, size: tuple[int, int], place: tuple[float, ...]) -> Bytes:
    """(row, column, 3) the window's pixels turned into the picture.

    Where the picture's pixels are much finer than the sensor's, the turn is made at `TURNED_AT` of the sensor's, and
    what it gives is enlarged: one turn is slow for every pixel it makes, enlarging is not.
    """
    step = math.sqrt(abs(place[0] * place[4] - place[1] * place[3]))
    image, shrink = Image.fromarray(np.ascontiguousarray(tone)), max(int(step), 1)
    if shrink > 1:
        image = image.reduce(shrink)
    enlarged = max(int(TURNED_AT / step), 1)
    small = (-(-size[0] // enlarged), -(-size[1] // enlarged))
    scaled = tuple(number * (enlarged if i % 3 < 2 else 1) / shrink for i, number in enumerate(place))
    turned = image.transform(small, Image.Transform.AFFINE, scaled, Image.Resampling.BICUBIC)
    if enlarged > 1:
        box = (0, 0, size[0] / enlarged, size[1] / enlarged)
        turned = turned.resize(size, Image.Resampling.BICUBIC, box=box)
    return np.asarray(turned)


def veiled(view: View) -> Bytes:
    """Return the picture with cloud hatched one way and absent ground grey and hatched the other way."""
    if not (view.hidden.any() or view.absent.any()):
        return view.rgb
    rows, cols = np.ogrid[: view.hidden.shape[0], : view.hidden.shape[1]]
    rgb = view.rgb.astype(np.float32)
    rgb[view.absent] = 205
    stripe, crossed = (rows + cols) % 22, (rows - cols) % 22
    for hatched, lines in ((view.hidden, stripe), (view.absent, crossed)):
        rgb[hatched & (lines < 3)] *= 0.35
        rgb[hatched & (lines >= 3) & (lines < 6)] = 0.4 * rgb[hatched & (lines >= 3) & (lines < 6)] + 0.6 * 255
    return np.clip(rgb, 0, 255).astype(np.uint8)


def covered(shapes: Sequence[Polygon], shape: tuple[int, int]) -> Mask:
    """(row, column) True on the shapes."""
    mask = Image.new("1", (shape[1], shape[0]))
    for one in shapes:
        ImageDraw.Draw(mask).polygon([(float(x), float(y)) for x, y in one.exterior.coords], fill=1)
    return np.array(mask, dtype=bool)


def track_in(frame: Frame, line: LineString) -> LineString | None:
    """Part of a track inside the frame, in picture pixels from left to right; None where there is too little."""
    rows, cols = frame.shape
    inside = frame.shape_px(line).intersection(shapely.box(0, 0, cols, rows))
    pieces = [part for part in getattr(inside, "geoms", [inside]) if isinstance(part, LineString)]
    if not pieces:
        return None
    longest = max(pieces, key=lambda part: float(part.length))
    if longest.length < 0.04 * cols:
        return None
    coordinates = shapely.get_coordinates(longest)
    return LineString(coordinates if coordinates[0, 0] <= coordinates[-1, 0] else coordinates[::-1])
