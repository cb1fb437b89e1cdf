"""Read windows of a raster on a server in two requests: its first bytes, then the blocks that a window needs.

GDAL sees a file of which only some bytes are here, and asks us for the others: everything goes through our own client,
under its rules and with its patience. GDAL itself would follow a redirect to anywhere, and remember a failure for the
life of the process. The blocks of a TIFF's window are fetched together, before GDAL wants them one by one; what else it
wants (directories further back, masks inside, the packets of JPEG 2000) is fetched as it is read, with more at a time
the longer that goes on.

Object stores are left to GDAL; so is everything where the user's environment tells GDAL how to speak HTTP.
"""

from __future__ import annotations

import io
import os
import re
import threading
import time
from bisect import bisect_right
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, cast

from rasterio.io import DatasetReader
from rasterio.windows import Window

from rail_watch.errors import BadInput, BadRaster
from rail_watch.imagery.hrefs import shown
from rail_watch.imagery.safe_open import MAX_BLOCK_BYTES, RemoteFile
from rail_watch.providers.http import Answer, Web

HEAD_BYTES = 65_536
"""Fetched first: whether the file may be fetched at all, what it is, and, of a COG, its directories."""
MOST_HEADS = 256
KEPT_S = 300.0
GAP = 65_536
"""Blocks closer together than this are fetched in one request."""
MOST_AT_ONCE = 16_000_000
MOST_BYTES = 800_000_000
"""Of one window."""
AROUND = 4
"""Before and behind a block: COGs repeat its size there."""
AHEAD = 32_768
"""Fetched at least when GDAL reads what is not here; twice as much with each further read, up to `MOST_AHEAD`."""
MOST_AHEAD = 2_097_152
IN_FLIGHT = 4
UNTOUCHED = frozenset({"GDAL_HTTP_PROXY", "GDAL_HTTPS_PROXY"})
"""Variables of GDAL's that say nothing of how to ask a server."""


_LOCK = threading.Lock()
_HEADS: dict[tuple[str, frozenset[str]], tuple[float, Answer]] = {}
"""First bytes by address and the client's named places, with the time they were fetched."""


@dataclass(frozen=True)
class Pieces:
    """A file on a server whose first bytes are here."""

    web: Web
    address: str
    head: bytes
    size: int
    tag: str
    """The server's name for this version of the file; empty where it gives none."""


def pieces_of(web: Web, answer: Answer) -> Pieces | None:
    """Return the file that an answer is the beginning of, None where the user's environment wants GDAL to read it.

    Raises
    ------
    BadRaster
        The server does not say how long the file is.
    """
    if any(name.startswith("GDAL_HTTP") and name not in UNTOUCHED for name in os.environ):
        return None
    size = _size(answer)
    if size is None:
        name = shown(answer.address)
        raise BadRaster(f"{name}: the server gives no honest length of it; download it and read it here")
    return Pieces(web, answer.address, answer.body[:size], size, answer.headers.get("etag", ""))


def head_of(web: Web, href: str, *, most_bytes: int) -> Answer:
    """Return a file's first bytes: for a while those of another site's read, whose range requests tell of a change."""
    key = (href, web.named)
    with _LOCK:
        since, kept = _HEADS.get(key, (0.0, None))
    if kept is not None and time.monotonic() - since < KEPT_S:
        return kept
    asked = {"Range": f"bytes=0-{HEAD_BYTES - 1}"}
    answer = web.get(href, headers=asked, most_bytes=most_bytes)
    if answer.status == 206 and answer.headers.get("etag") and answer.address == href:
        with _LOCK:
            _HEADS.pop(key, None)
            _HEADS[key] = (time.monotonic(), answer)
            while len(_HEADS) > MOST_HEADS:
                del _HEADS[next(iter(_HEADS))]
    return answer


def _forget(web: Web, href: str) -> None:
    with _LOCK:
        _HEADS.pop((href, web.named), None)


def _size(answer: Answer) -> int | None:
    """Return the whole file's bytes, as the server says."""
    if answer.status == 200:
        return len(answer.body)
    unit, _, rest = answer.headers.get("content-range", "").partition(" ")
    span, _, total = rest.partition("/")
    if unit != "bytes" or not span.startswith("0-") or not re.fullmatch(r"[0-9]{1,12}", total):
        return None
    return int(total) if int(total) >= len(answer.body) else None


