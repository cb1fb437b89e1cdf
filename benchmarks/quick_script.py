"""An analyst's quick script, as a peer: median and MAD over time, threshold 3, in a buffer round each track.

No alignment, no normalisation, no shadows, no snow, no p-value worth the name: what one writes in an hour. It
answers in the project's own detections format so that `quality.py` scores both alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from shapely import LineString, line_interpolate_point
from shapely.ops import substring

from rail_watch import aoi, imagery
from rail_watch.aoi.site import Site
from rail_watch.grid import WGS84, local_crs, transformer
from rail_watch.imagery.scene import Quality, Scene

THRESHOLD = 3.0
HALF_WIDTH_M = 1.6
PITCH_M = 14.2
JOIN_M = 12.0
Strip = NDArray[np.float64]


def answer(source: Path, site: Site, created: datetime) -> dict[str, Any]:
    """Return a detections document for one series."""
    refs = imagery.find(site, (None, None), source=source).scenes
    scenes = [scene for ref in refs if isinstance(scene := imagery.read(ref, site), Scene)]
    middle = site.polygon.centroid
    crs = local_crs(middle.x, middle.y)
    step = float(np.median([s.grid.metres_per_pixel() for s in scenes]))
    rows: dict[str, list[dict[str, Any]]] = {s.ref.id: [] for s in scenes}
    features: list[dict[str, Any]] = []
    for track in site.tracks:
        line = LineString(np.column_stack(transformer(WGS84, crs).transform(*np.array(track.line.coords).T)))
        strips = np.array([_strip(scene, line, crs, step) for scene in scenes])
        centre = np.nanmedian(strips, axis=0)
        spread = 1.4826 * np.nanmedian(np.abs(strips - centre), axis=0)
        score = (np.abs(strips - centre) / np.maximum(spread, 1e-4)).mean(axis=1)
        for scene, z in zip(scenes, score, strict=True):
            seen = float(np.isfinite(z).mean())
            spans = _runs(z > THRESHOLD, step) if seen > 0 else []
            for start, end in spans:
                features.append(_train(scene, track.id, (start, end), line, crs))
            rows[scene.ref.id].append(_row(track.id, seen, bool(spans), z))
    return {
        "schema": "rail-watch/detections/1",
        "aoi": site.id,
        "created": created.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "software": {"quick-script": "1"},
        "scenes": [_scene(scene, rows[scene.ref.id]) for scene in scenes],
        "observations": {"type": "FeatureCollection", "features": features},
        "summary": [],
    }


def _strip(scene: Scene, line: LineString, crs: str, step: float) -> Strip:
    """Brightness (across, along) in the buffer; NaN where not clear."""
    along = np.arange(0.0, line.length, step)
    points = np.array([p.coords[0] for p in line_interpolate_point(line, along)])
    tangent = np.gradient(points, axis=0)
    normal = np.column_stack([-tangent[:, 1], tangent[:, 0]]) / np.hypot(*tangent.T)[:, None]
    across = np.linspace(-HALF_WIDTH_M, HALF_WIDTH_M, 5)[:, None, None]
    where = (points + across * normal).reshape(-1, 2)
    lonlat = np.column_stack(transformer(crs, WGS84).transform(*where.T))
    at = scene.grid.from_lonlat(lonlat).T
    brightness = np.where(scene.quality == Quality.CLEAR, np.nanmean(scene.pixels, axis=0), np.nan)
    values = ndimage.map_coordinates(brightness, at, order=1, mode="constant", cval=np.nan)
    return values.reshape(len(across), -1)


def _runs(flag: NDArray[np.bool_], step: float) -> list[tuple[float, float]]:
    """Start and end of runs of change, holes up to a car's length closed, runs under one car dropped."""
    size = max(3, int(JOIN_M / step)) | 1
    closed = ndimage.binary_closing(np.pad(flag, size), np.ones(size))[size:-size]
    edges = np.flatnonzero(np.diff(np.concatenate([[0], closed.astype(int), [0]])))
    spans = [(float(a * step), float(b * step)) for a, b in zip(edges[::2], edges[1::2], strict=True)]
    return [(a, b) for a, b in spans if b - a >= max(10.0, 2 * step)]


def _row(track: str, seen: float, occupied: bool, z: Strip) -> dict[str, Any]:
    state = "unknown" if seen < 0.1 else "occupied" if occupied else "empty"
    visibility = "clear" if seen > 0.98 else "partial" if seen > 0 else "not-visible"
    p = None if seen == 0 else float(np.clip(np.nanmean(z > THRESHOLD), 0, 1))
    return {
        "track": track,
        "visibility": visibility,
        "visible_fraction": seen,
        "shortest_detectable_m": None,
        "state": state,
        "p_value": None if p is None else 1 - p,
    }


def _train(scene: Scene, track: str, span: tuple[float, float], line: LineString, crs: str) -> dict[str, Any]:
    start, end = span
    outline = substring(line, start, end).buffer(HALF_WIDTH_M, cap_style="flat").exterior
    lon, lat = transformer(crs, WGS84).transform(*np.array(outline.coords).T)
    cars = max(1, round((end - start) / PITCH_M))
    return {
        "type": "Feature",
        "id": f"{scene.ref.id}-{track}-{start:.0f}",
        "geometry": {"type": "Polygon", "coordinates": [np.column_stack([lon, lat]).tolist()]},
        "properties": {
            "kind": "train",
            "scene": scene.ref.id,
            "track": track,
            "tracks": [track],
            "start_m": start,
            "end_m": end,
            "length_m": end - start,
            "length_m_95": None,
            "railcars": cars,
            "railcars_95": None,
            "area_m2": None,
            "same_as": None,
            "same_as_p": None,
        },
    }


def _scene(scene: Scene, tracks: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": scene.ref.id,
        "datetime": scene.ref.when.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "gsd_m": scene.grid.metres_per_pixel(),
        "status": "used",
        "reason": None,
        "shift_m": [0.0, 0.0],
        "tracks": list(tracks),
    }


if __name__ == "__main__":
    import json
    import sys
    from datetime import UTC

    folder = Path(sys.argv[1])
    made = answer(folder / "catalog.json", aoi.read(str(folder / "aoi.geojson")), datetime.now(UTC))
    print(json.dumps(made, indent=1))
