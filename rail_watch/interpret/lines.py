"""Track lines out of one picture, where there is no map: long, thin, smooth, side by side.

A track from above is a bed of ballast, mostly lighter than the earth beside it, 3 to 4 m wide, hundreds of metres long,
with neighbours 4 to 6 m away; in pixels of half a metre two light lines with a darker one between: rails and the
shoulders of the bed beside the sleepers. First the picture is filtered with narrow bars at all angles (steerable line
filters: Freeman and Adelson, IEEE PAMI 13, 1991), lines are followed from its strongest points as long as they carry,
and the largest bundle of lines side by side is kept. That gives the yard's run, along which
`lines_strip` then looks again.

What it returns is a first guess for a person to correct.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy import fft, ndimage
from shapely import LineString

from rail_watch.interpret.lines_strip import spine_of, tracks_on, unrolled

Array = NDArray[np.float32]
Floats = NDArray[np.float64]

COARSEST_M = 1.3
"""Larger pixels do not part neighbouring tracks."""
FINEST_M = 0.45
"""Finer pixels are averaged to at least this: a bar is 2 m wide."""
MOST_PIXELS = 16_000_000
ACROSS_M = 1.0
"""Standard deviation of the bar across: most sensitive to bands of about twice that."""
ALONG_M = 11.0
"""Standard deviation of the bar along; an arc of 350 m bends away 0.2 m over it."""
ANGLES = 60
"""3 degrees apart; the bar's own width is 5."""
SURROUNDINGS_M = 12.0
CLIP = 2.0
"""Pixels beyond so many local standard deviations count as that many: a roof must not shout down a track."""
BEGIN, CARRY = 0.45, 0.2
"""Filter output, in local standard deviations, where a line may begin and down to which it is followed."""
LEAST_MEAN = 0.3
"""Weaker lines are texture more often than track."""
STEP_M, GAP_M, SIDE_M = 2.0, 24.0, 1.0
"""A line is followed in steps, over gaps (a wagon, a shadow), and may drift so far to the side at each step."""
TURN_DEG = 6.0
TAKEN_M = 2.0
"""No second line begins or runs so close to one already found: tracks lie at least 4 m apart."""
SHORTEST_M = 80.0
MOST_LINES = 400
NEAREST_M, FARTHEST_M, PARALLEL_DEG = 3.2, 12.0, 9.0
"""Neighbours in a bundle: as far apart as tracks with or without a platform between them."""
BEND_M = 0.25


@dataclass(frozen=True)
class Filtered:
    """How much a picture looks like a line, pixel by pixel."""

    strength: Array
    """(row, column) the strongest bar's answer, in local standard deviations."""
    angle: Array
    """(row, column) that bar's direction: radians from +column towards +row, 0 to pi."""


def evened(picture: Array, pixel_m: float) -> Array:
    """Return a picture less its surroundings, over their spread, clipped; 0 where nothing is known (NaN)."""
    known = np.isfinite(picture).astype(np.float32)
    filled = np.where(known > 0, picture, np.float32(0))
    sigma = SURROUNDINGS_M / pixel_m / 2
    share = np.maximum(ndimage.gaussian_filter(known, sigma), 1e-3)
    away = np.where(known > 0, filled - ndimage.gaussian_filter(filled, sigma) / share, np.float32(0))
    width = np.sqrt(ndimage.gaussian_filter(away * away, sigma) / share)
    floor = max(float(np.median(width[known > 0])) / 4, 1e-9) if known.any() else 1.0
    even = np.clip(away / np.maximum(width, np.float32(floor)), -CLIP, CLIP)
    return np.asarray(even, dtype=np.float32)


def _bar(angle: float, pixel_m: float, frequency: tuple[Array, Array], *, dark: bool) -> Array:
    """Return the transform of a bar: minus the second derivative of a Gaussian across, a Gaussian along.

    With unit gain for a sinusoid of the wavelength it answers best, 4.4 m.
    """
    row, col = frequency
    along = col * math.cos(angle) + row * math.sin(angle)
    across = (row * math.cos(angle) - col * math.sin(angle)) / pixel_m
    phase = 2 * (math.pi * ACROSS_M * across) ** 2
    gain = -math.e if dark else math.e
    return np.asarray(gain * phase * np.exp(-phase - 2 * (math.pi * ALONG_M / pixel_m * along) ** 2), np.float32)


