"""Hostile files, areas and catalogues: a named error or the right answer, no byte from outside, no address asked."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from aoi_material import SQUARE, document, feature, polygon
from aoi_material import save as save_aoi
from imagery_material import (
    LEFT,
    TOP,
    UTM,
    asset,
    catalog,
    collection_of_items,
    item,
    link,
    north_up,
    painted,
    save,
    site_of,
    small_site,
    write_tif,
)

from rail_watch import aoi, imagery
from rail_watch.errors import BadAoi, BadCatalogue, BadInput, BadRaster
from rail_watch.imagery import Asset, Band, Scene, SceneRef, Unread
from rail_watch.imagery.safe_open import safe_open

SECRET = 222
ALWAYS = (None, None)


def ref_to(path: Path | str, *names: str, **members: Any) -> SceneRef:
    bands = tuple(Band(name, index) for index, name in enumerate(names or ("pan",), 1))
    return SceneRef("s", datetime(2022, 11, 4, tzinfo=UTC), None, None, (Asset("a", str(path), bands, **members),))


def refused(path: Path | str, *names: str) -> str:
    """The reason why a file was not read; a refusal is a failure, one line, and names the file."""
    unread = imagery.read(ref_to(path, *names), small_site())
    assert isinstance(unread, Unread), "it was read"
    assert unread.failed and "\n" not in unread.reason
    assert Path(str(path)).name in unread.reason
    return unread.reason


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A private raster that nothing may show: all pixels are SECRET."""
    data = np.full((1, 200, 200), SECRET, dtype=np.uint8)
    return write_tif(tmp_path / "private" / "secret.tif", data, tiled=True, blockxsize=64, blockysize=64)


@pytest.fixture
def requests() -> Iterator[tuple[str, list[str]]]:
    """A loopback server's address, and the paths that were asked of it."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(404)
            self.end_headers()

        do_HEAD = do_GET

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()
    thread.join()


def vrt_on(target: str, *, relative: int = 0, extra: str = "") -> str:
    return f"""<VRTDataset rasterXSize="200" rasterYSize="200"><SRS>EPSG:32652</SRS>
<GeoTransform>{LEFT}, 10, 0, {TOP}, 0, -10</GeoTransform><VRTRasterBand dataType="Byte" band="1"{extra}>
<SimpleSource><SourceFilename relativeToVRT="{relative}">{target}</SourceFilename><SourceBand>1</SourceBand>
</SimpleSource></VRTRasterBand></VRTDataset>"""


RAW = f"""<VRTDataset rasterXSize="4" rasterYSize="4"><SRS>EPSG:32652</SRS>
<GeoTransform>{LEFT}, 500, 0, {TOP}, 0, -500</GeoTransform>
<VRTRasterBand dataType="Byte" band="1" subClass="VRTRawRasterBand">
<SourceFilename relativeToVRT="0">TARGET</SourceFilename>
<ImageOffset>0</ImageOffset><PixelOffset>1</PixelOffset><LineOffset>4</LineOffset></VRTRasterBand></VRTDataset>"""
PYTHON = ' subClass="VRTDerivedRasterBand"><PixelFunctionLanguage>Python</PixelFunctionLanguage'
WMS = "<GDAL_WMS><Service name='TMS'><ServerUrl>ADDRESS/${z}/${x}/${y}.png</ServerUrl></Service></GDAL_WMS>"


class TestFiles:
    """1 to 15 of the catalogue of bad files."""

    @pytest.mark.parametrize(
        "head", ["", " \n\t" * 50, "\ufeff", "\n<!-- II* -->"], ids=["plain", "padded", "BOM", "comment"]
    )
    def test_a_vrt_named_tif_shows_nothing_private(self, tmp_path: Path, secret: Path, head: str) -> None:
        path = tmp_path / "x.tif"
        path.write_text(head + vrt_on(str(secret)), encoding="utf-8")
        assert "not a TIFF" in refused(path)

    def test_a_raw_band_on_a_text_file(self, tmp_path: Path) -> None:
        (tmp_path / "passwords.txt").write_text("hunter2 hunter2 hunter2")
        path = save(tmp_path / "x.tif", RAW.replace("TARGET", str(tmp_path / "passwords.txt")))
        assert "not a TIFF" in refused(path)

    def test_python_in_a_vrt_never_runs(self, tmp_path: Path, secret: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("GDAL_VRT_ENABLE_PYTHON", "YES")
        path = save(tmp_path / "x.tif", vrt_on(str(secret), extra=PYTHON))
        assert "not a TIFF" in refused(path)

    def test_no_address_is_asked(self, tmp_path: Path, requests: tuple[str, list[str]]) -> None:
        address, asked = requests
        for content in (
            WMS.replace("ADDRESS", address),
            vrt_on(f"/vsicurl/{address}/a.tif"),
            vrt_on(f"{address}/a.tif"),
        ):
            refused(save(tmp_path / "x.tif", content))
        refused(f"/vsicurl/{address}/a.tif")
        assert asked == []

    @pytest.mark.parametrize("where", ["local", "address"])
    def test_an_overview_file_named_in_a_tag_is_refused(
        self, tmp_path: Path, secret: Path, requests: tuple[str, list[str]], where: str
    ) -> None:
        address, asked = requests
        path = write_tif(tmp_path / "x.tif", painted(1))
        with rasterio.open(path, "r+") as dataset:
            dataset.update_tags(
                ns="OVERVIEWS", OVERVIEW_FILE=str(secret) if where == "local" else f"/vsicurl/{address}/x"
            )
        assert "OVERVIEW_FILE" in refused(path)
        assert asked == []

    def test_sidecars_change_nothing(self, tmp_path: Path, secret: Path) -> None:
        data = painted(1, dtype="uint8", top=200)
        path = write_tif(tmp_path / "x.tif", data)
        before = imagery.read(ref_to(path), small_site())
        metadata = f"""<PAMDataset><SRS>EPSG:32601</SRS><GeoTransform>0, 1, 0, 0, 0, -1</GeoTransform>
