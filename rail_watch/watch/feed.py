"""The Atom feed (RFC 4287) with GeoRSS-Simple points: the latest alerts, the same bytes for the same alerts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from xml.etree import ElementTree

from rail_watch.archive.store import Archive
from rail_watch.watch.rules import KINDS

ATOM, GEORSS = "http://www.w3.org/2005/Atom", "http://www.georss.org/georss"
MOST = 200
"""Entries of the feed."""


def feed_of(
    archive: Archive, channel: str, messages: Sequence[Mapping[str, Any]], *, now: datetime, up: str = ".."
) -> str:
    """Return the feed of what was sent on a channel, and of what is being sent now.

    Parameters
    ----------
    up : the home, as seen from the folder of the feed; pictures are named from there.
    """
    rows = archive.rows(
        # In this order, along the index of times: SQLite keeps the order of a cross join.
        "SELECT a.message FROM alert AS a CROSS JOIN delivery AS d WHERE d.alert = a.number AND d.channel = ? "
        "AND d.sent IS NOT NULL ORDER BY a.datetime DESC, a.key DESC LIMIT ?",
        (channel, MOST),
    )
    entries = {str(one["key"]): one for one in [*(json.loads(row["message"]) for row in rows), *messages]}
    latest = sorted(entries.values(), key=lambda one: (str(one["datetime"]), str(one["key"])), reverse=True)[:MOST]
    return atom(latest, now, up=up)


def atom(messages: Sequence[Mapping[str, Any]], now: datetime, *, up: str = "..") -> str:
    """Return messages as Atom; every text is escaped, none is markup."""
    ElementTree.register_namespace("", ATOM)
    ElementTree.register_namespace("georss", GEORSS)
    feed = ElementTree.Element(f"{{{ATOM}}}feed")
    _text(feed, "id", "urn:rail-watch:alerts")
    _text(feed, "title", "rail-watch alerts")
    # The time of the latest look, not of writing: nothing new, no new bytes.
    _text(feed, "updated", str(messages[0]["datetime"]) if messages else now.isoformat())
    _text(ElementTree.SubElement(feed, f"{{{ATOM}}}author"), "name", "rail-watch")
    for message in messages:
        _entry(feed, message, up)
    ElementTree.indent(feed)
    return "<?xml version='1.0' encoding='utf-8'?>\n" + ElementTree.tostring(feed, encoding="unicode") + "\n"


def _entry(feed: ElementTree.Element, message: Mapping[str, Any], up: str) -> None:
    entry = ElementTree.SubElement(feed, f"{{{ATOM}}}entry")
    _text(entry, "id", f"urn:rail-watch:{message['key']}")
    _text(entry, "title", f"{message['name']}: {str(message['kind']).replace('-', ' ')}")
    _text(entry, "updated", str(message["datetime"]))
    kind = str(message["kind"])
    ElementTree.SubElement(entry, f"{{{ATOM}}}category", term=kind if kind in KINDS else "other")
    body = [message["sentence"], *message["new_on_record"], message["cannot_tell"]]
    if message["evidence"]:
        body.append(f"Evidence: {message['evidence']}")
    _text(entry, "content", "\n".join(str(line) for line in body)).set("type", "text")
    if message["picture"]:
        ElementTree.SubElement(
            entry, f"{{{ATOM}}}link", rel="enclosure", type="image/png", href=_href(str(message["picture"]), up)
        )
    if message["lonlat"]:
        lon, lat = message["lonlat"]
        point = ElementTree.SubElement(entry, f"{{{GEORSS}}}point")
        point.text = f"{lat} {lon}"


def _href(path: str, up: str) -> str:
    """Return the picture's place as seen from the feed."""
    from urllib.parse import quote

    return quote(f"{up}/{path}")


def _text(parent: ElementTree.Element, name: str, text: str) -> ElementTree.Element:
    child = ElementTree.SubElement(parent, f"{{{ATOM}}}{name}")
    plain = text.isprintable()
    child.text = text if plain else "".join(letter for letter in text if letter in "\n\t" or letter.isprintable())
    return child
