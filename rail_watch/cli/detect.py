"""``rail-watch detect``: the main job."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rail_watch.cli.console import Bar, columns, note, plain, talk_of, verbosity_options
from rail_watch.cli.options import check_folder, false_alarm_rate_option, language_option, source_of, stamp
from rail_watch.errors import BadAoi, BadInput

if TYPE_CHECKING:
    from datetime import datetime

    from rail_watch.aoi.site import Site
    from rail_watch.cli.files import Extras
    from rail_watch.detect import DetectOptions, DetectRun
    from rail_watch.providers import Source
    from rail_watch.report.timelapse import Form

PARTLY = 3
FOUND = 10
DEFAULT_OUT = Path("out")


def cores() -> int:
    """Processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@click.command(name="detect")
@click.option(
    "--aoi",
    "names",
    metavar="NAME|PATH",
    multiple=True,
    required=True,
    help="Area of interest: a shipped name (see `rail-watch aoi list`), a file, or a folder of files. "
    "May be given more than once.",
)
@click.option(
    "--source",
    metavar="PATH|NAME|URL",
    help="Imagery: a static STAC catalogue or a folder of images; earth-search, planetary-computer, cdse or planet; "
    "the address of a STAC API or static catalogue.  [default: the sample imagery, which is SIMULATED]",
)
@click.option(
    "--items",
    metavar="FILE|-",
    help="Imagery: a STAC ItemCollection, from a file or standard input, in place of --source.",
)
@click.option(
    "--datetime",
    "interval",
    metavar="INTERVAL",
    help="Judge scenes of this ISO 8601 interval: 2022-10-01/2022-12-31, 2022-11, 2022-11-01/..; others around it "
    "serve for comparison.  [default: all]",
)
@click.option("--sensor", metavar="WORD", help="Only scenes whose platform, constellation or instrument has this word.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for the answer: OUT/<aoi>/report.html, detections.json, observations.geojson and PNG reports.  "
    "[default: out; "
    "nothing is written when --format is json or geojson and --out is not given]",
)
@click.option(
    "--format",
    "style",
    type=click.Choice(("table", "json", "geojson")),
    default="table",
    show_default=True,
    help="What goes to standard output: a log to read, the whole document, or the observations.",
)
@click.option(
    "--timelapse",
    type=click.Choice(("gif", "webp")),
    help="Write a film of each sensor's looks too, dates burnt in, to the folder of the reports.",
)
@click.option("--pdf", is_flag=True, help="Write report.pdf beside report.html too; needs the extra `pdf`.")
@language_option
@false_alarm_rate_option
@click.option(
    "--jobs", type=click.IntRange(1, 64), help="Scenes read at the same time.  [default: processors, at most 8]"
)
@click.option("--offline", is_flag=True, help="Never use the network: of sources there, what the cache holds.")
@click.option("--cache/--no-cache", default=True, help="Keep windows read from the network; see `rail-watch cache`.")
@click.option("--exit-code", is_flag=True, help="End with status 10 when anything was found.")
@verbosity_options
@click.pass_context
def command(  # noqa: PLR0913, PLR0917 - one argument for each option
    ctx: click.Context,
    names: tuple[str, ...],
    source: str | None,
    items: str | None,
    interval: str | None,
    sensor: str | None,
    out: Path | None,
    style: str,
    timelapse: Form | None,
    pdf: bool,
    language: str,
    false_alarm_rate: float,
    jobs: int | None,
    offline: bool,
    cache: bool,
    exit_code: bool,
) -> None:
    """Find trains and cargo in imagery of an area of interest.

    Every track in every scene is occupied, empty, or unknown where it could not be seen or judged.

    \b
    Exit status
       0  ran, whatever it found
       1  error
       2  bad usage or bad input
       3  some scenes could not be read; the rest was judged
       4  no usable imagery
      10  with --exit-code only: something was found, even if some
          scenes could not be read

    The time stamped on the answer is SOURCE_DATE_EPOCH (seconds since 1970) where that is set, else now.
    """  # noqa: D301 - click reads the backspace
    created = stamp()
    chosen = source_of(source, items, offline=offline, cache=cache)
    folder = out or (DEFAULT_OUT if style == "table" else None)
    if folder is not None:
        check_folder(folder)
    elif timelapse is not None or pdf:
        raise BadInput(f"{'--pdf' if pdf else '--timelapse'} writes files: give the folder with --out")
    wanted = _extras(timelapse, pdf, language)
    sites = _sites(names)
    options = _options(interval, sensor, false_alarm_rate, jobs)
    runs, written = _run(ctx, sites, chosen, options=options, created=created, out=(folder, wanted))
    _print(runs, style, several=len(sites) > 1, out=folder, written=written)
    whole = _tell_faults(ctx, sites, runs)
    found = exit_code and any(run.detections.observations for run in runs)
    ctx.exit(FOUND if found else 0 if whole else PARTLY)


