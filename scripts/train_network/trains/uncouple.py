"""Trains near one another: a stretch of a train gives way to the same track as another scene shows it empty.

Most drawn trains stand where there is room. In a busy yard two stand a few metres apart, and whether that is one train
or two shows in a few pixels only; so such places are made. What is laid bare lies in the shadow of the car before it
where the sun stands along the track.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from rail_watch.interpret.sections import CHANNELS, DEEPEST, SCALARS
from rail_watch.interpret.shadows import HALF_WIDTH_M
from rail_watch.interpret.strips import FINE_GSD_M, offsets_m, steps_for

UNCOUPLED = 0.15
"""Share of looks at which a train is taken apart."""
LEFT_M = 12.0
"""So much of a train is left on either side, or two pixels where they are wider."""
LONGEST_GAP_M = 40.0
ALIKE = {"likeness to the reference": 0.25, "noise": 0.6}
"""Scenes differ by no more than this where ground of one is laid into another."""
HEIGHT_M = (2.0, 4.6)
"""Of cars that throw a shadow."""
DEPTH = (0.5, 1.7)
"""Logarithm of the light that a shadow takes."""
TAKEN = {"change": 1.0, "contrast": 1.0, "change in hue": 0.3, "hue": 0.3, "change in NIR": 0.35, "NIR": 0.35}
"""How much of it shows in each channel: sky light is blue."""


def uncoupled(
    sections: Tensor, labels: tuple[Tensor, Tensor], rng: np.random.Generator, *, scenes: int, gsd_m: float
) -> None:
    """Take trains of some looks apart, in place.

    Parameters
    ----------
    sections : (N, F, S), `scenes` of each track one after the other.
    labels : (N, S) trains, and gaps between cars or trains near by, as `Row` has them.
    gsd_m : of the class.
    """
    step = steps_for(gsd_m)[0]
    for i in np.flatnonzero(rng.random(len(sections)) < UNCOUPLED).tolist():
        first = i // scenes * scenes
        donors = [j for j in range(first, first + scenes) if j != i and _alike(sections[i], sections[j])]
        length = float(np.exp(rng.uniform(np.log(max(2.0, 0.8 * gsd_m)), np.log(max(LONGEST_GAP_M, 6 * gsd_m)))))
        place = _place(labels, i, max(round(length / step), 1), rng, gsd_m=gsd_m)
        if place is None:
            continue
        around = slice(max(place.start - 2, 0), place.stop + 2)
        empty = [j for j in donors if bool((labels[0][j, around] == 0).all())]
        if empty:
            _replace(sections, labels, (i, int(rng.choice(empty))), place, rng, gsd_m=gsd_m)


def _alike(one: Tensor, other: Tensor) -> bool:
    start = len(one) - len(SCALARS)
    return all(
        abs(float(one[start + SCALARS.index(name), 0] - other[start + SCALARS.index(name), 0])) < most
        for name, most in ALIKE.items()
    )


def _place(
    labels: tuple[Tensor, Tensor], i: int, length: int, rng: np.random.Generator, *, gsd_m: float
) -> slice | None:
    """Return where a train of look i can lose so many steps: after a car's end, where these show."""
    occupied, other = (part[i].numpy() for part in labels)
    left = max(round(max(LEFT_M, 2 * gsd_m) / steps_for(gsd_m)[0]), 1)
    width = length + 2 * left
    taken = np.concatenate([[0], np.cumsum(occupied == 1)])
    starts = (
        np.flatnonzero(taken[width:] - taken[:-width] == width) + left if len(occupied) >= width else np.empty(0, int)
    )
    if gsd_m <= FINE_GSD_M:
        starts = starts[other[starts] == 1]
    if starts.size == 0:
        return None
    start = int(rng.choice(starts))
    return slice(start, start + length)


def _replace(
    sections: Tensor,
    labels: tuple[Tensor, Tensor],
    looks: tuple[int, int],
    place: slice,
    rng: np.random.Generator,
    *,
    gsd_m: float,
) -> None:
    i, j = looks
    channels = sections.shape[1] - len(SCALARS)
    along = torch.zeros(1, sections.shape[-1])
    along[:, place] = 1.0
    share = (_own_ground(sections[i], gsd_m=gsd_m)[:, None] * _spread(along, gsd_m=gsd_m)).repeat(len(CHANNELS), 1)
    sections[i, :channels] += share * (sections[j, :channels] - sections[i, :channels])
    _shade(sections[i], place, rng, gsd_m=gsd_m)
    labels[0][i, place] = 0
    labels[1][i, place] = 0 if gsd_m <= FINE_GSD_M else -1


