"""How many of the tracks `aoi new --from-image` finds, and how much of what it draws is track: on simulated yards.

One picture of each of many yards drawn by seed (`rail_watch.simulate.random_yard`, skysat-like, 0.5 m), the whole
picture searched; with --scenes, that of several which shows most. Counted by length, within 1.5 m of the true centre
lines, the picture's own error of place not taken off: recall over the yard's tracks, and over what of them is not under
cloud; precision with and without the turnouts at their ends, which are rails but not tracks of the AOI. Pictures that
show less than a tenth of their ground (cloud) are counted apart. Seeds 9001-9030 were looked at while the finder was
made; it was settled before 9201 and up were drawn.

Usage: python benchmarks/lines.py --seeds 9201-9220 [--scenes 4] > figures.json
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
import shapely  # noqa: E402
from numpy.typing import NDArray  # noqa: E402
from shapely import LineString  # noqa: E402

from rail_watch.cli.aoi_picture import brightness, scene_of  # noqa: E402
from rail_watch.errors import NoUsableImagery  # noqa: E402
from rail_watch.grid import WGS84, local_crs, transformer  # noqa: E402
from rail_watch.imagery.scene import Scene  # noqa: E402
from rail_watch.interpret.lines import find_lines  # noqa: E402
from rail_watch.simulate.frame import shape_lonlat  # noqa: E402
from rail_watch.simulate.random_yard import random_story, write_series  # noqa: E402
from rail_watch.simulate.world import world_of  # noqa: E402

WITHIN_M = 1.5
CLOUDED = 0.1
Lines = list[LineString]


@dataclass(frozen=True)
class Truth:
    """Lines as they lie, lon/lat."""

    tracks: Lines
    turnouts: Lines


def truth_of(seed: int) -> Truth:
    """Return the true lines of a yard."""
    site, story = random_story(seed, scenes=1)
    told = story.sites[site.id]
    world = world_of(site, seed=story.seed, line_error_m=told.line_error_m)
    tracks = [LineString(world.true[track.id].points) for track in site.tracks]
    turnouts = [LineString([world.true[path.by].at(*at) for at in path.points]) for path in told.scenery.sidings]
    return Truth(*([shape_lonlat(world.frame, line) for line in lines] for lines in (tracks, turnouts)))


@dataclass(frozen=True)
class Look:
    """What was found in a picture, and what it shows."""

    lines: Lines
    """lon/lat."""
    share: float
    """Of its ground that can be seen."""
    scene: Scene | None

    def sees(self, lonlat: NDArray[np.float64]) -> NDArray[np.bool_]:
        """(n,) whether places can be seen."""
        if self.scene is None:
            return np.zeros(len(lonlat), dtype=bool)
        at = np.round(self.scene.grid.from_lonlat(lonlat)).astype(int)
        inside = ((at >= 0) & (at < self.scene.quality.shape)).all(axis=1)
        row, col = np.where(inside[:, None], at, 0).T
        return inside & np.isfinite(brightness(self.scene))[row, col]


def found_in(folder: Path) -> Look:
    """Return the lines found in the scenes of a folder."""
    try:
        scene = scene_of(folder, None)
        picture = brightness(scene)
    except NoUsableImagery:
        return Look([], 0.0, None)
    lines = find_lines(picture, scene.grid.metres_per_pixel())
    lonlat = [shapely.transform(line, lambda xy: scene.grid.lonlat(xy[:, ::-1])) for line in lines]
    return Look(lonlat, float(np.isfinite(picture).mean()), scene)


def _within(lines: Lines, others: Lines) -> tuple[float, float]:
    """Return the length of lines close to others, and their whole length, metres."""
    near = shapely.union_all(others).buffer(WITHIN_M) if others else shapely.Polygon()
    return sum(line.intersection(near).length for line in lines), sum(line.length for line in lines)


def measure(seed: int, folder: Path, scenes: int) -> dict[str, Any]:
    """Return one yard's lengths."""
    truth = truth_of(seed)
    write_series(seed, folder, scenes=scenes)
    look = found_in(folder)
    middle = shapely.union_all(truth.tracks).centroid
    to = transformer(WGS84, local_crs(middle.x, middle.y))

    def laid(lines: Lines) -> Lines:
        return [shapely.transform(line, lambda xy: np.column_stack(to.transform(xy[:, 0], xy[:, 1]))) for line in lines]

    tracks, turnouts, found = laid(truth.tracks), laid(truth.turnouts), laid(look.lines)
    halves = [_within([track], found) for track in tracks]
    return {
        "seed": seed,
        "seen": round(look.share, 3),
        "tracks": len(tracks),
        "tracks_half_found": sum(near >= whole / 2 for near, whole in halves),
        "true_m": _within(tracks, found),
        "true_seen_m": _seen(truth.tracks, tracks, found, look),
        "drawn_m": _within(found, tracks),
        "drawn_with_turnouts_m": _within(found, tracks + turnouts),
    }


def _seen(lonlat: Lines, tracks: Lines, found: Lines, look: Look) -> tuple[float, float]:
    """Return as `_within` does, of what of the tracks can be seen, by places a metre apart."""
    near = shapely.union_all(found).buffer(WITHIN_M) if found else shapely.Polygon()
    hit = whole = 0.0
    for place, track in zip(lonlat, tracks, strict=True):
        marks = np.linspace(0, 1, max(2, round(track.length)))
        seen = look.sees(shapely.get_coordinates(place.interpolate(marks, normalized=True)))
        there = shapely.intersects(near, track.interpolate(marks, normalized=True))
        hit, whole = hit + float((seen & there).sum()), whole + float(seen.sum())
    return hit, whole


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Return shares over all yards, by length."""

    def share(key: str) -> float:
        near, whole = (sum(row[key][part] for row in rows) for part in (0, 1))
        return round(near / whole, 3) if whole else 0.0

    counts = {key: sum(row[key] for row in rows) for key in ("tracks", "tracks_half_found")}
    shares = {
        "recall": share("true_m"),
        "recall_seen": share("true_seen_m"),
        "precision": share("drawn_m"),
        "with_turnouts": share("drawn_with_turnouts_m"),
    }
    return {"yards": len(rows), **counts, **shares}


def main() -> None:
    """Measure the seeds asked for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--seeds", default="9201-9220", help="first-last")
    parser.add_argument("--scenes", type=int, default=1, help="pictures of each yard")
    asked = parser.parse_args()
    first, last = (int(part) for part in asked.seeds.split("-"))
    rows = []
    for seed in range(first, last + 1):
        with tempfile.TemporaryDirectory() as folder:
            rows.append(measure(seed, Path(folder), asked.scenes))
    clear = [row for row in rows if row["seen"] >= CLOUDED]
    print(json.dumps({"all": summary(rows), "not clouded": summary(clear), "yards": rows}, indent=1))


if __name__ == "__main__":
    main()
