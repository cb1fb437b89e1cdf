"""Lay a site's lines onto its imagery: one translation and rotation for all, then each line's own offsets.

How, what it assumes and where it fails: docs/method-refine.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import LineString, Polygon

from rail_watch.aoi.site import Area, Bridge, Site, Track
from rail_watch.grid import WGS84
from rail_watch.interpret.refine_along import OWN_M, Course, courses_of
from rail_watch.interpret.refine_joint import COARSE_PIXELS, Joint, Search, Yardstick, climbed, find_joint, yardstick_of
from rail_watch.interpret.refine_match import FAR_M, Pose
from rail_watch.interpret.refine_picture import BANDS, Array, Ground, Picture, ground_of, pictures_of, readings, thinned
from rail_watch.interpret.strips import FINE_GSD_M, MIDDLE_GSD_M
from rail_watch.prepare.stack import Stack
from rail_watch.prepare.zones import local_frame, reproject

Floats = NDArray[np.float64]
Item = TypeVar("Item", Track, Bridge)

REACH_M = 12.0
"""Errors up to this are looked for unless something else is asked."""
LEAST_SCENES = 4
"""Two for each half of the series, so that the halves can be held against each other."""
LEAST_PIXELS = 400
CLEAR_LEAD = 2.0
"""The best place must beat every other by so many standard errors."""
SAME_M = 2.0
"""Two ways to look at the ground must agree within this (or a pixel): half the spacing of tracks is more."""
HALVES_M, HALVES_PX = 1.0, 0.5
"""The halves of the series must agree within this, the larger of metres and pixels."""
BIAS_PX = 0.15
"""What light from one side and unlike surroundings may pull all lines by, in pixels: as measured at 3 m."""
UNSEEN_M = 0.6
"""Standard error of one line's place among the others where the pixels are too coarse to measure it."""
ROOM_M = 0.2
"""An offset closer than this to the largest one considered is no measurement."""
SURE_M = 0.75


@dataclass(frozen=True)
class RefinedLine:
    """One track or deck, laid onto the imagery."""

    id: str
    line: LineString
    """Local-frame metres, where the line belongs; where it was when the fit is not believed."""
    lonlat: LineString
    """The same in longitude and latitude."""
    shift_m: float
    """Mean move across the line, to the left of its direction."""
    error_m: float
    """Standard error of the line's place across, root mean square along it; NaN when the fit is not believed."""
    along_m: Floats
    """(n,) nodes of its own offsets, arc length from its first vertex."""
    offset_m: Floats
    """(n,) its own offsets to the left, beyond the move of all lines together."""
    offset_error_m: Floats
    """(n,)"""
    believed: bool
    """True: its own offsets were measured; False: it was moved with the others only, or not at all."""


@dataclass(frozen=True)
class Refined:
    """Where a site's lines belong on the imagery."""

    believed: bool
    reason: str
    """Why the fit is believed or not: one sentence for a person."""
    lines: tuple[RefinedLine, ...]
    """Tracks first, then bridges, in the site's order."""
    pose: Pose
    """The move of all lines together, in the local frame; no move when the fit is not believed."""
    across_error_m: float
    """Standard error of that move, across the lines."""
    turn_error_deg: float
    along_known: bool
    """False: the lines are too straight to tell how far they must be moved along; they were moved across only."""
    scenes: int
    """Scenes that took part."""
    lead: float
    """How clearly this place beats the next best, in standard errors; 0 where nothing was searched."""

    @property
    def turn_deg(self) -> float:
        """Rotation of all lines, counter-clockwise."""
        return math.degrees(self.pose.turn_rad)

    @property
    def accuracy_m(self) -> float | None:
        """What the lines are now good to across, at 95 %: for an AOI's `accuracy_m`. None when not believed."""
        if not self.believed:
            return None
        return math.ceil(20 * max(line.error_m for line in self.lines)) / 10


