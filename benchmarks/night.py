"""Time a nightly check of many sites with nothing new: `python benchmarks/night.py [SITES]`.

Watches the shipped sites over and over under other names, with the sample imagery as their source; the first check is
stood in for by a judge that sees nothing, the second is the one that is timed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rail_watch import aoi
from rail_watch.archive import archive_path, open_archive
from rail_watch.errors import NoUsableImagery
from rail_watch.watch.night import Asked, Means, run_night
from rail_watch.watch.sites import site_text, watched_sites


def main() -> None:
    sites = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / "sites").mkdir()
        for number in range(sites):
            name = aoi.shipped()[number % len(aoi.shipped())]
            text = site_text(aoi_path=name, source=None, sensor=None)
            (home / "sites" / f"site-{number:03d}.toml").write_text(text, encoding="utf-8")
        environment = os.environ | {"SOURCE_DATE_EPOCH": "1700000000", "RAIL_WATCH_HOME": folder}
        _first(home)
        for night in (1, 2):
            environment["SOURCE_DATE_EPOCH"] = str(1700000000 + 86_400 * night)
            start, before = time.perf_counter(), os.times()
            subprocess.run([sys.executable, "-m", "rail_watch", "run", "--due"], env=environment, check=True, stdout=-3)
            wall, after = time.perf_counter() - start, os.times()
            spent = sum(after[2:4]) - sum(before[2:4])
            print(f"{sites} sites, nothing new, night {night}: {wall:.1f} s, of them {spent:.1f} s of the processor")


def _first(home: Path) -> None:
    from datetime import UTC, datetime

    def nothing(*_: object) -> None:
        raise NoUsableImagery("not looked at")

    with open_archive(archive_path(home)) as archive:
        clock = lambda: datetime.fromtimestamp(1700000000, UTC)  # noqa: E731
        run_night(Means(home, archive, clock, nothing), watched_sites(home), Asked())  # type: ignore[arg-type]
        with archive.writing():
            archive.do("UPDATE listing SET settled = 1")


if __name__ == "__main__":
    main()
