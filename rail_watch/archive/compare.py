"""How the verdicts of two runs differ, scene by scene."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from rail_watch.archive.observations import from_features, same_thing
from rail_watch.archive.runs import Run
from rail_watch.archive.store import Archive, Row, time_of
from rail_watch.observe.records import Observation


@dataclass(frozen=True)
class Difference:
    """One place at one scene that two runs judged differently, or an observation only one of them made."""

    site: str
    scene: str
    when: datetime
    place: str
    before: str
    after: str


@dataclass(frozen=True)
class Comparison:
    """Two runs beside one another."""

    shared: int
    """Acquisitions that both judged."""
    only_before: int
    only_after: int
    differences: tuple[Difference, ...]


def compare(archive: Archive, before: Run, after: Run) -> Comparison:
    """Compare what two runs said of the acquisitions that both judged."""
    sql = "SELECT * FROM judgement WHERE run = ? ORDER BY site, datetime, acquisition, number"
    old = {(row["site"], row["acquisition"]): row for row in archive.rows(sql, (before.number,))}
    new = {(row["site"], row["acquisition"]): row for row in archive.rows(sql, (after.number,))}
    shared = [key for key in old if key in new]
    found = [one for key in shared for one in _differences(archive, old[key], new[key])]
    return Comparison(len(shared), len(old) - len(shared), len(new) - len(shared), tuple(found))


def _states(archive: Archive, judgement: Row) -> dict[str, str]:
    rows = archive.rows("SELECT place, state FROM look WHERE judgement = ?", (judgement["number"],))
    return {row["place"]: row["state"] for row in rows}


def _seen(archive: Archive, judgement: Row) -> list[Observation]:
    rows = archive.rows("SELECT feature FROM observation WHERE judgement = ? ORDER BY id", (judgement["number"],))
    return from_features(row["feature"] for row in rows)


def _differences(archive: Archive, old: Row, new: Row) -> Iterator[Difference]:
    where = (old["site"], old["acquisition"], time_of(old["datetime"]))
    if old["status"] != new["status"]:
        yield Difference(*where, "scene", f"{old['status']}", f"{new['status']}")
    before, after = _states(archive, old), _states(archive, new)
    for place in sorted({*before, *after}):
        one, other = before.get(place, "not drawn"), after.get(place, "not drawn")
        if one != other:
            yield Difference(*where, place, one, other)
    seen, again = _seen(archive, old), _seen(archive, new)
    for observation in seen:
        if not any(same_thing(observation, other) for other in again):
            yield Difference(*where, observation.track or observation.apron or "ground", _brief(observation), "nothing")
    for observation in again:
        if not any(same_thing(observation, other) for other in seen):
            yield Difference(*where, observation.track or observation.apron or "ground", "nothing", _brief(observation))


def _brief(one: Observation) -> str:
    size = f"{one.length_m:.0f} m" if one.length_m is not None else f"{one.area_m2 or 0:.0f} m²"
    return f"{one.kind} of {size}"
