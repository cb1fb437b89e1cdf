"""``rail-watch bundle``: a finding and all it rests on, in one file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from rail_watch.cli.console import note, plain, verbosity_options
from rail_watch.cli.home import home_named, home_of, reading
from rail_watch.cli.options import source_of
from rail_watch.errors import BadInput

if TYPE_CHECKING:
    from rail_watch.evidence.bundle import Order

DIFFERS = 3
MOST_BYTES = 64_000_000
DEFAULT = "out/*/detections.json"


@click.command(name="bundle")
@click.argument("observation", metavar="OBSERVATION_ID")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="The zip file to write.")
@click.option(
    "--from",
    "record",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help=f"The detections.json that holds the observation.  [default: {DEFAULT}, then the archive; with --home the "
    "archive]",
)
@click.option(
    "--aoi",
    "area",
    metavar="NAME|PATH",
    help="The area of interest that was judged.  [default: the record's name; in the archive, the watched site's]",
)
@click.option(
    "--source",
    metavar="PATH|NAME|URL",
    help="The imagery that was judged, as for `detect`.  [default: the sample imagery; in the archive, the watched "
    "site's]",
)
@click.option("--items", metavar="FILE|-", help="A STAC ItemCollection, in place of --source.")
@click.option("--without-pixels", is_flag=True, help="Leave the pixels out where their licence asks; digests stay.")
@click.option("--offline", is_flag=True, help="Never use the network: of sources there, what the cache holds.")
@verbosity_options
@click.pass_context
def command(  # noqa: PLR0913, PLR0917 - one argument for each option
    ctx: click.Context,
    observation: str,
    out: Path,
    record: Path | None,
    area: str | None,
    source: str | None,
    items: str | None,
    without_pixels: bool,
    offline: bool,
) -> None:
    """Put a finding and all it rests on into one zip file (RO-Crate) that `verify` replays elsewhere.

    OBSERVATION_ID is the id of a finding in detections.json, or as `rail-watch history --format json` gives it.

    The bundle holds the pixels of the scenes that were judged together, cut to what was read, with their STAC items;
    the area, the parameters and versions, the whole record, the pictures, and a SHA-256 of every file.

    \b
    Exit status
       0  written
       2  bad usage or bad input: imagery or area are not what was judged
       3  written, but judged again here the finding is not as recorded

    --without-pixels leaves the imagery out, not the report's pictures: whether those may be handed on is between you
    and the vendor.
    """  # noqa: D301 - click reads the backspace
    from rail_watch import imagery
    from rail_watch.evidence.bundle import make_bundle

    if not out.absolute().parent.is_dir():
        raise BadInput(f"{out}: there is no folder {out.parent} to write to; make it, or choose another with --out")
    order, kept = _order(ctx, observation, record, area, pixels=not without_pixels)
    chosen = source_of(kept if source is None and items is None else source, items, offline=offline, cache=True)
    made = make_bundle(order, out, source=chosen if chosen is not None else imagery.sample_imagery_path())
    what = "their pixels left out" if without_pixels else "with their pixels"
    click.echo(f"{out}: observation {observation}, {made.scenes} scenes {what}, {out.stat().st_size / 1e6:.1f} MB")
    for one in made.differences:
        note(ctx, f"judged again here, {one.line()}")
    ctx.exit(DIFFERS if made.differences else 0)


def _order(
    ctx: click.Context, observation: str, record: Path | None, area: str | None, *, pixels: bool
) -> tuple[Order, str | None]:
    """Return what is to be bundled, and the source that the archive's site has."""
    from rail_watch import aoi
    from rail_watch.evidence.bundle import Order

    place = record if record is not None or home_named(ctx) else _in_out(observation)
    source = None
    if place is None:
        place, named, source = _in_archive(ctx, observation)
        area = area or named
    data = _bytes(place)
    name = area or _site_in(data, place)
    if area is None and name not in aoi.shipped():
        raise BadInput(f"{plain(name)[:80]}: not a shipped area; say with --aoi which file was judged")
    return Order(observation, data, str(place), aoi.read_file(name), name, pixels), source


def _bytes(path: Path) -> bytes:
    from rail_watch.aoi.json_file import read_bytes

    return read_bytes(path, error=BadInput, max_bytes=MOST_BYTES)


def _holds(path: Path, observation: str) -> bool:
    from rail_watch.evidence.bundle import record_of

    data = _bytes(path)
    if observation.encode("utf-8", "surrogateescape") not in data:
        return False
    try:
        record_of(data, str(path), observation)
    except BadInput:
        return False
    return True


def _in_out(observation: str) -> Path | None:
    """Return the last run's document that holds the observation."""
    return next((path for path in sorted(Path().glob(DEFAULT)) if _holds(path, observation)), None)


def _site_in(data: bytes, path: Path) -> str:
    from rail_watch.aoi.json_file import parse_json

    document = parse_json(data, name=str(path), error=BadInput)
    name = document.get("aoi") if isinstance(document, dict) else None
    if not isinstance(name, str):
        raise BadInput(f"{path}: not a detections document")
    return name


def _in_archive(ctx: click.Context, observation: str) -> tuple[Path, str | None, str | None]:
    """Return the document that the archive's run wrote, the area and the source of its site."""
    from rail_watch.archive.observations import runs_with
    from rail_watch.watch.sites import watched_sites

    shown = plain(observation)[:80]
    try:
        with reading(ctx) as archive:
            runs = runs_with(archive, observation)
    except BadInput as fault:
        raise BadInput(f"{shown}: in no {DEFAULT}, and there is no archive; say with --from which file") from fault
    if not runs:
        raise BadInput(f"{shown}: no such observation in {DEFAULT} or in the archive; say with --from which file")
    home = home_of(ctx)
    sites = {one.name: one for one in watched_sites(home)}
    for run in runs:
        for path in sorted((home / "reports").glob(f"*/{run}/detections.json")):
            if _holds(path, observation):
                watched = sites.get(path.parent.parent.name)
                return (path, None, None) if watched is None else (path, watched.aoi, watched.source)
    raise BadInput(
        f"{shown}: the archive has it, but the reports of its run, {runs[0]}, are not kept; run `detect` again"
    )
