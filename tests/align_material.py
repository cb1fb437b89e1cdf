"""Ground made in code for the tests of alignment: texture, roofs, and shadows that move with the sun."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from rail_watch.prepare.align import Image


def ground(shape: tuple[int, int] = (160, 176), *, seed: int = 1, objects: int = 45) -> NDArray[np.float64]:
    """(row, column) reflectance of lit ground: fields, fine texture, bright and dark roofs; wraps at its edges."""
    rng = np.random.default_rng(seed)
    out = 0.15 + 0.02 * texture(shape, 6.0, rng) + 0.006 * texture(shape, 1.2, rng)
    for row, col in _places(shape, objects, rng):
        height, width = rng.integers(3, 8, 2)
        out[row : row + height, col : col + width] = rng.choice([0.08, 0.25, 0.32])
    return ndimage.gaussian_filter(out, 0.6, mode="wrap")


def texture(shape: tuple[int, int], size: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Unit-variance noise that wraps at its edges."""
    field = ndimage.gaussian_filter(rng.standard_normal(shape), size, mode="wrap")
    return np.asarray(field / field.std())


def in_shade(
    lit: NDArray[np.float64], step: tuple[int, int], *, seed: int = 2, objects: int = 40
) -> NDArray[np.float64]:
    """The same ground with the shadows of trees that end `step` pixels from their feet."""
    rng = np.random.default_rng(seed)
    shade = np.zeros(lit.shape)
    for row, col in _places(lit.shape, objects, rng):
        for part in np.linspace(0, 1, 8):
            r, c = int(round(row + part * step[0])), int(round(col + part * step[1]))
            shade[r : r + 3, c : c + 3] = 1
    return np.asarray(lit * (1 - 0.65 * ndimage.gaussian_filter(shade, 0.6)))


def _places(shape: tuple[int, int], count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    return rng.integers((12, 12), (shape[0] - 20, shape[1] - 20), (count, 2))


def displaced(image: NDArray[np.float64], row_px: float, col_px: float) -> NDArray[np.float64]:
    """Move every feature down and right, exactly: a phase ramp on a picture that wraps."""
    return np.asarray(fft.ifft2(ndimage.fourier_shift(fft.fft2(image), (row_px, col_px))).real)


def seen(image: NDArray[np.float64], *, noise: float = 0.002, seed: int = 3, gain: float = 1.0) -> Image:
    """(4, row, column) as a sensor sees it: bands of other brightness, haze, noise."""
    rng = np.random.default_rng(seed)
    bands = [gain * scale * image + haze for scale, haze in ((0.6, 0.05), (0.8, 0.03), (1.0, 0.01), (1.5, 0.0))]
    return np.stack([band + rng.normal(0, noise, image.shape) for band in bands]).astype(np.float32)
