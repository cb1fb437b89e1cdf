"""``rail-watch aoi refine``: lay the lines of an area of interest onto imagery."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rail_watch.cli.console import Bar, note, plain, talk_of, verbosity_options
from rail_watch.cli.options import check_folder, source_of
from rail_watch.errors import BadInput, NoUsableImagery

if TYPE_CHECKING:
    from rail_watch.aoi.site import Site
    from rail_watch.imagery.interval import Interval
    from rail_watch.imagery.scene import Scene, Unread
    from rail_watch.interpret.refine import Refined, RefinedLine
    from rail_watch.prepare.stack import Stack
    from rail_watch.providers import Source

MOST_TEXT = 1000
"""An AOI's `source` may be no longer."""


@click.command(name="refine")
@click.argument("name", metavar="NAME|FILE")
@click.option(
    "--source",
    metavar="PATH|NAME|URL",
    help="Imagery, as for `rail-watch detect`.  [default: the sample imagery, which is SIMULATED]",
)
@click.option(
    "--datetime", "interval", metavar="INTERVAL", help="Only scenes of this ISO 8601 interval.  [default: all]"
)
@click.option("--sensor", metavar="WORD", help="Only scenes whose platform, constellation or instrument has this word.")
@click.option(
    "--reach",
    "reach_m",
    type=click.FloatRange(5, 30),
    default=12.0,
    show_default=True,
    metavar="METRES",
    help="The largest error of the lines to look for, 5 to 30 m. A wider search finds more that looks like a track.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File to write the refined AOI to.  [default: nothing is written]",
)
@verbosity_options
@click.pass_context
def command(  # noqa: PLR0913, PLR0917 - one argument for each option
    ctx: click.Context,
    name: str,
    source: str | None,
    interval: str | None,
    sensor: str | None,
    reach_m: float,
    out: Path | None,
) -> None:
    """Lay the tracks and bridges of the AOI NAME onto imagery.

    All lines are moved and turned together, then each by itself where pixels are fine enough (1.3 m). Aprons, sheds,
    stable and excluded ground go with the lines as a whole. The finest imagery that settles the place is used; at
    least 4 scenes with pixels of at most 6 m are needed.

    \b
    Exit status
      0  refined
      2  bad usage or bad input
      4  no usable imagery, or none that settles where the lines lie;
         nothing is written then
    """  # noqa: D301 - click reads the backspace
    from rail_watch import aoi, imagery
    from rail_watch.imagery import parse_interval

    if out is not None:
        check_folder(out.parent)
    site = aoi.read(name)
    if not (site.tracks or site.bridges):
        raise BadInput(f"{name}: has no tracks or bridges to refine")
    if site.accuracy_m is not None and site.accuracy_m > reach_m:
        note(ctx, f"{name} says its lines may lie {site.accuracy_m:g} m off; only {reach_m:g} m are searched")
    when = (None, None) if interval is None else parse_interval(interval)
    given = source_of(source, None, offline=False, cache=True)
    chosen: Path | Source = imagery.sample_imagery_path() if given is None else given
    scenes = _scenes(ctx, site, chosen, when=when, sensor=sensor)
    stack, refined = _fitted(ctx, site, scenes, reach_m=reach_m)
    for line in _table(site, stack, refined):
        click.echo(line)
    if not refined.believed:
        raise NoUsableImagery(f"{name}: not refined: {refined.reason}")
    if out is None:
        note(ctx, "nothing was written; give --out FILE to keep the refined lines")
    else:
        _write(out, refined_document(aoi.read_document(name), site, (stack, refined)))
        click.echo(f"Written: {plain(str(out))}")


def _scenes(
    ctx: click.Context, site: Site, source: Path | Source, *, when: Interval, sensor: str | None
) -> list[Scene]:
    """Read every scene that shows the site with pixels that may do."""
    from datetime import timedelta

    from rail_watch import imagery, providers
    from rail_watch.imagery.interval import within
    from rail_watch.imagery.scene import Scene
    from rail_watch.interpret.strips import MIDDLE_GSD_M

    found = providers.find(site, when, source=source, sensor=sensor, around=timedelta(0))
    asked = [ref for ref in found.scenes if within(ref.when, when)]
    refs = [ref for ref in asked if ref.gsd_m is None or ref.gsd_m <= MIDDLE_GSD_M]
    if not refs:
        more = f"; {len(asked)} with coarser pixels were left alone" if asked else ""
        raise NoUsableImagery(f"{source}: no scene of {site.id} with pixels of at most {MIDDLE_GSD_M:g} m{more}")
    bar, scenes = Bar(talk_of(ctx)), []
    try:
        for number, ref in enumerate(refs):
            bar(number, len(refs), f"{site.id}: reading {ref.id}")
            got: Scene | Unread = imagery.read(ref, site, margin_m=max(30.0, 20 * (ref.gsd_m or 1.0)))
            if isinstance(got, Scene):
                scenes.append(got)
            elif got.failed:
                click.echo(f"rail-watch: could not read {plain(got.ref.id)}: {plain(got.reason)}", err=True)
    finally:
        bar.close()
    if not scenes:
        raise NoUsableImagery(f"{source}: none of {len(refs)} scenes of {site.id} could be used")
    return scenes


