"""A watched yard whose scenes are lines of a catalogue: what they show stands in the item, a stand-in judge says it.

The catalogue, the archive, the reports and the alerts are the real ones; only the pixels are left out.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from archive_material import day, scene, site, train
from imagery_material import asset, collection_of_items, item

from rail_watch import imagery
from rail_watch.aoi.site import Site
from rail_watch.archive import archive_path, open_archive
from rail_watch.archive.export import export_lines
from rail_watch.archive.sites import site_document
from rail_watch.cli.files import write_text
from rail_watch.detect import DetectOptions, DetectRun, _chosen
from rail_watch.imagery.interval import within
from rail_watch.imagery.scene import Unread
from rail_watch.observe.document import dumps, to_document
from rail_watch.observe.records import Detections
from rail_watch.report.png import save
from rail_watch.watch.night import Asked, Means, Night, run_night
from rail_watch.watch.sites import WatchedSite


@dataclass
class Clock:
    """A clock that is told the time."""

    at: datetime

    def __call__(self) -> datetime:
        return self.at


@dataclass
class Yard:
    """One site with its catalogue."""

    folder: Path
    name: str = "yard"
    items: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def source(self) -> Path:
        return self.folder / self.name / "catalog.json"

    @property
    def aoi(self) -> Path:
        return self.folder / f"{self.name}.geojson"

    def add(self, number: int, states: str = "ee", *, id_: str | None = None, version: str = "1", **more: Any) -> None:
        """List a scene of day `number`; e, o, u for each track, x for one that cannot be read."""
        name = id_ or f"scene-{number:03d}"
        when = day(number).isoformat().replace("+00:00", "Z")
        told = {"test:day": number, "test:states": states, "updated": version, **more}
        data = {"data": asset("./none.tif", "blue", "green", "red", "nir")}
        self.items[name] = item(name, assets=data, datetime=when, gsd=3, platform="test-sat", **told)

    def write(self) -> Yard:
        """Write the catalogue and the area of interest."""
        self.source.parent.mkdir(parents=True, exist_ok=True)
        self.aoi.write_text(json.dumps(site_document(site(self.name))), encoding="utf-8")
        write_text(self.source, json.dumps(collection_of_items(*self.items.values())))
        return self

    def watched(self, **changes: Any) -> WatchedSite:
        return replace(WatchedSite(self.name, str(self.aoi), str(self.source)), **changes)


def judge(site: Site, watched: WatchedSite, options: DetectOptions, created: datetime) -> DetectRun:
    """Say of each scene what stands in its item; ends of trains shift a little with what is judged along."""
    found = imagery.find(site, (None, None), source=watched.source, sensor=watched.sensor)
    refs = _chosen(found.scenes, options.when)
    records, seen, unread = [], [], []
    for ref in refs:
        number, states = int(str(ref.properties["test:day"])), str(ref.properties["test:states"])
        if "x" in states:
            unread.append(Unread(ref, "the file is damaged"))
            made = scene(number, "uu", name=ref.id, reason="the file is damaged", digests={})
        else:
            pixels = {"image": f"{ref.id}-{ref.properties['updated']}"}
            made = scene(number, states, name=ref.id, digests=pixels)
        if not within(ref.when, options.when) and made.status == "used":
            made = replace(made, status="baseline")
        records.append(made)
        for letter, track in zip(states, ("t1", "t2"), strict=True):
            if letter == "o" and made.status == "used":
                start = float(str(ref.properties.get("test:start", 100.0))) + 0.1 * (len(refs) % 3)
                seen.append(train(number, start, start + 200, track=track, scene=ref.id, site=site.id))
    detections = Detections(
        site=site.id,
        site_name=site.name,
        created=created,
        software={"rail-watch": "0.1.0"},
        parameters={"false_alarm_rate": watched.false_alarm_rate, "datetime": [None, None], "sensor": watched.sensor},
        scenes=tuple(records),
        observations=tuple(seen),
        summary=(),
        aoi_digest=site.digest,
    )
    return DetectRun(site, detections, {}, tuple(unread))


def report(run: DetectRun, folder: Path) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    text = dumps(to_document(run.detections))
    picture = save(np.zeros((40, 60, 3), np.uint8), folder / "overview.png", {"Title": "SIMULATED"})
    return [write_text(folder / "detections.json", text), picture]


def night(home: Path, sites: Sequence[WatchedSite], at: datetime, *, asked: Asked | None = None, **means: Any) -> Night:
    """Do one run at a time."""
    with open_archive(archive_path(home)) as archive:
        given: dict[str, Any] = {"clock": Clock(at), "judge": judge, "report": report, **means}
        return run_night(Means(home=home, archive=archive, **given), sites, asked or Asked())


def exported(home: Path) -> list[str]:
    with open_archive(archive_path(home)) as archive:
        assert archive.check() == ()
        return list(export_lines(archive))


def evening(number: float) -> datetime:
    """Half a day after the scene of that day."""
    return day(0) + timedelta(days=number, hours=12)
