"""``rail-watch figure``: a picture to publish, of an answer that is kept."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from rail_watch.cli.console import note, plain, verbosity_options
from rail_watch.cli.options import check_folder, language_option, source_of
from rail_watch.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rail_watch.aoi.site import Site
    from rail_watch.observe.records import Detections
    from rail_watch.prepare.stack import Stack
    from rail_watch.providers import Source
    from rail_watch.report.figures import Order, Template


@click.command(name="figure")
@click.argument("document", metavar="DETECTIONS_JSON", type=click.Path(path_type=Path))
@click.option(
    "--template",
    type=click.Choice(("figure", "pair", "sequence", "overview", "track-grid", "timeline")),
    default="pair",
    show_default=True,
    help="figure: a close-up. pair: before and after. sequence: the same ground at 3 to 6 looks. overview: the whole "
    "site. track-grid: each track at each look. timeline: trains and cargo over time.",
)
@click.option(
    "--size",
    type=click.Choice(("print", "web", "social")),
    default="web",
    show_default=True,
    help="print: 3000 pixels wide at 300 dpi (254 mm). web: 1600 pixels wide. social: 1600 by 900 pixels.",
)
@click.option(
    "--at",
    multiple=True,
    metavar="DATE|ID",
    help="The look: an observation's or scene's id, or the beginning of its time in UTC, 2022-12-01. For a sequence "
    "given 3 to 6 times.  [default: the most telling]",
)
@language_option
@click.option("--aoi", "area", metavar="NAME|PATH", help="The area that was judged.  [default: the shipped one]")
@click.option("--source", metavar="PATH|NAME|URL", help="The imagery that was judged.  [default: the sample imagery]")
@click.option("--items", metavar="FILE|-", help="A STAC ItemCollection, in place of --source.")
@click.option("--offline", is_flag=True, help="Never use the network: of sources there, what the cache holds.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="The PNG file to write; its caption and alternative text go beside it as .txt.",
)
@verbosity_options
@click.pass_context
def command(  # noqa: PLR0913, PLR0917 - one argument for each option
    ctx: click.Context,
    document: Path,
    template: Template,
    size: str,
    at: tuple[str, ...],
    language: str,
    area: str | None,
    source: str | None,
    items: str | None,
    offline: bool,
    out: Path,
) -> None:
    """Make a picture to publish: pair, sequence, overview, grid, timeline.

    DETECTIONS_JSON is OUT/<aoi>/detections.json. The scenes of the look's sensor are read and aligned again; nothing is
    judged anew. track-grid and timeline need no imagery.
    """
    check_folder(out.parent)
    if out.suffix.lower() != ".png":
        raise BadInput(f"{out}: figures are PNG files; name it so with --out")
    from rail_watch import imagery
    from rail_watch.cli.export import read_answers
    from rail_watch.cli.files import made
    from rail_watch.report import figures
    from rail_watch.report.form import SIZES
    from rail_watch.report.language import spoken
    from rail_watch.report.png import save, save_text

    runs = read_answers(document)
    if len(runs) > 1:
        raise BadInput(f"{document}: holds {len(runs)} sites; a figure is of one")
    detections, site = runs[0], _site(ctx, runs[0], area)
    with spoken(language):
        order = figures.Order(template, SIZES[size], figures.chosen(detections, template, at))
        place = source_of(source, items, offline=offline, cache=True) or imagery.sample_imagery_path()
        stacks = _stacks(detections, site, place, order) if order.scenes else {}
        pixels, caption = figures.make(detections, site, stacks, order)
        with made(out.parent):
            save(pixels, out, caption.metadata(), dpi=order.form.dpi)
            save_text(caption.text(), out.with_suffix(".txt"))
    rows, cols, _ = pixels.shape
    click.echo(f"{out}: {template}, {cols} x {rows} pixels; caption: {out.with_suffix('.txt')}")


def _site(ctx: click.Context, detections: Detections, area: str | None) -> Site:
    from rail_watch import aoi

    if area is None and detections.site not in aoi.shipped():
        raise BadInput(f"{plain(detections.site)[:80]}: not a shipped area; say with --aoi which file was judged")
    site = aoi.read(area or detections.site)
    if site.id != detections.site:
        raise BadInput(f"{area}: is the area {site.id}; the answer is of {plain(detections.site)[:80]}")
    if detections.aoi_digest and site.digest != detections.aoi_digest:
        note(ctx, f"{site.id}: the area has changed since it was judged; its lines and names are drawn as they are now")
    return site


def _stacks(detections: Detections, site: Site, source: Source | Path, order: Order) -> Mapping[str, Stack]:
    """Read the looks of the sensors that the figure shows."""
    from rail_watch.cli.detect import cores
    from rail_watch.detect import DetectOptions, stacks_of

    sensors = {record.sensor for record in detections.scenes if record.id in order.scenes}
    records = [record for record in detections.scenes if record.sensor in sensors]
    return stacks_of(site, records, source=source, options=DetectOptions(jobs=min(cores(), 8)))
