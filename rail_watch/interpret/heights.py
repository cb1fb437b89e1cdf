"""How high a piece of cargo stands, from the length of its shadow and the sun's elevation.

Light against the apron's usual light is followed from the piece's edge away from the sun, ray by ray, and averaged
over the middle rays. The shadow begins half way from the goods' light to the shadow's, and ends half way from there to
the bare ground's (a blurred edge crosses there whatever the blur). Height = length * tan(elevation), for cargo with
upright sides. A heap of loose goods slopes: its top stands back from its foot, and the same shadow is of something
higher; the interval takes that in.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from rail_watch.interpret.strips import FINE_GSD_M

Array = NDArray[np.float32]
Numbers = NDArray[np.float64]
Mask = NDArray[np.bool_]

HIGHEST_M = 8.0
"""Shadows of nothing higher are looked for: cargo on the ground is stacked or heaped to 2 to 6 m."""
LONGEST_M = 24.0
"""Shadows are followed no further than this, two apron margins: something else will stand in the way."""
LEAST_PX = 1.5
"""A shadow shorter than this is all edge: its depth, and so its end, cannot be told."""
LEAST_DEPTH = 0.3
"""Share of the light that a shadow takes away at least. Under a clear sky it is 70 to 90 %, through haze less; what
takes less may as well be wet ground."""
BRIGHTEST = 2.0
"""Goods brighter than this over bare ground (logarithm: seven times) count as this bright."""
BEYOND_M, BARE = 1.5, (0.7, 1.5)
"""So far past its end the ground must look bare, its light between these shares of the apron's: else the shadow ends at
something that stands in it, or on other ground."""
MIDDLE = 0.6
"""Share of the rays, the middle ones, that are averaged: those at the sides pass corners."""
INSIDE_PX = 3
"""The piece's edge is looked for this far within the outline too, which often takes in a pixel or two of shadow."""
LEAST_RAYS = 0.5
"""Fewer of these rays in sight, and the shadow counts as cut off."""
EDGE_PX = 1.0
"""Standard error of a shadow's length in pixels, at both ends together; measured on yards drawn by seed, below 100."""
SHORT_PX = 0.5
"""Shadows are measured too short by so much: of the last half pixel only the edge's own unevenness is dark. Measured on
the same yards."""
LEAN = 0.1
"""Metres per metre of height by which a top's place is off, standard error: half-metre sensors look 5 to 15 degrees
aside, in whatever direction."""
SLOPE_DEG = 1.0
"""Standard error of the sun's elevation over the ground: aprons fall by one or two in a hundred for drainage."""
TIP = 0.7
"""Of the top of a cone: what its middle rays, half way out at most, reach in the middle of them."""
REPOSE_DEG = 37.0
"""Loose coal, ore, gravel and sand lie at 30 to 40 degrees."""


@dataclass(frozen=True)
class Height:
    """How high a piece of cargo stands, metres above the ground beside it."""

    height_m: float
    height_m_95: tuple[float, float]


@dataclass(frozen=True)
class ShadowScene:
    """What one look shows round an apron; (row, column) each."""

    contrast: Array
    """Logarithm of light over the apron's usual light in the very same picture. Not over that of
    bare ground as other looks show it: where goods always lie, their shadow is part of that."""
    open: Mask
    """Ground in sight, nothing known to stand on it but cargo."""
    cargo: Mask
    """All that may be cargo."""
    steps: Numbers
    """(2,) rows and columns by which shadows fall, in metres per metre of height; 0 where there is no sun."""
    gsd_m: float


def height_of(piece: Mask, scene: ShadowScene) -> Height | None:
    """Measure one piece; None where the sun is not known or too low, or the shadow too short or cut off."""
    length_m = shadow_length_m(piece, scene)
    if length_m is None:
        return None
    cot = float(np.hypot(*scene.steps))
    height = length_m / cot
    sigma = math.hypot(
        EDGE_PX * scene.gsd_m / cot, LEAN * height / cot, length_m * math.radians(SLOPE_DEG) * (1 + 1 / cot**2)
    )
    low, high = max(height - 1.96 * sigma, 0.1), height + 1.96 * sigma
    return Height(height, (low, max(high, _sloping(high, cot, _breadth_m(piece, scene)))))


def _sloping(upright_m: float, cot: float, breadth_m: float) -> float:
    """Height of a heap whose shadow reaches as far past its foot as that of something upright of this height."""
    slope = math.tan(math.radians(REPOSE_DEG))
    most = 0.5 * breadth_m * slope
    over = cot - 1 / slope
    return min(upright_m * cot / (TIP * over), most) if over > 0.05 else most


