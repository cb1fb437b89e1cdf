"""Just enough of a TIFF's directories, read without GDAL, to know what a mask inside it would decode to.

GDAL shows the block size of the image but not of a mask in the same file, and a mask's block can claim gigabytes.
Layout: TIFF 6.0 (Adobe, 1992) sections 2 and 15, and the BigTIFF design (libtiff).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from rail_watch.errors import BadRaster

MAX_DIRECTORIES = 64
MAX_ENTRIES = 4096
_MASK_BIT = 4
_NEW_SUBFILE_TYPE, _WIDTH, _LENGTH, _ROWS_PER_STRIP, _TILE_WIDTH, _TILE_LENGTH = 254, 256, 257, 278, 322, 323
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_INTEGERS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q"}


@dataclass(frozen=True)
class Directory:
    """One image inside a TIFF: the image itself, an overview or a mask."""

    is_mask: bool
    block: tuple[int, int]
    """(rows, columns) of one strip or tile."""


@dataclass(frozen=True)
class _Layout:
    order: str
    big: bool


def _take(stream: BinaryIO, form: str) -> tuple[int, ...]:
    size = struct.calcsize(form)
    data = stream.read(size)
    if len(data) != size:
        raise BadRaster("its directories are cut off; fetch it again")
    return struct.unpack(form, data)


def _start(stream: BinaryIO) -> tuple[_Layout, int]:
    order = "<" if stream.read(2) == b"II" else ">"
    (version,) = _take(stream, f"{order}H")
    if version == 43:
        stream.seek(8)
        return _Layout(order, big=True), _take(stream, f"{order}Q")[0]
    return _Layout(order, big=False), _take(stream, f"{order}I")[0]


def _values(stream: BinaryIO, layout: _Layout) -> tuple[dict[int, int], int]:
    """Return the first value of every whole-number tag held in the directory itself, and where the next one is."""
    o = layout.order
    (count,) = _take(stream, f"{o}Q" if layout.big else f"{o}H")
    if count > MAX_ENTRIES:
        raise BadRaster(f"a directory of {count} tags; this is no honest TIFF")
    found = {}
    room = 8 if layout.big else 4
    for _ in range(count):
        tag, kind, number = _take(stream, f"{o}HHQ" if layout.big else f"{o}HHI")
        data = stream.read(room)
        if kind in _INTEGERS and number >= 1 and _SIZES[kind] * number <= room and len(data) == room:
            found[tag] = struct.unpack_from(f"{o}{_INTEGERS[kind]}", data)[0]
    return found, _take(stream, f"{o}Q" if layout.big else f"{o}I")[0]


def _directory(tags: dict[int, int]) -> Directory:
    rows, cols = tags.get(_LENGTH, 0), tags.get(_WIDTH, 0)
    block = (
        (tags[_TILE_LENGTH], tags[_TILE_WIDTH])
        if _TILE_WIDTH in tags and _TILE_LENGTH in tags
        else (min(tags.get(_ROWS_PER_STRIP, rows), rows), cols)
    )
    return Directory(bool(tags.get(_NEW_SUBFILE_TYPE, 0) & _MASK_BIT), block)


def directories(path: Path) -> Iterator[Directory]:
    """Give the directories of a TIFF in order; see `directories_in`."""
    with path.open("rb") as stream:
        yield from directories_in(stream)


def directories_in(stream: BinaryIO) -> Iterator[Directory]:
    """Give the directories of a TIFF, or of its first bytes, in order.

    Raises
    ------
    BadRaster
        One line without the file's name: cut off, endless, or no honest TIFF.
    """
    layout, offset = _start(stream)
    seen: set[int] = set()
    while offset:
        if offset in seen or len(seen) >= MAX_DIRECTORIES:
            raise BadRaster("its directories have no end; rewrite it")
        seen.add(offset)
        stream.seek(offset)
        tags, offset = _values(stream, layout)
        yield _directory(tags)
