"""Rolling stock, and which train stands where in which scene."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from .yard import Track

# kind: length over couplers, width, height (low, high), metres
SIZES = {
    "locomotive": ((15.0, 22.0), (2.9, 3.2), (4.2, 4.8)),
    "box": ((13.5, 19.2), (3.0, 3.3), (4.2, 4.75)),
    "gondola": ((12.0, 14.6), (3.0, 3.25), (2.9, 3.8)),
    "hopper": ((10.0, 15.0), (3.0, 3.25), (3.7, 4.6)),
    "tank": ((10.5, 16.5), (2.9, 3.2), (4.2, 4.7)),
    "flat": ((13.4, 20.0), (2.8, 3.2), (1.5, 1.8)),
    "container": ((13.4, 26.0), (2.8, 3.1), (1.3, 1.4)),
    "passenger": ((20.0, 26.4), (2.85, 3.2), (3.9, 4.3)),
}
# Reflectance blue, green, red, near infrared.
PAINTS = {
    "black": (0.035, 0.036, 0.038, 0.05),
    "soot": (0.06, 0.062, 0.065, 0.08),
    "oxide": (0.06, 0.07, 0.15, 0.22),
    "rust": (0.07, 0.09, 0.16, 0.23),
    "blue": (0.22, 0.13, 0.07, 0.14),
    "sky": (0.33, 0.27, 0.2, 0.26),
    "green": (0.07, 0.13, 0.07, 0.2),
    "olive": (0.06, 0.09, 0.09, 0.18),
    "grey": (0.19, 0.2, 0.2, 0.22),
    "silver": (0.34, 0.35, 0.35, 0.36),
    "white": (0.55, 0.57, 0.57, 0.56),
    "yellow": (0.08, 0.33, 0.42, 0.46),
    "red": (0.06, 0.06, 0.32, 0.4),
    "orange": (0.05, 0.16, 0.4, 0.45),
}
LOADS = {
    "coal": (0.03, 0.03, 0.031, 0.04),
    "ore": (0.07, 0.08, 0.13, 0.17),
    "gravel": (0.2, 0.21, 0.22, 0.25),
    "timber": (0.16, 0.22, 0.29, 0.38),
    "scrap": (0.1, 0.11, 0.13, 0.16),
    "sand": (0.2, 0.27, 0.34, 0.4),
    "empty": (0.05, 0.055, 0.065, 0.085),
}


@dataclass(frozen=True)
class Car:
    """One vehicle, its body `length` long and `gap` of couplers after it."""

    kind: str
    length: float
    gap: float
    width: float
    height: float
    paint: tuple[float, ...]
    load: tuple[float, ...]
    loaded: bool
    seed: int


@dataclass(frozen=True)
class Train:
    """A consist, standing with its first car's body beginning at `start` along a track."""

    id: str
    cars: tuple[Car, ...]
    start: float = 0.0

    @property
    def length(self) -> float:
        """From the first body's end to the last's: what a picture shows."""
        return sum(c.length + c.gap for c in self.cars) - self.cars[-1].gap

    def spans(self) -> list[tuple[float, float]]:
        """Start and end of each car's body along the track."""
        starts = self.start + np.concatenate([[0.0], np.cumsum([c.length + c.gap for c in self.cars])[:-1]])
        return [(float(s), float(s + c.length)) for s, c in zip(starts, self.cars, strict=True)]


def make_car(rng: np.random.Generator, kind: str, like: Car | None, ballast: tuple[float, ...]) -> Car:
    """A car; of the same class as `like` if given."""
    (l0, l1), (w0, w1), (h0, h1) = SIZES[kind]
    gap = rng.uniform(0.6, 1.2) if like is None else like.gap
    length = rng.uniform(l0, l1) - gap if like is None else like.length
    width, height = (rng.uniform(w0, w1), rng.uniform(h0, h1)) if like is None else (like.width, like.height)
    names = list(PAINTS)
    freight = {
        "locomotive": ["green", "red", "blue", "oxide", "orange", "soot"],
        "tank": ["black", "soot", "silver", "white", "rust", "grey"],
        "passenger": ["blue", "green", "silver", "white", "red"],
    }
    usual = ["oxide", "rust", "grey", "green", "olive", "soot", "black"]
    choices = freight.get(kind, usual * 3 + names)
    paint = np.array(PAINTS[str(rng.choice(choices))]) * rng.uniform(0.6, 1.2)
    paint += rng.beta(1.3, 2.5) * (np.array([0.055, 0.06, 0.075, 0.11]) * rng.uniform(0.8, 1.5) - paint)  # grime
    if rng.random() < 0.12:
        paint = np.array(ballast) * rng.uniform(0.9, 1.1)
    if like is not None and rng.random() < 0.5:
        paint = np.array(like.paint) * rng.normal(1, 0.06)
    load = np.array(LOADS[str(rng.choice(list(LOADS)))]) * rng.uniform(0.8, 1.25)
    loaded = bool(rng.random() < 0.6) if like is None or rng.random() < 0.15 else like.loaded
    if like is not None and rng.random() < 0.8:
        load = np.array(like.load)
    return Car(
        kind,
        float(length),
        float(gap),
        float(width),
        float(height),
        tuple(np.clip(paint, 0.02, 0.75)),
        tuple(load),
        loaded,
        int(rng.integers(1 << 31)),
    )


