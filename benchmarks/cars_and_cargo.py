"""Kinds of railcars and heights of cargo, as `detect` tells them at 0.5 m, against the truth of labelled series.

Series are taken from --series (searched at any depth), or drawn by both renderers from --seeds. Seeds 0-99 are for
tuning, 100 and up for reporting.

Usage: python benchmarks/cars_and_cargo.py --seeds 104-111 [--scenes 6] [--renderer other simulator]
       python benchmarks/cars_and_cargo.py --series FOLDER ...
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
from shapely.geometry import shape  # noqa: E402

from benchmarks.quality import CREATED, folders_of, seeds_of  # noqa: E402
from rail_watch import aoi  # noqa: E402
from rail_watch.detect import DetectOptions, detect_sites  # noqa: E402
from rail_watch.errors import RailWatchError  # noqa: E402
from rail_watch.interpret.kinds import KINDS  # noqa: E402
from rail_watch.observe.records import Detections, Observation  # noqa: E402
from scripts.train_network.kinds.learn import reliability  # noqa: E402
from scripts.train_network.kinds.rows import cars_of_truth, true_kind  # noqa: E402

SAME = 0.3
"""Share of their union that a found and a true heap must share to be the same."""


@dataclass
class Found:
    """What was said and what is true."""

    cars: list[tuple[str | None, float, str]] = field(default_factory=list)
    """Kind said (None: none), its probability, true kind."""
    strays: int = 0
    """Cars said where no car fills half of the place."""
    heights: list[tuple[float | None, float, float, float]] = field(default_factory=list)
    """Height said (None: none) and its interval, true height."""


def gather(run: Detections, folder: Path, found: Found) -> None:
    """Hold one series' observations against its truth."""
    truth, cars = json.loads((folder / "truth.json").read_text(encoding="utf-8")), cars_of_truth(folder)
    heaps = {scene["id"]: scene["cargo"] for scene in truth["scenes"]}
    for item in run.observations:
        for car in item.cars:
            kind = true_kind(cars.get((item.scene, item.track or ""), []), car.start_m, car.end_m)
            if kind is None:
                found.strays += 1
            else:
                found.cars.append((car.kind, car.kind_p or 0.0, kind))
        if item.kind == "cargo":
            true_m = _true_height(item, heaps.get(item.scene, []))
            if true_m is not None:
                low, high = item.height_m_95 or (0.0, 0.0)
                found.heights.append((item.height_m, low, high, true_m))


def _true_height(item: Observation, heaps: list[dict[str, Any]]) -> float | None:
    for heap in heaps:
        outline = shape(heap["geometry"]).buffer(0)
        if outline.intersection(item.geometry).area > SAME * outline.union(item.geometry).area:
            return float(heap["height_m"])
    return None


def drawn(renderers: Sequence[str], seeds: Sequence[int], scenes: int) -> Iterator[Path]:
    """Draw series into a temporary folder, one at a time."""
    from rail_watch.simulate.random_yard import write_series
    from tests.other_renderer.write import render_series

    for seed in seeds:
        for name in renderers:
            with tempfile.TemporaryDirectory() as folder:
                out = Path(folder) / name / str(seed)
                if name == "other":
                    yield render_series(0.5, seed, out, scenes)
                else:
                    yield write_series(seed, out, scenes=scenes)


def cars_table(found: Found) -> str:
    """Say how often kinds are right."""
    said = np.array([KINDS.index(kind) if kind else KINDS.index("other") for kind, _, _ in found.cars])
    p = np.array([p for _, p, _ in found.cars])
    truly = np.array([KINDS.index(kind) for _, _, kind in found.cars])
    return f"{reliability(said, p, truly)}\n\ncars said where none fills half of the place: {found.strays}"


def heights_table(found: Found) -> str:
    """Say how good heights are."""
    told = np.array([row for row in found.heights if row[0] is not None], dtype=float).reshape(-1, 4)
    lines = [f"{len(found.heights)} heaps found that are there, height told of {len(told)}"]
    if len(told):
        error, inside = told[:, 0] - told[:, 3], (told[:, 1] <= told[:, 3]) & (told[:, 3] <= told[:, 2])
        lines.append(f"error, median {np.median(error):.2f} m, mean absolute {np.abs(error).mean():.2f} m")
        width = np.median(np.ptp(told[:, 1:3], axis=1))
        lines.append(f"95 % intervals cover {inside.mean():.3f}; their median width {width:.2f} m")
    return "\n".join(lines)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="104-111")
    parser.add_argument("--scenes", type=int, default=6)
    parser.add_argument("--renderer", nargs="+", default=["other", "simulator"], choices=["other", "simulator"])
    parser.add_argument("--series", type=Path, nargs="+")
    options = parser.parse_args()
    warnings.simplefilter("ignore", RuntimeWarning)
    folders = drawn(options.renderer, seeds_of(options.seeds), options.scenes)
    by_renderer: dict[str, Found] = {}
    for folder in folders_of(options.series) if options.series else folders:
        site = aoi.read(str(folder / "aoi.geojson"))
        try:
            run = detect_sites([site], source=folder / "catalog.json", options=DetectOptions(), created=CREATED)[0]
        except RailWatchError as error:
            print(f"{folder}: {error}", file=sys.stderr)
            continue
        gather(run.detections, folder, by_renderer.setdefault(folder.parent.name, Found()))
        print(f"{folder.parent.name} {folder.name}", file=sys.stderr, flush=True)
    for name, found in by_renderer.items():
        print(
            f"## {name}\n\n{cars_table(found)}\n\n{heights_table(found)}\n" if found.cars else f"## {name}: no cars\n"
        )


if __name__ == "__main__":
    main()
