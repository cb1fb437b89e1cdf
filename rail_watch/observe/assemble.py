"""Findings turned into records: scenes with their looks, and observations with their intervals."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from shapely import Polygon
from shapely.ops import substring

from rail_watch.aoi.site import Site
from rail_watch.grid import WGS84
from rail_watch.imagery.scene import Scene, SceneRef, Unread
from rail_watch.interpret.cargo import ApronState, Pile
from rail_watch.interpret.changes import Patch
from rail_watch.interpret.findings import Findings
from rail_watch.interpret.kinds import UNTOLD
from rail_watch.interpret.looks import LEAST_VISIBLE
from rail_watch.interpret.radar import in_words, track_reason
from rail_watch.interpret.shadows import SunState, sun_over
from rail_watch.interpret.signature import Signature
from rail_watch.interpret.trains import Train
from rail_watch.observe.moving import movement_of
from rail_watch.observe.records import (
    SUN_ELSEWHERE,
    SUN_SHADOWLESS,
    ApronLook,
    Car,
    Kind,
    Observation,
    SceneRecord,
    TrackLook,
    Visibility,
)
from rail_watch.observe.words import likelihood_of_p_value
from rail_watch.prepare.stack import Stack
from rail_watch.prepare.zones import local_frame, reproject

SUN_NOTES = {
    SunState.ELSEWHERE: SUN_ELSEWHERE,
    SunState.SHADOWLESS: SUN_SHADOWLESS,
}
VISIBLE = ("blue", "green", "red")
"""Bands whose mean is a car's lightness, so that sensors with and without near infrared see the same."""
UNSURE_REASON = "something shows, too little to be sure of a train"
CLEARLY_EMPTY = 0.3
"""A track that a neighbour's train may stand on is called empty only when its own p-value is above this."""


@dataclass(frozen=True)
class Judged:
    """One sensor's part of a run."""

    stack: Stack
    scenes: tuple[Scene, ...]
    findings: Findings
    note: str | None = None
    """What was done to the site before it was judged, in words."""


def observation_id(*parts: object) -> str:
    """Return an id that the same inputs always give."""
    text = "|".join(f"{p:.1f}" if isinstance(p, float) else str(p) for p in parts)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def visibility_of(fraction: float) -> Visibility:
    """Name the share of a track in sight."""
    if fraction < 0.02:
        return "not-visible"
    return "clear" if fraction > 0.98 else "partial"


def track_looks(judged: Judged, site: Site, t: int) -> tuple[TrackLook, ...]:
    """One row for every track and deck of the site at one scene."""
    findings = judged.findings
    if findings.radar is not None:
        return unseen_rows(site, track_reason(judged.stack.gsd_m))
    if findings.looks is None:
        return ()
    rows = []
    here = [train for train in findings.trains if train.scene == t]
    shared = {name for train in here for name in findings.tracks_of(train, gsd_m=judged.stack.gsd_m)[1:]}
    for k, strip in enumerate(findings.strips):
        fraction = float(findings.looks.visible_fraction[k, t])
        p_value = float(findings.looks.p_value[k, t])
        known = np.isfinite(p_value)
        trains = [train for train in here if train.strip == k]
        limit = float(findings.limits_m[k, t])
        doubtful = strip.track in shared and not (known and p_value > CLEARLY_EMPTY)
        unsure = findings.looks.unsure(k, t)
        empty = known and fraction >= LEAST_VISIBLE and not doubtful and not unsure
        reason = findings.looks.reason[k][t]
        if doubtful and not trains:
            reason = "a train stands here or on a neighbouring track"
        elif unsure and not trains:
            reason = UNSURE_REASON
        rows.append(
            TrackLook(
                track=strip.track,
                visibility=visibility_of(fraction),
                visible_fraction=fraction,
                state="occupied" if trains else "empty" if empty else "unknown",
                p_value=p_value if known else None,
                shortest_detectable_m=limit if np.isfinite(limit) else None,
                reason=reason,
                role="bridge" if strip.is_bridge else "track",
            )
        )
    return tuple(rows)


def apron_looks(states: Sequence[ApronState], t: int) -> tuple[ApronLook, ...]:
    """One row for every apron at one scene."""
    return tuple(
        ApronLook(
            apron=state.apron,
            visibility=visibility_of(state.visible_fraction),
            visible_fraction=state.visible_fraction,
            fill_fraction=state.fill_fraction,
            fill_fraction_95=state.fill_95,
            smallest_detectable_m2=state.smallest_m2,
            reason=state.reason,
        )
        for state in states
        if state.scene == t
    )


