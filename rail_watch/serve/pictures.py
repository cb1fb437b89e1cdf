"""A look's pixels as pictures for a browser: the whole site, and tiles of it, north up, in the site's own metres."""

from __future__ import annotations

import hashlib
import io
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import lru_cache
from threading import Lock, RLock

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from rail_watch import __version__, providers
from rail_watch.aoi.site import Site
from rail_watch.errors import BadInput
from rail_watch.imagery.mosaic import read
from rail_watch.imagery.scene import SceneRef, Unread
from rail_watch.providers import Source
from rail_watch.report.names import font_path
from rail_watch.report.stretch import Frame, Sheet, sheet_of, veiled, view_of
from rail_watch.serve.ground import MARGIN_M, Ground
from rail_watch.serve.looks import Seen
from rail_watch.serve.shelf import Shelf

TILE = 512
FINEST, COARSEST = 4, -6
"""Levels of tiles: at level z a metre is 2**z pixels."""
WIDEST = 1600
"""Pixels of the whole site's picture along its longer side."""
MOST_SHEET_BYTES = 400_000_000
"""Scenes held in memory at a time."""
QUALITY = 82
EDGE = timedelta(seconds=1)
WORD = "SIMULATED"
DRAWN = "2"
"""Counted up when pictures are drawn otherwise, so that none of before is taken for one of now."""


class NoPicture(Exception):
    """There are no pixels to show, and why."""


@dataclass(frozen=True)
class Tile:
    """One square of the pyramid; columns run east and rows south from the site's centre."""

    level: int
    column: int
    row: int

    @property
    def side_m(self) -> float:
        """Its side on the ground."""
        return float(TILE / 2.0**self.level)


@dataclass
class _Held:
    """What is held in memory."""

    sheets: OrderedDict[str, Sheet] = field(default_factory=OrderedDict)
    refs: dict[tuple[str, str], SceneRef] = field(default_factory=dict)


class Pictures:
    """Makes pictures, and keeps them on a shelf. Called from several threads."""

    def __init__(self, shelf: Shelf, source_of: Callable[[str], Source | None]) -> None:
        self._shelf = shelf
        self._source_of = source_of
        self._held = _Held()
        # One scene is read at a time: each may take a gigabyte.
        self._reading = RLock()
        self._lock = Lock()

    def whole(self, ground: Ground, seen: Seen) -> bytes:
        """Return the whole site at one look, WebP.

        Raises
        ------
        NoPicture
            The pixels are not on this machine, or cannot be read.
        """
        return self._kept(ground, seen, "whole", lambda: whole_frame(ground, seen.gsd_m))

    def tile(self, ground: Ground, seen: Seen, tile: Tile) -> bytes:
        """Return one square of it; see `whole`."""
        if not touches(ground, tile):
            raise NoPicture("no ground of the site lies there")
        return self._kept(ground, seen, f"{tile.level}/{tile.column}/{tile.row}", lambda: tile_frame(ground.crs, tile))

    def _kept(self, ground: Ground, seen: Seen, part: str, frame: Callable[[], Frame]) -> bytes:
        key = hashlib.sha256("\n".join([__version__, DRAWN, *seen.identity, ground.crs, part]).encode()).hexdigest()
        return self._shelf.kept(key, lambda: self._made(ground.site, seen, frame()))

    def _made(self, site: Site, seen: Seen, frame: Frame) -> bytes:
        # What the scene shows at a place lies off by the shift that the judging measured.
        east, north = seen.shift_m
        moved = replace(frame, centre=(frame.centre[0] + east, frame.centre[1] + north))
        view = view_of(self._sheet(site, seen), moved)
        rgb = veiled(view)
        if seen.simulated:
            rgb = stamped(rgb, ~view.absent, every=TILE if frame.shape == (TILE, TILE) else max(frame.shape))
        opaque = np.where(view.absent, 0, 255).astype(np.uint8)[..., None]
        stream = io.BytesIO()
        Image.fromarray(np.concatenate([rgb, opaque], axis=-1)).save(stream, "WEBP", quality=QUALITY, method=2)
        return stream.getvalue()

    def _sheet(self, site: Site, seen: Seen) -> Sheet:
        key = "\n".join(seen.identity)
        with self._lock:
            found = self._held.sheets.get(key)
            if found is not None:
                self._held.sheets.move_to_end(key)
                return found
        with self._reading:
            found = self._held.sheets.get(key)
            if found is None:
                found = self._read(site, seen)
                with self._lock:
                    self._held.sheets[key] = found
                    self._drop()
        return found

    def _drop(self) -> None:
        sheets = self._held.sheets
        while len(sheets) > 1 and sum(one.tone.nbytes + one.quality.nbytes for one in sheets.values()) > (
            MOST_SHEET_BYTES
        ):
            sheets.popitem(last=False)

    def _read(self, site: Site, seen: Seen) -> Sheet:
        try:
            scene = read(self._ref(site, seen), site, margin_m=MARGIN_M)
        except BadInput as fault:
            raise NoPicture(str(fault)) from fault
        if isinstance(scene, Unread):
            raise NoPicture(scene.reason)
        return sheet_of(scene)

    def _ref(self, site: Site, seen: Seen) -> SceneRef:
        known = self._held.refs.get((site.id, seen.scene))
        if known is not None:
            return known
        source = self._source_of(site.id)
        if source is None:
            raise NoPicture("no watched site has this area, so where its imagery lies is not known")
        for ref in providers.find(site, (seen.when - EDGE, seen.when + EDGE), source=source).scenes:
            self._held.refs[site.id, ref.id] = ref
        try:
            return self._held.refs[site.id, seen.scene]
        except KeyError as fault:
            raise NoPicture("the source of this site no longer lists the scene") from fault


