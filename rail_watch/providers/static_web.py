"""Walk a static STAC catalogue on a server: every document once, nothing beyond the server it stands on."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from rail_watch.errors import BadCatalogue
from rail_watch.imagery.catalogue import Found
from rail_watch.imagery.hrefs import on_web, shown
from rail_watch.imagery.stac_item import members
from rail_watch.providers.http import Web, origin
from rail_watch.providers.query import Item, Query, Tools, scenes_of
from rail_watch.providers.remote import WebDoor

MOST_DOCUMENTS = 10_000
MOST_BYTES = 32_000_000
AT_ONCE = 8


@dataclass(frozen=True)
class _Document:
    address: str
    content: Item
    collection: Item


def _links(document: _Document, faults: list[str]) -> Iterator[str]:
    """Give the addresses of children and items, in order."""
    links = document.content.get("links")
    for link in map(members, links if isinstance(links, list) else []):
        if link.get("rel") not in ("child", "item", "items"):
            continue
        try:
            target = on_web(link.get("href"), base=document.address)
        except BadCatalogue as fault:
            faults.append(f"{shown(document.address)}: {fault}")
            continue
        if origin(target) == origin(document.address):
            yield target.split("#")[0]
        else:
            faults.append(f"{shown(document.address)}: link to {shown(target)} not followed: another server")


def _fetched(web: Web, address: str) -> Item | str:
    """Return a document, or the line that says why not."""
    try:
        answer = web.get(address, most_bytes=MOST_BYTES)
        if origin(answer.address) != origin(address):
            return f"{shown(address)}: redirects to another server ({shown(answer.address)}); not followed"
        content = answer.json()
    except BadCatalogue as fault:
        return str(fault)
    return members({"type": "FeatureCollection", "features": content} if isinstance(content, list) else content)


def _items(document: _Document) -> list[Item] | None:
    """Return the items a document is or holds, None for one to walk on from."""
    if document.content.get("type") == "Feature":
        return [document.content]
    features = document.content.get("features")
    return [members(one) for one in features] if isinstance(features, list) else None


@dataclass(frozen=True)
class StaticCatalogue:
    """One catalogue, collection, item or ItemCollection by its address."""

    start: str

    def key_names(self) -> tuple[str, ...]:
        """Return no names: it needs no key."""
        return ()

    def address(self) -> str:
        """Return where it starts."""
        return self.start

    def find(self, query: Query, tools: Tools) -> Found:
        """Walk the catalogue; see `Provider`."""
        door = WebDoor(tools.web)
        if tools.offline:
            kept = tools.chips.items(self.start) if tools.chips else []
            return scenes_of(kept, address=self.start, door=door, tools=tools)
        faults: list[str] = []
        parts = []
        for address, items, collection in self._walk(tools.web, faults):
            known = {str(item.get("collection")): collection for item in items}
            parts.append(scenes_of(items, address=address, door=door, tools=tools, collections=known))
            if tools.chips is not None:
                tools.chips.keep_items(self.start, [_with_self(item, address) for item in items])
        scenes = tuple(ref for part in parts for ref in part.scenes)
        return replace(Found(scenes), faults=(*faults, *(fault for part in parts for fault in part.faults)))

    def _walk(self, web: Web, faults: list[str]) -> Iterator[tuple[str, list[Item], Item]]:
        """Give (address, items, collection) of every document with items, level by level, each level side by side."""
        level: list[tuple[str, Item]] = [(self.start, {})]
        seen = {self.start}
        with ThreadPoolExecutor(AT_ONCE) as pool:
            while level:
                contents = pool.map(lambda one: _fetched(web, one[0]), level)
                following: list[tuple[str, Item]] = []
                for (address, collection), content in zip(level, contents, strict=True):
                    if isinstance(content, str):
                        if address == self.start:
                            raise BadCatalogue(content)
                        faults.append(content)
                        continue
                    document = _Document(address, content, collection)
                    items = _items(document)
                    if items is not None:
                        yield address, items, collection
                        continue
                    own = content if content.get("type") == "Collection" else collection
                    fresh = [link for link in dict.fromkeys(_links(document, faults)) if link not in seen]
                    seen.update(fresh)
                    following += [(link, own) for link in fresh]
                if len(seen) > MOST_DOCUMENTS:
                    raise BadCatalogue(f"{shown(self.start)}: more than {MOST_DOCUMENTS} documents; start further down")
                level = following


def _with_self(item: Item, address: str) -> Item:
    """Return an item that says where it stood, so that its hrefs mean the same when it is read again."""
    links = item.get("links")
    others = [link for link in links if members(link).get("rel") != "self"] if isinstance(links, list) else []
    return {**item, "links": [*others, {"rel": "self", "href": address}]}
