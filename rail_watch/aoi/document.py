"""Turn an AOI document (contract: a GeoJSON FeatureCollection with roles) into a `Site`, or into its faults."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from shapely import LineString, Polygon

from rail_watch.aoi import geometry
from rail_watch.aoi.site import Area, Bridge, Site, Track
from rail_watch.errors import BadAoi

SCHEMA = "1"
ID_PATTERN = re.compile(r"[a-z0-9][a-z0-9_-]*")
MAX_ID_LENGTH = 64
MAX_FEATURES = 10_000
MAX_TEXT = 1000
UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, and those that turn the direction of writing."""
MAX_SITE_M2 = 2.5e9
MIN_SITE_M2 = 100.0
AREA_ROLES = ("apron", "shed", "stable", "exclude")
ROLES = ("site", "track", "bridge", *AREA_ROLES)
"""Features of any other role are left alone."""
WGS84_NAMES = ("crs84", "epsg::4326", "epsg:4326", "epsg/0/4326")


@dataclass
class _Parts:
    """What has been read so far; filled feature by feature, frozen into a `Site` at the end."""

    sites: list[Polygon] = field(default_factory=list)
    tracks: list[Track] = field(default_factory=list)
    bridges: list[Bridge] = field(default_factory=list)
    areas: dict[str, list[Area]] = field(default_factory=lambda: {role: [] for role in AREA_ROLES})
    ids: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class _Header:
    id: str
    name: str
    accuracy_m: float | None
    source: str | None
    timezone: str | None
    linked: tuple[str, ...]


def parse(document: object, *, digest: str = "") -> tuple[Site | None, tuple[str, ...]]:
    """Return the site and no faults, or None and every fault found, each one line without the file's name."""
    faults: list[str] = []
    try:
        features = _features(document)
    except BadAoi as fault:
        return None, (str(fault),)
    header = _noting(faults, lambda: _header(document))
    parts = _Parts(ids=_explicit_ids(features, faults))
    for index, feature in enumerate(features):
        _noting(faults, lambda: _add(parts, feature, index), where=_label(feature, index))  # noqa: B023
    _noting(faults, lambda: _check_site(parts, sum(_properties(one).get("role") == "site" for one in features)))
    if faults or header is None:
        return None, tuple(faults)
    moved = _around(parts)
    faults.extend(_outside(moved))
    return (None, tuple(faults)) if faults else (_site(header, moved, digest), ())


def _noting(faults: list[str], step: Callable[[], Any], *, where: str = "") -> Any:
    """Run one step; a fault is kept, not raised, so that one run names them all."""
    try:
        return step()
    except BadAoi as fault:
        faults.append(f"{where}: {fault}" if where else str(fault))
        return None


def _features(document: object) -> list[object]:
    if not isinstance(document, dict):
        raise BadAoi("not a GeoJSON FeatureCollection but a bare JSON value; see `rail-watch aoi schema`")
    if document.get("type") != "FeatureCollection":
        found = str(document.get("type"))[:40]
        raise BadAoi(f"`type` must be 'FeatureCollection', not {found!r}; put the features into one collection")
    _check_crs(document.get("crs"))
    features = document.get("features")
    if not isinstance(features, list):
        raise BadAoi("`features` must be a list")
    if len(features) > MAX_FEATURES:
        raise BadAoi(f"more than {MAX_FEATURES} features; keep only the site's own")
    return features


def _check_crs(crs: object) -> None:
    if crs is None:
        return
    properties = crs.get("properties") if isinstance(crs, dict) else None
    name = str(properties.get("name")) if isinstance(properties, dict) else str(crs)
    if not name.lower().endswith(WGS84_NAMES):
        raise BadAoi(
            f"`crs` is {name[:80]!r}: convert to WGS 84 longitude/latitude and drop the `crs` member (RFC 7946)"
        )


