"""Pictures to GeoTIFFs and a static STAC 1.1.0 catalogue that says SIMULATED everywhere; the same bytes every time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray

from rail_watch.grid import Grid
from rail_watch.simulate.scene import QUALITY, Picture
from rail_watch.simulate.sensor import Sensor

Json = dict[str, Any]
TRUTHS = "rail-watch/truths/1"
"""A file of several truth documents, one for each site and sensor."""
CREDIT = "SIMULATED imagery, rail-watch simulator"
EXTENSIONS = [
    "https://stac-extensions.github.io/eo/v2.0.0/schema.json",
    "https://stac-extensions.github.io/file/v2.1.0/schema.json",
    "https://stac-extensions.github.io/projection/v2.0.0/schema.json",
    "https://stac-extensions.github.io/raster/v2.0.0/schema.json",
    "https://stac-extensions.github.io/view/v1.0.0/schema.json",
]
SCL = {"outside": 0, "clear": 5, "snow": 11, "shadow": 3, "cloud": 9, "water": 6, "vegetation": 4}
"""Classes of Sentinel-2's scene classification."""
PACKING = {
    "compress": "deflate",
    "zlevel": 9,
    "predictor": 2,
    "interleave": "band",
    "tiled": True,
    "blockxsize": 256,
    "blockysize": 256,
}
TIFF = "image/tiff; application=geotiff"


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Write JSON a person can read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def write_truths(path: Path, truths: list[Json]) -> None:
    """Write a truth document, a line for each scene; of several series, a file that holds one document for each."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = ",\n".join(_by_lines(truth) for truth in truths)
    if len(truths) != 1:
        text = f'{{"schema": "{TRUTHS}", "simulated": true, "truths": [\n{text}\n]}}'
    path.write_text(text + "\n", encoding="utf-8")


def _by_lines(truth: Json) -> str:
    head = json.dumps({**truth, "scenes": None}).removesuffix("null}")
    return head + "[\n" + ",\n".join(json.dumps(scene) for scene in truth["scenes"]) + "\n]}"


def _tags(picture: Picture) -> dict[str, str]:
    shot = picture.shot
    return {
        "SIMULATED": "YES",
        "TIFFTAG_IMAGEDESCRIPTION": f"SIMULATED image, not taken by any satellite: {shot.id}",
        "TIFFTAG_SOFTWARE": "rail-watch simulator",
        "TIFFTAG_DATETIME": f"{shot.when:%Y:%m:%d %H:%M:%S}",
        "TIFFTAG_COPYRIGHT": "CC0-1.0",
        "ACQUISITION_DATETIME": f"{shot.when:%Y-%m-%dT%H:%M:%SZ}",
        "PLATFORM": shot.sensor.platform,
        "CREDIT": CREDIT,
    }


def write_raster(
    path: Path,
    layers: NDArray[Any],
    grid: Grid,
    *,
    tags: Mapping[str, str],
    bands: Iterable[tuple[str, float, float]] = (),
) -> None:
    """Write (band, row, column) as a deflated, tiled GeoTIFF; `bands` gives name, scale and offset of each."""
    import rasterio

    path.parent.mkdir(parents=True, exist_ok=True)
    profile = {
        "driver": "GTiff",
        "dtype": layers.dtype,
        "count": len(layers),
        "height": grid.shape[0],
        "width": grid.shape[1],
        "crs": grid.crs,
        "transform": grid.transform,
        "nodata": 0 if layers.dtype == np.uint16 else None,
    }
    with rasterio.Env(GDAL_NUM_THREADS="1"), rasterio.open(path, "w", **profile, **PACKING) as file:
        file.write(layers)
        file.update_tags(**tags)
        for number, (name, scale, offset) in enumerate(bands, start=1):
            file.set_band_description(number, name)
            file.scales = (*file.scales[: number - 1], scale, *file.scales[number:])
            file.offsets = (*file.offsets[: number - 1], offset, *file.offsets[number:])


def _udm2(quality: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return Planet's eight bands: clear, snow, shadow, light and heavy haze, cloud, confidence, unusable."""
    layers = np.zeros((8, *quality.shape), dtype=np.uint8)
    for band, names in ((0, ("clear", "water", "vegetation")), (1, ("snow",)), (2, ("shadow",)), (5, ("cloud",))):
        layers[band] = np.isin(quality, [QUALITY.index(name) for name in names])
    layers[6] = np.where(quality == 0, 0, 90)
    layers[7] = quality == 0
    return layers