def touches(ground: Ground, tile: Tile) -> bool:
    """Return whether a tile shows any ground of a site."""
    if not COARSEST <= tile.level <= FINEST:
        return False
    side = tile.side_m
    west, south, east, north = ground.bounds
    return bool(
        tile.column * side < east
        and (tile.column + 1) * side > west
        and -tile.row * side > south
        and -(tile.row + 1) * side < north
    )


def tile_frame(crs: str, tile: Tile) -> Frame:
    """Return the ground of a tile."""
    side = tile.side_m
    return Frame(crs, ((tile.column + 0.5) * side, -(tile.row + 0.5) * side), 0.0, side, side, (TILE, TILE))


def whole_frame(ground: Ground, gsd_m: float) -> Frame:
    """Return the ground of a whole site, in pixels no finer than half the sensor's."""
    west, south, east, north = ground.bounds
    width, height = east - west, north - south
    pixel = max(width / WIDEST, height / WIDEST, gsd_m / 2)
    columns, rows = max(round(width / pixel), 1), max(round(height / pixel), 1)
    return Frame(ground.crs, ((west + east) / 2, (south + north) / 2), 0.0, width, height, (rows, columns))


@lru_cache(maxsize=1)
def _word() -> NDArray[np.uint8]:
    font = ImageFont.truetype(str(font_path(bold=True)), 15)
    left, top, right, bottom = (round(edge) for edge in font.getbbox(WORD))
    image = Image.new("L", (right - left + 2, bottom - top + 2))
    ImageDraw.Draw(image).text((1 - left, 1 - top), WORD, fill=255, font=font)
    return np.asarray(image)


def stamped(rgb: NDArray[np.uint8], ground: NDArray[np.bool_], *, every: int) -> NDArray[np.uint8]:
    """Return a picture with the word SIMULATED once in each square of so many pixels that shows ground."""
    word, result = _word(), rgb.copy()
    high, wide = word.shape
    share = 0.45 * word[..., None].astype(np.float32) / 255
    for top in range(0, rgb.shape[0], every):
        for left in range(0, rgb.shape[1], every):
            place = _room(ground[top : top + every, left : left + every], (high, wide))
            if place is not None:
                row, col = top + place[0], left + place[1]
                part = result[row : row + high, col : col + wide]
                grey = 20 if part.mean() > 140 else 255
                part[:] = (part * (1 - share) + grey * share + 0.5).astype(np.uint8)
    return result


def _room(ground: NDArray[np.bool_], size: tuple[int, int]) -> tuple[int, int] | None:
    """Return the first (row, column) of a coarse lattice where a word of this size lies on ground alone.

    Where there is none, the middle of what ground there is; None where there is no ground.
    """
    high, wide = size
    if not ground.any() or ground.shape[0] <= high or ground.shape[1] <= wide:
        return None
    for row in range(8, ground.shape[0] - high, 24):
        for col in range(10, ground.shape[1] - wide, 24):
            if ground[row : row + high, col : col + wide].all():
                return row, col
    middle = np.argwhere(ground).mean(axis=0)
    row, col = (
        int(np.clip(at - side / 2, 0, most - side)) for at, side, most in zip(middle, size, ground.shape, strict=True)
    )
    return row, col
