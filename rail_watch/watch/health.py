"""How the watch itself is doing: last and next checks, what failed, which sites nobody could see."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rail_watch.archive.history import iso
from rail_watch.archive.runs import last_runs, runs
from rail_watch.archive.store import Archive
from rail_watch.errors import BadInput, RailWatchError
from rail_watch.watch.config import read_toml
from rail_watch.watch.news import last_clear_look
from rail_watch.watch.sites import WatchedSite, next_due, slot_of, watched_sites

BLIND_DAYS = 14.0
PING_SECONDS = 10.0


@dataclass(frozen=True)
class SiteHealth:
    """One watched site."""

    name: str
    area: str
    """Id of its area of interest, by which the archive has it; `name` where the area cannot be read."""
    last_check: datetime | None
    next_check: datetime
    """Now, or earlier, when it is due."""
    fault: str | None
    """Of the latest check, when it failed."""
    last_clear: datetime | None
    days_blind: float | None
    """Days since the latest clear look; None when there was none."""
    scenes: int


@dataclass(frozen=True)
class Health:
    """The whole watch."""

    last_run: str | None
    last_started: datetime | None
    cut_short: bool
    waiting_alerts: int
    sites: tuple[SiteHealth, ...]

    @property
    def troubled(self) -> bool:
        """Whether the latest check of any site failed or was cut short."""
        return self.cut_short or any(one.fault for one in self.sites)


def health_of(archive: Archive, sites: Sequence[WatchedSite], now: datetime) -> Health:
    """Return how the watch is doing."""
    latest = runs(archive, most=1)
    done, tried = last_runs(archive), last_runs(archive, ("done", "failed"))
    waiting = archive.value("SELECT count(*) FROM delivery WHERE sent IS NULL")
    found = []
    for one in sites:
        check, attempt = done.get(one.name), tried.get(one.name)
        site = _site_id(one)
        clear = last_clear_look(archive, site)
        current = slot_of(one, now)
        due = check is None or check.slot != current
        found.append(
            SiteHealth(
                name=one.name,
                area=site,
                last_check=None if check is None else check.at,
                next_check=now if due else next_due(one, current),
                fault=attempt.fault if attempt is not None and attempt.step == "failed" else None,
                last_clear=clear,
                days_blind=None if clear is None else (now - clear).total_seconds() / 86_400,
                scenes=archive.value("SELECT count(DISTINCT acquisition) FROM judgement WHERE site = ?", (site,)),
            )
        )
    run = latest[0] if latest else None
    return Health(
        last_run=None if run is None else run.id,
        last_started=None if run is None else run.started,
        cut_short=run is not None and run.finished is None,
        waiting_alerts=waiting,
        sites=tuple(found),
    )


def watched_with_area(home: Path, site: str) -> WatchedSite | None:
    """Return the watched site whose area has this id, None where there is none."""
    return next((one for one in watched_sites(home) if _site_id(one) == site), None)


def _site_id(watched: WatchedSite) -> str:
    """Return the id of a site's area; its name where the area cannot be read: how the others do is still told."""
    try:
        return watched.site().id
    except RailWatchError:
        return watched.name


def status_document(health: Health) -> dict[str, Any]:
    """Return the state as a document."""
    return {
        "schema": "rail-watch/status/1",
        "last_run": health.last_run,
        "last_started": iso(health.last_started),
        "cut_short": health.cut_short,
        "waiting_alerts": health.waiting_alerts,
        "sites": [
            {
                "site": one.name,
                "aoi": one.area,
                "last_check": iso(one.last_check),
                "next_check": iso(one.next_check),
                "fault": one.fault,
                "last_clear_look": iso(one.last_clear),
                "scenes": one.scenes,
            }
            for one in health.sites
        ],
    }


def _label(name: str) -> str:
    return name.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")


def metrics(health: Health) -> str:
    """Return the state as text for Prometheus' node exporter."""
    return "\n".join(_metric_lines(health)) + "\n"


def _metric_lines(health: Health) -> Iterator[str]:
    if health.last_started is not None:
        yield "# TYPE rail_watch_last_run_timestamp_seconds gauge"
        yield f"rail_watch_last_run_timestamp_seconds {health.last_started.timestamp():.0f}"
    yield "# TYPE rail_watch_alerts_waiting gauge"
    yield f"rail_watch_alerts_waiting {health.waiting_alerts}"
    gauges = {
        "rail_watch_site_failed": {one.name: float(one.fault is not None) for one in health.sites},
        "rail_watch_site_scenes": {one.name: float(one.scenes) for one in health.sites},
        "rail_watch_site_last_check_timestamp_seconds": {
            one.name: one.last_check.timestamp() for one in health.sites if one.last_check is not None
        },
        "rail_watch_site_last_clear_look_timestamp_seconds": {
            one.name: one.last_clear.timestamp() for one in health.sites if one.last_clear is not None
        },
    }
    for gauge, values in gauges.items():
        if values:
            yield f"# TYPE {gauge} gauge"
        for name, value in values.items():
            yield f'{gauge}{{site="{_label(name)}"}} {value:.0f}'


@dataclass(frozen=True)
class HealthSettings:
    """Where the watch says that it lives."""

    ping_url: str | None = None
    """Fetched after each run without failure; `/fail` is added after one with."""
    metrics_file: Path | None = None


def health_settings(home: Path) -> HealthSettings:
    """Read HOME/health.toml; without one nothing is pinged or written.

    Raises
    ------
    BadInput
        The file is wrong.
    """
    path = home / "health.toml"
    if not path.is_file():
        return HealthSettings()
    table = read_toml(path)
    url, file = table.text("ping_url"), table.text("metrics_file")
    table.done()
    if url is not None and (urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname):
        raise BadInput(f"{path}: ping_url must be an http or https address")
    return HealthSettings(url, None if file is None else home / file)


def ping(url: str, *, failed: bool) -> str | None:
    """Tell a dead man's switch that the run ended; return what went wrong, in words."""
    from http.client import HTTPException
    from urllib.request import Request, urlopen

    parts = urlsplit(url)
    address = parts._replace(path=f"{parts.path.rstrip('/')}/fail").geturl() if failed else url
    try:
        # Only http and https get here (see `health_settings`).
        with urlopen(Request(address, headers={"User-Agent": "rail-watch"}), timeout=PING_SECONDS) as answer:
            answer.read(100)
    except (OSError, ValueError, HTTPException) as fault:
        return f"the ping address did not answer ({type(fault).__name__})"
    return None
