"""Outlines of pieces of cargo on the ground.

Where pixels are as large as the pieces, an outline along pixel edges says little: a heap that half fills four pixels
would be drawn as four pixels or as none. Coverage is then taken as a smooth surface, and the outline is the level line
round the area that is said.
"""

from __future__ import annotations

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.features import shapes
from scipy import ndimage
from shapely import Polygon

from rail_watch.interpret.pieces import Pieces

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]

PARTS = 6
"""A pixel's side is divided into so many."""
ROUND_PX = 2
"""Pixels round a piece that its outline may reach into."""


def along_pixels(labels: NDArray[np.int32], kept: Mask, transform: Affine) -> dict[int, Polygon]:
    """Outline the largest connected part of each piece along its pixels' edges, by index of the piece."""
    outlines: dict[int, Polygon] = {}
    wanted = np.isin(labels, np.flatnonzero(kept) + 1)
    for geometry, label in shapes(labels, wanted, connectivity=8, transform=transform):
        outline = shapely.geometry.shape(geometry)
        before = outlines.get(int(label) - 1)
        if before is None or before.area < outline.area:
            outlines[int(label) - 1] = outline
    return dict(sorted(outlines.items()))


def within_pixels(pieces: Pieces, kept: Mask, transform: Affine, *, gsd_m: float) -> dict[int, Polygon]:
    """Outline each piece by the level line of its coverage that holds its area, by index of the piece."""
    outlines: dict[int, Polygon] = {}
    for i in np.flatnonzero(kept).tolist():
        rows, cols = np.nonzero(pieces.own == i + 1)
        top, left = int(rows.min()) - ROUND_PX, int(cols.min()) - ROUND_PX
        share = np.zeros((int(rows.max()) - top + ROUND_PX + 1, int(cols.max()) - left + ROUND_PX + 1), np.float32)
        share[rows - top, cols - left] = pieces.share[rows, cols]
        fine = _finer(share)
        count = max(round(float(pieces.area_m2[i]) / (gsd_m / PARTS) ** 2), 1)
        level = np.partition(fine.ravel(), max(fine.size - count, 0))[max(fine.size - count, 0)]
        inside = (fine >= max(level, 1e-3)).astype(np.uint8)
        place = transform @ Affine.translation(left, top) @ Affine.scale(1 / PARTS)
        parts = [shapely.geometry.shape(g) for g, _ in shapes(inside, inside > 0, connectivity=4, transform=place)]
        if parts:
            outlines[i] = max(parts, key=lambda part: part.area)
    return outlines


def _finer(share: Array) -> Array:
    """Coverage between the pixels' centres, taken as linear."""
    at = [(np.arange(n * PARTS) + 0.5) / PARTS - 0.5 for n in share.shape]
    rows, cols = np.meshgrid(*at, indexing="ij")
    return np.asarray(ndimage.map_coordinates(share, [rows, cols], order=1, mode="constant"), dtype=np.float32)
