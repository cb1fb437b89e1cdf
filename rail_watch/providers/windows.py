"""Bring the window of a site from a file on the network: a small GeoTIFF here, read afterwards like any other.

What is brought is a cut-out of the file on its own lattice, with its own numbers, nodata, scale and offset; everything
that makes measurements of numbers happens later, in `rail_watch.imagery`, to local and remote files alike.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.io import DatasetReader
from rasterio.windows import Window

from rail_watch.aoi.site import Site
from rail_watch.errors import BadRaster
from rail_watch.grid import Grid
from rail_watch.imagery.pixels import grid_of
from rail_watch.imagery.quiet import without_warning
from rail_watch.imagery.safe_open import RemoteFile, safe_open, safe_open_remote
from rail_watch.imagery.window import clipped, offset_of, outline, window_of
from rail_watch.providers.pieces import WebFile, spans_of

SPARE_PX = 16
"""Pixels brought around the window, so that a coarser or turned lattice can be laid onto a finer one."""
MOST_VALUES = 200_000_000
READING: dict[str, str | int] = {
    "GDAL_HTTP_MAX_RETRY": 4,
    "GDAL_HTTP_RETRY_DELAY": "0.5",
    "GDAL_HTTP_TIMEOUT": 60,
    "GDAL_HTTP_CONNECTTIMEOUT": 20,
    "GDAL_HTTP_LOW_SPEED_TIME": 30,
    "GDAL_HTTP_LOW_SPEED_LIMIT": 100,
    "GDAL_HTTP_MERGE_CONSECUTIVE_RANGES": "YES",
    "GDAL_HTTP_MULTIPLEX": "YES",
    "GDAL_INGESTED_BYTES_AT_OPEN": 32768,
    "VSI_CACHE": "TRUE",
    "VSI_CACHE_SIZE": 10_000_000,
}
"""GDAL's settings for files on the network; those in the user's own environment win."""


def settings(more: Mapping[str, str | int] | None = None) -> dict[str, str | int]:
    """Return GDAL's settings less those that the user's environment gives."""
    return {key: value for key, value in {**READING, **(more or {})}.items() if key not in os.environ}


@dataclass(frozen=True)
class Cut:
    """A window as read: what a GeoTIFF of its own needs."""

    grid: Grid
    values: NDArray[Any]
    """(band, row, column) as the file holds them."""
    profile: Mapping[str, object]
    """Per band: scales, offsets, descriptions; and the nodata value."""
    colours: tuple[ColorInterp, ...]
    tags: Mapping[str, str]


def _indexes(dataset: DatasetReader, bands: tuple[int, ...], alpha: list[int]) -> list[int]:
    """Return the bands to read; none named: all of them (a quality layer)."""
    if bands and max(bands) > dataset.count:
        raise BadRaster(f"{dataset.name}: has {dataset.count} band(s), the catalogue speaks of band {max(bands)}")
    wanted = list(bands) or list(dataset.indexes)
    return wanted + [index for index in alpha if index not in wanted]


def cut(file: RemoteFile, site: Site, *, bands: tuple[int, ...], margin_m: float) -> Cut | None:
    """Read the window of a site from a file on the network; None where the file does not reach it.

    Parameters
    ----------
    bands : numbers in the file, from 1, in the order they are kept; none for all.
    margin_m : around the site.
    """
    held = file.held if isinstance(file, WebFile) else None
    with nullcontext() if held is None else held.told(), safe_open_remote(file) as dataset:
        part = _part(dataset, site, margin_m)
        if part is None:
            return None
        if held is not None and dataset.driver == "GTiff":
            held.fetch(spans_of(held.pieces, dataset, *_wanted(dataset, part, bands)))
        return _cut(dataset, part, bands, file.shown)


def cut_local(path: Path, site: Site, *, bands: tuple[int, ...], margin_m: float) -> Cut | None:
    """Read the window of a site from a file on this machine, as `cut` does."""
    with safe_open(path) as dataset:
        part = _part(dataset, site, margin_m)
        return None if part is None else _cut(dataset, part, bands, str(path))


def _part(dataset: DatasetReader, site: Site, margin_m: float) -> Grid | None:
    """Return the window with its spare pixels, as far as the file reaches; None where it does not reach the site."""
    whole = grid_of(dataset)
    near = window_of(whole, outline(site, margin_m))
    rows, cols = near.shape
    if clipped(near, whole) is None:
        return None
    return clipped(near.crop(-SPARE_PX, -SPARE_PX, (rows + 2 * SPARE_PX, cols + 2 * SPARE_PX)), whole)


def _wanted(dataset: DatasetReader, part: Grid, bands: tuple[int, ...]) -> tuple[Window, list[int]]:
    """Return the window to read and the bands, those of transparency behind the others."""
    row, col = offset_of(part, grid_of(dataset))
    return Window(col, row, part.shape[1], part.shape[0]), _indexes(dataset, bands, _alpha(dataset))


def _alpha(dataset: DatasetReader) -> list[int]:
    return [index + 1 for index, kind in enumerate(dataset.colorinterp) if kind == ColorInterp.alpha]


def _cut(dataset: DatasetReader, part: Grid, bands: tuple[int, ...], name: str) -> Cut:
    alpha = _alpha(dataset)
    window, indexes = _wanted(dataset, part, bands)
    if part.shape[0] * part.shape[1] * len(indexes) > MOST_VALUES:
        raise BadRaster(f"{name}: the site needs {part.shape} pixels of it; draw a smaller site")
    values = dataset.read(indexes, window=window)
    colours = [dataset.colorinterp[index - 1] for index in indexes]
    if not alpha and MaskFlags.per_dataset in dataset.mask_flag_enums[0]:
        mask = dataset.read_masks(1, window=window)
        values = np.concatenate([values, (mask != 0).astype(values.dtype)[None]])
        colours.append(ColorInterp.alpha)
    if values.shape[1:] != part.shape:
        raise BadRaster(f"{name}: gave {values.shape[1:]} pixels where {part.shape} were asked")
    own = [index - 1 for index in indexes]
    spare = len(values) - len(own)
    profile = {
        "nodata": dataset.nodata,
        "scales": [*(dataset.scales[index] for index in own), *[1.0] * spare],
        "offsets": [*(dataset.offsets[index] for index in own), *[0.0] * spare],
        "descriptions": [*(dataset.descriptions[index] for index in own), *[None] * spare],
    }
    return Cut(part, values, profile, tuple(colours), dataset.tags())


def write(piece: Cut, path: Path, *, tags: Mapping[str, str]) -> Path:
    """Write a window as a GeoTIFF of its own, beside its place first and then moved there."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.{id(piece)}")
    count, rows, cols = piece.values.shape
    tiled = min(rows, cols) >= 256
    profile = {
        "driver": "GTiff",
        "count": count,
        "height": rows,
        "width": cols,
        "dtype": piece.values.dtype,
        "crs": piece.grid.crs,
        "transform": piece.grid.transform,
        "compress": "deflate",
        "interleave": "band",
        **({"tiled": True, "blockxsize": 256, "blockysize": 256} if tiled else {}),
    }
    nodata = piece.profile["nodata"]
    if nodata is not None:
        profile["nodata"] = nodata
    try:
        with without_warning(), rasterio.Env(GDAL_PAM_ENABLED="NO"), rasterio.open(beside, "w", **profile) as dataset:
            dataset.colorinterp = piece.colours
            dataset.scales, dataset.offsets = piece.profile["scales"], piece.profile["offsets"]
            for index, text in enumerate(_list(piece.profile["descriptions"]), 1):
                if text:
                    dataset.set_band_description(index, str(text)[:100])
            simulated = {key: value for key, value in piece.tags.items() if "SIMULATED" in f"{key} {value}".upper()}
            dataset.update_tags(**{**simulated, **tags})
            dataset.write(piece.values)  # last, so that the directory with all this stands first, as in a COG
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)
    return path


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []
