"""Which pictures a run gets, and their files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, replace
from datetime import UTC
from pathlib import Path

import numpy as np
import shapely

from rail_watch.aoi.site import Site
from rail_watch.observe.records import Detections, Observation, SceneRecord
from rail_watch.prepare.stack import Stack
from rail_watch.report import html, sheet
from rail_watch.report.caption import Caption, clock, pair_caption
from rail_watch.report.departures import departed
from rail_watch.report.figure import Plate, Shot, arranged, draw, panels
from rail_watch.report.form import PLAIN, Form
from rail_watch.report.language import language, spoken
from rail_watch.report.names import slug
from rail_watch.report.page import Box, house_style
from rail_watch.report.picture import Shown, shown
from rail_watch.report.png import save, save_text
from rail_watch.report.stretch import ABSENT, CLOUDY, Frame, View, covered, frames, track_in, views, ways

MOST_FIGURES = 60
"""More pictures than this nobody looks at: those with arrivals and departures go first, then the latest."""
MOST_STRETCHES = 4
"""Stretches of one scene that get a figure, those with the most to see first."""
MOST_OBJECTS = 16
"""Objects of one scene that are outlined; the larger ones first."""
NOTABLE_P = 0.01
CLEAR_ENOUGH = 0.7
"""Share of the stretch that must have been seen in the look that is compared with."""
AHEAD = 2
"""Pictures handed to the other processes before they are done with them."""
ORDER = {"train-on-bridge": 0, "train": 1, "cargo": 2, "change": 3}


@dataclass(frozen=True)
class Task:
    """One figure to draw."""

    record: SceneRecord
    frame: Frame
    observations: tuple[Observation, ...]
    part: int
    """Number of the stretch among those of its scene, 0 when it is the only one."""


class Run:
    """One run's records, with its scenes found by id."""

    def __init__(self, detections: Detections, site: Site, stacks: Mapping[str, Stack]) -> None:
        self.detections, self.site = detections, site
        self.records = {record.id: record for record in detections.scenes}
        self.place = {ref.id: (stack, i) for stack in stacks.values() for i, ref in enumerate(stack.scenes)}

    def observed(self, scene: str) -> list[Observation]:
        """Observations of a scene worth a picture, the most telling first."""
        found = [one for one in self.detections.observations if one.scene == scene and _notable(one)]
        return sorted(found, key=lambda one: (ORDER[one.kind], -_extent(one), one.id))[:MOST_OBJECTS]

    def tasks(self) -> list[Task]:
        """Figures to draw, in time order, at most `MOST_FIGURES`."""
        scenes = sorted((r for r in self.records.values() if r.id in self.place), key=lambda r: (r.when, r.id))
        tasks = [task for record in scenes for task in self._of_scene(record)]
        if len(tasks) > MOST_FIGURES:
            ranked = sorted(tasks, key=lambda task: (not _moved(task), -task.record.when.timestamp(), task.record.id))
            kept = {id(task) for task in ranked[:MOST_FIGURES]}
            tasks = [task for task in tasks if id(task) in kept]
        return tasks

    def gone(self, record: SceneRecord, found: Sequence[Observation]) -> list[Observation]:
        """Return what the sensor's previous look showed and this one shows to be gone."""
        stack, index = self.place[record.id]
        earlier = [self.records.get(ref.id) for ref in stack.scenes[:index]]
        previous = next((one for one in reversed(earlier) if one is not None and one.status != "skipped"), None)
        return departed(record, found, previous, self.observed(previous.id)) if previous else []

    def _of_scene(self, record: SceneRecord) -> list[Task]:
        found = self.observed(record.id)
        found += self.gone(record, found)
        if not found:
            return []
        stretches = frames(self.site, [one.geometry for one in found], self.place[record.id][0].gsd_m)
        best = sorted(
            sorted(stretches, key=lambda stretch: min(stretch[1]))[:MOST_STRETCHES], key=lambda s: s[0].centre
        )
        return [
            Task(record, frame, tuple(found[i] for i in sorted(group)), part if len(best) > 1 else 0)
            for part, (frame, group) in enumerate(best, start=1)
        ]

    def earlier(self, task: Task) -> str | None:
        """Id of the latest earlier scene of the same sensor in which the stretch was clear."""
        stack, index = self.place[task.record.id]
        small = task.frame.resized(80)
        for candidate in range(index - 1, -1, -1):
            ref = stack.scenes[candidate]
            if ref.id in self.records and _seen_share(stack, self.site, small, candidate) >= CLEAR_ENOUGH:
                return ref.id
        return None

    def pair(self, task: Task, number: int) -> Plate:
        """Read the pictures and write the words of one figure."""
        return self.plate(task, self.earlier(task), number=number)

    def plate(self, task: Task, earlier: str | None, *, number: int = 0, form: Form = PLAIN) -> Plate:
        """Return a scene beside an earlier one; without one it is alone. `number` 0: the figure has none."""
        stack, index = self.place[task.record.id]
        named = any(track_in(task.frame, part.line) is not None for part in ways(self.site))
        columns, per_row = arranged(task.frame, 1 if earlier is None else 2, named=named, form=form)
        frame = task.frame.resized(columns)
        indices = [index] if earlier is None else [index, self.place[earlier][1]]
        seen, *before = views(stack, self.site, frame, indices)
        old = self.records[earlier] if earlier else None
        # Changed ground seen earlier is told in its own figure; beside trains and cargo it only distracts.
        changes = any(one.kind == "change" for one in task.observations)
        shot = Shot(old, before[0], tuple(self.within(earlier, frame, changes=changes))) if old and earlier else None
        hidden = hidden_share(self.site, frame, seen)
        heading = "caption.closeup" if number else "caption.close"
        caption = pair_caption(
            self.site, (task.record, old), task.observations, number=number, hidden=hidden, heading=heading
        )
        shots = (*([shot] if shot else []), Shot(task.record, seen, task.observations))
        return Plate(self.site, frame, shots, caption, per_row, form=form)

    def within(self, scene: str, frame: Frame, *, changes: bool) -> list[Observation]:
        box = shapely.box(0, 0, frame.shape[1], frame.shape[0])
        inside = [one for one in self.observed(scene) if frame.shape_px(one.geometry).intersects(box)]
        return [one for one in inside if changes or one.kind != "change"]


