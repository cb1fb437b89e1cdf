"""Rasters, items and catalogues made in code for the tests of imagery."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from shapely import Polygon

from rail_watch.aoi import Site
from rail_watch.grid import WGS84, transformer

UTM = "EPSG:32652"
LEFT, TOP = 632_000.0, 4_698_000.0
TIFF = "image/tiff; application=geotiff; profile=cloud-optimized"


def site_of(left: float, bottom: float, right: float, top: float, *, crs: str = UTM) -> Site:
    """A site that is a box in a plane system."""
    x, y = [left, right, right, left], [bottom, bottom, top, top]
    lon, lat = transformer(crs, WGS84).transform(x, y)
    return Site("yard", "Test yard", Polygon(zip(lon, lat, strict=True)))


def small_site() -> Site:
    """600 m x 400 m inside a raster of 200 x 200 pixels of 10 m at (LEFT, TOP)."""
    return site_of(LEFT + 500, TOP - 1100, LEFT + 1100, TOP - 700)


def north_up(pixel: float = 10.0, left: float = LEFT, top: float = TOP) -> Affine:
    return Affine(pixel, 0, left, 0, -pixel, top)


def write_tif(path: Path, data: NDArray[Any], transform: Affine | None = None, **options: Any) -> Path:
    """Write (band, row, column) as GeoTIFF; `tags`, `descriptions`, `scales`, `offsets` go where they belong."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tags, descriptions = options.pop("tags", {}), options.pop("descriptions", None)
    scales, offsets = options.pop("scales", None), options.pop("offsets", None)
    profile = {
        "driver": "GTiff",
        "count": data.shape[0],
        "height": data.shape[1],
        "width": data.shape[2],
        "dtype": data.dtype,
        "crs": UTM,
        "transform": transform or north_up(),
        **options,
    }
    with rasterio.open(path, "w", **profile) as dataset:
        dataset.write(data)
        dataset.update_tags(**tags)
        if descriptions:
            dataset.descriptions = descriptions
        if scales:
            dataset.scales, dataset.offsets = scales, offsets
    return path


def painted(bands: int = 4, size: int = 200, dtype: str = "uint16", *, seed: int = 1, top: int = 9000) -> NDArray[Any]:
    return np.random.default_rng(seed).integers(1, top, (bands, size, size)).astype(dtype)


def bands_of(*names: str) -> list[dict[str, str]]:
    return [{"name": name, "eo:common_name": name} for name in names]


def asset(href: str, *names: str, **members: Any) -> dict[str, Any]:
    named = {"bands": bands_of(*names)} if names else {}
    return {"href": href, "type": TIFF, **named, **members}


def item(item_id: str = "scene", /, assets: dict[str, Any] | None = None, **properties: Any) -> dict[str, Any]:
    given = {"data": asset("./a.tif", "blue", "green", "red", "nir")} if assets is None else assets
    stated = {"datetime": "2022-11-04T02:00:00Z", "platform": "testsat-1", "gsd": 10, **properties}
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "id": item_id,
        "properties": stated,
        "geometry": None,
        "links": [],
        "assets": given,
    }


def save(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def link(rel: str, href: str) -> dict[str, str]:
    return {"rel": rel, "href": href}


def catalog(*links: dict[str, str], **members: Any) -> dict[str, Any]:
    head = {"type": "Catalog", "stac_version": "1.1.0", "id": "root", "description": "made for a test"}
    return {**head, **members, "links": list(links)}


def collection_of_items(*items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "FeatureCollection", "features": list(items)}
