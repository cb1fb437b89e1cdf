"""The answer of one run as an analyst's log, for a terminal."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

import click

from rail_watch.aoi.site import Site
from rail_watch.cli.console import plain
from rail_watch.observe.records import ApronLook, Detections, Observation, SceneRecord, TrackLook
from rail_watch.observe.sentences import names_of, stamp
from rail_watch.observe.words import likelihood
from rail_watch.report.departures import departed
from rail_watch.report.names import short_names

MARKS = {"occupied": "[#] occupied", "empty": "[ ] empty", "unknown": "[?] unknown"}
OTHER = {"gone": "[-] gone", "cargo": "[+] cargo", "change": "[~] change"}
LOOKS: Mapping[str, Mapping[str, object]] = {
    "occupied": {"fg": "red", "bold": True},
    "empty": {"fg": "green"},
    "unknown": {"fg": "yellow"},
    "gone": {"fg": "cyan"},
    "cargo": {"fg": "magenta", "bold": True},
    "change": {"fg": "magenta"},
}
INDENT = 16
RAILCAR_M = 12.0
"""The shortest railcar in common use; no train is shorter."""
LIMIT_WORD = likelihood(0.9)
"""Detection limits hold at 90 % probability."""
NBSP = "\u00a0"
TIED = re.compile(
    r" (?=\d+\b(?![-:]))|(?<=\d) (?=(?:m|m²|%)(?:\W|$))|(?<=%:) (?=\d)|(?<=\d{4}-\d\d-\d\d) (?=\d\d:\d\d)"
)
"""Spaces at which no line breaks: before a number, between it and its unit, between day and hour."""


def log_lines(detections: Detections, site: Site, *, width: int) -> Iterator[str]:
    """Yield the lines of the log: what each scene shows, the summary, and what to be wary of.

    Three states are three words and three marks, so that they stay apart without colours too.
    """
    names = short_names(names_of(site))
    yield from _head(detections)
    for scene in detections.scenes:
        if scene.status != "baseline":
            yield ""
            yield from _scene(scene, detections, names, width)
    yield from _section("Summary", detections.summary, width)
    yield from _section("Be wary", _gathered(detections), width)


def _head(detections: Detections) -> Iterator[str]:
    simulated = [scene.simulated for scene in detections.scenes]
    kind = "  SIMULATED imagery" if all(simulated) else "  partly SIMULATED imagery" if any(simulated) else ""
    yield click.style(plain(f"{detections.site_name} ({detections.site})") + kind, bold=True)
    counts = {s: sum(scene.status == s for scene in detections.scenes) for s in ("used", "baseline", "skipped")}
    more = f", {counts['baseline']} more to compare with" if counts["baseline"] else ""
    hidden = f", {counts['skipped']} that could not be judged" if counts["skipped"] else ""
    yield f"{_many(counts['used'], 'scene')} judged{more}{hidden}"


def _many(count: int, one: str, many: str | None = None) -> str:
    return f"{count} {one if count == 1 else many or one + 's'}"


def _wrapped(text: str, *, width: int, first: str = "", indent: int = 0) -> Iterator[str]:
    """Lay text out in lines; the first begins with a label that may hold colours."""
    gap = " " * max(indent - len(click.unstyle(first)), 1 if first else indent)
    tied = TIED.sub(NBSP, text)
    lines = [line.replace(NBSP, " ") for line in textwrap.wrap(tied, width - indent, break_on_hyphens=False)] or [""]
    yield f"{first}{gap}{lines[0]}".rstrip()
    for line in lines[1:]:
        yield " " * indent + line


def _row(kind: str, text: str, width: int) -> Iterator[str]:
    label = click.style({**MARKS, **OTHER}[kind], **LOOKS[kind])  # type: ignore[arg-type]
    yield from _wrapped(plain(text), width=width, first=f"  {label}", indent=INDENT)


def _of(scene: SceneRecord, detections: Detections, names: Mapping[str, str]) -> list[Observation]:
    """Return what was seen in a scene, in the order of the site's tracks and along them."""
    order = {key: number for number, key in enumerate(names)}
    seen = [item for item in detections.observations if item.scene == scene.id]
    return sorted(seen, key=lambda item: (order.get(item.track or "", len(order)), item.start_m or 0.0))


