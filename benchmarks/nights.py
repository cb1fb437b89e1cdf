"""Break the watch at length: `python benchmarks/nights.py kills [N] [real]` and `python benchmarks/nights.py year`.

`kills` kills nightly runs N times (300) at random moments and compares archive, reports and alerts with those of an
undisturbed watch; with `real` the detector judges pixels, else a stand-in says what the catalogue holds. `year` lives
through 365 nights of 5 sites on a fast clock. Both print one line of JSON.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import nights


def main() -> None:
    what, *more = sys.argv[1:] or ["kills"]
    with tempfile.TemporaryDirectory() as folder:
        if what == "year":
            print(json.dumps(nights.year(Path(folder), yards=5, nights=365, seed=1)))
            return
        number = next((int(one) for one in more if one.isdigit()), 300)
        chosen = nights.real if "real" in more else nights.stand_in
        print(json.dumps(chosen(Path(folder), number, 1)))


if __name__ == "__main__":
    main()
