"""A figure: one stretch of ground in one look or several, with what was seen; before/after pairs above all."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import LineString, Polygon
from shapely.geometry.base import BaseGeometry

from rail_watch.aoi.site import Site
from rail_watch.observe.records import Observation, SceneRecord
from rail_watch.report import dimension, furniture
from rail_watch.report.caption import Caption, clock, place_short_names, sensor, short_day
from rail_watch.report.card import Card, moved, spine_of
from rail_watch.report.footer import GONE_DASH, MARGIN, Footer, kind_pen
from rail_watch.report.form import PLAIN, Form
from rail_watch.report.labels import Label, Room, clutter_raster, place, spread
from rail_watch.report.language import number, say
from rail_watch.report.names import clean, drawable, shorten
from rail_watch.report.page import Box, Ink, Page, Pen, fit, wrap
from rail_watch.report.stretch import Frame, View, covered, track_in, veiled, ways
from rail_watch.report.watermark import marked
from rail_watch.sun import SunPosition

Floats = NDArray[np.float64]

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
MOST_LABELS = {"after": 10, "image": 10, "before": 6}
MOST_OF_MANY = 4
MOST_NARROW = {"after": 5, "image": 10}
MOST_OF_NARROW = 3
"""The same of a sequence's pictures, and where pictures are small: one more would lie on what others name."""
SMALL_PANEL = 760
"""Pixels of width below which labels have one line."""
HEAD, LEAST_FOOT, HIGHEST = 84, 210, 1.1
"""Title; words under pictures of a given height; height of a sequence over the figure's width."""
SMOOTHING = 0.8
"""Sensor pixels by which an outline along pixels may be straightened."""
ARROW_ROOM = 24.0
"""Pixels left between an outline and its label, so that the arrow shows."""
TITLE = Ink(13, bold=True)


@dataclass(frozen=True)
class Shot:
    """One scene in the figure's frame."""

    record: SceneRecord
    view: View
    observations: tuple[Observation, ...]
    """What was seen in it inside the frame, the most telling first."""


@dataclass(frozen=True)
class Plate:
    """Everything a figure shows."""

    site: Site
    frame: Frame
    shots: tuple[Shot, ...]
    """In order of time."""
    caption: Caption
    per_row: int = 1
    """Pictures beside one another."""
    pair: bool = True
    """Two shots are before and after."""
    form: Form = PLAIN
    changes_named: bool = True
    """Whether changed ground gets labels too, or its outline alone."""
    title: str = ""
    """Stands at the upper right; the last shot's date where it is empty."""

    @property
    def after(self) -> Shot:
        """The look that the figure is of."""
        return self.shots[-1]

    @property
    def before(self) -> Shot | None:
        """The look that it is compared with."""
        return self.shots[0] if self.pair and len(self.shots) == 2 else None


def arranged(frame: Frame, count: int, *, named: bool, form: Form = PLAIN, pair: bool = True) -> tuple[int, int]:
    """Return the width of each picture in pixels, and how many stand beside one another."""
    ratio = frame.width_m / frame.length_m
    if form.height is not None:
        return _fitted(ratio, count, form)
    room = form.width - 2 * (GUTTER if named else MARGIN)
    if count == 1 or (pair and ratio <= STACK_BELOW):
        return int(min(room, TALLEST_SINGLE / ratio)), 1
    if pair:
        return (room - GAP) // 2, 2
    wide = form.width - 2 * MARGIN
    for per_row in (1, 2, 3):
        across = room if per_row == 1 else (wide - (per_row - 1) * GAP) // per_row
        if math.ceil(count / per_row) * (ratio * across + STRIP + GAP) <= HIGHEST * form.width:
            break
    return across, per_row


def _fitted(ratio: float, count: int, form: Form) -> tuple[int, int]:
    """The same where the height is given: as large as fits."""
    assert form.height is not None
    room = form.height - BAND_HEIGHT - HEAD - LEAST_FOOT
    best = (0, 1)
    for per_row in range(1, min(count, 3) + 1):
        lines = math.ceil(count / per_row)
        across = (form.width - 2 * MARGIN - (per_row - 1) * GAP) / per_row
        best = max(best, (int(min(across, (room / lines - STRIP - GAP / 2) / ratio)), per_row))
    return max(best[0], 120), best[1]