def _before(scene: SceneRecord, detections: Detections) -> SceneRecord | None:
    """Return the look before this one by the same sensor."""
    alike = [
        other
        for other in detections.scenes
        if other.when < scene.when and other.sensor == scene.sensor and other.status == "used"
    ]
    return max(alike, key=lambda other: other.when, default=None)


def _scene(scene: SceneRecord, detections: Detections, names: Mapping[str, str], width: int) -> Iterator[str]:
    simulated = "  SIMULATED" if scene.simulated else ""
    yield click.style(f"{stamp(scene.when)}  {plain(scene.sensor)}{simulated}", bold=True)
    if scene.status == "skipped":
        yield from _row("unknown", f"Nothing could be judged: {scene.reason}.", width)
        return
    seen = _of(scene, detections, names)
    for item in seen:
        if item.kind in ("train", "train-on-bridge"):
            yield from _row("occupied", _train(item, scene, names), width)
    before = _before(scene, detections)
    for item in departed(scene, seen, before, _of(before, detections, names)) if before else ():
        if item.kind != "cargo":
            yield from _row("gone", f"{names.get(item.track or '', item.track)}: {_left(item)}.", width)
    for text in _empty([look for look in scene.tracks if look.state == "empty"], names):
        yield from _row("empty", text, width)
    for text in _unknown([look for look in scene.tracks if look.state == "unknown"], names):
        yield from _row("unknown", text, width)
    yield from _ground(scene, seen, names, width)


def _train(item: Observation, scene: SceneRecord, names: Mapping[str, str]) -> str:
    place = " or ".join(names.get(track, track) for track in item.tracks or (item.track or "",))
    parts = [f"train of {_length(item)}"]
    if item.railcars is not None and item.railcars_95 is not None:
        parts.append(f"about {_many(item.railcars, 'railcar')} {_interval(item.railcars_95)}")
    parts.append(item.likelihood)
    parts += _since(item)
    if item.same_as is not None and item.same_as_when is not None:
        where = "" if item.same_as_site in (None, item.site) else f" at {item.same_as_site}"
        parts.append(f"appears to be the train of {_minute(item.same_as_when)}{where}")
    look = next((look for look in scene.tracks if look.track == item.track), None)
    if look is not None and look.visibility == "partial":
        parts.append(f"{_percent(look.visible_fraction)} of the track in view")
    return f"{place}: {', '.join(parts)}."


def _minute(when: datetime) -> str:
    """2022-11-30 02:11; the head of the scene says that it is UTC."""
    return when.strftime("%Y-%m-%d %H:%M")


def _since(item: Observation) -> list[str]:
    if item.change == "arrived" and item.last_clear_before is not None:
        return [f"arrived since {_minute(item.last_clear_before)}"]
    if item.change == "standing":
        return [f"there since {_minute(item.first_seen)} or before"]
    return []


def _left(item: Observation) -> str:
    """Say of a train what it was and when it was last seen."""
    last = "" if item.last_clear_before is None else f" seen {_minute(item.last_clear_before)}"
    return f"the train of {item.length_m:.0f} m{last} is not there any more"


def _interval(pair: Sequence[float]) -> str:
    low, high = pair
    return f"(95 %: {low:.0f}-{high:.0f})"


def _length(item: Observation) -> str:
    spread = "" if item.length_m_95 is None else f" {_interval(item.length_m_95)}"
    return f"{item.length_m:.0f} m{spread}" if item.length_m is not None else "unknown length"


def _percent(fraction: float) -> str:
    return "under 1 %" if 0 < fraction < 0.01 else f"{100 * fraction:.0f} %"


