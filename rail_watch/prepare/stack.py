"""The prepared stack: every scene of one sensor on one grid, aligned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rail_watch.aoi.site import Site
from rail_watch.grid import Grid
from rail_watch.imagery.scene import Quality, Scene, SceneRef
from rail_watch.prepare.align import LARGE, Shift, estimate_shift, flatten
from rail_watch.prepare.regrid import regrid
from rail_watch.prepare.zones import Zones, zones_of

SEARCH_M = 12.0
"""Geolocation errors up to this are looked for (or three pixels, where that is more)."""
MIN_CORRELATION = 0.2
MAX_ERROR_PX = 0.4
"""A measured shift whose tiles disagree by more than this is refused."""
DISPLAY_AND_CHANGE_QUALITY = (Quality.CLEAR, Quality.SNOW)


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
        return np.isin(self.quality, DISPLAY_AND_CHANGE_QUALITY)


def _reference(scenes: Sequence[Scene]) -> int:
    """Index of the scene with most clear pixels, the earliest of equals."""
    return int(np.argmax([int((scene.quality == Quality.CLEAR).sum()) for scene in scenes]))


def _measure(
    pixels: NDArray[np.float32], quality: NDArray[np.uint8], zones: Zones, *, reference: int, reach_px: int
) -> list[Shift]:
    """Shift of every scene: first against the clearest one, then against the median of all, which has less noise."""
    usable = np.isin(quality, DISPLAY_AND_CHANGE_QUALITY) & np.isfinite(pixels).all(axis=1) & zones.anchor
    base = flatten(pixels[reference], usable[reference])
    return [
        estimate_shift(
            np.where(usable[reference] & mask, base, 0),
            image,
            usable[reference] & mask,
            reach_px=reach_px,
            reference_is_flat=True,
        )
        if index != reference
        else Shift(0.0, 0.0, 0.0, 1.0)
        for index, (image, mask) in enumerate(zip(pixels, usable, strict=True))
    ]


def _against_composite(
    stack: NDArray[np.float32], usable: NDArray[np.bool_], *, known: NDArray[np.bool_]
) -> list[Shift]:
    """Remaining shift of each aligned scene against the median of those with a known shift."""
    if usable[0].size > LARGE:
        stack = stack.mean(axis=1, keepdims=True)
    masked = np.where(usable[:, None], stack, np.nan)[known]
    with np.errstate(all="ignore"):
        composite = _nanmedian(masked)
    mask = np.isfinite(composite).all(axis=0)
    flat = flatten(np.nan_to_num(composite), mask)
    return [
        estimate_shift(np.where(mask & good, flat, 0), image, mask & good, reach_px=2, reference_is_flat=True)
        for image, good in zip(stack, usable, strict=True)
    ]


def _nanmedian(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Median over the first axis ignoring NaN; NaN where there is nothing (and no warning)."""
    ordered = np.sort(values, axis=0)
    count = np.isfinite(ordered).sum(axis=0)
    low = np.take_along_axis(ordered, np.maximum((count - 1) // 2, 0)[None], axis=0)[0]
    high = np.take_along_axis(ordered, np.minimum(count // 2, len(ordered) - 1)[None], axis=0)[0]
    return np.where(count > 0, 0.5 * (low + high), np.nan).astype(np.float32)


def _accepted(shift: Shift) -> bool:
    return bool(
        np.isfinite(shift.row_px)
        and shift.correlation >= MIN_CORRELATION
        and (np.isnan(shift.error_px) or shift.error_px <= MAX_ERROR_PX)
    )


def _common_bands(scenes: Sequence[Scene], reference: int) -> tuple[str, ...]:
    shared = set.intersection(*(set(scene.bands) for scene in scenes))
    return tuple(name for name in scenes[reference].bands if name in shared)


def prepare(scenes: Sequence[Scene], site: Site, *, sensor: str) -> Stack:
    """Bring all scenes of one sensor onto one grid and align them.

    Parameters
    ----------
    scenes : at least one, with at least one band in common, in time order.
    site : its stable ground carries the co-registration.
    sensor : the group's name.

    Returns
    -------
    Stack
        On the pixel lattice of the clearest scene, so that nothing is warped to a foreign projection.
    """
    reference = _reference(scenes)
    bands = _common_bands(scenes, reference)
    grid = scenes[reference].grid
    gsd_m = grid.metres_per_pixel()
    zones = zones_of(site, grid)
    placed = [regrid(scene, grid, bands=bands) for scene in scenes]
    pixels = np.stack([p for p, _ in placed])
    quality = np.stack([q for _, q in placed])
    reach = int(np.clip(np.ceil(SEARCH_M / gsd_m), 3, 40))
    shifts = _measure(pixels, quality, zones, reference=reference, reach_px=reach)
    known = np.array([_accepted(shift) for shift in shifts])
    offsets = np.array([[s.row_px, s.col_px] if ok else [0.0, 0.0] for s, ok in zip(shifts, known, strict=True)])
    errors = np.array([s.error_px if ok else np.nan for s, ok in zip(shifts, known, strict=True)])
    pixels, quality, offsets, errors = _refined(
        scenes, (grid, bands), zones, (offsets, errors, known), (pixels, quality)
    )
    jacobian = grid.jacobian_m()
    return Stack(
        sensor=sensor,
        grid=grid,
        gsd_m=gsd_m,
        bands=bands,
        scenes=tuple(scene.ref for scene in scenes),
        pixels=pixels,
        quality=quality,
        shift_m=offsets @ jacobian.T,
        shift_error_m=errors * gsd_m,
    )


def _place_all(
    scenes: Sequence[Scene], grid: Grid, bands: tuple[str, ...], offsets: NDArray[np.float64]
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    placed = [
        regrid(scene, grid, bands=bands, shift_px=(float(row), float(col)))
        for scene, (row, col) in zip(scenes, offsets, strict=True)
    ]
    return np.stack([p for p, _ in placed]), np.stack([q for _, q in placed])


def _refined(
    scenes: Sequence[Scene],
    target: tuple[Grid, tuple[str, ...]],
    zones: Zones,
    first: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]],
    unaligned: tuple[NDArray[np.float32], NDArray[np.uint8]],
) -> tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.float64], NDArray[np.float64]]:
    """Second pass against the composite, then one resampling from the pixels as read."""
    offsets, errors, known = first
    if len(scenes) < 2:
        return (*unaligned, offsets, errors)
    pixels, quality = _place_all(scenes, *target, offsets)
    if len(scenes) > 2 and known.sum() > 1:
        usable = np.isin(quality, DISPLAY_AND_CHANGE_QUALITY) & np.isfinite(pixels).all(axis=1) & zones.anchor
        rest = _against_composite(pixels, usable, known=known)
        better = np.array([_accepted(s) for s in rest])
        errors = np.where(better, [s.error_px for s in rest], errors)
        offsets = offsets + np.where(better[:, None], [[s.row_px, s.col_px] for s in rest], 0.0)
        known = known | better
    if known.any():
        offsets = np.where(known[:, None], offsets - np.median(offsets[known], axis=0), 0.0)
    pixels, quality = _place_all(scenes, *target, offsets)
    return pixels, quality, offsets, errors
