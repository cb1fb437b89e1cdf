"""What vendors of very fine imagery write beside it: Maxar's IMD and XML, Airbus's DIMAP. Parsed by us, never by GDAL.

Everything becomes the properties that a STAC item would have, and the bands in the order of the file. Names as in the
vendors' own guides: Maxar, "Imagery Support Data (ISD)"; Airbus, "Pléiades Imagery User Guide", annex on DIMAP V2.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from rail_watch.aoi.json_file import read_bytes
from rail_watch.errors import BadCatalogue
from rail_watch.imagery.xml_file import Element, each, number_of, read_xml, text_of

SUFFIXES = (".imd", ".xml")
MAX_IMD_BYTES = 1_000_000
Properties = dict[str, object]
_MAXAR_BANDS = {
    **{"P": "pan", "C": "coastal", "B": "blue", "G": "green", "Y": "yellow", "R": "red", "RE": "rededge"},
    **{"N": "nir", "N2": "nir09"},
}
_MAXAR_SATELLITES = {"QB02": "QuickBird-2", "GE01": "GeoEye-1", "WV01": "WorldView-1", "WV02": "WorldView-2"}
_MAXAR_SATELLITES |= {"WV03": "WorldView-3", "WV04": "WorldView-4"}
_AIRBUS_BANDS = {"P": "pan", "PAN": "pan", "B0": "blue", "B1": "green", "B2": "red", "B3": "nir"}
_AIRBUS_BANDS |= {"DB": "coastal", "B": "blue", "G": "green", "R": "red", "RE": "rededge", "NIR": "nir"}
_AIRBUS_MISSIONS = {"PHR": "Pleiades", "PNEO": "Pleiades Neo"}
_TILE = re.compile(r"_R\d{1,3}C\d{1,3}(?=-|$)")
"""Maxar: ``22NOV04021105-M2AS_R1C2-0123_01_P001``; Airbus and older orders: at the end."""
_PAIR = re.compile(r"\s*(\w+)\s*=\s*\"?([^\";]*)\"?\s*;?\s*$")


def _angles(sun_azimuth: object, sun_elevation: object, off_nadir: object, azimuth: object) -> Properties:
    names = ("view:sun_azimuth", "view:sun_elevation", "view:off_nadir", "view:azimuth")
    given = zip(names, (sun_azimuth, sun_elevation, off_nadir, azimuth), strict=True)
    return {name: value for name, value in given if value is not None}


def _imd_lines(path: Path) -> Iterator[tuple[str, str]]:
    """Give the names and values of an IMD file, in order."""
    text = read_bytes(path, error=BadCatalogue, max_bytes=MAX_IMD_BYTES).decode("latin-1")
    for line in text.splitlines():
        match = _PAIR.match(line)
        if match:
            yield match.group(1), match.group(2).strip()


def _maxar_imd(path: Path) -> Properties:
    pairs = list(_imd_lines(path))
    first: dict[str, str] = {}
    for key, value in pairs:
        first.setdefault(key, value)

    def numeric(*names: str) -> float | None:
        for name in names:
            try:
                return float(first[name])
            except (KeyError, ValueError):
                continue
        return None

    bands = [value.removeprefix("BAND_") for key, value in pairs if key == "BEGIN_GROUP" and value.startswith("BAND_")]
    satellite = first.get("satId", "")
    return {
        "datetime": first.get("firstLineTime") or first.get("TLCTime"),
        "platform": _MAXAR_SATELLITES.get(satellite, satellite or None),
        "gsd": numeric("productGSD", "meanProductGSD", "meanCollectedGSD"),
        "provider": "Maxar",
        "rail_watch:bands": [_MAXAR_BANDS.get(band) for band in bands],
        **_angles(
            *(numeric("meanSunAz"), numeric("meanSunEl"), numeric("meanOffNadirViewAngle"), numeric("meanSatAz")),
        ),
    }


def _maxar_xml(root: Element) -> Properties:
    satellite = text_of(root, "SATID") or ""
    tags = [str(element.tag).rsplit("}", 1)[-1] for element in root.iter()]
    bands = [tag.removeprefix("BAND_") for tag in tags if re.fullmatch(r"BAND_[A-Z]{1,2}\d?", tag)]
    return {
        "datetime": text_of(root, "FIRSTLINETIME", "TLCTIME"),
        "platform": _MAXAR_SATELLITES.get(satellite, satellite or None),
        "gsd": number_of(root, "PRODUCTGSD", "MEANPRODUCTGSD", "MEANCOLLECTEDGSD"),
        "provider": "Maxar",
        "rail_watch:bands": [_MAXAR_BANDS.get(band) for band in dict.fromkeys(bands)],
        **_angles(
            number_of(root, "MEANSUNAZ"),
            number_of(root, "MEANSUNEL"),
            number_of(root, "MEANOFFNADIRVIEWANGLE"),
            number_of(root, "MEANSATAZ"),
        ),
    }


def _airbus_xml(root: Element) -> Properties:
    day, clock = text_of(root, "IMAGING_DATE"), text_of(root, "IMAGING_TIME")
    mission, index = text_of(root, "MISSION"), text_of(root, "MISSION_INDEX")
    order = {}
    for entry in each(root, "Raster_Index"):
        place = number_of(entry, "BAND_INDEX")
        if place is not None:
            order[int(place)] = _AIRBUS_BANDS.get((text_of(entry, "BAND_ID") or "").upper())
    sun = number_of(root, "SUN_ELEVATION")
    return {
        "datetime": f"{day}T{clock}" if day and clock else None,
        "platform": f"{_AIRBUS_MISSIONS.get(mission, mission)} {index}" if mission and index else mission,
        "gsd": number_of(root, "XDIM", "RESAMPLING_SPACING"),
        "provider": "Airbus",
        "rail_watch:bands": [order[place] for place in sorted(order)],
        **_angles(number_of(root, "SUN_AZIMUTH"), sun, number_of(root, "INCIDENCE_ANGLE"), None),
    }


def properties_in(path: Path) -> Properties | None:
    """Return what a vendor's file says of its image, None where it is none of these files.

    Raises
    ------
    BadCatalogue
        One line naming the file, which is cut off or hostile.
    """
    if path.suffix.lower() == ".imd":
        return _maxar_imd(path)
    root = read_xml(path)
    if next(each(root, "SATID"), None) is not None:
        return _maxar_xml(root)
    if next(each(root, "IMAGING_DATE"), None) is not None:
        return _airbus_xml(root)
    return None


def whole_of(stem: str) -> str | None:
    """Return the name of the image of which a file is one tile (row 1, column 2 …), None where it is no tile."""
    whole = _TILE.sub("", stem)
    return whole if whole != stem else None


def stems_of(stem: str) -> set[str]:
    """Return how the file that describes an image may be called, by the image's name: of the whole, not of one tile."""
    whole = whole_of(stem) or stem
    return {whole, *({f"DIM_{whole[4:]}"} if whole.startswith("IMG_") else ())}
