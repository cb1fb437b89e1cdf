"""What a night's new scenes say that was not known: come, gone, changed, new on record."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from rail_watch.aoi.site import Site
from rail_watch.archive.novelty import may_be_new, novelties
from rail_watch.archive.observations import observations_between
from rail_watch.archive.stays import Stay, looks_between, stays_of
from rail_watch.archive.store import Archive, time_of
from rail_watch.observe.records import Observation
from rail_watch.observe.sentences import names_of, stamp

MEMORY = timedelta(days=120)
"""What stood longer ago than this, and was not seen since, is told as new when it comes again."""
TRAINS = ("train-arrived", "bridge")
CANNOT_TELL = "What it carries, whose it is and where it goes cannot be told from imagery."


@dataclass(frozen=True)
class News:
    """One thing worth telling."""

    key: str
    """The same thing always has the same: it is told once."""
    kind: str
    """One of `rules.KINDS`."""
    site: str
    when: datetime
    """Of the look that showed it."""
    sentence: str
    cannot_tell: str
    likelihood: str | None = None
    length_m: float | None = None
    railcars: int | None = None
    area_m2: float | None = None
    lonlat: tuple[float, float] | None = None
    scene: str | None = None
    observation: str | None = None
    simulated: bool = False
    new_on_record: tuple[str, ...] = field(default=())


def news_of(
    archive: Archive, site: Site, *, fresh: Collection[str], now: datetime, simulated: bool = False
) -> list[News]:
    """Return what scenes that got their first verdict now say that was not known before.

    Parameters
    ----------
    fresh : ids of those scenes. What is only seen again in the same place is no news, whenever its scene arrived.
    """
    if not fresh:
        return []
    first = _first_of(archive, site.id, fresh, now) - MEMORY
    observed, looks = observations_between(archive, site.id, first), looks_between(archive, site.id, first)
    found = stays_of(looks, [one for one in observed if one.track or one.apron])
    names = names_of(site)
    told = [*_arrivals(found, fresh), *_departures(found, fresh, names), *_changes(observed, fresh)]
    came = [stay for stay in found if any(one.observation == stay.first.id and one.kind in TRAINS for one in told)]
    if any(may_be_new(stay, looks, found) for stay in came):
        told = _with_novelties(archive, site.id, told, names)
    out = sorted((replace(one, simulated=simulated) for one in told), key=lambda one: (one.when, one.kind, one.key))
    return [*out, *_records(out)]


def _arrivals(found: Sequence[Stay], fresh: Collection[str]) -> Iterator[News]:
    for stay in found:
        # One sighting that was known already: the thing is no news, only its window has narrowed.
        if not all(one.scene in fresh for one in stay.sightings):
            continue
        one = stay.first
        kind = {"train": "train-arrived", "train-on-bridge": "bridge"}.get(one.kind, "cargo-arrived")
        yield _news(one, f"{kind}:{one.id}", kind, f"{stamp(one.when)}: {one.text}{_window(stay)}")


def _window(stay: Stay) -> str:
    before = stay.absent_before
    if before is None or stay.first.last_clear_before is not None:
        return ""
    return f" It came after {stamp(before.when)}, when a look would have shown it and did not."


def _departures(found: Sequence[Stay], fresh: Collection[str], names: Mapping[str, str]) -> Iterator[News]:
    for stay in found:
        after, one = stay.absent_after, stay.last
        if after is None or after.scene not in fresh:
            continue
        train = one.kind != "cargo"
        kind = "train-departed" if train else "cargo-departed"
        place = names.get(one.track or one.apron or "", one.track or one.apron or "")
        size = (
            f"{one.length_m:.0f} m long" if train and one.length_m is not None else f"about {one.area_m2 or 0:.0f} m²"
        )
        what = f"The train, {size}," if train else f"The patch of what may have been cargo, {size},"
        seen = "" if stay.first is one else f" (there since {stamp(stay.first.when)})"
        sentence = (
            f"{stamp(after.when)}: {what} last seen on {place} at {stamp(one.when)}{seen} is gone: this look would "
            f"have shown one of {after.detectable or 0:.0f} {'m' if train else 'm²'} there."
        )
        told = _news(one, f"{kind}:{one.id}", kind, sentence)
        yield replace(told, when=after.when, scene=after.scene)


def _changes(observed: Sequence[Observation], fresh: Collection[str]) -> Iterator[News]:
    """One piece of news for each scene, however many places have changed in it."""
    changed = [one for one in observed if one.kind == "change" and one.scene in fresh and one.change != "standing"]
    for scene in dict.fromkeys(one.scene for one in changed):
        here = [one for one in changed if one.scene == scene]
        surest = min(here, key=lambda one: (one.p_value, one.id))
        area = sum(one.area_m2 or 0.0 for one in here)
        many = "1 place looks" if len(here) == 1 else f"{len(here)} places look"
        sentence = f"{stamp(surest.when)}: {many} different from before, about {area:.0f} m² in all."
        yield replace(_news(surest, f"change:{scene}", "change", sentence), area_m2=area)


def _news(one: Observation, key: str, kind: str, sentence: str) -> News:
    point = one.geometry.representative_point()
    return News(
        key=f"{one.site}:{key}",
        kind=kind,
        site=one.site,
        when=one.when,
        sentence=sentence,
        cannot_tell=CANNOT_TELL if one.kind != "change" else "What changed the ground cannot be told.",
        likelihood=one.likelihood,
        length_m=one.length_m,
        railcars=one.railcars,
        area_m2=one.area_m2,
        lonlat=(round(point.x, 6), round(point.y, 6)),
        scene=one.scene,
        observation=one.id,
    )


def _first_of(archive: Archive, site: str, scenes: Collection[str], now: datetime) -> datetime:
    sql = (
        "SELECT min(s.datetime) FROM scene AS s JOIN site_version AS v ON v.number = s.site_version WHERE s.id = ? "
        "AND v.site = ?"
    )
    times = [archive.value(sql, (name, site)) for name in scenes]
    return min((time_of(text) for text in times if text is not None), default=now)


def _with_novelties(archive: Archive, site: str, told: Sequence[News], names: Mapping[str, str]) -> list[News]:
    """Say of the trains that came what is new about them, by all that the archive has ever seen of the site."""
    looks = looks_between(archive, site)
    everything = stays_of(looks, [one for one in observations_between(archive, site) if one.track])
    stays = {stay.first.id: stay for stay in everything}
    out = []
    for one in told:
        stay = stays.get(one.observation or "")
        if stay is None or one.kind not in TRAINS:
            out.append(one)
            continue
        label = names.get(stay.first.track or "", stay.first.track or "")
        out.append(replace(one, new_on_record=novelties(stay, looks, everything, name=label)))
    return out


def _records(told: Sequence[News]) -> list[News]:
    """Return a piece of news of its own for what is new on record, for rules that ask for no more than that."""
    return [
        replace(one, key=f"{one.key}:novelty", kind="novelty", sentence=" ".join(one.new_on_record))
        for one in told
        if one.new_on_record
    ]


def last_clear_look(archive: Archive, site: str) -> datetime | None:
    """Return when any track, deck or apron of a site was last seen; with none drawn, any part of its ground."""
    seen = archive.value(
        "SELECT max(c.datetime) FROM current AS c WHERE c.site = ? AND c.status = 'used' AND (EXISTS (SELECT 1 FROM "
        "look AS l WHERE l.judgement = c.number AND l.state <> 'unknown') OR NOT EXISTS (SELECT 1 FROM look AS l WHERE "
        "l.judgement = c.number))",
        (site,),
    )
    return None if seen is None else time_of(seen)


def last_is_simulated(archive: Archive, site: str) -> bool:
    """Return whether the latest scene of a site is simulated: then so is what is said of its silence."""
    return bool(
        archive.value(
            "SELECT s.simulated FROM current AS c JOIN scene AS s ON s.number = c.scene WHERE c.site = ? "
            "ORDER BY c.datetime DESC, s.id DESC LIMIT 1",
            (site,),
        )
    )
