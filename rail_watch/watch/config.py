"""Reading TOML that a person wrote: every member known, every fault one line that says how to mend it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from datetime import time, timedelta
from pathlib import Path
from typing import Any

from rail_watch.errors import BadInput

MAX_BYTES = 1_000_000
_SPAN = re.compile(r"(\d{1,4})\s*(h|d|w)")
_CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")


class Table:
    """One table of a TOML file, read member by member; `done` refuses what was not asked for."""

    def __init__(self, values: Mapping[str, Any], where: str) -> None:
        self._values = values
        self._asked: set[str] = set()
        self.where = where

    def fault(self, name: str, expected: str) -> BadInput:
        """Return the error for a member."""
        shown = repr(self._values.get(name))[:60]
        return BadInput(f"{self.where}: {name} = {shown}: must be {expected}")

    def _take(self, name: str) -> Any:
        self._asked.add(name)
        return self._values.get(name)

    def text(self, name: str, default: str | None = None) -> str | None:
        """Return a text of at most 1,000 characters without control characters."""
        value = self._take(name)
        if value is None:
            return default
        if not isinstance(value, str) or not value.strip() or len(value) > 1000 or not value.isprintable():
            raise self.fault(name, "a text in quotes")
        return value

    def number(self, name: str, default: float | None, *, least: float, most: float) -> float | None:
        """Return a number in a range."""
        value = self._take(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
            raise self.fault(name, f"a number from {least:g} to {most:g}")
        return float(value)

    def flag(self, name: str, default: bool) -> bool:
        """Return true or false."""
        value = self._take(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.fault(name, "true or false")
        return value

    def choice(self, name: str, default: str, words: Iterable[str]) -> str:
        """Return one of some words."""
        value = self._take(name)
        if value is None:
            return default
        known = list(words)
        if value not in known:
            raise self.fault(name, "one of " + ", ".join(known))
        return str(value)

    def words(self, name: str, default: tuple[str, ...], known: Iterable[str] | None = None) -> tuple[str, ...]:
        """Return a list of words, of those that are known."""
        value = self._take(name)
        if value is None:
            return default
        allowed = None if known is None else list(known)
        good = isinstance(value, list) and all(isinstance(one, str) and one.isprintable() for one in value)
        if not good or (allowed is not None and not set(value) <= set(allowed)):
            raise self.fault(name, "a list of " + ("texts" if allowed is None else ", ".join(allowed)))
        return tuple(value)

    def span(self, name: str, default: timedelta) -> timedelta:
        """Return a time span: 12h, 1d, 2w."""
        value = self._take(name)
        if value is None:
            return default
        match = _SPAN.fullmatch(value.strip()) if isinstance(value, str) else None
        if match is None or int(match[1]) < 1:
            raise self.fault(name, 'a span such as "12h", "1d" or "2w"')
        hours = {"h": 1, "d": 24, "w": 168}[match[2]]
        return timedelta(hours=int(match[1]) * hours)

    def clock(self, name: str, default: time | None = None) -> time | None:
        """Return a time of day: 02:00."""
        value = self._take(name)
        if value is None:
            return default
        match = _CLOCK.fullmatch(value) if isinstance(value, str) else None
        if match is None:
            raise self.fault(name, 'a time of day such as "02:00"')
        return time(int(match[1]), int(match[2]))

    def tables(self, name: str) -> list[Table]:
        """Return the tables of an array such as [[rule]]."""
        value = self._take(name)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
            raise self.fault(name, f"written as [[{name}]] tables")
        return [Table(one, f"{self.where}: {name} {number}") for number, one in enumerate(value, start=1)]

    def named_tables(self, name: str) -> dict[str, Table]:
        """Return the tables of a group such as [channels.mail]."""
        value = self._take(name)
        if value is None:
            return {}
        if not isinstance(value, dict) or not all(isinstance(one, dict) for one in value.values()):
            raise self.fault(name, f"written as [{name}.NAME] tables")
        return {key: Table(one, f"{self.where}: {name}.{key}") for key, one in value.items()}

    def done(self) -> None:
        """Refuse members that nobody asked for: most are misspelt.

        Raises
        ------
        BadInput
            With those that are known.
        """
        unknown = sorted(set(self._values) - self._asked)
        if unknown:
            known = ", ".join(sorted(self._asked))
            raise BadInput(f"{self.where}: {unknown[0][:60]!r} is not known here; known are {known}")


def read_toml(path: Path) -> Table:
    """Read a TOML file.

    Raises
    ------
    BadInput
        It cannot be read, or is no TOML.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise BadInput(f"{path}: larger than {MAX_BYTES:,} bytes; that is no configuration")
        return Table(tomllib.loads(path.read_text(encoding="utf-8")), str(path))
    except OSError as fault:
        raise BadInput(f"{path}: cannot be read ({fault.strerror})") from fault
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as fault:
        raise BadInput(f"{path}: no TOML ({fault}); see docs/watch.md for an example") from fault
