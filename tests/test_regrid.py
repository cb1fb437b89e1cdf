"""One scene onto another grid: the same lattice, a foreign projection, rotation, shifts, gaps and quality."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from rail_watch.grid import Grid, transformer
from rail_watch.imagery.scene import Quality, Scene, SceneRef
from rail_watch.prepare.align import translate
from rail_watch.prepare.regrid import filled, regrid, to_nearest_pixel

UTM51, UTM52 = "EPSG:32651", "EPSG:32652"
LEFT, TOP = 255_000.0, 4_650_000.0
"""In zone 52, near 126 degrees east, where zone 51 is as good."""
TARGET = Grid(UTM52, Affine(10, 0, LEFT, 0, -10, TOP), (60, 70))


def wave(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Something smooth on the ground, by coordinates of zone 52; about 120 m from crest to crest."""
    return 0.2 + 0.05 * np.sin((x - LEFT) / 19) * np.cos((y - TOP) / 23) + 0.0001 * (x - LEFT) / 10


def scene_on(grid: Grid, *, quality: NDArray[np.uint8] | None = None) -> Scene:
    """A scene that shows `wave` on a grid of any projection."""
    rows, cols = np.meshgrid(*(np.arange(n, dtype=np.float64) for n in grid.shape), indexing="ij")
    xy = grid.xy(np.stack([rows, cols], axis=-1))
    x, y = transformer(grid.crs, UTM52).transform(xy[..., 0], xy[..., 1])
    quality = np.zeros(grid.shape, np.uint8) if quality is None else quality
    pixels = np.stack([wave(x, y), 2 * wave(x, y)]).astype(np.float32)
    pixels[:, np.isin(quality, (Quality.OUTSIDE, Quality.NODATA, Quality.READ_FAILED))] = np.nan
    ref = SceneRef("s", datetime(2022, 11, 4, 2, tzinfo=UTC), "testsat", 10.0, ())
    return Scene(ref, grid, ("red", "nir"), pixels, quality)


def truth() -> NDArray[np.float64]:
    rows, cols = np.meshgrid(*(np.arange(n, dtype=np.float64) for n in TARGET.shape), indexing="ij")
    xy = TARGET.xy(np.stack([rows, cols], axis=-1))
    return wave(xy[..., 0], xy[..., 1])


def test_same_grid_is_left_as_it_is() -> None:
    scene = scene_on(TARGET)
    pixels, quality = regrid(scene, TARGET, bands=("nir", "red"))
    np.testing.assert_array_equal(pixels, scene.pixels[::-1])
    assert not quality.any()
    assert not np.shares_memory(pixels, scene.pixels)


def test_same_lattice_is_cut_out_without_resampling() -> None:
    wider = Grid(UTM52, Affine(10, 0, LEFT - 40, 0, -10, TOP + 30), (80, 90))
    scene = scene_on(wider)
    pixels, _ = regrid(scene, TARGET, bands=("red",))
    np.testing.assert_array_equal(pixels[0], scene.pixels[0, 3:63, 4:74])


def test_what_the_scene_does_not_reach_is_outside() -> None:
    smaller = Grid(UTM52, Affine(10, 0, LEFT + 100, 0, -10, TOP - 50), (20, 30))
    pixels, quality = regrid(scene_on(smaller), TARGET, bands=("red",))
    inside = np.zeros(TARGET.shape, dtype=bool)
    inside[5:25, 10:40] = True
    assert (quality[~inside] == Quality.OUTSIDE).all()
    assert np.isnan(pixels[0][~inside]).all()
    assert np.isfinite(pixels[0][inside]).all()


def test_half_a_pixel_off_is_interpolated_and_can_be_cut_whole() -> None:
    half = Grid(UTM52, Affine(10, 0, LEFT - 44, 0, -10, TOP + 36), (80, 90))
    scene = scene_on(half)
    pixels, _ = regrid(scene, TARGET, bands=("red",))
    assert np.abs(pixels[0] - truth()).max() < 1e-3
    shift = to_nearest_pixel(scene, TARGET)
    np.testing.assert_allclose(shift, (0.4, -0.4), atol=1e-6)
    whole, _ = regrid(scene, TARGET, bands=("red",), shift_px=shift)
    np.testing.assert_array_equal(whole[0], scene.pixels[0, 4:64, 4:74])


@settings(max_examples=15)
@given(st.floats(-3, 3), st.floats(-3, 3))
def test_a_shift_is_taken_out(row: float, col: float) -> None:
    """What appears lower by `row` and to the right by `col` comes back to its place, in any projection."""
    grids = (
        Grid(UTM52, Affine(10, 0, LEFT - 100, 0, -10, TOP + 100), (80, 90)),
        rotated(Grid(UTM52, Affine(10, 0, LEFT - 300, 0, -10, TOP + 300), (130, 140)), 7.0),
    )
    for grid in grids:
        scene = scene_on(grid)
        # Mapped a little off, the scene shows everything displaced.
        t = grid.transform
        off = Affine(t.a, t.b, t.c + 10 * col, t.d, t.e, t.f - 10 * row)
        mislaid = Scene(scene.ref, Grid(grid.crs, off, grid.shape), scene.bands, scene.pixels, scene.quality)
        pixels, _ = regrid(mislaid, TARGET, bands=("red",), shift_px=(row, col))
        assert np.abs(pixels[0] - truth())[4:-4, 4:-4].max() < 2e-3


