"""Planet's Data API: search PlanetScope and SkySat, and read what the account may download.

An asset must be activated before it can be read; that takes minutes at Planet. The first read asks for it and says so,
a later run finds it there. The key is sent to the API only, in a header.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

import shapely

from rail_watch.errors import BadCatalogue, BadRaster
from rail_watch.imagery.catalogue import Found
from rail_watch.imagery.hrefs import checked_id, on_web, shown
from rail_watch.imagery.interval import parse_time
from rail_watch.imagery.radiometry import number
from rail_watch.imagery.safe_open import RemoteFile
from rail_watch.imagery.scene import Asset, Band, SceneRef
from rail_watch.imagery.stac_item import footprint_of, members, text, texts
from rail_watch.providers.http import Web, key_of, origin
from rail_watch.providers.query import Item, Query, Tools
from rail_watch.providers.remote import Remote, WebDoor

KEY = "PL_API_KEY"
MOST_PAGES = 100
FOUR = ("blue", "green", "red", "nir")
EIGHT = ("coastal", "blue", "green05", "green", "yellow", "red", "rededge", "nir")
IMAGES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("ortho_panchromatic", ("pan",)),
    ("ortho_analytic_8b_sr", EIGHT),
    ("ortho_analytic_4b_sr", FOUR),
    ("ortho_analytic_sr", FOUR),
    ("ortho_analytic_8b", EIGHT),
    ("ortho_analytic_4b", FOUR),
    ("ortho_analytic", FOUR),
    ("ps4b_analytic_sr", FOUR),
    ("ps4b_analytic", FOUR),
    ("ortho_visual", ("red", "green", "blue")),
)
"""Assets that are imagery of the ground, the preferred first, with the order of their bands."""
MASKS = ("ortho_udm2", "ortho_analytic_udm2", "ortho_panchromatic_udm2")
TYPES = {"planetscope": "PSScene", "skysat": "SkySatCollect"}


def _headers() -> dict[str, str]:
    key = key_of(KEY)
    if key is None:
        raise BadCatalogue(f"planet: no key; put yours into the environment variable {KEY}")
    return {"Authorization": f"Basic {base64.b64encode(f'{key}:'.encode()).decode()}"}


def search_body(query: Query, types: Sequence[str]) -> dict[str, object]:
    """Return a quick-search for what the account may download."""
    first, last = query.when
    limits = {"gte": first, "lte": last}
    when = {key: moment.isoformat().replace("+00:00", "Z") for key, moment in limits.items() if moment is not None}
    parts: list[dict[str, object]] = [
        {"type": "GeometryFilter", "field_name": "geometry", "config": shapely.geometry.mapping(query.area)},
        {"type": "PermissionFilter", "config": ["assets:download"]},
    ]
    if when:
        parts.append({"type": "DateRangeFilter", "field_name": "acquired", "config": when})
    return {"item_types": list(types), "filter": {"type": "AndFilter", "config": parts}}


def _allowed(item: Mapping[str, object]) -> set[str]:
    """Return the assets that the account may download."""
    rights = texts(item.get("_permissions"))
    return {right.removeprefix("assets.").removesuffix(":download") for right in rights if right.endswith(":download")}


def scene_of(item: Item) -> SceneRef:
    """Return an item of the Data API as a scene; its assets are reached through `PlanetDoor`.

    Raises
    ------
    BadCatalogue
        No time, or nothing in it that may be downloaded and read.
    """
    item_id, properties = checked_id(item.get("id")), members(item.get("properties"))
    listing = text(members(item.get("_links")).get("assets"))
    may = _allowed(item)
    image = next(((key, names) for key, names in IMAGES if key in may), None)
    if listing is None or image is None:
        raise BadCatalogue("none of its assets is an orthorectified image that the account may download")
    try:
        when = parse_time(text(properties.get("acquired")) or "")
    except ValueError as fault:
        raise BadCatalogue("no time in `acquired`") from fault
    key, names = image
    scale, rule = (1e-4, "product") if key.endswith("_sr") else (1.0, "file")
    bands = tuple(Band(name, index, scale, 0.0, 0.0, rule=rule) for index, name in enumerate(names, 1))  # type: ignore[arg-type]
    mask = next((name for name in MASKS if name in may), None)
    assets = [Asset(key, f"{listing}#{key}", bands)]
    assets += [Asset(mask, f"{listing}#{mask}", quality="udm2")] if mask else []
    view = number(properties.get("view_angle"))
    constellation = "skysat" if "sky" in str(properties.get("item_type", "")).lower() else "planetscope"
    return SceneRef(
        id=item_id,
        when=when,
        platform=text(properties.get("satellite_id")) or constellation,
        gsd_m=number(properties.get("pixel_resolution")) or number(properties.get("gsd")),
        assets=tuple(assets),
        footprint=footprint_of(item),
        constellation=constellation,
        sun_azimuth_deg=number(properties.get("sun_azimuth")),
        sun_elevation_deg=number(properties.get("sun_elevation")),
        off_nadir_deg=None if view is None else abs(view),
        view_azimuth_deg=number(properties.get("satellite_azimuth")),
        credit="Imagery © Planet Labs PBC",
        properties={"collection": str(properties.get("item_type", "")), **properties},
    )


@dataclass(frozen=True)
class PlanetDoor:
    """Finds where an asset can be read, asking for its activation where that has not been done."""

    web: Web

    def file(self, href: str) -> RemoteFile:
        """Return the file an asset is now at."""
        listing, _, key = href.partition("#")
        assets = members(self.web.get(listing, headers=_headers()).json())
        asset = members(assets.get(key))
        status, place = asset.get("status"), text(asset.get("location"))
        if status == "active" and place is not None:
            return WebDoor(self.web).file(on_web(place, base=listing))
        start = text(members(asset.get("_links")).get("activate"))
        if start is None:
            raise BadRaster(f"{shown(listing)}: has no {key} that can be activated; does the plan include it?")
        if status != "activating":
            target = on_web(start, base=listing)
            if origin(target) != origin(listing):
                raise BadRaster(f"{shown(listing)}: activation is said to be at another server; not followed")
            self.web.get(target, headers=_headers())
        raise BadRaster(f"{shown(listing)}: Planet is making {key} ready; run again in some minutes")


@dataclass(frozen=True)
class Planet:
    """The Data API."""

    api: str = "https://api.planet.com/data/v1"
    types: Mapping[str, str] = field(default_factory=lambda: dict(TYPES))

    def key_names(self) -> tuple[str, ...]:
        """Return the environment variable with the key."""
        return (KEY,)

    def address(self) -> str:
        """Return the API's root."""
        return self.api

    def find(self, query: Query, tools: Tools) -> Found:
        """Search the API; see `Provider`."""
        faults: list[str] = []
        if tools.offline:
            items = tools.chips.items(self.api) if tools.chips else []
        else:
            items = self._search(query, tools.web, faults)
            if tools.chips is not None:
                tools.chips.keep_items(self.api, items)
        access = Remote(PlanetDoor(tools.web), tools.chips, tools.offline)
        scenes = []
        for item in items:
            try:
                ref = scene_of(item)
            except BadCatalogue as fault:
                faults.append(f"item {str(item.get('id'))[:60]!r}: {str(fault)[:200]}")
                continue
            scenes.append(replace(ref, access=access))
        return Found(tuple(scenes), tuple(faults))

    def _search(self, query: Query, web: Web, faults: list[str]) -> list[Item]:
        sensor = (query.sensor or "").casefold()
        types = [kind for name, kind in self.types.items() if sensor and sensor in f"{name} {kind}".casefold()]
        body = search_body(query, types or list(self.types.values()))
        page = members(web.post(f"{self.api}/quick-search?_page_size=250", body, headers=_headers()).json())
        items, seen = [], set[str]()
        for _ in range(MOST_PAGES):
            features = page.get("features")
            items += [members(one) for one in features] if isinstance(features, list) else []
            following = text(members(page.get("_links")).get("_next"))
            if following is None or not features:
                return items
            try:
                target = on_web(following, base=self.api)
                if target in seen or urlsplit(target).hostname != urlsplit(self.api).hostname:
                    raise BadCatalogue("its pages lead in a circle, or to another server")
                seen.add(target)
                page = members(web.get(target, headers=_headers()).json())
            except BadCatalogue as fault:
                faults.append(f"{shown(self.api)}: only {len(items)} items could be had: {fault}")
                return items
        faults.append(f"{shown(self.api)}: more than {MOST_PAGES} pages; ask for a shorter interval")
        return items


PLANET = Planet()
