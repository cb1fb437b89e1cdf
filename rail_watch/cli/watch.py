"""``rail-watch watch``: the daemon."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from rail_watch.cli.console import note, plain, talk_of, verbosity_options
from rail_watch.cli.home import home_of
from rail_watch.errors import RailWatchError

if TYPE_CHECKING:
    from rail_watch.cli.run import Work
    from rail_watch.watch.daemon import Notifier


@click.command(name="watch")
@click.option(
    "--pause", type=click.IntRange(1, 60), default=5, show_default=True, metavar="MINUTES",
    help="How long to wait before looking again whether a site is due.",
)  # fmt: skip
@click.option("--no-reports", is_flag=True, help="Write no pictures.")
@click.option("--jobs", type=click.IntRange(1, 64), default=1, show_default=True, help="Scenes read at the same time.")
@verbosity_options
@click.pass_context
def command(ctx: click.Context, pause: int, no_reports: bool, jobs: int) -> None:
    """Check sites as they fall due, until told to end: for containers and services.

    SIGTERM or Ctrl-C finishes the piece of work in hand and ends with status 0; a second one ends at once. Sites and
    channels are read anew before each look. Under systemd (Type=notify) it tells that it is ready and alive.
    """
    from rail_watch.cli.run import Work
    from rail_watch.watch.daemon import Notifier, loop, until_told

    home, notify = home_of(ctx), Notifier(os.environ)
    with until_told() as stop:
        work = Work(home, not no_reports, jobs, stop.asked)
        note(ctx, f"watching the sites of {home}; SIGTERM ends it")
        loop(lambda: _round(ctx, work, notify), stop, notify, pause_s=60 * pause)


def _round(ctx: click.Context, work: Work, notify: Notifier) -> str:
    """Do what is due; say what went wrong, and go on."""
    from rail_watch.cli.run import checked, print_night
    from rail_watch.watch.night import Asked
    from rail_watch.watch.sites import watched_sites

    alive = replace(work, alive=lambda: notify("WATCHDOG=1"))
    try:
        night = checked(ctx, alive, watched_sites(work.home), Asked())
    except RailWatchError as fault:
        if talk_of(ctx).level >= -1:
            click.echo(f"rail-watch: {plain(str(fault))}", err=True)
        return plain(str(fault))[:200]
    if night.sites:
        print_night(ctx, night)
    failed = sum(one.fault is not None for one in night.sites)
    return f"{len(night.sites)} sites checked, {failed} of them failed" if night.sites else "nothing is due"
