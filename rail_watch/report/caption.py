"""The words of a figure: label, caption, credit, alt text. Observe, compare, say what cannot be told."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from rail_watch.aoi.site import Site
from rail_watch.observe.records import Observation, SceneRecord
from rail_watch.report.language import language, names, number, say, term
from rail_watch.report.names import clean, drawable, short_names, shorten
from rail_watch.report.stretch import ways

CERTAIN = ("almost certain", "nearly certain", "very likely", "highly probable")
"""Likelihoods at which a label names the object without a hedge."""
MAX_SENTENCES = 6
"""Objects told one by one under a picture; the rest are counted and stand in the text file."""
LOWERED = ("en", "fr", "es")
"""Languages whose nouns begin small within a phrase."""


def day(when: datetime) -> str:
    """`November 30, 2022` (UTC), the same in every locale."""
    return _dated("day", "months", when)


def short_day(when: datetime) -> str:
    """`30 Nov 2022` (UTC)."""
    return _dated("short_day", "short", when)


def month_day(when: datetime) -> str:
    """`30 Nov` (UTC)."""
    return _dated("month_day", "short", when)


def _dated(form: str, months: str, when: datetime) -> str:
    moment = when.astimezone(UTC)
    return say(f"date.{form}", day=moment.day, month=names("date", months)[moment.month - 1], year=moment.year)


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
    return _moment(short_day(when), when, timezone)


def long_clock(when: datetime, timezone: str | None) -> str:
    """`November 30, 2022, 02:11 UTC (11:11 Asia/Pyongyang)`."""
    return _moment(day(when), when, timezone)


def _moment(date: str, when: datetime, timezone: str | None) -> str:
    moment, local = say("date.moment", day=date, time=f"{when.astimezone(UTC):%H:%M}"), local_time(when, timezone)
    return say("date.local", moment=moment, local=local) if local else moment


def sensor(record: SceneRecord) -> str:
    """Sensor and pixel size, the size said once."""
    name = clean(record.sensor or record.platform or say("caption.unknown_sensor"), 40)
    size = f"{record.gsd_m:.2g} m"
    return name if size in name else f"{name} ({size})"


def place_short_names(site: Site) -> dict[str, str]:
    """Id to short name of every track, deck and apron."""
    return short_names({part.id: part.name for part in ways(site)} | {area.id: area.name for area in site.aprons})


def place_names(site: Site, observation: Observation) -> str:
    """Track(s), deck or apron an observation stands on, by name; empty where it has none."""
    known = place_short_names(site)
    if observation.kind == "cargo":
        ids: Sequence[str] = (observation.apron,) if observation.apron else ()
    else:
        ids = observation.tracks or ((observation.track,) if observation.track else ())
    shown = [shorten(known.get(part) or drawable(part), 60) for part in ids]
    if len(shown) > 2:
        return say("label.several", first=shown[0], last=shown[-1], n=len(shown))
    return say("label.or", a=shown[0], b=shown[1]) if len(shown) == 2 else "".join(shown)


def label(observation: Observation, site: Site) -> tuple[str, str]:
    """Two lines for a label: what and how large; where and since when."""
    what = _size(observation)
    if observation.change == "departed":
        what = say("label.gone", what=f"{what[0].lower()}{what[1:]}" if language() in LOWERED else what)
    elif observation.likelihood and observation.likelihood not in CERTAIN:
        what = say("label.hedged", what=what, likelihood=clean(term("likelihood", observation.likelihood), 40))
    only = observation.kind == "cargo" and len(site.aprons) == 1
    where = "" if only else place_names(site, observation)
    return what, ", ".join(part for part in (where, _since(observation)) if part)


def brief_label(observation: Observation) -> str:
    """One short line for a small picture, where a sign tells what came and went; a hedge stays."""
    train = observation.kind in ("train", "train-on-bridge")
    what = _size(replace(observation, railcars=None) if train else observation)
    if observation.change != "departed" and observation.likelihood and observation.likelihood not in CERTAIN:
        return say("label.hedged", what=what, likelihood=clean(term("likelihood", observation.likelihood), 40))
    return what


def _size(observation: Observation) -> str:
    if observation.kind in ("train", "train-on-bridge"):
        parts = [say("label.train" if observation.kind == "train" else "label.bridge")]
        if observation.railcars is not None:
            parts.append(say("label.cars", n=observation.railcars))
        if observation.length_m is not None:
            parts.append(say("label.length", length=number(observation.length_m)))
        return ", ".join(parts)
    name = say("label.cargo" if observation.kind == "cargo" else "label.change")
    area = observation.area_m2
    return name if area is None else say("label.area", what=name, area=two_figures(area))


def two_figures(value: float) -> str:
    """Round to two significant figures, in plain digits."""
    return number(float(f"{value:.2g}"))


def _since(observation: Observation) -> str:
    if observation.change == "arrived" and observation.last_clear_before:
        return say("label.new", date=short_day(observation.last_clear_before))
    if observation.change == "departed" and observation.last_clear_before:
        return say("label.seen", date=short_day(observation.last_clear_before))
    if observation.change == "standing" and observation.first_seen < observation.when:
        return say("label.first_seen", date=short_day(observation.first_seen))
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
        more = [say("caption.more", n=left)] if left > 1 else []
        told = self.brief[:MAX_SENTENCES] if more else self.brief
        first = " ".join([*told, *more, self.compared])
        return [part for part in (first.strip(), " ".join(self.unknown)) if part]

    def text(self) -> str:
        """Return everything, for the text file."""
        lines = [self.heading, "", *self.seen, self.compared, *self.unknown, "", self.credit]
        marked = [say("caption.simulated"), *lines] if self.simulated else lines
        return "\n".join([*marked, "", say("caption.alt_text", text=self.alt)]).replace("\n\n\n", "\n\n") + "\n"

    def metadata(self) -> dict[str, str]:
        """Return the text chunks of the PNG file."""
        words = {
            "Title": self.heading,
            "Description": " ".join([*self.brief, self.compared, *self.unknown]).strip(),
            "Source": self.credit,
            "Comment": self.alt,
        }
        return words | ({"SIMULATED": say("caption.simulated")} if self.simulated else {})


def credit(records: Iterable[SceneRecord]) -> str:
    """Return one credit line for the pictures used, each said once, in order."""
    said = dict.fromkeys(clean(record.credit, 200) if record.credit else _uncredited(record) for record in records)
    return say("caption.credit", imagery="; ".join(line.removeprefix("Imagery: ").rstrip(".") for line in said))


def _uncredited(record: SceneRecord) -> str:
    return say("caption.uncredited", platform=clean(record.platform or record.sensor, 60))


def pair_caption(  # noqa: PLR0913 - words for three templates
    site: Site,
    records: tuple[SceneRecord, SceneRecord | None],
    seen: Sequence[Observation],
    *,
    number: int = 0,
    hidden: float,
    heading: str = "caption.closeup",
    alone: bool = False,
) -> Caption:
    """Caption of a before/after pair, or of a picture `alone` whose earlier look is not shown.

    `records` are the scene and the earlier clear look (None: there is none); `seen` what the picture
    shows of the scene; `hidden` the share of the stretch that could not be seen in the scene; `heading` the message
    that heads it, `number` its gap.
    """
    record, before = records
    what, brief = count(seen), together(seen, site)
    moment = long_clock(record.when, site.timezone)
    shown = None if alone else before
    simulated = record.simulated or (shown is not None and shown.simulated)
    gaps = {"site": clean(site.name, 80), "date": day(record.when), "what": what}
    key = f"caption.alt{'_pair' if shown else ''}{'_simulated' if simulated else ''}"
    return Caption(
        heading=say(heading, number=number, site=gaps["site"], moment=moment),
        seen=tuple(sentence(one, site) for one in seen),
        brief=brief,
        compared="" if _names_a_look(seen) else _compared(before, site),
        unknown=cannot(site, record, seen, hidden),
        credit=credit([record, *([shown] if shown else [])]),
        simulated=simulated,
        alt=say(key, **gaps, before=day(shown.when)) if shown else say(key, **gaps),
    )


def sequence_caption(site: Site, looks: Sequence[tuple[SceneRecord, Sequence[Observation], float]]) -> Caption:
    """Caption of the same ground at several looks: record, what the picture shows, share that could not be seen."""
    name, records = clean(site.name, 80), [record for record, _, _ in looks]
    simulated = any(record.simulated for record in records)
    seen, brief, unknown = [], [], []
    for index, (record, things, hidden) in enumerate(looks):
        when = f"{chr(65 + index)}, {clock(record.when, None)}"
        seen.append(f"{when}: {' '.join(sentence(one, site) for one in things) or say('caption.look_nothing')}")
        what = "; ".join(_listed(things, site)) or say("caption.look_nothing")
        brief.append(say("caption.look_seen", date=when, what=what))
        if hidden >= 0.02:
            unknown.append(say("caption.look_hidden", date=when, percent=number(100 * hidden)))
        unknown += cannot(site, record, things, 0.0)
    told_looks = "; ".join(
        say("caption.alt_look", date=day(record.when), what=count(things) if things else say("caption.alt_nothing"))
        for record, things, _ in looks
    )
    key = f"caption.alt_sequence{'_simulated' if simulated else ''}"
    span = say("date.span", first=day(records[0].when), last=day(records[-1].when))
    return Caption(
        heading=say("caption.sequence", site=name, span=span, n=len(looks)),
        seen=tuple(seen),
        brief=tuple(brief),
        compared=say("cannot.between"),
        unknown=tuple(dict.fromkeys(unknown)),
        credit=credit(records),
        simulated=simulated,
        alt=say(key, site=name, n=len(looks), looks=told_looks),
    )


def _listed(things: Sequence[Observation], site: Site) -> list[str]:
    """Trains one by one, piles by number, and what has gone."""
    trains = [label(one, site)[0] for one in things if one.kind in ("train", "train-on-bridge")]
    piles = [one for one in things if one.kind == "cargo"]
    gone = sum(one.change == "departed" for one in piles)
    here = [say("caption.count_cargo", n=len(piles) - gone)] if len(piles) > gone else []
    return [*trains, *here, *([say("label.gone", what=say("caption.count_cargo", n=gone))] if gone else [])]


def count(observations: Sequence[Observation]) -> str:
    """Return what a picture outlines, by number: `1 train and 4 cargo piles outlined`."""
    seen = [one for one in observations if one.change != "departed"]
    words = {"train": "train", "train-on-bridge": "bridge", "cargo": "cargo", "change": "change"}
    counts = {word: sum(one.kind == kind for one in seen) for kind, word in words.items()}
    parts = [say(f"caption.count_{word}", n=n) for word, n in counts.items() if n]
    if not seen:
        return say("caption.alt_gone")
    things = say("caption.and", first=", ".join(parts[:-1]), last=parts[-1]) if len(parts) > 1 else parts[0]
    return say("caption.alt_outlined", things=things)


def sentence(observation: Observation, site: Site) -> str:
    """Return what is seen in sentences: the observation's own words where it has some, in the language written."""
    text = clean(observation.text, 600)
    if text and language() != "en":
        return told(observation, site)
    if text:
        text = text[0].upper() + text[1:]
        return text if text[-1] in ".!?" else text + "."
    if observation.change == "departed":
        return _gone(observation, site)
    what, _ = label(observation, site)
    where = ", ".join(part for part in (place_names(site, observation), _since(observation)) if part)
    interval = ""
    if observation.length_m is not None and observation.length_m_95:
        low, high = observation.length_m_95
        interval = f" (95 %: {number(low)}-{number(high)} m)"
    return f"{what}{interval}{': ' + where if where else ''}."


