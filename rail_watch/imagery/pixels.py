"""One file's part of a scene: the window a site needs, decoded, with the state of every pixel."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.io import DatasetReader
from rasterio.windows import Window

from rail_watch.errors import BadRaster
from rail_watch.grid import Grid
from rail_watch.imagery.quality import MAPPINGS
from rail_watch.imagery.safe_open import safe_open
from rail_watch.imagery.scene import Asset, Band, Quality
from rail_watch.imagery.window import clipped, offset_of, same_lattice, window_of

Raw = NDArray[Any]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Sheet:
    """What a file's header says."""

    path: Path
    grid: Grid
    pixel_m: float
    """True ground length of a pixel's side."""
    simulated: bool
    """Its tags say SIMULATED."""


@dataclass(frozen=True)
class Part:
    """The window of one imagery file, on the file's own grid."""

    grid: Grid
    values: NDArray[np.float32]
    """(band, row, column) after scale and offset; NaN where `state` is NODATA."""
    state: NDArray[np.uint8]
    """(row, column): CLEAR, NODATA or SATURATED."""
    digest: str


@dataclass(frozen=True)
class QualityPart:
    """The window of one quality file, on the file's own grid."""

    grid: Grid
    state: NDArray[np.uint8]
    digest: str


def grid_of(dataset: DatasetReader) -> Grid:
    """Return where a dataset's pixels lie; the CRS as an EPSG code where the file has exactly that, else as WKT."""
    code = dataset.crs.to_epsg(confidence_threshold=100)
    crs = f"EPSG:{code}" if code is not None else dataset.crs.to_wkt()
    return Grid(crs, dataset.transform, (dataset.height, dataset.width))


def says_simulated(dataset: DatasetReader) -> bool:
    """Return whether any tag of the file says that it is simulated."""
    return any("SIMULATED" in f"{key} {value}".upper() for key, value in dataset.tags().items())


def sheet_of(path: Path) -> Sheet:
    """Return what a file's header says."""
    with safe_open(path) as dataset:
        grid = grid_of(dataset)
        pixel_m = grid.metres_per_pixel()
        if not 0 < pixel_m < 1e6:
            raise BadRaster(f"{path}: its pixels have no size on the ground; is its coordinate system right?")
        return Sheet(path, grid, pixel_m, says_simulated(dataset))


def _needed(grid: Grid, target: Grid, *, spare_px: int) -> Grid | None:
    """Return the part of a file's grid under a target grid and a little more, None when there is none."""
    if same_lattice(target, grid):
        return clipped(target, grid)
    rows, cols = target.shape
    down, right = np.linspace(-0.5, rows - 0.5, 21), np.linspace(-0.5, cols - 0.5, 21)
    edge = [(row, col) for row in down for col in (right[0], right[-1])]
    edge += [(row, col) for row in (down[0], down[-1]) for col in right]
    near = window_of(grid, target.lonlat(np.array(edge)))
    wide = near.crop(-spare_px, -spare_px, (near.shape[0] + 2 * spare_px, near.shape[1] + 2 * spare_px))
    return clipped(wide, grid)


def _window(part: Grid, whole: Grid) -> Window:
    row, col = offset_of(part, whole)
    return Window(col, row, part.shape[1], part.shape[0])


def _read(dataset: DatasetReader, bands: list[int], window: Window) -> Raw:
    """Return (band, row, column) in the file's own type."""
    if max(bands) > dataset.count:
        raise BadRaster(f"{dataset.name}: has {dataset.count} band(s), the catalogue speaks of band {max(bands)}")
    raw: Raw = dataset.read(bands, window=window)
    if raw.shape != (len(bands), int(window.height), int(window.width)):
        raise BadRaster(
            f"{dataset.name}: gave {raw.shape} where {len(bands)} x {window.height} x {window.width} was asked"
        )
    return raw


def _digest(raw: Raw) -> str:
    """SHA-256 over type, shape and little-endian values."""
    ordered = np.ascontiguousarray(raw, dtype=raw.dtype.newbyteorder("<"))
    head = f"{ordered.dtype.str} {ordered.shape}".encode()
    digest = hashlib.sha256(head + b"\n")
    digest.update(ordered.data if ordered.size else b"")
    return digest.hexdigest()


def _equals(raw: Raw, nodata: float | None) -> Mask:
    """Return where a band holds its nodata value; a value that its type cannot hold is nowhere."""
    if nodata is None:
        return np.zeros(raw.shape, dtype=bool)
    if np.issubdtype(raw.dtype, np.floating):
        if math.isnan(nodata):
            return np.isnan(raw)
        with np.errstate(over="ignore"):
            return np.asarray(raw == raw.dtype.type(nodata))
    limits = np.iinfo(raw.dtype)
    if not math.isfinite(nodata) or nodata != int(nodata) or not limits.min <= nodata <= limits.max:
        return np.zeros(raw.shape, dtype=bool)
    return np.asarray(raw == raw.dtype.type(int(nodata)))


