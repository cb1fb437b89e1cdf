"""A loopback server with the small yard's series, started as a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from cli_material import COLUMNS, DAYS, LEFT, PIXEL, ROWS, TOP, UTM, write_series
from shapely.geometry import box, mapping

from rail_watch.grid import WGS84, transformer

TIFF = "image/tiff; application=geotiff; profile=cloud-optimized"


def items_of_series() -> dict[str, Any]:
    """An ItemCollection of `write_series`, hrefs relative."""
    x, y = [LEFT, LEFT + COLUMNS * PIXEL], [TOP - ROWS * PIXEL, TOP]
    lon, lat = transformer(UTM, WGS84).transform(x, y)
    outline = box(min(lon), min(lat), max(lon), max(lat))
    features = []
    for day in DAYS:
        scene = f"{day}_023000_small"
        bands = [
            {"name": name, "eo:common_name": name, "raster:scale": 1e-4, "raster:offset": 0, "nodata": 0}
            for name in ("blue", "green", "red", "nir")
        ]
        when = f"{day[:4]}-{day[4:6]}-{day[6:]}T02:30:00Z"
        features.append(
            {
                "type": "Feature",
                "stac_version": "1.1.0",
                "id": scene,
                "collection": "test",
                "geometry": mapping(outline),
                "bbox": list(outline.bounds),
                "properties": {"datetime": when, "platform": "test-sat", "gsd": PIXEL},
                "links": [],
                "assets": {
                    "data": {"href": f"./{scene}.tif", "type": TIFF, "bands": bands},
                    "mask": {"href": "./mask.tif", "type": TIFF, "roles": ["data-mask"]},
                },
            }
        )
    return {"type": "FeatureCollection", "features": features}


def write_served(folder: Path) -> Path:
    """Write the series, a mask that calls everything clear, and items.json."""
    write_series(folder)
    profile = {"driver": "GTiff", "count": 1, "height": ROWS, "width": COLUMNS, "dtype": "uint8", "crs": UTM}
    with rasterio.open(
        folder / "mask.tif", "w", transform=Affine(PIXEL, 0, LEFT, 0, -PIXEL, TOP), **profile
    ) as dataset:
        dataset.write(np.ones((1, ROWS, COLUMNS), dtype="uint8"))
    (folder / "items.json").write_text(json.dumps(items_of_series()))
    return folder


@dataclass(frozen=True)
class Server:
    """A running server."""

    port: int
    folder: Path
    log: Path

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def at(self, path: str) -> str:
        return f"{self.address}/{path}"

    def requests(self, word: str = "") -> list[dict[str, Any]]:
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [line for line in map(json.loads, lines) if word in line["path"]]


@contextmanager
def serving(folder: Path, log: Path) -> Iterator[Server]:
    """Serve a folder until the block is left."""
    script = Path(__file__).with_name("loopback_server.py")
    command = [sys.executable, str(script), str(folder), str(log)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield Server(int(process.stdout.readline()), folder, log)
        finally:
            process.kill()
