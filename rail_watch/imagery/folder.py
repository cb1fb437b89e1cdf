"""A folder of GeoTIFFs as a source: what each file is comes from STAC items beside it, its tags, then its name."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from shapely import MultiPoint, Polygon

from rail_watch.errors import BadCatalogue, BadInput
from rail_watch.imagery import tags as tag_words
from rail_watch.imagery.bands import common_name, family, unique
from rail_watch.imagery.file_names import NamedPart, part_of, platform_in, time_in
from rail_watch.imagery.hrefs import is_remote, resolved
from rail_watch.imagery.interval import parse_time
from rail_watch.imagery.mosaic import WHOLE
from rail_watch.imagery.pixels import grid_of, says_simulated
from rail_watch.imagery.radiometry import number
from rail_watch.imagery.safe_open import safe_open
from rail_watch.imagery.safe_product import document_in, products_in, scene_of
from rail_watch.imagery.scene import Asset, Band, SceneRef
from rail_watch.imagery.stac_item import Place, members, scene_ref, text
from rail_watch.imagery.stac_walk import read_document
from rail_watch.imagery.vendor import SUFFIXES as VENDOR_SUFFIXES
from rail_watch.imagery.vendor import properties_in, stems_of, whole_of

SUFFIXES = (".tif", ".tiff", ".jp2", ".ntf", ".nitf")
DESCRIBING = (".json", ".geojson", *VENDOR_SUFFIXES)
MAX_FILES = 100_000
USUAL_HOUR = 10.5
"""Local solar time at which imaging satellites pass; stands in where only a date is known."""


@dataclass(frozen=True)
class _Header:
    """What one file says of itself."""

    path: Path
    part: NamedPart
    tags: Mapping[str, str]
    names: tuple[str | None, ...]
    footprint: Polygon
    gsd_m: float
    simulated: bool


@dataclass
class _Log:
    faults: list[str]
    notes: list[str]


def _files(folder: Path, suffixes: tuple[str, ...], log: _Log) -> list[Path]:
    """Return the folder's files of a kind, in order; links that lead out of it are left out."""
    found = []
    for where, folders, names in os.walk(folder):
        folders[:] = sorted(
            name for name in folders if not name.startswith(".") and document_in(Path(where) / name) is None
        )
        for name in sorted(names):
            path = Path(where) / name
            if name.startswith(".") or path.suffix.lower() not in suffixes:
                continue
            if not path.resolve().is_relative_to(folder.resolve()):
                log.faults.append(f"{path}: a link out of the folder, not followed; copy the file in")
                continue
            found.append(path)
            if len(found) > MAX_FILES:
                raise BadCatalogue(f"{folder}: more than {MAX_FILES} files; give a smaller folder")
    return found


@dataclass
class _Described:
    """What the JSON files of a folder say of its images."""

    scenes: list[SceneRef] = field(default_factory=list)
    owned: set[str] = field(default_factory=set)
    """Files that items name, used or not."""
    sidecars: dict[Path, Mapping[str, object]] = field(default_factory=dict)
    """Properties of files that are no STAC items of local images, but may go with one."""


def _features(path: Path, log: _Log) -> list[dict[str, object]]:
    """Return the GeoJSON features in a file; a file that is something else is none of our business."""
    try:
        document = members(read_document(path))
    except BadCatalogue as fault:
        if any(path.with_suffix(suffix).exists() for suffix in SUFFIXES):
            log.faults.append(str(fault))
        return []
    if document.get("type") == "Feature":
        return [document]
    inner = document.get("features")
    return [one for one in map(members, inner) if members(one.get("assets"))] if isinstance(inner, list) else []


def _owned(item: Mapping[str, object], place: Place) -> set[str]:
    """Return the local files that an item names in any role."""
    found = set()
    for asset in members(item.get("assets")).values():
        try:
            found.add(resolved(members(asset).get("href"), folder=place.folder, root=place.root))
        except BadCatalogue:
            continue
    return {href for href in found if not is_remote(href)}


