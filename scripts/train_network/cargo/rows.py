"""Training rows: the picture of every apron at every scene, with how much of each pixel is covered.

Each apron is described twice, as the detector's two rounds see it: with the first guess of bare ground, and with the
cargo left out of it. What the second round leaves out is the truth with the mistakes a first round makes: heaps
overlooked, ground taken for a heap, edges a pixel off.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.features import rasterize
from scipy import ndimage
from shapely import Polygon

from rail_watch.errors import BadInput
from rail_watch.evaluate.truth import TrueScene
from rail_watch.grid import WGS84, Grid
from rail_watch.interpret.aprons import (
    Window,
    apron_scene,
    bare_apron,
    describe_apron,
    first_weights,
    scalars_of,
    second_weights,
    turn,
    window_of,
)
from rail_watch.prepare.zones import reproject
from scripts.train_network.seeds import RENDERERS, Drawn
from scripts.train_network.series import labelled_stacks

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]

OVERLOOKED, IMAGINED = 0.1, 0.3
"""How often a heap is overlooked, and how often an apron gets one that is not there."""
IMAGINED_M = (3.0, 30.0)
"""Sides of those."""
FINE_M = 0.25
"""Coverage is counted on squares this small, or two to a pixel."""
SCALE = 250.0
"""Coverage is kept in whole numbers up to this."""
UNKNOWN = 255
"""Kept where nothing is taught: ground not seen or no apron, and vehicles, which are neither cargo nor bare ground."""


@dataclass(frozen=True)
class LabelledApron:
    """One apron over a series, with what lies on it."""

    window: Window
    truth: tuple[TrueScene, ...]
    """Of each scene."""
    share: Array
    """(T, row, column) how much of each pixel is covered by cargo, and"""
    vehicles: Array
    """(T, row, column) by vehicles."""


@dataclass(frozen=True)
class Row:
    """One apron at one scene in one round, turned as the network sees it."""

    picture: NDArray[np.float16]
    """(row, column, channel)"""
    scalars: Array
    covered: NDArray[np.uint8]
    """(row, column) share covered in units of 1 / `SCALE`; `UNKNOWN` where nothing is taught."""
    round: int


def covered_share(polygons: Sequence[Polygon], grid: Grid, gsd_m: float) -> Array:
    """(row, column) share of each pixel under lon/lat polygons."""
    shapes = [reproject(polygon, WGS84, grid.crs) for polygon in polygons]
    if not shapes:
        return np.zeros(grid.shape, np.float32)
    parts = max(round(gsd_m / FINE_M), 2) if gsd_m < 5 else 20
    rows, cols = grid.shape
    fine = rasterize(shapes, (rows * parts, cols * parts), transform=grid.transform @ Affine.scale(1 / parts))
    return fine.reshape(rows, parts, cols, parts).mean(axis=(1, 3), dtype=np.float32)


def labelled_aprons(folder: Path) -> Iterator[LabelledApron]:
    """Prepare a series and cut out its aprons, as `rail_watch.interpret.cargo.aprons_of` does."""
    for labelled in labelled_stacks(folder):
        zones, stack = labelled.zones, labelled.ground
        blocked = zones.tracks | zones.sheds | zones.exclude
        for area in labelled.site.aprons:
            window = window_of(stack, labelled.site, area, blocked=blocked, radiometry=labelled.radiometry)
            if window is not None:
                yield labelled_apron(window, labelled.truth)


def labelled_apron(window: Window, truth: Sequence[TrueScene]) -> LabelledApron:
    """Draw what is true onto a window's pixels."""
    cargo = [covered_share([pile.polygon for pile in s.cargo], window.grid, window.gsd_m) for s in truth]
    vehicles = [covered_share(s.ignored, window.grid, window.gsd_m) for s in truth]
    return LabelledApron(window, tuple(truth), np.stack(cargo), np.stack(vehicles))