<Metadata domain="OVERVIEWS"><MDI key="OVERVIEW_FILE">{secret}</MDI></Metadata>
<PAMRasterBand band="1"><NoDataValue>7</NoDataValue></PAMRasterBand></PAMDataset>"""
        save(tmp_path / "x.tif.aux.xml", metadata)
        for suffix in (".ovr", ".msk"):
            save(tmp_path / f"x.tif{suffix}", vrt_on(str(secret)))
        save(tmp_path / "x.tfw", "1\n0\n0\n-1\n0\n0\n")
        after = imagery.read(ref_to(path), small_site())
        assert isinstance(before, Scene) and isinstance(after, Scene)
        assert before.digests == after.digests and before.grid == after.grid
        np.testing.assert_array_equal(before.quality, after.quality)
        with safe_open(path) as dataset:
            assert dataset.overviews(1) == [] and dataset.files == [str(path)]
            small = dataset.read(1, out_shape=(20, 20))
        assert not (small == SECRET).any()

    def test_a_sparse_giant_is_refused_quickly(self, tmp_path: Path) -> None:
        path = tmp_path / "x.tif"
        with rasterio.open(
            path, "w", driver="GTiff", width=200_000, height=200_000, count=1, dtype="uint8", crs=UTM, sparse_ok=True,
            transform=north_up(), tiled=True, blockxsize=4096, blockysize=4096, compress="deflate", bigtiff="YES",
        ):  # fmt: skip
            pass
        begun = time.perf_counter()
        assert "cut it first" in refused(path)
        assert time.perf_counter() - begun < 1

    @pytest.mark.parametrize("codec", ["zstd", "deflate", "lzw"])
    def test_a_bomb_of_one_block_is_refused_before_it_goes_off(self, tmp_path: Path, codec: str) -> None:
        path = tmp_path / "x.tif"
        with rasterio.open(
            path, "w", driver="GTiff", width=32_768, height=32_768, count=1, dtype="uint8", crs=UTM, sparse_ok=True,
            transform=north_up(), tiled=True, blockxsize=32_768, blockysize=32_768, compress=codec,
        ):  # fmt: skip
            pass
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        assert "blocks decode to 1074 MB" in refused(path)
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000

    def test_a_bomb_in_a_mask_is_refused(self, tmp_path: Path) -> None:
        path = masked(tmp_path / "x.tif")
        raw = bytearray(path.read_bytes())
        for tag, value in ((322, 99_984), (323, 99_984)):
            set_in_mask(raw, tag, value)
        path.write_bytes(raw)
        assert "its mask decodes to over 64 MB" in refused(path)

    def test_directories_in_a_ring_end(self, tmp_path: Path) -> None:
        path = masked(tmp_path / "x.tif")
        raw = bytearray(path.read_bytes())
        first, second = directory_offsets(raw)
        count = int.from_bytes(raw[second : second + 2], "little")
        raw[second + 2 + 12 * count :][:4] = first.to_bytes(4, "little")
        raw[second + 2 + 12 * count : second + 6 + 12 * count] = first.to_bytes(4, "little")
        path.write_bytes(raw)
        assert "no end" in refused(path)

    def test_truncation_is_an_error_or_the_right_answer(self, tmp_path: Path) -> None:
        whole = write_tif(
            tmp_path / "whole.tif", painted(1), compress="deflate", tiled=True, blockxsize=64, blockysize=64
        )
        good = imagery.read(ref_to(whole), small_site())
        assert isinstance(good, Scene)
        size = whole.stat().st_size
        for length in (0, 1, 3, 4, 8, 100, size // 4, size // 2, size - 1000, size - 2, size - 1):
            path = tmp_path / f"cut{length}.tif"
            path.write_bytes(whole.read_bytes()[:length])
            answer = imagery.read(ref_to(path), small_site())
            if isinstance(answer, Scene):
                assert answer.digests == good.digests
            else:
                assert answer.failed and path.name in answer.reason

    def test_mutants_end_in_an_answer_or_a_named_error(self, tmp_path: Path) -> None:
        whole = write_tif(
            tmp_path / "whole.tif", painted(2), compress="deflate", tiled=True, blockxsize=64, blockysize=64
        )
        original = whole.read_bytes()
        rng = np.random.default_rng(7)
        path = tmp_path / "mutant.tif"
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for number in range(300):
            raw = bytearray(original)
            if number % 2:
                raw[int(rng.integers(0, 1500))] = int(rng.integers(0, 256))
            else:
                for _ in range(int(rng.choice([1, 4, 16]))):
                    raw[int(rng.integers(0, len(raw)))] ^= 1 << int(rng.integers(0, 8))
            path.write_bytes(raw)
            answer = imagery.read(ref_to(path, "red", "nir"), small_site())
            if isinstance(answer, Unread) and answer.failed:
                assert "mutant.tif" in answer.reason and "\n" not in answer.reason
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400_000

    def test_a_mutant_is_always_found_out_by_its_checksum(self, tmp_path: Path) -> None:
        import hashlib

        path = write_tif(tmp_path / "x.tif", painted(1))
        checksum = "1220" + hashlib.sha256(path.read_bytes()).hexdigest()
        raw = bytearray(path.read_bytes())
        raw[-10] ^= 1
        path.write_bytes(raw)
        answer = imagery.read(ref_to(path, checksum=checksum), small_site())
        assert isinstance(answer, Unread) and answer.failed and "sha256 differs" in answer.reason

    def test_no_crs_and_no_transform_are_refused(self, tmp_path: Path) -> None:
        with pytest.warns(rasterio.errors.NotGeoreferencedWarning):
            write_tif(tmp_path / "bare.tif", painted(1), Affine.identity(), crs=None)
        write_tif(tmp_path / "nocrs.tif", painted(1), crs=None)
        write_tif(tmp_path / "flat.tif", painted(1), Affine(0.0, 0, LEFT, 0, 0.0, TOP))
        for name in ("bare", "nocrs", "flat"):
            reason = refused(tmp_path / f"{name}.tif")
            assert "not georeferenced" in reason or "degenerate" in reason

    def test_a_crs_of_no_place_on_earth_is_refused(self, tmp_path: Path) -> None:
        local = 'LOCAL_CS["workshop",UNIT["metre",1],AXIS["x",EAST],AXIS["y",NORTH]]'
        refused(write_tif(tmp_path / "x.tif", painted(1), crs=local))

    @pytest.mark.parametrize("dtype", ["complex64", "complex128"])
    def test_complex_numbers_are_refused(self, tmp_path: Path, dtype: str) -> None:
        assert "complex" in refused(write_tif(tmp_path / "x.tif", painted(1).astype(dtype)))

    def test_more_bands_in_the_catalogue_than_in_the_file(self, tmp_path: Path) -> None:
        path = write_tif(tmp_path / "x.tif", painted(1))
        assert "the catalogue speaks of band 4" in refused(path, "blue", "green", "red", "nir")

    @pytest.mark.parametrize("count", [2, 3, 7])
    def test_a_udm2_of_another_shape_is_refused(self, tmp_path: Path, count: int) -> None:
        image = Asset("a", str(write_tif(tmp_path / "a.tif", painted(1))), (Band("pan", 1),))
        mask = Asset("m", str(write_tif(tmp_path / "udm2.tif", painted(count, dtype="uint8", top=2))), quality="udm2")
        ref = SceneRef("s", datetime(2022, 11, 4, tzinfo=UTC), None, None, (image, mask))
        answer = imagery.read(ref, small_site())
        assert isinstance(answer, Unread) and answer.failed and "udm2.tif" in answer.reason

    @pytest.mark.parametrize("name", ["folder", "fifo", "device", "nul", "missing", "empty"])
    def test_what_is_no_regular_file_is_refused(self, tmp_path: Path, name: str) -> None:
        path = tmp_path / f"{name}.tif"
        if name == "folder":
            path.mkdir()
        elif name == "fifo":
            os.mkfifo(path)
        elif name == "empty":
            path.touch()
        elif name == "device":
            path = Path("/dev/zero")
        elif name == "nul":
            path = Path(f"{write_tif(path, painted(1))}\0.png")
        with pytest.raises(BadRaster), safe_open(path):
            pass
        answer = imagery.read(ref_to(path), small_site())
        assert isinstance(answer, Unread) and answer.failed


def masked(path: Path) -> Path:
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        write_tif(
            path, painted(1, dtype="uint8", top=250), tiled=True, blockxsize=64, blockysize=64, compress="deflate"
        )
        with rasterio.open(path, "r+") as dataset:
            dataset.write_mask(np.ones((200, 200), dtype=bool))
    return path


def directory_offsets(raw: bytearray) -> list[int]:
    """The places of the directories of a little-endian classic TIFF."""
    offsets, at = [], int.from_bytes(raw[4:8], "little")
    while at:
        offsets.append(at)
        count = int.from_bytes(raw[at : at + 2], "little")
        at = int.from_bytes(raw[at + 2 + 12 * count : at + 6 + 12 * count], "little")
    return offsets


def set_in_mask(raw: bytearray, tag: int, value: int) -> None:
    """Overwrite a tag's value in the second directory."""
    at = directory_offsets(raw)[1]
    for index in range(int.from_bytes(raw[at : at + 2], "little")):
        entry = at + 2 + 12 * index
        if int.from_bytes(raw[entry : entry + 2], "little") == tag:
            raw[entry + 2 : entry + 12] = (
                (4).to_bytes(2, "little") + (1).to_bytes(4, "little") + value.to_bytes(4, "little")
            )


