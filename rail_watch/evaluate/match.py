"""Which true train a found train is: overlap along the track, on the true train's own track or the one beside it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from shapely import LineString, Point, Polygon, get_coordinates, transform

from rail_watch.aoi.geometry import GEOD
from rail_watch.aoi.site import Site
from rail_watch.evaluate.claims import Claim, Interval
from rail_watch.evaluate.truth import TrueTrain


@dataclass(frozen=True)
class Plane:
    """Metres east and north of a point, good to 1e-4 over the few kilometres of a site."""

    lon: float
    lat: float
    east_m: float
    """Metres per degree of longitude."""
    north_m: float
    """Metres per degree of latitude."""

    @classmethod
    def at(cls, site: Site) -> Plane:
        """Return the plane that touches the ellipsoid at the site's middle."""
        middle = site.polygon.centroid
        lon, lat, step = middle.x, middle.y, 1e-3
        east = GEOD.inv(lon, lat, lon + step, lat)[2] / step
        north = GEOD.inv(lon, lat - step / 2, lon, lat + step / 2)[2] / step
        return cls(lon, lat, float(east), float(north))

    def line(self, line: LineString) -> LineString:
        """Return a line in metres."""
        return transform(line, self._metres)

    def polygon(self, polygon: Polygon) -> Polygon:
        """Return a polygon in metres, mended where it crosses itself."""
        return transform(polygon, self._metres).buffer(0)

    def _metres(self, lonlat: NDArray[np.float64]) -> NDArray[np.float64]:
        turns = (lonlat[:, 0] - self.lon + 180) % 360 - 180
        return np.column_stack([turns * self.east_m, (lonlat[:, 1] - self.lat) * self.north_m])


@dataclass(frozen=True)
class Yard:
    """The AOI as the scorer needs it."""

    plane: Plane
    lines: Mapping[str, LineString]
    """Track lines in metres."""
    beside: Mapping[str, frozenset[str]]
    """Track to the tracks next to it."""
    aprons: Mapping[str, Polygon]
    """Metres."""

    @classmethod
    def of(cls, site: Site) -> Yard:
        """Measure a site."""
        plane = Plane.at(site)
        lines = {track.id: plane.line(track.line) for track in site.tracks}
        return cls(plane, lines, neighbours(lines), {a.id: plane.polygon(a.polygon) for a in site.aprons})


def neighbours(lines: Mapping[str, LineString]) -> dict[str, frozenset[str]]:
    """Return for each track the nearest track on either side, where within 15 m.

    Looked for at three stations along the track, so that ladders and short sidings get theirs.
    """
    found: dict[str, set[str]] = {track: set() for track in lines}
    for track, line in lines.items():
        for share in (0.25, 0.5, 0.75):
            for other in _beside(line, share, {k: v for k, v in lines.items() if k != track}):
                found[track].add(other)
                found[other].add(track)
    return {track: frozenset(others) for track, others in found.items()}


def _beside(line: LineString, share: float, others: Mapping[str, LineString]) -> list[str]:
    here = line.interpolate(share, normalized=True)
    ahead = line.interpolate(min(share + 0.01, 1), normalized=True)
    nearest: dict[bool, tuple[float, str]] = {}
    for name, other in others.items():
        there = other.interpolate(other.project(here))
        left = bool(_cross(here, ahead, there) > 0)
        distance = float(here.distance(there))
        if distance < min(15.0, nearest.get(left, (np.inf, ""))[0]):
            nearest[left] = (distance, name)
    return [name for _, name in nearest.values()]


def _cross(a: Point, b: Point, c: Point) -> float:
    return float((b.x - a.x) * (c.y - a.y) - (b.y - a.y) * (c.x - a.x))


def iou(a: Interval, b: Interval) -> float:
    """Return intersection over union of two intervals."""
    common = min(a[1], b[1]) - max(a[0], b[0])
    union = max(a[1], b[1]) - min(a[0], b[0])
    return max(common, 0.0) / union if union > 0 else 0.0


def span_on(claim: Claim, track: str, yard: Yard, *, neighbour_accepted: bool) -> Interval | None:
    """Where a claim lies along a track; None if it cannot be meant for that track."""
    if claim.track == track:
        return claim.span
    near = claim.track in yard.beside.get(track, frozenset())
    if not neighbour_accepted or not (near or track in claim.tracks) or track not in yard.lines:
        return None
    line = yard.lines[track]
    outline = get_coordinates(yard.plane.polygon(claim.polygon))
    along = [line.project(Point(x, y)) for x, y in outline]
    return (min(along), max(along)) if along else None


def pair_trains(
    truths: Sequence[tuple[str, TrueTrain]], claims: Sequence[Claim], yard: Yard, *, least: float, neighbours: bool
) -> dict[int, int]:
    """Match true trains (with their tracks) to claims, best overlap first.

    Returns
    -------
    dict of int to int
        Index of the true train to index of its claim; each used once.
    """
    scored = []
    for i, (track, train) in enumerate(truths):
        for j, claim in enumerate(claims):
            span = span_on(claim, track, yard, neighbour_accepted=neighbours)
            overlap = 0.0 if span is None else iou(span, (train.start_m, train.end_m))
            if overlap >= least:
                # On its own track a claim goes before one from beside it with the same overlap.
                scored.append((overlap + 0.05 * (claim.track == track), i, j))
    return _best_first(scored)


def _best_first(scored: Iterable[tuple[float, int, int]]) -> dict[int, int]:
    pairs: dict[int, int] = {}
    used: set[int] = set()
    for _, i, j in sorted(scored, key=lambda s: (-s[0], s[1], s[2])):
        if i not in pairs and j not in used:
            pairs[i] = j
            used.add(j)
    return pairs


def pair_areas(truths: Sequence[Polygon], claims: Sequence[Polygon], *, least: float) -> dict[int, int]:
    """Match true pieces of cargo to claimed ones by overlap on the ground, best first; polygons in metres."""
    scored = []
    for i, truth in enumerate(truths):
        for j, claim in enumerate(claims):
            common = truth.intersection(claim).area
            overlap = common / max(truth.area + claim.area - common, 1e-9)
            if overlap >= least:
                scored.append((overlap, i, j))
    return _best_first(scored)
