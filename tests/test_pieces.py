"""A TIFF on a server read block by block: the same pixels as from GDAL's own ranges, and what is not believed."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.windows import Window
from server_material import Server, serving

from rail_watch.errors import BadInput, BadRaster
from rail_watch.imagery.safe_open import safe_open
from rail_watch.imagery.tiff_header import reach
from rail_watch.providers.http import Answer, Patience, Web
from rail_watch.providers.pieces import Pieces, WebFile, fetch, pieces_of, spans_of, stood_in
from rail_watch.providers.remote import HEAD_BYTES, WebDoor

SIZE = 1024
WINDOW = Window(300, 520, 200, 180)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("files")
    data = np.random.default_rng(7).integers(1, 4000, (3, SIZE, SIZE)).astype("uint16")
    place = {"crs": "EPSG:32652", "transform": Affine(10, 0, 600000, 0, -10, 4700000)}
    shape = {"count": 3, "height": SIZE, "width": SIZE, "dtype": "uint16"}
    tiled = {"tiled": True, "blockxsize": 256, "blockysize": 256, "compress": "deflate"}
    kinds: dict[str, dict[str, object]] = {
        "cog": {"driver": "COG", "blocksize": 256, "compress": "deflate"},
        "bands": {"driver": "GTiff", "interleave": "band", **tiled},
        "strips": {"driver": "GTiff"},
        "big": {"driver": "GTiff", "BIGTIFF": "YES", **tiled},
    }
    for name, how in kinds.items():
        with rasterio.open(folder / f"{name}.tif", "w", **{**shape, **place, **how}) as dataset:
            dataset.write(data)
    with rasterio.open(folder / "masked.tif", "w", driver="COG", nodata=None, **{**shape, **place}) as dataset:
        dataset.write(data)
        dataset.write_mask(np.full((SIZE, SIZE), 255, dtype="uint8"))
    with serving(folder, tmp_path_factory.mktemp("log") / "requests") as running:
        yield running


def door_of(server: Server) -> WebDoor:
    return WebDoor(Web(patience=Patience(tries=2, first_wait_s=0.0)).naming(server.address))


def opened(server: Server, name: str, mode: str = "plain") -> Pieces:
    file = door_of(server).file(server.at(f"{mode}/pieces/{name}.tif"))
    assert isinstance(file, WebFile) and file.pieces is not None
    return file.pieces


@pytest.mark.parametrize("name", ["cog", "bands", "strips", "big"])
def test_two_requests_bring_what_the_file_holds(server: Server, name: str) -> None:
    before = len(server.requests(f"plain/pieces/{name}"))
    pieces = opened(server, name)
    with stood_in(pieces) as path:
        with safe_open(path) as dataset:
            spans = spans_of(pieces, dataset, WINDOW, [1, 3])
        fetch(pieces, path, spans)
        with safe_open(path) as there, safe_open(server.folder / f"{name}.tif") as here:
            np.testing.assert_array_equal(there.read([1, 3], window=WINDOW), here.read([1, 3], window=WINDOW))
    assert len(server.requests(f"plain/pieces/{name}")) - before == 1 + len(spans) and 1 <= len(spans) <= 2
    assert sum(end - first for first, end in spans) < (server.folder / f"{name}.tif").stat().st_size


def test_what_gdal_must_read_is_left_to_it(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def pieces(name: str) -> Pieces | None:
        file = door_of(server).file(server.at(f"plain/left/{name}.tif"))
        assert isinstance(file, WebFile)
        return file.pieces

    assert pieces("masked") is None and pieces("cog") is not None
    data = (server.folder / "cog.tif").read_bytes()[:HEAD_BYTES]
    answer = Answer(206, {"content-range": f"bytes 0-{len(data) - 1}/9000000"}, data, server.address)
    assert pieces_of(Web(), answer) is not None
    for wrong in (
        replace(answer, body=data[:200]),  # its directories reach further
        replace(answer, body=b"\0\0\0\x0cjP  \r\n\x87\n"),
        replace(answer, headers={}),
        replace(answer, headers={"content-range": "bytes 5-9/9000000"}),
        replace(answer, headers={"content-range": "bytes 0-9/*"}),
        replace(answer, headers={"content-range": f"bytes 0-9/{10**18}"}),
        replace(answer, headers={"content-range": f"bytes 0-9/{'9' * 5000}"}),
        replace(answer, body=data[:4] + b"\x08\0\0\0" + b"\xff" * 5000),
    ):
        assert pieces_of(Web(), wrong) is None
    monkeypatch.setenv("GDAL_HTTP_USERPWD", "own:word")
    assert pieces("cog") is None, "the user's own settings for GDAL win"


def test_other_bytes_than_were_asked_are_not_believed(server: Server) -> None:
    pieces = opened(server, "cog")
    end = pieces.size
    for wrong, says in (
        (replace(pieces, tag='"older"'), "changed on the server"),
        (replace(pieces, address=server.at("norange/pieces/cog.tif")), "no longer gives parts"),
        (replace(pieces, address=server.at("403/pieces/cog.tif")), "answers 403"),
        (replace(pieces, address=server.at("plain/pieces/bands.tif"), size=10**8), "other bytes"),
    ):
        first, last = (end - 10, end) if "other" not in says else (10, 10**8)
        with stood_in(pieces) as path, pytest.raises(BadInput, match=says):
            fetch(wrong, path, [(first, last)])


def test_a_length_that_cannot_be_held_is_one_line(server: Server) -> None:
    with pytest.raises(BadRaster, match="cannot be stood in"), stood_in(replace(opened(server, "cog"), size=2**62)):
        pass


def test_a_block_beyond_the_end_is_refused(server: Server) -> None:
    pieces = replace(opened(server, "cog"), size=70_000)
    with stood_in(pieces) as path, pytest.raises(BadRaster, match="beyond its end"), safe_open(path) as dataset:
        spans_of(pieces, dataset, Window(700, 700, 200, 200), [1])


def test_how_far_the_directories_reach(server: Server, tmp_path: Path) -> None:
    data = (server.folder / "cog.tif").read_bytes()
    needed = reach(io.BytesIO(data))
    assert 500 < needed < 20_000 and reach(io.BytesIO(data[:needed])) == needed
    loop = b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", 0) + struct.pack("<I", 8)
    for broken in (data[:20], loop, b"II*\0" + struct.pack("<IH", 8, 65535)):
        with pytest.raises(BadRaster):
            reach(io.BytesIO(broken))
