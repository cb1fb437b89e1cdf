"""Break the watch at length: `python benchmarks/nights.py kills [N] [sample|real] [--seed S]`, and `… year`.

`kills` kills nightly runs N times (300) at random moments and compares archive, reports, cache and alerts with those of
an undisturbed watch. With `sample` it is the real command over the shipped sample story, served over loopback; with
`real` the detector over a small series made in code; else a stand-in says what the catalogue holds. `year` lives
through 365 nights of 5 sites on a fast clock. All print one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import nights
import sample_nights


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("what", choices=("kills", "year"), nargs="?", default="kills")
    asked.add_argument("kills", type=int, nargs="?", default=300, metavar="N")
    asked.add_argument("how", choices=("stand-in", "real", "sample"), nargs="?", default="stand-in")
    asked.add_argument("--seed", type=int, default=1)
    given = asked.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if given.what == "year":
            print(json.dumps(nights.year(Path(folder), yards=5, nights=365, seed=given.seed)))
            return
        chosen = {"stand-in": nights.stand_in, "real": nights.real, "sample": sample_nights.sample}[given.how]
        print(json.dumps(chosen(Path(folder), given.kills, given.seed)))


if __name__ == "__main__":
    main()
