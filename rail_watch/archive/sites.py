"""Sites and the versions of their geometry."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from shapely.geometry import mapping
from shapely.geometry.base import BaseGeometry

from rail_watch.aoi.site import Site
from rail_watch.archive.store import Archive, packed


def site_document(site: Site) -> dict[str, Any]:
    """Return a site as the GeoJSON of an AOI file."""
    head = {
        "schema": "1",
        "id": site.id,
        "name": site.name,
        "accuracy_m": site.accuracy_m,
        "source": site.source,
        "timezone": site.timezone,
        "linked": list(site.linked),
    }
    return {
        "type": "FeatureCollection",
        "rail_watch": {name: value for name, value in head.items() if value not in (None, [])},
        "features": list(_features(site)),
    }


def _feature(role: str, geometry: BaseGeometry, **properties: object) -> dict[str, Any]:
    kept = {name: value for name, value in properties.items() if value is not None}
    return {"type": "Feature", "geometry": mapping(geometry), "properties": {"role": role, **kept}}


def _features(site: Site) -> Iterator[dict[str, Any]]:
    yield _feature("site", site.polygon)
    for track in site.tracks:
        yield _feature("track", track.line, id=track.id, name=track.name, gauge_mm=track.gauge_mm)
    for bridge in site.bridges:
        yield _feature("bridge", bridge.line, id=bridge.id, name=bridge.name, deck_width_m=bridge.deck_width_m)
    groups = {"apron": site.aprons, "shed": site.sheds, "stable": site.stables, "exclude": site.excludes}
    for role, areas in groups.items():
        for area in areas:
            yield _feature(role, area.polygon, id=area.id, name=area.name)


def keep_site(archive: Archive, site: Site) -> int:
    """Make sure that this version of a site is in the archive; return its number. Only inside `writing`."""
    document = packed(site_document(site))
    digest = site.digest or hashlib.sha256(document.encode()).hexdigest()
    archive.do(
        "INSERT INTO site VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET name = excluded.name "
        "WHERE site.name <> excluded.name",
        (site.id, site.name),
    )
    archive.do(
        "INSERT INTO site_version (site, digest, document) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        (site.id, digest, document),
    )
    number: int = archive.value("SELECT number FROM site_version WHERE site = ? AND digest = ?", (site.id, digest))
    return number
