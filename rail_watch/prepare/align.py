"""Sub-pixel co-registration of two images by tiles that vote, with an error and a refusal.

Coarse: cross-correlation by FFT of locally normalised images. Fine: in every tile, Gauss-Newton on the
squared differences with a gain of its own and Tukey weights (Lucas and Kanade, IJCAI 1981; Baker and
Matthews, IJCV 2004, doi:10.1023/B:VISI.0000011205.11775.fd); the tiles' normal equations are then joined
by a redescending M-estimator (Huber and Ronchetti, Robust Statistics, 2009, ch. 4), so that tiles in
which shadows, trains or clouds have moved are outvoted by those in which nothing has.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

Image = NDArray[np.float32]
Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]
Raster = TypeVar("Raster", bound=NDArray[Any])

MIN_PIXELS = 80
"""Fewer usable pixels than this cannot carry a sub-pixel shift of two unknowns at 0.05 px."""
BACKGROUND_PX = 3.0
"""Scale of the slow background removed before comparing: haze, illumination, thin cloud, broad shadow."""
SMOOTHING_PX = 0.5
"""Both images are smoothed alike, so that noise does not flatten the gradients."""
CONTRAST_PX = 17
"""Width over which contrast is made even for the coarse search, so that no one shadow decides it."""
PEAK_PX = 2
"""Half-width of a correlation peak."""
TAPS = 4
"""Half-length of the Lanczos kernel."""
STRIPE = 50_000
"""About so many pixels are resampled at once: they stay in the processor's cache."""
TUKEY = 2.5
"""Residuals beyond this many robust deviations (what moved: shadows, vehicles) have no say."""
OUTVOTED = 3.0
"""Tiles whose vote lies beyond this many robust deviations have no say."""
MEDIAN_CHI2 = 1.386
"""Median of chi squared with two degrees of freedom."""
AGREE_PX = 0.3
"""A tile agrees with the result when its own vote is this near."""
MIN_TILES = 3
COMMON = 2.0
"""Tiles are no independent witnesses: one sun moves all their shadows, and they share a reference. On series with
known shifts the errors are about this many times what the scatter of the tiles implies."""
TILE_PX = 16
LARGE_TILE_PX = 32
MANY_PIXELS = 150_000
"""From this size on tiles are large: there is enough to see."""
ITERATIONS = 10
FAR_PX = 3.0
"""A shift that has run farther than this from its start is refused."""
STEP_PX = 0.003
"""Steps below this end the iteration."""


MIN_CORRELATION = 0.3
MIN_AGREEMENT = 0.6
"""Share of the tiles' weight that must agree with a shift for it to be believed."""
MAX_ERROR_PX = 0.2
"""A shift known no better than this is refused: products are little worse by themselves."""


@dataclass(frozen=True)
class Shift:
    """Where a feature appears in an image minus where it lies in the reference."""

    row_px: float
    col_px: float
    error_px: float
    """Standard error of each component, from the agreement of tiles; NaN when not measured."""
    correlation: float
    """Correlation of image and reference after alignment, over what has not changed."""
    agreement: float = 0.0
    """Share of the tiles' weight whose own votes lie within `AGREE_PX` of the result."""


NO_SHIFT = Shift(float("nan"), float("nan"), float("nan"), 0.0)


@dataclass(frozen=True)
class Flat:
    """An image made ready to compare."""

    values: Image
    """(row, column) one band, slow background removed, 0 outside the mask."""
    weight: Image
    """(row, column) 1 where the value owes nothing to what lies outside the mask, else 0."""


