"""How alike different trains look, and the same train at two looks: the law of `rail_watch/interpret/signature.py`.

Series are folders with `aoi.geojson`, `catalog.json` and `truth.json`, at 1 m or finer; such as take no part in the
figures reported. Prints what pairs of different trains score, laid on each other anywhere and as they stand on one
track (the constants ANYWHERE, IN_PLACE and TAIL), what pairs of the same train score, and how often a p-value below
0.05 was given to different trains, all comparisons allowed for.

Usage: python benchmarks/same_train.py FOLDER ...
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402

from benchmarks.quality import by_rail_watch, folders_of  # noqa: E402
from rail_watch import aoi, detect  # noqa: E402
from rail_watch.evaluate import read_truth, score  # noqa: E402
from rail_watch.interpret.signature import LEAST_CARS, SHARES, Signature, alikeness, alikeness_at  # noqa: E402
from rail_watch.observe.link import IN_ITS_PLACE, Seen, link, overlap  # noqa: E402
from rail_watch.observe.records import Observation, SceneRecord  # noqa: E402


@dataclass
class Tally:
    """What pairs of trains score."""

    anywhere: list[float] = field(default_factory=list)
    in_place: list[float] = field(default_factory=list)
    same: list[float] = field(default_factory=list)
    same_in_place: list[float] = field(default_factory=list)
    new: int = 0
    """Trains of eight cars or more seen for the first time, and"""
    mistaken: int = 0
    """those of them for which an earlier one is named."""


def _pairs(seen: Sequence[Seen]) -> Iterator[tuple[Observation, Signature, Observation, Signature]]:
    told = [(item, signature) for item, signature in seen if signature is not None and len(signature) >= LEAST_CARS]
    for (a, one), (b, other) in combinations(told, 2):
        yield a, one, b, other


def add(tally: Tally, folder: Path) -> None:
    """Judge one series and count its pairs."""
    kept: list[Seen] = []

    def keep(seen: Sequence[Seen], scenes: Mapping[str, Sequence[SceneRecord]], **rest: Sequence[Seen]) -> object:
        kept.extend(seen)
        return link(seen, scenes, **rest)

    site, truth = aoi.read(str(folder / "aoi.geojson")), read_truth(folder / "truth.json")
    with mock.patch.object(detect, "link", keep):
        document = by_rail_watch(folder / "catalog.json", site)
    scores = score(document, truth, site)
    shown = {name: ids for one in scores for name, ids in one.shown.items()}
    for a, one, b, other in _pairs(kept):
        if not shown.get(a.id) or not shown.get(b.id):
            continue
        same = bool(shown[a.id] & shown[b.id])
        (tally.same if same else tally.anywhere).append(alikeness(one, other))
        stands = (a.site, a.track) == (b.site, b.track) and a.scene != b.scene and overlap(a, b) >= IN_ITS_PLACE
        if stands and a.start_m is not None and b.start_m is not None:
            (tally.same_in_place if same else tally.in_place).append(alikeness_at(one, other, b.start_m - a.start_m))
    for case in (case for one in scores for case in one.same):
        tally.new += not case.truly
        tally.mistaken += not case.truly and case.score > 0


def line(name: str, values: Sequence[float], shares: Sequence[float], *, tail: bool = False) -> str:
    """Scores that so much of them reach, and the mean excess over the last."""
    if not values:
        return f"{name:<28} none"
    at = np.quantile(values, 1 - np.array(shares))
    words = "  ".join(f"{share:g}: {value:6.2f}" for share, value in zip(shares, at, strict=True))
    beyond = np.array(values)[np.array(values) > at[-1]] - at[-1]
    return f"{name:<28} {len(values):6d} pairs  {words}" + (
        f"  tail {beyond.mean():.2f}" if tail and len(beyond) else ""
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("series", type=Path, nargs="+", help="folders of labelled series")
    tally = Tally()
    for folder in folders_of(parser.parse_args().series):
        print(folder, file=sys.stderr, flush=True)
        add(tally, folder)
    print(line("different, anywhere", tally.anywhere, SHARES[1:], tail=True))
    print(line("different, in one place", tally.in_place, SHARES[1:], tail=True))
    print(line("the same, anywhere", tally.same, (0.99, 0.95, 0.9, 0.5)))
    print(line("the same, in one place", tally.same_in_place, (0.99, 0.95, 0.9, 0.5)))
    print(f"new trains of eight cars or more {tally.new}, taken for an earlier one {tally.mistaken}")


if __name__ == "__main__":
    main()
