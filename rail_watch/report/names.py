"""Names and words from outside made fit to draw, to write beside a picture, and to name a file."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import matplotlib
from matplotlib.ft2font import FT2Font

from rail_watch.report.fonts import needed
from rail_watch.report.language import language

MISSING = "\u25a1"
"""Stands for characters the font cannot draw (white square)."""
MAX_MARKS = 2
"""Combining marks kept on one letter; more would climb into the lines above."""


def font_path(*, bold: bool = False) -> Path:
    """Return the font file that ships with matplotlib, so that every machine draws the same letters."""
    return Path(matplotlib.get_data_path()) / "fonts" / "ttf" / ("DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf")


def more_fonts(*, bold: bool = False) -> tuple[Path, ...]:
    """Return the files of the letters that the language written needs beyond ours.

    Raises
    ------
    BadInput
        None is installed.
    """
    return needed(language(), bold=bold)


def _known_letters(faces: tuple[Path, ...]) -> frozenset[int]:
    return frozenset().union(*(FT2Font(str(path)).get_charmap() for path in faces))


def _known_characters() -> frozenset[int]:
    """Code points that both faces can draw."""
    return _known(language())


@lru_cache(maxsize=8)
def _known(_language: str) -> frozenset[int]:
    both = [(font_path(bold=bold), *more_fonts(bold=bold)) for bold in (False, True)]
    return _known_letters(both[0]) & _known_letters(both[1])


def clean(text: str, limit: int = 400) -> str:
    """Return one line without control, bidirectional or unassigned characters, cut to `limit` characters."""
    kept: list[str] = []
    marks = 0
    for letter in unicodedata.normalize("NFC", text[: 4 * limit]):
        category = unicodedata.category(letter)
        marks = marks + 1 if category == "Mn" else 0
        if category[0] == "Z" or letter in "\t\n\r\v\f\x85":
            kept.append(" ")
        elif category[0] != "C" and marks <= MAX_MARKS:
            kept.append(letter)
    return shorten(" ".join("".join(kept).split()), limit)


def shorten(text: str, limit: int) -> str:
    """Cut to `limit` characters, with an ellipsis where something was cut."""
    return text if len(text) <= limit else text[: max(limit - 1, 0)].rstrip() + "…"


def drawable(text: str, fallback: str | None = None, *, limit: int = 400) -> str:
    """Return cleaned text with every run of letters the font lacks replaced.

    A name that is mostly unknown letters becomes `fallback` (the id, which is plain), so that
    a Korean track name reads "t2" rather than a row of boxes.
    """
    known = _known_characters()
    tidy = clean(text, limit)
    unknown = sum(ord(letter) not in known for letter in tidy)
    if fallback is not None and (not tidy or unknown > 0.3 * len(tidy)):
        return drawable(fallback, limit=limit)
    swapped = "".join(letter if ord(letter) in known else MISSING for letter in tidy)
    return re.sub(f"{MISSING}+", MISSING, swapped)


def slug(text: str, *, otherwise: str, limit: int = 40) -> str:
    """Return lower-case ASCII letters, digits, dots and dashes: safe as part of a file name anywhere."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9.]+", "-", plain).strip(".-")[:limit].strip(".-") or otherwise


CUTS = (r",| \(| of | outside | beside | between ", r",| \(")
"""Where a name may end early: "Track 3 of the walled yard, beside the apron" is "Track 3" where no other is."""


def short_names(names: Mapping[str, str]) -> dict[str, str]:
    """Return id to the shortest form of each name that no other name has, drawable."""
    full = {key: drawable(name, key) for key, name in names.items()}
    result = dict(full)
    for cut in reversed(CUTS):
        shorter = {key: re.split(cut, name, maxsplit=1)[0].strip() or name for key, name in full.items()}
        taken = Counter(shorter.values())
        result |= {key: name for key, name in shorter.items() if taken[name] == 1}
    return result
