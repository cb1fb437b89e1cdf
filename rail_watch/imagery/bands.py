"""What a band is: its common name, from whatever a catalogue, product or file calls it."""

from __future__ import annotations

import re

COMMON = (
    *("pan", "coastal", "blue", "green05", "green", "yellow", "red", "rededge", "rededge071", "rededge075"),
    *("rededge078", "nir", "nir08", "nir09", "swir16", "swir22", "vv", "vh", "hh", "hv"),
)
"""Names used here, by wavelength; thermal, cirrus and derived layers are not imagery of the ground."""

_SYNONYMS = {
    "panchromatic": "pan",
    "gray": "pan",
    "grey": "pan",
    "b": "blue",
    "g": "green",
    "r": "red",
    "n": "nir",
    "nearinfrared": "nir",
    "nir1": "nir",
    "nir2": "nir09",
    "nirnarrow": "nir08",
    "coastalblue": "coastal",
    "coastalaerosol": "coastal",
    "greeni": "green05",
    "greenii": "green",
    "rededge1": "rededge071",
    "rededge2": "rededge075",
    "rededge3": "rededge078",
    "swir1": "swir16",
    "swir2": "swir22",
}

_SENTINEL_2 = {
    "1": "coastal",
    "2": "blue",
    "3": "green",
    "4": "red",
    "5": "rededge071",
    "6": "rededge075",
    "7": "rededge078",
    "8": "nir",
    "8A": "nir08",
    "9": "nir09",
    "11": "swir16",
    "12": "swir22",
}
_LANDSAT_8 = dict(zip("12345678", ["coastal", "blue", "green", "red", "nir08", "swir16", "swir22", "pan"], strict=True))
_LANDSAT_7 = {"1": "blue", "2": "green", "3": "red", "4": "nir08", "5": "swir16", "7": "swir22", "8": "pan"}
_NUMBERED = re.compile(r"(?:SR_)?B(?:AND)?[_ ]?0?(\d{1,2}|8A)(?:_\d+m)?", re.IGNORECASE)

BY_COUNT = {
    1: ("pan",),
    3: ("red", "green", "blue"),
    4: ("blue", "green", "red", "nir"),
    8: ("coastal", "blue", "green05", "green", "yellow", "red", "rededge", "nir"),
}
"""Order of the bands of a file that says nothing of them: true colour, Planet 4-band and SuperDove."""


def family(*words: str | None) -> str:
    """Return ``sentinel-2``, ``landsat-8``, ``landsat-7`` or an empty string for platform or product names."""
    text = " ".join(word for word in words if word).lower().replace("_", "-").replace(" ", "-")
    if re.search(r"sentinel-?2|\bs2[a-d]\b|s2[a-d]-msi", text):
        return "sentinel-2"
    if re.search(r"landsat-?[89]|\bl[co]0[89]-", text):
        return "landsat-8"
    return "landsat-7" if re.search(r"landsat-?[457]|\bl[et]0[457]-", text) else ""


def common_name(text: str | None, family_name: str = "") -> str | None:
    """Return the common name meant by a word, or by a band number where the satellite's family is known."""
    if not text:
        return None
    word = text.strip().lower()
    if word in COMMON:
        return word
    plain = re.sub(r"[^a-z0-9]", "", word)
    if plain in COMMON or plain in _SYNONYMS:
        return _SYNONYMS.get(plain, plain)
    match = _NUMBERED.fullmatch(text.strip())
    if match is None:
        return None
    tables = {"sentinel-2": _SENTINEL_2, "landsat-8": _LANDSAT_8, "landsat-7": _LANDSAT_7}
    return tables.get(family_name, {}).get(match.group(1).upper())


def unique(names: list[str | None]) -> list[str | None]:
    """Return the names with None for the second and later bearer of one."""
    seen: set[str] = set()
    kept: list[str | None] = []
    for name in names:
        kept.append(None if name is None or name in seen else name)
        if name is not None:
            seen.add(name)
    return kept
