"""Weights and what is known of them in the form the package reads: npz without pickle."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rail_watch.errors import BadInput
from rail_watch.interpret.ground_network import GroundNetwork, as_arrays, from_arrays
from rail_watch.interpret.pieces import CargoTrust


def write_network(file: Path, network: GroundNetwork) -> None:
    """Write weights so that `rail_watch.interpret.ground_network.load_ground_network` reads them."""
    file.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(file, **as_arrays(network))  # type: ignore[arg-type]


def read_network(file: Path) -> GroundNetwork:
    """Read weights from a file.

    Raises
    ------
    BadInput
        There is no such file.
    """
    if not file.exists():
        raise BadInput(
            f"{file}: no weights here; run the step 'cargo-learn' first, or name their folder with --weights"
        )
    with np.load(file, allow_pickle=False) as data:
        return from_arrays({name: data[name] for name in data.files})


def write_trust(file: Path, trust: CargoTrust) -> None:
    """Write what was measured so that `rail_watch.interpret.pieces.load_trust` reads it."""
    values = {
        "area_error": np.array(trust.area_error),
        "fill_error": np.array(trust.fill_error),
        "smallest_m2": np.array(trust.smallest_m2),
    }
    for i, law in enumerate((trust.usual, trust.odd)):
        values |= {f"body_{i}": law.body, f"mass_{i}": law.mass}
        values |= {f"scale_{i}": np.array(law.scale), f"area_m2_{i}": np.array(law.metres)}
    file.parent.mkdir(parents=True, exist_ok=True)
    np.savez(file, **values)  # type: ignore[arg-type]