def hidden_share(site: Site, frame: Frame, view: View) -> float:
    """Share of the site's ground in the frame that could not be seen."""
    inside = covered([frame.shape_px(site.polygon)], frame.shape)
    return float((view.hidden | view.absent)[inside].mean()) if inside.any() else 0.0


def _notable(one: Observation) -> bool:
    return one.kind != "change" or one.p_value <= NOTABLE_P


def _extent(one: Observation) -> float:
    return one.length_m or one.area_m2 or one.geometry.area * 1e10


def _moved(task: Task) -> bool:
    return any(one.change in ("arrived", "departed") for one in task.observations)


def _seen_share(stack: Stack, site: Site, frame: Frame, index: int) -> float:
    """Share of the site's ground in a frame that a scene showed clearly."""
    y, x = np.nonzero(covered([frame.shape_px(site.polygon)], frame.shape))
    points = np.stack([x + 0.5, y + 0.5], axis=-1)
    row_col = np.round(stack.grid.from_lonlat(frame.to_lonlat(points))).astype(int)
    inside = ((row_col >= 0) & (row_col < stack.grid.shape)).all(axis=1)
    row, col = row_col[inside].T
    clear = ~np.isin(stack.quality[index, row, col], (*CLOUDY, *ABSENT))
    return float(clear.sum() / max(len(points), 1))


