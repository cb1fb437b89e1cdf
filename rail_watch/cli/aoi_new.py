"""``rail-watch aoi new`` and ``aoi edit``: an area of interest from a map, and by hand in a GIS."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rail_watch.cli.options import check_folder
from rail_watch.errors import BadAoi, BadInput

if TYPE_CHECKING:
    from shapely import Polygon

    from rail_watch.aoi.osm_read import Way

MOST_MAP_BYTES = 64_000_000
MOST_HEADER = 20_000


def _box(ctx: click.Context, option: click.Parameter, value: str | None) -> tuple[float, ...] | None:
    """Parse numbers with commas between them."""
    if value is None:
        return None
    try:
        return tuple(float(part) for part in value.split(","))
    except ValueError:
        raise click.BadParameter("numbers with commas between them are needed.") from None


@click.command(name="new")
@click.argument("name")
@click.option("--osm", "file", metavar="FILE|overpass", help="Map: Overpass JSON, GeoJSON, .osm.pbf.")
@click.option(
    "--from-image",
    "picture",
    type=click.Path(path_type=Path),
    metavar="SCENE",
    help="In place of a map: an image, folder or catalogue with pixels of at most 1.3 m.",
)
@click.option("--dark", is_flag=True, help="With --from-image: tracks are darker than the ground between them.")
@click.option("--box", callback=_box, metavar="W,S,E,N", help="Only what lies in this box, longitudes and latitudes.")
@click.option("--around", callback=_box, metavar="LON,LAT,M", help="Only what lies within so many metres of a point.")
@click.option("--title", metavar="TEXT", help="The site's name for people.  [default: NAME]")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="File to write.  [default: NAME.geojson]")
def new(  # noqa: PLR0913, PLR0917 - one argument for each option
    name: str,
    file: str | None,
    picture: Path | None,
    dark: bool,
    box: tuple[float, ...] | None,
    around: tuple[float, ...] | None,
    title: str | None,
    out: Path | None,
) -> None:
    """Make the AOI NAME from OpenStreetMap, or from one very fine picture.

    Tracks (railway=rail, yard, siding, spur or narrow_gauge; none that is disused, under construction or in a tunnel)
    are split at switches, merged between them, named and numbered across the yard; bits of less than 40 m (60 m between
    two switches) and crossovers are left out. Rail bridges, railway land, buildings beside tracks and gauges are taken
    over. Ground between tracks and buildings becomes aprons: those are guesses, and say so. Lay the lines onto imagery
    with `rail-watch aoi refine`.

    `--osm overpass` asks OpenStreetMap's public service, once, for the box or circle (RAIL_WATCH_OVERPASS: another
    service). Extracts (.osm.pbf) need the extra `osm`, and --box or --around too.

    A map by hand: at overpass-turbo.eu run the query below over the yard, then Export, raw data.

    \b
      [out:json][bbox:{{bbox}}];
      (way[railway]; nwr[building]; nwr[landuse=railway]; way[man_made=bridge];);
      out geom;

    `--from-image` takes the lines that run side by side along a yard in a picture for its tracks: all of it is a guess,
    and says so. On simulated pictures about three tenths of what it draws is no track, and a third of the tracks in
    sight is missed (docs/method-lines.md); mend it with `rail-watch aoi edit`. Of several scenes the clearest is taken.
    Light ballast is supposed; say --dark where tracks are darker than the ground between them.
    """  # noqa: D301 - click reads the backspace
    from rail_watch.aoi.document import ID_PATTERN

    if not ID_PATTERN.fullmatch(name) or len(name) > 64:
        raise BadInput(f"{name[:80]!r} cannot be an id: small letters, digits, '-' and '_'")
    target = out or Path(f"{name}.geojson")
    check_folder(target.parent)
    if (file is None) == (picture is None):
        raise BadInput("give one of --osm (a map) and --from-image (a picture)")
    limit = _limit(box, around)
    _write(target, _from_map(name, file, title, limit) if file else _from_picture(name, picture, title, limit, dark))


def _from_map(name: str, file: str, title: str | None, limit: Polygon | None) -> dict[str, Any]:
    origin = "the public service" if file == "overpass" else Path(file).name
    source = f"OpenStreetMap contributors (ODbL), from {origin}; aprons are guesses"
    with _naming(file):
        ways = _ways(file, limit)
    return _document(file, name, ways, title=title or name, source=source, box=limit)


def _from_picture(
    name: str, picture: Path | None, title: str | None, limit: Polygon | None, dark: bool
) -> dict[str, Any]:
    from rail_watch.cli.aoi_picture import ACCURACY_M, drawn_from

    assert picture is not None
    drawn = drawn_from(picture, limit, dark=dark)
    source = f"A guess: lines that rail-watch found in the picture {drawn.scene}, looked over by nobody"
    document = _document(str(picture), name, drawn.ways, title=title or name, source=source)
    document["rail_watch"]["accuracy_m"] = ACCURACY_M
    return document


@contextmanager
def _naming(file: str) -> Iterator[None]:
    """Let faults name the file they come from."""
    try:
        yield
    except BadAoi as fault:
        raise fault if file in str(fault) else BadAoi(f"{file}: {fault}") from fault


def _document(file: str, name: str, ways: tuple[Way, ...], **words: Any) -> dict[str, Any]:
    """Return a valid AOI document from ways."""
    from rail_watch.aoi.document import parse
    from rail_watch.aoi.osm import document_of

    with _naming(file):
        made: dict[str, Any] = document_of(name, ways, **words)
    _, faults = parse(made)
    if faults:
        hint = "; give --box or --around" if "the most is" in faults[0] else ""
        raise BadAoi(f"{file}: no valid area can be made of it: {faults[0]}{hint}")
    return made


def _ways(file: str, limit: Polygon | None) -> tuple[Way, ...]:
    """Return the ways of a map: of a file, or as the public service has them now."""
    from rail_watch.aoi.json_file import read_json
    from rail_watch.aoi.osm_read import ways_in

    if file != "overpass" and not file.lower().endswith(".pbf"):
        return ways_in(read_json(Path(file), error=BadAoi, max_bytes=MOST_MAP_BYTES))
    if limit is None:
        raise BadInput(f"--osm {file} needs --box or --around: which part of the world?")
    if file == "overpass":
        from rail_watch.providers.overpass import ask

        if limit.bounds[0] < -180 or limit.bounds[2] > 180:
            raise BadInput("the public service is not asked across the 180th meridian; give a file or an extract")
        return ways_in(ask(limit.bounds))
    from rail_watch.aoi.osm_extract import ways_of_extract

    return ways_of_extract(Path(file), limit)


def _limit(box: tuple[float, ...] | None, around: tuple[float, ...] | None) -> Polygon | None:
    """Return the lon/lat polygon that --box or --around mean."""
    import numpy as np
    import shapely

    from rail_watch.aoi.geometry import unwrapped
    from rail_watch.grid import WGS84, local_crs, transformer

    if box is not None and around is not None:
        raise BadInput("--box and --around are two answers to one question; give one of them")
    if box is not None:
        if len(box) != 4 or not (max(abs(box[0]), abs(box[2])) <= 180 and -90 <= box[1] < box[3] <= 90):
            raise BadInput("--box is west,south,east,north in degrees, such as 130.60,42.40,130.65,42.43")
        west, south, east, north = box
        east += 360 if east < west else 0  # across the 180th meridian
        if not 0 < east - west < 180:
            raise BadInput("--box spans half the world; west comes first: west,south,east,north")
        return shapely.box(west, south, east, north)
    if around is None:
        return None
    if len(around) != 3 or not (abs(around[0]) <= 180 and abs(around[1]) <= 89 and 10 <= around[2] <= 20_000):
        raise BadInput("--around is longitude,latitude,metres (10 to 20000), such as 130.62,42.417,1500")
    back = transformer(local_crs(around[0], around[1]), WGS84)
    circle = shapely.Point(0, 0).buffer(around[2])
    placed = shapely.transform(circle, lambda xy: np.column_stack(back.transform(xy[:, 0], xy[:, 1])))
    return unwrapped(placed, towards=around[0])


def _write(target: Path, document: dict[str, Any]) -> None:
    from rail_watch import aoi
    from rail_watch.cli.aoi import counts
    from rail_watch.cli.files import made, write_text

    with made(target.parent):
        write_text(target, json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    click.echo(f"Written: {target} ({counts(aoi.read(target))})")


@click.command(name="edit")
@click.argument("name", metavar="NAME|FILE.gpkg")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="File to write.")
def edit(name: str, out: Path) -> None:
    """Take an AOI to a GIS, or back: AOI to GeoPackage (--out NAME.gpkg), GeoPackage to AOI (--out NAME.geojson).

    The GeoPackage has two layers, `lines` and `areas`, whose columns are the properties of the format (`role`, `id`,
    `name`, `gauge_mm`, `deck_width_m`). QGIS opens it as it is.
    """
    check_folder(out.parent)
    if out.suffix.lower() == ".gpkg":
        _to_package(name, out)
    elif name.lower().endswith(".gpkg"):
        _from_package(Path(name), out)
    else:
        raise BadInput(f"{out}: one of the two must be a .gpkg file; see `rail-watch aoi edit --help`")


def _to_package(name: str, out: Path) -> None:
    import geopandas

    from rail_watch import aoi

    aoi.read(name)
    document: Any = aoi.read_document(name)
    header = json.dumps(document["rail_watch"], ensure_ascii=False)
    rows: dict[str, list[dict[str, object]]] = {"lines": [], "areas": []}
    for feature in document["features"]:
        layer = "lines" if feature["geometry"]["type"] == "LineString" else "areas"
        own = dict(feature["properties"])
        own["rail_watch"] = header if own.get("role") == "site" else None
        rows[layer].append({"type": "Feature", "geometry": feature["geometry"], "properties": own})
    out.unlink(missing_ok=True)
    for layer, features in rows.items():
        if features:
            frame = geopandas.GeoDataFrame.from_features(features, crs="EPSG:4326")
            for name_ in frame.columns:  # with gaps in it, a column of yes and no would be written as words
                if {type(value) for value in frame[name_].dropna()} == {bool}:
                    frame[name_] = frame[name_].astype("boolean")
            frame.to_file(out, layer=layer, driver="GPKG")
    click.echo(f"Written: {out} (layers {', '.join(layer for layer, features in rows.items() if features)})")


def _from_package(package: Path, out: Path) -> None:
    from rail_watch.aoi.document import parse

    if not package.is_file():
        raise BadAoi(f"{package}: no such file")
    features: list[dict[str, Any]] = []
    header: dict[str, Any] = {}
    try:
        for row in _rows(package):
            own = {key: value for key, value in row["properties"].items() if value is not None}
            told = own.pop("rail_watch", None)
            header = _header(told) or header
            if row["geometry"] is None:
                raise BadAoi(f"{package}: {own.get('id') or 'a feature'} is without a shape; draw it or delete its row")
            features.append({"type": "Feature", "geometry": _shape(row["geometry"]), "properties": _whole(own)})
    except (ValueError, TypeError, KeyError, RuntimeError, OSError) as fault:
        raise BadAoi(f"{package}: not a GeoPackage made by `aoi edit` ({str(fault)[:120]})") from fault
    features.sort(key=lambda one: one["properties"].get("role") != "site")
    header = header or _new_header(package, features)
    document = {"type": "FeatureCollection", "rail_watch": header, "features": features}
    _, faults = parse(document)
    if faults:
        raise BadAoi(f"{package}: {faults[0]}")
    _write(out, document)


def _rows(package: Path) -> Iterator[dict[str, Any]]:
    """Give the features of both layers, lines first."""
    import geopandas
    import pyogrio

    layers = [str(name) for name in pyogrio.list_layers(package)[:, 0]]
    if not set(layers) & {"lines", "areas"}:
        raise BadAoi(
            f"{package}: has no layer `lines` or `areas`; start from `rail-watch aoi edit NAME --out FILE.gpkg`"
        )
    for layer in sorted(set(layers) & {"lines", "areas"}, reverse=True):
        frame = geopandas.read_file(package, layer=layer).to_crs("EPSG:4326")
        yield from json.loads(frame.to_json(drop_id=True))["features"]


def _shape(geometry: dict[str, Any]) -> dict[str, Any]:
    """Return a geometry in steps of 1e-7 degrees, not wrapped into a collection of one."""
    import shapely

    shape = shapely.set_precision(shapely.geometry.shape(geometry), 1e-7, mode="pointwise")
    parts = shapely.get_parts(shape).tolist()
    plain: dict[str, Any] = json.loads(json.dumps(shapely.geometry.mapping(parts[0] if len(parts) == 1 else shape)))
    return plain


def _header(told: object) -> dict[str, Any]:
    found = json.loads(told[:MOST_HEADER]) if isinstance(told, str) else None
    return found if isinstance(found, dict) else {}


def _new_header(package: Path, features: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a header for a site that was drawn anew and lost the old one."""
    key = re.sub(r"[^a-z0-9_-]+", "-", package.stem.lower()).strip("-_")[:64] or "site"
    note = (
        f"the site in {package.name} lost its column `rail_watch`; the area is now {key!r}, source and accuracy unknown"
    )
    click.echo(note, err=True)
    named = next((one["properties"].get("name") for one in features if one["properties"].get("role") == "site"), None)
    return {"schema": "1", "id": key, "name": named or key}


def _whole(properties: dict[str, Any]) -> dict[str, Any]:
    """Return properties with whole numbers as such: a column with gaps makes floats of them."""
    return {
        key: int(value) if isinstance(value, float) and value.is_integer() else value
        for key, value in properties.items()
    }
