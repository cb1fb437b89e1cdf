"""The overview: each track at each look (occupied, empty, could not be seen), train length and apron fill over time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from rail_watch.aoi.site import Site
from rail_watch.observe.records import ApronLook, Detections, Observation, SceneRecord
from rail_watch.report import furniture
from rail_watch.report.caption import Caption, credit, day, month_day, place_short_names, sensor, short_day
from rail_watch.report.chart import AXIS, HEIGHT, UNSEEN, Chart, Columns, mark
from rail_watch.report.form import PLAIN, Form
from rail_watch.report.language import say, term
from rail_watch.report.looks import shortest_shown
from rail_watch.report.names import clean, drawable, shorten
from rail_watch.report.page import Ink, Page, Pen, fit, fit_size, wrap
from rail_watch.report.stretch import ways

Bytes = NDArray[np.uint8]

WIDEST_PAGE, NARROWEST_PAGE = 2200, 1400
MARGIN = 44
NAMES = 380
"""Room for the row labels."""
DATES, DATES_OVER = 132, 8
"""Room for the dates above the columns, where they are no longer; and how far they may reach above it."""
DATE = Ink(6.8, rotation=90, ha="center", va="bottom", bold=True)
MOST_COLUMNS, MOST_NARROW = 52, 20
"""Looks on one page, and in a picture of a given height."""
ROW = 44
WIDEST, NARROWEST = 280, 34
"""Width of a look's column."""
BAND_HEIGHT = 62
OCCUPIED, EMPTY = "#003f7d", "#ffffff"
EDGE = "#9aa4ae"
COLOURS = ("#b35900", "#007a5e", "#8a3b8f", "#5b6b00")
MARKERS = ("square", "diamond", "triangle", "circle")
MOST_APRONS = 4
MOST_HIDDEN = 12
LONG = 4000


@dataclass(frozen=True)
class _Total:
    """All trains of one look added up."""

    length_m: float
    low_m: float
    high_m: float
    seen: str
    """all, some or none of the tracks could be judged."""


def pages(detections: Detections, site: Site) -> Iterator[tuple[str, Bytes, Caption]]:
    """Yield file name without ending, pixels and caption of each page; none where there was no look."""
    looks = sorted(detections.scenes, key=lambda record: (record.when, record.id))
    count = max(math.ceil(len(looks) / MOST_COLUMNS), 1)
    size = math.ceil(len(looks) / count)
    for number in range(count):
        part = looks[number * size : (number + 1) * size]
        if part:
            name = f"overview-{number + 1}" if count > 1 else "overview"
            sheet = _Sheet(detections, site, part, which=(number, count))
            yield name, sheet.draw(), sheet.caption


def part(detections: Detections, site: Site, name: str, form: Form) -> tuple[Bytes, Caption]:
    """Draw the grid of tracks by looks, or the series over time, alone: `name` is "grid" or "series".

    More looks than a page holds are left out, the earliest first; the caption says from when to when it is.
    """
    looks = sorted(detections.scenes, key=lambda record: (record.when, record.id))
    looks = looks[-(MOST_NARROW if form.narrow else MOST_COLUMNS) :]
    sheet = _Sheet(detections, site, looks, which=(-1, 1), parts=(name,), form=form)
    return sheet.draw(), sheet.caption


