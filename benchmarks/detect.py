"""What `rail-watch detect` costs: a cold run as a user sees it, and where its time goes.

Two runs. First the command in a process of its own: wall time, processor time, peak memory. Then the same work inside
this process with the reading of pixels timed, for its share: open, decode, scale, lay onto the scene's grid.

Usage: python benchmarks/detect.py [--aoi tumangang] [--source FOLDER] [--jobs 2]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

CREATED = datetime(2026, 1, 1, tzinfo=UTC)


class Stopwatch:
    """Adds up the time spent inside a function, over all threads."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function, self.seconds, self.calls = function, 0.0, 0
        self._lock = threading.Lock()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the function and keep the time it took."""
        start = time.perf_counter()
        try:
            return self.function(*args, **kwargs)
        finally:
            with self._lock:
                self.seconds += time.perf_counter() - start
                self.calls += 1


def cold_run(arguments: argparse.Namespace, out: Path) -> dict[str, float]:
    """Return wall and processor seconds and peak memory of the command in a fresh process."""
    program = str(Path(sys.executable).with_name("rail-watch"))
    command = [program, "detect", "--aoi", arguments.aoi, "--out", str(out)]
    command += ["--jobs", str(arguments.jobs)] + (["--source", arguments.source] if arguments.source else [])
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    code = process.returncode = os.waitstatus_to_exitcode(status)
    if code not in (0, 3):
        raise SystemExit(f"{' '.join(command)} ended with status {code}")
    peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return {"wall_s": wall, "cpu_s": usage.ru_utime + usage.ru_stime, "peak_mib": peak / 2**20}


def staged_run(arguments: argparse.Namespace, out: Path) -> dict[str, float]:
    """Return seconds of importing, reading, judging and drawing, inside this process, reading one scene at a time."""
    start = time.perf_counter()
    from rail_watch import aoi, detect, imagery
    from rail_watch.report import write_reports

    imported = time.perf_counter()
    imagery.read = reading = Stopwatch(imagery.read)
    sites = aoi.read_many(arguments.aoi)
    source = arguments.source or imagery.sample_imagery_path()
    runs = detect.detect_sites(sites, source=source, options=detect.DetectOptions(jobs=1), created=CREATED)
    judged = time.perf_counter()
    for run in runs:
        write_reports(run.detections, run.site, run.stacks, out / run.site.id)
    drawn = time.perf_counter()
    return {
        "import_s": imported - start,
        "decode_s": reading.seconds,
        "judge_s": judged - imported - reading.seconds,
        "draw_s": drawn - judged,
        "scenes": float(reading.calls),
        "decode_share": reading.seconds / (drawn - start),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--aoi", default="tumangang")
    parser.add_argument("--source", help="default: the sample imagery")
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        cold = cold_run(arguments, Path(folder) / "cold")
        staged = staged_run(arguments, Path(folder) / "staged")
    rows = {
        "cold run, wall": f"{cold['wall_s']:.1f} s",
        "cold run, processor": f"{cold['cpu_s']:.1f} s",
        "peak memory": f"{cold['peak_mib']:.0f} MiB",
        "imports": f"{staged['import_s']:.1f} s",
        f"decoding {staged['scenes']:.0f} scenes": f"{staged['decode_s']:.1f} s",
        "judging": f"{staged['judge_s']:.1f} s",
        "drawing": f"{staged['draw_s']:.1f} s",
        "share of decoding": f"{staged['decode_share']:.0%}",
    }
    for name, value in rows.items():
        print(f"{name:<24}{value:>12}", file=sys.stderr)
    print(json.dumps({"cold": cold, "staged": staged}, indent=2))


if __name__ == "__main__":
    main()
