"""A small convolutional network over the ground: log odds that cargo lies on a pixel of an apron.

Each pixel's surroundings are read, dilated convolutions with residual connections look wider on a coarser grid (Yu and
Koltun, arXiv:1511.07122), and both are joined. One set of weights for each class of GSD. They were learnt on simulated
yards drawn by seed from two independent renderers (`scripts/train_network`, docs/method.md); nothing here knows the
yards on which figures are reported.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]

AT_ONCE = 16_000
"""Numbers of a picture convolved at once: with their surroundings they stay in the processor's cache."""


@dataclass(frozen=True)
class GroundNetwork:
    """Weights of one class of GSD: (taps, in, out) each, and (out,) added."""

    layers: Mapping[str, tuple[Array, Array]]
    """`read`, `down`, `wider_0` and so on, `up`, `join`, `say`."""
    whole: Array
    """(scalars, out of `read`) what holds for the whole picture."""
    dilation: tuple[int, ...]
    """Pixels of the coarser grid between the taps of the wider layers."""
    factor: int
    """So many pixels make one of the coarser grid, each way."""


def as_arrays(network: GroundNetwork) -> dict[str, NDArray[np.generic]]:
    """Return the weights by the names they have in a file."""
    values: dict[str, NDArray[np.generic]] = {
        "dilation": np.array(network.dilation),
        "factor": np.array(network.factor),
        "whole": network.whole,
    }
    for name, (weights, bias) in network.layers.items():
        values |= {name: weights, f"{name}_bias": bias}
    return values


def from_arrays(values: Mapping[str, NDArray[np.generic]]) -> GroundNetwork:
    """Return the network that `as_arrays` took apart."""

    def array(name: str) -> Array:
        return np.asarray(values[name], dtype=np.float32)

    dilation = tuple(int(d) for d in values["dilation"])
    names = ["read", "down", *(f"wider_{i}" for i in range(len(dilation))), "up", "join", "say"]
    layers = {name: (array(name), array(f"{name}_bias")) for name in names}
    return GroundNetwork(layers, array("whole"), dilation, int(values["factor"]))


@cache
def load_ground_network(name: str) -> GroundNetwork:
    """Read the weights that come with the package, for a class of GSD."""
    file = resources.files("rail_watch.interpret").joinpath("weights", f"cargo-{name}.npz")
    with file.open("rb") as stream, np.load(stream, allow_pickle=False) as data:
        return from_arrays({key: np.asarray(data[key]) for key in data.files})


def _around(values: Array, layer: tuple[Array, Array], dilation: int = 1) -> Array:
    """Convolve (row, column, channel) 3 by 3; beyond the edges there is nothing."""
    weights, bias = layer
    rows, cols, depth = values.shape
    padded = np.zeros((rows + 2 * dilation, cols + 2 * dilation, depth), dtype=np.float32)
    padded[dilation:-dilation, dilation:-dilation] = values
    out = np.empty((rows, cols, weights.shape[-1]), dtype=np.float32)
    flat = weights.reshape(9 * depth, -1)
    some = max(AT_ONCE // (cols * depth), 1)
    taps = np.empty((some, cols, 9, depth), dtype=np.float32)
    for top in range(0, rows, some):
        high = min(some, rows - top)
        for tap in range(9):
            r, c = top + tap // 3 * dilation, tap % 3 * dilation
            taps[:high, :, tap] = padded[r : r + high, c : c + cols]
        out[top : top + high] = (taps[:high].reshape(high * cols, -1) @ flat).reshape(high, cols, -1)
    out += bias
    return out


def _around_some(values: Array, layer: tuple[Array, Array], where: Mask) -> Array:
    """(n, channel) of what `_around` gives, at some pixels only."""
    weights, bias = layer
    rows, cols = np.nonzero(where)
    padded = np.pad(values, ((1, 1), (1, 1), (0, 0)))
    out = np.tile(bias, (len(rows), 1))
    for tap in range(9):
        out += padded[rows + tap // 3, cols + tap % 3] @ weights[tap]
    return out


def _coarser(values: Array, layer: tuple[Array, Array], factor: int) -> Array:
    weights, bias = layer
    rows, cols, depth = values.shape
    blocks = values.reshape(rows // factor, factor, cols // factor, factor, depth).swapaxes(1, 2)
    return np.asarray(blocks.reshape(*blocks.shape[:2], -1) @ weights.reshape(-1, weights.shape[-1]) + bias)


def apply_ground_network(network: GroundNetwork, picture: Array, scalars: Array, where: Mask) -> Array:
    """Log odds of cargo at some pixels.

    Parameters
    ----------
    picture : (row, column, channel) from `describe_apron`, turned as `turn` does.
    scalars : from `scalars_of`.
    where : (row, column) the pixels asked for.

    Returns
    -------
    (row, column), NaN elsewhere.
    """
    rows, cols = picture.shape[:2]
    factor, layers = network.factor, network.layers
    whole = np.pad(picture, ((0, -rows % factor), (0, -cols % factor), (0, 0)))
    fine = np.maximum(_around(whole, layers["read"]) + scalars @ network.whole, 0)
    wide = np.maximum(_coarser(fine, layers["down"], factor), 0)
    for i, dilation in enumerate(network.dilation):
        wide = wide + np.maximum(_around(wide, layers[f"wider_{i}"], dilation), 0)
    back = wide @ layers["up"][0][0] + layers["up"][1]
    fine = np.maximum(fine + back.repeat(factor, axis=0).repeat(factor, axis=1), 0)
    joined = np.maximum(_around_some(fine[:rows, :cols], layers["join"], where), 0)
    odds = np.full((rows, cols), np.nan, dtype=np.float32)
    odds[where] = (joined @ layers["say"][0][0] + layers["say"][1])[:, 0]
    return odds
