"""Folders of GeoTIFFs: time, satellite, bands and parts from sidecars, tags and names."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from imagery_material import asset, item, north_up, painted, save, small_site, write_tif
from rasterio.enums import ColorInterp

from rail_watch import imagery
from rail_watch.errors import BadCatalogue
from rail_watch.imagery import Found, Quality, Scene, SceneRef
from rail_watch.imagery.file_names import part_of, platform_in, time_in


def found(source: Path, **options: Any) -> Found:
    return imagery.find(small_site(), (None, None), source=source, **options)


def only(source: Path, **options: Any) -> SceneRef:
    result = found(source, **options)
    assert result.faults == ()
    (ref,) = result.scenes
    return ref


def names(ref: SceneRef) -> list[str]:
    return [band.name for one in ref.assets for band in one.bands]


@pytest.mark.parametrize("count", [1, 3, 4, 8])
def test_bands_by_count(tmp_path: Path, count: int) -> None:
    write_tif(tmp_path / "20221104_012409.tif", painted(count), photometric="MINISBLACK")
    expected = {
        1: ["pan"],
        3: ["red", "green", "blue"],
        4: ["blue", "green", "red", "nir"],
        8: ["coastal", "blue", "green05", "green", "yellow", "red", "rededge", "nir"],
    }
    ref = only(tmp_path)
    assert names(ref) == expected[count]
    assert ref.when == datetime(2022, 11, 4, 1, 24, 9, tzinfo=UTC) and ref.gsd_m == pytest.approx(10, rel=1e-2)
    scene = imagery.read(ref, small_site())
    assert isinstance(scene, Scene) and len(scene.bands) == count


def test_bands_by_description_and_by_colour(tmp_path: Path) -> None:
    write_tif(tmp_path / "20221101.tif", painted(3), descriptions=("Near Infrared", "qa", "Red"))
    path = write_tif(tmp_path / "20221102.tif", painted(4, dtype="uint8", top=250))
    with rasterio.open(path, "r+") as dataset:
        dataset.colorinterp = [ColorInterp.blue, ColorInterp.green, ColorInterp.red, ColorInterp.alpha]
    one, two = found(tmp_path).scenes
    assert names(one) == ["nir", "red"] and [band.index for band in one.assets[0].bands] == [1, 3]
    assert names(two) == ["blue", "green", "red"]


@pytest.mark.parametrize(
    ("stem", "tags", "expected"),
    [
        ("a", {"TIFFTAG_DATETIME": "2022:11:04 01:24:09"}, (2022, 11, 4, 1, 24, 9)),
        ("a", {"ACQUISITION_DATETIME": "2022-11-04T10:24:00+09:00"}, (2022, 11, 4, 1, 24)),
        ("a", {"system-time_start": "1442995829365"}, (2015, 9, 23, 8, 10, 29, 365000)),
        (
            "a",
            {"DATE_ACQUIRED": "2015-09-23", "SCENE_CENTER_TIME": "08:10:29.3656940Z"},
            (2015, 9, 23, 8, 10, 29, 365694),
        ),
        ("20221104_012409_58_2461_3B_AnalyticMS", {}, (2022, 11, 4, 1, 24, 9)),
        ("S2A_MSIL2A_20221104T021909_N0400_R003_T52TEN_20221104T054321", {}, (2022, 11, 4, 2, 19, 9)),
        ("yard-2022-11-04T01-24Z", {}, (2022, 11, 4, 1, 24)),
    ],
)
def test_the_time_from_tags_or_name(tmp_path: Path, stem: str, tags: dict[str, str], expected: tuple[int, ...]) -> None:
    write_tif(tmp_path / f"{stem}.tif", painted(), tags=tags)
    assert only(tmp_path).when == datetime(*expected, tzinfo=UTC)  # type: ignore[arg-type,misc]


def test_a_date_alone_is_taken_at_the_usual_hour_and_said_so(tmp_path: Path) -> None:
    write_tif(tmp_path / "LC08_L2SP_115031_20221104_20221107_02_T1_pan.tif", painted(1))
    result = found(tmp_path)
    assert result.scenes[0].when == pytest.approx(datetime(2022, 11, 4, 1, 47, tzinfo=UTC), abs=timedelta(minutes=2))
    assert result.scenes[0].platform == "Landsat-8"
    assert "only the date is known" in result.notes[0]


def test_a_file_without_a_time_is_a_fault_that_says_the_mend(tmp_path: Path) -> None:
    write_tif(tmp_path / "yard.tif", painted())
    write_tif(tmp_path / "20221104_012409.tif", painted())
    result = found(tmp_path)
    assert len(result.scenes) == 1
    assert "yard.tif: no acquisition time" in result.faults[0] and "TIFFTAG_DATETIME" in result.faults[0]


def test_a_tag_that_contradicts_the_name_is_used_and_noted(tmp_path: Path) -> None:
    write_tif(tmp_path / "20221104_012409.tif", painted(), tags={"TIFFTAG_DATETIME": "2022:12:24 00:00:00"})
    result = found(tmp_path)
    assert result.scenes[0].when == datetime(2022, 12, 24, tzinfo=UTC) and "the tag is used" in result.notes[0]


def test_a_planet_delivery_of_image_mask_and_metadata(tmp_path: Path) -> None:
    stem = "20221104_012409_58_2461"
    write_tif(tmp_path / f"{stem}_3B_AnalyticMS_SR_8b_clip.tif", painted(8))
    udm2 = np.zeros((8, 200, 200), np.uint8)
    udm2[0] = 1
    udm2[0, :90], udm2[5, :90] = 0, 1
    write_tif(tmp_path / f"{stem}_3B_udm2_clip.tif", udm2)
    properties = {
        "acquired": "2022-11-04T01:24:09.585Z",
        "provider": "planetscope",
        "sun_azimuth": 161.5,
        "sun_elevation": 29.9,
        "gsd": 3.7,
    }
    save(tmp_path / f"{stem}_metadata.json", {"type": "Feature", "id": stem, "properties": properties})
    ref = only(tmp_path)
    assert ref.id == stem and ref.platform == "PlanetScope" and ref.gsd_m == 3.7
    assert ref.when.microsecond == 585000 and ref.sun_azimuth_deg == 161.5
    assert [one.quality for one in ref.assets] == [None, "udm2"]
    scene = imagery.read(ref, small_site())
    assert isinstance(scene, Scene)
    assert set(np.unique(scene.quality)) == {Quality.CLEAR, Quality.CLOUD}


def test_sentinel_2_files_of_one_band_each_make_one_scene(tmp_path: Path) -> None:
    for band in ("B02", "B03", "B04", "B08"):
        write_tif(tmp_path / f"T52TEN_20221104T021909_{band}_10m.tif", painted(1))
    write_tif(tmp_path / "T52TEN_20221104T021909_B11_20m.tif", painted(1, 100), north_up(20))
    write_tif(tmp_path / "T52TEN_20221104T021909_SCL_20m.tif", np.full((1, 100, 100), 4, np.uint8), north_up(20))
    write_tif(tmp_path / "T52TEN_20221104T021909_TCI_10m.tif", painted(3, dtype="uint8", top=250))
    ref = only(tmp_path)
    assert names(ref) == ["blue", "green", "red", "nir"] and ref.platform == "Sentinel-2"
    assert ref.assets[-1].quality == "scl" and ref.id == "T52TEN_20221104T021909"


def test_stac_items_beside_the_files_are_believed(tmp_path: Path) -> None:
    write_tif(tmp_path / "x" / "image.tif", painted(2))
    content = item("from-stac", assets={"d": asset("image.tif", "vv", "vh")}, datetime="2020-01-01T00:00:00Z")
    save(tmp_path / "x" / "item.json", content)
    ref = only(tmp_path)
    assert ref.id == "from-stac" and names(ref) == ["vv", "vh"]
    assert only(tmp_path / "x" / "image.tif").id == "from-stac"


def test_a_file_that_an_item_names_but_does_not_need_is_no_scene_of_its_own(tmp_path: Path) -> None:
    write_tif(tmp_path / "20221104_data.tif", painted(1))
    write_tif(tmp_path / "20221104_look.tif", painted(3, dtype="uint8", top=250))
    pictures = asset("20221104_look.tif", "red", "green", "blue", roles=["visual"])
    content = item("whole", assets={"d": asset("20221104_data.tif", "nir"), "visual": pictures})
    save(tmp_path / "items.json", {"type": "FeatureCollection", "features": [content, {"type": "Feature"}, None]})
    assert only(tmp_path).id == "whole"


def test_a_sidecar_without_assets_gives_its_properties(tmp_path: Path) -> None:
    write_tif(tmp_path / "yard.tif", painted())
    save(
        tmp_path / "yard.json", {"type": "Feature", "properties": {"datetime": "2022-11-04T02:00:00Z", "platform": "p"}}
    )
    ref = only(tmp_path)
    assert ref.when == datetime(2022, 11, 4, 2, tzinfo=UTC) and ref.platform == "p"


def test_the_sensor_option_names_what_the_files_do_not(tmp_path: Path) -> None:
    write_tif(tmp_path / "20221104.tif", painted(1))
    write_tif(tmp_path / "20221105.tif", painted(1), tags={"SATELLITE": "OtherSat"})
    assert [ref.platform for ref in found(tmp_path, sensor="aerial").scenes] == ["aerial"]
    assert [ref.platform for ref in found(tmp_path).scenes] == [None, "OtherSat"]


def test_subfolders_are_searched_and_equal_names_kept_apart(tmp_path: Path) -> None:
    for day in ("03", "04"):
        write_tif(tmp_path / day / "image.tif", painted(), tags={"TIFFTAG_DATETIME": f"2022:11:{day} 01:00:00"})
    assert [ref.id for ref in found(tmp_path).scenes] == ["image", "image_2"]


def test_an_empty_folder_is_refused_and_a_bad_file_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(BadCatalogue, match=r"no catalog\.json and no GeoTIFF"):
        found(tmp_path)
    (tmp_path / "20221104.tif").write_bytes(b"II*\x00 and nothing more")
    result = found(tmp_path)
    assert result.scenes == () and "20221104.tif" in result.faults[0]


def test_simulated_tags_are_seen_in_a_folder(tmp_path: Path) -> None:
    write_tif(tmp_path / "20221104.tif", painted(), tags={"RAIL_WATCH": "SIMULATED"})
    assert only(tmp_path).simulated


@pytest.mark.parametrize(
    ("stem", "scene", "kind", "band"),
    [
        ("20221104_041012_ssc4_u0001_analytic_SR_clip", "20221104_041012_ssc4_u0001", "imagery", None),
        ("20221104_041012_ssc4_u0001_udm2_clip", "20221104_041012_ssc4_u0001", "quality", None),
        ("LC08_L2SP_115031_20221104_20221107_02_T1_SR_B4", "LC08_L2SP_115031_20221104_20221107_02_T1", "band", "SR_B4"),
        (
            "LC08_L2SP_115031_20221104_20221107_02_T1_QA_PIXEL",
            "LC08_L2SP_115031_20221104_20221107_02_T1",
            "quality",
            None,
        ),
        (
            "LC08_L2SP_115031_20221104_20221107_02_T1_ST_B10",
            "LC08_L2SP_115031_20221104_20221107_02_T1",
            "ignored",
            None,
        ),
        ("khasan_2022-11-04_cloud", "khasan_2022-11-04", "quality", None),
        ("site_B4_2022-11-04", "site_B4_2022-11-04", "imagery", None),
    ],
)
def test_parts_by_name(stem: str, scene: str, kind: str, band: str | None) -> None:
    part = part_of(stem)
    assert (part.scene, part.kind, part.band) == (scene, kind, band)


@given(stem=st.text(max_size=60))
def test_no_name_breaks_the_reading_of_names(stem: str) -> None:
    part_of(stem)
    platform_in(stem)
    time_in(stem)


@given(moment=st.datetimes(datetime(1971, 1, 1), datetime(2099, 12, 31)))
def test_times_in_names_are_found(moment: datetime) -> None:
    whole = moment.replace(microsecond=0, tzinfo=UTC)
    for form in ("x_%Y%m%dT%H%M%S_y", "%Y%m%d_%H%M%S_44", "a-%Y-%m-%d-%H-%M-%S"):
        assert time_in(whole.strftime(form)) == (whole, True)