def _checked_id(value: object) -> str:
    if not isinstance(value, str) or len(value) > MAX_ID_LENGTH or not ID_PATTERN.fullmatch(value):
        rule = "lower-case letters, digits, - and _, beginning with a letter or digit"
        raise BadAoi(f"bad id {str(value)[:40]!r}: use {rule}, at most {MAX_ID_LENGTH}")
    return value


def _text(value: object, what: str) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise BadAoi(f"`{what}` must be text")
    if len(value) > MAX_TEXT or UNPRINTABLE.search(value):
        raise BadAoi(f"`{what}` must be one line of at most {MAX_TEXT} characters, without control characters")
    return value


def _amount(value: object, what: str, *, least: float = 0.0) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value < 1e6:
        raise BadAoi(f"`{what}` must be a number of at least {least:g}")
    return float(value)


def _header(document: object) -> _Header:
    member = document.get("rail_watch") if isinstance(document, dict) else None
    if not isinstance(member, dict):
        raise BadAoi('no `rail_watch` member: add "rail_watch": {"schema": "1", "id": "…", "name": "…"}')
    if member.get("schema") != SCHEMA:
        raise BadAoi(f"`rail_watch.schema` is {str(member.get('schema'))[:20]!r}; this version reads {SCHEMA!r}")
    site_id = _checked_id(member.get("id"))
    return _Header(
        id=site_id,
        name=_text(member.get("name"), "rail_watch.name") or site_id,
        accuracy_m=_amount(member.get("accuracy_m"), "rail_watch.accuracy_m"),
        source=_text(member.get("source"), "rail_watch.source"),
        timezone=_timezone(member.get("timezone")),
        linked=_linked(member.get("linked")),
    )


def _timezone(value: object) -> str | None:
    name = _text(value, "rail_watch.timezone")
    if name is None:
        return None
    try:
        ZoneInfo(name)
    except (ValueError, OSError) as fault:
        raise BadAoi(f"`rail_watch.timezone` {name[:40]!r} is not an IANA name such as 'Asia/Pyongyang'") from fault
    except KeyError as fault:
        if available_timezones():  # without a zone database nothing can be said against the name
            raise BadAoi(f"`rail_watch.timezone` {name[:40]!r} is not an IANA name such as 'Asia/Pyongyang'") from fault
    return name


