"""What the sky and the season put over the ground: snow, wet, haze, clouds and their shadows."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from rail_watch.simulate.canvas import Canvas, Plane
from rail_watch.simulate.frame import Frame
from rail_watch.simulate.materials import CLOUD, SNOW
from rail_watch.simulate.noise import fractal, smoothstep
from rail_watch.sun import SunPosition

CLOUD_BASE_M = 1400.0
HAZE = np.array([0.050, 0.034, 0.022, 0.010], dtype=np.float32)
"""Path radiance, as reflectance, of haze of strength 1; thin haze (0.1) is always there."""


@dataclass(frozen=True)
class Weather:
    """The air and the ground's wetness in one scene; every number from 0 to 1."""

    cloud: float = 0.0
    """Share of the site under cloud."""
    haze: float = 0.1
    snow: float = 0.0
    """Share of the open ground under snow."""
    wet: float = 0.0


@dataclass(frozen=True)
class Region:
    """The cells of a raster that a share is a share of."""

    frame: Frame
    cells: NDArray[np.bool_]


@dataclass(frozen=True)
class Sky:
    """Clouds over the canvas."""

    opacity: Plane
    """Share of the ground's light the cloud hides, and replaces by its own."""
    shadow: Plane
    """Share of the sun's beam that clouds take."""


def lay_snow(canvas: Canvas, weather: Weather, seed: int) -> Plane:
    """Snow over what holds it, patchy where there is little; return the share of each cell under snow."""
    if weather.snow <= 0:
        return np.zeros(canvas.frame.shape, dtype=np.float32)
    patches = fractal(canvas.frame, 40.0, seed + 71, octaves=7, gain=0.66)
    edge = 0.5 * NormalDist().inv_cdf(1 - min(weather.snow, 0.995))  # the noise is about normal, deviation 0.5
    ready = patches + 1.2 * (canvas.snow_hold - 1) + 0.15 * canvas.texture[0]
    share = smoothstep(ready.astype(np.float32), edge - 0.3, edge + 0.3) * np.sqrt(np.clip(canvas.snow_hold, 0, 1))
    share *= np.float32(0.92)
    shade = SNOW[:, None, None] * (1 + 0.05 * canvas.texture[0] + 0.03 * canvas.texture[1])
    canvas.colour += share * (shade - canvas.colour)
    return share.astype(np.float32)


def wet_ground(canvas: Canvas, weather: Weather) -> None:
    """Darken what is wet: porous ground loses up to a third of its light (Lekner & Dorf 1988), roofs less."""
    if weather.wet > 0:
        porous = np.where(canvas.height < 0.6, 0.34, 0.12)
        canvas.colour *= (1 - weather.wet * porous).astype(np.float32)


def clouds(over: Region, weather: Weather, sun: SunPosition, seed: int) -> Sky:
    """Return the clouds and where their shadows fall.

    One field of noise at cloud height, seen overhead and along the sun's rays: `weather.cloud` of the site lies
    under it, somewhat less in the shadow of clouds further off.
    """
    frame = over.frame
    if weather.cloud <= 0:
        clear = np.zeros(frame.shape, dtype=np.float32)
        return Sky(clear, clear)
    far = CLOUD_BASE_M / math.tan(math.radians(max(sun.elevation_deg, 8.0)))
    x, y = frame.toward(sun.azimuth_deg)
    toward_sun = replace(frame, left=frame.left + x * far, top=frame.top + y * far)
    above, between = _billows(frame, seed), _billows(toward_sun, seed)
    edge = _edge(above[over.cells], weather.cloud)
    dark_edge = _edge(between[over.cells], 0.8 * weather.cloud if weather.cloud < 1 else 1.0)
    return Sky(
        smoothstep(above, edge - 0.11, edge + 0.17) * np.float32(0.97),
        smoothstep(between, dark_edge - 0.175, dark_edge + 0.125) * np.float32(0.8),
    )


def _edge(field: Plane, cover: float) -> float:
    """Return the level that leaves a share of the field above it; overcast is well above everywhere."""
    return float(np.quantile(field, 1 - cover)) if cover < 1 else float(field.min()) - 0.4


def _billows(frame: Frame, seed: int) -> Plane:
    return fractal(frame, 320.0, seed + 72, octaves=8, gain=0.55)


def through_air(light: Plane, sky: Sky, weather: Weather, texture: Plane) -> Plane:
    """Return (4, …) what comes up through haze and cloud."""
    hazy = light * np.float32(1 - 0.25 * weather.haze) + (HAZE * weather.haze)[:, None, None]
    bright = CLOUD[:, None, None] * (0.86 + 0.12 * sky.opacity + 0.015 * texture)
    return np.asarray(hazy + sky.opacity * (bright - hazy), dtype=np.float32)
