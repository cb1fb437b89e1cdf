"""A small convolutional network along the track and over the series: log odds of a train at each step of each scene.

One layer reads each cross-section, a few dilated convolutions with residual connections look along the track (van den
Oord et al., arXiv:1609.03499; Bai, Kolter and Koltun, arXiv:1803.01271). Between them, each step of a scene is compared
with the same step in the other scenes: with their mean (Zaheer et al., arXiv:1703.06114) and with those most like it
(attention: Vaswani et al., arXiv:1706.03762), so that what recurs is told from what comes and goes, however often a
train stands there. The order of scenes does not matter, nor how many there are. A last layer gives two log odds: of a
train, and at fine GSD of a gap between two cars, at coarser GSD of a train on this track or one beside it. One set of
weights for each class of GSD. They were learnt on simulated yards drawn by seed (`scripts/train_network`,
docs/training.md); nothing here knows the yards on which figures are reported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from rail_watch.interpret.strips import FINE_GSD_M, MIDDLE_GSD_M

Array = NDArray[np.float32]

LEAST_SEEN = 1e-3
"""Weight of a step that was not seen, so that a place seen in no scene still has a mean."""


@dataclass(frozen=True)
class SeriesLayer:
    """Compares each step of a scene with the same step in the other scenes."""

    query: Array
    """(H, D) and"""
    key: Array
    """(H, D): what two scenes must share to be alike."""
    mix: Array
    """(3 H + 1, H) and"""
    bias: Array
    """(H,) weigh a step's own numbers, the mean of all scenes, those like it, and how many are like it."""


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
    series: tuple[SeriesLayer, ...]
    """Comparisons with other scenes, and"""
    series_after: tuple[int, ...]
    """the layer along the track after which each comes."""
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
        "series_after": np.array(network.series_after),
        "read": network.read,
        "read_bias": network.read_bias,
        "say": network.say,
        "say_bias": network.say_bias,
    }
    for i, (weights, bias) in enumerate(zip(network.along, network.along_bias, strict=True)):
        values |= {f"along_{i}": weights, f"along_bias_{i}": bias}
    for i, layer in enumerate(network.series):
        values |= {f"series_{name}_{i}": part for name, part in vars(layer).items()}
    return values


def from_arrays(values: Mapping[str, NDArray[np.generic]]) -> Network:
    """Return the network that `as_arrays` took apart."""

    def array(name: str) -> Array:
        return np.asarray(values[name], dtype=np.float32)

    layers, series = range(len(values["dilation"])), range(len(values["series_after"]))
    parts = ("query", "key", "mix", "bias")
    return Network(
        read=array("read"),
        read_bias=array("read_bias"),
        along=tuple(array(f"along_{i}") for i in layers),
        along_bias=tuple(array(f"along_bias_{i}") for i in layers),
        dilation=tuple(int(d) for d in values["dilation"]),
        series=tuple(SeriesLayer(*(array(f"series_{name}_{i}") for name in parts)) for i in series),
        series_after=tuple(int(i) for i in values["series_after"]),
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


def _over_series(layer: SeriesLayer, values: Array, others: Array, seen: Array, own: NDArray[np.bool_]) -> Array:
    """Compare scenes with others, step by step.

    Parameters
    ----------
    values : (T, S, H) of the scenes asked about.
    others : (U, S, H) of all scenes, these among them, and
    seen : (U, S) weight of each.
    own : (T, U) which of the others a scene is itself: those it is not compared with.
    """
    query, key = values @ layer.query, others @ layer.key
    weight = np.maximum(seen, LEAST_SEEN)
    logs = np.einsum("tsd,usd->tus", query, key, optimize=True) / np.float32(np.sqrt(layer.key.shape[1]))
    logs = logs + np.log(weight)[None]
    if len(others) > 1:
        logs = np.where(own[:, :, None], np.float32(-1e9), logs)
    highest = logs.max(axis=1, keepdims=True)
    alike = np.exp(logs - highest)
    total = alike.sum(axis=1, keepdims=True)
    found = np.einsum("tus,ush->tsh", alike / total, others, optimize=True)
    many = (highest + np.log(total))[:, 0] - np.float32(np.log(max(len(others) - 1, 1)))
    mean = (weight[:, :, None] * others).sum(axis=0) / weight.sum(axis=0)[:, None]
    parts = [values, np.broadcast_to(mean, values.shape), found, np.clip(many, -10, 10)[:, :, None]]
    return np.asarray(np.maximum(np.concatenate(parts, axis=2) @ layer.mix + layer.bias, 0), dtype=np.float32)


def apply_network(network: Network, sections: Sequence[Array] | Array, seen: Array) -> tuple[Array, list[Array]]:
    """Log odds of a train, and the other log odds of this class, for all scenes of a track.

    Parameters
    ----------
    sections : (T, S, F) from `describe`.
    seen : (T, S) how well each step was seen, 0 to 1.

    Returns
    -------
    (T, S, 2) log odds, and [comparison] (T, S, H) what each comparison with other scenes starts from.
    """
    values = np.stack([np.maximum(section @ network.read + network.read_bias, 0) for section in sections])
    own = np.eye(len(values), dtype=bool)
    states = []
    for i, (weights, bias, dilation) in enumerate(
        zip(network.along, network.along_bias, network.dilation, strict=True)
    ):
        values = values + np.maximum(_along(values, weights, bias, dilation), 0)
        for layer, after in zip(network.series, network.series_after, strict=True):
            if after == i:
                states.append(values)
                values = values + _over_series(layer, values, values, seen, own)
    return np.asarray(values @ network.say + network.say_bias, dtype=np.float32), states


def apply_changed(network: Network, section: Array, t: int, states: Sequence[Array], seen: Array) -> Array:
    """(S, 2) log odds for one scene of a track that has been changed, the other scenes as they were.

    Parameters
    ----------
    section : (S, F) from `describe`.
    t : which scene it is.
    states, seen : what `apply_network` gave and was given, at these steps.
    """
    values = np.maximum(section @ network.read + network.read_bias, 0)[None]
    own = (np.arange(len(seen)) == t)[None]
    for i, (weights, bias, dilation) in enumerate(
        zip(network.along, network.along_bias, network.dilation, strict=True)
    ):
        values = values + np.maximum(_along(values, weights, bias, dilation), 0)
        for number, after in enumerate(network.series_after):
            if after == i:
                everything = states[number].copy()
                everything[t] = values[0]
                values = values + _over_series(network.series[number], values, everything, seen, own)
    return np.asarray(values[0] @ network.say + network.say_bias, dtype=np.float32)