def _linked(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise BadAoi("`rail_watch.linked` must be a list of site ids")
    return tuple(_checked_id(part) for part in value)


def _properties(feature: object) -> Mapping[str, object]:
    properties = feature.get("properties") if isinstance(feature, dict) else None
    return properties if isinstance(properties, dict) else {}


def _label(feature: object, index: int) -> str:
    """Name a feature for a person: its id where it has a sane one, else its place in the file."""
    properties = _properties(feature)
    value = properties.get("id")
    role = str(properties.get("role", "feature"))[:20]
    return f"{role} {value!r}" if isinstance(value, str) and len(value) <= MAX_ID_LENGTH else f"feature {index + 1}"


def _explicit_ids(features: list[object], faults: list[str]) -> set[str]:
    seen: set[str] = set()
    for feature in features:
        value = _properties(feature).get("id")
        if isinstance(value, str):
            if value in seen:
                faults.append(f"id {value[:40]!r} is used twice; every feature needs its own")
            seen.add(value)
    return seen


def _own_id(parts: _Parts, properties: Mapping[str, object], role: str) -> str:
    """Return the feature's id, or for one without it the role and a number nobody else uses."""
    if properties.get("id") is not None:
        return _checked_id(properties["id"])
    number = 1
    while f"{role}-{number}" in parts.ids:
        number += 1
    parts.ids.add(f"{role}-{number}")
    return f"{role}-{number}"


def _add(parts: _Parts, feature: object, index: int) -> None:
    if not isinstance(feature, dict) or feature.get("type") != "Feature":
        raise BadAoi(f"entry {index + 1} of `features` is not a Feature")
    properties = _properties(feature)
    role = properties.get("role")
    if role is None:
        raise BadAoi(f"no `role` among its properties; one of {', '.join(ROLES)}")
    if role not in ROLES:
        return
    own_id = _own_id(parts, properties, str(role))
    name = _text(properties.get("name"), "name") or own_id
    shape = feature.get("geometry")
    if role == "site":
        parts.sites.append(geometry.polygon(shape))
    elif role == "track":
        parts.tracks.append(Track(own_id, name, geometry.line_string(shape), _gauge(properties)))
    elif role == "bridge":
        width = _amount(properties.get("deck_width_m"), "deck_width_m", least=0.1)
        parts.bridges.append(Bridge(own_id, name, geometry.line_string(shape), width))
    else:
        parts.areas[str(role)].append(Area(own_id, name, geometry.polygon(shape)))


def _gauge(properties: Mapping[str, object]) -> int | None:
    gauge = _amount(properties.get("gauge_mm"), "gauge_mm", least=100)
    return None if gauge is None else round(gauge)


def _check_site(parts: _Parts, count: int) -> None:
    """Check that there is one site of a reasonable size; one whose geometry is at fault has had its line."""
    if count != 1:
        raise BadAoi(f"exactly one feature of role 'site' is needed, found {count or 'none'}")
    if not parts.sites:
        return
    area = geometry.area_m2(parts.sites[0])
    west, south, east, north = parts.sites[0].bounds
    if area > MAX_SITE_M2 or east - west > 30 or max(abs(south), abs(north)) > 89:
        limit = f"{MAX_SITE_M2 / 1e6:,.0f} km²"
        raise BadAoi(f"the site covers {area / 1e6:,.0f} km² ({east - west:.3g}° of longitude); the most is {limit}")
    if area < MIN_SITE_M2:
        raise BadAoi(f"the site is empty: it covers {area:.3g} m²")


def _around(parts: _Parts) -> _Parts:
    """Return the parts with all longitudes on the site's side of the antimeridian."""
    towards = parts.sites[0].centroid.x
    towards -= 360 * round(towards / 360)

    def line(shape: LineString) -> LineString:
        return geometry.unwrapped(shape, towards=towards)

    def area(one: Area) -> Area:
        return Area(one.id, one.name, geometry.unwrapped(one.polygon, towards=towards))

    return _Parts(
        sites=[geometry.unwrapped(parts.sites[0], towards=towards)],
        tracks=[Track(track.id, track.name, line(track.line), track.gauge_mm) for track in parts.tracks],
        bridges=[Bridge(one.id, one.name, line(one.line), one.deck_width_m) for one in parts.bridges],
        areas={role: [area(one) for one in areas] for role, areas in parts.areas.items()},
    )


def _outside(parts: _Parts) -> list[str]:
    """What is to be judged must be loaded; ground that is only leant on may lie anywhere."""
    site = parts.sites[0]
    judged = [
        *(("track", one.id, one.line) for one in parts.tracks),
        *(("bridge", one.id, one.line) for one in parts.bridges),
        *(("apron", one.id, one.polygon) for one in parts.areas["apron"]),
    ]
    return [
        f"{role} {own_id!r}: lies wholly outside the site; widen the site or move it (are its axes swapped?)"
        for role, own_id, shape in judged
        if not shape.intersects(site)
    ]


def _site(header: _Header, parts: _Parts, digest: str) -> Site:
    return Site(
        id=header.id,
        name=header.name,
        polygon=parts.sites[0],
        tracks=tuple(parts.tracks),
        bridges=tuple(parts.bridges),
        aprons=tuple(parts.areas["apron"]),
        sheds=tuple(parts.areas["shed"]),
        stables=tuple(parts.areas["stable"]),
        excludes=tuple(parts.areas["exclude"]),
        accuracy_m=header.accuracy_m,
        source=header.source,
        timezone=header.timezone,
        linked=header.linked,
        digest=digest,
    )
