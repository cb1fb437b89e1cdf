"""Find the one translation and rotation of a site's lines that explains a picture best, and what rivals it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import optimize
from shapely import LineString

from rail_watch.interpret.refine_match import Distances, Pose, distances_to, profile_of, rated
from rail_watch.interpret.refine_picture import Picture, dense, thinned

Floats = NDArray[np.float64]

MOST_TURN_RAD = np.radians(1.2)
COARSE_PIXELS = 3000
BLOCK_M = 30.0
"""Pieces along the yard that are taken as independent witnesses."""
EDGE_M = 1.0
"""So much further than asked the climb to the top may lead."""
STRAIGHT_M = 2.0
"""Standard error from which the place along the lines counts as not known: straight track looks alike all along."""


@dataclass(frozen=True)
class Yardstick:
    """The yard's own directions, in which poses are searched: across, along, and the turn as metres at its ends."""

    along: Floats
    """(2,) unit vector, east and north, of the lines' mean direction."""
    centre: tuple[float, float]
    half_m: float
    """From the centre to the furthest end, along."""
    bend: float
    """Sine of the angle between the lines' direction and the mean one, its 90th percentile."""
    effect: Floats
    """(points, 3) how far across the lines each of some points of theirs moves, per metre of across, along, turn."""

    @property
    def across(self) -> Floats:
        """(2,) unit vector to the left of `along`."""
        return np.array([-self.along[1], self.along[0]])

    def pose(self, place: Floats) -> Pose:
        """(3,) metres across, along and of turn to a pose."""
        east, north = place[0] * self.across + place[1] * self.along
        return Pose(float(east), float(north), float(place[2] / self.half_m), self.centre)

    def apart(self, places: Floats, from_: Floats) -> Floats:
        """(n,) root-mean-square distance across the lines between (n, 3) places and one."""
        return np.asarray(np.sqrt(((self.effect @ (places - from_).T) ** 2).mean(axis=0)))


def yardstick_of(lines: Sequence[LineString]) -> Yardstick:
    """Measure a site's lines."""
    points = [dense(line, 5.0) for line in lines]
    middle = np.concatenate([0.5 * (part[1:] + part[:-1]) for part in points])
    heading = np.concatenate([np.arctan2(*np.diff(part, axis=0).T[::-1]) for part in points])
    mean = 0.5 * np.angle(np.exp(2j * heading).mean())
    along = np.array([np.cos(mean), np.sin(mean)])
    centre = middle.mean(axis=0)
    half = float(max(np.abs((middle - centre) @ along).max(), 20.0))
    normal = np.stack([-np.sin(heading), np.cos(heading)], axis=1)
    # Turned by one radian a point moves at right angles to its arm, by the arm's length.
    arm = np.stack([-(middle - centre)[:, 1], (middle - centre)[:, 0]], axis=1) / half
    effect = np.stack([normal @ np.array([-along[1], along[0]]), normal @ along, (normal * arm).sum(axis=1)], axis=1)
    bend = float(np.percentile(np.abs(np.sin(heading - mean)), 90))
    return Yardstick(along, (float(centre[0]), float(centre[1])), half, bend, effect)


@dataclass(frozen=True)
class Search:
    """Some lines, ready to be searched for."""

    stick: Yardstick
    distances: Distances
    lines: int

    @classmethod
    def of(cls, lines: Sequence[LineString]) -> Search:
        """Measure and map the lines once."""
        return cls(yardstick_of(lines), distances_to(lines), len(lines))


@dataclass(frozen=True)
class Joint:
    """Where the lines belong as a whole."""

    place: Floats
    """(3,) metres across, along, and of turn at the ends."""
    along_known: bool
    """False: straight track looks alike all along, so nothing was moved along."""
    rivals: Floats
    """(R, 3) the next best places, best first, each more than a rival's distance from the others."""
    lead: float
    """How clearly the best place beats its rivals: mean over pieces along the yard, in standard errors."""
    at_edge: bool
    """The best place lies at the edge of what was searched."""


def _tried(stick: Yardstick, reach_m: float, step_m: float) -> Floats:
    """(n, 3) places within reach, so close that no line moves by more than a step between them."""
    # What moves the lines along is felt only where they bend.
    step_along = max(step_m / max(stick.bend, 1e-3), 2 * step_m)
    turn_m = min(float(MOST_TURN_RAD) * stick.half_m, 2 * reach_m)
    axes = [np.arange(-int(most / step), int(most / step) + 1) * step
            for most, step in ((reach_m, step_m), (reach_m, step_along), (turn_m, 1.2 * step_m))]  # fmt: skip
    places = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    return np.asarray(places[np.hypot(places[:, 0], places[:, 1]) <= reach_m + 1e-9])


