"""Which series there are (renderers, classes of GSD, seeds below 100), and which take no part in learning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rail_watch.errors import BadInput

GSD_M = {"fine": 0.5, "middle": 3.0, "coarse": 10.0}
"""What series of each class of GSD are drawn at."""
RENDERERS = ("other", "simulator", "crossings", "winter", "busy")
"""tests/other_renderer, the package's own simulator, the same simulator drawing bridges over rivers,
tests/other_renderer in winter, and in busy yards."""
LONE = "lone"
"""tests/other_renderer drawing lone trains of lengths about a detection limit: only limits are measured on these."""
REPORTING = 100
"""Seeds from here on are for reporting figures: nothing here draws or reads them."""
HELD_OUT = {
    "other": frozenset([*range(8, 14), *range(84, REPORTING)]),
    "simulator": frozenset([*range(22, 30), *range(84, REPORTING)]),
    "crossings": frozenset(range(20, 26)),
    "winter": frozenset([*range(8, 14), *range(84, REPORTING)]),
    "busy": frozenset([*range(8, 14), *range(84, REPORTING)]),
    LONE: frozenset(range(REPORTING)),
}
"""Seeds that take no part in learning, by renderer: the law of empty track is measured on these."""


@dataclass(frozen=True)
class Drawn:
    """One series."""

    renderer: str
    network_class: str
    seed: int

    @property
    def held_out(self) -> bool:
        """Whether learning must not see it."""
        return self.seed in HELD_OUT[self.renderer]

    @property
    def name(self) -> str:
        """Short name, for progress."""
        return f"{self.renderer}/{self.network_class}/{self.seed}"

    def folder(self, work: Path) -> Path:
        """Where the series itself lies: `aoi.geojson`, a catalogue and `truth.json`."""
        return work / "series" / self.renderer / self.network_class / str(self.seed)

    def sections(self, work: Path) -> Path:
        """Where its training rows lie."""
        return work / "sections" / self.renderer / self.network_class / f"{self.seed}.npz"

    def cars(self, work: Path) -> Path:
        """Where what is shown of its cars lies."""
        return work / "cars" / self.renderer / self.network_class / f"{self.seed}.npz"

    def aprons(self, work: Path) -> Path:
        """Where the training rows of its aprons lie."""
        return work / "aprons" / self.renderer / self.network_class / f"{self.seed}.npz"


def seeds_of(text: str) -> list[int]:
    """`3`, `3-7` or `3,5,9-11` as a list.

    Raises
    ------
    BadInput
        Not written so, or a seed kept for reporting.
    """
    seeds: list[int] = []
    try:
        for part in text.split(","):
            first, _, last = part.partition("-")
            seeds += range(int(first), int(last or first) + 1)
    except ValueError:
        raise BadInput(f"seeds {text!r}: write them as 3, 3-7 or 3,5,9-11") from None
    beyond = [seed for seed in seeds if seed >= REPORTING]
    if beyond:
        raise BadInput(f"seed {beyond[0]} is kept for reporting figures; choose seeds below {REPORTING}")
    return seeds


def chosen(renderers: Sequence[str], classes: Sequence[str], seeds: Sequence[int]) -> list[Drawn]:
    """Every series asked for, small seeds first, so that an interrupted run leaves a mixture behind."""
    return [Drawn(renderer, name, seed) for seed in seeds for name in classes for renderer in renderers]
