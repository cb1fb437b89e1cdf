"""One look is one scene: the tiles of one overpass are read together, the newest processing of each.

A satellite's strip is cut into tiles that overlap. Two tiles over a site show one and the same moment; counted as two
scenes they would be two witnesses where there was one.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

import numpy as np

from rail_watch.aoi.site import Site
from rail_watch.imagery.read import read as read_tile
from rail_watch.imagery.scene import Quality, Scene, SceneRef, Unread
from rail_watch.imagery.window import lay

_ESA = re.compile(r"(S2[A-D]_MSIL[12][AC]_\d{8}T\d{6})(?:_N\d{4})?(_R\d{3}_T(\w{5}))_\d{8}T\d{6}")
_EARTH_SEARCH = re.compile(r"S2[A-D]_T?(\d\d[A-Z]{3})_\d{8}")
_MGRS = re.compile(r"(?:MGRS-|T)?(\d{1,2}[A-Z]{3})")
SAME_PASS = timedelta(minutes=10)
"""Tiles of one overpass are cut from one strip, which a satellite flies over in a few minutes."""
WHOLE = "rail_watch:image"
"""Property of a vendor's tile: the name of the image it was cut from."""
NO_VALUE = (Quality.OUTSIDE, Quality.NODATA, Quality.READ_FAILED)


def version(ref: SceneRef) -> str:
    """Return what tells the newer of two with one id: text times of one form sort as they follow."""
    keys = ("updated", "processing:datetime", "published", "created", "s2:generation_time")
    return next((str(ref.properties[key]) for key in keys if ref.properties.get(key)), "")


def acquisition(ref: SceneRef) -> str:
    """Return what two entries of one acquisition share: the id, less the processing that ESA writes into it.

    Catalogues with ids of their own name ESA's product beside it.
    """
    match = _ESA.fullmatch(ref.id)
    if match:
        return "".join(match.groups()[:2])
    product = _product(ref)
    return f"{''.join(product.groups()[:2])} {ref.properties.get('collection')}" if product else ref.id


def _product(ref: SceneRef) -> re.Match[str] | None:
    return _ESA.fullmatch(str(ref.properties.get("s2:product_uri", "")).removesuffix(".SAFE"))


def _parts_of_one(one: SceneRef, other: SceneRef) -> bool:
    """Whether two entries of one tile and minute are of one processing: parts of a tile that ESA cut in two."""
    return one.id != other.id and not _ESA.fullmatch(one.id) and _baseline(one) == _baseline(other)


def _baseline(ref: SceneRef) -> str:
    return str(ref.properties.get("s2:processing_baseline", ""))


def newest(scenes: Iterable[SceneRef]) -> tuple[list[SceneRef], list[str]]:
    """Return one scene for each acquisition, the newest processing, and a note on each dropped."""
    kept: dict[str, SceneRef] = {}
    notes = []
    for ref in scenes:
        key = acquisition(ref)
        other = kept.get(key)
        if other is None:
            kept[key] = ref
            continue
        if _parts_of_one(other, ref):
            kept[ref.id] = ref
            continue
        old, new = sorted((other, ref), key=lambda one: (_baseline(one), version(one), one.id))
        kept[key] = new
        if old.id == new.id:
            notes.append(f"scene {key} is listed more than once; the newest entry is used")
        else:
            notes.append(f"scene {old.id} is an older processing of {new.id}, which is used")
    return list(kept.values()), list(dict.fromkeys(notes))


def tile_of(ref: SceneRef) -> str | None:
    """Return which tile of a satellite's strip a scene is: MGRS tile, WRS row or Planet strip; None where not known."""
    for pattern, group in ((_ESA, 3), (_EARTH_SEARCH, 1)):
        match = pattern.match(ref.id)
        if match:
            return match.group(group)
    for key in ("s2:mgrs_tile", "grid:code"):
        match = _MGRS.fullmatch(str(ref.properties.get(key, "")))
        if match:
            return match.group(1)
    path, row = (ref.properties.get(f"landsat:wrs_{name}") for name in ("path", "row"))
    if path is not None and row is not None:
        return f"{path}/{row}"
    return ref.id if ref.properties.get("strip_id") else None


def _solar_day(ref: SceneRef, lon: float) -> int:
    return (ref.when + timedelta(hours=lon / 15)).toordinal()


def _track(ref: SceneRef) -> str:
    """Return what tiles of one overpass share besides satellite and day."""
    orbit = ref.properties.get("sat:relative_orbit")
    esa = _ESA.fullmatch(ref.id)
    if orbit is None and esa:
        orbit = esa.group(2)[2:5].lstrip("0")
    keys = ("landsat:wrs_path", "strip_id")
    return " ".join(str(part) for part in (orbit, *(ref.properties.get(key) for key in keys)) if part is not None)