class Held:
    """What of a file is here. Several threads of GDAL may read it; what they want and is not here is fetched."""

    def __init__(self, pieces: Pieces) -> None:
        self.pieces = pieces
        self.fault: BadInput | None = None
        """Why something could not be fetched: GDAL is told of an early end, and says less."""
        self._starts, self._spans = [0], [pieces.head]
        self._ahead, self._total = AHEAD, 0
        self._lock = threading.RLock()

    def open(self, *_: object, **__: object) -> BinaryIO:
        """Return the file for one reader, as `rasterio.open` asks for it."""
        return cast("BinaryIO", _Handle(self))

    def fetch(self, spans: Sequence[tuple[int, int]]) -> None:
        """Bring spans of the file, several at the same time.

        Raises
        ------
        BadInput
            One line with the address: the server does not give them.
        """
        self._total += sum(end - first for first, end in spans)
        try:
            if self._total > MOST_BYTES:
                raise BadRaster(
                    f"{shown(self.pieces.address)}: the site needs more than {MOST_BYTES / 1e6:.0f} MB of it; "
                    "draw a smaller site"
                )
            if len(spans) > 1:
                with ThreadPoolExecutor(min(IN_FLIGHT, len(spans))) as pool:
                    brought = list(pool.map(lambda span: _range(self.pieces, *span), spans))
            else:
                brought = [_range(self.pieces, *span) for span in spans]
        except BadInput as fault:
            _forget(self.pieces.web, self.pieces.address)
            self.fault = fault
            raise
        for (first, _), data in zip(spans, brought, strict=True):
            place = bisect_right(self._starts, first)
            self._starts.insert(place, first)
            self._spans.insert(place, data)

    def part(self, place: int, end: int) -> memoryview:
        """Return bytes from a place on, as far as they are here; fetched where they are not. None behind a fault."""
        with self._lock:
            known = self._known(place)
            if not known and self.fault is None:
                index = bisect_right(self._starts, place)
                free = self._starts[index] if index < len(self._starts) else self.pieces.size
                try:
                    self.fetch([(place, min(max(end, place + self._ahead), free))])
                except BadInput:
                    return memoryview(b"")
                self._ahead = min(2 * self._ahead, MOST_AHEAD)
                known = self._known(place)
            return known[: end - place]

    def _known(self, place: int) -> memoryview:
        index = bisect_right(self._starts, place) - 1
        return memoryview(self._spans[index])[place - self._starts[index] :]

    @contextmanager
    def told(self) -> Generator[None]:
        """Let a fault of the server be what is heard, whatever GDAL makes of it."""
        try:
            yield
        except BadRaster:
            if self.fault is not None:
                raise self.fault from None
            raise
        if self.fault is not None:
            raise self.fault


class _Handle(io.RawIOBase):
    """One reader's place in a file."""

    def __init__(self, held: Held) -> None:
        self.held, self.place = held, 0

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place."""
        self.place = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self.place}.get(whence, self.held.pieces.size)
        return self.place

    def tell(self) -> int:
        """Return the place."""
        return self.place

    def read(self, size: int = -1) -> bytes:
        """Return bytes, fewer only at the file's end or behind a fault."""
        whole = self.held.pieces.size
        end = whole if size < 0 else min(self.place + size, whole)
        parts = []
        while self.place < end and (part := self.held.part(self.place, end)):
            parts.append(part)
            self.place += len(part)
        return b"".join(parts)


@dataclass(frozen=True)
class WebFile(RemoteFile):
    """A raster behind https."""

    held: Held | None = None
    """What of it is here; None where GDAL asks for it."""


def spans_of(pieces: Pieces, dataset: DatasetReader, window: Window, indexes: Sequence[int]) -> list[tuple[int, int]]:
    """Return (first, end) of what must be fetched of a TIFF to read a window of it.

    Raises
    ------
    BadRaster
        One line without the file's name: a block that cannot be in the file.
    """
    return _merged(_blocks(dataset, window, indexes, pieces))


def _blocks(
    dataset: DatasetReader, window: Window, indexes: Iterable[int], pieces: Pieces
) -> Generator[tuple[int, int]]:
    """Give (first, end) of each block that a window touches and that is not in the first bytes."""
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
                    yield max(first - AROUND, len(pieces.head)), min(end + AROUND, pieces.size)


def _merged(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return spans in order, those with little between them as one."""
    found: list[tuple[int, int]] = []
    for first, end in sorted(set(spans)):
        if found and first - found[-1][1] <= GAP and max(end, found[-1][1]) - found[-1][0] <= MOST_AT_ONCE:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        elif not found or end > found[-1][1]:
            found.append((max(first, found[-1][1] if found else 0), end))
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
