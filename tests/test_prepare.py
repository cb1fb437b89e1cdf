"""A series of one sensor: shifts come back in metres, over two zones too; doubtful scenes are left alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from affine import Affine
from numpy.typing import NDArray
from scipy import ndimage
from shapely import Polygon

from rail_watch.aoi.site import Site
from rail_watch.grid import WGS84, Grid, local_crs, transformer
from rail_watch.imagery.scene import Quality, Scene, SceneRef
from rail_watch.prepare.series import LARGE, align_series
from rail_watch.prepare.stack import Stack, prepare
from tests.align_material import displaced, ground, in_shade, seen, texture

LON, LAT = 126.0, 42.0
"""Where zones 51 and 52 meet: their norths differ by four degrees here."""
FRAME = local_crs(LON, LAT)
GSD = 3.0
TRUE_M = ((0.0, 0.0), (1.2, -0.9), (-2.1, 0.6), (0.5, 1.8), (-0.9, -1.4), (2.0, 0.3))
"""(east, north): where a feature appears in each scene minus where it lies."""
FIELD = 4
"""Samples of the ground's picture per pixel."""


def ground_picture(seed: int = 1) -> NDArray[np.float64]:
    """A square of 200 x 200 pixels around the site, finely sampled."""
    coarse = ground((200, 200), seed=seed, objects=80)
    return np.asarray(ndimage.zoom(coarse, FIELD, order=3, grid_mode=True, mode="grid-wrap"))


def grid_in(zone: int) -> Grid:
    x, y = transformer(WGS84, f"EPSG:326{zone}").transform(LON, LAT)
    left, top = GSD * np.floor(x / GSD) - 70 * GSD, GSD * np.floor(y / GSD) + 66 * GSD
    return Grid(f"EPSG:326{zone}", Affine(GSD, 0, float(left), 0, -GSD, float(top)), (132, 140))


def sample(picture: NDArray[np.float64], grid: Grid, shift_m: tuple[float, float]) -> NDArray[np.float64]:
    """What a sensor on `grid` sees of the ground, everything displaced by (east, north) metres."""
    rows, cols = np.meshgrid(*(np.arange(n, dtype=np.float64) for n in grid.shape), indexing="ij")
    xy = grid.xy(np.stack([rows, cols], axis=-1))
    east, north = transformer(grid.crs, FRAME).transform(xy[..., 0], xy[..., 1])
    fine = GSD / FIELD
    at = [(-(north - shift_m[1])) / fine + 100 * FIELD, (east - shift_m[0]) / fine + 100 * FIELD]
    return np.asarray(ndimage.map_coordinates(picture, at, order=3, mode="grid-wrap"))


def scene(index: int, picture: NDArray[np.float64], *, zone: int = 52) -> Scene:
    grid = grid_in(zone)
    image = sample(picture, grid, TRUE_M[index])
    rng = np.random.default_rng(100 + index)
    bands = [gain * image + rng.normal(0, 0.002, image.shape) for gain in (0.7, 1.0, 1.6)]
    when = datetime(2022, 6, 1, 2, tzinfo=UTC) + timedelta(days=9 * index)
    ref = SceneRef(f"scene-{index}", when, "testsat", GSD, ())
    quality = np.zeros(grid.shape, np.uint8)
    return Scene(ref, grid, ("green", "red", "nir"), np.stack(bands).astype(np.float32), quality)


def site() -> Site:
    half = 170.0
    lon, lat = transformer(FRAME, WGS84).transform([-half, half, half, -half], [-half, -half, half, half])
    return Site("yard", "Test yard", Polygon(zip(lon, lat, strict=True)))


def errors_m(stack: Stack) -> NDArray[np.float64]:
    """(time, 2) stated minus true shift, both against the series' median."""
    known = np.isfinite(stack.shift_error_m)
    true = np.array(TRUE_M[: len(stack.scenes)])
    miss = stack.shift_m - true
    return np.asarray((miss - np.median(miss[known], axis=0))[known])


def test_shifts_come_back_in_metres_with_their_sign() -> None:
    stack = prepare([scene(i, ground_picture()) for i in range(6)], site(), sensor="testsat, 3 m")
    assert np.isfinite(stack.shift_error_m).all()
    assert np.abs(errors_m(stack)).max() < 0.03 * GSD
    assert (stack.shift_error_m < 0.1 * GSD).all()
    np.testing.assert_allclose(np.median(stack.shift_m, axis=0), 0, atol=0.05)
    # Aligned, every scene shows the same.
    spread = np.ptp(stack.pixels[:, 1, 8:-8, 8:-8], axis=0)
    assert np.median(spread) < 0.012


