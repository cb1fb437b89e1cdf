"""Heights of cargo: shadows of known length give them back, and where nothing can be measured nothing is said."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from rail_watch.interpret.heights import ShadowScene, height_of

GSD_M, FINE = 0.5, 5
SHADE, GOODS = 0.25, 1.8


def scene(
    tall: NDArray[np.float64], *, elevation_deg: float, azimuth_deg: float = 200.0, goods: float = GOODS
) -> tuple[NDArray[np.bool_], ShadowScene]:
    """Light on a height map (fine cells of 0.1 m) in sun, seen at 0.5 m: the piece, and the scene."""
    cot = 1 / np.tan(np.radians(elevation_deg))
    away = np.radians(azimuth_deg + 180)
    steps = cot * np.array([-np.cos(away), np.sin(away)])
    cell = GSD_M / FINE
    dark = np.zeros(tall.shape, dtype=bool)
    for level in np.arange(cell, tall.max() + cell, cell / 2):
        row, col = np.round(level * steps / cell).astype(int)
        dark |= np.roll(tall >= level + 1e-9, (row, col), axis=(0, 1)) & (tall < 0.05)
    light = np.where(tall > 0.05, goods, np.where(dark, SHADE, 1.0))
    seen = ndimage.gaussian_filter(light, 0.45 * FINE)
    shape = (tall.shape[0] // FINE, FINE, tall.shape[1] // FINE, FINE)
    piece = (tall > 0.05).reshape(shape).mean(axis=(1, 3)) > 0.5
    contrast = np.log(seen.reshape(shape).mean(axis=(1, 3))).astype(np.float32)
    return piece, ShadowScene(contrast, np.ones(piece.shape, bool), piece, steps, GSD_M)


def block(height_m: float, size_m: tuple[float, float] = (8.0, 5.0)) -> NDArray[np.float64]:
    tall = np.zeros((400, 400))
    rows, cols = (round(part * FINE / GSD_M) for part in size_m)
    tall[180 : 180 + rows, 180 : 180 + cols] = height_m
    return tall


@settings(max_examples=25, deadline=None)
@given(
    height_m=st.floats(1.2, 4.0),
    elevation_deg=st.floats(20, 45),
    azimuth_deg=st.floats(0, 360),
    goods=st.floats(0.9, 3),
)
def test_the_height_of_a_block_is_in_its_interval(
    height_m: float, elevation_deg: float, azimuth_deg: float, goods: float
) -> None:
    found = height_of(*scene(block(height_m), elevation_deg=elevation_deg, azimuth_deg=azimuth_deg, goods=goods))
    if height_m / np.tan(np.radians(elevation_deg)) > 1.5:
        assert found is not None
        assert found.height_m == pytest.approx(height_m, abs=0.8)
        assert found.height_m_95[0] <= height_m <= found.height_m_95[1]


def test_a_heap_that_slopes_is_in_the_interval_too() -> None:
    row, col = np.mgrid[0:400, 0:400] / FINE * GSD_M
    tall = np.clip(0.7 * (5 - np.hypot(row - 20, col - 20)), 0, None)
    found = height_of(*scene(tall, elevation_deg=16))
    assert found is not None
    assert found.height_m < tall.max() <= found.height_m_95[1]


@pytest.mark.parametrize("elevation_deg", [30.0, 40.0])
def test_a_coarser_look_is_less_sure(elevation_deg: float) -> None:
    piece, shown = scene(block(3.0), elevation_deg=elevation_deg)
    fine, coarse = height_of(piece, shown), height_of(piece, replace(shown, gsd_m=1.0))
    assert fine is not None and coarse is not None
    assert np.ptp(coarse.height_m_95) > np.ptp(fine.height_m_95)
    assert height_of(piece, replace(shown, gsd_m=1.4)) is None


def test_nothing_is_said_without_sun_or_where_the_shadow_is_too_short() -> None:
    piece, shown = scene(block(2.0), elevation_deg=30)
    assert height_of(piece, replace(shown, steps=np.zeros(2))) is None
    assert height_of(*scene(block(1.0), elevation_deg=70)) is None


def test_nothing_is_said_where_something_stands_in_the_shadow() -> None:
    piece, shown = scene(block(3.0), elevation_deg=25, azimuth_deg=180.0)
    assert height_of(piece, shown) is not None
    top = int(np.flatnonzero(piece.any(axis=1))[0])
    blocked = shown.open.copy()
    blocked[: top - 4] = False
    assert height_of(piece, replace(shown, open=blocked)) is None
    other = shown.cargo.copy()
    other[top - 8 : top - 4] = True
    assert height_of(piece, replace(shown, cargo=other)) is None


def test_goods_as_dark_as_their_shadow_have_no_height() -> None:
    assert height_of(*scene(block(3.0), elevation_deg=30, goods=0.3)) is None


@pytest.mark.filterwarnings("error")
def test_a_piece_in_two_parts_is_measured_without_a_word() -> None:
    tall = block(2.5) + np.roll(block(2.5), 60, axis=1)
    height_of(*scene(tall, elevation_deg=30, azimuth_deg=180.0))
