"""The words of a figure: label, caption, credit, alt text. Observe, compare, say what cannot be told."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from rail_watch.aoi.site import Site
from rail_watch.observe.records import Observation, SceneRecord
from rail_watch.report.names import clean, drawable, short_names, shorten
from rail_watch.report.stretch import ways

MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
CERTAIN = ("almost certain", "nearly certain", "very likely", "highly probable")
"""Likelihoods at which a label names the object without a hedge."""
MAX_SENTENCES = 6
"""Objects told one by one under a picture; the rest are counted and stand in the text file."""
SIMULATED = "SIMULATED imagery: made by a computer, not a real observation."


def day(when: datetime) -> str:
    """`November 30, 2022` (UTC), the same in every locale."""
    moment = when.astimezone(UTC)
    return f"{MONTHS[moment.month - 1]} {moment.day}, {moment.year}"


def short_day(when: datetime) -> str:
    """`30 Nov 2022` (UTC)."""
    moment = when.astimezone(UTC)
    return f"{moment.day} {MONTHS[moment.month - 1][:3]} {moment.year}"


def local_time(when: datetime, timezone: str | None) -> str | None:
    """`11:11 Asia/Pyongyang`, with the date where it is another; None where the clock is not known."""
    try:
        local = when.astimezone(ZoneInfo(timezone)) if timezone else None
    except (ZoneInfoNotFoundError, ValueError, OSError):
        local = None
    if local is None or timezone is None:
        return None
    date = "" if local.date() == when.astimezone(UTC).date() else f"{short_day(local.replace(tzinfo=UTC))} "
    return f"{date}{local:%H:%M} {timezone}"


def clock(when: datetime, timezone: str | None) -> str:
    """`30 Nov 2022, 02:11 UTC (11:11 Asia/Pyongyang)`."""
    local = local_time(when, timezone)
    return f"{short_day(when)}, {when.astimezone(UTC):%H:%M} UTC" + (f" ({local})" if local else "")


def sensor(record: SceneRecord) -> str:
    """Sensor and pixel size, the size said once."""
    name = clean(record.sensor or record.platform or "unknown sensor", 40)
    size = f"{record.gsd_m:.2g} m"
    return name if size in name else f"{name} ({size})"


def place_short_names(site: Site) -> dict[str, str]:
    """Id to short name of every track, deck and apron."""
    return short_names({part.id: part.name for part in ways(site)} | {area.id: area.name for area in site.aprons})


def place_names(site: Site, observation: Observation) -> str:
    """Track(s), deck or apron an observation stands on, by name; empty where it has none."""
    names = place_short_names(site)
    if observation.kind == "cargo":
        ids: Sequence[str] = (observation.apron,) if observation.apron else ()
    else:
        ids = observation.tracks or ((observation.track,) if observation.track else ())
    shown = [shorten(names.get(part) or drawable(part), 60) for part in ids]
    return " or ".join(shown) if len(shown) <= 2 else f"{shown[0]} … {shown[-1]} (one of {len(shown)})"


def label(observation: Observation, site: Site) -> tuple[str, str]:
    """Two lines for a label: what and how large; where and since when."""
    what = _size(observation)
    if observation.change == "departed":
        what = f"Gone: {what[0].lower()}{what[1:]}"
    elif observation.likelihood and observation.likelihood not in CERTAIN:
        what = f"{what} ({clean(observation.likelihood, 24)})"
    only = observation.kind == "cargo" and len(site.aprons) == 1
    where = "" if only else place_names(site, observation)
    return what, ", ".join(part for part in (where, _since(observation)) if part)


def _size(observation: Observation) -> str:
    if observation.kind in ("train", "train-on-bridge"):
        parts = ["Train" if observation.kind == "train" else "Train on bridge"]
        if observation.railcars is not None:
            parts.append(f"about {observation.railcars} railcar{'s' * (observation.railcars != 1)}")
        if observation.length_m is not None:
            parts.append(f"{observation.length_m:.0f} m")
        return ", ".join(parts)
    name = "Cargo" if observation.kind == "cargo" else "Change"
    return name if observation.area_m2 is None else f"{name}, about {two_figures(observation.area_m2)} m²"


def two_figures(value: float) -> str:
    """Round to two significant figures, in plain digits."""
    return f"{float(f'{value:.2g}'):,.0f}"


def _since(observation: Observation) -> str:
    if observation.change == "arrived" and observation.last_clear_before:
        return f"new since {short_day(observation.last_clear_before)}"
    if observation.change == "departed" and observation.last_clear_before:
        return f"seen on {short_day(observation.last_clear_before)}"
    if observation.change == "standing" and observation.first_seen < observation.when:
        return f"first seen {short_day(observation.first_seen)}"
    return ""


@dataclass(frozen=True)
class Caption:
    """The words that go with one picture."""

    heading: str
    """`Figure 3. Close-up of … on November 30, 2022.`"""
    seen: tuple[str, ...]
    """Everything seen, thing by thing: for the text file."""
    brief: tuple[str, ...]
    """The same with like things told together and nothing said twice: for the picture."""
    compared: str
    unknown: tuple[str, ...]
    """What cannot be determined."""
    credit: str
    simulated: bool
    alt: str
    """The picture in one sentence, for those who cannot see it."""

    def paragraphs(self) -> list[str]:
        """Return the body in order: seen and compared, then what cannot be told."""
        left = len(self.brief) - MAX_SENTENCES
        more = [f"More ({left} sentences) stands in the text file beside this picture."] if left > 1 else []
        told = self.brief[:MAX_SENTENCES] if more else self.brief
        first = " ".join([*told, *more, self.compared])
        return [part for part in (first.strip(), " ".join(self.unknown)) if part]

    def text(self) -> str:
        """Return everything, for the text file."""
        lines = [self.heading, "", *self.seen, self.compared, *self.unknown, "", self.credit]
        marked = [SIMULATED, *lines] if self.simulated else lines
        return "\n".join([*marked, "", f"Alt text: {self.alt}"]).replace("\n\n\n", "\n\n") + "\n"

    def metadata(self) -> dict[str, str]:
        """Return the text chunks of the PNG file."""
        words = {
            "Title": self.heading,
            "Description": " ".join([*self.brief, self.compared, *self.unknown]).strip(),
            "Source": self.credit,
            "Comment": self.alt,
        }
        return words | ({"SIMULATED": SIMULATED} if self.simulated else {})


def credit(records: Iterable[SceneRecord]) -> str:
    """Return one credit line for the pictures used, each said once, in order."""
    said = dict.fromkeys(clean(record.credit, 200) if record.credit else _uncredited(record) for record in records)
    return "Imagery: " + "; ".join(said) + ". Annotation: rail-watch."


def _uncredited(record: SceneRecord) -> str:
    return f"{clean(record.platform or record.sensor, 60)} (the catalogue names no credit line)"


def pair_caption(
    site: Site,
    records: tuple[SceneRecord, SceneRecord | None],
    seen: Sequence[Observation],
    *,
    number: int,
    hidden: float,
) -> Caption:
    """Caption of a before/after pair.

    `records` are the scene and the earlier clear look (None: there is none); `seen` what the picture
    shows of the scene; `hidden` the share of the stretch that could not be seen in the scene.
    """
    record, before = records
    name = clean(site.name, 80)
    moment = f"{day(record.when)}, {record.when.astimezone(UTC):%H:%M} UTC"
    local = local_time(record.when, site.timezone)
    simulated = record.simulated or (before is not None and before.simulated)
    what, brief = _count(seen), together(seen, site)
    return Caption(
        heading=f"Figure {number}. Close-up of {name} on {moment}{f' ({local})' if local else ''}.",
        seen=tuple(sentence(one, site) for one in seen),
        brief=brief,
        compared="" if "clear look" in " ".join(brief) else _compared(before, site),
        unknown=_cannot(site, record, seen, hidden),
        credit=credit([record, *([before] if before else [])]),
        simulated=simulated,
        alt=f"{'Simulated satellite' if simulated else 'Satellite'} picture of {name} on {day(record.when)} with {what}"
        + (f", beside the same ground on {day(before.when)}." if before else "."),
    )


def _count(observations: Sequence[Observation]) -> str:
    seen = [one for one in observations if one.change != "departed"]
    words = {
        "train": "train",
        "train-on-bridge": "train on the bridge",
        "cargo": "cargo pile",
        "change": "changed place",
    }
    counts = {kind: sum(one.kind == kind for one in seen) for kind in words}
    plural = {"train-on-bridge": "trains on the bridge"}
    parts = [f"{n} {words[kind] if n == 1 else plural.get(kind, words[kind] + 's')}" for kind, n in counts.items() if n]
    return (
        (" and ".join([", ".join(parts[:-1]), parts[-1]]) if len(parts) > 1 else "".join(parts)) + " outlined"
        if seen
        else "the places outlined from which something has gone"
    )


def sentence(observation: Observation, site: Site) -> str:
    """Return what is seen in a sentence: the observation's own words where it has some."""
    text = clean(observation.text, 600)
    if text:
        text = text[0].upper() + text[1:]
        return text if text[-1] in ".!?" else text + "."
    if observation.change == "departed":
        return _gone(observation, site)
    what, _ = label(observation, site)
    where = ", ".join(part for part in (place_names(site, observation), _since(observation)) if part)
    interval = ""
    if observation.length_m is not None and observation.length_m_95:
        interval = " (95 %: {:.0f}-{:.0f} m)".format(*observation.length_m_95)
    return f"{what}{interval}{': ' + where if where else ''}."


