"""Just enough of a JPEG 2000 file, read without GDAL, to know what one of its tiles would decode to.

Layout: ISO/IEC 15444-1, annex I (boxes) and A.5.1 (the SIZ marker).
"""

from __future__ import annotations

import struct
from typing import BinaryIO

from rail_watch.errors import BadRaster

MAGIC = b"\x00\x00\x00\x0cjP  \r\n\x87\n"
MAX_BOXES = 1000


def tile_values(stream: BinaryIO) -> int:
    """Return how many values (pixels times components) the largest tile of a file holds.

    Raises
    ------
    BadRaster
        One line without the file's name: it has no codestream, or is cut off.
    """
    if stream.read(len(MAGIC)) != MAGIC:
        raise BadRaster("not a JPEG 2000 file; fetch it again")
    for _ in range(MAX_BOXES):
        start = stream.tell()
        head = stream.read(8)
        if len(head) < 8:
            break
        length, kind = struct.unpack(">I4s", head)
        if length == 1:
            length = int.from_bytes(stream.read(8), "big")
        if kind == b"jp2c":
            return _siz(stream.read(42))
        if length < 8:
            break
        stream.seek(start + length)
    raise BadRaster("holds no JPEG 2000 image; fetch it again")


def _siz(code: bytes) -> int:
    if len(code) < 42 or code[:4] != b"\xff\x4f\xff\x51":
        raise BadRaster("its JPEG 2000 image is cut off; fetch it again")
    width, height, left, top, tile_width, tile_height = struct.unpack(">6I", code[8:32])
    components = int.from_bytes(code[40:42], "big")
    return int(min(tile_width, max(width - left, 0)) * min(tile_height, max(height - top, 0)) * components)
