"""Co-registration of two images: known shifts come back, changes do not pull, and what cannot be told is refused."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st

from rail_watch.prepare.align import (
    Shift,
    coarse_shift,
    estimate_shift,
    even_contrast,
    flatten,
    moved_whole,
    translate,
)
from tests.align_material import displaced, ground, in_shade, seen, texture

ALL = np.ones((160, 176), dtype=bool)


def miss(shift: Shift, row_px: float, col_px: float) -> float:
    return float(max(abs(shift.row_px - row_px), abs(shift.col_px - col_px)))


@pytest.mark.parametrize("truth", [(0.0, 0.0), (0.25, -0.4), (-0.5, 0.5), (1.3, 2.6), (-4.2, 3.1)])
def test_known_shift_comes_back(truth: tuple[float, float]) -> None:
    lit = ground()
    shift = estimate_shift(seen(lit), seen(displaced(lit, *truth), seed=4, gain=1.3), ALL)
    assert miss(shift, *truth) < 0.03
    assert 0 < shift.error_px < 0.05
    assert shift.agreement > 0.9


@settings(max_examples=12)
@given(st.floats(-2.5, 2.5), st.floats(-2.5, 2.5), st.integers(0, 2**16))
def test_any_shift_comes_back(row: float, col: float, seed: int) -> None:
    lit = ground((112, 128), seed=seed, objects=20)
    shift = estimate_shift(seen(lit, seed=seed), seen(displaced(lit, row, col), seed=seed + 1), ALL[:112, :128])
    assert miss(shift, row, col) < 0.03


def test_shadows_that_turn_with_the_sun_do_not_pull() -> None:
    lit, truth = ground(), (0.3, -0.2)
    morning, evening = in_shade(lit, (5, -6)), displaced(in_shade(lit, (5, 6)), *truth)
    shift = estimate_shift(seen(morning), seen(evening, seed=4), ALL)
    assert miss(shift, *truth) < 0.04
    assert miss(shift, *truth) < 4 * shift.error_px


def test_a_third_of_the_ground_may_change() -> None:
    lit, truth = ground(), (-0.35, 0.15)
    other = displaced(lit, *truth)
    cells = np.random.default_rng(5).random((10, 11)) < 0.3
    changed = np.kron(cells, np.ones((16, 16), dtype=bool))
    other[changed] = ground(seed=77)[changed]
    assert miss(estimate_shift(seen(lit), seen(other, seed=4), ALL), *truth) < 0.03


def test_unflagged_cloud_does_not_pull() -> None:
    lit, truth = ground(), (0.2, 0.4)
    cloud = np.clip(texture(lit.shape, 9.0, np.random.default_rng(6)) - 0.4, 0, 1)
    other = displaced(lit, *truth) * (1 - 0.7 * cloud) + 0.4 * cloud
    assert miss(estimate_shift(seen(lit), seen(other, seed=4), ALL), *truth) < 0.05


def test_what_lies_outside_the_mask_is_not_used() -> None:
    lit, truth = ground(), (0.4, -0.3)
    reference, image = seen(lit), seen(displaced(lit, *truth), seed=4)
    mask = ALL.copy()
    mask[60:90] = mask[:, 20:50] = False
    reference[:, ~mask], image[:, ~mask] = np.nan, 9.0
    assert miss(estimate_shift(reference, image, mask), *truth) < 0.03


@pytest.mark.parametrize("kind", ["inverted", "snow", "another place", "nothing but noise", "flat"])
def test_without_agreement_refused_or_right(kind: str) -> None:
    lit, truth = ground(), (0.4, -0.3)
    rng = np.random.default_rng(8)
    snow = 0.7 + 0.03 * texture(lit.shape, 2.0, rng)
    other = {
        "inverted": 0.5 - displaced(lit, *truth),
        "snow": np.where(displaced(lit, *truth) > 0.2, displaced(lit, *truth), snow),
        "another place": ground(seed=99),
        "nothing but noise": 0.2 + 0.02 * rng.standard_normal(lit.shape),
        "flat": np.full(lit.shape, 0.2),
    }[kind]
    shift = estimate_shift(seen(lit), seen(other, seed=4, noise=0.0 if kind == "flat" else 0.002), ALL)
    assert np.isnan(shift.row_px) or (kind in ("inverted", "snow") and miss(shift, *truth) < 0.05)


def test_too_little_to_see_is_refused() -> None:
    lit = ground()
    mask = np.zeros_like(ALL)
    mask[:8, :8] = True
    assert np.isnan(estimate_shift(seen(lit), seen(lit, seed=4), mask).row_px)


def test_stated_error_is_of_the_size_of_the_real_one() -> None:
    real, stated = [], []
    for seed in range(12):
        lit, truth = ground((112, 112), seed=seed, objects=8), (0.3, 0.2)
        shift = estimate_shift(
            seen(lit, seed=seed, noise=0.006),
            seen(displaced(lit, *truth), seed=seed + 50, noise=0.006),
            ALL[:112, :112],
        )
        real += [shift.row_px - truth[0], shift.col_px - truth[1]]
        stated.append(shift.error_px)
    rms, said = float(np.sqrt(np.mean(np.square(real)))), float(np.sqrt(np.mean(np.square(stated))))
    assert rms < 0.06
    assert 0.5 * rms < said < 4 * rms


def test_same_input_same_shift() -> None:
    a, b = seen(ground()), seen(displaced(ground(), 0.2, 0.7), seed=4)
    assert estimate_shift(a, b, ALL) == estimate_shift(a, b, ALL)


def test_coarse_search_prefers_near_peaks_and_finds_far_ones() -> None:
    lit = ground()
    still = even_contrast(flatten(seen(lit), ALL))
    far = even_contrast(flatten(seen(displaced(lit, 9.0, -7.0), seed=4), ALL))
    row, col, height = coarse_shift(still, far, reach_px=12)
    assert (round(row), round(col)) == (9, -7)
    assert height > 0.1
    # The same ground twice over, at 0 and 10 px: the near one is taken.
    both = (still + moved_whole(still, 0, -10)).astype(np.float32)
    assert abs(coarse_shift(still, both, reach_px=12)[1]) < 1
    assert coarse_shift(still, np.zeros_like(still), reach_px=12) == (0.0, 0.0, 0.0)


@settings(max_examples=15)
@given(st.floats(-3, 3), st.floats(-3, 3))
def test_translate_undoes_a_displacement(row: float, col: float) -> None:
    smooth = texture((64, 72), 2.0, np.random.default_rng(9))
    back = translate(displaced(smooth, row, col)[None].astype(np.float32), row, col)[0]
    assert np.abs(back - smooth)[8:-8, 8:-8].max() < 0.02


def test_real_pairs(shared_data: Path) -> None:
    """Sentinel-2 resampled by known fractions of a pixel; the folders' names give them."""
    warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
    folders = sorted((shared_data / "coreg_subpixel_s2").glob("*/r*c*"))
    assert folders
    for folder in folders:
        with rasterio.open(folder / "left.tif") as left, rasterio.open(folder / "right.tif") as right:
            a, b = left.read().astype(np.float32), right.read().astype(np.float32)
        mask = np.isfinite(a[0]) & np.isfinite(b[0])
        mask[:3] = mask[-3:] = mask[:, :3] = mask[:, -3:] = False
        shift = estimate_shift(a, b, mask)
        assert miss(shift, float(folder.name[1:6]), float(folder.name[7:])) < 0.01, folder
