"""One STAC item (1.0 or 1.1) to one `SceneRef`: plain data, no pixels, no network."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import shapely
from shapely.geometry.base import BaseGeometry

from rail_watch.errors import BadCatalogue
from rail_watch.imagery import radiometry
from rail_watch.imagery.bands import COMMON, common_name, family, unique
from rail_watch.imagery.hrefs import checked_id, on_web, resolved
from rail_watch.imagery.interval import parse_time
from rail_watch.imagery.radiometry import number
from rail_watch.imagery.scene import Asset, Band, QualityKind, SceneRef

Members = Mapping[str, object]
MAX_ASSETS = 1000
NOT_DATA = frozenset({"thumbnail", "overview", "metadata", "tiles"})
NOT_QUALITY = re.compile(r"aerosol|radsat|qa_aot|opacity")
PRODUCT_LAYERS: tuple[tuple[QualityKind, str, str | None], ...] = (
    ("scl", r"^scl([_-](\d+m|jp2))*$", None),
    ("udm2", r"udm2|(^|_)udm(_|\.|$)", "udm2"),
    ("qa-pixel", "qa_pixel", "qa_pixel"),
    ("bqa", r"(^|[_-])bqa(\.|$)", r"[_-]bqa\."),
)
"""Quality layers known by the asset's key or its file's name."""
SIMULATED = "simulated"


@dataclass(frozen=True)
class Place:
    """Where an item was found."""

    folder: Path
    """Of the document, for relative hrefs."""
    root: Path
    """Of the catalogue; no href leads out of it."""
    address: str | None = None
    """Of the document where it came from the network; hrefs are then relative to it, and folder and root unused."""

    def resolve(self, href: object) -> str:
        """Return the path or address that a href names; raise `BadCatalogue` for one that is refused."""
        if self.address is not None:
            return on_web(href, base=self.address)
        return resolved(href, folder=self.folder, root=self.root)


@dataclass(frozen=True)
class _Candidate:
    """One asset that might be used."""

    asset: Asset
    gsd_m: float | None
    visual: bool
    jp2: bool


def members(value: object) -> dict[str, object]:
    """Return a JSON object, or an empty one where there is none."""
    return value if isinstance(value, dict) else {}


def texts(value: object) -> tuple[str, ...]:
    """Return the strings among a list's members (or a string alone)."""
    if isinstance(value, str):
        return (value,)
    return tuple(part for part in value if isinstance(part, str)) if isinstance(value, list) else ()


def text(value: object) -> str | None:
    """Return a non-empty line of at most 300 characters that can be printed, or None.

    Names from outside reach terminals and pages; control characters and those that turn writing round do not.
    """
    if not isinstance(value, str):
        return None
    line = " ".join(value[:2000].split())
    if not line.isprintable():
        line = "".join(letter for letter in line if letter.isprintable())
    return line[:300].strip() or None


def _when(properties: Members) -> datetime:
    """Return the item's time; without one, the middle of its start and end."""
    try:
        if (single := text(properties.get("datetime"))) is not None:
            return parse_time(single)
        start, end = text(properties.get("start_datetime")), text(properties.get("end_datetime"))
        if start is None or end is None:
            raise BadCatalogue("no `datetime`, nor `start_datetime` and `end_datetime`")
        first, last = parse_time(start), parse_time(end)
    except ValueError as fault:
        raise BadCatalogue(f"its time is not ISO 8601 ({str(fault)[:80]})") from fault
    return first + (last - first) / 2


def footprint_of(item: Members) -> BaseGeometry | None:
    """Return the item's geometry, else its bbox, else None; a broken geometry is no reason to lose a scene."""
    try:
        shape = shapely.geometry.shape(item["geometry"])
        if not shape.is_empty and shape.area > 0:
            return shape if shape.is_valid else shapely.make_valid(shape)
    except (
        LookupError,
        TypeError,
        ValueError,
        AttributeError,
        OverflowError,
        RecursionError,
        shapely.errors.ShapelyError,
    ):
        pass
    box = item.get("bbox")
    corners = [number(part) for part in box] if isinstance(box, list) else []
    if len(corners) == 6:
        corners = [*corners[:2], *corners[3:5]]
    if len(corners) != 4 or None in corners:
        return None
    west, south, east, north = (float(part or 0.0) for part in corners)
    return shapely.box(west, south, east + 360 if east < west else east, north)


def _roles(asset: Members) -> frozenset[str]:
    return frozenset(role.lower() for role in texts(asset.get("roles")))


def _is_raster(asset: Members) -> bool:
    media = (text(asset.get("type")) or "").lower()
    suffix = str(asset.get("href", "")).lower().split("?")[0]
    if media:
        return media.startswith(("image/tiff", "image/jp2", "image/vnd.stac.geotiff"))
    return suffix.endswith((".tif", ".tiff", ".jp2"))