def refine(stack: Stack, site: Site, *, reach_m: float = REACH_M) -> Refined:
    """Fit a site's lines to a prepared stack.

    Parameters
    ----------
    stack : aligned scenes of one optical sensor, pixels of up to 6 m.
    site : its tracks and bridges may lie up to `reach_m` off, and about one degree turned.
    reach_m : the largest error looked for; 5 to 30 m.

    Returns
    -------
    Refined
        Not believed, with the reason, when the imagery does not settle the place; the lines are then as they were.
    """
    lines = _lines(site)
    refused = _unfit(stack, lines)
    if refused:
        return _unmoved(site, lines, refused)
    reach_m = float(np.clip(reach_m, 5.0, 30.0))
    ground = ground_of(stack, site, lines, within_m=reach_m + FAR_M)
    if len(ground.xy) < LEAST_PIXELS:
        return _unmoved(site, lines, "the imagery covers too little of the ground near the lines")
    levels = readings(stack, ground)
    if len(levels) < LEAST_SCENES:
        told = f"only {len(levels)} of {len(stack.scenes)} scenes of {stack.sensor} show enough of the lines"
        return _unmoved(site, lines, f"{told}; {LEAST_SCENES} are needed")
    picture, plain = pictures_of(levels, ground)
    search = Search.of(lines)
    joint = find_joint(picture, search, reach_m=reach_m, gsd_m=stack.gsd_m)
    stick = search.stick
    refused = (
        _doubt(joint, stick, reach_m)
        or _elsewhere(plain, search, joint, reach_m=reach_m, gsd_m=stack.gsd_m)
        or _torn((levels, ground), search, joint, gsd_m=stack.gsd_m)
    )
    if refused:
        return _unmoved(site, lines, refused, scenes=len(levels), lead=joint.lead)
    pose = stick.pose(joint.place)
    moved = [LineString(shapely.transform(line, pose.moved)) for line in lines]
    fine = stack.gsd_m <= FINE_GSD_M
    courses = courses_of(picture, moved) if fine else [_plain(line) for line in moved]
    trusted = [fine and _trusted(course) for course in courses]
    if fine and sum(trusted) < 0.5 * len(trusted):
        told = "the lines do not agree: placed by all together, most of them do not lie on a track each"
        return _unmoved(site, lines, told, scenes=len(levels), lead=joint.lead)
    return _settled(site, (lines, moved, courses, trusted), joint, gsd_m=stack.gsd_m, scenes=len(levels))


def _items(site: Site) -> list[Track | Bridge]:
    return [*site.tracks, *site.bridges]


def _lines(site: Site) -> list[LineString]:
    frame = local_frame(site)
    return [LineString(reproject(item.line, WGS84, frame)) for item in _items(site)]


def _unfit(stack: Stack, lines: Sequence[LineString]) -> str:
    """Why a stack cannot be used at all; empty when it can."""
    if not lines:
        return "the site has no tracks or bridges"
    if not set(BANDS) & set(stack.bands):
        return f"{stack.sensor} has no band of visible or near-infrared light"
    if stack.gsd_m > MIDDLE_GSD_M:
        told = f"pixels of {stack.gsd_m:.2g} m are too coarse to tell one track from the next"
        return f"{told}; {MIDDLE_GSD_M:g} m at most are needed"
    return ""


def _doubt(joint: Joint, stick: Yardstick, reach_m: float) -> str:
    """Why the place found is not believed; empty when it is."""
    if joint.at_edge:
        return f"the best place lies at the edge of the {reach_m:g} m searched, so a better one may lie beyond"
    if joint.lead < CLEAR_LEAD:
        away = float(stick.apart(joint.rivals[:1], joint.place)[0]) if len(joint.rivals) else 0.0
        return f"the best place is not clearly better than the next, about {away:.1f} m away"
    return ""


def _elsewhere(plain: Picture, search: Search, joint: Joint, *, reach_m: float, gsd_m: float) -> str:
    """Say how far off the ground's plain look puts the lines, where that is not where what stands out puts them."""
    other = find_joint(thinned(plain, COARSE_PIXELS), search, reach_m=reach_m, gsd_m=gsd_m)
    apart = float(search.stick.apart(other.place[None], joint.place)[0])
    if apart <= max(SAME_M, gsd_m):
        return ""
    return f"the ground's plain look puts the lines {apart:.1f} m from where what stands out from it does"


Series = tuple[Array, Ground]


def _torn(series: Series, search: Search, joint: Joint, *, gsd_m: float) -> str:
    """Say how far the halves of the series (every other scene) put the lines apart, where that is too far."""
    levels, ground = series
    places = [climbed(pictures_of(levels[start::2], ground)[0], search, joint) for start in (0, 1)]
    apart = float(search.stick.apart(places[0][None], places[1])[0])
    if apart <= max(HALVES_M, HALVES_PX * gsd_m):
        return ""
    return f"the two halves of the series put the lines {apart:.1f} m apart"


def _plain(line: LineString) -> Course:
    """Return no offsets of its own: pixels too coarse to measure them."""
    return Course(np.array([0.0, line.length]), np.zeros(2), np.full(2, UNSEEN_M), OWN_M)


def _trusted(course: Course) -> bool:
    sure = float(np.sqrt(np.mean(course.error_m**2))) <= SURE_M
    return sure and bool(np.abs(np.mean(course.offset_m)) <= course.limit_m - ROOM_M)


