"""Bundles as vendors deliver them: what stands beside the image is believed, and hostile files cost nothing more.

The images are made; the files beside them are written after the vendors' published formats.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from imagery_material import painted, save, small_site, write_tif

from rail_watch import imagery
from rail_watch.imagery import Scene, SceneRef
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
