"""Tracks along a yard's run: the ground unrolled along it, averaged over pieces, and each track the best way along.

Averaged over pieces of 10 m, tracks of a few greys of contrast become plain. In pixels of half a metre a track is two
light lines with a darker one between, 1.7 m apart (rails, and the bed's shoulders beside the sleepers); edges of
aprons, and ground between the dark margins of two beds, answer as bars but not as two lines. Each track is the best way
along the strip (dynamic programming: Viterbi, IEEE IT 13, 1967), over trains and shadows, as long as there is more for
it than against it.

It fails where snow hides the ballast, and where cloud leaves only shreds of the yard.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy import ndimage
from shapely import LineString

Array = NDArray[np.float32]
Floats = NDArray[np.float64]

SHORTEST_M = 80.0
MOST_TRACKS = 60
ALONG_STEP_M, ACROSS_STEP_M, PIECE_M = 2.0, 0.25, 10.0
"""Of the unrolled strip: its own steps along and across, and over how much along it is averaged."""
HALF_WIDTH_M = 70.0
"""Of the strip: yards are narrower than twice that."""
RAIL_M, SHOULDER_M = 0.85, 2.4
"""From the middle of a track to the light lines of its profile, and to the dark edge of its bed."""
RAILS_PIXEL_M = 0.7
"""Larger pixels do not part the two light lines of a track, 1.7 m apart."""
LEAST, MOST = -0.3, 1.2
"""What one piece may say against or for a track: a train or a roof must not outvote the rest."""
COST_RAILS, COST_BARS = 0.7, 0.6
"""A piece counts for a track with what it answers above this: with the two lines asked for, and without."""
UNSEEN = -0.02
"""What a piece under cloud counts."""
SIDESTEP = 0.15
"""What a step of 0.25 m to the side costs."""
LEAST_SCORE, LEAST_OF_BEST = 2.5, 0.2
APART_M = 3.4
RAILS_SEEN, RAILS_OF_BEST = 0.35, 0.5
"""Answer to the two lines from which on they are believed in, and the share of the best three that each track must
reach: edges of aprons, and ground between the dark margins of two beds, answer as bars and have no rails."""
CHAIN_M = 16.5
"""No track of a yard lies farther from the next: two, with a platform between."""


def _walkable(points: Floats, step: float, width: float) -> Floats:
    """Return points at even steps along a line, smoothed over a width (both in the units of the points)."""
    line = LineString(points)
    even = shapely.get_coordinates(
        line.interpolate(np.linspace(0, 1, max(4, int(line.length / step))), normalized=True)
    )
    half = min(int(width / step) // 2, len(even) - 2)
    if half < 1:
        return np.asarray(even)
    # Mirrored through the ends, so that they stay where they are.
    padded = np.vstack([2 * even[0] - even[half:0:-1], even, 2 * even[-1] - even[-2 : -half - 2 : -1]])
    smooth: Floats = ndimage.uniform_filter1d(padded, 2 * half + 1, axis=0)[half:-half]
    return smooth


def _carried_on(base: Floats, other: Floats, pixel_m: float) -> Floats:
    """Return a line carried on beyond its end by what a line beside it does there."""
    tail, back = base[-1], base[-min(len(base), 8)]
    ahead = (tail - back) / max(float(np.hypot(*(tail - back))), 1e-9)
    along = (other - tail) @ ahead * pixel_m
    level = int(np.argmin(np.abs(along)))
    normal = np.array([-ahead[1], ahead[0]])
    aside = float((tail - other[level]) @ normal)
    beyond = other[level:][along[level:] > ALONG_STEP_M]
    if abs(along[level]) > 6.0 or along.max() < 20.0 or len(beyond) < 2 or abs(aside) * pixel_m > HALF_WIDTH_M / 2:
        return base
    return np.vstack([base, beyond + aside * normal])


def spine_of(lines: list[tuple[LineString, float]], pixel_m: float, shape: tuple[int, int]) -> Floats:
    """(n, 2) (column, row) points of the yard's run, from edge to edge of the picture: its best line, carried on."""
    order = sorted(lines, key=lambda pair: -pair[0].length * pair[1] ** 2)
    base = shapely.get_coordinates(order[0][0])
    for line, _ in order[1:]:
        other = shapely.get_coordinates(line)
        other = other if (other[-1] - other[0]) @ (base[-1] - base[0]) >= 0 else other[::-1]
        base = _carried_on(base, other, pixel_m)
        base = _carried_on(base[::-1], other[::-1], pixel_m)[::-1]
    step = ALONG_STEP_M / pixel_m
    inner = _walkable(base, step, 30.0 / pixel_m)
    count = np.arange(1, math.ceil(math.hypot(*shape) / step))[:, None] * step
    ends = []
    for points in (inner, inner[::-1]):
        ahead = points[-1] - points[-1 - min(len(points) - 1, 15)]
        ends.append(points[-1] + count * ahead / np.hypot(*ahead))
    whole = np.vstack([ends[1][::-1], inner, ends[0]])
    near = np.flatnonzero(((whole > -step * 10) & (whole < np.array(shape)[::-1] + step * 10)).all(axis=1))
    return whole[near[0] : near[-1] + 1]


