"""``rail-watch run``: one check of the watched sites."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rail_watch.cli.console import Bar, note, plain, talk_of, verbosity_options
from rail_watch.cli.home import home_of, now, stopping
from rail_watch.cli.options import source_of
from rail_watch.errors import BadInput

if TYPE_CHECKING:
    from rail_watch.aoi.site import Site
    from rail_watch.archive import Archive
    from rail_watch.detect import DetectOptions, DetectRun
    from rail_watch.watch.health import HealthSettings
    from rail_watch.watch.night import Asked, Means, Night, SiteNight
    from rail_watch.watch.sites import WatchedSite

PARTLY = 3
MOST_LINES = 12
"""Pieces of news printed of one site, the latest."""


@click.command(name="run")
@click.option("--due", is_flag=True, help="Check every watched site whose check is due.")
@click.option(
    "--aoi", "names", metavar="NAME", multiple=True, help="Check this watched site, due or not. May be repeated."
)
@click.option(
    "--datetime",
    "interval",
    metavar="INTERVAL",
    help="With --aoi: judge scenes of this ISO 8601 interval, years back if need be.  [default: all]",
)
@click.option(
    "--rejudge",
    is_flag=True,
    help="With --aoi: judge again what another version, other parameters or another drawing of the site judged; "
    "both verdicts are kept.",
)
@click.option("--no-reports", is_flag=True, help="Write no pictures.")
@click.option("--jobs", type=click.IntRange(1, 64), default=1, show_default=True, help="Scenes read at the same time.")
@verbosity_options
@click.pass_context
def command(  # noqa: PLR0913, PLR0917 - one argument for each option
    ctx: click.Context,
    due: bool,
    names: tuple[str, ...],
    interval: str | None,
    rejudge: bool,
    no_reports: bool,
    jobs: int,
) -> None:
    """Check the watched sites once: search, judge, report, archive, alert.

    With no site named in HOME/sites (see `rail-watch site`), the shipped sample sites are watched. A run that was cut
    short is taken up by running it again; what is in the archive already is not done again.

    \b
    Exit status
       0  ran, whatever it found
       1  error: no site could be checked, or the archive cannot be written
       2  bad usage or bad input
       3  partly done: some sites or scenes could not be checked, or SIGTERM
          came; the rest is kept, and is taken up by the next run
       5  another run works on the archive; nothing was done
    """  # noqa: D301 - click reads the backspace
    if due == bool(names):
        raise BadInput("say either --due (all sites that are due) or --aoi NAME; see `rail-watch run --help`")
    if due and (interval or rejudge):
        raise BadInput("--datetime and --rejudge go with --aoi NAME; a nightly check looks back as its site says")
    from rail_watch.imagery import parse_interval
    from rail_watch.watch.night import Asked
    from rail_watch.watch.sites import chosen, watched_sites

    home = home_of(ctx)
    sites = watched_sites(home)
    if names:
        sites = chosen(sites, names)
    when = (None, None) if interval is None else parse_interval(interval)
    with stopping() as stop:
        work = Work(home, not no_reports, jobs, stop)
        night = checked(ctx, work, sites, Asked(due, when, rejudge))
        stopped = stop()
    print_night(ctx, night)
    ctx.exit(status_of(night, stopped=stopped))


def status_of(night: Night, *, stopped: bool) -> int:
    """Return the exit status for what a run did."""
    faults = [one for one in night.sites if one.fault is not None]
    if faults and len(faults) == len(night.sites):
        return 1
    return PARTLY if faults or stopped or any(one.unread or one.cut_short for one in night.sites) else 0


@dataclass(frozen=True)
class Work:
    """How a run is done."""

    home: Path
    reports: bool
    jobs: int
    stop: Callable[[], bool]
    alive: Callable[[], None] = lambda: None
    """Called whenever a step is made."""


def checked(ctx: click.Context, work: Work, sites: Sequence[WatchedSite], asked: Asked) -> Night:
    """Do one run on the archive of a home, and say that it was done."""
    from rail_watch.archive import archive_place, open_archive
    from rail_watch.watch.channels import channels_of
    from rail_watch.watch.health import health_settings
    from rail_watch.watch.lock import one_run
    from rail_watch.watch.night import run_night
    from rail_watch.watch.outbox import send_all

    settings = health_settings(work.home)
    bar = Bar(talk_of(ctx))

    def step(done: int, of: int, what: str) -> None:
        work.alive()
        bar(done, of, what)

    try:
        place = archive_place(work.home, os.environ)
        with one_run(work.home), open_archive(place) as archive, archive.engine.only_run():
            channels = channels_of(work.home, archive, clock=now, environment=os.environ)
            night = run_night(means_of(work, archive, step), sites, asked)
            for fault in send_all(archive, channels, now()).faults:
                note(ctx, fault)
            tell_health(ctx, archive, sites, settings, failed=status_of(night, stopped=False) != 0)
            return night
    finally:
        bar.close()


def tell_health(
    ctx: click.Context, archive: Archive, sites: Sequence[WatchedSite], settings: HealthSettings, *, failed: bool
) -> None:
    """Ping the dead man's switch and write the metrics, where the home asks for them."""
    from rail_watch.cli.files import write_text
    from rail_watch.watch.health import health_of, metrics, ping

    if settings.metrics_file is not None:
        try:
            write_text(settings.metrics_file, metrics(health_of(archive, sites, now())))
        except OSError as fault:
            note(ctx, f"{settings.metrics_file}: cannot be written ({fault.strerror})")
    if settings.ping_url is not None:
        trouble = ping(settings.ping_url, failed=failed)
        if trouble is not None:
            note(ctx, trouble)


