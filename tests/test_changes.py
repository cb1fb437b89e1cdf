"""Change that lasts: announced once, at the first look that shows it, whichever look of the place is the usual one."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from rail_watch.change.measure import measure
from rail_watch.interpret.changes import Patch, patches_of
from rail_watch.prepare.zones import zones_of
from tests.align_material import texture
from tests.stack_material import site_of, stack_of

GSD_M, SHAPE = 3.0, (80, 90)
GRAVEL = (slice(45, 57), slice(20, 44))
GRAVEL_M2 = 12 * 24 * GSD_M**2


def _scenes(count: int, seed: int = 4) -> NDArray[np.float32]:
    """The same ground, lit and noisy anew in each scene."""
    rng = np.random.default_rng(seed)
    ground = 0.15 * np.exp(0.15 * texture(SHAPE, 3.0, rng))
    tints = np.array([0.7, 0.9, 1.0, 1.5])[:, None, None]
    light = rng.normal(1, 0.03, count)
    pixels = ground * tints * light[:, None, None, None] + rng.normal(0, 0.003, (count, 4, *SHAPE))
    return pixels.astype(np.float32)


def _patches(pixels: NDArray[np.float32], quality: NDArray[np.uint8] | None = None) -> list[Patch]:
    stack = stack_of(pixels, gsd_m=GSD_M, quality=quality)
    site = site_of(SHAPE, gsd_m=GSD_M, tracks=(((20.0, 3.0), (20.0, 86.0)),))
    return patches_of(measure(stack, zones_of(site, stack.grid)), stack, site)


@pytest.mark.parametrize("since", [2, 3, 5, 7, 8])
def test_new_gravel_is_announced_once_and_then_is_the_baseline(since: int) -> None:
    pixels = _scenes(10)
    pixels[since:, :, *GRAVEL] *= 1.6
    patches = _patches(pixels)
    assert [patch.scene for patch in patches] == [since]
    assert patches[0].lasting and patches[0].p_value < 1e-4
    assert patches[0].area_m2 == pytest.approx(GRAVEL_M2, rel=0.15)


@pytest.mark.parametrize("since", [3, 6])
def test_gravel_first_seen_after_cloud_is_announced_when_it_is_seen(since: int) -> None:
    pixels, quality = _scenes(10), np.zeros((10, *SHAPE), np.uint8)
    pixels[since:, :, *GRAVEL] *= 1.6
    quality[since, :, :60] = 3
    assert [patch.scene for patch in _patches(pixels, quality)] == [since + 1]


@pytest.mark.parametrize("during", [(0, 1), (4, 5), (3, 6)])
def test_what_comes_and_goes_is_not_announced(during: tuple[int, int]) -> None:
    pixels = _scenes(10)
    pixels[slice(*during), :, *GRAVEL] *= 1.6
    assert _patches(pixels) == []


def test_a_season_that_ends_is_no_change_of_every_place() -> None:
    pixels = _scenes(10)
    winter = np.random.default_rng(8).random(SHAPE) < 0.15
    winter = np.kron(winter[::6, ::6], np.ones((6, 6), bool))[: SHAPE[0], : SHAPE[1]]
    pixels[:3] *= np.where(winter, 1.6, 1.0)
    assert _patches(pixels) == []
