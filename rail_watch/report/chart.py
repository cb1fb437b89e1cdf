"""Small charts whose columns are those of the grid above them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from rail_watch.report import furniture
from rail_watch.report.page import Ink, Page, Pen

HEIGHT = 300
UNSEEN = Pen("#6b7480", 0.0, fill="#d7dbdf", hatch="////", zorder=3)
"""How "could not be seen" looks, everywhere on a sheet."""
AXIS = Ink(6.6, "#57606a", va="center")


@dataclass(frozen=True)
class Columns:
    """Where the looks stand on the page."""

    left: int
    width: int
    """Of one column, pixels."""
    count: int

    def x(self, column: int) -> int:
        """Left edge of a column."""
        return self.left + column * self.width

    def middle(self, column: int) -> float:
        """Middle of a column."""
        return self.x(column) + self.width / 2

    @property
    def right(self) -> int:
        """Right edge of the last column."""
        return self.x(self.count)


class Chart:
    """A strip chart under a grid, its columns those of the grid."""

    def __init__(self, columns: Columns, top: float, peak: float) -> None:
        self.columns = columns
        self.step = furniture.round_length(peak / 2)
        self.peak = math.ceil(peak / self.step - 1e-9) * self.step
        self.top, self.bottom = top, top + HEIGHT

    def y(self, value: float) -> float:
        """Height on the page of a value, kept within the chart."""
        return self.bottom - min(max(value, 0.0) / self.peak, 1.0) * (self.bottom - self.top)

    def draw(self, page: Page, title: str, form: str) -> None:
        """Draw grid lines with their values, and the title."""
        left, right = self.columns.left, self.columns.right
        for value in np.arange(0, self.peak + self.step / 2, self.step):
            y = self.y(float(value))
            page.line(np.array([[left, y], [right, y]]), Pen("#d7dbdf" if value else "#57606a", 0.7, zorder=2))
            page.text((left - 14, y), form.format(value), replace(AXIS, ha="right"))
        page.text(
            (self.columns.left - 130, (self.top + self.bottom) / 2),
            title,
            Ink(7.6, bold=True, ha="center", va="center", rotation=90),
        )

    def unseen(self, page: Page, column: int) -> None:
        """Hatch a column in which nothing could be seen."""
        box = (self.columns.x(column), self.top, self.columns.x(column + 1), self.bottom)
        page.rectangle(box, replace(UNSEEN, alpha=0.8))

    def bar(self, page: Page, column: int, span: tuple[float, float], color: str, *, shift: float = 0.0) -> None:
        """Draw an interval."""
        x = self.columns.middle(column) + shift
        low, high = (self.y(value) for value in span)
        if abs(high - low) < 1:
            return
        page.line(np.array([[x, low], [x, high]]), Pen(color, 1.3))
        for y in (low, high):
            page.line(np.array([[x - 5, y], [x + 5, y]]), Pen(color, 1.3))

    def marker(
        self, page: Page, column: int, value: float, style: tuple[str, str], *, hollow: bool, shift: float = 0.0
    ) -> None:
        """Mark a value; hollow where only a part could be seen."""
        mark(page, (self.columns.middle(column) + shift, self.y(value)), style, hollow=hollow)


def mark(page: Page, at: tuple[float, float], style: tuple[str, str], *, hollow: bool) -> None:
    """Draw a sign: `style` is its shape and colour."""
    shape, color = style
    pen = Pen(color, 1.4, fill="#ffffff" if hollow else color, zorder=7)
    if shape == "circle":
        page.circle(at, 8, pen)
        return
    corners = {
        "square": [(-7, -7), (7, -7), (7, 7), (-7, 7)],
        "diamond": [(0, -10), (9, 0), (0, 10), (-9, 0)],
        "triangle": [(0, -10), (9, 7), (-9, 7)],
    }[shape]
    page.polygon(np.array(corners, dtype=float) + at, pen)
