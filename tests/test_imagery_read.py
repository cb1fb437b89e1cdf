"""Reading windows: what was painted comes back, with a reason for every pixel that does not."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from imagery_material import LEFT, TOP, UTM, north_up, painted, site_of, small_site, write_tif
from rasterio.enums import ColorInterp

from rail_watch import imagery
from rail_watch.aoi import Site
from rail_watch.grid import WGS84, Grid, transformer
from rail_watch.imagery import Asset, Band, Quality, Scene, SceneRef, Unread

RGBN = ("blue", "green", "red", "nir")


def ref_of(*assets: Asset, **members: Any) -> SceneRef:
    return SceneRef("scene", datetime(2022, 11, 4, 2, tzinfo=UTC), "testsat-1", 10.0, assets, **members)


def image(path: Path, *names: str, **radiometry: Any) -> Asset:
    bands = tuple(Band(name, index, **radiometry) for index, name in enumerate(names or RGBN, 1))
    return Asset(path.stem, str(path), bands)


def read_scene(ref: SceneRef, site: Site | None = None, **options: Any) -> Scene:
    scene = imagery.read(ref, site or small_site(), **options)
    assert isinstance(scene, Scene), scene
    return scene


def read_failure(ref: SceneRef, site: Site | None = None) -> Unread:
    unread = imagery.read(ref, site or small_site())
    assert isinstance(unread, Unread)
    assert "\n" not in unread.reason
    return unread


def cut(data: np.ndarray[Any, Any], whole: Grid, part: Grid) -> np.ndarray[Any, Any]:
    """The part's pixels of a (band, row, column) image, both of one lattice."""
    row, col = np.round(whole.row_col(part.xy(np.zeros(2)))).astype(int)
    assert row >= 0 and col >= 0
    return data[:, row : row + part.shape[0], col : col + part.shape[1]]


def test_a_window_comes_back_exactly_with_scale_and_offset(tmp_path: Path) -> None:
    data = painted()
    path = write_tif(tmp_path / "a.tif", data, nodata=0)
    scene = read_scene(ref_of(image(path, scale=0.0001, offset=-0.1)))
    expected = cut(data, Grid(UTM, north_up(), (200, 200)), scene.grid) * 0.0001 - 0.1
    assert scene.pixels.dtype == np.float32 and scene.bands == RGBN
    np.testing.assert_allclose(scene.pixels, expected, atol=1e-7)
    assert (scene.quality == Quality.CLEAR).all()
    assert scene.notes == ("no cloud mask came with this scene; cloud was not looked for in it",)


def test_the_window_is_the_site_and_its_margin_not_the_scene(tmp_path: Path) -> None:
    path = write_tif(tmp_path / "a.tif", painted())
    assert read_scene(ref_of(image(path)), margin_m=0).grid.shape == pytest.approx((40, 60), abs=2)
    assert read_scene(ref_of(image(path)), margin_m=100).grid.shape == pytest.approx((60, 80), abs=2)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    angle=st.floats(-180, 180),
    pixel=st.sampled_from([0.5, 3.0, 10.0]),
    flip=st.booleans(),
    dtype=st.sampled_from(["uint8", "int16", "uint16", "int32", "float32", "float64"]),
    seed=st.integers(0, 2**16),
)
def test_any_lattice_comes_back_pixel_for_pixel(
    tmp_path: Path, angle: float, pixel: float, flip: bool, dtype: str, seed: int
) -> None:
    turn = np.radians(angle)
    a, b, d, e = np.cos(turn) * pixel, np.sin(turn) * pixel, np.sin(turn) * pixel, -np.cos(turn) * pixel
    if flip:
        b, e = -b, -e
    transform = Affine(a, b, LEFT + 800 - 60 * (a + b), d, e, TOP - 900 - 60 * (d + e))
    data = painted(2, 120, dtype, seed=seed, top=200)
    path = write_tif(tmp_path / f"{seed}.tif", data, transform)
    reach = 20 * pixel
    site = site_of(LEFT + 800 - reach, TOP - 900 - reach, LEFT + 800 + reach, TOP - 900 + reach)
    scene = read_scene(ref_of(image(path, "red", "nir")), site, margin_m=2 * pixel)
    np.testing.assert_array_equal(scene.pixels, cut(data, Grid(UTM, transform, (120, 120)), scene.grid))
    corners = scene.grid.from_lonlat(np.array(site.polygon.exterior.coords))
    assert (corners >= -0.5).all() and (corners <= np.array(scene.grid.shape) - 0.5).all()


