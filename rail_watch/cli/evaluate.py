"""``rail-watch evaluate``: how right the answers are on labelled series."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rail_watch.cli.console import Bar, plain, talk_of, verbosity_options
from rail_watch.cli.options import check_folder, false_alarm_rate_option, stamp, table_or_json_option
from rail_watch.errors import BadInput

if TYPE_CHECKING:
    from datetime import datetime

    from rail_watch.detect import DetectOptions
    from rail_watch.evaluate import Figure
    from rail_watch.evaluate.reviews import ReviewFigures
    from rail_watch.evaluate.series import Judged

SCHEMA = "rail-watch/evaluation/1"
REVIEWS_SCHEMA = "rail-watch/review-evaluation/1"


@click.command(name="evaluate")
@click.option(
    "--series",
    "folders",
    metavar="DIR",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    multiple=True,
    help="Folder of a labelled series (imagery, truth.json, aoi.geojson), or one that holds many at any depth. "
    "May be given more than once.",
)
@click.option(
    "--reviews",
    is_flag=True,
    help="In place of --series: score what the archive holds by what people said of it (`rail-watch review`).",
)
@click.option("--aoi", "sites", metavar="NAME", multiple=True, help="With --reviews: only this site. May be repeated.")
@false_alarm_rate_option
@table_or_json_option()
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for evaluation.json and the plots: detection probability against length, reliability of p-values, "
    "false alarms.  [default: nothing is written]",
)
@click.option("--jobs", type=click.IntRange(1, 64), default=2, show_default=True, help="Scenes read at the same time.")
@verbosity_options
@click.pass_context
def command(  # noqa: PLR0913, PLR0917 - one argument for each option
    ctx: click.Context,
    folders: tuple[Path, ...],
    reviews: bool,
    sites: tuple[str, ...],
    false_alarm_rate: float,
    style: str,
    out: Path | None,
    jobs: int,
) -> None:
    """Measure the detector against known truth, or against the reviews in the archive.

    Prints every figure with its 95 % interval (bootstrap over scenes) beside the goal set for it, for each ground
    sample distance. `rail-watch simulate` makes series with their truth; your own labels serve as well. Exit status
    3: some scenes or series could not be judged; they count as "unknown" and are named on standard error.

    With --reviews nothing is judged again: precision with its 95 % interval and the error of counts, for all and by
    site, kind and sensor. Reviews are of what was seen; what was missed they do not tell.
    """
    if reviews:
        _by_reviews(ctx, sites, style, other=bool(folders) or out is not None)
        return
    if not folders or sites:
        raise BadInput("say --series DIR, or --reviews (which alone takes --aoi); see `rail-watch evaluate --help`")
    created = stamp()
    if out is not None:
        check_folder(out)
    from rail_watch.detect import DetectOptions

    options = DetectOptions(false_alarm_rate=false_alarm_rate, jobs=jobs)
    judged = _judged(ctx, folders, options=options, created=created)
    document = _document(judged, false_alarm_rate)
    if out is not None:
        _write(out, document, judged, false_alarm_rate)
    _print(document, style, out)
    faults = [f"{one.name}: {fault}" for one in judged for fault in one.faults]
    for fault in faults:
        click.echo(f"rail-watch: {plain(fault)}", err=True)
    ctx.exit(3 if faults else 0)


def _by_reviews(ctx: click.Context, sites: Sequence[str], style: str, *, other: bool) -> None:
    """Print what the reviews of the archive say."""
    from rail_watch.cli.home import reading
    from rail_watch.evaluate.reviews import review_figures, reviewed
    from rail_watch.observe.document import dumps

    if other:
        raise BadInput("--reviews goes without --series and --out; what it prints with --format json may be kept")
    with reading(ctx) as archive:
        found = reviewed(archive, sites)
    figures = review_figures(found)
    made_up = sum(one.simulated for one in found)
    if style == "json":
        rows = [{name: _rounded(value) for name, value in asdict(one).items()} for one in figures]
        document = {"schema": REVIEWS_SCHEMA, "reviewed": len(found), "simulated": made_up, "results": rows}
        click.echo(dumps(document), nl=False)
        return
    if not found:
        click.echo("Nobody has given a verdict yet; `rail-watch review ask --aoi NAME` asks for them.")
        return
    click.echo(click.style(f"{len(found)} observations with a verdict{_kind(made_up, len(found))}", bold=True))
    click.echo(f"{'':<34} {'n':>4}  {'precision':>9}  {'95 %':<9}  {'railcars off':>12}  {'n':>4}")
    for one in figures:
        click.echo(_review_row(one))
    disputed = figures[0].disputed
    if disputed:
        click.echo(f"Of {disputed} people disagree whether anything is there; the latest verdict was taken.")


def _rounded(value: object) -> object:
    if isinstance(value, float):
        return _short(value)
    return [_short(end) for end in value] if isinstance(value, tuple) else value


def _review_row(one: ReviewFigures) -> str:
    name = plain(one.name if one.group == "all" else f"{one.group} {one.name}")
    low, high = one.precision_95
    off = "-" if one.count_error is None else f"{one.count_error:.1f}"
    return (
        f"{name[:34]:<34} {one.confirmed + one.corrected + one.rejected:>4}  {one.precision:>9.2f}  "
        f"{f'{low:.2f}-{high:.2f}':<9}  {off:>12}  {one.counts:>4}"
    )


def _judged(ctx: click.Context, folders: Sequence[Path], *, options: DetectOptions, created: datetime) -> list[Judged]:
    """Run over all series; a bar tells how far it is."""
    from rail_watch.evaluate.series import find_series, judge

    found = find_series(folders)
    bar = Bar(talk_of(ctx))
    judged: list[Judged] = []
    try:
        for number, series in enumerate(found):
            bar(number, len(found), f"judging {series.folder.name} ({series.site.id})")
            judged += judge(series, options=options, created=created)
    finally:
        bar.close()
    return judged


def _by_gsd(judged: Sequence[Judged]) -> dict[float, list[Judged]]:
    return {gsd: [one for one in judged if one.gsd_m == gsd] for gsd in sorted({one.gsd_m for one in judged})}


def _document(judged: Sequence[Judged], rate: float) -> dict[str, Any]:
    """Every figure beside its goal, as plain data."""
    from rail_watch.detect import software
    from rail_watch.evaluate import figures

    parts = []
    for gsd, own in _by_gsd(judged).items():
        scores = [score for one in own for score in one.scores]
        found = figures(scores)
        parts.append(
            {
                "gsd_m": gsd,
                "series": len(own),
                "scenes": len(scores),
                "simulated_series": sum(one.simulated for one in own),
                "figures": [_figure(figure, gsd) for figure in found.values()],
            }
        )
    return {"schema": SCHEMA, "software": software(), "parameters": {"false_alarm_rate": rate}, "results": parts}


def _figure(figure: Figure, gsd: float) -> dict[str, Any]:
    from rail_watch.evaluate.standards import goals_for

    goal = goals_for(gsd).get(figure.name)
    return {
        "name": figure.name,
        "words": figure.words,
        "value": _short(figure.value),
        "interval_95": None if figure.interval_95 is None else [_short(end) for end in figure.interval_95],
        "count": figure.count,
        "goal": None if goal is None else [goal.low, goal.high],
        "met": None if goal is None or figure.value is None else goal.met(figure.value),
    }


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.6g}")


def _write(out: Path, document: Mapping[str, Any], judged: Sequence[Judged], rate: float) -> None:
    from rail_watch.cli.files import made, write_text
    from rail_watch.evaluate.plots import write_plots
    from rail_watch.observe.document import dumps

    with made(out):
        write_text(out / "evaluation.json", dumps(document))
        write_plots(judged, out, rate=rate)


def _print(document: Mapping[str, Any], style: str, out: Path | None) -> None:
    from rail_watch.observe.document import dumps

    if style == "json":
        click.echo(dumps(document), nl=False)
        return
    for part in document["results"]:
        click.echo(click.style(_title(part), bold=True))
        click.echo(f"{'':<38} {'value':>7}  {'95 % interval':<13} {'n':>5}  goal")
        for row in part["figures"]:
            click.echo(_row(row))
        click.echo()
    if out is not None:
        click.echo(f"Plots: {out / 'detection.png'}, {out / 'reliability.png'}, {out / 'false-alarms.png'}")


def _title(part: Mapping[str, Any]) -> str:
    kind = _kind(part["simulated_series"], part["series"])
    return f"{part['gsd_m']:g} m: {part['series']} series{kind}, {part['scenes']} scenes"


def _kind(made_up: int, of: int) -> str:
    return "" if not made_up else ", SIMULATED" if made_up == of else f", {made_up} of them SIMULATED"


def _row(row: Mapping[str, Any]) -> str:
    value = "-" if row["value"] is None else f"{row['value']:.3g}"
    spread = "" if row["interval_95"] is None else "{:.3g}-{:.3g}".format(*row["interval_95"])
    verdict = {True: click.style("met", fg="green"), False: click.style("MISSED", fg="red", bold=True), None: ""}
    goal = f"{_goal(row['goal']):<11} {verdict[row['met']]}"
    return f"{row['words']:<38} {value:>7}  {spread:<13} {row['count']:>5}  {goal}".rstrip()


def _goal(ends: Sequence[float | None] | None) -> str:
    match ends:
        case None:
            return ""
        case (None, high):
            return f"<= {high:g}"
        case (low, None):
            return f">= {low:g}"
        case (low, high):
            return f"{low:g}-{high:g}"
    raise AssertionError(ends)