def told(one: Observation, site: Site) -> str:
    """Return the sentences of `rail_watch.observe.sentences` on one observation in the language written."""
    if one.kind in ("train", "train-on-bridge"):
        return " ".join(part for part in (*_train(one, site), _moved(one), _before(one, site)) if part)
    return " ".join([_ground(one, site), _before(one, site)])


def _train(one: Observation, site: Site) -> tuple[str, ...]:
    known = place_short_names(site)
    passing = one.kind == "train-on-bridge" or (one.movement is not None and one.movement.moving)
    form = f"sight.train{'_cars' if one.railcars is not None and one.railcars_95 else ''}{'_on' if passing else ''}"
    low, high = one.railcars_95 or (0, 0)
    track = one.track or ""
    place = shorten(known.get(track) or drawable(track), 60)
    length = number(one.length_m or 0.0)
    head = say(form, n=one.railcars, low=low, high=high, length=length, place=place)
    others = ", ".join(known.get(part) or drawable(part) for part in one.tracks[1:])
    return head, say("sight.other_tracks", places=others) if others else "", _same(one, site)


def _same(one: Observation, site: Site) -> str:
    if one.same_as is None or one.same_as_when is None:
        return ""
    when = clock(one.same_as_when, None)
    if one.same_as_site == site.id:
        return say("sight.same", when=when)
    return say("sight.same_elsewhere", site=clean(one.same_as_site or "", 60), when=when)


