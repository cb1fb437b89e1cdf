"""How well motion is told in rendered scenes, by `detect` from end to end: trains that pass a bridge, and that stand.

Series are drawn by `tests/moving_material.py` with the package's simulator: a bridge anywhere, in any direction, seen
by a sensor with Sentinel-2's delays. Seeds 10-29 were used to find how far likelihoods are to be trusted.

Usage: python benchmarks/motion_scenes.py [--seeds 40-59] [--speeds 0 6 12 20] [--open-line] > figures.json
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from moving_material import Told, crossing_series, detections_of, told_of  # noqa: E402

from benchmarks.quality import seeds_of  # noqa: E402


def row(speed_mps: float, told: list[Told]) -> dict[str, Any]:
    """Return the figures of one speed."""
    found = [(one.passage, one.found.movement) for one in told if one.found is not None]
    judged = [(passage, movement) for passage, movement in found if movement is not None]
    moving = [(passage, movement) for passage, movement in judged if movement.moving]
    inside = [
        movement.speed_kmh_95[0] <= 3.6 * abs(passage.speed_mps) <= movement.speed_kmh_95[1]
        for passage, movement in judged
        if movement.speed_kmh_95 is not None
    ]
    wrong = [m for p, m in moving if p.speed_mps and (m.direction == "forward") != (p.speed_mps > 0)]
    return {
        "speed_mps": speed_mps,
        "trains": len(told),
        "found": len(found),
        "judged": len(judged),
        "moving": len(moving),
        "standing": sum(movement.moving is False for _, movement in judged),
        "wrong_way": len(wrong),
        "intervals": len(inside),
        "cover": sum(inside),
    }


def main() -> None:
    """Print a table on standard error and JSON on standard output."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", default="40-59")
    parser.add_argument("--speeds", type=float, nargs="+", default=(0.0, 6.0, 12.0, 20.0), help="metres a second")
    parser.add_argument("--open-line", action="store_true", help="a single track on land instead of a bridge")
    arguments = parser.parse_args()
    rows = []
    for speed in arguments.speeds:
        told: list[Told] = []
        for seed in seeds_of(arguments.seeds):
            with tempfile.TemporaryDirectory() as folder:
                out = Path(folder)
                site, passages = crossing_series(seed, out, bridge=not arguments.open_line, speeds=(speed,))
                told += told_of(passages, detections_of(site, out))
        rows.append(row(speed, told))
        print(" ".join(f"{name} {value:g}" for name, value in rows[-1].items()), file=sys.stderr, flush=True)
    print(json.dumps({"seeds": arguments.seeds, "bridge": not arguments.open_line, "rows": rows}))


if __name__ == "__main__":
    main()
