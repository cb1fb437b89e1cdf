"""``rail-watch diff``: how the verdicts of two runs differ."""

from __future__ import annotations

import click

from rail_watch.cli.console import plain
from rail_watch.cli.home import reading
from rail_watch.errors import BadInput

FOUND = 10
MOST_NAMED = 5


@click.command(name="diff")
@click.argument("before", metavar="RUN")
@click.argument("after", metavar="RUN")
@click.option("--exit-code", is_flag=True, help="End with status 10 when they differ.")
@click.pass_context
def command(ctx: click.Context, before: str, after: str, exit_code: bool) -> None:
    """Show what the second RUN says otherwise than the first, of the scenes that both judged.

    Judge again with `rail-watch run --aoi NAME --rejudge`; both verdicts are kept. The ids of runs are those that
    `rail-watch status` and the folders of HOME/reports have.
    """
    from rail_watch.archive.compare import compare
    from rail_watch.archive.runs import run_named, runs

    with reading(ctx) as archive:
        found = [run_named(archive, name) for name in (before, after)]
        for name, run in zip((before, after), found, strict=True):
            if run is None:
                latest = ", ".join(one.id for one in runs(archive, most=MOST_NAMED)) or "none"
                raise BadInput(f"{name[:60]!r}: the archive holds no such run; the latest are {latest}")
        first, second = (run for run in found if run is not None)
        result = compare(archive, first, second)
    click.echo(
        f"{result.shared} scenes judged by both, {result.only_before} only by {first.id}, "
        f"{result.only_after} only by {second.id}"
    )
    for one in result.differences:
        click.echo(
            f"{one.when:%Y-%m-%d %H:%M}  {plain(one.site)}  {plain(one.place)}: {one.before} -> {one.after}  "
            f"({plain(one.scene)})"
        )
    if not result.differences:
        click.echo("They say the same.")
    ctx.exit(FOUND if exit_code and result.differences else 0)
