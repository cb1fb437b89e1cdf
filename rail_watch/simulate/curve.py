"""A track's centre line in frame metres: places along and beside it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from rail_watch.simulate.frame import Points


@dataclass(frozen=True)
class Curve:
    """A line of straight pieces."""

    points: Points
    """(n, 2) frame x, y."""

    @property
    def lengths(self) -> NDArray[np.float64]:
        """(n,) distance from the first vertex to each."""
        steps = np.hypot(*np.diff(self.points, axis=0).T)
        return np.concatenate([[0.0], np.cumsum(steps)])

    @property
    def length_m(self) -> float:
        """From the first vertex to the last."""
        return float(self.lengths[-1])

    @property
    def line(self) -> shapely.LineString:
        """The same as a geometry."""
        return shapely.LineString(self.points)

    def _piece(self, along_m: float) -> int:
        return int(np.clip(np.searchsorted(self.lengths, along_m, side="right") - 1, 0, len(self.points) - 2))

    def heading(self, along_m: float) -> float:
        """Return the direction there, radians anticlockwise from the frame's x axis."""
        piece = self._piece(along_m)
        step = self.points[piece + 1] - self.points[piece]
        return math.atan2(step[1], step[0])

    def at(self, along_m: float, left_m: float = 0.0) -> Points:
        """Return the point so far along and to the left; beyond the ends the line goes straight on."""
        piece, heading = self._piece(along_m), self.heading(along_m)
        ahead = along_m - self.lengths[piece]
        c, s = math.cos(heading), math.sin(heading)
        step = np.array([c * ahead - s * left_m, s * ahead + c * left_m])
        return np.asarray(self.points[piece] + step, dtype=np.float64)

    def path(self, along_left: list[tuple[float, float]]) -> Curve:
        """Return the line through points given as (along, left) of this one."""
        return Curve(np.array([self.at(along, left) for along, left in along_left]))

    def along(self, xy: Points) -> float:
        """Return how far along the line the point nearest to (x, y) lies."""
        return float(shapely.line_locate_point(self.line, shapely.Point(*xy)))
