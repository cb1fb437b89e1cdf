"""NITF files as a source: read as GDAL wrote them, and what could open more than a file of one image refused."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from cli_material import COLUMNS, LEFT, PIXEL, ROWS, TOP, UTM, write_aoi
from rasterio.shutil import copy

from rail_watch import aoi, imagery
from rail_watch.errors import BadRaster
from rail_watch.imagery import Scene
from rail_watch.imagery.safe_open import safe_open

RNG = np.random.default_rng(3)
DATA = RNG.integers(200, 4000, (4, ROWS, COLUMNS)).astype("uint16")


def write_nitf(path: Path, **more: object) -> Path:
    profile = {
        "driver": "NITF",
        "count": 4,
        "height": ROWS,
        "width": COLUMNS,
        "dtype": "uint16",
        "crs": UTM,
        "ICORDS": "N",
    }
    transform = Affine(PIXEL, 0, LEFT, 0, -PIXEL, TOP)
    with rasterio.open(path, "w", transform=transform, **{**profile, **more}) as dataset:
        dataset.write(DATA)
    return path


def test_a_nitf_file_is_a_scene(tmp_path: Path) -> None:
    write_nitf(tmp_path / "yard.ntf", IDATIM="20231005023000")
    site = aoi.read(str(write_aoi(tmp_path / "small.geojson")))
    found = imagery.find(site, (None, None), source=tmp_path)
    (ref,) = found.scenes
    assert ref.when == datetime(2023, 10, 5, 2, 30, tzinfo=UTC) and found.faults == ()
    scene = imagery.read(ref, site)
    assert isinstance(scene, Scene) and scene.bands == ("blue", "green", "red", "nir")
    with safe_open(tmp_path / "yard.ntf") as dataset:
        np.testing.assert_array_equal(dataset.read(), DATA)
        assert np.allclose(dataset.transform[:6], (PIXEL, 0, LEFT, 0, -PIXEL, TOP), atol=1.0)


def test_a_nitf_file_that_needs_a_second_decoder_or_choice_is_refused(tmp_path: Path) -> None:
    packed, several = tmp_path / "packed.ntf", write_nitf(tmp_path / "several.ntf", NUMI="2")
    copy(_one_band(tmp_path / "one.tif"), packed, driver="NITF", IC="C3", ICORDS="N")
    for path, says in ((packed, "compressed"), (several, "several images")):
        with pytest.raises(BadRaster, match=says), safe_open(path):
            pass


def _one_band(path: Path) -> Path:
    place = {"crs": UTM, "transform": Affine(PIXEL, 0, LEFT, 0, -PIXEL, TOP)}
    with rasterio.open(path, "w", driver="GTiff", count=1, height=ROWS, width=COLUMNS, dtype="uint8", **place) as one:
        one.write((DATA[:1] >> 4).astype("uint8"))
    return path


def test_a_cut_or_scrambled_nitf_file_is_one_line(tmp_path: Path) -> None:
    whole = write_nitf(tmp_path / "whole.ntf").read_bytes()
    (tmp_path / "whole.ntf").unlink()
    path = tmp_path / "broken.ntf"
    for number in range(60):
        data = bytearray(whole[: int(RNG.integers(10, len(whole)))] if number % 2 else whole)
        for place in RNG.integers(4, min(1200, len(data)), 6):
            data[place] = int(RNG.integers(0, 256))
        path.write_bytes(bytes(data))
        try:
            with safe_open(path) as dataset:
                dataset.read(1)
        except BadRaster as fault:
            assert "broken.ntf" in str(fault) and "\n" not in str(fault)
