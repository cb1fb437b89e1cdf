"""Kinds of railcars: what is measured of a car, and when a kind is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from rail_watch.interpret.kinds import (
    FEATURES,
    KINDS,
    LEAST_P,
    TrainPicture,
    _middle,
    _roof,
    _shadow,
    _told,
    load_weights,
    probabilities,
)
from rail_watch.interpret.shadows import HALF_WIDTH_M, Sun
from rail_watch.interpret.trains import Train, count_cars
from scripts.train_network.__main__ import main
from scripts.train_network.kinds.learn import learn, reliability
from scripts.train_network.kinds.rows import Rows, kind_of, rows_of, true_kind
from scripts.train_network.seeds import Drawn

ACROSS = np.arange(-8, 8.1, 0.5)
ROOF = [name for name in FEATURES if "near" not in name and "shadow" not in name][3:-1]
ABEAM = Sun(1, 1.0, 0.0)
SHADOW = [name for name in FEATURES if name.startswith("shadow")] + ["sun"]


def car(roof: NDArray[np.float64], *, height_m: float = 3.5, sun: Sun = ABEAM) -> TrainPicture:
    """A car of 26 steps and its shadow; `roof` is (O,) or (S, O) light over the ground's, where it covers it."""
    under = np.abs(ACROSS) <= HALF_WIDTH_M
    shade = (ACROSS > HALF_WIDTH_M) & (HALF_WIDTH_M + height_m * sun.across >= ACROSS)
    light = np.where(under, roof, np.where(shade, -1.1, 0.0)) * np.ones((26, 1))
    return TrainPicture(ACROSS, light, light, np.ones(26), sun, 0.5)


def roof_of(picture: TrainPicture) -> dict[str, float]:
    return dict(zip(ROOF, _roof(picture), strict=True))


def test_every_quantity_has_a_weight_for_every_kind() -> None:
    weights = load_weights()
    assert weights.shape == (len(FEATURES) + 1, len(KINDS))
    assert np.isfinite(weights).all()
    p = probabilities(np.zeros((3, len(FEATURES))))
    assert np.allclose(p.sum(axis=1), 1)


def test_an_open_car_is_dark_between_bright_rims_and_a_tank_the_other_way_round() -> None:
    rims = roof_of(car(np.where(np.abs(ACROSS) < 0.9, -1.0, 0.0)))
    ridge = roof_of(car(-0.8 * np.abs(ACROSS)))
    flat = roof_of(car(np.full(len(ACROSS), -0.3)))
    assert rims["edges over middle"] > 0.5 > 0 > ridge["edges over middle"]
    assert flat["edges over middle"] == pytest.approx(0, abs=1e-6)
    assert flat["brightness of the roof"] == pytest.approx(-0.3)


def test_containers_with_a_gap_between_them_are_uneven_along() -> None:
    whole = np.zeros((26, len(ACROSS)))
    gap = whole.copy()
    gap[12:14] = -1.5
    assert roof_of(car(gap))["darkest along"] < -1 < roof_of(car(whole))["darkest along"] + 0.1


@pytest.mark.parametrize("height_m", [1.3, 3.0, 4.7])
def test_the_shadow_reaches_as_far_as_the_car_is_high(height_m: float) -> None:
    found = dict(zip(SHADOW, _shadow(car(np.zeros(len(ACROSS)), height_m=height_m)), strict=True))
    assert found["shadow of 0.3 to 1.2 m"] > 0.6
    assert (found["shadow of 2.4 to 3.4 m"] > 0.5) == (height_m >= 3.0)
    assert (found["shadow of 3.4 to 4.6 m"] > 0.5) == (height_m > 4)


def test_without_sun_nothing_is_read_from_shadows() -> None:
    assert _shadow(car(np.zeros(len(ACROSS)), sun=Sun(0, 0.0, 0.0))) == [0.0] * len(SHADOW)


@pytest.mark.parametrize("off_m", [-1.0, 0.0, 0.75])
def test_the_middle_of_the_cars_is_found_beside_a_line_that_is_off(off_m: float) -> None:
    rng = np.random.default_rng(1)
    light = np.where(np.abs(ACROSS - off_m) <= HALF_WIDTH_M, -0.7, 0.0) + rng.normal(scale=0.05, size=(60, len(ACROSS)))
    assert _middle(light, ACROSS) == pytest.approx(off_m, abs=0.26)


def test_only_a_probable_kind_is_named_and_only_one_that_can_be_told() -> None:
    sure = np.full(len(KINDS), 0.02)
    for i, kind in enumerate(KINDS):
        p = sure.copy()
        p[i] = 1 - 0.02 * (len(KINDS) - 1)
        assert _told(p).kind == (None if kind == "other" else kind)
        p[i] = LEAST_P - 0.01
        assert (_told(p).kind, _told(p).p) == (None, None)


def test_edges_of_cars_begin_and_end_with_the_train() -> None:
    count = count_cars(np.full(80, -2.0), 0.5)
    colours = ((0.1,),) * (len(count.cuts_m) - 1)
    train = Train(0, 0, 100.0, 140.2, 1.0, 1e-6, count, colours)
    assert (train.edges_m[0], train.edges_m[-1]) == (100.0, 140.2)
    assert list(train.edges_m) == sorted(train.edges_m)
    assert Train(0, 0, 100.0, 140.2, 1.0, 1e-6, None, ()).edges_m == ()


def test_truth_of_either_renderer_is_read_in_the_same_kinds() -> None:
    names = ("boxcar-p70", "box", "gondola-covered", "hopper", "tank", "container-flat", "flat", "locomotive-m62")
    assert [kind_of(n) for n in names] == ["box", "box", "gondola", "gondola", "tank", "flat", "flat", "locomotive"]
    assert kind_of("passenger") == kind_of("small-covered") == "other"
    cars = [{"start_m": 0, "end_m": 12, "kind": "tank"}, {"start_m": 13, "end_m": 25, "kind": "box"}]
    assert true_kind(cars, 12.0, 26.0) == "box"
    assert true_kind(cars, 30.0, 40.0) is None


def test_the_regression_learns_probabilities_that_do_not_claim_too_much() -> None:
    rng = np.random.default_rng(5)
    kinds = rng.integers(0, len(KINDS), 4000)
    features = rng.normal(size=(4000, len(KINDS))) + 1.5 * np.eye(len(KINDS))[kinds]
    weights = learn(Rows(features[:2000] * 7 + 3, kinds[:2000]))
    p = probabilities(features[2000:] * 7 + 3, weights)
    right = p.argmax(axis=1) == kinds[2000:]
    assert p.max(axis=1).mean() < right.mean() + 0.03 and right.mean() > 0.55
    assert "| box |" in reliability(p.argmax(axis=1), p.max(axis=1), kinds[2000:])


def test_kinds_are_mostly_right_on_a_series_that_taught_nothing(tmp_path: Path) -> None:
    series = Drawn("simulator", "fine", 26)
    assert series.held_out
    which = ["--work", str(tmp_path), "--class", "fine", "--renderer", "simulator", "--seeds", "26"]
    assert main(["draw", *which, "--scenes", "4"]) == 0
    rows = rows_of(series, tmp_path)
    p = probabilities(rows.features)
    told = (p.max(axis=1) >= LEAST_P) & (p.argmax(axis=1) != KINDS.index("other"))
    assert told.sum() >= 5
    assert (p.argmax(axis=1) == rows.kinds)[told].mean() > 0.6
