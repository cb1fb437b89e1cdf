"""Command line: see the package's docstring."""

from __future__ import annotations

import argparse
from pathlib import Path

from .write import render_series


def main() -> None:
    """Render one series."""
    parser = argparse.ArgumentParser(description="Draw a labelled, SIMULATED image series.")
    parser.add_argument("--gsd", type=float, required=True, choices=(0.5, 3.0, 10.0))
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--scenes", type=int, default=None)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    print(render_series(args.gsd, args.seed, args.out, args.scenes))


if __name__ == "__main__":
    main()
