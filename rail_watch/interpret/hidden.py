"""What hides the ground beyond the cloud that was flagged: thin edges of cloud, and cloud that no mask tells of.

Tracks and aprons are not hidden by the same things. The networks for trains know snow in patches, haze and shade; what
cloud lies over a track is better known to a mask that came with the scene than told from patches of light. On aprons
wide patches that are no cargo are easily taken for it. A patch that keeps to an apron is no cloud, though: a heap, or
the ground that a heap covers at most other looks. Nor is one that keeps to the tracks: trains side by side with their
shadows, or ballast in scenes whose fields have changed with the season.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from rail_watch.change.cover import unflagged_cover
from rail_watch.change.measure import ChangeMap
from rail_watch.imagery.scene import Quality, SceneRef
from rail_watch.prepare.stack import Stack
from rail_watch.prepare.zones import within

Mask = NDArray[np.bool_]

CLOUD_EDGE_M = 15.0
"""Ground this near to flagged cloud or its shadow is not judged: clouds have thin edges, which masks miss."""
SNOWY = 0.05
"""Where the product flags as much of the ground in sight as snow, bright patches are snow and dark ones have thawed."""
ON_APRON, OF_APRON = 0.5, 0.7
"""A patch keeps to an apron when so much of it at least lies on one, and it covers so much of that one at most."""
ON_TRACKS, BESIDE_M = 0.7, 10.0
"""A patch keeps to the tracks when at least so much of it lies on them or this near: as far as shadows reach."""


def in_sight(stack: Stack, change: ChangeMap, *, aprons: Mask, tracks: Mask) -> tuple[Stack, Stack]:
    """Return the stack as tracks are judged by it, and as aprons and the rest of the site are.

    In both the edges of flagged cloud are hidden; wide bright or dark patches are in the second, and in the first where
    no mask came with a scene. Patches that keep to an apron or to the tracks hide nothing.

    Parameters
    ----------
    aprons, tracks : (row, column) True on aprons and under tracks, on the stack's grid.
    """
    factor = change.factor
    cover = unflagged_cover(change, gsd_m=stack.gsd_m * factor)
    cover[_snowy(stack.quality)] = Quality.CLEAR
    rows, cols = (size * factor for size in cover.shape[1:])
    on_aprons, on_tracks = (
        part[:rows:factor, :cols:factor] for part in (aprons, within(tracks, BESIDE_M / stack.gsd_m))
    )
    for patches in cover:
        patches[_keeps_to_apron(patches, on_aprons) | _keeps_to_tracks(patches, on_tracks)] = Quality.CLEAR
    ground = _with_cover(stack, cover, factor=factor)
    cover[_masked(stack.scenes)] = Quality.CLEAR
    return _with_cover(stack, cover, factor=factor), ground


def _keeps_to_apron(cover: NDArray[np.uint8], aprons: Mask) -> Mask:
    """(row, column) patches of cover that lie on a part of one apron. cover, aprons: (row, column)."""
    numbers, _ = ndimage.label(aprons)
    sizes = np.bincount(numbers.ravel())
    out = np.zeros(cover.shape, dtype=bool)
    for kind in (Quality.CLOUD, Quality.CLOUD_SHADOW):
        labels, found = ndimage.label(cover == kind)
        for i, place in enumerate(ndimage.find_objects(labels, max_label=found), 1):
            patch = labels[place] == i
            on = np.bincount(numbers[place][patch], minlength=len(sizes))[1:]
            whole = sizes[1:]
            if on.size and on.max() >= ON_APRON * patch.sum() and on.max() <= OF_APRON * whole[np.argmax(on)]:
                out[place] |= patch
    return out


def _keeps_to_tracks(cover: NDArray[np.uint8], near: Mask) -> Mask:
    """(row, column) patches of cover of which nearly all lies on or beside tracks. cover, near: (row, column)."""
    out = np.zeros(cover.shape, dtype=bool)
    for kind in (Quality.CLOUD, Quality.CLOUD_SHADOW):
        labels, found = ndimage.label(cover == kind)
        shares = np.asarray(ndimage.mean(near, labels, np.arange(1, found + 1))) if found else np.zeros(0)
        out |= np.isin(labels, np.flatnonzero(shares >= ON_TRACKS) + 1)
    return out


def _with_cover(stack: Stack, cover: NDArray[np.uint8], *, factor: int) -> Stack:
    """Return the stack with what hides the ground marked as cloud or cloud shadow, and the thin edges of all cloud.

    cover: (T, row, column) on a grid `factor` times as coarse.
    """
    fine = np.repeat(np.repeat(cover, factor, axis=1), factor, axis=2)
    quality = stack.quality.copy()
    part = quality[:, : fine.shape[1], : fine.shape[2]]
    part[(part == Quality.CLEAR) & (fine > 0)] = fine[(part == Quality.CLEAR) & (fine > 0)]
    for image in quality:
        for kind in (Quality.CLOUD_SHADOW, Quality.CLOUD):
            near = within(image == kind, CLOUD_EDGE_M / stack.gsd_m)
            image[near & np.isin(image, (Quality.CLEAR, Quality.SNOW))] = kind
    return replace(stack, quality=quality)


def _masked(scenes: Sequence[SceneRef]) -> Mask:
    """(T,) scenes with which a mask came."""
    return np.array([any(asset.quality is not None for asset in ref.assets) for ref in scenes], dtype=bool)


def _snowy(quality: NDArray[np.uint8]) -> Mask:
    """(T,) scenes in which snow lies by the product's own word. quality: (T, row, column)."""
    snow = (quality == Quality.SNOW).sum(axis=(1, 2))
    return np.asarray(snow > SNOWY * (snow + (quality == Quality.CLEAR).sum(axis=(1, 2))))
