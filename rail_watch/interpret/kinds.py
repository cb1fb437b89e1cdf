"""The kind of each railcar, where half-metre imagery shows it: by length, the roof's profiles, and the shadow.

A multinomial logistic regression on the few dozen quantities of `FEATURES`, each of which can be read off a picture
with a ruler. It was learnt on simulated yards of two independent renderers (docs/training.md, docs/method.md); what is
under a roof or in a car it does not know and does not say.

Told apart are only the kinds that look different from above. A hopper without a roof is told as a gondola, a flat car
with containers as a flat car.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, special

from rail_watch.aoi.site import Site
from rail_watch.interpret.sections import light
from rail_watch.interpret.shadows import HALF_WIDTH_M, Sun
from rail_watch.interpret.strips import positions, row_col_of
from rail_watch.interpret.trains import Train
from rail_watch.interpret.yard import SceneModel, Yard
from rail_watch.prepare.stack import Stack
from rail_watch.prepare.zones import local_frame

Array = NDArray[np.float64]

CarKindName = Literal["locomotive", "box", "gondola", "tank", "flat"]
TOLD: tuple[CarKindName, ...] = ("locomotive", "box", "gondola", "tank", "flat")
KINDS = (*TOLD, "other")
"""Open gondolas and hoppers, and gondolas under a cover, are one; so are flat cars, empty or loaded. What is `other`
(a passenger coach) is not told."""
LEAST_P = 0.6
"""A kind less probable than this is not told: it would be wrong too often to be of use."""
LARGEST_GSD_M = 0.8
"""Beyond this GSD a car is less than four pixels wide and shows neither rim nor ridge."""
REACH_M, ACROSS_STEP_M = 8.0, 0.5
"""Cars are looked at this far to either side of the line, at this spacing."""
LENGTHS_M = (10.0, 11.0, 12.0, 13.0, 14.0, 15.0, 16.0, 17.5, 19.0, 22.0, 25.0)
"""Car bodies are mostly near one of these: 11 m a four-axle tank car, 13 m a gondola, 16 m a boxcar or locomotive."""
HEIGHTS_M = ((0.3, 1.2), (1.2, 2.4), (2.4, 3.4), (3.4, 4.6), (4.6, 6.5))
"""Ground in shadow is looked for where something so high would throw it: 1.3 m a flat car's deck, 3.5 m a gondola's
rim, 4.7 m a boxcar's roof."""
DEEPEST = 1.2
"""Shadow darker than this (logarithm) is no more shadow."""

FEATURES = (
    *(f"length near {length:g} m" for length in LENGTHS_M),
    "length",
    "first or last",
    "alone",
    "brightness of the roof",
    "roof unlike ballast",
    "sunny edge over middle",
    "shaded edge over middle",
    "shaded half over sunny half",
    "edges over middle",
    "spread along",
    "darkest along",
    "brightest along",
    "unevenness along",
    "unevenness of the roof",
    "ends over the rest",
    "ends unlike",
    "middle fifth over its neighbours",
    "first and last metre over the rest",
    *(f"shadow of {low:g} to {high:g} m" for low, high in HEIGHTS_M),
    "shadow beside",
    "shadow per height",
    "sun",
)


@dataclass(frozen=True)
class CarKind:
    """What one car is likely to be."""

    kind: CarKindName | None
    """None where none is probable enough."""
    p: float | None
    """Probability that it is so, where it is told."""


UNTOLD = CarKind(None, None)


@dataclass(frozen=True)
class TrainPicture:
    """One train at one scene, straightened, the shadow falling towards positive offsets."""

    across_m: Array
    """(O,) offset from the middle of the cars."""
    light: Array
    """(S, O) logarithm of light over that of the ground near tracks, mean over bands."""
    change: Array
    """(S, O) logarithm of light over that of empty track."""
    seen: Array
    """(S,) share of the footprint that could be judged."""
    sun: Sun
    step_m: float

    def car(self, first: int, last: int) -> TrainPicture:
        """Return the part of one car."""
        part = slice(first, last)
        return TrainPicture(self.across_m, self.light[part], self.change[part], self.seen[part], self.sun, self.step_m)

    def between(self, low_m: float, high_m: float) -> Array:
        """(S', O') light between two offsets, the car's two ends left out."""
        inside = (self.across_m >= low_m - 1e-6) & (self.across_m <= high_m + 1e-6)
        return self.light[_core(len(self.light)), :][:, inside]