def together(observations: Sequence[Observation], site: Site) -> tuple[str, ...]:
    """Tell like things together and leave out sentences that come again later."""
    groups: dict[tuple[str, ...], list[Observation]] = {}
    for one in observations:
        alone = one.kind in ("train", "train-on-bridge")
        key = (one.id,) if alone else (one.kind, one.apron or "", "gone" if one.change == "departed" else "there")
        groups.setdefault(key, []).append(one)
    told = [sentence(group[0], site) if len(group) == 1 else _together(group, site) for group in groups.values()]
    split = [part for text in told for part in re.split(r"(?<=[.!?]) (?=[A-Z])", text)]
    return tuple(part for index, part in enumerate(split) if part not in split[index + 1 :])


def _together(group: Sequence[Observation], site: Site) -> str:
    """One sentence for several patches of cargo, or several changes."""
    first = group[0]
    areas = [one.area_m2 for one in group if one.area_m2 is not None]
    sizes = [two_figures(area) for area in areas]
    size = f" of about {', '.join(sizes[:-1])} and {sizes[-1]} m²" if len(sizes) > 1 else ""
    if first.kind == "change":
        return f"{len(group)} places{size} look different from before."
    where = f" on {place_names(site, first)}" if first.apron else ""
    if first.change == "departed":
        seen = f" seen on {short_day(first.last_clear_before)}" if first.last_clear_before else ""
        return f"{len(group)} patches of what may be cargo{size}{seen}{where} are gone."
    return f"{len(group)} patches of what may be cargo{size} lie{where}."