def _take(item: dict[str, object], path: Path, root: Path, *, into: _Described, log: _Log) -> None:
    """Keep an item as a scene where it names files that are here, else as a sidecar."""
    place = Place(path.parent, root)
    try:
        ref = scene_ref(item, place, collection={})
    except BadCatalogue as fault:
        if "stac_version" in item and members(item.get("assets")):
            log.faults.append(f"{path}: {fault}")
        into.sidecars[path] = members(item.get("properties"))
        return
    if any(Path(asset.href).exists() for asset in ref.assets):
        into.scenes.append(ref)
        into.owned.update(_owned(item, place))
    else:
        into.sidecars[path] = ref.properties


def _take_vendor(path: Path, into: _Described, log: _Log) -> None:
    """Keep what a vendor's file says as a sidecar."""
    try:
        told = properties_in(path)
    except BadCatalogue as fault:
        log.notes.append(f"{fault}; its image is taken as it is")
        return
    if told is not None:
        into.sidecars[path] = {key: value for key, value in told.items() if value is not None}


def _with_bands(group: list[_Header], properties: Mapping[str, object]) -> list[_Header]:
    """Return the headers with the bands that a vendor's file lists, where they are as many as the image has."""
    listed = properties.get("rail_watch:bands")
    if not isinstance(listed, list) or not any(listed):
        return group
    names = unique([name if isinstance(name, str) else None for name in listed])
    fits = [header.part.kind == "imagery" and len(header.names) == len(names) for header in group]
    return [replace(one, names=tuple(names)) if fit else one for one, fit in zip(group, fits, strict=True)]


def _described(folder: Path, files: list[Path], log: _Log) -> _Described:
    """Return what the JSON files and the vendors' own files among these say."""
    described = _Described()
    for path in files:
        if path.suffix.lower() in VENDOR_SUFFIXES:
            _take_vendor(path, described, log)
            continue
        for item in _features(path, log):
            _take(item, path, folder, into=described, log=log)
    return described


def _products(folder: Path, log: _Log) -> list[SceneRef]:
    """Return the Sentinel-2 products (SAFE folders) in a folder."""
    found = []
    for product in products_in(folder):
        try:
            found.append(scene_of(product))
        except BadCatalogue as fault:
            log.faults.append(str(fault))
    return found


def _header(path: Path) -> _Header:
    with safe_open(path) as dataset:
        tags = {**dataset.tags(), **dataset.tags(ns="IMAGERY")}
        grid = grid_of(dataset)
        descriptions, colours = list(dataset.descriptions), [kind.name for kind in dataset.colorinterp]
        simulated = says_simulated(dataset)
    rows, cols = grid.shape
    edge = [(row, col) for row in np.linspace(-0.5, rows - 0.5, 9) for col in (-0.5, cols - 0.5)]
    edge += [(row, col) for col in np.linspace(cols - 0.5, -0.5, 9) for row in (-0.5, rows - 0.5)]
    lonlat = grid.lonlat(np.array(edge))
    if not np.isfinite(lonlat).all():
        raise BadCatalogue(f"{path}: its corners have no place on the earth; is its coordinate system right?")
    part = part_of(path.stem)
    family_name = family(tag_words.platform_of(tags), platform_in(path.stem))
    names = tag_words.band_names(descriptions, colours, family_name=family_name)
    if part.band is not None:
        names = [common_name(part.band, family_name)]
    gsd_m = grid.metres_per_pixel()
    return _Header(path, part, tags, tuple(names), _hull(lonlat), gsd_m, simulated)


def _hull(lonlat: NDArray[np.float64]) -> Polygon:
    """Return the area around points, whole across the antimeridian."""
    lon = lonlat[0, 0] + (lonlat[:, 0] - lonlat[0, 0] + 180) % 360 - 180
    return MultiPoint(np.column_stack([lon, lonlat[:, 1]])).convex_hull


def _grouped(paths: list[Path], log: _Log) -> list[list[_Header]]:
    """Return the headers of the files, those of one scene together."""
    groups: dict[tuple[Path, str], list[_Header]] = defaultdict(list)
    for path in paths:
        if part_of(path.stem).kind == "ignored":
            continue
        try:
            header = _header(path)
        except BadInput as fault:
            log.faults.append(str(fault))
            continue
        groups[path.parent, header.part.scene].append(header)
    return list(groups.values())


