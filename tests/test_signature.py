"""The same train again: known in either direction, with cars left behind; strangers are told apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rail_watch.interpret.signature import (
    LEAST_CARS,
    SHARES,
    USUAL,
    Signature,
    alikeness,
    alikeness_at,
    law_of,
    match,
    standing_p,
)
from rail_watch.observe.link import SAME_TRAIN_P, Seen, link
from rail_watch.observe.records import Observation
from tests.archive_material import scene
from tests.archive_material import train as an_observation

MORNING = datetime(2024, 3, 1, 2, tzinfo=UTC)


def train(seed: int, cars: int) -> Signature:
    rng = np.random.default_rng(seed)
    return Signature(rng.choice([12.0, 14.0, 17.0, 20.0], cars), rng.normal(0, (0.4, 0.3, 0.2), (cars, 3)))


def seen_again(one: Signature, seed: int) -> Signature:
    """Other light, cuts half a metre off, colours a little off."""
    rng = np.random.default_rng(seed)
    cuts = np.diff(rng.normal(0, 0.4, len(one) + 1))
    colours = (0.2, -0.1, 0.1) + 0.8 * one.colours + rng.normal(0, 0.05, one.colours.shape)
    return Signature(one.lengths_m + cuts, colours)


def part(one: Signature, cars: slice) -> Signature:
    return Signature(one.lengths_m[cars], one.colours[cars])


def joined(one: Signature, after: int) -> Signature:
    """The cut after a car missed: two cars taken for one."""
    pair = slice(after, after + 2)
    lengths = np.concatenate([one.lengths_m[:after], [one.lengths_m[pair].sum()], one.lengths_m[after + 2 :]])
    colours = np.concatenate([one.colours[:after], [one.colours[pair].mean(axis=0)], one.colours[after + 2 :]])
    return Signature(lengths, colours)


def alike(seed: int, cars: int = 20) -> Signature:
    """All black tanks: what differs from car to car is the sensor's."""
    rng = np.random.default_rng(seed)
    return Signature(np.full(cars, 12.0) + rng.normal(0, 0.3, cars), rng.normal((-1.5, 0, 0), 0.03, (cars, 3)))


@pytest.mark.parametrize("turned", [False, True])
def test_the_same_train_is_known_in_either_direction(turned: bool) -> None:
    again = seen_again(train(0, 25), 50)
    assert match(train(0, 25), again.turned() if turned else again).p_value < 1e-6


def test_cars_left_behind_or_added_do_not_matter() -> None:
    again = seen_again(train(0, 25), 51)
    assert match(train(0, 25), part(again, slice(6, None))).p_value < 1e-4
    added = Signature(
        np.concatenate([train(7, 5).lengths_m, again.lengths_m]), np.concatenate([train(7, 5).colours, again.colours])
    )
    assert match(train(0, 25), added.turned()).p_value < 1e-6


def test_a_cut_missed_costs_little() -> None:
    one = train(3, 14)
    assert match(one, joined(joined(seen_again(one, 52), 3), 8)).p_value < 1e-3


def test_a_sensor_that_sees_no_colours_still_tells_light_from_dark() -> None:
    one = train(4, 25)
    grey = replace(seen_again(one, 53), colours=seen_again(one, 53).colours * (1, np.nan, np.nan))
    assert match(one, grey).p_value < 1e-3


def test_strangers_look_alike_as_seldom_as_is_said() -> None:
    sizes = np.random.default_rng(5).integers(4, 30, (300, 2))
    p_values = np.array([match(train(1000 + i, a), train(2000 + i, b)).p_value for i, (a, b) in enumerate(sizes)])
    assert np.mean(p_values < 0.05) <= 0.05
    assert np.median(p_values) > 0.3


def test_trains_all_of_one_kind_are_not_told_apart() -> None:
    p_values = np.array([match(alike(i), alike(100 + i)).p_value for i in range(60)])
    assert np.mean(p_values < 0.05) <= 0.05


def test_a_train_that_stands_where_it_stood_needs_no_colours() -> None:
    assert standing_p(alike(1), alike(2), (0.4, -0.3)) < 0.01
    assert standing_p(alike(1), alike(2), (60.0, 75.0)) > SAME_TRAIN_P
    assert standing_p(train(1, 20), seen_again(train(1, 20), 54), (0.4, -0.3)) < 1e-6


