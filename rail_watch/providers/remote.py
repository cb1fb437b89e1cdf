"""How a scene on the network is reached: each file opened late, its window brought, kept where there is a store."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from rail_watch.aoi.site import Site
from rail_watch.errors import BadInput, BadRaster
from rail_watch.imagery.hrefs import is_remote, shown
from rail_watch.imagery.safe_open import RemoteFile
from rail_watch.imagery.scene import Asset, SceneRef, Unread
from rail_watch.providers import windows
from rail_watch.providers.chips import Chips, chip_key
from rail_watch.providers.http import Web
from rail_watch.providers.pieces import HEAD_BYTES, Held, WebFile, head_of, pieces_of


class Door(Protocol):
    """Turns a catalogue's href into a file that GDAL can read windows of. Called late, when the file is wanted."""

    def file(self, href: str) -> RemoteFile:
        """Return the file; raise `BadInput` where it cannot be had."""
        ...


@dataclass(frozen=True)
class WebDoor:
    """Plain https, and S3 with what the user's own environment says of it."""

    web: Web
    s3: Mapping[str, str | int] = field(default_factory=dict)
    """GDAL's settings for the object store, where the provider has one of its own."""

    def file(self, href: str) -> RemoteFile:
        """Return the file, its first bytes fetched and its redirects followed under our own rules."""
        parts = urlsplit(href)
        if parts.scheme == "s3":
            vsi = f"/vsis3/{parts.netloc}{parts.path}"
            return RemoteFile(vsi, shown(href), settings=windows.settings(self.s3))
        if parts.scheme not in ("http", "https"):
            raise BadRaster(f"{shown(href)}: {parts.scheme} addresses are not read; https or s3 are")
        answer = head_of(self.web, href, most_bytes=4 * HEAD_BYTES)
        vsi, head = f"/vsicurl/{answer.address}", answer.body[:HEAD_BYTES]
        pieces = pieces_of(self.web, answer)
        if pieces is None:
            return WebFile(vsi, shown(href), head, windows.settings())
        held = Held(pieces)
        return WebFile(vsi, shown(href), head, {}, held.open, held)


@dataclass(frozen=True)
class Remote:
    """Brings scenes through a door; see `rail_watch.imagery.scene.Access`."""

    door: Door
    chips: Chips | None = None
    offline: bool = False
    """Only what the store holds."""

    @contextmanager
    def brought(self, ref: SceneRef, site: Site, *, margin_m: float) -> Iterator[SceneRef | Unread]:
        """Give the scene with the windows of its remote files on this machine."""
        with tempfile.TemporaryDirectory(prefix="rail-watch-") as folder:
            yield self._brought(ref, site, margin_m, Path(folder))

    def _brought(self, ref: SceneRef, site: Site, margin_m: float, folder: Path) -> SceneRef | Unread:
        assets = []
        for number, asset in enumerate(ref.assets):
            if not is_remote(asset.href):
                assets.append(asset)
                continue
            try:
                path = self._chip(ref, asset, site, margin_m, folder / f"{number}.tif")
            except BadInput as fault:
                return Unread(ref, f"read-failed: {fault}")
            if path is not None:
                assets.append(as_window(asset, path))
            else:
                what = "image" if asset.quality is None else "quality layer"
                return Unread(ref, f"its {what} does not reach the site", failed=False)
        return replace(ref, assets=tuple(assets), access=None)

    def _chip(self, ref: SceneRef, asset: Asset, site: Site, margin_m: float, path: Path) -> Path | None:
        """Return the file's window, from the store or the network; None where the file does not reach the site."""
        bands = bands_of(asset)
        key = chip_key(ref.id, asset, site, margin_m)
        if self.chips is not None and (kept := self.chips.get(key)) is not None:
            return kept
        if self.offline:
            raise BadRaster(f"{shown(asset.href)}: not in the cache, and --offline forbids the network")
        piece = windows.cut(self.door.file(asset.href), site, bands=bands, margin_m=margin_m)
        if piece is None:
            return None
        tags = {"rail_watch_item": ref.id, "rail_watch_asset": asset.key, "rail_watch_href": shown(asset.href)}
        if self.chips is not None:
            with suppress(OSError):  # a full disk under the store costs the store, not the scene
                return self.chips.put(key, lambda place: windows.write(piece, place, tags=tags))
        try:
            return windows.write(piece, path, tags=tags)
        except OSError as fault:
            where = path.parent.parent
            raise BadRaster(f"{shown(asset.href)}: its window cannot be written to {where}; make room there") from fault


def bands_of(asset: Asset) -> tuple[int, ...]:
    """Return the numbers of the bands that reading an asset needs; none for all of them."""
    if asset.quality is None:
        return tuple(band.index for band in asset.bands)
    return () if asset.quality == "udm2" else (1,)


def as_window(asset: Asset, path: Path) -> Asset:
    """Return the asset as the file with its window: bands counted anew, no checksum of the whole."""
    bands = tuple(replace(band, index=number) for number, band in enumerate(asset.bands, 1))
    return replace(asset, href=str(path), bands=bands, checksum=None)