Fitted = tuple[Sequence[LineString], Sequence[LineString], Sequence[Course], Sequence[bool]]


def _settled(site: Site, fitted: Fitted, joint: Joint, *, gsd_m: float, scenes: int) -> Refined:
    lines, moved, courses, trusted = fitted
    stick = yardstick_of(lines)
    bias = BIAS_PX * gsd_m
    fine = gsd_m <= FINE_GSD_M
    own = [float(np.mean(course.offset_m)) for course, good in zip(courses, trusted, strict=True) if good]
    stray = max(float(np.sqrt(np.mean(np.square(own)))), 0.1) if fine else UNSEEN_M
    free = [0, 1, 2] if joint.along_known else [0, 2]
    product = stick.effect[:, free].T @ stick.effect[:, free] / len(stick.effect)
    errors = np.sqrt(stray**2 * np.diag(np.linalg.pinv(product)) / len(lines) + bias**2)
    found = []
    for item, before, after, course, good in zip(_items(site), lines, moved, courses, trusted, strict=True):
        own_course = course if good or not fine else replace(_plain(after), error_m=np.full(2, OWN_M))
        found.append(_line(site, item.id, before, (own_course.moved(after), own_course, good, bias)))
    lead = f"the best place by {min(joint.lead, 99):.1f} standard errors"
    return Refined(
        believed=True,
        reason=f"{lead}; both halves of the series agree",
        lines=tuple(found),
        pose=stick.pose(joint.place),
        across_error_m=float(errors[0]),
        turn_error_deg=math.degrees(float(errors[-1]) / stick.half_m),
        along_known=joint.along_known,
        scenes=scenes,
        lead=joint.lead,
    )


def _line(site: Site, id_: str, before: LineString, fit: tuple[LineString, Course, bool, float]) -> RefinedLine:
    line, course, good, bias = fit
    error = np.hypot(course.error_m, bias)
    lonlat = reproject(line, local_frame(site), WGS84)
    assert isinstance(lonlat, LineString)
    return RefinedLine(
        id=id_,
        line=line,
        lonlat=lonlat,
        shift_m=_across(before, line),
        error_m=float(np.sqrt(np.mean(error**2))),
        along_m=course.along_m,
        offset_m=course.offset_m,
        offset_error_m=error,
        believed=good,
    )


def _across(before: LineString, after: LineString) -> float:
    """Mean distance to the left from a line to where it is now."""
    share = (np.arange(50) + 0.5) / 50
    old, new, ahead, behind = (
        shapely.get_coordinates(shapely.line_interpolate_point(line, np.clip(at, 0, 1), normalized=True))
        for line, at in ((before, share), (after, share), (before, share + 0.01), (before, share - 0.01))
    )
    way = ahead - behind
    way /= np.linalg.norm(way, axis=1, keepdims=True)
    move = new - old
    return float((way[:, 0] * move[:, 1] - way[:, 1] * move[:, 0]).mean())


def _unmoved(site: Site, lines: Sequence[LineString], reason: str, *, scenes: int = 0, lead: float = 0.0) -> Refined:
    none = np.empty(0)
    found = tuple(
        RefinedLine(item.id, line, item.line, 0.0, math.nan, none, none, none, believed=False)
        for item, line in zip(_items(site), lines, strict=True)
    )
    pose = Pose(0.0, 0.0, 0.0, (0.0, 0.0))
    return Refined(False, reason, found, pose, math.nan, math.nan, False, scenes, lead)


def applied(site: Site, refined: Refined, *, areas: bool = True) -> Site:
    """Return the site with its lines where they belong.

    Areas (aprons, sheds, stable and excluded ground) go with the lines as a whole unless told to stay; the site's own
    outline stays. The site is returned as it is when the fit is not believed.
    """
    if not refined.believed:
        return site
    lines = {line.id: line.lonlat for line in refined.lines}
    frame = local_frame(site)

    def placed(items: tuple[Item, ...]) -> tuple[Item, ...]:
        return tuple(replace(item, line=lines[item.id]) for item in items)

    def moved(members: tuple[Area, ...]) -> tuple[Area, ...]:
        if not areas:
            return members
        out = []
        for area in members:
            there = shapely.transform(reproject(area.polygon, WGS84, frame), refined.pose.moved)
            back = reproject(there, frame, WGS84)
            assert isinstance(back, Polygon)
            out.append(replace(area, polygon=back))
        return tuple(out)

    return replace(
        site,
        tracks=placed(site.tracks),
        bridges=placed(site.bridges),
        aprons=moved(site.aprons),
        sheds=moved(site.sheds),
        stables=moved(site.stables),
        excludes=moved(site.excludes),
        accuracy_m=refined.accuracy_m,
    )