class TestAreas:
    """16 to 20: areas of interest (one line for each fault is in test_aoi)."""

    def test_a_site_past_the_antimeridian_finds_scenes_of_either_spelling(self, tmp_path: Path) -> None:
        ring = [[179.99, 10], [-179.99, 10], [-179.99, 10.01], [179.99, 10.01], [179.99, 10]]
        site = aoi.read(save_aoi(tmp_path, document(feature("site", polygon(ring)))))
        west = [[-180.02, 9.9], [-179.9, 9.9], [-179.9, 10.1], [-180.02, 10.1], [-180.02, 9.9]]
        east = [[179.9, 9.9], [180.02, 9.9], [180.02, 10.1], [179.9, 10.1], [179.9, 9.9]]
        far = [[0, 9.9], [1, 9.9], [1, 10.1], [0, 10.1], [0, 9.9]]
        items = [{**item(name), "geometry": polygon(ring)} for name, ring in (("w", west), ("e", east), ("f", far))]
        items.append({**item("box"), "bbox": [179.9, 9.9, -179.9, 10.1]})
        source = save(tmp_path / "items.json", collection_of_items(*items))
        assert {ref.id for ref in imagery.find(site, ALWAYS, source=source).scenes} == {"w", "e", "box"}

    def test_a_site_near_the_pole_is_read_in_polar_coordinates(self, tmp_path: Path) -> None:
        x, y = 100_000.0, -150_000.0
        site = site_of(x, y, x + 800, y + 800, crs="EPSG:3413")
        data = painted(1)
        path = write_tif(tmp_path / "x.tif", data, north_up(10, x - 500, y + 1400), crs="EPSG:3413")
        scene = imagery.read(ref_to(path), site)
        assert isinstance(scene, Scene) and np.isfinite(scene.pixels).all()
        assert scene.grid.shape == pytest.approx((86, 86), abs=3)

    def test_swapped_axes_in_a_site_are_explained(self, tmp_path: Path) -> None:
        with pytest.raises(BadAoi, match="axes look swapped"):
            aoi.read(save_aoi(tmp_path, document(feature("site", polygon([[lat, lon] for lon, lat in SQUARE])))))


