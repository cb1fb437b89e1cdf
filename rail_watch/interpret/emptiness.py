"""Which looks at a piece of track show ballast: a first guess, before anything is known of trains.

Railcars come in many colours, ballast in one: in the colours of all tracks at all scenes together, ballast makes the
densest cluster even where trains stand most of the time.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.distance import cdist

from rail_watch.change.radiometry import Radiometry
from rail_watch.interpret.strips import Strip

Array = NDArray[np.float32]

SAMPLE = 3000


def footprint_colours(strip: Strip, usable: NDArray[np.bool_], radiometry: Radiometry) -> Array:
    """(T, S, B) mean colour under a railcar's width in the reference scene's units, smoothed over 3 m; NaN unseen."""
    near = np.abs(strip.across_m) <= 1.1
    pixels = np.where(usable[:, None], strip.pixels, np.nan)[..., near]
    with np.errstate(all="ignore"):
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            colour = np.nanmean(pixels, axis=-1)
    gain = np.maximum(radiometry.gain, 0.05)[:, :, None]
    colour = (colour - radiometry.offset[:, :, None]) / gain
    colour[(radiometry.gain < 0.3).any(axis=1)] = np.nan
    width = max(1, round(3 / strip.step_m))
    known = np.isfinite(colour)
    smooth = ndimage.uniform_filter1d(np.where(known, colour, 0), width, axis=2)
    share = ndimage.uniform_filter1d(known.astype(np.float32), width, axis=2)
    with np.errstate(all="ignore"):
        colour = np.where(share > 0.3, smooth / share, np.nan)
    return np.moveaxis(colour, 1, 2).astype(np.float32)


def likeness_to_ballast(colours: Sequence[Array], strips: Sequence[Strip]) -> list[Array]:
    """(T, S) weight per strip, 1 for what looks like the yard's ballast, towards 0.03 for what does not."""
    everything = np.concatenate([c.reshape(-1, c.shape[-1]) for c in colours])
    everything = everything[np.isfinite(everything).all(axis=1)].astype(np.float64)
    if len(everything) < 50:
        return [np.ones(c.shape[:2], dtype=np.float32) for c in colours]
    sample = everything[:: max(1, len(everything) // SAMPLE)]
    scale = np.maximum(np.subtract(*np.percentile(sample, [75, 25], axis=0)) / 1.349, 1e-6)
    points = sample / scale
    density = np.exp(-0.5 * (cdist(points, points) / 0.3) ** 2).sum(axis=1)
    mode = points[int(np.argmax(density))]
    near = points[np.linalg.norm(points - mode, axis=1) < 1.0]
    mode = np.median(near, axis=0)
    width = np.maximum(1.4826 * np.median(np.abs(near - mode), axis=0), 0.1)
    weights = []
    for colour in colours:
        distance = (((colour / scale - mode) / width) ** 2).mean(axis=-1)
        weights.append(np.where(np.isfinite(distance), 0.03 + 0.97 * np.exp(-0.12 * distance), 0.3).astype(np.float32))
    return weights
