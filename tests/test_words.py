import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rail_watch.observe.words import TERMS, largest_p_value, likelihood, likelihood_of_p_value, probability_of_p_value


@pytest.mark.parametrize(
    ("probability", "term"),
    [
        (0.0, "almost no chance"),
        (0.01, "almost no chance"),
        (0.05, "very unlikely"),
        (0.1999, "very unlikely"),
        (0.3, "unlikely"),
        (0.5, "roughly even chance"),
        (0.55, "likely"),
        (0.8, "very likely"),
        (0.95, "almost certain"),
        (1.0, "almost certain"),
    ],
)
def test_terms_are_those_of_icd_203(probability: float, term: str) -> None:
    assert likelihood(probability) == term


def test_the_terms_leave_no_gap() -> None:
    assert [high for _, high, _ in TERMS[:-1]] == [low for low, _, _ in TERMS[1:]]


@pytest.mark.parametrize("bad", [-0.1, 1.1, math.nan, math.inf])
def test_what_is_no_probability_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        likelihood(bad)
    with pytest.raises(ValueError, match="between 0 and 1"):
        probability_of_p_value(bad)


@pytest.mark.parametrize(
    ("p", "probability"), [(0.05, 0.711), (0.01, 0.889), (0.001, 0.9816)]
)  # the table of Sellke, Bayarri and Berger: 0.289, 0.111, 0.0184 for the null
def test_calibration_agrees_with_the_published_table(p: float, probability: float) -> None:
    assert probability_of_p_value(p) == pytest.approx(probability, abs=5e-4)


@pytest.mark.parametrize(("p", "term"), [(0.0, "almost certain"), (1e-9, "almost certain"), (0.01, "very likely")])
def test_words_of_p_values(p: float, term: str) -> None:
    assert likelihood_of_p_value(p) == term


@given(st.floats(0, 1), st.floats(0, 1))
def test_a_smaller_p_value_is_never_less_likely(a: float, b: float) -> None:
    low, high = sorted((a, b))
    assert probability_of_p_value(low) >= probability_of_p_value(high) >= 0.5 - 1e-12


@pytest.mark.parametrize("term", [term for _, _, term in TERMS])
def test_the_largest_p_value_of_a_term_is_the_last_that_is_said_so(term: str) -> None:
    order = [known for _, _, known in TERMS]
    largest = largest_p_value(term)
    assert order.index(likelihood_of_p_value(largest * (1 - 1e-9))) >= order.index(term)
    if largest < 1:
        assert order.index(likelihood_of_p_value(largest * (1 + 1e-9))) < order.index(term)
    else:
        assert order.index(term) <= order.index("roughly even chance")
