"""Control strips: lines beside the tracks where no train can stand, asked as if they were tracks.

What they show is the null of that very series and scene: haze, half-melted snow, crops and clouds that the masks missed
lie over them as over the tracks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import LineString
from shapely.geometry.base import BaseGeometry

from rail_watch.aoi.site import Bridge, Site, Track
from rail_watch.change.radiometry import Radiometry
from rail_watch.grid import WGS84
from rail_watch.interpret.rounds import solve
from rail_watch.interpret.segments import shortest_train_m, window_statistic
from rail_watch.interpret.strips import strips_along
from rail_watch.interpret.yard import Yard, make_yard, visible_steps
from rail_watch.prepare.stack import Stack
from rail_watch.prepare.zones import local_frame, reproject

AWAY_M, AWAY_GSDS = 14.0, 3.0
"""Controls keep this far, in metres or GSDs, from tracks and from one another."""
MOST_LINES = 10
LEAST_TRAINS = 2.5
"""A control is at least this many shortest trains long."""


@dataclass(frozen=True)
class Controls:
    """What the control strips show."""

    statistic: NDArray[np.float64]
    """(C, T) strongest evidence of a train where none can be; NaN where nothing could be judged."""
    metres: NDArray[np.float64]
    """(C, T) length in sight."""


def control_lines(site: Site, *, gsd_m: float) -> list[LineString]:
    """Lines in the local frame, parallel to the site's tracks, off everything on which things are put down."""
    frame = local_frame(site)
    away = max(AWAY_M, AWAY_GSDS * gsd_m)
    items: list[Track | Bridge] = [*site.tracks, *site.bridges]
    lines = [reproject(item.line, WGS84, frame) for item in items]
    areas = [reproject(a.polygon, WGS84, frame) for a in (*site.aprons, *site.sheds, *site.excludes)]
    taken: BaseGeometry = shapely.union_all([*(line.buffer(away) for line in lines), *(a.buffer(4.0) for a in areas)])
    ground = reproject(site.polygon, WGS84, frame).buffer(-3.0)
    least = LEAST_TRAINS * shortest_train_m(gsd_m)
    wanted = sum(line.length for line in lines)
    found: list[LineString] = []
    for distance in (1.15 * away, 2.3 * away, 3.5 * away, 5.0 * away):
        for line in sorted(lines, key=lambda item: -item.length):
            for side in (1, -1):
                free = shapely.offset_curve(line, side * distance).intersection(ground).difference(taken)
                for piece in shapely.get_parts(free).tolist():
                    full = len(found) >= MOST_LINES or sum(p.length for p in found) >= wanted
                    if isinstance(piece, LineString) and piece.length >= least and not full:
                        found.append(piece)
                        taken = taken.union(piece.buffer(away))
    return found


def control_yard(stack: Stack, site: Site, radiometry: Radiometry) -> Yard | None:
    """Set the control strips up as if they were tracks; None where the site has no room for any."""
    lines = control_lines(site, gsd_m=stack.gsd_m)
    if not lines:
        return None
    strips = strips_along(stack, site, [(Track(f"c-{i}", "control", line), line) for i, line in enumerate(lines)])
    return make_yard(stack, site, strips, radiometry)


def controls_of(stack: Stack, site: Site, radiometry: Radiometry) -> Controls | None:
    """Ask the control strips of every scene for trains; None where the site has no room for any."""
    yard = control_yard(stack, site, radiometry)
    if yard is None:
        return None
    models = solve(yard)
    shape = (len(yard.strips), yard.times)
    statistic, metres = np.full(shape, np.nan), np.zeros(shape)
    for k, strip in enumerate(yard.strips):
        for t, model in enumerate(models):
            seen = visible_steps(yard, k, t)
            if model is not None and seen.sum() * strip.step_m >= 1.5 * shortest_train_m(yard.gsd_m):
                metres[k, t] = seen.sum() * strip.step_m
                statistic[k, t] = window_statistic(yard.score[k][t], seen, strip.step_m, gsd_m=yard.gsd_m)
    return Controls(statistic, metres)
