"""Where each line lies by itself, once all are moved together: smooth offsets across, from end to end.

A hidden Markov chain along each line: its state is the offset to the left, on a grid; the pixels beside it speak for
or against each state by the profile that all lines share; neighbouring nodes differ little. Forwards and backwards
along the chain (Rabiner 1989) every node gets its mean and its standard error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy import special
from scipy.spatial import cKDTree
from shapely import LineString

from rail_watch.interpret.refine_match import FAR_M, Profile, distances_to, misfit, profile_of
from rail_watch.interpret.refine_picture import Picture, dense

Floats = NDArray[np.float64]

NODE_M = 40.0
STATE_M = 0.1
MOST_M = 1.6
"""A line strays no further than this from where all lines together put it, nor than nearly half way to the next."""
OWN_M = 0.7
"""Standard deviation of one line's own place, before the picture is asked."""
BEND_M = 0.3
"""Standard deviation of how much that changes from a node to the next."""
BESIDE_M = 4.5
"""Pixels within this from a line speak for it."""
ROUNDS = 2
CELL_M = 1.0
ALONE = 3
"""So many pixels at least make a cell that tells how much neighbouring pixels repeat each other."""


@dataclass(frozen=True)
class Course:
    """Offsets of one line."""

    along_m: Floats
    """(n,) nodes, arc length from the line's first vertex."""
    offset_m: Floats
    """(n,) to the left."""
    error_m: Floats
    """(n,) standard error."""
    limit_m: float
    """No offset larger than this was considered."""

    def moved(self, line: LineString) -> LineString:
        """Return the line with its offsets: its own vertices and the nodes, each moved across."""
        own = shapely.line_locate_point(line, shapely.points(shapely.get_coordinates(line)))
        own[0], own[-1] = 0.0, line.length
        at = np.unique(np.concatenate([own, self.along_m[1:-1]]))
        left = np.interp(at, self.along_m, self.offset_m)
        moved = LineString(_points(line, at) + left[:, None] * _normals(line, at)).simplify(0.02)
        assert isinstance(moved, LineString)
        return moved


@dataclass(frozen=True)
class _Beside:
    """The pixels that speak for one line."""

    pixel: NDArray[np.int64]
    along_m: Floats
    left_m: Floats
    """Signed distance from the line."""
    other_m: Floats
    """Distance to the nearest other line."""


def _points(line: LineString, at: Floats) -> Floats:
    return np.asarray(shapely.get_coordinates(shapely.line_interpolate_point(line, at)))


def _normals(line: LineString, at: Floats) -> Floats:
    """(n, 2) unit vectors to the left, smoothed over 6 m so that a vertex does not jerk."""
    way = _points(line, np.minimum(at + 3, line.length)) - _points(line, np.maximum(at - 3, 0))
    way /= np.maximum(np.linalg.norm(way, axis=1, keepdims=True), 1e-9)
    return np.stack([-way[:, 1], way[:, 0]], axis=1)


def _beside(picture: Picture, lines: Sequence[LineString]) -> list[_Beside]:
    """Sort pixels by the line nearest to them."""
    points = [dense(line, 0.5) for line in lines]
    trees = [cKDTree(part) for part in points]
    away = np.stack([tree.query(picture.xy, distance_upper_bound=FAR_M + 1)[0] for tree in trees])
    nearest = away.argmin(axis=0)
    out = []
    for index, line in enumerate(lines):
        pixel = np.flatnonzero((nearest == index) & (away[index] <= BESIDE_M))
        along = shapely.line_locate_point(line, shapely.points(picture.xy[pixel]))
        left = ((picture.xy[pixel] - _points(line, along)) * _normals(line, along)).sum(axis=1)
        others = np.delete(away, index, axis=0)[:, pixel]
        other = others.min(axis=0) if len(others) else np.full(len(pixel), np.inf)
        out.append(_Beside(pixel, along, left, other))
    return out


def _limit_m(index: int, lines: Sequence[LineString]) -> float:
    """Most of half the way to the next line, where they run side by side."""
    others = [dense(line, 2.0) for number, line in enumerate(lines) if number != index]
    if not others:
        return MOST_M
    gap, _ = cKDTree(np.concatenate(others)).query(dense(lines[index], 10.0))
    return float(np.clip(0.45 * np.median(gap), 0.5, MOST_M))