def one_band(image: Image, mask: Mask) -> Image:
    """Mean of the bands, each divided by its own spread inside the mask, 0 outside. (band, row, col) to (row, col)."""
    inside = np.flatnonzero(mask)
    inside = inside[:: max(1, inside.size // 20_000)]
    out = np.zeros(image.shape[-2:], dtype=np.float32)
    for band in image:
        low, high = np.quantile(band.ravel()[inside], (0.1, 0.9)) if inside.size else (0.0, 1.0)
        out += band * np.float32(1 / (max(float(high - low), 1e-9) * len(image)))
    return np.where(mask, out, np.float32(0))


def high_pass(image: Image, mask: Mask) -> Image:
    """Remove the slow background by normalised convolution; 0 outside the mask. (…, row, col)."""
    sigma = (0.0,) * (image.ndim - 2) + (BACKGROUND_PX,) * 2
    weight = ndimage.gaussian_filter(mask.astype(np.float32), BACKGROUND_PX) + np.float32(1e-6)
    filled = np.where(mask, image, np.float32(0))
    fast = np.where(mask, filled - ndimage.gaussian_filter(filled, sigma) / weight, np.float32(0))
    return np.asarray(ndimage.gaussian_filter(fast, tuple(s and SMOOTHING_PX for s in sigma)), dtype=np.float32)


def flatten(image: Image, mask: Mask) -> Flat:
    """Prepare an image (band, row, column) for comparison: one band, without its slow background."""
    inner = _inner(_inner(mask))
    return Flat(high_pass(one_band(image, mask), mask), inner.astype(np.float32))


def _inner(mask: Mask) -> Mask:
    """True where a pixel and its four neighbours are all True; not at the edge."""
    out = np.zeros_like(mask)
    out[1:-1, 1:-1] = mask[1:-1, 1:-1] & mask[:-2, 1:-1] & mask[2:, 1:-1] & mask[1:-1, :-2] & mask[1:-1, 2:]
    return out


def even_contrast(flat: Flat) -> Image:
    """Divide by the local spread. (row, column)."""
    power = ndimage.uniform_filter(flat.values**2, CONTRAST_PX, mode="constant")
    share = ndimage.uniform_filter(flat.weight, CONTRAST_PX, mode="constant")
    spread = np.sqrt(np.maximum(power, 0) / (np.maximum(share, 0) + 1e-3))
    floor = 0.1 * float(np.sqrt(np.mean(flat.values**2))) + 1e-12
    return np.asarray(flat.weight * np.clip(flat.values / (spread + floor), -2, 2), dtype=np.float32)


def coarse_shift(reference: Image, image: Image, *, reach_px: int) -> tuple[float, float, float]:
    """Return the shift (row, col) with the highest cross-correlation, near ones preferred, and that correlation.

    Both images are of even contrast and 0 where they cannot be used. The correlation is multiplied by a
    Gaussian prior of half the reach, so that a far shift needs strong support. Good to a few tenths of a pixel.
    """
    one, other = spectrum(reference, reach_px=reach_px), spectrum(image, reach_px=reach_px)
    return peak_of(one, other, reach_px=reach_px)


@dataclass(frozen=True)
class Spectrum:
    """An image of even contrast, ready to be correlated with others."""

    values: NDArray[np.complex64]
    """Half of its discrete Fourier transform, padded."""
    shape: tuple[int, int]
    """Of the padded image."""
    size: float
    """Root of the sum of its squares."""


def spectrum(image: Image, *, reach_px: int) -> Spectrum:
    """Transform an image, padded so that shifts of up to `reach_px` do not wrap round."""
    rows, cols = (int(fft.next_fast_len(n + 2 * reach_px, real=True)) for n in image.shape)
    return Spectrum(fft.rfft2(image, (rows, cols)), (rows, cols), float(np.linalg.norm(image)))


def peak_of(reference: Spectrum, image: Spectrum, *, reach_px: int) -> tuple[float, float, float]:
    """As `coarse_shift`, of two spectra made for the same reach."""
    shape = image.shape
    surface = fft.irfft2(np.conj(reference.values) * image.values, shape, overwrite_x=True)
    steps = np.arange(-reach_px, reach_px + 1)
    prior = np.exp(-0.5 * (steps / max(0.5 * reach_px, 1.0)) ** 2)
    window = surface[np.ix_(steps % shape[0], steps % shape[1])]
    row, col = _highest(window * prior[:, None] * prior)
    # The prior chooses the peak; it must not pull its top.
    top, left = max(row - PEAK_PX, 0), max(col - PEAK_PX, 0)
    row, col = _highest(window[top : row + PEAK_PX + 1, left : col + PEAK_PX + 1])
    row, col = row + top, col + left
    height = float(window[row, col]) / (reference.size * image.size + 1e-9)
    if height <= 0:
        return 0.0, 0.0, 0.0
    return steps[row] + _vertex(window[:, col], row), steps[col] + _vertex(window[row], col), height


def _highest(window: NDArray[np.floating[Any]]) -> tuple[int, int]:
    row, col = np.unravel_index(int(np.argmax(window)), window.shape)
    return int(row), int(col)


def _vertex(values: NDArray[np.floating[Any]], peak: int) -> float:
    """Where a parabola through a peak and its neighbours is highest, from the peak; 0 at an end."""
    if peak in (0, len(values) - 1):
        return 0.0
    before, here, after = (float(v) for v in values[peak - 1 : peak + 2])
    return 0.5 * (before - after) / (before - 2 * here + after - 1e-12)


def _kernel(fraction: float) -> Floats:
    """Lanczos-4 weights that read a signal `fraction` of a sample further on, summing to 1."""
    x = np.arange(-TAPS, TAPS + 1) - fraction
    weights = np.where(np.abs(x) < TAPS, np.sinc(x) * np.sinc(x / TAPS), 0)
    return np.asarray(weights / weights.sum())


def moved_whole(image: Raster, row_px: float, col_px: float) -> Raster:
    """Return image(row + row_px, col + col_px) to the nearest whole pixel, its edge repeated. (…, row, col)."""
    steps = (int(np.round(row_px)), int(np.round(col_px)))
    if steps == (0, 0):
        return image
    rows, cols = (np.clip(np.arange(n) + step, 0, n - 1) for n, step in zip(image.shape[-2:], steps, strict=True))
    return cast(Raster, np.take(image[..., rows, :], cols, axis=-1))


def translate(image: Image, row_px: float, col_px: float, *, wanted: Mask | None = None) -> Image:
    """Return image(row + row_px, col + col_px) on the same grid, by separable Lanczos-4. (…, row, col).

    Where `wanted` (row, column) is given, the result elsewhere may be left 0.
    """
    whole = np.round([row_px, col_px])
    moved: Image = moved_whole(image, row_px, col_px)
    fractions = (row_px - float(whole[0]), col_px - float(whole[1]))
    if max(abs(fraction) for fraction in fractions) <= 1e-5:
        return moved
    kernels = [_kernel(fraction).astype(np.float32) if abs(fraction) > 1e-5 else None for fraction in fractions]
    height = max(STRIPE // moved.shape[-1], 1)
    out: Image = np.zeros(moved.shape, dtype=np.float32)
    results: Image = out.reshape(-1, *out.shape[-2:])
    for index, plane in enumerate(moved.reshape(results.shape)):
        result, padded = results[index], np.pad(plane, TAPS, mode="edge")
        for top in range(0, plane.shape[0], height):
            stripe = result[top : top + height]
            first, last = 0, plane.shape[1]
            if wanted is not None:
                cols = np.flatnonzero(wanted[top : top + height].any(axis=0))
                first, last = (int(cols[0]), int(cols[-1]) + 1) if len(cols) else (0, 0)
            if last > first:
                part = padded[top : top + len(stripe) + 2 * TAPS, first : last + 2 * TAPS]
                stripe[:, first:last] = _weighed(_weighed(part, kernels[0]).T, kernels[1]).T
    return out


def _weighed(values: Image, kernel: NDArray[np.float32] | None) -> Image:
    """Weigh each row (row, …) with its neighbours, `TAPS` of which are lost at either end; None leaves it as it is."""
    count = len(values) - 2 * TAPS
    if kernel is None:
        return values[TAPS : TAPS + count]
    out = values[:count] * kernel[0]
    spare = np.empty_like(out)
    for step, weight in enumerate(kernel[1:], 1):
        np.multiply(values[step : step + count], weight, out=spare)
        out += spare
    return np.asarray(out)


def _tukey(residual: Image, scale: float) -> Image:
    ratio = np.minimum(np.abs(residual) * np.float32(1 / (TUKEY * scale)), np.float32(1))
    return np.asarray((1 - ratio**2) ** 2)


def _lowest_of_nine(values: Image) -> Image:
    """Minimum over each pixel's 3 x 3 neighbourhood: what borders on a change has no say either."""
    out = values
    for axis in (0, 1):
        a = np.moveaxis(out, axis, 0)
        low = a.copy()
        low[1:] = np.minimum(low[1:], a[:-1])
        low[:-1] = np.minimum(low[:-1], a[1:])
        out = np.moveaxis(low, 0, axis)
    return out


def _tiled(values: Image, tile: int) -> Image:
    """(row, column) as a view of (tile row, row, tile column, column)."""
    return values.reshape(values.shape[0] // tile, tile, values.shape[1] // tile, tile)


def _sums(values: Image, tile: int) -> Floats:
    # Rows first, which the processor adds many columns at a time.
    rows = values.reshape(values.shape[0] // tile, tile, -1).sum(axis=1)
    return np.asarray(rows.reshape(len(rows), -1, tile).sum(axis=2, dtype=np.float64))


@dataclass(frozen=True)
class _Votes:
    """Normal equations of every tile, at the present position."""

    normal: Floats
    """(tile, 2, 2)"""
    right: Floats
    """(tile, 2)"""
    weight: Image
    """(row, column) what each pixel has to say."""
    correlation: float


def _votes(reference: Image, moved: Image, area: Image, weight: Image, tile: int) -> _Votes:
    """Compare two images pixel by pixel, each tile with a gain of its own."""
    product, power = weight * reference * moved, weight * reference**2
    all_gain = max(float(product.sum()) / (float(power.sum()) + 1e-12), 0.0)
    hold = 0.1 * float(power.sum()) / (float((weight > 0).sum()) + 1) * tile**2
    gain = np.maximum((_sums(product, tile) + hold * all_gain) / (_sums(power, tile) + hold + 1e-12), 0)
    scaled = (_tiled(reference, tile) * gain[:, None, :, None].astype(np.float32)).reshape(reference.shape)
    residual = moved - scaled
    seen = residual[area > 0]
    scale = 1.4826 * float(np.median(np.abs(seen[:: max(1, seen.size // 50_000)]))) + 1e-9
    weight = area * _lowest_of_nine(_tukey(residual, scale))
    # A tile under thin cloud or new snow has larger residuals everywhere, and less to say.
    variance = (_sums(weight * residual**2, tile) + 0.01 * scale**2) / (_sums(weight, tile) + 0.01)
    trust = (1 / np.maximum(variance, 0.1 * scale**2))[:, :, None]
    # The mean of both gradients in the residual's product and their cross product in the normal matrix: noise,
    # being independent, adds nothing to either, and tiles without common structure vote at random.
    r0, c0 = np.gradient(scaled)
    r1, c1 = np.gradient(moved)
    cross = 0.5 * (_sums(weight * r0 * c1, tile) + _sums(weight * r1 * c0, tile))
    normal = np.stack([_sums(weight * r0 * r1, tile), cross, cross, _sums(weight * c0 * c1, tile)], axis=-1)
    pull = weight * residual * np.float32(-0.5)
    right = np.stack([_sums(pull * (r0 + r1), tile), _sums(pull * (c0 + c1), tile)], axis=-1)
    normal, right = normal * trust, right * trust
    both = float((weight * scaled * moved).sum())
    norm = float((weight * scaled**2).sum()) * float((weight * moved**2).sum())
    return _Votes(normal.reshape(-1, 2, 2), right.reshape(-1, 2), weight, both / (norm**0.5 + 1e-12))


def _weighted_median(values: Floats, weights: Floats) -> float:
    order = np.argsort(values)
    total = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(total, 0.5 * total[-1])])


def _weakest(normal: Floats) -> Floats:
    """Smaller eigenvalue of each (2, 2) matrix."""
    mean = 0.5 * (normal[:, 0, 0] + normal[:, 1, 1])
    half = 0.5 * (normal[:, 0, 0] - normal[:, 1, 1])
    return np.asarray(mean - np.hypot(half, normal[:, 0, 1]))


@dataclass(frozen=True)
class _Joined:
    step: Floats
    """(2,) in pixels."""
    error: float
    agreement: float


def _joined(votes: _Votes) -> _Joined | None:
    """Join the tiles' votes; None when too few can tell anything."""
    weakest = _weakest(votes.normal)
    kept = (weakest > 0) & (np.trace(votes.normal, axis1=1, axis2=2) > 2 / AGREE_PX**2)
    normal, right = votes.normal[kept], votes.right[kept]
    if len(normal) < MIN_TILES:
        return None
    say = np.minimum(weakest[kept], np.quantile(weakest[kept], 0.75))
    own = np.linalg.solve(normal, right[..., None])[..., 0]
    count = float(say.sum() ** 2 / (say**2).sum())
    step = np.array([_weighted_median(own[:, 0], say), _weighted_median(own[:, 1], say)])
    found = _outvoted(normal, right, say, step)
    if found is None or count < MIN_TILES:
        return None
    step, spread = found
    # What the outvoted would have pulled by is part of the error: some of them may have been right.
    pulled = np.linalg.solve(normal.sum(axis=0), right.sum(axis=0)) - step
    variance = COMMON**2 * float(np.diag(spread).max()) * count / (count - 2) + float(np.abs(pulled).max()) ** 2
    near = np.hypot(*(own - step).T) < AGREE_PX
    return _Joined(step, float(np.sqrt(variance)), float((say * near).sum() / say.sum()))


def _outvoted(normal: Floats, right: Floats, say: Floats, start: Floats) -> tuple[Floats, Floats] | None:
    """Redescending M-estimate of the common step from normal equations (tile, 2, 2) and (tile, 2).

    Returns the step (2,) and its covariance (2, 2) from the tiles' scatter (sandwich, with the biweight's mean
    derivative in the plane).
    """
    trace = np.trace(normal, axis1=1, axis2=2)
    inverse = np.linalg.inv(normal + (1e-2 * trace)[:, None, None] * np.eye(2))
    step = start
    for _ in range(20):
        miss = (normal * step).sum(axis=2) - right
        square = ((inverse * miss[:, None]).sum(axis=2) * miss).sum(axis=1)
        scale2 = max(_weighted_median(square, np.sqrt(say)) / MEDIAN_CHI2, 1e-9)
        unit = np.clip(square / (OUTVOTED**2 * scale2), 0, 1)
        weight = (1 - unit) ** 2
        total = (weight[:, None, None] * normal).sum(axis=0)
        if not np.isfinite(total).all() or _singular(total):
            return None
        before, step = step, np.linalg.solve(total, weight @ right)
        if np.abs(step - before).max() < 1e-4:
            break
    slope = float(trace @ ((1 - unit) * (1 - 3 * unit))) / float(trace @ weight)
    bread = np.linalg.inv(total) / max(slope, 0.4)
    return step, bread @ np.einsum("t,ti,tj->ij", weight**2, miss, miss) @ bread


def _singular(matrix: Floats) -> bool:
    """Return whether a symmetric (2, 2) matrix has a condition number of 1e8 or more."""
    mean = 0.5 * (float(matrix[0, 0]) + float(matrix[1, 1]))
    apart = math.hypot(0.5 * (float(matrix[0, 0]) - float(matrix[1, 1])), float(matrix[0, 1]))
    return 1e8 * abs(abs(mean) - apart) <= abs(mean) + apart


def _padded(values: Image, tile: int) -> Image:
    short = [(0, -n % tile) for n in values.shape]
    return np.pad(values, short) if any(end for _, end in short) else values


def fine_shift(
    reference: Flat,
    image: Flat,
    *,
    start: tuple[float, float] = (0.0, 0.0),
    most: int = ITERATIONS,
    content_px: float = STEP_PX,
) -> Shift:
    """Measure a sub-pixel shift from a start within about a pixel and a half of it.

    Parameters
    ----------
    reference, image : of one shape.
    start : (row, column) shift to begin from.
    most : at most so many steps.
    content_px : a step below this is the last.
    """
    tile = TILE_PX if reference.values.size < MANY_PIXELS else LARGE_TILE_PX
    still, still_weight = _padded(reference.values, tile), _padded(reference.weight, tile)
    values, values_weight = _padded(image.values, tile), _padded(image.weight, tile)
    here = np.array(start, dtype=np.float64)
    shift = NO_SHIFT
    weight = still_weight
    for _ in range(most):
        moved = translate(values, float(here[0]), float(here[1]))
        area = still_weight * moved_whole(values_weight, float(here[0]), float(here[1]))
        if area.sum() < MIN_PIXELS:
            return NO_SHIFT
        votes = _votes(still, moved, area, weight * area, tile)
        joined = _joined(votes)
        if joined is None:
            return NO_SHIFT
        weight = votes.weight
        here += np.clip(joined.step, -1, 1)
        shift = Shift(float(here[0]), float(here[1]), joined.error, votes.correlation, joined.agreement)
        if np.abs(here - start).max() > FAR_PX:
            return NO_SHIFT
        if np.abs(joined.step).max() < content_px:
            break
    return shift


def estimate_shift(reference: Image, image: Image, mask: Mask, *, reach_px: int = 6) -> Shift:
    """Measure how far an image is shifted against a reference of the same shape.

    Parameters
    ----------
    reference, image : (band, row, column) float32, the same bands; values outside `mask` are not used.
    mask : (row, column) True where both can be compared and the ground should not have changed.
    reach_px : the largest shift looked for, in pixels.

    Returns
    -------
    Shift
        NaN shift when nothing can be believed: too few pixels, no texture, no convergence, or tiles at odds.
    """
    if mask.sum() < MIN_PIXELS:
        return NO_SHIFT
    still, flat = flatten(reference, mask), flatten(image, mask)
    row, col, _height = coarse_shift(even_contrast(still), even_contrast(flat), reach_px=reach_px)
    shift = fine_shift(still, flat, start=(row, col))
    return shift if accepted(shift) else NO_SHIFT


def accepted(shift: Shift, *, agreement: float = MIN_AGREEMENT) -> bool:
    """Return whether a measured shift can be believed; `agreement` is the least share of tiles that agree."""
    return bool(
        np.isfinite(shift.row_px)
        and shift.correlation >= MIN_CORRELATION
        and shift.agreement >= agreement
        and shift.error_px <= MAX_ERROR_PX
    )
