"""A small convolutional network along the track: log odds of a train, and of a gap between two cars, at each step.

One layer reads each cross-section, a few dilated convolutions with residual connections look along the track (van den
Oord et al., arXiv:1609.03499; Bai, Kolter and Koltun, arXiv:1803.01271), one gives the log odds. One set of weights for
each class of GSD. They were learnt on simulated yards drawn by seed from two independent renderers
(`scripts/train_network`, docs/method.md); nothing here knows the yards on which figures are reported.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from rail_watch.interpret.strips import FINE_GSD_M, MIDDLE_GSD_M

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Network:
    """Weights of one class of GSD."""

    read: Array
    """(F, H) and"""
    read_bias: Array
    """(H,) turn a section into H numbers."""
    along: tuple[Array, ...]
    """Per layer (taps, H, H), and"""
    along_bias: tuple[Array, ...]
    """(H,), and"""
    dilation: tuple[int, ...]
    """steps between taps."""
    say: Array
    """(H, 2) and"""
    say_bias: Array
    """(2,) give the log odds of a train and of a gap between cars."""


def network_class(gsd_m: float) -> str:
    """Name of the weights for a GSD."""
    return "fine" if gsd_m <= FINE_GSD_M else "middle" if gsd_m <= MIDDLE_GSD_M else "coarse"


@cache
def load_network(name: str) -> Network:
    """Read the weights that come with the package."""
    file = resources.files("rail_watch.interpret").joinpath("weights", f"{name}.npz")
    with file.open("rb") as stream, np.load(stream, allow_pickle=False) as data:
        values = {key: np.asarray(data[key]) for key in data.files}
    layers = range(len(values["dilation"]))
    return Network(
        values["read"].astype(np.float32),
        values["read_bias"].astype(np.float32),
        tuple(values[f"along_{i}"].astype(np.float32) for i in layers),
        tuple(values[f"along_bias_{i}"].astype(np.float32) for i in layers),
        tuple(int(d) for d in values["dilation"]),
        values["say"].astype(np.float32),
        values["say_bias"].astype(np.float32),
    )


def _along(values: Array, weights: Array, bias: Array, dilation: int) -> Array:
    """One dilated convolution along the track; beyond its ends there is nothing. values: (S, H)."""
    taps, hidden, _ = weights.shape
    steps = len(values)
    beside = np.zeros((steps, taps, hidden), dtype=np.float32)
    for tap in range(taps):
        shift = (tap - taps // 2) * dilation
        first, last = max(-shift, 0), steps - max(shift, 0)
        if first < last:
            beside[first:last, tap] = values[first + shift : last + shift]
    return np.asarray(beside.reshape(steps, -1) @ weights.reshape(taps * hidden, -1) + bias, dtype=np.float32)


def apply_network(network: Network, sections: Array) -> Array:
    """Log odds of a train and of a gap between cars.

    Parameters
    ----------
    sections : (S, F) from `describe`.

    Returns
    -------
    (S, 2)
    """
    values = np.maximum(sections @ network.read + network.read_bias, 0)
    for weights, bias, dilation in zip(network.along, network.along_bias, network.dilation, strict=True):
        values = values + np.maximum(_along(values, weights, bias, dilation), 0)
    return np.asarray(values @ network.say + network.say_bias, dtype=np.float32)
