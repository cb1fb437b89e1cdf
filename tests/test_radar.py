"""Radar: looks are counted right, p-values are uniform on speckle, and a busy yard is told from a quiet one."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage, special, stats

from rail_watch.change.radar import median_cost, omnibus, radar_change, ratio_score, shorth
from rail_watch.change.speckle import log_bias, log_intensity, looks_of, multilook, speckle_of, unit_of
from rail_watch.detect import DetectOptions, detect_sites
from rail_watch.imagery.scene import Quality
from rail_watch.interpret.radar import activity_of, in_words, lag_shares, share_variance, track_reason
from tests.radar_material import GRID, SHAPE, backscatter, speckle, yard_site, yard_stack

RATE = 0.01


def _held(p_values: NDArray[np.floating], *, independent: float, sigmas: float = 4.5) -> None:
    """P-values are uniform as far as so many independent ones can tell."""
    known = p_values[np.isfinite(p_values)]
    for level in (0.01, 0.05, 0.2, 0.5):
        play = sigmas * np.sqrt(level * (1 - level) / independent)
        assert abs(float((known < level).mean()) - level) < play + 0.004, level


# ---- units and looks ----------------------------------------------------------------------------------------------


@settings(max_examples=12)
@given(looks=st.floats(0.8, 10), gain=st.floats(-30, 5), seed=st.integers(0, 99))
def test_units_are_told_from_the_values(looks: float, gain: float, seed: int) -> None:
    power = 10 ** (gain / 10) * backscatter() * speckle(looks, SHAPE, seed=seed)
    assert unit_of(power) == "intensity"
    assert unit_of(10 * np.log10(power)) == "decibel"
    assert unit_of(np.round(3000 * np.sqrt(power))) == "amplitude"
    assert unit_of(3000 * np.sqrt(power)) == "amplitude"
    assert unit_of(np.full((3, 3), np.nan)) == "intensity"


def test_units_make_no_difference_to_the_logarithm() -> None:
    power = np.array([[0.5, 2.0]])
    expected = np.log(power)
    for unit, values in (("intensity", power), ("amplitude", np.sqrt(power)), ("decibel", 10 * np.log10(power))):
        np.testing.assert_allclose(log_intensity(values, unit), expected)  # type: ignore[arg-type]
    nothing = log_intensity(np.array([np.nan, 0.0, -0.1, 0.2]), "intensity")
    assert np.isnan(nothing[0]) and np.allclose(nothing[1:], np.log([0.1, 0.1, 0.2]))


@settings(max_examples=20)
@given(looks=st.floats(0.2, 500))
def test_looks_and_variance_are_inverse(looks: float) -> None:
    assert float(looks_of(float(special.polygamma(1, looks)))) == pytest.approx(looks, rel=1e-3)


@pytest.mark.parametrize(("looks", "blur"), [(1, 0.0), (1, 0.7), (2.5, 0.0), (4, 0.5), (4, 0.7), (9, 0.0)])
def test_looks_are_counted_on_ground_of_many_kinds(looks: float, blur: float) -> None:
    logs = np.log(backscatter() * speckle(looks, SHAPE, blur=blur, seed=3))
    found = speckle_of(logs, np.ones(SHAPE, dtype=bool))
    assert found is not None
    assert found.looks == pytest.approx(looks, rel=0.15)
    assert found.correlation[3, 3] == 1 and found.correlation[3, 4] < 0.5


def test_correlated_pixels_give_fewer_looks_after_averaging() -> None:
    seen = np.ones((200, 200), dtype=bool)
    for blur in (0.0, 0.7):
        logs = np.log(speckle(2, seen.shape, blur=blur, seed=5))
        found = speckle_of(logs, seen)
        assert found is not None
        mean = multilook(logs, seen, found)
        inner = (slice(4, -4), slice(4, -4))
        assert float(mean.looks[100, 100]) == pytest.approx(float(looks_of(mean.log_mean[inner].var())), rel=0.2)
        assert mean.looks[0, 0] < mean.looks[100, 100]


def test_too_little_ground_gives_no_looks() -> None:
    assert speckle_of(np.zeros((12, 12)), np.ones((12, 12), dtype=bool)) is None
    assert speckle_of(np.zeros(SHAPE), np.zeros(SHAPE, dtype=bool)) is None


# ---- tests of ratios and series -----------------------------------------------------------------------------------


@settings(max_examples=15)
@given(new=st.floats(0.8, 60), old=st.floats(0.8, 60), seed=st.integers(0, 999))
def test_a_ratio_follows_the_f_law(new: float, old: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    first, second = rng.gamma(old, 1 / old, 2000), rng.gamma(new, 1 / new, 2000)
    log_ratio = np.log(second) - log_bias(new) - np.log(first) + log_bias(old)
    score = ratio_score(log_ratio, np.full(2000, new), np.full(2000, old))
    np.testing.assert_allclose(special.ndtr(score), stats.f.cdf(second / first, 2 * new, 2 * old), atol=1e-9)
    mirrored = ratio_score(-log_ratio, np.full(2000, old), np.full(2000, new))
    np.testing.assert_allclose(mirrored, -score, atol=1e-6)


@settings(max_examples=8)
@given(looks=st.lists(st.floats(3, 40), min_size=2, max_size=6), bands=st.integers(1, 2), seed=st.integers(0, 999))
def test_the_omnibus_and_its_factors_are_uniform(looks: list[float], bands: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = (len(looks), bands, 60, 80)
    count = np.broadcast_to(np.array(looks)[:, None, None, None], shape)
    logs = np.log(rng.gamma(count, 1 / count)) - log_bias(count)
    found = omnibus(logs, count)
    _held(found.p_value, independent=4800)
    for step in found.steps:
        _held(step, independent=4800)
    if len(looks) > 2:
        assert abs(np.corrcoef(found.steps[0].ravel(), found.steps[1].ravel())[0, 1]) < 0.07


def test_the_factors_say_when_it_changed() -> None:
    rng = np.random.default_rng(4)
    count = np.full((5, 1, 20, 20), 30.0)
    logs = np.log(rng.gamma(count, 1 / count)) - log_bias(count)
    logs[3:] += 1.5
    found = omnibus(logs, count)
    assert (found.p_value < 1e-4).mean() > 0.99
    assert [float((step < 0.001).mean()) > 0.9 for step in found.steps[:3]] == [False, False, True]
    logs[2, 0, :5] = np.nan
    again = omnibus(logs, count)
    assert np.isnan(again.steps[1][:5]).all() and np.isfinite(again.p_value).all()


@settings(max_examples=6)
@given(
    looks=st.sampled_from([(1, 0.0), (1, 0.7), (2, 0.6), (3.3, 0.0), (4, 0.7), (10, 0.0)]),
    scenes=st.sampled_from([2, 5]),
    bands=st.sampled_from([1, 2]),
    seed=st.integers(0, 999),
)
def test_p_values_are_uniform_on_speckle(looks: tuple[float, float], scenes: int, bands: int, seed: int) -> None:
    ground = backscatter()
    power = ground * speckle(looks[0], (scenes, bands, *SHAPE), blur=looks[1], seed=seed)
    every = np.ones((scenes, *SHAPE), dtype=bool)
    found = radar_change(power, every, every[0])
    # Neighbours share their windows: about one pixel in thirty tells something new.
    _held(found.p_value[scenes - 1], independent=ground.size / 30)
    assert np.nanmax(found.inflation) < 1.2


def test_p_values_are_uniform_between_scenes_of_other_looks() -> None:
    power = np.stack([speckle(1, SHAPE, seed=1), speckle(6, SHAPE, seed=2)])[:, None]
    every = np.ones((2, *SHAPE), dtype=bool)
    found = radar_change(power, every, every[0])
    _held(found.p_value[1], independent=power[0].size / 30)
    _held(found.series.p_value, independent=power[0].size / 30)


@settings(max_examples=4)
@given(gain=st.floats(-8, 8))
def test_a_scene_s_gain_makes_no_difference(gain: float) -> None:
    power = backscatter() * speckle(4, (2, 1, *SHAPE), seed=8)
    every = np.ones((2, *SHAPE), dtype=bool)
    brighter = power * np.array([1.0, 10 ** (gain / 10)])[:, None, None, None]
    plain, moved = (radar_change(p, every, every[0]).p_value for p in (power, brighter))
    np.testing.assert_allclose(plain, moved, atol=1e-4)


def test_a_change_stands_out_and_its_sign_is_kept() -> None:
    power = backscatter() * speckle(4.4, (4, 1, *SHAPE), seed=9)
    power[2, 0, 60:70, 60:80] *= 4
    power[3, 0, 80:90, 60:80] /= 4
    every = np.ones((4, *SHAPE), dtype=bool)
    found = radar_change(power, every, every[0])
    assert (found.p_value[2, 62:68, 62:78] < 1e-4).mean() > 0.95 and found.decibels[2, 62:68, 62:78].mean() > 4
    assert (found.p_value[3, 82:88, 62:78] < 1e-4).mean() > 0.95 and found.decibels[3, 82:88, 62:78].mean() < -4
    assert (found.p_value[2, 5:40, 60:130] < 0.001).mean() < 0.01


def test_amplitude_taken_for_power_hardly_moves_the_p_values() -> None:
    power = backscatter() * speckle(4.4, (4, 1, *SHAPE), seed=12)
    every = np.ones((4, *SHAPE), dtype=bool)
    right, wrong = (radar_change(p, every, every[0]).p_value[1] for p in (power, np.sqrt(power)))
    assert np.corrcoef(right.ravel(), wrong.ravel())[0, 1] > 0.995
    assert (wrong < 0.01).mean() == pytest.approx(float((right < 0.01).mean()), abs=0.003)


def test_what_was_not_seen_has_no_p_value() -> None:
    power = backscatter() * speckle(4.4, (3, 1, *SHAPE), seed=9)
    seen = np.ones((3, *SHAPE), dtype=bool)
    seen[1, :, 70:] = False
    found = radar_change(power, seen, np.ones(SHAPE, dtype=bool))
    assert np.isnan(found.p_value[1, :, 70:]).all() and np.isfinite(found.p_value[1, :, :68]).all()
    assert np.isfinite(found.p_value[0]).all()
    blind = radar_change(power, np.zeros_like(seen), np.ones(SHAPE, dtype=bool))
    assert np.isnan(blind.p_value).all() and blind.speckle[0] == (None,)


def test_the_shortest_half_is_not_moved_by_one_sided_change() -> None:
    rng = np.random.default_rng(2)
    values = np.concatenate([rng.normal(0, 1, 8000), rng.normal(6, 1, 2500)])
    assert abs(shorth(values)) < 0.25 < float(np.median(values))


def test_the_cost_of_a_median() -> None:
    rng = np.random.default_rng(0)
    for count in (1, 2, 3, 6, 9):
        exact = count * np.median(rng.standard_normal((60_000, count)), axis=1).var()
        assert float(median_cost(np.array([count]))[0]) == pytest.approx(exact, rel=0.04)


# ---- how busy a yard is -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dims", [1, 2])
def test_the_variance_of_a_changed_share(dims: int) -> None:
    rng = np.random.default_rng(dims)
    mask = np.zeros((40, 40), dtype=bool)
    mask[15:20, 5:35] = True
    fields = ndimage.gaussian_filter(rng.standard_normal((3000, dims, 40, 40)), (0, 0, 1.5, 1.5), mode="wrap")
    fields /= fields.std()
    passed = (fields**2).sum(axis=1) > special.chdtri(dims, 0.05)
    lag = np.hypot(*np.mgrid[-20:21, -20:21])
    predicted = share_variance(lag_shares(mask), np.exp(-(lag**2) / (4 * 1.5**2)), rate=0.05, dims=dims)
    assert predicted == pytest.approx(passed[:, mask].mean(axis=1).var(), rel=0.12)


def test_a_train_makes_a_yard_active() -> None:
    stack = yard_stack(8, blur=0.0, trains={5: [(68, 45, 75)]}, seed=1)
    found = activity_of(stack, yard_site(), false_alarm_rate=RATE)
    assert [look.state for look in found.looks] == ["usual"] * 5 + ["active"] + ["usual"] * 2
    busy = found.looks[5]
    assert busy.p_value is not None and busy.p_value < 1e-4
    assert busy.index is not None and busy.index_95 is not None and busy.least_index is not None
    assert 0 < busy.index_95[0] < busy.index < busy.index_95[1] < 0.5
    assert busy.least_index < busy.index and busy.brighter_fraction is not None and busy.brighter_fraction > 0.9
    (patch,) = found.patches
    assert patch.scene == 5 and patch.in_yard and patch.p_value < RATE and patch.decibels > 0
    assert 3000 < patch.area_m2 < 30_000
    assert found.series[0].changed_fraction > 5 * found.series[0].control_fraction
    assert in_words(busy).endswith("does not show what.")
    assert "no more than usual" in in_words(found.looks[0])


def test_a_quiet_yard_is_called_active_no_more_often_than_asked() -> None:
    looks, listed = [], 0
    for seed in range(6):
        stack = yard_stack(6, looks=4, blur=0.7 * (seed % 2), bands=("vv", "vh")[: 1 + seed % 2], seed=50 + seed)
        found = activity_of(stack, yard_site(), false_alarm_rate=RATE)
        looks += found.looks
        listed += len({patch.scene for patch in found.patches})
    p_values = np.array([look.p_value for look in looks])
    # 36 looks: more than three below 0.01 or eight below 0.1 would come once in several thousand times.
    assert (p_values < 0.01).sum() <= 3 and (p_values < 0.1).sum() <= 9 and listed <= 3
    assert all(look.index_95 is not None and look.index_95[0] <= 0 for look in looks if look.state == "usual")


def test_scenes_are_compared_with_their_own_orbit_only() -> None:
    stack = yard_stack(5, orbits=[61, 61, 134, 61, 61], bands=("vv",), seed=3)
    # From the other side all is unlike: it must not count.
    pixels = stack.pixels.copy()
    pixels[2] *= np.random.default_rng(0).choice([0.1, 10.0], SHAPE)
    found = activity_of(replace(stack, pixels=pixels), yard_site(), false_alarm_rate=RATE)
    assert [look.state for look in found.looks] == ["usual", "usual", "unknown", "usual", "usual"]
    assert found.looks[2].reason == "no other scene of the same orbit to compare it with"
    assert found.looks[0].compared_with == 3 and found.geometries[2] == "descending orbit 134"
    assert np.isnan(found.p_value[2]).all() and found.speckle[2] == ()


def test_what_cannot_be_told_says_why() -> None:
    site, stack = yard_site(), yard_stack(3, bands=("vv",), seed=4)
    quality = stack.quality.copy()
    quality[1, :, 60:] = Quality.NODATA
    pixels = stack.pixels.copy()
    pixels[1, :, :, 60:] = np.nan
    found = activity_of(replace(stack, quality=quality, pixels=pixels), site, false_alarm_rate=RATE)
    assert found.looks[1].state == "unknown" and found.looks[1].judged_fraction < 0.5
    assert found.looks[1].reason == "less than half of the yard could be compared"
    assert found.clear_fraction[1] < 0.6 < found.clear_fraction[0]
    bare = activity_of(stack, replace(site, tracks=(), aprons=()), false_alarm_rate=RATE)
    assert {look.reason for look in bare.looks} == {"the site has no tracks and no aprons"}
    assert "cannot be told" in in_words(bare.looks[0])
    one = activity_of(yard_stack(1, bands=("vv",)), site, false_alarm_rate=RATE)
    assert one.looks[0].state == "unknown" and one.patches == ()
    assert track_reason(10) == "radar at 10 m cannot show single trains"


def test_the_same_scenes_give_the_same_answer() -> None:
    first, second = (activity_of(yard_stack(3, seed=6), yard_site(), false_alarm_rate=RATE) for _ in range(2))
    assert first.looks == second.looks
    np.testing.assert_array_equal(first.p_value, second.p_value)


def test_detect_says_what_radar_can_and_no_more(tmp_path: Path) -> None:
    stack = yard_stack(8, trains={6: [(60, 40, 70), (61, 40, 70)]})
    site = yard_site()
    folder = tmp_path / "radar"
    folder.mkdir()
    for scene, pixels in zip(stack.scenes, stack.pixels, strict=True):
        profile = {"driver": "GTiff", "dtype": "float32", "count": 2, "crs": GRID.crs, "transform": GRID.transform}
        name = folder / f"{scene.when:%Y%m%d_%H%M%S}_s1.tif"
        with rasterio.open(name, "w", height=SHAPE[0], width=SHAPE[1], **profile) as target:
            target.write(pixels)
            target.descriptions = ("vv", "vh")
    created = datetime(2026, 1, 1, tzinfo=UTC)
    run = detect_sites([site], source=folder, options=DetectOptions(), created=created)[0]
    assert len(run.detections.scenes) == 8
    looks = [look for scene in run.detections.scenes for look in scene.tracks]
    assert len(looks) == 8 * len(site.tracks)
    assert {look.state for look in looks} == {"unknown"}
    assert {look.p_value for look in looks} == {None}
    assert {item.kind for item in run.detections.observations} <= {"change"}
    assert any("tracks and aprons look unlike their usual state" in line for line in run.detections.summary)