def test_scenes_of_two_zones_meet_on_one_grid() -> None:
    scenes = [scene(i, ground_picture(), zone=51 if i % 2 else 52) for i in range(6)]
    stack = prepare(scenes, site(), sensor="testsat, 3 m")
    assert stack.grid == scenes[0].grid
    assert np.isfinite(stack.shift_error_m).all()
    assert np.abs(errors_m(stack)).max() < 0.05 * GSD


def test_shadows_of_another_hour_do_not_pull() -> None:
    lit = ground((200, 200), objects=80)
    steps = [(4, -5), (4, -3), (4, -1), (4, 1), (4, 3), (4, 5)]
    pictures = [np.asarray(ndimage.zoom(in_shade(lit, step), FIELD, order=3, mode="grid-wrap")) for step in steps]
    stack = prepare([scene(i, picture) for i, picture in enumerate(pictures)], site(), sensor="testsat, 3 m")
    assert np.isfinite(stack.shift_error_m).all()
    assert np.sqrt(np.mean(errors_m(stack) ** 2)) < 0.05 * GSD


@pytest.mark.parametrize("change", ["snow", "all cloud", "another place"])
def test_a_scene_that_shows_something_else_is_refused_and_pulls_nobody(change: str) -> None:
    scenes = [scene(i, ground_picture()) for i in range(6)]
    odd = scenes[3]
    snow = 0.7 + 0.03 * texture(odd.quality.shape, 2.0, np.random.default_rng(4))
    scenes[3] = {
        "snow": replace(odd, pixels=np.stack([snow] * 3).astype(np.float32)),
        "all cloud": replace(odd, quality=np.full_like(odd.quality, int(Quality.CLOUD))),
        "another place": scene(3, ground_picture(seed=50)),
    }[change]
    stack = prepare(scenes, site(), sensor="testsat, 3 m")
    assert np.isnan(stack.shift_error_m[3])
    np.testing.assert_array_equal(stack.shift_m[3], 0)
    np.testing.assert_array_equal(np.isfinite(stack.shift_error_m), [True, True, True, False, True, True])
    assert np.abs(errors_m(stack)).max() < 0.03 * GSD


def test_two_scenes_share_their_difference_and_one_stands_alone() -> None:
    scenes = [scene(i, ground_picture()) for i in range(2)]
    pair = prepare(scenes, site(), sensor="testsat, 3 m")
    np.testing.assert_allclose(pair.shift_m[1] - pair.shift_m[0], TRUE_M[1], atol=0.03 * GSD)
    alone = prepare(scenes[:1], site(), sensor="testsat, 3 m")
    np.testing.assert_array_equal(alone.shift_m, [[0, 0]])
    np.testing.assert_array_equal(alone.pixels[0], scenes[0].pixels)


def test_large_images_far_apart_are_found_on_their_blocks() -> None:
    lit = ground((600, 640), objects=900)
    true = np.array([(0.0, 0.0), (14.3, -9.6), (-6.2, 3.9), (1.4, 0.7), (-0.8, -2.3)])
    pictures = [in_shade(lit, (5, step), objects=300) for step in (-6, -3, 0, 3, 6)]
    singles = [
        seen(displaced(picture, *shift), seed=10 + i)[2]
        for i, (picture, shift) in enumerate(zip(pictures, true, strict=True))
    ]
    usable = np.ones((5, 600, 640), dtype=bool)
    assert usable[0].size > LARGE
    joint = align_series(singles, usable, usable[0], reach_px=24)
    assert joint.known.all()
    miss = joint.offset_px - true
    assert np.abs(miss - np.median(miss, axis=0)).max() < 0.05


def test_the_same_scenes_give_the_same_stack() -> None:
    scenes = [scene(i, ground_picture()) for i in range(4)]
    first, second = (prepare(scenes, site(), sensor="testsat, 3 m") for _ in range(2))
    np.testing.assert_array_equal(first.shift_m, second.shift_m)
    np.testing.assert_array_equal(first.pixels, second.pixels)