def draw(plate: Plate) -> NDArray[np.uint8]:
    """Draw the figure; (row, column, 3)."""
    lay, form = _Layout(plate), plate.form
    footer = Footer(plate, lay.tall)
    page = Page(form.width, form.height or lay.tall + footer.height, form.scale)
    _draw_head(page, plate, lay.head)
    for index, shot in enumerate(plate.shots):
        panel = _Panel(page, plate, shot, role=lay.role(index), corner=lay.corner(index))
        panel.draw(lay.strip, outer=lay.outer(index))
    footer.draw(page, lay.tall)
    return page.pixels()


def panels(plate: Plate) -> tuple[Box, ...]:
    """Return where the earlier and the later picture lie in the figure, in its pixels; empty without an earlier one."""
    lay = _Layout(plate)
    rows, cols = plate.frame.shape
    corners = [lay.corner(index) for index in range(len(plate.shots))]
    return tuple((left, top, left + cols, top + rows) for left, top in corners) if plate.before else ()


class _Layout:
    """Where the pictures stand: side by side or one above the other."""

    def __init__(self, plate: Plate) -> None:
        self.plate, self.form = plate, plate.form
        self.rows, self.cols = plate.frame.shape
        count = len(plate.shots)
        self.beside = min(plate.per_row, count)
        double = self.beside > 1 and not self.form.narrow
        self.strip = STRIP * 2 - 12 if double else STRIP
        self.gap = GAP // 2 if self.form.narrow else GAP
        self.head = (BAND_HEIGHT if plate.caption.simulated else 0) + HEAD
        self.tall = self.head + (self.rows + self.strip + self.gap) * math.ceil(count / self.beside)

    def role(self, index: int) -> str:
        """Say what a picture is in the figure: before, after, image, or a letter."""
        if len(self.plate.shots) == 1:
            return "image"
        return ("before", "after")[index] if self.plate.before else chr(65 + index)

    def corner(self, index: int) -> tuple[int, int]:
        """Upper-left corner of a picture on the page."""
        row, column = divmod(index, self.beside)
        total = self.cols * self.beside + GAP * (self.beside - 1)
        left = (self.form.width - total) // 2 + column * (self.cols + GAP)
        return left, self.head + self.strip + row * (self.rows + self.strip + self.gap)

    def outer(self, index: int) -> tuple[bool, bool]:
        """Whether the picture's left and right sides face a gutter wide enough for names."""
        if self.form.narrow or (not self.plate.pair and self.beside > 1):
            return False, False
        return index % self.beside == 0, index % self.beside == self.beside - 1


def _draw_head(page: Page, plate: Plate, head: int) -> None:
    if plate.caption.simulated:
        furniture.simulated_band(page, BAND_HEIGHT)
    name = drawable(shorten(clean(plate.site.name), 70), plate.site.id)
    date = plate.title or short_day(plate.after.record.when)
    width, _ = page.measure(date, TITLE)
    page.text((MARGIN, head - 28), fit(name, TITLE, page.width - 2 * MARGIN - width - 60), TITLE)
    page.text((page.width - MARGIN, head - 28), date, replace(TITLE, ha="right"))


