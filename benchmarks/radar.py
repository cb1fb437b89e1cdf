"""How well radar is judged: two labelled real pairs, false alarms on simulated speckle, and trains laid on it.

    python benchmarks/radar.py --pairs ../shared/data/sar_pairs --series 20

The labelled pairs (Ottawa, Yellow River) may not be passed on; without `--pairs` only what is simulated is measured.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning
from scipy import ndimage
from scipy.stats import rankdata

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from rail_watch.change.radar import radar_change, shorth  # noqa: E402
from rail_watch.change.speckle import kernel, log_intensity  # noqa: E402
from rail_watch.interpret.radar import activity_of  # noqa: E402
from tests.radar_material import yard_site, yard_stack  # noqa: E402

RATE = 0.01
QUIET = (
    (4.4, 0.0, ("vv", "vh"), 0.0),
    (4, 0.7, ("vv",), 0.0),
    (4, 0.7, ("vv", "vh"), 0.0),
    (1, 0.0, ("vv",), 0.0),
    (4, 0.7, ("vv", "vh"), 1.0),
    (4, 0.7, ("vv", "vh"), 3.0),
)
"""Looks, blur of the speckle (pixels), bands, standard deviation in dB by which 200 m fields change by themselves."""


def area(score: NDArray[np.floating], changed: NDArray[np.bool_]) -> float:
    """Area under the ROC curve."""
    ranks = rankdata(score.ravel())[changed.ravel()]
    hits, rest = int(changed.sum()), int((~changed).sum())
    return float((ranks.sum() - hits * (hits + 1) / 2) / (hits * rest))


def pairs(folder: Path) -> None:
    print(
        "pair          looks        inflation  ROC area of: p-value  single pixel  arithmetic means  p<0.01 changed/not"
    )
    for name in ("ottawa", "yellow_river"):
        images = []
        for part in ("t1", "t2", "gt"):
            with rasterio.open(folder / f"{name}_{part}.bmp") as source:
                images.append(source.read(1).astype(np.float64))
        pixels, changed = np.stack(images[:2]), images[2] > 0
        every = np.ones(changed.shape, dtype=bool)
        found = radar_change(pixels[:, None], np.stack([every, every]), every)
        p_value = found.p_value[1].astype(np.float64)
        logs = log_intensity(pixels, "amplitude")
        means = [np.log(ndimage.convolve(np.exp(values), kernel(), mode="nearest")) for values in logs]
        arithmetic = means[1] - means[0]
        looks = " ".join(f"{row[0].looks:5.2f}" for row in found.speckle if row[0] is not None)
        print(
            f"{name:13s} {looks}  {found.inflation[1]:9.2f}  {area(-p_value, changed):20.4f}"
            f"  {area(np.abs(logs[1] - logs[0]), changed):12.4f}"
            f"  {area(np.abs(arithmetic - shorth(arithmetic.ravel())), changed):16.4f}"
            f"  {(p_value[changed] < RATE).mean():.3f} / {(p_value[~changed] < RATE).mean():.4f}"
        )


def quiet(series: int) -> None:
    print(
        "\nquiet yards, 8 scenes a series        pixels p<0.01   activity p<0.01  p<0.05  p<0.1   scenes with a patch"
    )
    for looks, blur, bands, fields_db in QUIET:
        p_values, pixels, listed = [], [], 0
        for seed in range(series):
            stack = yard_stack(8, looks=looks, blur=blur, bands=bands, fields_db=fields_db, seed=1000 + seed)
            found = activity_of(stack, yard_site(), false_alarm_rate=RATE)
            p_values += [look.p_value for look in found.looks]
            pixels.append(float((found.p_value < RATE).mean()))
            listed += len({patch.scene for patch in found.patches})
        held = [float((np.array(p_values) < level).mean()) for level in (0.01, 0.05, 0.1)]
        print(
            f"looks {looks:3}, blur {blur} px, {'+'.join(bands):5s}, fields {fields_db} dB  {np.mean(pixels):.4f}"
            f"         {held[0]:.4f}           {held[1]:.3f}   {held[2]:.3f}   {listed / len(p_values):.4f}"
        )


def busy(series: int) -> None:
    print("\none train at one scene of 8 (4.4 looks, VV+VH)   active   patch in yard   index   90 % limit said")
    for echo_db in (8.0, 4.0):
        for length in (100, 150, 200, 300):
            looks, listed = [], 0
            for seed in range(series):
                stack = yard_stack(8, trains={2: [(68, 45, 45 + length // 10)]}, echo_db=echo_db, seed=2000 + seed)
                found = activity_of(stack, yard_site(), false_alarm_rate=RATE)
                looks.append(found.looks[2])
                listed += any(patch.scene == 2 and patch.in_yard for patch in found.patches)
            active = np.mean([look.state == "active" for look in looks])
            index, least = (np.mean([getattr(look, name) for look in looks]) for name in ("index", "least_index"))
            print(
                f"{length:4d} m, {echo_db:.0f} dB over one row of pixels              {active:.2f}     "
                f"{listed / series:.2f}            {index:.3f}   {least:.3f}"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=Path, help="folder of the labelled pairs")
    parser.add_argument("--series", type=int, default=20, help="simulated series of each kind")
    options = parser.parse_args()
    warnings.simplefilter("ignore", NotGeoreferencedWarning)
    if options.pairs is not None:
        pairs(options.pairs)
    quiet(options.series)
    busy(options.series)


if __name__ == "__main__":
    main()