def _missing(dataset: DatasetReader, raw: Raw, bands: tuple[Band, ...], window: Window) -> Mask:
    """Return where nothing was measured, by the nodata values, an alpha band or a mask inside the file.

    A pixel lacks a value when any of its bands does, except in 8-bit colour with nodata 0, where black may be zero
    in one band: there all of them must be.
    """
    given = [dataset.nodatavals[band.index - 1] if band.nodata is None else band.nodata for band in bands]
    absent = np.stack([_equals(plane, nodata) for plane, nodata in zip(raw, given, strict=True)])
    byte_colour = raw.dtype == np.uint8 and len(bands) >= 3 and set(given) == {0}
    missing = absent.all(axis=0) if byte_colour else absent.any(axis=0)
    alpha = [index + 1 for index, kind in enumerate(dataset.colorinterp) if kind == ColorInterp.alpha]
    if alpha:
        missing |= dataset.read(alpha[0], window=window) == 0
    elif MaskFlags.per_dataset in dataset.mask_flag_enums[0]:
        missing |= dataset.read_masks(1, window=window) == 0
    return np.asarray(missing)


def _scaling(dataset: DatasetReader, band: Band) -> tuple[float, float]:
    """Return (scale, offset): the catalogue's, else the file's own, else the documented ones for whole numbers."""
    own = float(dataset.scales[band.index - 1]), float(dataset.offsets[band.index - 1])
    silent = (band.scale, band.offset) == (1.0, 0.0) or band.assumed
    if silent and own != (1.0, 0.0) and np.isfinite(own).all() and own[0] != 0:
        return own
    if band.assumed and np.issubdtype(np.dtype(dataset.dtypes[band.index - 1]), np.floating):
        return 1.0, 0.0
    return band.scale, band.offset


def _saturated(raw: Raw) -> Mask:
    """Return where every band of several stands at the top of its whole-number type."""
    if not np.issubdtype(raw.dtype, np.integer):
        return np.zeros(raw.shape[1:], dtype=bool)
    return np.asarray((raw == np.iinfo(raw.dtype).max).all(axis=0))


def _scale(plane: Raw, out: NDArray[np.float32], scaling: tuple[float, float]) -> None:
    """Put scale * plane + offset into `out`."""
    if plane.dtype == np.uint16 and plane.size > 2**16:
        # Fewer values than pixels: each is worked out once.
        every = np.empty(2**16, dtype=np.float32)
        _scale(np.arange(2**16, dtype=np.uint16), every, scaling)
        np.take(every, plane, out=out, mode="clip")
        return
    with np.errstate(over="ignore", invalid="ignore"):
        np.multiply(plane, scaling[0], out=out, dtype=np.float64, casting="unsafe")
        np.add(out, scaling[1], out=out, dtype=np.float64, casting="unsafe")


def imagery_part(path: Path, asset: Asset, target: Grid) -> Part | None:
    """Read what of an imagery file lies under a target grid, None when nothing does.

    Raises
    ------
    BadRaster
        One line naming the file.
    """
    with safe_open(path) as dataset:
        whole = grid_of(dataset)
        part = _needed(whole, target, spare_px=2)
        if part is None:
            return None
        window = _window(part, whole)
        raw = _read(dataset, [band.index for band in asset.bands], window)
        missing = _missing(dataset, raw, asset.bands, window)
        scalings = [_scaling(dataset, band) for band in asset.bands]
    values = np.empty(raw.shape, dtype=np.float32)
    for plane, out, scaling in zip(raw, values, scalings, strict=True):
        _scale(plane, out, scaling)
    missing |= ~np.isfinite(values).all(axis=0)
    values += np.where(missing, np.float32(np.nan), np.float32(0))
    state = np.where(_saturated(raw), np.uint8(Quality.SATURATED), np.uint8(Quality.CLEAR))
    state[missing] = Quality.NODATA
    return Part(part, values, state, _digest(raw))


def quality_part(path: Path, asset: Asset, target: Grid) -> QualityPart | None:
    """Read what of a quality file lies under a target grid, None when nothing does."""
    assert asset.quality is not None
    with safe_open(path) as dataset:
        whole = grid_of(dataset)
        part = _needed(whole, target, spare_px=1)
        if part is None:
            return None
        count = dataset.count if asset.quality == "udm2" else 1
        raw = _read(dataset, list(range(1, count + 1)), _window(part, whole))
    try:
        state = MAPPINGS[asset.quality](raw)
    except BadRaster as fault:
        raise BadRaster(f"{path}: {fault}") from fault
    return QualityPart(part, state, _digest(raw))
