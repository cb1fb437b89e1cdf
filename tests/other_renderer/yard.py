"""A random yard: tracks, aprons, sheds and everything round them, as geometry in the yard frame."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from scipy import ndimage


@dataclass(frozen=True)
class Track:
    """One track: a dense polyline every half metre."""

    id: str
    xy: np.ndarray
    """(n, 2) metres in the yard frame."""
    stand: tuple[float, float]
    """Part on which trains may stand clear of the neighbours, metres along `xy`."""
    occupancy: float

    @property
    def length(self) -> float:
        """Metres."""
        return float(arc(self.xy)[-1])


@dataclass(frozen=True)
class Block:
    """A polygon with a role: apron, shed, house, platform, road …"""

    id: str
    role: str
    xy: np.ndarray
    height: float = 0.0
    material: str = "concrete"


@dataclass(frozen=True)
class Yard:
    """All geometry of one yard."""

    gsd: float
    length: float
    base: np.ndarray
    """(n, 2) base line, one point per metre from s = -200."""
    offsets: tuple[float, ...]
    tracks: tuple[Track, ...]
    blocks: tuple[Block, ...]
    trees: np.ndarray
    """(n, 4): u, v, radius, height."""
    masts: np.ndarray
    """(n, 3): u, v, height."""
    ballast: str
    surround: str
    later: tuple[Block, ...] = field(default=())
    """Buildings that appear during the series."""

    def at(self, s, d) -> np.ndarray:
        """Points at `s` along and `d` left of the base line, (n, 2)."""
        return along(self.base, np.asarray(s, float) + 200.0, d)


def arc(xy: np.ndarray) -> np.ndarray:
    """Arc length at each vertex."""
    return np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(xy, axis=0).T))])


def along(xy: np.ndarray, s, d=0.0) -> np.ndarray:
    """Points at arc length `s` and offset `d` to the left of a polyline."""
    lengths = arc(xy)
    tangent = np.gradient(xy, lengths, axis=0)
    tangent /= np.hypot(*tangent.T)[:, None]
    s, d = np.broadcast_arrays(np.asarray(s, float), np.asarray(d, float))
    point = np.stack([np.interp(s, lengths, xy[:, k]) for k in (0, 1)], -1)
    direction = np.stack([np.interp(s, lengths, tangent[:, k]) for k in (0, 1)], -1)
    return point + np.stack([-direction[..., 1] * d, direction[..., 0] * d], -1)


def draw_yard(rng: np.random.Generator, gsd: float) -> Yard:
    """Draw a yard whose size suits the GSD."""
    low, high = {0.5: (250, 650), 3.0: (300, 1000)}.get(gsd, (500, 1200))
    length = float(rng.uniform(low, high))
    base = _base_line(rng, length)
    count = int(rng.integers(1, 10)) if rng.random() < 0.9 else 1
    gaps = rng.uniform(4.3, 6.0) + rng.normal(0, 0.12, count - 1)
    gaps = np.clip(gaps, 4.3, 6.0)
    if count > 2 and rng.random() < 0.35:
        gaps[rng.integers(count - 1)] = rng.uniform(10, 14)
    offsets = np.concatenate([[0.0], np.cumsum(gaps)])
    shell = Yard(gsd, length, base, tuple(offsets), (), (), np.empty((0, 4)), np.empty((0, 3)), "", "")
    tracks = _tracks(rng, shell, offsets)
    blocks, later = _blocks(rng, shell)
    ballast = rng.choice(["grey", "brown", "pale", "dark"], p=[0.4, 0.3, 0.15, 0.15])
    surround = rng.choice(["soil", "grass", "gravel"], p=[0.35, 0.4, 0.25])
    trees = _trees(rng, shell, blocks + later)
    masts = _masts(rng, shell) if rng.random() < 0.4 else np.empty((0, 3))
    return Yard(gsd, length, base, tuple(offsets), tracks, blocks, trees, masts, ballast, surround, later)


def _base_line(rng: np.random.Generator, length: float) -> np.ndarray:
    """Straight, curved, or S-shaped; one point per metre from -200 m to length + 200 m."""
    s = np.arange(-200, length + 201.0)
    kind = rng.choice(["straight", "arc", "s", "bend"], p=[0.4, 0.3, 0.15, 0.15])
    bend = rng.choice([-1, 1]) / rng.uniform(350, 2500)
    inside = np.clip(s / length, 0, 1)
    shape = {
        "straight": np.zeros_like(s),
        "arc": np.full_like(s, bend),
        "s": bend * np.sin(2 * np.pi * inside),
        "bend": bend * np.exp(-(((inside - rng.uniform(0.2, 0.8)) / 0.2) ** 2)),
    }[str(kind)]
    heading = np.cumsum(ndimage.gaussian_filter1d(shape, 20, mode="nearest"))
    heading -= heading[(s >= 0) & (s <= length)].mean()
    xy = np.cumsum(np.stack([np.cos(heading), np.sin(heading)], -1), 0)
    return xy - xy[(s >= 0) & (s <= length)].mean(0)


def _tracks(rng: np.random.Generator, shell: Yard, offsets: np.ndarray) -> tuple[Track, ...]:
    number, width = rng.uniform(7, 9.5), offsets[-1]
    ends = [rng.random() < 0.55 and width * number < 0.35 * shell.length and width > 0 for _ in range(2)]
    p_yard = 0.1 + 0.75 * rng.beta(1.1, 2.3)
    tracks = []
    for i, offset in enumerate(offsets):
        a, b = 0.0, shell.length
        if not ends[0] and rng.random() < 0.4:
            a = rng.uniform(0, 0.15) * shell.length
        if not ends[1] and rng.random() < 0.4:
            b = shell.length * (1 - rng.uniform(0, 0.2))
        s = np.arange(a, b, 0.5)
        d = np.full_like(s, offset)
        clear = offset + (4.4 if i < len(offsets) - 1 else 1.5)
        stand_a, stand_b = a + 2, b - 2
        if ends[0]:
            d = np.minimum(d, np.clip(s / number, 0, None))
            stand_a = number * clear + 12
        if ends[1]:
            d = np.minimum(d, np.clip((shell.length - s) / number, 0, None))
            stand_b = shell.length - number * clear - 12
        d = ndimage.gaussian_filter1d(d, 16, mode="nearest")
        xy = shell.at(s, d)
        lengths = arc(xy)
        stand = tuple(float(v) for v in np.interp([stand_a, stand_b], s, lengths))
        p = float(np.clip(p_yard + rng.normal(0, 0.15), 0.03, 0.95))
        p = rng.choice([p, 0.0, 0.95], p=[0.77, 0.15, 0.08])
        if rng.random() < 0.3:
            xy, stand = xy[::-1].copy(), (lengths[-1] - stand[1], lengths[-1] - stand[0])
        tracks.append(Track(f"t{i + 1}", xy, stand, float(p)))
    if all(track.occupancy == 0 for track in tracks):
        tracks[0] = replace(tracks[0], occupancy=max(p_yard, 0.2))
    return tuple(tracks)


def _strip(shell: Yard, a: float, b: float, d0: float, d1: float) -> np.ndarray:
    s = np.linspace(a, b, max(2, int((b - a) / 10)))
    return np.concatenate([shell.at(s, np.full_like(s, d0)), shell.at(s[::-1], np.full_like(s, d1))])


def _blocks(rng: np.random.Generator, shell: Yard) -> tuple[tuple[Block, ...], tuple[Block, ...]]:
    """Aprons, sheds, platform, road, houses, fence, each on a side of the yard, outward in that order."""
    out, later = [], []
    far = {-1: -4.0, 1: shell.offsets[-1] + 4.0}
    aprons = int(rng.choice([0, 1, 2], p=[0.2, 0.5, 0.3]))
    sheds = int(rng.integers(0, 4))
    for k in range(aprons):
        side = int(rng.choice([-1, 1]))
        depth, run = rng.uniform(10, 30), min(rng.uniform(50, 200), shell.length * 0.45)
        a = rng.uniform(0.02, 0.5) * shell.length if k == 0 else rng.uniform(0.5, 0.98) * shell.length - run
        a = float(np.clip(a, 5, shell.length - run - 5))
        d0 = far[side] + side * rng.uniform(0.5, 6)
        if any(b.role == "apron" for b in out):
            d0 = far[side] + side * 2
        xy = _strip(shell, a, a + run, d0, d0 + side * depth)
        out.append(Block(f"a{k + 1}", "apron", xy, 0.0, str(rng.choice(["concrete", "soil", "gravel", "asphalt"]))))
        far[side] = d0 + side * (depth + 3)
    if rng.random() < 0.25:
        side = int(rng.choice([-1, 1]))
        a, run = rng.uniform(0.1, 0.5) * shell.length, rng.uniform(60, 180)
        d0 = (-2.2 if side < 0 else shell.offsets[-1] + 2.2) if not aprons else far[side]
        out.append(Block("p1", "platform", _strip(shell, a, a + run, d0, d0 + side * 5), 1.0, "concrete"))
        far[side] = d0 + side * 9 if aprons else far[side] + side * 6
    roofs = ["metal", "tile", "blue", "dark", "concrete"]
    for k in range(sheds):
        side, run, depth = int(rng.choice([-1, 1])), rng.uniform(20, 90), rng.uniform(10, 25)
        a = rng.uniform(0, max(1, shell.length - run))
        d0 = far[side] + side * rng.uniform(1, 6)
        block = Block(
            f"s{k + 1}", "shed", _strip(shell, a, a + run, d0, d0 + side * depth), rng.uniform(5, 11), rng.choice(roofs)
        )
        out.append(block)
        if k == 0 and rng.random() < 0.5:
            far[side] = d0 + side * (depth + 2)
    deep = {-1: min(far[-1], -30.0) - 4, 1: max(far[1], shell.offsets[-1] + 30) + 4}
    if rng.random() < 0.8:
        side = int(rng.choice([-1, 1]))
        wide = rng.uniform(6, 11)
        strip = _strip(shell, -180, shell.length + 180, deep[side], deep[side] + side * wide)
        out.append(Block("r1", "road", strip, 0.0, "asphalt"))
        deep[side] += side * (wide + 3)
    for k in range(int(rng.integers(0, 16))):
        side = int(rng.choice([-1, 1]))
        a, d0, w = rng.uniform(-20, shell.length), deep[side] + side * rng.uniform(2, 30), rng.uniform(8, 16)
        strip = _strip(shell, a, a + rng.uniform(9, 22), d0, d0 + side * w)
        out.append(Block(f"h{k + 1}", "house", strip, rng.uniform(3, 9), rng.choice(roofs)))
    if rng.random() < 0.25:
        side = int(rng.choice([-1, 1]))
        a, d0 = rng.uniform(0.1, 0.8) * shell.length, far[side] + side * 6
        strip = _strip(shell, a, a + rng.uniform(15, 50), d0, d0 + side * rng.uniform(10, 18))
        later.append(Block("new", "house", strip, rng.uniform(4, 9), rng.choice(roofs)))
    return tuple(out), tuple(later)


def _trees(rng: np.random.Generator, shell: Yard, blocks: tuple[Block, ...]) -> np.ndarray:
    count = int(rng.uniform(0, 0.9) * shell.length)
    side = rng.choice([-1, 1], count)
    distance = 9 + rng.gamma(1.6, 14, count)
    d = np.where(side < 0, -distance, shell.offsets[-1] + distance)
    clump = np.sort(rng.uniform(-150, shell.length + 150, 1 + count // 8))
    s = rng.choice(clump, count) + rng.normal(0, 9, count)
    xy = shell.at(s, d)
    height = rng.uniform(3, 12, count)
    trees = np.column_stack([xy, height * rng.uniform(0.25, 0.5, count), height])
    from matplotlib.path import Path

    keep = np.ones(count, bool)
    for block in blocks:
        keep &= ~Path(block.xy).contains_points(xy, radius=0.0)
    return trees[keep]


def _masts(rng: np.random.Generator, shell: Yard) -> np.ndarray:
    s = np.arange(rng.uniform(5, 40), shell.length, rng.uniform(45, 65))
    left, right = shell.at(s, np.full_like(s, -3.0)), shell.at(s, np.full_like(s, shell.offsets[-1] + 3.0))
    points = np.concatenate([left, right]) if rng.random() < 0.6 else left
    return np.column_stack([points, np.full(len(points), rng.uniform(7, 9))])
