"""The before/after pair: the same stretch in the previous clear look and in the scene, with what was seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import LineString, Polygon
from shapely.geometry.base import BaseGeometry

from rail_watch.aoi.site import Site
from rail_watch.observe.records import Observation, SceneRecord
from rail_watch.report import furniture
from rail_watch.report.caption import Caption, clock, place_short_names, sensor
from rail_watch.report.card import COLOURS, Card, moved, spine_of
from rail_watch.report.labels import Label, Room, clutter_raster, place, spread
from rail_watch.report.names import clean, drawable, shorten
from rail_watch.report.page import Box, Ink, Page, Pen, fit, wrap
from rail_watch.report.stretch import Frame, View, covered, track_in, veiled, ways
from rail_watch.report.watermark import marked
from rail_watch.sun import SunPosition, sun_position

Floats = NDArray[np.float64]

WIDTH = 2000
MARGIN = 44
GUTTER = 214
"""Room at the pictures' sides for track names."""
NAME_LINE = 23.0
"""Pixels from one track name to the next."""
GAP = 26
STACK_BELOW = 0.45
"""Stretches flatter than this are set one above the other, others side by side."""
TALLEST_SINGLE = 1000
STRIP = 52
BAND_HEIGHT = 62
LOCATOR = (360, 290)
LONG = 4000
MOST_LABELS = {"after": 10, "before": 6}
KIND_DASHES: dict[str, tuple[float, ...] | None] = {"cargo": None, "change": (1.2, 1.6)}
GONE_DASH = (4.5, 2.6)
SMOOTHING = 0.8
"""Sensor pixels by which an outline along pixels may be straightened."""
ARROW_ROOM = 24.0
"""Pixels left between an outline and its label, so that the arrow shows."""
TITLE, BODY, SMALL = Ink(13, bold=True), Ink(8.2), Ink(6.8, "#57606a")


@dataclass(frozen=True)
class Shot:
    """One scene in the figure's frame."""

    record: SceneRecord
    view: View
    observations: tuple[Observation, ...]
    """What was seen in it inside the frame, the most telling first."""


@dataclass(frozen=True)
class Pair:
    """Everything a figure shows."""

    site: Site
    frame: Frame
    after: Shot
    before: Shot | None
    caption: Caption


def picture_columns(frame: Frame, *, pair: bool, named: bool) -> int:
    """Width of each picture in pixels: side by side or stacked by the stretch's shape."""
    ratio = frame.width_m / frame.length_m
    room = WIDTH - 2 * (GUTTER if named else MARGIN)
    if pair and ratio > STACK_BELOW:
        return (room - GAP) // 2
    return int(min(room, TALLEST_SINGLE / ratio))


def draw(pair: Pair) -> NDArray[np.uint8]:
    """Draw the figure; (row, column, 3)."""
    lay = _Layout(pair)
    footer = _Footer(pair, WIDTH - 2 * MARGIN - LOCATOR[0] - 50)
    page = Page(WIDTH, lay.tall + footer.height)
    _draw_head(page, pair, lay.head)
    for index, (role, shot) in enumerate(lay.shots):
        outer = _outer(index, lay.beside, len(lay.shots))
        _Panel(page, pair, shot, role=role, corner=lay.corner(index)).draw(lay.strip, outer=outer)
    footer.draw(page, lay.tall)
    return page.pixels()


def panels(pair: Pair) -> tuple[Box, ...]:
    """Return where the earlier and the later picture lie in the figure, in its pixels; empty without an earlier one."""
    lay = _Layout(pair)
    rows, cols = pair.frame.shape
    corners = [lay.corner(index) for index in range(len(lay.shots))]
    return tuple((left, top, left + cols, top + rows) for left, top in corners) if pair.before else ()


class _Layout:
    """Where the pictures stand: side by side or one above the other."""

    def __init__(self, pair: Pair) -> None:
        self.rows, self.cols = pair.frame.shape
        self.shots = [*([("before", pair.before)] if pair.before else []), ("after", pair.after)]
        self.beside = pair.before is not None and self.cols <= (WIDTH - 2 * MARGIN - GAP) // 2
        self.strip = STRIP * (2 if self.beside else 1) - (12 if self.beside else 0)
        self.head = (BAND_HEIGHT if pair.caption.simulated else 0) + 84
        self.tall = self.head + (self.rows + self.strip + GAP) * (1 if self.beside else len(self.shots))

    def corner(self, index: int) -> tuple[int, int]:
        """Upper-left corner of a picture on the page."""
        count = len(self.shots)
        total = self.cols * count + GAP * (count - 1) if self.beside else self.cols
        left = (WIDTH - total) // 2 + (index * (self.cols + GAP) if self.beside else 0)
        down = 0 if self.beside else index * (self.rows + self.strip + GAP)
        return left, self.head + self.strip + down


