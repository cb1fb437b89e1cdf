"""Which looks at a piece of track show ballast: a first guess, before anything is known of trains.

Railcars come in many colours, with edges and a shadow beside them; empty track comes in one. Among the cross-sections
of all tracks at all scenes together empty track makes the densest cluster, even where trains stand most of the time.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from rail_watch.change.radiometry import Radiometry, follows_reference
from rail_watch.interpret.strips import FINE_GSD_M, Strip

Array = NDArray[np.float32]

SAMPLE = 4000
DENSE = 0.04
"""The densest cluster is sought by the distance to this share of all samples."""
FEW = 16
"""One in so many points is asked first for the densest cluster."""
CORE = 0.12
"""This share of the samples round the densest one describes the cluster."""


def _mean_over(strip: Strip, usable: NDArray[np.bool_], pick: NDArray[np.bool_]) -> Array:
    """(T, B, S) mean of the picked offsets, smoothed over 3 m; NaN where unseen."""
    pixels = np.where(usable[:, None], strip.pixels, np.nan)[..., pick]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        mean = np.nanmean(pixels, axis=-1)
    width = max(1, round(3 / strip.step_m))
    known = np.isfinite(mean)
    smooth = ndimage.uniform_filter1d(np.where(known, mean, 0), width, axis=2)
    share = ndimage.uniform_filter1d(known.astype(np.float32), width, axis=2)
    with np.errstate(all="ignore"):
        return np.asarray(np.where(share > 0.3, smooth / share, np.nan), dtype=np.float32)


def cross_sections(strip: Strip, usable: NDArray[np.bool_], radiometry: Radiometry, *, gsd_m: float) -> Array:
    """(T, S, features) what a look at a piece of track is like, free of the scene's own gain.

    The colour under a railcar's width in the reference's units; at fine GSD also its contrast to the ground on either
    side, where edges and shadows show.
    """
    dark = radiometry.dark[:, :, None]
    middle = _mean_over(strip, usable, np.abs(strip.across_m) <= 1.1)
    gain = np.maximum(radiometry.gain, 0.05)[:, :, None]
    colour = (middle - radiometry.offset[:, :, None]) / gain
    colour[~follows_reference(radiometry.gain)] = np.nan
    parts = [colour]
    if gsd_m <= FINE_GSD_M:
        floor = 0.02 * np.nanmedian(np.maximum(middle - dark, 0)) + 1e-9
        for side in (1, -1):
            beside = _mean_over(strip, usable, (side * strip.across_m > 1.8) & (side * strip.across_m < 2.9))
            ratio = np.log(np.maximum(middle - dark, floor)) - np.log(np.maximum(beside - dark, floor))
            parts.append(ratio)
    return np.moveaxis(np.concatenate(parts, axis=1), 1, 2).astype(np.float32)


def _densest(points: NDArray[np.float64], tree: cKDTree) -> int:
    """Index of the point with the nearest `DENSE` share of the others."""
    rank = [max(int(DENSE * len(points)), 5)]
    # A few points tell how near it can be; for most others it is plain before they are counted that they are farther.
    some, _ = tree.query(points[::FEW], k=rank)
    within = 1.001 * float(some.min()) + 1e-9
    distance, _ = tree.query(points, k=rank, distance_upper_bound=within)
    return int(np.argmin(distance[:, 0]))


def likeness_to_ballast(sections: Sequence[Array]) -> list[Array]:
    """(T, S) weight per strip, 1 for what looks like the yard's empty track, towards 0.03 for what does not.

    The cluster is found by its nearest-neighbour density, which needs no bandwidth.
    """
    everything = np.concatenate([c.reshape(-1, c.shape[-1]) for c in sections])
    everything = everything[np.isfinite(everything).all(axis=1)].astype(np.float64)
    if len(everything) < 50:
        return [np.ones(c.shape[:2], dtype=np.float32) for c in sections]
    sample = everything[:: max(1, len(everything) // SAMPLE)]
    scale = np.maximum(np.subtract(*np.percentile(sample, [75, 25], axis=0)) / 1.349, 1e-6)
    points = sample / scale
    tree = cKDTree(points)
    _, core = tree.query(points[_densest(points, tree)], k=max(int(CORE * len(points)), 10))
    cluster = points[np.asarray(core)]
    middle = np.median(cluster, axis=0)
    width = np.maximum(1.4826 * np.median(np.abs(cluster - middle), axis=0), 0.08)
    weights = []
    for section in sections:
        unlike = np.minimum(((section / scale - middle) / width) ** 2, 60).mean(axis=-1)
        weight = 0.03 + 0.97 * np.exp(-0.15 * unlike)
        weights.append(np.where(np.isfinite(unlike), weight, 0.3).astype(np.float32))
    return weights
