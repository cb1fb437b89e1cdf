"""Read windows of a TIFF on a server in two requests: its first bytes, then the blocks that a window needs.

The file stands here as it does there, but with holes: the first bytes, fetched already, hold its directories; the
blocks of the window are fetched by our own client, under its rules and with its patience, and written to their places.
GDAL then reads a local file, and asks nobody anything.

Files whose directories lie elsewhere, masks inside, JPEG 2000 and object stores are left to GDAL's own ranges; so is
everything where the user's environment tells GDAL how to speak HTTP.
"""

from __future__ import annotations

import io
import os
import re
import tempfile
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from rasterio.io import DatasetReader
from rasterio.windows import Window

from rail_watch.errors import BadRaster
from rail_watch.imagery.hrefs import shown
from rail_watch.imagery.safe_open import MAGIC, MAX_BLOCK_BYTES, RemoteFile
from rail_watch.imagery.tiff_header import directories_in, reach
from rail_watch.providers.http import Answer, Web

GAP = 65_536
"""Blocks closer together than this are fetched in one request."""
MOST_AT_ONCE = 16_000_000
MOST_BYTES = 800_000_000
"""Of one window."""
AROUND = 4
"""Before and behind a block: COGs repeat its size there."""
IN_FLIGHT = 4
UNTOUCHED = frozenset({"GDAL_HTTP_PROXY", "GDAL_HTTPS_PROXY"})
"""Variables of GDAL's that say nothing of how to ask a server."""


@dataclass(frozen=True)
class Pieces:
    """A TIFF on a server whose directories lie in the bytes already here."""

    web: Web
    address: str
    head: bytes
    size: int
    tag: str
    """The server's name for this version of the file; empty where it gives none."""


def pieces_of(web: Web, answer: Answer) -> Pieces | None:
    """Return the file that an answer is the beginning of, None where it is for GDAL to read."""
    if any(name.startswith("GDAL_HTTP") and name not in UNTOUCHED for name in os.environ):
        return None
    size = _size(answer)
    if size is None or answer.body[:4] not in MAGIC:
        return None
    try:
        needed = reach(io.BytesIO(answer.body))
        masked = any(directory.is_mask for directory in directories_in(io.BytesIO(answer.body)))
    except BadRaster:
        return None
    if masked or needed > len(answer.body):
        return None
    return Pieces(web, answer.address, answer.body, size, answer.headers.get("etag", ""))


def _size(answer: Answer) -> int | None:
    """Return the whole file's bytes, as the server says."""
    if answer.status == 200:
        return len(answer.body)
    unit, _, rest = answer.headers.get("content-range", "").partition(" ")
    span, _, total = rest.partition("/")
    if unit != "bytes" or not span.startswith("0-") or not re.fullmatch(r"[0-9]{1,12}", total):
        return None  # among others: a length that no disk could hold, even as a hole
    return int(total) if int(total) >= len(answer.body) else None


@dataclass(frozen=True)
class WebFile(RemoteFile):
    """A raster behind https."""

    pieces: Pieces | None = None
    """Where our own client can bring its blocks."""


@contextmanager
def stood_in(pieces: Pieces) -> Generator[Path]:
    """Give a file of the same length with the first bytes in place, and nothing else yet."""
    with tempfile.NamedTemporaryFile(prefix="rail-watch-", suffix=".tif") as stream:
        try:
            stream.write(pieces.head)
            stream.truncate(pieces.size)
            stream.flush()
        except OSError as fault:
            why = fault.strerror or "no room"
            raise BadRaster(f"{shown(pieces.address)}: cannot be stood in for here ({why})") from fault
        yield Path(stream.name)


def spans_of(pieces: Pieces, dataset: DatasetReader, window: Window, indexes: Sequence[int]) -> list[tuple[int, int]]:
    """Return (first, end) of what must be fetched of a file to read a window of it.

    Raises
    ------
    BadRaster
        One line without the file's name: a block that cannot be in the file, or too much of it.
    """
    spans = _merged(_blocks(dataset, window, indexes, pieces))
    if sum(end - first for first, end in spans) > MOST_BYTES:
        raise BadRaster(f"the site needs more than {MOST_BYTES / 1e6:.0f} MB of it; draw a smaller site")
    return spans


def fetch(pieces: Pieces, path: Path, spans: Sequence[tuple[int, int]]) -> None:
    """Bring spans of a file and put them in their places.

    Raises
    ------
    BadInput
        One line with the address: the server does not give them.
    """
    with ExitStack() as stack:
        stream = stack.enter_context(path.open("r+b"))
        several = len(spans) > 1
        each = stack.enter_context(ThreadPoolExecutor(min(IN_FLIGHT, len(spans)))).map if several else map
        for (first, _), data in zip(spans, each(lambda span: _range(pieces, *span), spans), strict=True):
            stream.seek(first)
            stream.write(data)


def _blocks(
    dataset: DatasetReader, window: Window, indexes: Iterable[int], pieces: Pieces
) -> Generator[tuple[int, int]]:
    """Give (first, end) of each block that a window touches and that is not here yet."""
    for index in indexes:
        rows, cols = dataset.block_shapes[index - 1]
        down = range(window.row_off // rows, (window.row_off + window.height - 1) // rows + 1)
        across = range(window.col_off // cols, (window.col_off + window.width - 1) // cols + 1)
        for y in down:
            for x in across:
                place = dataset.get_tag_item(f"BLOCK_OFFSET_{x}_{y}", "TIFF", bidx=index)
                length = dataset.get_tag_item(f"BLOCK_SIZE_{x}_{y}", "TIFF", bidx=index)
                if place is None or length is None:
                    continue  # a hole in the file itself: nodata
                first, end = int(place), int(place) + int(length)
                if not 0 <= first <= end <= pieces.size or end - first > 2 * MAX_BLOCK_BYTES:
                    raise BadRaster("a block beyond its end; fetch it again or leave it out")
                if end > len(pieces.head):
                    yield max(first - AROUND, 0), min(end + AROUND, pieces.size)


def _merged(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return spans in order, those with little between them as one."""
    found: list[tuple[int, int]] = []
    for first, end in sorted(set(spans)):
        if found and first - found[-1][1] <= GAP and max(end, found[-1][1]) - found[-1][0] <= MOST_AT_ONCE:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((first, end))
    return found


def _range(pieces: Pieces, first: int, end: int) -> bytes:
    """Return bytes of the file; a server that gives others, or those of a newer file, is not believed."""
    answer = pieces.web.get(
        pieces.address, headers={"Range": f"bytes={first}-{end - 1}"}, most_bytes=2 * MAX_BLOCK_BYTES + MOST_AT_ONCE
    )
    name = shown(pieces.address)
    if answer.status != 206:
        raise BadRaster(f"{name}: the server no longer gives parts of it; download it and read it here")
    said = answer.headers.get("content-range", "")
    if said.partition("/")[0] != f"bytes {first}-{end - 1}" or len(answer.body) != end - first:
        raise BadRaster(f"{name}: the server gives other bytes than were asked; download it and read it here")
    if answer.headers.get("etag", "") != pieces.tag:
        raise BadRaster(f"{name}: the file changed on the server while it was read; run again")
    return answer.body
