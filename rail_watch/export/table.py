"""Observations and looks as flat rows, and rows as CSV that no spreadsheet takes for a program."""

from __future__ import annotations

import csv
import io
import json
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from shapely.geometry import shape

from rail_watch.observe import document
from rail_watch.observe.records import Detections

Row = dict[str, Any]

WHOLE = frozenset({"railcars", "railcars_95_low", "railcars_95_high"})
TRUE_OR_FALSE = frozenset({"simulated", "moving"})
TIMES = frozenset({"datetime", "last_clear_before", "first_seen", "same_as_datetime"})
NUMBERS = frozenset({"same_as_p", "p_value", "moving_p_value", "speed_kmh", "lon", "lat", "clear_fraction"})
"""Besides what ends in a unit."""
UNITS = ("_m", "_m2", "_low", "_high", "_fraction")
DANGEROUS = "=+-@\t\r\n"
"""What a spreadsheet may take for the start of a formula (OWASP, CSV injection); wide forms count as the plain ones."""
COLUMNS = (
    "id", "kind", "aoi", "scene", "datetime", "simulated", "track", "tracks", "apron", "start_m", "end_m",
    "length_m", "length_m_95_low", "length_m_95_high", "railcars", "railcars_95_low", "railcars_95_high", "cars",
    "area_m2", "area_m2_95_low", "area_m2_95_high", "area_m2_before_95_low", "area_m2_before_95_high", "height_m",
    "height_m_95_low", "height_m_95_high", "moving", "moving_p_value", "speed_kmh", "speed_kmh_95_low",
    "speed_kmh_95_high", "direction", "bound_for", "p_value", "likelihood", "change", "last_clear_before",
    "first_seen", "same_as", "same_as_p", "same_as_aoi", "same_as_datetime", "text", "platform", "sensor", "gsd_m",
    "credit",
)  # fmt: skip
LOOKS = (
    "aoi", "scene", "datetime", "simulated", "platform", "sensor", "gsd_m", "status", "clear_fraction", "place",
    "role", "visibility", "visible_fraction", "state", "p_value", "shortest_detectable_m", "fill_fraction",
    "fill_fraction_low", "fill_fraction_high", "reason",
)  # fmt: skip


def kind_of(column: str) -> str:
    """Return what a column holds: whole, truth, time, number or text."""
    if column in WHOLE:
        return "whole"
    if column in TRUE_OR_FALSE:
        return "truth"
    if column in TIMES:
        return "time"
    return "number" if column in NUMBERS or column.endswith(UNITS) else "text"


def observations(runs: Iterable[Detections]) -> list[tuple[Row, dict[str, Any]]]:
    """Return (row, GeoJSON geometry) of each observation; rows have all of `COLUMNS`, intervals as two columns."""
    told = []
    for run in runs:
        scenes = {scene.id: scene for scene in run.scenes}
        for feature in document.observations_geojson(run)["features"]:
            row = {"id": feature["id"], **_flat(feature["properties"])}
            scene = scenes.get(row["scene"])
            if scene is not None:
                row |= {"platform": scene.platform, "sensor": scene.sensor, "gsd_m": scene.gsd_m}
                row["credit"] = scene.credit
            told.append(({column: row.get(column) for column in COLUMNS}, feature["geometry"]))
    return told


def _flat(properties: Mapping[str, Any]) -> Row:
    row: Row = {}
    for name, value in properties.items():
        if name.endswith("_95"):
            row[f"{name}_low"], row[f"{name}_high"] = value or (None, None)
        elif name == "cars":
            row[name] = json.dumps(value) if value else None
        else:
            row[name] = "; ".join(value) if isinstance(value, list) else value
    return row


def looks(runs: Iterable[Detections]) -> list[Row]:
    """Return a row for each track, deck and apron at each scene: what could not be seen is told too."""
    told = []
    for run in runs:
        for scene in document.to_document(run)["scenes"]:
            shared = {"aoi": run.site, "scene": scene["id"], **{name: scene.get(name) for name in LOOKS[2:9]}}
            for look in scene["tracks"]:
                told.append(shared | look | {"place": look["track"]})
            for look in scene["aprons"]:
                low, high = look["fill_fraction_95"] or (None, None)
                ends = {"fill_fraction_low": low, "fill_fraction_high": high}
                told.append(shared | look | ends | {"place": look["apron"], "role": "apron"})
    return [{column: row.get(column) for column in LOOKS} for row in told]


def located(rows: Iterable[tuple[Row, Mapping[str, Any]]]) -> list[Row]:
    """Return the rows with the longitude and latitude of a point inside each outline."""
    told = []
    for row, geometry in rows:
        point = shape(geometry).representative_point()
        told.append({**row, "lon": round(point.x, 7), "lat": round(point.y, 7)})
    return told


def csv_text(rows: Sequence[Row], columns: Sequence[str]) -> str:
    """Return RFC 4180 CSV with a line of names; numbers stay numbers, and no text can start a formula."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\r\n")
    writer.writerow(columns)
    writer.writerows([_cell(row.get(column)) for column in columns] for row in rows)
    return stream.getvalue()


def _cell(value: object) -> object:
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        return "" if value is None else value
    text = value.replace("\0", "")
    start = unicodedata.normalize("NFKC", text.lstrip(" \u00a0\ufeff\u200b")[:1])
    return f"'{text}" if text[:1] in tuple("\t\r\n") or (start and start in DANGEROUS) else text
