"""``rail-watch history``: what the archive says of a site over time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from rail_watch.cli.console import plain
from rail_watch.cli.home import home_of, reading, write_csv
from rail_watch.errors import BadInput

if TYPE_CHECKING:
    from rail_watch.archive.history import History

MARKS = {"occupied": "#", "empty": ".", "unknown": "?"}


@click.command(name="history")
@click.option("--aoi", "name", metavar="NAME", required=True, help="A watched site, or the id of one in the archive.")
@click.option(
    "--what", type=click.Choice(("stays", "looks", "months")), default="stays", show_default=True,
    help="Trains and cargo with when they came and left; every track, deck and apron at every scene; counts by month. "
    "JSON holds all three.",
)  # fmt: skip
@click.option("--datetime", "interval", metavar="INTERVAL", help="Only this ISO 8601 interval.  [default: all]")
@click.option(
    "--format", "style", type=click.Choice(("table", "json", "csv", "geojson")), default="table", show_default=True,
    help="What goes to standard output; geojson holds the stays.",
)  # fmt: skip
@click.pass_context
def command(ctx: click.Context, name: str, what: str, interval: str | None, style: str) -> None:
    """Show what stood at a site and when, by the archive.

    What came did so between the last look that would have shown it and did not, and the first that did; so with what
    left. A look under cloud, or too coarse for it, says nothing, and is not counted as one that saw nothing.
    """
    from rail_watch.archive.history import document, geojson, history_of
    from rail_watch.imagery import parse_interval

    when = (None, None) if interval is None else parse_interval(interval)
    with reading(ctx) as archive:
        history = history_of(archive, _site_id(ctx, name), when)
    if style == "json":
        click.echo(json.dumps(document(history), indent=1))
    elif style == "geojson":
        click.echo(json.dumps(geojson(history), indent=1))
    elif style == "csv":
        _csv(history, what)
    else:
        tables = {"stays": _stays, "looks": _looks, "months": _months}
        mark = "  SIMULATED imagery" if history.simulated else ""
        click.echo(f"{plain(history.name)} ({history.site}){mark}")
        for line in tables[what](history):
            click.echo(line)


def _site_id(ctx: click.Context, name: str) -> str:
    """Return the id of a site's area; a name that is not watched is taken as an id."""
    from rail_watch.watch.sites import watched_sites

    known = {one.name: one for one in watched_sites(home_of(ctx))}
    try:
        return known[name].site().id if name in known else name
    except BadInput:
        return name


def _rows(history: History, what: str) -> list[dict[str, Any]]:
    from rail_watch.archive.history import look_document, months, stay_document

    if what == "looks":
        return [look_document(look) for look in history.looks]
    if what == "months":
        return months(history)
    return [stay_document(stay, history.reviews) for stay in history.stays]


def _csv(history: History, what: str) -> None:
    rows = _rows(history, what)
    for row in rows:
        for name in ("observations", "reviews"):
            if name in row:
                row[name] = " ".join(one if isinstance(one, str) else one["verdict"] for one in row[name])
    empty = {"stays": ["kind"], "looks": ["datetime"], "months": ["month"]}[what]
    header = list(rows[0]) if rows else empty
    write_csv(
        ["aoi", "simulated", *header], [[history.site, str(history.simulated).lower(), *row.values()] for row in rows]
    )


def _short(text: str | None) -> str:
    return "?" if text is None else text[:16].replace("T", " ")


def _span(hours: float) -> str:
    return f"{hours:.0f} h" if hours < 48 else f"{hours / 24:.1f} d"


def _dwell(least: float | None, most: float | None) -> str:
    """Say how long it stood, as far as the looks bound it; one look alone bounds nothing."""
    low, high = least or 0.0, most
    if high is not None:
        return f"; stood {_span(low)} to {_span(high)}" if low else f"; stood at most {_span(high)}"
    return f"; stood at least {_span(low)}" if low else ""


def _stays(history: History) -> Iterator[str]:
    rows = _rows(history, "stays")
    if not rows:
        yield "Nothing was seen to stand here. `--what looks` says what could be seen."
    for row in rows:
        size = f"{row['length_m']:.0f} m" if row["length_m"] is not None else f"{row['area_m2'] or 0:.0f} m²"
        count = row["railcars"]
        cars = "" if count is None else ", 1 railcar" if count == 1 else f", {count} railcars"
        dwell = _dwell(row["dwell_hours_least"], row["dwell_hours_most"])
        left = f"left by {_short(row['left_by'])}" if row["left_by"] else "not seen to leave"
        came = f"came after {_short(row['came_after'])}, " if row["came_after"] else ""
        place = plain(row["track"] or row["apron"] or "?")
        yield f"{_short(row['first_seen'])}  {row['kind']} on {place}: {size}{cars}"
        many = "1 look" if row["looks"] == 1 else f"{row['looks']} looks"
        yield f"    {came}seen in {many}, last {_short(row['last_seen'])}, {left}{dwell}"
        for review in row["reviews"]:
            yield f"    {plain(review['reviewer'])}: {review['verdict']} {plain(review['note'])}".rstrip()
    if any(row["left_by"] is None for row in rows):
        yield "Not seen to leave: no look since would have shown it and did not."


def _looks(history: History) -> Iterator[str]:
    from rail_watch.archive.history import occupancy

    places = list(dict.fromkeys(look.place for look in history.looks))
    yield "# occupied   . empty   ? could not be seen or judged"
    for number, place in enumerate(places, start=1):
        yield f"  {number:>2} {plain(place)}"
    yield f"{'':<18}" + " ".join(f"{number:>2}" for number in range(1, len(places) + 1))
    for head, looks in occupancy(history.looks):
        row = " ".join(f"{MARKS[looks[place].state] if place in looks else ' ':>2}" for place in places)
        yield f"{head.when:%Y-%m-%d %H:%M}  {row}  {plain(head.sensor)}"


def _months(history: History) -> Iterator[str]:
    yield "month    looks  clear  trains  cargo  track looks known  occupied"
    for row in _rows(history, "months"):
        share = "-" if row["occupied_share"] is None else f"{row['occupied_share']:.0%}"
        yield (
            f"{row['month']}  {row['looks']:>5}  {row['clear_looks']:>5}  {row['trains']:>6}  {row['cargo']:>5}  "
            f"{row['track_looks_known']:>17}  {share:>8}"
        )
    yield "More clear looks see more trains: compare months by the share of track looks that were occupied."