def mistaken(covered: Mask, gsd_m: float, rng: np.random.Generator) -> Mask:
    """(T, row, column) the truth with the mistakes of a first round."""
    return np.stack([_mistaken(scene, gsd_m, rng) for scene in covered])


def _mistaken(covered: Mask, gsd_m: float, rng: np.random.Generator) -> Mask:
    heaps, count = ndimage.label(covered)
    kept = np.concatenate([[False], rng.random(count) >= OVERLOOKED])
    out = kept[heaps]
    reach = int(rng.integers(-1, 3))
    if reach:
        change = ndimage.binary_dilation if reach > 0 else ndimage.binary_erosion
        out = change(out, iterations=abs(reach))
    if rng.random() < IMAGINED:
        height, width = (max(round(rng.uniform(*IMAGINED_M) / gsd_m), 1) for _ in range(2))
        top, left = int(rng.integers(0, covered.shape[0])), int(rng.integers(0, covered.shape[1]))
        out[top : top + height, left : left + width] = True
    return np.asarray(out)


def rows_of(labelled: LabelledApron, rng: np.random.Generator) -> Iterator[Row]:
    """Yield the training rows of one apron, round by round."""
    window = labelled.window
    first = first_weights(window)
    yield from _described(labelled, first, None, 0)
    taken = mistaken(labelled.share > 0.5, window.gsd_m, rng)
    yield from _described(labelled, second_weights(window, first, taken), taken, 1)


def _described(labelled: LabelledApron, weights: Array, taken: Mask | None, number: int) -> Iterator[Row]:
    window = labelled.window
    baseline = bare_apron(window, weights)
    times = range(len(window.pixels))
    scenes = [apron_scene(window, baseline, t, None if taken is None else taken[t]) for t in times]
    for t, picture in enumerate(describe_apron(window, scenes, baseline)):
        scene, shadow = scenes[t], window.shadows[t]
        if picture is None or scene is None:
            continue
        known = window.usable[t] & window.inside & np.isfinite(baseline).all(axis=0) & (labelled.vehicles[t] < 0.2)
        if known.any():
            covered = np.where(known, np.round(SCALE * labelled.share[t]), UNKNOWN).astype(np.uint8)
            shown = turn(picture, shadow).astype(np.float16)
            yield Row(np.ascontiguousarray(shown), scalars_of(window, scene, t), turn(covered, shadow), number)


def write_rows(series: Drawn, work: Path) -> int:
    """Describe the aprons of one series and write their rows; returns how many."""
    rng = np.random.default_rng([series.seed, RENDERERS.index(series.renderer)])
    rows = [row for labelled in labelled_aprons(series.folder(work)) for row in rows_of(labelled, rng)]
    if not rows:
        raise BadInput(f"{series.folder(work)}: shows no apron")
    file = series.aprons(work)
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    with part.open("wb") as stream:
        np.savez_compressed(
            stream,
            pictures=np.concatenate([row.picture.reshape(-1, row.picture.shape[2]) for row in rows]),
            covered=np.concatenate([row.covered.ravel() for row in rows]),
            shape=np.array([row.covered.shape for row in rows]),
            scalars=np.stack([row.scalars for row in rows]),
            round=np.array([row.round for row in rows]),
        )
    part.rename(file)
    return len(rows)


def read_rows(file: Path) -> list[Row]:
    """Read the rows of one series."""
    with np.load(file, allow_pickle=False) as data:
        shapes = data["shape"]
        cuts = np.cumsum(shapes.prod(axis=1))[:-1]
        pictures, covered = np.split(data["pictures"], cuts), np.split(data["covered"], cuts)
        rest = zip(data["scalars"], data["round"].tolist(), strict=True)
        return [
            Row(p.reshape(*shape, -1), scalars, c.reshape(shape), number)
            for p, c, shape, (scalars, number) in zip(pictures, covered, shapes, rest, strict=True)
        ]