class _Sheet:
    def __init__(
        self,
        detections: Detections,
        site: Site,
        looks: Sequence[SceneRecord],
        *,
        which: tuple[int, int],
        parts: Sequence[str] = ("grid", "series"),
        form: Form = PLAIN,
    ) -> None:
        self.detections, self.site, self.looks = detections, site, looks
        self.parts, self.form = parts, form
        self.simulated = any(record.simulated for record in looks)
        self.caption = _caption(detections, site, looks, (which, parts))
        self.tracked = bool(ways(site))
        self.rows = [(part.id, drawable(part.name, part.id)) for part in ways(site)] or [("", say("sheet.site"))]
        self.times = [f"{month_day(one.when)} {one.when.astimezone(UTC):%H:%M}" for one in looks]
        self.sensors = list(dict.fromkeys(sensor(record) for record in looks))
        wide = int(np.clip((WIDEST_PAGE - NAMES - 2 * MARGIN) / len(looks), NARROWEST, WIDEST))
        self.columns = Columns(MARGIN + NAMES, wide, len(looks))
        self.width = max(self.columns.right + MARGIN, NARROWEST_PAGE)
        self.aprons = _fullest(site, looks)

    def draw(self) -> Bytes:
        head = (BAND_HEIGHT if self.simulated else 0) + 96
        text = _lines(self.caption, self.width - 2 * MARGIN, short=self.form.narrow)
        gridded, charted = "grid" in self.parts, "series" in self.parts
        top = head + (84 if self.width > 1800 else 130)
        dates = top + max(DATES, int(max(fit_size(words, DATE)[0] for words in self.times)) - DATES_OVER)
        under = dates + (len(self.rows) * ROW + 18 if gridded else 0)
        series = under + (len(self.sensors) * 34 + 72 if gridded else 12)
        charts = (2 if self.aprons else 1) * (HEIGHT + 60) if charted else -20
        foot = series + charts
        page = self._page(int(foot + 40 + len(text) * Ink(8).line_px + MARGIN))
        self._head(page, head)
        self._legend(page, head + 26)
        self._dates(page, dates - 8)
        if gridded:
            self._grid(page, dates)
            self._sensors(page, under)
            self._limits(page, under + len(self.sensors) * 34 + 12)
        if charted:
            (self._lengths if self.tracked else self._changes)(page, series + 40)
            if self.aprons:
                self._fills(page, series + 100 + HEIGHT)
        _write_text(page, foot + 44, text)
        return page.pixels()

    def _page(self, height: int) -> Page:
        """A page as large as the form asks; what a given height leaves free stays white."""
        if self.form.height is None:
            # Many looks make a wide sheet: as part of a report it stays so, ordered in a size it is made smaller.
            scale = self.form.scale if self.form == PLAIN else self.form.scale * self.form.width / self.width
            return Page(self.width, height, scale)
        made = self.form.width * self.form.scale, self.form.height * self.form.scale
        scale = min(made[0] / self.width, made[1] / height)
        self.width = int(made[0] / scale)
        return Page(self.width, int(made[1] / scale), scale)

    def _head(self, page: Page, head: int) -> None:
        if self.simulated:
            furniture.simulated_band(page, BAND_HEIGHT)
        ink = Ink(13, bold=True)
        span = _span(self.looks)
        width, _ = page.measure(span, ink)
        name = drawable(shorten(clean(self.site.name), 70), self.site.id)
        room = self.width - 3 * MARGIN - width
        title = say("sheet.title" if "grid" in self.parts else "sheet.title_series", site=name)
        page.text((MARGIN, head - 28), fit(title if page.measure(title, ink)[0] <= room else name, ink, room), ink)
        page.text((self.width - MARGIN, head - 28), span, replace(ink, ha="right"))

    def _legend(self, page: Page, y: float) -> None:
        x = float(MARGIN)
        entries = (
            ("occupied", 0, say("sheet.occupied" if self.tracked else "sheet.changed")),
            ("empty", 0, say("sheet.empty" if self.tracked else "sheet.unchanged")),
            ("unknown", 0, say("sheet.unknown")),
            ("empty", 8, say("sheet.partly")),
        )
        for state, hidden, words in entries if "grid" in self.parts else entries[2:3]:
            wide = 66 + page.measure(words, Ink(7.6))[0]
            if x + wide > self.width - MARGIN:
                x, y = float(MARGIN), y + 46
            page.image(tile(state, hidden, 54, 36), (int(x), int(y) - 18))
            page.text((x + 66, y), words, Ink(7.6, va="center"))
            x += wide + 44

    def _dates(self, page: Page, bottom: float) -> None:
        previous = ""
        for column, record in enumerate(self.looks):
            x = self.columns.middle(column)
            ink = replace(DATE, bold=short_day(record.when) != previous)
            page.text((x + 6, bottom), self.times[column], ink)
            previous = short_day(record.when)
        page.text((MARGIN + NAMES - 14, bottom - 4), say("sheet.look"), replace(AXIS, ha="right", va="baseline"))

    def _name(self, page: Page, name: str, y: int) -> None:
        ink = Ink(7.4, ha="right", va="center")
        lines = [name]
        if page.measure(name, ink)[0] > NAMES - 20:
            ink = replace(ink, size=6.4)
            lines = wrap(name, ink, NAMES - 20)
            lines = [lines[0], fit(" ".join(lines[1:]), ink, NAMES - 20)] if len(lines) > 2 else lines
        for index, line in enumerate(lines):
            drop = (index - (len(lines) - 1) / 2) * 20
            page.text((MARGIN + NAMES - 14, y + ROW / 2 + drop), line, ink)

    def _grid(self, page: Page, top: int) -> None:
        for row, (part, name) in enumerate(self.rows):
            y = top + row * ROW
            self._name(page, name, y)
            tiles = [self._look(record, part) if self.tracked else self._change(record) for record in self.looks]
            page.image(np.concatenate(tiles, axis=1), (self.columns.left, y))

    def _look(self, record: SceneRecord, track: str) -> Bytes:
        look = next((one for one in record.tracks if one.track == track), None)
        if look is None or look.state == "unknown" or record.status == "skipped":
            return tile("unknown", 0, self.columns.width, ROW)
        return tile(look.state, hidden_steps(look.visible_fraction), self.columns.width, ROW)

    def _change(self, record: SceneRecord) -> Bytes:
        if record.status == "skipped":
            return tile("unknown", 0, self.columns.width, ROW)
        state = "occupied" if self._changed(record) else "empty"
        return tile(state, hidden_steps(record.clear_fraction), self.columns.width, ROW)

    def _changed(self, record: SceneRecord) -> list[Observation]:
        return [one for one in self.detections.observations if one.scene == record.id and one.kind == "change"]

    def _sensors(self, page: Page, top: float) -> None:
        """One row for each sensor with a dot at its looks."""
        ink = Ink(6.8, "#57606a", ha="right", va="center")
        for row, name in enumerate(self.sensors):
            y = top + row * 34 + 17
            page.text((MARGIN + NAMES - 14, y), fit(drawable(name), ink, NAMES - 20), ink)
            page.line(np.array([[self.columns.left, y], [self.columns.right, y]]), Pen("#d7dbdf", 0.6, zorder=2))
            for column, record in enumerate(self.looks):
                if sensor(record) == name:
                    full = record.status != "skipped"
                    page.circle(
                        (self.columns.middle(column), y), 8, Pen("#24292f", 1, fill="#24292f" if full else "#ffffff")
                    )

    def _limits(self, page: Page, top: float) -> None:
        """Write the shortest train that each look would have shown on every track it saw."""
        if not self.tracked:
            return
        ink = Ink(6.8, "#57606a", ha="right", va="center")
        page.text((MARGIN + NAMES - 14, top + 20), fit(say("sheet.shortest"), ink, NAMES - 20), ink)
        for column, record in enumerate(self.looks):
            words = shortest_shown(record)
            small = Ink(
                6.6 if self.columns.width >= 44 else 5.6,
                ha="center",
                va="center",
                rotation=90 if self.columns.width < 44 and words != "–" else 0,
            )
            page.text((self.columns.middle(column), top + 20), words, small)

    def _lengths(self, page: Page, top: float) -> None:
        totals = [_total(record, self.detections.observations) for record in self.looks]
        peak = max([total.high_m for total in totals] + [100.0])
        axis = Chart(self.columns, top, peak)
        axis.draw(page, say("sheet.lengths"), "{:.0f}")
        for column, total in enumerate(totals):
            if total.seen == "none":
                axis.unseen(page, column)
                continue
            axis.bar(page, column, (total.low_m, total.high_m), OCCUPIED)
            axis.marker(page, column, total.length_m, ("circle", OCCUPIED), hollow=total.seen == "some")

    def _changes(self, page: Page, top: float) -> None:
        areas = [sum(one.area_m2 or 0.0 for one in self._changed(record)) for record in self.looks]
        axis = Chart(self.columns, top, max([*areas, 100.0]))
        axis.draw(page, say("sheet.areas"), "{:,.0f}")
        for column, (record, area) in enumerate(zip(self.looks, areas, strict=True)):
            if record.status == "skipped":
                axis.unseen(page, column)
            else:
                axis.marker(page, column, area, ("circle", OCCUPIED), hollow=record.clear_fraction < 0.98)

    def _fills(self, page: Page, top: float) -> None:
        axis = Chart(self.columns, top, 100)
        axis.draw(page, say("sheet.fills"), "{:.0f}")
        count = len(self.aprons)
        for index, (apron, name) in enumerate(self.aprons):
            style = (MARKERS[index], COLOURS[index])
            shift = (index - (count - 1) / 2) * min(self.columns.width / (count + 1), 16)
            for column, record in enumerate(self.looks):
                look = next((one for one in record.aprons if one.apron == apron), None)
                self._fill(page, axis, (column, shift), look, style)
            room = (self.columns.right - self.columns.left) / count
            x = self.columns.left + 10 + index * room
            mark(page, (x + 8, top - 20), style, hollow=False)
            page.text((x + 24, top - 20), fit(name, AXIS, room - 44), AXIS)
        for column, record in enumerate(self.looks):
            if all(one.fill_fraction is None for one in record.aprons):
                axis.unseen(page, column)

    def _fill(
        self, page: Page, axis: Chart, at: tuple[int, float], look: ApronLook | None, style: tuple[str, str]
    ) -> None:
        if look is None or look.fill_fraction is None:
            return
        column, shift = at
        if look.fill_fraction_95:
            axis.bar(
                page, column, (100 * look.fill_fraction_95[0], 100 * look.fill_fraction_95[1]), style[1], shift=shift
            )
        axis.marker(page, column, 100 * look.fill_fraction, style, hollow=look.visibility == "partial", shift=shift)


