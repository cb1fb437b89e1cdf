"""The ground of one moment as planes of colour, height and slope, and how to paint on them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from rail_watch.simulate.frame import Frame, Points, Window
from rail_watch.simulate.materials import Material

Plane = NDArray[np.float32]


@dataclass
class Canvas:
    """Painted in place while one scene is built."""

    frame: Frame
    colour: Plane
    """(4, rows, columns) reflectance in `materials.BANDS`."""
    height: Plane
    """(rows, columns) metres above the plain; water may lie below 0."""
    slope: Plane
    """(2, rows, columns) horizontal part of the surface normal (x, y), for roofs and round bodies."""
    snow_hold: Plane
    """(rows, columns) how readily snow lies here, 0 to 1."""
    texture: tuple[Plane, Plane]
    """Fine and coarse noise of the ground, about -1 to 1; every material wears them in its own strength."""

    def copy(self) -> Canvas:
        """Return a canvas that can be painted on without touching this one."""
        return Canvas(
            self.frame, self.colour.copy(), self.height.copy(), self.slope.copy(), self.snow_hold.copy(), self.texture
        )


@dataclass(frozen=True)
class Local:
    """A thing's own coordinates over the cells round it."""

    window: Window
    u: Plane
    """Metres along the thing from its centre."""
    v: Plane
    """Metres to its left."""
    heading: float
    """Radians, anticlockwise from the frame's x axis to its u axis."""
    step_m: float

    def box(self, half_u: float, half_v: float) -> Plane:
        """Return the share of each cell inside the box |u| < half_u, |v| < half_v."""
        return self.span(self.u, half_u) * self.span(self.v, half_v)

    def span(self, values: Plane, half: float) -> Plane:
        """Return the share of each cell in which |values| < half."""
        soft = np.float32(self.step_m)
        return np.clip((half - np.abs(values)) / soft + 0.5, 0, min(1.0, 2 * half / self.step_m)).astype(np.float32)

    def between(self, values: Plane, low: float, high: float) -> Plane:
        """Return the share of each cell in which low < values < high."""
        return self.span(values - np.float32((low + high) / 2), (high - low) / 2)

    def normal(self, along: Plane | float, across: Plane | float) -> Plane:
        """Return a slope given along u and v as (2, …) in the frame's x and y."""
        c, s = math.cos(self.heading), math.sin(self.heading)
        return np.stack(np.broadcast_arrays(c * along - s * across, s * along + c * across)).astype(np.float32)


def local(frame: Frame, centre: Points, *, heading: float, half: tuple[float, float]) -> Local | None:
    """Return a thing's coordinates over the cells near it, None when it lies off the canvas.

    `half` is half its length and half its width, metres.
    """
    c, s = math.cos(heading), math.sin(heading)
    reach_x = abs(c) * half[0] + abs(s) * half[1] + frame.step_m
    reach_y = abs(s) * half[0] + abs(c) * half[1] + frame.step_m
    window = frame.window((centre[0] - reach_x, centre[1] - reach_y, centre[0] + reach_x, centre[1] + reach_y))
    if window is None:
        return None
    x, y = frame.axes()
    dx = (x[window[1]] - centre[0]).astype(np.float32)[None, :]
    dy = (y[window[0]] - centre[1]).astype(np.float32)[:, None]
    return Local(
        window, np.float32(c) * dx + np.float32(s) * dy, np.float32(-s) * dx + np.float32(c) * dy, heading, frame.step_m
    )


def dressed(canvas: Canvas, material: Material, window: Window) -> Plane:
    """Return (4, …) a material with the ground's texture on it."""
    fine, coarse = canvas.texture[0][window], canvas.texture[1][window]
    shade = 1 + np.float32(material.rough) * fine + np.float32(material.mottle) * coarse
    return material.spectrum[:, None, None] * np.maximum(shade, np.float32(0.3))


@dataclass(frozen=True)
class Coat:
    """One coat of paint."""

    colour: Plane
    """(4,) or (4, …)."""
    height: Plane | float | None = None
    """None leaves it."""
    slope: Plane | None = None
    """(2, …); None means flat where a height is given."""
    snow: float = 1.0


def lay(canvas: Canvas, window: Window, cover: Plane, coat: Coat) -> None:
    """Paint a coat where `cover` says (share of each cell, 0 to 1)."""
    colour = coat.colour if coat.colour.ndim == 3 else coat.colour[:, None, None]
    area = canvas.colour[:, window[0], window[1]]
    area += cover * (colour - area)
    canvas.snow_hold[window] += cover * (np.float32(coat.snow) - canvas.snow_hold[window])
    if coat.height is None:
        return
    on = cover >= 0.5
    np.copyto(canvas.height[window], np.asarray(coat.height, dtype=np.float32), where=on)
    slope = np.float32(0) if coat.slope is None else coat.slope
    np.copyto(canvas.slope[:, window[0], window[1]], slope, where=on)


def cover_of(frame: Frame, shape: BaseGeometry) -> tuple[Window, Plane] | None:
    """Return the cells a polygon in frame metres touches and the share of each inside it (4 x 4 points a cell)."""
    from rasterio.features import rasterize  # GDAL loads with it; the rest of this module needs only numpy
    from rasterio.transform import Affine

    if shape.is_empty:
        return None
    window = frame.window(shape.bounds)
    if window is None:
        return None
    rows, cols = window[0].stop - window[0].start, window[1].stop - window[1].start
    fine = 4 if rows * cols < 1_000_000 else 2
    step = frame.step_m / fine
    transform = Affine(
        step, 0, frame.left + window[1].start * frame.step_m, 0, -step, frame.top - window[0].start * frame.step_m
    )
    mask = rasterize([(shape, 1)], out_shape=(rows * fine, cols * fine), transform=transform, dtype="uint8")
    cover = mask.reshape(rows, fine, cols, fine).mean(axis=(1, 3), dtype=np.float32)
    return window, cover


def fill(canvas: Canvas, shape: BaseGeometry, material: Material, *, height: float | None = None) -> None:
    """Paint a polygon in frame metres with a material."""
    found = cover_of(canvas.frame, shape)
    if found is None:
        return
    window, cover = found
    lay(canvas, window, cover, Coat(dressed(canvas, material, window), height, None, material.snow))


def whole(frame: Frame) -> Window:
    """Return the window of every cell."""
    return slice(0, frame.shape[0]), slice(0, frame.shape[1])


def parts(shape: BaseGeometry) -> list[BaseGeometry]:
    """Return the single geometries of a geometry."""
    return list(shapely.get_parts(shape))
