"""Whether shadows fall where the sun throws them: asked of trains drawn by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from shapely import LineString

from rail_watch.change.radiometry import Radiometry
from rail_watch.interpret import rounds
from rail_watch.interpret.describe import sections_of
from rail_watch.interpret.shadows import Sun, SunState
from rail_watch.interpret.strips import Strip, neighbours, offsets_m
from rail_watch.interpret.sun_check import NO_SUN, disputed, measured_sun, shade_beside, stated_side
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
SOUTH = [Sun(-1, 1.2, 0.0), Sun(1, 1.2, 0.0)]


@pytest.mark.parametrize("north_m", [6.0, -6.0])
def test_the_darker_side_is_measured_along_the_first_track(north_m: float) -> None:
    shade = shade_beside(yard(NORTH, shade_north_m=north_m), MODEL, 0)
    assert shade is not None
    assert shade.left == pytest.approx(np.sign(north_m) * np.log(GROUND / SHADE), abs=0.15)
    assert shade.reach_m == pytest.approx(7.0, abs=1.0)
    assert shade.metres == pytest.approx(70.0)


def test_a_sun_that_fits_is_believed_and_one_that_does_not_is_disputed() -> None:
    assert not disputed(yard(NORTH), MODEL, 0)
    assert disputed(yard(SOUTH), MODEL, 0)
    assert disputed(yard([NO_SUN, NO_SUN]), MODEL, 0)
    assert disputed(yard(NORTH, shade_north_m=0.0), MODEL, 0)  # no shadow where there must be one
    high = [replace(sun, across=0.2) for sun in NORTH]
    assert not disputed(yard(high, shade_north_m=0.0), MODEL, 0)  # too high to show


def test_where_trains_stand_side_by_side_or_nowhere_nothing_is_said() -> None:
    assert shade_beside(yard(SOUTH, apart_m=5.0), MODEL, 0) is None
    empty = yard(SOUTH)
    for taken in empty.occupied:
        taken[:] = False
    assert shade_beside(empty, MODEL, 0) is None
    assert not disputed(empty, MODEL, 0)


def test_the_side_is_taken_from_the_picture() -> None:
    plain = yard([NO_SUN, NO_SUN])
    state, suns = measured_sun(plain, MODEL, 0, stated_side(yard(SOUTH), 0))
    assert state == SunState.ELSEWHERE
    assert [sun.side for sun in suns] == [1, -1]
    assert suns[0].across == pytest.approx((7.0 - 1.55) / 3.6, abs=0.4)
    assert measured_sun(plain, MODEL, 0, stated_side(yard(NORTH), 0))[0] == SunState.UNDISPUTED
    bare = yard([NO_SUN, NO_SUN], shade_north_m=0.0)
    assert measured_sun(bare, MODEL, 0, (1, 1.2)) == (SunState.SHADOWLESS, [NO_SUN, NO_SUN])


def test_a_wrong_sun_is_set_right_before_the_next_round(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def keep(yard: Yard, models: object, *, only: object = None) -> None:
        asked.append(sum(sun[0].side != 0 for sun in yard.suns))

    monkeypatch.setattr(rounds, "update_trains", keep)
    wrong = yard(SOUTH, times=3)
    rounds.settle_suns(wrong, [MODEL, None, MODEL])
    assert asked == [0, 2]  # once with no sun, once with the measured one
    assert [sun.side for sun in wrong.suns[0]] == [1, -1, 1]  # the scene with nothing to see keeps what was stated
    assert wrong.sun_states == [SunState.ELSEWHERE, SunState.UNDISPUTED, SunState.ELSEWHERE]
    right = yard(NORTH, times=3)
    rounds.settle_suns(right, [MODEL] * 3)
    assert right.sun_states == [SunState.UNDISPUTED] * 3 and len(asked) == 2


def test_sections_can_be_made_of_some_scenes_only() -> None:
    made = yard(NORTH, times=3)
    everything = sections_of(made, [MODEL] * 3, 0)
    some = sections_of(made, [MODEL] * 3, 0, only=[1])
    assert len(some) == 1 and np.array_equal(some[0], everything[1])
