"""Search a STAC API: the whole list of items first, page by page, however the pages are told."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import urlencode, urljoin

import shapely
from shapely.geometry.base import BaseGeometry

from rail_watch.errors import BadCatalogue
from rail_watch.imagery.hrefs import on_web, shown
from rail_watch.imagery.interval import Interval
from rail_watch.imagery.stac_item import members
from rail_watch.providers.http import Unreachable, Web, origin

Item = dict[str, object]
PAGE = 100
MOST_PAGES = 300
MOST_ITEMS = 20_000
NOT_BY_POST = frozenset({404, 405, 501})


@dataclass(frozen=True)
class Wanted:
    """What is asked of a catalogue."""

    area: BaseGeometry
    """Lon/lat."""
    when: Interval = (None, None)
    collections: tuple[str, ...] = ()
    """Empty: all."""
    filter: Mapping[str, object] | None = None
    """CQL2-JSON, for servers that know it."""


@dataclass
class Pages:
    """The items of a search, and what went wrong on the way to the last of them."""

    items: list[Item] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def _moment(when: datetime | None) -> str:
    return ".." if when is None else when.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def body_of(wanted: Wanted) -> dict[str, object]:
    """Return the search as an API takes it by POST: full times, so that none has to guess what a date means."""
    body: dict[str, object] = {"limit": PAGE, "intersects": shapely.geometry.mapping(wanted.area)}
    if wanted.when != (None, None):
        body["datetime"] = "/".join(_moment(end) for end in wanted.when)
    if wanted.collections:
        body["collections"] = list(wanted.collections)
    if wanted.filter is not None:
        body["filter"], body["filter-lang"] = dict(wanted.filter), "cql2-json"
    return body


def _query_of(wanted: Wanted) -> str:
    """Return the search as an API takes it by GET, with the box around the area."""
    query: dict[str, str] = {"limit": str(PAGE), "bbox": ",".join(f"{part:.7f}" for part in wanted.area.bounds)}
    if wanted.when != (None, None):
        query["datetime"] = "/".join(_moment(end) for end in wanted.when)
    if wanted.collections:
        query["collections"] = ",".join(wanted.collections)
    return urlencode(query)


@dataclass(frozen=True)
class _Request:
    address: str
    body: Mapping[str, object] | None

    @property
    def key(self) -> str:
        return json.dumps([self.address, self.body], sort_keys=True)


def _next(page: Mapping[str, object], last: _Request) -> _Request | None:
    """Return where the next page is, None on the last."""
    links = page.get("links")
    for link in map(members, links if isinstance(links, list) else []):
        if link.get("rel") != "next":
            continue
        target = on_web(link.get("href"), base=last.address)
        if target.startswith("http://") and last.address.startswith("https://"):
            target = f"https://{target.removeprefix('http://')}"
        if origin(target) != origin(last.address):
            raise BadCatalogue(f"the next page is said to be at {shown(target)}, another server; not followed")
        if str(link.get("method", "GET")).upper() != "POST":
            return _Request(target, None)
        own = members(link.get("body"))
        merged = {**(last.body or {}), **own} if link.get("merge") is True or not own else own
        return _Request(target, merged)
    return None


def _page(web: Web, request: _Request, headers: Mapping[str, str]) -> dict[str, object]:
    accept = {"Accept": "application/geo+json, application/json", **headers}
    if request.body is None:
        answer = web.get(request.address, headers=accept)
    else:
        answer = web.post(request.address, request.body, headers=accept)
    page = members(answer.json())
    if not isinstance(page.get("features"), list):
        raise BadCatalogue(f"{shown(request.address)}: the answer has no `features`; is this a STAC API?")
    return page


def _first(web: Web, api: str, wanted: Wanted, headers: Mapping[str, str]) -> tuple[_Request, dict[str, object]]:
    """Return the first page: by POST, or by GET where the server does not take that."""
    search = urljoin(f"{api.rstrip('/')}/", "search")
    request = _Request(search, body_of(wanted))
    try:
        return request, _page(web, request, headers)
    except Unreachable as fault:
        if fault.status not in NOT_BY_POST or wanted.filter is not None:
            raise
    request = _Request(f"{search}?{_query_of(wanted)}", None)
    return request, _page(web, request, headers)


def _fresh(page: Mapping[str, object], seen: set[str]) -> Iterator[Item]:
    features = page["features"]
    for item in map(members, features if isinstance(features, list) else []):
        key = json.dumps([item.get("collection"), item.get("id")])
        if key not in seen:
            seen.add(key)
            yield item


def search(
    web: Web,
    api: str,
    wanted: Wanted,
    *,
    headers: Mapping[str, str] | None = None,
    keep: Callable[[list[Item]], object] | None = None,
) -> Pages:
    """Return every item of a search.

    What came before a page that cannot be had is kept, with a fault that says so; so too where pages lead in a circle.

    Parameters
    ----------
    keep : called with the items of each page as it comes, so that they outlive a run that is cut off.

    Raises
    ------
    BadCatalogue
        Not even the first page.
    """
    own = headers or {}
    request, page = _first(web, api, wanted, own)
    pages, seen, asked = Pages(), set[str](), {request.key}
    for number in range(1, MOST_PAGES + 1):
        fresh = list(_fresh(page, seen))
        pages.items += fresh
        if keep is not None:
            keep(fresh)
        try:
            following = _next(page, request)
            if following is None:
                return pages
            if following.key in asked or not fresh:
                raise BadCatalogue("its pages lead in a circle")
            if len(pages.items) >= MOST_ITEMS:
                raise BadCatalogue(f"more than {MOST_ITEMS} items; ask for a shorter interval")
            asked.add(following.key)
            request, page = following, _page(web, following, own)
        except BadCatalogue as fault:
            pages.faults.append(_half(api, number, pages, fault))
            return pages
    pages.faults.append(_half(api, MOST_PAGES, pages, BadCatalogue("more pages than that; ask for a shorter interval")))
    return pages


def _half(api: str, number: int, pages: Pages, fault: BadCatalogue) -> str:
    return f"{shown(api)}: only the first {number} page(s), {len(pages.items)} items, could be had: {fault}"
