"""The ways of a yard from an extract of OpenStreetMap (``.osm.pbf``)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from shapely import LineString, Polygon

from rail_watch.aoi.osm import MOST_WAYS, Way
from rail_watch.errors import BadAoi

MOST_BYTES = 2_000_000_000
KEYS = ("railway", "building", "landuse")


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
    found = []
    try:
        # The format is said, not guessed from the name; nothing else is opened.
        source = osmium.FileProcessor(osmium.io.File(str(path), "pbf")).with_locations()
        chosen = source.with_filter(osmium.filter.EntityFilter(osmium.osm.WAY))
        for one in chosen.with_filter(osmium.filter.KeyFilter(*KEYS)):
            points = tuple(_points(one))
            if len(points) >= 2 and LineString(points).intersects(box):
                found.append(Way(points, {str(tag.k): str(tag.v)[:200] for tag in one.tags}))
                if len(found) > MOST_WAYS:
                    raise BadAoi(f"{path}: more than {MOST_WAYS} ways in the box; make it smaller")
    except (RuntimeError, ValueError, MemoryError) as fault:
        raise BadAoi(f"{path}: not an extract in PBF ({str(fault)[:100]}); fetch it again") from fault
    return tuple(found)


def _points(way: object) -> Iterator[tuple[float, float]]:
    """Give the places of a way's nodes; nodes beyond the extract's edge have none."""
    for node in way.nodes:  # type: ignore[attr-defined]
        if node.location.valid():
            yield node.location.lon, node.location.lat
