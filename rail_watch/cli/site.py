"""``rail-watch site``: name the sites that are watched."""

from __future__ import annotations

from pathlib import Path

import click

from rail_watch.cli.console import plain
from rail_watch.cli.home import home_of
from rail_watch.errors import BadInput


@click.group(name="site")
def command() -> None:
    """Add, list and remove the sites that are watched."""


@command.command()
@click.argument("name")
@click.option(
    "--aoi", "area", metavar="NAME|FILE", required=True, help="Its area of interest: a shipped name or a file."
)
@click.option("--source", metavar="PATH", help="Its imagery.  [default: the sample imagery, which is SIMULATED]")
@click.option("--sensor", metavar="WORD", help="Only scenes whose platform, constellation or instrument has this word.")
@click.pass_context
def add(ctx: click.Context, name: str, area: str, source: str | None, sensor: str | None) -> None:
    """Watch the site NAME from now on: writes HOME/sites/NAME.toml, which may be edited."""
    from rail_watch import aoi
    from rail_watch.cli.files import made, write_text
    from rail_watch.watch.sites import NAME, folder_of, read_site, site_text

    if not NAME.fullmatch(name):
        raise BadInput(f"{name[:80]!r} cannot be a site's name: use small letters, digits, - and _")
    aoi.read(area)
    path = folder_of(home_of(ctx)) / f"{name}.toml"
    if path.exists():
        raise BadInput(f"{path}: {name} is watched already; edit that file, or `rail-watch site remove {name}` first")
    where = area if area in aoi.shipped() else str(Path(area).absolute())
    local = source is not None and Path(source).exists()
    imagery = str(Path(source).absolute()) if local and source is not None else source
    with made(path.parent):
        write_text(path, site_text(aoi_path=where, source=imagery, sensor=sensor))
    read_site(path)
    click.echo(f"{path}: written; the next `rail-watch run --due` checks {name}")


@command.command(name="list")
@click.pass_context
def list_(ctx: click.Context) -> None:
    """List the watched sites with their imagery."""
    from rail_watch.watch.sites import folder_of, watched_sites

    home = home_of(ctx)
    if not any(folder_of(home).glob("*.toml")):
        click.echo(f"No site is named in {folder_of(home)}; the sample, which is SIMULATED, is watched:")
    for one in watched_sites(home):
        hours = one.every.total_seconds() / 3600
        click.echo(f"{one.name:<20} every {hours:g} h  {plain(one.aoi)}  {plain(one.source)}")


@command.command()
@click.argument("name")
@click.pass_context
def remove(ctx: click.Context, name: str) -> None:
    """Watch the site NAME no longer; what the archive holds of it stays."""
    from rail_watch.watch.sites import NAME, folder_of

    path = folder_of(home_of(ctx)) / f"{name}.toml"
    if not NAME.fullmatch(name) or not path.is_file():
        raise BadInput(f"{name[:80]!r}: no such site in {folder_of(home_of(ctx))}; see `rail-watch site list`")
    path.unlink()
    click.echo(f"{name} is watched no longer; its archive stays")
