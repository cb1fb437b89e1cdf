"""What analysts say of the machine's observations: kept beside them, never over them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, get_args

from rail_watch.archive.store import Archive, moment
from rail_watch.errors import BadInput

Verdict = Literal["confirm", "reject", "correct", "note"]
MOST_TEXT = 2000


@dataclass(frozen=True)
class Review:
    """One thing one person said of one observation."""

    observation: str
    reviewer: str
    at: datetime
    verdict: Verdict
    railcars: int | None = None
    length_m: float | None = None
    note: str = ""


def check(review: Review) -> None:
    """Refuse what makes no sense.

    Raises
    ------
    BadInput
        With the observation it was meant for.
    """
    what = f"review of {review.observation[:40]!r}"
    if review.verdict not in get_args(Verdict):
        raise BadInput(f"{what}: the verdict must be one of {', '.join(get_args(Verdict))}")
    if not review.reviewer.strip() or len(review.reviewer) > 100:
        raise BadInput(f"{what}: say who reviews it, in at most 100 characters")
    if review.verdict == "correct" and review.railcars is None and review.length_m is None:
        raise BadInput(f"{what}: a correction needs railcars or length_m")
    if review.railcars is not None and not 0 <= review.railcars <= 1000:
        raise BadInput(f"{what}: railcars must be from 0 to 1000")
    if review.length_m is not None and not (math.isfinite(review.length_m) and 0 <= review.length_m <= 100_000):
        raise BadInput(f"{what}: length_m must be a length in metres")
    if len(review.note) > MOST_TEXT:
        raise BadInput(f"{what}: the note is longer than {MOST_TEXT} characters")


def keep_reviews(archive: Archive, reviews: Sequence[Review]) -> int:
    """Keep reviews, all or none; one that is there already is left. Return how many were new.

    Raises
    ------
    BadInput
        One of them makes no sense, or names an observation that is not in the archive.
    """
    for review in reviews:
        check(review)
        if archive.value("SELECT 1 FROM observation WHERE id = ?", (review.observation,)) is None:
            raise BadInput(
                f"{review.observation[:40]!r}: no such observation in the archive; `rail-watch review list` names them"
            )
    with archive.writing():
        return sum(
            archive.do(
                "INSERT INTO review (observation, reviewer, at, verdict, railcars, length_m, note) "
                "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                (one.observation, one.reviewer, moment(one.at), one.verdict, one.railcars, one.length_m, one.note),
            )
            for one in reviews
        )


def reviews_by_observation(archive: Archive, site: str) -> dict[str, list[dict[str, Any]]]:
    """Return what was said of a site's observations, in order of time."""
    rows = archive.rows(
        "SELECT r.* FROM review AS r WHERE r.observation IN (SELECT o.id FROM observation AS o JOIN judgement AS j "
        "ON j.number = o.judgement WHERE j.site = ?) ORDER BY r.at, r.number",
        (site,),
    )
    out: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        names = ("observation", "reviewer", "at", "verdict", "railcars", "length_m", "note")
        out.setdefault(row["observation"], []).append({name: row[name] for name in names})
    return out


@dataclass(frozen=True)
class Agreement:
    """How far people agree with the machine."""

    confirmed: int
    rejected: int
    corrected: int
    share: float | None
    """Confirmed or corrected, among all with a verdict; None without one."""
    share_95: tuple[float, float] | None
    """Wilson's interval."""


def agreement(reviews: Mapping[str, Sequence[Mapping[str, Any]]]) -> Agreement:
    """Return the agreement by the latest verdict of each observation; notes are no verdicts."""
    last = []
    for given in reviews.values():
        verdicts = [one["verdict"] for one in given if one["verdict"] != "note"]
        last += verdicts[-1:]
    right, n = sum(one != "reject" for one in last), len(last)
    share = right / n if n else None
    return Agreement(
        last.count("confirm"), last.count("reject"), last.count("correct"), share, wilson(right, n) if n else None
    )


def wilson(right: int, n: int, z: float = 1.96) -> tuple[float, float]:
    """Return the 95 % interval of a share (E. B. Wilson, 1927, JASA 22, 209-212)."""
    share = right / n
    middle = share + z * z / (2 * n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max((middle - half) / (1 + z * z / n), 0.0), min((middle + half) / (1 + z * z / n), 1.0)
