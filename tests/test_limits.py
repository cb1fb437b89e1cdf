"""Detection limits: which ground trains are put on, and what the limit of one kind of ground says of another."""

from __future__ import annotations

from dataclasses import replace
from unittest import mock

import numpy as np
import pytest
from yard_material import MODEL, NORTH, STEPS, yard

from rail_watch.interpret import limits, looks
from rail_watch.interpret.limits import INSERTIONS, detection_limits
from rail_watch.interpret.looks import Looks, judge
from rail_watch.interpret.sizes import load_size_errors
from rail_watch.interpret.yard import Yard

RATE = 0.01


@pytest.fixture
def made() -> tuple[Yard, Looks]:
    drawn = yard(NORTH, times=2)
    return drawn, judge(drawn, [MODEL] * 2)


def _with_deck(made: Yard) -> Yard:
    made.strips = [made.strips[0], replace(made.strips[1], is_bridge=True)]
    return made


@pytest.mark.parametrize(("gsd_m", "apart"), [(0.5, True), (3.0, False), (10.0, True)])
def test_track_beside_a_train_is_asked_apart_but_with_pixels_of_a_few_metres(gsd_m: float, apart: bool) -> None:
    drawn = yard(NORTH, apart_m=5.0)
    drawn.gsd_m = gsd_m
    drawn.score[0][:], drawn.score[1][:] = -6.0, 6.0
    drawn.occupied[0][:] = False
    assert looks.beside(drawn, 0, 0).any() == apart and not looks.beside(drawn, 1, 0).any()
    judged = judge(drawn, [MODEL])
    if gsd_m < 10:  # where the tracks drawn are too short to be judged
        assert np.isfinite(judged.statistic[1, 0, 0]) == apart and np.isfinite(judged.statistic[:, 1, 0]).sum() == 1


def test_trains_are_put_on_several_tracks_in_turn(made: tuple[Yard, Looks]) -> None:
    with mock.patch.object(limits, "_statistics", side_effect=lambda *a, **_: np.zeros(len(a[3]))) as laid:
        detection_limits(*made, [MODEL] * 2, false_alarm_rate=RATE)
    places = [(call.args[2], len(call.args[3])) for call in laid.call_args_list]
    assert places == [((k, t), INSERTIONS // 2) for t in range(2) for k in range(2)]
    # They are laid where nothing stands.
    for call in laid.call_args_list:
        assert not made[0].occupied[call.args[2][0]][call.args[2][1]][call.args[4]].any()


def test_a_deck_has_limits_of_its_own_and_never_shorter_than_its_trains_put_in(made: tuple[Yard, Looks]) -> None:
    drawn = _with_deck(made[0])

    def found(factor: float) -> np.ndarray:
        errors = replace(load_size_errors("fine"), limit_factor=np.array(factor))
        laid = mock.patch.object(limits, "_statistics", side_effect=lambda *a, **_: np.where(a[3] > 40.0, 9.0, -9.0))
        with laid, mock.patch.object(limits, "load_size_errors", return_value=errors):
            return detection_limits(drawn, made[1], [MODEL] * 2, false_alarm_rate=RATE)

    plain, easier, harder = found(1.0), found(0.5), found(1.2)
    assert (plain > 40.0).all()
    assert np.allclose(easier[0], 0.5 * plain[0]) and np.array_equal(easier[1], plain[1])
    assert np.allclose(harder, 1.2 * plain)


def test_limits_of_real_insertions_are_stated_and_the_same_each_time(made: tuple[Yard, Looks]) -> None:
    first, second = (detection_limits(*made, [MODEL] * 2, false_alarm_rate=RATE) for _ in range(2))
    assert np.array_equal(first, second, equal_nan=True)
    length = STEPS * made[0].strips[0].step_m
    assert np.nanmin(first) >= 11.0 and np.nanmax(first) <= length


def test_where_no_track_shows_enough_empty_ground_nothing_is_stated(made: tuple[Yard, Looks]) -> None:
    for occupied in made[0].occupied:
        occupied[:] = True
    assert np.isnan(detection_limits(*made, [MODEL] * 2, false_alarm_rate=RATE)).all()


def test_a_track_too_short_for_the_pixels_says_so_and_is_not_called_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = yard(NORTH, times=1)
    assert judge(drawn, [MODEL]).reason == [[None], [None]]
    monkeypatch.setattr(looks, "shortest_train_m", lambda gsd_m: 100.0)
    short = judge(drawn, [MODEL])
    assert short.reason == [[looks.TOO_SHORT], [looks.TOO_SHORT]]
    assert np.isnan(short.p_value).all() and (short.visible_fraction == 1).all()