def _outer(index: int, beside: bool, count: int) -> tuple[bool, bool]:
    """Whether the panel's left and right sides face the page's gutter."""
    return (not beside or index == 0, not beside or index == count - 1)


def _draw_head(page: Page, pair: Pair, head: int) -> None:
    if pair.caption.simulated:
        furniture.simulated_band(page, BAND_HEIGHT)
    name = drawable(shorten(clean(pair.site.name), 70), pair.site.id)
    when = pair.after.record.when
    date = clock(when, None).split(",")[0]
    width, _ = page.measure(date, TITLE)
    page.text((MARGIN, head - 28), fit(name, TITLE, WIDTH - 2 * MARGIN - width - 60), TITLE)
    page.text((WIDTH - MARGIN, head - 28), date, replace(TITLE, ha="right"))


class _Panel:
    """One picture with its strip of facts, outlines, labels and furniture."""

    def __init__(self, page: Page, pair: Pair, shot: Shot, *, role: str, corner: tuple[int, int]) -> None:
        self.page, self.pair, self.shot, self.role = page, pair, shot, role
        self.left, self.top = corner
        rows, cols = pair.frame.shape
        self.box: Box = (self.left, self.top, self.left + cols, self.top + rows)
        self.corner = np.array(corner, dtype=float)
        self.sun = _sun(shot.record, pair.site)

    def draw(self, strip: int, *, outer: tuple[bool, bool]) -> None:
        shapes = {one.id: _outline(self.pair.frame, one, self.shot.record.gsd_m) for one in self.shot.observations}
        self._picture([shape for shape in shapes.values() if shape is not None])
        self._strip(strip)
        self._tracks(outer)
        self._ghosts(shapes)
        for one in self.shot.observations:
            self._draw_outline(shapes[one.id], _pen(one))
        self._furnish([shape for shape in shapes.values() if shape is not None], shapes)
        self.page.rectangle(self.box, Pen("#24292f", 0.8, zorder=9))

    def _picture(self, objects: Sequence[Polygon]) -> None:
        rgb = veiled(self.shot.view)
        if self.shot.record.simulated:
            rgb = marked(rgb, covered(objects, self.pair.frame.shape))
        self.page.image(rgb, (self.left, self.top))

    def _strip(self, height: int) -> None:
        """Role, time, sensor and sun above the picture."""
        left, top, right, _ = self.box
        page, record = self.page, self.shot.record
        single = self.pair.before is None
        tag = "IMAGE" if single else self.role.upper()
        ink = Ink(8.2, "#ffffff", bold=True, va="center", ha="center")
        wide = page.measure(tag, ink)[0] + 28
        line = top - height + 24
        fill = "#57606a" if self.role == "before" else "#0b3d66"
        page.rectangle((left, line - 20, left + wide, line + 20), Pen(width=0, fill=fill))
        page.text((left + wide / 2, line), tag, ink)
        time = Ink(8.2, bold=True, va="center")
        facts = f"{drawable(sensor(record))}   ·   {_sun_words(self.sun)}"
        if height > STRIP:
            page.text(
                (left + wide + 16, line),
                fit(clock(record.when, self.pair.site.timezone), time, right - left - wide - 16),
                time,
            )
            page.text((left, line + 42), fit(facts, Ink(7.4), right - left), Ink(7.4, va="center"))
            return
        room = right - left - wide - 40
        shown = fit(drawable(clock(record.when, self.pair.site.timezone)), time, 0.62 * room)
        page.text((left + wide + 16, line), shown, time)
        page.text(
            (right, line), fit(facts, Ink(7.8), room - page.measure(shown, time)[0]), Ink(7.8, ha="right", va="center")
        )

    def _tracks(self, outer: tuple[bool, bool]) -> None:
        """Name tracks at both ends, beside the picture."""
        names = place_short_names(self.pair.site)
        inside = [
            (names[part.id], line)
            for part in ways(self.pair.site)
            if (line := track_in(self.pair.frame, part.line)) is not None
        ]
        if self.shot.record.gsd_m >= 2:
            for _, line in inside:
                path = shapely.get_coordinates(line) + self.corner
                self.page.line(path, Pen("#ffffff", 0.5, alpha=0.55, dash=(0.8, 2.2), zorder=2), clip=self.box)
        for side in (0, 1):
            if outer[side]:
                self._names(inside, side)

    def _names(self, inside: Sequence[tuple[str, LineString]], side: int) -> None:
        rows, cols = self.pair.frame.shape
        ink = Ink(6.8, "#24292f", ha="right" if side == 0 else "left", va="center")
        ends = [(name, shapely.get_coordinates(line)[0 if side == 0 else -1]) for name, line in inside]
        near = [(name, end) for name, end in ends if (end[0] if side == 0 else cols - end[0]) < 0.3 * cols]
        near = sorted(near, key=lambda item: float(item[1][1]))[: max(int(rows / NAME_LINE), 1)]
        texts = [_lines(name, ink, most) for most in (4, 2, 1) for name, _ in near]
        fitting = [texts[start : start + len(near)] for start in range(0, len(texts), max(len(near), 1))]
        texts = next((t for t in fitting if sum(map(len, t)) * NAME_LINE <= rows), fitting[-1] if fitting else [])
        heights = [NAME_LINE * len(lines) for lines in texts]
        places = spread([float(end[1]) for _, end in near], heights, low=0, high=rows)
        edge, way = (self.box[0], -1) if side == 0 else (self.box[2], 1)
        for lines, (_, end), middle in zip(texts, near, places, strict=True):
            there, y = end + self.corner, self.top + middle
            path = np.array([[edge + way * 34, y], [edge + way * 8, there[1]], [there[0], there[1]]])
            self.page.line(path[:2], Pen("#6e7781", 0.6))
            if abs(there[0] - edge) > 6:
                dotted = Pen("#ffffff", 0.6, alpha=0.7, dash=(1.5, 1.5), zorder=2)
                self.page.line(path[1:], dotted, clip=self.box)
            for index, words in enumerate(lines):
                drop = (index - (len(lines) - 1) / 2) * NAME_LINE
                self.page.text((edge + way * 38, y + drop), words, ink)

    def _ghosts(self, own: dict[str, Polygon | None]) -> None:
        """In the earlier picture, show where the later one's objects will stand (nothing there yet: dashes)."""
        if self.role != "before":
            return
        taken = shapely.union_all([shape for shape in own.values() if shape is not None])
        for one in self.pair.after.observations:
            shape = _outline(self.pair.frame, one, self.shot.record.gsd_m)
            if shape is not None and shape.intersection(taken).area < 0.3 * shape.area:
                self._draw_outline(shape, replace(_pen(one), dash=GONE_DASH, width=1.0, alpha=0.9))

    def _draw_outline(self, shape: Polygon | None, pen: Pen) -> None:
        if shape is not None:
            self.page.polygon(shapely.get_coordinates(shape.exterior) + self.corner, pen, clip=self.box)

    def _furnish(self, shapes: Sequence[Polygon], by_id: dict[str, Polygon | None]) -> None:
        """Badge in the emptiest corner, then labels round it."""
        rows, cols = self.pair.frame.shape
        ghosts = (
            [_outline(self.pair.frame, one, self.shot.record.gsd_m) for one in self.pair.after.observations]
            if self.role == "before"
            else []
        )
        lines = [track_in(self.pair.frame, part.line) for part in ways(self.pair.site)]
        around = [shape.buffer(ARROW_ROOM) for shape in (*shapes, *(ghost for ghost in ghosts if ghost is not None))]
        weighted = [(shapely.get_coordinates(shape.exterior), 30.0) for shape in around]
        weighted += [(shapely.get_coordinates(line), 1.0) for line in lines if line is not None]
        clutter = clutter_raster((cols, rows), weighted)
        plate = _emptiest_corner(
            clutter, (furniture.badge_width(self.pair.frame), furniture.BADGE_HEIGHT), (cols, rows)
        )
        furniture.badge(self.page, moved(plate, self.corner), self.pair.frame, self.sun)
        room = Room((cols, rows), clutter, (plate,))
        room = self._cloud_words(room)
        inside = shapely.box(0, 0, cols, rows)
        shown = [(one, _largest(shape & inside)) for one in self.shot.observations if (shape := by_id[one.id])]
        self._labels([(one, shape) for one, shape in shown if shape is not None], room)

    def _cloud_words(self, room: Room) -> Room:
        """Write "could not be seen" where the hidden ground has room for it; return what room is left."""
        for mask, words in (
            (self.shot.view.hidden, "could not be seen: cloud"),
            (self.shot.view.absent, "no image here"),
        ):
            ink = Ink(7.4, "#24292f", bold=True, ha="center", va="center", zorder=11)
            width, height = self.page.measure(words, ink)
            box = _inside_mask(mask, (width + 24, height + 16), room)
            if box is None:
                continue
            plate = moved(box, self.corner)
            self.page.rounded(plate, Pen("#24292f", 0.6, fill="#ffffff", alpha=0.92, zorder=10), 6)
            self.page.text(((plate[0] + plate[2]) / 2, (plate[1] + plate[3]) / 2), words, ink)
            room = replace(room, blocked=(*room.blocked, box))
        return room

    def _labels(self, items: Sequence[tuple[Observation, Polygon]], room: Room) -> None:
        wide = min(640.0, 0.55 * room.extent[0])
        chosen = items[: MOST_LABELS[self.role]]
        cards = [Card(self.page, one, shape, self.pair.site, room=wide) for one, shape in chosen]
        placed = place([Label(card.size, spine_of(card.shape)) for card in cards], room)
        for card, spot in zip(cards, placed, strict=True):
            if spot is not None:
                card.draw(spot, self.corner)


