"""The one door through which rasters from outside come in.

What GDAL would otherwise do with a hostile file, and what is done against it:

- pick a driver that follows references (VRT, WMS, …): only the magic bytes of TIFF, JPEG 2000 and NITF, and the
  driver fixed to GTiff, JP2OpenJPEG or NITF;
- read sidecar files (``.aux.xml``, ``.ovr``, ``.msk``): the folder is declared empty and PAM is off;
- take the pixels of decimated reads from the file or address named in the tag OVERVIEW_FILE: refused;
- allocate what the header claims: caps on pixels, bands and the size of one block;
- open a name that is more than a path (``/vsicurl/…``, ``GTIFF_DIR:1:…``): only resolved paths of regular files.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np
import rasterio
from rasterio.enums import MaskFlags
from rasterio.io import DatasetReader
from rasterio.session import DummySession

from rail_watch.errors import BadRaster
from rail_watch.imagery import jp2_header
from rail_watch.imagery.quiet import without_warning
from rail_watch.imagery.tiff_header import Directory, directories, directories_in

MAGIC = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")
NITF_MAGIC = (b"NITF", b"NSIF")
PLAIN_NITF = frozenset({"NC", "NM"})
"""Image compression that needs no second decoder: none, and none with a mask of blocks."""
MAX_PIXELS = 10_000_000_000
MAX_BANDS = 256
MAX_BLOCK_BYTES = 64_000_000
DTYPES = frozenset(
    {"uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float16", "float32", "float64"}
)
ENVIRONMENT = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_PAM_ENABLED": "NO",
    "CPL_VSIL_CURL_ALLOWED_FILENAME": "none",
    "GDAL_GEOREF_SOURCES": "INTERNAL",
    "GDAL_CACHEMAX": 64,
}


def _local_file(path: Path) -> tuple[Path, str]:
    """Return the resolved file and the driver for it."""
    if "\0" in str(path):
        raise BadRaster("a raster's path holds a NUL character")
    try:
        resolved = path.resolve(strict=True)
        if not resolved.is_file():
            raise BadRaster(f"{path}: not a regular file")
        with resolved.open("rb") as stream:
            magic = stream.read(len(jp2_header.MAGIC))
    except OSError as fault:
        reason = "no such file" if isinstance(fault, FileNotFoundError) else fault.strerror or type(fault).__name__
        raise BadRaster(f"{path}: {reason}") from fault
    if str(resolved).startswith("/vsi"):
        raise BadRaster(f"{path}: not a path of a local file")
    if magic == jp2_header.MAGIC:
        with resolved.open("rb") as stream:
            _check_tiles(stream, path)
        return resolved, "JP2OpenJPEG"
    if magic[:4] in NITF_MAGIC:
        return resolved, "NITF"
    if magic[:4] not in MAGIC:
        raise BadRaster(f"{path}: not a TIFF, JPEG 2000 or NITF file; convert it to GeoTIFF first")
    return resolved, "GTiff"


def _check_tiles(stream: BinaryIO, path: Path | str) -> None:
    """Refuse JPEG 2000 in one huge tile; GDAL shows blocks smaller than what must be decoded for one."""
    size = 4 * jp2_header.tile_values(stream)
    if size > MAX_BLOCK_BYTES:
        raise BadRaster(f"{path}: its tiles decode to {size / 1e6:.0f} MB each; convert it to tiled GeoTIFF first")


def _cause(fault: BaseException) -> str:
    """Return one short line of the innermost reason GDAL gives."""
    while fault.__cause__ is not None:
        fault = fault.__cause__
    line = " ".join(str(fault).split())
    line = "".join(letter for letter in line if letter.isprintable())  # a server's own words may be among them
    plain = re.sub(r"\?[^\s'\"]+", "", line)  # signatures stand in queries
    return plain[:160] or type(fault).__name__


def _unreadable(cause: str) -> str:
    return f"cannot be read ({cause}); fetch it again or leave it out"


@contextmanager
def _named(path: Path | str, says: Callable[[str], str] = _unreadable) -> Generator[None]:
    """Turn whatever GDAL or a codec raises into `BadRaster` naming the file."""
    try:
        yield
    except BadRaster as fault:
        if str(path) in str(fault):
            raise
        raise BadRaster(f"{path}: {fault}") from fault
    except Exception as fault:
        raise BadRaster(f"{path}: {says(_cause(fault))}") from fault


def _block_bytes(dataset: DatasetReader) -> int:
    bands = dataset.count if str(dataset.interleaving).lower().endswith("pixel") else 1
    rows, cols = max(dataset.block_shapes, key=lambda shape: shape[0] * shape[1])
    size = max(np.dtype(name).itemsize for name in dataset.dtypes)
    return int(rows * cols * size * bands)


def _check_mask(dataset: DatasetReader, path: Path | str, known: Iterable[Directory]) -> None:
    """Refuse a mask inside the file whose blocks are too large; GDAL does not tell their size."""
    if MaskFlags.per_dataset not in dataset.mask_flag_enums[0] or dataset.driver != "GTiff":
        return
    for directory in known:
        if directory.is_mask and directory.block[0] * directory.block[1] > MAX_BLOCK_BYTES:
            raise BadRaster(
                f"{path}: its mask decodes to over {MAX_BLOCK_BYTES / 1e6:.0f} MB a block; rewrite it tiled"
            )


def _check_nitf(dataset: DatasetReader, path: Path | str) -> None:
    """Refuse NITF with a second decoder inside, whose blocks GDAL does not tell, and with several images."""
    if dataset.subdatasets:
        raise BadRaster(f"{path}: holds several images; take out one with gdal_translate")
    how = dataset.tags().get("NITF_IC", "?")
    if how not in PLAIN_NITF:
        raise BadRaster(f"{path}: its image is compressed ({how[:4]}); convert it to GeoTIFF with gdal_translate first")


def _check(dataset: DatasetReader, path: Path | str, known: Iterable[Directory]) -> None:
    if "OVERVIEW_FILE" in dataset.tags(ns="OVERVIEWS"):
        raise BadRaster(f"{path}: refused, its tag OVERVIEW_FILE points at another file; rewrite it without")
    if dataset.count < 1 or dataset.count > MAX_BANDS:
        raise BadRaster(f"{path}: {dataset.count} bands; 1 to {MAX_BANDS} can be read")
    if dataset.width * dataset.height > MAX_PIXELS:
        raise BadRaster(
            f"{path}: {dataset.width} x {dataset.height} pixels is more than {MAX_PIXELS:.0e}; cut it first"
        )
    odd = sorted(set(dataset.dtypes) - DTYPES)
    if odd:
        raise BadRaster(f"{path}: pixels of type {odd[0]}; real numbers are needed (detected or calibrated imagery)")
    block = _block_bytes(dataset)
    if block > MAX_BLOCK_BYTES:
        limit = MAX_BLOCK_BYTES / 1e6
        raise BadRaster(
            f"{path}: its blocks decode to {block / 1e6:.0f} MB each, over {limit:.0f} MB; rewrite it tiled"
        )
    if dataset.crs is None or dataset.transform.is_identity:
        raise BadRaster(f"{path}: not georeferenced (no coordinate system or transform); orthorectify it first")
    if not (dataset.crs.is_projected or dataset.crs.is_geographic):
        raise BadRaster(f"{path}: its coordinate system is neither projected nor geographic; reproject it first")
    _check_mask(dataset, path, known)
    t = dataset.transform
    if not np.isfinite([t.a, t.b, t.c, t.d, t.e, t.f]).all() or t.determinant == 0:
        raise BadRaster(f"{path}: its transform is degenerate; orthorectify it again")


@contextmanager
def safe_open(path: Path, *, name: str = "") -> Generator[DatasetReader]:
    """Open one local GeoTIFF, JPEG 2000 or NITF file that may be hostile.

    Everything done with the dataset inside the ``with`` block is guarded too.

    Parameters
    ----------
    name : for messages, in place of the path.

    Raises
    ------
    BadRaster
        One line naming the file, for anything that goes wrong here or inside the block.
    """
    with _named(name or path), ExitStack() as stack:
        resolved, driver = _local_file(path)
        stack.enter_context(rasterio.Env(**ENVIRONMENT))
        with without_warning():
            dataset = stack.enter_context(rasterio.open(resolved, driver=driver, sharing=False))
        if driver == "NITF":
            _check_nitf(dataset, name or path)
        _check(dataset, name or path, directories(resolved) if driver == "GTiff" else ())
        yield dataset


@dataclass(frozen=True)
class RemoteFile:
    """A raster on a server that a provider's preset or the user named."""

    vsi: str
    """GDAL's name of it: ``/vsicurl/https://…`` or ``/vsis3/bucket/key``, made from a checked address."""
    shown: str
    """For messages: without signature."""
    head: bytes = b""
    """Its first bytes, fetched beforehand under the rules of our own client; empty for S3."""
    settings: Mapping[str, str | int] = field(default_factory=dict)
    """GDAL's, for reading over the network."""
    opener: Callable[..., BinaryIO] | None = None
    """Gives the file to read in place of GDAL's own; None where GDAL asks the server."""

    def stream(self) -> BinaryIO:
        """Return the file, or what is known of it: its first bytes."""
        return io.BytesIO(self.head) if self.opener is None else self.opener()


