"""A dimension line: how long a train is, drawn beside it as on a plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import LineString, Polygon

from rail_watch.report.labels import CELL, Room
from rail_watch.report.page import Box, Ink, Page, Pen, fit_size

Floats = NDArray[np.float64]

OFF = 17.0
"""Pixels between the outline and the line."""
WEIGHT = 200.0
"""Of its words in the clutter."""
TICK = 9.0
SHORTEST = 130.0
"""Pixels; a shorter train has no room for a line with its words."""
INK = Ink(6.2, "#ffffff", bold=True, ha="center", va="center", zorder=9.8)


@dataclass(frozen=True)
class Dimension:
    """Where the line runs, in the picture's pixels."""

    start: Floats
    end: Floats
    aside: Floats
    """Unit vector away from the train."""
    words: str
    plate: Box
    """The words' ground."""

    @property
    def boxes(self) -> tuple[Box, ...]:
        """What labels must not touch: pieces of the line, and the words."""
        pieces = np.linspace(self.start, self.end, 9)
        spans = [(pieces[i : i + 2].min(axis=0) - 3, pieces[i : i + 2].max(axis=0) + 3) for i in range(8)]
        return (self.plate, *((float(a[0]), float(a[1]), float(b[0]), float(b[1])) for a, b in spans))

    def weighed(self, clutter: Floats) -> Floats:
        """Return the clutter with the words in it, lest a leader run across them."""
        left, top, right, bottom = (int(side // CELL) for side in self.plate)
        result = clutter.copy()
        result[max(top, 0) : bottom + 1, max(left, 0) : right + 1] = WEIGHT
        return result

    def draw(self, page: Page, corner: Floats) -> None:
        """Draw it; `corner` is the picture's upper-left corner on the page."""
        pen = Pen("#ffffff", 0.9, casing="#000000", zorder=8.6)
        page.line(np.array([self.start, self.end]) + corner, pen)
        for at in (self.start, self.end):
            page.line(np.array([at - TICK * self.aside, at + TICK * self.aside]) + corner, pen)
        left, top, right, bottom = self.plate
        box = (left + corner[0], top + corner[1], right + corner[0], bottom + corner[1])
        page.rounded(box, Pen(width=0, fill="#101418", alpha=0.9, zorder=9.6), 5)
        page.text(((box[0] + box[2]) / 2, (box[1] + box[3]) / 2 + 1), self.words, INK)


def beside(shape: Polygon, words: str, room: Room, others: Sequence[Polygon] = ()) -> Dimension | None:
    """Return the line on the side that hides less; None where there is no room or the train is too short."""
    corners = shapely.get_coordinates(shape.minimum_rotated_rectangle)[:4]
    if len(corners) < 4:
        return None
    if np.hypot(*(corners[1] - corners[0])) < np.hypot(*(corners[2] - corners[1])):
        corners = np.roll(corners, -1, axis=0)
    start, end = (corners[0] + corners[3]) / 2, (corners[1] + corners[2]) / 2
    along, across = end - start, corners[3] - corners[0]
    if np.hypot(*along) < max(SHORTEST, 3 * np.hypot(*across)):
        return None
    wide, high = fit_size(words, INK)
    half = np.array([wide / 2 + 8, high / 2 + 3])
    found = []
    for way in (1, -1):
        aside = way * across / np.hypot(*across)
        shift = aside * (np.hypot(*across) / 2 + OFF)
        middle = (start + end) / 2 + shift
        plate = (*(middle - half), *(middle + half))
        line = Dimension(start + shift, end + shift, aside, words, tuple(float(side) for side in plate))  # type: ignore[arg-type]
        struck = any(other.distance(LineString([line.start, line.end])) < TICK for other in others)
        if _fits(line, room) and not struck:
            found.append((_hides(line, room), -way, line))
    return min(found, key=lambda one: one[:2])[2] if found else None


def _fits(line: Dimension, room: Room) -> bool:
    ends = np.array([line.start, line.end, line.plate[:2], line.plate[2:]])
    inside = bool((ends >= 4).all() and (ends <= np.array(room.extent) - 4).all())
    return inside and not any(_touch(box, other) for box in line.boxes for other in room.blocked)


def _touch(one: Box, two: Box) -> bool:
    return one[0] < two[2] and two[0] < one[2] and one[1] < two[3] and two[1] < one[3]


def _hides(line: Dimension, room: Room) -> float:
    points = np.linspace(line.start, line.end, 60) + 14 * line.aside
    rows, cols = room.clutter.shape
    col, row = (points // CELL).astype(int).T
    return float(room.clutter[np.clip(row, 0, rows - 1), np.clip(col, 0, cols - 1)].sum())
