"""The parts of interpretation, one by one: sections, network, stretches, law of empty track, cars, limits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rail_watch import aoi
from rail_watch.grid import WGS84
from rail_watch.interpret.cars import count_cars, count_from_length
from rail_watch.interpret.controls import AWAY_M, control_lines
from rail_watch.interpret.limits import _limit, _stated
from rail_watch.interpret.network import (
    Network,
    apply_network,
    load_network,
    network_class,
)
from rail_watch.interpret.null import PLAIN, UPPER, EmptyLaw, adapted, load_laws, raised
from rail_watch.interpret.sections import CHANNELS, SCALARS, light, parts_of, scalars, turned
from rail_watch.interpret.segments import segments, window_statistic
from rail_watch.interpret.shadows import sun_on_track
from rail_watch.interpret.strips import steps_for
from rail_watch.prepare.zones import local_frame, reproject

CLASSES = ("fine", "middle", "coarse")
GSD_M = {"fine": 0.5, "middle": 3.0, "coarse": 10.0}


@pytest.mark.parametrize("name", CLASSES)
def test_weights_fit_the_sections_they_are_given(name: str) -> None:
    _, across, reach = steps_for(GSD_M[name])
    zones = 2 * round(reach / across) + 1
    network = load_network(name)
    assert network_class(GSD_M[name]) == name
    assert network.read.shape[0] == len(CHANNELS) * zones + len(SCALARS)
    assert all(np.isfinite(part).all() for part in (network.read, network.say, *network.along))


def _network(rng: np.random.Generator) -> Network:
    def numbers(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(np.float32)

    return Network(
        read=numbers(6, 4),
        read_bias=numbers(4),
        along=(numbers(5, 4, 4),),
        along_bias=(np.zeros(4, np.float32),),
        dilation=(3,),
        say=numbers(4, 2),
        say_bias=np.zeros(2, np.float32),
    )


def test_the_network_is_a_dilated_convolution_with_nothing_beyond_the_ends() -> None:
    rng = np.random.default_rng(3)
    network = _network(rng)
    sections = rng.normal(size=(20, 6)).astype(np.float32)
    hidden = np.maximum(sections @ network.read + network.read_bias, 0)
    expected = hidden.copy()
    for step in range(20):
        total = sum(hidden[s] @ network.along[0][i] for i in range(5) if 0 <= (s := step + 3 * (i - 2)) < 20)
        expected[step] = hidden[step] + np.maximum(total, 0)
    odds = apply_network(network, sections[None])
    assert np.allclose(odds[0], expected @ network.say, atol=1e-4)


def test_logarithms_of_light_do_not_feel_the_gain() -> None:
    rng = np.random.default_rng(1)
    pixels = rng.uniform(0.1, 0.4, (3, 8, 5)).astype(np.float32)
    dark, level = np.full(3, 0.02), np.full(3, 0.2)
    brighter = (0.02 + 1.7 * (pixels - 0.02)).astype(np.float32)
    difference = light(brighter, dark, 1.7 * level) - light(pixels, dark, level)
    assert np.allclose(difference, np.log(1.7), atol=1e-4)
    assert np.isfinite(light(np.zeros((3, 2, 2), np.float32), dark, level)).all()


@pytest.mark.parametrize("bands", [("pan",), ("blue", "green", "red"), ("blue", "green", "red", "nir"), ("nir",)])
def test_any_set_of_bands_gives_brightness_and_colours(bands: tuple[str, ...]) -> None:
    logs = np.random.default_rng(2).normal(size=(len(bands), 4, 3)).astype(np.float32)
    bright, infrared, hue = parts_of(logs, bands)
    assert bright.shape == infrared.shape == hue.shape == (4, 3)
    if "nir" not in bands or len(bands) == 1:
        assert not infrared.any()
    if "red" not in bands:
        assert not hue.any()


@given(azimuth=st.floats(0, 360), elevation=st.floats(8, 80), heading=st.floats(0, 360))
def test_sections_turn_so_that_shadows_fall_towards_positive_offsets(
    azimuth: float, elevation: float, heading: float
) -> None:
    sun = sun_on_track(azimuth, elevation, heading)
    across = np.arange(-3, 4, dtype=np.float32)
    section = np.broadcast_to(across * (sun.side or 1), (2, 1, 7))
    assert (turned(section, sun)[0, 0] == across).all()
    assert np.isfinite(scalars(sun, noise=0.05, likeness=1.0, bands=("red", "blue"))).all()


@given(first=st.integers(40, 200), length=st.integers(30, 200), seed=st.integers(0, 99))
@settings(max_examples=40)
def test_a_plain_train_is_cut_out_to_the_step(first: int, length: int, seed: int) -> None:
    score = np.full(500, -6.0, dtype=np.float32)
    score[first : first + length] = 6.0
    score += np.random.default_rng(seed).normal(0, 1, 500).astype(np.float32)
    assert segments(score, np.ones(500, bool), 0.5, gsd_m=0.5) == [(first, first + length)]


def test_what_cannot_be_seen_is_no_train() -> None:
    score, unseen = np.full(300, 9.0, dtype=np.float32), np.zeros(300, bool)
    assert segments(score, unseen, 0.5, gsd_m=0.5) == []
    assert np.isnan(window_statistic(score, unseen, 0.5, gsd_m=0.5))


def test_more_evidence_never_lowers_the_statistic() -> None:
    rng = np.random.default_rng(5)
    score = rng.normal(-8, 2, 400).astype(np.float32)
    before = window_statistic(score, np.ones(400, bool), 0.5, gsd_m=0.5)
    score[100:160] += 5
    assert window_statistic(score, np.ones(400, bool), 0.5, gsd_m=0.5) >= before


def _law() -> EmptyLaw:
    mass = np.linspace(0, 0.9, 50)
    return EmptyLaw(-np.log1p(-mass), mass, 1.0, 100.0)


def test_p_values_of_the_law_are_even() -> None:
    values = np.random.default_rng(7).exponential(1.0, 20_000)
    p = _law().p_value(values, np.full(values.shape, 100.0))
    for level in (0.001, 0.01, 0.1, 0.5):
        assert np.mean(p < level) == pytest.approx(level, abs=4 * np.sqrt(level / len(p)) + 0.002)


def test_longer_tracks_are_longer_searches() -> None:
    law = _law()
    twice = np.random.default_rng(8).exponential(1.0, (20_000, 2)).max(axis=1)
    p = law.p_value(twice, np.full(twice.shape, 200.0))
    assert np.mean(p < 0.05) == pytest.approx(0.05, abs=0.006)


@given(rate=st.floats(1e-4, 0.4), metres=st.floats(20, 2000))
def test_the_threshold_is_where_the_p_value_is_the_rate(rate: float, metres: float) -> None:
    law = _law()
    threshold = law.threshold(rate, metres)
    assert float(law.p_value(np.array(threshold), np.array(metres))) == pytest.approx(rate, rel=0.02)


@pytest.mark.parametrize("name", CLASSES)
def test_laws_that_come_with_the_package_fall_with_the_statistic(name: str) -> None:
    laws = load_laws(name)
    for law in (*laws.usual, *laws.odd):
        p = law.p_value(np.linspace(-30, 12, 200), np.full(200, 300.0))
        assert (np.diff(p) <= 1e-12).all() and p[0] == pytest.approx(1.0) and p[-1] < 0.01


def test_unknown_stays_unknown() -> None:
    assert np.isnan(_law().p_value(np.array(np.nan), np.array(0.0)))


@given(cars=st.integers(2, 14), pitch=st.sampled_from([12.0, 13.9, 14.7, 17.0]))
@settings(max_examples=25)
def test_plain_couplings_are_counted(cars: int, pitch: float) -> None:
    steps = round(cars * pitch / 0.5)
    coupling = np.full(steps, -5.0)
    for car in range(1, cars):
        coupling[round(car * pitch / 0.5)] = 3.0
    found = count_cars(coupling, 0.5)
    assert found.count == cars
    assert found.count_95[0] <= cars <= found.count_95[1]
    assert found.cuts_m[0] == 0.0 and found.cuts_m[-1] == pytest.approx(steps * 0.5)


def test_a_count_from_length_says_that_it_is_a_guess() -> None:
    found = count_from_length(300.0)
    assert found.count_95[0] < found.count < found.count_95[1] and found.cuts_m == ()


@pytest.mark.parametrize("true", [15.0, 30.0, 60.0])
def test_the_limit_is_where_nine_in_ten_are_found(true: float) -> None:
    rng = np.random.default_rng(11)
    lengths = np.exp(rng.uniform(np.log(4), np.log(130), 4000))
    slope = 5.0
    probability = 1 / (1 + np.exp(-(np.log(9) + slope * np.log(lengths / true))))
    assert _limit(lengths, rng.random(4000) < probability, 11.0) == pytest.approx(true, rel=0.1)


def test_what_is_never_found_has_no_limit() -> None:
    lengths = np.geomspace(5, 130, 48)
    assert _limit(lengths, np.zeros(48, bool), 11.0) == float("inf")


def test_no_limit_is_stated_below_the_shortest_train_looked_for() -> None:
    assert _stated(14.0, factor=0.5, shortest_m=11.0) == 11.0
    assert _stated(60.0, factor=0.5, shortest_m=11.0) == 30.0
    assert _stated(float("inf"), factor=0.5, shortest_m=11.0) == float("inf")


@pytest.mark.parametrize("name", CLASSES)
def test_a_series_own_empty_looks_have_even_p_values_and_leave_the_threshold(name: str) -> None:
    law = load_laws(name).usual[0]
    rng = np.random.default_rng(4)
    plain = min(PLAIN, law.threshold(UPPER, law.metres))
    own = rng.normal(plain - 3.0, 0.7, 200)
    metres = np.full(200, law.metres)
    fitted = adapted(law, own, metres)
    p = fitted.p_value(rng.normal(plain - 3.0, 0.7, 2000), np.full(2000, law.metres))
    start = float(law.p_value(np.array(plain), np.array(law.metres)))
    assert np.quantile((p - start) / (1 - start), [0.25, 0.5, 0.75]) == pytest.approx([0.25, 0.5, 0.75], abs=0.08)
    assert fitted.threshold(0.01, law.metres) == pytest.approx(law.threshold(0.01, law.metres), abs=1e-6)


def test_control_strips_that_show_trains_raise_what_is_asked_of_one() -> None:
    law = load_laws("coarse").usual[0]
    metres = np.full(100, law.metres)
    here = np.arange(100) < 10
    quiet = raised(law, np.full(100, -6.0), metres, here, alike=1.0)
    noisy = raised(law, np.where(np.arange(100) % 3, -6.0, 2.0), metres, here, alike=1.0)
    assert quiet.threshold(0.01, law.metres) == pytest.approx(law.threshold(0.01, law.metres), abs=0.05)
    assert noisy.threshold(0.01, law.metres) > law.threshold(0.01, law.metres) + 1
    assert (np.diff(noisy.p_value(np.linspace(-20, 12, 300), np.full(300, law.metres))) <= 1e-12).all()


def test_control_lines_keep_off_tracks_and_aprons() -> None:
    site = aoi.read("tumangang")
    frame = local_frame(site)
    tracks = [reproject(track.line, WGS84, frame) for track in site.tracks]
    aprons = [reproject(apron.polygon, WGS84, frame) for apron in site.aprons]
    lines = control_lines(site, gsd_m=0.5)
    assert lines
    assert all(line.distance(track) >= AWAY_M - 0.1 for line in lines for track in tracks)
    assert all(line.distance(apron) >= 3.9 for line in lines for apron in aprons)
