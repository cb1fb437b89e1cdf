"""The same train again: known in either direction, with cars left behind; strangers are told apart."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rail_watch.interpret.signature import (
    LEAST_CARS,
    Signature,
    alikeness,
    background_of,
    match,
    matches,
)


def train(seed: int, cars: int) -> Signature:
    rng = np.random.default_rng(seed)
    return Signature(rng.choice([12.0, 14.0, 17.0, 20.0], cars), rng.normal(0, 0.4, (cars, 4)))


def seen_again(one: Signature, seed: int) -> Signature:
    rng = np.random.default_rng(seed)
    return Signature(one.lengths_m + rng.normal(0, 0.5, len(one)), one.colours + rng.normal(0, 0.1, one.colours.shape))


POOL = [train(seed, cars) for seed, cars in enumerate((25, 18, 30, 9, 22, 14))]


@pytest.mark.parametrize("turned", [False, True])
def test_the_same_train_is_known_in_either_direction(turned: bool) -> None:
    again = seen_again(POOL[0], 50)
    found = match(POOL[0], again.turned() if turned else again, POOL)
    assert found.p_value < 1e-4
    assert found.score > 30


def test_a_few_cars_left_behind_do_not_matter() -> None:
    again = seen_again(POOL[0], 51)
    shorter = Signature(again.lengths_m[4:], again.colours[4:])
    assert match(POOL[0], shorter, POOL).p_value < 1e-3


def test_strangers_look_alike_as_often_as_is_said() -> None:
    p_values = [match(train(100 + i, 20), train(200 + i, 20), POOL).p_value for i in range(40)]
    assert np.mean(np.array(p_values) < 0.05) <= 0.15
    assert np.median(p_values) > 0.1


@settings(max_examples=30)
@given(st.integers(0, 2**16), st.integers(LEAST_CARS, 30), st.integers(LEAST_CARS, 30))
def test_turning_both_changes_nothing(seed: int, n: int, m: int) -> None:
    a, b, background = train(seed, n), train(seed + 1, m), background_of(POOL)
    once = alikeness(a, b, background)
    assert alikeness(a.turned(), b.turned(), background) == pytest.approx(once)
    assert alikeness(a, b.turned(), background) == pytest.approx(once)


def test_too_short_a_train_has_no_signature() -> None:
    short = train(3, LEAST_CARS - 1)
    assert alikeness(short, POOL[0], background_of(POOL)) == float("-inf")
    assert match(POOL[0], short, POOL).p_value == 1.0


def test_several_at_once_are_as_one_by_one() -> None:
    others = [POOL[1], seen_again(POOL[0], 60), train(9, 2), POOL[1].turned()]
    together = matches(POOL[0], others, POOL)
    assert together == [match(POOL[0], other, POOL) for other in others]
    assert matches(POOL[0], [], POOL) == []
