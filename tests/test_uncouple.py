"""Places where two trains stand close, made out of one train and an empty look at the same track. Needs PyTorch."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed (the extra `train`)")

from rail_watch.interpret.sections import CHANNELS, SCALARS  # noqa: E402
from rail_watch.interpret.strips import offsets_m  # noqa: E402
from scripts.train_network.trains.augment import disturbed  # noqa: E402
from scripts.train_network.trains.uncouple import WEIGHT, uncoupled, weights_of  # noqa: E402

GSD_M, SCENES, STEPS = 0.5, 2, 400
FEATURES = len(CHANNELS) * len(offsets_m(GSD_M)) + len(SCALARS)
TRAIN = slice(60, 340)


def looks(count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Pairs of looks at a track: in the first a train, all ones, coupled every 30 steps; the second is empty."""
    sections = torch.zeros(count, FEATURES, STEPS)
    occupied, other = torch.zeros(count, STEPS), torch.zeros(count, STEPS)
    sections[::SCENES, : FEATURES - len(SCALARS), TRAIN] = 1.0
    occupied[::SCENES, TRAIN] = 1
    other[::SCENES, TRAIN.start + 30 : TRAIN.stop : 30] = 1
    return sections, occupied, other


def test_a_train_taken_apart_shows_the_empty_track_where_it_is_no_longer_true() -> None:
    sections, occupied, other = looks(200)
    before = occupied.clone()
    uncoupled(sections, (occupied, other), np.random.default_rng(1), scenes=SCENES, gsd_m=GSD_M)
    lost = (before == 1) & (occupied == 0)
    taken_apart = lost.any(1)
    assert 20 < int(taken_apart.sum()) < 50 and not taken_apart[1::SCENES].any()
    for i in torch.nonzero(taken_apart)[:, 0].tolist():
        where = torch.nonzero(lost[i])[:, 0]
        first, last = int(where[0]), int(where[-1])
        assert len(where) == last - first + 1, "one gap"
        assert before[i, first - 24 : first].all() and before[i, last + 1 : last + 25].all(), "trains on either side"
        assert (first - TRAIN.start) % 30 == 0, "behind a car's end"
        assert not other[i, first : last + 1].any()
        inner = sections[i, 0, first + 1 : last]
        assert (inner == 0).all() and (sections[i, 0, first - 5 : first - 1] == 1).all()


def test_nothing_is_laid_into_a_train_from_ground_of_another_kind() -> None:
    sections, occupied, other = looks(200)
    sections[1::SCENES, FEATURES - len(SCALARS) + SCALARS.index("likeness to the reference")] = 1.0  # the others: 0
    before = sections.clone(), occupied.clone()
    uncoupled(sections, (occupied, other), np.random.default_rng(1), scenes=SCENES, gsd_m=GSD_M)
    assert torch.equal(before[0], sections) and torch.equal(before[1], occupied)


def test_gaps_between_trains_count_for_more_than_open_track() -> None:
    occupied = torch.zeros(1, STEPS)
    occupied[0, 50:120] = occupied[0, 140:200] = 1  # 10 m apart
    occupied[0, 330:360] = 1  # 65 m on
    weights = weights_of(occupied, gsd_m=GSD_M)[0]
    assert (weights[120:140] == WEIGHT).all()
    assert (weights[50:120] == 1).all() and (weights[200:330] == 1).all() and (weights[360:] == 1).all()


def test_snow_and_all_else_leave_numbers_and_what_was_not_seen_alone() -> None:
    torch.manual_seed(1)
    sections, occupied, _ = looks(60)
    zones = len(offsets_m(GSD_M))
    seen = slice(CHANNELS.index("seen") * zones, (CHANNELS.index("seen") + 1) * zones)
    sections[:, seen] = 1.0
    sections[:, : FEATURES - len(SCALARS), :20] = 0.0  # never seen
    cars = (occupied > 0).long()
    out, _ = disturbed(sections, cars, np.random.default_rng(2), scenes=SCENES, texture=0.5, gsd_m=GSD_M)
    assert torch.isfinite(out).all() and out.shape == sections.shape
    blind = out[:, seen] == 0
    assert blind.any() and (out[:, :zones][blind] == 0).all()