KEYS = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
STORE_MENDS = (
    (r"not defined|not filled", f"put your keys into {KEYS}"),
    (r"(?i)denied|access key|signature|token|expired|code: 40[013]", f"are the keys in {KEYS} right, and valid still?"),
    (r"(?i)specified (key|bucket)|NoSuch|code: 404", "it is not there; search again or leave it out"),
    (r"(?i)slow ?down|code: 5\d\d|CURL error", "try again later"),
)
"""What can be done about a fault that an object store tells, or GDAL on its way there."""


def _from_store(cause: str) -> str:
    """Say what went wrong at an object store. Some give a code only, of which GDAL leaves a scrap of XML."""
    told = "refused by the object store, which gives no reason" if cause.startswith("<") else cause
    asked = f"are the keys in {KEYS} right, and is it there?" if told != cause else "fetch it again or leave it out"
    mend = next((mend for pattern, mend in STORE_MENDS if re.search(pattern, cause)), asked)
    return f"cannot be read ({told}); {mend}"


def _remote_driver(file: RemoteFile) -> str:
    if file.head[: len(jp2_header.MAGIC)] == jp2_header.MAGIC:
        _check_tiles(file.stream(), file.shown)
        return "JP2OpenJPEG"
    if file.head[:4] in MAGIC:
        return "GTiff"
    if file.head:
        raise BadRaster(f"{file.shown}: not a TIFF or JPEG 2000 file; is it the image itself?")
    return "JP2OpenJPEG" if file.vsi.lower().endswith(".jp2") else "GTiff"


