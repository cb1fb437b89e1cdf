"""All tracks of a site at all scenes of one sensor, solved together.

Round by round: what empty track looks like (a weighted median over scenes), how each scene differs from it as a whole
(gain, offset, noise), and which steps of which track carry a train. What a round finds occupied or shaded takes no
part in the next round's picture of empty track, so that a track that is full most of the time does not become its own
baseline.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import special

from rail_watch.aoi.site import Site
from rail_watch.change.radiometry import FASTEST, Radiometry, dark_under, follows_reference
from rail_watch.change.robust import line_fit, spread, weighted_median
from rail_watch.imagery.scene import Quality
from rail_watch.interpret.emptiness import cross_sections, likeness_to_ballast
from rail_watch.interpret.shadows import (
    HALF_WIDTH_M,
    LONGEST_SHADOW_M,
    TALL_M,
    Sun,
    SunState,
    mean_heading,
    sun_on_track,
    sun_over,
)
from rail_watch.interpret.strips import MIDDLE_GSD_M, Neighbour, Strip, neighbours
from rail_watch.prepare.stack import Stack

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]

LEAST_WEIGHT = 0.45
"""Less than about half a look at bare ground, and a sample's baseline is taken from elsewhere along the track."""
MASKED = 1e-3
"""Weight of a sample thought to be covered or shaded: it speaks only where nothing else does."""
LEAST_GROUND = 40
"""Fewer samples of empty ground near tracks, and a scene is not judged."""

PATCH, PATCHY = 0.5, 0.1
"""Ground whose light differs by more than the first (logarithm) is a patch, of snow mostly; where patches cover more
than the second of it a scene's ground is uneven, calm as the rest may be."""


@dataclass(frozen=True)
class SceneModel:
    """How one scene renders empty ground: gain and offset against the reference, dark level, light and noise."""

    gain: NDArray[np.float64]
    offset: NDArray[np.float64]
    dark: NDArray[np.float64]
    level: NDArray[np.float64]
    """(B,) light of the ground near tracks above the dark level."""
    noise: float
    """Robust spread of the logarithm of observed over predicted light, from place to place."""
    patches: float = 0.0
    """Share of the ground near tracks that differs by more than `PATCH`."""

    @property
    def unevenness(self) -> float:
        """How uneven the ground is: its noise, or the size of the patches where they cover more than `PATCHY`."""
        return self.noise if self.patches <= PATCHY else max(self.noise, PATCH)


@dataclass
class Yard:
    """The working solution; every list runs over strips."""

    gsd_m: float
    bands: tuple[str, ...]
    strips: Sequence[Strip]
    near: list[list[Neighbour]]
    suns: list[list[Sun]]
    """[strip][scene]"""
    sun_states: list[SunState]
    """[scene] what the picture says of the sun that was stated."""
    usable: list[Mask]
    """(T, S, O) can be judged."""
    radiometry: Radiometry
    empty: list[Array]
    """(T, S) weight of each step as a picture of empty track."""
    occupied: list[Mask]
    """(T, S)"""
    baseline: list[Array]
    """(B, S, O) empty track, in the reference scene's units."""
    filled: list[Mask]
    """(S, O) where the baseline is a guess from elsewhere along the track."""
    score: list[Array]
    """(T, S) log odds of a train."""
    other: list[Array]
    """(T, S) at fine GSD log odds of a gap between two cars, at coarser GSD of a train here or on a track beside."""

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
    if stack.gsd_m <= MIDDLE_GSD_M:
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
        sun_states=[SunState.UNDISPUTED] * times,
        usable=usable,
        radiometry=radiometry,
        empty=[e.astype(np.float32) for e in empty],
        occupied=[np.zeros((times, len(s.along_m)), dtype=bool) for s in strips],
        baseline=[np.zeros(s.pixels.shape[1:], dtype=np.float32) for s in strips],
        filled=[np.zeros(s.where.shape[:2], dtype=bool) for s in strips],
        score=[np.zeros((times, len(s.along_m)), dtype=np.float32) for s in strips],
        other=[np.zeros((times, len(s.along_m)), dtype=np.float32) for s in strips],
    )


