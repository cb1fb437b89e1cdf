"""Put one scene onto another grid, resampled once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from rail_watch.grid import Grid, transformer
from rail_watch.imagery.quality import NO_VALUE
from rail_watch.imagery.scene import Quality, Scene
from rail_watch.prepare.align import TAPS, translate

LANCZOS_PX = TAPS + 1
"""A shifted pixel is read from no farther than this."""
SPLINE_PX = 12
"""A spline's coefficient owes less than a millionth to samples farther than this."""
MAPPING_STEP_PX = 32
"""Spacing of the points between which a mapping between two projections is interpolated."""


def _same_lattice(source: Grid, target: Grid) -> bool:
    a, b = source.transform, target.transform
    if source.crs != target.crs:
        return False
    return bool(np.allclose([a.a, a.b, a.d, a.e], [b.a, b.b, b.d, b.e], rtol=1e-9, atol=0))


def to_nearest_pixel(scene: Scene, grid: Grid) -> tuple[float, float]:
    """Return the `shift_px` at which a scene of the same lattice is cut out without resampling; (0, 0) otherwise."""
    if not _same_lattice(scene.grid, grid):
        return 0.0, 0.0
    row, col = scene.grid.row_col(grid.xy(np.array([0.0, 0.0])))
    return float(np.round(row) - row), float(np.round(col) - col)


def _mapping(source: Grid, target: Grid) -> NDArray[np.float64]:
    """(2, row, column) position in the source's (row, column) of every pixel of the target."""
    rows = np.unique(np.append(np.arange(0, target.shape[0], MAPPING_STEP_PX), target.shape[0] - 1))
    cols = np.unique(np.append(np.arange(0, target.shape[1], MAPPING_STEP_PX), target.shape[1] - 1))
    nodes = np.stack(np.meshgrid(rows, cols, indexing="ij"), axis=-1).reshape(-1, 2).astype(np.float64)
    xy = target.xy(nodes)
    if source.crs != target.crs:
        x, y = transformer(target.crs, source.crs).transform(xy[:, 0], xy[:, 1])
        xy = np.stack([x, y], axis=-1)
    placed = source.row_col(xy).reshape(len(rows), len(cols), 2)
    fine_rows = np.interp(np.arange(target.shape[0]), rows, np.arange(len(rows)))
    fine_cols = np.interp(np.arange(target.shape[1]), cols, np.arange(len(cols)))
    where = np.meshgrid(fine_rows, fine_cols, indexing="ij")
    return np.stack([ndimage.map_coordinates(placed[..., axis], where, order=1) for axis in (0, 1)])


def filled(
    values: NDArray[np.float32], missing: NDArray[np.bool_], *, reach_px: int = SPLINE_PX
) -> NDArray[np.float32]:
    """Continue what was measured into the gaps, so that no kernel rings at their edge.

    Parameters
    ----------
    values : (…, row, column)
    missing : (row, column) True in the gaps, alike for all of the leading axes.
    reach_px : how far into a gap; farther in, where no kernel of that length reads it into a measured pixel, it is 0.

    Returns
    -------
    (…, row, column) values with a near measured one in every missing pixel near one. Rings of pixels are added, each
    taking its values from the ring before, so that the cost is that of the gaps' edges.
    """
    if not missing.any():
        return values
    out = np.where(missing, np.float32(0), values)
    flat = out.reshape(-1, missing.size)
    # A frame one pixel wide that is never open keeps neighbours from wrapping round.
    open_ = np.pad(missing, 1).ravel()
    width = missing.shape[1] + 2
    at = np.flatnonzero(np.pad(~missing, 1).ravel() & _beside(open_, width))
    for _ in range(reach_px):
        near = np.concatenate([at - width, at - 1, at + 1, at + width])
        chosen = np.flatnonzero(open_[near])
        ring, first = np.unique(near[chosen], return_index=True)
        if not len(ring):
            break
        flat[:, _unframed(ring, width)] = flat[:, _unframed(at[chosen[first] % len(at)], width)]
        open_[ring] = False
        at = ring
    return out


