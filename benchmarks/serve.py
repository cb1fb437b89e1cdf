"""How soon the page shows a site of 200 dates, and what it weighs: `python benchmarks/serve.py [VIEWS]`.

The archive is made by hand: 200 looks at Tumangang, every ninth with a train, the last of them a scene of the sample
imagery, whose picture is waited for. Each view is a browser that knows nothing yet. A table on standard error, JSON on
standard output. Needs `.[serve,dev]` and a Chromium.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import archive_material
from playwright.sync_api import Browser, sync_playwright
from serve_material import Server, chromium, serving

from rail_watch import aoi, imagery
from rail_watch.archive import archive_path, open_archive
from rail_watch.observe.records import ApronLook, SceneRecord, TrackLook

SITE = "tumangang"
DATES = 200
SHOWN = """() => {
  const image = document.querySelector('#map img.leaflet-image-layer');
  return document.body.dataset.ready === 'yes' && image && image.complete && image.naturalWidth > 0
    ? performance.now() : 0;
}"""
WEIGHED = """() => performance.getEntriesByType('resource').concat(performance.getEntriesByType('navigation'))
  .map((one) => [one.name, one.encodedBodySize])"""


def fill(home: Path) -> None:
    """Put 200 looks into an archive."""
    site = aoi.read(SITE)
    last = imagery.find(site, (None, None), source=imagery.sample_imagery_path()).scenes[-1]
    scenes, seen = [], []
    for number in range(DATES):
        when = last.when - timedelta(days=3 * (DATES - 1 - number))
        name = last.id if number == DATES - 1 else f"made-{number:03d}"
        record = scene(site, name, number)
        scenes.append(replace(record, when=when, gsd_m=last.gsd_m or 3.0))
        if number % 9 == 0:
            made = archive_material.train(number, site=SITE, scene=name, track=site.tracks[0].id)
            seen.append(replace(made, when=when, first_seen=when, geometry=site.aprons[0].polygon))
    with open_archive(archive_path(home)) as archive:
        archive_material.keep(archive, archive_material.detections(scenes, seen, name=SITE), of=site)


def scene(site: aoi.Site, name: str, number: int) -> SceneRecord:
    """One look: all tracks empty, the first occupied every ninth time."""
    base = archive_material.scene(number, name=name)
    empty = base.tracks[0]
    tracks = tuple(
        TrackLook(
            one.id, "clear", 1.0, "occupied" if number % 9 == 0 and not index else "empty", empty.p_value, 40.0, None
        )
        for index, one in enumerate(site.tracks)
    )
    return replace(base, tracks=tracks, aprons=(ApronLook(site.aprons[0].id, "clear", 1.0, 0.0, (0.0, 0.02), 30.0),))


def view(browser: Browser, server: Server) -> dict[str, float]:
    """Open the site once; return seconds until it is shown, and kilobytes by kind."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.goto(f"{server.url}/site/{SITE}", wait_until="commit")
    while not (shown := page.evaluate(SHOWN)):
        page.wait_for_timeout(10)
    page.wait_for_timeout(300)
    weights = page.evaluate(WEIGHED)
    context.close()
    pictures = sum(size for name, size in weights if name.endswith(".webp"))
    whole = sum(size for _, size in weights)
    return {"seconds": shown / 1000, "page_kb": (whole - pictures) / 1000, "pictures_kb": pictures / 1000}


def main() -> None:
    views = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    path = chromium()
    if path is None:
        sys.exit("no chromium on this machine")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as play:
        home = Path(folder)
        fill(home)
        with serving(home, cache=home / "cache") as server:
            browser = play.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
            found = [view(browser, server) for _ in range(views + 1)]
            browser.close()
    # The first starts the browser's own processes, too.
    seconds = [one["seconds"] for one in found[1:]]
    figures = {
        "dates": DATES, "views": views, "first_view_s_least": round(min(seconds), 3),
        "first_view_s_median": round(statistics.median(seconds), 3), "page_kb": round(found[-1]["page_kb"], 1),
        "pictures_kb": round(found[-1]["pictures_kb"], 1),
    }  # fmt: skip
    for name, value in figures.items():
        print(f"{name:<22} {value}", file=sys.stderr)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
