"""A label: two lines on a dark plate, with an arrow to what it names."""

from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import LineString, Polygon
from shapely.ops import nearest_points

from rail_watch.aoi.site import Site
from rail_watch.observe.records import Observation
from rail_watch.report.caption import brief_label, label
from rail_watch.report.labels import Placed
from rail_watch.report.names import drawable
from rail_watch.report.page import Box, Ink, Page, Pen, fit

Floats = NDArray[np.float64]

COLOURS = {"train": "#ffd400", "train-on-bridge": "#ffd400", "cargo": "#4cc9f0", "change": "#ff8fd8"}
"""Yellow, sky blue, pink: apart for every common kind of colour blindness, and apart in grey by their dashes."""


SIGNS = {"arrived": "came", "departed": "gone", "standing": "stood"}
"""Changes told by a sign, and the words that explain it."""
_ARMS = {"arrived": ((1, 0), (0, 1)), "departed": ((1, 0),), "standing": ()}


def sign(page: Page, box: Box, change: str, colour: str) -> None:
    """Draw how something changed, for those who see no colours too: a plus, a minus, or an equals sign."""
    left, top, right, bottom = box
    page.rectangle(box, Pen(width=0, fill=colour, zorder=12.5))
    x, y, arm = (left + right) / 2, (top + bottom) / 2, 7.5
    lines = [(dx * arm, dy * arm, 0.0) for dx, dy in _ARMS[change]] or [(arm, 0.0, -4.0), (arm, 0.0, 4.0)]
    for dx, dy, down in lines:
        path = np.array([[x - dx, y - dy + down], [x + dx, y + dy + down]])
        page.line(path, Pen("#101418", 1.7, zorder=13))


def moved(box: Box, by: Floats) -> Box:
    """Return the box shifted by (x, y)."""
    left, top, right, bottom = box
    return (left + by[0], top + by[1], right + by[0], bottom + by[1])


class Card:
    """A label: two lines on a dark plate with an arrow to its object."""

    first, second = Ink(7.6, "#ffffff", bold=True, zorder=13), Ink(6.6, "#e6edf3", zorder=13)

    def __init__(
        self, page: Page, observation: Observation, shape: Polygon, site: Site, *, room: float, brief: bool = False
    ) -> None:
        self.page, self.shape = page, shape
        self.colour = COLOURS[observation.kind]
        self.change = observation.change
        self.edge = 28 if observation.change in SIGNS else 8
        what, where = label(observation, site)
        if brief:
            what, where = brief_label(observation), ""
        elif page.measure(drawable(what), self.first)[0] > room:
            # Cut, it would lose its number, which stands last.
            what = brief_label(observation)
        self.what, self.where = fit(drawable(what), self.first, room), fit(drawable(where), self.second, room)
        wide = max(page.measure(self.what, self.first)[0], page.measure(self.where, self.second)[0])
        self.size = (wide + self.edge + 26, 62.0 if self.where else 36.0)

    def draw(self, spot: Placed, corner: Floats) -> None:
        """Draw it where it was placed; `corner` is the picture's upper-left corner on the page."""
        left, top, right, bottom = moved(spot.box, corner)
        start, tip = np.array(spot.start) + corner, _tip(self.shape, spot) + corner
        self._arrow(start, tip)
        self.page.rectangle((left, top, right, bottom), Pen(width=0, fill="#101418", alpha=0.84, zorder=12))
        edge = (left, top, left + self.edge, bottom)
        if self.change in SIGNS:
            sign(self.page, edge, self.change, self.colour)
        else:
            self.page.rectangle(edge, Pen(width=0, fill=self.colour, zorder=12.5))
        self.page.text((left + self.edge + 12, top + 26), self.what, self.first)
        self.page.text((left + self.edge + 12, top + 51), self.where, self.second)

    def _arrow(self, start: Floats, tip: Floats) -> None:
        span = tip - start
        length = float(np.hypot(*span))
        if length < 4:
            return
        ahead = span / length
        aside = np.array([-ahead[1], ahead[0]])
        self.page.line(np.array([start, tip - 8 * ahead]), Pen("#ffffff", 1.1, casing="#000000", zorder=11))
        head = np.array([tip, tip - 15 * ahead + 6.5 * aside, tip - 15 * ahead - 6.5 * aside])
        self.page.polygon(head, Pen("#000000", 0.5, fill="#ffffff", zorder=11.5))


def spine_of(shape: Polygon) -> Floats:
    """(n, 2) points a label may point at: along the middle of a long shape, just inside the edge of a compact one."""
    corners = shapely.get_coordinates(shape.minimum_rotated_rectangle)[:4]
    if np.hypot(*(corners[1] - corners[0])) < np.hypot(*(corners[2] - corners[1])):
        corners = np.roll(corners, -1, axis=0)
    start, end = (corners[0] + corners[3]) / 2, (corners[1] + corners[2]) / 2
    long, short = np.hypot(*(end - start)), np.hypot(*(corners[3] - corners[0]))
    if long > 2 * short:
        spine: Floats = start + (end - start) * np.linspace(0.2, 0.8, 7)[:, None]
        return spine
    middle = shapely.get_coordinates(shape.centroid)[0]
    rim: Floats = shapely.get_coordinates([shape.exterior.interpolate(k / 16, normalized=True) for k in range(16)])
    inside: Floats = middle + 0.85 * (rim - middle)
    return inside


def _tip(shape: Polygon, spot: Placed) -> Floats:
    """Where the arrow ends: a little inside the outline, so that among neighbours it is plain which is meant."""
    edge = _touch(shape, spot)
    inward = np.array(spot.tip) - edge
    depth = float(np.hypot(*inward))
    return edge if depth < 1 else edge + inward * min(8.0, 0.6 * depth) / depth


def _touch(shape: Polygon, spot: Placed) -> Floats:
    """Where the leader meets the outline."""
    crossing = LineString([spot.start, spot.tip]).intersection(shape.exterior)
    start = shapely.Point(spot.start)
    if crossing.is_empty:
        return (
            np.array(spot.tip)
            if shape.contains(start)
            else shapely.get_coordinates(nearest_points(shape.exterior, start)[0])[0]
        )
    touched = shapely.get_coordinates(crossing)
    nearest: Floats = touched[np.hypot(*(touched - spot.start).T).argmin()]
    return nearest
