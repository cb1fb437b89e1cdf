"""``rail-watch simulate``: make SIMULATED imagery with known truth."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rail_watch.aoi.site import Site
    from rail_watch.simulate.story import Story

SENSOR_NAMES = ("skysat-like", "planetscope-like", "sentinel-2-like")


@click.command(name="simulate")
@click.option("--aoi", "aoi_name", metavar="NAME|FILE", help="Site to render: a shipped name or an AOI file.")
@click.option(
    "--sensor",
    "sensors",
    type=click.Choice(SENSOR_NAMES),
    multiple=True,
    help="Sensor to imitate (0.5, 3 and 10 m); may be given more than once.  [default: skysat-like]",
)
@click.option("--datetime", "times", metavar="TIME", multiple=True, help="When, e.g. 2024-01-13T02:10Z; repeatable.")
@click.option(
    "--story",
    "story_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Story file that says what stands where and when, and which pictures are taken (instead of the above).",
)
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Same seed, same pictures.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder to write to.")
def command(  # noqa: PLR0917 - one argument for each option
    aoi_name: str | None,
    sensors: tuple[str, ...],
    times: tuple[str, ...],
    story_file: Path | None,
    seed: int,
    out: Path,
) -> None:
    """Make SIMULATED imagery of a site, with its truth.

    Writes a static STAC catalogue of GeoTIFFs and truth.json, which says what stands on every track. Either play a
    --story, or give --aoi and one --datetime or more: trains and cargo are then drawn at random by --seed.
    Everything written says SIMULATED; no satellite took any of it.
    """
    from rail_watch.simulate.series import play

    if story_file is not None:
        if aoi_name or times or sensors:
            raise click.UsageError(
                "--story says itself which sites, times and sensors; give nothing beside it but --out"
            )
        story, sites = _told(story_file)
    elif aoi_name and times:
        story, sites = _drawn(aoi_name, sensors or SENSOR_NAMES[:1], times, seed=seed)
    else:
        raise click.UsageError("give --story FILE, or --aoi and --datetime")
    play(story, sites, out, progress=_note)
    click.echo(f"{out / 'catalog.json'}")


def _note(number: int, total: int, scene: str) -> None:
    click.echo(f"{number}/{total} {scene}", err=True)


def _told(path: Path) -> tuple[Story, dict[str, Site]]:
    from rail_watch import aoi
    from rail_watch.simulate.story import read_story

    story = read_story(path)
    beside = {name: path.parent / told.aoi for name, told in story.sites.items()}
    return story, {
        name: aoi.read(beside[name] if beside[name].is_file() else told.aoi) for name, told in story.sites.items()
    }


def _drawn(name: str, sensors: tuple[str, ...], times: tuple[str, ...], *, seed: int) -> tuple[Story, dict[str, Site]]:
    from rail_watch import aoi
    from rail_watch.simulate.random_story import Habits, story_of

    site = aoi.read(name)
    story = story_of(site, sensors, [_time(text) for text in times], seed=seed, habits=Habits(busy=0.55))
    return story, {site.id: site}


def _time(text: str) -> datetime:
    from datetime import UTC

    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is no ISO 8601 time such as 2024-01-13T02:10Z") from error
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
