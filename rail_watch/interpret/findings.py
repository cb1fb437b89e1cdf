"""Everything one sensor's stack says of one site."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rail_watch.aoi.site import Site
from rail_watch.change.measure import measure
from rail_watch.change.radiometry import fit_radiometry
from rail_watch.interpret.cargo import ApronState, aprons_of
from rail_watch.interpret.changes import Patch, patches_of
from rail_watch.interpret.controls import controls_of
from rail_watch.interpret.deck import motions_of
from rail_watch.interpret.hidden import in_sight
from rail_watch.interpret.kinds import CarKind, kinds_of
from rail_watch.interpret.limits import detection_limits
from rail_watch.interpret.looks import REASONS, Looks, judge
from rail_watch.interpret.motion import Motion
from rail_watch.interpret.radar import RadarFindings, activity_of
from rail_watch.interpret.rounds import solve
from rail_watch.interpret.shadows import SunState
from rail_watch.interpret.strips import FINE_GSD_M, Strip, make_strips
from rail_watch.interpret.trains import Train, trains_of
from rail_watch.interpret.yard import make_yard
from rail_watch.prepare.stack import Stack
from rail_watch.prepare.zones import zones_of


@dataclass(frozen=True)
class Findings:
    """What was found and what could not be, per track (k, in the order of `strips`) and scene (t)."""

    strips: Sequence[Strip]
    looks: Looks | None
    """None for a site without tracks and decks."""
    trains: tuple[Train, ...]
    limits_m: NDArray[np.float64]
    """(K, T) shortest train that would have been seen; NaN where nothing could be."""
    aprons: tuple[ApronState, ...]
    patches: tuple[Patch, ...]
    levels: NDArray[np.float64]
    """(T, B) middle value of the site's open ground, against which colours are compared between scenes."""
    clear_fraction: NDArray[np.float64]
    """(T,) share of the site that could be judged."""
    hidden_by: tuple[str | None, ...]
    """(T,) what hid most of the rest of the site, in words."""
    radar: RadarFindings | None = None
    """What radar says of the yard as a whole; of single tracks it says nothing."""
    motions: tuple[Motion | None, ...] = ()
    """How each of `trains` moves; None where the sensor's bands cannot tell."""
    sun_states: tuple[SunState, ...] = ()
    """(T,) what the picture says of the sun that was stated; empty where nothing was asked."""
    kinds: tuple[tuple[CarKind, ...], ...] = ()
    """Of each of `trains`, of each of its cars; empty where cars cannot be told apart."""

    def motion_of(self, train: Train) -> Motion | None:
        """How one of `trains` moves."""
        return dict(zip(self.trains, self.motions, strict=False)).get(train)

    def kinds_of(self, train: Train) -> tuple[CarKind, ...]:
        """Kinds of the cars of one of `trains`."""
        return dict(zip(self.trains, self.kinds, strict=False)).get(train, ())

    def tracks_of(self, train: Train, *, gsd_m: float) -> tuple[str, ...]:
        """Ids of the tracks the train may stand on: its own first, then those the pixels cannot tell from it."""
        own = self.strips[train.strip]
        if gsd_m <= FINE_GSD_M:
            return (own.track,)
        middle = own.line.interpolate(0.5 * (train.start_m + train.end_m))
        near = [(s.line.distance(middle), s.track) for s in self.strips if s is not own]
        return (own.track, *(track for distance, track in sorted(near) if distance < 0.75 * gsd_m))


def interpret(stack: Stack, site: Site, *, false_alarm_rate: float, trains_only: bool = False) -> Findings:
    """Judge every track, apron and the rest of the site at every scene of a stack.

    With `trains_only` detection limits, aprons and the rest of the site are left out, which are a good part of the
    work.
    """
    zones = zones_of(site, stack.grid)
    radiometry = fit_radiometry(stack, zones)
    change = measure(stack, zones, radiometry=radiometry)
    stack, ground = in_sight(stack, change, aprons=zones.aprons, tracks=zones.tracks)
    strips = make_strips(stack, site)
    looks: Looks | None = None
    trains: list[Train] = []
    motions: tuple[Motion | None, ...] = ()
    kinds: tuple[tuple[CarKind, ...], ...] = ()
    suns: tuple[SunState, ...] = ()
    shortest = np.full((len(strips), len(stack.scenes)), np.nan)
    if strips:
        yard = make_yard(stack, site, strips, radiometry)
        models = solve(yard)
        suns = tuple(yard.sun_states)
        stack, ground = (_with_suns(each, suns) for each in (stack, ground))
        looks = judge(yard, models, controls_of(stack, site, radiometry))
        trains = trains_of(yard, looks, models, false_alarm_rate=false_alarm_rate)
        motions = motions_of(yard, models, stack.scenes, trains)
        if not trains_only:
            kinds = kinds_of(yard, stack, site, models, trains)
            shortest = detection_limits(yard, looks, models, false_alarm_rate=false_alarm_rate)
    aprons: list[ApronState] = []
    patches: list[Patch] = []
    if not trains_only:
        blocked = zones.tracks | zones.sheds | zones.exclude
        aprons = aprons_of(ground, site, radiometry=radiometry, blocked=blocked, false_alarm_rate=false_alarm_rate)
        patches = patches_of(change, ground, site)
    usual = zones.ground & zones.site
    levels = np.array(
        [[float(np.median(b[m])) if (m := usual & np.isfinite(b)).any() else np.nan for b in p] for p in stack.pixels]
    )
    return Findings(
        strips=strips,
        looks=looks,
        trains=tuple(trains),
        motions=motions,
        kinds=kinds,
        sun_states=suns,
        limits_m=shortest,
        aprons=tuple(aprons),
        patches=tuple(patches),
        levels=levels,
        clear_fraction=(stack.clear() & zones.site).sum(axis=(1, 2)) / max(int(zones.site.sum()), 1),
        hidden_by=tuple(_hidden_by(quality[zones.site]) for quality in stack.quality),
    )


def interpret_radar(stack: Stack, site: Site, *, false_alarm_rate: float) -> Findings:
    """Judge how busy the yard is at every scene of a radar stack; tracks and aprons stay unknown."""
    radar = activity_of(stack, site, false_alarm_rate=false_alarm_rate)
    times = len(stack.scenes)
    return Findings(
        strips=(),
        looks=None,
        trains=(),
        limits_m=np.empty((0, times)),
        aprons=(),
        patches=radar.patches,
        levels=np.empty((times, 0)),
        clear_fraction=np.asarray(radar.clear_fraction, dtype=np.float64),
        hidden_by=tuple(look.reason for look in radar.looks),
        radar=radar,
    )


def _with_suns(stack: Stack, states: Sequence[SunState]) -> Stack:
    """Return the stack with no sun where the trains contradict the one that was stated: nothing is measured by it."""
    scenes = [
        ref if state == SunState.UNDISPUTED else replace(ref, sun_azimuth_deg=0.0, sun_elevation_deg=0.0)
        for ref, state in zip(stack.scenes, states, strict=True)
    ]
    return replace(stack, scenes=tuple(scenes))


def _hidden_by(quality: NDArray[np.uint8]) -> str | None:
    counts = {name: int((quality == code).sum()) for code, name in REASONS.items()}
    worst = max(counts, key=lambda name: counts[name])
    return worst if counts[worst] else None
