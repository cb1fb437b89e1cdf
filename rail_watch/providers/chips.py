"""A store of windows already fetched, so that a second run asks no server and one offline can still work.

One GeoTIFF for each item, asset and window, written beside its place and moved there: a reader sees all of it or none.
The store holds the digest of each file and throws away what does not match. When it grows over its limit, what was used
longest ago goes first.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from rail_watch.aoi.site import Site
from rail_watch.imagery.scene import Asset

DEFAULT_LIMIT_BYTES = 5_000_000_000
DRAFT_S = 3600.0
"""A draft older than this is of a process that was killed."""


SIGNATURE = re.compile(
    r"x-(amz|goog|ms)-.*|awsaccesskeyid|key-pair-id|policy|expires|sig|signature|token|s[eprtv]|sk(oid|tid|t|e|s|v)",
    re.I,
)
"""Names in a query that sign an address for a while; others say which file it is."""


def lasting(href: str) -> list[object]:
    """Return what stays of an address when it is signed anew."""
    parts = urlsplit(href)
    query = [pair for pair in parse_qsl(parts.query, keep_blank_values=True) if not SIGNATURE.fullmatch(pair[0])]
    return [parts.scheme, parts.netloc.rpartition("@")[2].lower(), parts.path, query]


def chip_key(item: str, asset: Asset, site: Site, margin_m: float) -> str:
    """Return what a window is kept under: item, asset, address less signature, checksum, bands, and its ground."""
    what = [item, asset.key, lasting(asset.href), asset.checksum, [band.index for band in asset.bands], asset.quality]
    ground = [site.polygon.wkb_hex, round(margin_m, 3)]
    return hashlib.sha256(json.dumps([what, ground]).encode()).hexdigest()


def item_key(source: str) -> str:
    """Return the name of a source's folder of items."""
    return hashlib.sha256(source.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Chips:
    """The store: a folder."""

    folder: Path
    limit_bytes: int = DEFAULT_LIMIT_BYTES

    def _path(self, key: str) -> Path:
        return self.folder / "chips" / key[:2] / f"{key}.tif"

    def get(self, key: str) -> Path | None:
        """Return the file kept under a key, None where there is none or it is not as it was put."""
        path = self._path(key)
        try:
            stated = path.with_suffix(".sha256").read_text(encoding="ascii")
            with path.open("rb") as stream:
                found = hashlib.file_digest(stream, "sha256").hexdigest()
        except (OSError, ValueError):
            return None
        with suppress(OSError):  # a store that may only be read serves too
            if stated.strip() != found:
                self._drop(path)
            else:
                os.utime(path)
        return path if stated.strip() == found else None

    def put(self, key: str, make: Callable[[Path], Path]) -> Path:
        """Keep what `make` writes at the path it is given; raise `OSError` where the store cannot be written."""
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        make(path)
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        beside = path.with_name(f".{path.name}.{os.getpid()}.sha256")
        beside.write_text(digest, encoding="ascii")
        os.replace(beside, path.with_suffix(".sha256"))
        self._shrink(keep=path)
        return path

    def keep_items(self, source: str, items: list[dict[str, object]]) -> None:
        """Remember what a source said of scenes, for a run without the network; as far as the store can be written."""
        folder = self.folder / "items" / item_key(source)
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            self._keep_each(folder, items)

    def _keep_each(self, folder: Path, items: list[dict[str, object]]) -> None:
        for item in items:
            text = json.dumps(item, sort_keys=True)
            name = hashlib.sha256(json.dumps([item.get("collection"), item.get("id")]).encode()).hexdigest()[:32]
            beside = folder / f".{name}.{os.getpid()}"
            beside.write_text(text, encoding="utf-8")
            os.replace(beside, folder / f"{name}.json")

    def items(self, source: str) -> list[dict[str, object]]:
        """Return what a source is remembered to have said."""
        found = []
        for path in sorted((self.folder / "items" / item_key(source)).glob("*.json")):
            try:
                item = json.loads(path.read_text(encoding="utf-8"))
            except (OSError, ValueError):
                continue
            if isinstance(item, dict):
                found.append(item)
        return found

    def _files(self) -> Iterator[tuple[Path, os.stat_result]]:
        for path in sorted(self._own("chips", "*.tif")):
            try:
                yield path, path.stat()
            except OSError:
                continue

    def _own(self, kind: str, pattern: str) -> Iterator[Path]:
        """Give the store's files of a kind; a link in it may lead to imagery that is not ours to remove."""
        for folder in (self.folder / kind).glob("*"):
            if not folder.is_symlink():
                yield from folder.glob(pattern)

    def size(self) -> tuple[int, int]:
        """Return (windows, bytes)."""
        sizes = [stat.st_size for _, stat in self._files()]
        return len(sizes), sum(sizes)

    def clear(self) -> tuple[int, int]:
        """Throw everything away; return (windows, bytes) that went."""
        gone = self.size()
        for path, _ in self._files():
            self._drop(path)
        for path in self._own("items", "*.json"):
            path.unlink(missing_ok=True)
        self._sweep()
        return gone

    def _sweep(self) -> None:
        """Remove drafts that nobody writes any more."""
        now = time.time()
        for path in [*self._own("chips", ".*"), *self._own("items", ".*")]:
            with suppress(OSError):
                if now - path.stat().st_mtime > DRAFT_S:
                    path.unlink()

    def _drop(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        path.with_suffix(".sha256").unlink(missing_ok=True)

    def _shrink(self, *, keep: Path) -> None:
        """Hold the limit: what was used longest ago goes first, what was just put stays; old drafts go at once."""
        self._sweep()
        files = list(self._files())
        over = sum(stat.st_size for _, stat in files) - self.limit_bytes
        for path, stat in sorted(files, key=lambda one: (one[1].st_mtime_ns, one[0])):
            if over <= 0:
                return
            if path != keep:
                self._drop(path)
                over -= stat.st_size
