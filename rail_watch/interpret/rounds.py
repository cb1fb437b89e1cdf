"""Rounds of looking: what empty track looks like, where trains stand, and again with these left out."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from rail_watch.interpret.describe import sections_of
from rail_watch.interpret.fouling import cede_fouled
from rail_watch.interpret.network import apply_network, load_network, network_class
from rail_watch.interpret.segments import segments
from rail_watch.interpret.shadows import SunState
from rail_watch.interpret.share import share_evidence
from rail_watch.interpret.strips import FINE_GSD_M, MIDDLE_GSD_M
from rail_watch.interpret.sun_check import NO_SUN, disputed, measured_sun, shade_beside, stated_side
from rail_watch.interpret.yard import (
    SceneModel,
    Yard,
    as_fitted,
    bare_enough,
    scene_model,
    update_baseline,
    visible_steps,
)

ROUNDS = 2
TAKEN = 0.03
"""Weight as empty track of a step at which a train was found."""


def update_trains(yard: Yard, models: Sequence[SceneModel | None], *, only: Collection[int] | None = None) -> None:
    """Ask every track of every scene, or of some only, for trains."""
    judged = [t for t, model in enumerate(models) if model is not None and (only is None or t in only)]
    network = load_network(network_class(yard.gsd_m))
    for k in range(len(yard.strips)):
        if judged:
            odds = apply_network(network, np.stack(sections_of(yard, models, k, only=judged)))
            yard.score[k][judged], yard.other[k][judged] = odds[..., 0], odds[..., 1]
    if yard.gsd_m > MIDDLE_GSD_M:
        share_evidence(yard)
    else:
        cede_fouled(yard, judged)
    for k, strip in enumerate(yard.strips):
        for t in range(yard.times) if only is None else judged:
            yard.occupied[k][t] = False
        for t in judged:
            for first, last in segments(yard.score[k][t], visible_steps(yard, k, t), strip.step_m, gsd_m=yard.gsd_m):
                yard.occupied[k][t][first:last] = True


def settle_suns(yard: Yard, models: Sequence[SceneModel | None]) -> None:
    """Where the trains found contradict the sun that was stated, read the look with none and measure it.

    Where half of the looks that can tell do, the others are not believed either.
    """
    judged = {t: model for t, model in enumerate(models) if model is not None}
    telling = [t for t, model in judged.items() if shade_beside(yard, model, t) is not None]
    doubted = [t for t in telling if disputed(yard, judged[t], t)]
    if len(doubted) > 1 and 2 * len(doubted) >= len(telling):
        doubted = list(judged)
    if not doubted:
        return
    stated = {t: (stated_side(yard, t), [suns[t] for suns in yard.suns]) for t in doubted}
    for suns in yard.suns:
        for t in doubted:
            suns[t] = NO_SUN
    update_trains(yard, models, only=doubted)
    found = {t: measured_sun(yard, judged[t], t, stated[t][0]) for t in doubted}
    # Light may be too soft for shadows; only where another look's sun is wrong is that held against the sun.
    wrong = any(state == SunState.ELSEWHERE for state, _ in found.values())
    for t, (state, measured) in found.items():
        believed = state == SunState.UNDISPUTED or not wrong
        yard.sun_states[t] = SunState.UNDISPUTED if believed else state
        for k, sun in enumerate(stated[t][1] if believed else measured):
            yard.suns[k][t] = sun
    update_trains(yard, models, only=doubted)


def fit_scenes(yard: Yard) -> list[SceneModel | None]:
    """Work out empty track anew, and each scene in terms of it; None where nothing of the tracks can be seen."""
    update_baseline(yard)
    least = bare_enough(yard)
    return [scene_model(yard, t, least) for t in range(yard.times)]


def solve(yard: Yard) -> list[SceneModel | None]:
    """Run the rounds; returns each scene's model (None where nothing of the tracks can be seen)."""
    models = fit_scenes(yard)
    for round_number in range(ROUNDS):
        yard.radiometry = as_fitted(yard.radiometry, models)
        models = fit_scenes(yard)
        update_trains(yard, models)
        if round_number == 0 and yard.gsd_m <= FINE_GSD_M:
            settle_suns(yard, models)
        if round_number < ROUNDS - 1:
            yard.empty = [
                np.where(o, TAKEN, np.maximum(e, 0.3)).astype(np.float32)
                for e, o in zip(yard.empty, yard.occupied, strict=True)
            ]
    return models
