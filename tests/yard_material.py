"""Yards of two tracks drawn by hand, with a train and its shadow on each."""

from __future__ import annotations

import numpy as np
from shapely import LineString

from rail_watch.change.radiometry import Radiometry
from rail_watch.interpret.shadows import Sun, SunState
from rail_watch.interpret.strips import Strip, neighbours, offsets_m
from rail_watch.interpret.yard import SceneModel, Yard

GROUND, CAR, SHADE = 0.2, 0.35, 0.07
STEPS = 200
TRAIN = slice(60, 130)
MODEL = SceneModel(np.ones(1), np.zeros(1), np.zeros(1), np.full(1, GROUND), 0.05)


def strip(northing: float, *, westwards: bool, shade_north_m: float, times: int) -> Strip:
    """A track from west to east or back, with a train whose shadow reaches so far north (south where negative)."""
    ends = [(0.0, northing), (100.0, northing)]
    line = LineString(ends[::-1] if westwards else ends)
    across = offsets_m(0.5)
    along = np.arange(STEPS) * 0.5 + 0.25
    left = -1.0 if westwards else 1.0  # towards which the ground left of the track lies, north counted positive
    pixels = np.full((times, 1, STEPS, len(across)), GROUND, dtype=np.float32)
    side = left * np.sign(shade_north_m)
    shaded = (side * across > 1.5) & (side * across <= abs(shade_north_m))
    pixels[:, :, TRAIN, shaded] = SHADE
    pixels[:, :, TRAIN, np.abs(across) <= 1.5] = CAR
    east = along if not westwards else 100 - along
    where = np.stack(np.broadcast_arrays(east[:, None], northing + left * across[None, :]), axis=-1)
    return Strip(
        track=f"t{northing:g}",
        is_bridge=False,
        line=line,
        along_m=along,
        across_m=across,
        heading_deg=np.full(STEPS, 270.0 if westwards else 90.0),
        where=where,
        pixels=pixels,
        quality=np.zeros((times, STEPS, len(across)), np.uint8),
        roofed=np.zeros(STEPS, dtype=bool),
    )


def yard(suns: list[Sun], *, shade_north_m: float = 6.0, times: int = 1, apart_m: float = 60.0) -> Yard:
    """Two tracks that run opposite ways, a train on each; `suns` as stated over each strip."""
    lines = (0.0, False), (apart_m, True)
    strips = [strip(n, westwards=w, shade_north_m=shade_north_m, times=times) for n, w in lines]
    occupied = np.zeros((times, STEPS), dtype=bool)
    occupied[:, TRAIN] = True
    ground = np.full((1, STEPS, len(strips[0].across_m)), GROUND, dtype=np.float32)
    return Yard(
        gsd_m=0.5,
        bands=("pan",),
        strips=strips,
        near=[neighbours(strips, k) for k in range(2)],
        suns=[[sun] * times for sun in suns],
        sun_states=[SunState.UNDISPUTED] * times,
        usable=[np.ones(s.quality.shape, dtype=bool) for s in strips],
        radiometry=Radiometry(0, *(np.ones((times, 1)) for _ in range(4))),
        empty=[np.ones((times, STEPS), np.float32) for _ in strips],
        occupied=[occupied.copy() for _ in strips],
        baseline=[ground.copy() for _ in strips],
        filled=[np.zeros(ground.shape[1:], dtype=bool) for _ in strips],
        score=[np.where(occupied, 5, -5).astype(np.float32) for _ in strips],
        other=[np.zeros((times, STEPS), np.float32) for _ in strips],
    )


NORTH = [Sun(1, 1.2, 0.0), Sun(-1, 1.2, 0.0)]
"""A sun in the south: left of the track that runs east, right of the one that runs back."""
