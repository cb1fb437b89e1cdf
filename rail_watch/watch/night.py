"""One night: every site that is due is searched, judged, reported, archived; what is new goes to the outbox.

A site's scenes are judged in pieces. Reports of a piece are written before its verdicts are archived, and its verdicts,
the looks behind them, the alerts they cause and how far the run has come are archived in one transaction: a run that is
killed at any moment has either done a piece or not begun it, and to run again is all that is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from rail_watch import __version__, imagery, providers
from rail_watch.aoi.site import Site
from rail_watch.archive.record import acquisition_of, record
from rail_watch.archive.runs import (
    Run,
    SiteRun,
    begin_run,
    finish_run,
    last_runs,
    mark_site,
    new_run_id,
    run_named,
    sites_of,
    unfinished,
)
from rail_watch.archive.store import Archive, packed
from rail_watch.detect import DetectOptions, DetectRun, software
from rail_watch.errors import ArchiveFault, Busy, NoUsableImagery, RailWatchError
from rail_watch.imagery.interval import Interval, within
from rail_watch.observe.assemble import skipped_scene
from rail_watch.observe.link import MEMORY
from rail_watch.observe.records import Detections
from rail_watch.watch.news import News, last_clear_look, last_is_simulated, news_of
from rail_watch.watch.sites import WatchedSite, slot_of
from rail_watch.watch.source import (
    Entry,
    entry_of,
    keep_entry,
    keep_state,
    kept_state,
    local_state,
    new_entries,
    pieces,
    span_of,
    unsettled,
)
from rail_watch.watch.sweep import sweep

Judge = Callable[[Site, WatchedSite, DetectOptions, datetime], DetectRun]


class Find(Protocol):
    """What lists the scenes of a source; see `rail_watch.providers.find`."""

    def __call__(self, site: Site, when: Interval, *, source: str, sensor: str | None) -> imagery.Found:
        """Return what the source holds of a site."""


Report = Callable[[DetectRun, Path], Sequence[Path]]
Tell = Callable[[Archive, WatchedSite, Site, Sequence[News], "Told"], None]
PIECE = 40
"""Scenes judged and kept at a time."""
TAKEN_UP = timedelta(hours=20)
"""A run that was cut short longer ago than this is closed, and what it left is done by a new one."""
NOTHING_TO_COMPARE = "nothing to compare it with"


@dataclass(frozen=True)
class Told:
    """Where the evidence of a piece of news lies."""

    run: str
    now: datetime
    evidence: Path | None
    pictures: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Means:
    """What a night works with; all that changes from day to day is handed in."""

    home: Path
    archive: Archive
    clock: Callable[[], datetime]
    judge: Judge
    report: Report | None = None
    tell: Tell | None = None
    find: Find = providers.find
    stop: Callable[[], bool] = lambda: False
    progress: Callable[[int, int, str], None] = lambda _done, _of, _what: None
    jobs: int = 1


@dataclass(frozen=True)
class Asked:
    """What a run is to do."""

    due: bool = True
    """Only sites whose check is due, over their look-back; else all given, over `when`."""
    when: Interval = (None, None)
    rejudge: bool = False

    def request(self, sites: Sequence[WatchedSite]) -> dict[str, object]:
        """Return what makes two runs the same, so that one can take up the other."""
        if self.due:
            return {"due": True}
        ends = [end.isoformat() if end else None for end in self.when]
        return {"sites": [one.name for one in sites], "datetime": ends, "rejudge": self.rejudge, "version": __version__}


@dataclass(frozen=True)
class SiteNight:
    """What a run found out of one site."""

    site: WatchedSite
    new_scenes: int = 0
    hidden: int = 0
    """Of these, scenes in which nothing could be seen."""
    unread: tuple[str, ...] = ()
    news: tuple[News, ...] = ()
    fault: str | None = None
    cut_short: bool = False
    bare: bool = False
    """Whether a source on this machine was searched and holds no scene of the site at all."""


@dataclass(frozen=True)
class Night:
    """What one run did."""

    run: str | None
    """Its id; None when nothing was due, or nothing asked for was new."""
    sites: tuple[SiteNight, ...]
    not_due: int = 0


def due_sites(archive: Archive, sites: Sequence[WatchedSite], now: datetime) -> list[WatchedSite]:
    """Return the sites whose check of this slot has not been done.

    A check of a later slot than this one was made by a clock that has been set back since: the site is due.
    """
    last, failed = last_runs(archive), last_runs(archive, ("failed",))
    return [
        one
        for one in sites
        if (one.name not in last or last[one.name].slot != slot_of(one, now))
        and not _waits(archive, failed.get(one.name), now)
    ]


def _waits(archive: Archive, failed: SiteRun | None, now: datetime) -> bool:
    """Return whether a check that failed a short while ago is to be left alone a little longer: 5, 10, 20, 40 min."""
    if failed is None:
        return False
    times = archive.value(
        "SELECT count(*) FROM run_site WHERE site = ? AND slot = ? AND step = 'failed'", (failed.site, failed.slot)
    )
    return timedelta(0) <= now - failed.at < timedelta(minutes=5 * 2 ** min(times - 1, 3))


def run_night(means: Means, sites: Sequence[WatchedSite], asked: Asked) -> Night:
    """Do one run: take up one of the same request that was cut short, or begin a new one.

    Raises
    ------
    ArchiveFault, Busy
        The archive cannot be written. What was done before stands.
    """
    now = means.clock()
    request = asked.request(sites)
    before = unfinished(means.archive, request)
    if before is not None and abs(now - before.started) > TAKEN_UP and asked.due:
        with means.archive.writing():
            finish_run(means.archive, before.number, at=now)
        before = None
    sweep(means.home, None if before is None else before.id)
    wanted = due_sites(means.archive, sites, now) if asked.due else _left(means.archive, before, sites)
    if not wanted and before is None:
        return Night(None, (), len(sites))
    run = before or _begun(means.archive, request, now)
    done = []
    for number, watched in enumerate(wanted):
        if means.stop():
            break
        means.progress(number, len(wanted), f"{watched.name}: searching")
        done.append(_site_night(means, run, watched, asked))
    finished = len(done) == len(wanted) and not any(one.cut_short for one in done)
    _finish(means.archive, run, asked, finished=finished, at=means.clock())
    kept = run_named(means.archive, run.id)
    return Night(None if kept is None else run.id, tuple(done), len(sites) - len(wanted))


def _left(archive: Archive, before: Run | None, sites: Sequence[WatchedSite]) -> list[WatchedSite]:
    done = {} if before is None else sites_of(archive, before.number)
    return [one for one in sites if one.name not in done or done[one.name].step != "done"]


def _begun(archive: Archive, request: dict[str, object], now: datetime) -> Run:
    with archive.writing():
        id_ = new_run_id(archive, now)
        begin_run(archive, id_, request=request, started=now, software=packed(software()))
    run = run_named(archive, id_)
    assert run is not None
    return run


def _finish(archive: Archive, run: Run, asked: Asked, *, finished: bool, at: datetime) -> None:
    """Close a run; one that was asked for and found nothing new leaves no trace."""
    if not finished:
        return
    marks = sites_of(archive, run.number).values()
    empty = not asked.due and not any(one.scenes or one.fault or one.unread for one in marks)
    with archive.writing():
        if empty and not archive.value("SELECT count(*) FROM judgement WHERE run = ?", (run.number,)):
            archive.do("DELETE FROM run_site WHERE run = ?", (run.number,))
            archive.do("DELETE FROM run WHERE number = ?", (run.number,))
        else:
            finish_run(archive, run.number, at=at)


def _site_night(means: Means, run: Run, watched: WatchedSite, asked: Asked) -> SiteNight:
    """Do one site; what is wrong with it stays with it."""
    try:
        return _checked(means, run, watched, asked)
    except (ArchiveFault, Busy):
        raise
    except Exception as fault:  # noqa: BLE001 - one site must not take the others with it
        known = isinstance(fault, RailWatchError | OSError)
        text = str(fault) if known else f"unexpected {type(fault).__name__}: {str(fault)[:300]}"
        with means.archive.writing():
            mark_site(means.archive, run.number, _mark(means, run, watched, asked, "failed", fault=text))
        return SiteNight(watched, fault=text)


def _mark(means: Means, run: Run, watched: WatchedSite, asked: Asked, step: str, **more: object) -> SiteRun:
    now = means.clock()
    slot = slot_of(watched, now) if asked.due else None
    plain = SiteRun(run.id, watched.name, "waiting", slot, 0, 0, None, now)
    return replace(plain, step=step, **more)  # type: ignore[arg-type]


def _window(means: Means, watched: WatchedSite, asked: Asked) -> Interval:
    """Return the times whose new scenes are judged.

    The first check of a site with imagery on this machine takes all of it: there is nothing to wait for.
    """
    if not asked.due:
        return asked.when
    if watched.local and watched.name not in last_runs(means.archive):
        return None, None
    return means.clock() - watched.look_back, None


def _checked(means: Means, run: Run, watched: WatchedSite, asked: Asked) -> SiteNight:
    site = watched.site()
    state = local_state(watched.source)
    state = None if state is None else packed([state, site.digest, watched.sensor])
    same = asked.due and state is not None and state == kept_state(means.archive, watched.name)
    night = SiteNight(watched)
    if not same or unsettled(means.archive, site.id):
        night = _judged(means, run, (watched, site), asked)
        if night.cut_short:
            return night
    silence = _silence(means, watched, site) if asked.due else ()
    with means.archive.writing():
        if silence and means.tell is not None:
            means.tell(means.archive, watched, site, silence, Told(run.id, means.clock(), None))
        if asked.due:
            keep_state(means.archive, watched.name, state)
        mark_site(means.archive, run.number, _mark(means, run, watched, asked, "done", unread=len(night.unread)))
    return replace(night, news=(*night.news, *silence))


def _judged(means: Means, run: Run, what: tuple[WatchedSite, Site], asked: Asked) -> SiteNight:
    """Search the source, and judge what is new in it piece by piece."""
    watched, site = what
    window = _window(means, watched, asked)
    # A folder is listed whole, whatever is asked of it; a service on the network is asked for no more than is judged.
    when = (None, None) if watched.local else window
    found = means.find(site, when, source=watched.source, sensor=watched.sensor)
    entries = new_entries(means.archive, site.id, found.scenes, window)
    if asked.rejudge:
        entries = _again(means.archive, site, watched, found.scenes, window)
    night = SiteNight(watched, unread=tuple(found.faults), bare=watched.local and not found.scenes)
    began, parts = means.clock(), pieces(entries, most=PIECE)
    for number, part in enumerate(parts):
        if means.stop():
            return replace(night, cut_short=True)
        means.progress(
            number * PIECE, len(entries), f"{watched.name}: {_left_words(began, means.clock(), number, parts)}"
        )
        night = _piece(means, run, what, part, night)
    return night


def _left_words(began: datetime, now: datetime, number: int, parts: Sequence[object]) -> str:
    if number == 0:
        return "judging"
    minutes = (now - began).total_seconds() / number * (len(parts) - number) / 60
    return f"judging, about {minutes:.0f} min left"


def _again(
    archive: Archive, site: Site, watched: WatchedSite, refs: Sequence[imagery.SceneRef], window: Interval
) -> list[Entry]:
    """Return scenes that have no verdict of this version of rail-watch, these parameters and this site."""
    rows = archive.rows(
        "SELECT s.id FROM judgement AS j JOIN scene AS s ON s.number = j.scene JOIN site_version AS v "
        "ON v.number = s.site_version WHERE v.site = ? AND v.digest = ? AND j.software = ? AND j.parameters = ? "
        "AND j.status = 'used'",
        (site.id, site.digest, __version__, packed(_parameters(watched))),
    )
    done = {row["id"] for row in rows}
    return [entry_of(ref) for ref in refs if within(ref.when, window) and ref.id not in done]


def _parameters(watched: WatchedSite) -> dict[str, object]:
    """Return the parameters of a verdict, as `detect` writes them (see `archive.record.parameters_of`)."""
    return {"false_alarm_rate": watched.false_alarm_rate, "sensor": watched.sensor}


def _piece(
    means: Means, run: Run, what: tuple[WatchedSite, Site], part: Sequence[Entry], night: SiteNight
) -> SiteNight:
    """Judge one piece, write its reports, and keep it with the news it brings, all or nothing."""
    watched, site = what
    first, last = span_of(part)
    # What was judged before is judged along with it, so that a train still standing is known to be the same.
    options = DetectOptions((first - MEMORY, last), watched.sensor, watched.false_alarm_rate, means.jobs)
    try:
        result: DetectRun | None = means.judge(site, watched, options, run.started)
        detections = result.detections if result is not None else _nothing(site, watched, part, run)
    except NoUsableImagery:
        result, detections = None, _nothing(site, watched, part, run)
    ids = {entry.ref.id for entry in part}
    folder = means.home / "reports" / watched.name / run.id
    pictures: Sequence[Path] = ()
    if result is not None and means.report is not None and watched.reports:
        pictures = means.report(replace(result, detections=only(detections, ids)), folder)
    told = Told(run.id, means.clock(), folder if pictures else None, tuple(pictures))
    unread = _unread(result, detections, ids)
    with means.archive.writing():
        known = _known(means.archive, site.id, {acquisition_of(name) for name in ids})
        kept = record(means.archive, site, detections, run=run.number, scenes=ids)
        settled = {one.id for one in detections.scenes if one.status == "used" or one.reason != NOTHING_TO_COMPARE}
        for entry in part:
            keep_entry(means.archive, site.id, entry, settled=entry.ref.id in settled - set(unread))
        fresh = {name for name in kept.scenes if acquisition_of(name) not in known}
        simulated = any(one.simulated for one in detections.scenes)
        news = news_of(means.archive, site, fresh=fresh, now=told.now, simulated=simulated)
        recent = [one for one in news if told.now - one.when <= watched.look_back]
        if means.tell is not None:
            means.tell(means.archive, watched, site, recent, told)
        mark = SiteRun(run.id, watched.name, "searched", None, len(kept.scenes), len(unread), None, told.now)
        mark_site(means.archive, run.number, mark)
    status = {one.id: one.status for one in detections.scenes}
    return replace(
        night,
        new_scenes=night.new_scenes + len(kept.scenes),
        hidden=night.hidden + sum(status[name] == "skipped" for name in kept.scenes),
        unread=(*night.unread, *unread.values()),
        news=(*night.news, *news),
    )


def _known(archive: Archive, site: str, acquisitions: set[str]) -> set[str]:
    """Return those of some acquisitions that something could be seen in before."""
    sql = "SELECT number FROM judgement WHERE site = ? AND acquisition = ? AND status = 'used' LIMIT 1"
    return {one for one in acquisitions if archive.value(sql, (site, one)) is not None}


def only(detections: Detections, ids: set[str]) -> Detections:
    """Return a run's answer with the scenes of these ids as those asked for, and the others for comparison."""
    scenes = tuple(
        replace(one, status="baseline") if one.id not in ids and one.status == "used" else one
        for one in detections.scenes
        if one.id in ids or one.status != "skipped"
    )
    seen = tuple(one for one in detections.observations if one.scene in ids)
    return replace(detections, scenes=scenes, observations=seen)


