"""Sub-pixel co-registration by masked least squares, with an error and a refusal.

Coarse: masked cross-correlation by FFT. Fine: Gauss-Newton on the sum of squared differences with a
free gain and offset per band and Tukey weights, so that what has changed does not pull (Lucas and
Kanade, IJCAI 1981; Baker and Matthews, IJCV 2004, doi:10.1023/B:VISI.0000011205.11775.fd).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

Image = NDArray[np.float32]
Mask = NDArray[np.bool_]

MIN_PIXELS = 80
"""Fewer usable pixels than this cannot carry a sub-pixel shift of two unknowns at 0.05 px."""
BACKGROUND_PX = 8.0
"""Scale of the slow background (haze, illumination) removed before comparing."""
TAPS = 4
"""Half-length of the Lanczos kernel."""
LARGE = 600_000
"""Larger images are aligned on one band, and finely on their most telling blocks: there is more than enough to see."""
BLOCK_PX = 160
BLOCKS = 20
TUKEY = 2.5
"""Residuals beyond this many robust deviations (what moved: shadows, vehicles) have no say."""
SMOOTHING_PX = 0.7
"""Both images are smoothed alike, so that noise does not flatten the gradients."""


@dataclass(frozen=True)
class Shift:
    """Where a feature appears in an image minus where it lies in the reference."""

    row_px: float
    col_px: float
    error_px: float
    """Standard error of each component, from the agreement of tiles; NaN when not measured."""
    correlation: float
    """Correlation of image and reference after alignment, over the mask."""


def high_pass(image: Image, mask: Mask) -> Image:
    """Remove the slow background by normalised convolution; 0 outside the mask. (band, row, col)."""
    weight = ndimage.gaussian_filter(mask.astype(np.float32), BACKGROUND_PX) + 1e-6
    out = np.empty_like(image)
    for index, band in enumerate(image):
        filled = np.where(mask, band, 0).astype(np.float32)
        slow = ndimage.gaussian_filter(filled, BACKGROUND_PX) / weight
        filled = np.where(mask, band - slow, 0).astype(np.float32)
        out[index] = ndimage.gaussian_filter(filled, SMOOTHING_PX)
    return out


def coarse_shift(reference: Image, image: Image, *, reach_px: int) -> tuple[int, int]:
    """Return the whole-pixel shift (row, col) with the highest summed cross-correlation.

    Both images are high-passed and 0 where they cannot be used.
    """
    shape = tuple(fft.next_fast_len(int(n) + 2 * reach_px, real=True) for n in reference.shape[-2:])
    spectrum = np.zeros((shape[0], shape[1] // 2 + 1), dtype=np.complex64)
    for a, b in zip(reference, image, strict=True):
        scale = float(np.linalg.norm(a) * np.linalg.norm(b)) or 1.0
        spectrum += np.conj(fft.rfft2(a, shape)) * fft.rfft2(b, shape) / scale
    surface = fft.irfft2(spectrum, shape)
    rows = np.arange(-reach_px, reach_px + 1)
    window = surface[np.ix_(rows % shape[0], rows % shape[1])]
    row, col = np.unravel_index(int(np.argmax(window)), window.shape)
    return int(rows[row]), int(rows[col])


def _kernel(fraction: float) -> NDArray[np.float64]:
    """Lanczos-4 weights that read a signal `fraction` of a sample further on, summing to 1."""
    x = np.arange(-TAPS, TAPS + 1) - fraction
    weights = np.where(np.abs(x) < TAPS, np.sinc(x) * np.sinc(x / TAPS), 0)
    return np.asarray(weights / weights.sum())


def translate(image: NDArray[np.float32], row_px: float, col_px: float) -> NDArray[np.float32]:
    """Return image(row + row_px, col + col_px) on the same grid, by separable Lanczos-4. (band, row, col)."""
    whole = np.round([row_px, col_px]).astype(int)
    rows, cols = (np.clip(np.arange(n) + w, 0, n - 1) for n, w in zip(image.shape[-2:], whole, strict=True))
    moved = image[:, rows][:, :, cols]
    for axis, fraction in ((-2, row_px - whole[0]), (-1, col_px - whole[1])):
        if abs(fraction) > 1e-5:
            moved = ndimage.correlate1d(moved, _kernel(fraction), axis=axis, mode="nearest", output=np.float32)
    return moved


def _tukey(residual: NDArray[np.float32], scale: float) -> NDArray[np.float32]:
    ratio = np.clip(np.abs(residual) / (TUKEY * scale + 1e-12), 0, 1)
    return ((1 - ratio**2) ** 2).astype(np.float32)


def _step(reference: Image, moved: Image, mask: Mask) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """One Gauss-Newton step: the (2,) correction in pixels and its (2, 2) normal matrix."""
    normal = np.zeros((2, 2))
    right = np.zeros(2)
    for a, b in zip(reference, moved, strict=True):
        x, y = a[mask], b[mask]
        gain = float(x @ y) / (float(x @ x) + 1e-12)
        residual = y - gain * x
        scale = 1.4826 * float(np.median(np.abs(residual)))
        if scale <= 0 or gain <= 0:
            continue
        weight = _tukey(residual, scale)
        gain = float((weight * x) @ y) / (float((weight * x) @ x) + 1e-12)
        residual = y - gain * x
        # The mean of both images' gradients halves the bias that noise gives to either alone.
        gradient = np.gradient(0.5 * (gain * a + b))
        jacobian = np.stack([g[mask] for g in gradient], axis=1).astype(np.float64)
        weighted = jacobian * weight[:, None] / scale**2
        normal += weighted.T @ jacobian
        right -= weighted.T @ residual
    if np.linalg.cond(normal) > 1e8 or not np.isfinite(normal).all():
        return np.full(2, np.nan), normal
    return np.linalg.solve(normal, right), normal


def _correlation(reference: Image, moved: Image, mask: Mask) -> float:
    values = []
    for a, b in zip(reference, moved, strict=True):
        x, y = a[mask], b[mask]
        values.append(float(x @ y) / (float(np.sqrt((x @ x) * (y @ y))) + 1e-12))
    return float(np.max(values))


def _tile_error(reference: Image, moved: Image, mask: Mask) -> float:
    """Standard error of the shift from the scatter of its last correction over tiles."""
    corrections, weights = [], []
    for rows in np.array_split(np.arange(mask.shape[0]), 4):
        for cols in np.array_split(np.arange(mask.shape[1]), 4):
            tile = np.zeros_like(mask)
            tile[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1] = True
            tile &= mask
            if tile.sum() < MIN_PIXELS:
                continue
            step, normal = _step(reference, moved, tile)
            if np.isfinite(step).all() and np.abs(step).max() < 2:
                corrections.append(step)
                weights.append(np.linalg.det(normal) ** 0.5)
    if len(corrections) < 3:
        return float("nan")
    weight = np.array(weights) / np.sum(weights)
    values = np.array(corrections)
    mean = weight @ values
    variance = (weight[:, None] ** 2 * (values - mean) ** 2).sum(axis=0)
    return float(np.sqrt(variance.max()))


def _one_band(image: Image, mask: Mask) -> Image:
    """Mean of the bands, each divided by its own spread."""
    spread = np.array([max(float(np.std(band[mask])), 1e-9) for band in image], dtype=np.float32)
    return np.asarray((np.nan_to_num(image) / spread[:, None, None]).mean(axis=0)[None], dtype=np.float32)


def _blocks(reference: Image, image: Image, mask: Mask) -> tuple[Image, Image, Mask]:
    """Lay the blocks with the strongest gradients under one another; near their seams nothing is used."""
    strength = np.where(mask, np.hypot(*np.gradient(reference[0])), 0)
    corners = [
        (float(strength[r : r + BLOCK_PX, c : c + BLOCK_PX].sum()), r, c)
        for r in range(0, mask.shape[0] - BLOCK_PX + 1, BLOCK_PX)
        for c in range(0, mask.shape[1] - BLOCK_PX + 1, BLOCK_PX)
    ]
    chosen = sorted(corners, reverse=True)[:BLOCKS]
    inner = np.zeros((BLOCK_PX, BLOCK_PX), dtype=bool)
    inner[6:-6, 6:-6] = True

    def cut(array: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.concatenate([array[..., r : r + BLOCK_PX, c : c + BLOCK_PX] for _, r, c in chosen], axis=-2)

    kept = np.concatenate([mask[r : r + BLOCK_PX, c : c + BLOCK_PX] & inner for _, r, c in chosen], axis=0)
    return cut(reference), cut(image), kept


def _fine(reference: Image, image: Image, mask: Mask, start: tuple[int, int], reach_px: int) -> Shift:
    """Gauss-Newton from the whole-pixel shift on."""
    nothing = Shift(float("nan"), float("nan"), float("nan"), 0.0)
    coarse = np.array(start, dtype=np.float64)
    moved_whole = translate(image, *coarse)
    inner = ndimage.binary_erosion(mask, iterations=2 if mask.sum() > 20_000 else 1, border_value=0)
    if mask.size > LARGE:
        reference, moved_whole, inner = _blocks(reference, moved_whole, inner)
    if inner.sum() < MIN_PIXELS:
        return nothing
    rest = np.zeros(2)
    moved = moved_whole
    for _ in range(12):
        step, _normal = _step(reference, moved, inner)
        if not np.isfinite(step).all():
            return nothing
        rest += np.clip(step, -1, 1)
        if np.abs(coarse + rest).max() > reach_px + 1 or np.abs(rest).max() > 4:
            return nothing
        moved = translate(moved_whole, *rest)
        if np.abs(step).max() < 0.003:
            break
    error = _tile_error(reference, moved, inner)
    row, col = coarse + rest
    return Shift(float(row), float(col), error, _correlation(reference, moved, inner))


def estimate_shift(
    reference: Image, image: Image, mask: Mask, *, reach_px: int = 6, reference_is_flat: bool = False
) -> Shift:
    """Measure how far an image is shifted against a reference of the same shape.

    Parameters
    ----------
    reference, image : (band, row, column) float32, the same bands; values outside `mask` are not used.
    mask : (row, column) True where both can be compared and the ground should not have changed.
    reach_px : the largest shift looked for, in pixels.
    reference_is_flat : the reference has been through `flatten` with this mask already.

    Returns
    -------
    Shift
        NaN shift when nothing agrees: too few pixels, no texture, or no convergence within the reach.
    """
    if mask.sum() < MIN_PIXELS:
        return Shift(float("nan"), float("nan"), float("nan"), 0.0)
    flat_reference = reference if reference_is_flat else flatten(reference, mask)
    flat = flatten(image, mask)
    start = coarse_shift(flat_reference, flat, reach_px=reach_px)
    return _fine(flat_reference, flat, mask, start, reach_px)


def flatten(image: Image, mask: Mask) -> Image:
    """Prepare an image for `estimate_shift`: one band where it is large, the slow background removed."""
    return high_pass(_one_band(image, mask) if mask.size > LARGE else image, mask)