def hidden_steps(visible: float) -> int:
    """Hidden share in twentieths: a little shows, and much leaves room for the sign of what was seen."""
    return 0 if visible >= 0.98 else min(max(round(20 * (1 - visible)), 3), MOST_HIDDEN)


@lru_cache(maxsize=512)
def tile(state: str, hidden: int, width: int, height: int) -> Bytes:
    """Draw a look: dark with a white wagon; white with a ring; grey and hatched. `hidden` twentieths hatched below."""
    page = Page(width, height)
    box = (0.0, 0.0, float(width), float(height))
    if state == "unknown":
        page.rectangle(box, UNSEEN)
    else:
        page.rectangle(box, Pen(width=0, fill=OCCUPIED if state == "occupied" else EMPTY, zorder=3))
        if hidden:
            page.rectangle((0, height * (1 - hidden / 20), width, height), UNSEEN)
    x, y = width / 2, height * (1 - hidden / 20) / 2
    if state == "occupied":
        half = min(0.32 * width, 24)
        page.rounded((x - half, y - 7, x + half, y + 7), Pen(width=0, fill="#ffffff", zorder=4), 4)
    elif state == "empty":
        page.circle((x, y), 6, Pen("#57606a", 1.0, fill="#ffffff", zorder=4))
    page.rectangle(box, Pen(EDGE, 0.7, zorder=5))
    return page.pixels()


