"""Change on two labelled pairs of real radar images: the flood at Ottawa, and farmland by the Yellow River.

Between the dates of the second pair the number of looks differs (four against one). The pictures are 8-bit amplitude.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from scipy.stats import rankdata

from rail_watch.change.radar import RadarChange, radar_change
from rail_watch.change.speckle import log_intensity


def _auc(score: NDArray[np.floating], changed: NDArray[np.bool_]) -> float:
    ranks = rankdata(score.ravel())[changed.ravel()]
    hits, rest = int(changed.sum()), int((~changed).sum())
    return float((ranks.sum() - hits * (hits + 1) / 2) / (hits * rest))


def _pair(folder: Path, name: str) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    images = []
    for part in ("t1", "t2", "gt"):
        with rasterio.open(folder / "sar_pairs" / f"{name}_{part}.bmp") as source:
            images.append(source.read(1).astype(np.float64))
    return np.stack(images[:2])[:, None], images[2] > 0


def _judged(pixels: NDArray[np.float64]) -> RadarChange:
    every = np.ones(pixels.shape[-2:], dtype=bool)
    return radar_change(pixels, np.stack([every, every]), every)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize(
    ("name", "reached", "single_pixel"), [("ottawa", 0.997, 0.957), ("yellow_river", 0.982, 0.765)]
)
def test_the_p_value_ranks_changed_ground_first(
    shared_data: Path, name: str, reached: float, single_pixel: float
) -> None:
    pixels, changed = _pair(shared_data, name)
    found = _judged(pixels)
    assert found.units == ("amplitude", "amplitude")
    area = _auc(-found.p_value[1].astype(np.float64), changed)
    logs = log_intensity(pixels[:, 0], "amplitude")
    alone = _auc(np.abs(logs[1] - logs[0]), changed)
    print(f"{name}: ROC area {area:.4f}, without regularisation {alone:.4f}")
    assert area >= reached
    assert alone == pytest.approx(single_pixel, abs=0.002)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_four_looks_and_one_are_told_apart(shared_data: Path) -> None:
    pixels, changed = _pair(shared_data, "yellow_river")
    found = _judged(pixels)
    first, second = (row[0] for row in found.speckle)
    assert first is not None and second is not None
    print(f"looks {first.looks:.2f} and {second.looks:.2f}, inflation {found.inflation[1]:.2f}")
    assert 2.8 < first.looks < 4.5
    assert 0.9 < second.looks < 1.5
    # Real unchanged ground is held to the rate asked for.
    assert np.mean(found.p_value[1][~changed] < 0.01) < 0.01