def _remote_directories(file: RemoteFile) -> Iterable[Directory]:
    if not file.head:
        raise BadRaster(f"{file.shown}: has a mask inside whose size cannot be checked over S3; download it")
    return directories_in(file.stream())


@contextmanager
def safe_open_remote(file: RemoteFile) -> Generator[DatasetReader]:
    """Open one raster on the network that may be hostile, to read windows of it.

    The same door as `safe_open`: no sidecars, one driver, caps, and GDAL may fetch this one address only. A failed open
    is not remembered, so that a later try does reach the server.

    Raises
    ------
    BadRaster
        One line naming the address, for anything that goes wrong here or inside the block.
    """
    with _named(file.shown, _from_store if file.vsi.startswith("/vsis3/") else _unreadable), ExitStack() as stack:
        own = {"CPL_VSIL_CURL_ALLOWED_FILENAME": file.vsi, "CPL_VSIL_CURL_NON_CACHED": file.vsi}
        settings = {**ENVIRONMENT, **file.settings, **own}
        stack.enter_context(rasterio.Env(session=DummySession(), **settings))
        # Not inside `without_warning`: that lets one thread through at a time, and here each waits for a server. What
        # has no place on earth, and so would warn, is refused below.
        asked = {"driver": _remote_driver(file), "sharing": False}
        place = file.vsi if file.opener is None else Path(file.vsi).name
        dataset = stack.enter_context(rasterio.open(place, opener=file.opener, **asked))
        masked = MaskFlags.per_dataset in dataset.mask_flag_enums[0] and dataset.driver == "GTiff"
        _check(dataset, file.shown, _remote_directories(file) if masked else ())
        yield dataset
