"""How right the answers are, on labelled series: the goals table per ground sample distance.

Series are folders with `aoi.geojson`, `catalog.json` and `truth.json`. They are taken from --series (searched at any
depth), or drawn by `tests.other_renderer` from --gsd and --seeds. Seeds 0-99 are for tuning, 100 and up for reporting.

With --lines-off M the detector is given lines that lie M metres beside the tracks, with no word of their accuracy.

Usage: python benchmarks/quality.py --gsd 0.5 3 10 --seeds 100-115 [--detector quick-script] > figures.json
       python benchmarks/quality.py --series FOLDER ...
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
import shapely  # noqa: E402
from shapely import LineString  # noqa: E402
from shapely.geometry import mapping  # noqa: E402

from benchmarks import quick_script  # noqa: E402
from rail_watch import aoi  # noqa: E402
from rail_watch.aoi.site import Site  # noqa: E402
from rail_watch.errors import RailWatchError  # noqa: E402
from rail_watch.evaluate import Figure, SceneScore, figures, read_truth, score  # noqa: E402
from rail_watch.evaluate.claims import SCHEMA  # noqa: E402
from rail_watch.evaluate.standards import goals_for  # noqa: E402
from rail_watch.grid import WGS84  # noqa: E402
from rail_watch.observe.records import Observation  # noqa: E402
from rail_watch.prepare.zones import local_frame, reproject  # noqa: E402

CREATED = datetime(2026, 1, 1, tzinfo=UTC)
Detector = Callable[[Path, Site], dict[str, Any]]


@dataclass(frozen=True)
class Result:
    """One series, scored."""

    folder: str
    gsd_m: float
    scores: tuple[SceneScore, ...]
    seconds: float


def by_rail_watch(source: Path, site: Site) -> dict[str, Any]:
    """Run the project's own detector and return what the scorer reads of its answers."""
    from rail_watch.detect import DetectOptions, detect_sites

    run = detect_sites([site], source=source, options=DetectOptions(), created=CREATED)[0]
    scenes = [asdict(scene) | {"shift_m": scene.shift_m} for scene in run.detections.scenes]
    for scene in scenes:
        scene["tracks"] = [row for row in scene["tracks"] if row["role"] == "track"]
    features = [
        {"type": "Feature", "id": o.id, "geometry": mapping(o.geometry), "properties": _flat(o)}
        for o in run.detections.observations
    ]
    return {"schema": SCHEMA, "scenes": scenes, "observations": {"features": features}}


def _flat(observation: Observation) -> dict[str, Any]:
    return {name: value for name, value in vars(observation).items() if name != "geometry"}


