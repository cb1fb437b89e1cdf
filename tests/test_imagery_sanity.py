"""Offsets forgotten or taken off twice, tiles of one overpass, and cloud that stands just on the tracks."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from affine import Affine
from imagery_material import LEFT, TOP, UTM, asset, collection_of_items, item, north_up, save, small_site, write_tif
from numpy.typing import NDArray
from shapely import LineString

from rail_watch import imagery
from rail_watch.aoi.site import Track
from rail_watch.grid import WGS84, Grid, transformer
from rail_watch.imagery import Asset, Band, Quality, Scene, SceneRef
from rail_watch.imagery.read import flagged_near_tracks
from rail_watch.imagery.sanity import checked

ALWAYS = (None, None)
BANDS = ("blue", "green", "red", "nir")
GRID = Grid(UTM, north_up(), (200, 200))


def sentinel(day: int, *, by: float = 0.0, rule: Any = "item", seed: int = 3) -> Scene:
    """One date over ground with dark water in it, its levels a little different from date to date."""
    ground = np.random.default_rng(seed).gamma(3.0, 0.03, (4, 200, 200)) + 0.02
    own = np.random.default_rng(day).normal(0, 0.005, (4, 1, 1))
    when = datetime(2022, 11, 1, 2, tzinfo=UTC) + timedelta(days=day)
    bands = tuple(Band(name, i + 1, 1e-4, -0.1 if by < 0 else 0.0, 0.0, rule=rule) for i, name in enumerate(BANDS))
    ref = SceneRef(f"s{day}", when, "sentinel-2a", 10, (Asset("data", "/a.tif", bands),))
    pixels = (ground + own + by).astype(np.float32)
    return Scene(ref, GRID, BANDS, pixels, np.zeros(GRID.shape, dtype=np.uint8))


def test_right_scenes_are_left_as_they_are() -> None:
    scenes = [sentinel(day) for day in range(6)]
    kept, refused = checked(scenes, small_site())
    assert refused == [] and all(one is other for one, other in zip(kept, scenes, strict=True))


@pytest.mark.parametrize("others", [0, 5])
def test_an_offset_taken_off_twice_is_put_back(others: int) -> None:
    wrong = sentinel(0, by=-0.1)
    kept, refused = checked([wrong, *(sentinel(day) for day in range(1, others + 1))], small_site())
    np.testing.assert_allclose(kept[0].pixels, sentinel(0).pixels, atol=1e-6)
    assert refused == [] and "corrected by +0.1 (" not in kept[0].notes[0] and "below zero" in kept[0].notes[0]


def test_a_forgotten_offset_is_taken_off_where_most_scenes_say_so() -> None:
    kept, refused = checked([sentinel(0, by=0.1), *(sentinel(day) for day in range(1, 5))], small_site())
    np.testing.assert_allclose(kept[0].pixels, sentinel(0).pixels, atol=1e-6)
    assert refused == [] and "corrected by -0.1" in kept[0].notes[-1]


def test_one_scene_against_one_is_not_decided() -> None:
    kept, refused = checked([sentinel(0, by=0.1), sentinel(1)], small_site())
    assert [one.ref.id for one in kept] == ["s1"] and [one.ref.id for one in refused] == ["s0"]
    assert refused[0].failed and "rail_watch:offset" in refused[0].reason


def test_what_is_brighter_for_another_reason_is_left() -> None:
    hazy, snowy = sentinel(1), sentinel(2)
    hazy = replace(hazy, pixels=hazy.pixels + np.array([0.14, 0.1, 0.08, 0.02], dtype=np.float32)[:, None, None])
    snowy = replace(snowy, pixels=snowy.pixels * 0.3 + 0.55)
    kept, refused = checked([hazy, snowy, *(sentinel(day) for day in range(3, 7))], small_site())
    assert refused == [] and kept[0] is hazy and kept[1] is snowy


def test_a_scene_with_shadows_is_never_harmed_by_its_neighbours() -> None:
    wrong = [sentinel(day, by=0.1) for day in range(4)]
    right = sentinel(5)
    kept, refused = checked([*wrong, right], small_site())
    assert any(one is right for one in kept) and all(one.ref.id != right.ref.id for one in refused)


def test_haze_over_everything_is_refused_and_not_corrected() -> None:
    hazy = sentinel(0)
    away = np.array([0.13, 0.11, 0.10, 0.07], dtype=np.float32)[:, None, None]
    hazy = replace(hazy, pixels=hazy.pixels * np.float32(0.95) + away)
    others = [sentinel(day) for day in range(1, 6)]
    kept, refused = checked([hazy, *others], small_site())
    assert len(kept) == 5 and [one.ref.id for one in refused] == ["s0"]
    assert "haze, or a forgotten offset" in refused[0].reason


def test_leaves_that_come_do_not_hide_a_forgotten_offset() -> None:
    """Scenes far off in time, with other leaves, have no say."""
    bare = [sentinel(day) for day in range(100, 106)]
    leaves = np.array([0, 0, 0, 0.15], dtype=np.float32)[:, None, None]
    green = [replace(one, pixels=one.pixels + leaves) for one in (sentinel(day) for day in range(3))]
    wrong = replace(sentinel(4, by=0.1), pixels=sentinel(4, by=0.1).pixels + leaves)
    kept, refused = checked([*bare, *green, wrong], small_site())
    assert refused == [] and "corrected by -0.1" in kept[-1].notes[-1]


def test_a_little_below_zero_is_a_question() -> None:
    dark = sentinel(0, by=-0.1)
    ground = np.maximum(dark.pixels, np.float32(-0.025))
    kept, refused = checked([replace(dark, pixels=ground), sentinel(1)], small_site())
    assert [one.ref.id for one in refused] == ["s0"] and "below zero" in refused[0].reason
    assert [one.ref.id for one in kept] == ["s1"]


def test_bright_ground_told_without_offset_is_no_error_of_its_own() -> None:
    scenes = [replace(one, pixels=one.pixels + np.float32(0.3)) for one in (sentinel(day) for day in range(5))]
    kept, refused = checked(scenes, small_site())
    assert refused == [] and all(one is other for one, other in zip(kept, scenes, strict=True))


def test_an_error_that_cannot_have_happened_is_not_looked_for() -> None:
    bright = sentinel(0, by=0.1)
    older = replace(bright, ref=replace(bright.ref, properties={"s2:processing_baseline": "02.12"}))
    others = [sentinel(day) for day in range(1, 5)]
    kept, refused = checked([older, *others], small_site())
    assert kept[0] is older and refused == []


def test_the_user_s_own_scale_and_other_satellites_are_not_touched() -> None:
    own = sentinel(0, by=-0.1, rule="override")
    other = replace(sentinel(1, by=-0.1), ref=replace(sentinel(1).ref, platform="planetscope"))
    kept, refused = checked([own, other], small_site())
    assert kept == [own, other] and refused == []


def tile(folder: Path, name: str, values: NDArray[Any], transform: Affine, *, crs: str = UTM) -> dict[str, Any]:
    write_tif(folder / f"{name}.tif", values, transform, crs=crs, nodata=0)
    members = {"s2:mgrs_tile": name, "sat:relative_orbit": 3}
    return item(name, {"data": asset(f"{name}.tif", *BANDS)}, platform="sentinel-2a", **members)


def test_two_tiles_of_one_overpass_are_read_as_one_scene(tmp_path: Path) -> None:
    whole = np.random.default_rng(2).integers(1, 9000, (4, 200, 200)).astype("uint16")
    west, east = whole[:, :, :85], whole[:, :, 80:]
    items = [
        tile(tmp_path, "52TDN", west, north_up()),
        tile(tmp_path, "52TEN", east, north_up(left=LEFT + 800)),
    ]
    (ref,) = imagery.find(small_site(), ALWAYS, source=save(tmp_path / "i.json", collection_of_items(*items))).scenes
    scene = imagery.read(ref, small_site())
    assert isinstance(scene, Scene) and (scene.quality == Quality.CLEAR).all()
    row, col = np.round(GRID.row_col(scene.grid.xy(np.array([0.0, 0.0])))).astype(int)
    rows, cols = scene.grid.shape
    np.testing.assert_array_equal(scene.pixels, whole[:, row : row + rows, col : col + cols])
    assert any("fills" in line for line in scene.notes)
    assert len(scene.digests) == 2


def test_a_tile_in_the_next_utm_zone_fills_too_and_a_missing_one_is_a_failed_read(tmp_path: Path) -> None:
    level = np.full((4, 200, 200), 700, dtype="uint16")
    items = [
        tile(tmp_path, "52TDN", level[:, :, :85], north_up()),
        tile(tmp_path, "53TLH", level, _in_zone_53(), crs="EPSG:32653"),
    ]
    source = save(tmp_path / "i.json", collection_of_items(*items))
    (ref,) = imagery.find(small_site(), ALWAYS, source=source).scenes
    first = next(one for one in (ref, *ref.tiles) if one.id == "52TDN")
    second = next(one for one in (ref, *ref.tiles) if one.id == "53TLH")
    ref = replace(first, tiles=(replace(second, tiles=()),))
    scene = imagery.read(ref, small_site())
    assert isinstance(scene, Scene) and (scene.quality == Quality.CLEAR).mean() > 0.98
    assert np.nanmax(np.abs(scene.pixels - 700)) < 0.01
    (tmp_path / "53TLH.tif").unlink()
    scene = imagery.read(ref, small_site())
    assert isinstance(scene, Scene) and (scene.quality == Quality.READ_FAILED).any()
    assert any("could not be read" in line for line in scene.notes)


def _in_zone_53() -> Affine:
    x, y = transformer(UTM, "EPSG:32653").transform([LEFT + 800], [TOP - 900])
    return Affine(10, 0, float(x[0]) - 1000, 0, -10, float(y[0]) + 1000)


def test_cloud_that_stands_on_the_tracks_alone_is_a_question() -> None:
    x, y = [LEFT + 520, LEFT + 1080], [TOP - 900, TOP - 900]
    lon, lat = transformer(UTM, WGS84).transform(x, y)
    site = replace(small_site(), tracks=(Track("t1", "Track 1", LineString(zip(lon, lat, strict=True))),))
    quality = np.zeros(GRID.shape, dtype=np.uint8)
    quality[88:92, 55:80] = Quality.CLOUD
    (line,) = flagged_near_tracks(quality, site, GRID)
    assert "along the tracks" in line and "look at the picture" in line
    assert flagged_near_tracks(np.full_like(quality, Quality.CLOUD), site, GRID) == []
    assert flagged_near_tracks(quality, small_site(), GRID) == []
