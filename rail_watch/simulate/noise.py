"""Random texture that belongs to the ground: the same at every cell size, for the same seed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rail_watch.simulate.frame import Frame

Plane = NDArray[np.float32]


def hashed(x: NDArray[np.int64], y: NDArray[np.int64], seed: int) -> NDArray[np.float32]:
    """Return a fixed random number in [-1, 1) for every lattice point (splitmix64 of its coordinates)."""
    with np.errstate(over="ignore"):
        state = (x.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)) ^ (
            y.astype(np.uint64) * np.uint64(0xC2B2AE3D27D4EB4F)
            + np.uint64(seed & 0xFFFFFFFF) * np.uint64(0xD6E8FEB86659FD93)
        )
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            state = (state ^ (state >> np.uint64(shift))) * np.uint64(factor)
        state ^= state >> np.uint64(31)
    return ((state >> np.uint64(40)).astype(np.float32) / np.float32(1 << 23)) - np.float32(1)


def _weights(positions: NDArray[np.float64]) -> tuple[NDArray[np.int64], Plane]:
    whole = np.floor(positions).astype(np.int64)
    part = (positions - whole).astype(np.float32)
    return whole, part * part * (3 - 2 * part)


def octave(frame: Frame, scale_m: float, seed: int) -> Plane:
    """Return smooth noise of one scale over the frame, mean 0, standard deviation about 0.45."""
    x, y = frame.axes()
    col, across = _weights(x / scale_m)
    row, down = _weights(y / scale_m)
    lattice_x, lattice_y = np.arange(col.min(), col.max() + 2), np.arange(row.min(), row.max() + 2)
    lattice = hashed(lattice_x[None, :], lattice_y[:, None], seed)
    at_row = row - lattice_y[0]
    lines = lattice[at_row] * (1 - down)[:, None] + lattice[at_row + 1] * down[:, None]
    at_col = col - lattice_x[0]
    smooth: Plane = lines[:, at_col] * (1 - across) + lines[:, at_col + 1] * across
    return smooth


def fractal(frame: Frame, coarsest_m: float, seed: int, *, octaves: int = 5, gain: float = 0.62) -> Plane:
    """Return noise of several scales, each half the last, finer than the cell left out; about -1 to 1."""
    total = np.zeros(frame.shape, dtype=np.float32)
    weight, squares, scale = 1.0, 0.0, coarsest_m
    for number in range(octaves):
        if scale >= 1.5 * frame.step_m:
            total += np.float32(weight) * octave(frame, scale, seed * 31 + number)
        squares += weight**2
        weight, scale = weight * gain, scale / 2.03
    scaled: Plane = total / np.float32(squares**0.5 * 0.9)
    return scaled


def smoothstep(values: Plane, low: float, high: float) -> Plane:
    """Return 0 below `low`, 1 above `high`, a smooth step between."""
    part = np.clip((values - np.float32(low)) / np.float32(high - low), 0, 1)
    return np.asarray(part * part * (3 - 2 * part), dtype=np.float32)
