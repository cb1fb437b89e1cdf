"""The prepared stack: every scene of one sensor on one grid, aligned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rail_watch.aoi.site import Site
from rail_watch.grid import Grid
from rail_watch.imagery.scene import Quality, Scene, SceneRef
from rail_watch.prepare.align import one_band
from rail_watch.prepare.regrid import regrid, to_nearest_pixel
from rail_watch.prepare.series import align_series
from rail_watch.prepare.zones import zones_of

SEARCH_M = 12.0
"""Geolocation errors up to this are looked for (or three pixels, where that is more)."""


@dataclass(frozen=True)
class Stack:
    """Aligned scenes of one sensor over one site, in time order."""

    sensor: str
    """Name of the group for people: platform family and GSD."""
    grid: Grid
    gsd_m: float
    """True ground length of a pixel's side."""
    bands: tuple[str, ...]
    scenes: tuple[SceneRef, ...]
    pixels: NDArray[np.float32]
    """(time, band, row, column) reflectance (or the unit of the product), aligned, not normalised;
    NaN where nothing was measured (outside, nodata, read-failed). Cloud keeps its pixels."""
    quality: NDArray[np.uint8]
    """(time, row, column) of `Quality`."""
    shift_m: NDArray[np.float64]
    """(time, 2) east, north: where a feature appears in the scene minus where it truly lies, as removed;
    the series' median is taken as the truth."""
    shift_error_m: NDArray[np.float64]
    """(time,) standard error of the shift, NaN where it could not be measured and none was removed."""

    def clear(self) -> NDArray[np.bool_]:
        """(time, row, column) True where the ground can be judged (clear, or flagged as snow)."""
        return _judged(self.quality)


def _judged(quality: NDArray[np.uint8]) -> NDArray[np.bool_]:
    return np.asarray((quality == Quality.CLEAR) | (quality == Quality.SNOW))


def _reference(scenes: Sequence[Scene]) -> int:
    """Index of the scene with most clear pixels, the earliest of equals."""
    return int(np.argmax([int((scene.quality == Quality.CLEAR).sum()) for scene in scenes]))


def _common_bands(scenes: Sequence[Scene], reference: int) -> tuple[str, ...]:
    shared = set.intersection(*(set(scene.bands) for scene in scenes))
    return tuple(name for name in scenes[reference].bands if name in shared)


def prepare(scenes: Sequence[Scene], site: Site, *, sensor: str, align: bool = True) -> Stack:
    """Bring all scenes of one sensor onto one grid and align them.

    Parameters
    ----------
    scenes : at least one, with at least one band in common, in time order.
    site : its stable ground carries the co-registration.
    sensor : the group's name.
    align : False leaves every scene where its file says (speckle looks like a shift where there is none).

    Returns
    -------
    Stack
        On the pixel lattice of the clearest scene, so that nothing is warped to a foreign projection.
    """
    reference = _reference(scenes)
    bands = _common_bands(scenes, reference)
    grid = scenes[reference].grid
    gsd_m = grid.metres_per_pixel()
    if align:
        offsets, errors = _offsets(scenes, grid, bands, zones_of(site, grid).anchor)
    else:
        offsets = np.array([to_nearest_pixel(scene, grid) for scene in scenes], dtype=np.float64)
        errors = np.full(len(scenes), np.nan)
    pixels = np.empty((len(scenes), len(bands), *grid.shape), dtype=np.float32)
    quality = np.empty((len(scenes), *grid.shape), dtype=np.uint8)
    for t, (row, col) in enumerate(offsets):
        pixels[t], quality[t] = regrid(scenes[t], grid, bands=bands, shift_px=(float(row), float(col)))
    return Stack(
        sensor=sensor,
        grid=grid,
        gsd_m=gsd_m,
        bands=bands,
        scenes=tuple(scene.ref for scene in scenes),
        pixels=pixels,
        quality=quality,
        shift_m=offsets @ grid.jacobian_m().T if align else np.zeros((len(scenes), 2)),
        shift_error_m=errors * gsd_m,
    )


def _offsets(
    scenes: Sequence[Scene], grid: Grid, bands: tuple[str, ...], anchor: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(time, 2) shift in (row, column) against the series' median, 0 where unknown, and (time,) error or NaN."""
    if len(scenes) == 1:
        return np.zeros((1, 2)), np.zeros(1)
    beforehand = np.array([to_nearest_pixel(scene, grid) for scene in scenes])
    singles, usable = [], []
    for scene, (row, col) in zip(scenes, beforehand, strict=True):
        pixels, quality = regrid(scene, grid, bands=bands, shift_px=(float(row), float(col)))
        seen = _judged(quality) & np.isfinite(pixels).all(axis=0)
        singles.append(one_band(pixels, seen))
        usable.append(seen)
    reach = int(np.clip(np.ceil(SEARCH_M / grid.metres_per_pixel()), 3, 40))
    joint = align_series(singles, np.stack(usable), anchor, reach_px=reach)
    if not joint.known.any():
        return np.zeros((len(scenes), 2)), joint.error_px
    found = joint.offset_px + beforehand
    found -= np.median(found[joint.known], axis=0)
    return np.where(joint.known[:, None], found, 0.0), joint.error_px
