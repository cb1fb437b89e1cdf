"""The runs: what was asked for, how far it came, and when each site was last looked at."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from rail_watch.archive.store import Archive, Row, moment, packed, time_of

Step = Literal["waiting", "searched", "done", "failed"]


@dataclass(frozen=True)
class Run:
    """One run."""

    number: int
    id: str
    request: Mapping[str, Any]
    started: datetime
    finished: datetime | None
    software: str


@dataclass(frozen=True)
class SiteRun:
    """What one run made of one site."""

    run: str
    site: str
    step: Step
    slot: int | None
    scenes: int
    """That got a verdict in this run."""
    unread: int
    fault: str | None
    at: datetime


def _run(row: Row) -> Run:
    finished = None if row["finished"] is None else time_of(row["finished"])
    request = json.loads(row["request"])
    return Run(row["number"], row["id"], request, time_of(row["started"]), finished, row["software"])


def _site_run(row: Row) -> SiteRun:
    return SiteRun(
        row["id"], row["site"], row["step"], row["slot"], row["scenes"], row["unread"], row["fault"], time_of(row["at"])
    )


_SITE_RUN = "SELECT r.id, t.* FROM run_site AS t JOIN run AS r ON r.number = t.run"
# From one site's entry in the index to the next one's, past the nights between: the same work in the tenth year.
_LAST = """
WITH RECURSIVE name (site) AS (
    SELECT min(site) FROM run_site
    UNION ALL
    SELECT (SELECT min(o.site) FROM run_site AS o WHERE o.site > name.site) FROM name WHERE name.site IS NOT NULL
), latest (site, run) AS (
    SELECT name.site, (SELECT max(o.run) FROM run_site AS o WHERE o.site = name.site AND o.step = ?
        AND o.slot IS NOT NULL) FROM name
)
SELECT r.id, t.* FROM latest AS l JOIN run_site AS t ON t.site = l.site AND t.run = l.run
JOIN run AS r ON r.number = l.run
"""


def begin_run(archive: Archive, id_: str, *, request: Mapping[str, object], started: datetime, software: str) -> int:
    """Return the number of a run, making it when there is none of this id. Only inside `writing`."""
    archive.do(
        "INSERT INTO run (id, request, started, software) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (id_, packed(request), moment(started), software),
    )
    number: int = archive.value("SELECT number FROM run WHERE id = ?", (id_,))
    return number


def new_run_id(archive: Archive, started: datetime) -> str:
    """Return an id for a run: its time, and a number where there is one of that time already."""
    base = started.strftime("%Y%m%dT%H%M%SZ")
    names = (base, *(f"{base}-{n}" for n in range(2, 10_000)))
    return next(name for name in names if archive.value("SELECT number FROM run WHERE id = ?", (name,)) is None)


def unfinished(archive: Archive, request: Mapping[str, object]) -> Run | None:
    """Return the latest run of the same request that was cut short."""
    row = archive.row(
        "SELECT * FROM run WHERE finished IS NULL AND request = ? ORDER BY number DESC LIMIT 1", (packed(request),)
    )
    return None if row is None else _run(row)


def runs(archive: Archive, *, most: int = 1_000_000) -> list[Run]:
    """Return the runs, the latest first."""
    return [_run(row) for row in archive.rows("SELECT * FROM run ORDER BY number DESC LIMIT ?", (most,))]


def run_named(archive: Archive, id_: str) -> Run | None:
    """Return one run."""
    row = archive.row("SELECT * FROM run WHERE id = ?", (id_,))
    return None if row is None else _run(row)


def finish_run(archive: Archive, number: int, *, at: datetime) -> None:
    """Mark a run as done. Only inside `writing`."""
    archive.do("UPDATE run SET finished = ? WHERE number = ? AND finished IS NULL", (moment(at), number))


def mark_site(archive: Archive, number: int, mark: SiteRun) -> None:
    """Keep how far a run has come with a site. Only inside `writing`."""
    archive.do(
        "INSERT INTO run_site VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (run, site) DO UPDATE SET "
        "step = excluded.step, slot = excluded.slot, scenes = run_site.scenes + excluded.scenes, "
        "unread = excluded.unread, fault = excluded.fault, at = excluded.at",
        (number, mark.site, mark.step, mark.slot, mark.scenes, mark.unread, mark.fault, moment(mark.at)),
    )


def sites_of(archive: Archive, number: int) -> dict[str, SiteRun]:
    """Return how far a run has come, by site."""
    return {row["site"]: _site_run(row) for row in archive.rows(f"{_SITE_RUN} WHERE t.run = ?", (number,))}


def last_runs(archive: Archive, steps: Sequence[Step] = ("done",)) -> dict[str, SiteRun]:
    """Return the latest nightly check of each site that ended in one of these steps."""
    found = [row for step in steps for row in archive.rows(_LAST, (step,))]
    return {row["site"]: _site_run(row) for row in sorted(found, key=lambda row: row["run"])}
