"""``rail-watch aoi``: list, show, check, make and refine areas of interest."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rail_watch.cli.aoi_new import edit, new
from rail_watch.cli.aoi_refine import command as refine

if TYPE_CHECKING:
    from rail_watch.aoi import Area, Site


@click.group(name="aoi")
def command() -> None:
    """List, show, check, make and refine areas of interest."""


@command.command(name="list")
def list_() -> None:
    """List the areas of interest that come with rail-watch."""
    from rail_watch import aoi

    for name in aoi.shipped():
        site = aoi.read(name)
        click.echo(f"{name:<20} {site.name}: {counts(site)}")


@command.command()
@click.argument("name")
def show(name: str) -> None:
    """Describe the area of interest NAME: a shipped name, a file, or a folder of files."""
    from rail_watch import aoi

    for number, site in enumerate(aoi.read_many(name)):
        for line in ("",) * (number > 0) + tuple(_description(site)):
            click.echo(line)


@command.command()
@click.argument("files", nargs=-1, required=True)
@click.pass_context
def validate(ctx: click.Context, files: tuple[str, ...]) -> None:
    """Check AOI FILES; every fault is one line on standard error, and the exit status is then 2."""
    from rail_watch import aoi
    from rail_watch.errors import BadAoi

    bad = False
    for file in files:
        try:
            faults: tuple[str, ...] = tuple(f"{file}: {fault}" for fault in aoi.validate(file))
        except BadAoi as fault:
            faults = (str(fault),)
        for line in faults:
            click.echo(line, err=True)
        bad = bad or bool(faults)
        if not faults:
            click.echo(f"{file}: good ({counts(aoi.read(file))})")
    if bad:
        ctx.exit(2)


@command.command()
def schema() -> None:
    """Print the JSON Schema of the AOI format."""
    file = Path(__file__).resolve().parents[1] / "aoi" / "schema" / "aoi.schema.json"
    click.echo(file.read_text(encoding="utf-8"), nl=False)


for _one in (new, edit, refine):
    command.add_command(_one)


def _plural(count: int, one: str, many: str | None = None) -> str:
    return f"{count} {one if count == 1 else many or one + 's'}"


def counts(site: Site) -> str:
    """Say in words what a site has."""
    parts = [
        (len(site.tracks), "track", None),
        (len(site.bridges), "bridge", None),
        (len(site.aprons), "apron", None),
        (len(site.sheds), "shed", None),
    ]
    return ", ".join(_plural(*part) for part in parts if part[0]) or "no tracks, bridges or aprons: change map only"


def _areas(title: str, areas: tuple[Area, ...]) -> Iterator[str]:
    from rail_watch.aoi.geometry import area_m2

    if areas:
        yield title
    for area in areas:
        yield f"  {area.id:<20} {area_m2(area.polygon):>9,.0f} m2  {area.name}"


def _lines(site: Site) -> Iterator[str]:
    from rail_watch.aoi.geometry import length_m

    if site.tracks:
        yield "Tracks"
    for track in site.tracks:
        gauge = f", gauge {track.gauge_mm} mm" if track.gauge_mm else ""
        yield f"  {track.id:<20} {length_m(track.line):>9,.0f} m   {track.name}{gauge}"
    if site.bridges:
        yield "Bridges"
    for bridge in site.bridges:
        width = f", deck {bridge.deck_width_m:g} m wide" if bridge.deck_width_m else ""
        yield f"  {bridge.id:<20} {length_m(bridge.line):>9,.0f} m   {bridge.name}{width}"


def _place(lon: float, lat: float) -> str:
    east = (lon + 180) % 360 - 180
    return f"{abs(lat):.4f} {'N' if lat >= 0 else 'S'}, {abs(east):.4f} {'E' if east >= 0 else 'W'}"


def _description(site: Site) -> Iterator[str]:
    from rail_watch.aoi.geometry import area_m2

    centre = site.polygon.centroid
    yield f"{site.name} ({site.id})"
    yield f"  centre    {_place(centre.x, centre.y)}"
    yield f"  area      {area_m2(site.polygon) / 1e6:,.3g} km2"
    yield f"  accuracy  {'not stated' if site.accuracy_m is None else f'{site.accuracy_m:g} m'}"
    yield f"  source    {site.source or 'not stated'}"
    yield f"  clock     {site.timezone or 'UTC only'}"
    if site.linked:
        yield f"  linked    {', '.join(site.linked)}"
    yield from _lines(site)
    yield from _areas("Aprons", site.aprons)
    yield from _areas("Sheds", site.sheds)
    yield from _areas("Stable ground", site.stables)
    yield from _areas("Not judged", site.excludes)
