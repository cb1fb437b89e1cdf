"""How well a moving train's speed is told from the delays between bands: bias, coverage, power.

Trains are drawn by `tests/motion_material.py` (which knows nothing of the estimator): a 10 m sensor with Sentinel-2's
delays, bands misplaced by 0.7 m each, ends known to 10 m, on an otherwise unchanged deck. Seeds are not those of tests.

Usage: python benchmarks/motion.py [--trains 200] [--noise 0.02] [--seed 1000] [--speeds 0 12] [--lengths 110]
       > figures.json
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from motion_material import Pass, judged

SPEEDS_MPS = (0.0, 4.0, 8.0, 12.0, 20.0)
LENGTHS_M = (60.0, 110.0, 200.0)


def row(speed: float, length: float, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the figures of one speed and length; half the trains run backward, half are of mixed cars."""
    error, inside, width, verdicts = [], [], [], []
    for number in range(arguments.trains):
        rng = np.random.default_rng([arguments.seed, int(speed * 10), int(length), number])
        true = speed if number % 2 else -speed
        found = judged(Pass(true, length, arguments.noise, mixed=number % 4 >= 2), rng)
        low, high = found.speed_mps_95
        error.append((found.speed_mps - true) * (1 if number % 2 else -1))
        inside.append(low <= true <= high)
        width.append(high - low)
        verdicts.append(found.verdict)
    return {
        "speed_mps": speed,
        "length_m": length,
        "trains": arguments.trains,
        "bias_mps": round(float(np.mean(error)), 2),
        "median_error_mps": round(float(np.median(error)), 2),
        "rms_mps": round(float(np.sqrt(np.mean(np.square(error)))), 2),
        "covers": round(float(np.mean(inside)), 3),
        "width_mps": round(float(np.median(width)), 1),
        **{v.replace(" ", "_"): round(verdicts.count(v) / len(verdicts), 3) for v in ("moving", "standing")},
    }


def main() -> None:
    """Print a table on standard error and JSON on standard output."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trains", type=int, default=200, help="of each speed and length")
    parser.add_argument("--noise", type=float, default=0.02, help="of a pixel, as a share of the deck's light")
    parser.add_argument("--seed", type=int, default=1000)
    parser.add_argument("--speeds", type=float, nargs="+", default=SPEEDS_MPS, help="metres a second")
    parser.add_argument("--lengths", type=float, nargs="+", default=LENGTHS_M, help="metres")
    arguments = parser.parse_args()
    keys = ("speed_mps", "length_m", "bias_mps", "rms_mps", "covers", "width_mps", "moving", "standing")
    print("| " + " | ".join(keys) + " |\n|" + "---|" * len(keys), file=sys.stderr)
    rows = []
    for speed in arguments.speeds:
        for length in arguments.lengths:
            rows.append(row(speed, length, arguments))
            print("| " + " | ".join(str(rows[-1][key]) for key in keys) + " |", file=sys.stderr, flush=True)
    covers = float(np.average([r["covers"] for r in rows]))
    print(f"95 % intervals cover {covers:.3f} over all", file=sys.stderr)
    print(json.dumps({"noise": arguments.noise, "seed": arguments.seed, "covers": round(covers, 4), "rows": rows}))


if __name__ == "__main__":
    main()
