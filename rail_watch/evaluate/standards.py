"""By what measure answers are judged at each ground sample distance, and the goals set for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Standards:
    """What counts as right."""

    shortest_train_m: float
    """A true train shorter than this is no miss when not found, and no false alarm when found."""
    neighbour_accepted: bool
    """A train told on the track next to its own is right: the sensor mixes tracks 5 m apart."""
    iou: float = 0.45
    """Least overlap along the track, intersection over union, for a found train to be the true one."""
    cargo_iou: float = 0.3
    """Least overlap on the ground for a found piece of cargo to be the true one."""
    smallest_cargo_m2: float = 10.0
    seen: float = 0.98
    """Share of a track that must be in view for its state to be asked for."""
    hidden: float = 0.02
    """Share of a track in view under which only "unknown" is right."""
    train_seen: float = 0.9
    """Share of a train that must be in view for it to count."""


@dataclass(frozen=True)
class Goal:
    """A range a figure should fall in; None is open."""

    low: float | None = None
    high: float | None = None

    def met(self, value: float) -> bool:
        """Whether a value lies in the range."""
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)

    def __str__(self) -> str:
        if self.low is not None and self.high is not None:
            return f"{self.low:g} to {self.high:g}"
        return f">= {self.low:g}" if self.low is not None else f"<= {self.high:g}"


def standards_for(gsd_m: float) -> Standards:
    """Standards by what a pixel can show: single cars up to 1.5 m, trains up to 6 m, long trains beyond."""
    if gsd_m <= 1.5:
        return Standards(shortest_train_m=12.0, neighbour_accepted=False)
    return Standards(shortest_train_m=40.0 if gsd_m <= 6 else 120.0, neighbour_accepted=True)


_RATE = Goal(0.005, 0.015)
_COVERAGE = Goal(0.93, 0.97)
_SAME_FOR_ALL: dict[str, Goal] = {
    "false_alarms": _RATE,
    "p_uniform": Goal(low=0.01),
    "length_coverage": _COVERAGE,
    "count_coverage": _COVERAGE,
    "limit_ratio": Goal(0.85, 1.15),
}


def goals_for(gsd_m: float) -> Mapping[str, Goal]:
    """Goal of each figure (by name), at a ground sample distance."""
    if gsd_m <= 1.5:
        own = {
            "train_f1": Goal(low=0.97),
            "state_right": Goal(low=0.99),
            "length_error_m": Goal(high=1.0),
            "count_error": Goal(high=0.4),
            "cargo_f1": Goal(low=0.9),
            "fill_error": Goal(high=0.03),
            "alignment_px": Goal(high=0.05),
            "same_train_auc": Goal(low=0.99),
        }
    elif gsd_m <= 6:
        own = {
            "train_f1": Goal(low=0.93),
            "state_right": Goal(low=0.97),
            "length_error_m": Goal(high=4.0),
            "count_error": Goal(high=1.5),
            "fill_error": Goal(high=0.06),
            "alignment_px": Goal(high=0.05),
        }
    else:
        own = {
            "train_f1": Goal(low=0.85),
            "state_right": Goal(low=0.95),
            "length_error_m": Goal(high=15.0),
            "fill_error": Goal(high=0.12),
            "alignment_px": Goal(high=0.08),
        }
    return {**_SAME_FOR_ALL, **own}
