"""The ways of a yard from an extract of OpenStreetMap (``.osm.pbf``)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shapely import Polygon

from rail_watch.aoi.osm_read import KEYS, MOST_WAYS, Point, Points, Way, areas_of, cleaned, pieces
from rail_watch.errors import BadAoi

if TYPE_CHECKING:
    from types import ModuleType

MOST_BYTES = 2_000_000_000


def ways_of_extract(path: Path, box: Polygon) -> tuple[Way, ...]:
    """Return the tracks, buildings and grounds of an extract that touch a lon/lat box.

    Raises
    ------
    BadAoi
        One line: the package that reads extracts is missing, the file is none, or too much of it is wanted.
    """
    try:
        import osmium
    except ImportError as fault:
        raise BadAoi(f"{path}: an extract needs osmium; install it with: pip install 'rail-watch[osm]'") from fault
    if not path.is_file():
        raise BadAoi(f"{path}: no such file")
    if path.stat().st_size > MOST_BYTES:
        raise BadAoi(f"{path}: more than {MOST_BYTES / 1e9:g} GB; cut it with `osmium extract` first")
    bounds = box.bounds
    found = []
    try:
        for way in _ways(osmium, path):
            if _near(way.points, bounds):
                found.append(way)
                if len(found) > MOST_WAYS:
                    raise BadAoi(f"{path}: more than {MOST_WAYS} ways in the box; make it smaller")
    except (RuntimeError, ValueError, MemoryError) as fault:
        raise BadAoi(f"{path}: not an extract in PBF ({str(fault)[:100]}); fetch it again") from fault
    return tuple(found)


def _ways(osmium: ModuleType, path: Path) -> Iterator[Way]:
    """Give the ways that may matter, and the areas that several ways make."""
    wanted = osmium.filter.KeyFilter(*KEYS)
    # The format is said, not guessed from the name; nothing else is opened.
    source = osmium.FileProcessor(osmium.io.File(str(path), "pbf")).with_locations().with_areas(wanted)
    for one in source.with_filter(osmium.filter.EntityFilter(osmium.osm.WAY | osmium.osm.AREA)).with_filter(wanted):
        tags = {str(tag.k): cleaned(str(tag.v)) for tag in one.tags}
        if one.is_way():
            for piece in pieces(_points(one.nodes)):
                yield Way(piece, tags)
        elif not one.from_way():
            rings = list(one.outer_rings())
            outer = [piece for ring in rings for piece in pieces(_points(ring))]
            inner = [piece for ring in rings for hole in one.inner_rings(ring) for piece in pieces(_points(hole))]
            yield from areas_of(outer, inner, tags)


def _near(points: Points, bounds: tuple[float, float, float, float]) -> bool:
    """Return whether points' own box touches another; plain numbers, for a land has millions of buildings."""
    west, south, east, north = bounds
    lon, lat = zip(*points, strict=True)
    turn = 360 * round(((west + east) / 2 - lon[0]) / 360)
    return bool(max(lat) >= south and min(lat) <= north and max(lon) + turn >= west and min(lon) + turn <= east)


def _points(nodes: Any) -> Iterator[Point | None]:
    """Give the places of nodes; those beyond the extract's edge have none."""
    for node in nodes:
        yield (node.location.lon, node.location.lat) if node.location.valid() else None