def _gone(observation: Observation, site: Site) -> str:
    what, *size = _size(observation).split(", ", 1)
    where = place_names(site, observation)
    seen = f" seen on {short_day(observation.last_clear_before)}" if observation.last_clear_before else ""
    measure = f" ({size[0]})" if size else ""
    return f"The {what.lower()}{measure}{seen}{f' on {where}' if where else ''} is gone."


def _compared(before: SceneRecord | None, site: Site) -> str:
    if before is None:
        return "No earlier clear look of this sensor at this ground is at hand to compare with."
    return f"Compared with the previous clear look of the same sensor, on {clock(before.when, site.timezone)}."


def _cannot(site: Site, record: SceneRecord, seen: Sequence[Observation], hidden: float) -> tuple[str, ...]:
    kinds = {one.kind for one in seen if one.change != "departed"}
    told = []
    if any(one.change == "departed" for one in seen):
        told.append("When, between the two looks, something left, and where it went, cannot be determined.")
    if kinds & {"train", "train-on-bridge"}:
        told.append(
            "What the railcars carry, where they came from and where they go cannot be determined from this image."
        )
        if record.gsd_m > 1.2:
            counted = any(one.railcars is not None for one in seen if one.change != "departed")
            number = "their number follows from the length" if counted else "how many there are cannot be determined"
            told.append(f"Single railcars cannot be told apart at {record.gsd_m:.2g} m; {number}.")
        if any(len(one.tracks) > 1 for one in seen):
            told.append("Which of the neighbouring tracks a train stands on cannot be told where several are named.")
    if "cargo" in kinds:
        told.append("What lies in the piles, and under covers, cannot be determined.")
    if "change" in kinds:
        told.append("The cause of the outlined changes of the ground cannot be determined from this image alone.")
    if hidden >= 0.02:
        told.append(f"About {100 * hidden:.0f} % of the picture could not be seen and may hide more.")
    if site.accuracy_m and site.accuracy_m >= 5 and not record.simulated:
        told.append(f"The site's lines are known to about {site.accuracy_m:g} m; track names may be wrong by as much.")
    return tuple(told)
