"""Statistics over scenes and what changed: robust medians, fits and covariances, radiometry, change and cover."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from scipy import ndimage, stats

from rail_watch.change.cover import unflagged_cover
from rail_watch.change.measure import ChangeMap, measure, reduction
from rail_watch.change.radiometry import fit_radiometry, follows_reference, most_typical
from rail_watch.change.robust import (
    half_sample_mode,
    line_fit,
    ranks,
    robust_covariance,
    spread,
    weighted_median,
    whitening,
)
from rail_watch.imagery.scene import Quality
from rail_watch.prepare.order import LONGEST, network, sort_rows
from rail_watch.prepare.stack import Stack
from rail_watch.prepare.zones import mask_of, zones_of
from tests.align_material import texture
from tests.stack_material import box, grid_of, site_of, stack_of

FLOATS = st.floats(-1e3, 1e3, width=32)


@pytest.mark.parametrize("rows", [1, 2, 3, 5, 8, 13, 31, LONGEST, LONGEST + 1])
def test_rows_are_sorted(rows: int) -> None:
    values = np.random.default_rng(rows).normal(size=(rows, 40)).round(1)
    wanted = np.sort(values, axis=0)
    sort_rows(values)
    np.testing.assert_array_equal(values, wanted)


def test_a_network_sorts_every_order_of_zeros_and_ones() -> None:
    """Which is to say, by the 0-1 principle, every order of anything."""
    for rows in range(2, 11):
        values = ((np.arange(2**rows)[None] >> np.arange(rows)[:, None]) & 1).astype(np.float32)
        ones = values.sum(axis=0)
        sort_rows(values)
        assert (np.diff(values, axis=0) >= 0).all()
        np.testing.assert_array_equal(values.sum(axis=0), ones)
    assert len(network(8)) == 19


@settings(max_examples=60)
@given(hnp.arrays(np.float32, hnp.array_shapes(min_dims=2, max_dims=3, max_side=9), elements=FLOATS))
def test_equal_weights_give_the_usual_median(values: NDArray[np.float32]) -> None:
    got = weighted_median(values, np.ones_like(values))
    np.testing.assert_allclose(got, np.median(values.astype(np.float64), axis=0), rtol=1e-6, atol=1e-30)
    assert got.dtype == np.float32


@settings(max_examples=60)
@given(st.lists(st.tuples(FLOATS, st.integers(0, 6)), min_size=1, max_size=12))
def test_a_weight_counts_as_so_many_equal_looks(pairs: list[tuple[float, int]]) -> None:
    values = np.array([[v] for v, _ in pairs], np.float32)
    weights = np.array([[w] for _, w in pairs], np.float32)
    many = np.repeat(values[:, 0], weights[:, 0].astype(int))
    got = weighted_median(values, weights)
    if many.size:
        np.testing.assert_allclose(got[0], np.median(many.astype(np.float64)), rtol=1e-6, atol=1e-30)
    else:
        assert np.isnan(got[0])


def test_what_is_not_a_number_takes_no_part() -> None:
    values = np.array([[1.0, np.nan], [np.nan, np.inf], [3.0, np.nan], [9.0, 5.0]], np.float32)
    weights = np.array([[1.0, 1.0], [1.0, 1.0], [1.0, 1.0], [0.0, 1.0]], np.float32)
    np.testing.assert_array_equal(weighted_median(values, weights), [2.0, 5.0])
    assert np.isnan(weighted_median(values, np.zeros_like(values))).all()


def test_many_places_are_as_few() -> None:
    rng = np.random.default_rng(5)
    values, weights = rng.normal(size=(7, 3, 9000)).astype("f4"), rng.random((7, 3, 9000)).astype("f4")
    whole = weighted_median(values, weights)
    np.testing.assert_array_equal(whole[1, 8000:], weighted_median(values[:, 1, 8000:], weights[:, 1, 8000:]))


def test_spread_of_a_normal_sample_is_its_deviation() -> None:
    sample = np.random.default_rng(1).normal(scale=3.0, size=20_000).astype(np.float32)
    sample[::7] = np.nan
    assert spread(sample) == pytest.approx(3.0, rel=0.03)
    assert spread(np.stack([sample, 2 * sample]), axis=1)[1] == pytest.approx(6.0, rel=0.03)


@given(hnp.arrays(np.float32, st.integers(1, 40), elements=st.integers(-5, 5).map(float)))
def test_ranks_of_equal_values_are_shared(values: NDArray[np.float32]) -> None:
    assert ranks(values) == pytest.approx(stats.rankdata(values))


def test_the_mode_stands_among_most() -> None:
    rng = np.random.default_rng(2)
    sample = np.concatenate([rng.normal(2.0, 0.1, 600), rng.uniform(2, 9, 500), [np.nan]])
    assert half_sample_mode(sample) == pytest.approx(2.0, abs=0.15)
    assert np.isnan(half_sample_mode(np.array([np.nan])))


@settings(max_examples=25)
@given(st.floats(0.2, 3.0), st.floats(-0.2, 0.2), st.integers(0, 2**16))
def test_a_line_is_found_though_a_quarter_has_changed(gain: float, offset: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.uniform(0.05, 0.4, 3000)
    y = gain * x + offset + rng.normal(0, 0.004, x.size)
    y[:750] += rng.uniform(0.05, 0.4, 750)
    got_gain, got_offset, sigma = line_fit(x, y)
    assert got_gain == pytest.approx(gain, abs=0.02)
    assert got_offset == pytest.approx(offset, abs=0.006)
    assert 0.003 < sigma < 0.008


def test_covariance_of_the_quiet_share_whitens() -> None:
    rng = np.random.default_rng(3)
    true = np.array([[1.0, 0.6, 0.1], [0.6, 2.0, 0.3], [0.1, 0.3, 0.5]])
    points = rng.multivariate_normal(np.zeros(3), true, 8000)
    points[:400] += 8.0
    got = robust_covariance(points)
    np.testing.assert_allclose(got, true, atol=0.25)
    white = whitening(got)
    np.testing.assert_allclose(white @ got @ white.T, np.eye(3), atol=1e-9)
    np.testing.assert_allclose(white, white.T, atol=1e-9)


def scenes(gains: tuple[float, ...], *, shape: tuple[int, int] = (60, 70), seed: int = 4) -> NDArray[np.float32]:
    """(time, 4, row, column) of the same ground under other light, with noise."""
    rng = np.random.default_rng(seed)
    ground = 0.2 + 0.03 * texture(shape, 2.0, rng)
    bands = np.stack([scale * ground for scale in (0.5, 0.7, 1.0, 1.4)])
    return np.stack([g * bands + 0.01 * (g - 1) + rng.normal(0, 0.002, bands.shape) for g in gains]).astype(np.float32)


GAINS = (1.0, 1.3, 0.8, 1.1, 0.9)


def test_radiometry_finds_each_scenes_gain() -> None:
    stack = stack_of(scenes(GAINS))
    fitted = fit_radiometry(stack, zones_of(site_of(stack.grid.shape), stack.grid))
    np.testing.assert_allclose(
        fitted.gain, np.array(GAINS)[:, None] / GAINS[fitted.reference] * np.ones((1, 4)), rtol=0.03
    )
    assert (fitted.sigma[np.arange(5) != fitted.reference] < 0.005).all()


TRACK = (((60.0, 5.0), (60.0, 115.0)),)


def _fields(seed: int, *, near: float, wide: float) -> Stack:
    """Three scenes; in the last, fields have changed places but for shares of the ground near the track and farther."""
    rng = np.random.default_rng(seed)
    shape = (120, 120)
    ground, other = (0.1 + 0.15 * rng.random((1, 1, *shape)) for _ in range(2))
    farther = np.abs(np.arange(shape[0]) - 60.0)[:, None] * 3.0 > 9.0
    kept = rng.random(shape) < np.where(farther, wide, near)
    last = 0.8 * np.where(kept, ground, other) + 0.02
    pixels = np.concatenate([ground, ground, last]) + 0.001 * rng.standard_normal((3, 1, *shape))
    return stack_of(pixels.astype(np.float32))


@pytest.mark.parametrize(
    ("near", "wide", "found"),
    [
        pytest.param(0.95, 0.95, True, id="all ground tells"),
        pytest.param(0.95, 0.0, True, id="the tracks' surroundings alone tell"),
        pytest.param(0.0, 0.0, False, id="nothing tells"),
    ],
)
def test_where_fields_changed_places_the_tracks_surroundings_tell_of_a_scene(
    near: float, wide: float, found: bool
) -> None:
    stack = _fields(1, near=near, wide=wide)
    fitted = fit_radiometry(stack, zones_of(site_of(stack.grid.shape, tracks=TRACK), stack.grid))
    assert fitted.reference in (0, 1)
    if found:
        np.testing.assert_allclose(fitted.gain[2], 0.8, atol=0.02)
        np.testing.assert_allclose(fitted.offset[2], 0.02, atol=0.005)
    assert follows_reference(fitted.gain)[2] == found


def test_where_stable_ground_tells_nothing_all_open_ground_does() -> None:
    stack, rng = _fields(2, near=0.0, wide=0.95), np.random.default_rng(7)
    stack.pixels[2, :, 80:, :60] = 0.3 + 0.002 * rng.standard_normal((40, 60))  # a roof that shines
    site = site_of(stack.grid.shape, tracks=TRACK)
    roof = mask_of([box((80, 120), (0, 60), gsd_m=3.0)], stack.grid)
    zones = replace(zones_of(site, stack.grid), stable=roof)
    np.testing.assert_allclose(fit_radiometry(stack, zones).gain[2], 0.8, atol=0.03)


def test_where_hardly_any_ground_is_stable_scenes_are_told_by_the_rest() -> None:
    stack = _fields(3, near=0.95, wide=0.95)
    zones = zones_of(site_of(stack.grid.shape, tracks=TRACK), stack.grid)
    fitted = fit_radiometry(stack, replace(zones, stable=np.zeros_like(zones.stable)))
    assert np.isfinite(fitted.sigma).all()
    np.testing.assert_allclose(fitted.gain[2], 0.8, atol=0.02)


def test_a_scene_under_snow_is_not_the_typical_one() -> None:
    pixels = scenes(GAINS)
    pixels[1] = 0.7 + 0.02 * np.random.default_rng(9).standard_normal(pixels[1].shape)
    clear = np.ones((5, 60, 70), bool)
    clear[0, :20] = clear[2:, :10] = False
    assert most_typical(stack_of(pixels), clear) != 1
    assert most_typical(stack_of(pixels[:2]), clear[:2]) == 1


def test_what_appears_is_found_and_what_stays_is_not() -> None:
    pixels = scenes(GAINS)
    pixels[3, :, 20:26, 30:36] += 0.15
    stack = stack_of(pixels)
    change = measure(stack, zones_of(site_of(stack.grid.shape), stack.grid))
    assert change.factor == 1
    assert (change.p_value[3, 20:26, 30:36] < 1e-6).all()
    assert (change.brightness[3, 20:26, 30:36] > 3).all()
    quiet = np.delete(change.p_value, 3, axis=0)
    quiet = quiet[np.isfinite(quiet)]
    assert 0.003 < np.mean(quiet < 0.01) < 0.03
    assert 0.4 < np.mean(quiet < 0.5) < 0.6


def test_fine_pixels_are_averaged_over_what_is_clear() -> None:
    assert [reduction(gsd) for gsd in (0.3, 0.5, 1.0, 1.5, 3.0, 10.0)] == [6, 4, 2, 1, 1, 1]
    pixels = np.repeat(np.repeat(scenes(GAINS, shape=(30, 35)), 4, axis=2), 4, axis=3)
    quality = np.zeros((5, 120, 140), np.uint8)
    quality[0, 40:41, 40:60], pixels[0, :, 40:41, 40:60] = int(Quality.CLOUD), 9.0
    quality[0, 80:100, 40:60] = int(Quality.CLOUD)
    stack = stack_of(pixels, gsd_m=0.5, quality=quality)
    change = measure(stack, zones_of(site_of(stack.grid.shape, gsd_m=0.5), stack.grid))
    assert change.p_value.shape == (5, 30, 35)
    # A quarter of these blocks is cloud and was left out; all of those are.
    assert (change.p_value[0, 10, 10:15] > 1e-4).all()
    assert np.isnan(change.p_value[0, 20:25, 10:15]).all()
    np.testing.assert_array_equal(change.seen, np.isfinite(change.p_value))
    assert change.grid.metres_per_pixel() == pytest.approx(4 * stack.grid.metres_per_pixel())


def test_one_scene_alone_tells_nothing() -> None:
    stack = stack_of(scenes((1.0,)))
    assert not measure(stack, zones_of(site_of(stack.grid.shape), stack.grid)).seen.any()


def ratio_map(ratio: NDArray[np.float32]) -> ChangeMap:
    """A map of which only the light's ratio (row, column) is told, alike in three bands."""
    none = np.zeros((1, *ratio.shape), np.float32)
    several = np.repeat(ratio[None, None], 3, axis=1)
    return ChangeMap(grid_of(2.0, (ratio.shape[0], ratio.shape[1])), none, none, several, several, 1)


