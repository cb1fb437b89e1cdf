"""One sensor's looks at one stretch as a moving picture: aligned, in one tone, each with its date burnt in."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from shapely import Polygon

from rail_watch.aoi.site import Site
from rail_watch.observe.records import Detections, SceneRecord
from rail_watch.prepare.stack import Stack
from rail_watch.report import furniture
from rail_watch.report.caption import clock, credit, sensor
from rail_watch.report.names import drawable, slug
from rail_watch.report.page import Ink, Page, Pen, fit, house_style
from rail_watch.report.png import save_bytes
from rail_watch.report.stretch import Frame, covered, frames, veiled, views
from rail_watch.report.watermark import marked

WIDTH = 1000
BAND, HEAD, FOOT = 48, 50, 62
EACH_MS, LAST_MS = 1100, 2600
MOST_LOOKS = 120
"""The latest; more would fill a mail box."""
LEAST_SEEN = 0.3
"""Share of the site that a look must have shown to be in the film; the page lists the others."""
Form = Literal["gif", "webp"]


def write_timelapses(
    detections: Detections, site: Site, stacks: Mapping[str, Stack], out: Path, *, form: Form
) -> list[Path]:
    """Write a film for each sensor with at least two looks that showed something; the same input, the same bytes."""
    written = []
    with house_style():
        for name, stack in sorted(stacks.items()):
            shown = _shown(detections, stack)
            if len(shown) >= 2:
                path = out / f"timelapse-{slug(name, otherwise='sensor')}.{form}"
                things = [thing for _, _, seen in shown for thing in seen]
                found = frames(site, things or [site.polygon], stack.gsd_m)
                frame = max(found, key=lambda stretch: len(stretch[1]))[0].resized(WIDTH)
                written.append(save_bytes(_film(site, stack, frame, shown, form), path))
    return written


def _shown(detections: Detections, stack: Stack) -> list[tuple[int, SceneRecord, list[Polygon]]]:
    """Return the looks of the film: index in the stack, record, outlines of the trains and cargo seen in it."""
    records = {record.id: record for record in detections.scenes if record.status != "skipped"}
    things: dict[str, list[Polygon]] = {name: [] for name in records}
    for one in detections.observations:
        if one.kind != "change" and one.change != "departed" and one.scene in things:
            things[one.scene].append(one.geometry)
    known = ((index, records[ref.id]) for index, ref in enumerate(stack.scenes) if ref.id in records)
    shown = [(index, record, things[record.id]) for index, record in known if record.clear_fraction >= LEAST_SEEN]
    return shown[-MOST_LOOKS:]


def _film(
    site: Site, stack: Stack, frame: Frame, shown: list[tuple[int, SceneRecord, list[Polygon]]], form: Form
) -> bytes:
    pictures = views(stack, site, frame, [index for index, _, _ in shown])
    count = len(shown)
    pages = []
    for number, (view, (_, record, things)) in enumerate(zip(pictures, shown, strict=True), start=1):
        rgb = veiled(view)
        if record.simulated:
            outlines = [frame.shape_px(thing) for thing in things]
            rgb = marked(rgb, covered([one for one in outlines if isinstance(one, Polygon)], frame.shape))
        pages.append(Image.fromarray(_still(site, rgb, record, (number, count))))
    times = [EACH_MS] * (count - 1) + [LAST_MS]
    stream = io.BytesIO()
    if form == "gif":
        # One palette for all, lest the ground flicker.
        palette = Image.fromarray(np.concatenate([np.asarray(page)[::4, ::4] for page in pages])).quantize(256)
        reduced = [page.quantize(palette=palette, dither=Image.Dither.NONE) for page in pages]
        reduced[0].save(stream, "GIF", save_all=True, append_images=reduced[1:], duration=times, loop=0)
    else:
        pages[0].save(
            stream, "WEBP", save_all=True, append_images=pages[1:], duration=times, loop=0, quality=75, method=2
        )
    return stream.getvalue()


def _still(site: Site, rgb: NDArray[np.uint8], record: SceneRecord, place: tuple[int, int]) -> NDArray[np.uint8]:
    """One look with its date above, its credit below, and the band where it is simulated."""
    top = (BAND if record.simulated else 0) + HEAD
    page = Page(WIDTH, top + rgb.shape[0] + FOOT)
    page.image(rgb, (0, top))
    if record.simulated:
        furniture.simulated_band(page, BAND)
    date, small = Ink(8, bold=True, va="center"), Ink(6.6, "#57606a", va="center")
    beside = fit(drawable(f"{sensor(record)}, {place[0]}/{place[1]}"), small, 330)
    room = WIDTH - 60 - page.measure(beside, small)[0]
    page.text((20, top - HEAD / 2), fit(drawable(clock(record.when, site.timezone)), date, room), date)
    page.text((WIDTH - 20, top - HEAD / 2), beside, replace(small, ha="right"))
    lines = (drawable(site.name, site.id), drawable(credit([record])))
    for line, y in zip(lines, (page.height - 44, page.height - 18), strict=True):
        page.text((20, y), fit(line, small, WIDTH - (260 if y < page.height - 30 else 40)), small)
    left, right, y = WIDTH - 220, WIDTH - 20, page.height - 44
    page.rectangle((left, y - 4, right, y + 4), Pen(width=0, fill="#d7dbdf", zorder=3))
    page.rectangle((left, y - 4, left + 200 * place[0] / place[1], y + 4), Pen(width=0, fill="#003f7d", zorder=4))
    return page.pixels()
