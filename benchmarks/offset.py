"""How often the gate on Sentinel-2's offset is right, on real dates with SCL in a netCDF cube.

    python benchmarks/offset.py CUBE.nc

The cube has variables B2, B3, B4, B8 or B02 … (reflectance times 10,000) and SCL over time, y, x, in a CRS in metres.
Every date with enough clear ground is read as it is, then with 0.1 taken off or added to it alone, among five dates
before and after; no baseline is told, so that nothing is ruled out beforehand. Dates are told apart by odd and even
numbers: what is chosen on one half can be looked at on the other. A neighbour is harmed where it is judged otherwise
than among the same dates without the error.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

import numpy as np
import xarray
from affine import Affine
from shapely import Polygon

from rail_watch.aoi import Site
from rail_watch.grid import WGS84, Grid, transformer
from rail_watch.imagery.quality import scl
from rail_watch.imagery.sanity import FEWEST_PIXELS, checked
from rail_watch.imagery.scene import Asset, Band, Quality, Scene, SceneRef, Unread

CRS = "EPSG:3035"
BANDS = {"B02": "blue", "B03": "green", "B04": "red", "B08": "nir"}
AROUND = 5


def series(path: str) -> tuple[list[Scene], Site]:
    """Return the dates of a cube with enough clear ground, and a site over all of it but its edge."""
    scenes = []
    with xarray.open_dataset(path) as cube:
        x, y = cube.x.values, cube.y.values
        size = float(x[1] - x[0])
        transform = Affine(size, 0, x[0] - size / 2, 0, y[1] - y[0], y[0] - (y[1] - y[0]) / 2)
        grid = Grid(CRS, transform, (len(y), len(x)))
        names = {re.sub(r"^B(\d)$", r"B0\1", str(name).upper()): name for name in cube}
        for index in range(cube.sizes["time"]):
            date = cube.isel(time=index)
            values = np.stack([np.nan_to_num(date[names[band]].values) for band in BANDS]).astype(np.float32) * 1e-4
            quality = scl(np.nan_to_num(date[names["SCL"]].values)[None].astype(np.uint8))
            quality[(values == 0).any(axis=0)] = Quality.NODATA
            if (quality == Quality.CLEAR).sum() < 4 * FEWEST_PIXELS:
                continue
            when = datetime.fromisoformat(str(cube.time.values[index])[:19]).replace(tzinfo=UTC)
            bands = tuple(Band(name, i, 1e-4, 0.0, 0.0) for i, name in enumerate(BANDS.values(), 1))
            ref = SceneRef(f"{when:%Y%m%d}-{index}", when, "sentinel-2", 10, (Asset("data", "none", bands),))
            scenes.append(Scene(ref, grid, tuple(BANDS.values()), values, quality))
    rows, cols = grid.shape
    corners = grid.xy(np.array([[5.0, 5], [5, cols - 6], [rows - 6, cols - 6], [rows - 6, 5]]))
    lon, lat = transformer(CRS, WGS84).transform(corners[:, 0], corners[:, 1])
    return scenes, Site("cube", "Cube", Polygon(zip(lon, lat, strict=True)))


def read_with(scene: Scene, offset: float) -> Scene:
    """Return a scene as if it had been read with an offset."""
    assets = tuple(replace(a, bands=tuple(replace(b, offset=offset) for b in a.bands)) for a in scene.ref.assets)
    return replace(scene, ref=replace(scene.ref, assets=assets))


def fate(scene: Scene, kept: list[Scene], refused: list[Unread]) -> str:
    """Return what the gate made of a date: left, changed or refused."""
    if any(one.ref.id == scene.ref.id for one in refused):
        return "refused"
    found = next(one for one in kept if one.ref.id == scene.ref.id)
    return "left" if found is scene else "changed"


def untouched(scenes: list[Scene], site: Site, offset: float) -> dict[str, int]:
    """Return what becomes of dates that are right, all in one series, read with or without an offset."""
    own = [read_with(scene, offset) for scene in scenes]
    answer = checked(own, site)
    return dict(Counter(fate(scene, *answer) for scene in own))


def spoilt(scenes: list[Scene], site: Site, by: float, half: int) -> dict[str, int]:
    """Return what becomes of each date of a half with `by` on it alone, and of its neighbours."""
    counts = dict.fromkeys(("corrected", "refused", "missed", "neighbours harmed"), 0)
    own = [read_with(scene, -0.1 if by < 0 else 0.0) for scene in scenes]
    for index, scene in list(enumerate(own))[half::2]:
        near = [*own[max(0, index - AROUND) : index], *own[index + 1 : index + 1 + AROUND]]
        before = checked([scene, *near], site)
        after = checked([replace(scene, pixels=scene.pixels + np.float32(by)), *near], site)
        if any(one.ref.id == scene.ref.id for one in after[1]):
            counts["refused"] += 1
        else:
            right = np.allclose(after[0][0].pixels, scene.pixels, atol=1e-4)
            counts["corrected" if right else "missed"] += 1
        counts["neighbours harmed"] += sum(fate(one, *before) != fate(one, *after) for one in near)
    return counts


def main() -> None:
    scenes, site = series(sys.argv[1])
    figures: dict[str, object] = {"dates": len(scenes)}
    figures |= {f"right, offset {offset:g} read": untouched(scenes, site, offset) for offset in (0.0, -0.1)}
    for by in (-0.1, 0.1):
        figures |= {f"{by:+g}, {name}": spoilt(scenes, site, by, half) for half, name in enumerate(("even", "odd"))}
    say = partial(print, file=sys.stderr)
    for key, value in figures.items():
        say(f"{key:<24} {value}")
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