def hidden(yard: Yard, k: int, t: int) -> Mask:
    """(S, O) samples of strip k that the trains found so far cover or shade, its own train's footprint among them."""
    strip = yard.strips[k]
    shape = strip.where.shape[:2]
    out = np.zeros(shape, dtype=bool)
    reach = HALF_WIDTH_M + 0.5 * yard.gsd_m
    steps = np.broadcast_to(np.arange(shape[0], dtype=np.int32)[:, None], shape)
    offsets = np.broadcast_to(strip.across_m[None, :].astype("f4"), shape)
    for near in [*yard.near[k], Neighbour(k, steps, offsets)]:
        taken = yard.occupied[near.index][t]
        if taken.any():
            finite = np.isfinite(near.offset_m)
            offset = np.where(finite, near.offset_m, 1e3)
            out |= taken[near.step] & finite & (np.abs(offset) <= reach)
            out |= _thrown(yard, near, t, offset) > 0.2
    return out


def _thrown(yard: Yard, near: Neighbour, t: int, offset: NDArray[np.floating]) -> Array:
    """Share of each sample in the shadow that the trains of one track throw, were they all tall."""
    sun = yard.suns[near.index][t]
    if sun.side == 0:
        return np.zeros(offset.shape, dtype=np.float32)
    strip = yard.strips[near.index]
    blur = 0.5 * yard.gsd_m
    beyond = sun.side * offset - HALF_WIDTH_M
    shift = np.round(sun.shear * np.clip(beyond, 0, LONGEST_SHADOW_M) / strip.step_m).astype(int)
    source = near.step - shift
    inside = (source >= 0) & (source < len(strip.along_m))
    taken = yard.occupied[near.index][t][np.clip(source, 0, len(strip.along_m) - 1)] & inside
    width = min(TALL_M * sun.across, LONGEST_SHADOW_M)
    share = special.ndtr(beyond / blur) - special.ndtr((beyond - width) / blur)
    return np.where(taken, np.clip(share, 0, 1), 0).astype(np.float32)


def _precision(radiometry: Radiometry) -> NDArray[np.float64]:
    """(T,) weight of each scene's picture of the ground in the reference's units.

    A scene whose ground says little of the reference's (snow) or is noisy speaks with a small voice, be they most.
    """
    noise = np.where(np.isfinite(radiometry.sigma), radiometry.sigma, np.inf) / np.maximum(radiometry.gain, 1e-3)
    # What makes all ground far brighter (snow, again) makes its own noise look small.
    noise = (noise * np.maximum(radiometry.gain / FASTEST, 1.0) ** 2).mean(axis=1)
    others = np.isfinite(noise) & follows_reference(radiometry.gain) & (np.arange(len(noise)) != radiometry.reference)
    typical = float(np.quantile(noise[others], 0.25)) if others.any() else 0.0
    return np.asarray(1 / (1 + (noise / max(2 * typical, 1e-9)) ** 2))


def update_baseline(yard: Yard) -> None:
    """Weighted median over scenes of what each sample shows in the reference's units, trains and shadows left out."""
    radiometry, precision = yard.radiometry, _precision(yard.radiometry)
    for k, strip in enumerate(yard.strips):
        weights = np.empty(yard.usable[k].shape, dtype=np.float32)
        near = np.abs(strip.across_m) <= HALF_WIDTH_M + 0.5 * yard.gsd_m
        for t in range(yard.times):
            weights[t] = precision[t] * np.where(hidden(yard, k, t), MASKED, 1.0)
            weights[t][:, near] *= yard.empty[k][t][:, None]
        weights *= yard.usable[k]
        for b in range(strip.pixels.shape[1]):
            gain = np.maximum(radiometry.gain[:, b], 0.05)[:, None, None]
            values = (strip.pixels[:, b] - radiometry.offset[:, b][:, None, None]) / gain
            yard.baseline[k][b] = weighted_median(values.astype(np.float32), weights)
        _fill_unseen(yard, k, weights.sum(axis=0))


