"""Sentinel-2 product folders: what their XML says, and what hostile XML costs."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import rasterio
from imagery_material import LEFT, TOP, UTM, north_up, save, small_site, write_tif

from rail_watch import imagery
from rail_watch.errors import BadCatalogue
from rail_watch.imagery import Quality, Scene
from rail_watch.imagery.safe_product import calibrations
from rail_watch.imagery.xml_file import MAX_DEPTH, parse_xml, read_xml

NAME = "S2B_MSIL2A_20221104T021909_N0400_R003_T52TEN_20221104T054321"
GRANULE = "GRANULE/L2A_T52TEN_A000000_20221104T021909"
IMAGES = {band: f"{GRANULE}/IMG_DATA/R10m/T52TEN_20221104T021909_{band}_10m" for band in ("B02", "B03", "B04", "B08")}
SCL = f"{GRANULE}/IMG_DATA/R20m/T52TEN_20221104T021909_SCL_20m"


def document(*, offset: int | None = -1000, extra: str = "") -> str:
    images = "".join(f"<IMAGE_FILE>{path}</IMAGE_FILE>" for path in (*IMAGES.values(), SCL))
    numbers = {1: "B2", 2: "B3", 3: "B4", 7: "B8"}
    infos = "".join(f'<Spectral_Information bandId="{i}" physicalBand="{b}"/>' for i, b in numbers.items())
    offsets = "".join(f'<BOA_ADD_OFFSET band_id="{i}">{offset}</BOA_ADD_OFFSET>' for i in numbers)
    return f"""<?xml version="1.0" encoding="UTF-8"?>{extra}<n1:P xmlns:n1="urn:x"><A>
<PRODUCT_URI>{NAME}.SAFE</PRODUCT_URI><PROCESSING_BASELINE>04.00</PROCESSING_BASELINE>
<DATATAKE_SENSING_START>2022-11-04T02:19:09.024Z</DATATAKE_SENSING_START><SPACECRAFT_NAME>Sentinel-2B</SPACECRAFT_NAME>
<SENSING_ORBIT_NUMBER>3</SENSING_ORBIT_NUMBER>{images}
<BOA_QUANTIFICATION_VALUE>10000</BOA_QUANTIFICATION_VALUE>{infos}{"" if offset is None else offsets}</A></n1:P>"""


def product(folder: Path, text: str) -> Path:
    whole = folder / f"{NAME}.SAFE"
    for number, path in enumerate(IMAGES.values()):
        values = np.full((1, 200, 200), 1500 + number, dtype="uint16")
        target = whole / f"{path}.jp2"
        target.parent.mkdir(parents=True, exist_ok=True)
        profile = {"driver": "JP2OpenJPEG", "count": 1, "height": 200, "width": 200, "dtype": "uint16", "crs": UTM}
        with rasterio.open(target, "w", transform=north_up(), quality=100, reversible="YES", **profile) as dataset:
            dataset.write(values)
    classes = np.full((1, 100, 100), 5, dtype="uint8")
    classes[:, :40] = 9
    write_tif(whole / f"{SCL}.tif", classes, north_up(20.0, LEFT, TOP))
    save(whole / "MTD_MSIL2A.xml", text)
    save(whole / GRANULE / "MTD_TL.xml", "<a><Mean_Sun_Angle><ZENITH_ANGLE>60</ZENITH_ANGLE></Mean_Sun_Angle></a>")
    return whole


@pytest.mark.parametrize("inside", [True, False])
def test_a_product_is_read_through_its_xml(tmp_path: Path, inside: bool) -> None:
    whole = product(tmp_path, document())
    result = imagery.find(small_site(), (None, None), source=whole if inside else tmp_path)
    assert result.faults == ()
    (ref,) = result.scenes
    assert (ref.id, ref.platform, ref.sun_elevation_deg) == (NAME, "sentinel-2b", 30)
    assert ref.when == datetime(2022, 11, 4, 2, 19, 9, 24000, tzinfo=UTC)
    assert {band.rule for one in ref.assets for band in one.bands} == {"safe-xml"}
    scene = imagery.read(ref, small_site())
    assert isinstance(scene, Scene) and scene.bands == ("blue", "green", "red", "nir")
    np.testing.assert_allclose(scene.pixels[:, -1, -1], [0.05, 0.0501, 0.0502, 0.0503], atol=1e-6)
    assert (scene.quality[0] == Quality.CLOUD).all() and (scene.quality[-1] == Quality.CLEAR).all()


def test_a_product_before_the_offset_has_none(tmp_path: Path) -> None:
    (ref,) = imagery.find(small_site(), (None, None), source=product(tmp_path, document(offset=None))).scenes
    assert {(band.scale, band.offset) for one in ref.assets for band in one.bands} == {(1e-4, 0.0)}


BOMB = '<!DOCTYPE a [<!ENTITY b "bb">]>'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (document(extra=BOMB), "DOCTYPE or ENTITY is refused"),
        (document()[:400], "not XML"),
        ("<a>" * (MAX_DEPTH + 1), "nested too deeply"),
        ("", "not XML"),
        ("<a/>", "no time of sensing"),
        (document().replace("10000<", "0<"), "no quantification value"),
        (document().replace(">-1000<", ">-99999<"), "an offset of no known band"),
        (document().replace("GRANULE/", "../../GRANULE/"), "none of the 10 m images"),
        (document().replace('"UTF-8"', '"klingon"'), "encoding"),
    ],
)
def test_a_bad_xml_is_one_line(tmp_path: Path, text: str, says: str) -> None:
    whole = product(tmp_path, text)
    result = imagery.find(small_site(), (None, None), source=whole)
    (fault,) = result.faults
    assert says in fault and "MTD_MSIL2A.xml" in fault and "\n" not in fault and result.scenes == ()


def test_entities_in_wide_letters_are_refused_too() -> None:
    with pytest.raises(BadCatalogue, match="refused"):
        parse_xml(f"<?xml version='1.0' encoding='utf-16'?>{BOMB}<a/>".encode("utf-16"), name="x.xml")


@pytest.mark.parametrize(
    ("product_name", "offset"),
    [
        ("S2A_MSIL1C_20210908T042701_N0301_R133_T46RER_20210908T070248.SAFE/MTD_MSIL1C.xml", 0.0),
        ("esa_S2B_MSIL2A_20210122T133229_N0214_R081_T22HBD_20210122T155500.SAFE/MTD_MSIL2A.xml", 0.0),
        ("S2B_MSIL2A_20220413T150759_N0400_R025_T33XWJ_20220414T082126.SAFE/MTD_MSIL2A.xml", -0.1),
    ],
)
def test_real_products_give_every_band_its_numbers(shared_data: Path, product_name: str, offset: float) -> None:
    path = shared_data / "s2_safe_metadata" / product_name
    found = calibrations(read_xml(path), name=str(path))
    assert set(found) == {f"B{n:02}" for n in range(1, 13)} | {"B8A"}
    assert all((one.scale, one.offset) == (1e-4, offset) for one in found.values())
