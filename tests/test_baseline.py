"""Empty track out of a series: scenes that tell nothing of the ground have no say, and snow is not taken for cloud."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
from numpy.typing import NDArray
from shapely import LineString

from rail_watch.change.radiometry import Radiometry
from rail_watch.imagery.scene import Quality
from rail_watch.interpret.aprons import Window, first_weights
from rail_watch.interpret.emptiness import cross_sections, likeness_to_ballast
from rail_watch.interpret.hidden import SNOWY, _snowy
from rail_watch.interpret.rounds import TAKEN
from rail_watch.interpret.shadows import sun_on_track
from rail_watch.interpret.strips import Strip, offsets_m, positions
from rail_watch.interpret.yard import Yard, scene_model, update_baseline

Array = NDArray[np.float32]

STEP_M = 1.5


TELLING, OTHER = 2, 6
TIMES = TELLING + OTHER


def _winter(*, gain: float) -> tuple[SimpleNamespace, Array]:
    """One track, bare in two scenes and under snow in six, whose ground follows the bare scenes' by so much; and
    its ballast."""
    rng = np.random.default_rng(3)
    line = LineString([(0, 0), (300, 0)])
    along, across = (np.arange(200) + 0.5) * STEP_M, offsets_m(3.0)
    where, heading = positions(line, along, across)
    shape = where.shape[:2]
    profile = 0.1 + 0.05 * rng.random((1, 1, shape[1]))
    ground = (profile + 0.005 * rng.random((1, *shape))).astype(np.float32)
    bare = ground + 0.002 * rng.standard_normal((TELLING, 1, *shape))
    snow = (0.7 if gain > 1 else 0.12) + 0.02 * rng.standard_normal((OTHER, 1, *shape))
    pixels = np.concatenate([bare, snow]).astype(np.float32)
    quality = np.zeros((TIMES, *shape), np.uint8)
    strip = Strip("t1", False, line, along, across, heading, where, pixels, quality, np.zeros(len(along), bool))
    gains = np.array([1.0] * TELLING + [gain] * OTHER)[:, None]
    offsets = np.array([0.0] * TELLING + [float(snow.mean()) - gain * float(ground.mean())] * OTHER)[:, None]
    sigma = np.array([1e-6] + [0.002] * (TELLING - 1) + [0.02] * OTHER)[:, None]
    yard = SimpleNamespace(
        gsd_m=3.0,
        strips=[strip],
        times=TIMES,
        near=[[]],
        suns=[[sun_on_track(0.0, 0.0, 90.0)] * TIMES],
        usable=[np.ones((TIMES, *shape), bool)],
        empty=[np.ones((TIMES, len(along)), np.float32)],
        occupied=[np.zeros((TIMES, len(along)), bool)],
        baseline=[np.zeros((1, *shape), np.float32)],
        filled=[np.zeros(shape, bool)],
        radiometry=Radiometry(0, gains, offsets, sigma, np.zeros((TIMES, 1))),
    )
    return yard, ground


@pytest.mark.parametrize("gain", [0.0, 0.1, 7.0])
def test_scenes_that_tell_nothing_of_the_ground_do_not_shape_the_baseline_be_they_most(gain: float) -> None:
    yard, ground = _winter(gain=gain)
    update_baseline(cast(Yard, yard))
    assert np.abs(yard.baseline[0] - ground).mean() < 0.003
    assert not yard.filled[0].any()


@pytest.mark.parametrize("gain", [0.0, 0.1, 7.0])
def test_where_trains_stand_in_every_telling_scene_the_track_elsewhere_fills_in_not_the_snow(gain: float) -> None:
    yard, ground = _winter(gain=gain)
    stretch = slice(40, 90)
    yard.strips[0].pixels[:TELLING, :, stretch] = 0.03
    yard.occupied[0][:TELLING, stretch] = True
    yard.empty[0][:TELLING, stretch] = TAKEN
    update_baseline(cast(Yard, yard))
    under = np.abs(yard.strips[0].across_m) <= 1.5
    here = (slice(45, 85), under)
    assert yard.filled[0][here].all()
    assert np.abs(yard.baseline[0][0][here] - ground[0][here]).max() < 0.01


@pytest.mark.parametrize(("share", "uneven"), [(0.0, False), (0.05, False), (0.3, True)])
def test_ground_of_which_patches_cover_a_good_part_is_uneven_calm_as_the_rest_is(share: float, uneven: bool) -> None:
    yard, ground = _winter(gain=7.0)
    yard.baseline[0][:] = ground
    yard.strips[0].pixels[1, :, : round(share * ground.shape[1])] *= 4
    model = scene_model(cast(Yard, yard), 1, [0.3])
    assert model is not None
    assert model.noise < 0.08
    assert model.patches == pytest.approx(share, abs=0.02)
    assert (model.unevenness > 0.08) == uneven


def test_an_even_cover_of_snow_is_not_taken_for_the_yards_ballast() -> None:
    yard, _ = _winter(gain=7.0)
    strip, usable = yard.strips[0], yard.usable[0]
    (weights,) = likeness_to_ballast([cross_sections(strip, usable, yard.radiometry, gsd_m=3.0)])
    assert weights[:TELLING].max() > 0.9
    assert weights[TELLING:].max() < 0.35


def test_an_even_cover_of_snow_is_not_taken_for_the_bare_apron() -> None:
    rng = np.random.default_rng(5)
    bare = 0.1 + 0.03 * rng.random((1, 30, 30)) + 0.004 * rng.standard_normal((TELLING, 1, 30, 30))
    snow = 0.7 + 0.02 * rng.standard_normal((OTHER, 1, 30, 30))
    gains = np.array([1.0] * TELLING + [7.0] * OTHER)[:, None]
    window = SimpleNamespace(
        pixels=np.concatenate([bare, snow]).astype(np.float32),
        usable=np.ones((TIMES, 30, 30), bool),
        inside=np.ones((30, 30), bool),
        gain=gains,
        offset=np.where(gains > 1, 0.7 - 7 * 0.115, 0.0),
    )
    weights = first_weights(cast(Window, window))
    assert weights[:TELLING].mean() > 3 * weights[TELLING:].mean()


def test_a_scene_is_snowy_by_the_products_word_over_the_ground_in_sight() -> None:
    quality = np.full((3, 20, 20), int(Quality.CLOUD), np.uint8)
    quality[:, :10] = Quality.CLEAR
    quality[1, :2, :] = Quality.SNOW  # a fifth of what is in sight
    quality[2, 0, :5] = Quality.SNOW
    assert 5 / 200 < SNOWY < 40 / 200
    assert _snowy(quality).tolist() == [False, True, False]
    assert not _snowy(np.full((1, 4, 4), int(Quality.CLOUD), np.uint8)).any(), "nothing in sight"
