"""Where labels go: next to what they name, over nothing that matters, never over one another.

A full search over a lattice of positions, one label after another, then rounds in which each
label may move with the others fixed (coordinate descent). Deterministic: ties go to the upper left.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from rail_watch.report.page import Box, Point

CELL = 8
"""Side of a cell of the clutter raster, and the lattice's step, in pixels."""
MARGIN = 6.0
"""Pixels kept free round every label."""
TRIED = 160
"""Neighbourhoods whose best position has its leader line checked against other leaders and labels."""
LEADER_WEIGHT = 2.5
"""A leader over another object misleads more than a label over its edge."""
ROUNDS = 3
EASY = 720.0
"""Mean price up to which no other order is tried: short leaders, nothing of weight hidden."""
LEFT_OUT = 1e5
"""Price of a label that found no room."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Label:
    """One label to place."""

    size: tuple[float, float]
    """Width and height in pixels."""
    anchors: Floats
    """(n, 2) points (x, y) it may point at."""


@dataclass(frozen=True)
class Placed:
    """Where a label stands and how its leader runs."""

    box: Box
    start: Point
    """On the label's edge."""
    tip: Point
    """The anchor pointed at."""
    price: float
    """What the place costs: leader length and what is hidden."""


@dataclass(frozen=True)
class Room:
    """What labels are placed in."""

    extent: tuple[float, float]
    """Width and height in pixels."""
    clutter: Floats
    """(row, column) cells of `CELL` pixels: what a label would hide there, 0 for nothing."""
    blocked: tuple[Box, ...] = ()
    """Boxes that no label may touch."""


def clutter_raster(extent: tuple[float, float], shapes: Iterable[tuple[Floats, float]]) -> Floats:
    """Return the clutter raster of weighted polygons ((n, 2) pixels, weight); the heaviest counts."""
    cols, rows = (int(np.ceil(side / CELL)) for side in extent)
    raster = np.zeros((max(rows, 1), max(cols, 1)))
    for path, weight in shapes:
        mask = Image.new("1", raster.shape[::-1])
        outline = [(float(x), float(y)) for x, y in path / CELL - 0.5]
        if len(outline) > 2:
            ImageDraw.Draw(mask).polygon(outline, fill=1, outline=1)
        elif len(outline) == 2:
            ImageDraw.Draw(mask).line(outline, fill=1)
        raster = np.maximum(raster, np.asarray(mask) * weight)
    return raster