def _breadth_m(piece: Mask, scene: ShadowScene) -> float:
    """Breadth of a piece where it is narrowest: twice the largest distance from its edge."""
    return 2 * float(ndimage.distance_transform_edt(np.pad(piece, 1)).max()) * scene.gsd_m


def shadow_length_m(piece: Mask, scene: ShadowScene) -> float | None:
    """Metres from the piece's edge to its shadow's end; None where that cannot be told."""
    cot = float(np.hypot(*scene.steps))
    if scene.gsd_m > FINE_GSD_M or cot <= 0 or not piece.any():
        return None
    shown = _profile(piece, scene, min(HIGHEST_M * cot, LONGEST_M) + BEYOND_M)
    if len(shown) < INSIDE_PX + 3:
        return None
    deepest = INSIDE_PX - 1 + int(np.argmin(shown[INSIDE_PX - 1 : INSIDE_PX + 3]))
    while deepest + 1 < len(shown) and shown[deepest + 1] < shown[deepest]:
        deepest += 1
    shade, goods = float(shown[deepest]), float(shown[:2].mean())
    after = np.flatnonzero(shown[deepest:] > (shade + 1) / 2)
    # Goods as dark as their shadow (coal) have no edge towards it: the outline may be that of both.
    if shade > min(1, goods) - LEAST_DEPTH or len(after) == 0:
        return None
    last = deepest + int(after[0])
    bare = shown[last + 1 : last + 1 + round(BEYOND_M / scene.gsd_m)]
    if len(bare) < 2 or not BARE[0] < bare.mean() < BARE[1]:
        return None
    before = np.flatnonzero(shown[:deepest] > (shade + goods) / 2)
    begin = _crossing(shown, int(before[-1]), (shade + goods) / 2)
    end = deepest + int(np.flatnonzero(shown[deepest:] > (shade + bare.mean()) / 2)[0])
    length_px = _crossing(shown, end - 1, (shade + bare.mean()) / 2) - begin + SHORT_PX
    return float(length_px * scene.gsd_m) if length_px >= LEAST_PX else None


def _crossing(values: Numbers, first: int, level: float) -> float:
    """Where, between one place and the next, values pass a level."""
    low, high = float(values[first]), float(values[first + 1])
    return first + (level - low) / (high - low)


def _profile(piece: Mask, scene: ShadowScene, reach_m: float) -> Numbers:
    """(n,) light over the apron's by pixels along the shadow, from `INSIDE_PX` before the edge to where rays end."""
    steps = int(reach_m / scene.gsd_m) + INSIDE_PX
    unit = np.asarray(scene.steps) / np.hypot(*scene.steps)
    row, col = np.nonzero(piece)
    aside = col * unit[0] - row * unit[1]
    low, high = np.quantile(aside, [0.5 - MIDDLE / 2, 0.5 + MIDDLE / 2])
    rays = np.arange(low, high + 1e-6, 0.5) if high > low else np.array([low])
    ahead = row * unit[0] + col * unit[1]
    edge = np.array([_edge(ahead, aside, ray) for ray in rays])
    at = edge[:, None] + 1.0 + np.arange(-INSIDE_PX, steps - INSIDE_PX)[None, :]
    place = np.stack([at * unit[0] - rays[:, None] * unit[1], at * unit[1] + rays[:, None] * unit[0]])
    place = np.where(np.isfinite(place), place, -1.0)  # a ray that misses the piece sees nothing
    near = np.rint(place).astype(int)
    inside = (near[0] >= 0) & (near[0] < piece.shape[0]) & (near[1] >= 0) & (near[1] < piece.shape[1])
    r, c = (np.clip(part, 0, size - 1) for part, size in zip(near, piece.shape, strict=True))
    free = inside & scene.open[r, c] & (~scene.cargo[r, c] | piece[r, c]) & np.isfinite(scene.contrast[r, c])
    free = np.logical_and.accumulate(free, axis=1)
    light = np.exp(np.minimum(np.nan_to_num(scene.contrast), BRIGHTEST))
    value = ndimage.map_coordinates(light, place, order=1, mode="nearest")
    count = free.sum(axis=0)
    kept = np.logical_and.accumulate(count >= max(LEAST_RAYS * len(rays), 1))
    return np.asarray(np.where(free, value, 0).sum(axis=0)[kept] / count[kept], dtype=np.float64)


def _edge(ahead: Numbers, aside: Numbers, ray: float) -> float:
    """Foremost place of the piece on one ray, in pixels along the shadow."""
    near = ahead[np.abs(aside - ray) <= 0.71]
    return float(near.max()) if len(near) else math.inf