def test_beyond_the_edge_is_outside_and_keeps_the_lattice(tmp_path: Path) -> None:
    data = painted()
    path = write_tif(tmp_path / "a.tif", data)
    site = site_of(LEFT - 300, TOP - 400, LEFT + 300, TOP + 200)
    scene = read_scene(ref_of(image(path)), site, margin_m=0)
    outside = scene.quality == Quality.OUTSIDE
    assert outside.mean() == pytest.approx(1 - 0.5 * 2 / 3, abs=0.03)
    assert np.isnan(scene.pixels[:, outside]).all() and np.isfinite(scene.pixels[:, ~outside]).all()
    corner = np.round(scene.grid.row_col(np.array([LEFT + 5, TOP - 5]))).astype(int)
    np.testing.assert_array_equal(scene.pixels[:, corner[0], corner[1]], data[:, 0, 0])


def test_no_overlap_and_an_empty_overlap_are_no_failure(tmp_path: Path) -> None:
    data = painted()
    data[:, :, :150] = 0
    path = write_tif(tmp_path / "a.tif", data, nodata=0)
    far = read_failure(ref_of(image(path)), site_of(LEFT + 9000, TOP - 900, LEFT + 9500, TOP - 500))
    empty = read_failure(ref_of(image(path)))
    assert (far.failed, empty.failed) == (False, False)
    assert "does not reach the site" in far.reason and "no data over the site" in empty.reason


def test_nodata_is_taken_before_scale_and_not_finite_is_nodata(tmp_path: Path) -> None:
    data = painted(2, dtype="float32")
    data[0, 80, 70], data[1, 81, 71], data[0, 82, 72], data[1, 83, 73] = np.nan, np.inf, -np.inf, -9999
    path = write_tif(tmp_path / "a.tif", data, nodata=-9999)
    scene = read_scene(ref_of(image(path, "red", "nir", scale=2.0, offset=9999.0)))
    assert (scene.quality == Quality.NODATA).sum() == 4
    assert np.isnan(scene.pixels[:, scene.quality == Quality.NODATA]).all()
    assert np.isfinite(scene.pixels[:, scene.quality == Quality.CLEAR]).all()


@pytest.mark.parametrize(("nodata", "lost"), [(999.0, 0), (-1.0, 0), (0.5, 0), (7.0, 1), (float("nan"), 0)])
def test_nodata_that_the_type_cannot_hold_masks_nothing(tmp_path: Path, nodata: float, lost: int) -> None:
    data = np.full((1, 200, 200), 100, dtype=np.uint8)
    data[0, 90, 80] = 7
    path = write_tif(tmp_path / "a.tif", data)
    scene = read_scene(ref_of(image(path, "pan", nodata=nodata)))
    assert (scene.quality == Quality.NODATA).sum() == lost


def test_black_in_one_channel_of_a_byte_picture_is_a_measurement(tmp_path: Path) -> None:
    data = painted(3, dtype="uint8", top=250)
    data[0, 90, 80], data[:, 91, 81] = 0, 0
    path = write_tif(tmp_path / "a.tif", data, nodata=0)
    scene = read_scene(ref_of(image(path, "red", "green", "blue")))
    assert (scene.quality == Quality.NODATA).sum() == 1


@pytest.mark.parametrize("how", ["alpha", "mask"])
def test_alpha_bands_and_masks_inside_the_file_are_honoured(tmp_path: Path, how: str) -> None:
    data = painted(4, dtype="uint8", top=250)
    holes = np.zeros((200, 200), dtype=bool)
    holes[85:95, 70:80] = True
    data[3] = np.where(holes, 0, 255)
    path = tmp_path / "a.tif"
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        write_tif(path, data if how == "alpha" else data[:3], photometric="RGB")
        with rasterio.open(path, "r+") as dataset:
            if how == "alpha":
                dataset.colorinterp = [ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha]
            else:
                dataset.write_mask(~holes)
    scene = read_scene(ref_of(image(path, "red", "green", "blue")))
    assert (scene.quality == Quality.NODATA).sum() == 100


