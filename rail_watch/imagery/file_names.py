"""What the name of an image file says: time, satellite, and which files are parts of one scene."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from rail_watch.imagery.scene import QualityKind

_DATE = r"(?P<year>19[7-9]\d|20\d\d)(?P<dash>[-_.]?)(?P<month>0[1-9]|1[0-2])(?P=dash)(?P<day>0[1-9]|[12]\d|3[01])"
_CLOCK = r"(?:[T_ -]?(?P<hour>[01]\d|2[0-3])[-_:.]?(?P<minute>[0-5]\d)(?:[-_:.]?(?P<second>[0-5]\d))?)?"
_TIME = re.compile(rf"(?<!\d){_DATE}{_CLOCK}(?!\d)")
_DAY = re.compile(rf"(?<!\d){_DATE}(?!\d)")

_PLATFORMS = (
    (re.compile(r"(?:^|_)S2([A-D])_"), "Sentinel-2{}"),
    (re.compile(r"^T\d\d[A-Z]{3}_\d{8}T\d{6}"), "Sentinel-2"),
    (re.compile(r"(?:^|_)L[COET]0([4-9])_"), "Landsat-{}"),
    (re.compile(r"_ssc?\d+_", re.IGNORECASE), "SkySat"),
    (re.compile(r"_RE\d_", re.IGNORECASE), "RapidEye"),
    (re.compile(r"^\d{8}_\d{6}_(?:\d\d_)?[0-9a-z]{4}_"), "PlanetScope"),
)

_PLANET = re.compile(r"^(\d{8}_\d{6}(?:_\d{2})?_[0-9a-z]{3,5}(?:_u\d{4})?)_(?=1B|3A|3B|[a-z])", re.IGNORECASE)
_BAND = re.compile(r"^(?P<scene>.+?)[_-](?P<band>(?:SR_)?B(?:\d{1,2}|8A))(?:_\d+m)?$", re.IGNORECASE)
_MASKS: tuple[tuple[re.Pattern[str], QualityKind], ...] = (
    (re.compile(r"[_-]SCL(?:[_-]\d+m)?(?:_clip)?$", re.IGNORECASE), "scl"),
    (re.compile(r"[_-](?:DN_)?udm2?(?:_clip|_file_format)*$", re.IGNORECASE), "udm2"),
    (re.compile(r"[_-]QA_PIXEL$", re.IGNORECASE), "qa-pixel"),
    (re.compile(r"[_-]BQA$", re.IGNORECASE), "bqa"),
    (re.compile(r"[_-](?:data[_-]?mask|mask|clear)$", re.IGNORECASE), "data-mask"),
    (re.compile(r"[_-]cloud(?:[_-]?mask)?$", re.IGNORECASE), "cloud"),
)
_IGNORED = re.compile(
    r"[_-](?:TCI|AOT|WVP|PVI|preview|thumbnail|overview|ST_[A-Z0-9]+|SR_QA_AEROSOL|QA_RADSAT)(?:_\d+m)?$", re.IGNORECASE
)


@dataclass(frozen=True)
class NamedPart:
    """What a file is to its scene."""

    scene: str
    """The part of the name that all files of one scene share."""
    kind: Literal["imagery", "band", "quality", "ignored"]
    band: str | None = None
    """Number as written, such as B04, where the file is one band of several."""
    quality: QualityKind | None = None


def part_of(stem: str) -> NamedPart:
    """Return what the name of a file (without its suffix) says it is."""
    planet = _PLANET.match(stem)
    for pattern, kind in _MASKS:
        if pattern.search(stem):
            return NamedPart(planet.group(1) if planet else pattern.sub("", stem), "quality", quality=kind)
    if _IGNORED.search(stem):
        return NamedPart(_IGNORED.sub("", stem), "ignored")
    band = _BAND.match(stem)
    if band and platform_in(stem):
        return NamedPart(band.group("scene"), "band", band.group("band").upper())
    return NamedPart(planet.group(1) if planet else stem, "imagery")


def platform_in(stem: str) -> str | None:
    """Return the satellite that a file name gives away, or None."""
    for pattern, name in _PLATFORMS:
        match = pattern.search(stem)
        if match:
            return name.format(*match.groups())
    return None


def time_in(stem: str) -> tuple[datetime, bool] | None:
    """Return the first time in a file name, as UTC like all vendors, and whether it gives a time of day."""
    match = _TIME.search(stem) or _DAY.search(stem)
    if match is None:
        return None
    part = match.groupdict()
    clock = part.get("hour") is not None
    try:
        moment = datetime(
            int(part["year"]),
            int(part["month"]),
            int(part["day"]),
            int(part.get("hour") or 0),
            int(part.get("minute") or 0),
            int(part.get("second") or 0),
            tzinfo=UTC,
        )
    except ValueError:
        return None
    return moment, clock