def _polished(picture: Picture, distances: Distances, stick: Yardstick, place: Floats, free: Floats) -> Floats:
    """Climb from a place to the top nearest to it, along the axes that are free."""
    axes = np.flatnonzero(free)

    def cost(part: Floats) -> float:
        whole = place.copy()
        whole[axes] = part
        return -rated(picture, distances, stick.pose(whole))

    start = place[axes]
    simplex = np.vstack([start, start + np.diag(np.array([0.6, 1.5, 0.6])[axes])])
    options = {"maxfev": 70, "xatol": 0.02, "fatol": 0.1, "initial_simplex": simplex}
    out = place.copy()
    out[axes] = optimize.minimize(cost, start, method="Nelder-Mead", options=options).x
    return out


def _pieces(picture: Picture, stick: Yardstick) -> NDArray[np.int64]:
    """(n,) number of the piece along the yard that each pixel lies in."""
    along = (picture.xy - stick.centre) @ stick.along
    return np.asarray(np.unique(np.floor(along / BLOCK_M), return_inverse=True)[1])


def _evidence(picture: Picture, distances: Distances, pose: Pose) -> Floats:
    """(n,) log-likelihood of each pixel, the ground's look fitted at that pose."""
    away = distances(pose.undone(picture.xy))
    profile = profile_of(away, picture.looks)
    return np.asarray(-profile.surprise(away, picture.looks) - 0.5 * np.linalg.slogdet(profile.left)[1])


def lead_over(picture: Picture, distances: Distances, stick: Yardstick, places: Sequence[Floats]) -> float:
    """How clearly the first place beats the hardest of the others (Vuong 1989), pieces of the yard as witnesses."""
    pieces = _pieces(picture, stick)
    best, *others = [_evidence(picture, distances, stick.pose(place)) for place in places]
    leads = [np.inf]
    for other in others:
        sums = np.bincount(pieces, best - other)
        sums = sums[np.bincount(pieces) >= 0.3 * np.bincount(pieces).mean()]
        if len(sums) < 3:
            return 0.0
        leads.append(float(sums.mean() / max(sums.std(ddof=1) / np.sqrt(len(sums)), 1e-12)))
    return min(leads)


def _along_error(stick: Yardstick, lines: int, gsd_m: float) -> float:
    """Standard error of the place along, were each line's place across good to half a metre (or a quarter pixel)."""
    product = stick.effect.T @ stick.effect / len(stick.effect) + 1e-12 * np.eye(3)
    return float(max(0.5, 0.25 * gsd_m) * np.sqrt(np.linalg.inv(product)[1, 1] / lines))


def find_joint(picture: Picture, search: Search, *, reach_m: float, gsd_m: float) -> Joint:
    """Search all places within reach, climb to the best, and measure how sure it is."""
    stick, distances = search.stick, search.distances
    few = thinned(picture, COARSE_PIXELS)
    places = _tried(stick, reach_m, max(1.0, 0.5 * gsd_m))
    ratings = np.array([rated(few, distances, stick.pose(place)) for place in places])
    first = places[int(ratings.argmax())]
    place = _polished(picture, distances, stick, first, np.ones(3))
    known = _along_error(stick, search.lines, gsd_m) <= STRAIGHT_M
    if not known:
        # Among places that hardly differ the one that moves nothing along is taken.
        free = np.array([1, 0, 1])
        start = np.zeros(3)
        start[[0, 2]] = np.linalg.lstsq(stick.effect[:, [0, 2]], stick.effect @ place, rcond=None)[0]
        place = _polished(picture, distances, stick, start, free)
    rivals = _rivals(stick, places, ratings, place, apart_m=max(2.0, gsd_m))
    joint = Joint(place, known, rivals, 0.0, bool(np.hypot(*place[:2]) > reach_m + EDGE_M))
    return replace(joint, lead=lead_over(picture, distances, stick, [place, *rivals]))


def _rivals(stick: Yardstick, places: Floats, ratings: Floats, best: Floats, *, apart_m: float) -> Floats:
    """(R, 3) up to three places that rate best of those well apart from the best and from each other."""
    left = stick.apart(places, best) > apart_m
    found: list[Floats] = []
    while left.any() and len(found) < 3:
        index = int(np.where(left, ratings, -np.inf).argmax())
        found.append(places[index])
        left &= stick.apart(places, places[index]) > apart_m
    return np.array(found).reshape(-1, 3)


def climbed(picture: Picture, search: Search, joint: Joint) -> Floats:
    """(3,) the top nearest to a joint place in another picture of the same ground."""
    free = np.array([1, int(joint.along_known), 1])
    return _polished(thinned(picture, COARSE_PIXELS), search.distances, search.stick, joint.place, free)
