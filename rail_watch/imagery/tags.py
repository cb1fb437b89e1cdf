"""What the tags inside a GeoTIFF or NITF file say of its acquisition: time, satellite, sun, bands."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from rail_watch.imagery.bands import BY_COUNT, common_name, unique
from rail_watch.imagery.interval import parse_time

Tags = Mapping[str, str]

_TIMES = ("ACQUISITIONDATETIME", "ACQUISITION_DATETIME", "ACQUISITION_TIME", "ACQUIRED", "DATETIME", "SENSING_TIME")
_MILLISECONDS = ("SYSTEM-TIME_START", "SYSTEM:TIME_START")
_PLATFORMS = ("PLATFORM", "SATELLITE", "SATELLITEID", "SATELLITE_ID", "SPACECRAFT_NAME", "SPACECRAFT_ID", "MISSION")
_EXIF = re.compile(r"(\d{4}):(\d{2}):(\d{2}) (\d{2}:\d{2}:\d{2})")

_COMPACT = re.compile(r"(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)")


def folded(tags: Tags) -> dict[str, str]:
    """Return the tags with their names in capitals."""
    return {key.upper(): value for key, value in tags.items()}


def _parsed(value: str | None) -> datetime | None:
    if not value:
        return None
    try:
        return parse_time(_EXIF.sub(r"\1-\2-\3T\4", value.strip()))
    except ValueError:
        return None


def _epoch(value: str | None) -> datetime | None:
    """Return the time of milliseconds since 1970."""
    if value is None or not re.fullmatch(r"\d{1,15}", value):
        return None
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=int(value))


def time_of(tags: Tags) -> datetime | None:
    """Return the acquisition time: tags that mean it first, then TIFF's own DateTime."""
    known = folded(tags)
    found = [_parsed(known.get(name)) for name in _TIMES]
    found.append(_parsed(f"{known.get('DATE_ACQUIRED', '')}T{known.get('SCENE_CENTER_TIME', '')[:15]}"))
    found += [_epoch(known.get(name)) for name in _MILLISECONDS]
    found.append(_parsed(_COMPACT.sub(r"\1-\2-\3T\4:\5:\6Z", known.get("NITF_IDATIM", ""))))
    found.append(_parsed(known.get("TIFFTAG_DATETIME")))
    return next((moment for moment in found if moment is not None), None)


def platform_of(tags: Tags) -> str | None:
    """Return the satellite's name."""
    known = folded(tags)
    return next((known[name].strip() for name in _PLATFORMS if known.get(name, "").strip()), None)


def degrees(tags: Tags, *names: str) -> float | None:
    """Return the first of the tags that is a finite angle."""
    known = folded(tags)
    for name in names:
        try:
            value = float(known[name])
        except (KeyError, ValueError):
            continue
        if -360 <= value <= 360:
            return value
    return None


def band_names(descriptions: list[str | None], colours: list[str], *, family_name: str) -> list[str | None]:
    """Return the common name of every band, None for one that is no imagery or not known.

    From the descriptions; where those name none, from the colour interpretation; else by count.

    Parameters
    ----------
    descriptions, colours : one for each band of the file; colours as GDAL names them (red, gray, alpha …).
    family_name : see `bands.family`, to understand B04 and its like.
    """
    described = [common_name(description, family_name) for description in descriptions]
    if any(described):
        return unique(described)
    if {"red", "green", "blue"} <= set(colours):
        named = [colour if colour in ("red", "green", "blue") else None for colour in colours]
        rest = [index for index, colour in enumerate(colours) if colour in ("undefined", "gray", "nir")]
        if len(rest) == 1:
            named[rest[0]] = "nir"
        return unique(list(named))
    measured = [index for index, colour in enumerate(colours) if colour != "alpha"]
    names: list[str | None] = [None] * len(colours)
    for index, name in zip(measured, BY_COUNT.get(len(measured), ()), strict=False):
        names[index] = name
    return names
