"""What each look showed of each track, as words and signs for a table: occupied, empty, could not be seen."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from rail_watch.aoi.site import Site
from rail_watch.observe.records import ApronLook, Detections, Observation, SceneRecord, TrackLook
from rail_watch.report.caption import place_short_names, sensor, short_day
from rail_watch.report.language import number, say, term
from rail_watch.report.names import clean
from rail_watch.report.stretch import ways

FULLY = 0.98
"""Share from which a place counts as seen in full."""
SIGNS = {"occupied": "▬", "empty": "○", "unknown": "?"}


@dataclass(frozen=True)
class Cell:
    """One track at one look."""

    state: str
    """occupied, empty or unknown: the cell's look, which is told by sign, pattern and tone."""
    partly: bool
    """Only a part could be seen."""
    sign: str
    words: str
    """The same for those who hear the page."""


@dataclass(frozen=True)
class Row:
    """One look."""

    date: str
    clock: str
    machine: str
    """The time as programs read it."""
    sensor: str
    figure: str
    """Id of its figure; empty where it has none."""
    used: bool
    cells: tuple[Cell, ...]
    aprons: tuple[str, ...]
    limit: str


@dataclass(frozen=True)
class Grid:
    """Looks by tracks."""

    places: tuple[str, ...]
    aprons: tuple[str, ...]
    rows: tuple[Row, ...]
    tracked: bool
    """False: the site has no tracks, and what is told is whether the ground changed."""


@dataclass(frozen=True)
class Limit:
    """What one sensor's looks could have shown."""

    sensor: str
    looks: int
    used: int
    typical: str
    """Shortest train, median over tracks and looks."""
    worst: str


@dataclass(frozen=True)
class Unseen:
    """A look, or a part of one, that showed nothing."""

    when: str
    what: str
    why: str


def minute(when: datetime) -> str:
    """`2022-11-30 02:11 UTC`."""
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def grid(detections: Detections, site: Site, scenes: Sequence[SceneRecord], figures: Mapping[str, str]) -> Grid:
    """Return looks by tracks; `figures` has the id of each scene's first figure."""
    names = place_short_names(site)
    tracks, aprons = [part.id for part in ways(site)], [area.id for area in site.aprons]
    seen: dict[str, list[Observation]] = {record.id: [] for record in scenes}
    for one in detections.observations:
        if one.change != "departed":
            seen.setdefault(one.scene, []).append(one)
    rows = tuple(_row(record, seen[record.id], (tracks, aprons), figures.get(record.id, "")) for record in scenes)
    places = tuple(names[part] for part in tracks) or (say("sheet.site"),)
    return Grid(places, tuple(names[part] for part in aprons), rows, bool(tracks))


def _row(
    record: SceneRecord, seen: Sequence[Observation], parts: tuple[Sequence[str], Sequence[str]], figure: str
) -> Row:
    tracks, aprons = parts
    by_track = {look.track: look for look in record.tracks}
    by_apron = {look.apron: look for look in record.aprons}
    limit = shortest_shown(record)
    cells = [_cell(record, by_track.get(part), _length(seen, part)) for part in tracks]
    return Row(
        date=short_day(record.when),
        clock=f"{record.when.astimezone(UTC):%H:%M}",
        machine=record.when.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        sensor=sensor(record),
        figure=figure,
        used=record.status != "skipped",
        cells=tuple(cells) or (_ground(record, seen),),
        aprons=tuple(_fill(record, by_apron.get(part)) for part in aprons),
        limit=f"{limit} m" if limit != "–" else limit,
    )


def _judged(record: SceneRecord) -> list[TrackLook]:
    return [look for look in record.tracks if look.state != "unknown" and record.status != "skipped"]


def _reached(record: SceneRecord) -> list[float]:
    """Metres of the shortest train that the look would have shown, for each judged track of which that can be told."""
    return [look.shortest_detectable_m for look in _judged(record) if look.shortest_detectable_m is not None]


