"""Observations as GeoParquet 1.1 and as a GeoPackage that QGIS opens with its colours."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rail_watch.errors import BadInput
from rail_watch.export import styles, table
from rail_watch.observe.records import Detections

WGS84 = "OGC:CRS84"
DTYPES = {"whole": "Int64", "truth": "boolean", "number": "Float64", "text": "string"}


def geoparquet(runs: Sequence[Detections], path: Path) -> None:
    """Write the observations as GeoParquet 1.1 with a bounding box for each (ogcapi.ogc.org, GeoParquet 1.1.0).

    Raises
    ------
    BadInput
        pyarrow, of the extra `geoparquet`, is not installed.
    """
    if find_spec("pyarrow") is None:
        raise BadInput("GeoParquet needs pyarrow, which is not installed; pip install 'rail-watch[geoparquet]'")
    frame = _frame(runs)
    frame.to_parquet(path, index=False, compression="zstd", schema_version="1.1.0", write_covering_bbox=True)


def geopackage(runs: Sequence[Detections], path: Path) -> None:
    """Write layer `observations`, table `looks`, and the layer's style, so that QGIS draws it as the reports do."""
    import pyogrio

    stamp = max(run.created for run in runs)
    shapes = _frame(runs).to_crs("EPSG:4326")
    pyogrio.write_dataframe(shapes, path, layer="observations", driver="GPKG", geometry_type="MultiPolygon")
    looks = _typed(table.looks(runs), table.LOOKS)
    pyogrio.write_dataframe(looks, path, layer="looks", driver="GPKG", append=True)
    _add_style(path, stamp)


def _typed(rows: Sequence[table.Row], columns: Sequence[str]) -> Any:
    """Return a data frame whose columns keep their kind where all values are missing."""
    import pandas

    frame = pandas.DataFrame(rows, columns=list(columns))
    for column in columns:
        kind = table.kind_of(column)
        values = frame[column]
        if kind == "time":
            frame[column] = pandas.to_datetime(values, utc=True, format="ISO8601").dt.as_unit("ms")
        else:
            frame[column] = values.astype(DTYPES[kind])
    return frame


def _frame(runs: Sequence[Detections]) -> Any:
    import geopandas
    from shapely import MultiPolygon, Polygon
    from shapely.geometry import shape

    rows = table.observations(runs)
    shapes = [shape(geometry) for _, geometry in rows]
    parts = [MultiPolygon([one]) if isinstance(one, Polygon) else one for one in shapes]
    frame = _typed([row for row, _ in rows], table.COLUMNS)
    return geopandas.GeoDataFrame(frame, geometry=geopandas.GeoSeries(parts, crs=WGS84), crs=WGS84)


def _add_style(path: Path, stamp: datetime) -> None:
    """Add the table in which QGIS looks for styles; the file's own times become that of the answer."""
    when = stamp.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    with closing(sqlite3.connect(path)) as store, store:
        store.execute(
            "CREATE TABLE layer_styles (id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, f_table_catalog TEXT(256), "
            "f_table_schema TEXT(256), f_table_name TEXT(256), f_geometry_column TEXT(256), styleName TEXT(30), "
            "styleQML TEXT, styleSLD TEXT, useAsDefault BOOLEAN, description TEXT, owner TEXT(30), ui TEXT(30), "
            "update_time DATETIME)"
        )
        store.execute(
            "INSERT INTO layer_styles (f_table_catalog, f_table_schema, f_table_name, f_geometry_column, styleName, "
            "styleQML, styleSLD, useAsDefault, description, owner, update_time) "
            "SELECT '', '', table_name, column_name, 'rail-watch', ?, '', 1, ?, '', ? "
            "FROM gpkg_geometry_columns WHERE table_name = 'observations'",
            (styles.qml(), "Observations by kind, as in the reports", when),
        )
        store.execute(
            "INSERT INTO gpkg_contents (table_name, data_type, identifier, description, last_change) "
            "VALUES ('layer_styles', 'attributes', 'layer_styles', '', ?)",
            (when,),
        )
        store.execute("UPDATE gpkg_contents SET last_change = ?", (when,))
