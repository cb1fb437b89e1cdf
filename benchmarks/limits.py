"""Stated detection limits against what is found: lone trains of lengths about the limit, in drawn series.

`tests/other_renderer/lone.py` draws yards in which each track is empty or holds one train, none beside another. So the
figure rests on trains near the limit, and on none that is hidden, joined with another or taken for one on the next
track: length over stated limit at which nine of ten are shown. Seeds 0-99 are for tuning, 100 and up for
reporting.

Usage: python benchmarks/limits.py --gsd 0.5 3 10 --seeds 100-109 > figures.json
       python benchmarks/limits.py --gsd 3 --seeds 0-9 --keep FOLDER    (leaves the series there)
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402

from benchmarks.quality import by_rail_watch, seeds_of  # noqa: E402
from rail_watch import aoi  # noqa: E402
from rail_watch.evaluate import read_truth, score  # noqa: E402
from rail_watch.evaluate.figures import sure_ratio  # noqa: E402
from rail_watch.evaluate.score import Sighting  # noqa: E402
from tests.other_renderer.lone import render_lone  # noqa: E402

ALONE = 0.99
"""Share of a train that must be in view."""


def sightings_of(folder: Path) -> list[Sighting]:
    """Every train wholly in view, with the limit stated for its track and scene and whether it was shown."""
    site, truth = aoi.read(str(folder / "aoi.geojson")), read_truth(folder / "truth.json")
    clear = {s.id for s in truth.scenes if all(t.visible_fraction >= ALONE for t in s.tracks)}
    scores = score(by_rail_watch(folder / "catalog.json", site), truth, site)
    return [sighting for one in scores if one.scene in clear for sighting in one.sightings if sighting.alone]


def table(gsd: float, sightings: Sequence[Sighting]) -> tuple[str, float | None]:
    """Share shown by length over limit, and the ratio at which nine of ten are."""
    stated = [s for s in sightings if s.shortest_m]
    ratios = np.array([s.length_m / float(s.shortest_m or 1) for s in stated])
    found = np.array([s.found for s in stated], dtype=bool)
    rng = np.random.default_rng(0)
    draws = [rng.integers(0, len(stated), len(stated)) for _ in range(200)] if stated else []
    again = [value for draw in draws if (value := sure_ratio(ratios[draw], found[draw])) is not None]
    measured = sure_ratio(ratios, found)
    lines = [f"{gsd:g} m: {len(stated)} lone trains; {len(sightings) - len(stated)} more with no limit stated"]
    edges = (0.0, 0.4, 0.6, 0.8, 1.0, 1.25, 1.6, 2.0, 3.0, 100.0)
    for low, high in pairwise(edges):
        inside = (ratios >= low) & (ratios < high)
        if inside.any():
            lines.append(
                f"  {low:4.2g} to {high:4.3g} limits: {inside.sum():4d} trains, {found[inside].mean():.2f} shown"
            )
    if measured is not None and again:
        low, high = np.quantile(again, [0.025, 0.975])
        lines.append(f"  nine of ten shown at {measured:.2f} ({low:.2f}-{high:.2f}) of the stated limit")
    return "\n".join(lines), measured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gsd", type=float, nargs="+", default=[0.5, 3.0, 10.0])
    parser.add_argument("--seeds", type=seeds_of, default=seeds_of("100-109"), help="such as 100-109 or 3,5,9-11")
    parser.add_argument("--keep", type=Path, help="leave the series in this folder")
    options = parser.parse_args()
    out = {}
    for gsd in options.gsd:
        sightings = []
        for seed in options.seeds:
            with tempfile.TemporaryDirectory() as temporary:
                folder = (options.keep or Path(temporary)) / f"{gsd:g}" / str(seed)
                sightings += sightings_of(
                    folder if (folder / "truth.json").exists() else render_lone(gsd, seed, folder)
                )
            print(f"{gsd:g} m, seed {seed}: {len(sightings)} trains so far", file=sys.stderr, flush=True)
        words, measured = table(gsd, sightings)
        print(words, file=sys.stderr)
        out[f"{gsd:g}"] = {"trains": len(sightings), "ratio": measured}
    print(json.dumps(out, indent=1))


if __name__ == "__main__":
    main()
