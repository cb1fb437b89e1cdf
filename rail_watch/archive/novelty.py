"""What is new on record, said only as far as the look log carries it.

"First since" means nothing when nobody looked in between. Each sentence therefore counts the looks that would have
shown such a train, and says what their detection limit was; with fewer than `LEAST_LOOKS` nothing is said.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from rail_watch.archive.stays import Look, Stay, size_of
from rail_watch.observe.records import Observation

LEAST_LOOKS = 5
"""Clear looks in between, or before, from which something is said to be new."""


def novelties(stay: Stay, looks: Sequence[Look], others: Sequence[Stay], *, name: str) -> tuple[str, ...]:
    """Return what is new about a train.

    Parameters
    ----------
    stay : the train.
    looks : the site's look log, as far back as the archive goes.
    others : everything else that stood there.
    name : of its track, for the sentence.
    """
    if stay.first.kind not in ("train", "train-on-bridge"):
        return ()
    before = [
        other
        for other in others
        if other.first.kind == stay.first.kind and other.first.when < stay.first.when and other is not stay
    ]
    return (*_first_here(stay, looks, before, name), *_most_ever(stay, looks, before))


def may_be_new(stay: Stay, looks: Sequence[Look], others: Sequence[Stay]) -> bool:
    """Return whether the whole record is worth asking, by a stretch of it that ends with the train.

    Where the stretch holds an earlier train on the same track and one that is longer and has more cars, all that came
    before it can say nothing new.
    """
    before = [other for other in others if other.first.when < stay.first.when and other is not stay]
    trains = [other for other in before if other.first.kind == stay.first.kind]
    if not any(other.first.track == stay.first.track for other in trains):
        return True
    dates = {(look.when, look.scene) for look in looks if look.when < stay.first.when and look.state != "unknown"}
    return len(dates) < LEAST_LOOKS or bool(novelties(stay, looks, others, name=""))


def _day(when: datetime) -> str:
    return when.strftime("%Y-%m-%d")


def _telling(looks: Sequence[Look], one: Observation, since: datetime | None) -> list[Look]:
    """Looks at the train's track before it, and after `since`, that would have shown it."""
    return [
        look
        for look in looks
        if look.place == one.track
        and look.when < one.when
        and (since is None or look.when > since)
        and look.would_have_shown(size_of(one))
    ]


def _first_here(stay: Stay, looks: Sequence[Look], before: Sequence[Stay], name: str) -> Iterator[str]:
    here = [other for other in before if other.first.track == stay.first.track]
    last = max((other.last.when for other in here), default=None)
    if last is not None and last >= stay.first.when:
        return
    telling = _telling(looks, stay.first, last)
    if len(telling) < LEAST_LOOKS:
        return
    limit = max(look.detectable or 0.0 for look in telling)
    many = f"{len(telling)} clear looks"
    shown = f"would each have shown a train of {limit:.0f} m or longer"
    if last is None:
        yield f"First train on {name} on record: {many} since {_day(telling[0].when)} {shown}, and none did."
    else:
        yield f"First train on {name} since {_day(last)}: {many} in between {shown}, and none did."


def _most_ever(stay: Stay, looks: Sequence[Look], before: Sequence[Stay]) -> Iterator[str]:
    dates = sorted({(look.when, look.scene) for look in looks if look.state != "unknown" and look.role != "apron"})
    earlier = [when for when, _ in dates if when < stay.first.when]
    if len(earlier) < LEAST_LOOKS or not before:
        return
    seen = [one for other in before for one in other.sightings]
    behind = f"of {len(before)} seen in {len(earlier)} looks since {_day(earlier[0])}"
    low = max((one.length_m_95[0] for one in stay.sightings[:1] if one.length_m_95), default=None)
    highs = [one.length_m_95[1] if one.length_m_95 else one.length_m or 0.0 for one in seen]
    if low is not None and low > max(highs):
        yield f"Longest train on record at this site, {behind}."
    fewest = stay.first.railcars_95[0] if stay.first.railcars_95 else None
    counts = [one.railcars_95[1] if one.railcars_95 else None for one in seen]
    # A train whose cars could not be counted may have had more.
    if fewest is not None and all(count is not None and count < fewest for count in counts):
        yield f"Most railcars on record at this site, {behind}."