def filtered(even: Array, pixel_m: float, *, dark: bool) -> Filtered:
    """Return the strongest answer over all angles of light (or dark) bars on an evened picture."""
    pad = math.ceil(2 * ALONG_M / pixel_m)
    shape = [fft.next_fast_len(size + pad, real=True) for size in even.shape]
    spectrum = fft.rfft2(even, shape)
    frequency = (
        fft.fftfreq(shape[0]).astype(np.float32)[:, None],
        fft.rfftfreq(shape[1]).astype(np.float32)[None, :],
    )
    strength = np.full(even.shape, -np.inf, dtype=np.float32)
    angle = np.zeros(even.shape, dtype=np.float32)
    rows, cols = even.shape
    for turn in np.arange(ANGLES) * math.pi / ANGLES:
        answer = fft.irfft2(spectrum * _bar(float(turn), pixel_m, frequency, dark=dark), shape)[:rows, :cols]
        better = np.asarray(answer > strength)
        strength[better], angle[better] = answer[better], turn
    return Filtered(strength, angle)


@dataclass
class _Walk:
    """Follows lines over a filtered picture, in pixels."""

    picture: Filtered
    pixel_m: float
    free: NDArray[np.bool_]
    """(row, column) not yet taken by a line, and seen."""

    def at(self, points: Floats) -> Floats:
        """(n,) strength at (row, column) points; 0 outside and where taken."""
        near = np.floor(points + 0.5).astype(int)
        inside = np.asarray(((near >= 0) & (near < np.array(self.free.shape))).all(axis=-1))
        row, col = np.where(inside[..., None], near, 0).T
        found = ndimage.map_coordinates(self.picture.strength, points.T, order=1, mode="nearest")
        return np.asarray(np.where(inside & self.free[row, col], found, 0.0))

    def _best(self, point: Floats, heading: float) -> tuple[Floats, float]:
        """Return where across a heading the answer is strongest, to a part of a pixel, and how strong."""
        side = np.linspace(-SIDE_M, SIDE_M, 9) / self.pixel_m
        normal = np.array([math.cos(heading), -math.sin(heading)])
        values = self.at(point + side[:, None] * normal)
        best = int(np.argmax(values))
        return point + side[best] * normal, float(values[best])

    def _heading(self, point: Floats, before: float) -> float:
        """Return the direction of the line at a point, turned at most so far from the one before."""
        row, col = np.clip(np.round(point).astype(int), 0, np.array(self.free.shape) - 1)
        turn = (float(self.picture.angle[row, col]) - before + math.pi / 2) % math.pi - math.pi / 2
        return before + float(np.clip(turn, -math.radians(TURN_DEG), math.radians(TURN_DEG))) / 3

    def follow(self, start: Floats, heading: float) -> list[Floats]:
        """Return points from a start on, as long as the line carries, over short gaps."""
        found: list[Floats] = []
        point, pending, missed = start, list[Floats](), 0.0
        while missed < GAP_M and len(found) < 5000:
            ahead = point + STEP_M / self.pixel_m * np.array([math.sin(heading), math.cos(heading)])
            if (ahead < 0).any() or (ahead > np.array(self.free.shape) - 1).any():
                break
            best, value = self._best(ahead, heading)
            if value >= CARRY:
                point, heading, missed = (ahead + best) / 2, self._heading(best, heading), 0.0
                found += [*pending, point]
                pending = []
            else:
                point, missed = ahead, missed + STEP_M
                pending.append(point)
        return found

    def line(self, start: Floats) -> Floats:
        """(n, 2) points of the line through a start, to both sides."""
        heading = float(self.picture.angle[int(start[0]), int(start[1])])
        ahead, behind = self.follow(start, heading), self.follow(start, heading + math.pi)
        return np.array([*behind[::-1], start, *ahead])


def _settled(points: Floats, pixel_m: float) -> Floats:
    """Return points smoothed along, so that no single step's error shows."""
    width = max(3, round(20 / STEP_M) | 1)
    if len(points) < width:
        return points
    smooth: Floats = ndimage.uniform_filter1d(points, width, axis=0, mode="nearest")
    half = width // 2
    smooth[:half], smooth[-half:] = _straight(points[: 2 * half])[:half], _straight(points[-2 * half :])[-half:]
    return smooth


def _straight(points: Floats) -> Floats:
    """Return points on the straight line that fits them."""
    at = np.arange(len(points))
    return np.column_stack([np.polyval(np.polyfit(at, column, 1), at) for column in points.T])


