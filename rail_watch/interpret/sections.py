"""Cross-sections of a track as numbers that mean the same at every scene: what the network is shown.

Each step of a track is described by what lies under it and up to some metres to either side, zone by zone: how its
brightness and colour differ from empty track as the baseline predicts it (free of the scene's own gain, haze and dark
level), how they differ from the rest of the track in the very same picture, how restless the place is over the
series, and whether it could be seen. All in logarithms of light above the dark level, so that sun and season drop out.
Sections are turned so that shadows always fall towards positive offsets.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rail_watch.interpret.shadows import Sun
from rail_watch.interpret.strips import Neighbour

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]

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
    "others",
)
SCALARS = (
    "reach of shadows",
    "shear of shadows",
    "sun",
    "noise",
    "likeness to the reference",
    "filled",
    "NIR",
    "colour",
)
DEEPEST = 2.5
"""Logarithms are bounded to this: a twelfth to twelvefold of the light."""
VISIBLE = ("coastal", "blue", "green", "yellow", "red", "pan")


def light(values: Array, dark: NDArray[np.float64], level: NDArray[np.float64]) -> Array:
    """Logarithm of the light above the dark level, bounded below at a twentieth of the ground's. values: (B, ...)."""
    shape = (len(values),) + (1,) * (values.ndim - 1)
    floor = (0.05 * level).reshape(shape).astype(np.float32)
    return np.log(np.maximum(values - dark.reshape(shape).astype(np.float32), floor))


def parts_of(logs: Array, bands: Sequence[str]) -> tuple[Array, Array, Array]:
    """(B, ...) logarithms to brightness over the visible bands, near infrared against it, and red against blue."""
    visible = [b for b, name in enumerate(bands) if name in VISIBLE] or list(range(len(bands)))
    bright = logs[visible].mean(axis=0)
    zero = np.zeros_like(bright)
    infrared = logs[bands.index("nir")] - bright if "nir" in bands and len(bands) > 1 else zero
    hue = logs[bands.index("red")] - logs[bands.index("blue")] if {"red", "blue"} <= set(bands) else zero
    return bright, infrared, hue


def others_near(near: Sequence[Neighbour], shape: tuple[int, ...]) -> Array:
    """(S, O) how near each sample lies to the centre line of another track: 1 on it, 0 some metres away."""
    out = np.zeros(shape, dtype=np.float32)
    for other in near:
        distance = np.where(np.isfinite(other.offset_m), other.offset_m, 1e3)
        out = np.maximum(out, np.exp(-((distance / 2.0) ** 2)).astype(np.float32))
    return out


def stacked(
    change: tuple[Array, Array, Array], contrast: tuple[Array, Array, Array], *, noise: float, around: Sequence[Array]
) -> Array:
    """(S, channels, O) the channels of one look; `around` is unrest, seen and others."""
    seen = around[1]
    bright = np.clip(change[0], -DEEPEST, DEEPEST)
    parts = [bright, np.arcsinh(change[0] / (3 * noise)) / 2]
    parts += [np.clip(part, -1.5, 1.5) for part in change[1:]]
    parts += [np.clip(part, -DEEPEST, DEEPEST) for part in contrast]
    shown = [np.where(seen > 0, part, 0).astype(np.float32) for part in parts]
    return np.stack([*shown, *around], axis=1)


def scalars(sun: Sun, *, noise: float, likeness: float, bands: Sequence[str]) -> Array:
    """What holds for a whole look, in the order of `SCALARS` (with the one that is given step by step left at 0)."""
    colour = float({"red", "blue"} <= set(bands))
    values = (
        min(sun.across, 5.0) / 2,
        sun.shear / 3,
        float(sun.side != 0),
        np.log(max(noise, 1e-3)) + 2.5,
        min(likeness, 2.0),
        0.0,
        float("nir" in bands and len(bands) > 1),
        colour,
    )
    return np.array(values, dtype=np.float32)


def turned(section: Array, sun: Sun) -> Array:
    """Return the section with shadows towards positive offsets. section: (S, channels, O)."""
    return section[..., ::-1] if sun.side < 0 else section
