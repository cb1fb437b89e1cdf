"""Whether a site's areas are off together with its lines: their outlines are held against the edges in the picture."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from rail_watch.aoi.site import Area, Site
from rail_watch.imagery.scene import Quality
from rail_watch.prepare.stack import Stack
from rail_watch.prepare.zones import mask_of

Array = NDArray[np.float32]

SAME_M = 1.0
"""Areas moved by less are the same areas."""


def areas_go_along(stack: Stack, drawn: Site, moved: Site, *, by_m: float) -> bool:
    """Whether the areas of `moved` lie on plainer edges than those of `drawn`; where nothing tells, they stay.

    A file may be off as a whole, as against imagery laid elsewhere, or in its lines only, as where these were traced
    from a coarser map.
    """
    if by_m < SAME_M:
        return False
    edges = _edges(stack)
    before, after = (_along(edges, [*s.aprons, *s.sheds, *s.stables], stack) for s in (drawn, moved))
    return after > before


def _edges(stack: Stack) -> Array:
    """(row, column) steepness of the picture that the series shows on the middle; 0 where nothing was seen."""
    bright = np.log(np.maximum(stack.pixels.mean(axis=1), 1e-4))
    seen = np.isin(stack.quality, (Quality.CLEAR, Quality.SNOW)) & np.isfinite(bright)
    bright = np.where(seen, bright, np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        bright -= np.nanmedian(bright, axis=(1, 2), keepdims=True)
        picture = np.nanmedian(bright, axis=0)
    known = np.isfinite(picture)
    steep = ndimage.gaussian_gradient_magnitude(np.where(known, picture, 0), 1.0)
    return np.where(ndimage.binary_erosion(known, iterations=3), steep, 0).astype(np.float32)


def _along(edges: Array, areas: Sequence[Area], stack: Stack) -> float:
    """Mean steepness along the outlines of areas; 0 without any."""
    outlines = np.zeros(edges.shape, dtype=bool)
    for area in areas:
        inside = mask_of([area.polygon], stack.grid)
        outlines |= inside & ~ndimage.binary_erosion(inside)
    return float(edges[outlines].mean()) if outlines.any() else 0.0
