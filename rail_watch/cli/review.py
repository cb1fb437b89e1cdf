"""``rail-watch review``: an analyst's word beside the machine's."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rail_watch.cli.console import plain
from rail_watch.cli.home import home_of, now, reading, write_csv
from rail_watch.errors import BadInput

if TYPE_CHECKING:
    from rail_watch.archive import Archive
    from rail_watch.archive.review import Review
    from rail_watch.observe.records import Observation

COLUMNS = ("observation", "reviewer", "at", "verdict", "railcars", "length_m", "note")
MOST_BYTES = 20_000_000


@click.group(name="review")
def command() -> None:
    """Confirm, reject and correct observations; the machine's answer stays as it is."""


_aoi = click.option("--aoi", "name", metavar="NAME", required=True, help="Id of a site in the archive.")
_who = click.option(
    "--reviewer", metavar="NAME", envvar="RAIL_WATCH_REVIEWER", required=True,
    help="Who reviews.  [default: $RAIL_WATCH_REVIEWER]",
)  # fmt: skip


def _unreviewed(archive: Archive, site: str) -> list[Observation]:
    from rail_watch.archive.observations import observations_between
    from rail_watch.archive.review import reviews_by_observation

    done = reviews_by_observation(archive, site)
    return [one for one in observations_between(archive, site) if one.id not in done]


@command.command(name="list")
@_aoi
@click.pass_context
def list_(ctx: click.Context, name: str) -> None:
    """List the observations that nobody has reviewed."""
    with reading(ctx) as archive:
        for one in _unreviewed(archive, name):
            click.echo(f"{one.id}  {one.when:%Y-%m-%d %H:%M}  {plain(one.text)}")


@command.command()
@click.argument("observation")
@click.argument("verdict", type=click.Choice(("confirm", "reject", "correct", "note")))
@_who
@click.option("--railcars", type=int, help="With correct: how many there are.")
@click.option("--length", "length_m", type=float, help="With correct: how long it is, in metres.")
@click.option("--note", "text", default="", help="What else there is to say.")
@click.pass_context
def add(  # noqa: PLR0913, PLR0917 - one argument for each option
    ctx: click.Context,
    observation: str,
    verdict: Any,
    reviewer: str,
    railcars: int | None,
    length_m: float | None,
    text: str,
) -> None:
    """Say one thing of one OBSERVATION."""
    from rail_watch.archive.review import Review

    with _writing(ctx) as archive:
        _keep(archive, [Review(observation, reviewer, now(), verdict, railcars, length_m, text)])


@command.command()
@_aoi
@_who
@click.pass_context
def ask(ctx: click.Context, name: str, reviewer: str) -> None:
    """Go through the observations that nobody has reviewed, one question each."""
    from rail_watch.archive.review import Review

    with _writing(ctx) as archive:
        for one in _unreviewed(archive, name):
            click.echo(f"\n{one.when:%Y-%m-%d %H:%M UTC}  {plain(one.text)}")
            letter = click.prompt(
                "[c]onfirm, [r]eject, c[o]rrect, [s]kip, [q]uit", type=click.Choice(tuple("crosq")), show_choices=False
            )
            if letter == "q":
                break
            if letter == "s":
                continue
            verdict: Any = {"c": "confirm", "r": "reject", "o": "correct"}[letter]
            cars = click.prompt("Railcars", type=int) if verdict == "correct" else None
            text = click.prompt("Note", default="", show_default=False)
            _keep(archive, [Review(one.id, reviewer, now(), verdict, cars, None, text)])


@command.command()
@_aoi
@click.pass_context
def export(ctx: click.Context, name: str) -> None:
    """Print the reviews of a site as CSV; `import` reads it."""
    from rail_watch.archive.review import reviews_by_observation

    with reading(ctx) as archive:
        found = [one for given in reviews_by_observation(archive, name).values() for one in given]
    write_csv(list(COLUMNS), [[one[column] for column in COLUMNS] for one in found])


@command.command(name="import")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.pass_context
def import_(ctx: click.Context, file: Path) -> None:
    """Read reviews from FILE: CSV as `export` prints it, or a JSON list of objects with the same members."""
    reviews = [_review(row, f"{file}: review {number}") for number, row in enumerate(_rows(file), start=1)]
    with _writing(ctx) as archive:
        _keep(archive, reviews)


@command.command()
@_aoi
@click.pass_context
def agreement(ctx: click.Context, name: str) -> None:
    """Say how often people agree with the machine, with the 95 % interval."""
    from rail_watch.archive import review

    with reading(ctx) as archive:
        found = review.agreement(review.reviews_by_observation(archive, name))
    if found.share is None or found.share_95 is None:
        click.echo("Nobody has given a verdict yet.")
        return
    low, high = found.share_95
    click.echo(
        f"{found.confirmed} confirmed, {found.corrected} corrected, {found.rejected} rejected: the machine was right "
        f"that something is there in {found.share:.0%} (95 %: {low:.0%}-{high:.0%})"
    )


def _writing(ctx: click.Context) -> Archive:
    from rail_watch.archive import archive_place, open_archive

    reading(ctx).close()  # there must be one already
    return open_archive(archive_place(home_of(ctx), os.environ))


def _keep(archive: Archive, reviews: list[Review]) -> None:
    from rail_watch.archive.review import keep_reviews

    new = keep_reviews(archive, reviews)
    known = len(reviews) - new
    click.echo(f"{new} kept" + (f", {known} were there already" if known else ""))


def _rows(file: Path) -> Iterator[dict[str, Any]]:
    try:
        if file.stat().st_size > MOST_BYTES:
            raise BadInput(f"{file}: larger than {MOST_BYTES:,} bytes; split it")
        text = file.read_text(encoding="utf-8-sig")
        rows: Any = json.loads(text) if text.lstrip()[:1] in ("[", "{") else list(csv.DictReader(text.splitlines()))
    except OSError as fault:
        raise BadInput(f"{file}: cannot be read ({fault.strerror})") from fault
    except (ValueError, RecursionError, csv.Error) as fault:
        raise BadInput(f"{file}: neither CSV nor JSON ({fault})") from fault
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise BadInput(f"{file}: must be a list of reviews with the members {', '.join(COLUMNS)}")
    yield from rows


def _review(row: dict[str, Any], where: str) -> Review:
    from rail_watch.archive.review import Review, check
    from rail_watch.imagery.interval import parse_time

    try:
        cars, length = row.get("railcars"), row.get("length_m")
        review = Review(
            observation=str(row["observation"]),
            reviewer=_text(row["reviewer"]),
            at=parse_time(str(row["at"])),
            verdict=row["verdict"],
            railcars=None if cars in (None, "") else int(cars),
            length_m=None if length in (None, "") else float(length),
            note=_text(row.get("note") or ""),
        )
    except KeyError as fault:
        raise BadInput(f"{where}: lacks {fault}; needed are observation, reviewer, at, verdict") from fault
    except (TypeError, ValueError) as fault:
        raise BadInput(f"{where}: {fault}") from fault
    check(review)
    return review


def _text(value: object) -> str:
    """Return a text without the quote that keeps spreadsheets from taking it for a formula."""
    text = str(value)
    return text[1:] if text[:1] == "'" and text[1:2] in ("=", "+", "-", "@") else text