def unseen_rows(site: Site, reason: str) -> tuple[TrackLook, ...]:
    """Rows of a scene in which nothing could be judged."""
    tracks = [TrackLook(t.id, "not-visible", 0.0, "unknown", None, None, reason, "track") for t in site.tracks]
    decks = [TrackLook(b.id, "not-visible", 0.0, "unknown", None, None, reason, "bridge") for b in site.bridges]
    return (*tracks, *decks)


def skipped_scene(ref: SceneRef, site: Site, *, sensor: str, reason: str) -> SceneRecord:
    """Record of a scene that gave nothing, with the reason."""
    return SceneRecord(
        id=ref.id,
        when=ref.when,
        platform=ref.platform,
        sensor=sensor,
        gsd_m=ref.gsd_m or 0.0,
        status="skipped",
        reason=reason,
        clear_fraction=0.0,
        shift_m=None,
        shift_error_m=None,
        sun_azimuth_deg=ref.sun_azimuth_deg,
        sun_elevation_deg=ref.sun_elevation_deg,
        simulated=ref.simulated,
        credit=ref.credit,
        tracks=unseen_rows(site, reason),
    )


def _sun_note(findings: Findings, t: int) -> tuple[str, ...]:
    """Say where the picture contradicts the sun that was stated."""
    if not findings.sun_states or findings.sun_states[t] not in SUN_NOTES:
        return ()
    return (SUN_NOTES[findings.sun_states[t]],)


def scene_record(judged: Judged, site: Site, t: int, *, baseline: bool) -> SceneRecord:
    """Record of one scene of a stack."""
    stack, scene = judged.stack, judged.scenes[t]
    ref = scene.ref
    clear = float(judged.findings.clear_fraction[t])
    centre = site.polygon.centroid
    azimuth, elevation = sun_over(ref, (centre.x, centre.y))
    aligned = bool(np.isfinite(stack.shift_error_m[t])) or bool(np.any(stack.shift_m[t] != 0))
    looks = track_looks(judged, site, t)
    # No track in sight and hardly any ground: the scene gave nothing.
    hidden = clear < 0.02 and not any(look.p_value is not None for look in looks)
    radar = judged.findings.radar
    hidden = hidden if radar is None else not bool(np.isfinite(radar.p_value[t]).any())
    reason = (judged.findings.hidden_by[t] or "nothing to compare it with") if hidden else None
    return SceneRecord(
        id=ref.id,
        when=ref.when,
        platform=ref.platform,
        sensor=stack.sensor,
        gsd_m=ref.gsd_m or round(stack.gsd_m, 3),
        status="skipped" if hidden else "baseline" if baseline else "used",
        reason=reason,
        clear_fraction=clear,
        shift_m=(float(stack.shift_m[t, 0]), float(stack.shift_m[t, 1])) if aligned else None,
        shift_error_m=float(stack.shift_error_m[t]) if np.isfinite(stack.shift_error_m[t]) else None,
        sun_azimuth_deg=azimuth,
        sun_elevation_deg=elevation,
        simulated=ref.simulated,
        credit=ref.credit,
        tracks=looks,
        aprons=apron_looks(judged.findings.aprons, t),
        digests=scene.digests,
        notes=(*scene.notes, *_sun_note(judged.findings, t)),
        activity=None if radar is None else in_words(radar.looks[t]),
    )


def outline(site: Site, judged: Judged, train: Train) -> Polygon:
    """Footprint of a train on the ground, lon/lat."""
    frame = local_frame(site)
    line = substring(judged.findings.strips[train.strip].line, train.start_m, train.end_m)
    return reproject(line.buffer(1.6, cap_style="flat"), frame, WGS84)


def rgb_of(judged: Judged, colour: Sequence[float]) -> tuple[float, float, float]:
    """Red, green and blue of a car's colour; grey where the sensor has no colours."""
    bands = judged.stack.bands
    values = dict(zip(bands, colour, strict=True))
    grey = float(np.mean(colour))
    red, green, blue = (float(np.clip(values.get(name, grey), 0, 1)) for name in ("red", "green", "blue"))
    return red, green, blue


def cars_of(judged: Judged, train: Train) -> tuple[Car, ...]:
    """List the cars of a train with their places along the track."""
    edges = train.edges_m
    kinds = judged.findings.kinds_of(train) or (UNTOLD,) * len(train.colours)
    return (
        tuple(
            Car(a, b, rgb_of(judged, colour), kind.kind, kind.p)
            for (a, b), colour, kind in zip(pairwise(edges), train.colours, kinds, strict=True)
        )
        if edges
        else ()
    )