def _core(steps: int) -> slice:
    """Leave out the metre at either end, where couplings and the gap show."""
    return slice(2, -2) if steps > 12 else slice(None)


def kinds_of(
    yard: Yard, stack: Stack, site: Site, models: Sequence[SceneModel | None], trains: Sequence[Train]
) -> tuple[tuple[CarKind, ...], ...]:
    """Tell the kind of every car of every train; a train's is empty where its cars cannot be told apart.

    Nothing is told beyond `LARGEST_GSD_M`, nor of a car of which less than half is in sight.
    """
    out: list[tuple[CarKind, ...]] = []
    for train in trains:
        model, edges = models[train.scene], train.edges_m
        if stack.gsd_m > LARGEST_GSD_M or model is None or len(edges) < 2:
            out.append((UNTOLD,) * max(len(edges) - 1, 0))
            continue
        features, seen = describe_cars(yard, stack, site, model, train)
        out.append(tuple(_told(p) if s >= 0.5 else UNTOLD for p, s in zip(probabilities(features), seen, strict=True)))
    return tuple(out)


def _told(p: Array) -> CarKind:
    best = int(np.argmax(p))
    return UNTOLD if p[best] < LEAST_P or best >= len(TOLD) else CarKind(TOLD[best], float(p[best]))


@cache
def load_weights() -> Array:
    """(features + 1, kinds) weights that come with the package, the last row added."""
    file = resources.files("rail_watch.interpret").joinpath("weights", "kinds-fine.npz")
    with file.open("rb") as stream, np.load(stream, allow_pickle=False) as data:
        return np.asarray(data["weights"], dtype=np.float64)


def probabilities(features: Array, weights: Array | None = None) -> Array:
    """(n, kinds) probability of each kind, from (n, features)."""
    weights = load_weights() if weights is None else weights
    return np.asarray(special.softmax(features @ weights[:-1] + weights[-1], axis=1))


def describe_cars(yard: Yard, stack: Stack, site: Site, model: SceneModel, train: Train) -> tuple[Array, Array]:
    """(n, features) what is shown of each car of a train, and (n,) the share of it that could be judged."""
    edges = np.array(train.edges_m)
    step = yard.strips[train.strip].step_m
    first = int(np.clip(edges[0] / step, 0, len(yard.strips[train.strip].along_m) - 2))
    cuts = np.clip(np.round(edges / step).astype(int), first, len(yard.strips[train.strip].along_m))
    picture = train_picture(yard, stack, site, model, (train.strip, train.scene, slice(first, int(cuts[-1]))))
    rows, seen = [], []
    for i, (a, b) in enumerate(pairwise(cuts.tolist())):
        car = picture.car(a - first, b - first)
        if b - a < 8:
            rows.append(np.zeros(len(FEATURES)))
            seen.append(0.0)
            continue
        place = [float(i in (0, len(cuts) - 2)), float(len(cuts) == 2)]
        rows.append(np.array([*_length(edges[i + 1] - edges[i]), *place, *_roof(car), *_shadow(car)]))
        seen.append(float(car.seen.mean()))
    return np.array(rows), np.array(seen)


def train_picture(
    yard: Yard, stack: Stack, site: Site, model: SceneModel, where: tuple[int, int, slice]
) -> TrainPicture:
    """Sample a stretch (strip, scene, steps) from the stack, finer across than strips are."""
    k, t, steps = where
    strip, sun = yard.strips[k], yard.suns[k][t]
    across = np.arange(-REACH_M, REACH_M + 0.1, ACROSS_STEP_M)
    points, _ = positions(strip.line, strip.along_m[steps], across)
    row_col = np.moveaxis(row_col_of(points, local_frame(site), stack.grid), -1, 0)
    pixels = np.stack([ndimage.map_coordinates(p, row_col, order=1, mode="nearest") for p in stack.pixels[t]])
    with np.errstate(invalid="ignore"):
        seen = light(pixels, model.dark, model.level) - np.log(model.level)[:, None, None]
        gain, offset = (v[:, None, None] for v in (model.gain, model.offset))
        bare = light((gain * yard.baseline[k][:, steps] + offset).astype(np.float32), model.dark, model.level)
        usual = (bare - np.log(model.level)[:, None, None]).mean(axis=0)
    shown = np.nan_to_num(seen.mean(axis=0).astype(np.float64))
    change = np.nan_to_num(shown - np.stack([np.interp(across, strip.across_m, row) for row in usual]))
    middle = np.abs(strip.across_m) <= HALF_WIDTH_M
    visible = yard.usable[k][t][steps][:, middle].mean(axis=1)
    turn = -1 if sun.side < 0 else 1
    shown, change = shown[:, ::turn], change[:, ::turn]
    return TrainPicture(across - _middle(shown, across), shown, change, visible, sun, strip.step_m)