def _fitted(ctx: click.Context, site: Site, scenes: Sequence[Scene], *, reach_m: float) -> tuple[Stack, Refined]:
    """Fit to the finest group of scenes that settles the place; the first of all where none does."""
    from rail_watch.detect import groups_of
    from rail_watch.interpret.refine import refine
    from rail_watch.prepare.stack import prepare

    tried: list[tuple[Stack, Refined]] = []
    for sensor, group in groups_of(scenes):
        stack = prepare(group, site, sensor=sensor)
        refined = refine(stack, site, reach_m=reach_m)
        if refined.believed:
            return stack, refined
        note(ctx, f"{sensor}: not settled: {refined.reason}")
        tried.append((stack, refined))
    return max(tried, key=lambda pair: pair[1].scenes)


def _side(shift_m: float) -> str:
    return "to its left" if shift_m > 0 else "to its right"


def _row(name: str, line: RefinedLine, refined: Refined) -> str:
    if not refined.believed:
        return f"  {name} not moved"
    how = "measured by itself" if line.believed else "moved with the others"
    return f"  {name} {abs(line.shift_m):5.2f} m {_side(line.shift_m):<12}  +-{line.error_m:4.2f} m  {how}"


def _table(site: Site, stack: Stack, refined: Refined) -> Iterator[str]:
    """Say what was fitted to what, and where each line was moved."""
    simulated = " (SIMULATED imagery)" if any(ref.simulated for ref in stack.scenes) else ""
    yield f"{plain(site.name)}: {refined.scenes} of {len(stack.scenes)} scenes of {plain(stack.sensor)}{simulated}"
    if refined.believed:
        yield f"  all lines together: {_move(refined)}, +-{refined.across_error_m:.2f} m across"
        if not refined.along_known:
            yield "  along the lines: not measured, they are too straight; distances along them are as before"
    names = [plain(item.name)[:48] for item in site.tracks] + [plain(item.name)[:48] for item in site.bridges]
    width = max(map(len, names))
    for name, line in zip(names, refined.lines, strict=True):
        yield _row(name.ljust(width), line, refined)
    if refined.believed:
        yield f"  accuracy {refined.accuracy_m:g} m across at 95 %: {refined.reason}"


def _move(refined: Refined) -> str:
    east, north = refined.pose.east_m, refined.pose.north_m
    turn = f"{abs(refined.turn_deg):.2f} degrees {'counter-clockwise' if refined.turn_deg > 0 else 'clockwise'}"
    return (
        f"{abs(east):.2f} m {'east' if east > 0 else 'west'}, {abs(north):.2f} m {'north' if north > 0 else 'south'}, "
        f"turned {turn}"
    )


def _told(stack: Stack, refined: Refined) -> str:
    """One sentence for the AOI's `source`."""
    first, last = (ref.when.strftime("%Y-%m-%d") for ref in (stack.scenes[0], stack.scenes[-1]))
    kind = "SIMULATED scenes" if any(ref.simulated for ref in stack.scenes) else "scenes"
    along = "" if refined.along_known else "; not measured along the tracks"
    return (
        f"Lines refined by rail-watch on {refined.scenes} {kind} of {plain(stack.sensor)}, {first} to {last}: "
        f"{_move(refined)}{along}."
    )


def refined_document(document: Any, site: Site, fit: tuple[Stack, Refined]) -> dict[str, Any]:
    """Return an AOI document with its lines where they belong; whatever else it holds stays as it is.

    Parameters
    ----------
    document : the AOI file as JSON values; valid, for `site` was read from it.
    site : the site of that document.
    fit : the stack and what `refine` made of it.
    """
    from shapely.geometry import mapping

    from rail_watch.interpret.refine import applied

    stack, refined = fit
    now = applied(site, refined)
    waiting = {
        "track": iter([item.line for item in now.tracks]),
        "bridge": iter([item.line for item in now.bridges]),
        "apron": iter([item.polygon for item in now.aprons]),
        "shed": iter([item.polygon for item in now.sheds]),
        "stable": iter([item.polygon for item in now.stables]),
        "exclude": iter([item.polygon for item in now.excludes]),
    }
    features = []
    for feature in document["features"]:
        role = (feature.get("properties") or {}).get("role")
        # The parts of a site stand in the order of their features.
        shape = next(waiting[role]) if role in waiting else None
        features.append(feature if shape is None else {**feature, "geometry": _rounded(mapping(shape))})
    head = dict(document["rail_watch"])
    before = str(head.get("source") or "").strip()
    told = _told(stack, refined)
    head["source"] = f"{before[: MOST_TEXT - len(told) - 1]} {told}".strip()
    head["accuracy_m"] = refined.accuracy_m
    return {**document, "rail_watch": head, "features": features}


def _rounded(shape: Mapping[str, Any]) -> dict[str, Any]:
    def rounded(value: Any) -> Any:
        return [rounded(part) for part in value] if isinstance(value, list | tuple) else round(float(value), 8)

    return {"type": shape["type"], "coordinates": rounded(shape["coordinates"])}


def _write(out: Path, document: Mapping[str, Any]) -> None:
    """Write the document whole or not at all, one feature a line."""
    from rail_watch.cli.files import made, write_text

    features = ",\n".join(f"  {json.dumps(feature, ensure_ascii=False)}" for feature in document["features"])
    head = {key: value for key, value in document.items() if key != "features"}
    text = json.dumps(head, ensure_ascii=False, indent=1).removesuffix("\n}")
    with made(out.parent):
        write_text(out, f'{text},\n "features": [\n{features}\n ]\n}}\n')