def _beside(mask: NDArray[np.bool_], width: int) -> NDArray[np.bool_]:
    """True beside a True pixel of a framed mask, all in one row after the other."""
    out = np.zeros_like(mask)
    inner = slice(width, -width)
    for step in (-width, -1, 1, width):
        out[inner] |= mask[width + step : len(mask) - width + step]
    return out


def _unframed(at: NDArray[np.int64], width: int) -> NDArray[np.int64]:
    """Where pixels of a framed image lie in the image without its frame."""
    row, col = np.divmod(at, width)
    return np.asarray((row - 1) * (width - 2) + col - 1)


def regrid(
    scene: Scene, grid: Grid, *, bands: tuple[str, ...], shift_px: tuple[float, float] = (0.0, 0.0)
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Resample a scene onto a grid, taking out a shift.

    Parameters
    ----------
    scene : what was read.
    grid : the target.
    bands : which of the scene's bands, in which order.
    shift_px : (row, column) by which features appear displaced, in pixels of the target.

    Returns
    -------
    pixels : (band, row, column) float32, NaN where nothing was measured.
    quality : (row, column) uint8 of `Quality`, nearest neighbour.

    Both may be the scene's own arrays where there is nothing to resample: they are not to be written to.
    """
    source = scene.pixels if bands == scene.bands else scene.pixels[[scene.bands.index(name) for name in bands]]
    missing: NDArray[np.bool_] = np.asarray(~np.isfinite(source).all(axis=0))
    if _same_lattice(scene.grid, grid):
        corner = scene.grid.row_col(grid.xy(np.array([0.0, 0.0]))) + np.asarray(shift_px)
        return _translated(source, scene.quality, missing, corner, grid.shape)
    where = _mapping(scene.grid, grid)
    step = np.array([where[:, 1, 0] - where[:, 0, 0], where[:, 0, 1] - where[:, 0, 0]]).T
    where += (step @ np.asarray(shift_px))[:, None, None]
    pixels = np.stack(
        [ndimage.map_coordinates(b, where, order=3, mode="nearest", output=np.float32) for b in filled(source, missing)]
    )
    outside = int(Quality.OUTSIDE)
    quality = ndimage.map_coordinates(scene.quality, where, order=0, mode="constant", cval=outside)
    return _masked(pixels, quality)


def _translated(
    source: NDArray[np.float32],
    quality: NDArray[np.uint8],
    missing: NDArray[np.bool_],
    corner: NDArray[np.float64],
    shape: tuple[int, int],
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Cut a window whose first pixel lies at a fractional `corner` (row, column) of the source."""
    whole = np.round(corner).astype(int)
    fraction = corner - whole
    if np.abs(corner).max() < 1e-4 and quality.shape == shape:
        return source, quality
    moved = source
    if np.abs(fraction).max() > 1e-4:
        moved = translate(
            filled(source, missing, reach_px=LANCZOS_PX), float(fraction[0]), float(fraction[1]), wanted=~missing
        )
    pixels = np.zeros((len(source), *shape), dtype=np.float32)
    out_quality = np.full(shape, int(Quality.OUTSIDE), dtype=np.uint8)
    rows = slice(max(0, -whole[0]), min(shape[0], quality.shape[0] - whole[0]))
    cols = slice(max(0, -whole[1]), min(shape[1], quality.shape[1] - whole[1]))
    if rows.start < rows.stop and cols.start < cols.stop:
        from_rows = slice(rows.start + whole[0], rows.stop + whole[0])
        from_cols = slice(cols.start + whole[1], cols.stop + whole[1])
        pixels[:, rows, cols] = moved[:, from_rows, from_cols]
        out_quality[rows, cols] = quality[from_rows, from_cols]
    return _masked(pixels, out_quality)


def _masked(pixels: NDArray[np.float32], quality: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    pixels += NO_VALUE[quality]
    return pixels, quality
