"""A small yard with its imagery, made in code: six scenes at 3 m, a train on one of its two tracks in the fourth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from rail_watch.grid import WGS84, transformer

UTM = "EPSG:32652"
LEFT, TOP = 632_000.0, 4_698_000.0
PIXEL = 3.0
ROWS, COLUMNS = 70, 220
TRACKS = {"t1": 75.0, "t2": 105.0}
"""Metres south of TOP; tracks run due east."""
DAYS = ("20231001", "20231005", "20231009", "20231013", "20231017", "20231021")
TRAIN = ("20231013", "t1", 180.0, 380.0)
"""Day, track, and metres east of LEFT."""


def _lonlat(points: list[tuple[float, float]]) -> list[list[float]]:
    x, y = transformer(UTM, WGS84).transform([LEFT + e for e, _ in points], [TOP - s for _, s in points])
    return [[float(lon), float(lat)] for lon, lat in zip(x, y, strict=True)]


def _feature(role: str, name: str, geometry: dict[str, Any]) -> dict[str, Any]:
    return {"type": "Feature", "geometry": geometry, "properties": {"role": role, "id": name}}


def aoi_document(name: str = "small-yard") -> dict[str, Any]:
    box = _lonlat([(30, 30), (630, 30), (630, 180), (30, 180), (30, 30)])
    features = [_feature("site", "site", {"type": "Polygon", "coordinates": [box]})]
    for track, south in TRACKS.items():
        line = {"type": "LineString", "coordinates": _lonlat([(60, south), (600, south)])}
        features.append(_feature("track", track, line))
    head = {"schema": "1", "id": name, "name": "Small yard", "accuracy_m": 1}
    return {"type": "FeatureCollection", "rail_watch": head, "features": features}


def write_aoi(path: Path, name: str = "small-yard") -> Path:
    path.write_text(json.dumps(aoi_document(name)), encoding="utf-8")
    return path


def _ground() -> NDArray[np.float64]:
    """Patchy fields with two bands of ballast."""
    rng = np.random.default_rng(5)
    ground = 0.2 + 0.6 * gaussian_filter(rng.normal(0, 1, (ROWS, COLUMNS)), 3) / 4
    for south in TRACKS.values():
        row = int(south // PIXEL)
        ground[row - 2 : row + 3] = 0.17 + rng.normal(0, 0.004, (5, COLUMNS))
    return ground


def picture(day: str) -> NDArray[np.uint16]:
    """(band, row, column) blue, green, red, nir, as reflectance times 10,000."""
    rng = np.random.default_rng(int(day))
    ground = _ground()
    if day == TRAIN[0]:
        row = int(TRACKS[TRAIN[1]] // PIXEL)
        cars = np.resize(np.repeat([0.05, 0.34, 0.08, 0.28, 0.06], 5), int((TRAIN[3] - TRAIN[2]) // PIXEL))
        ground[row, int(TRAIN[2] // PIXEL) : int(TRAIN[2] // PIXEL) + len(cars)] = cars
        ground[row - 1, int(TRAIN[2] // PIXEL) : int(TRAIN[3] // PIXEL)] = 0.06
    bands = np.stack([ground * tint for tint in (0.7, 0.85, 1.0, 1.2)])
    return np.clip((bands + rng.normal(0, 0.003, bands.shape)) * 10_000, 1, 20_000).astype(np.uint16)


def write_series(folder: Path) -> Path:
    """Write the scenes as GeoTIFFs whose names and tags say what they are."""
    folder.mkdir(parents=True, exist_ok=True)
    for day in DAYS:
        write_scene(folder / f"{day}_023000_small.tif", picture(day))
    return folder


def write_scene(path: Path, data: NDArray[np.uint16]) -> None:
    profile = {
        "driver": "GTiff",
        "count": len(data),
        "height": ROWS,
        "width": COLUMNS,
        "dtype": "uint16",
        "crs": UTM,
        "transform": Affine(PIXEL, 0, LEFT, 0, -PIXEL, TOP),
        "nodata": 0,
        "compress": "deflate",
    }
    with rasterio.open(path, "w", **profile) as dataset:
        dataset.write(data)
        dataset.descriptions = ("blue", "green", "red", "nir")
        dataset.scales, dataset.offsets = (1e-4,) * 4, (0.0,) * 4
        dataset.update_tags(platform="test-sat", simulated="SIMULATED")


def write_truth(folder: Path, name: str = "small-yard") -> Path:
    """Say what stands in the scenes of `write_series`."""
    scenes = []
    for day in DAYS:
        rows = [{"track": track, "visible_fraction": 1.0, "trains": _trains(day, track)} for track in TRACKS]
        scenes.append({"id": f"{day}_023000_small", "shift_m": [0.0, 0.0], "tracks": rows, "aprons": [], "cargo": []})
    document = {"schema": "rail-watch/truth/1", "aoi": name, "gsd_m": PIXEL, "scenes": scenes}
    path = folder / "truth.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def _trains(day: str, track: str) -> list[dict[str, Any]]:
    if (day, track) != TRAIN[:2]:
        return []
    # Tracks begin 60 m east of LEFT.
    return [{"id": "a", "start_m": TRAIN[2] - 60, "end_m": TRAIN[3] - 60, "railcars": 14, "visible_fraction": 1.0}]
