"""What the page shows of one site, out of the archive."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rail_watch.aoi.document import parse
from rail_watch.aoi.site import Site
from rail_watch.archive.history import History, history_of, iso, stay_document
from rail_watch.archive.observations import observations_between
from rail_watch.archive.store import Archive, Row, time_of
from rail_watch.errors import BadInput
from rail_watch.observe.records import Observation
from rail_watch.report.names import clean
from rail_watch.serve.ground import Ground, ground_of, lonlat_polynomial, metres, shapes

LETTERS = {"occupied": "o", "empty": "e", "unknown": "u"}


class NotThere(BadInput):
    """No such site or look in the archive."""


@dataclass(frozen=True)
class Seen:
    """One look of a site: what is needed to show its pixels."""

    number: int
    """Of the verdict that counts."""
    scene: str
    when: datetime
    gsd_m: float
    simulated: bool
    shift_m: tuple[float, float]
    """East, north: where a feature appears in the scene minus where it truly lies."""
    identity: tuple[str, ...]
    """What the pixels depend on."""


_LOOKS = (
    "SELECT c.number, c.datetime, c.status, c.reason, c.clear_fraction, c.shift_east_m, c.shift_north_m, c.activity, "
    "s.id AS scene, s.pixels, s.sensor, s.platform, s.gsd_m, s.simulated, s.credit, s.site_version, v.digest "
    "FROM current AS c JOIN scene AS s ON s.number = c.scene JOIN site_version AS v ON v.number = s.site_version"
)


def site_of(archive: Archive, site: str) -> Site:
    """Return a site as it was last judged.

    Raises
    ------
    NotThere
        The archive holds no such site.
    """
    row = archive.row("SELECT digest, document FROM site_version WHERE site = ? ORDER BY number DESC LIMIT 1", (site,))
    if row is None:
        raise NotThere(f"{site[:80]}: the archive holds no such site")
    found, faults = parse(json.loads(row["document"]), digest=row["digest"])
    if found is None:
        raise BadInput(f"{site[:80]}: the area in the archive cannot be used: {faults[0]}")
    return found


def seen_of(archive: Archive, site: str, number: int) -> Seen:
    """Return one look.

    Raises
    ------
    NotThere
        There is no such look of this site.
    """
    row = archive.row(f"{_LOOKS} WHERE c.site = ? AND c.number = ?", (site, number))
    if row is None:
        raise NotThere(f"{site[:80]}: the archive holds no look {number} of it")
    shift = (row["shift_east_m"] or 0.0, row["shift_north_m"] or 0.0)
    identity = (row["digest"], row["scene"], row["pixels"], f"{shift[0]:.3f}", f"{shift[1]:.3f}")
    return Seen(number, row["scene"], time_of(row["datetime"]), row["gsd_m"], bool(row["simulated"]), shift, identity)


def sites_summary(archive: Archive) -> list[dict[str, Any]]:
    """Return every site of the archive with the state of its last look, and of the last that saw anything."""
    found = []
    for row in archive.rows("SELECT id, name FROM site ORDER BY id"):
        looks = archive.rows(f"{_LOOKS} WHERE c.site = ? ORDER BY c.datetime DESC, s.id DESC", (row["id"],))
        clear = next((one for one in looks if one["status"] == "used"), None)
        found.append(
            {
                "id": row["id"],
                "name": clean(row["name"]),
                "looks": len(looks),
                "looks_clear": sum(one["status"] == "used" for one in looks),
                "simulated": any(one["simulated"] for one in looks),
                "last_look": _last(archive, looks[0]) if looks else None,
                "last_clear_look": _last(archive, clear) if clear is not None else None,
                "reviews_missing": _unreviewed(archive, row["id"]),
            }
        )
    return found


def _last(archive: Archive, look: Row) -> dict[str, Any]:
    states = archive.rows("SELECT role, state FROM look WHERE judgement = ?", (look["number"],))
    counted = Counter(row["state"] for row in states if row["role"] != "apron")
    return {
        "datetime": iso(time_of(look["datetime"])),
        "sensor": clean(look["sensor"]),
        "status": look["status"],
        "reason": look["reason"],
        "look": look["number"],
        "tracks": {state: counted.get(state, 0) for state in LETTERS},
        "aprons_occupied": archive.value(
            "SELECT count(DISTINCT place) FROM observation "
            "WHERE judgement = ? AND kind = 'cargo' AND feature NOT LIKE ?",
            (look["number"], '%"change":"departed"%'),
        ),
    }


def _unreviewed(archive: Archive, site: str) -> int:
    count: int = archive.value(
        "SELECT count(*) FROM observation AS o JOIN current AS c ON c.number = o.judgement WHERE c.site = ? "
        "AND o.id NOT IN (SELECT observation FROM review)",
        (site,),
    )
    return count


def site_view(archive: Archive, site_id: str) -> dict[str, Any]:
    """Return all that the page of one site needs, less the pixels."""
    site = site_of(archive, site_id)
    ground = ground_of(site)
    history = history_of(archive, site_id)
    rows = archive.rows(f"{_LOOKS} WHERE c.site = ? ORDER BY c.datetime, s.id", (site_id,))
    by_scene = {row["scene"]: row["number"] for row in rows}
    seen = [one for one in observations_between(archive, site_id) if one.scene in by_scene]
    return {
        "id": site.id,
        "name": clean(site.name),
        "simulated": history.simulated,
        "timezone": site.timezone,
        "accuracy_m": site.accuracy_m,
        "source": None if site.source is None else clean(site.source),
        "bounds": [round(edge, 2) for edge in ground.bounds],
        "lonlat": lonlat_polynomial(ground),
        "shapes": shapes(ground),
        "looks": _looks(rows, history, {(one.scene, one.apron) for one in seen if one.change != "departed"}),
        "observations": [_observation(ground, one, by_scene[one.scene]) for one in seen],
        "stays": [stay_document(stay, history.reviews) for stay in history.stays],
        "reviews": history.reviews,
    }


def _looks(rows: list[Row], history: History, heaps: set[tuple[str, str | None]]) -> list[dict[str, Any]]:
    states: dict[str, dict[str, str]] = {}
    limits: dict[str, dict[str, float]] = {}
    for look in history.looks:
        # Archives of older versions call an apron occupied at any fill: it is where cargo was found.
        bare = look.role == "apron" and look.state == "occupied" and (look.scene, look.place) not in heaps
        states.setdefault(look.scene, {})[look.place] = "e" if bare else LETTERS[look.state]
        if look.state == "empty" and look.detectable is not None:
            limits.setdefault(look.scene, {})[look.place] = round(look.detectable, 1)
    return [
        {
            "look": row["number"],
            "scene": row["scene"],
            "datetime": iso(time_of(row["datetime"])),
            "sensor": clean(row["sensor"]),
            "gsd_m": round(row["gsd_m"], 3),
            "status": row["status"],
            "reason": None if row["reason"] is None else clean(row["reason"]),
            "clear": round(row["clear_fraction"], 3),
            "simulated": bool(row["simulated"]),
            "credit": None if row["credit"] is None else clean(row["credit"]),
            "states": states.get(row["scene"], {}),
            "limits": limits.get(row["scene"], {}),
        }
        for row in rows
    ]


def _rounded(value: float | None, digits: int = 1) -> float | None:
    return None if value is None else round(value, digits)


def _pair(values: tuple[float, float] | None) -> list[float] | None:
    return None if values is None else [round(value, 1) for value in values]


def _observation(ground: Ground, one: Observation, look: int) -> dict[str, Any]:
    return {
        "id": one.id,
        "look": look,
        "kind": one.kind,
        "place": one.track or one.apron,
        "places": list(one.tracks) or [one.apron],
        "metres": metres(ground, one.geometry),
        "text": clean(one.text),
        "likelihood": clean(one.likelihood),
        "p_value": float(f"{one.p_value:.3g}"),
        "change": one.change,
        "length_m": _rounded(one.length_m),
        "length_m_95": _pair(one.length_m_95),
        "railcars": one.railcars,
        "railcars_95": None if one.railcars_95 is None else list(one.railcars_95),
        "area_m2": _rounded(one.area_m2),
        "area_m2_95": _pair(one.area_m2_95),
        "height_m": _rounded(one.height_m),
    }


def last_looks(archive: Archive) -> Mapping[str, int]:
    """Return the number of the latest look of each site that saw anything: what the page opens with."""
    summary = sites_summary(archive)
    return {one["id"]: (one["last_clear_look"] or one["last_look"])["look"] for one in summary if one["looks"]}