def _spread(share: Tensor, *, gsd_m: float) -> Tensor:
    """(..., S) shares spread along the track as pixels spread the light of what stands beside them."""
    for _ in range(1 if gsd_m <= FINE_GSD_M else 2):
        share = functional.avg_pool1d(share[None], 3, 1, 1)[0]
    return share


def _sun(section: Tensor) -> tuple[float, float] | None:
    """Metres of shadow across per metre of height, and along per metre across; None where no sun is told."""
    scalar = section[len(section) - len(SCALARS) :, 0]
    if not scalar[SCALARS.index("sun")]:
        return None
    return 2 * float(scalar[SCALARS.index("reach of shadows")]), 3 * float(scalar[SCALARS.index("shear of shadows")])


def _own_ground(section: Tensor, *, gsd_m: float) -> Tensor:
    """(zones,) share of the ground beside a track that a train on it covers or shades; other trains stay as they are.

    Shadows fall towards positive offsets; without a sun they may fall to either side.
    """
    sun, offsets = _sun(section), torch.from_numpy(offsets_m(gsd_m)).float()
    if sun is None:
        return torch.ones_like(offsets)
    blur = 0.5 * gsd_m + 0.3
    low, high = -HALF_WIDTH_M - 0.5, HALF_WIDTH_M + 0.5 + sun[0] * HEIGHT_M[1]
    return torch.special.ndtr((offsets - low) / blur) - torch.special.ndtr((offsets - high) / blur)


def _shade(section: Tensor, place: slice, rng: np.random.Generator, *, gsd_m: float) -> None:
    """Lay the shadow of the car before a gap, or behind it, into it. section: (F, S) of one look."""
    sun = _sun(section)
    if sun is None or sun[0] * abs(sun[1]) < 0.05:
        return
    share = _shadow(section.shape[-1], place, sun, float(rng.uniform(*HEIGHT_M)), gsd_m=gsd_m)
    zones = share.shape[0]
    parts = section[: len(CHANNELS) * zones].view(len(CHANNELS), zones, -1)
    share = share * (parts[CHANNELS.index("seen")] > 0)
    depth = float(rng.uniform(*DEPTH))
    noise = torch.exp(section[len(section) - len(SCALARS) + SCALARS.index("noise"), 0] - 2.5)
    for name, taken in TAKEN.items():
        part = parts[CHANNELS.index(name)]
        part -= depth * taken * share * bool(part.any())  # a band that the sensor does not have stays nothing
        part.clamp_(-DEEPEST, DEEPEST)
    change = parts[CHANNELS.index("change")]
    within = parts[CHANNELS.index("change in noise")]
    within[:] = torch.where(share > 0.02, torch.asinh(change / (3 * noise)) / 2, within)


def _shadow(steps: int, place: slice, sun: tuple[float, float], height_m: float, *, gsd_m: float) -> Tensor:
    """(zones, S) share of a gap's ground in the shadow of the car that stands towards the sun.

    sun: metres of shadow across per metre of height, and along per metre across, as `rail_watch.interpret.shadows.Sun`.
    """
    step, _, _ = steps_for(gsd_m)
    across, shear = sun
    along = np.arange(steps) + 0.5
    # How far a step lies from the end of the car whose shadow falls this way.
    far = (along - place.start if shear > 0 else place.stop - along) * step
    inside = (np.arange(steps) >= place.start) & (np.arange(steps) < place.stop)
    tops = np.linspace(0, height_m, 12)[:, None, None]
    falls = (abs(shear) * across * tops >= far[None, None, :]) & inside
    beside = np.abs(offsets_m(gsd_m)[None, :, None] - across * tops) <= HALF_WIDTH_M
    return _spread(torch.from_numpy((falls & beside).any(axis=0).astype(np.float32)), gsd_m=gsd_m)
