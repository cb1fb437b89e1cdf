"""Detection limits: trains put into the very scene, and looked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, special

from rail_watch.interpret.describe import describe, ground_of, unrest
from rail_watch.interpret.evidence import first_shade
from rail_watch.interpret.looks import Looks
from rail_watch.interpret.network import apply_network, load_network, network_class
from rail_watch.interpret.segments import shortest_train_m, window_statistic
from rail_watch.interpret.shadows import HALF_WIDTH_M, LONGEST_SHADOW_M, Sun, coverage
from rail_watch.interpret.sizes import load_size_errors
from rail_watch.interpret.strips import MIDDLE_GSD_M
from rail_watch.interpret.yard import SceneModel, Yard

Array = NDArray[np.float32]

INSERTIONS = 48
"""Trains put into each scene, of lengths drawn evenly in their logarithm."""
PLACES = 4
"""Tracks that share them, those with most empty ground in sight."""
SHORTEST, LONGEST = 0.4, 12.0
"""Their lengths, in units of the shortest train that is looked for."""
SURE = 0.9
"""The limit is the length found with this probability."""
PITCH_M = 14.0
HEIGHTS_M = (1.3, 4.0, 4.7)
"""From an empty flat to a boxcar; most are gondolas, tanks and boxcars."""
GAP_M, SHADE = 1.0, -1.0
"""Between cars, and the logarithm of the light there against the ground's."""
DARKER, BRIGHTNESS, HUE = -0.35, 0.8, 0.25
"""Middle and spread of the logarithm of a railcar's light against the ground's, all bands together, and the spread of
each band for itself: on real imagery wagons are darker than ballast more often than brighter."""


def detection_limits(
    yard: Yard, looks: Looks, models: Sequence[SceneModel | None], *, false_alarm_rate: float
) -> NDArray[np.float64]:
    """(K, T) shortest train, metres, found at 90 % on each track at each scene; NaN where none could be.

    Trains of cars of many colours, with the shadow that the sun of that minute throws, are laid over empty stretches
    of the tracks that show most of them, in turn, and sent the way every look goes; decks, which are other ground, get
    trains of their own. A logistic curve of detection against length gives the limit; the threshold is the one that
    the track's own length in sight asks for. Trains put in are found more or less easily than real ones: the limit is
    as much longer or shorter as it must be on yards kept from the learning, and never shorter than the shortest train
    that is looked for at all.
    """
    limits = np.full((len(yard.strips), yard.times), np.nan)
    factor, shortest = float(load_size_errors(network_class(yard.gsd_m)).limit_factor), shortest_train_m(yard.gsd_m)
    tracks = [k for k, strip in enumerate(yard.strips) if not strip.is_bridge]
    restless: dict[int, Array] = {}
    for group in (tracks, *([k] for k, strip in enumerate(yard.strips) if strip.is_bridge)):
        for t, model in enumerate(models):
            judged = [k for k in group if np.isfinite(looks.p_value[k, t])]
            free = _free(yard, looks, group, t)
            if model is None or not judged or not free:
                continue
            restless.update({k: unrest(yard, models, k) for k in free if k not in restless})
            lengths, statistics = _insertions(yard, model, t, free, restless)
            # Of real trains on decks nothing was measured that could make a limit shorter.
            sure = factor if group is tracks else max(factor, 1.0)
            for j in judged:
                found = statistics > looks.threshold(j, t, false_alarm_rate)
                limit = _stated(_limit(lengths, found, shortest), factor=sure, shortest_m=shortest)
                limits[j, t] = limit if limit <= yard.strips[j].line.length else np.nan
    return limits


def _free(yard: Yard, looks: Looks, group: Sequence[int], t: int) -> dict[int, NDArray[np.int_]]:
    """{strip: its steps that are seen to be empty}, of the few strips of a group that have most of them."""
    free = {k: np.flatnonzero(looks.visible[k][t] & ~yard.occupied[k][t]) for k in group}
    metres = {k: len(steps) * yard.strips[k].step_m for k, steps in free.items()}
    longest = sorted(group, key=lambda k: -metres[k])[:PLACES]
    return {k: free[k] for k in longest if metres[k] >= shortest_train_m(yard.gsd_m)}


def _stated(found_m: float, *, factor: float, shortest_m: float) -> float:
    """Return the limit to state: as found of trains put in, set right by the factor; none shorter is looked for."""
    return max(factor * found_m, shortest_m)


