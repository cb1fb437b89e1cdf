"""Bundles as vendors deliver them: what stands beside the image is believed, and hostile files cost nothing more.

The images are made; the files beside them are written after the vendors' published formats.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from imagery_material import LEFT, TOP, north_up, painted, save, small_site, write_tif

from rail_watch import imagery
from rail_watch.imagery import Quality, Scene, SceneRef
from rail_watch.imagery.catalogue import Found

IMD = """version = "AA";
BEGIN_GROUP = BAND_B
\tULLon = 130.1;
END_GROUP = BAND_B
BEGIN_GROUP = BAND_G
END_GROUP = BAND_G
BEGIN_GROUP = BAND_R
END_GROUP = BAND_R
BEGIN_GROUP = BAND_N
END_GROUP = BAND_N
BEGIN_GROUP = IMAGE_1
\tsatId = "WV02";
\tfirstLineTime = 2022-11-04T02:11:05.123456Z;
\tmeanSunAz = 168.4;
\tmeanSunEl = 30.9;
\tmeanSatAz = 210.0;
\tmeanOffNadirViewAngle = 18.2;
\tmeanProductGSD = 1.8;
END_GROUP = IMAGE_1
END;
"""
MAXAR = """<isd><IMD><BAND_R/><BAND_G/><BAND_B/><IMAGE><SATID>GE01</SATID>
<FIRSTLINETIME>2022-11-04T02:11:05Z</FIRSTLINETIME><MEANSUNAZ>168</MEANSUNAZ><MEANSUNEL>31</MEANSUNEL>
<MEANOFFNADIRVIEWANGLE>18</MEANOFFNADIRVIEWANGLE></IMAGE></IMD></isd>"""
DIMAP = """<Dimap_Document><Raster_Data><Raster_Display><Raster_Index_List>
<Raster_Index><BAND_ID>B2</BAND_ID><BAND_INDEX>1</BAND_INDEX></Raster_Index>
<Raster_Index><BAND_ID>B1</BAND_ID><BAND_INDEX>2</BAND_INDEX></Raster_Index>
<Raster_Index><BAND_ID>B0</BAND_ID><BAND_INDEX>3</BAND_INDEX></Raster_Index>
<Raster_Index><BAND_ID>B3</BAND_ID><BAND_INDEX>4</BAND_INDEX></Raster_Index>
</Raster_Index_List></Raster_Display></Raster_Data>
<Dataset_Sources><Source_Identification><Strip_Source><MISSION>PHR</MISSION><MISSION_INDEX>1A</MISSION_INDEX>
<IMAGING_DATE>2022-11-04</IMAGING_DATE><IMAGING_TIME>02:13:00.5Z</IMAGING_TIME></Strip_Source></Source_Identification>
</Dataset_Sources><Geometric_Data><SUN_AZIMUTH>169</SUN_AZIMUTH><SUN_ELEVATION>30</SUN_ELEVATION>
<INCIDENCE_ANGLE>12</INCIDENCE_ANGLE></Geometric_Data></Dimap_Document>"""


SKYSAT = {"gsd": 0.72, "sun_azimuth": 170}


def found(folder: Path) -> Found:
    return imagery.find(small_site(), (None, None), source=folder)


def one(folder: Path) -> SceneRef:
    result = found(folder)
    assert result.faults == ()
    (ref,) = result.scenes
    return ref


def test_maxar_s_imd(tmp_path: Path) -> None:
    write_tif(tmp_path / "22NOV04021105-M2AS-1.tif", painted(4))
    save(tmp_path / "22NOV04021105-M2AS-1.IMD", IMD)
    ref = one(tmp_path)
    assert (ref.platform, ref.gsd_m, ref.off_nadir_deg, ref.view_azimuth_deg) == ("WorldView-2", 1.8, 18.2, 210)
    assert (ref.sun_azimuth_deg, ref.sun_elevation_deg) == (168.4, 30.9)
    assert ref.when == datetime(2022, 11, 4, 2, 11, 5, 123456, tzinfo=UTC)
    assert [band.name for band in ref.assets[0].bands] == ["blue", "green", "red", "nir"]


def test_maxar_s_xml_of_a_tile(tmp_path: Path) -> None:
    write_tif(tmp_path / "order_P001_R1C1.tif", painted(3, dtype="uint8", top=255))
    save(tmp_path / "order_P001.XML", MAXAR)
    ref = one(tmp_path)
    assert ref.platform == "GeoEye-1" and [band.name for band in ref.assets[0].bands] == ["red", "green", "blue"]
    assert isinstance(imagery.read(ref, small_site()), Scene)


def test_airbus_s_dimap(tmp_path: Path) -> None:
    write_tif(tmp_path / "IMG_PHR1A_MS_202211040213005_ORT_R1C1.TIF", painted(4))
    save(tmp_path / "DIM_PHR1A_MS_202211040213005_ORT.XML", DIMAP)
    ref = one(tmp_path)
    assert ref.platform == "Pleiades 1A" and ref.when == datetime(2022, 11, 4, 2, 13, 0, 500000, tzinfo=UTC)
    assert [band.name for band in ref.assets[0].bands] == ["red", "green", "blue", "nir"]
    assert (ref.sun_elevation_deg, ref.off_nadir_deg) == (30, 12) and ref.credit == "Imagery: Airbus"


def test_skysat_s_json(tmp_path: Path) -> None:
    write_tif(tmp_path / "20221104_021105_ssc6_u0001_analytic.tif", painted(4))
    save(
        tmp_path / "20221104_021105_ssc6_u0001_metadata.json",
        {
            "type": "Feature",
            "id": "x",
            "properties": {"acquired": "2022-11-04T02:11:05Z", "gsd": 0.72, "sun_azimuth": 170},
        },
    )
    ref = one(tmp_path)
    assert (ref.gsd_m, ref.sun_azimuth_deg, ref.platform) == (0.72, 170, "SkySat")


@pytest.mark.parametrize("text", ["<a>", '<!DOCTYPE a [<!ENTITY b "c">]><a/>', "<other/>"])
def test_what_stands_beside_an_image_and_is_not_usable_costs_a_note(tmp_path: Path, text: str) -> None:
    write_tif(tmp_path / "20221104_021105_x.tif", painted(4))
    save(tmp_path / "20221104_021105_x.xml", text)
    result = found(tmp_path)
    assert len(result.scenes) == 1 and result.faults == () and len(result.notes) == (0 if "other" in text else 1)


@pytest.mark.parametrize(
    ("names", "sidecar"),
    [
        (("order_P001_R1C1.tif", "order_P001_R1C2.tif"), "order_P001.XML"),
        (
            ("22NOV04021105-M2AS_R1C1-01_P001.TIF", "22NOV04021105-M2AS_R1C2-01_P001.TIF"),
            "22NOV04021105-M2AS-01_P001.XML",
        ),
    ],
)
def test_the_tiles_of_one_image_are_one_look(tmp_path: Path, names: tuple[str, str], sidecar: str) -> None:
    whole = painted(3, dtype="uint8", top=255)
    save(tmp_path / sidecar, MAXAR)
    write_tif(tmp_path / names[0], whole[:, :, :80])
    write_tif(tmp_path / names[1], whole[:, :, 80:], north_up(left=LEFT + 800, top=TOP))
    ref = one(tmp_path)
    assert ref.platform == "GeoEye-1" and len(ref.tiles) == 1
    got = imagery.read(ref, small_site())
    assert isinstance(got, Scene) and bool((got.quality == Quality.CLEAR).all())
    alone = write_tif(tmp_path / "alone" / "order_P001.tif", whole)
    save(alone.with_suffix(".XML"), MAXAR)
    expected = imagery.read(one(alone.parent), small_site())
    assert isinstance(expected, Scene) and np.array_equal(got.pixels, expected.pixels)


def test_tiles_of_two_images_stay_apart(tmp_path: Path) -> None:
    for image, second in (("a_P001", 5), ("b_P002", 45)):
        save(tmp_path / f"{image}.XML", MAXAR.replace("02:11:05", f"02:11:{second:02d}"))
        write_tif(tmp_path / f"{image}_R1C1.tif", painted(3, dtype="uint8", top=255))
    assert len(found(tmp_path).scenes) == 2
