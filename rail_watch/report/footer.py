"""What stands under the pictures of a figure: legend, caption, credit, and the map of the site."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from rail_watch.observe.records import Observation
from rail_watch.report import furniture
from rail_watch.report.card import COLOURS, SIGNS, sign
from rail_watch.report.language import say
from rail_watch.report.names import drawable
from rail_watch.report.page import Ink, Page, Pen, fit_size, wrap

if TYPE_CHECKING:
    from rail_watch.report.figure import Plate

MARGIN = 44
LOCATOR = (360, 290)
LONG = 4000
KIND_DASHES: dict[str, tuple[float, ...] | None] = {"cargo": None, "change": (1.2, 1.6)}
GONE_DASH = (4.5, 2.6)
BODY, SMALL, KEY = Ink(8.2), Ink(6.8, "#57606a"), Ink(7.2, va="center")
ONE_SUN_DEG = 15.0
"""Suns nearer to each other than this are drawn as one."""
ROOMY = 300
"""Pixels below the pictures that leave room for a second line of the legend, where the height is given."""
KEY_LINE = 40
"""Pixels from one line of the legend to the next."""


def kind_pen(observation: Observation) -> Pen:
    """Return how an observation is outlined: by kind in colour and dashes, thin where it stood before too."""
    dash = GONE_DASH if observation.change == "departed" else KIND_DASHES.get(observation.kind)
    width = 1.1 if observation.change == "standing" else 1.7
    return Pen(COLOURS[observation.kind], width, dash=dash, casing="#000000", zorder=6)


class Footer:
    """Legend, caption and credit, beside the locator."""

    def __init__(self, plate: Plate, top: int) -> None:
        self.plate = plate
        caption, form = plate.caption, plate.form
        beside = furniture.badge_width(plate.frame) + 20 if form.narrow else LOCATOR[0] + 50
        self.width = form.width - 2 * MARGIN - beside
        self.keys = _key_lines(plate, form.width - 2 * MARGIN if form.narrow else self.width)
        bold = replace(BODY, bold=True)
        self.heading = wrap(drawable(caption.heading, limit=LONG), bold, self.width)
        self.paragraphs = [wrap(drawable(part, limit=LONG), BODY, self.width) for part in caption.paragraphs()]
        self.credit = wrap(drawable(caption.credit, limit=LONG), SMALL, self.width)
        if form.height is not None:
            self._cut(form.height - top)
        self.body = [line for part in self.paragraphs for line in part]
        words = (len(self.heading) + len(self.body)) * BODY.line_px + 10 + len(self.credit) * SMALL.line_px
        keys = KEY_LINE * len(self.keys)
        self.height = int(max(words + 46 + keys, LOCATOR[1] + 50) + MARGIN)

    def _cut(self, room: float) -> None:
        """Keep what fits: credit, legend and heading first. Half a paragraph is not shown."""
        self.credit = self.credit[:2]
        self.keys = self.keys[: 2 if room > ROOMY else 1]
        left = room - len(self.credit) * SMALL.line_px - KEY_LINE * len(self.keys) - 34
        self.heading = self.heading[: max(int(left // BODY.line_px), 1)][:2]
        left -= len(self.heading) * BODY.line_px + 10
        for count, part in enumerate(self.paragraphs):
            left -= len(part) * BODY.line_px
            if left < 0:
                del self.paragraphs[count:]

    def _badge(self, page: Page) -> None:
        """North, sun and scale once for all pictures, where they are too small to hold them."""
        plate, wide = self.plate, furniture.badge_width(self.plate.frame)
        low = page.height - 24
        box = (page.width - MARGIN - wide, low - furniture.BADGE_HEIGHT, page.width - MARGIN, low)
        suns = [furniture.sun_of(shot.record, plate.site) for shot in plate.shots]
        azimuths = [sun.azimuth_deg for sun in suns if sun is not None]
        alike = not azimuths or max(azimuths) - min(azimuths) <= ONE_SUN_DEG
        alike &= not any(shot.record.sun_doubted for shot in plate.shots)
        furniture.badge(page, box, plate.frame, suns[-1], dial=alike)

    def draw(self, page: Page, top: int) -> None:
        """Draw it below `top`."""
        y = top + 18.0
        for line in self.keys:
            x = float(MARGIN)
            for words, wide, pen in line:
                _key(page, (x, y), pen)
                page.text((x + 56, y), words, KEY)
                x += wide
            y += KEY_LINE
        y = page.lines((MARGIN, y + 20), self.heading, replace(BODY, bold=True))
        y = page.lines((MARGIN, y), self.body, BODY) + 10
        form = self.plate.form
        if form.height is not None:
            y = form.height - 20 - (len(self.credit) - 1) * SMALL.line_px
        page.lines((MARGIN, y), self.credit, SMALL)
        if form.narrow:
            self._badge(page)
        else:
            right, low = page.width - MARGIN, top + 12
            box = (right - LOCATOR[0], low, right, low + LOCATOR[1])
            furniture.locator(page, box, self.plate.site, self.plate.frame)


_Key = tuple[str, float, Pen | str]


def _key_lines(plate: Plate, width: float) -> list[list[_Key]]:
    """Return the legend's entries with their widths, line by line."""
    lines: list[list[_Key]] = [[]]
    used = 0.0
    for words, pen in _entries(plate):
        page_wide = 56 + fit_size(words, KEY)[0] + 40
        if lines[-1] and used + page_wide - 40 > width:
            lines.append([])
            used = 0.0
        lines[-1].append((words, page_wide, pen))
        used += page_wide
    return lines


def _key(page: Page, at: tuple[float, float], pen: Pen | str) -> None:
    x, y = at
    if isinstance(pen, str):
        sign(page, (x + 8, y - 14, x + 36, y + 14), pen, "#d7dbdf")
        return
    left, top, right, bottom = x, y - 12, x + 44, y + 12
    page.polygon(np.array([[left, top], [right, top], [right, bottom], [left, bottom]]), pen)


def _entries(plate: Plate) -> list[tuple[str, Pen | str]]:
    seen = [one for shot in plate.shots for one in shot.observations]
    kinds = {"train" if one.kind == "train-on-bridge" else one.kind for one in seen}
    shown = [kind for kind in ("train", "cargo", "change") if kind in kinds]
    entries: list[tuple[str, Pen | str]] = [
        (say(f"figure.{kind}"), Pen(COLOURS[kind], 1.8, fill="#6e7781", dash=KIND_DASHES.get(kind))) for kind in shown
    ]
    changes = {one.change for one in seen}
    entries += [(say(f"figure.{words}"), change) for change, words in SIGNS.items() if change in changes]
    if plate.before and shown and any(one.change != "standing" for one in plate.after.observations):
        pen = Pen(COLOURS[shown[0]], 1.2, dash=(3, 2), casing="#000000")
        entries.append((say("figure.other_look"), pen))
    if any(shot.view.hidden.any() for shot in plate.shots):
        entries.append((say("figure.hidden"), Pen("#57606a", 0.5, fill="#f6f8fa", hatch="\\\\\\\\")))
    if any(shot.view.absent.any() for shot in plate.shots):
        entries.append((say("figure.absent"), Pen("#57606a", 0.5, fill="#cdcdcd", hatch="////")))
    return entries
