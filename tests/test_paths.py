"""The loss of whole paths against every path counted one by one."""

from __future__ import annotations

import itertools

import pytest

torch = pytest.importorskip("torch", reason="needs PyTorch (the extra 'train')")

from rail_watch.interpret.segments import BOUND, SWITCH_COST  # noqa: E402
from scripts.train_network.trains.paths import path_loss  # noqa: E402


def _counted(odds: list[float], occupied: list[int]) -> float:
    """Minus the log probability of the true paths, every path of two states weighed by itself."""
    every, true = [], []
    for path in itertools.product((0, 1), repeat=len(odds)):
        changes = sum(a != b for a, b in itertools.pairwise(path))
        weight = sum(max(-BOUND, min(BOUND, o)) for o, taken in zip(odds, path, strict=True) if taken)
        every.append(weight - SWITCH_COST * changes)
        if all(known in (-1, taken) for known, taken in zip(occupied, path, strict=True)):
            true.append(every[-1])
    return float(torch.logsumexp(torch.tensor(every), 0) - torch.logsumexp(torch.tensor(true), 0))


@pytest.mark.parametrize("steps", [1, 2, 5, 8, 9])
def test_paths_are_weighed_as_if_each_were_counted(steps: int) -> None:
    torch.manual_seed(steps)
    odds = torch.randn(6, steps) * 6
    occupied = torch.randint(-1, 2, (6, steps))
    counted = [_counted(o, t) for o, t in zip(odds.tolist(), occupied.tolist(), strict=True)]
    assert path_loss(odds, occupied).tolist() == pytest.approx(counted, abs=1e-3)


def test_a_gap_of_a_few_doubtful_steps_costs_what_the_detector_would_get_wrong() -> None:
    """Two trains, six steps apart: log odds of -1 leave them one train in the detector's eyes, of -4 part them."""
    occupied = torch.ones(1, 40, dtype=torch.long)
    occupied[0, 18:24] = 0
    losses = []
    for gap in (-1.0, -4.0):
        odds = torch.full((1, 40), 6.0)
        odds[0, 18:24] = gap
        losses.append(float(path_loss(odds, occupied)))
    assert losses[0] > 10 and losses[1] < 0.1
