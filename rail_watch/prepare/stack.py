"""The prepared stack: every scene of one sensor on one grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rail_watch.grid import Grid
from rail_watch.imagery.scene import SceneRef


@dataclass(frozen=True)
class Stack:
    """Aligned scenes of one sensor over one site, in time order."""

    sensor: str
    """Name of the group for people: platform family and GSD."""
    grid: Grid
    gsd_m: float
    bands: tuple[str, ...]
    scenes: tuple[SceneRef, ...]
    pixels: NDArray[np.float32]
    """(time, band, row, column) reflectance (or the unit of the product), aligned, not normalised;
    NaN where nothing was measured (outside, nodata, read-failed). Cloud keeps its pixels."""
    quality: NDArray[np.uint8]
    """(time, row, column) of `Quality`."""
    shift_m: NDArray[np.float64]
    """(time, 2) east, north: where a feature appears in the scene minus where it truly lies, as removed."""
    shift_error_m: NDArray[np.float64]
    """(time,) standard error of the shift, NaN where it could not be measured."""
