"""The machine's answers against what people said of them: precision, and how far counts were off.

Reviews are of what the machine saw. They say how often it was right in that, and nothing of what it missed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rail_watch.archive.observations import from_features
from rail_watch.archive.review import reviews_by_observation, wilson
from rail_watch.archive.store import Archive
from rail_watch.errors import BadInput
from rail_watch.observe.records import Observation

COUNTED = ("confirm", "correct")


@dataclass(frozen=True)
class Reviewed:
    """One observation with what people made of it."""

    observation: Observation
    sensor: str
    simulated: bool
    verdict: str
    """The latest of all: confirm, reject or correct."""
    disputed: bool
    """Whether one person's latest verdict says that something is there and another's that nothing is."""
    railcars: int | None
    """By the latest verdict: as corrected, or as the machine had it where that was confirmed."""


@dataclass(frozen=True)
class ReviewFigures:
    """What reviews say of one group of observations."""

    group: str
    """all, site, kind or sensor."""
    name: str
    confirmed: int
    corrected: int
    rejected: int
    disputed: int
    precision: float
    """Share in which something was there: confirmed or corrected."""
    precision_95: tuple[float, float]
    """Wilson's interval."""
    counts: int
    """Trains of which both the machine and a person gave a number of railcars."""
    count_error: float | None
    """Mean of |machine - person|, railcars."""
    count_bias: float | None
    """Mean of machine - person, railcars."""
    count_covered: float | None
    """Share in which the machine's 95 % interval holds the person's number."""


def reviewed(archive: Archive, sites: Sequence[str] = ()) -> list[Reviewed]:
    """Return every observation that has a verdict, in order of site and time; notes are no verdicts.

    The machine's answer is its latest under that id.

    Parameters
    ----------
    sites : ids; none for all.

    Raises
    ------
    BadInput
        The archive knows no such site.
    """
    known = [row["id"] for row in archive.rows("SELECT id FROM site ORDER BY id")]
    for site in sites:
        if site not in known:
            raise BadInput(f"{site[:80]}: the archive holds no such site; it holds {', '.join(known) or 'none yet'}")
    return [one for site in dict.fromkeys(sites or known) for one in _of_site(archive, site)]


def _of_site(archive: Archive, site: str) -> list[Reviewed]:
    given = reviews_by_observation(archive, site)
    rows = archive.rows(
        "SELECT o.id, o.feature, s.sensor, s.simulated FROM observation AS o JOIN judgement AS j "
        "ON j.number = o.judgement JOIN scene AS s ON s.number = j.scene WHERE j.site = ? AND o.id IN "
        "(SELECT observation FROM review) ORDER BY j.datetime, o.id, j.number",
        (site,),
    )
    found = []
    for row in {row["id"]: row for row in rows}.values():
        verdicts = [one for one in given.get(row["id"], ()) if one["verdict"] != "note"]
        if verdicts:
            (observation,) = from_features([row["feature"]])
            found.append(_one(observation, verdicts, sensor=row["sensor"], simulated=bool(row["simulated"])))
    return found


def _one(observation: Observation, verdicts: Sequence[Mapping[str, Any]], *, sensor: str, simulated: bool) -> Reviewed:
    last = verdicts[-1]
    by_person = {one["reviewer"]: one["verdict"] == "reject" for one in verdicts}
    there = last["verdict"] != "reject"
    # Who confirms takes the number as it was said; who corrects the length alone does so too.
    cars = last["railcars"]
    return Reviewed(
        observation=observation,
        sensor=sensor,
        simulated=simulated,
        verdict=last["verdict"],
        disputed=len(set(by_person.values())) > 1,
        railcars=(observation.railcars if cars is None else cars) if there else None,
    )


_GROUPS: Mapping[str, Callable[[Reviewed], str]] = {
    "all": lambda _: "all",
    "site": lambda one: one.observation.site,
    "kind": lambda one: one.observation.kind,
    "sensor": lambda one: one.sensor,
}


def review_figures(found: Sequence[Reviewed]) -> list[ReviewFigures]:
    """Return the figures of all, and of each site, kind and sensor, in order of name."""
    out = []
    for group, of in _GROUPS.items():
        for name in sorted({of(one) for one in found}):
            out.append(_figures(group, name, [one for one in found if of(one) == name]))
    return out


def _figures(group: str, name: str, found: Sequence[Reviewed]) -> ReviewFigures:
    verdicts = [one.verdict for one in found]
    right = sum(verdict in COUNTED for verdict in verdicts)
    pairs = [
        (one.observation.railcars, one.observation.railcars_95, one.railcars)
        for one in found
        if one.observation.railcars is not None and one.railcars is not None
    ]
    off = np.array([said - true for said, _, true in pairs], dtype=float)
    held = [ends[0] <= true <= ends[1] for _, ends, true in pairs if ends is not None]
    return ReviewFigures(
        group=group,
        name=name,
        confirmed=verdicts.count("confirm"),
        corrected=verdicts.count("correct"),
        rejected=verdicts.count("reject"),
        disputed=sum(one.disputed for one in found),
        precision=right / len(found),
        precision_95=wilson(right, len(found)),
        counts=len(pairs),
        count_error=float(np.abs(off).mean()) if pairs else None,
        count_bias=float(off.mean()) if pairs else None,
        count_covered=sum(held) / len(held) if held else None,
    )
