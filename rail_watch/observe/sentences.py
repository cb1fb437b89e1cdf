"""What was seen, in sentences: what, where, how much, against what, and what cannot be told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from rail_watch.aoi.site import Area, Bridge, Site, Track
from rail_watch.observe.moving import movement_sentence
from rail_watch.observe.records import Observation, SceneRecord, TrackLook


def stamp(when: datetime) -> str:
    """2022-11-30 02:11 UTC."""
    return when.strftime("%Y-%m-%d %H:%M UTC")


def names_of(site: Site) -> Mapping[str, str]:
    """Id to name of every track, deck and apron."""
    items: list[Track | Bridge | Area] = [*site.tracks, *site.bridges, *site.aprons]
    return {item.id: item.name or item.id for item in items}


def _inline(name: str) -> str:
    """Name for the middle of a sentence: "Track 2" becomes "track 2", a proper name stays."""
    common = ("Track", "Apron", "The", "Station", "Siding")
    return name[0].lower() + name[1:] if name.split(" ", maxsplit=1)[0] in common else name


def _cars(item: Observation) -> str:
    if item.railcars is None or item.railcars_95 is None:
        return ""
    low, high = item.railcars_95
    many = "railcar" if item.railcars == 1 else "railcars"
    return f" of about {item.railcars} {many} (95 %: {low}-{high})"


def _length(item: Observation) -> str:
    assert item.length_m is not None
    return f"{item.length_m:.0f} m long"


def _before(item: Observation) -> str:
    if item.last_clear_before is None:
        return " No earlier clear look at this place is at hand."
    day = stamp(item.last_clear_before)
    if item.kind == "cargo" and item.change == "standing":
        return f" {_growth(item)} since the previous clear look, {day}."
    if item.change == "standing":
        return f" Something alike stood there at the previous clear look, {day}."
    place = "ground" if item.track is None else "track"
    return f" The previous clear look, {day}, showed the {place} empty there."


def _growth(item: Observation) -> str:
    """Say what has become of a heap; that it grew or shrank only where the intervals of its area do not meet."""
    if item.area_m2_95 is None or item.area_m2_before_95 is None:
        return "It has lain there"
    low, high = item.area_m2_before_95
    if item.area_m2_95[0] > high:
        return f"It has grown from between {low:.0f} and {high:.0f} m² (95 %)"
    if item.area_m2_95[1] < low:
        return f"It has shrunk from between {low:.0f} and {high:.0f} m² (95 %)"
    return "It has not measurably grown or shrunk"


def _same(item: Observation, site_names: Mapping[str, str]) -> str:
    if item.same_as is None or item.same_as_when is None:
        return ""
    where = (
        "" if item.same_as_site == item.site else f" at {site_names.get(item.same_as_site or '', item.same_as_site)}"
    )
    return f"; what appears to be the train seen{where} at {stamp(item.same_as_when)}"


def text_of(item: Observation, site: Site, *, site_names: Mapping[str, str]) -> str:
    """One or two sentences on one observation."""
    names = names_of(site)
    if item.kind in ("train", "train-on-bridge"):
        return _train_text(item, names, site_names)
    assert item.area_m2 is not None
    if item.kind == "cargo":
        place = _inline(names.get(item.apron or "", item.apron or ""))
        size = f"about {item.area_m2:.0f} m²{_high(item)}"
        return f"A patch of what may be cargo, {size}, lies on {place}.{_before(item)}"
    return f"About {item.area_m2:.0f} m² of ground look different from before.{_before(item)}"


def _high(item: Observation) -> str:
    if item.height_m is None or item.height_m_95 is None:
        return ""
    low, high = item.height_m_95
    return f" and {item.height_m:.1f} m high (95 %: {low:.1f}-{high:.1f})"


def _train_text(item: Observation, names: Mapping[str, str], site_names: Mapping[str, str]) -> str:
    place = _inline(names.get(item.track or "", item.track or ""))
    on_bridge = item.kind == "train-on-bridge"
    passing = item.movement is not None and item.movement.moving
    on = f"is on {place}" if on_bridge or passing else f"stands on {place}"
    if len(item.tracks) > 1:
        others = ", ".join(_inline(names.get(t, t)) for t in item.tracks[1:])
        on += f" (or {others}: this sensor cannot tell them apart)"
    moved = movement_sentence(item.movement, on_bridge=on_bridge)
    told = f" {moved}" if moved else ""
    return f"A train{_cars(item)}, {_length(item)}, {on}{_same(item, site_names)}.{told}{_before(item)}"


def _cargo_sentence(items: Sequence[Observation], site: Site) -> str:
    names = names_of(site)
    parts = []
    for apron in dict.fromkeys(item.apron for item in items):
        here = [item for item in items if item.apron == apron]
        total = sum(item.area_m2 or 0 for item in here)
        pieces = "1 patch" if len(here) == 1 else f"{len(here)} patches"
        place = _inline(names.get(apron or "", apron or ""))
        parts.append(f"{pieces} of what may be cargo, about {total:.0f} m² in all, on {place}")
    return "; ".join(parts) + "."


def _gone(scene: SceneRecord, scenes: Sequence[SceneRecord], observations: Sequence[Observation]) -> list[Observation]:
    """Cargo of the sensor's previous clear look on aprons that this scene shows clearly, and shows no more.

    Heaps too small to be found nine times in ten may merely have been missed, and are passed over.
    """
    out: list[Observation] = []
    kept = {item.same_as for item in observations if item.scene == scene.id and item.kind == "cargo"}
    here = [item.geometry for item in observations if item.scene == scene.id and item.kind == "cargo"]
    for look in scene.aprons:
        if look.visibility != "clear" or look.smallest_detectable_m2 is None:
            continue
        earlier = [
            other
            for other in scenes
            if other.sensor == scene.sensor
            and other.when < scene.when
            and other.status == "used"
            and any(one.apron == look.apron and one.visibility == "clear" for one in other.aprons)
        ]
        if earlier:
            before = max(earlier, key=lambda other: other.when).id
            lay = [o for o in observations if o.scene == before and o.kind == "cargo" and o.apron == look.apron]
            plain = [o for o in lay if (o.area_m2 or 0.0) >= look.smallest_detectable_m2]
            out += [o for o in plain if o.id not in kept and not any(o.geometry.intersects(part) for part in here)]
    return out


def _gone_sentence(gone: Sequence[Observation], site: Site) -> str:
    names = names_of(site)
    parts = []
    for apron in dict.fromkeys(item.apron for item in gone):
        lost = [item for item in gone if item.apron == apron]
        total = sum(item.area_m2 or 0 for item in lost)
        pieces = "1 patch" if len(lost) == 1 else f"{len(lost)} patches"
        since = stamp(max(item.when for item in lost))
        place = _inline(names.get(apron or "", apron or ""))
        parts.append(f"{pieces} of what may have been cargo, about {total:.0f} m² in all, seen {since} on {place}")
    return "; ".join(parts) + (": gone." if len(gone) == 1 else ": all gone.")


def _nothing(scene: SceneRecord) -> str:
    seen = [look for look in scene.tracks if look.state == "empty"]
    unknown = [look for look in scene.tracks if look.state == "unknown"]
    if scene.activity is not None:
        return scene.activity
    if not scene.tracks:
        return "nothing new to be seen."
    if not seen:
        return f"none of the tracks could be seen or judged ({_reasons(scene)})."
    hidden = f"; {len(unknown)} could not be seen or judged ({_reasons(scene)})" if unknown else ""
    many = "1 track" if len(seen) == 1 else f"{len(seen)} tracks"
    return f"no train on {many} that could be seen; {_sure(seen)}{hidden}."


def _sure(seen: Sequence[TrackLook]) -> str:
    """Say what an empty track would have shown, and of which tracks that cannot be told."""
    limits = [look.shortest_detectable_m for look in seen if look.shortest_detectable_m is not None]
    if not limits:
        return "how short a train would have been seen could not be told"
    sure = f"a train longer than {max(limits):.0f} m would most likely have been seen"
    if len(limits) == len(seen):
        return sure
    others = "the other" if len(seen) - len(limits) == 1 else "the others"
    return f"on {len(limits)} of them {sure}, of {others} that could not be told"


def _reasons(scene: SceneRecord) -> str:
    reasons = [look.reason for look in scene.tracks if look.state == "unknown" and look.reason]
    return ", ".join(dict.fromkeys(reasons)) or scene.reason or "hidden"


def summary_of(site: Site, scenes: Sequence[SceneRecord], observations: Sequence[Observation]) -> tuple[str, ...]:
    """Lines of an analyst's log, one or more per scene, in order of time."""
    lines = []
    for scene in scenes:
        if scene.status == "baseline":
            continue
        head = f"{stamp(scene.when)}, {scene.sensor}: "
        if scene.status == "skipped":
            lines.append(f"{head}could not be judged ({scene.reason}).")
            continue
        here = [item for item in observations if item.scene == scene.id]
        trains = [item for item in here if item.kind in ("train", "train-on-bridge")]
        for item in trains:
            lines.append(head + item.text[0].lower() + item.text[1:])
        if not trains:
            lines.append(head + _nothing(scene))
        cargo = [item for item in here if item.kind == "cargo"]
        if cargo:
            lines.append(head + _cargo_sentence(cargo, site))
        gone = _gone(scene, scenes, observations)
        if gone:
            lines.append(head + _gone_sentence(gone, site))
        changed = [item for item in here if item.kind == "change"]
        if changed:
            total = sum(item.area_m2 or 0 for item in changed)
            many = "1 place looks" if len(changed) == 1 else f"{len(changed)} places look"
            lines.append(f"{head}{many} different from before, about {total:.0f} m² in all.")
    return tuple(lines)
