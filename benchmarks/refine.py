"""How near refined lines come to the true rails: error before and after, on labelled series.

Each series' own area of interest is displaced (up to 10 m in any direction) and turned (up to 1 degree), several times
over, and refined. The error is the distance across the lines to the true centre lines as the imagery shows them (the
series' median misregistration taken off), root mean square over all lines. Last, the lines are put where no track is,
80 m off: whatever is believed there is a false belief.

Series come from `tests.other_renderer`: it knows where the true rails are. They are taken from --series (searched at
any depth) or drawn from --gsd and --seeds. Seeds 0-99 are for tuning, 100 and up for reporting.

Usage: python benchmarks/refine.py --gsd 0.5 3 --seeds 100-115 [--starts 3] > figures.json
       python benchmarks/refine.py --series FOLDER ...
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
import shapely  # noqa: E402
from numpy.typing import NDArray  # noqa: E402
from shapely import LineString  # noqa: E402

from benchmarks.quality import drawn, folders_of, seeds_of  # noqa: E402
from rail_watch import aoi, imagery  # noqa: E402
from rail_watch.aoi.site import Site  # noqa: E402
from rail_watch.detect import groups_of  # noqa: E402
from rail_watch.grid import WGS84, transformer  # noqa: E402
from rail_watch.imagery.scene import Scene  # noqa: E402
from rail_watch.interpret.refine import refine  # noqa: E402
from rail_watch.interpret.refine_match import Pose  # noqa: E402
from rail_watch.prepare.stack import Stack, prepare  # noqa: E402
from rail_watch.prepare.zones import local_frame, reproject  # noqa: E402

Floats = NDArray[np.float64]
ELSEWHERE = -1


@dataclass(frozen=True)
class Try:
    """One displaced start, refined."""

    folder: str
    gsd_m: float
    start: int
    """Number of the start; -1: put where no track is."""
    lines: int
    scenes: int
    bands: int
    before_m: float
    after_m: float
    """As before where the fit is not believed."""
    believed: bool
    stated_m: float | None
    """Accuracy at 95 %, as the AOI would say it."""
    seconds: float
    reason: str


def loaded(folder: Path) -> tuple[Site, Stack, dict[str, LineString], Floats]:
    """Return a series' site, its largest stack, the true rails in the local frame, and where the imagery shows them."""
    from tests.other_renderer.series import draw_series

    site = aoi.read(folder / "aoi.geojson")
    truth = json.loads((folder / "truth.json").read_text(encoding="utf-8"))
    found = imagery.find(site, (None, None), source=folder)
    read = [imagery.read(ref, site, margin_m=max(30.0, 20 * (ref.gsd_m or 1.0))) for ref in found.scenes]
    sensor, group = max(groups_of([one for one in read if isinstance(one, Scene)]), key=lambda pair: len(pair[1]))
    stack = prepare(group, site, sensor=sensor)
    series = draw_series(truth["gsd_m"], truth["seed"])
    to_plane = transformer(WGS84, local_frame(site))
    rails = {
        track.id: LineString(np.stack(to_plane.transform(*series.place.lonlat(*track.xy.T)), axis=-1))
        for track in series.yard.tracks
    }
    shift = {scene["id"]: scene["shift_m"] for scene in truth["scenes"]}
    true = np.array([shift[ref.id] for ref in stack.scenes])
    return site, stack, rails, np.median(true - stack.shift_m, axis=0)


def error_m(lines: dict[str, LineString], rails: dict[str, LineString], shown: Floats) -> float:
    """Root-mean-square distance across, every 5 m of every line that lies beside a rail."""
    found = []
    for name, line in lines.items():
        points = shapely.get_coordinates(shapely.line_interpolate_point(line, np.arange(0, line.length, 5.0))) - shown
        along = shapely.line_locate_point(rails[name], shapely.points(points))
        beside = (along > 1) & (along < rails[name].length - 1)
        nearest = shapely.get_coordinates(shapely.line_interpolate_point(rails[name], along))
        found.append(np.hypot(*(points - nearest)[beside].T))
    return float(np.sqrt(np.mean(np.concatenate(found) ** 2))) if sum(map(len, found)) else float("nan")


