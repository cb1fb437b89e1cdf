"""Places where two trains stand close, made out of one train and an empty look at the same track. Needs PyTorch."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed (the extra `train`)")

from rail_watch.interpret.sections import CHANNELS, SCALARS  # noqa: E402
from rail_watch.interpret.strips import offsets_m  # noqa: E402
from scripts.train_network.trains.augment import disturbed  # noqa: E402
from scripts.train_network.trains.uncouple import _replace, uncoupled  # noqa: E402

GSD_M, SCENES, STEPS = 0.5, 2, 400
FEATURES = len(CHANNELS) * len(offsets_m(GSD_M)) + len(SCALARS)
TRAIN = slice(60, 340)
GAP = slice(90, 110)
OFFSETS = offsets_m(GSD_M)
CHANGE = slice(0, len(OFFSETS))


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
    assert 8 < int(taken_apart.sum()) < 25 and not taken_apart[1::SCENES].any()
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


def beside_another(*, across: float = 1.0, shear: float = 1.0, sun: bool = True) -> torch.Tensor:
    """(2, F, S) a look with a bright train on the track and beside it, and one of the same track empty."""
    out = torch.zeros(2, len(CHANNELS) * len(OFFSETS) + len(SCALARS), STEPS)
    names = {"reach of shadows": across / 2, "shear of shadows": shear / 3, "sun": float(sun)}
    for name, value in names.items():
        out[:, len(CHANNELS) * len(OFFSETS) + SCALARS.index(name)] = value
    seen = CHANNELS.index("seen") * len(OFFSETS)
    out[:, seen : seen + len(OFFSETS)] = 1
    for beside in (0.0, -5.0):
        out[0, CHANGE][np.abs(OFFSETS - beside) <= 1.5] = 1.0
    return out


def parted(sections: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """(zones, S) change of the look whose train has lost the steps of `GAP`, and its labels."""
    trains = torch.stack([torch.ones(STEPS), torch.zeros(STEPS)])
    labels = trains, torch.zeros(2, STEPS)
    _replace(sections, labels, (0, 1), GAP, np.random.default_rng(1), gsd_m=GSD_M)
    return sections[0, CHANGE].numpy(), trains[0].numpy()


@pytest.mark.parametrize("shear", [1.0, -1.0])
def test_a_gap_lies_in_the_shadow_of_the_car_towards_the_sun(shear: float) -> None:
    change, _ = parted(beside_another(shear=shear))
    track = change[np.abs(OFFSETS) <= 0.5].mean(axis=0)[GAP]
    near, far = (track[1:3], track[-3:-1]) if shear > 0 else (track[-3:-1], track[1:3])
    assert near.max() < -0.3
    assert np.allclose(far, 0, atol=1e-3)


@pytest.mark.parametrize("changes", [{"shear": 0.0}, {"sun": False}])
def test_no_shadow_falls_along_the_track_where_the_sun_stands_across_or_is_not_told(changes: dict[str, float]) -> None:
    change, labels = parted(beside_another(**changes))
    inside = slice(GAP.start + 1, GAP.stop - 1)
    assert np.allclose(change[np.abs(OFFSETS) <= 0.5, inside], 0, atol=1e-3)
    assert not labels[GAP].any() and labels[: GAP.start].all() and labels[GAP.stop :].all()


def test_a_train_on_the_lit_side_stays_where_it_is() -> None:
    before = beside_another()
    after, _ = parted(before.clone())
    beside = np.abs(OFFSETS + 5.0) <= 1.5
    assert np.allclose(after[beside], before[0, CHANGE][beside].numpy(), atol=0.02)


def test_bands_that_a_sensor_does_not_have_stay_nothing() -> None:
    sections = beside_another()
    parted(sections)
    for name in ("NIR", "change in hue"):
        first = CHANNELS.index(name) * len(OFFSETS)
        assert not sections[0, first : first + len(OFFSETS)].any()


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
