"""`aoi new --from-image`: tracks out of a picture, on pictures painted here, whose lines are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import shapely
from imagery_material import LEFT, TOP, north_up, write_tif
from numpy.typing import NDArray
from shapely import LineString

from rail_watch import aoi
from rail_watch.cli.aoi_picture import scene_of
from rail_watch.cli.main import run
from rail_watch.grid import WGS84, transformer
from rail_watch.interpret.lines import find_lines

PIXEL_M, SIZE = 0.6, 500
RADIUS_M = 900.0
OFFSETS = (-10.0, -5.0, 0.0, 5.2)
NAME = "20221104_021105_painted.tif"


def yard(*, light: bool = True, seed: int = 3) -> NDArray[np.float32]:
    """Four tracks on an arc, 3 m of ballast each, in noisy ground with a bright roof."""
    rng = np.random.default_rng(seed)
    row, col = np.mgrid[:SIZE, :SIZE] * PIXEL_M
    x, y = col - SIZE * PIXEL_M / 2, row - SIZE * PIXEL_M / 2
    across = np.hypot(x - 0.3 * RADIUS_M, y - 0.954 * RADIUS_M) - RADIUS_M
    picture = 100 + 6 * rng.standard_normal((SIZE, SIZE))
    for offset in OFFSETS:
        picture += (25 if light else -25) * np.exp(-(((across - offset) / 1.4) ** 2))
    picture[40:90, 60:150] = 240
    return picture.astype(np.float32)


def arcs() -> list[LineString]:
    turn = np.linspace(0, 2 * np.pi, 2000)
    centre = np.array([0.3, 0.954]) * RADIUS_M + SIZE * PIXEL_M / 2
    ring = np.column_stack([np.cos(turn), np.sin(turn)])
    box = shapely.box(0, 0, SIZE * PIXEL_M, SIZE * PIXEL_M)
    return [LineString(centre + (RADIUS_M + offset) * ring).intersection(box) for offset in OFFSETS]


@pytest.mark.parametrize("dark", [False, True])
def test_curved_tracks_side_by_side_are_found_and_nothing_else(dark: bool) -> None:
    found = find_lines(yard(light=not dark), PIXEL_M, dark=dark)
    lines = [shapely.transform(line, lambda xy: xy * PIXEL_M) for line in found]
    near = shapely.union_all(lines).buffer(1.0)
    for arc in arcs():
        assert arc.intersection(near).length > 0.85 * arc.length
    truth = shapely.union_all(arcs()).buffer(1.0)
    assert sum(line.intersection(truth).length for line in lines) > 0.9 * sum(line.length for line in lines)
    assert found == find_lines(yard(light=not dark), PIXEL_M, dark=dark)


def test_ground_without_tracks_gives_no_lines() -> None:
    noise = np.random.default_rng(1).normal(100, 10, (400, 400)).astype(np.float32)
    assert find_lines(noise, PIXEL_M) == []
    assert find_lines(np.full((300, 300), np.nan, np.float32), PIXEL_M) == []


def painted_file(folder: Path, picture: NDArray[np.float32]) -> Path:
    data = np.repeat(np.clip(picture * 10, 1, 65000).astype("uint16")[None], 4, axis=0)
    return write_tif(folder / NAME, data, north_up(PIXEL_M), descriptions=("blue", "green", "red", "nir"))


def test_a_picture_becomes_an_area_of_guesses(tmp_path: Path) -> None:
    out = tmp_path / "yard.geojson"
    asked = ["aoi", "new", "yard", "--from-image", str(painted_file(tmp_path, yard())), "--out", str(out)]
    assert run(asked) == 0
    site = aoi.read(str(out))
    assert len(site.tracks) == len(OFFSETS) and site.accuracy_m == 5.0
    assert site.source is not None and "guess" in site.source and "20221104_021105_painted" in site.source
    assert all("guess" in track.name for track in site.tracks) and '"guess": true' in out.read_text(encoding="utf-8")
    to = transformer(WGS84, "EPSG:32652")
    x, y = to.transform(*np.array(site.tracks[0].line.coords).T)
    at = LineString(np.column_stack([np.subtract(x, LEFT), np.subtract(TOP, y)]))
    assert min(shapely.hausdorff_distance(at, arc.intersection(at.buffer(30))) for arc in arcs()) < 30
    assert min(at.interpolate(0.5, normalized=True).distance(arc) for arc in arcs()) < 1.0


def railed(*, pixel_m: float = 0.5, seed: int = 5) -> NDArray[np.float32]:
    """Three tracks of two light lines each, a light apron beside them, and a train with its shadow."""
    rng = np.random.default_rng(seed)
    row, col = np.mgrid[:320, :900] * pixel_m
    picture = 100 + 5 * rng.standard_normal(row.shape)
    for at in RAILED:
        for rail in (-0.85, 0.85):
            picture += 22 * np.exp(-(((row - at - rail) / 0.45) ** 2))
        for edge in (-2.4, 2.4):
            picture -= 12 * np.exp(-(((row - at - edge) / 0.6) ** 2))
    picture[(row > 95) & (row < 115) & (col > 60) & (col < 390)] += 40
    picture[(np.abs(row - RAILED[1]) < 1.6) & (col > 150) & (col < 290)] = 40
    picture[(np.abs(row - RAILED[1] - 3.5) < 2.0) & (col > 150) & (col < 290)] = 20
    return picture.astype(np.float32)


RAILED = (75.0, 80.0, 85.5)


def test_a_track_goes_on_under_a_train_and_an_apron_s_edge_is_none() -> None:
    lines = [shapely.transform(line, lambda xy: xy * 0.5) for line in find_lines(railed(), 0.5)]
    levels = sorted(float(np.median(shapely.get_coordinates(line)[:, 1])) for line in lines)
    assert levels == pytest.approx(RAILED, abs=0.4)
    assert all(line.length > 380 for line in lines)


def test_of_several_pictures_the_clearest_is_taken(tmp_path: Path) -> None:
    cloudy = yard()
    cloudy[:, 200:] = 0.0  # nodata
    painted_file(tmp_path, yard())
    data = np.repeat(np.clip(cloudy * 10, 0, 65000).astype("uint16")[None], 4, axis=0)
    bands = ("blue", "green", "red", "nir")
    write_tif(tmp_path / "20231104_021105_newer.tif", data, north_up(PIXEL_M), descriptions=bands, nodata=0)
    assert scene_of(tmp_path, None).ref.id.startswith("20221104_021105_painted")


def test_what_cannot_be_done_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    coarse = write_tif(tmp_path / "coarse" / NAME, np.full((4, 60, 60), 500, "uint16"))
    flat = painted_file(tmp_path / "flat", np.full((200, 200), 100, np.float32))
    for more, status, words in (
        ([], 2, "give one of --osm"),
        (["--osm", "a.json", "--from-image", str(flat)], 2, "give one of --osm"),
        (["--from-image", str(coarse)], 4, "pixels of at most 1.3 m"),
        (["--from-image", str(flat)], 4, "no lines side by side"),
        (["--from-image", str(tmp_path / "none.tif")], 2, "no such file"),
    ):
        assert run(["aoi", "new", "yard", *more, "--out", str(tmp_path / "o.geojson")]) == status
        told = capsys.readouterr().err
        assert words in told and told.count("\n") == 1
    assert not (tmp_path / "o.geojson").exists()
