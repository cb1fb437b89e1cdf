"""Weights and laws in the form the package reads: npz without pickle, the same bytes for the same numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rail_watch.errors import BadInput
from rail_watch.interpret.network import Network, as_arrays, from_arrays
from rail_watch.interpret.null import EmptyLaws
from rail_watch.interpret.sizes import SizeErrors
from rail_watch.interpret.sizes import as_arrays as size_arrays


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
    if not file.exists():
        raise BadInput(f"{file}: no weights here; run the step 'learn' first, or name their folder with --weights")
    with np.load(file, allow_pickle=False) as data:
        return from_arrays({name: data[name] for name in data.files})


def write_laws(file: Path, laws: EmptyLaws) -> None:
    """Write the laws of a class so that `rail_watch.interpret.null.load_laws` reads them."""
    values = {"noisy": np.array(laws.noisy)}
    for i, law in enumerate((*laws.usual, laws.odd[0], laws.final)):
        values |= {f"body_{i}": law.body, f"mass_{i}": law.mass}
        values |= {f"scale_{i}": np.array(law.scale), f"metres_{i}": np.array(law.metres)}
    file.parent.mkdir(parents=True, exist_ok=True)
    np.savez(file, **values)


def write_size_errors(file: Path, errors: SizeErrors) -> None:
    """Write the errors of a class so that `rail_watch.interpret.sizes.load_size_errors` reads them."""
    file.parent.mkdir(parents=True, exist_ok=True)
    np.savez(file, **size_arrays(errors))  # type: ignore[arg-type]