def by_quick_script(source: Path, site: Site) -> dict[str, Any]:
    """Run the analyst's quick script."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # all-NaN slices: cloud in every scene
        return quick_script.answer(source, site, CREATED)


DETECTORS: dict[str, Detector] = {"rail-watch": by_rail_watch, "quick-script": by_quick_script}


def displaced(site: Site, metres: float) -> Site:
    """Return the site with all lines moved across its first track, and nothing said of their accuracy."""
    frame = local_frame(site)
    ends = shapely.get_coordinates(reproject(site.tracks[0].line, WGS84, frame))[[0, -1]]
    along = (ends[1] - ends[0]) / np.hypot(*(ends[1] - ends[0]))
    across = metres * np.array([-along[1], along[0]])

    def moved(line: LineString) -> LineString:
        return reproject(shapely.transform(reproject(line, WGS84, frame), lambda xy: xy + across), frame, WGS84)

    tracks = tuple(replace(track, line=moved(track.line)) for track in site.tracks)
    return replace(site, tracks=tracks, accuracy_m=None)


def evaluate(folder: Path, detector: Detector, *, lines_off_m: float = 0.0) -> Result:
    """Detect in one series and score the answers; a series the detector refuses scores as all unknown."""
    site, truth = aoi.read(str(folder / "aoi.geojson")), read_truth(folder / "truth.json")
    start = time.perf_counter()
    try:
        asked = displaced(site, lines_off_m) if lines_off_m else site
        document = detector(folder / "catalog.json", asked)
    except RailWatchError as error:
        print(f"{folder}: {error}", file=sys.stderr)
        document = {"schema": SCHEMA, "scenes": [], "observations": {"features": []}}
    seconds = time.perf_counter() - start
    return Result(str(folder), truth.gsd_m, score(document, truth, site), seconds)


def folders_of(paths: Sequence[Path]) -> list[Path]:
    """Return the folders under some paths that hold a whole labelled series, in order of name."""
    found = [truth.parent for path in paths for truth in path.rglob("truth.json")]
    return sorted((f for f in found if (f / "catalog.json").exists()), key=lambda f: (str(f.parent), _natural(f.name)))


def _natural(name: str) -> tuple[int, str]:
    return (int(name), name) if name.isdigit() else (1 << 30, name)


def drawn(gsds: Sequence[float], seeds: Sequence[int]) -> Iterator[Path]:
    """Draw series into a temporary folder, one at a time."""
    from tests.other_renderer.write import render_series

    for gsd in gsds:
        for seed in seeds:
            with tempfile.TemporaryDirectory() as folder:
                yield render_series(gsd, seed, Path(folder) / f"{gsd:g}" / str(seed))


def seeds_of(text: str) -> list[int]:
    """`3`, `3-7` or `3,5,9-11` as a list."""
    seeds: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        seeds += range(int(first), int(last or first) + 1)
    return seeds


def table(gsd_m: float, found: dict[str, Figure]) -> str:
    """Lay the figures out beside their goals."""
    goals = goals_for(gsd_m)
    lines = [f"{'':<44}{'value':>9}   {'95 % interval':<19}{'n':>6}   goal"]
    for figure in found.values():
        goal = goals.get(figure.name)
        value = "-" if figure.value is None else f"{figure.value:.4g}"
        interval = "" if figure.interval_95 is None else f"{figure.interval_95[0]:.4g} to {figure.interval_95[1]:.4g}"
        verdict = "" if goal is None or figure.value is None else ("met" if goal.met(figure.value) else "MISSED")
        wanted = "" if goal is None else str(goal)
        lines.append(f"{figure.words:<44}{value:>9}   {interval:<19}{figure.count:>6}   {wanted:<15}{verdict}")
    return "\n".join(lines)


def report(results: Sequence[Result]) -> dict[str, Any]:
    """Print a table per ground sample distance on standard error; return everything as plain data."""
    out: dict[str, Any] = {}
    for gsd in sorted({r.gsd_m for r in results}):
        own = [r for r in results if r.gsd_m == gsd]
        scores = [s for r in own for s in r.scores]
        found = figures(scores)
        seconds = sum(r.seconds for r in own)
        print(f"\n{gsd:g} m: {len(own)} series, {len(scores)} scenes, {seconds:.0f} s", file=sys.stderr)
        print(table(gsd, found), file=sys.stderr)
        out[f"{gsd:g}"] = {name: asdict(figure) for name, figure in found.items()}
    return out


def line_of(result: Result) -> str:
    """One series in one line, for progress."""
    found = figures(result.scores, resamples=0)
    names = ("train_f1", "state_right", "false_alarms", "length_error_m", "alignment_px")
    parts = [f"{n} {'-' if (v := found[n].value) is None else format(v, '.3g')}" for n in names]
    return f"{result.folder}: {', '.join(parts)}, {result.seconds:.1f} s"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--series", type=Path, nargs="+", help="folders of labelled series")
    parser.add_argument("--gsd", type=float, nargs="+", default=[0.5, 3.0, 10.0], help="draw series of these")
    parser.add_argument("--seeds", type=seeds_of, default=seeds_of("100-115"), help="such as 100-115 or 3,5,9-11")
    parser.add_argument("--detector", choices=sorted(DETECTORS), default="rail-watch")
    parser.add_argument("--lines-off", type=float, default=0.0, metavar="M", help="metres; negative: to the right")
    options = parser.parse_args()
    folders = folders_of(options.series) if options.series else drawn(options.gsd, options.seeds)
    results = []
    for folder in folders:
        results.append(evaluate(folder, DETECTORS[options.detector], lines_off_m=options.lines_off))
        print(line_of(results[-1]), file=sys.stderr, flush=True)
    print(json.dumps(report(results), indent=1))


if __name__ == "__main__":
    main()
