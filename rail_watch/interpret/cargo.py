"""Cargo on aprons: compact patches that empty apron and shadow do not explain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.features import shapes
from scipy import ndimage, special
from shapely import Polygon

from rail_watch.aoi.site import Area, Site
from rail_watch.change.radiometry import Radiometry
from rail_watch.change.robust import line_fit, robust_covariance, weighted_median
from rail_watch.grid import WGS84, Grid
from rail_watch.interpret.evidence import Residual, first_shade, log_density, noise_units
from rail_watch.interpret.looks import REASONS
from rail_watch.interpret.strips import FINE_GSD_M
from rail_watch.prepare.stack import Stack
from rail_watch.prepare.zones import local_frame, mask_of, reproject

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]

LEAST_AREA_M2 = 8.0
"""Smaller patches are not called cargo: a car, a person's shadow, a puddle."""
PRIOR_COVERED = 0.05
"""Share of an apron expected under cargo before looking."""


@dataclass(frozen=True)
class Pile:
    """One patch of cargo at one scene."""

    apron: str
    scene: int
    polygon: Polygon
    """Lon/lat."""
    area_m2: float
    area_m2_95: tuple[float, float]
    p_value: float


@dataclass(frozen=True)
class ApronState:
    """One apron at one scene."""

    apron: str
    scene: int
    visible_fraction: float
    fill_fraction: float | None
    fill_95: tuple[float, float] | None
    smallest_m2: float | None
    reason: str | None
    piles: tuple[Pile, ...]


@dataclass(frozen=True)
class _Window:
    """The part of the stack round one apron."""

    area: Area
    grid: Grid
    pixels: Array
    usable: Mask
    inside: Mask
    """(row, column) open apron, less sheds and tracks."""
    shade: NDArray[np.float64]
    """(B,) share of light that shadows keep."""
    context: Mask
    """(row, column) ground that carries the noise: the apron and what lies round it."""


def _window(stack: Stack, site: Site, area: Area, blocked: Mask) -> _Window | None:
    whole = mask_of([area.polygon], stack.grid)
    rows, cols = np.flatnonzero(whole.any(axis=1)), np.flatnonzero(whole.any(axis=0))
    if len(rows) == 0:
        return None
    pad = int(np.ceil(max(12.0 / stack.gsd_m, 3)))
    low = (max(rows[0] - pad, 0), max(cols[0] - pad, 0))
    high = (min(rows[-1] + pad + 1, stack.grid.shape[0]), min(cols[-1] + pad + 1, stack.grid.shape[1]))
    cut = (slice(low[0], high[0]), slice(low[1], high[1]))
    pixels = stack.pixels[(..., *cut)]
    usable = stack.clear()[(slice(None), *cut)] & np.isfinite(pixels).all(axis=1)
    inside = whole[cut] & ~blocked[cut]
    grid = stack.grid.crop(low[0], low[1], (high[0] - low[0], high[1] - low[1]))
    shade = first_shade(stack.bands)
    return _Window(area, grid, pixels, usable, inside, shade, ~blocked[cut]) if inside.any() else None