def _sidecar(group: list[_Header], sidecars: Mapping[Path, Mapping[str, object]]) -> Mapping[str, object]:
    """Return the properties of the scene's own JSON file: of the same stem, or Planet's ``<id>_metadata.json``."""
    folder, scene = group[0].path.parent, group[0].part.scene
    stems = {scene, f"{scene}_metadata", *(header.path.stem for header in group)}
    stems |= {name for header in group for name in stems_of(header.path.stem)}
    return next((own for path, own in sorted(sidecars.items()) if path.parent == folder and path.stem in stems), {})


def _usual_time(day: datetime, lon: float) -> datetime:
    """Return half past ten in the morning by the sun on a day."""
    return day + timedelta(hours=USUAL_HOUR - lon / 15)


def _when(group: list[_Header], properties: Mapping[str, object], log: _Log) -> datetime:
    first = group[0]
    for key in ("datetime", "acquired"):
        stated = text(properties.get(key))
        if stated is not None:
            try:
                return parse_time(stated)
            except ValueError:
                log.notes.append(f"{first.path}: the {key!r} of its sidecar is not a time; looked elsewhere")
    tagged = next((moment for header in group if (moment := tag_words.time_of(header.tags))), None)
    named = time_in(first.path.stem)
    if tagged is not None:
        if named is not None and abs(tagged - named[0]) > timedelta(days=2):
            log.notes.append(
                f"{first.path}: its tag says {tagged:%Y-%m-%d}, its name {named[0]:%Y-%m-%d}; the tag is used"
            )
        return tagged
    if named is None:
        mend = "name it like 20221104_012400_….tif, set TIFFTAG_DATETIME, or put a STAC item beside it"
        raise BadCatalogue(f"{first.path}: no acquisition time in sidecar, tags or name; {mend}")
    if named[1]:
        return named[0]
    log.notes.append(f"{first.path}: only the date is known; {USUAL_HOUR:g} h local solar time is supposed")
    return _usual_time(named[0], first.footprint.centroid.x)


def _assets(group: list[_Header]) -> tuple[Asset, ...]:
    """Return the scene's files: imagery of the finest resolution, and the quality layer."""
    imagery = [header for header in group if header.part.kind != "quality" and any(header.names)]
    if not imagery:
        raise BadCatalogue(
            f"{group[0].path}: bands of unknown kind; describe them (blue, green, red, nir, pan) in the file"
        )
    finest = min(header.gsd_m for header in imagery)
    assets: list[Asset] = []
    taken: set[str] = set()
    for header in imagery:
        if header.gsd_m > 1.01 * finest:
            continue
        fresh = [(index, name) for index, name in enumerate(header.names, 1) if name and name not in taken]
        taken.update(name for _, name in fresh)
        if fresh:
            bands = tuple(Band(name, index) for index, name in fresh)
            assets.append(Asset(header.part.band or header.path.stem, str(header.path.resolve()), bands))
    masks = [
        Asset(header.path.stem, str(header.path.resolve()), quality=header.part.quality)
        for header in group
        if header.part.kind == "quality"
    ]
    return (*assets, *masks)


def _scene_id(scene: str, group: list[_Header]) -> str:
    """Return the scene's name as a safe id."""
    stem = scene if len(group) > 1 or group[0].part.kind != "imagery" else group[0].path.stem
    return re.sub(r"[^A-Za-z0-9._-]", "_", stem).replace("..", "_").lstrip(".")[:128] or "scene"


def _angle(properties: Mapping[str, object], keys: tuple[str, ...], group: list[_Header]) -> float | None:
    stated = next((value for key in keys if (value := number(properties.get(key))) is not None), None)
    if stated is not None:
        return stated
    names = tuple(re.sub(r"^view:", "", key).upper() for key in keys)
    return next((value for header in group if (value := tag_words.degrees(header.tags, *names)) is not None), None)


