"""Probabilities in words: the likelihood terms of ICD 203.

Intelligence Community Directive 203, "Analytic Standards", fixes seven terms and the range of probability each stands
for, so that two analysts mean the same by "likely".
"""

from __future__ import annotations

import math

TERMS: tuple[tuple[float, float, str], ...] = (
    (0.01, 0.05, "almost no chance"),
    (0.05, 0.20, "very unlikely"),
    (0.20, 0.45, "unlikely"),
    (0.45, 0.55, "roughly even chance"),
    (0.55, 0.80, "likely"),
    (0.80, 0.95, "very likely"),
    (0.95, 0.99, "almost certain"),
)
"""From, to, term. A probability on a limit takes the higher term; nothing is said to be certain, so the outer terms
also stand for what lies beyond 1 % and 99 %."""


def likelihood(probability: float) -> str:
    """Return the ICD 203 term for a probability.

    Raises
    ------
    ValueError
        When the probability is not between 0 and 1.
    """
    if not 0 <= probability <= 1:
        raise ValueError(f"a probability lies between 0 and 1, not {probability}")
    return next((term for _, high, term in TERMS if probability < high), TERMS[-1][2])


def probability_of_p_value(p: float) -> float:
    """Return the most that a p-value alone can say for there being something, as a probability.

    A p-value is not the probability that nothing is there. Sellke, Bayarri and Berger (2001, The American Statistician
    55(1), 62-71) show that whatever the alternative, the Bayes factor for "nothing" is at least ``-e p ln p`` when
    p < 1/e, and 1 above. With even odds beforehand the probability of "something" is then 1 / (1 + that bound):
    p = 0.05 gives 0.71, p = 0.01 gives 0.89, p = 0.001 gives 0.98. It never falls below one half: looking and
    finding nothing unusual speaks against a train only as far as the scene would have shown one, which is what the
    detection limit says.

    Raises
    ------
    ValueError
        When p is not between 0 and 1.
    """
    if not 0 <= p <= 1:
        raise ValueError(f"a p-value lies between 0 and 1, not {p}")
    if p == 0:
        return 1.0
    bound = -math.e * p * math.log(p) if p < 1 / math.e else 1.0
    return 1 / (1 + bound)


def likelihood_of_p_value(p: float) -> str:
    """Return the ICD 203 term for a finding with this p-value (see `probability_of_p_value`)."""
    return likelihood(probability_of_p_value(p))


def largest_p_value(term: str) -> float:
    """Return the largest p-value of a finding that is still said to be at least this likely, from 0 to 1.

    `probability_of_p_value` falls as p grows and never below one half, so that the lower terms hold for any p.
    """
    least = next(low for low, _, known in TERMS if known == term)
    if least <= probability_of_p_value(1.0):
        return 1.0
    low, high = 0.0, 1 / math.e
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if probability_of_p_value(middle) >= least else (low, middle)
    return low
