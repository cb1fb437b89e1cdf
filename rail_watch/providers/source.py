"""From what the user wrote behind --source to the scenes of a site."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import lru_cache
from importlib.metadata import entry_points
from pathlib import Path

from rail_watch import imagery
from rail_watch.aoi.json_file import parse_json
from rail_watch.aoi.site import Site
from rail_watch.errors import BadCatalogue
from rail_watch.imagery.catalogue import Found, chosen
from rail_watch.imagery.hrefs import is_remote, shown
from rail_watch.imagery.interval import Interval
from rail_watch.imagery.scene import SceneRef
from rail_watch.imagery.stac_item import Place, members, scene_ref
from rail_watch.providers.chips import Chips
from rail_watch.providers.http import Web
from rail_watch.providers.query import Provider, Query, Tools
from rail_watch.providers.remote import Remote, WebDoor
from rail_watch.providers.stac_provider import api_at
from rail_watch.providers.static_web import StaticCatalogue

GROUP = "rail_watch.providers"
AROUND = timedelta(days=120)
"""Searched before and after the interval asked for, so that there is something to compare with."""
MOST_ITEMS_BYTES = 64_000_000


@dataclass(frozen=True)
class Source:
    """Where imagery is looked for. Plain data: it travels to other processes."""

    where: str
    """A path, an address, or a provider's name."""
    items: bytes | None = None
    """An ItemCollection handed in (standard input); `where` then says what to call it."""
    offline: bool = False
    cache: Path | None = None
    """Folder of windows already fetched."""
    cache_bytes: int | None = None

    def __str__(self) -> str:
        """Name it in messages; never with a key or signature."""
        return shown(self.where) if is_address(self.where) else self.where

    def __fspath__(self) -> str:
        """Return what the user wrote, for those who want a path."""
        return self.where

    def tools(self) -> Tools:
        """Return the client, the store, and whether the network may be used."""
        web = Web().naming(self.where) if is_address(self.where) else Web()
        limit = {} if self.cache_bytes is None else {"limit_bytes": self.cache_bytes}
        chips = None if self.cache is None else Chips(self.cache, **limit)
        return Tools(web, chips, self.offline)


@dataclass(frozen=True)
class Enclosed:
    """Scenes handed in as they are, each site's own: those of a bundle that is replayed. Nothing is searched."""

    folder: Path
    """Where their files lie; left out of what is said of them."""
    scenes: Mapping[str, Found]
    """Site id to its scenes."""

    def __str__(self) -> str:
        """Name it in messages."""
        return "the bundle"

    def __fspath__(self) -> str:
        """Return the folder of the files."""
        return str(self.folder)


Where = Source | Enclosed | str | os.PathLike[str]


def is_address(text: str) -> bool:
    """Return whether a source is an address on the network."""
    return re.match(r"[a-z][a-z0-9+.-]*://", text, re.IGNORECASE) is not None


def known_names() -> list[str]:
    """Return the short names of providers, also those that other packages bring."""
    return sorted({point.name for point in entry_points(group=GROUP)})


def provider_named(name: str) -> Provider | None:
    """Return the provider of a short name, None where there is none."""
    points = [point for point in entry_points(group=GROUP) if point.name == name]
    if not points:
        return None
    try:
        found: Provider = points[0].load()
    except ImportError as fault:
        raise BadCatalogue(f"{name}: needs the package {fault.name}; install it with pip") from fault
    return found


@lru_cache(maxsize=16)
def _at(address: str, web: Web) -> Provider:
    """Return what stands at an address: an API or a static catalogue."""
    root = members(web.get(address).json())
    links = root.get("links")
    listed = [members(link).get("rel") for link in links] if isinstance(links, list) else []
    return api_at(address) if "search" in listed or "conformsTo" in root else StaticCatalogue(address)


