"""Shifts of a whole series at once: every scene against the median of its likes, solved jointly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from rail_watch.prepare.align import (
    MIN_AGREEMENT,
    MIN_PIXELS,
    NO_SHIFT,
    STEP_PX,
    Flat,
    Floats,
    Image,
    Mask,
    Raster,
    Shift,
    accepted,
    coarse_shift,
    even_contrast,
    fine_shift,
    flatten,
    moved_whole,
    peak_of,
    spectrum,
    translate,
)
from rail_watch.prepare.order import sort_rows

LARGE = 300_000
"""Larger images are searched coarsely at a lower resolution, and finely on their most telling blocks."""
BLOCK_PX = 128
BLOCKS = 16
RETRY_PX = 5
"""Reach of the second coarse search, for a scene refused at first."""
SEAM_PX = 6
"""Near the seam of two blocks laid side by side nothing is used."""
COARSE_PIXELS = 200_000
"""About as many pixels are enough for the coarse search."""
CANDIDATES = 5
"""So many of the clearest scenes are tried as the reference of the coarse search."""
PASSES = ((4, 0.02), (4, 0.005), (3, STEP_PX), (3, STEP_PX))
"""Passes over the series: the steps each may take, and below which of them (pixels) it is content. The references
sharpen from one to the next."""
SETTLED_PX = 0.005
"""Scenes that have moved less than this are where they belong."""
CHUNK = 16_384
"""So many medians are taken at once: the sort stays in the processor's cache."""
LIKES = 8
"""At most so many scenes make the reference of another."""
ALIKE = 0.5
"""A scene is alike when it correlates at least this share as well as the one most alike."""
MIN_ALIKE = 0.2
FIRST_AGREEMENT = 0.3
"""In the first pass, against a reference still blurred, less is asked."""
CLEAR_AGREEMENT = 0.95
"""Below this a result is looked into again."""


@dataclass(frozen=True)
class Joint:
    """Shifts of a series against one another."""

    offset_px: Floats
    """(time, 2) row, column; 0 where refused."""
    error_px: Floats
    """(time,) standard error against the mean of those known; NaN where refused."""

    @property
    def known(self) -> Mask:
        """(time,) True where a shift was measured and believed."""
        return np.isfinite(self.error_px)


def align_series(singles: Sequence[Image], usable: Mask, anchor: Mask, *, reach_px: int) -> Joint:
    """Measure how scenes of one grid are shifted against one another.

    Parameters
    ----------
    singles : each (row, column), `one_band` of a scene, on one grid.
    usable : (time, row, column) True where a scene shows the ground.
    anchor : (row, column) True on ground that should not change.
    reach_px : the largest shift looked for.

    Returns
    -------
    Joint
        Zero is near the series' mean.
    """
    whole = _whole_shifts(singles, usable & anchor, reach_px=reach_px)
    corners = _corners(singles, usable, anchor, reach_px)
    flats = [
        _cut(single, seen, anchor, ((int(row), int(col)), corners))
        for single, seen, (row, col) in zip(singles, usable, whole, strict=True)
    ]
    state = _State.at_first(flats)
    for turn in range(len(PASSES)):
        state = _asked(flats, state, turn)
    return Joint(np.where(state.known[:, None], whole + state.rest, 0.0), state.errors)


@dataclass(frozen=True)
class _State:
    """Where a series stands after a pass."""

    rest: Floats
    """(time, 2) shift on top of the whole one."""
    errors: Floats
    """(time,) NaN where refused."""
    steps: Floats
    """(time,) how far the last pass moved each scene, in pixels."""
    members: Mask
    """(time, time) as of `_likes`, and"""
    shifts: tuple[Shift, ...]
    """(time,) what was measured, in the last pass."""

    @property
    def known(self) -> Mask:
        return np.isfinite(self.errors)

    @classmethod
    def at_first(cls, flats: Sequence[Flat]) -> _State:
        """Return a series of which nothing is known but which scenes show enough."""
        count = len(flats)
        enough = [float(flat.weight.sum()) >= MIN_PIXELS for flat in flats]
        errors = np.where(enough, 0.0, np.nan)
        nobody = np.zeros((count, count), dtype=bool)
        return cls(np.zeros((count, 2)), errors, np.full(count, 1.0), nobody, (NO_SHIFT,) * count)

    def settled(self, members: Mask) -> Mask:
        """(time,) True where neither a scene nor its likes have moved: asking again would give the same answer."""
        same = (members == self.members).all(axis=1) & members.any(axis=1)
        near = members @ self.steps < SETTLED_PX * members.sum(axis=1)
        return np.asarray(self.known & (self.steps < SETTLED_PX) & same & near)