def write_reports(
    detections: Detections, site: Site, stacks: Mapping[str, Stack], out: Path, *, pool: Executor | None = None
) -> list[Path]:
    """Write the overview sheet, one before/after figure for each date and stretch with something seen, and the page.

    Parameters
    ----------
    detections : what a run says of one site.
    site : the site it looked at.
    stacks : the prepared scenes, by sensor name; scenes are found by id.
    out : folder; made if it is not there. Files of the same name are replaced.
    pool : other processes that draw too, such as `detect.helpers`; the bytes are the same.

    Returns
    -------
    list of Path
        PNG files, each followed by its caption as `.txt`; the overview first, then figures in time order; last
        `report.html`, which shows them all.
    """
    out.mkdir(parents=True, exist_ok=True)
    run = Run(detections, site, stacks)
    taken: set[str] = set()
    # One thread compresses and writes while the next picture is drawn.
    with house_style(), ThreadPoolExecutor(max_workers=1) as writer:
        given: list[Future[list[Shown]]] = []
        if pool is not None:
            given.append(pool.submit(_draw_overview, detections, site, out, language()))
        written = [*given] or [_submit(writer, *page) for page in _overview(detections, site, out)]
        for number, task in enumerate(run.tasks(), start=2):
            pair, path = run.pair(task, number), out / _file_name(task, taken)
            if pool is not None and sum(not one.done() for one in given) < AHEAD:
                given.append(pool.submit(_draw_and_write, pair, path, language()))
                written.append(given[-1])
            else:
                written.append(_submit(writer, path, draw(pair), pair.caption, _place(pair)))
        pictures = [one for job in written for one in job.result()]
    paths = [out / f"{one.name}{ending}" for one in pictures for ending in (".png", ".txt")]
    return [*paths, save_text(html.page(detections, site, pictures), out / "report.html")]


_Place = tuple[str, tuple[Box, ...], tuple[str, ...]]
"""Scene a figure is of, where the pictures that can be laid over one another stand in it, and their dates."""


NOWHERE: _Place = ("", (), ())
_Written = Future[list[Shown]]


def _place(pair: Plate) -> _Place:
    return pair.after.record.id, panels(pair), tuple(clock(shot.record.when, None) for shot in pair.shots)


def _submit(writer: Executor, path: Path, pixels: sheet.Bytes, caption: Caption, place: _Place = NOWHERE) -> _Written:
    """Write in the other thread, in the language of this one."""
    context = copy_context()
    return writer.submit(lambda: context.run(_write, path, pixels, caption, place))


def _draw_overview(detections: Detections, site: Site, out: Path, code: str) -> list[Shown]:
    with house_style(), spoken(code):
        return [one for page in _overview(detections, site, out) for one in _write(*page)]


def _overview(detections: Detections, site: Site, out: Path) -> Iterator[tuple[Path, sheet.Bytes, Caption]]:
    return ((out / name, pixels, caption) for name, pixels, caption in sheet.pages(detections, site))


def _draw_and_write(pair: Plate, path: Path, code: str) -> list[Shown]:
    with house_style(), spoken(code):
        return _write(path, draw(pair), pair.caption, _place(pair))


def _write(path: Path, pixels: sheet.Bytes, caption: Caption, place: _Place = NOWHERE) -> list[Shown]:
    save(pixels, path.with_name(path.name + ".png"), caption.metadata())
    save_text(caption.text(), path.with_name(path.name + ".txt"))
    scene, boxes, dates = place
    return [replace(shown(path.name, pixels, caption, scene=scene, panels=boxes), dates=dates)]


def _file_name(task: Task, taken: set[str]) -> str:
    """`2022-11-30-0211-skysat-0.5-m`, with the stretch's number where there are several."""
    when = task.record.when.astimezone(UTC)
    part = f"-{task.part}" if task.part else ""
    base = f"{when:%Y-%m-%d-%H%M}-{slug(task.record.sensor, otherwise='sensor')}{part}"
    name, count = base, 1
    while name in taken:
        count += 1
        name = f"{base}-{chr(96 + count)}" if count <= 26 else f"{base}-{count}"
    taken.add(name)
    return name


__all__: Sequence[str] = ["write_reports"]