def _profile(*, rails: bool, pixel_m: float) -> Floats:
    """Return what a track looks like across, at steps of 0.25 m: its bed and edges, or its two light lines alone."""
    at = np.arange(-4, 4 + ACROSS_STEP_M / 2, ACROSS_STEP_M)

    def line(middle: float, width: float) -> Floats:
        return np.asarray(np.exp(-(((at - middle) / width) ** 2) / 2) / width)

    def both(middle: float, width: float) -> Floats:
        return line(-middle, width) + line(middle, width)

    width = math.hypot(0.35, pixel_m / 2.5)
    if rails:
        shape = both(RAIL_M, width) - 1.2 * line(0, width) - 0.4 * both(2.1 * RAIL_M, width)
    else:
        shape = both(RAIL_M, width) - 0.85 * both(SHOULDER_M, 0.6) - 0.3 * line(0, 0.4)
    shape = shape - shape.mean()
    return np.asarray(shape / np.sqrt((shape**2).sum()))


@dataclass(frozen=True)
class Strip:
    """Ground unrolled along a spine, in pieces."""

    spine: Floats
    """(n, 2) (column, row) every 2 m."""
    side: Floats
    """(m,) metres to the side of the spine."""
    bent: Floats
    """(piece,) metres by which the spine strays from the tracks there."""
    bed: Floats
    """(piece, m) how much it looks like a track's bed; NaN where too little is seen."""
    rails: Floats
    """(piece, m) how much it looks like two light lines."""
    pixel_m: float

    def placed(self, path: NDArray[np.intp]) -> LineString:
        """Return a way along the strip, (n, 2) of (piece, place across), as a line of (column, row) over pixels."""
        each = round(PIECE_M / ALONG_STEP_M)
        aside = ndimage.gaussian_filter1d(self.side[path[:, 1]] + self.bent[path[:, 0]], 1.0, mode="nearest")
        rows = np.arange(path[0, 0] * each, min(len(self.spine), (path[-1, 0] + 1) * each))
        far = np.interp(rows, (path[:, 0] + 0.5) * each - 0.5, aside) / self.pixel_m
        return LineString(self.spine[rows] + far[:, None] * _normals(self.spine)[rows])


def _normals(spine: Floats) -> Floats:
    """(n, 2) unit normals, in pixels."""
    ahead: Floats = np.gradient(spine, axis=0)
    ahead = ahead / np.maximum(np.hypot(*ahead.T), 1e-9)[:, None]
    return np.column_stack([-ahead[:, 1], ahead[:, 0]])


def unrolled(even: Array, seen: NDArray[np.bool_], spine: Floats, pixel_m: float) -> Strip:
    """Return the strip along a spine, its pieces shifted to the side so that tracks run straight."""
    side = np.arange(-HALF_WIDTH_M, HALF_WIDTH_M + ACROSS_STEP_M / 2, ACROSS_STEP_M)
    at = spine[:, None] + side[None, :, None] / pixel_m * _normals(spine)[:, None]
    places = [at[..., 1], at[..., 0]]
    value = ndimage.map_coordinates(np.where(seen, even, np.float32(0)), places, order=1)
    known = ndimage.map_coordinates(seen.astype(np.float32), places, order=1) > 0.9
    each = round(PIECE_M / ALONG_STEP_M)
    count = len(spine) // each
    cut = (slice(0, count * each),)
    inside = known[cut].reshape(count, each, -1)
    number = inside.sum(axis=1)
    total = np.where(inside, value[cut].reshape(inside.shape), 0.0).sum(axis=1)
    mean = np.where(number * 2 >= each, total / np.maximum(number, 1), np.nan)
    bed, rails = (_answer(mean, _profile(rails=kind, pixel_m=pixel_m)) for kind in (False, True))
    bent = _bends(bed, side)
    straight = [np.array([_at(side, row, by) for row, by in zip(one, bent, strict=True)]) for one in (bed, rails)]
    return Strip(spine, side, bent, straight[0], straight[1], pixel_m)


def _at(side: Floats, row: Floats, by: float) -> Floats:
    return np.asarray(np.interp(side + by, side, row, left=np.nan, right=np.nan))


def _answer(mean: Floats, profile: Floats) -> Floats:
    """(piece, across) how much each place looks like a profile; NaN where less than three quarters of it is seen."""
    known = np.isfinite(mean)
    share = ndimage.uniform_filter1d(known.astype(np.float64), len(profile), axis=1, mode="constant")
    found = ndimage.correlate1d(np.where(known, mean, 0.0), profile, axis=1, mode="constant")
    return np.where(share > 0.75, found, np.nan)