def _fullest(site: Site, looks: Sequence[SceneRecord]) -> list[tuple[str, str]]:
    """Return the aprons that were fullest, in the site's order: more than a few cannot be told apart in one chart."""
    peak = {area.id: 0.0 for area in site.aprons}
    for look in (one for record in looks for one in record.aprons):
        if look.apron in peak and look.fill_fraction is not None:
            peak[look.apron] = max(peak[look.apron], look.fill_fraction)
    chosen = sorted(peak, key=lambda apron: -peak[apron])[:MOST_APRONS]
    return [(area.id, drawable(area.name, area.id)) for area in site.aprons if area.id in chosen]


def _total(record: SceneRecord, observations: Sequence[Observation]) -> _Total:
    """Add up a look's trains; intervals are independent, so their half widths add in squares."""
    trains = [
        one
        for one in observations
        if one.scene == record.id
        and one.kind in ("train", "train-on-bridge")
        and one.change != "departed"
        and one.length_m
    ]
    length = sum(one.length_m or 0.0 for one in trains)
    below = math.hypot(*((one.length_m or 0.0) - one.length_m_95[0] for one in trains if one.length_m_95))
    above = math.hypot(*(one.length_m_95[1] - (one.length_m or 0.0) for one in trains if one.length_m_95))
    judged = [look.state != "unknown" and record.status != "skipped" for look in record.tracks]
    full = all(judged) and all(look.visibility == "clear" for look in record.tracks)
    seen = "none" if not any(judged) and not trains else "all" if full else "some"
    return _Total(length, max(length - below, 0.0), length + above, seen)


