"""Ask OpenStreetMap's public query service for the tracks and buildings of one box: one request, and no more."""

from __future__ import annotations

import os
from urllib.parse import urlencode

from rail_watch.errors import BadCatalogue
from rail_watch.imagery.hrefs import shown
from rail_watch.imagery.stac_item import members
from rail_watch.providers.http import Patience, Web

ADDRESS = "https://overpass-api.de/api/interpreter"
VARIABLE = "RAIL_WATCH_OVERPASS"
"""Environment variable with the address of a service of one's own."""
TIMEOUT_S = 60
MOST_DEG = 0.5
"""Longest side of a box: a yard, not a country."""


def query_of(box: tuple[float, float, float, float]) -> str:
    """Return the query for a box (west, south, east, north in degrees)."""
    west, south, east, north = (f"{value:.7f}" for value in box)
    place = f"({south},{west},{north},{east})"
    wanted = ("way[railway]", "nwr[building]", "nwr[landuse=railway]", "way[man_made=bridge]")
    parts = "".join(f"{part}{place};" for part in wanted)
    return f"[out:json][timeout:{TIMEOUT_S}][maxsize:64000000];({parts});out geom;"


def ask(box: tuple[float, float, float, float]) -> object:
    """Return the service's answer as JSON.

    Raises
    ------
    BadCatalogue
        One line: the box is too large, the service is busy, or it broke off.
    """
    if box[2] - box[0] > MOST_DEG or box[3] - box[1] > MOST_DEG:
        raise BadCatalogue(f"a box of more than {MOST_DEG:g} degrees is too much to ask of a public service; cut it")
    address = os.environ.get(VARIABLE, "").strip() or ADDRESS
    patience = Patience(tries=1, timeout_s=TIMEOUT_S + 15.0, deadline_s=TIMEOUT_S + 60.0)
    web = Web(patience=patience).naming(address)
    document = web.get(f"{address}?{urlencode({'data': query_of(box)})}").json()
    remark = members(document).get("remark")
    if isinstance(remark, str) and "error" in remark.casefold():
        raise BadCatalogue(f"{shown(address)}: broke off ({' '.join(remark.split())[:120]}); ask for a smaller box")
    return document
