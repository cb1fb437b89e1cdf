"""All tracks of a site at all scenes of one sensor, solved together.

Round by round: what empty track looks like (a weighted median over scenes), how each scene differs from it as a whole
(gain, offset, noise), and which steps of which track carry a train. What a round finds occupied or shaded takes no
part in the next round's picture of empty track, so that a track that is full most of the time does not become its own
baseline.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, special

from rail_watch.aoi.site import Site
from rail_watch.change.radiometry import Radiometry
from rail_watch.change.robust import line_fit, robust_covariance, spread, weighted_median, whitening
from rail_watch.imagery.scene import Quality
from rail_watch.interpret.emptiness import cross_sections, likeness_to_ballast
from rail_watch.interpret.evidence import Others, Residual, Shade
from rail_watch.interpret.segments import Level
from rail_watch.interpret.shadows import (
    HALF_WIDTH_M,
    HEIGHTS_M,
    LONGEST_SHADOW_M,
    Sun,
    mean_heading,
    sun_on_track,
    sun_over,
)
from rail_watch.interpret.strips import FINE_GSD_M, Neighbour, Strip, neighbours
from rail_watch.prepare.stack import Stack

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]

RESOLVED_GSD_M = 5.0
"""Up to this GSD a track has pixels of its own, and a first guess at which looks are empty is worth making."""
LEAST_WEIGHT = 0.45
"""Less than about half a look at bare ground, and a sample's baseline is taken from elsewhere along the track."""
FIRST_LEVEL = Level(-6.0, 0.0)
"""What a step of empty track is taken to say before the scene has spoken."""
BACKGROUND_M = 24.0
MASKED = 1e-3
"""Weight of a sample thought to be covered or shaded: it speaks only where nothing else does."""


@dataclass
class Yard:
    """The working solution; every list runs over strips."""

    gsd_m: float
    bands: tuple[str, ...]
    strips: Sequence[Strip]
    near: list[list[Neighbour]]
    suns: list[list[Sun]]
    """[strip][scene]"""
    usable: list[Mask]
    """(T, S, O) can be judged."""
    radiometry: Radiometry
    empty: list[Array]
    """(T, S) weight of each step as a picture of empty track."""
    occupied: list[Mask]
    """(T, S)"""
    height: list[NDArray[np.intp]]
    """(T, S) index into HEIGHTS_M"""
    variance: list[Array]
    """(S, O) how much noisier than the yard's mean a sample is over time."""
    baseline: list[Array]
    """(B, S, O) empty track, in the reference scene's units."""
    filled: list[Mask]
    """(S, O) where the baseline is a guess from elsewhere along the track."""
    score: list[Array]
    """(T, S) log-likelihood ratio."""
    shade: list[Shade]
    """Per scene."""
    level: list[Level]
    """Per scene: evidence that a step of empty track gives."""

    @property
    def times(self) -> int:
        """Number of scenes."""
        return len(self.strips[0].pixels)


def make_yard(stack: Stack, site: Site, strips: Sequence[Strip], radiometry: Radiometry) -> Yard:
    """Set up the solution before anything has been found."""
    centre = site.polygon.centroid
    suns = []
    for strip in strips:
        heading = mean_heading(strip.heading_deg)
        suns.append([sun_on_track(*sun_over(ref, (centre.x, centre.y)), heading) for ref in stack.scenes])
    usable = [
        np.isin(s.quality, (Quality.CLEAR, Quality.SNOW)) & np.isfinite(s.pixels).all(axis=1) & ~s.roofed[None, :, None]
        for s in strips
    ]
    times = len(stack.scenes)
    empty = [np.ones(u.shape[:2]) for u in usable]
    if stack.gsd_m <= RESOLVED_GSD_M:
        pairs = zip(strips, usable, strict=True)
        likeness = likeness_to_ballast([cross_sections(s, u, radiometry, gsd_m=stack.gsd_m) for s, u in pairs])
        # Ground that is odd at every look is still ground: what counts is which look is most like empty track.
        empty = [e / np.maximum(e.max(axis=0, keepdims=True), 1e-6) for e in likeness]
    return Yard(
        gsd_m=stack.gsd_m,
        bands=stack.bands,
        strips=strips,
        near=[neighbours(strips, k) for k in range(len(strips))],
        suns=suns,
        usable=usable,
        radiometry=radiometry,
        empty=[e.astype(np.float32) for e in empty],
        occupied=[np.zeros((times, len(s.along_m)), dtype=bool) for s in strips],
        height=[np.zeros((times, len(s.along_m)), dtype=np.intp) for s in strips],
        variance=[np.ones(s.where.shape[:2], dtype=np.float32) for s in strips],
        baseline=[np.zeros(s.pixels.shape[1:], dtype=np.float32) for s in strips],
        filled=[np.zeros(s.where.shape[:2], dtype=bool) for s in strips],
        score=[np.zeros((times, len(s.along_m)), dtype=np.float32) for s in strips],
        shade=[first_shade(stack.bands)] * times,
        level=[FIRST_LEVEL] * times,
    )


