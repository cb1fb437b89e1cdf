"""``rail-watch status``: how the watch is doing."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING

import click

from rail_watch.cli.console import plain
from rail_watch.cli.home import home_of, now, reading

if TYPE_CHECKING:
    from rail_watch.watch.health import Health, SiteHealth

FOUND = 10


@click.command(name="status")
@click.option(
    "--format", "style", type=click.Choice(("table", "json", "prometheus")), default="table", show_default=True,
    help="What goes to standard output.",
)  # fmt: skip
@click.option(
    "--blind-days", type=click.FloatRange(1), default=14.0, show_default=True,
    help="Name the sites without a clear look for this many days.",
)  # fmt: skip
@click.option("--exit-code", is_flag=True, help="End with status 10 when a check failed or was cut short.")
@click.pass_context
def command(ctx: click.Context, style: str, blind_days: float, exit_code: bool) -> None:
    """Say when each site was and will be checked, what failed, and what could not be seen for long."""
    from rail_watch.watch.health import health_of, metrics, status_document
    from rail_watch.watch.sites import watched_sites

    with reading(ctx) as archive:
        health = health_of(archive, watched_sites(home_of(ctx)), now())
    if style == "json":
        click.echo(json.dumps(status_document(health), indent=1))
    elif style == "prometheus":
        click.echo(metrics(health), nl=False)
    else:
        for line in _lines(health, blind_days):
            click.echo(line)
    ctx.exit(FOUND if exit_code and health.troubled else 0)


def _time(when: datetime | None) -> str:
    return "never" if when is None else f"{when:%Y-%m-%d %H:%M} UTC"


def _lines(health: Health, blind_days: float) -> list[str]:
    end = "  CUT SHORT: run it again, it is taken up" if health.cut_short else ""
    lines = [f"Last run   {health.last_run or 'none'}  {_time(health.last_started)}{end}"]
    if health.waiting_alerts:
        lines.append(f"Alerts     {health.waiting_alerts} wait to be sent")
    for one in health.sites:
        lines.append(
            f"{one.name:<20} checked {_time(one.last_check)}, next {_time(one.next_check)}, "
            + ("1 scene" if one.scenes == 1 else f"{one.scenes} scenes")
        )
        if one.fault is not None:
            lines.append(f"  FAILED: {plain(one.fault)}")
        lines += _blind(one, blind_days)
    return lines


def _blind(one: SiteHealth, blind_days: float) -> list[str]:
    if one.scenes == 0 and one.last_check is not None:
        return ["  no scene of it found yet in its source"]
    if one.days_blind is None:
        return ["  never seen clearly"] if one.last_check is not None else []
    if one.days_blind < blind_days:
        return []
    return [f"  no clear look for {one.days_blind:.0f} days (the last: {_time(one.last_clear)})"]
