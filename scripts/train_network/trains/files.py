"""Weights and laws in the form the package reads: npz without pickle, the same bytes for the same numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rail_watch.errors import BadInput
from rail_watch.interpret.network import Network, as_arrays, from_arrays
from rail_watch.interpret.null import EmptyLaws
from rail_watch.interpret.null import from_arrays as laws_from_arrays
from rail_watch.interpret.sizes import SizeErrors
from rail_watch.interpret.sizes import as_arrays as size_arrays
from rail_watch.interpret.sizes import from_arrays as sizes_from_arrays


def write_network(file: Path, network: Network) -> None:
    """Write weights so that `rail_watch.interpret.network.load_network` reads them."""
    file.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(file, **as_arrays(network))  # type: ignore[arg-type]


def read_network(file: Path) -> Network:
    """Read weights from a file.

    Raises
    ------
    BadInput
        There is no such file.
    """
    return from_arrays(_arrays(file, "weights", step="learn"))


def _arrays(file: Path, what: str, *, step: str) -> dict[str, NDArray[Any]]:
    if not file.exists():
        raise BadInput(f"{file}: no {what} here; run the step '{step}' first, or name their folder with --weights")
    with np.load(file, allow_pickle=False) as data:
        return {name: data[name] for name in data.files}


def write_laws(file: Path, laws: EmptyLaws) -> None:
    """Write the laws of a class so that `rail_watch.interpret.null.load_laws` reads them."""
    values = {"noisy": np.array(laws.noisy)}
    for i, law in enumerate((*laws.usual, laws.odd[0], laws.final)):
        values |= {f"body_{i}": law.body, f"mass_{i}": law.mass}
        values |= {f"scale_{i}": np.array(law.scale), f"metres_{i}": np.array(law.metres)}
    file.parent.mkdir(parents=True, exist_ok=True)
    np.savez(file, **values)


def read_laws(file: Path) -> EmptyLaws:
    """Read the laws of a class; `BadInput` where there is no such file."""
    return laws_from_arrays(_arrays(file, "laws", step="measure"))


def read_size_errors(file: Path) -> SizeErrors:
    """Read the errors of a class; `BadInput` where there is no such file."""
    return sizes_from_arrays(_arrays(file, "errors", step="measure"))


def write_size_errors(file: Path, errors: SizeErrors) -> None:
    """Write the errors of a class so that `rail_watch.interpret.sizes.load_size_errors` reads them."""
    file.parent.mkdir(parents=True, exist_ok=True)
    np.savez(file, **size_arrays(errors))  # type: ignore[arg-type]