def others_at(yard: Yard, k: int, t: int) -> Others:
    """What the trains found so far on other tracks do to the samples of strip k at scene t."""
    shape = yard.usable[k].shape[1:]
    cover, shade = np.zeros(shape, dtype=np.float32), np.zeros(shape, dtype=np.float32)
    blur = 0.5 * yard.gsd_m
    for near in yard.near[k]:
        taken = yard.occupied[near.index][t]
        if not taken.any():
            continue
        finite = np.isfinite(near.offset_m)
        offset = np.where(finite, near.offset_m, 1e3)
        there = taken[near.step] & finite
        half = special.ndtr((offset + HALF_WIDTH_M) / blur) - special.ndtr((offset - HALF_WIDTH_M) / blur)
        cover = np.maximum(cover, np.where(there, half, 0).astype(np.float32))
        shade = np.maximum(shade, _thrown(yard, near, t, offset, blur))
    return Others(cover, shade)


def _thrown(yard: Yard, near: Neighbour, t: int, offset: NDArray[np.float64], blur: float) -> Array:
    """Share of each sample in the shadow of the trains of one other track."""
    sun = yard.suns[near.index][t]
    if sun.side == 0:
        return np.zeros(offset.shape, dtype=np.float32)
    strip = yard.strips[near.index]
    beyond = sun.side * offset - HALF_WIDTH_M
    shift = np.round(sun.shear * np.clip(beyond, 0, LONGEST_SHADOW_M) / strip.step_m).astype(int)
    source = near.step - shift
    inside = (source >= 0) & (source < len(strip.along_m))
    source = np.clip(source, 0, len(strip.along_m) - 1)
    taken = yard.occupied[near.index][t][source] & inside
    heights = np.asarray(HEIGHTS_M)[yard.height[near.index][t]][source]
    width = np.minimum(heights * sun.across, LONGEST_SHADOW_M)
    share = special.ndtr(beyond / blur) - special.ndtr((beyond - width) / blur)
    return np.where(taken, np.clip(share, 0, 1), 0).astype(np.float32)


def own_shadow(yard: Yard, k: int, t: int) -> Array:
    """(S, O) share of each sample in the shadow of the strip's own trains."""
    strip = yard.strips[k]
    steps = np.broadcast_to(np.arange(len(strip.along_m))[:, None], strip.where.shape[:2])
    offsets = np.broadcast_to(strip.across_m[None, :], steps.shape)
    return _thrown(yard, Neighbour(k, steps.astype(np.int32), offsets.astype("f4")), t, offsets, 0.5 * yard.gsd_m)