def make_train(rng: np.random.Generator, name: str, count: int, ballast: tuple[float, ...]) -> Train:
    """A block train of one type, a mixed freight, a passenger set, or shunted odds and ends."""
    style = rng.choice(["block", "mixed", "passenger", "odds"], p=[0.4, 0.38, 0.07, 0.15])
    freight = ["box", "gondola", "hopper", "tank", "flat", "container"]
    cars: list[Car] = []
    if (style == "passenger" or rng.random() < 0.5) and count > 1:
        cars.append(make_car(rng, "locomotive", None, ballast))
    kind = "passenger" if style == "passenger" else str(rng.choice(freight))
    like = make_car(rng, kind, None, ballast)
    while len(cars) < count:
        if style == "odds" or (style == "mixed" and rng.random() < 0.25):
            kind = str(rng.choice([*freight, "locomotive"], p=[0.25, 0.25, 0.12, 0.16, 0.1, 0.08, 0.04]))
            like = make_car(rng, kind, None, ballast)
        same = style in ("block", "passenger") or rng.random() < 0.6
        cars.append(make_car(rng, kind, like if same else None, ballast))
    return Train(name, tuple(cars if rng.random() < 0.5 else cars[::-1]))


@dataclass
class Dispatcher:
    """Moves trains from scene to scene."""

    rng: np.random.Generator
    gsd: float
    ballast: tuple[float, ...]
    keep: float
    pool: list[Train]
    made: int = 0
    out: set[str] = field(default_factory=set)
    """Trains standing somewhere already."""

    def step(self, tracks: tuple[Track, ...], before: dict[str, list[Train]]) -> dict[str, list[Train]]:
        """Where trains stand next."""
        rng = self.rng
        if rng.random() < 0.08:
            return {t.id: [] for t in tracks}
        out = {t.id: before[t.id] for t in tracks if t.id in before and rng.random() < self.keep}
        self.out = {train.id for trains in out.values() for train in trains}
        for track in tracks:
            if track.id not in out:
                out[track.id] = self._fill(track) if rng.random() < track.occupancy else []
        return out

    def _count(self) -> int:
        long = {0.5: 1, 3.0: 3}.get(self.gsd, 9)
        low = 1 if self.rng.random() < 0.2 else long
        return int(np.exp(self.rng.uniform(np.log(low), np.log(46))))

    def _fill(self, track: Track) -> list[Train]:
        rng = self.rng
        apart = {0.5: 12.0, 3.0: 25.0}.get(self.gsd, 70.0) * (1 if rng.random() < 0.9 else 0.5)
        trains: list[Train] = []
        room = track.stand[1] - track.stand[0]
        for _ in range(int(rng.choice([1, 2, 3], p=[0.68, 0.24, 0.08]))):
            train = self._draw()
            while train.length > room - 1 and len(train.cars) > 1:
                train = replace(train, cars=train.cars[: int(len(train.cars) * 0.8)])
            if train.length > room - 1:
                break
            trains.append(train)
            room -= train.length + apart
        slack = np.diff(np.sort(np.concatenate([[0], rng.uniform(0, 1, len(trains)), [1]])))
        free = track.stand[1] - track.stand[0] - sum(t.length for t in trains) - apart * (len(trains) - 1)
        at, placed = track.stand[0], []
        for train, part in zip(trains, slack, strict=False):
            at += part * max(free, 0)
            placed.append(replace(train, start=float(at)))
            at += train.length + apart
        return placed

    def _draw(self) -> Train:
        rng = self.rng
        idle = [t for t in self.pool if t.id not in self.out]
        if idle and rng.random() < 0.3:
            train = idle[rng.integers(len(idle))]
            self.out.add(train.id)
            cars = train.cars[::-1] if rng.random() < 0.4 else train.cars
            if rng.random() < 0.3 and len(cars) > 4:
                cars = cars[int(rng.integers(0, 3)) : len(cars) - int(rng.integers(0, 3))]
            return replace(train, cars=cars)
        self.made += 1
        train = make_train(rng, f"c{self.made}", max(1, self._count()), self.ballast)
        self.pool.append(train)
        self.out.add(train.id)
        return train
