"""An apron over the whole series, as numbers that mean the same at every scene: what the network is shown.

The same quantities as along tracks (`sections`), pixel by pixel: change against the bare apron as the baseline
predicts it, contrast against the apron's usual light in the very same picture, how restless the place is, and what
could be seen. Windows are turned and mirrored so that shadows fall towards higher rows and columns, rows first.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from rail_watch.aoi.site import Area, Site
from rail_watch.change.radiometry import Radiometry, clarity_of, dark_under, follows_reference
from rail_watch.change.robust import MAD_TO_SIGMA, spread, weighted_median
from rail_watch.grid import Grid
from rail_watch.interpret.sections import DEEPEST, light, parts_of
from rail_watch.interpret.shadows import sun_over
from rail_watch.prepare.stack import Stack
from rail_watch.prepare.zones import mask_of

Array = NDArray[np.float32]
Numbers = NDArray[np.float64]
Mask = NDArray[np.bool_]
Number = TypeVar("Number", np.float32, np.float64, np.bool_)

CHANNELS = (
    "change",
    "change in noise",
    "change in NIR",
    "change in hue",
    "contrast",
    "NIR",
    "hue",
    "unrest",
    "seen",
    "apron",
    "blocked",
)
SCALARS = ("shadow along rows", "shadow along columns", "sun", "noise", "likeness to the reference", "NIR", "colour")
LEAST_GROUND = 40
"""Fewer pixels of open ground, and a scene says nothing of an apron."""
AROUND_M = 12.0
"""So much round an apron is looked at with it."""
TAKEN = 1e-3
"""Weight as bare apron of a place that was found covered."""
LARGEST_SHIFT = 0.4
"""Light over an apron is let differ from the site's by so much (logarithm): haze, an oblique view."""


@dataclass(frozen=True)
class Window:
    """The part of a stack round one apron."""

    area: Area
    grid: Grid
    gsd_m: float
    bands: tuple[str, ...]
    pixels: Array
    """(T, B, row, column)"""
    usable: Mask
    """(T, row, column)"""
    inside: Mask
    """(row, column) open apron, less sheds and tracks."""
    blocked: Mask
    gain: Numbers
    """(T, B) and"""
    offset: Numbers
    """(T, B) of the scene in terms of the reference."""
    dark: Numbers
    shadows: Numbers
    """(T, 2) row and column steps, in metres per metre of height, by which shadows fall; 0 where there is no sun."""


@dataclass(frozen=True)
class ApronScene:
    """What one scene makes of bare ground."""

    predicted: Array
    """(B, row, column) logarithm of the light of bare ground."""
    dark: Numbers
    """(B,) dark level, and"""
    level: Numbers
    """(B,) the apron's usual light above it."""
    noise: float
    """Spread of the logarithm of unchanged ground."""


def window_of(stack: Stack, site: Site, area: Area, *, blocked: Mask, radiometry: Radiometry) -> Window | None:
    """Cut an apron out of a stack; None where nothing of it lies open on the grid."""
    whole = mask_of([area.polygon], stack.grid)
    if not (whole & ~blocked).any():
        return None
    rows, cols = np.flatnonzero(whole.any(axis=1)), np.flatnonzero(whole.any(axis=0))
    pad = math.ceil(max(AROUND_M / stack.gsd_m, 3))
    low = (max(int(rows[0]) - pad, 0), max(int(cols[0]) - pad, 0))
    high = (min(int(rows[-1]) + pad + 1, whole.shape[0]), min(int(cols[-1]) + pad + 1, whole.shape[1]))
    cut = (..., slice(low[0], high[0]), slice(low[1], high[1]))
    pixels = stack.pixels[cut]
    centre = site.polygon.centroid
    suns = [sun_over(ref, (centre.x, centre.y)) for ref in stack.scenes]
    return Window(
        area=area,
        grid=stack.grid.crop(*low, (high[0] - low[0], high[1] - low[1])),
        gsd_m=stack.gsd_m,
        bands=stack.bands,
        pixels=pixels,
        usable=stack.clear()[cut] & np.isfinite(pixels).all(axis=1),
        inside=whole[cut] & ~blocked[cut],
        blocked=blocked[cut],
        gain=radiometry.gain,
        offset=radiometry.offset,
        dark=radiometry.dark,
        shadows=np.array([shadow_steps(stack.grid, *sun) for sun in suns]),
    )