def _span(looks: Sequence[SceneRecord]) -> str:
    first, last = short_day(looks[0].when), short_day(looks[-1].when)
    return first if first == last else say("date.span", first=first, last=last)


def _caption(
    detections: Detections, site: Site, looks: Sequence[SceneRecord], kind: tuple[tuple[int, int], Sequence[str]]
) -> Caption:
    (number, count), parts = kind
    gridded = "grid" in parts
    figure = f"1{chr(97 + number) if count > 1 else ''}"
    name = clean(site.name, 80)
    first, last = day(looks[0].when), day(looks[-1].when)
    span = first if len(looks) == 1 else say("date.span", first=first, last=last)
    blind = sum(record.status == "skipped" for record in looks)
    unknown = [say("cannot.between")]
    if blind:
        unknown.append(say("sheet.blind", n=blind, of=len(looks), reasons=_reasons(looks)))
    if ways(site):
        notes = {"grid": "sheet.reading", "series": "sheet.bars"}
        unknown += [say(note) for part, note in notes.items() if part in parts]
    sensors = "; ".join(dict.fromkeys(sensor(record) for record in looks))
    said = f"{say('sheet.said', n=len(looks), sensors=sensors)} {_tally(detections, site, looks)}"
    return Caption(
        heading=say("sheet.plain" if number < 0 else "sheet.figure", number=figure, site=name, span=span),
        seen=(said, *(clean(line, 500) for line in detections.summary)),
        brief=(said,),
        compared="",
        unknown=(*unknown, *(clean(line, 400) for line in detections.warnings)),
        credit=credit(looks),
        simulated=any(record.simulated for record in looks),
        alt=say("sheet.alt" if gridded else "sheet.alt_series", site=name, n=len(looks), span=span),
    )


def _tally(detections: Detections, site: Site, looks: Sequence[SceneRecord]) -> str:
    """In how many looks trains (on a site without tracks: changes) were seen, and where."""
    within = {record.id for record in looks}
    kinds = ("train", "train-on-bridge") if ways(site) else ("change",)
    events = [one for one in detections.observations if one.scene in within and one.kind in kinds]
    used = {track for one in events for track in (one.tracks or (one.track,))}
    names = place_short_names(site)
    tracks = [shorten(names[part.id], 60) for part in ways(site) if part.id in used]
    where = say("sheet.where", tracks=", ".join(tracks)) if tracks else ""
    key = "sheet.trains" if ways(site) else "sheet.changes"
    return say(key, n=len({one.scene for one in events}), where=where)


def _reasons(looks: Sequence[SceneRecord]) -> str:
    blind = [record.reason for record in looks if record.status == "skipped"]
    reasons = dict.fromkeys(clean(term("reason", why) if why else say("sheet.no_reason"), 60) for why in blind)
    return shorten("; ".join(reasons), 160)


def _lines(caption: Caption, width: float, *, short: bool = False) -> list[tuple[str, Ink]]:
    """Caption under the sheet: heading, what was seen (the count only; the log is in the text file), limits, credit."""
    body, bold, small = Ink(8), Ink(8, bold=True), Ink(6.8, "#57606a")
    text = [(line, bold) for line in wrap(drawable(caption.heading, limit=LONG), bold, width)]
    for part in (caption.brief[0], "" if short else " ".join(caption.unknown)):
        text += [(line, body) for line in wrap(drawable(part, limit=LONG), body, width)]
    return text + [(line, small) for line in wrap(drawable(caption.credit, limit=LONG), small, width)]


def _write_text(page: Page, y: float, text: Sequence[tuple[str, Ink]]) -> None:
    for line, ink in text:
        page.text((MARGIN, y), line, ink)
        y += Ink(8).line_px
