"""Detection limits: trains put into the very scene, and looked for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rail_watch.interpret.evidence import Others, Residual, shadow_band, train_evidence
from rail_watch.interpret.looks import KNEE, Looks
from rail_watch.interpret.segments import shortest_train_m, weighed
from rail_watch.interpret.shadows import HALF_WIDTH_M, HEIGHTS_M, coverage
from rail_watch.interpret.strips import FINE_GSD_M
from rail_watch.interpret.yard import SceneModel, Yard, residual_at

INSERTIONS = 40
"""Trains put into each look; the limit is the length that nine in ten of them need."""
LONGEST_FINE_M = 120.0
LONGEST_GSDS = 60
"""Trains longer than this, in metres or GSDs, are not tried: what would hide them would hide everything."""
PIECE_M = 12.0
"""A train is built of pieces this long, each of a colour of its own."""


def detection_limits(
    yard: Yard, looks: Looks, models: Sequence[SceneModel | None], *, false_alarm_rate: float
) -> NDArray[np.float64]:
    """(K, T) shortest train, metres, found at 90 % on each track at each scene; NaN where none could be.

    Railcar colours are drawn from the spread that the detector itself assumes, laid over the scene's own residuals
    with the shadow they must throw; the statistic must pass what the false-alarm rate asks of this scene.
    """
    limits = np.full((len(yard.strips), yard.times), np.nan)
    threshold = looks.null.threshold(false_alarm_rate)
    for t, model in enumerate(models):
        if model is None or not np.isfinite(looks.statistic[:, t]).any():
            continue
        evidence = _evidence(yard, looks, model, t)
        if evidence is None:
            continue
        for k in np.flatnonzero(np.isfinite(looks.statistic[:, t])).tolist():
            needed = KNEE * np.sinh((threshold + looks.correction[k, t]) / KNEE) * looks.spread[t] + looks.centre[t]
            lengths = _lengths_needed(evidence, yard.strips[k].step_m, yard.gsd_m, float(needed))
            # A stretch shorter than half the shortest train is never called one, however plain.
            limit = max(float(np.quantile(lengths, 0.9, method="higher")), 0.5 * shortest_train_m(yard.gsd_m))
            limits[k, t] = limit if limit <= yard.strips[k].line.length else np.nan
    return limits


def _evidence(yard: Yard, looks: Looks, model: SceneModel, t: int) -> NDArray[np.float32] | None:
    """Evidence along trains inserted into the track that shows most empty ground at a scene; None where none does."""
    free = [np.flatnonzero(v[t] & ~o[t]) for v, o in zip(looks.visible, yard.occupied, strict=True)]
    metres = [len(f) * s.step_m for f, s in zip(free, yard.strips, strict=True)]
    k = int(np.argmax(metres))
    if metres[k] < shortest_train_m(yard.gsd_m):
        return None
    return _inserted(yard, residual_at(yard, model, k, t), (k, t), free[k], np.random.default_rng([k, t]))


def _inserted(
    yard: Yard, r: Residual, place: tuple[int, int], free: NDArray[np.int_], rng: np.random.Generator
) -> NDArray[np.float32]:
    """(INSERTIONS, N) evidence along trains laid over empty stretches of the scene."""
    k, t = place
    strip, sun, shade = yard.strips[k], yard.suns[k][t], yard.shade[t]
    longest = LONGEST_FINE_M if yard.gsd_m <= FINE_GSD_M else LONGEST_GSDS * yard.gsd_m
    steps = int(round(longest / strip.step_m))
    piece = max(int(round(PIECE_M / strip.step_m)), 1)
    pieces = -(-steps // piece)
    blur = 0.5 * yard.gsd_m
    footprint = coverage(strip.across_m, -HALF_WIDTH_M, HALF_WIDTH_M, blur_m=blur)
    out = np.empty((INSERTIONS, steps), dtype=np.float32)
    for i in range(INSERTIONS):
        # Background is taken in order from a random place, wrapping round the empty part of the track.
        index = free[(int(rng.integers(len(free))) + np.arange(steps)) % len(free)]
        z, lit = r.z[:, index].copy(), r.lit[:, index]
        colour = rng.normal(size=(len(r.colour), pieces)) * np.sqrt(r.colour)[:, None]
        colour = np.repeat(colour, piece, axis=1)[:, :steps]
        band = shadow_band(strip.across_m, sun, float(rng.choice(HEIGHTS_M[1:])), blur_m=blur)
        fall = r.fall[:, index]
        z += -float(rng.normal(1, shade.sigma)) * band * (1 - footprint) * fall + colour[:, :, None] * footprint
        inserted = Residual(z, lit, fall, r.valid[index], r.colour)
        none = np.zeros(inserted.valid.shape, np.float32)
        straight = type(sun)(sun.side, sun.across, 0.0)
        out[i], _ = train_evidence(
            inserted,
            Others(none, none),
            strip.across_m,
            sun=straight,
            sigma=shade.sigma,
            resolution=(yard.gsd_m, strip.step_m),
        )
    return out


def _lengths_needed(evidence: NDArray[np.float32], step_m: float, gsd_m: float, needed: float) -> NDArray[np.float64]:
    """(INSERTIONS,) shortest length at which each train's best window passes; inf where none does."""
    shortest = max(int(round(shortest_train_m(gsd_m) / step_m)), 1)
    total = np.cumsum(weighed(evidence), axis=1)
    lengths = np.arange(1, evidence.shape[1] + 1)
    best = np.full(evidence.shape, -np.inf)
    for times in (1, 2, 4, 8):
        width = shortest * times
        if width > evidence.shape[1]:
            break
        # A train shorter than the window is padded with empty track, which counts against it.
        empty = float(np.median(evidence)) if width == shortest else 0.0
        inside = np.minimum(lengths, width)
        sums = total[:, inside - 1] - np.maximum(width - lengths, 0) * max(2.0, abs(min(empty, 0.0)))
        best = np.maximum(best, sums / np.sqrt(times))
    passed = np.maximum.accumulate(best, axis=1) >= needed
    first = np.argmax(passed, axis=1)
    return np.where(passed.any(axis=1), lengths[first] * step_m, np.inf)