def coverage(ref: SceneRef, site: Site) -> float:
    """Return the share of a site inside a scene's footprint, 0 where it has none."""
    if ref.footprint is None:
        return 0.0
    return float(ref.footprint.intersection(site.polygon).area / site.polygon.area)


def _look(ref: SceneRef, lon: float) -> object:
    """Return what all tiles of one look share; of a scene that is no tile, its id."""
    whole = ref.properties.get(WHOLE)
    if whole is not None:
        return ref.platform, str(whole), _solar_day(ref, lon)
    if tile_of(ref) is None or not ref.platform:
        return ref.id
    return ref.platform, ref.properties.get("collection"), _track(ref), _solar_day(ref, lon)


def merged(scenes: Iterable[SceneRef], site: Site) -> tuple[list[SceneRef], list[str]]:
    """Return the scenes with the tiles of one overpass under the one that shows most of the site, and a note on each.

    Tiles of one overpass: the same satellite, relative orbit and collection, the same day by the sun, and not more than
    ten minutes apart. So too the tiles (R1C1, R1C2 …) that a vendor cuts one image into. Scenes that do not say which
    tile they are stay by themselves: they may be two looks.
    """
    lon = site.polygon.centroid.x
    groups: dict[object, list[SceneRef]] = {}
    for ref in sorted(scenes, key=lambda one: (one.when, one.id)):
        key = _look(ref, lon)
        group = groups.setdefault(key, [])
        if group and ref.when - group[0].when > SAME_PASS:
            group = groups.setdefault((key, ref.id), [])
        group.append(ref)
    kept, notes = [], []
    for group in groups.values():
        whole = sorted(group, key=version, reverse=True)
        first, *rest = sorted(whole, key=lambda one: -round(coverage(one, site), 6))
        kept.append(replace(first, tiles=tuple(rest)) if rest else first)
        if rest:
            notes.append(f"scene {first.id} is read together with {', '.join(one.id for one in rest)}: one overpass")
    return kept, notes


def read(ref: SceneRef, site: Site, *, margin_m: float = 30.0) -> Scene | Unread:
    """Read a scene's pixels over a site, with the other tiles of its overpass where it has any.

    See `rail_watch.imagery.read.read`. On the lattice of the first tile that shows the site; where that holds no value
    the next one's is taken, resampled where its lattice is another (a neighbouring UTM zone).
    """
    base = read_tile(ref, site, margin_m=margin_m)
    for tile in ref.tiles:
        if isinstance(base, Scene) and not np.isin(base.quality, NO_VALUE).any():
            break
        other = read_tile(tile, site, margin_m=margin_m)
        if isinstance(base, Unread):
            base = _standing_in(base, other) if isinstance(other, Scene) else _worse(base, other)
        elif isinstance(other, Scene):
            base = _filled(base, other)
        elif other.failed:
            base = _failed(base, other)
    return base


def _standing_in(base: Unread, other: Scene) -> Scene:
    """Return another tile's scene with a note on the one that could not serve."""
    note = f"{base.ref.id}: {base.reason}; {other.ref.id} of the same overpass is used"
    return replace(other, notes=(*other.notes, note))


def _worse(one: Unread, other: Unread) -> Unread:
    return one if one.failed or not other.failed else other


def _filled(base: Scene, other: Scene) -> Scene:
    """Return a scene with another tile's values where it has none."""
    if set(base.bands) - set(other.bands):
        return replace(base, notes=(*base.notes, f"{other.ref.id} of the same overpass has other bands and is left"))
    order = [other.bands.index(name) for name in base.bands]
    values = lay(other.pixels[order], other.grid, base.grid, fill=math.nan, smooth=True)
    states = lay(other.quality[None], other.grid, base.grid, fill=int(Quality.OUTSIDE))[0]
    wanted = np.isin(base.quality, NO_VALUE) & ~np.isin(states, NO_VALUE) & np.isfinite(values).all(axis=0)
    if not wanted.any():
        return base
    digests = {**base.digests, **{f"{other.ref.id}/{key}": value for key, value in other.digests.items()}}
    note = f"{other.ref.id} of the same overpass fills {wanted.mean():.0%} of the window"
    return replace(
        base,
        pixels=np.where(wanted, values, base.pixels),
        quality=np.where(wanted, states, base.quality),
        digests=digests,
        notes=(*base.notes, note, *(f"{other.ref.id}: {line}" for line in other.notes)),
    )


def _failed(base: Scene, other: Unread) -> Scene:
    """Return a scene whose outside is marked as not read, for the tile there could not be."""
    states = np.where(base.quality == Quality.OUTSIDE, np.uint8(Quality.READ_FAILED), base.quality)
    return replace(base, quality=states, notes=(*base.notes, f"{other.ref.id} could not be read: {other.reason}"))
