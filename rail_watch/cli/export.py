"""``rail-watch export``: an answer in the formats of other programs."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rail_watch.cli.options import check_folder
from rail_watch.errors import BadInput

if TYPE_CHECKING:
    from rail_watch.observe.records import Detections

MOST_BYTES = 512_000_000


@click.command(name="export")
@click.argument("document", metavar="DETECTIONS_JSON", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "style",
    type=click.Choice(("geojson", "geoparquet", "gpkg", "csv", "stac")),
    required=True,
    help="geojson: RFC 7946. geoparquet: 1.1, needs the extra `geoparquet`. gpkg: GeoPackage with QGIS's colours and a "
    "table of looks. csv: no cell can be a formula. stac: a static catalogue, one derived item for each scene.",
)
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="File to write; for stac a folder, new or empty."
)
def command(document: Path, style: str, out: Path) -> None:
    """Write an answer as GeoJSON, GeoParquet, GeoPackage, CSV or STAC.

    DETECTIONS_JSON is what `rail-watch detect` wrote: OUT/<aoi>/detections.json, or what --format json printed, of one
    site or several.
    """
    check_folder(out.parent)
    runs = read_answers(document)
    try:
        _WRITERS[style](runs, out)
    except (TypeError, ValueError, AttributeError) as fault:
        # Members whose kind `from_document` has no use for may be anything.
        raise BadInput(f"{document}: a member is of the wrong kind ({str(fault)[:120]})") from fault
    count = sum(len(run.observations) for run in runs)
    click.echo(f"Written: {out} ({count} observation{'' if count == 1 else 's'})")


def read_answers(path: Path) -> list[Detections]:
    """Read a document, or a set of them."""
    from rail_watch.aoi.json_file import read_json
    from rail_watch.observe.document import SET_SCHEMA, from_document

    told = read_json(path, error=BadInput, max_bytes=MOST_BYTES)
    several = isinstance(told, dict) and told.get("schema") == SET_SCHEMA and isinstance(told.get("documents"), list)
    documents = told["documents"] if several and isinstance(told, dict) else [told]
    if not documents:
        raise BadInput(f"{path}: the set holds no document")
    try:
        return [from_document(one) for one in documents]
    except BadInput as fault:
        raise BadInput(f"{path}: {fault}") from fault


def _geojson(runs: Sequence[Detections], out: Path) -> None:
    from rail_watch.observe.document import dumps, observations_geojson

    _write_text(out, dumps(observations_geojson(runs)))


def _csv(runs: Sequence[Detections], out: Path) -> None:
    from rail_watch.export import table

    rows = table.located(table.observations(runs))
    _write_text(out, table.csv_text(rows, (*table.COLUMNS, "lon", "lat")))


def _write_text(out: Path, text: str) -> None:
    from rail_watch.cli.files import made, write_text

    with made(out.parent):
        write_text(out, text)


def _geoparquet(runs: Sequence[Detections], out: Path) -> None:
    from rail_watch.export.layers import geoparquet

    with _beside(out) as folder:
        geoparquet(runs, folder / "part.parquet")
        os.replace(folder / "part.parquet", out)


def _gpkg(runs: Sequence[Detections], out: Path) -> None:
    from rail_watch.export.layers import geopackage

    with _beside(out) as folder:
        geopackage(runs, folder / "part.gpkg")
        os.replace(folder / "part.gpkg", out)


def _stac(runs: Sequence[Detections], out: Path) -> None:
    from rail_watch.export.catalogue import files

    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise BadInput(f"{out}: is there and not empty; name a new folder with --out")
    written = files(runs)
    with _beside(out) as folder:
        for name, text in written.items():
            path = folder / "whole" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="")
        os.replace(folder / "whole", out)


@contextmanager
def _beside(out: Path) -> Iterator[Path]:
    """Give a folder beside the place, gone afterwards: what is moved out of it is whole."""
    from rail_watch.cli.files import made

    with made(out.parent):
        folder = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name[:40]}."))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


_WRITERS: dict[str, Callable[[Sequence[Detections], Path], None]] = {
    "geojson": _geojson,
    "csv": _csv,
    "geoparquet": _geoparquet,
    "gpkg": _gpkg,
    "stac": _stac,
}