def _middle(shown: Array, across: Array) -> float:
    """Offset of the cars' middle: where a car's two sides would stand on the steepest changes of light.

    Lines of an area of interest are off by a metre or so, and tall cars lean away from the sensor.
    """
    steep = np.abs(np.diff(shown, axis=1)).mean(axis=0)
    between = (across[1:] + across[:-1]) / 2
    middles = np.arange(-1.25, 1.26, 0.25)
    sides = np.interp(middles - HALF_WIDTH_M, between, steep) + np.interp(middles + HALF_WIDTH_M, between, steep)
    return float(middles[int(np.argmax(sides - 0.02 * np.abs(middles)))])


def _length(length_m: float) -> list[float]:
    return [*np.exp(-0.5 * ((length_m - np.array(LENGTHS_M)) / 0.8) ** 2).tolist(), (length_m - 14.0) / 4.0]


def _roof(car: TrainPicture) -> list[float]:
    """Profile from side to side and from end to end, in the order of `FEATURES`."""
    roof, middle = car.between(-1.0, 1.0), car.between(-0.6, 0.6)
    along, level = middle.mean(axis=1), float(middle.mean())
    whole = car.light[:, np.abs(car.across_m) <= 1.0].mean(axis=1)
    end = max(len(whole) // 6, 2)
    fifths = [float(part.mean()) for part in np.array_split(whole, 5)]
    low, usual, high = np.quantile(along, [0.05, 0.5, 0.95])
    grain = roof - roof.mean(axis=0) - along[:, None] + roof.mean()
    brightness = float(roof.mean())
    rims = car.between(-1.3, -0.8).mean() + car.between(0.8, 1.3).mean()
    return [
        brightness,
        abs(brightness),
        float(car.between(-1.5, -1.0).mean()) - level,
        float(car.between(1.0, 1.5).mean()) - level,
        float(car.between(0.3, 1.1).mean() - car.between(-1.1, -0.3).mean()),
        float(rims - 2 * car.between(-0.3, 0.3).mean()),
        float(np.log(0.02 + along.std())),
        float(low - usual),
        float(high - usual),
        float(np.log(0.02 + np.diff(along).std())),
        float(np.log(0.02 + grain.std())),
        float((whole[:end].mean() + whole[-end:].mean()) / 2 - whole[end:-end].mean()),
        float(abs(whole[:end].mean() - whole[-end:].mean())),
        fifths[2] - (fifths[1] + fifths[3]) / 2,
        float((whole[:2].mean() + whole[-2:].mean()) / 2 - whole.mean()),
    ]


def _shadow(car: TrainPicture) -> list[float]:
    """Darkness of the ground where cars of several heights would shade it; 0 where there is no sun to do so."""
    if car.sun.side == 0:
        return [0.0] * (len(HEIGHTS_M) + 3)
    dark = np.clip(-car.change[_core(len(car.change))].mean(axis=0), -0.5, DEEPEST)
    out = []
    for low, high in HEIGHTS_M:
        at = HALF_WIDTH_M + car.sun.across * np.linspace(low, high, 4)
        at = at[at <= car.across_m[-1]]
        out.append(float(np.interp(at, car.across_m, dark).mean()) if len(at) else 0.0)
    beside = float(np.interp([2.0, 2.5], car.across_m, dark).mean())
    return [*out, beside, min(car.sun.across, 4.0) / 2, 1.0]


__all__ = ["KINDS", "CarKind", "describe_cars", "kinds_of", "probabilities"]
