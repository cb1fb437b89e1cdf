"""What truly lies on the ground of a site: its lines and areas, a little off from where the AOI file draws them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from rail_watch.aoi.site import Bridge, Site, Track
from rail_watch.simulate.curve import Curve
from rail_watch.simulate.frame import Frame, Points, frame_over, shape_xy


@dataclass(frozen=True)
class World:
    """A site in frame metres. The frame's axes depend on the site alone, so this serves every raster of it."""

    site: Site
    frame: Frame
    """Any raster of the site; only its axes matter here."""
    drawn: Mapping[str, Curve]
    """Tracks and bridge decks as the AOI draws them, by id."""
    true: Mapping[str, Curve]
    """The same as they lie."""
    areas: Mapping[str, BaseGeometry]
    """Aprons, sheds, stable areas and exclusions as they lie, by id."""
    outline: BaseGeometry
    """The site's polygon as drawn."""
    seed: int

    def curve(self, name: str) -> Curve:
        """Return the true line of a track or deck."""
        return self.true[name]

    @property
    def reach(self) -> float:
        """Half the diagonal of the site: how far it extends from the frame's origin, at most."""
        left, bottom, right, top = self.outline.bounds
        return max(math.hypot(x, y) for x in (left, right) for y in (bottom, top))


def _wobble(curve: Curve, size_m: float, rng: np.random.Generator) -> Points:
    """Return the line's vertices moved sideways by a slow random curve of RMS `size_m`, more vertices put in."""
    count = max(len(curve.points), 2 + int(curve.length_m / 60))
    marks = np.unique(np.concatenate([np.linspace(0, curve.length_m, count), curve.lengths]))
    wave, phase = rng.uniform(0.6, 1.6), rng.uniform(0, 2 * math.pi)
    sideways = size_m * (0.8 * rng.standard_normal() + np.sin(marks / curve.length_m * wave * math.pi + phase)) / 1.1
    return np.array([curve.at(mark, left) for mark, left in zip(marks, sideways, strict=True)])


def world_of(site: Site, *, seed: int, line_error_m: float = 0.0) -> World:
    """Return what lies on the ground.

    `line_error_m` is how far the AOI's lines are off, RMS: two thirds of it for all of them alike (shift and a
    slight turn), the rest for each on its own.
    """
    frame = frame_over(site, step_m=1.0, margin_m=0.0)
    rng = np.random.default_rng([seed, 11])
    shift = rng.standard_normal(2) * line_error_m * 0.55
    outline = shape_xy(frame, site.polygon)
    reach = max(outline.bounds[2] - outline.bounds[0], 1.0)
    turn = rng.standard_normal() * line_error_m * 0.4 / reach
    c, s = math.cos(turn), math.sin(turn)

    def moved(points: Points) -> Points:
        there: Points = points @ np.array([[c, s], [-s, c]]) + shift
        return there

    drawn, true = {}, {}
    parts: tuple[Track | Bridge, ...] = (*site.tracks, *site.bridges)
    for part in parts:
        drawn[part.id] = Curve(np.asarray(shape_xy(frame, part.line).coords)[:, :2])
        own = _wobble(drawn[part.id], line_error_m * 0.4, rng) if line_error_m else drawn[part.id].points
        true[part.id] = Curve(moved(own))
    areas = {
        area.id: shapely.transform(shape_xy(frame, area.polygon), moved)
        for area in (*site.aprons, *site.sheds, *site.stables, *site.excludes)
    }
    return World(site, frame, drawn, true, areas, outline, seed)