def _emptiness(values: Array, window: _Window) -> Array:
    """(T, row, column) weight of each look as a picture of bare apron: near the densest colour of the apron itself."""
    inside = window.inside
    points = np.moveaxis(values, 1, -1)[window.usable & inside]
    if len(points) < 50:
        return np.ones(window.usable.shape, dtype=np.float32)
    sample = points[:: max(1, len(points) // 2000)].astype(np.float64)
    scale = np.maximum(np.subtract(*np.percentile(sample, [75, 25], axis=0)) / 1.349, 1e-6)
    scaled = sample / scale
    square = (scaled**2).sum(axis=1)
    gram = square[:, None] + square - 2 * scaled @ scaled.T
    mode = scaled[int(np.argmax(np.exp(-gram / (2 * 0.4**2)).sum(axis=1)))]
    near = scaled[((scaled - mode) ** 2).sum(axis=1) < 1.5]
    width = np.maximum(1.4826 * np.median(np.abs(near - mode), axis=0), 0.15)
    distance = (((values / scale[:, None, None] - mode[:, None, None]) / width[:, None, None]) ** 2).mean(axis=1)
    return np.asarray(0.05 + 0.95 * np.exp(-0.1 * np.nan_to_num(distance, nan=100.0)), dtype=np.float32)


def _posterior(window: _Window, baseline: Array, t: int, *, radiometry: Radiometry, masked: Mask) -> Array | None:
    """(row, column) probability that a sample is covered, NaN where not seen; None where the scene shows too little."""
    known = window.usable[t] & np.isfinite(baseline).all(axis=0)
    ground = known & window.context & ~masked
    if ground.sum() < 40:
        return None
    bands = len(baseline)
    gain, offset = radiometry.gain[t].copy(), radiometry.offset[t].copy()
    for b in range(bands):
        x, y = baseline[b][ground].astype(np.float64), window.pixels[t, b][ground].astype(np.float64)
        own_gain, own_offset, _ = line_fit(x, y)
        if own_gain > 0:
            gain[b], offset[b] = own_gain, own_offset
    # From here on only what is known, one sample after the other.
    light = baseline[:, known]
    predicted = (gain[:, None] * light + offset[:, None]).astype(np.float32)
    difference = window.pixels[t][:, known] - predicted
    level = np.maximum(np.median(window.pixels[t][:, ground], axis=1) - radiometry.dark[t], 1e-6).astype(np.float64)
    quiet = ground[known] & window.inside[known]
    sample = difference[:, quiet] if quiet.sum() > 60 else difference[:, ground[known]]
    covariance = robust_covariance(sample.T[:: max(1, sample.shape[1] // 20_000)].astype(np.float64))
    transform, colour = noise_units(covariance + np.diag((0.012 * level) ** 2), level)
    lit = np.maximum(predicted - radiometry.dark[t][:, None].astype(np.float32), 0)
    turn = transform.astype(np.float32)
    r = Residual(
        turn @ difference, turn @ lit, (turn * (1 - window.shade).astype(np.float32)) @ lit, known[known], colour
    )
    none, full = np.zeros(lit.shape[1], np.float32), np.ones(lit.shape[1], np.float32)
    bare = np.logaddexp(log_density(r, none, none, sigma=0.2), log_density(r, none, full, sigma=0.2) - 1.5)
    ratio = np.zeros(known.shape, np.float32)
    ratio[known] = np.clip(log_density(r, full, none, sigma=0.2) - bare, -6, 6)
    smooth = ndimage.gaussian_filter(ratio, 0.6) if known.shape[0] > 2 else ratio
    logit = smooth + np.log(PRIOR_COVERED / (1 - PRIOR_COVERED))
    return np.where(known, special.expit(logit), np.nan).astype(np.float32)


def _piles(window: _Window, covered: Array, t: int, *, gsd_m: float, frame: str) -> tuple[Pile, ...]:
    """Cut the covered part of an apron into patches."""
    solid = (np.nan_to_num(covered) > 0.5) & window.inside
    if gsd_m <= FINE_GSD_M:
        solid = ndimage.binary_opening(solid, np.ones((2, 2)))
    labels, _ = ndimage.label(solid, structure=np.ones((3, 3)))
    piles = []
    least = max(LEAST_AREA_M2, 2.0 * gsd_m**2)
    for geometry, label in shapes(labels.astype(np.int32), solid, connectivity=8, transform=window.grid.transform):
        outline = shapely.geometry.shape(geometry)
        polygon = reproject(outline, window.grid.crs, WGS84)
        plane = reproject(polygon, WGS84, frame)
        if plane.area < least:
            continue
        sure = covered[labels == int(label)]
        doubt = 0.9 * float(np.sqrt(plane.area)) * gsd_m
        p_value = float(np.exp(np.mean(np.log(np.maximum(1 - sure, 1e-6)))) ** min(np.sqrt(plane.area) / 3, 6))
        low, high = max(plane.area - doubt, 0.0), plane.area + doubt
        piles.append(Pile(window.area.id, t, polygon, float(plane.area), (float(low), float(high)), p_value))
    return tuple(piles)


def _why(stack: Stack, window: _Window, t: int, visible: float) -> str | None:
    if visible > 0.995:
        return None
    where = mask_of([window.area.polygon], stack.grid)
    counts = {name: int((stack.quality[t][where] == code).sum()) for code, name in REASONS.items()}
    worst = max(counts, key=lambda name: counts[name])
    return worst if counts[worst] else None


def aprons_of(stack: Stack, site: Site, *, radiometry: Radiometry, blocked: Mask) -> list[ApronState]:
    """Judge every apron at every scene.

    Parameters
    ----------
    blocked : (row, column) ground under tracks, sheds and excluded areas, which is no apron.
    """
    frame = local_frame(site)
    states: list[ApronState] = []
    for area in site.aprons:
        window = _window(stack, site, area, blocked)
        if window is None:
            continue
        for t, covered in enumerate(_covered(window, radiometry)):
            states.append(_state(stack, window, covered, t, frame))
    return states


def _covered(window: _Window, radiometry: Radiometry) -> list[Array | None]:
    """Two rounds: what the first finds covered takes no part in the second's picture of bare apron."""
    gain = np.maximum(radiometry.gain, 0.05)[:, :, None, None]
    values = ((window.pixels - radiometry.offset[:, :, None, None]) / gain).astype(np.float32)
    weights = _emptiness(values, window) * window.usable
    weights *= np.clip(radiometry.gain.min(axis=1), 0.02, 1)[:, None, None] ** 2
    covered: list[Array | None] = []
    for _ in range(2):
        baseline = np.stack([weighted_median(values[:, b], weights) for b in range(values.shape[1])])
        covered = []
        for t in range(len(values)):
            masked = weights[t] < 0.02
            covered.append(_posterior(window, baseline, t, radiometry=radiometry, masked=masked))
            if covered[-1] is not None:
                weights[t] = window.usable[t] * np.where(np.nan_to_num(covered[-1]) > 0.3, 1e-3, 1.0)
    return covered


def _state(stack: Stack, window: _Window, covered: Array | None, t: int, frame: str) -> ApronState:
    count = int(window.inside.sum())
    seen = window.inside & window.usable[t]
    visible = float(seen.sum() / count)
    reason = _why(stack, window, t, visible)
    if covered is None or visible < 0.1:
        return ApronState(window.area.id, t, visible, None, None, None, reason, ())
    known = seen & np.isfinite(covered)
    values = covered[known]
    fill = float(values.mean()) if stack.gsd_m > FINE_GSD_M else float((values > 0.5).mean())
    pixel = stack.gsd_m**2
    doubt = (
        float(np.sqrt((values * (1 - values)).sum() * 4) / max(len(values), 1)) + 0.01 + 0.5 * pixel / (count * pixel)
    )
    piles = _piles(window, covered, t, gsd_m=stack.gsd_m, frame=frame)
    limits = (max(fill - 1.96 * doubt, 0.0), min(fill + 1.96 * doubt, 1.0))
    return ApronState(window.area.id, t, visible, fill, limits, max(LEAST_AREA_M2, 4 * pixel), reason, piles)


__all__ = ["ApronState", "Pile", "aprons_of"]