def displaced(site: Site, rng: np.random.Generator, number: int) -> Site:
    """Return the site with its lines moved and turned at random, or put elsewhere."""
    frame = local_frame(site)
    plane = [reproject(track.line, WGS84, frame) for track in site.tracks]
    middle = shapely.MultiLineString(plane).centroid
    way, size = rng.uniform(0, 2 * np.pi), 10 * np.sqrt(rng.uniform())
    if number == ELSEWHERE:
        ends = shapely.get_coordinates(plane[0])[[0, -1]]
        heading = np.arctan2(*(ends[1] - ends[0])[::-1])
        way, size = heading + np.pi / 2, 80.0
    turn = np.radians(rng.uniform(-1, 1))
    pose = Pose(size * np.cos(way), size * np.sin(way), float(turn), (middle.x, middle.y))
    lines = [reproject(shapely.transform(line, pose.moved), frame, WGS84) for line in plane]
    return replace(site, tracks=tuple(replace(t, line=LineString(n)) for t, n in zip(site.tracks, lines, strict=True)))


def measured(folder: Path, starts: int) -> list[Try]:
    """Refine a series from several starts and from elsewhere."""
    site, stack, rails, shown = loaded(folder)
    rng = np.random.default_rng(20)
    out = []
    for number in [*range(starts), ELSEWHERE]:
        start = displaced(site, rng, number)
        began = time.process_time()
        fit = refine(stack, start)
        seconds = time.process_time() - began
        frame = local_frame(start)
        before = error_m({t.id: LineString(reproject(t.line, WGS84, frame)) for t in start.tracks}, rails, shown)
        after = error_m({line.id: line.line for line in fit.lines}, rails, shown)
        size = (len(site.tracks), len(stack.scenes), len(stack.bands))
        stated = fit.accuracy_m
        name = f"{folder.parent.name}/{folder.name}"
        out.append(Try(name, stack.gsd_m, number, *size, before, after, fit.believed, stated, seconds, fit.reason))
    return out


def summary(tries: Sequence[Try]) -> dict[str, Any]:
    """Figures of one GSD."""
    near = [one for one in tries if one.start != ELSEWHERE]
    good = [one for one in near if one.believed]
    after = np.array([one.after_m for one in good])
    away = [one for one in tries if one.start == ELSEWHERE]
    return {
        "series": len({one.folder for one in tries}),
        "starts": len(near),
        "believed": len(good),
        "start_error_m": float(np.median([one.before_m for one in near])),
        "median_error_m": float(np.median(after)) if len(after) else None,
        "p90_error_m": float(np.quantile(after, 0.9)) if len(after) else None,
        "worst_error_m": float(after.max()) if len(after) else None,
        "believed_within_1_m": int((after <= 1).sum()),
        "stated_accuracy_covers": int(sum(one.after_m <= (one.stated_m or 0) for one in good)),
        "believed_where_no_track_is": sum(one.believed for one in away),
        "put_where_no_track_is": len(away),
        "processor_s": float(np.median([one.seconds for one in near])),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--series", type=Path, nargs="+", help="folders of labelled series")
    parser.add_argument("--gsd", type=float, nargs="+", default=[0.5, 3.0], help="draw series of these")
    parser.add_argument("--seeds", type=seeds_of, default=seeds_of("100-115"), help="such as 100-115 or 3,5,9-11")
    parser.add_argument("--starts", type=int, default=3, help="displaced starts for each series")
    arguments = parser.parse_args()
    folders = folders_of(arguments.series) if arguments.series else drawn(arguments.gsd, arguments.seeds)
    tries: list[Try] = []
    for folder in folders:
        for one in measured(folder, arguments.starts):
            tries.append(one)
            end = f"{one.after_m:6.2f} m, stated {one.stated_m:g} m" if one.believed else f"left alone: {one.reason}"
            where = "elsewhere" if one.start == ELSEWHERE else f"{one.before_m:6.2f} m"
            print(f"{one.folder:<12}{one.lines} tracks  {where:>9} -> {end}", file=sys.stderr, flush=True)
    groups = {f"{gsd:g} m": [one for one in tries if round(one.gsd_m, 1) == gsd]
              for gsd in sorted({round(one.gsd_m, 1) for one in tries})}  # fmt: skip
    found = {name: summary(group) for name, group in groups.items()}
    for name, figures in found.items():
        print(f"\n{name}", file=sys.stderr)
        for key, value in figures.items():
            text = f"{value:.2f}" if isinstance(value, float) else str(value)
            print(f"  {key:<28}{text:>8}", file=sys.stderr)
    print(json.dumps({"summary": found, "tries": [asdict(one) for one in tries]}, indent=2))


if __name__ == "__main__":
    main()