def means_of(work: Work, archive: Archive, progress: Callable[[int, int, str], None]) -> Means:
    """Return what a run works with: the real detector, the real reports, the real clock."""
    from rail_watch.watch.night import Means
    from rail_watch.watch.outbox import teller

    return Means(
        home=work.home,
        archive=archive,
        clock=now,
        judge=_judge,
        report=_report if work.reports else None,
        tell=teller(work.home),
        stop=work.stop,
        progress=progress,
        jobs=work.jobs,
    )


def _judge(site: Site, watched: WatchedSite, options: DetectOptions, created: datetime) -> DetectRun:
    from rail_watch.detect import detect_sites

    source = source_of(watched.source, None, offline=False, cache=True)
    return detect_sites([site], source=source or watched.source, options=options, created=created)[0]


def _report(run: DetectRun, folder: Path) -> list[Path]:
    from rail_watch.cli.files import write_answer

    try:
        return write_answer(run, folder)
    except BadInput as fault:
        mended = str(fault).replace("choose another folder with --out", "make room, or name another folder with --home")
        raise BadInput(mended) from fault


def print_night(ctx: click.Context, night: Night) -> None:
    """Say what a run found out; when asked to be quiet, only of sites with news or trouble: cron mails each line."""
    quiet = talk_of(ctx).level < 0
    for one in night.sites:
        for line in () if quiet and not (one.news or one.fault or one.unread) else _lines(one):
            click.echo(line)
        if one.fault is not None:
            click.echo(f"rail-watch: {plain(one.site.name)} could not be checked: {plain(one.fault)}", err=True)
        for reason in one.unread:
            click.echo(f"rail-watch: could not read {plain(reason)}", err=True)
    if not night.sites and not quiet:
        click.echo("Nothing is due." if night.not_due else "Nothing to do.")
    elif night.run is not None and night.sites:
        note(ctx, f"run {night.run}; see `rail-watch status` and `rail-watch history`", level=1)


def _lines(one: SiteNight) -> list[str]:
    """Say of one site what is new, and what could not be seen."""
    if one.fault is not None:
        return [f"{plain(one.site.name)}: could not be checked"]
    if one.bare and not one.news:
        return [f"{plain(one.site.name)}: its source holds no scene of it"]
    many = "1 new scene" if one.new_scenes == 1 else f"{one.new_scenes or 'no'} new scenes"
    hidden = f", {one.hidden} of them showed nothing" if one.hidden else ""
    news = [piece for piece in one.news if piece.kind != "novelty"]
    quiet = "" if news or not one.new_scenes else "; nothing new to be seen"
    lines = [f"{plain(one.site.name)}: {many}{hidden}{quiet}"]
    if len(news) > MOST_LINES:
        lines.append(f"  {len(news) - MOST_LINES} earlier pieces of news: rail-watch history --aoi {one.site.name}")
    for piece in news[-MOST_LINES:]:
        mark = "SIMULATED  " if piece.simulated else ""
        lines.append(f"  {mark}{plain(piece.sentence)}")
        lines += [f"    {plain(sentence)}" for sentence in piece.new_on_record]
    return lines