def signature_of(judged: Judged, train: Train) -> Signature | None:
    """Return the order of lengths and colours of a train's cars; None where cars cannot be told apart."""
    cars = cars_of(judged, train)
    if not cars or train.count is None or judged.findings.levels.shape[1] == 0:
        return None
    level = np.maximum(judged.findings.levels[train.scene], 1e-6)
    logs = np.log(np.maximum(np.array(train.colours), 1e-6) / level)
    if not np.isfinite(logs).all():
        return None
    bands = dict(zip(judged.stack.bands, logs.T, strict=True))
    seen = [bands[name] for name in VISIBLE if name in bands] or list(bands.values())
    untold = np.full(len(logs), np.nan)
    red = bands.get("red", untold)
    colours = [np.mean(seen, axis=0), bands.get("blue", untold) - red, bands.get("nir", untold) - red]
    return Signature(np.array([c.end_m - c.start_m for c in cars]), np.stack(colours, axis=1))


def train_observation(site: Site, judged: Judged, train: Train) -> Observation:
    """Make the observation of one train, before it is compared with others."""
    strip = judged.findings.strips[train.strip]
    ref = judged.stack.scenes[train.scene]
    count = train.count
    middle = int(np.clip(0.5 * (train.start_m + train.end_m) / strip.step_m, 0, len(strip.heading_deg) - 1))
    return Observation(
        id=observation_id("train", site.id, ref.id, strip.track, train.start_m, train.end_m),
        kind="train-on-bridge" if strip.is_bridge else "train",
        site=site.id,
        scene=ref.id,
        when=ref.when,
        geometry=outline(site, judged, train),
        track=strip.track,
        tracks=judged.findings.tracks_of(train, gsd_m=judged.stack.gsd_m),
        apron=None,
        start_m=train.start_m,
        end_m=train.end_m,
        length_m=train.length_m,
        length_m_95=train.length_95,
        railcars=count.count if count else None,
        railcars_95=count.count_95 if count else None,
        cars=cars_of(judged, train),
        area_m2=None,
        area_m2_95=None,
        height_m=None,
        p_value=train.p_value,
        likelihood=likelihood_of_p_value(train.p_value),
        change="unknown",
        last_clear_before=None,
        first_seen=ref.when,
        same_as=None,
        same_as_p=None,
        movement=movement_of(judged.findings.motion_of(train), float(strip.heading_deg[middle])),
    )


def _area_observation(
    site: Site, ref: SceneRef, item: Pile | Patch, *, apron: str | None, interval: tuple[float, float] | None
) -> Observation:
    kind: Kind = "cargo" if apron is not None else "change"
    centre = item.polygon.centroid
    height = item.height if isinstance(item, Pile) else None
    return Observation(
        id=observation_id(kind, site.id, ref.id, apron or "", f"{centre.x:.6f}", f"{centre.y:.6f}"),
        kind=kind,
        site=site.id,
        scene=ref.id,
        when=ref.when,
        geometry=item.polygon,
        track=None,
        tracks=(),
        apron=apron,
        start_m=None,
        end_m=None,
        length_m=None,
        length_m_95=None,
        railcars=None,
        railcars_95=None,
        cars=(),
        area_m2=item.area_m2,
        area_m2_95=interval,
        height_m=height.height_m if height else None,
        height_m_95=height.height_m_95 if height else None,
        p_value=item.p_value,
        likelihood=likelihood_of_p_value(item.p_value),
        change="unknown",
        last_clear_before=None,
        first_seen=ref.when,
        same_as=None,
        same_as_p=None,
    )


def observations_of(site: Site, judged: Judged, used: NDArray[np.bool_]) -> list[tuple[Observation, Signature | None]]:
    """List everything seen at the scenes asked for, with the trains' signatures."""
    refs, findings = judged.stack.scenes, judged.findings
    found: list[tuple[Observation, Signature | None]] = [
        (train_observation(site, judged, train), signature_of(judged, train))
        for train in findings.trains
        if used[train.scene]
    ]
    for state in findings.aprons:
        for pile in state.piles if used[state.scene] else ():
            ref = refs[pile.scene]
            found.append((_area_observation(site, ref, pile, apron=pile.apron, interval=pile.area_m2_95), None))
    for patch in findings.patches:
        if used[patch.scene]:
            found.append((_area_observation(site, refs[patch.scene], patch, apron=None, interval=None), None))
    return found


__all__ = ["Judged", "Unread", "observations_of", "replace", "scene_record", "skipped_scene"]