def repetition(profile: Profile, picture: Picture, sides: Sequence[_Beside]) -> float:
    """How many pixels say what one independent one would: from the scatter of the means of cells beside the lines."""
    looks = picture.looks @ profile.whitening()
    levels = profile.whitened()
    excess, count = 0.0, 0
    for side in sides:
        if len(side.pixel) == 0:
            continue
        at = np.minimum(np.minimum(np.abs(side.left_m), side.other_m), FAR_M - 1e-6) / (FAR_M / (len(levels) - 1))
        first = at.astype(np.int64)
        share = (at - first)[:, None]
        left = looks[side.pixel] - levels[first] * (1 - share) - levels[first + 1] * share
        # Cells as long as the line: what lies beside one side of it all along would pull it as a whole.
        cell = np.floor(side.left_m / CELL_M)
        _, number, size = np.unique(cell, return_inverse=True, return_counts=True)
        sums = np.stack([np.bincount(number, column) for column in left.T], axis=1)
        enough = size >= ALONE
        excess += float((sums[enough] ** 2 / size[enough, None]).mean(axis=1).sum())
        count += int(enough.sum())
    return max(excess / count, 1.0) if count else 1.0


def _chain(evidence: Floats, states: Floats) -> tuple[Floats, Floats]:
    """Mean and standard deviation at each node from (n, S) log-likelihoods of the states."""
    step = -0.5 * ((states[:, None] - states) / BEND_M) ** 2
    step -= special.logsumexp(step, axis=1, keepdims=True)
    own = -0.5 * (states / OWN_M) ** 2
    forward, backward = [evidence[0] + own], [np.zeros(len(states))]
    for row in evidence[1:]:
        forward.append(row + special.logsumexp(forward[-1][:, None] + step, axis=0))
    for row in evidence[:0:-1]:
        backward.append(special.logsumexp(step + (row + backward[-1]), axis=1))
    both = np.array(forward) + np.array(backward[::-1])
    share = np.exp(both - special.logsumexp(both, axis=1, keepdims=True))
    mean = share @ states
    # A grid cannot tell less than its own step apart.
    return mean, np.sqrt(np.maximum(share @ states**2 - mean**2, 0) + STATE_M**2 / 12)


def _course(line: LineString, side: _Beside, limit_m: float, speak: tuple[Picture, Profile, float]) -> Course:
    picture, profile, repeat = speak
    nodes = np.linspace(0, line.length, max(2, round(line.length / NODE_M) + 1))
    half = int(limit_m / STATE_M)
    states: Floats = np.arange(-half, half + 1, dtype=np.float64) * np.float64(STATE_M)
    node = np.clip(np.round(side.along_m / (nodes[1] - nodes[0])).astype(np.int64), 0, len(nodes) - 1)
    looks = picture.looks[side.pixel] @ profile.whitening()
    levels = profile.whitened()
    evidence = np.empty((len(nodes), len(states)))
    for column, state in enumerate(states):
        away = np.minimum(np.abs(side.left_m - state), side.other_m)
        evidence[:, column] = np.bincount(node, misfit(levels, away, looks), minlength=len(nodes))
    mean, error = _chain(-evidence / repeat, states)
    return Course(nodes, mean, error, limit_m)


def courses_of(picture: Picture, lines: Sequence[LineString]) -> list[Course]:
    """Measure each line's own offsets along it, in the frame of lines that all together lie right already.

    Parameters
    ----------
    picture : what the ground looks like.
    lines : in the local frame, already moved together.

    Returns
    -------
    list of Course
        One per line, in their order.
    """
    sides = _beside(picture, lines)
    limits = [_limit_m(index, lines) for index in range(len(lines))]
    now = list(lines)
    courses: list[Course] = []
    for _ in range(ROUNDS):
        profile = profile_of(distances_to(now)(picture.xy), picture.looks)
        speak = (picture, profile, repetition(profile, picture, sides))
        courses = [_course(*item, speak) for item in zip(lines, sides, limits, strict=True)]
        now = [course.moved(line) for course, line in zip(courses, lines, strict=True)]
    return courses