def test_only_all_bands_at_the_top_of_a_whole_type_are_saturated(tmp_path: Path) -> None:
    data = painted(3)
    data[:, 90, 80], data[0, 91, 81] = 65535, 65535
    path = write_tif(tmp_path / "a.tif", data)
    scene = read_scene(ref_of(image(path, "red", "green", "blue", scale=0.0001)))
    assert (scene.quality == Quality.SATURATED).sum() == 1
    assert np.isfinite(scene.pixels).all(), "a saturated pixel keeps its value, for pictures"
    pan = read_scene(ref_of(image(path, "pan")))
    assert (pan.quality == Quality.CLEAR).all(), "one band alone may be white"


def test_scl_at_twenty_metres_lies_on_ten_and_cloud_is_widened(tmp_path: Path) -> None:
    path = write_tif(tmp_path / "a.tif", painted())
    classes = np.full((1, 100, 100), 4, dtype=np.uint8)
    classes[0, 45, 35] = 9
    classes[0, 50, 35], classes[0, 40, 40], classes[0, 40, 44] = 0, 11, 3
    mask = write_tif(tmp_path / "scl.tif", classes, north_up(20))
    scene = read_scene(ref_of(image(path), Asset("scl", str(mask), quality="scl")))
    count = {state: int((scene.quality == state).sum()) for state in Quality}
    assert count[Quality.CLOUD] == 36 and count[Quality.CLOUD_SHADOW] == 36, "2 x 2 and two pixels more on every side"
    assert count[Quality.NODATA] == 4 and count[Quality.SNOW] == 4
    row, col = np.round(scene.grid.row_col(np.array([LEFT + 705.0, TOP - 905.0]))).astype(int)
    assert scene.quality[row, col] == Quality.CLOUD
    assert np.isfinite(scene.pixels[:, scene.quality == Quality.CLOUD]).all(), "cloud keeps its pixels"


def test_a_quality_layer_in_another_projection_is_laid_on_by_place(tmp_path: Path) -> None:
    path = write_tif(tmp_path / "a.tif", painted())
    x, y = transformer(UTM, "EPSG:32653").transform(LEFT + 800, TOP - 900)
    cloud = np.zeros((1, 100, 100), dtype=np.uint8)
    cloud[0, 49:51, 49:51] = 1
    mask = write_tif(tmp_path / "c.tif", cloud, north_up(20, x - 1000, y + 1000), crs="EPSG:32653")
    scene = read_scene(ref_of(image(path), Asset("c", str(mask), quality="cloud")))
    rows, cols = np.nonzero(scene.quality == Quality.CLOUD)
    place = scene.grid.xy(np.array([[rows.mean(), cols.mean()]]))[0]
    assert np.hypot(*(place - [LEFT + 800, TOP - 900])) < 10
    assert 30 <= len(rows) <= 90


def test_ground_without_a_quality_layer_is_not_called_clear(tmp_path: Path) -> None:
    path = write_tif(tmp_path / "a.tif", painted())
    half = write_tif(tmp_path / "c.tif", np.zeros((1, 80, 80), np.uint8), north_up(10))
    far = write_tif(tmp_path / "d.tif", np.zeros((1, 80, 80), np.uint8), north_up(10, LEFT + 50_000))
    partly = read_scene(ref_of(image(path), Asset("c", str(half), quality="cloud")))
    assert 0.1 < (partly.quality == Quality.CLEAR).mean() < 0.8
    nowhere = read_scene(ref_of(image(path), Asset("d", str(far), quality="cloud")))
    assert (nowhere.quality == Quality.NODATA).all() and "does not reach" in nowhere.notes[0]


def test_a_scene_of_one_file_a_band_is_put_together(tmp_path: Path) -> None:
    data = painted(2)
    red = write_tif(tmp_path / "red.tif", data[:1])
    nir = write_tif(tmp_path / "nir.tif", data[1:])
    scene = read_scene(ref_of(image(red, "red"), image(nir, "nir")))
    assert scene.bands == ("red", "nir") and set(scene.digests) == {"red", "nir"}
    np.testing.assert_array_equal(scene.pixels, cut(data, Grid(UTM, north_up(), (200, 200)), scene.grid))


