"""A STAC API as a provider: by address, or one of the public ones by name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from rail_watch.errors import BadCatalogue
from rail_watch.imagery.catalogue import Found
from rail_watch.imagery.hrefs import shown
from rail_watch.imagery.scene import SceneRef
from rail_watch.providers.http import key_of
from rail_watch.providers.query import Provider, Query, Tools, scenes_of
from rail_watch.providers.remote import Door, WebDoor
from rail_watch.providers.signing import Signer, SigningDoor
from rail_watch.providers.stac_api import Item, Wanted, search

_TILE_DAY = re.compile(r"(S2[A-D])_T?(\d\d[A-Z]{3})_(\d{8})")


@dataclass(frozen=True)
class StacApi:
    """One STAC API."""

    api: str
    """Its root, which answers ``…/search``."""
    collections: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Family (sentinel-2, landsat, …) to collections, the preferred first; empty: all the API has."""
    usual: str = ""
    """The family searched when no sensor is asked for; empty: all."""
    s3: Mapping[str, str | int] = field(default_factory=dict)
    """GDAL's settings for its object store."""
    signer: Signer | None = None
    keys: tuple[str, ...] = ()
    """Environment variables with keys that reading (not searching) needs."""
    bearer: str | None = None
    """Environment variable with a token that searching needs."""

    def key_names(self) -> tuple[str, ...]:
        """Return the environment variables it takes keys from."""
        return (*self.keys, *((self.bearer,) if self.bearer else ()), *((self.signer.key,) if self.signer else ()))

    def address(self) -> str:
        """Return the API's root."""
        return self.api

    def door(self, tools: Tools) -> Door:
        """Return how its files are reached."""
        plain = WebDoor(tools.web, self.s3)
        return plain if self.signer is None else SigningDoor(plain, self.signer, tools.web)

    def _wanted(self, query: Query) -> tuple[str, ...]:
        """Return the collections that can hold the sensor asked for."""
        if not self.collections:
            return ()
        sensor = (query.sensor or self.usual).casefold()
        chosen = [name for family, names in self.collections.items() if _meant(sensor, family, names) for name in names]
        return tuple(chosen) or tuple(name for names in self.collections.values() for name in names)

    def find(self, query: Query, tools: Tools) -> Found:
        """Search the API; see `Provider`."""
        faults: list[str] = []
        if tools.offline:
            items = tools.chips.items(self.api) if tools.chips else []
        else:
            items, faults = self._searched(query, tools)
        found = scenes_of(items, address=f"{self.api.rstrip('/')}/search", door=self.door(tools), tools=tools)
        scenes, notes = preferred(found.scenes, self._wanted(query))
        return replace(found, scenes=tuple(scenes), faults=(*faults, *found.faults), notes=tuple(notes))

    def _searched(self, query: Query, tools: Tools) -> tuple[list[Item], list[str]]:
        """Return the items of a search; where it broke off, with those that the cache knows from searches before."""
        asked, chips = self._asked(query), tools.chips
        keep = None if chips is None else partial(chips.keep_items, self.api)
        pages = search(tools.web, self.api, asked, headers=self._headers(), keep=keep)
        if not pages.faults or chips is None:
            return pages.items, pages.faults
        had = {(item.get("collection"), item.get("id")) for item in pages.items}
        known = [
            item
            for item in chips.items(self.api)
            if (item.get("collection"), item.get("id")) not in had
            and (not asked.collections or item.get("collection") in asked.collections)
        ]
        faults = [f"{fault}; what earlier searches found is added" for fault in pages.faults] if known else pages.faults
        return [*pages.items, *known], faults

    def _asked(self, query: Query) -> Wanted:
        return Wanted(query.area, query.when, self._wanted(query))

    def _headers(self) -> dict[str, str]:
        token = key_of(self.bearer) if self.bearer else None
        return {"Authorization": f"Bearer {token}"} if token else {}


def _meant(sensor: str, family: str, names: Sequence[str]) -> bool:
    """Return whether a word such as sentinel-2a or landsat means a family or one of its collections."""
    return bool(sensor) and (sensor in family or sensor.startswith(family) or any(sensor in name for name in names))


def preferred(scenes: Sequence[SceneRef], order: Sequence[str]) -> tuple[list[SceneRef], list[str]]:
    """Return the scenes less those that a collection earlier in the order has too, and a note that counts them.

    One provider has each Sentinel-2 tile in two collections: in the newer, whose numbers are sure, and the older, where
    the newer lacks it.
    """
    rank = {name: place for place, name in enumerate(order)}
    best: dict[tuple[str, ...], int] = {}
    for ref in scenes:
        match = _TILE_DAY.match(ref.id)
        place = rank.get(str(ref.properties.get("collection")), len(rank))
        if match:
            best[match.groups()] = min(best.get(match.groups(), place), place)
    kept = []
    for ref in scenes:
        match = _TILE_DAY.match(ref.id)
        place = rank.get(str(ref.properties.get("collection")), len(rank))
        if match is None or best[match.groups()] == place:
            kept.append(ref)
    left = len(scenes) - len(kept)
    notes = [f"{left} scene(s) are in {order[0]} too, which was used"] if left and order else []
    filled = sum(str(ref.properties.get("collection")) in order[1:] for ref in kept)
    if filled and order:
        notes.append(f"{filled} scene(s) are missing from {order[0]} and were taken from another collection")
    return kept, notes


EARTH_SEARCH: Provider = StacApi(
    "https://earth-search.aws.element84.com/v1",
    {
        "sentinel-2": ("sentinel-2-c1-l2a", "sentinel-2-l2a"),
        "landsat": ("landsat-c2-l2",),
        "sentinel-1": ("sentinel-1-grd",),
    },
    usual="sentinel-2",
    s3={"AWS_REGION": "us-west-2"},
)
PLANETARY_COMPUTER: Provider = StacApi(
    "https://planetarycomputer.microsoft.com/api/stac/v1",
    {"sentinel-2": ("sentinel-2-l2a",), "landsat": ("landsat-c2-l2",), "sentinel-1": ("sentinel-1-rtc",)},
    usual="sentinel-2",
    signer=Signer("https://planetarycomputer.microsoft.com/api/sas/v1/token"),
)
CDSE: Provider = StacApi(
    "https://stac.dataspace.copernicus.eu/v1",
    {"sentinel-2": ("sentinel-2-l2a",), "sentinel-1": ("sentinel-1-grd",)},
    usual="sentinel-2",
    s3={"AWS_S3_ENDPOINT": "eodata.dataspace.copernicus.eu", "AWS_VIRTUAL_HOSTING": "FALSE", "AWS_HTTPS": "YES"},
    keys=("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
)


def api_at(address: str) -> Provider:
    """Return any STAC API as a provider."""
    if not re.match(r"https?://", address):
        raise BadCatalogue(f"{shown(address)}: not an http or https address")
    return StacApi(address.rstrip("/").removesuffix("/search"))