def update_baseline(yard: Yard) -> None:
    """Weighted median over scenes of what each sample shows in the reference's units, trains and shadows left out."""
    radiometry = yard.radiometry
    # A scene whose ground says little of the reference's (snow) or is noisy speaks with a small voice.
    noise = np.where(np.isfinite(radiometry.sigma), radiometry.sigma, np.inf) / np.maximum(radiometry.gain, 1e-3)
    noise = noise.mean(axis=1)
    typical = float(np.median(noise[np.isfinite(noise)])) if np.isfinite(noise).any() else 1.0
    precision = 1 / (1 + (noise / max(2 * typical, 1e-9)) ** 2)
    for k, strip in enumerate(yard.strips):
        weights = np.empty(yard.usable[k].shape, dtype=np.float32)
        near = np.abs(strip.across_m) <= HALF_WIDTH_M + 0.5 * yard.gsd_m
        for t in range(yard.times):
            others = others_at(yard, k, t)
            own = yard.occupied[k][t][:, None] & near
            hidden = (others.cover > 0.1) | (others.shade > 0.2) | own | (own_shadow(yard, k, t) > 0.2)
            weights[t] = precision[t] * np.where(hidden, MASKED, 1.0)
            weights[t][:, near] *= yard.empty[k][t][:, None]
        weights *= yard.usable[k]
        for b in range(strip.pixels.shape[1]):
            gain = np.maximum(radiometry.gain[:, b], 0.05)[:, None, None]
            values = (strip.pixels[:, b] - radiometry.offset[:, b][:, None, None]) / gain
            yard.baseline[k][b] = weighted_median(values.astype(np.float32), weights)
        _fill_unseen(yard, k, weights.sum(axis=0))


def _fill_unseen(yard: Yard, k: int, weight: Array) -> None:
    """Where no scene shows a sample bare, take what the track looks like at that offset elsewhere along it.

    Such samples are trusted less: their variance over time cannot be known.
    """
    unseen = weight < LEAST_WEIGHT
    known = np.where(unseen[None] | ~np.isfinite(yard.baseline[k]), np.nan, yard.baseline[k])
    enough = (~unseen).sum(axis=0) >= max(20.0 / yard.strips[k].step_m, 5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        profile = np.nanmedian(known, axis=1)
    fill = unseen & enough[None, :] & yard.usable[k].any(axis=0)
    yard.baseline[k] = np.where(fill[None], profile[:, None, :], yard.baseline[k])
    yard.filled[k] = fill


@dataclass(frozen=True)
class SceneModel:
    """How one scene renders empty ground: level, offset, dark level and noise per band."""

    gain: NDArray[np.float64]
    offset: NDArray[np.float64]
    dark: NDArray[np.float64]
    level: NDArray[np.float64]
    """Light of the ground above the dark level."""
    covariance: NDArray[np.float64]
    """(B, B) of the residual over ground that has not changed."""
    transform: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 0)))
    """(B, B) residual to noise units, rotated so that railcar colours are diagonal."""
    colour: Array = field(default_factory=lambda: np.empty(0, dtype=np.float32))


NOISIEST = 2.0
"""No scene's noise is taken to be more than this many times the series' own, in units of its light: where half the
ground lies in shadows or under trains, the residual is no longer noise."""


