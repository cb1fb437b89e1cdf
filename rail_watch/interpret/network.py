"""A small convolutional network along the track: log odds of a train at each step of a scene.

One layer reads each cross-section, a few dilated convolutions with residual connections look along the track (van den
Oord et al., arXiv:1609.03499; Bai, Kolter and Koltun, arXiv:1803.01271). What the other scenes of the series say comes
in with the cross-section: change against empty track, and how restless the place is. A last layer gives two log odds:
of a train, and at fine GSD of a gap between two cars, at coarser GSD of a train on this track or one beside it. One set
of weights for each class of GSD. They were learnt on simulated yards drawn by seed (`scripts/train_network`,
docs/training.md); nothing here knows the yards on which figures are reported.
"""

from __future__ import annotations

from collections.abc import Mapping
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
    """(2,) give the two log odds."""


def network_class(gsd_m: float) -> str:
    """Name of the weights for a GSD."""
    return "fine" if gsd_m <= FINE_GSD_M else "middle" if gsd_m <= MIDDLE_GSD_M else "coarse"


def as_arrays(network: Network) -> dict[str, NDArray[np.generic]]:
    """Return the weights by the names they have in a file."""
    values: dict[str, NDArray[np.generic]] = {
        "dilation": np.array(network.dilation),
        "read": network.read,
        "read_bias": network.read_bias,
        "say": network.say,
        "say_bias": network.say_bias,
    }
    for i, (weights, bias) in enumerate(zip(network.along, network.along_bias, strict=True)):
        values |= {f"along_{i}": weights, f"along_bias_{i}": bias}
    return values


def from_arrays(values: Mapping[str, NDArray[np.generic]]) -> Network:
    """Return the network that `as_arrays` took apart."""

    def array(name: str) -> Array:
        return np.asarray(values[name], dtype=np.float32)

    layers = range(len(values["dilation"]))
    return Network(
        read=array("read"),
        read_bias=array("read_bias"),
        along=tuple(array(f"along_{i}") for i in layers),
        along_bias=tuple(array(f"along_bias_{i}") for i in layers),
        dilation=tuple(int(d) for d in values["dilation"]),
        say=array("say"),
        say_bias=array("say_bias"),
    )


@cache
def load_network(name: str) -> Network:
    """Read the weights that come with the package."""
    file = resources.files("rail_watch.interpret").joinpath("weights", f"{name}.npz")
    with file.open("rb") as stream, np.load(stream, allow_pickle=False) as data:
        return from_arrays({key: np.asarray(data[key]) for key in data.files})


def _along(values: Array, weights: Array, bias: Array, dilation: int) -> Array:
    """One dilated convolution along the track; beyond its ends there is nothing. values: (T, S, H)."""
    taps = len(weights)
    reach = taps // 2 * dilation
    steps = values.shape[1]
    padded = np.pad(values, ((0, 0), (reach, reach), (0, 0)))
    out = np.broadcast_to(bias, values.shape).copy()
    for tap in range(taps):
        out += padded[:, tap * dilation : tap * dilation + steps] @ weights[tap]
    return out


def apply_network(network: Network, sections: Array) -> Array:
    """Log odds of a train, and the other log odds of this class, for several scenes of a track.

    Parameters
    ----------
    sections : (T, S, F) from `describe`.

    Returns
    -------
    (T, S, 2) log odds.
    """
    values: Array = np.maximum(sections @ network.read + network.read_bias, 0)
    for weights, bias, dilation in zip(network.along, network.along_bias, network.dilation, strict=True):
        values = values + np.maximum(_along(values, weights, bias, dilation), 0)
    return np.asarray(values @ network.say + network.say_bias, dtype=np.float32)
