"""``rail-watch archive``: check, copy and export the archive."""

from __future__ import annotations

from pathlib import Path

import click

from rail_watch.cli.home import reading
from rail_watch.errors import BadInput


@click.group(name="archive")
def command() -> None:
    """Check, copy and export the archive."""


@command.command()
@click.pass_context
def check(ctx: click.Context) -> None:
    """Look for damage; every fault is one line on standard error, and the exit status is then 1."""
    with reading(ctx) as archive:
        faults = archive.check()
        for fault in faults:
            click.echo(f"{archive.path}: {fault}", err=True)
        if faults:
            ctx.exit(1)
        scenes = archive.value("SELECT count(*) FROM judgement")
        click.echo(f"{archive.path}: good ({scenes} scenes judged)")


@command.command()
@click.argument("target", type=click.Path(path_type=Path, dir_okay=False))
@click.pass_context
def backup(ctx: click.Context, target: Path) -> None:
    """Copy the archive to the file TARGET, also while a run writes to it."""
    if target.exists():
        raise BadInput(f"{target}: is there already; name a new file")
    with reading(ctx) as archive:
        archive.backup(target)
    click.echo(f"{target}: written")


@command.command()
@click.pass_context
def export(ctx: click.Context) -> None:
    """Print the archive as sorted lines of JSON: the same content gives the same bytes."""
    from rail_watch.archive.export import export_lines

    with reading(ctx) as archive:
        for line in export_lines(archive):
            click.echo(line)
