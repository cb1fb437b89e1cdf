"""The words of pictures and pages in the reader's language: one catalogue (TOML) per language beside this file.

A catalogue says the same as the English one, message by message, with the same gaps; a test holds them together. What
comes from outside (names, credits, reasons of servers) stays as it is.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path
from typing import Any

LANGUAGES = ("en", "ko", "ja", "fr", "de", "es")
PLACE = Path(__file__).with_name("languages")
SEPARATORS = {"en": (",", "."), "ko": (",", "."), "ja": (",", "."), "fr": ("\u00a0", ","), "de": (".", ",")}
SEPARATORS["es"] = ("\u00a0", ",")
"""Of thousands and of decimals, as the Unicode CLDR has them (French and Spanish: a space that does not break)."""
_spoken: ContextVar[str] = ContextVar("language", default="en")


@contextmanager
def spoken(language: str) -> Iterator[None]:
    """Write everything within in a language; threads and processes begin in English."""
    token = _spoken.set(language)
    try:
        yield
    finally:
        _spoken.reset(token)


def language() -> str:
    """Return the code of the language that is written."""
    return _spoken.get()


@lru_cache(maxsize=len(LANGUAGES))
def catalogue(code: str) -> Mapping[str, Any]:
    """Return a language's sections of messages: a text, or texts by plural form, or a list of names."""
    return tomllib.loads((PLACE / f"{code}.toml").read_text(encoding="utf-8"))


def plural(code: str, n: int) -> str:
    """Return the plural form of a number (Unicode CLDR, cardinals).

    French counts 0 with 1; Korean and Japanese have one form for all.
    """
    if code in ("ko", "ja"):
        return "other"
    return "one" if n == 1 or (code == "fr" and n == 0) else "other"


def say(key: str, /, **values: object) -> str:
    """Return the message `section.name` with its gaps filled; where it has plural forms, `n` chooses.

    Values are put in as they are and never read as gaps themselves.
    """
    section, name = key.split(".", 1)
    message = catalogue(language())[section][name]
    if isinstance(message, dict):
        message = message[plural(language(), int(str(values["n"])))]
    return str(message).format(**values)


def term(section: str, english: str) -> str:
    """Return one of a fixed set of English words in the language written; others stay as they are."""
    found = catalogue(language())[section].get(english)
    return found if isinstance(found, str) else english


def names(section: str, which: str) -> list[str]:
    """Return a list of names, such as those of the months."""
    return list(catalogue(language())[section][which])


def number(value: float, form: str = ",.0f") -> str:
    """Write a number with the language's separators."""
    thousands, point = SEPARATORS[language()]
    return f"{value:{form}}".translate(str.maketrans(",.", thousands + point))