def test_colour_is_laid_onto_the_grid_of_a_panchromatic_band(tmp_path: Path) -> None:
    pan = write_tif(tmp_path / "pan.tif", painted(1), north_up(10))
    slope = np.broadcast_to(np.arange(50, dtype=np.float32), (1, 50, 50)).copy()
    colour = write_tif(tmp_path / "ms.tif", slope, north_up(40))
    scene = read_scene(ref_of(image(pan, "pan"), image(colour, "red")))
    assert scene.bands == ("pan", "red")
    step = np.diff(scene.pixels[1], axis=1)
    np.testing.assert_allclose(step, 0.25, atol=1e-3)


def test_degrees_become_utm_at_the_true_pixel_size(tmp_path: Path) -> None:
    site = small_site()
    centre = site.polygon.centroid
    step = 1e-4
    transform = Affine(step, 0, centre.x - 100 * step, 0, -step, centre.y + 100 * step)
    data = np.ones((1, 200, 200), np.uint8)
    data[0, 99:102, 99:102] = 200
    path = write_tif(tmp_path / "a.tif", data, transform, crs="EPSG:4326")
    scene = read_scene(ref_of(image(path, "pan")), site)
    assert scene.grid.crs == UTM
    assert scene.grid.metres_per_pixel() == pytest.approx(1e-4 * 111_200 * np.sqrt(np.cos(np.radians(42.4))), rel=5e-3)
    rows, cols = np.nonzero(scene.pixels[0] > 100)
    lonlat = scene.grid.lonlat(np.array([[rows.mean(), cols.mean()]]))[0]
    assert abs(lonlat[0] - (centre.x + step / 2)) < 0.6 * step and abs(lonlat[1] - (centre.y - step / 2)) < 0.6 * step


def test_a_crs_without_a_code_is_read(tmp_path: Path) -> None:
    centre = small_site().polygon.centroid
    crs = f"+proj=tmerc +lat_0=0 +lon_0={centre.x - 1} +k=1 +x_0=0 +y_0=0 +ellps=WGS84 +units=m"
    x, y = transformer(WGS84, crs).transform(centre.x, centre.y)
    transform = north_up(10, x - 1000, y + 1000)
    data = painted()
    scene = read_scene(ref_of(image(write_tif(tmp_path / "a.tif", data, transform, crs=crs))))
    assert scene.grid.crs.startswith(("PROJCS", "PROJCRS"))
    np.testing.assert_array_equal(scene.pixels, cut(data, Grid(scene.grid.crs, transform, (200, 200)), scene.grid))


@pytest.mark.parametrize("zone", ["EPSG:32601", "EPSG:32660"])
def test_a_site_across_the_antimeridian_is_read(tmp_path: Path, zone: str) -> None:
    from shapely import box

    site = Site("reef", "Reef", box(179.99, 10, 180.01, 10.01))
    x, y = transformer(WGS84, zone).transform(180.0, 10.005)
    transform = north_up(10, float(x) - 3000, float(y) + 3000)
    data = painted(1, 600)
    scene = read_scene(ref_of(image(write_tif(tmp_path / "a.tif", data, transform, crs=zone), "pan")), site)
    assert (scene.quality == Quality.CLEAR).all()
    assert scene.grid.shape[1] * 10 == pytest.approx(2190 + 60, abs=60)
    np.testing.assert_array_equal(scene.pixels, cut(data, Grid(zone, transform, (600, 600)), scene.grid))


def test_the_file_s_own_scale_serves_where_the_catalogue_has_none(tmp_path: Path) -> None:
    path = write_tif(tmp_path / "a.tif", painted(1), scales=[0.01], offsets=[-1.0])
    assert float(np.nanmax(read_scene(ref_of(image(path, "pan"))).pixels)) < 90
    told = read_scene(ref_of(image(path, "pan", scale=0.5)))
    assert float(np.nanmax(told.pixels)) > 4000


def test_a_documented_scale_is_for_whole_numbers_only(tmp_path: Path) -> None:
    assumed: dict[str, Any] = {"scale": 0.0001, "offset": -0.1, "assumed": True, "rule": "product"}
    whole = write_tif(tmp_path / "whole.tif", painted(1))
    scene = read_scene(ref_of(image(whole, "red", **assumed)))
    assert float(np.nanmax(scene.pixels)) < 1 and "documented" in scene.notes[0]
    real = write_tif(tmp_path / "real.tif", np.full((1, 200, 200), 0.25, np.float32))
    assert float(np.nanmax(read_scene(ref_of(image(real, "red", **assumed))).pixels)) == 0.25


