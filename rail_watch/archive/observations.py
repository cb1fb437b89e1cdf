"""Observations of the archive, read back as the records they were."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime

from rail_watch.archive.store import Archive, moment
from rail_watch.observe.document import SCHEMA, from_document
from rail_watch.observe.link import SAME_PILE, SAME_PLACE, overlap, shared_ground
from rail_watch.observe.records import Observation


def from_features(features: Iterable[str]) -> list[Observation]:
    """Read observations back from the text they are kept as."""
    shell = {
        "schema": SCHEMA,
        "aoi": "archive",
        "created": "1970-01-01T00:00:00Z",
        "software": {},
        "scenes": [],
        "summary": [],
        "observations": {"type": "FeatureCollection", "features": [json.loads(text) for text in features]},
    }
    return list(from_document(shell).observations)


def same_thing(one: Observation, other: Observation) -> float:
    """Return how far one lies where the other lay, from 0 to 1; 0 also when it is too little to be the same.

    Trains by their places along the track, heaps and ground by their outlines, with the limits that `detect` uses.
    """
    if one.kind != other.kind or (one.track, one.apron) != (other.track, other.apron):
        return 0.0
    share, least = (shared_ground, SAME_PILE) if one.kind == "cargo" else (overlap, SAME_PLACE)
    measured = share(one, other)
    return measured if measured >= least else 0.0


def archived_like(archive: Archive, one: Observation, *, when: datetime) -> str | None:
    """Return the id of the archive's observation of the same thing at a time, None where there is none.

    A scene judged again with more around it may give an end of a train half a metre elsewhere, and so another id.
    """
    rows = archive.rows(
        "SELECT o.feature FROM observation AS o JOIN current AS c ON c.number = o.judgement "
        "WHERE c.site = ? AND c.datetime = ? AND o.kind = ? AND o.place IS ?",
        (one.site, moment(when), one.kind, one.track or one.apron),
    )
    there = from_features(row["feature"] for row in rows)
    best = max(((same_thing(one, other), other.id) for other in there), default=(0.0, ""))
    return best[1] if best[0] > 0 else None


def observations_between(
    archive: Archive, site: str, first: datetime | None = None, last: datetime | None = None
) -> list[Observation]:
    """Return what was seen at a site, by the verdicts that count, in order of time."""
    rows = archive.rows(
        "SELECT o.feature FROM observation AS o JOIN current AS c ON c.number = o.judgement "
        "WHERE c.site = ? AND c.datetime >= ? AND c.datetime <= ? ORDER BY c.datetime, o.id",
        (site, moment(first) if first else "", moment(last) if last else "9"),
    )
    return from_features(row["feature"] for row in rows)


def runs_with(archive: Archive, observation: str) -> list[str]:
    """Return the ids of the runs whose verdicts hold an observation, the latest first."""
    rows = archive.rows(
        "SELECT r.id AS run, j.number AS judgement FROM observation AS o JOIN judgement AS j ON j.number = o.judgement "
        "JOIN run AS r ON r.number = j.run WHERE o.id = ? ORDER BY j.number DESC",
        (observation,),
    )
    return list(dict.fromkeys(row["run"] for row in rows))
