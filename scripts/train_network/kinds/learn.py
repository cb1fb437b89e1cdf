"""Learn the regression, and measure on held-out series how often it is right and how sure it says it is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from rail_watch.interpret.kinds import KINDS, LEAST_P, probabilities
from scripts.train_network.kinds.rows import Rows

Array = NDArray[np.float64]

SHRINK = 100.0
"""Weight of the penalty on squared weights of standardised features: cars of a train and trains of a series are alike,
so that a thousand cars teach as much as some tens of independent ones."""


def together(parts: Sequence[Rows]) -> Rows:
    """Join the rows of several series."""
    full = [part for part in parts if len(part.kinds)]
    return Rows(np.concatenate([p.features for p in full]), np.concatenate([p.kinds for p in full]))


def learn(rows: Rows) -> Array:
    """(features + 1, kinds) weights of greatest penalised likelihood, for features as they come."""
    mean, scale = rows.features.mean(axis=0), rows.features.std(axis=0) + 1e-6
    shown = np.column_stack([(rows.features - mean) / scale, np.ones(len(rows.kinds))])
    truly = np.eye(len(KINDS))[rows.kinds]

    def loss(flat: Array) -> tuple[float, Array]:
        weights = flat.reshape(shown.shape[1], -1)
        penalty = np.vstack([SHRINK * weights[:-1], np.zeros((1, len(KINDS)))])
        logs = special.log_softmax(shown @ weights, axis=1)
        value = -(truly * logs).sum() + 0.5 * (penalty * weights).sum()
        return float(value), (shown.T @ (np.exp(logs) - truly) + penalty).ravel()

    start = np.zeros(shown.shape[1] * len(KINDS))
    found = optimize.minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 500})
    weights = found.x.reshape(shown.shape[1], -1)
    plain = weights[:-1] / scale[:, None]
    return np.vstack([plain, weights[-1] - mean @ plain])


def table(rows: Rows, weights: Array) -> str:
    """Say how many cars are told, how many rightly, and how sure the probabilities were, as a table."""
    p = probabilities(rows.features, weights)
    return reliability(p.argmax(axis=1), p.max(axis=1), rows.kinds)


def reliability(said: NDArray[np.int_], p: Array, truly: NDArray[np.int_]) -> str:
    """Tabulate kinds said with a probability against the truth."""
    told = (p >= LEAST_P) & (said != KINDS.index("other"))
    right = said == truly
    lines = [f"{len(truly)} cars, {told.mean():.2f} of them told, {right[told].mean():.3f} of these rightly", ""]
    lines += ["| said with | cars | mean probability | right |", "|---|---|---|---|"]
    for low, high in ((0.6, 0.7), (0.7, 0.8), (0.8, 0.9), (0.9, 1.01)):
        part = told & (p >= low) & (p < high)
        if part.any():
            lines.append(
                f"| {low:g} to {min(high, 1):g} | {part.sum()} | {p[part].mean():.2f} | {right[part].mean():.2f} |"
            )
    lines += ["", "| kind | truly | told as it | of these right |", "|---|---|---|---|"]
    for i, kind in enumerate(KINDS[:-1]):
        part = told & (said == i)
        share = f"{right[part].mean():.2f}" if part.any() else "-"
        lines.append(f"| {kind} | {int((truly == i).sum())} | {int(part.sum())} | {share} |")
    return "\n".join(lines)