def _unread(result: DetectRun | None, detections: Detections, ids: set[str]) -> dict[str, str]:
    """Return scene id to the reason, of those that could not be read."""
    if result is None:
        return {one.id: f"{one.id}: {one.reason}" for one in detections.scenes}
    return {
        item.ref.id: f"{item.ref.id}: {item.reason}" for item in result.unread if item.failed and item.ref.id in ids
    }


def _nothing(site: Site, watched: WatchedSite, part: Sequence[Entry], run: Run) -> Detections:
    """Return an answer that says of each scene that it could not be judged."""
    reason = "none of the scenes could be read and judged"
    scenes = [skipped_scene(e.ref, site, sensor=e.ref.platform or "unknown sensor", reason=reason) for e in part]
    return Detections(
        site=site.id,
        site_name=site.name,
        created=run.started,
        software=software(),
        parameters=_parameters(watched),
        scenes=tuple(scenes),
        observations=(),
        summary=(),
        aoi_digest=site.digest,
    )


def _silence(means: Means, watched: WatchedSite, site: Site) -> tuple[News, ...]:
    """Return that nothing could be seen of a site for longer than its rules bear."""
    last = last_clear_look(means.archive, site.id)
    if last is None:
        return ()
    days = (means.clock() - last).total_seconds() / 86_400
    if not any("nothing-seen" in rule.what and days >= rule.nothing_seen_days for rule in watched.rules):
        return ()
    text = f"Nothing could be seen of {site.name} since {last:%Y-%m-%d}: what came and went since then is not known."
    centre = site.polygon.centroid
    return (
        News(
            key=f"{site.id}:nothing-seen:{last:%Y-%m-%d}",
            kind="nothing-seen",
            site=site.id,
            when=means.clock(),
            sentence=text,
            cannot_tell="That nothing was seen does not mean that nothing was there.",
            lonlat=(round(centre.x, 6), round(centre.y, 6)),
            simulated=last_is_simulated(means.archive, site.id),
        ),
    )