def rotated(grid: Grid, degrees: float) -> Grid:
    t = grid.transform
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return Grid(grid.crs, Affine(t.a * cos, t.b * sin - t.e * sin, t.c, t.a * sin, t.e * cos, t.f), grid.shape)


def test_foreign_projection() -> None:
    x, y = transformer(UTM52, UTM51).transform(LEFT, TOP)
    foreign = Grid(UTM51, Affine(10, 0, float(x) - 300, 0, -10, float(y) + 300), (130, 140))
    pixels, quality = regrid(scene_on(foreign), TARGET, bands=("red", "nir"))
    assert not quality.any()
    assert np.abs(pixels[0] - truth()).max() < 1e-3
    assert np.abs(pixels[1] - 2 * truth()).max() < 2e-3
    assert to_nearest_pixel(scene_on(foreign), TARGET) == (0.0, 0.0)


def test_quality_is_of_the_nearest_pixel_and_never_mixed() -> None:
    half = Grid(UTM52, Affine(10, 0, LEFT - 44, 0, -10, TOP + 36), (80, 90))
    quality = np.random.default_rng(1).choice(np.array([0, 3, 5], np.uint8), half.shape)
    _, got = regrid(scene_on(half, quality=quality), TARGET, bands=("red",))
    np.testing.assert_array_equal(got, quality[4:64, 4:74])
    x, y = transformer(UTM52, UTM51).transform(LEFT, TOP)
    foreign = Grid(UTM51, Affine(10, 0, float(x) - 300, 0, -10, float(y) + 300), (130, 140))
    blocks = np.kron(
        np.random.default_rng(2).choice(np.array([0, 3, 5], np.uint8), (13, 14)), np.ones((10, 10), np.uint8)
    )
    _, got = regrid(scene_on(foreign, quality=blocks), TARGET, bands=("red",))
    assert set(np.unique(got)) <= {0, 3, 5}


@pytest.mark.parametrize("state", [Quality.OUTSIDE, Quality.NODATA, Quality.READ_FAILED])
def test_gaps_stay_gaps_and_do_not_ring(state: Quality) -> None:
    half = Grid(UTM52, Affine(10, 0, LEFT - 44, 0, -10, TOP + 36), (80, 90))
    quality = np.zeros(half.shape, np.uint8)
    quality[30:40, 20:50] = state
    pixels, got = regrid(scene_on(half, quality=quality), TARGET, bands=("red",))
    gap = got == state
    assert gap.sum() == 300
    assert np.isnan(pixels[0][gap]).all()
    assert np.isfinite(pixels[0][~gap]).all()
    assert np.abs(pixels[0] - truth())[~gap].max() < 0.06


def test_cloud_keeps_its_pixels() -> None:
    quality = np.full(TARGET.shape, int(Quality.CLOUD), np.uint8)
    pixels, got = regrid(scene_on(TARGET, quality=quality), TARGET, bands=("red",))
    assert np.isfinite(pixels).all()
    assert (got == Quality.CLOUD).all()


def test_filled_takes_the_nearest_measured() -> None:
    band = np.array([[1, np.nan, np.nan, 4]], np.float32)
    np.testing.assert_array_equal(filled(band, ~np.isfinite(band)), [[1, 1, 4, 4]])
    assert not filled(np.full((2, 2), np.nan, np.float32), np.ones((2, 2), bool)).any()


@settings(max_examples=30)
@given(st.integers(0, 2**16), st.integers(1, 6))
def test_filled_reaches_so_far_with_values_from_the_edge(seed: int, reach: int) -> None:
    rng = np.random.default_rng(seed)
    missing = ndimage.binary_dilation(rng.random((30, 34)) < 0.01, iterations=5)
    values = np.where(missing, np.float32(np.nan), rng.uniform(1, 2, (2, 30, 34)).astype(np.float32))
    got = filled(values, missing, reach_px=reach)
    np.testing.assert_array_equal(got[:, ~missing], values[:, ~missing])
    steps = ndimage.distance_transform_cdt(missing, "taxicab") if missing.any() else missing
    near = missing & (steps <= reach) if not missing.all() else np.zeros_like(missing)
    assert (got[:, near] >= 1).all()
    assert not got[:, missing & ~near].any()
    # Both bands come from one place.
    pairs = {tuple(pair) for pair in values[:, ~missing].T.tolist()}
    assert {tuple(pair) for pair in got[:, near].T.tolist()} <= pairs


def test_resampling_only_what_is_wanted_gives_the_same_there() -> None:
    rng = np.random.default_rng(4)
    image = rng.random((2, 40, 50), dtype=np.float32)
    wanted = np.zeros((40, 50), bool)
    wanted[5:20, 10:14] = wanted[18:33, 30:41] = True
    whole, part = translate(image, 0.3, -1.4), translate(image, 0.3, -1.4, wanted=wanted)
    np.testing.assert_array_equal(part[:, wanted], whole[:, wanted])
    kernel = [np.sinc(x) * np.sinc(x / 4) * (abs(x) < 4) for x in np.arange(-4, 5) - 0.3]
    rows = ndimage.correlate1d(image, np.array(kernel) / sum(kernel), axis=1, mode="nearest")
    np.testing.assert_allclose(translate(image, 0.3, 0.0), rows, atol=2e-6, rtol=0)