def _listed(looks: Iterable[TrackLook | ApronLook], names: Mapping[str, str]) -> str:
    parts = []
    for look in looks:
        key = look.track if isinstance(look, TrackLook) else look.apron
        partly = f" ({_percent(look.visible_fraction)} in view)" if look.visibility == "partial" else ""
        parts.append(names.get(key, key) + partly)
    return ", ".join(_without_repeats(parts))


def _without_repeats(names: Sequence[str]) -> Iterator[str]:
    """Track 1, Track 2, Track 5 (half) become Track 1, 2, 5 (half)."""
    stem = None
    for name in names:
        match = re.fullmatch(r"(\D+ )(\d.*)", name)
        yield match[2] if match and match[1] == stem else name
        stem = match[1] if match else None


def _empty(looks: Sequence[TrackLook], names: Mapping[str, str]) -> Iterator[str]:
    if not looks:
        return
    limits = [look.shortest_detectable_m for look in looks if look.shortest_detectable_m is not None]
    if len(limits) < len(looks):
        sure = "How short a train would have shown could not be told."
    elif max(limits) <= RAILCAR_M:
        sure = f"Even one railcar would {LIMIT_WORD} have shown."
    else:
        sure = f"A train of {math.ceil(max(limits))} m or longer would {LIMIT_WORD} have shown."
    yield f"{_listed(looks, names)}. {sure}"


def _unknown(looks: Sequence[TrackLook | ApronLook], names: Mapping[str, str]) -> Iterator[str]:
    for reason in dict.fromkeys(look.reason for look in looks):
        alike = [look for look in looks if look.reason == reason]
        yield f"{_listed(alike, names)}: could not be judged ({reason or 'hidden'})."


def _ground(scene: SceneRecord, seen: Sequence[Observation], names: Mapping[str, str], width: int) -> Iterator[str]:
    """Rows on what lies beside the tracks."""
    for look in scene.aprons:
        here = [item for item in seen if item.kind == "cargo" and item.apron == look.apron]
        if here:
            yield from _row("cargo", _cargo(here, look, names), width)
    hidden = [look for look in scene.aprons if look.fill_fraction is None]
    for text in _unknown(hidden, names):
        yield from _row("unknown", text, width)
    changes = [item for item in seen if item.kind == "change"]
    if changes:
        area = sum(item.area_m2 or 0 for item in changes)
        sure = min(changes, key=lambda item: item.p_value).likelihood
        places = _many(len(changes), "place looks", "places look")
        yield from _row("change", f"{places} different from before, about {area:.0f} m² in all, {sure}.", width)


def _cargo(here: Sequence[Observation], look: ApronLook, names: Mapping[str, str]) -> str:
    area = sum(item.area_m2 or 0 for item in here)
    low = sum(item.area_m2_95[0] if item.area_m2_95 else item.area_m2 or 0 for item in here)
    high = sum(item.area_m2_95[1] if item.area_m2_95 else item.area_m2 or 0 for item in here)
    sure = min(here, key=lambda item: item.p_value).likelihood
    fill = "" if look.fill_fraction is None else f", on {_percent(look.fill_fraction)} of the ground in view"
    pieces = _many(len(here), "patch", "patches")
    return f"{names.get(look.apron, look.apron)}: {pieces}, {area:.0f} m² {_interval((low, high))}, {sure}{fill}."


def _gathered(detections: Detections) -> list[str]:
    """Give one line to what is said alike of several scenes."""
    scenes = {scene.id for scene in detections.scenes}
    owners: dict[str, list[str]] = {}
    for line in detections.warnings:
        owner, _, rest = line.partition(": ")
        key = rest if owner in scenes else line
        owners.setdefault(key, []).append(owner if owner in scenes else "")
    return [_owned(text, names) for text, names in owners.items()]


def _owned(text: str, names: Sequence[str]) -> str:
    if names == [""]:
        return text
    return f"{names[0] if len(names) == 1 else f'{len(names)} scenes'}: {text}"


def _section(title: str, lines: Sequence[str], width: int) -> Iterator[str]:
    if not lines:
        return
    yield ""
    yield click.style(title, bold=True)
    for line in lines:
        yield from _wrapped(plain(line), width=width, first=" ", indent=2)