def _fill_unseen(yard: Yard, k: int, weight: Array) -> None:
    """Where no scene shows a sample bare, take what the track looks like at that offset elsewhere along it."""
    unseen = weight < LEAST_WEIGHT
    known = np.where(unseen[None] | ~np.isfinite(yard.baseline[k]), np.nan, yard.baseline[k])
    enough = (~unseen).sum(axis=0) >= max(20.0 / yard.strips[k].step_m, 5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        profile = np.nanmedian(known, axis=1)
    fill = unseen & enough[None, :] & yard.usable[k].any(axis=0)
    yard.baseline[k] = np.where(fill[None], profile[:, None, :], yard.baseline[k])
    yard.filled[k] = fill


def bare_enough(yard: Yard) -> list[float]:
    """[strip] weight as a picture of empty track from which a step helps to fit a scene."""
    return [min(0.3, float(np.quantile(empty, 0.6))) for empty in yard.empty]


def scene_model(yard: Yard, t: int, least: Sequence[float]) -> SceneModel | None:
    """Fit one scene to the baseline over ground near tracks not known to be covered; None where nothing can be seen.

    `least` comes from `bare_enough`.
    """
    parts_x, parts_y = [], []
    for k, strip in enumerate(yard.strips):
        free = yard.usable[k][t] & (np.abs(strip.across_m) <= max(6.0, yard.gsd_m))[None, :]
        free &= np.isfinite(yard.baseline[k]).all(axis=0) & ~yard.filled[k] & ~hidden(yard, k, t)
        free &= (yard.empty[k][t] >= least[k])[:, None]
        index = np.flatnonzero(free)
        index = index[:: max(1, len(index) * len(yard.strips) // 20_000)]
        bands = len(strip.pixels[t])
        parts_x.append(yard.baseline[k].reshape(bands, -1)[:, index])
        parts_y.append(strip.pixels[t].reshape(bands, -1)[:, index])
    x, y = np.concatenate(parts_x, axis=1).astype(np.float64), np.concatenate(parts_y, axis=1).astype(np.float64)
    if x.shape[1] < LEAST_GROUND:
        return None
    radiometry = yard.radiometry
    gain, offset = radiometry.gain[t].copy(), radiometry.offset[t].copy()
    dark = dark_under(radiometry.dark[t], np.median(y, axis=1))
    for b in range(len(x)):
        gain[b], offset[b] = _refined(x[b], y[b], (float(gain[b]), float(offset[b])))
    level = np.maximum(np.median(y, axis=1) - dark, 1e-6)
    floor = 0.05 * level[:, None]
    predicted = gain[:, None] * x + (offset - dark)[:, None]
    ratio = np.log(np.maximum(y - dark[:, None], floor)) - np.log(np.maximum(predicted, floor))
    unlike = (ratio - np.median(ratio, axis=1, keepdims=True)).mean(axis=0).astype(np.float32)
    patches = float((np.abs(unlike) > PATCH).mean())
    return SceneModel(gain, offset, dark, level, max(float(spread(unlike)), 0.005), patches)


def _refined(x: NDArray[np.float64], y: NDArray[np.float64], start: tuple[float, float]) -> tuple[float, float]:
    """Gain and offset near tracks where they describe the ground there better than those of the whole site."""
    gain, offset, _sigma = line_fit(x, y)
    if not gain > 0:
        return start
    better = float(spread((y - gain * x - offset).astype(np.float32)))
    before = float(spread((y - start[0] * x - start[1]).astype(np.float32)))
    return (gain, offset) if better < before else start


def as_fitted(radiometry: Radiometry, models: Sequence[SceneModel | None]) -> Radiometry:
    """Return the scenes in terms of the reference as they were found to be near tracks, where they could be fitted.

    Fields and woods change places with the seasons, ballast does not: what the site as a whole says of a scene can be
    nothing, where its tracks say all.
    """
    gain, offset, sigma = radiometry.gain.copy(), radiometry.offset.copy(), radiometry.sigma.copy()
    for t, model in enumerate(models):
        if model is not None:
            gain[t], offset[t], sigma[t] = model.gain, model.offset, model.noise * model.level
    return replace(radiometry, gain=gain, offset=offset, sigma=sigma)


def visible_steps(yard: Yard, k: int, t: int) -> Mask:
    """(S,) steps of which at least half the footprint could be judged."""
    strip = yard.strips[k]
    near = np.abs(strip.across_m) <= max(HALF_WIDTH_M, 0.5 * strip.offset_step_m)
    known = np.isfinite(yard.baseline[k]).all(axis=0)
    return np.asarray((yard.usable[k][t] & known)[:, near].mean(axis=-1) >= 0.5)