def _moved(one: Observation) -> str:
    moved = one.movement
    if moved is None:
        return ""
    if moved.moving is None or moved.speed_kmh_95 is None:
        return say("sight.moved_unknown") if one.kind == "train-on-bridge" else ""
    low, high = (number(speed) for speed in moved.speed_kmh_95)
    if not moved.moving or moved.speed_kmh is None:
        return say("sight.stood", high=high)
    pace = {"speed": number(moved.speed_kmh), "low": low, "high": high}
    if moved.bound_for is None:
        return say("sight.moving", **pace)
    return say("sight.moving_to", bound=term("compass", moved.bound_for), **pace)


def _ground(one: Observation, site: Site) -> str:
    area = number(one.area_m2 or 0.0)
    if one.kind == "change":
        return say("sight.change", area=area)
    place = place_names(site, one)
    if one.height_m is None or one.height_m_95 is None:
        return say("sight.cargo", area=area, place=place)
    height, low, high = (number(value, ".1f") for value in (one.height_m, *one.height_m_95))
    return say("sight.cargo_high", area=area, height=height, low=low, high=high, place=place)


def _before(one: Observation, site: Site) -> str:
    if one.last_clear_before is None:
        return say("sight.no_earlier")
    when = clock(one.last_clear_before, None)
    if one.change == "standing":
        return _growth(one, when) if one.kind == "cargo" else say("sight.alike", when=when)
    return say("sight.ground_empty" if one.track is None else "sight.track_empty", when=when)


