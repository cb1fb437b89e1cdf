"""One scene of a bundle as a STAC item: all that reading it needs, exactly, and valid for any STAC reader."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import shapely

from rail_watch.errors import BadCatalogue, BadInput
from rail_watch.imagery.hrefs import checked_id, is_remote, resolved, shown
from rail_watch.imagery.quality import MAPPINGS
from rail_watch.imagery.radiometry import Rule
from rail_watch.imagery.scene import Asset, Band, SceneRef

READING = "rail_watch:reading"
"""Member of items and assets that holds what `SceneRef`, `Asset` and `Band` hold."""
TIFF = "image/tiff; application=geotiff"
_TEXTS = ("platform", "constellation", "credit", "licence")
_NUMBERS = ("gsd_m", "sun_azimuth_deg", "sun_elevation_deg", "off_nadir_deg", "view_azimuth_deg")
_COMMON = {"gsd_m": "gsd", "sun_azimuth_deg": "view:sun_azimuth", "sun_elevation_deg": "view:sun_elevation",
           "off_nadir_deg": "view:off_nadir", "view_azimuth_deg": "view:azimuth", "licence": "license",
           "platform": "platform", "constellation": "constellation"}  # fmt: skip
VIEW = "https://stac-extensions.github.io/view/v1.0.0/schema.json"
MOST_BANDS = 256


# ---- to the item --------------------------------------------------------------------------------------------------


def _plain(value: object) -> object:
    """Return what JSON can hold of a value; numbers that are not finite become null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, (str, int, float, bool)) else str(value)


def _source(href: str) -> str:
    """Return where a file came from, fit to be handed on: no folders of this machine, no signature."""
    return shown(href) if is_remote(href) else Path(href).name


def _asset(asset: Asset, href: str, origin: str) -> dict[str, Any]:
    bands = [{**asdict(band), "nodata": _nodata(band.nodata)} for band in asset.bands]
    return {
        "href": href,
        "type": TIFF,
        "title": f"The window of {_source(origin)}",
        "roles": ["data"] if asset.quality is None else ["cloud"],
        READING: {"key": asset.key, "quality": asset.quality, "bands": bands},
    }


def _nodata(value: float | None) -> float | str | None:
    return str(value) if value is not None and not math.isfinite(value) else value


def to_item(ref: SceneRef, hrefs: Mapping[str, str], origin: SceneRef) -> dict[str, Any]:
    """Return the item of a scene whose windows lie in a bundle.

    Parameters
    ----------
    ref : the scene with the windows as its files.
    hrefs : path of a window to what the item calls it.
    origin : the same scene as its source describes it.
    """
    reading = {name: getattr(ref, name) for name in (*_TEXTS, *_NUMBERS)}
    common = {name: reading[key] for key, name in _COMMON.items() if reading[key] is not None}
    when = ref.when.astimezone(UTC).isoformat().replace("+00:00", "Z")
    box = None if ref.footprint is None else list(ref.footprint.bounds)
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": [VIEW],
        "id": ref.id,
        "geometry": None if ref.footprint is None else shapely.geometry.mapping(ref.footprint),
        **({} if box is None else {"bbox": box}),
        "properties": {**common, "datetime": when, "rail_watch:simulated": ref.simulated},
        "links": [],
        "assets": {
            f"{number:02d}": _asset(asset, hrefs[asset.href], source.href)
            for number, (asset, source) in enumerate(zip(ref.assets, origin.assets, strict=True))
        },
        READING: {**reading, "simulated": ref.simulated, "properties": _plain(ref.properties)},
    }


# ---- from the item ------------------------------------------------------------------------------------------------


def _text_or_none(value: object) -> str | None:
    if value is not None and (not isinstance(value, str) or len(value) > 1000):
        raise BadCatalogue("a member that must be a short text is none")
    return value


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise BadCatalogue("a member that must be a number is none")
    return value


def _number_or_none(value: object) -> float | None:
    return None if value is None else _number(value)


def _band(of: Mapping[str, Any]) -> Band:
    name, index, rule = of["name"], of["index"], of["rule"]
    if not isinstance(name, str) or rule not in get_args(Rule) or not isinstance(index, int):
        raise BadCatalogue("a band has a member of the wrong kind")
    if not 1 <= index <= MOST_BANDS:
        raise BadCatalogue(f"a band has the number {index}")
    nodata = of["nodata"]
    given = float(nodata) if nodata in ("nan", "inf", "-inf") else _number_or_none(nodata)
    return Band(name, index, _number(of["scale"]), _number(of["offset"]), given, bool(of["assumed"]), rule)


def _asset_from(of: Mapping[str, Any], folder: Path, root: Path) -> Asset:
    reading = of[READING]
    href = resolved(of["href"], folder=folder, root=root)
    if is_remote(href):
        raise BadCatalogue(f"{shown(href)}: a bundle names files of its own only")
    quality = reading["quality"]
    if quality is not None and quality not in MAPPINGS:
        raise BadCatalogue(f"{str(quality)[:40]!r} is no kind of quality layer")
    return Asset(str(reading["key"])[:200], href, tuple(_band(band) for band in reading["bands"]), quality)


def from_item(item: object, *, name: str, folder: Path, root: Path) -> SceneRef:
    """Return the scene that an item of a bundle describes.

    Parameters
    ----------
    name : of the item's file, for messages.
    folder : the item's.
    root : the bundle's; nothing outside of it is ever named.

    Raises
    ------
    BadInput
        One line naming the item.
    """
    try:
        if not isinstance(item, dict):
            raise BadCatalogue("not a STAC item")
        reading = item[READING]
        geometry = item["geometry"]
        when = datetime.fromisoformat(item["properties"]["datetime"])
        if when.tzinfo is None or not isinstance(reading["properties"], dict):
            raise BadCatalogue("a member is of the wrong kind")
        return SceneRef(
            id=checked_id(item["id"]),
            when=when.astimezone(UTC),
            assets=tuple(_asset_from(asset, folder, root) for _, asset in sorted(item["assets"].items())),
            footprint=None if geometry is None else shapely.geometry.shape(geometry),
            simulated=reading["simulated"] is True,
            properties=reading["properties"],
            **{key: _text_or_none(reading[key]) for key in _TEXTS},  # type: ignore[arg-type]
            **{key: _number_or_none(reading[key]) for key in _NUMBERS},  # type: ignore[arg-type]
        )
    except BadInput as fault:
        raise BadInput(f"{name}: {fault}") from fault
    except KeyError as fault:
        raise BadInput(f"{name}: lacks the member {fault}") from fault
    except (TypeError, ValueError, AttributeError, IndexError, shapely.errors.ShapelyError) as fault:
        raise BadInput(f"{name}: a member is of the wrong kind ({str(fault)[:80]})") from fault
