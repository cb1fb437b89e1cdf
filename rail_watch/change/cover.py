"""Cloud and cloud shadow that the product's own mask missed, and wide patches of snow.

Trains are narrow. A patch much wider than a vehicle in which every band is brighter than the ground should be, or
every band darker by a common share, hides the ground whatever it is; what is under it could not be seen.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from rail_watch.change.measure import ChangeMap
from rail_watch.imagery.scene import Quality
from rail_watch.prepare.zones import within

Mask = NDArray[np.bool_]

HALO_M = 5.0
"""Round a cloud its thin edge is hidden too."""
BRIGHTER = 0.25
"""Cloud adds at least this share of the ground's own brightness in every band."""
DARKER = 0.7
"""In cloud shadow every band keeps at most this share of its light."""
BRIGHT_RADIUS_M = 7.0
DARK_RADIUS_M = 12.0
"""Radius of the disk that must fit into a patch: wider than a train with its shadow, or than a shed's."""


def _opened(mask: Mask, seed_radius_px: float, wide: Mask) -> Mask:
    """Keep the parts of `wide` that hold a disk lying in `mask`."""
    radius = max(round(seed_radius_px), 1)
    # A disk is cut by the edge of the image, not stopped by it.
    seed = _centres(np.pad(mask, radius, mode="edge"), radius)
    if not seed.any():
        return np.zeros_like(mask)
    seed = within(seed, radius)[radius:-radius, radius:-radius]
    labels, _ = ndimage.label(wide, structure=np.ones((3, 3)))
    held = np.unique(labels[seed & wide])
    grown = np.isin(labels, held[held > 0])
    return np.asarray(grown & within(seed, radius + 1), dtype=bool)


def _centres(mask: Mask, radius: int) -> Mask:
    """Where the centre of a disk can lie that lies in the mask."""
    # A square inside the disk is quickly tried, and mostly all that need be.
    side = 2 * int(radius / np.sqrt(2)) + 1
    square = ndimage.minimum_filter(mask.view(np.uint8), side, mode="constant") > 0
    if not square.any():
        return np.zeros_like(mask)
    return np.asarray(square & (ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1] > radius))


def unflagged_cover(change: ChangeMap, *, gsd_m: float) -> NDArray[np.uint8]:
    """(T, row, column) CLOUD or CLOUD_SHADOW where wide patches hide the ground, CLEAR elsewhere."""
    out = np.zeros(change.seen.shape, dtype=np.uint8)
    for t in range(len(out)):
        ratio = change.ratio[t]
        known = np.isfinite(ratio).all(axis=0)
        low = np.where(known, np.nan_to_num(ratio).min(axis=0), 1)
        high = np.where(known, np.nan_to_num(ratio).max(axis=0), 1)
        # A scene changed as a whole (snow) is a matter of radiometry, not of patches.
        if known.any() and np.mean(low[known] > 1 + BRIGHTER) < 0.6:
            bright = _opened(low > 1 + BRIGHTER, BRIGHT_RADIUS_M / gsd_m, low > 1 + 0.4 * BRIGHTER)
            out[t][within(bright, max(round(HALO_M / gsd_m), 1))] = Quality.CLOUD
        dark = _opened(high < DARKER, DARK_RADIUS_M / gsd_m, high < DARKER + 0.15)
        out[t][dark] = Quality.CLOUD_SHADOW
    return out