def scene_models(yard: Yard) -> list[SceneModel | None]:
    """Fit every scene, and bound each one's noise by that of the series."""
    models = [scene_model(yard, t) for t in range(yard.times)]
    relative = [m.covariance / np.outer(m.level, m.level) for m in models if m is not None]
    if not relative:
        return models
    traces = np.array([np.trace(r) for r in relative])
    usual = relative[int(np.argsort(traces)[(len(traces) - 1) // 2])]
    return [None if m is None else _with_noise(m, usual) for m in models]


def _with_noise(model: SceneModel, usual: NDArray[np.float64]) -> SceneModel:
    light = np.outer(model.level, model.level)
    covariance = model.covariance
    excess = float(np.trace(covariance / light) / np.trace(usual))
    if excess > NOISIEST**2:
        covariance = usual * light * NOISIEST**2
    transform, colour = noise_units(covariance + np.diag((0.012 * model.level) ** 2), model.level)
    return replace(model, transform=transform, colour=colour)


def scene_model(yard: Yard, t: int) -> SceneModel | None:
    """Fit one scene to the baseline over ground not known to be covered; None where nothing can be seen."""
    parts_x, parts_y, parts_v, parts_core = [], [], [], []
    core_width = max(2.5, 0.6 * yard.gsd_m)
    for k, strip in enumerate(yard.strips):
        others = others_at(yard, k, t)
        free = yard.usable[k][t] & (others.cover < 0.1) & (others.shade < 0.2) & (own_shadow(yard, k, t) < 0.2)
        free &= np.abs(strip.across_m)[None, :] <= max(6.0, yard.gsd_m)
        free &= ~(yard.occupied[k][t][:, None] & (np.abs(strip.across_m) <= HALF_WIDTH_M + 0.7 * yard.gsd_m)[None, :])
        free &= np.isfinite(yard.baseline[k]).all(axis=0) & ~yard.filled[k]
        free &= (yard.empty[k][t] >= min(0.3, float(np.quantile(yard.empty[k], 0.6))))[:, None]
        index = np.flatnonzero(free)
        index = index[:: max(1, len(index) * len(yard.strips) // 20_000)]
        bands = len(strip.pixels[t])
        parts_x.append(yard.baseline[k].reshape(bands, -1)[:, index])
        parts_y.append(strip.pixels[t].reshape(bands, -1)[:, index])
        parts_v.append(yard.variance[k].ravel()[index])
        parts_core.append(np.broadcast_to(np.abs(strip.across_m) <= core_width, free.shape).ravel()[index])
    x, y = np.concatenate(parts_x, axis=1).astype(np.float64), np.concatenate(parts_y, axis=1).astype(np.float64)
    if x.shape[1] < 40:
        return None
    radiometry = yard.radiometry
    gain, offset = radiometry.gain[t].copy(), radiometry.offset[t].copy()
    for b in range(len(x)):
        gain[b], offset[b] = _refined(x[b], y[b], (float(gain[b]), float(offset[b])))
    residual = (y - gain[:, None] * x - offset[:, None]) / np.sqrt(np.concatenate(parts_v))
    core = np.concatenate(parts_core)
    level = np.maximum(np.median(y, axis=1) - radiometry.dark[t], 1e-6)
    quiet = residual[:, core] if core.sum() >= 40 else residual
    return SceneModel(gain, offset, radiometry.dark[t], level, robust_covariance(quiet.T))


def _refined(x: NDArray[np.float64], y: NDArray[np.float64], start: tuple[float, float]) -> tuple[float, float]:
    """Gain and offset near tracks where they describe the ground there better than those of the whole site."""
    gain, offset, _sigma = line_fit(x, y)
    if not gain > 0:
        return start
    better = float(spread((y - gain * x - offset).astype(np.float32)))
    before = float(spread((y - start[0] * x - start[1]).astype(np.float32)))
    return (gain, offset) if better < before else start


def noise_units(covariance: NDArray[np.float64], level: NDArray[np.float64]) -> tuple[NDArray[np.float64], Array]:
    """Transform that makes noise 1 and the spread of railcar colours diagonal, and that spread's variances.

    Railcars are brighter or darker than the ground by half its level, all bands together, and differ from it in colour
    by a sixth of it.
    """
    colours = 0.25 * np.outer(level, level) + np.diag((0.16 * level) ** 2)
    white = whitening(covariance)
    values, vectors = np.linalg.eigh(white @ colours @ white.T)
    return vectors.T @ white, np.maximum(values, 1e-3).astype(np.float32)


def residual_at(yard: Yard, model: SceneModel, k: int, t: int) -> Residual:
    """One strip at one scene in noise units."""
    strip = yard.strips[k]
    predicted = model.gain[:, None, None] * yard.baseline[k] + model.offset[:, None, None]
    valid = yard.usable[k][t] & np.isfinite(predicted).all(axis=0)
    scale = 1 / np.sqrt(yard.variance[k])
    transform = model.transform.astype(np.float32)
    difference = strip.pixels[t] - predicted
    difference -= _background(yard, difference, k, t, level=model.level)[:, :, None]
    difference = np.where(valid, difference, 0).astype(np.float32) * scale
    lit = np.where(valid, np.maximum(predicted - model.dark[:, None, None], 0), 0).astype(np.float32) * scale
    z = np.tensordot(transform, difference, axes=1).astype(np.float32)
    ratio = yard.shade[t].ratio.astype(np.float32)
    fall = np.tensordot(transform, lit * (1 - ratio)[:, None, None], axes=1).astype(np.float32)
    return Residual(z, np.tensordot(transform, lit, axes=1).astype(np.float32), fall, valid, model.colour)


def _background(yard: Yard, difference: Array, k: int, t: int, *, level: NDArray[np.float64]) -> Array:
    """(B, S) what haze, thin cloud or damp add to a piece of the strip as a whole: the middle value across it.

    Taken over ground that no known train covers or shades, beside the footprint, along some 30 m of track.
    """
    strip = yard.strips[k]
    others = others_at(yard, k, t)
    beside = np.abs(strip.across_m) > HALF_WIDTH_M + 0.5 * yard.gsd_m
    free = yard.usable[k][t] & beside & (others.cover < 0.1) & (others.shade < 0.2) & (own_shadow(yard, k, t) < 0.2)
    values = np.where(free[None], difference, np.nan)
    width = max(round(BACKGROUND_M / strip.step_m), 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        across = np.nanmedian(values, axis=2)
    known = np.isfinite(across) & (free.sum(axis=1) >= 4)
    share = ndimage.uniform_filter1d(known.astype(np.float32), width, axis=1, mode="nearest")
    total = ndimage.uniform_filter1d(np.where(known, across, 0).astype(np.float32), width, axis=1, mode="nearest")
    bound = (0.25 * level)[:, None]
    return np.where(share > 0.05, np.clip(total / np.maximum(share, 0.05), -bound, bound), 0).astype(np.float32)


def update_variance(yard: Yard, models: Sequence[SceneModel | None]) -> None:
    """How noisy each sample is over time (edges, rails, what moves), shrunk towards 1 when there are few scenes."""
    dims = yard.strips[0].pixels.shape[1]
    middle = float(special.chdtri(dims, 0.5))
    for k, strip in enumerate(yard.strips):
        energy = np.full(yard.usable[k].shape, np.nan, dtype=np.float32)
        weights = np.zeros_like(energy)
        near = np.abs(strip.across_m) <= HALF_WIDTH_M + 0.5 * yard.gsd_m
        for t, model in enumerate(models):
            if model is None:
                continue
            r = residual_at(yard, model, k, t)
            others = others_at(yard, k, t)
            hidden = (others.cover > 0.1) | (others.shade > 0.2) | (own_shadow(yard, k, t) > 0.2)
            hidden |= yard.occupied[k][t][:, None] & near
            energy[t] = (r.z**2).sum(axis=0) * yard.variance[k]
            weights[t] = r.valid * np.where(hidden, MASKED, 1.0)
        count = (weights > 0.5).sum(axis=0)
        median = np.nan_to_num(weighted_median(energy, weights), nan=middle) / middle
        raw = (np.maximum(count - 1, 0) * median + 4.0) / (np.maximum(count - 1, 0) + 4.0)
        raw = ndimage.uniform_filter(raw, (3, 3), mode="nearest") if yard.gsd_m <= FINE_GSD_M else raw
        yard.variance[k] = np.where(yard.filled[k], 2.5, np.clip(raw, 0.5, 12)).astype(np.float32)


def first_shade(bands: Sequence[str]) -> Shade:
    """Shadows before a scene has shown any: clear-sky shares of diffuse light at a middle sun."""
    share = {"coastal": 0.5, "blue": 0.4, "green": 0.32, "red": 0.26, "nir": 0.18}
    return Shade(np.array([share.get(band, 0.3) for band in bands]), 0.2)


def visible_steps(yard: Yard, k: int, t: int) -> Mask:
    """(S,) steps of which at least half the footprint could be judged."""
    strip = yard.strips[k]
    near = np.abs(strip.across_m) <= max(HALF_WIDTH_M, 0.5 * strip.offset_step_m)
    known = np.isfinite(yard.baseline[k]).all(axis=0)
    return np.asarray((yard.usable[k][t] & known)[:, near].mean(axis=-1) >= 0.5)