def _lines(text: str, ink: Ink, most: int) -> list[str]:
    """Break a track name to the gutter's width, into so many lines at most."""
    lines = wrap(text, ink, GUTTER - 50)
    return [*lines[: most - 1], fit(" ".join(lines[most - 1 :]), ink, GUTTER - 50)] if len(lines) > most else lines


class _Footer:
    """Legend, caption and credit, beside the locator."""

    def __init__(self, pair: Pair, width: int) -> None:
        self.pair = pair
        caption = pair.caption
        self.heading = wrap(drawable(caption.heading, limit=LONG), replace(BODY, bold=True), width)
        self.body = [line for part in caption.paragraphs() for line in wrap(drawable(part, limit=LONG), BODY, width)]
        self.credit = wrap(drawable(caption.credit, limit=LONG), SMALL, width)
        words = (len(self.heading) + len(self.body)) * BODY.line_px + 10 + len(self.credit) * SMALL.line_px
        self.height = int(max(words + 86, LOCATOR[1] + 50) + MARGIN)

    def draw(self, page: Page, top: int) -> None:
        self._legend(page, top + 18)
        y = page.lines((MARGIN, top + 78), self.heading, replace(BODY, bold=True))
        y = page.lines((MARGIN, y), self.body, BODY) + 10
        page.lines((MARGIN, y), self.credit, SMALL)
        right, low = WIDTH - MARGIN, top + 12
        box = (right - LOCATOR[0], low, right, low + LOCATOR[1])
        furniture.locator(page, box, self.pair.site, self.pair.frame)

    def _legend(self, page: Page, y: float) -> None:
        x = float(MARGIN)
        for words, pen in _legend_entries(self.pair):
            left, top, right, bottom = x, y - 12, x + 44, y + 12
            page.polygon(np.array([[left, top], [right, top], [right, bottom], [left, bottom]]), pen)
            page.text((x + 56, y), words, Ink(7.2, va="center"))
            x += 56 + page.measure(words, Ink(7.2))[0] + 40


