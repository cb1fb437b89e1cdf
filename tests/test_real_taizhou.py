"""Change on a labelled pair of real Landsat scenes: Taizhou, 2000 and 2003 (labels by Wu, Du and Zhang)."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from scipy.stats import rankdata

from rail_watch.change.measure import measure
from rail_watch.grid import Grid
from rail_watch.imagery.scene import SceneRef
from rail_watch.prepare.stack import Stack
from rail_watch.prepare.zones import Zones


def _auc(changed: NDArray[np.float64], unchanged: NDArray[np.float64]) -> float:
    ranks = rankdata(np.concatenate([changed, unchanged]))[: len(changed)]
    return float((ranks.sum() - len(changed) * (len(changed) + 1) / 2) / (len(changed) * len(unchanged)))


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_the_p_value_ranks_changed_ground_first(shared_data: Path) -> None:
    folder = shared_data / "landsat_pair_taizhou"
    images = []
    for name in ("2000TM", "2003TM"):
        with rasterio.open(folder / name) as source:
            images.append(source.read().astype("float32"))
            grid = Grid(source.crs.to_wkt(), source.transform, source.shape)
    with rasterio.open(folder / "change.bmp") as source:
        changed = source.read(1) > 0
    with rasterio.open(folder / "unchanged.bmp") as source:
        unchanged = source.read(1) > 0
    every, none = np.ones(grid.shape, dtype=bool), np.zeros(grid.shape, dtype=bool)
    refs = tuple(SceneRef(str(y), datetime(y, 1, 1, tzinfo=UTC), None, 30.0, ()) for y in (2000, 2003))
    stack = Stack(
        sensor="Landsat 7",
        grid=grid,
        gsd_m=30.0,
        bands=("blue", "green", "red", "nir", "swir16", "swir22"),
        scenes=refs,
        pixels=np.stack(images),
        quality=np.zeros((2, *grid.shape), dtype=np.uint8),
        shift_m=np.zeros((2, 2)),
        shift_error_m=np.zeros(2),
    )
    zones = Zones(site=every, tracks=none, aprons=none, sheds=none, exclude=none, anchor=every, stable=every)
    change = measure(stack, zones)
    energy = (change.residual[1].astype(np.float64) ** 2).sum(axis=0)
    assert _auc(-change.p_value[1][changed].astype(float), -change.p_value[1][unchanged].astype(float)) >= 0.98
    assert _auc(energy[changed], energy[unchanged]) >= 0.98
