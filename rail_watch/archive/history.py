"""What the archive says of one site over time, as plain documents."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from shapely.geometry import mapping

from rail_watch.archive.observations import observations_between
from rail_watch.archive.review import reviews_by_observation
from rail_watch.archive.stays import Look, Stay, looks_between, stays_of
from rail_watch.archive.store import Archive
from rail_watch.errors import BadInput
from rail_watch.imagery.interval import Interval

SCHEMA = "rail-watch/history/1"
CONTEXT = timedelta(days=60)
"""Looked at before and after the interval asked for, to know when things came and left."""


@dataclass(frozen=True)
class History:
    """One site over one interval."""

    site: str
    name: str
    looks: tuple[Look, ...]
    stays: tuple[Stay, ...]
    simulated: bool
    reviews: dict[str, list[dict[str, Any]]]


def history_of(archive: Archive, site: str, when: Interval = (None, None)) -> History:
    """Return what is known of a site in an interval.

    Raises
    ------
    BadInput
        The archive knows no such site.
    """
    name = archive.value("SELECT name FROM site WHERE id = ?", (site,))
    if name is None:
        known = ", ".join(row["id"] for row in archive.rows("SELECT id FROM site ORDER BY id")) or "none yet"
        raise BadInput(f"{site[:80]}: the archive holds no such site; it holds {known}")
    first, last = when
    wide = (first and first - CONTEXT, last and last + CONTEXT)
    looks = looks_between(archive, site, *wide)
    placed = [one for one in observations_between(archive, site, *wide) if one.track or one.apron]
    inside = [look for look in looks if _within(look.when, when)]
    found = [
        stay
        for stay in stays_of(looks, placed)
        if (last is None or stay.first.when <= last) and (first is None or stay.last.when >= first)
    ]
    simulated = bool(
        archive.value(
            "SELECT count(*) FROM scene AS s JOIN site_version AS v ON v.number = s.site_version "
            "WHERE v.site = ? AND s.simulated = 1",
            (site,),
        )
    )
    return History(site, name, tuple(inside), tuple(found), simulated, reviews_by_observation(archive, site))


def _within(moment: datetime, when: Interval) -> bool:
    return (when[0] is None or moment >= when[0]) and (when[1] is None or moment <= when[1])


def iso(when: datetime | None) -> str | None:
    """Return a time as documents have it."""
    return None if when is None else when.isoformat().replace("+00:00", "Z")


def hours(span: timedelta | None) -> float | None:
    """Return a time span in hours."""
    return None if span is None else round(span.total_seconds() / 3600, 2)


def stay_document(stay: Stay, reviews: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Return one stay: sightings, the windows in which it came and left, and how long it stood."""
    least, most = stay.dwell()
    best = min(stay.sightings, key=lambda one: (one.p_value, one.when))
    before, after = stay.absent_before, stay.absent_after
    return {
        "kind": stay.first.kind,
        "track": stay.first.track,
        "apron": stay.first.apron,
        "first_seen": iso(stay.first.when),
        "last_seen": iso(stay.last.when),
        "looks": len(stay.sightings),
        "came_after": iso(before.when if before else None),
        "came_by": iso(stay.first.when),
        "left_after": iso(stay.last.when if after else None),
        "left_by": iso(after.when if after else None),
        "dwell_hours_least": hours(least),
        "dwell_hours_most": hours(most),
        "length_m": None if best.length_m is None else round(best.length_m, 1),
        "railcars": best.railcars,
        "area_m2": None if best.area_m2 is None else round(best.area_m2, 1),
        "likelihood": best.likelihood,
        "observations": [one.id for one in stay.sightings],
        "reviews": [review for one in stay.sightings for review in reviews.get(one.id, [])],
    }


def look_document(look: Look) -> dict[str, Any]:
    """Return one line of the look log."""
    return {
        "datetime": iso(look.when),
        "scene": look.scene,
        "sensor": look.sensor,
        "role": look.role,
        "place": look.place,
        "state": look.state,
        "visibility": look.visibility,
        "detectable": look.detectable,
        "p_value": look.p_value,
        "fill_fraction": look.fill_fraction,
        "reason": look.reason,
    }


def months(history: History) -> list[dict[str, Any]]:
    """Return counts by month, each beside the number of looks that could have shown something.

    More looks see more trains: the number of trains is only comparable where the number of clear looks is.
    """
    looks: dict[str, list[Look]] = {}
    for look in history.looks:
        looks.setdefault(_month(look.when), []).append(look)
    stays: dict[str, list[Stay]] = {}
    for stay in history.stays:
        for month in {_month(one.when) for one in stay.sightings}:
            stays.setdefault(month, []).append(stay)
    out = []
    for month, here in sorted(looks.items()):
        scenes = {look.scene for look in here}
        clear = {look.scene for look in here if look.state != "unknown"}
        known = [look for look in here if look.state != "unknown" and look.role != "apron"]
        occupied = sum(look.state == "occupied" for look in known)
        cargo = [stay for stay in stays.get(month, ()) if stay.first.kind == "cargo"]
        trains = [stay for stay in stays.get(month, ()) if stay.first.kind != "cargo"]
        out.append(
            {
                "month": month,
                "looks": len(scenes),
                "clear_looks": len(clear),
                "trains": len(trains),
                "cargo": len(cargo),
                "track_looks_known": len(known),
                "track_looks_occupied": occupied,
                "occupied_share": round(occupied / len(known), 4) if known else None,
            }
        )
    return out


def _month(when: datetime) -> str:
    return f"{when.year:04d}-{when.month:02d}"


def document(history: History) -> dict[str, Any]:
    """Return everything as one document."""
    return {
        "schema": SCHEMA,
        "aoi": history.site,
        "name": history.name,
        "simulated": history.simulated,
        "months": months(history),
        "stays": [stay_document(stay, history.reviews) for stay in history.stays],
        "looks": [look_document(look) for look in history.looks],
    }


def geojson(history: History) -> dict[str, Any]:
    """Return the stays as RFC 7946 features, with the outline of the last sighting."""
    features = [
        {
            "type": "Feature",
            "id": stay.first.id,
            "geometry": mapping(stay.last.geometry),
            "properties": {"aoi": history.site, "simulated": history.simulated, **stay_document(stay, history.reviews)},
        }
        for stay in history.stays
    ]
    return {"type": "FeatureCollection", "features": features}


def occupancy(looks: Sequence[Look]) -> Iterator[tuple[Look, dict[str, Look]]]:
    """Yield each scene (by its first look) with its looks by place."""
    scenes: dict[tuple[datetime, str], dict[str, Look]] = {}
    for look in looks:
        scenes.setdefault((look.when, look.scene), {})[look.place] = look
    for _, places in sorted(scenes.items()):
        yield next(iter(places.values())), places
