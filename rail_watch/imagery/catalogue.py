"""Find the scenes of a site: any source to a sorted list of plain descriptions."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path

import shapely
from shapely.geometry.base import BaseGeometry

from rail_watch.aoi.site import Site
from rail_watch.errors import BadCatalogue
from rail_watch.imagery import stac_walk
from rail_watch.imagery.folder import SUFFIXES, scenes_in
from rail_watch.imagery.hrefs import shown
from rail_watch.imagery.interval import Interval, within
from rail_watch.imagery.mosaic import merged, newest
from rail_watch.imagery.scene import SceneRef
from rail_watch.imagery.stac_item import Place, scene_ref, texts


@dataclass(frozen=True)
class Found:
    """What a source holds of a site."""

    scenes: tuple[SceneRef, ...]
    """By time, then id."""
    faults: tuple[str, ...] = ()
    """One line each on what could not be understood; exit status 3."""
    notes: tuple[str, ...] = ()
    """One line each on what was decided: a duplicate dropped, a time of day supposed."""


def sample_imagery_path() -> Path:
    """Return the folder of the simulated sample imagery: package data of the wheel, or the top of a checkout.

    Raises
    ------
    BadCatalogue
        This installation has none.
    """
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "data" / "sample_imagery", package.parent / "sample_imagery"):
        if (folder / "catalog.json").is_file():
            return folder
    raise BadCatalogue("this installation has no sample imagery; say with --source where the imagery is")


def _start(source: str | os.PathLike[str]) -> Path:
    """Return the local path meant by a source."""
    text = os.fspath(source)
    if re.match(r"[a-z][a-z0-9+.-]*://", text, re.IGNORECASE):
        raise BadCatalogue(f"{shown(text)}: a catalogue on the network; `rail_watch.providers.find` reads those")
    if "\0" in text:
        raise BadCatalogue("the source's path holds a NUL character")
    path = Path(text)
    try:
        known = path.is_dir() or path.is_file()
    except OSError:
        known = False
    if not known:
        mend = "give a STAC catalogue, a folder of images or a provider's name"
        raise BadCatalogue(f"{text[:200]}: no such file or folder; {mend}")
    return path.resolve()


def _entry(path: Path) -> Path | None:
    """Return the first document of a catalogue, or None when the path is a folder (or file) of GeoTIFFs."""
    if path.is_file():
        return None if path.suffix.lower() in SUFFIXES else path
    return next((path / name for name in stac_walk.ENTRY_FILES if (path / name).is_file()), None)


def _from_catalogue(entry: Path) -> Found:
    faults: list[str] = []
    scenes = []
    root = entry.parent
    for found in stac_walk.walk(entry, root=root, faults=faults):
        try:
            scenes.append(scene_ref(found.item, Place(found.file.parent, root), collection=found.collection))
        except BadCatalogue as fault:
            name = str(found.item.get("id", ""))[:60]
            faults.append(f"{found.file}: item {name!r}: {fault}")
    return Found(tuple(scenes), tuple(faults))


def _matches_sensor(ref: SceneRef, sensor: str) -> bool:
    words = [ref.platform, ref.constellation, *texts(ref.properties.get("instruments"))]
    words += [str(ref.properties.get("collection", ""))]
    return any(sensor.casefold() in word.casefold() for word in words if word)


def _over(site: Site, footprint: BaseGeometry | None) -> bool:
    """Return whether a footprint meets the site, whichever way either writes longitudes past the antimeridian."""
    if footprint is None:
        return True
    moved = (shapely.transform(footprint, lambda xy, turn=turn: xy + [turn, 0.0]) for turn in (0.0, 360.0, -360.0))
    return any(shape.intersects(site.polygon) for shape in moved)


def find(site: Site, when: Interval, *, source: str | os.PathLike[str], sensor: str | None = None) -> Found:
    """Return the scenes that a source holds of a site.

    Parameters
    ----------
    site : only scenes whose footprint meets it are kept (those without a footprint too).
    when : first and last instant, None is open; see `parse_interval`.
    source : a static STAC catalogue (folder or file) or a folder of GeoTIFFs.
    sensor : keep scenes whose platform, constellation, instrument or collection holds this word in any case; for
        a folder of GeoTIFFs whose files name no platform, their name.

    Raises
    ------
    BadCatalogue
        The source as a whole cannot be used. Single bad items are lines in ``faults`` instead.
    """
    path = _start(source)
    entry = _entry(path)
    found = _from_catalogue(entry) if entry is not None else Found(*scenes_in(path, platform=sensor))
    return chosen(found, site, when, sensor=sensor)


def chosen(found: Found, site: Site, when: Interval, *, sensor: str | None = None) -> Found:
    """Return what of a find shows the site in the interval: one scene for each look, by time, then id."""
    scenes, notes = newest(
        ref
        for ref in found.scenes
        if within(ref.when, when) and _over(site, ref.footprint) and (not sensor or _matches_sensor(ref, sensor))
    )
    looks, more = merged(scenes, site)
    ordered = tuple(sorted(looks, key=lambda ref: (ref.when, ref.id)))
    return replace(found, scenes=ordered, notes=(*found.notes, *notes, *more))
