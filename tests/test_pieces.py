"""A TIFF on a server read block by block: the same pixels as from GDAL's own ranges, and what is not believed."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.windows import Window
from server_material import Server, serving

from rail_watch.errors import BadInput, BadRaster
from rail_watch.imagery.safe_open import safe_open, safe_open_remote
from rail_watch.providers import pieces
from rail_watch.providers.http import Answer, Patience, Web
from rail_watch.providers.pieces import HEAD_BYTES, Held, WebFile, pieces_of, spans_of
from rail_watch.providers.remote import WebDoor

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
    with rasterio.open(folder / "plain.jp2", "w", driver="JP2OpenJPEG", **{**shape, **place}) as dataset:
        dataset.write(data)
    _directories_last(folder / "bands.tif", folder / "last.tif")
    with serving(folder, tmp_path_factory.mktemp("log") / "requests") as running:
        yield running


def _directories_last(source: Path, target: Path) -> None:
    """Write a TIFF whose directory stands behind its blocks, as streaming writers do."""
    data = source.read_bytes()
    start = struct.unpack("<I", data[4:8])[0]
    length = 2 + 12 * struct.unpack_from("<H", data, start)[0] + 4
    target.write_bytes(data[:4] + struct.pack("<I", len(data)) + data[8:] + data[start : start + length])


def door_of(server: Server) -> WebDoor:
    return WebDoor(Web(patience=Patience(tries=2, first_wait_s=0.0)).naming(server.address))


def opened(server: Server, name: str, mode: str = "plain") -> WebFile:
    file = door_of(server).file(server.at(f"{mode}/pieces/{name}.tif"))
    assert isinstance(file, WebFile) and file.held is not None
    return file


def held(server: Server, name: str, **changed: Any) -> Held:
    whole = opened(server, name).held
    assert whole is not None
    return Held(replace(whole.pieces, **changed))


@pytest.mark.parametrize("name", ["cog", "bands", "strips", "big"])
def test_two_requests_bring_what_the_file_holds(server: Server, name: str) -> None:
    before = len(server.requests(f"plain/pieces/{name}"))
    file = opened(server, name)
    assert file.held is not None
    with file.held.told(), safe_open_remote(file) as there, safe_open(server.folder / f"{name}.tif") as here:
        spans = spans_of(file.held.pieces, there, WINDOW, [1, 3])
        file.held.fetch(spans)
        np.testing.assert_array_equal(there.read([1, 3], window=WINDOW), here.read([1, 3], window=WINDOW))
    assert len(server.requests(f"plain/pieces/{name}")) - before == 1 + len(spans) and 1 <= len(spans) <= 2
    assert sum(end - first for first, end in spans) < (server.folder / f"{name}.tif").stat().st_size


@pytest.mark.parametrize("name", ["cog.tif", "masked.tif", "last.tif", "plain.jp2"])
def test_what_is_not_here_is_fetched_when_it_is_read(server: Server, name: str) -> None:
    """Masks inside, directories at the end, JPEG 2000: by our own client too."""
    file = door_of(server).file(server.at(f"plain/read/{name}"))
    assert isinstance(file, WebFile) and file.held is not None
    with file.held.told(), safe_open_remote(file) as there, safe_open(server.folder / name) as here:
        np.testing.assert_array_equal(there.read(1, window=WINDOW), here.read(1, window=WINDOW))
        np.testing.assert_array_equal(there.read_masks(1, window=WINDOW), here.read_masks(1, window=WINDOW))
    asked = server.requests(f"plain/read/{name}")
    assert 2 <= len(asked) <= 8 and all(line["range"] for line in asked)


@pytest.mark.parametrize("name", ["masked.tif", "plain.jp2"])
def test_a_server_that_turns_elsewhere_later_is_not_followed_there(server: Server, name: str, tmp_path: Path) -> None:
    """GDAL would follow: the first answer is honest, the next leads into the user's own network."""
    with serving(tmp_path, tmp_path / "log") as inside:
        file = door_of(server).file(server.at(f"turns/{inside.port}/{name}"))
        assert isinstance(file, WebFile) and file.held is not None
        with pytest.raises(BadInput, match="not a place you named"), file.held.told(), safe_open_remote(file) as there:
            there.read(1, window=WINDOW)
        assert inside.requests() == []