def test_the_digest_is_of_the_decoded_window(tmp_path: Path) -> None:
    data = painted()
    one = write_tif(tmp_path / "one.tif", data, compress="deflate")
    two = write_tif(tmp_path / "two.tif", data, tiled=True, blockxsize=64, blockysize=64)
    data[0, 90, 80] += 1
    three = write_tif(tmp_path / "three.tif", data)
    digests = [read_scene(ref_of(replace(image(path), key="data"))).digests["data"] for path in (one, two, three)]
    assert digests[0] == digests[1] != digests[2] and len(digests[0]) == 64


def test_a_checksum_is_verified_where_given(tmp_path: Path) -> None:
    path = write_tif(tmp_path / "a.tif", painted())
    good = "1220" + hashlib.sha256(path.read_bytes()).hexdigest()
    assert read_scene(ref_of(replace(image(path), checksum=good)))
    sha3 = "1620" + hashlib.sha3_256(path.read_bytes()).hexdigest()
    assert read_scene(ref_of(replace(image(path), checksum=sha3)))
    odd = read_scene(ref_of(replace(image(path), checksum="beef")))
    assert "not verified" in " ".join(odd.notes)
    bad = read_failure(ref_of(replace(image(path), checksum="1220" + "0" * 64)))
    assert bad.failed and "not the file its catalogue describes" in bad.reason


def test_a_missing_file_remote_file_or_mask_makes_the_scene_unread(tmp_path: Path) -> None:
    path = write_tif(tmp_path / "a.tif", painted())
    gone = Asset("scl", str(tmp_path / "gone.tif"), quality="scl")
    far = Asset("red", "https://example.com/a.tif", (Band("red", 1),))
    for ref, word in (
        (ref_of(image(tmp_path / "b.tif")), "b.tif"),
        (ref_of(image(path), gone), "gone.tif"),
        (ref_of(far), "network"),
    ):
        unread = read_failure(ref)
        assert unread.failed and word in unread.reason


def test_a_site_far_too_large_for_the_pixels_is_refused(tmp_path: Path) -> None:
    path = write_tif(tmp_path / "a.tif", painted(), north_up(0.05))
    unread = read_failure(ref_of(image(path)), site_of(LEFT, TOP - 2000, LEFT + 2000, TOP))
    assert unread.failed and "400 million values" in unread.reason


def test_simulated_in_the_tags_is_not_lost(tmp_path: Path) -> None:
    path = write_tif(tmp_path / "a.tif", painted(), tags={"TIFFTAG_IMAGEDESCRIPTION": "SIMULATED imagery"})
    assert read_scene(ref_of(image(path))).ref.simulated


MEASURE = """
import resource, sys
from datetime import UTC, datetime
from shapely import box
from rail_watch import imagery
from rail_watch.imagery import Asset, Band, Scene, SceneRef
sys.path.insert(0, {tests!r})
from imagery_material import LEFT, TOP, site_of
bands = tuple(Band(name, i) for i, name in enumerate(("blue", "green", "red", "nir"), 1))
ref = SceneRef("big", datetime(2022, 11, 4, tzinfo=UTC), None, 0.5, (Asset("a", {path!r}, bands),))
scene = imagery.read(ref, site_of(LEFT + 4000, TOP - 5000, LEFT + 5000, TOP - 4000))
assert isinstance(scene, Scene), scene
print(scene.pixels.shape, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def test_a_scene_of_two_gigabytes_stays_far_below_one_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "big.tif"
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        width=17_000,
        height=17_000,
        count=4,
        dtype="uint16",
        crs=UTM,
        transform=north_up(0.5),
        tiled=True,
        blockxsize=512,
        blockysize=512,
        sparse_ok=True,
        interleave="pixel",
    ) as dataset:
        block = np.random.default_rng(1).integers(1, 4000, (4, 2048, 2048), dtype=np.uint16)
        dataset.write(block, window=rasterio.windows.Window(8000, 8000, 2048, 2048))
    assert 17_000**2 * 4 * 2 > 2e9
    code = MEASURE.format(tests=str(Path(__file__).parent), path=str(path))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert int(done.stdout.split()[-1]) < 1024, done.stdout