def shadow_steps(grid: Grid, azimuth_deg: float, elevation_deg: float) -> tuple[float, float]:
    """Row and column steps of a shadow, in metres per metre of height."""
    if elevation_deg <= 3:
        return 0.0, 0.0
    angle, reach = math.radians(azimuth_deg + 180), 1 / math.tan(math.radians(elevation_deg))
    steps = np.linalg.solve(grid.jacobian_m(), reach * np.array([math.sin(angle), math.cos(angle)]))
    steps *= grid.metres_per_pixel()
    return float(steps[0]), float(steps[1])


def first_weights(window: Window) -> Array:
    """(T, row, column) weight of each look as a picture of bare apron: near the densest colour of the apron itself."""
    values, inside = _as_reference(window), window.inside
    clarity, follows = clarity_of(window.gain)[:, None, None], follows_reference(window.gain)
    shown = window.usable & inside
    if (shown & follows[:, None, None]).sum() >= 50:
        shown = shown & follows[:, None, None]
    points = np.moveaxis(values, 1, -1)[shown]
    if len(points) < 50:
        return np.asarray(window.usable * clarity, dtype=np.float32)
    sample = points[:: max(1, len(points) // 1200)].astype(np.float64)
    scale = np.maximum(np.subtract(*np.percentile(sample, [75, 25], axis=0)) / 1.349, 1e-6)
    scaled = sample / scale
    square = (scaled**2).sum(axis=1)
    apart = square[:, None] + square[None] - 2 * scaled @ scaled.T
    mode = scaled[int(np.argmax(np.exp(-apart / (2 * 0.4**2)).sum(axis=1)))]
    near = scaled[((scaled - mode) ** 2).sum(axis=1) < 1.5]
    width = np.maximum(1.4826 * np.median(np.abs(near - mode), axis=0), 0.15)
    centre, unit = ((mode * scale)[:, None, None].astype("f4"), (scale * width)[:, None, None].astype("f4"))
    distance = (((values - centre) / unit) ** 2).mean(axis=1)
    likeness = 0.05 + 0.95 * np.exp(-0.1 * np.nan_to_num(distance, nan=100.0))
    return np.asarray(likeness * window.usable * clarity, dtype=np.float32)


def _as_reference(window: Window) -> Array:
    gain = np.maximum(window.gain, 0.05)[:, :, None, None]
    return ((window.pixels - window.offset[:, :, None, None]) / gain).astype(np.float32)


def bare_apron(window: Window, weights: Array) -> Array:
    """(B, row, column) weighted median over scenes, in the reference's units; NaN where nothing was ever seen."""
    values = _as_reference(window)
    return np.stack([weighted_median(values[:, b], weights) for b in range(values.shape[1])])


def apron_scene(window: Window, baseline: Array, t: int, taken: Mask | None) -> ApronScene | None:
    """Fit one scene to the bare apron over ground not `taken`; None where too little of it can be seen."""
    known = window.usable[t] & np.isfinite(baseline).all(axis=0)
    ground = known & ~window.blocked
    if ground.sum() < LEAST_GROUND or not (known & window.inside).any():
        return None
    free = ground if taken is None else ground & ~taken
    if free.sum() < LEAST_GROUND:
        free = ground
    expected = window.gain[t][:, None, None] * baseline + window.offset[t][:, None, None]
    apron = free & window.inside if (free & window.inside).any() else free
    usual = np.median(expected[:, apron], axis=1)
    dark = dark_under(window.dark[t], usual)
    level = np.maximum(usual - dark, 1e-6)
    predicted = light(expected.astype(np.float32), dark, level)
    change = light(window.pixels[t][:, free], dark, level) - predicted[:, free]
    shift = np.clip(np.median(change, axis=1), -LARGEST_SHIFT, LARGEST_SHIFT)
    noise = float(spread((change - shift[:, None]).mean(axis=0)))
    return ApronScene(predicted + shift[:, None, None], dark, level * np.exp(shift), max(noise, 0.005))


def _changes(window: Window, scene: ApronScene, t: int) -> tuple[Array, Array]:
    """Logarithms of a scene's light over the apron's usual light, and over what bare ground would show."""
    seen = light(window.pixels[t], scene.dark, scene.level)
    return seen - np.log(scene.level)[:, None, None].astype(np.float32), seen - scene.predicted


def describe_apron(window: Window, scenes: list[ApronScene | None], baseline: Array) -> list[Array | None]:
    """(row, column, channel) pictures of an apron, one for each scene that shows it, in the order of `CHANNELS`."""
    found: list[tuple[tuple[Array, Array, Array], tuple[Array, Array, Array]] | None] = []
    usual = []
    finite = np.isfinite(baseline).all(axis=0)
    with np.errstate(invalid="ignore"):
        for t, scene in enumerate(scenes):
            if scene is None:
                found.append(None)
                continue
            contrast, change = (parts_of(logs, window.bands) for logs in _changes(window, scene, t))
            found.append((contrast, change))
            usual.append(np.where(window.usable[t] & finite, np.abs(change[0]), np.nan).astype(np.float32))
    if not usual:
        return [None] * len(scenes)
    sizes = np.stack(usual)
    usually = MAD_TO_SIGMA * weighted_median(sizes, np.isfinite(sizes).astype(np.float32))
    unrest = np.log(0.02 + np.nan_to_num(usually, nan=0.1)) + 2.5
    still = [window.inside.astype(np.float32), window.blocked.astype(np.float32)]
    pictures: list[Array | None] = []
    for t, parts in enumerate(found):
        scene = scenes[t]
        if parts is None or scene is None:
            pictures.append(None)
            continue
        seen = window.usable[t] & finite
        bright = [np.clip(parts[1][0], -DEEPEST, DEEPEST), np.arcsinh(parts[1][0] / (3 * scene.noise)) / 2]
        shown = (
            bright + [np.clip(p, -1.5, 1.5) for p in parts[1][1:]] + [np.clip(p, -DEEPEST, DEEPEST) for p in parts[0]]
        )
        shown = [np.where(seen, part, 0) for part in shown]
        pictures.append(np.stack([*shown, unrest, seen, *still], axis=-1).astype(np.float32))
    return pictures


def scalars_of(window: Window, scene: ApronScene, t: int) -> Array:
    """(len(SCALARS),) what holds for a whole look, its shadows as `turn` leaves them."""
    steps = np.sort(np.abs(window.shadows[t]))[::-1]
    reach = float(np.hypot(*steps))
    steps = steps * min(reach, 5.0) / max(reach, 1e-6) / 2
    colour = {"red", "blue"} <= set(window.bands)
    infrared = "nir" in window.bands and len(window.bands) > 1
    likeness = min(float(window.gain[t].min()), 2.0)
    noise = math.log(scene.noise) + 2.5
    return np.array([*steps, float(reach > 0), noise, likeness, float(infrared), float(colour)], dtype=np.float32)


def turn(picture: NDArray[Number], shadow: Numbers) -> NDArray[Number]:
    """Mirror and transpose (row, column, …) so that shadows fall towards higher rows, and less so columns."""
    picture = picture[:: -1 if shadow[0] < 0 else 1, :: -1 if shadow[1] < 0 else 1]
    return picture.swapaxes(0, 1) if abs(shadow[1]) > abs(shadow[0]) else picture


def turn_back(picture: NDArray[Number], shadow: Numbers) -> NDArray[Number]:
    """Undo `turn`."""
    picture = picture.swapaxes(0, 1) if abs(shadow[1]) > abs(shadow[0]) else picture
    return picture[:: -1 if shadow[0] < 0 else 1, :: -1 if shadow[1] < 0 else 1]


def second_weights(window: Window, first: Array, taken: Mask) -> Array:
    """Weights as `first_weights`, with what was found covered left out wherever any other look shows the place."""
    clarity = clarity_of(window.gain)[:, None, None]
    bare = np.maximum(first, 0.3 * clarity * window.usable)
    return np.asarray(np.where(taken, TAKEN * bare, bare), dtype=np.float32)
