"""Figures made to order of an answer that is kept: which looks, which ground, which size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import shapely
from numpy.typing import NDArray

from rail_watch.aoi.site import Site
from rail_watch.errors import BadInput
from rail_watch.observe.records import Detections, SceneRecord
from rail_watch.prepare.stack import Stack
from rail_watch.report import sheet
from rail_watch.report.caption import Caption, pair_caption, sequence_caption, short_day
from rail_watch.report.figure import Plate, Shot, arranged, draw
from rail_watch.report.form import Form
from rail_watch.report.language import say
from rail_watch.report.names import clean
from rail_watch.report.page import house_style
from rail_watch.report.reports import ORDER, Run, Task, hidden_share
from rail_watch.report.stretch import Frame, frames, track_in, views, ways

Template = Literal["figure", "pair", "sequence", "overview", "track-grid", "timeline"]
TEMPLATES: tuple[Template, ...] = ("figure", "pair", "sequence", "overview", "track-grid", "timeline")
FROM_RECORD = ("track-grid", "timeline")
"""Templates that need no pixels."""
LEAST_OVERVIEW = 0.3
"""Width over length of an overview: a thin site leaves labels no room."""
FEWEST, MOST = 3, 6
"""Looks of a sequence."""


@dataclass(frozen=True)
class Order:
    """What figure is wanted."""

    template: Template
    form: Form
    scenes: tuple[str, ...]
    """Ids of its looks, in order of time: one, and for a sequence several; none for what needs no pixels."""


def chosen(detections: Detections, template: Template, at: Sequence[str]) -> tuple[str, ...]:
    """Return the looks that a figure shows: those named, else the most telling.

    `at` are ids of scenes or observations, or the beginnings of their times (UTC, ISO 8601): `2022-12-01`.

    Raises
    ------
    BadInput
        Nothing, or too few or too many looks, answer to what is asked.
    """
    if template in FROM_RECORD:
        return ()
    usable = sorted((r for r in detections.scenes if r.status != "skipped"), key=lambda r: (r.when, r.id))
    named = [_named(detections, usable, word) for word in dict.fromkeys(at)]
    if template != "sequence":
        if len(named) > 1:
            raise BadInput(f"--at is given {len(named)} times; the template {template} shows one look")
        return (named[0].id if named else _telling(detections, usable).id,)
    found = named or _sequence(detections, usable, _telling(detections, usable))
    found = sorted({record.id: record for record in found}.values(), key=lambda record: record.when)
    if not FEWEST <= len(found) <= MOST:
        raise BadInput(f"a sequence shows {FEWEST} to {MOST} looks, not {len(found)}; name each with --at")
    if len({record.sensor for record in found}) > 1:
        raise BadInput("the looks of a sequence must be of one sensor, or their pictures cannot be compared")
    return tuple(record.id for record in found)


def _named(detections: Detections, usable: Sequence[SceneRecord], word: str) -> SceneRecord:
    scenes = [one.scene for one in detections.observations if one.id == word]
    exact = [record for record in usable if record.id == word or record.id in scenes]
    begun = [record for record in usable if record.when.isoformat().startswith(word.replace(" ", "T"))]
    found = exact or begun
    if not found:
        raise BadInput(f"--at {clean(word, 80)}: no such observation, scene or date among the looks that could be used")
    return max(found, key=lambda record: (_weight(detections, record), record.when))


def _weight(detections: Detections, record: SceneRecord) -> tuple[int, float]:
    """How much a look has to tell: what came counts most, then what pixels show finest."""
    seen = [one for one in detections.observations if one.scene == record.id and one.kind != "change"]
    points = sum((3 if one.change == "arrived" else 1) * (2 - ORDER[one.kind] // 2) for one in seen)
    return points, -record.gsd_m


def _telling(detections: Detections, usable: Sequence[SceneRecord]) -> SceneRecord:
    if not usable:
        raise BadInput("no look of this answer could be used; there is nothing to draw")
    return max(usable, key=lambda record: (_weight(detections, record), record.when))


def _sequence(detections: Detections, usable: Sequence[SceneRecord], centre: SceneRecord) -> list[SceneRecord]:
    """Looks of the telling one's sensor: those that show most, the nearest in time first, and one before them."""
    of_sensor = [record for record in usable if record.sensor == centre.sensor and record.clear_fraction > 0.5]
    at = next((i for i, record in enumerate(of_sensor) if record.id == centre.id), 0)
    first = min(max(at - 2, 0), max(len(of_sensor) - 4, 0))
    return list(of_sensor[first : first + 4])