def provider_of(source: Source) -> Provider | None:
    """Return the provider a source means; None for something on this machine."""
    named = provider_named(source.where)
    if named is not None or not is_address(source.where):
        return named
    if not re.match(r"https?://", source.where):
        raise BadCatalogue(f"{shown(source.where)}: not an http or https address; give one, or a folder here")
    if not source.offline:
        return _at(source.where, source.tools().web)
    chips = source.tools().chips
    api = api_at(source.where)
    return api if chips is not None and chips.items(api.address()) else StaticCatalogue(source.where)


def wide(when: Interval, around: timedelta = AROUND) -> Interval:
    """Return the interval to search: the one asked for, and what it is compared with."""
    first, last = when
    if first is None and last is None:
        raise BadCatalogue("a source on the network needs --datetime, such as 2022-10-01/2022-12-31")
    try:
        return (None if first is None else first - around), (None if last is None else last + around)
    except OverflowError as fault:
        raise BadCatalogue("--datetime reaches the end of the calendar; write .. for an open end") from fault


def find(
    site: Site,
    when: Interval,
    *,
    source: Where,
    sensor: str | None = None,
    around: timedelta = AROUND,
) -> Found:
    """Return the scenes that a source holds of a site: `rail_watch.imagery.find` for everything, near or far.

    Parameters
    ----------
    when : the interval asked for. On the network scenes around it are searched too (`around`); of something here
        everything is returned.

    Raises
    ------
    BadCatalogue
        The source as a whole cannot be used.
    """
    if isinstance(source, Enclosed):
        return source.scenes.get(site.id, Found(()))
    given = source if isinstance(source, Source) else Source(os.fspath(source))
    if given.items is not None:
        return chosen(_handed_in(given), site, (None, None), sensor=sensor)
    provider = provider_of(given)
    if provider is None:
        return _reachable(imagery.find(site, (None, None), source=given.where, sensor=sensor), given)
    if given.offline:
        _check_remembered(given, provider)
    asked = when if isinstance(provider, StaticCatalogue) else wide(when, around)
    found = provider.find(Query(site, asked, sensor), given.tools())
    return chosen(found, site, (None, None) if isinstance(provider, StaticCatalogue) else asked, sensor=sensor)


def _check_remembered(source: Source, provider: Provider) -> None:
    chips = source.tools().chips
    if chips is None or not chips.items(provider.address()):
        raise BadCatalogue(
            f"{source}: the cache holds nothing of it, and --offline forbids the network; run once without"
        )


def _handed_in(source: Source) -> Found:
    """Return the scenes of an ItemCollection; relative hrefs are meant from the working folder."""
    assert source.items is not None
    if len(source.items) > MOST_ITEMS_BYTES:
        raise BadCatalogue(f"{source.where}: larger than {MOST_ITEMS_BYTES / 1e6:.0f} MB; hand in fewer items")
    document = parse_json(source.items, name=source.where, error=BadCatalogue)
    features = document if isinstance(document, list) else members(document).get("features", [document])
    if not isinstance(features, list):
        raise BadCatalogue(f"{source.where}: not an ItemCollection, nor a list of items")
    here = Path.cwd()
    scenes, faults = [], []
    for item in map(members, features):
        try:
            scenes.append(scene_ref(item, Place(here, here), collection={}))
        except BadCatalogue as fault:
            faults.append(f"{source.where}: item {str(item.get('id', ''))[:60]!r}: {fault}")
    return _reachable(Found(tuple(scenes), tuple(faults)), source)


def _reachable(found: Found, source: Source) -> Found:
    """Return scenes of a catalogue on this machine with a way to those of their files that are elsewhere."""
    tools = source.tools()
    access = Remote(WebDoor(tools.web), tools.chips, tools.offline)

    def with_access(ref: SceneRef) -> SceneRef:
        if not any(is_remote(asset.href) for one in (ref, *ref.tiles) for asset in one.assets):
            return ref
        return replace(ref, access=access, tiles=tuple(replace(tile, access=access) for tile in ref.tiles))

    return replace(found, scenes=tuple(with_access(ref) for ref in found.scenes))
