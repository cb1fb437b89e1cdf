"""Rounds of looking: what empty track looks like, where trains stand, and again with these left out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rail_watch.interpret.describe import sections_of
from rail_watch.interpret.network import apply_network, load_network, network_class
from rail_watch.interpret.segments import segments
from rail_watch.interpret.share import share_evidence
from rail_watch.interpret.strips import MIDDLE_GSD_M
from rail_watch.interpret.yard import SceneModel, Yard, bare_enough, scene_model, update_baseline, visible_steps

ROUNDS = 2
TAKEN = 0.03
"""Weight as empty track of a step at which a train was found."""


def update_trains(yard: Yard, models: Sequence[SceneModel | None]) -> None:
    """Ask every track of every scene for trains."""
    network = load_network(network_class(yard.gsd_m))
    judged = [t for t, model in enumerate(models) if model is not None]
    for k in range(len(yard.strips)):
        if judged:
            odds = apply_network(network, np.stack(sections_of(yard, models, k)))
            yard.score[k][judged], yard.other[k][judged] = odds[..., 0], odds[..., 1]
    if yard.gsd_m > MIDDLE_GSD_M:
        share_evidence(yard)
    for k, strip in enumerate(yard.strips):
        yard.occupied[k][:] = False
        for t in judged:
            for first, last in segments(yard.score[k][t], visible_steps(yard, k, t), strip.step_m, gsd_m=yard.gsd_m):
                yard.occupied[k][t][first:last] = True


def solve(yard: Yard) -> list[SceneModel | None]:
    """Run the rounds; returns each scene's model (None where nothing of the tracks can be seen)."""
    models: list[SceneModel | None] = []
    for round_number in range(ROUNDS):
        update_baseline(yard)
        least = bare_enough(yard)
        models = [scene_model(yard, t, least) for t in range(yard.times)]
        update_trains(yard, models)
        if round_number < ROUNDS - 1:
            yard.empty = [
                np.where(o, TAKEN, np.maximum(e, 0.3)).astype(np.float32)
                for e, o in zip(yard.empty, yard.occupied, strict=True)
            ]
    return models
