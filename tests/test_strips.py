"""Tracks straightened into strips: what lies where, under linear and cubic sampling, with gaps and roofs."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from shapely import LineString

from rail_watch.aoi.site import Bridge
from rail_watch.grid import WGS84
from rail_watch.imagery.scene import Quality
from rail_watch.interpret.strips import Strip, make_strip, make_strips, neighbours, positions, row_col_of, steps_for
from rail_watch.prepare.zones import local_frame, reproject
from tests.stack_material import box, site_of, stack_of, with_shed

SHAPE = (120, 140)
TRACK = ((20.0, 15.0), (60.0, 70.0), (95.0, 120.0))


def ramp(*, times: int = 2) -> NDArray[np.float32]:
    """(time, band, row, column): the row in one band, the column in the other, and scenes a constant apart."""
    rows, cols = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(np.float32)
    return np.stack([np.stack([rows + 1000 * t, cols]) for t in range(times)])


def where_in_grid(strip: Strip, gsd_m: float) -> NDArray[np.float64]:
    """(S, O, 2) row and column of a strip's samples."""
    stack = stack_of(ramp(), gsd_m=gsd_m)
    return row_col_of(strip.where, local_frame(site_of(SHAPE, gsd_m=gsd_m)), stack.grid)


@pytest.mark.parametrize("gsd_m", [0.5, 1.0, 3.0, 10.0])
def test_a_strip_reads_what_lies_at_its_positions(gsd_m: float) -> None:
    (strip,) = make_strips(stack_of(ramp(), gsd_m=gsd_m), site_of(SHAPE, gsd_m=gsd_m, tracks=(TRACK,)))
    place = where_in_grid(strip, gsd_m)
    inside = ((place > 4) & (place < np.array(SHAPE) - 5)).all(axis=-1)
    assert inside.mean() > 0.7
    for t, band in ((0, 0), (1, 0), (1, 1)):
        expected = place[..., band] + (1000 * t if band == 0 else 0)
        np.testing.assert_allclose(strip.pixels[t, band][inside], expected[inside], rtol=1e-5, atol=0.02)
    assert strip.pixels.dtype == np.float32
    assert not strip.quality[:, inside].any()
    assert not strip.roofed.any()


def test_spacing_is_that_of_the_class_of_gsd() -> None:
    for gsd_m in (0.5, 3.0, 10.0):
        (strip,) = make_strips(stack_of(ramp(), gsd_m=gsd_m), site_of(SHAPE, gsd_m=gsd_m, tracks=(TRACK,)))
        step, across, reach = steps_for(gsd_m)
        assert strip.step_m == pytest.approx(step, rel=0.05)
        assert strip.offset_step_m == pytest.approx(across)
        assert strip.across_m[-1] == pytest.approx(reach, abs=across)
        assert strip.pixels.shape == (2, 2, len(strip.along_m), len(strip.across_m))


@settings(max_examples=40)
@given(st.lists(st.tuples(st.floats(-300, 300), st.floats(-300, 300)), min_size=2, max_size=5, unique=True))
def test_positions_lie_at_their_offset_from_the_line(points: list[tuple[float, float]]) -> None:
    if min(np.hypot(bx - ax, by - ay) for (ax, ay), (bx, by) in pairwise(points)) < 20:
        return
    line = LineString(points[:2])
    along = np.linspace(1, line.length - 1, 7)
    across = np.array([-9.0, -1.5, 0.0, 4.0])
    where, heading = positions(line, along, across)
    np.testing.assert_allclose(
        shapely.distance(shapely.points(where), line), np.abs(across) * np.ones((7, 1)), atol=1e-6
    )
    travel = np.array([np.sin(np.radians(heading)), np.cos(np.radians(heading))]).T
    left = where[:, -1] - where[:, 0]
    # Offsets count to the left of travel.
    assert (travel[:, 0] * left[:, 1] - travel[:, 1] * left[:, 0] > 0).all()


