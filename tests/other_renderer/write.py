"""Write a series as other people's data would come: AOI, static STAC catalogue, GeoTIFFs; and the truth."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from rasterio.crs import CRS
from shapely import Polygon

from .sensor import Sensor, Window
from .series import Day, Renderer, Series, draw_series
from .truth import Measure, clear_mask, dilated, lonlat_ring, scene_truth

SAYS = "SIMULATED imagery: drawn by a program, no real place"


def render_series(gsd: float, seed: int, out: Path, scenes: int | None = None) -> Path:
    """Draw a series into a folder; returns the folder."""
    series = draw_series(gsd, seed, scenes)
    renderer = Renderer(series)
    out.mkdir(parents=True, exist_ok=True)
    name = f"sim-{seed:04d}"
    rng = np.random.default_rng([seed, 31])
    style = {
        "v11": bool(rng.random() < 0.6),
        "sun": bool(rng.random() < 0.8),
        "item_collection": bool(rng.random() < 0.3),
    }
    (out / "aoi.geojson").write_text(json.dumps(_aoi(series, name, rng), indent=1))
    measures = {t.id: Measure(series, t.id) for t in series.yard.tracks}
    items, truths = [], []
    for index, day in enumerate(series.days):
        shot = renderer.scene(index)
        ident = f"{name}_{day.when:%Y%m%dT%H%M%SZ}"
        items.append(_write_scene(series, day, shot, ident, out, style))
        truths.append(scene_truth(renderer, day, shot, ident, measures))
    _catalogue(items, name, out, style)
    truth = {
        "schema": "rail-watch/truth/1",
        "aoi": name,
        "gsd_m": gsd,
        "seed": seed,
        "simulated": True,
        "renderer": "tests.other_renderer",
        "tracks": [
            {
                "track": t.id,
                "length_m": round(measures[t.id].length, 2),
                "line_error_m": round(series.aoi_error[t.id], 3),
            }
            for t in series.yard.tracks
        ],
        "scenes": truths,
    }
    (out / "truth.json").write_text(json.dumps(truth, indent=1))
    return out


def _feature(geometry: dict, **properties) -> dict:
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def _aoi(series: Series, name: str, rng: np.random.Generator) -> dict:
    place, yard = series.place, series.yard

    def polygon(xy: np.ndarray) -> dict:
        ring = lonlat_ring(place, xy)
        area = sum(a[0] * b[1] - b[0] * a[1] for a, b in itertools.pairwise(ring))
        return {"type": "Polygon", "coordinates": [ring if area > 0 else ring[::-1]]}

    site = np.array(series.site.exterior.coords)[:-1]
    features = [_feature(polygon(site), role="site", id="site", name="Site")]
    for track in yard.tracks:
        lon, lat = place.lonlat(*series.aoi_lines[track.id].T)
        line = [[round(float(a), 8), round(float(b), 8)] for a, b in zip(lon, lat, strict=True)]
        features.append(
            _feature(
                {"type": "LineString", "coordinates": line},
                role="track",
                id=track.id,
                name=f"Track {track.id[1:]}",
                gauge_mm=1435,
            )
        )
    with_exclude, with_stable = rng.random() < 0.6, rng.random() < 0.4
    for block in yard.blocks:
        role = {"apron": "apron", "shed": "shed"}.get(block.role)
        role = role or ("exclude" if block.role == "road" and with_exclude else None)
        role = role or ("stable" if block.role == "platform" and with_stable else None)
        if role:
            xy = block.xy + rng.normal(0, 0.3, 2)
            features.append(_feature(polygon(xy), role=role, id=block.id, name=f"{role.capitalize()} {block.id}"))
    worst = max(series.aoi_error.values())
    head = {"schema": "1", "id": name, "name": f"Simulated yard {series.seed}"}
    if rng.random() < 0.5:
        head["accuracy_m"] = float(np.ceil(2 * worst))
    return {"type": "FeatureCollection", "rail_watch": head, "features": features}


def _write_scene(series: Series, day: Day, shot: dict, ident: str, out: Path, style: dict) -> dict:
    sensor, window = series.sensor, shot["window"]
    folder = out / ident
    folder.mkdir(exist_ok=True)
    assets = {}
    if sensor.per_band_assets:
        for k, band in enumerate(sensor.bands):
            path = folder / f"{band}.tif"
            _write_tiff(path, series, window, shot["numbers"][k : k + 1], day)
            assets[band] = _asset(path, out, ident, sensor, (band,), style)
    else:
        path = folder / "image.tif"
        _write_tiff(path, series, window, shot["numbers"], day)
        assets["analytic"] = _asset(path, out, ident, sensor, sensor.bands, style)
    quality = _quality(series, day, shot)
    if quality:
        key, role, stack, factor = quality
        path = folder / f"{key}.tif"
        a = window.affine
        step = Affine(a.a * factor, a.b * factor, a.c, a.d * factor, a.e * factor, a.f)
        coarse = Window(step, *stack.shape[1:])
        _write_tiff(path, series, coarse, stack, day, nodata=None)
        assets[key] = {"href": f"./{path.name}", "type": "image/tiff; application=geotiff", "roles": [role]}
    item = _item(series, day, shot, ident, assets, style)
    if not style["item_collection"]:
        (folder / f"{ident}.json").write_text(json.dumps(item, indent=1))
    return item


def _write_tiff(
    path: Path, series: Series, window: Window, stack: np.ndarray, day: Day, nodata: int | None = 0
) -> None:
    profile = {
        "driver": "GTiff",
        "count": stack.shape[0],
        "height": stack.shape[1],
        "width": stack.shape[2],
        "dtype": stack.dtype,
        "crs": CRS.from_epsg(series.place.epsg),
        "transform": window.affine,
        "tiled": True,
        "blockxsize": 256,
        "blockysize": 256,
        "compress": "deflate",
        "nodata": nodata,
    }
    with rasterio.open(path, "w", **profile) as file:
        file.write(stack)
        file.update_tags(TIFFTAG_DATETIME=day.when.strftime("%Y:%m:%d %H:%M:%S"), TIFFTAG_IMAGEDESCRIPTION=SAYS)


def _asset(path: Path, out: Path, ident: str, sensor: Sensor, bands: tuple[str, ...], style: dict) -> dict:
    raster = {"data_type": "uint16", "nodata": 0, "scale": sensor.scale, "offset": sensor.offset}
    asset = {
        "href": f"./{path.name}",
        "type": "image/tiff; application=geotiff; profile=cloud-optimized",
        "roles": ["data", "reflectance"],
        "raster:bands": [dict(raster) for _ in bands],
    }
    if style["v11"]:
        asset["bands"] = [
            {
                "name": b,
                "eo:common_name": b,
                "nodata": 0,
                "data_type": "uint16",
                "raster:scale": sensor.scale,
                "raster:offset": sensor.offset,
            }
            for b in bands
        ]
    else:
        asset["eo:bands"] = [{"name": b, "common_name": b} for b in bands]
    return asset


def _quality(series: Series, day: Day, shot: dict):
    """Key, role, (bands, rows, columns), and how many image pixels one of its pixels spans.

    Also notes in the shot what it flags as anything but clear ground or snow.
    """
    kind, covered = series.sensor.quality, shot["covered"]
    shot["flagged"] = np.zeros_like(covered)
    if kind == "none":
        return None
    grow = max(1, round(6 / series.gsd))
    cloud = dilated(shot["cloud"] > 0.3, grow) & covered
    shade = (shot["shade"] > 0.35) & covered & ~cloud
    shot["flagged"] = cloud | shade
    if kind == "data-mask":
        return "mask", "data-mask", (covered & ~cloud & ~shade).astype(np.uint8)[None], 1
    if kind == "cloud":
        return "cloud", "cloud", (cloud | shade).astype(np.uint8)[None], 1
    veil = (shot["cloud"] > (0.1 if kind == "udm2" else 0.08)) & covered & ~cloud & ~shade
    shot["flagged"] |= veil
    snow = _snow_flag(series, day, shot) & ~cloud & ~shade & covered
    return _udm2(shot, (cloud, shade, veil, snow)) if kind == "udm2" else _scl(series, shot, (cloud, shade, veil, snow))


def _snow_flag(series: Series, day: Day, shot: dict) -> np.ndarray:
    if day.weather.snow == 0:
        return np.zeros_like(shot["covered"])
    sensor = series.sensor
    return shot["numbers"][sensor.bands.index("blue")] * sensor.scale + sensor.offset > 0.45


def _udm2(shot: dict, masks):
    cloud, shade, veil, snow = masks
    covered = shot["covered"]
    clear = covered & ~cloud & ~shade & ~snow & ~veil
    level = np.where(covered, 90, 0)
    bands = (clear, snow, shade, veil, np.zeros_like(veil), cloud, level, ~covered)
    return "udm2", "data-mask", np.stack([b.astype(np.uint8) for b in bands]), 1


def _scl(series: Series, shot: dict, masks):
    cloud, shade, veil, snow = masks
    scl = np.where(shot["numbers"][3] * series.sensor.scale + series.sensor.offset > 0.22, 4, 5).astype(np.uint8)
    for mask, value in ((veil, 10), (snow, 11), (shade, 3), (cloud, 9), (~shot["covered"], 0)):
        scl[mask] = value
    return "scl", "data", scl[::2, ::2][None], 2


def _item(series: Series, day: Day, shot: dict, ident: str, assets: dict, style: dict) -> dict:
    window: Window = shot["window"]
    ring = _footprint(series, day, window)
    lons, lats = zip(*ring, strict=True)
    clear = clear_mask(shot)
    properties = {
        "datetime": day.when.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "gsd": series.gsd,
        "title": f"SIMULATED {series.sensor.name} scene",
        "description": SAYS,
        "rail_watch:simulated": True,
        "platform": f"simulated-{series.sensor.name.lower()}",
        "instruments": ["simulated"],
        "view:off_nadir": round(day.off_nadir, 2),
        "view:azimuth": round(day.view_azimuth, 1),
        "eo:cloud_cover": round(100 * float(1 - clear.mean()), 1),
        "proj:code": f"EPSG:{series.place.epsg}",
        "proj:epsg": series.place.epsg,
    }
    if style["sun"]:
        properties |= {"view:sun_azimuth": round(day.sun[0], 3), "view:sun_elevation": round(day.sun[1], 3)}
    return {
        "type": "Feature",
        "stac_version": "1.1.0" if style["v11"] else "1.0.0",
        "stac_extensions": [],
        "id": ident,
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "bbox": [min(lons), min(lats), max(lons), max(lats)],
        "properties": properties,
        "assets": assets,
        "links": [],
    }


def _footprint(series: Series, day: Day, window: Window) -> list[list[float]]:
    a, ends = window.affine, ((0, 0), (0, window.rows), (window.cols, window.rows), (window.cols, 0))
    corners = [(a.a * c + a.b * r + a.c, a.d * c + a.e * r + a.f) for c, r in ends]
    frame = Polygon([series.place.from_grid(*c) for c in corners])
    if day.footprint_cut is not None:
        angle, reach = day.footprint_cut
        along, across = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
        far = 1e4
        half = Polygon(
            [
                along * reach + across * far,
                along * reach - across * far,
                along * (reach - far) - across * far,
                along * (reach - far) + across * far,
            ]
        )
        cut = frame.intersection(half)
        frame = frame if cut.is_empty else cut
    return lonlat_ring(series.place, np.array(frame.exterior.coords)[:-1])


def _catalogue(items: list[dict], name: str, out: Path, style: dict) -> None:
    version = "1.1.0" if style["v11"] else "1.0.0"
    if style["item_collection"]:
        for item in items:
            for asset in item["assets"].values():
                asset["href"] = f"./{item['id']}/" + asset["href"].removeprefix("./")
        body = {"type": "FeatureCollection", "features": items}
    else:
        links = [{"rel": "root", "href": "./catalog.json", "type": "application/json"}]
        links += [{"rel": "item", "href": f"./{i['id']}/{i['id']}.json", "type": "application/geo+json"} for i in items]
        body = {
            "type": "Catalog",
            "stac_version": version,
            "id": name,
            "title": "SIMULATED",
            "description": SAYS,
            "links": links,
        }
    (out / "catalog.json").write_text(json.dumps(body, indent=1))
