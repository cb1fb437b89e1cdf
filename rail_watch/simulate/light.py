"""Sun and sky on the canvas: cast shadows, sloping surfaces, what an oblique view hides."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from rail_watch.simulate.canvas import Canvas, Plane
from rail_watch.simulate.frame import Frame
from rail_watch.sun import SunPosition

SKY_SHARE = np.array([0.175, 0.140, 0.112, 0.080], dtype=np.float32)
"""Diffuse share of the light on level ground under a clear sky and a high sun, by band; grows as 1 / sin(elevation)."""
MIN_ELEVATION_DEG = 4.0


def _shifted(plane: Plane, rows: int, cols: int, fill: float) -> Plane:
    """Return plane[r + rows, c + cols], `fill` outside."""
    out = np.full_like(plane, fill)
    height, width = plane.shape
    if abs(rows) >= height or abs(cols) >= width:
        return out
    to_r, from_r = slice(max(0, -rows), min(height, height - rows)), slice(max(0, rows), min(height, height + rows))
    to_c, from_c = slice(max(0, -cols), min(width, width - cols)), slice(max(0, cols), min(width, width + cols))
    out[to_r, to_c] = plane[from_r, from_c]
    return out


def sunlit(height: Plane, frame: Frame, sun: SunPosition) -> NDArray[np.bool_]:
    """Return which cells the sun's centre reaches.

    A ray goes from each cell toward the sun in steps of one cell; the cell is dark when the ground is
    higher than the ray anywhere: height(p + k d) > height(p) + k |d| tan(elevation).
    """
    x, y = frame.toward(sun.azimuth_deg)
    rise = frame.step_m * math.tan(math.radians(max(sun.elevation_deg, MIN_ELEVATION_DEG)))
    steps = math.ceil(float(height.max() - height.min()) / rise)
    tallest = height.copy()
    tallest[:] = -np.inf
    for k in range(1, steps + 1):
        moved = _shifted(height, -round(k * y), round(k * x), -1e3)
        moved -= np.float32(k * rise)
        np.maximum(tallest, moved, out=tallest)
    return tallest <= height + np.float32(0.05)


def open_sky(height: Plane, frame: Frame) -> Plane:
    """Return the share of the sky a cell sees, from how far it lies below its surroundings (a rough measure)."""
    share = np.ones_like(height)
    for scale_m in (1.5, 5.0):
        around = ndimage.gaussian_filter(np.maximum(height, -7), scale_m / frame.step_m, mode="nearest")
        share -= np.float32(0.22) * np.clip((around - height) / np.float32(scale_m), 0, 1)
    return share


def lighting(canvas: Canvas, sun: SunPosition, dark: Plane) -> Plane:
    """Return (4, rows, columns) light on the canvas as a share of that on open level ground.

    `dark` is the share of the sun's beam that clouds and thin things in the air take away.
    """
    elevation = math.radians(max(sun.elevation_deg, MIN_ELEVATION_DEG))
    x, y = canvas.frame.toward(sun.azimuth_deg)
    steep = 1 / np.sqrt(1 + canvas.slope[0] ** 2 + canvas.slope[1] ** 2)
    facing = steep * (1 + (canvas.slope[0] * x + canvas.slope[1] * y) / math.tan(elevation))
    beam = sunlit(canvas.height, canvas.frame, sun) * np.maximum(facing, 0) * (1 - dark)
    diffuse = np.minimum(SKY_SHARE / math.sin(elevation) ** 0.9, 0.8)[:, None, None]
    sky = open_sky(canvas.height, canvas.frame) * (1 - 0.35 * dark)
    return np.asarray((1 - diffuse) * beam + diffuse * sky, dtype=np.float32)


def seen_from(
    canvas: Canvas, off_nadir_deg: float, view_azimuth_deg: float
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return which cell an oblique view sees at each place of the orthophoto, and whether it sees a wall there.

    Tall things lean away from the sensor: a top of height h appears h tan(off-nadir) further off. The ray is
    followed from above, so the first surface met is the one seen. Flat indices into the canvas.
    """
    rows, cols = canvas.frame.shape
    row, col = np.mgrid[0:rows, 0:cols]
    seen, wall = row * cols + col, np.zeros((rows, cols), dtype=bool)
    lean = math.tan(math.radians(off_nadir_deg))
    x, y = canvas.frame.toward(view_azimuth_deg)
    step = max(canvas.frame.step_m * 0.7 / max(lean, 1e-6), 0.05)
    open_ = np.ones((rows, cols), dtype=bool)
    for level in np.arange(float(canvas.height.max()), 0.2, -step):
        offset = level * lean / canvas.frame.step_m
        at_row, at_col = round(-offset * y), round(offset * x)
        there = _shifted(canvas.height, at_row, at_col, -10.0)
        hit = open_ & (there >= level)
        wall[hit] = there[hit] > level + step
        seen[hit] += at_row * cols + at_col
        open_ &= ~hit
    return seen, wall
