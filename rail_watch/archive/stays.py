"""How long things stood: sightings of one place over time, put together with the looks that did not show them.

A train that comes and goes is known by its looks only. Between the last look that could have shown it and did not,
and the first that did, it came; between the last that did and the next that could have shown it and did not, it left.
A look under cloud, or one whose detection limit is longer than the train, says nothing either way.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from rail_watch.archive.observations import from_features, same_thing
from rail_watch.archive.store import Archive, moment, time_of
from rail_watch.observe.link import SAME_PILE, overlap, shared_ground
from rail_watch.observe.records import Observation

ACROSS_SENSORS = 0.3
"""Overlap from which trains seen by two sensors are one: the coarser places its ends worse."""


@dataclass(frozen=True)
class Look:
    """One place at one scene."""

    scene: str
    when: datetime
    sensor: str
    gsd_m: float
    role: str
    place: str
    state: str
    visibility: str
    p_value: float | None
    detectable: float | None
    """Shortest train (m), or smallest heap (m²), that this scene would have shown here at 90 %."""
    fill_fraction: float | None
    reason: str | None

    def would_have_shown(self, size: float | None) -> bool:
        """Return whether a thing of this length (m) or area (m²) would most likely have been seen."""
        if self.state == "unknown" or self.visibility != "clear" or self.detectable is None:
            return False
        return size is not None and self.detectable <= size


@dataclass(frozen=True)
class Stay:
    """One thing, from the first look that showed it to the last."""

    sightings: tuple[Observation, ...]
    """In order of time, at least one."""
    absent_before: Look | None
    """The latest earlier look that would have shown it and did not."""
    absent_after: Look | None
    """The next look that would have shown it and did not; None: for all that is known it still stands."""

    @property
    def first(self) -> Observation:
        """The first sighting."""
        return self.sightings[0]

    @property
    def last(self) -> Observation:
        """The last sighting."""
        return self.sightings[-1]

    def dwell(self) -> tuple[timedelta, timedelta | None]:
        """Return how long it stood: at least, and at most (None: no look bounds it)."""
        least = self.last.when - self.first.when
        if self.absent_before is None or self.absent_after is None:
            return least, None
        return least, self.absent_after.when - self.absent_before.when


@dataclass
class _Open:
    sightings: list[Observation]
    sensor: str
    before: Look | None
    looks: list[Look] = field(default_factory=list)


def looks_between(
    archive: Archive, site: str, first: datetime | None = None, last: datetime | None = None
) -> list[Look]:
    """Return the look log of a site, by the verdicts that count, in order of time."""
    rows = archive.rows(
        "SELECT s.id, c.datetime, s.sensor, s.gsd_m, l.* FROM current AS c JOIN scene AS s ON s.number = c.scene "
        "JOIN look AS l ON l.judgement = c.number WHERE c.site = ? AND c.datetime >= ? AND c.datetime <= ? "
        "ORDER BY c.datetime, s.id, l.role, l.place",
        (site, moment(first) if first else "", moment(last) if last else "9"),
    )
    return [
        Look(
            row["id"], time_of(row["datetime"]), row["sensor"], row["gsd_m"], row["role"], row["place"], row["state"],
            row["visibility"], row["p_value"], row["detectable"], row["fill_fraction"], row["reason"],
        )
        for row in rows
    ]  # fmt: skip


def stays(archive: Archive, site: str, first: datetime | None = None, last: datetime | None = None) -> list[Stay]:
    """Return what stood at a site in a time, in order of first sighting."""
    rows = archive.rows(
        "SELECT o.feature FROM observation AS o JOIN current AS c ON c.number = o.judgement WHERE c.site = ? "
        "AND o.place IS NOT NULL AND c.datetime >= ? AND c.datetime <= ? ORDER BY c.datetime, o.id",
        (site, moment(first) if first else "", moment(last) if last else "9"),
    )
    seen = from_features(row["feature"] for row in rows)
    looks = looks_between(archive, site, first, last)
    return stays_of(looks, seen)


def stays_of(looks: Sequence[Look], seen: Sequence[Observation]) -> list[Stay]:
    """Put sightings and looks together; see `stays`."""
    here: dict[tuple[str, str], list[Observation]] = {}
    for one in seen:
        here.setdefault((one.scene, one.track or one.apron or ""), []).append(one)
    places = dict.fromkeys(look.place for look in looks)
    found = [stay for place in places for stay in _at_place([look for look in looks if look.place == place], here)]
    return sorted(found, key=lambda stay: (stay.first.when, stay.first.id))


def size_of(one: Observation) -> float | None:
    """Return what is compared with the detection limit: metres of train, square metres of cargo."""
    return one.length_m if one.length_m is not None else one.area_m2


def _at_place(looks: Sequence[Look], seen: dict[tuple[str, str], list[Observation]]) -> Iterator[Stay]:
    standing: list[_Open] = []
    past: list[Look] = []
    for look in looks:
        here = list(seen.get((look.scene, look.place), ()))
        for stay in list(standing):
            best = max(here, key=lambda one: (_alike(stay, one, look), one.id), default=None)
            if best is not None and _alike(stay, best, look) > 0:
                stay.sightings.append(best)
                stay.sensor = look.sensor
                here.remove(best)
            elif _gone(stay, look, seen.get((look.scene, look.place), ())):
                standing.remove(stay)
                yield Stay(tuple(stay.sightings), stay.before, look)
        standing += [_Open([one], look.sensor, _last_absent(past, one)) for one in here]
        past.append(look)
    for stay in standing:
        yield Stay(tuple(stay.sightings), stay.before, None)


def _alike(stay: _Open, one: Observation, look: Look) -> float:
    last = stay.sightings[-1]
    measured = same_thing(last, one)
    if measured == 0 and look.sensor != stay.sensor and last.kind == one.kind and one.kind != "cargo":
        shared = overlap(last, one)
        return shared if shared >= ACROSS_SENSORS else 0.0
    return measured


def _touches(one: Observation, other: Observation) -> bool:
    share = shared_ground(one, other) >= SAME_PILE / 3 if one.kind == "cargo" else overlap(one, other) > 0
    return one.kind == other.kind and share


def _gone(stay: _Open, look: Look, here: Sequence[Observation]) -> bool:
    """Return whether a look shows that the thing has left: it would have been seen, and nothing lies there."""
    last = stay.sightings[-1]
    return look.would_have_shown(size_of(last)) and not any(_touches(last, one) for one in here)


def _last_absent(past: Sequence[Look], one: Observation) -> Look | None:
    return next((look for look in reversed(past) if look.would_have_shown(size_of(one))), None)