def _legend_entries(pair: Pair) -> list[tuple[str, Pen]]:
    seen = [*pair.after.observations, *(pair.before.observations if pair.before else ())]
    kinds = {"train" if one.kind == "train-on-bridge" else one.kind for one in seen}
    words = {"train": "train", "cargo": "cargo", "change": "changed ground"}
    entries = [
        (words[kind], Pen(COLOURS[kind], 1.8, fill="#6e7781", dash=KIND_DASHES.get(kind)))
        for kind in words
        if kind in kinds
    ]
    if pair.before and any(one.change != "standing" for one in pair.after.observations):
        colour = next(COLOURS[kind] for kind in words if kind in kinds)
        entries.append(("same place in the other look", Pen(colour, 1.2, dash=(3, 2), casing="#000000")))
    shots = [pair.after, *([pair.before] if pair.before else [])]
    if any(shot.view.hidden.any() for shot in shots):
        entries.append(("could not be seen (cloud)", Pen("#57606a", 0.5, fill="#f6f8fa", hatch="\\\\\\\\")))
    if any(shot.view.absent.any() for shot in shots):
        entries.append(("no image", Pen("#57606a", 0.5, fill="#cdcdcd", hatch="////")))
    return entries


def _pen(observation: Observation) -> Pen:
    dash = GONE_DASH if observation.change == "departed" else KIND_DASHES.get(observation.kind)
    width = 1.1 if observation.change == "standing" else 1.7
    return Pen(COLOURS[observation.kind], width, dash=dash, casing="#000000", zorder=6)


