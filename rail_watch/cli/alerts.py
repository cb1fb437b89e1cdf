"""``rail-watch alerts``: what was told, what waits, and whether the channels work."""

from __future__ import annotations

import json
import os

import click

from rail_watch.cli.console import plain
from rail_watch.cli.home import home_of, now, reading
from rail_watch.errors import BadInput, RailWatchError


@click.group(name="alerts")
def command() -> None:
    """List, send and try out alerts."""


@command.command(name="list")
@click.option("--most", type=click.IntRange(1), default=20, show_default=True, help="How many, the latest.")
@click.pass_context
def list_(ctx: click.Context, most: int) -> None:
    """List the latest alerts and whether they were sent."""
    with reading(ctx) as archive:
        rows = archive.rows(
            "SELECT a.message, d.channel, d.sent, d.fault, d.attempts FROM alert AS a JOIN delivery AS d ON d.alert = "
            "a.number ORDER BY a.datetime DESC, a.key DESC LIMIT ?",
            (most,),
        )
    for row in reversed(rows):
        state = f"sent {row['sent'][:16]}" if row["sent"] else f"waits after {row['attempts']} attempts"
        fault = f" ({plain(row['fault'])})" if row["fault"] else ""
        click.echo(f"{plain(row['channel'])}: {state}{fault}: {plain(json.loads(row['message'])['sentence'])}")


@command.command()
@click.pass_context
def send(ctx: click.Context) -> None:
    """Send what waits and may be sent now; `run` does so too."""
    from rail_watch.archive import archive_place, open_archive
    from rail_watch.watch.channels import channels_of
    from rail_watch.watch.lock import one_run
    from rail_watch.watch.outbox import send_all

    home = home_of(ctx)
    reading(ctx).close()
    with one_run(home), open_archive(archive_place(home, os.environ)) as archive, archive.engine.only_run():
        done = send_all(archive, channels_of(home, archive, clock=now, environment=os.environ), now())
    for fault in done.faults:
        click.echo(f"rail-watch: {plain(fault)}", err=True)
    click.echo(f"{done.sent} sent, {done.failed} not taken")
    ctx.exit(1 if done.failed else 0)


@command.command()
@click.argument("channel")
@click.pass_context
def test(ctx: click.Context, channel: str) -> None:
    """Send a message to CHANNEL that says it is a test; it enters no archive."""
    from rail_watch.archive import archive_place, open_archive
    from rail_watch.watch.channels import channels_of
    from rail_watch.watch.outbox import ChannelFault, key_of

    home, moment = home_of(ctx), now()
    with open_archive(archive_place(home, os.environ)) as archive:
        channels = channels_of(home, archive, clock=now, environment=os.environ)
        if channel not in channels:
            raise BadInput(f"{channel[:60]!r}: no such channel; there are {', '.join(channels)} (see channels.toml)")
        try:
            channels[channel].send([_message(moment.isoformat().replace("+00:00", "Z"))], key_of([str(moment)]))
        except ChannelFault as fault:
            raise RailWatchError(f"{channel}: {fault}") from fault
    click.echo(f"{channel}: the test message was taken")


EMPTY = (
    "likelihood", "length_m", "railcars", "area_m2", "lonlat", "scene", "observation", "run", "picture", "evidence",
)  # fmt: skip


def _message(when: str) -> dict[str, object]:
    return {
        "schema": "rail-watch/alert/1",
        "key": f"test:{when}",
        "kind": "test",
        "aoi": "test",
        "name": "rail-watch",
        "datetime": when,
        "simulated": True,
        "sentence": "This is a test of the channel; nothing was seen.",
        "new_on_record": [],
        "cannot_tell": "Nothing was looked at.",
        **dict.fromkeys(EMPTY),
    }
