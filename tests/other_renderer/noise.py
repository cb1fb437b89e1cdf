"""Random textures."""

from __future__ import annotations

import numpy as np
from scipy import ndimage


def smooth(rng: np.random.Generator, shape: tuple[int, int], size: float) -> np.ndarray:
    """Unit-variance noise with features of about `size` pixels."""
    if size <= 1:
        return rng.standard_normal(shape, dtype=np.float32)
    coarse = [int(np.ceil(n / size)) + 4 for n in shape]
    field = rng.standard_normal(coarse).astype(np.float32)
    start = rng.uniform(1, 2, 2)
    rows = (start[0] + np.arange(shape[0]) / size).astype(np.float32)
    cols = (start[1] + np.arange(shape[1]) / size).astype(np.float32)
    out = _spline_axis(_spline_axis(field, rows).T, cols).T
    return out / max(float(out.std()), 1e-6)


def _spline_axis(field: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Interpolate along the first axis with a cubic B-spline kernel."""
    k = np.floor(at).astype(int)
    t = (at - k)[:, None]
    weights = ((1 - t) ** 3 / 6, (3 * t**3 - 6 * t**2 + 4) / 6, (-3 * t**3 + 3 * t**2 + 3 * t + 1) / 6, t**3 / 6)
    last = field.shape[0] - 1
    return sum(w * field[np.clip(k + j - 1, 0, last)] for j, w in enumerate(weights)).astype(np.float32)


def fractal(rng: np.random.Generator, shape: tuple[int, int], sizes: tuple[float, ...]) -> np.ndarray:
    """Sum of `smooth` fields, larger features stronger; unit variance."""
    total = np.zeros(shape, np.float32)
    for size in sizes:
        total += smooth(rng, shape, size) * np.float32(size**0.35)
    return total / max(float(total.std()), 1e-6)


def blur(image: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian blur of the last two axes."""
    if sigma <= 0:
        return image
    axes = (0,) * (image.ndim - 2) + (sigma, sigma)
    return ndimage.gaussian_filter(image, axes, mode="nearest", truncate=3.5)