def _asked(flats: Sequence[Flat], state: _State, turn: int) -> _State:
    """Measure every scene against the median of its likes."""
    values, weights = _placed(flats, state.rest)
    members = _likes(values, weights, state.known)
    settled = state.settled(members)
    shifts = []
    for i, likes in enumerate(members):
        here = float(state.rest[i, 0]), float(state.rest[i, 1])
        if settled[i]:
            shift = replace(state.shifts[i], row_px=here[0], col_px=here[1])
        elif likes.any():
            median = _median(values[likes], weights[likes])
            shift = _against(median, flats[i], here if state.known[i] else None, effort=PASSES[turn])
        else:
            shift = NO_SHIFT
        if turn == len(PASSES) - 1:
            shift = _questioned(shift, i, members, (values, weights, flats[i]))
        shifts.append(shift)
    rest, errors = _moved(shifts, members, state.rest, least=MIN_AGREEMENT if turn else FIRST_AGREEMENT)
    return _State(rest, errors, np.abs(rest - state.rest).max(axis=1), members, tuple(shifts))


def _against(likes: Flat, flat: Flat, start: tuple[float, float] | None, *, effort: tuple[int, float]) -> Shift:
    """Shift against the median of a scene's likes, from the shift it has or, where it was refused, from anew."""
    if start is not None:
        return fine_shift(likes, flat, start=start, most=effort[0], content_px=effort[1])
    row, col, _height = coarse_shift(even_contrast(likes), even_contrast(flat), reach_px=RETRY_PX)
    return fine_shift(likes, flat, start=(row, col))


def _questioned(shift: Shift, index: int, members: Mask, series: tuple[Image, Image, Flat]) -> Shift:
    """Where tiles disagree, ask two halves of the likes apart: half their difference is part of the error."""
    chosen = np.flatnonzero(members[index])
    if not accepted(shift) or shift.agreement > CLEAR_AGREEMENT or len(chosen) < 2:
        return shift
    values, weights, flat = series
    halves = [
        fine_shift(_median(values[half], weights[half]), flat, start=(shift.row_px, shift.col_px), most=PASSES[-1][0])
        for half in (chosen[::2], chosen[1::2])
    ]
    apart = max(abs(halves[0].row_px - halves[1].row_px), abs(halves[0].col_px - halves[1].col_px))
    return replace(shift, error_px=float(np.hypot(shift.error_px, 0.5 * apart)))