class TestCatalogues:
    """21 to 25: catalogues."""

    @pytest.mark.parametrize(
        "bad",
        ["../../x", "/etc/x", "a/../../b", "", ".", "..", "a\\b", "%2e%2e", "a:b"]
        + ["\u202egpj", "x" * 300, "a\0b", "a\nb", 7, None, ["a"]],
    )
    def test_a_hostile_id_is_a_fault(self, tmp_path: Path, bad: Any) -> None:
        result = imagery.find(small_site(), ALWAYS, source=save(tmp_path / "i.json", {**item(), "id": bad}))
        assert result.scenes == () and "not usable" in result.faults[0] and "\n" not in result.faults[0]

    @pytest.mark.parametrize(
        "href",
        [
            "file:///etc/passwd", "/etc/passwd", "../outside.tif", "a/../../outside.tif", "%2e%2e/outside.tif",
            "/vsicurl/http://127.0.0.1/a.tif", "/vsizip/a.zip/b.tif", "//127.0.0.1/share/a.tif", "vrt://secret.tif",
            "GTIFF_DIR:1:secret.tif", "<VRTDataset></VRTDataset>", "a.tif\0.png", "a\nb.tif", "C:\\a.tif", "", 7, None,
            "ftp://127.0.0.1/a.tif", "https://exa mple.com/<a>.tif", "link.tif",
        ],
    )  # fmt: skip
    def test_a_hostile_href_is_a_fault(self, tmp_path: Path, secret: Path, href: Any) -> None:
        root = tmp_path / "catalogue"
        root.mkdir()
        write_tif(tmp_path / "outside.tif", painted(1))
        (root / "link.tif").symlink_to(secret)
        result = imagery.find(
            small_site(), ALWAYS, source=save(root / "i.json", item(assets={"d": asset(href, "pan")}))
        )
        assert result.scenes == ()
        assert "\n" not in result.faults[0] and len(result.faults[0]) < 400

    def test_links_that_lead_out_are_not_followed(self, tmp_path: Path) -> None:
        save(tmp_path / "outside.json", item())
        root = tmp_path / "catalogue"
        save(
            root / "catalog.json",
            catalog(*[link("item", href) for href in ("../outside.json", "/etc/passwd", "file:///x")]),
        )
        result = imagery.find(small_site(), ALWAYS, source=root)
        assert result.scenes == () and len(result.faults) == 3

    def test_a_link_out_of_a_folder_of_images_is_not_followed(self, tmp_path: Path, secret: Path) -> None:
        root = tmp_path / "images"
        write_tif(root / "20221104.tif", painted(1))
        (root / "20221105.tif").symlink_to(secret)
        result = imagery.find(small_site(), ALWAYS, source=root)
        assert [ref.id for ref in result.scenes] == ["20221104"] and "not followed" in result.faults[0]

    def test_addresses_in_a_catalogue_are_not_asked(self, tmp_path: Path, requests: tuple[str, list[str]]) -> None:
        address, asked = requests
        save(tmp_path / "catalog.json", catalog(link("child", f"{address}/c.json"), link("item", "i.json")))
        save(tmp_path / "i.json", item(assets={"d": asset(f"{address}/a.tif", "pan")}))
        result = imagery.find(small_site(), ALWAYS, source=tmp_path)
        answer = imagery.read(result.scenes[0], small_site())
        assert isinstance(answer, Unread) and answer.failed and asked == []

    def test_a_deep_or_endless_document_is_one_line(self, tmp_path: Path) -> None:
        deep = save(tmp_path / "deep.json", '{"type": "Feature", "a": ' + "[" * 500_000 + "]" * 500_000 + "}")
        huge = tmp_path / "huge.json"
        with huge.open("wb") as stream:
            stream.truncate(100_000_000)
        for path, words in ((deep, "nested too deeply"), (huge, "larger than 32 MB")):
            with pytest.raises(BadCatalogue, match=words) as caught:
                imagery.find(small_site(), ALWAYS, source=path)
            assert path.name in str(caught.value) and "\n" not in str(caught.value)

    def test_a_deep_geometry_or_wide_item_is_a_fault_or_ignored(self, tmp_path: Path) -> None:
        deep: Any = 1
        for _ in range(300):
            deep = [deep]
        items = [
            {**item("deep"), "geometry": {"type": "Polygon", "coordinates": deep}},
            {**item("wide"), "assets": {str(index): asset("a.tif", "pan") for index in range(1001)}},
        ]
        result = imagery.find(small_site(), ALWAYS, source=save(tmp_path / "i.json", collection_of_items(*items)))
        assert [ref.id for ref in result.scenes] == ["deep"] and "1000 members" in result.faults[0]

    @pytest.mark.parametrize(
        "member", ["id", "properties", "geometry", "assets", "links", "bbox", "collection", "asset"]
    )
    @pytest.mark.parametrize("value", [None, 7, -1e308, True, "x", [], [[]], {}, {"a": {"a": 1}}, [None] * 4])
    def test_a_wrong_type_anywhere_is_a_fault_or_ignored(self, tmp_path: Path, member: str, value: Any) -> None:
        content = item()
        if member == "asset":
            content["assets"] = {"data": value}
        else:
            content[member] = value
        result = imagery.find(small_site(), ALWAYS, source=save(tmp_path / "i.json", content))
        assert len(result.scenes) + len(result.faults) == 1

    @pytest.mark.parametrize(
        "member",
        ["href", "type", "roles", "bands", "eo:bands", "raster:bands", "gsd", "raster:scale", "proj:transform"]
        + ["nodata", "file:checksum"],
    )
    @pytest.mark.parametrize(
        "value", [None, 7, True, "x", [], [7], [[]], {}, [{"name": 5, "scale": "x", "nodata": []}]]
    )
    def test_a_wrong_type_in_an_asset_is_a_fault_or_ignored(self, tmp_path: Path, member: str, value: Any) -> None:
        content = item(assets={"red": {**asset("a.tif", "red"), member: value}})
        result = imagery.find(small_site(), ALWAYS, source=save(tmp_path / "i.json", content))
        assert len(result.scenes) + len(result.faults) == 1

    def test_a_box_that_disagrees_with_the_image_is_no_failure(self, tmp_path: Path) -> None:
        write_tif(tmp_path / "a.tif", painted(), north_up(10, LEFT + 50_000))
        west, south, east, north = small_site().polygon.bounds
        content = {**item(), "bbox": [west, south, east, north]}
        (ref,) = imagery.find(small_site(), ALWAYS, source=save(tmp_path / "i.json", content)).scenes
        answer = imagery.read(ref, small_site())
        assert isinstance(answer, Unread) and not answer.failed and "does not reach" in answer.reason


LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (2_000_000_000, 2_000_000_000))
sys.path.insert(0, {tests!r})
from test_hostile_files import ref_to
from imagery_material import small_site
from rail_watch import imagery
print(type(imagery.read(ref_to({path!r}), small_site())).__name__)
"""


def test_reading_goes_on_in_a_process_with_little_memory(tmp_path: Path) -> None:
    path = write_tif(tmp_path / "x.tif", painted(1))
    code = LIMITED.format(tests=str(Path(__file__).parent), path=str(path))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "Scene"


def test_every_bad_input_is_of_one_family() -> None:
    assert issubclass(BadRaster, BadInput) and issubclass(BadCatalogue, BadInput) and issubclass(BadAoi, BadInput)
    assert json.loads(json.dumps({"status": BadRaster.exit_status})) == {"status": 2}
