"""Weights and laws in the form the package reads: npz without pickle, the same bytes for the same numbers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rail_watch.errors import BadInput
from rail_watch.interpret.network import Network
from rail_watch.interpret.null import EmptyLaw

LAWS = 3
"""Of track with nothing beside it, beside trains, and of ground that looks little as it usually does."""


def write_network(file: Path, network: Network) -> None:
    """Write weights so that `rail_watch.interpret.network.load_network` reads them."""
    layers = {f"along_{i}": part for i, part in enumerate(network.along)}
    layers |= {f"along_bias_{i}": part for i, part in enumerate(network.along_bias)}
    file.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        file,
        dilation=np.array(network.dilation),
        read=network.read,
        read_bias=network.read_bias,
        say=network.say,
        say_bias=network.say_bias,
        **layers,
    )


def read_network(file: Path) -> Network:
    """Read weights from a file.

    Raises
    ------
    BadInput
        There is no such file.
    """
    if not file.exists():
        raise BadInput(f"{file}: no weights here; run the step 'learn' first, or name their folder with --weights")
    with np.load(file, allow_pickle=False) as data:
        layers = range(len(data["dilation"]))
        return Network(
            read=data["read"],
            read_bias=data["read_bias"],
            along=tuple(data[f"along_{i}"] for i in layers),
            along_bias=tuple(data[f"along_bias_{i}"] for i in layers),
            dilation=tuple(int(d) for d in data["dilation"]),
            say=data["say"],
            say_bias=data["say_bias"],
        )


def write_laws(file: Path, laws: Sequence[EmptyLaw]) -> None:
    """Write the `LAWS` laws of a class so that `rail_watch.interpret.null.load_laws` reads them."""
    values = {}
    for i, law in enumerate(laws):
        values |= {f"body_{i}": law.body, f"mass_{i}": law.mass}
        values |= {f"scale_{i}": np.array(law.scale), f"metres_{i}": np.array(law.metres)}
    file.parent.mkdir(parents=True, exist_ok=True)
    np.savez(file, **values)