def test_wide_patches_hide_the_ground_and_trains_do_not() -> None:
    ratio = np.ones((80, 90), np.float32)
    rows, cols = np.mgrid[:80, :90]
    ratio[np.hypot(rows - 20, cols - 20) <= 8] = 1.5
    ratio[60:62, 5:85] = 1.8
    ratio[np.hypot(rows - 40, cols - 70) <= 9] = 0.5
    cover = unflagged_cover(ratio_map(ratio), gsd_m=2.0)[0]
    assert cover[20, 20] == Quality.CLOUD
    assert cover[20, 29] == Quality.CLOUD  # its halo
    assert cover[40, 70] == Quality.CLOUD_SHADOW
    assert not cover[58:64, 30:60].any()
    assert not unflagged_cover(ratio_map(np.full((80, 90), 1.9, np.float32)), gsd_m=2.0).any()
    assert not unflagged_cover(ratio_map(np.full((8, 9), np.nan, np.float32)), gsd_m=2.0).any()


@settings(max_examples=20)
@given(st.integers(0, 2**16), st.floats(0.3, 0.7))
def test_a_dark_patch_is_hidden_just_where_a_disk_fits(seed: int, share: float) -> None:
    """Against the plain definition: opened with a disk of 4 px, grown within the wider mask to the disk's next ring."""
    field = texture((60, 64), 4.0, np.random.default_rng(seed))
    ratio = np.where(field < np.quantile(field, share), 0.5, 1.0).astype(np.float32)
    dark = np.pad(ratio < 0.7, 4, mode="edge")
    disk = np.hypot(*np.mgrid[-4:5, -4:5]) <= 4
    seeds = ndimage.binary_dilation(ndimage.binary_erosion(dark, disk), disk)[4:-4, 4:-4]
    grown = ndimage.binary_propagation(seeds & (ratio < 0.85), np.ones((3, 3)), mask=ratio < 0.85)
    near = ndimage.binary_dilation(seeds, np.hypot(*np.mgrid[-5:6, -5:6]) <= 5)
    got = unflagged_cover(ratio_map(ratio), gsd_m=3.0)[0]
    np.testing.assert_array_equal(got == Quality.CLOUD_SHADOW, grown & near)
