"""Empty track out of a series: scenes that tell nothing of the ground have no say, and snow is not taken for cloud."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import numpy as np
from shapely import LineString

from rail_watch.change.radiometry import Radiometry
from rail_watch.imagery.scene import Quality
from rail_watch.interpret.hidden import SNOWY, _snowy
from rail_watch.interpret.shadows import sun_on_track
from rail_watch.interpret.strips import Strip, offsets_m, positions
from rail_watch.interpret.yard import Yard, update_baseline

STEP_M = 1.5


def test_scenes_that_tell_nothing_of_the_ground_do_not_shape_the_baseline_be_they_most() -> None:
    rng = np.random.default_rng(3)
    line = LineString([(0, 0), (300, 0)])
    along, across = (np.arange(200) + 0.5) * STEP_M, offsets_m(3.0)
    where, heading = positions(line, along, across)
    shape = where.shape[:2]
    ground = 0.1 + 0.05 * rng.random((1, *shape)).astype(np.float32)
    telling, other = 3, 5
    noise = 0.002 * rng.standard_normal((telling, 1, *shape))
    strange = 0.12 + 0.02 * rng.standard_normal((other, 1, *shape))
    pixels = np.concatenate([ground + noise, strange]).astype(np.float32)
    times = telling + other
    quality = np.zeros((times, *shape), np.uint8)
    strip = Strip("t1", False, line, along, across, heading, where, pixels, quality, np.zeros(len(along), bool))
    fits = np.array([1.0] * telling + [0.0] * other)[:, None]
    yard = SimpleNamespace(
        gsd_m=3.0,
        strips=[strip],
        times=times,
        near=[[]],
        suns=[[sun_on_track(0.0, 0.0, 90.0)] * times],
        usable=[np.ones((times, *shape), bool)],
        empty=[np.ones((times, len(along)), np.float32)],
        occupied=[np.zeros((times, len(along)), bool)],
        baseline=[np.zeros((1, *shape), np.float32)],
        filled=[np.zeros(shape, bool)],
        radiometry=Radiometry(
            0, fits, np.where(fits > 0, 0, 0.12), np.where(fits > 0, 0.002, 0.02), np.zeros((times, 1))
        ),
    )
    update_baseline(cast(Yard, yard))
    assert np.abs(yard.baseline[0] - ground).mean() < 0.003


def test_a_scene_is_snowy_by_the_products_word_over_the_ground_in_sight() -> None:
    quality = np.full((3, 20, 20), int(Quality.CLOUD), np.uint8)
    quality[:, :10] = Quality.CLEAR
    quality[1, :2, :] = Quality.SNOW  # a fifth of what is in sight
    quality[2, 0, :5] = Quality.SNOW
    assert 5 / 200 < SNOWY < 40 / 200
    assert _snowy(quality).tolist() == [False, True, False]
    assert not _snowy(np.full((1, 4, 4), int(Quality.CLOUD), np.uint8)).any(), "nothing in sight"