@pytest.mark.parametrize("gsd_m", [0.5, 3.0])
def test_gaps_stay_gaps_and_leave_the_rest_alone(gsd_m: float) -> None:
    pixels, quality = ramp(), np.zeros((2, *SHAPE), np.uint8)
    quality[1, 50:70, 60:80] = int(Quality.NODATA)
    pixels[1, :, 50:70, 60:80] = np.nan
    site = site_of(SHAPE, gsd_m=gsd_m, tracks=(TRACK,))
    (whole,) = make_strips(stack_of(ramp(), gsd_m=gsd_m), site)
    (gappy,) = make_strips(stack_of(pixels, gsd_m=gsd_m, quality=quality), site)
    np.testing.assert_array_equal(gappy.pixels[0], whole.pixels[0])
    missing = gappy.quality[1] == Quality.NODATA
    assert 0.02 < missing.mean() < 0.5
    assert np.isnan(gappy.pixels[1][:, missing]).all()
    seen = gappy.quality[1] == Quality.CLEAR
    np.testing.assert_array_equal(np.isfinite(gappy.pixels[1]).all(axis=0), np.isfinite(whole.pixels[1, 0]) & seen)
    place = where_in_grid(whole, gsd_m)
    beside = np.abs(place - (60, 70)).max(axis=-1) < 25
    far = (whole.quality[1] == Quality.CLEAR) & ~beside
    np.testing.assert_allclose(gappy.pixels[1][:, far], whole.pixels[1][:, far], rtol=1e-5)


def test_beyond_the_grid_nothing_is_known() -> None:
    (strip,) = make_strips(stack_of(ramp(), gsd_m=3.0), site_of(SHAPE, tracks=(((60.0, 90.0), (60.0, 160.0)),)))
    beyond = where_in_grid(strip, 3.0)[..., 1] > SHAPE[1] - 1
    assert beyond.any()
    assert (strip.quality[:, beyond] == Quality.OUTSIDE).all()
    assert np.isnan(strip.pixels[:, :, beyond]).all()
    assert np.isfinite(strip.pixels[:, :, ~beyond]).all()


def test_cloud_at_either_of_two_points_is_told() -> None:
    quality = np.zeros((2, *SHAPE), np.uint8)
    quality[0, :, :70] = int(Quality.CLOUD)
    (strip,) = make_strips(
        stack_of(ramp(), gsd_m=0.5, quality=quality), site_of(SHAPE, gsd_m=0.5, tracks=(((10.0, 70.0), (110.0, 70.0)),))
    )
    assert set(np.unique(strip.quality[0])) == {Quality.CLEAR, Quality.CLOUD}
    assert np.isfinite(strip.pixels).all()
    assert not strip.quality[1].any()


def test_one_track_alone_is_as_among_others_and_a_line_may_be_given() -> None:
    stack, site = stack_of(ramp(), gsd_m=3.0), site_of(SHAPE, tracks=(TRACK, ((30.0, 15.0), (105.0, 120.0))))
    both = make_strips(stack, site)
    alone = make_strip(stack, site, site.tracks[1])
    np.testing.assert_array_equal(alone.pixels, both[1].pixels)
    moved = shapely.affinity.translate(reproject(site.tracks[1].line, WGS84, local_frame(site)), 3.0, 0.0)
    assert isinstance(moved, LineString)
    other = make_strip(stack, site, site.tracks[1], line=moved)
    np.testing.assert_allclose(other.pixels[0, 1] - alone.pixels[0, 1], 1.0, atol=0.02)
    deck = make_strip(stack, site, Bridge("b", "Bridge", site.tracks[0].line))
    assert (deck.is_bridge, both[0].is_bridge) == (True, False)


def test_what_stands_under_a_shed_is_roofed() -> None:
    site = site_of(SHAPE, tracks=(((60.0, 20.0), (60.0, 120.0)),))
    (strip,) = make_strips(stack_of(ramp()), with_shed(site, box((50, 70), (40, 80), gsd_m=3.0)))
    assert strip.roofed.mean() == pytest.approx(0.4, abs=0.03)


def test_neighbours_are_known_by_offset() -> None:
    site = site_of(
        SHAPE, tracks=(((60.0, 20.0), (60.0, 120.0)), ((62.0, 40.0), (62.0, 100.0)), ((10.0, 5.0), (10.0, 30.0)))
    )
    strips = make_strips(stack_of(ramp()), site)
    (near,) = neighbours(strips, 0)
    assert near.index == 1
    middle = near.offset_m[:, len(strips[0].across_m) // 2]
    # The other lies 6 m to the right of travel, so this one 6 m to its left.
    np.testing.assert_allclose(middle[np.isfinite(middle)], 6.0, atol=0.1)
    assert np.isfinite(middle).mean() == pytest.approx(0.6, abs=0.05)