def _insertions(
    yard: Yard, model: SceneModel, t: int, free: Mapping[int, NDArray[np.int_]], restless: Mapping[int, Array]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(N,) lengths of trains put into a scene, and (N,) the statistic of each; `free` of the strips they stand on."""
    span = np.log(SHORTEST), np.log(LONGEST)
    logs = np.sort(np.random.default_rng([min(free), t]).uniform(*span, INSERTIONS))
    lengths = shortest_train_m(yard.gsd_m) * np.exp(logs)
    statistics = np.empty(INSERTIONS)
    for i, k in enumerate(sorted(free)):
        mine = slice(i, None, len(free))
        statistics[mine] = _statistics(yard, model, (k, t), lengths[mine], free[k], restless=restless[k])
    return lengths, statistics


def _statistics(
    yard: Yard,
    model: SceneModel,
    place: tuple[int, int],
    lengths: NDArray[np.float64],
    free: NDArray[np.int_],
    *,
    restless: Array,
) -> list[float]:
    """[N] statistic of trains of (N,) lengths put on the free steps of a strip at a scene; place: strip and scene."""
    k, t = place
    strip, sun = yard.strips[k], yard.suns[k][t]
    rng = np.random.default_rng([k, t])
    pad = round(2.5 * shortest_train_m(yard.gsd_m) / strip.step_m)
    counts = np.maximum(np.round(lengths / strip.step_m).astype(int), 1)
    index, taken = [], []
    for count in counts.tolist():
        # Background is taken in order from a random place, wrapping round the empty part of the track.
        index.append(free[(int(rng.integers(len(free))) + np.arange(count + 2 * pad)) % len(free)])
        taken.append(np.pad(np.ones(count, dtype=bool), pad))
    steps, occupied = np.concatenate(index), np.concatenate(taken)
    pixels = strip.pixels[t][:, steps].copy()
    colours = np.concatenate([_colours(model, len(i), strip.step_m, rng) for i in index], axis=1)
    blur = 0.5 * yard.gsd_m
    # The PSF blurs ends and colours along the track as it does across it.
    width = blur / strip.step_m
    share = ndimage.gaussian_filter1d(occupied.astype(np.float64), width)
    colours = ndimage.gaussian_filter1d(colours * occupied, width, axis=1) / np.maximum(share, 1e-3)
    footprint = coverage(strip.across_m, -HALF_WIDTH_M, HALF_WIDTH_M, blur_m=blur) * share[:, None]
    bands = [_shade(strip.across_m, sun, float(rng.triangular(*HEIGHTS_M)), blur_m=blur) for _ in index]
    shade = np.repeat(np.stack(bands), [len(i) for i in index], axis=0) * share[:, None]
    dark = model.dark[:, None, None]
    keep = first_shade(yard.bands)[:, None, None]
    # Train and shade lie side by side on the ground, so that blur mixes them as it mixes their shares of a pixel.
    pixels = dark + (pixels - dark) * (1 - footprint - shade * (1 - keep)) + (colours[:, :, None] - dark) * footprint
    ground = ground_of(yard, k, t, restless).steps(steps)
    section = describe(pixels.astype(np.float32), ground, model, sun=sun, bands=yard.bands)
    ends = np.cumsum([len(i) for i in index])
    network = load_network(network_class(yard.gsd_m))
    # A train put where no other stands has the evidence of its whole group of tracks.
    said = 1 if yard.gsd_m > MIDDLE_GSD_M else 0
    statistics = []
    for part in (slice(a, b) for a, b in zip(ends - [len(i) for i in index], ends, strict=True)):
        odds = apply_network(network, section[None, part])[0, :, said]
        seen = np.ones(len(odds), dtype=bool)
        statistics.append(window_statistic(odds, seen, strip.step_m, gsd_m=yard.gsd_m))
    return statistics


def _colours(model: SceneModel, count: int, step_m: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """(B, count) value of each step of a train of cars, each of one colour."""
    car = max(round(PITCH_M / step_m), 1)
    cars = -(-count // car)
    logs = rng.normal(DARKER, BRIGHTNESS, (1, cars)) + rng.normal(0, HUE, (len(model.level), cars))
    each = np.repeat(logs, car, axis=1)
    # Of a gap between cars one sees coupling and ground in the cars' shade.
    each[:, np.arange(each.shape[1]) % car >= car - round(GAP_M / step_m)] = SHADE
    return np.asarray((model.dark[:, None] + model.level[:, None] * np.exp(each))[:, :count])


def _shade(across_m: NDArray[np.float64], sun: Sun, height_m: float, *, blur_m: float) -> Array:
    """(O,) share of each sample in the shadow of a train of this height."""
    if sun.side == 0:
        return np.zeros(len(across_m), dtype=np.float32)
    width = min(height_m * sun.across, LONGEST_SHADOW_M)
    return coverage(sun.side * across_m, HALF_WIDTH_M, HALF_WIDTH_M + width, blur_m=blur_m)


def _limit(lengths: NDArray[np.float64], found: NDArray[np.bool_], unit_m: float) -> float:
    """Length found with probability `SURE`, from a logistic curve over the logarithm of length."""
    x = np.stack([np.ones(len(lengths)), np.log(lengths / unit_m)])
    prior = np.array([0.0, 2.0])
    weight = np.diag([0.05, 0.2])
    beta = prior.copy()
    for _ in range(30):
        p = special.expit(beta @ x)
        gradient = x @ (found - p) - weight @ (beta - prior)
        hessian = (x * (p * (1 - p))) @ x.T + weight
        step = np.linalg.solve(hessian, gradient)
        beta = beta + np.clip(step, -2, 2)
        if np.abs(step).max() < 1e-9:
            break
    if beta[1] <= 0.1:
        return float("inf")
    limit = float(unit_m * np.exp((special.logit(SURE) - beta[0]) / beta[1]))
    # A stretch shorter than half the shortest train is never called one, however plain.
    return max(limit, 0.5 * unit_m) if limit <= 2 * LONGEST * unit_m else float("inf")
