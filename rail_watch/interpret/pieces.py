"""Pieces of cargo in a picture of log odds, and what is known of how far to trust them.

The laws and errors were measured on aprons of simulated yards that took no part in the network's learning
(docs/method.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, special

from rail_watch.interpret.null import EmptyLaw
from rail_watch.interpret.strips import FINE_GSD_M

Array = NDArray[np.float32]
Numbers = NDArray[np.float64]
Mask = NDArray[np.bool_]

NECK_M, NECK_SHARE = 0.7, 0.3
"""Two heaps touch, and are two, where what joins them is narrower than the smaller by twice this, or by this share of
the larger's width."""
PLAIN = 0.8
"""Quantile of a piece's log odds that stands for the piece."""
EVEN = 0.0
"""Log odds from which a pixel belongs to a piece."""
ASTRAY_M = 1.2
"""Coverage this far beyond a piece's edge is still its own: pixels cut by its outline, blurred ones."""


@dataclass(frozen=True)
class Pieces:
    """Pieces of cargo on one apron at one scene; arrays over pieces, piece i being label i + 1."""

    labels: NDArray[np.int32]
    """(row, column) 0 where there is none."""
    own: NDArray[np.int32]
    """(row, column) the same with the pixels round a piece that it covers in part."""
    share: Array
    """(row, column) how much of each pixel is covered."""
    area_m2: Numbers
    statistic: Numbers
    """Evidence: the log odds that a fifth of its pixels exceed, so that its edge does not dilute it."""


@dataclass(frozen=True)
class CargoTrust:
    """What was measured for one class of GSD on aprons held out from learning."""

    usual: EmptyLaw
    """Of the strongest false piece on so many square metres of open apron; its `metres` are square metres."""
    odd: EmptyLaw
    """The same where the ground looks little as it usually does."""
    area_error: tuple[float, float]
    """95 % of areas are right to the root of the sum of squares of these: a share of the area, and so many metres
    times its square root."""
    fill_error: tuple[float, float]
    """95 % of fills are right to the first and the second times the pixels' own doubt."""
    smallest_m2: float
    """Nine of ten pieces this large are found; infinite where none are, however large."""


@cache
def load_trust(name: str) -> CargoTrust:
    """Read what comes with the package for a class of GSD."""
    file = resources.files("rail_watch.interpret").joinpath("weights", f"cargo-{name}-empty.npz")
    with file.open("rb") as stream, np.load(stream, allow_pickle=False) as data:
        usual, odd = (
            EmptyLaw(data[f"body_{i}"], data[f"mass_{i}"], float(data[f"scale_{i}"]), float(data[f"area_m2_{i}"]))
            for i in range(2)
        )
        share, metres = (float(v) for v in data["area_error"])
        flat, doubt = (float(v) for v in data["fill_error"])
        return CargoTrust(usual, odd, (share, metres), (flat, doubt), float(data["smallest_m2"]))


def pieces_of(odds: Array, ground: Mask, *, gsd_m: float) -> Pieces:
    """Cut the covered part of an apron into pieces.

    Parameters
    ----------
    odds : (row, column) log odds of cargo.
    ground : (row, column) open apron that could be seen.
    """
    solid = (odds > EVEN) & ground
    share = np.where(ground, special.expit(odds), 0).astype(np.float32)
    labels = _apart(solid, gsd_m) if gsd_m <= FINE_GSD_M else ndimage.label(solid, np.ones((3, 3)))[0]
    labels = np.asarray(labels, dtype=np.int32)
    index = np.arange(1, int(labels.max(initial=0)) + 1)
    if len(index) == 0:
        return Pieces(labels, labels, share, np.zeros(0), np.zeros(0))
    distance, nearest = ndimage.distance_transform_edt(labels == 0, return_indices=True)
    own = np.where(distance <= max(ASTRAY_M / gsd_m, 1.0), labels[tuple(nearest)], 0)
    area = np.asarray(ndimage.sum_labels(share, own, index)) * gsd_m**2
    boxes = ndimage.find_objects(labels)
    plain = [np.quantile(odds[box][labels[box] == i], PLAIN) for i, box in enumerate(boxes, start=1)]
    return Pieces(labels, np.asarray(own, dtype=np.int32), share, area, np.asarray(plain, dtype=np.float64))


def _apart(solid: Mask, gsd_m: float) -> NDArray[np.int32]:
    """Label connected ground, heaps that touch at a neck told apart by a watershed of the distance to their edges."""
    from skimage.morphology import local_maxima, reconstruction
    from skimage.segmentation import watershed

    out, count = ndimage.label(solid, np.ones((3, 3)))
    for piece, box in enumerate(ndimage.find_objects(out), start=1):
        own = np.pad(out[box] == piece, 1)
        depth = ndimage.distance_transform_edt(own)
        if depth.max() * gsd_m < 2 * NECK_M:
            continue
        least = max(NECK_M / gsd_m, NECK_SHARE * depth.max())
        lower = reconstruction(depth - least, depth)  # type: ignore[no-untyped-call]
        peaks = local_maxima(lower)  # type: ignore[no-untyped-call]
        tops, several = ndimage.label(peaks, np.ones((3, 3)))
        if several > 1:
            parts = watershed(-depth, tops, mask=own)[1:-1, 1:-1]  # type: ignore[no-untyped-call]
            out[box] = np.where(parts > 1, count + parts - 1, out[box])
            count += several - 1
    return np.asarray(out, dtype=np.int32)


def among_several(p_value: Numbers) -> Numbers:
    """Adjust the p-values of the pieces of one look, each that of the strongest of a bare apron, for their number.

    Where a heap lies others may: of the i strongest pieces a bare apron's expected number of such may be i times as
    large (Benjamini and Hochberg, J. R. Stat. Soc. B 57, 1995). The share of looks at bare aprons that show a piece
    stays what it was, and the share of false ones among the pieces listed is held as well.
    """
    with np.errstate(divide="ignore"):
        expected = -np.log1p(-np.minimum(p_value, 1.0))
    order = np.argsort(expected, kind="stable")
    each = expected[order] / np.arange(1, len(order) + 1)
    out = np.empty(len(order))
    out[order] = np.minimum.accumulate(each[::-1])[::-1]
    return np.asarray(-np.expm1(-out), dtype=np.float64)


def fill_of(odds: Array, ground: Mask, trust: CargoTrust) -> tuple[float, tuple[float, float]]:
    """Share of the ground that is covered, with its 95 % interval."""
    share = special.expit(odds[ground].astype(np.float64))
    fill, doubt = float(share.mean()), pixel_doubt(share)
    half = trust.fill_error[0] + trust.fill_error[1] * doubt
    return fill, (max(fill - half, 0.0), min(fill + half, 1.0))


def pixel_doubt(share: Numbers) -> float:
    """How undecided the pixels are: 0 where all are sure, 1 where all are even."""
    return float((4 * share * (1 - share)).mean())


def area_interval(area_m2: float, trust: CargoTrust) -> tuple[float, float]:
    """95 % interval of a piece's area."""
    half = float(np.hypot(trust.area_error[0] * area_m2, trust.area_error[1] * np.sqrt(area_m2)))
    return max(area_m2 - half, 0.0), area_m2 + half
