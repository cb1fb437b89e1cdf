"""What is asked of a provider, what every provider has at hand, and what a provider is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import shapely
from shapely.geometry.base import BaseGeometry

from rail_watch.aoi.site import Site
from rail_watch.errors import BadCatalogue
from rail_watch.imagery.catalogue import Found
from rail_watch.imagery.hrefs import on_web
from rail_watch.imagery.interval import Interval
from rail_watch.imagery.stac_item import Place, scene_ref
from rail_watch.providers.chips import Chips
from rail_watch.providers.http import Web, origin
from rail_watch.providers.remote import Door, Remote

Item = dict[str, object]


@dataclass(frozen=True)
class Query:
    """One site, one interval."""

    site: Site
    when: Interval = (None, None)
    sensor: str | None = None

    @property
    def area(self) -> BaseGeometry:
        """The site, lon/lat, cut at the antimeridian as APIs want it."""
        polygon = self.site.polygon
        west, _, east, _ = polygon.bounds
        if west >= -180 and east <= 180:
            return polygon
        turned = shapely.transform(polygon, lambda xy: xy + [-360.0 if east > 180 else 360.0, 0.0])
        world = shapely.box(-180, -90, 180, 90)
        return shapely.union_all([polygon.intersection(world), turned.intersection(world)])


@dataclass(frozen=True)
class Tools:
    """What every provider works with."""

    web: Web = field(default_factory=Web)
    chips: Chips | None = None
    offline: bool = False


class Provider(Protocol):
    """A place that has imagery. Registered under the entry point group ``rail_watch.providers`` by its short name."""

    def find(self, query: Query, tools: Tools) -> Found:
        """Return the scenes of a site in an interval; raise `BadCatalogue` where the place as a whole cannot be used.

        Nothing is asked of the network with ``tools.offline``: what ``tools.chips`` remembers is all there is.
        """
        ...

    def key_names(self) -> tuple[str, ...]:
        """Return the environment variables it takes keys from; none where no account is needed."""
        ...

    def address(self) -> str:
        """Return an address that answers when the place is up."""
        ...


def scenes_of(
    items: Iterable[Item], *, address: str, door: Door, tools: Tools, collections: Mapping[str, Item] | None = None
) -> Found:
    """Return items of an answer as scenes; what cannot be used is a fault, one line each.

    Parameters
    ----------
    address : of the answer, for relative hrefs.
    door : how their files are reached.
    collections : by id, where they are known.
    """
    access = Remote(door, tools.chips, tools.offline)
    scenes, faults = [], []
    for item in items:
        place = Place(Path(), Path(), address=_own_address(item, address))
        try:
            known = (collections or {}).get(str(item.get("collection")), {})
            ref = scene_ref(item, place, collection=known)
        except BadCatalogue as fault:
            faults.append(f"item {str(item.get('id', ''))[:60]!r}: {fault}")
            continue
        scenes.append(replace(ref, access=access))
    return Found(tuple(scenes), tuple(faults))


def _own_address(item: Item, address: str) -> str:
    """Return what an item's hrefs are relative to: its own address, where a link says it on the same server."""
    links = item.get("links")
    for link in links if isinstance(links, list) else []:
        if isinstance(link, dict) and link.get("rel") == "self":
            try:
                own = on_web(link.get("href"), base=address)
                return own if origin(own) == origin(address) else address
            except BadCatalogue:
                return address
    return address