def test_other_cars_in_the_same_place_are_another_train() -> None:
    p_values = [standing_p(train(i, 20), train(300 + i, 20), (0.4, -0.3)) for i in range(40)]
    assert np.mean(np.array(p_values) > SAME_TRAIN_P) > 0.8


def test_cars_taken_from_one_end_leave_the_rest_in_place() -> None:
    one = train(9, 16)
    rest = part(seen_again(one, 55), slice(6, None))
    gone = float(one.lengths_m[:6].sum())
    assert alikeness_at(rest, one, -gone) > 5
    assert standing_p(rest, one, (-gone, 0.2)) < 1e-4
    assert alikeness_at(rest, one, 5000.0) == float("-inf")


@settings(max_examples=30)
@given(st.integers(0, 2**16), st.integers(LEAST_CARS, 30), st.integers(LEAST_CARS, 30))
def test_turning_both_changes_nothing(seed: int, n: int, m: int) -> None:
    a, b = seen_again(train(seed, n), seed), seen_again(train(seed + 1, m), seed)
    once = alikeness(a, b)
    assert alikeness(a.turned(), b.turned()) == pytest.approx(once, abs=0.5)
    assert alikeness(b, a) == pytest.approx(once, abs=1e-6)


def test_too_short_a_train_has_no_signature() -> None:
    short = train(3, LEAST_CARS - 1)
    assert alikeness(short, train(0, 25)) == float("-inf")
    assert match(train(0, 25), short).p_value == 1.0


def test_trains_that_look_alike_here_raise_the_law() -> None:
    assert law_of([]) == USUAL
    here = law_of([2.0] * 40 + [-4.0] * 60)
    assert here.share > 5 * SHARES[-1]
    assert all(here.p_value(score) > USUAL.p_value(score) for score in (-1.0, 1.0, 4.0))
    steps = [here.p_value(score) for score in np.linspace(-10, 20, 200)]
    assert steps == sorted(steps, reverse=True)


def seen(one: Signature, hours: float, *, start_m: float = 50.0, track: str = "t1", site: str = "yard") -> Seen:
    when = MORNING + timedelta(hours=hours)
    return _at(one, when, start_m, track, site), one


def _at(one: Signature, when: datetime, start_m: float, track: str, site: str) -> Observation:
    end = start_m + float(one.lengths_m.sum())
    return replace(
        an_observation(1),
        id=f"{site} {track} {when:%m%d%H} {start_m:.0f}",
        site=site,
        scene=f"{when:%m%d%H}",
        when=when,
        track=track,
        start_m=start_m,
        end_m=end,
        same_as=None,
        same_as_p=None,
    )


def linked(looks: list[Seen], elsewhere: Sequence[Seen] = ()) -> list[Observation]:
    scenes = [scene(0, "oo", name=item.scene, when=item.when) for item, _ in looks]
    return link(looks, {"yard": scenes}, elsewhere=elsewhere)


def test_of_several_looks_at_one_train_the_latest_is_named() -> None:
    one = train(0, 20)
    looks = [seen(seen_again(one, i), 24.0 * i, start_m=40.0 + 30 * i, track=f"t{i % 2}") for i in range(4)]
    found = linked(looks)
    assert [item.same_as for item in found] == [None, *(item.id for item in found[:-1])]
    assert all(item.same_as_p is not None and item.same_as_p < 1e-4 for item in found[1:])


def test_a_train_is_known_at_another_site_turned_and_shortened() -> None:
    one = train(6, 24)
    before = [seen(one, 0, site="khasan"), seen(train(8, 20), 0, site="khasan", track="t2", start_m=500.0)]
    now = seen(part(seen_again(one, 60), slice(3, None)).turned(), 9.0)
    (item,) = linked([now], before)
    assert (item.same_as, item.same_as_site) == (before[0][0].id, "khasan")


def test_a_stored_train_is_known_after_months_and_a_strange_one_is_not() -> None:
    stored, after = alike(1, 12), alike(2, 12)
    first, again = seen(stored, 0), seen(after, 24 * 90)
    assert linked([first, again])[1].same_as == first[0].id
    elsewhere_now = seen(after, 24 * 90, track="t2", start_m=300.0)
    assert linked([first, elsewhere_now])[1].same_as is None


def test_sensors_of_other_bands_are_compared_by_what_both_see() -> None:
    one = train(11, 22)
    grey = replace(one, colours=one.colours * (1, np.nan, np.nan))
    found = linked([seen(one, 0), seen(grey, 30, track="t2")])
    assert found[1].same_as == found[0].id