def make(
    detections: Detections, site: Site, stacks: Mapping[str, Stack], order: Order
) -> tuple[NDArray[np.uint8], Caption]:
    """Return the picture, (row, column, 3), and its words.

    Raises
    ------
    BadInput
        The source does not hold a look that is wanted, or there is no earlier one to compare with.
    """
    with house_style():
        if order.template in FROM_RECORD:
            name = "grid" if order.template == "track-grid" else "series"
            return sheet.part(detections, site, name, order.form)
        run = Run(detections, site, stacks)
        for scene in order.scenes:
            if scene not in run.place:
                raise BadInput(f"{clean(scene, 80)}: not in the source; name with --source the imagery that was judged")
        plate = _sequence_plate(run, order) if order.template == "sequence" else _plate(run, order)
        return draw(plate), plate.caption


def _plate(run: Run, order: Order) -> Plate:
    task = _task(run, order.scenes[0], whole=order.template == "overview")
    earlier = run.earlier(task)
    if order.template == "pair":
        if earlier is None:
            when = f"{task.record.when:%Y-%m-%d %H:%M} UTC"
            raise BadInput(f"{when}: no earlier clear look of this sensor to set beside it; use --template figure")
        return run.plate(task, earlier, form=order.form)
    plate = run.plate(task, None, form=order.form)
    shot = plate.shots[0]
    caption = pair_caption(
        run.site,
        (task.record, run.records[earlier] if earlier else None),
        shot.observations,
        hidden=hidden_share(run.site, plate.frame, shot.view),
        heading="caption.whole" if order.template == "overview" else "caption.close",
        alone=True,
    )
    return replace(plate, caption=caption, changes_named=order.template != "overview")


def _task(run: Run, scene: str, *, whole: bool) -> Task:
    """What a look shows, on the ground it stands on, or on the whole site."""
    record, stack = run.records[scene], run.place[scene][0]
    found = run.observed(scene)
    found += run.gone(record, found)
    if whole or not found:
        frame, _ = frames(run.site, [run.site.polygon], stack.gsd_m)[0]
        frame = replace(frame, width_m=max(frame.width_m, LEAST_OVERVIEW * frame.length_m))
        return Task(record, frame, tuple(found), 0)
    frame, group = min(frames(run.site, [one.geometry for one in found], stack.gsd_m), key=lambda one: min(one[1]))
    return Task(record, frame, tuple(found[i] for i in sorted(group)), 0)


def _sequence_plate(run: Run, order: Order) -> Plate:
    records = [run.records[scene] for scene in order.scenes]
    stack = run.place[order.scenes[0]][0]
    frame = _common_frame(run, order.scenes, stack)
    named = any(track_in(frame, part.line) is not None for part in ways(run.site))
    columns, per_row = arranged(frame, len(records), named=named, form=order.form, pair=False)
    frame = frame.resized(columns)
    pictures = views(stack, run.site, frame, [run.place[scene][1] for scene in order.scenes])
    shots = []
    for record, view in zip(records, pictures, strict=True):
        things = run.within(record.id, frame, changes=False)
        gone = [one for one in run.gone(record, run.observed(record.id)) if _inside(frame, one.geometry)]
        shots.append(Shot(record, view, (*things, *gone)))
    caption = sequence_caption(
        run.site, [(s.record, s.observations, hidden_share(run.site, frame, s.view)) for s in shots]
    )
    span = say("date.span", first=short_day(records[0].when), last=short_day(records[-1].when))
    return Plate(run.site, frame, tuple(shots), caption, per_row, pair=False, form=order.form, title=span)


def _inside(frame: Frame, shape: shapely.Polygon) -> bool:
    return bool(frame.shape_px(shape).intersects(shapely.box(0, 0, frame.shape[1], frame.shape[0])))


def _common_frame(run: Run, scenes: Sequence[str], stack: Stack) -> Frame:
    """The stretch that shows most of what was seen in any of the looks; the whole site where nothing was."""
    things = [one for scene in scenes for one in run.observed(scene) if one.kind != "change"]
    if not things:
        return frames(run.site, [run.site.polygon], stack.gsd_m)[0][0]
    found = frames(run.site, [one.geometry for one in things], stack.gsd_m)
    return max(found, key=lambda stretch: len(stretch[1]))[0]
