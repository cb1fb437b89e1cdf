"""Real catalogues and real files, where the shared data are at hand."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from shapely import box

from rail_watch import imagery
from rail_watch.aoi import Site
from rail_watch.errors import BadCatalogue
from rail_watch.grid import transformer
from rail_watch.imagery import Quality, Scene, SceneRef
from rail_watch.imagery.stac_item import Place, scene_ref

Radiometry = dict[str, tuple[float, float, float | None]]


def items_in(path: Path) -> list[dict[str, Any]]:
    document = json.loads(path.read_text())
    whole: list[dict[str, Any]] = document if isinstance(document, list) else document.get("features") or [document]
    return whole


def refs(path: Path, **where: str) -> list[SceneRef]:
    chosen = [one for one in items_in(path) if all(one.get(key) == value for key, value in where.items())]
    return [scene_ref(one, Place(path.parent, path.parent), collection={}) for one in chosen]


def radiometry(ref: SceneRef) -> Radiometry:
    return {band.name: (band.scale, band.offset, band.nodata) for one in ref.assets for band in one.bands}


def same(names: str, *values: float | None) -> Radiometry:
    return {name: (values[0], values[1], values[2]) for name in names.split()}  # type: ignore[misc]


VISIBLE = "blue green red nir"
LANDSAT = "coastal blue green red nir08 swir16 swir22"
EARTH_SEARCH = "earthsearch_v1_search_page1.json"
CASES: list[tuple[str, dict[str, str], Radiometry, str | None, str]] = [
    ("cdse_stac110_S2C_N0511_item.json", {}, same(VISIBLE, 0.0001, -0.1, 0), "scl", "item"),
    (
        "earthsearch_v1_search_page1.json",
        {"collection": "sentinel-2-c1-l2a"},
        same(VISIBLE, 0.0001, -0.1, 0),
        "scl",
        "item",
    ),
    (
        "earthsearch_v1_search_page1.json",
        {"collection": "sentinel-2-l2a"},
        same(VISIBLE, 0.0001, 0, 0),
        "scl",
        "already-applied",
    ),
    (
        "earthsearch_v1_search_page1.json",
        {"collection": "sentinel-2-l1c"},
        same(VISIBLE, 0.0001, -0.1, 0),
        None,
        "item",
    ),
    ("planetary_computer_s2_search_33items.json", {}, same(VISIBLE, 0.0001, 0, 0), "scl", "baseline"),
    ("pc_S2B_2019_item.json", {}, same(VISIBLE, 0.0001, 0, 0), "scl", "baseline"),
    ("pc_s2_4items_2024_N0510.json", {}, same(VISIBLE, 0.0001, -0.1, 0), "scl", "baseline"),
    ("earthsearch_v0_site2_timeseries_35MNM.geojson", {}, same(VISIBLE, 0.0001, 0, 0), "scl", "baseline"),
    ("earthsearch_v0_S2A_item.json", {}, same(VISIBLE, 0.0001, 0, 0), "scl", "baseline"),
    (
        "planetary_computer_landsat_search_first12.json",
        {},
        same(LANDSAT, 0.0000275, -0.2, 0),
        "qa-pixel",
        "product",
    ),
    (
        "usgs_LC08_item.json",
        {},
        same(LANDSAT, 0.0000275, -0.2, 0),
        "qa-pixel",
        "product",
    ),
    (
        "usgs_LE07_slcoff_item.json",
        {},
        same("blue green red nir08 swir16 swir22", 0.0000275, -0.2, 0),
        "qa-pixel",
        "product",
    ),
    ("pc_naip_items.json", {}, same(VISIBLE, 1, 0, None), None, "file"),
    ("pc_planet_nicfi_items.json", {}, same(VISIBLE, 1, 0, None), None, "item"),
    ("pc_s1rtc_4items_2024.json", {}, same("vv vh", 1, 0, -32768), None, "file"),
]


@pytest.mark.parametrize(
    ("name", "where", "expected", "mask", "rule"), CASES, ids=[f"{c[0]}-{c[1] or ''}" for c in CASES]
)
def test_real_items_give_bands_with_the_right_scale(
    shared_data: Path, name: str, where: dict[str, str], expected: Radiometry, mask: str | None, rule: str
) -> None:
    scenes = refs(shared_data / "stac_real" / name, **where)
    assert scenes
    for ref in scenes:
        found = radiometry(ref)
        assert {key: found[key] for key in expected if key in found} == {
            k: v for k, v in expected.items() if k in found
        }
        assert set(expected) >= set(found), "no band of a coarser grid, no layer that is not imagery"
        assert {band.rule for one in ref.assets for band in one.bands} == {rule}
        assert len(found) >= min(len(expected), 2) or name.startswith("pc_s1rtc")
        assert [one.quality for one in ref.assets if one.quality] == ([mask] if mask else [])
        assert ref.footprint is not None and ref.when.tzinfo is UTC


def test_a_real_view_and_sun_are_read(shared_data: Path) -> None:
    (ref,) = refs(shared_data / "stac_real" / "cdse_stac110_S2C_N0511_item.json")
    assert (ref.platform, ref.constellation, ref.gsd_m) == ("sentinel-2c", "sentinel-2", 10)
    assert ref.sun_elevation_deg == pytest.approx(44.217, abs=1e-3)
    assert ref.off_nadir_deg == 3.04, "from the angle at the ground, 3.38"
    older = refs(shared_data / "stac_real" / "pc_S2B_2019_item.json")[0]
    assert older.sun_elevation_deg == pytest.approx(52.087, abs=1e-3) and older.off_nadir_deg is None
    newest = refs(shared_data / "stac_real" / EARTH_SEARCH, collection="sentinel-2-c1-l2a")[0]
    assert newest.off_nadir_deg == 6.83


def test_an_order_of_another_service_is_refused_in_words(shared_data: Path) -> None:
    for name in ("planet_data_api_PSScene_item.json", "planet_data_api_skysat_search.json"):
        path = shared_data / "stac_real" / name
        with pytest.raises(BadCatalogue, match=r"not a STAC item|not usable|no `datetime`"):
            scene_ref(items_in(path)[0], Place(path.parent, path.parent), collection={})


def site_at(crs: str, left: float, bottom: float, right: float, top: float) -> Site:
    lon, lat = transformer(crs, "EPSG:4326").transform([left, right, right, left], [bottom, bottom, top, top])
    return Site("place", "Place", box(min(lon), min(lat), max(lon), max(lat)))


def test_a_rapideye_picture_with_alpha_is_read(shared_data: Path) -> None:
    path = shared_data / "planet_samples" / "1056417_2017-03-08_RE3_3A_Visual_clip.tif"
    site = site_at("EPSG:32610", 558000, 4175200, 559000, 4176000)
    (ref,) = imagery.find(site, (None, None), source=path).scenes
    assert ref.platform == "RapidEye" and ref.when.date() == datetime(2017, 3, 8, tzinfo=UTC).date()
    scene = imagery.read(ref, site)
    assert isinstance(scene, Scene) and scene.bands == ("red", "green", "blue")
    assert np.isfinite(scene.pixels[:, scene.quality == Quality.CLEAR]).all()
    assert scene.grid.metres_per_pixel() == pytest.approx(5, rel=1e-3)


def test_files_of_many_sensors_in_a_crs_without_a_code(shared_data: Path) -> None:
    folder = shared_data / "multisensor_za"
    crs = "+proj=tmerc +lat_0=0 +lon_0=25 +k=1 +x_0=0 +y_0=0 +ellps=WGS84 +units=m"
    site = site_at(crs, -57000, -3729000, -56000, -3728000)
    result = imagery.find(site, (None, None), source=folder)
    scenes = {ref.id: ref for ref in result.scenes}
    sentinel, landsat = scenes["sentinel2_b432_byte"], scenes["landsat8_byte"]
    assert sentinel.platform == "Sentinel-2A" and landsat.platform == "LANDSAT_8"
    assert landsat.when == datetime(2015, 9, 23, 8, 10, 29, 365694, tzinfo=UTC)
    for ref, bands, gsd in (
        (sentinel, ("red", "green", "blue"), 10),
        (landsat, ("coastal", "blue", "green", "red", "nir08", "swir16", "swir22"), 30),
    ):
        scene = imagery.read(ref, site)
        assert isinstance(scene, Scene) and scene.bands == bands
        assert math.isclose(scene.grid.metres_per_pixel(), gsd, rel_tol=1e-3)
        assert (scene.quality == Quality.CLEAR).mean() > 0.95
    assert all("no acquisition time" in fault or "unknown kind" in fault for fault in result.faults)


def test_every_real_file_of_items_is_in_the_table(shared_data: Path) -> None:
    others = {"planet_data_api_PSScene_item.json", "planet_data_api_skysat_search.json"}
    others.add("pc_sentinel-2-l2a.collection.json")
    present = {path.name for path in (shared_data / "stac_real").glob("*json")}
    assert present == {case[0] for case in CASES} | others


def test_a_real_landsat_scene_with_its_older_quality_band(shared_data: Path) -> None:
    folder = shared_data / "landsat8_cloudy_bqa"
    names = {"l8_B2.tif": "blue", "l8_B3.tif": "green", "l8_B4.tif": "red", "l8_B5.tif": "nir08"}
    assets: dict[str, Any] = {
        name[3:5]: {"href": name, "type": "image/tiff", "eo:bands": [{"common_name": band}]}
        for name, band in names.items()
    }
    assets["BQA"] = {"href": "l8_BQA.tif", "type": "image/tiff"}
    properties = {"datetime": "2014-01-01T16:00:00Z", "platform": "landsat-8", "gsd": 30}
    whole = {"type": "Feature", "id": "l8", "properties": properties, "assets": assets}
    ref = scene_ref(whole, Place(folder, folder), collection={})
    assert [one.quality for one in ref.assets] == [None] * 4 + ["bqa"]
    scene = imagery.read(ref, site_at("EPSG:32616", 453000, 3391000, 471000, 3408000), margin_m=0)
    assert isinstance(scene, Scene) and scene.bands == ("blue", "green", "red", "nir08")
    blue, cloudy, clear = scene.pixels[0], scene.quality == Quality.CLOUD, scene.quality == Quality.CLEAR
    assert 0.2 < cloudy.mean() < 0.8 and clear.mean() > 0.2
    assert np.median(blue[cloudy]) > np.median(blue[clear])


def test_a_real_planetscope_cube_has_two_times_and_no_scale(shared_data: Path) -> None:
    xarray = pytest.importorskip("xarray")
    with xarray.open_dataset(shared_data / "planet_samples" / "PLANET_SCOPE_3D.nc") as cube:
        assert dict(cube.sizes) == {"time": 2, "x": 10, "y": 10} and {"blue", "green"} <= set(cube.data_vars)