def test_the_first_bytes_serve_the_next_site_and_a_change_is_noticed(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces, "_HEADS", {})
    for _ in range(3):
        file = door_of(server).file(server.at("tagged/heads/cog.tif"))
        assert isinstance(file, WebFile) and file.held is not None
        file.held.fetch([(100_000, 100_010)])
    assert len(server.requests("tagged/heads")) == 1 + 3
    (server.folder / "tag").write_text("other")
    try:
        file = door_of(server).file(server.at("tagged/heads/cog.tif"))
        assert isinstance(file, WebFile) and file.held is not None
        with pytest.raises(BadInput, match="changed on the server"):
            file.held.fetch([(100_000, 100_010)])
        file = door_of(server).file(server.at("tagged/heads/cog.tif"))
        assert isinstance(file, WebFile) and file.held is not None
        file.held.fetch([(100_000, 100_010)])
    finally:
        (server.folder / "tag").unlink()


def test_what_is_no_honest_beginning_is_refused(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    data = (server.folder / "cog.tif").read_bytes()[:HEAD_BYTES]
    answer = Answer(206, {"content-range": f"bytes 0-{len(data) - 1}/9000000"}, data, server.address)
    assert pieces_of(Web(), answer) is not None
    for headers in (
        {},
        {"content-range": "bytes 5-9/9000000"},
        {"content-range": "bytes 0-9/*"},
        {"content-range": f"bytes 0-9/{10**18}"},
        {"content-range": f"bytes 0-9/{'9' * 5000}"},
    ):
        with pytest.raises(BadRaster, match="no honest length"):
            pieces_of(Web(), replace(answer, headers=headers))
    monkeypatch.setenv("GDAL_HTTP_USERPWD", "own:word")
    assert pieces_of(Web(), answer) is None, "the user's own settings for GDAL win"


def test_other_bytes_than_were_asked_are_not_believed(server: Server) -> None:
    end = (server.folder / "cog.tif").stat().st_size
    for wrong, says in (
        (held(server, "cog", tag='"older"'), "changed on the server"),
        (held(server, "cog", address=server.at("norange/pieces/cog.tif")), "no longer gives parts"),
        (held(server, "cog", address=server.at("403/pieces/cog.tif")), "answers 403"),
        (held(server, "cog", address=server.at("plain/pieces/bands.tif"), size=10**8), "other bytes"),
    ):
        first, last = (end - 10, end) if "other" not in says else (10, 10**8)
        with pytest.raises(BadInput, match=says):
            wrong.fetch([(first, last)])
        with pytest.raises(BadInput, match=says), wrong.told():
            assert wrong.part(end - 10, end) == b"", "and GDAL is told of an early end"


def test_more_than_a_window_can_need_is_not_fetched(server: Server) -> None:
    much = held(server, "cog", size=10**12)
    with pytest.raises(BadInput, match="needs more than 800 MB"):
        much.fetch([(10**6, 10**9)])


def test_a_block_beyond_the_end_is_refused(server: Server) -> None:
    file = opened(server, "cog")
    assert file.held is not None
    short = replace(file.held.pieces, size=70_000)
    with pytest.raises(BadRaster, match="beyond its end"), safe_open_remote(file) as dataset:
        spans_of(short, dataset, Window(700, 700, 200, 200), [1])


def test_a_huge_tile_of_jpeg_2000_is_refused_before_it_is_decoded(server: Server) -> None:
    data = bytearray((server.folder / "plain.jp2").read_bytes())
    place = data.index(b"\xff\x4f\xff\x51") + 8
    data[place : place + 24] = struct.pack(">6I", 60_000, 60_000, 0, 0, 60_000, 60_000)
    (server.folder / "huge.jp2").write_bytes(data)
    file = door_of(server).file(server.at("plain/huge/huge.jp2"))
    with pytest.raises(BadRaster, match="its tiles decode to"), safe_open_remote(file):
        pass
