"""Cut the windows of scenes out of their files into a bundle, and find the scenes of a bundle again."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rail_watch.aoi.json_file import read_json
from rail_watch.aoi.site import Site
from rail_watch.detect import margin_m
from rail_watch.errors import BadInput, BadRaster
from rail_watch.evidence.item import from_item, to_item
from rail_watch.imagery.safe_open import safe_open
from rail_watch.imagery.scene import Asset, SceneRef, Unread
from rail_watch.providers import windows
from rail_watch.providers.remote import as_window, bands_of

MOST_VALUES = 1_000_000_000
"""Pixels times bands of all windows of a bundle: they are replayed together, 4 GB as float32."""
MOST_JSON = 64_000_000


@dataclass(frozen=True)
class Kept:
    """One scene as it lies in a bundle: paths inside of it."""

    item: str
    tiles: tuple[str, ...]
    """Items of the other tiles of its overpass."""


@contextmanager
def _near(ref: SceneRef, site: Site, reach_m: float) -> Iterator[SceneRef]:
    """Give the scene with its files on this machine."""
    if ref.access is None:
        yield ref
        return
    with ref.access.brought(ref, site, margin_m=reach_m) as local:
        if isinstance(local, Unread):
            raise BadInput(f"{ref.id}: {local.reason}; what was judged cannot be enclosed")
        yield local


def _window(asset: Asset, site: Site, reach_m: float, path: Path) -> Asset | None:
    """Write the window of one file; None where the file does not reach the site."""
    piece = windows.cut_local(Path(asset.href), site, bands=bands_of(asset), margin_m=reach_m)
    if piece is None and asset.quality is not None:
        raise BadInput(f"{asset.href}: the quality layer does not reach the site; this scene cannot be enclosed")
    if piece is None:
        return None
    path.parent.mkdir(parents=True, exist_ok=True)
    return as_window(asset, windows.write(piece, path, tags={}))


def _tile(ref: SceneRef, site: Site, reach_m: float, *, into: Path, root: Path, name: str) -> str | None:
    """Write one tile's windows and item; return the item's name, None where the tile does not show the site."""
    with _near(ref, site, reach_m) as local:
        assets = []
        for number, asset in enumerate(local.assets):
            window = _window(asset, site, reach_m, into / f"{name}-{number:02d}.tif")
            if window is None:
                return None
            assets.append(window)
    enclosed = replace(ref, assets=tuple(assets), tiles=(), access=None)
    hrefs = {asset.href: "../" + Path(asset.href).relative_to(root).as_posix() for asset in assets}
    path = root / "items" / f"{into.name}-{name}.json"
    path.parent.mkdir(exist_ok=True)
    item = to_item(enclosed, hrefs, ref)
    path.write_text(json.dumps(item, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return path.relative_to(root).as_posix()


def enclose(refs: Sequence[SceneRef], site: Site, root: Path) -> list[Kept]:
    """Write windows and items of scenes below a folder.

    Parameters
    ----------
    refs : the scenes as their source describes them, in order of time.
    site : what is read of them, with the margin that `detect` reads.
    root : the bundle's folder.
    """
    kept = []
    for number, ref in enumerate(refs):
        into = root / "pixels" / f"{number:03d}-{ref.id}"
        reach_m = margin_m(ref)
        names = []
        for index, tile in enumerate((ref, *ref.tiles)):
            written = _tile(tile, site, reach_m, into=into, root=root, name=f"t{index}")
            names += [] if written is None else [written]
        if names:
            kept.append(Kept(names[0], tuple(names[1:])))
    return kept


def enclosed(kept: Sequence[Kept], root: Path) -> list[SceneRef]:
    """Return the scenes that lie in a bundle.

    Raises
    ------
    BadInput
        An item is wrong, or its windows are too large to be replayed.
    """
    refs = []
    for one in kept:
        first, *others = [_read(root, name) for name in (one.item, *one.tiles)]
        refs.append(replace(first, tiles=tuple(others)))
    return sorted(refs, key=lambda ref: (ref.when, ref.id))


def _read(root: Path, name: str) -> SceneRef:
    path = root / name
    if not path.resolve().is_relative_to(root.resolve()) or not path.is_file():
        raise BadInput(f"{name[:200]}: no such item in the bundle")
    document: object = read_json(path, error=BadInput, max_bytes=MOST_JSON)
    return from_item(document, name=name, folder=path.parent, root=root)


def check_size(refs: Sequence[SceneRef]) -> None:
    """Refuse windows whose headers claim more than can be replayed: a small file may decode to much.

    Raises
    ------
    BadInput
        With how much it is.
    """
    values = 0
    for path in sorted({asset.href for ref in refs for one in (ref, *ref.tiles) for asset in one.assets}):
        try:
            with safe_open(Path(path)) as dataset:
                values += dataset.width * dataset.height * dataset.count
        except BadRaster as fault:
            raise BadInput(str(fault)) from fault
    if values > MOST_VALUES:
        raise BadInput(f"the windows hold {values / 1e6:.0f} million values, over {MOST_VALUES / 1e6:.0f} million")


def kept_from(of: Mapping[str, Any]) -> list[Kept]:
    """Return the scenes that the head of a bundle lists."""
    return [Kept(str(one["item"]), tuple(str(name) for name in one["tiles"])) for one in of["scenes"]]
