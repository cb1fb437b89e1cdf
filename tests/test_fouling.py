"""Where tracks run together, one train stands on one of them: that along which it goes on."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
from shapely import LineString

from rail_watch.interpret.fouling import CEDED, cede_fouled
from rail_watch.interpret.segments import segments
from rail_watch.interpret.strips import Strip, neighbours, offsets_m, positions
from rail_watch.interpret.yard import Yard

GSD_M, STEP_M = 0.5, 0.5
MAIN = LineString([(0, 0), (300, 0)])
TURNOUT = LineString([(20, 0), (80, 6), (300, 6)])
"""Within 3.5 m of the main line over its first 35 m, clear of it beyond."""


def strip_along(track: str, line: LineString, *, is_bridge: bool = False) -> Strip:
    along = (np.arange(int(line.length / STEP_M)) + 0.5) * STEP_M
    across = offsets_m(GSD_M)
    where, heading = positions(line, along, across)
    shape = where.shape[:2]
    pixels, quality = np.zeros((1, 1, *shape), np.float32), np.zeros((1, *shape), np.uint8)
    return Strip(track, is_bridge, line, along, across, heading, where, pixels, quality, np.zeros(len(along), bool))


def yard_of(*strips: Strip) -> Yard:
    """A yard of one scene in which nothing has been found."""
    parts = SimpleNamespace(
        gsd_m=GSD_M,
        strips=strips,
        near=[neighbours(strips, k) for k in range(len(strips))],
        usable=[np.ones((1, *s.where.shape[:2]), bool) for s in strips],
        baseline=[np.ones((1, *s.where.shape[:2]), np.float32) for s in strips],
        score=[np.full((1, len(s.along_m)), -6.0, np.float32) for s in strips],
    )
    return cast(Yard, parts)


def stands(yard: Yard, k: int, start_m: float, end_m: float, odds: float) -> None:
    strip = yard.strips[k]
    yard.score[k][0][(strip.along_m >= start_m) & (strip.along_m <= end_m)] = odds


def runs(yard: Yard, k: int) -> list[tuple[float, float]]:
    score = yard.score[k][0]
    return [(a * STEP_M, b * STEP_M) for a, b in segments(score, np.ones(len(score), bool), STEP_M, gsd_m=GSD_M)]


@pytest.fixture
def yard() -> Yard:
    return yard_of(strip_along("main", MAIN), strip_along("turnout", TURNOUT))


def test_a_train_on_the_main_line_is_not_also_one_on_the_turnout(yard: Yard) -> None:
    stands(yard, 0, 10, 150, 8.0)
    stands(yard, 1, 0, 34, 4.0)
    cede_fouled(yard, [0])
    assert runs(yard, 0) == [(10, 150)]
    assert runs(yard, 1) == [] and yard.score[1].max() <= CEDED


def test_what_shows_plainer_on_the_wrong_track_completes_the_train_on_the_right_one(yard: Yard) -> None:
    stands(yard, 0, 52, 150, 8.0)  # it begins at 22 m, but there the turnout's evidence is the stronger
    stands(yard, 1, 2, 32, 5.0)
    cede_fouled(yard, [0])
    assert runs(yard, 1) == []
    (start, end), *rest = runs(yard, 0)
    assert start == pytest.approx(22, abs=1) and end == 150 and not rest


def test_a_train_that_goes_on_along_the_turnout_stays_there(yard: Yard) -> None:
    stands(yard, 1, 5, 120, 8.0)
    stands(yard, 0, 25, 55, 4.0)
    cede_fouled(yard, [0])
    assert runs(yard, 1) == [(5, 120)]
    assert runs(yard, 0) == []


def test_trains_side_by_side_beyond_the_fouling_point_are_two(yard: Yard) -> None:
    stands(yard, 0, 90, 150, 8.0)
    stands(yard, 1, 90, 150, 8.0)
    before = [score.copy() for score in yard.score]
    cede_fouled(yard, [0])
    assert all((a == b).all() for a, b in zip(before, yard.score, strict=True))


@pytest.mark.parametrize("apart_m", [2.4, 3.0, 3.4])
def test_lines_drawn_too_near_that_never_meet_are_two_tracks(apart_m: float) -> None:
    """Tracks 4.3 m apart whose lines are a little off: no turnout, and what stands on either stays there."""
    yard = yard_of(strip_along("main", MAIN), strip_along("next", LineString([(40, apart_m), (260, apart_m)])))
    stands(yard, 0, 60, 200, 8.0)
    stands(yard, 1, 60, 150, 4.0)
    before = [score.copy() for score in yard.score]
    cede_fouled(yard, [0])
    assert all((a == b).all() for a, b in zip(before, yard.score, strict=True))


def test_a_deck_and_the_track_along_it_do_not_take_trains_from_one_another() -> None:
    yard = yard_of(strip_along("main", MAIN), strip_along("deck", LineString([(50, 0), (250, 0)]), is_bridge=True))
    stands(yard, 0, 100, 160, 8.0)
    stands(yard, 1, 50, 110, 4.0)
    cede_fouled(yard, [0])
    assert runs(yard, 0) == [(100, 160)] and runs(yard, 1) == [(50, 110)]