def shortest_shown(record: SceneRecord) -> str:
    """Metres of the shortest train that the look would have shown on its worst track.

    More than the longest that is known where it cannot be told of some track; a dash where it can be told of none.
    """
    reached = _reached(record)
    if not reached:
        return "–"
    return ("" if len(reached) == len(_judged(record)) else "> ") + number(max(reached))


def _length(seen: Sequence[Observation], track: str) -> float:
    """Metres of train on a track; a train that may be on several counts on the first named."""
    return sum(one.length_m or 0.0 for one in seen if track in (one.track, *one.tracks[:1]))


def _cell(record: SceneRecord, look: TrackLook | None, length_m: float) -> Cell:
    if look is None or look.state == "unknown" or record.status == "skipped":
        why = _why((look.reason if look else None) or record.reason, 120)
        return Cell("unknown", False, SIGNS["unknown"], say("cell.unknown", why=why))
    partly = look.visible_fraction < FULLY
    part = say("cell.part", percent=number(100 * look.visible_fraction)) if partly else ""
    if look.state == "occupied":
        sign = f"{SIGNS['occupied']} {length_m:.0f}" if length_m else SIGNS["occupied"]
        key = "cell.occupied_length" if length_m else "cell.occupied"
        return Cell("occupied", partly, sign, say(key, length=number(length_m), part=part))
    limit = look.shortest_detectable_m
    words = say("cell.empty", part=part) if limit is None else say("cell.empty_limit", limit=number(limit), part=part)
    return Cell("empty", partly, SIGNS["empty"], words)


def _why(reason: str | None, limit: int) -> str:
    return clean(term("reason", reason) if reason else say("sheet.no_reason"), limit)


def _ground(record: SceneRecord, seen: Sequence[Observation]) -> Cell:
    if record.status == "skipped":
        return Cell("unknown", False, SIGNS["unknown"], say("cell.unjudged", why=_why(record.reason, 120)))
    state = "occupied" if any(one.kind == "change" for one in seen) else "empty"
    words = say("cell.changed" if state == "occupied" else "cell.unchanged")
    return Cell(state, record.clear_fraction < FULLY, SIGNS[state], words)


def _fill(record: SceneRecord, look: ApronLook | None) -> str:
    if look is None or look.fill_fraction is None or record.status == "skipped":
        return "?"
    least = "≥ " if look.visible_fraction < FULLY else ""
    return f"{least}{100 * look.fill_fraction:.0f} %"


def unseen(site: Site, scenes: Sequence[SceneRecord]) -> list[Unseen]:
    """Return every look that could not be used, and the tracks of others that were hidden in part or in full."""
    names = place_short_names(site)
    told = []
    for record in scenes:
        when = f"{minute(record.when)}, {sensor(record)}"
        if record.status == "skipped":
            told.append(Unseen(when, say("cell.whole_site"), _why(record.reason, 200)))
            continue
        hidden = [one for one in record.tracks if one.state == "unknown" or one.visible_fraction < FULLY]
        groups: dict[str, list[str]] = {}
        for one in hidden:
            seen = number(100 * one.visible_fraction)
            share = "" if one.state == "unknown" else say("cell.seen_share", percent=seen)
            groups.setdefault(_why(one.reason or say("cell.hidden_part"), 200), []).append(
                f"{names.get(one.track, clean(one.track, 60))}{share}"
            )
        told += [Unseen(when, ", ".join(places), why) for why, places in groups.items()]
    return told


def limits(scenes: Sequence[SceneRecord]) -> list[Limit]:
    """Return for each sensor the shortest train its looks would have shown."""
    counts = Counter(sensor(record) for record in scenes)
    told = []
    for name, count in counts.items():
        used = [record for record in scenes if sensor(record) == name and record.status != "skipped"]
        reached = [metres for record in used for metres in _reached(record)]
        both = (statistics.median(reached), max(reached)) if reached else ()
        typical, worst = (f"{number(value)} m" for value in both) if both else "––"
        told.append(Limit(name, count, len(used), typical, worst))
    return told