def _bends(bed: Floats, side: Floats) -> Floats:
    """(piece,) metres to the side at which pieces look most like those around them: the spine's own errors."""
    lags = np.arange(-6, 7)
    bent, now = np.zeros(len(bed)), bed
    for _ in range(2):
        clear = np.nan_to_num(np.clip(now, -1.0, 1.5))
        around = ndimage.uniform_filter1d(clear, 17, axis=0, mode="nearest")
        alike = np.column_stack([(np.roll(clear, -lag, axis=1) * around).sum(axis=1) for lag in lags])
        best = lags[np.argmax(ndimage.gaussian_filter1d(alike, 1.5, axis=0), axis=1)].astype(np.float64)
        bent = bent + ndimage.gaussian_filter1d(best, 1.5) * ACROSS_STEP_M
        now = np.array([_at(side, row, by) for row, by in zip(bed, bent, strict=True)])
    return bent


def _best_way(gain: Floats) -> tuple[float, NDArray[np.intp]]:
    """Return the way along a strip, from any piece to any later one, with the largest sum, and the sum.

    The way is (n, 2) of (piece, place across); from piece to piece it keeps its place or moves by one.
    """
    pieces, width = gain.shape
    total, came = np.zeros((pieces, width)), np.zeros((pieces, width), dtype=np.int8)
    before = np.zeros(width)
    for piece in range(pieces):
        right, left = np.append(before[1:], 0.0) - SIDESTEP, np.insert(before[:-1], 0, 0.0) - SIDESTEP
        ways = np.stack([left, before, right])
        best = np.argmax(ways, axis=0)
        value = ways[best, np.arange(width)]
        came[piece] = np.where(value > 0, best - 1, 2)
        before = total[piece] = np.maximum(value, 0.0) + gain[piece]
    piece, place = (int(one) for one in np.unravel_index(np.argmax(total), total.shape))
    score, path = float(total[piece, place]), [(piece, place)]
    while piece > 0 and came[piece, place] != 2:
        place, piece = place + int(came[piece, place]), piece - 1
        path.append((piece, place))
    return score, np.array(path[::-1], dtype=np.intp)


@dataclass(frozen=True)
class _Found:
    """One way along a strip."""

    score: float
    path: NDArray[np.intp]
    rails: float
    """Answer to the two lines along it."""
    side_m: float


def _bounded(answer: Floats) -> Floats:
    """Return answers between `LEAST` and `MOST`, the strongest still the strongest: a line lies where it is."""
    return np.asarray(np.maximum(MOST * np.tanh(answer / MOST), LEAST))


def _rails_along(answer: Floats) -> float:
    """Return the answer to the two lines that a quarter of a way surpasses: the rest may stand full of trains."""
    known = answer[np.isfinite(answer)]
    return float(np.percentile(ndimage.uniform_filter1d(known, 3), 75)) if len(known) else 0.0


def _ways(strip: Strip, *, rails: bool) -> list[_Found]:
    """Return the tracks of a strip, the best first, no two closer than `APART_M`."""
    answer = _bounded(strip.bed) - COST_BARS
    if rails:
        answer += _bounded(strip.rails) - (COST_RAILS - COST_BARS)
    gain = np.where(np.isfinite(answer), answer, UNSEEN)
    apart, found = round(APART_M / ACROSS_STEP_M), list[_Found]()
    for _ in range(MOST_TRACKS):
        score, path = _best_way(gain)
        if score <= max(LEAST_SCORE, LEAST_OF_BEST * (found[0].score if found else 0.0)):
            break
        for piece, place in path:
            gain[piece, max(0, place - apart) : place + apart + 1] = -9.0
        if len(path) * PIECE_M >= SHORTEST_M:
            known = _rails_along(strip.rails[path[:, 0], path[:, 1]])
            found.append(_Found(score, path, known, float(np.median(strip.side[path[:, 1]]))))
    return found


def _yard(found: list[_Found]) -> list[_Found]:
    """Return the set of ways, each near to the next, that has most for it."""
    groups: list[list[_Found]] = []
    for one in sorted(found, key=lambda way: way.side_m):
        if groups and one.side_m - groups[-1][-1].side_m <= CHAIN_M:
            groups[-1].append(one)
        else:
            groups.append([one])
    best = max(groups, key=lambda group: sum(one.score for one in group), default=[])
    return sorted(best, key=lambda one: -one.score)


def _rails_level(found: list[_Found]) -> float:
    return float(np.mean(sorted((one.rails for one in found), reverse=True)[:3])) if found else 0.0


def tracks_on(strip: Strip, *, dark: bool) -> list[LineString]:
    """Return the tracks of a strip, (column, row), the best first; where rails can be seen, only what has them."""
    found = _ways(strip, rails=False)
    if dark or strip.pixel_m > RAILS_PIXEL_M or _rails_level(found) < RAILS_SEEN:
        return [strip.placed(one.path) for one in _yard(found)]
    found = _ways(strip, rails=True)
    least = RAILS_OF_BEST * _rails_level(found)
    return [strip.placed(one.path) for one in _yard([one for one in found if one.rails >= least])]
