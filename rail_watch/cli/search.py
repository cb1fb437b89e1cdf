"""``rail-watch search``: what imagery there is over an area of interest, and when satellites come next."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from rail_watch.cli.console import note, plain, verbosity_options
from rail_watch.cli.options import source_of, stamp, table_or_json_option

if TYPE_CHECKING:
    from datetime import datetime

    from rail_watch.aoi import Site
    from rail_watch.imagery.catalogue import Found
    from rail_watch.providers import Source
    from rail_watch.providers.survey import Look, Overpass

PARTLY = 3
SATELLITES = ("sentinel-2", "sentinel-1", "landsat")
HEAD = ("time (UTC)", "sensor", "GSD m", "covered", "clear", "off-nadir", "sun", "scene")


@click.command(name="search")
@click.option("--aoi", "name", metavar="NAME|PATH", required=True, help="Area of interest: a shipped name or a file.")
@click.option(
    "--source",
    metavar="PATH|NAME|URL",
    help="Where to look: a folder or file, earth-search, planetary-computer, cdse, planet, or a STAC API's address."
    "  [default: earth-search]",
)
@click.option("--items", metavar="FILE|-", help="In place of --source: a STAC ItemCollection.")
@click.option(
    "--datetime",
    "interval",
    metavar="INTERVAL",
    help="ISO 8601 interval: 2022-11, or first/last.  [default: the last 30 days]",
)
@click.option("--sensor", metavar="WORD", help="Only scenes whose platform, constellation or instrument has this word.")
@table_or_json_option()
@click.option(
    "--next",
    "upcoming",
    is_flag=True,
    help="List the overpasses of the next 16 days too, reckoned from those of the last 30.",
)
@click.option("--clear/--no-clear", default=True, help="Read the quality layers over the site (a request or two each).")
@click.option("--offline", is_flag=True, help="Never use the network: what the cache holds.")
@click.option("--cache/--no-cache", default=True, help="Keep windows read from the network; see `rail-watch cache`.")
@verbosity_options
@click.pass_context
def command(ctx: click.Context, /, name: str, source: str | None, items: str | None, **options: Any) -> None:
    """List the scenes that show an area of interest.

    \b
    rail-watch search --aoi khasan
    rail-watch search --aoi khasan --datetime 2022-10-01/2022-12-31
    rail-watch search --aoi yard.geojson --source imagery/ --datetime ../..

    `covered` and `clear` are shares of the site, not of the scene: a scene that is 80 % cloud may show the yard, and
    one that is 5 % cloud may not; `?` where it is not known. `sun` is its height. Overpasses (--next) follow from the
    repeat cycles of the Sentinel and Landsat satellites that the source has of the last 30 days, good to some minutes.

    \b
    Exit status
       0  ran, whatever it found
       2  bad usage or bad input
       3  some of it could not be had; the rest is listed
    """  # noqa: D301 - click reads the backspace
    now = stamp()
    from rail_watch import aoi

    where = source if source is not None or items is not None else "earth-search"
    chosen = source_of(where, items, offline=options["offline"], cache=options["cache"])
    assert chosen is not None
    site = aoi.read(name)
    found, passes = _found(site, chosen, options, now)
    from rail_watch.providers.survey import looks

    listed = looks(found.scenes, site, read=options["clear"])
    if options["style"] == "json":
        click.echo(json.dumps(_document(site, listed, passes), indent=1, ensure_ascii=False))
    else:
        _table(site, listed)
        _overpasses(passes)
    for line in found.notes:
        note(ctx, line, level=1)
    trouble = [*found.faults, *(f"{one.ref.id}: {one.trouble}" for one in listed if one.trouble)]
    for line in trouble:
        click.echo(f"rail-watch: {plain(line)}", err=True)
    ctx.exit(PARTLY if trouble else 0)


def _found(site: Site, source: Source, options: dict[str, Any], now: datetime) -> tuple[Found, list[Overpass] | None]:
    """Search the interval, and what came before for the overpasses to come."""
    from dataclasses import replace
    from datetime import timedelta

    from rail_watch.imagery import parse_interval
    from rail_watch.imagery.interval import within
    from rail_watch.providers import find, known_names
    from rail_watch.providers.survey import coming

    month = (now - timedelta(days=30), now)
    when = month if options["interval"] is None else parse_interval(options["interval"])
    found = find(site, when, source=source, sensor=options["sensor"], around=timedelta(0))
    passes = None
    if options["upcoming"]:
        # A provider by name is asked for each family: what it is not asked for, it leaves out.
        one = options["sensor"] is not None or source.where not in known_names()
        words = [options["sensor"]] if one else SATELLITES
        recent = [find(site, month, source=source, sensor=word, around=timedelta(0)) for word in words]
        passes = coming([ref for part in recent for ref in part.scenes], now=now)
        faults = dict.fromkeys([*found.faults, *(line for part in recent for line in part.faults)])
        found = replace(found, faults=tuple(faults))
    return replace(found, scenes=tuple(ref for ref in found.scenes if within(ref.when, when))), passes


def _percent(value: float | None) -> str:
    return "?" if value is None else f"{value:.0%}"


def _degrees(value: float | None) -> str:
    return "?" if value is None else f"{value:.0f}°"


def _row(look: Look) -> tuple[str, ...]:
    ref = look.ref
    gsd = "?" if ref.gsd_m is None else f"{ref.gsd_m:g}"
    return (
        f"{ref.when:%Y-%m-%d %H:%M}",
        plain(ref.platform or ref.constellation or "?")[:28],
        gsd,
        _percent(look.coverage),
        _percent(look.clear),
        _degrees(ref.off_nadir_deg),
        _degrees(ref.sun_elevation_deg),
        plain(ref.id),
    )


def _table(site: Site, listed: list[Look]) -> None:
    click.echo(f"{plain(site.name)} ({site.id}): {len(listed)} scene(s)")
    if not listed:
        return
    rows = [HEAD, *(_row(look) for look in listed)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _overpasses(passes: list[Overpass] | None) -> None:
    if passes is None:
        return
    click.echo()
    none = "none known (no Sentinel or Landsat scene of the last 30 days in this source, with its orbit)"
    click.echo(f"Next overpasses (UTC): {len(passes) or none}")
    for one in passes:
        click.echo(f"{one.when:%Y-%m-%d %H:%M}  {plain(one.platform)}  {one.track}")


def _document(site: Site, listed: list[Look], passes: list[Overpass] | None) -> dict[str, object]:
    scenes = [
        {
            "id": look.ref.id,
            "datetime": f"{look.ref.when:%Y-%m-%dT%H:%M:%SZ}",
            "platform": look.ref.platform,
            "collection": look.ref.properties.get("collection"),
            "gsd_m": look.ref.gsd_m,
            "coverage": None if look.coverage is None else round(look.coverage, 4),
            "clear_fraction": None if look.clear is None else round(look.clear, 4),
            "scene_cloud_percent": look.cloud_percent,
            "off_nadir_deg": look.ref.off_nadir_deg,
            "sun_elevation_deg": look.ref.sun_elevation_deg,
            "tiles": [tile.id for tile in look.ref.tiles],
            "simulated": look.ref.simulated,
        }
        for look in listed
    ]
    document: dict[str, object] = {"schema": "rail-watch/search/1", "aoi": site.id, "scenes": scenes}
    if passes is not None:
        document["next"] = [
            {"datetime": f"{one.when:%Y-%m-%dT%H:%M:%SZ}", "platform": one.platform, "track": one.track}
            for one in passes
        ]
    return document
