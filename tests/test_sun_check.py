"""Whether shadows fall where the sun throws them: asked of trains drawn by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from yard_material import GROUND, MODEL, NORTH, SHADE, yard

from rail_watch.interpret import rounds
from rail_watch.interpret.describe import sections_of
from rail_watch.interpret.shadows import Sun, SunState
from rail_watch.interpret.sun_check import NO_SUN, disputed, measured_sun, shade_beside, stated_side
from rail_watch.interpret.yard import Yard

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