def _reduced(values: Image, mask: Mask, step: int) -> tuple[Image, Mask]:
    """Block means over `step` pixels; a block is usable when most of it is."""
    if step == 1:
        return values, mask
    rows, cols = (n // step * step for n in values.shape)
    shape = (rows // step, step, cols // step, step)
    seen = mask[:rows, :cols]
    share, total = (
        # Rows first, which the processor adds many columns at a time.
        part.reshape(shape[0], step, cols).sum(axis=1, dtype=np.float32).reshape(shape[0], -1, step).sum(axis=2)
        for part in (seen.view(np.uint8), np.where(seen, values[:rows, :cols], np.float32(0)))
    )
    return total / np.maximum(share, np.float32(1e-3 * step**2)), share > 0.5 * step**2


def _whole_shifts(singles: Sequence[Image], usable: Mask, *, reach_px: int) -> NDArray[np.int64]:
    """(time, 2) shift in whole pixels, against the scene most others fit and then against the median of all."""
    step = max(1, int(np.sqrt(usable[0].size / COARSE_PIXELS)))
    reach = max(1, -(-reach_px // step))
    pairs = [_reduced(single, mask, step) for single, mask in zip(singles, usable, strict=True)]
    evened = [even_contrast(flatten(values[None], mask)) for values, mask in pairs]
    found = np.zeros((len(evened), 2))
    if reach_px > 3:
        clearest = np.argsort([-int(mask.sum()) for _, mask in pairs], kind="stable")[:CANDIDATES]
        spectra = [spectrum(one, reach_px=reach) for one in evened]
        trials = [[peak_of(spectra[best], one, reach_px=reach) for one in spectra] for best in clearest]
        chosen = max(trials, key=lambda peaks: sum(height for _, _, height in peaks))
        found = np.array([(row, col) for row, col, _ in chosen])
    if len(evened) > 2:
        stack = np.stack([moved_whole(one, float(r), float(c)) for one, (r, c) in zip(evened, found, strict=True)])
        centre = _median(stack, stack).values
        found = np.array([coarse_shift(centre, one, reach_px=reach)[:2] for one in evened])
    return np.clip(np.round(found * step), -reach_px, reach_px).astype(np.int64)


def _corners(singles: Sequence[Image], usable: Mask, anchor: Mask, reach_px: int) -> list[tuple[int, int]]:
    """Corners (row, column) of the blocks with most texture, or none for an image used whole."""
    if anchor.size <= LARGE:
        return []
    best = int(np.argmax(usable.sum(axis=(1, 2))))
    share = usable.mean(axis=0, dtype=np.float32) * anchor
    flat = flatten(singles[best][None], usable[best])
    telling = share * np.minimum(np.hypot(*np.gradient(flat.values)), 2 * float(np.std(flat.values)))
    rows, cols = (range(reach_px, n - BLOCK_PX - reach_px + 1, BLOCK_PX) for n in anchor.shape)
    scored = [(float(telling[r : r + BLOCK_PX, c : c + BLOCK_PX].sum()), r, c) for r in rows for c in cols]
    best_first = sorted(scored, reverse=True)[:BLOCKS]
    return [(r, c) for score, r, c in best_first if score > 0 or (r, c) == best_first[0][1:]]


def _cut(single: Image, usable: Mask, anchor: Mask, where: tuple[tuple[int, int], Sequence[tuple[int, int]]]) -> Flat:
    """Move by a whole shift, lay the blocks under one another, and flatten."""
    (row, col), corners = where
    if not corners:
        return flatten(moved_whole(single, row, col)[None], moved_whole(usable, row, col) & anchor)
    values = np.concatenate([_block(single, r + row, c + col) for r, c in corners])
    mask = np.concatenate([_block(usable, r + row, c + col) & _block(anchor, r, c) for r, c in corners])
    flat = flatten(values[None], mask)
    inner = np.zeros((BLOCK_PX, BLOCK_PX), dtype=np.float32)
    inner[SEAM_PX:-SEAM_PX, SEAM_PX:-SEAM_PX] = 1
    return Flat(flat.values, flat.weight * np.tile(inner, (len(corners), 1)))


def _block(array: Raster, row: int, col: int) -> Raster:
    return cast(Raster, array[row : row + BLOCK_PX, col : col + BLOCK_PX])


def _placed(flats: Sequence[Flat], rest: Floats) -> tuple[Image, Image]:
    """(time, row, column) values and weights with the shifts taken out."""
    values = [translate(flat.values, float(row), float(col)) for flat, (row, col) in zip(flats, rest, strict=True)]
    weights = [moved_whole(flat.weight, float(row), float(col)) for flat, (row, col) in zip(flats, rest, strict=True)]
    return np.stack(values), np.stack(weights)


def _median(values: Image, weights: Image) -> Flat:
    """Median (row, column) of what is seen, of weight other than 0, over the first axis."""
    flat, seen = values.reshape(len(values), -1), weights.reshape(len(values), -1)
    median = np.empty(flat.shape[1], dtype=np.float32)
    count = np.empty(flat.shape[1], dtype=np.intp)
    for start in range(0, len(median), CHUNK):
        part = slice(start, start + CHUNK)
        median[part], count[part] = _middle(flat[:, part], seen[:, part] != 0)
    shape = values.shape[1:]
    return Flat(median.reshape(shape), (count > 0).astype(np.float32).reshape(shape))


def _middle(values: Image, seen: Mask) -> tuple[Image, NDArray[np.intp]]:
    """Median (n,) over the first axis, 0 where nothing is seen, and how many are."""
    ordered = np.where(seen, values, np.float32(np.inf))
    sort_rows(ordered)
    count = seen.sum(axis=0)
    low = np.take_along_axis(ordered, np.maximum((count - 1) // 2, 0)[None], axis=0)[0]
    high = np.take_along_axis(ordered, np.minimum(count // 2, len(ordered) - 1)[None], axis=0)[0]
    return np.where(count > 0, np.float32(0.5) * (low + high), np.float32(0)), count


def _likes(values: Image, weights: Image, known: Mask) -> Mask:
    """(time, time) True where the latter is one of the former's likes, itself not among them.

    A scene refused before may have been too far off to be like any: it gets the best there are.
    """
    likeness = np.where(known, _likeness(values, weights), -1.0)
    np.fill_diagonal(likeness, -1.0)
    members = np.zeros(likeness.shape, dtype=bool)
    for index, row in enumerate(likeness):
        best = np.argsort(-row, kind="stable")[:LIKES]
        least = max(MIN_ALIKE, ALIKE * float(row.max())) if known[index] else -0.5
        members[index, best[row[best] >= least]] = True
    return members


def _likeness(values: Image, weights: Image) -> Floats:
    """(time, time) correlation of the scenes' fine structure where both are seen."""
    even = np.stack([even_contrast(Flat(v, w)) for v, w in zip(values, weights, strict=True)]).reshape(len(values), -1)
    power = even**2 @ weights.reshape(len(values), -1).T
    return np.asarray((even @ even.T) / np.sqrt(power * power.T + 1e-9), dtype=np.float64)


def _moved(shifts: Sequence[Shift], members: Mask, rest: Floats, *, least: float) -> tuple[Floats, Floats]:
    """Take up the measured shifts; (time, 2) shifts on top of the whole ones, and (time,) errors, NaN where refused.

    A scene moves by n / (n + 1) of its distance from the n scenes without it: its distance from all of them.
    """
    good = np.array([accepted(shift, agreement=least) for shift in shifts])
    if good.any():
        tied = members & good & good[:, None]
        _, group = connected_components(tied, directed=False)
        good &= group == np.argmax(np.bincount(group[good]))
    count = np.maximum(members.sum(axis=1), 1)
    found = np.array([[s.row_px, s.col_px] for s in shifts])
    moved = rest + (count / (count + 1))[:, None] * (found - rest)
    errors = np.array([shift.error_px for shift in shifts])
    return np.where(good[:, None], moved, 0.0), np.where(good, errors, np.nan)