def _scene(
    group: list[_Header], sidecars: Mapping[Path, Mapping[str, object]], platform: str | None, log: _Log
) -> SceneRef:
    properties = _sidecar(group, sidecars)
    group = _with_bands(group, properties)
    tagged = next((name for header in group if (name := text(tag_words.platform_of(header.tags)))), None)
    named = platform_in(group[0].path.stem)
    imagery = next((header for header in group if header.part.kind != "quality"), group[0])
    provider = text(properties.get("provider"))
    return SceneRef(
        id=_scene_id(group[0].part.scene, group),
        when=_when(group, properties, log),
        platform=text(properties.get("platform")) or tagged or named or platform,
        gsd_m=number(properties.get("gsd")) or round(min(header.gsd_m for header in group), 3),
        assets=_assets(group),
        footprint=imagery.footprint,
        constellation=text(properties.get("constellation")),
        sun_azimuth_deg=_angle(properties, ("view:sun_azimuth", "sun_azimuth"), group),
        sun_elevation_deg=_angle(properties, ("view:sun_elevation", "sun_elevation"), group),
        off_nadir_deg=_angle(properties, ("view:off_nadir", "off_nadir"), group),
        view_azimuth_deg=_angle(properties, ("view:azimuth", "satellite_azimuth"), group),
        simulated=any(header.simulated for header in group) or properties.get("rail_watch:simulated") is True,
        credit=text(properties.get("rail_watch:credit")) or (f"Imagery: {provider}" if provider else None),
        licence=text(properties.get("license")),
        properties={**properties, **_whole(imagery)},
    )


def _whole(tile: _Header) -> dict[str, object]:
    """Return of which image a vendor's tile is a part, as a property; nothing for a whole image."""
    whole = whole_of(tile.path.stem)
    return {} if whole is None else {WHOLE: whole}


def scenes_in(source: Path, *, platform: str | None) -> tuple[tuple[SceneRef, ...], tuple[str, ...], tuple[str, ...]]:
    """Return the scenes in a folder (or one file) of images and products, then faults and notes, one line each.

    Parameters
    ----------
    source : a folder, searched with its subfolders, or one file.
    platform : the satellite's name where neither sidecar, tags nor file name give it.

    Raises
    ------
    BadCatalogue
        There is no GeoTIFF at all, or far too many files.
    """
    log = _Log([], [])
    folder = source.parent if source.is_file() else source
    if source.is_dir() and document_in(folder) is not None:
        return tuple(_products(folder, log)), tuple(log.faults), ()
    if source.is_file():
        paths, beside = [source], sorted(path for path in folder.iterdir() if path.suffix.lower() in DESCRIBING)
    else:
        paths, beside = _files(folder, SUFFIXES, log), _files(folder, DESCRIBING, log)
    described = _described(folder, beside, log)
    if source.is_dir():
        described.scenes += _products(folder, log)
    if not paths and not described.scenes and not log.faults:
        raise BadCatalogue(f"{source}: no catalog.json and no GeoTIFF in it")
    if source.is_file():
        mine = str(source.resolve())
        described.scenes = [ref for ref in described.scenes if any(asset.href == mine for asset in ref.assets)]
    scenes = list(described.scenes)
    for group in _grouped([path for path in paths if str(path.resolve()) not in described.owned], log):
        if all(header.part.kind == "quality" for header in group):
            continue
        ordered = sorted(group, key=lambda header: (header.part.kind == "quality", header.path))
        try:
            scenes.append(_scene(ordered, described.sidecars, platform, log))
        except BadCatalogue as fault:
            log.faults.append(str(fault))
    return tuple(_with_distinct_ids(scenes)), tuple(log.faults), tuple(log.notes)


def _with_distinct_ids(scenes: list[SceneRef]) -> list[SceneRef]:
    """Return the scenes with a number behind the second and later bearer of a name: they are other files."""
    count: dict[str, int] = defaultdict(int)
    kept = []
    for ref in scenes:
        count[ref.id] += 1
        kept.append(ref if count[ref.id] == 1 else replace(ref, id=f"{ref.id[:120]}_{count[ref.id]}"))
    return kept