def _extras(timelapse: Form | None, pdf: bool, language: str) -> Extras:
    """Return what is to be written beside the answer, refusing now what would fail after a minute of work."""
    from rail_watch.cli.files import Extras

    if language != "en":
        from rail_watch.report.fonts import needed

        needed(language)
    if pdf:
        from rail_watch.report.pdf import check

        check()
    return Extras(timelapse, pdf, language)


def _options(interval: str | None, sensor: str | None, rate: float, jobs: int | None) -> DetectOptions:
    from rail_watch.detect import DetectOptions
    from rail_watch.imagery import parse_interval

    when = (None, None) if interval is None else parse_interval(interval)
    return DetectOptions(when=when, sensor=sensor, false_alarm_rate=rate, jobs=jobs or min(cores(), 8))


def _sites(names: Sequence[str]) -> list[Site]:
    from rail_watch import aoi

    found: dict[str, Site] = {}
    for name in names:
        for site in aoi.read_many(name):
            if found.setdefault(site.id, site) != site:
                raise BadAoi(f"{name}: the id {site.id!r} is that of another area given with --aoi; give each its own")
    return list(found.values())


def _run(
    ctx: click.Context,
    sites: Sequence[Site],
    source: Source | None,
    *,
    options: DetectOptions,
    created: datetime,
    out: tuple[Path | None, Extras],
) -> tuple[list[DetectRun], list[Path]]:
    """Judge the sites and write the answers, and films of the form asked for, to the folder asked for."""
    from rail_watch import imagery
    from rail_watch.cli.files import write_answer
    from rail_watch.detect import detect_sites, helpers

    chosen = source if source is not None else imagery.sample_imagery_path()
    folder, wanted = out
    bar, written = Bar(talk_of(ctx)), []
    try:
        with helpers(options.jobs) as pool:
            runs = detect_sites(sites, source=chosen, options=options, created=created, progress=bar, pool=pool)
            for number, run in enumerate(runs if folder is not None else ()):
                assert folder is not None
                bar(number, len(runs), f"{run.site.id}: writing reports")
                written += write_answer(run, folder / run.site.id, pool=pool, extras=wanted)
    finally:
        bar.close()
    return runs, written


def _print(runs: Sequence[DetectRun], style: str, *, several: bool, out: Path | None, written: Sequence[Path]) -> None:
    """Write the answer to standard output."""
    from rail_watch.observe import document

    if style == "json":
        documents = [document.to_document(run.detections) for run in runs]
        click.echo(document.dumps(document.document_set(documents) if several else documents[0]), nl=False)
    elif style == "geojson":
        click.echo(document.dumps(document.observations_geojson([run.detections for run in runs])), nl=False)
    else:
        from rail_watch.cli.log import log_lines

        for run in runs:
            for line in log_lines(run.detections, run.site, width=columns()):
                click.echo(line)
            click.echo()
        if out is not None:
            _say_where(out, runs, written)


def _say_where(out: Path, runs: Sequence[DetectRun], written: Sequence[Path]) -> None:
    for run in runs:
        folder = out / run.site.id
        pictures = sum(path.suffix == ".png" and path.parent == folder for path in written)
        click.echo(f"Reports: {folder}{os.sep}  (report.html, {pictures} PNG, detections.json, observations.geojson)")


def _tell_faults(ctx: click.Context, sites: Sequence[Site], runs: Sequence[DetectRun]) -> bool:
    """Name on standard error what could not be read; return whether everything could."""
    lines = {f"{item.ref.id}: {item.reason}": None for run in runs for item in run.unread if item.failed}
    for line in lines:
        click.echo(f"rail-watch: could not read {plain(line)}", err=True)
    judged = {run.site.id for run in runs}
    for site in sites:
        if site.id not in judged:
            note(ctx, f"{site.id}: no scene of the source shows it")
    return not lines