def _outline(frame: Frame, observation: Observation, gsd_m: float) -> Polygon | None:
    """Return the object's outline a little outside it, in picture pixels; None outside the frame.

    Trains keep their corners; outlines that follow pixels are smoothed.
    """
    rows, cols = frame.shape
    shape = frame.shape_px(observation.geometry)
    if observation.kind in ("train", "train-on-bridge"):
        piece: BaseGeometry = shape.buffer(5, join_style="mitre", mitre_limit=2).simplify(0.5)
    else:
        piece = shape.simplify(SMOOTHING * gsd_m / frame.metres_per_px).buffer(12).buffer(-7).simplify(0.5)
    if isinstance(piece, Polygon) and not piece.is_empty and piece.intersects(shapely.box(0, 0, cols, rows)):
        return Polygon(piece.exterior)
    return None


def _largest(shape: BaseGeometry) -> Polygon | None:
    parts = [part for part in getattr(shape, "geoms", [shape]) if isinstance(part, Polygon) and part.area > 1]
    return max(parts, key=lambda part: float(part.area), default=None)


def _emptiest_corner(clutter: Floats, size: tuple[float, float], extent: tuple[float, float]) -> Box:
    """Return the corner box that hides least; lower left of equals."""
    (width, height), (cols, rows), inset = size, extent, 12.0
    places = [(x, y) for y in (rows - height - inset, inset) for x in (inset, cols - width - inset)]
    boxes = [(x, y, x + width, y + height) for x, y in places]

    def hides(box: Box) -> float:
        left, top, right, bottom = (int(side // 8) for side in box)
        return float(clutter[max(top - 1, 0) : bottom + 2, max(left - 1, 0) : right + 2].sum())

    return min(boxes, key=hides)


def _inside_mask(mask: NDArray[np.bool_], size: tuple[float, float], room: Room) -> Box | None:
    """Return the box of a size that lies deepest inside a mask and touches nothing blocked; None where none fits."""
    small = mask[::8, ::8]
    wide, high = int(size[0] // 8) + 2, int(size[1] // 8) + 2
    rows, cols = small.shape
    if rows <= high or cols <= wide or small.mean() < 0.01:
        return None
    total = np.pad((small & (room.clutter[:rows, :cols] < 2)).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    inside = total[high:, wide:] - total[:-high, wide:] - total[high:, :-wide] + total[:-high, :-wide]
    top, left = (grid.ravel() for grid in np.indices(inside.shape))
    centre = np.argwhere(small).mean(axis=0) - [high / 2, wide / 2]
    price = np.hypot(top - centre[0], left - centre[1])
    price[inside.ravel() < 0.9 * wide * high] = np.inf
    for index in np.argsort(price, kind="stable"):
        if not np.isfinite(price[index]):
            return None
        x = min(left[index] * 8 + 8.0, mask.shape[1] - size[0] - 8)
        y = min(top[index] * 8 + 8.0, mask.shape[0] - size[1] - 8)
        box = (x, y, x + size[0], y + size[1])
        if not any(_overlap(box, other) for other in room.blocked):
            return box
    return None


def _overlap(one: Box, two: Box) -> bool:
    return one[0] < two[2] + 6 and two[0] < one[2] + 6 and one[1] < two[3] + 6 and two[1] < one[3] + 6


def _sun(record: SceneRecord, site: Site) -> SunPosition | None:
    """The catalogue's sun, or the computed one."""
    if record.sun_azimuth_deg is not None and record.sun_elevation_deg is not None:
        return SunPosition(record.sun_azimuth_deg, record.sun_elevation_deg)
    centre = site.polygon.centroid
    return sun_position(record.when, centre.x, centre.y)


def _sun_words(sun: SunPosition | None) -> str:
    if sun is None or sun.elevation_deg <= 0:
        return "sun below the horizon"
    return f"sun {sun.azimuth_deg:.0f}° az., {sun.elevation_deg:.0f}° up"
