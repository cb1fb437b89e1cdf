"""How long a user waits for `rail-watch --help`: against a bare Python, and in seconds.

Usage: python benchmarks/startup.py [--runs 15]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

RAIL_WATCH = str(Path(sys.executable).with_name("rail-watch"))
COMMANDS = {
    "python -c pass": ("-c", "pass"),
    "rail-watch --help": (RAIL_WATCH, "--help"),
    "rail-watch --version": (RAIL_WATCH, "--version"),
    "rail-watch detect --help": (RAIL_WATCH, "detect", "--help"),
}


def seconds(arguments: Sequence[str]) -> float:
    """Return the wall time of one run of this Python."""
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def measure(runs: int) -> dict[str, dict[str, float]]:
    """Return the least and the median of so many runs of each command, taken in turn so that a slow spell hits all."""
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for arguments in COMMANDS.values():
        seconds(arguments)  # once unmeasured: the first run compiles
    for _ in range(runs):
        for name, arguments in COMMANDS.items():
            times[name].append(seconds(arguments))
    bare = min(times["python -c pass"])
    return {
        name: {"min_s": min(values), "median_s": statistics.median(values), "ratio": min(values) / bare}
        for name, values in times.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=15)
    result = measure(parser.parse_args().runs)
    print(f"{'command':<28}{'min':>9}{'median':>9}{'ratio':>8}", file=sys.stderr)
    for name, row in result.items():
        print(f"{name:<28}{row['min_s']:>7.3f} s{row['median_s']:>7.3f} s{row['ratio']:>8.1f}", file=sys.stderr)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
