"""Seconds that the reports of the sample run take beyond detection, and the PDF and a figure beside them.

Everything is measured in one run on one machine; `share` is the reports' time over the detection's, which a busy
machine changes less than seconds. `reports_cpu_s` is processor time of the same reports drawn by this process alone,
`load` the machine's load average (one minute) when the reports were begun.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

CREATED = datetime(2026, 1, 1, tzinfo=UTC)
AIM_S = 5.0


def main() -> None:
    from rail_watch import aoi, imagery
    from rail_watch.detect import DetectOptions, detect_sites, helpers
    from rail_watch.report import write_reports
    from rail_watch.report.figures import Order, chosen, make
    from rail_watch.report.form import SIZES
    from rail_watch.report.pdf import pdf

    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder, helpers(2) as pool:
        begun = time.perf_counter()
        options, source = DetectOptions(jobs=2), imagery.sample_imagery_path()
        run = detect_sites([aoi.read("tumangang")], source=source, options=options, created=CREATED, pool=pool)[0]
        judged, figures["load"] = time.perf_counter(), os.getloadavg()[0]
        written = write_reports(run.detections, run.site, run.stacks, Path(folder), pool=pool)
        drawn = time.perf_counter()
        figures |= {"detect_s": judged - begun, "reports_s": drawn - judged}
        figures["share"] = figures["reports_s"] / figures["detect_s"]
        begun = time.process_time()
        write_reports(run.detections, run.site, run.stacks, Path(folder) / "again")
        figures["reports_cpu_s"] = time.process_time() - begun
        figures["pictures"] = float(sum(path.suffix == ".png" for path in written))
        page = written[-1].read_text(encoding="utf-8")
        begun = time.perf_counter()
        figures["pdf_mb"] = len(pdf(page)) / 1e6
        figures["pdf_s"] = time.perf_counter() - begun
        begun = time.perf_counter()
        make(run.detections, run.site, run.stacks, Order("pair", SIZES["print"], chosen(run.detections, "pair", ())))
        figures["figure_s"] = time.perf_counter() - begun
    for name, value in figures.items():
        print(f"{name:<12}{value:>10.2f}", file=sys.stderr)
    print(json.dumps({**figures, "aim_s": AIM_S}, indent=2))


if __name__ == "__main__":
    main()