class _Panel:
    """One picture with its strip of facts, outlines, labels and furniture."""

    def __init__(self, page: Page, plate: Plate, shot: Shot, *, role: str, corner: tuple[int, int]) -> None:
        self.page, self.plate, self.shot, self.role = page, plate, shot, role
        self.left, self.top = corner
        rows, cols = plate.frame.shape
        self.box: Box = (self.left, self.top, self.left + cols, self.top + rows)
        self.corner = np.array(corner, dtype=float)
        self.sun = furniture.sun_of(shot.record, plate.site)

    def draw(self, strip: int, *, outer: tuple[bool, bool]) -> None:
        shapes = {one.id: _outline(self.plate.frame, one, self.shot.record.gsd_m) for one in self.shot.observations}
        self._picture([shape for shape in shapes.values() if shape is not None])
        self._strip(strip)
        self._tracks(outer)
        self._ghosts(shapes)
        for one in self.shot.observations:
            self._draw_outline(shapes[one.id], kind_pen(one))
        self._furnish([shape for shape in shapes.values() if shape is not None], shapes)
        self.page.rectangle(self.box, Pen("#24292f", 0.8, zorder=9))

    def _picture(self, objects: Sequence[Polygon]) -> None:
        rgb = veiled(self.shot.view)
        if self.shot.record.simulated:
            rgb = marked(rgb, covered(objects, self.plate.frame.shape))
        self.page.image(rgb, (self.left, self.top))

    def _strip(self, height: int) -> None:
        """Role, time, sensor and sun above the picture."""
        left, top, right, _ = self.box
        page, record = self.page, self.shot.record
        tag = say(f"figure.{self.role}") if self.role in ("before", "after", "image") else self.role
        ink = Ink(8.2, "#ffffff", bold=True, va="center", ha="center")
        wide = page.measure(tag, ink)[0] + 28
        line = top - height + 24
        fill = "#57606a" if self.role == "before" else "#0b3d66"
        page.rectangle((left, line - 20, left + wide, line + 20), Pen(width=0, fill=fill))
        page.text((left + wide / 2, line), tag, ink)
        time = Ink(8.2, bold=True, va="center")
        facts = f"{drawable(sensor(record))}   ·   {_sun_words(record, self.sun)}"
        if height > STRIP:
            room = right - left - wide - 16
            page.text((left + wide + 16, line), fit(_clock_for(record, self.plate.site, time, room), time, room), time)
            page.text((left, line + 42), fit(facts, Ink(7.4), right - left), Ink(7.4, va="center"))
            return
        room = right - left - wide - 40
        shown = fit(drawable(_clock_for(record, self.plate.site, time, 0.62 * room)), time, room)
        page.text((left + wide + 16, line), shown, time)
        left_over = room - page.measure(shown, time)[0]
        shorter = drawable(sensor(record))
        facts = next((words for words in (facts, shorter) if page.measure(words, Ink(7.8))[0] <= left_over), "")
        page.text((right, line), facts, Ink(7.8, ha="right", va="center"))

    def _tracks(self, outer: tuple[bool, bool]) -> None:
        """Name tracks at both ends, beside the picture."""
        names = place_short_names(self.plate.site)
        inside = [
            (names[part.id], line)
            for part in ways(self.plate.site)
            if (line := track_in(self.plate.frame, part.line)) is not None
        ]
        if self.shot.record.gsd_m >= 2:
            for _, line in inside:
                path = shapely.get_coordinates(line) + self.corner
                self.page.line(path, Pen("#ffffff", 0.5, alpha=0.55, dash=(0.8, 2.2), zorder=2), clip=self.box)
        for side in (0, 1):
            if outer[side]:
                self._names(inside, side)

    def _names(self, inside: Sequence[tuple[str, LineString]], side: int) -> None:
        rows, cols = self.plate.frame.shape
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
        for one in self.plate.after.observations:
            shape = _outline(self.plate.frame, one, self.shot.record.gsd_m)
            if shape is not None and shape.intersection(taken).area < 0.3 * shape.area:
                self._draw_outline(shape, replace(kind_pen(one), dash=GONE_DASH, width=1.0, alpha=0.9))

    def _draw_outline(self, shape: Polygon | None, pen: Pen) -> None:
        if shape is not None:
            self.page.polygon(shapely.get_coordinates(shape.exterior) + self.corner, pen, clip=self.box)

    def _furnish(self, shapes: Sequence[Polygon], by_id: dict[str, Polygon | None]) -> None:
        """Badge in the emptiest corner, then labels round it."""
        rows, cols = self.plate.frame.shape
        ghosts = (
            [_outline(self.plate.frame, one, self.shot.record.gsd_m) for one in self.plate.after.observations]
            if self.role == "before"
            else []
        )
        lines = [track_in(self.plate.frame, part.line) for part in ways(self.plate.site)]
        around = [shape.buffer(ARROW_ROOM) for shape in (*shapes, *(ghost for ghost in ghosts if ghost is not None))]
        weighted = [(shapely.get_coordinates(shape.exterior), 30.0) for shape in around]
        weighted += [(shapely.get_coordinates(line), 1.0) for line in lines if line is not None]
        clutter = clutter_raster((cols, rows), weighted)
        room = Room((cols, rows), clutter)
        if not self.plate.form.narrow:
            size = (furniture.badge_width(self.plate.frame), furniture.BADGE_HEIGHT)
            corner = _emptiest_corner(clutter, size, (cols, rows))
            told = not self.shot.record.sun_doubted
            furniture.badge(self.page, moved(corner, self.corner), self.plate.frame, self.sun, dial=told)
            room = replace(room, blocked=(corner,))
        room = self._cloud_words(room)
        room = self._dimensions(by_id, room)
        inside = shapely.box(0, 0, cols, rows)
        shown = [(one, _largest(shape & inside)) for one in self.shot.observations if (shape := by_id[one.id])]
        self._labels([(one, shape) for one, shape in shown if shape is not None], room)

    def _cloud_words(self, room: Room) -> Room:
        """Write "could not be seen" where the hidden ground has room for it; return what room is left."""
        for mask, words in (
            (self.shot.view.hidden, say("figure.hidden_here")),
            (self.shot.view.absent, say("figure.absent_here")),
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

    def _dimensions(self, by_id: dict[str, Polygon | None], room: Room) -> Room:
        """Draw the length of each train that came or stood beside it; return what room is left."""
        for one in self.shot.observations:
            shape = by_id[one.id]
            measured = one.kind in ("train", "train-on-bridge") and one.length_m and one.change != "departed"
            if shape is None or not measured:
                continue
            words = say("label.dimension", length=number(one.length_m or 0.0))
            others = [other for name, other in by_id.items() if other is not None and name != one.id]
            line = dimension.beside(shape, words, room, others)
            if line is not None:
                line.draw(self.page, self.corner)
                room = replace(room, clutter=line.weighed(room.clutter), blocked=(*room.blocked, *line.boxes))
        return room

    def _labels(self, items: Sequence[tuple[Observation, Polygon]], room: Room) -> None:
        wide = min(640.0, 0.55 * room.extent[0])
        small = room.extent[0] < SMALL_PANEL
        told = [item for item in items if self.plate.changes_named or item[0].kind != "change"]
        narrow = self.plate.form.narrow
        most = MOST_NARROW.get(self.role, MOST_OF_NARROW) if narrow else MOST_LABELS.get(self.role, MOST_OF_MANY)
        chosen = told[:most]
        cards = [Card(self.page, one, shape, self.plate.site, room=wide, brief=small) for one, shape in chosen]
        placed = place([Label(card.size, spine_of(card.shape)) for card in cards], room)
        for card, spot in zip(cards, placed, strict=True):
            if spot is not None:
                card.draw(spot, self.corner)


def _lines(text: str, ink: Ink, most: int) -> list[str]:
    """Break a track name to the gutter's width, into so many lines at most."""
    lines = wrap(text, ink, GUTTER - 50)
    return [*lines[: most - 1], fit(" ".join(lines[most - 1 :]), ink, GUTTER - 50)] if len(lines) > most else lines


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


def _clock_for(record: SceneRecord, site: Site, ink: Ink, room: float) -> str:
    """Date and time, with the local time where there is room for it."""
    forms = (clock(record.when, site.timezone), clock(record.when, None), short_day(record.when))
    return next((words for words in forms if fit(words, ink, room) == words), forms[-1])


def _sun_words(record: SceneRecord, sun: SunPosition | None) -> str:
    if record.sun_doubted:
        return say("figure.sun_doubted")
    if sun is None or sun.elevation_deg <= 0:
        return say("figure.night")
    return say("figure.sun", azimuth=f"{sun.azimuth_deg:.0f}", elevation=f"{sun.elevation_deg:.0f}")
