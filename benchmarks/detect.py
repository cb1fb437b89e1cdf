"""What `rail-watch detect` costs: a cold run as a user sees it, and where its time goes.

Two runs. First the command in a process of its own: wall time, processor time, peak memory of it and its helpers
together (Linux) and of the largest of them. Then the same work inside this process alone with the reading of pixels
timed, for its share: open, decode, scale, lay onto the scene's grid. The second run counts processor time, so that
other work on the machine does not show.

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

POLL_S = 0.5
CREATED = datetime(2026, 1, 1, tzinfo=UTC)


class Stopwatch:
    """Adds up the processor time spent inside a function, over all threads."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function, self.seconds, self.calls = function, 0.0, 0
        self._lock = threading.Lock()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the function and keep the time it took."""
        start = time.thread_time()
        try:
            return self.function(*args, **kwargs)
        finally:
            with self._lock:
                self.seconds += time.thread_time() - start
                self.calls += 1


def family_mib(pid: int) -> float:
    """Return the memory in use by a process and its descendants, what they share counted once; 0 where untold."""
    try:
        own = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    except OSError:
        return 0.0
    kib = sum(int(line.split()[1]) for line in own.splitlines() if line.startswith("Pss:"))
    return kib / 1024 + sum(family_mib(int(child)) for child in children)


def cold_run(arguments: argparse.Namespace, out: Path) -> dict[str, float]:
    """Return wall and processor seconds and peak memory of the command in a fresh process."""
    command = [sys.executable, "-m", "rail_watch", "detect", "--aoi", arguments.aoi, "--out", str(out)]
    command += ["--jobs", str(arguments.jobs)] + (["--source", arguments.source] if arguments.source else [])
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    together = 0.0
    while (ended := os.wait4(process.pid, os.WNOHANG))[0] == 0:
        together = max(together, family_mib(process.pid))
        time.sleep(POLL_S)
    wall = time.perf_counter() - start
    _, status, usage = ended
    code = process.returncode = os.waitstatus_to_exitcode(status)
    if code not in (0, 3):
        raise SystemExit(f"{' '.join(command)} ended with status {code}")
    peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return {"wall_s": wall, "cpu_s": usage.ru_utime + usage.ru_stime, "peak_mib": together, "largest_mib": peak / 2**20}


def staged_run(arguments: argparse.Namespace, out: Path) -> dict[str, float]:
    """Return processor seconds of importing, reading, judging and drawing, inside this process alone."""
    start = time.process_time()
    from rail_watch import aoi, detect, imagery
    from rail_watch.report import write_reports

    imported = time.process_time()
    imagery.read = reading = Stopwatch(imagery.read)
    sites = aoi.read_many(arguments.aoi)
    source = arguments.source or imagery.sample_imagery_path()
    runs = detect.detect_sites(sites, source=source, options=detect.DetectOptions(jobs=1), created=CREATED)
    judged = time.process_time()
    for run in runs:
        write_reports(run.detections, run.site, run.stacks, out / run.site.id)
    drawn = time.process_time()
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
        "of the largest process": f"{cold['largest_mib']:.0f} MiB",
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