def _growth(one: Observation, when: str) -> str:
    if one.area_m2_95 is None or one.area_m2_before_95 is None:
        return say("sight.lain", when=when)
    low, high = one.area_m2_before_95
    span = {"low": number(low), "high": number(high), "when": when}
    if one.area_m2_95[0] > high:
        return say("sight.grown", **span)
    return say("sight.shrunk", **span) if one.area_m2_95[1] < low else say("sight.no_growth", when=when)


def _groups(observations: Sequence[Observation]) -> list[list[Observation]]:
    """Put cargo of one apron, and changes, together; trains stay alone."""
    groups: dict[tuple[str, ...], list[Observation]] = {}
    for one in observations:
        alone = one.kind in ("train", "train-on-bridge")
        key = (one.id,) if alone else (one.kind, one.apron or "", "gone" if one.change == "departed" else "there")
        groups.setdefault(key, []).append(one)
    return list(groups.values())


def together(observations: Sequence[Observation], site: Site) -> tuple[str, ...]:
    """Tell like things together and leave out sentences that come again later."""
    groups = _groups(observations)
    said = [sentence(group[0], site) if len(group) == 1 else _together(group, site) for group in groups]
    split = [part for text in said for part in re.split(r"(?<=[.!?]) (?=[A-Z])", text)]
    return tuple(part for index, part in enumerate(split) if part not in split[index + 1 :])


def _names_a_look(seen: Sequence[Observation]) -> bool:
    """Whether the sentences say themselves what was compared with."""
    return any(len(group) == 1 and group[0].text and group[0].change != "departed" for group in _groups(seen))


def _together(group: Sequence[Observation], site: Site) -> str:
    """One sentence for several patches of cargo, or several changes."""
    first, n = group[0], len(group)
    sizes = [two_figures(one.area_m2) for one in group if one.area_m2 is not None]
    size = say("sight.of_areas", areas=", ".join(sizes[:-1]), last=sizes[-1]) if len(sizes) > 1 else ""
    if first.kind == "change":
        return say("sight.change_many", n=n, size=size)
    where = say("sight.on_place", place=place_names(site, first)) if first.apron else ""
    if first.change == "departed":
        return say("sight.gone_many", n=n, size=size, seen=_seen_on(first), where=where)
    return say("sight.cargo_many", n=n, size=size, where=where)


def _seen_on(one: Observation) -> str:
    return say("sight.seen_on", date=short_day(one.last_clear_before)) if one.last_clear_before else ""


def _gone(observation: Observation, site: Site) -> str:
    _, *size = _size(observation).split(", ", 1)
    if observation.kind == "cargo" and observation.area_m2 is not None:
        size = [say("label.about_area", area=two_figures(observation.area_m2))]
    where = place_names(site, observation)
    kind = {"train": "train", "train-on-bridge": "bridge", "cargo": "cargo"}.get(observation.kind, "change")
    return say(
        f"sight.gone_{kind}",
        measure=say("sight.measure", size=size[0]) if size else "",
        seen=_seen_on(observation),
        where=say("sight.on_place", place=where) if where else "",
    )


def _compared(before: SceneRecord | None, site: Site) -> str:
    if before is None:
        return say("caption.no_compare")
    return say("caption.compared", when=clock(before.when, site.timezone))


def cannot(site: Site, record: SceneRecord, seen: Sequence[Observation], hidden: float) -> tuple[str, ...]:
    """Return what cannot be determined from a picture; `hidden`: share of it that could not be seen."""
    kinds = {one.kind for one in seen if one.change != "departed"}
    lines = []
    if any(one.change == "departed" for one in seen):
        lines.append(say("cannot.when_left"))
    if kinds & {"train", "train-on-bridge"}:
        lines.append(say("cannot.carry"))
        if record.gsd_m > 1.2:
            counted = any(one.railcars is not None for one in seen if one.change != "departed")
            lines.append(say("cannot.apart_counted" if counted else "cannot.apart", gsd=number(record.gsd_m, ".2g")))
        if any(len(one.tracks) > 1 for one in seen):
            lines.append(say("cannot.which_track"))
    if "cargo" in kinds:
        lines.append(say("cannot.piles"))
    if "change" in kinds:
        lines.append(say("cannot.cause"))
    if hidden >= 0.02:
        lines.append(say("cannot.hidden", percent=number(100 * hidden)))
    if site.accuracy_m and site.accuracy_m >= 5 and not record.simulated:
        lines.append(say("cannot.lines", metres=number(site.accuracy_m, "g")))
    return tuple(lines)