def _scl(quality: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return scene classes at twice the pixel size, as the product has them."""
    table = np.array([SCL[name] for name in QUALITY], dtype=np.uint8)
    return table[quality[::2, ::2]][None]


def _asset(path: Path, *, title: str, roles: list[str], extra: Mapping[str, Any]) -> Json:
    data = path.read_bytes()
    return {
        "href": f"./{path.name}",
        "type": TIFF,
        "title": f"SIMULATED {title}",
        "roles": roles,
        "file:size": len(data),
        "file:checksum": "1220" + hashlib.sha256(data).hexdigest(),
        **extra,
    }


def _band(name: str, sensor: Sensor) -> Json:
    return {
        "name": name,
        "eo:common_name": name,
        "data_type": "uint16",
        "nodata": 0,
        "raster:scale": sensor.scale,
        "raster:offset": sensor.offset,
        "raster:spatial_resolution": sensor.gsd_m,
    }


def _projection(grid: Grid) -> Json:
    t = grid.transform
    return {"proj:shape": list(grid.shape), "proj:transform": [t.a, t.b, t.c, t.d, t.e, t.f, 0.0, 0.0, 1.0]}


def _imagery(picture: Picture, folder: Path) -> dict[str, Json]:
    """Write the bands: one file of all of them, or one for each as Sentinel-2 has it."""
    sensor, tags, grid = picture.shot.sensor, _tags(picture), picture.grid
    groups = {"analytic": sensor.bands} if sensor.quality == "udm2" else {band: (band,) for band in sensor.bands}
    assets = {}
    for key, names in groups.items():
        path = folder / f"{picture.shot.id}_{key}.tif"
        layers = picture.dn[[sensor.bands.index(name) for name in names]]
        write_raster(path, layers, grid, tags=tags, bands=[(name, sensor.scale, sensor.offset) for name in names])
        extra = {"bands": [_band(name, sensor) for name in names], "gsd": sensor.gsd_m, **_projection(grid)}
        assets[key] = _asset(path, title=f"image, {', '.join(names)}", roles=["data", "reflectance"], extra=extra)
    return assets


def _masks(picture: Picture, folder: Path) -> dict[str, Json]:
    """Write the product's quality layer."""
    key, grid = picture.shot.sensor.quality, picture.grid
    layers = _udm2(picture.quality) if key == "udm2" else _scl(picture.quality)
    if key == "scl":
        t = grid.transform  # multiplied out: affine 3 turns from `*` to `@`, affine 2 knows only `*`
        grid = Grid(grid.crs, Affine(2 * t.a, 2 * t.b, t.c, 2 * t.d, 2 * t.e, t.f), layers.shape[1:])
    path = folder / f"{picture.shot.id}_{key}.tif"
    write_raster(path, layers, grid, tags=_tags(picture))
    title = "usable data mask" if key == "udm2" else "scene classification"
    return {
        key: _asset(
            path, title=title, roles=["metadata", "cloud" if key == "scl" else "data-mask"], extra=_projection(grid)
        )
    }


def _cloud_percent(picture: Picture) -> float:
    seen = picture.quality[picture.quality > 0]
    return round(100 * float((seen == QUALITY.index("cloud")).mean()), 1) if len(seen) else 0.0


def _properties(picture: Picture, site_name: str) -> Json:
    shot, sensor = picture.shot, picture.shot.sensor
    day = f"{shot.when:%Y-%m-%d %H:%M} UTC"
    return {
        "datetime": f"{shot.when:%Y-%m-%dT%H:%M:%SZ}",
        "title": f"SIMULATED {sensor.name} scene of {site_name}, {day}",
        "description": "SIMULATED: computed by the rail-watch simulator from a story; not taken by any satellite.",
        "keywords": ["SIMULATED"],
        "license": "CC0-1.0",
        "platform": sensor.platform,
        "constellation": sensor.constellation,
        "instruments": ["simulated"],
        "gsd": sensor.gsd_m,
        "providers": [{"name": CREDIT, "roles": ["producer", "licensor"]}],
        "proj:code": picture.grid.crs,
        "eo:cloud_cover": _cloud_percent(picture),
        "view:sun_azimuth": round(picture.sun.azimuth_deg, 2),
        "view:sun_elevation": round(picture.sun.elevation_deg, 2),
        "view:off_nadir": shot.off_nadir_deg,
        "view:azimuth": shot.view_azimuth_deg,
        "rail_watch:simulated": True,
        "rail_watch:credit": CREDIT,
        **shot.notes,
    }


def write_picture(picture: Picture, folder: Path, *, site_name: str) -> Json:
    """Write one picture's files and its STAC item into `folder/<id>/`; return the item."""
    home = folder / picture.shot.id
    assets = {**_imagery(picture, home), **_masks(picture, home)}
    outline = shapely.set_precision(picture.footprint, 1e-7)
    ring = [list(point) for point in shapely.geometry.polygon.orient(outline).exterior.coords]
    item = {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": EXTENSIONS,
        "id": picture.shot.id,
        "collection": picture.shot.sensor.platform,
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "bbox": [round(value, 7) for value in outline.bounds],
        "properties": _properties(picture, site_name),
        "links": [
            {"rel": "root", "href": "../../catalog.json", "type": "application/json"},
            {"rel": "parent", "href": "../collection.json", "type": "application/json"},
            {"rel": "collection", "href": "../collection.json", "type": "application/json"},
        ],
        "assets": assets,
    }
    write_json(home / f"{picture.shot.id}.json", item)
    return item


def _collection(sensor_name: str, items: list[Json]) -> Json:
    boxes = np.array([item["bbox"] for item in items])
    times = sorted(item["properties"]["datetime"] for item in items)
    return {
        "type": "Collection",
        "stac_version": "1.1.0",
        "stac_extensions": [],
        "id": sensor_name,
        "title": f"SIMULATED scenes, {sensor_name.removeprefix('simulated-')}",
        "description": "SIMULATED by the rail-watch simulator; not taken by any satellite.",
        "keywords": ["SIMULATED"],
        "license": "CC0-1.0",
        "providers": [{"name": CREDIT, "roles": ["producer", "licensor"]}],
        "extent": {
            "spatial": {"bbox": [[*boxes[:, :2].min(axis=0).tolist(), *boxes[:, 2:].max(axis=0).tolist()]]},
            "temporal": {"interval": [[times[0], times[-1]]]},
        },
        "links": [
            {"rel": "root", "href": "../catalog.json", "type": "application/json"},
            {"rel": "parent", "href": "../catalog.json", "type": "application/json"},
        ]
        + [
            {"rel": "item", "href": f"./{item['id']}/{item['id']}.json", "type": "application/geo+json"}
            for item in sorted(items, key=lambda item: str(item["id"]))
        ],
    }


def write_catalogue(folder: Path, items: list[Json], *, title: str, catalogue_id: str) -> None:
    """Write the collections and the catalogue above them."""
    names = sorted({item["collection"] for item in items})
    for name in names:
        write_json(folder / name / "collection.json", _collection(name, [i for i in items if i["collection"] == name]))
    write_json(
        folder / "catalog.json",
        {
            "type": "Catalog",
            "stac_version": "1.1.0",
            "id": catalogue_id,
            "title": f"SIMULATED: {title}",
            "description": "SIMULATED imagery made by the rail-watch simulator. No satellite took any of it.",
            "links": [{"rel": "root", "href": "./catalog.json", "type": "application/json"}]
            + [{"rel": "child", "href": f"./{name}/collection.json", "type": "application/json"} for name in names],
        },
    )