def place(labels: Sequence[Label], room: Room) -> tuple[Placed | None, ...]:
    """Place labels without overlap; None for one that finds no room.

    Boxes stay `MARGIN` from each other, from blocked boxes and from the room's edge; leaders cross
    neither one another nor a label. Where the largest-first order leaves a label out or over
    something that matters, other orders are tried and the best result is kept.
    """
    integral = np.pad(room.clutter.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    choices = [_choice(label, room, integral) for label in labels]
    indices = range(len(labels))
    orders = [
        sorted(indices, key=lambda i: (-labels[i].size[0] * labels[i].size[1], i)),
        sorted(indices, key=lambda i: (float(labels[i].anchors[:, 0].mean()), i)),
        sorted(indices, key=lambda i: (-float(labels[i].anchors[:, 0].mean()), i)),
        sorted(indices, key=lambda i: (float(labels[i].anchors[:, 1].mean()), i)),
    ]
    best: tuple[float, tuple[Placed | None, ...]] | None = None
    for order in orders:
        found = _settled(choices, order)
        price = sum(LEFT_OUT if one is None else one.price for one in found)
        if best is None or price < best[0]:
            best = price, tuple(found)
        if price <= EASY * len(labels):
            break
    return best[1] if best else ()


@dataclass(frozen=True)
class _Choice:
    """Every position of one label, with what it costs while it is alone."""

    boxes: Floats
    anchors: Floats
    """(n, 2) the anchor each would point at."""
    cost: Floats
    clutter: Floats


def _choice(label: Label, room: Room, integral: Floats) -> _Choice:
    boxes = _lattice(label.size, room.extent)
    if not len(boxes):
        return _Choice(boxes, boxes[:, :2], boxes[:, 0], room.clutter)
    anchor, distance = _nearest(boxes, label.anchors)
    cost = distance + _hidden(boxes, integral)
    for box in room.blocked:
        cost[_touching(boxes, box)] = np.inf
    return _Choice(boxes, label.anchors[anchor], cost, room.clutter)


def _settled(choices: Sequence[_Choice], order: Sequence[int]) -> list[Placed | None]:
    """Place in an order, then let each move with the others fixed until none does."""
    found: list[Placed | None] = [None] * len(choices)
    for _ in range(ROUNDS):
        before = list(found)
        for index in order:
            others = [p for i, p in enumerate(found) if p is not None and i != index]
            found[index] = _best(choices[index], others)
        if found == before:
            break
    return found


def _best(choice: _Choice, others: Sequence[Placed]) -> Placed | None:
    boxes, cost = choice.boxes, choice.cost.copy()
    for other in others:
        cost[_touching(boxes, other.box)] = np.inf
        cost[_struck(boxes, other)] = np.inf
    near = _promising(boxes, cost)
    cost[near] += LEADER_WEIGHT * _run_over(boxes[near], choice.anchors[near], choice.clutter)
    for index in near[np.argsort(cost[near], kind="stable")]:
        if not np.isfinite(cost[index]):
            return None
        placed = _placed(boxes[index], choice.anchors[index], float(cost[index]))
        if not any(_crosses(placed, other) for other in others):
            return placed
    return None


def _lattice(size: tuple[float, float], extent: tuple[float, float]) -> Floats:
    """(n, 4) boxes of a size inside the room, on the cells' corners."""
    x = np.arange(MARGIN, extent[0] - size[0] - MARGIN, CELL)
    y = np.arange(MARGIN, extent[1] - size[1] - MARGIN, CELL)
    top, left = (grid.ravel() for grid in np.meshgrid(y, x, indexing="ij"))
    # Column by column in memory, which is how boxes are compared.
    return np.stack([left, top, left + size[0], top + size[1]]).T


def _nearest(boxes: Floats, anchors: Floats) -> tuple[NDArray[np.intp], Floats]:
    """For each box the best anchor and its price: the leader's length, and a little for slanting."""
    x, y = anchors[None, :, 0], anchors[None, :, 1]
    dx = np.maximum(0, np.maximum(boxes[:, 0, None] - x, x - boxes[:, 2, None]))
    dy = np.maximum(0, np.maximum(boxes[:, 1, None] - y, y - boxes[:, 3, None]))
    aside = np.abs(0.5 * (boxes[:, 0, None] + boxes[:, 2, None]) - x)
    price = 2.0 * np.hypot(dx, dy) + 0.4 * dx + 0.15 * aside
    best = price.argmin(axis=1)
    return best, np.take_along_axis(price, best[:, None], axis=1)[:, 0]


def _hidden(boxes: Floats, integral: Floats) -> Floats:
    """(n,) clutter under each box, with its margin."""
    rows, cols = integral.shape[0] - 1, integral.shape[1] - 1
    c0, r0 = (np.clip((boxes[:, i] - MARGIN) // CELL, 0, n).astype(int) for i, n in ((0, cols), (1, rows)))
    c1, r1 = (np.clip(-(-(boxes[:, i] + MARGIN) // CELL), 0, n).astype(int) for i, n in ((2, cols), (3, rows)))
    covered: Floats = integral[r1, c1] - integral[r0, c1] - integral[r1, c0] + integral[r0, c0]
    return covered


def _promising(boxes: Floats, cost: Floats) -> NDArray[np.intp]:
    """Indices of the cheapest position of each neighbourhood, the cheapest first: not many of the same."""
    order = np.argsort(cost, kind="stable")
    block = (boxes[order, 0] // (6 * CELL)) * 10_000 + boxes[order, 1] // (3 * CELL)
    _, first = np.unique(block, return_index=True)
    return order[np.sort(first)[:TRIED]]


def _run_over(boxes: Floats, anchors: Floats, clutter: Floats) -> Floats:
    """(n,) clutter under each leader, per cell of its length; its own object's share is much the same for all."""
    start = np.stack([np.clip(anchors[:, i], boxes[:, i], boxes[:, i + 2]) for i in (0, 1)], axis=-1)
    share = np.linspace(0, 1, 32)[:, None, None]
    x, y = np.moveaxis((start + (anchors - start) * share) // CELL, -1, 0).astype(int)
    under = clutter[np.clip(y, 0, clutter.shape[0] - 1), np.clip(x, 0, clutter.shape[1] - 1)].mean(axis=0)
    lengths: Floats = np.hypot(*(anchors - start).T)
    return np.asarray(under * lengths / CELL)


def _touching(boxes: Floats, box: Box) -> NDArray[np.bool_]:
    left, top, right, bottom = box
    across = (boxes[:, 0] < right + MARGIN) & (boxes[:, 2] > left - MARGIN)
    return np.asarray(across & (boxes[:, 1] < bottom + MARGIN) & (boxes[:, 3] > top - MARGIN), dtype=bool)


def _struck(boxes: Floats, other: Placed) -> NDArray[np.bool_]:
    """(n,) True where a box lies across another label's leader (the segment clipped to the box's two slabs)."""
    start, span = np.array(other.start), np.array(other.tip) - other.start
    span = np.where(np.abs(span) < 1e-9, 1e-9, span)
    enters, leaves = np.zeros(len(boxes)), np.ones(len(boxes))
    # Axis by axis: a reduction over two numbers costs ten times what comparing two columns does.
    for axis in (0, 1):
        first, second = ((boxes[:, side] - start[axis]) / span[axis] for side in (axis, axis + 2))
        np.maximum(enters, np.minimum(first, second), out=enters)
        np.minimum(leaves, np.maximum(first, second), out=leaves)
    return np.asarray(enters <= leaves, dtype=bool)


def _placed(box: Floats, anchor: Floats, price: float) -> Placed:
    left, top, right, bottom = (float(side) for side in box)
    tip = (float(anchor[0]), float(anchor[1]))
    inset = min(10.0, (right - left) / 2)
    start = (min(max(tip[0], left + inset), right - inset), min(max(tip[1], top), bottom))
    if top < start[1] < bottom:
        start = (left if tip[0] < left else right, start[1])
    return Placed((left, top, right, bottom), start, tip, price)


def _crosses(placed: Placed, other: Placed) -> bool:
    """True where the leaders cross, or this leader runs over the other label."""
    leader = (placed.start, placed.tip)
    if segments_cross(leader, (other.start, other.tip)):
        return True
    left, top, right, bottom = other.box
    inside = left <= placed.tip[0] <= right and top <= placed.tip[1] <= bottom
    diagonals = (((left, top), (right, bottom)), ((left, bottom), (right, top)))
    return inside or any(segments_cross(leader, diagonal) for diagonal in diagonals)


def segments_cross(one: tuple[Point, Point], two: tuple[Point, Point]) -> bool:
    """True where two segments have a point in common (touching ends count, collinear overlap does not)."""

    def side(a: Point, b: Point, c: Point) -> float:
        return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])

    (a, b), (c, d) = one, two
    return side(a, b, c) * side(a, b, d) <= 0 < abs(side(a, b, c) - side(a, b, d)) and side(c, d, a) * side(
        c, d, b
    ) <= 0 < abs(side(c, d, a) - side(c, d, b))


def spread(wanted: Sequence[float], heights: Sequence[float], *, low: float, high: float) -> list[float]:
    """Middles near `wanted` for things of those heights, one below the other, within low..high where they fit.

    The least sum of squared moves (pool adjacent violators), in the order of `wanted`.
    """
    order = sorted(range(len(wanted)), key=lambda i: (wanted[i], i))
    above = 0.0
    offsets: list[float] = []
    for index in order:
        offsets.append(above + heights[index] / 2)
        above += heights[index]
    blocks: list[tuple[float, int]] = []
    for index, offset in zip(order, offsets, strict=True):
        blocks.append((wanted[index] - offset, 1))
        while len(blocks) > 1 and blocks[-2][0] >= blocks[-1][0]:
            (a, n), (b, m) = blocks[-2:]
            blocks[-2:] = [((a * n + b * m) / (n + m), n + m)]
    top = max(low, high - above)
    flat = [min(max(mean, low), top) for mean, count in blocks for _ in range(count)]
    placed = {index: start + offset for index, start, offset in zip(order, flat, offsets, strict=True)}
    return [placed[index] for index in range(len(wanted))]