def quality_kind(key: str, asset: Members) -> QualityKind | None:
    """Return which quality layer an asset is, by its name for known products, else by its roles."""
    name, roles = key.lower(), _roles(asset)
    stem = str(asset.get("href", "")).lower().rsplit("/", 1)[-1]
    for kind, in_name, in_stem in PRODUCT_LAYERS:
        if re.search(in_name, name) or (in_stem and re.search(in_stem, stem)):
            return kind
    if NOT_QUALITY.search(name) or NOT_QUALITY.search(stem):
        return None
    if "data-mask" in roles:
        return "data-mask"
    if "cloud" not in roles:
        return None
    words = f"{name} {stem} {asset.get('title', '')}".lower()
    return "cloud-probability" if re.search(r"cld|prob", words) else "cloud"


def _band_members(asset: Members) -> list[dict[str, object]]:
    for key in ("bands", "eo:bands"):
        entries = asset.get(key)
        if isinstance(entries, list) and entries:
            return [members(entry) for entry in entries]
    return []


def _common(band: Members, family_name: str) -> str | None:
    given = common_name(text(band.get("eo:common_name")) or text(band.get("common_name")))
    return given or common_name(text(band.get("name")), family_name)


def _bands(key: str, asset: Members, *, item_id: str, properties: Members, family_name: str) -> tuple[Band, ...]:
    """Return the bands of an asset that are imagery of the ground; the asset's key may name its only one."""
    entries = _band_members(asset)
    if entries:
        names = unique([_common(entry, family_name) for entry in entries])
    else:
        entries, names = [{}], [common_name(re.sub(r"[_-](jp2|\d+m)$", "", key), family_name)]
    product = radiometry.product_of(family_name, item_id=item_id, properties=properties, asset=asset)
    bands = []
    for index, (entry, name) in enumerate(zip(entries, names, strict=True)):
        if name is not None:
            one = radiometry.of_band(asset, entry, index, properties=properties, product=product)
            bands.append(Band(name, index + 1, one.scale, one.offset, one.nodata, one.assumed, one.rule))
    return tuple(bands)


def _gsd(key: str, asset: Members) -> float | None:
    """Return the asset's ground sample distance where the catalogue gives it."""
    first_band = next(iter(_band_members(asset)), {})
    raster = asset.get("raster:bands")
    old = members(raster[0]) if isinstance(raster, list) and raster else {}
    transform = asset.get("proj:transform")
    suffix = re.search(r"_(\d+)m$", key)
    known = [number(asset.get("gsd")), number(first_band.get("gsd")), number(old.get("spatial_resolution"))]
    known.append(abs(number(transform[0]) or 0.0) if isinstance(transform, list) and transform else None)
    known.append(float(suffix.group(1)) if suffix else None)
    return next((value for value in known if value is not None and value > 0), None)


def _with_defaults(key: str, asset: Members, collection: Members) -> dict[str, object]:
    """Return the asset with what its collection says of assets of that key (``item_assets``)."""
    shared = members(members(collection.get("item_assets")).get(key))
    return {**shared, **asset}


def _candidates(item: Members, collection: Members, place: Place, *, item_id: str) -> Iterable[_Candidate]:
    properties = members(item.get("properties"))
    family_name = family(
        text(properties.get("platform")), text(properties.get("constellation")), text(item.get("collection")), item_id
    )
    assets = item.get("assets")
    if not isinstance(assets, dict) or len(assets) > MAX_ASSETS:
        raise BadCatalogue("`assets` must be an object of at most 1000 members; this is not a STAC item")
    for key, own in assets.items():
        asset = _with_defaults(key, members(own), collection)
        roles = _roles(asset)
        quality = quality_kind(key, asset)
        if not _is_raster(asset) or (roles & NOT_DATA and quality is None):
            continue
        bands = () if quality else _bands(key, asset, item_id=item_id, properties=properties, family_name=family_name)
        if quality is None and not bands:
            continue
        jp2 = "jp2" in (text(asset.get("type")) or str(asset.get("href"))).lower()
        href = place.resolve(asset.get("href"))
        checksum = text(asset.get("file:checksum"))
        visual = "visual" in roles or re.match(r"(visual|tci|rendered)", key.lower()) is not None
        gsd_m = _gsd(key, asset) or number(properties.get("gsd"))
        yield _Candidate(Asset(key, href, bands, quality, checksum), gsd_m, visual, jp2)


def _best(candidates: Iterable[_Candidate]) -> list[_Candidate]:
    """Return for every band the asset to take it from: finest first, TIFF before JPEG 2000, then the first named."""
    ordered = sorted(candidates, key=lambda one: (one.gsd_m or 0.0, one.jp2))
    taken: set[str] = set()
    kept = []
    for one in ordered:
        bands = tuple(band for band in one.asset.bands if band.name not in taken)
        taken.update(band.name for band in bands)
        if bands:
            kept.append(replace(one, asset=replace(one.asset, bands=bands)))
    return kept


def _finest(kept: list[_Candidate]) -> list[_Candidate]:
    """Return the assets of the finest resolution; where that is one panchromatic band, the next finest too.

    Coarser bands laid onto a finer grid would be called measurements at a resolution they do not have;
    colour beside a panchromatic band is worth that.
    """
    sizes = sorted({one.gsd_m for one in kept if one.gsd_m}) or [0.0]
    names = {band.name for one in kept if (one.gsd_m or 0.0) <= sizes[0] for band in one.asset.bands}
    limit = sizes[1] if names == {"pan"} and len(sizes) > 1 else sizes[0]
    return [one for one in kept if (one.gsd_m or 0.0) <= limit]


