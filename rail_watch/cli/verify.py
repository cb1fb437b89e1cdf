"""``rail-watch verify``: whether a finding is what its bundle says."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rail_watch.cli.console import plain, verbosity_options
from rail_watch.cli.options import table_or_json_option

if TYPE_CHECKING:
    from rail_watch.evidence.verify import Verification

STATUS = {"reproduced": 0, "differs": 1, "not replayed": 3}


@click.command(name="verify")
@click.argument("file", type=click.Path(path_type=Path))
@table_or_json_option("What goes to standard output: lines to read, or one document.")
@verbosity_options
@click.pass_context
def command(ctx: click.Context, file: Path, style: str) -> None:
    """Check a bundle and judge its finding again, offline.

    FILE is what `rail-watch bundle` wrote. Every byte is checked, then the finding is judged anew from the pixels
    enclosed, and compared with the record. It may come from anybody: nothing in it is run, and it is unpacked into a
    temporary folder alone.

    \b
    Exit status
       0  reproduced
       1  differs: what was changed, or comes out otherwise, is named
       2  no bundle, damaged beyond its files, or hostile
       3  not judged again: the pixels were left out; the rest is in order

    If another version of the software made the bundle, that is said, and the finding is compared all the same.
    """  # noqa: D301 - click reads the backspace
    os.environ["PROJ_NETWORK"] = "OFF"
    from rail_watch.evidence.verify import verify
    from rail_watch.observe.document import dumps

    found = verify(file)
    if style == "json":
        click.echo(dumps(found.document()), nl=False)
    else:
        for line in _lines(found):
            click.echo(plain(line))
    ctx.exit(STATUS[found.verdict])


def _lines(found: Verification) -> list[str]:
    heads = {
        "reproduced": "reproduced",
        "differs": "DIFFERS from what was recorded",
        "not replayed": "NOT REPLAYED: pixels are missing",
    }
    lines = [heads[found.verdict]]
    if found.observation is not None:
        lines.append(f"observation {found.observation}: {found.text}")
    lines += [f"changed: {one}" for one in found.damaged]
    lines += [f"differs: {one.line()}" for one in found.differences if not one.slight]
    lines += [f"alike but for rounding: {one.line()}" for one in found.differences if one.slight]
    lines += [f"checked: {one}" for one in found.checked]
    lines += [f"not checked: {one}" for one in found.not_checked]
    return lines + [f"note: {one}" for one in found.notes]