def traced(picture: Filtered, pixel_m: float, *, seen: NDArray[np.bool_]) -> list[tuple[LineString, float]]:
    """Return the lines of a filtered picture, strongest beginnings first, each with its mean strength.

    Coordinates are (column, row) of pixel centres.
    """
    peak = ndimage.maximum_filter(picture.strength, size=3) == picture.strength
    starts = np.argwhere(peak & seen & (picture.strength >= BEGIN))
    starts = starts[np.argsort(-picture.strength[tuple(starts.T)], kind="stable")]
    walk = _Walk(picture, pixel_m, seen.copy())
    found: list[tuple[LineString, float]] = []
    for start in starts:
        if not walk.free[tuple(start)]:
            continue
        points = _settled(walk.line(start.astype(np.float64)), pixel_m)
        value = float(np.mean(walk.at(points)))
        _take(walk.free, points, TAKEN_M / pixel_m)
        if len(points) < 2:
            continue
        line = LineString(points[:, ::-1])
        if line.length * pixel_m >= SHORTEST_M and value >= LEAST_MEAN:
            found.append((line, value))
        if len(found) >= MOST_LINES:
            break
    return found


def _take(free: NDArray[np.bool_], points: Floats, reach: float) -> None:
    """Mark the pixels within a reach of points as taken."""
    span = math.ceil(reach)
    row, col = np.mgrid[-span : span + 1, -span : span + 1]
    disc = np.column_stack([row[row**2 + col**2 <= reach**2], col[row**2 + col**2 <= reach**2]])
    near = (np.round(points).astype(int)[:, None] + disc[None]).reshape(-1, 2)
    near = near[((near >= 0) & (near < free.shape)).all(axis=1)]
    free[near[:, 0], near[:, 1]] = False


def _heading(line: LineString) -> float:
    ends = np.subtract(line.coords[-1], line.coords[0])
    return math.atan2(ends[1], ends[0])


def _beside(one: LineString, other: LineString, pixel_m: float) -> bool:
    """Return whether two lines run side by side for a good part of the shorter, as far apart as tracks are."""
    short, long = sorted((one, other), key=lambda line: line.length)
    marks = np.linspace(0.05, 0.95, 15)
    apart = shapely.distance(shapely.line_interpolate_point(short, marks, normalized=True), long) * pixel_m
    if ((apart >= NEAREST_M) & (apart <= FARTHEST_M)).mean() < 0.5 or np.ptp(apart) > FARTHEST_M:
        return False
    near = shapely.intersection(long, short.buffer(FARTHEST_M / pixel_m))
    parts = [part for part in shapely.get_parts(near).tolist() if isinstance(part, LineString) and part.length > 0]
    if not parts:
        return False
    turn = _heading(max(parts, key=lambda part: part.length)) - _heading(short)
    return abs((turn + math.pi / 2) % math.pi - math.pi / 2) <= math.radians(PARALLEL_DEG)


def bundle(lines: list[tuple[LineString, float]], pixel_m: float) -> list[tuple[LineString, float]]:
    """Return the largest set of lines that run side by side, by length times strength."""
    group = list(range(len(lines)))
    for first in range(len(lines)):
        for second in range(first):
            if group[first] != group[second] and _beside(lines[first][0], lines[second][0], pixel_m):
                old, new = group[first], group[second]
                group = [new if one == old else one for one in group]
    weight: dict[int, float] = {}
    for one, (line, value) in zip(group, lines, strict=True):
        weight[one] = weight.get(one, 0.0) + line.length * value**2
    if not weight:
        return []
    best = max(weight, key=lambda one: (weight[one], -one))
    return [pair for one, pair in zip(group, lines, strict=True) if one == best]


def find_lines(picture: Array, pixel_m: float, *, dark: bool = False) -> list[LineString]:
    """Return the track lines of a picture, strongest first; empty where no bundle stands out.

    Parameters
    ----------
    picture : (row, column) brightness, any unit; NaN where nothing is known.
    pixel_m : side of a pixel, metres, at most 1.3.
    dark : tracks are darker than the ground between them. The picture cannot say: the dark gaps between light tracks
        are lines too, and there is one more of them.

    Returns
    -------
    list of LineString
        (column, row) of pixel centres.
    """
    seen = ndimage.binary_erosion(np.isfinite(picture), iterations=max(1, round(3 / pixel_m)))
    even = evened(picture, pixel_m)
    first = bundle(traced(filtered(even, pixel_m, dark=dark), pixel_m, seen=seen), pixel_m)
    if not first:
        return []
    strip = unrolled(-even if dark else even, seen, spine_of(first, pixel_m, even.shape), pixel_m)
    return [line.simplify(BEND_M / pixel_m) for line in tracks_on(strip, dark=dark)]