def _imagery(candidates: list[_Candidate]) -> list[_Candidate]:
    measured = [one for one in candidates if one.asset.quality is None and not one.visual]
    kept = _best(measured or [one for one in candidates if one.asset.quality is None])
    if not kept:
        raise BadCatalogue(
            "none of its assets is a raster with bands of known names (blue, green, red, nir, pan, vv, …)"
        )
    return sorted(_finest(kept), key=lambda one: COMMON.index(one.asset.bands[0].name))


def _quality(candidates: list[_Candidate]) -> list[Asset]:
    """Return the quality layers to use: a product's own classes where there are any, else masks by role."""
    layers = sorted((one for one in candidates if one.asset.quality), key=lambda one: (one.gsd_m or 0.0, one.jp2))
    for kind in ("scl", "udm2", "qa-pixel", "bqa"):
        own = [one.asset for one in layers if one.asset.quality == kind]
        if own:
            return own[:1]
    exact = [one.asset for one in layers if one.asset.quality != "cloud-probability"]
    return exact or [one.asset for one in layers][:1]


def _angle(properties: Members, key: str, least: float, most: float) -> float | None:
    value = number(properties.get(key))
    return value if value is not None and least <= value <= most else None


def _sun_elevation(properties: Members) -> float | None:
    given = _angle(properties, "view:sun_elevation", -90, 90)
    zenith = _angle(properties, "s2:mean_solar_zenith", 0, 180)
    return given if given is not None else None if zenith is None else 90 - zenith


def _off_nadir(properties: Members) -> float | None:
    """Return the angle from straight down at the satellite; from the one at the ground where only that is given.

    They differ by the curve of the earth: sin(off-nadir) = sin(incidence) R / (R + h). The height is taken as 700 km;
    at 500 or 800 km the angle would be 3 % larger or 1 % smaller.
    """
    given = _angle(properties, "view:off_nadir", 0, 90)
    incidence = _angle(properties, "view:incidence_angle", 0, 90)
    if given is not None or incidence is None:
        return given
    return round(math.degrees(math.asin(math.sin(math.radians(incidence)) * 6371 / (6371 + 700))), 2)


def _says_simulated(item: Members, collection: Members) -> bool:
    properties = members(item.get("properties"))
    if properties.get("rail_watch:simulated") is True:
        return True
    words = [properties.get(key) for key in ("title", "platform", "constellation", "description")]
    words += [collection.get("title"), *texts(properties.get("keywords")), *texts(properties.get("instruments"))]
    return any(SIMULATED in str(word).lower() for word in words if word)


def _credit(properties: Members, collection: Members) -> str | None:
    """Return the line to print under a picture: the one given, else the producers and licensors."""
    for key in ("rail_watch:credit", "attribution"):
        given = text(properties.get(key)) or text(collection.get(key))
        if given:
            return given
    listed = properties.get("providers") or collection.get("providers")
    providers = [members(one) for one in listed] if isinstance(listed, list) else []
    makers = [one for one in providers if {"producer", "licensor"} & set(texts(one.get("roles")))] or providers
    names = list(dict.fromkeys(name for one in makers if (name := text(one.get("name")))))
    return f"Imagery: {', '.join(names)}"[:300] if names else None


def scene_ref(item: Members, place: Place, *, collection: Members) -> SceneRef:
    """Return what an item says of a scene.

    Parameters
    ----------
    item : a STAC item as read.
    place : where it was found.
    collection : the collection it belongs to, empty when there is none.

    Raises
    ------
    BadCatalogue
        One line, without the file's name, that says why the item cannot be used.
    """
    item_id = checked_id(item.get("id"))
    properties = members(item.get("properties"))
    candidates = list(_candidates(item, collection, place, item_id=item_id))
    imagery = _imagery(candidates)
    sizes = [one.gsd_m for one in imagery if one.gsd_m]
    gsd_m = min(sizes) if sizes else number(properties.get("gsd"))
    return SceneRef(
        id=item_id,
        when=_when(properties),
        platform=text(properties.get("platform")),
        gsd_m=gsd_m if gsd_m and gsd_m > 0 else None,
        assets=(*(one.asset for one in imagery), *_quality(candidates)),
        footprint=footprint_of(item),
        constellation=text(properties.get("constellation")),
        sun_azimuth_deg=_angle(properties, "view:sun_azimuth", 0, 360)
        or _angle(properties, "s2:mean_solar_azimuth", 0, 360),
        sun_elevation_deg=_sun_elevation(properties),
        off_nadir_deg=_off_nadir(properties),
        view_azimuth_deg=_angle(properties, "view:azimuth", 0, 360),
        simulated=_says_simulated(item, collection),
        credit=_credit(properties, collection),
        licence=text(properties.get("license")) or text(collection.get("license")),
        properties={"collection": name, **properties} if (name := text(item.get("collection"))) else properties,
    )
