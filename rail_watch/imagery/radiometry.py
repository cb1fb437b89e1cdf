"""From digital numbers to reflectance: which scale, offset and nodata a band has.

In this order (`RULES`): the user's own ``rail_watch:scale`` and ``rail_watch:offset`` on the band, asset or item; the
band's or asset's own members (``raster:scale``, ``raster:bands``); then, where the catalogue gives nothing, what the
product's documentation says (Sentinel-2 by its processing baseline, Landsat Collection 2); then the file's own tags
(that last step is the reader's). A SAFE product's XML is a catalogue of its own (`safe_product`).

Sentinel-2: since processing baseline 04.00 reflectance = DN * 0.0001 - 0.1 [1]_. The baseline counts, not the date:
older scenes have been processed again. One provider subtracts the offset beforehand and still lists it; its flag
``earthsearch:boa_offset_applied`` says so. Another lists no offset at all. What flags get wrong, `sanity` finds.

References
----------
.. [1] ESA, Sentinel-2 Products Specification Document, S2-PDGS-TAS-DI-PSD, issue 14.9 and later (BOA_ADD_OFFSET).
.. [2] USGS, Landsat 8-9 Collection 2 Level 2 Science Product Guide, LSDS-1619 (scale 0.0000275, offset -0.2).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Members = Mapping[str, object]
FIRST_WITH_OFFSET = 4.0
"""Sentinel-2 processing baseline since which numbers carry an offset."""
Rule = Literal["override", "item", "already-applied", "baseline", "product", "safe-xml", "file"]
RULES: dict[Rule, str] = {
    "override": "the user's own scale and offset, written into the item",
    "item": "the catalogue's scale and offset",
    "already-applied": "the provider had applied the offset already; it was not applied again",
    "baseline": "the catalogue gives no full scale and offset; those of the processing baseline were used",
    "product": "the catalogue gives no full scale and offset; the product's documented ones were used",
    "safe-xml": "the product's own XML",
    "file": "the file's own tags, else its numbers as they are",
}
"""Where a band's scale and offset come from, first that applies."""


@dataclass(frozen=True)
class Radiometry:
    """value = DN * scale + offset, but for DN = nodata."""

    scale: float = 1.0
    offset: float = 0.0
    nodata: float | None = None
    assumed: bool = False
    """Not from the catalogue, but from the product's documentation."""
    rule: Rule = "file"


def number(value: object) -> float | None:
    """Return a finite number, or None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        found = float(value)
    except OverflowError:  # JSON knows whole numbers of any length
        return None
    return found if math.isfinite(found) else None


def _nodata(value: object) -> float | None:
    if value in ("nan", "inf", "-inf"):
        return float(str(value))
    return number(value)


def _raster_band(asset: Members, index: int) -> Members:
    """Return the entry of ``raster:bands`` for a band counted from 0; a single entry stands for all."""
    entries = asset.get("raster:bands")
    if not isinstance(entries, list) or not entries:
        return {}
    entry = entries[index] if index < len(entries) else entries[0] if len(entries) == 1 else {}
    return entry if isinstance(entry, dict) else {}


def _first(*values: object) -> float | None:
    return next((found for found in map(number, values) if found is not None), None)


def of_band(asset: Members, band: Members, index: int, *, properties: Members, product: str) -> Radiometry:
    """Return the radiometry of one band.

    Parameters
    ----------
    asset, band : members of the asset and of the band inside it (either STAC spelling).
    index : the band's place in the asset, from 0.
    properties : of the item.
    product : see `product_of`.
    """
    old = _raster_band(asset, index)
    scale = _first(band.get("raster:scale"), band.get("scale"), asset.get("raster:scale"), old.get("scale"))
    offset = _first(band.get("raster:offset"), band.get("offset"), asset.get("raster:offset"), old.get("offset"))
    nodata = next((v for v in (_nodata(m.get("nodata")) for m in (band, asset, old)) if v is not None), None)
    documented = _documented(product, properties)
    own = _override(band, asset, properties)
    if own is not None:
        fallback = documented.nodata if documented is not None else None
        return Radiometry(*own, fallback if nodata is None else nodata, rule="override")
    if documented is None:
        return Radiometry(scale or 1.0, offset or 0.0, nodata, rule="file" if scale is offset is None else "item")
    given = scale is not None and offset is not None
    applied = product == "sentinel-2" and properties.get("earthsearch:boa_offset_applied") is True
    return Radiometry(
        scale or documented.scale,
        0.0 if applied else documented.offset if offset is None else offset,
        documented.nodata if nodata is None else nodata,
        assumed=not given,
        rule="already-applied" if applied else "item" if given else documented.rule,
    )


def _override(*places: Members) -> tuple[float, float] | None:
    """Return the user's own scale and offset, the nearest to the band."""
    scale = _first(*(place.get("rail_watch:scale") for place in places))
    offset = _first(*(place.get("rail_watch:offset") for place in places))
    return None if scale is None and offset is None else (1.0 if scale is None else scale, offset or 0.0)


def _documented(product: str, properties: Members) -> Radiometry | None:
    if product == "sentinel-2":
        number_of = baseline(properties)
        has_offset = number_of is not None and number_of >= FIRST_WITH_OFFSET
        return Radiometry(0.0001, -0.1 if has_offset else 0.0, 0.0, rule="baseline")
    return Radiometry(0.0000275, -0.2, 0.0, rule="product") if product == "landsat-c2-sr" else None


_BASELINE_KEYS = (
    *("s2:processing_baseline", "processing:version", "s2:product_uri", "s2:datatake_id", "sentinel:product_id"),
)


def baseline(properties: Members) -> float | None:
    """Return the Sentinel-2 processing baseline as a number, e.g. 5.1 for 05.10."""
    for key in _BASELINE_KEYS:
        match = re.search(r"(?:_N|^)(\d{2})\.?(\d{2})(?:_|$)", str(properties.get(key, "")))
        if match:
            return int(match.group(1)) + int(match.group(2)) / 100
    return None


def product_of(family: str, *, item_id: str, properties: Members, asset: Members) -> str:
    """Return the product whose documented radiometry applies: sentinel-2, landsat-c2-sr or nothing."""
    if str(asset.get("data_type", "")).startswith("float"):
        return ""
    if family == "sentinel-2":
        return "sentinel-2" if baseline(properties) is not None else ""
    surface = "_SR" in item_id or "_L2SP_" in item_id or "_SR_B" in str(asset.get("href", ""))
    collection_2 = "02" in (properties.get("landsat:collection_number"), properties.get("landsat:collection"))
    return "landsat-c2-sr" if family.startswith("landsat") and surface and collection_2 else ""
