"""The simulator against what must be true of its pictures."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import shapely
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from simulate_material import LAT, LON, WHEN, shot, small_site, small_stage, write_small_story

from rail_watch import aoi
from rail_watch.aoi.document import parse
from rail_watch.cli.simulate import command
from rail_watch.errors import BadInput
from rail_watch.simulate.canvas import Coat, lay, local
from rail_watch.simulate.frame import frame_over
from rail_watch.simulate.light import seen_from, sunlit
from rail_watch.simulate.materials import paint
from rail_watch.simulate.noise import octave
from rail_watch.simulate.objects import CAR_TYPES, COUPLER_M, Car, Things, couple, paint_car
from rail_watch.simulate.random_story import Habits, story_of
from rail_watch.simulate.random_yard import aoi_document, random_story, random_yard
from rail_watch.simulate.scene import QUALITY, Picture, render
from rail_watch.simulate.sensor import SENSORS
from rail_watch.simulate.story import read_story, with_habits
from rail_watch.simulate.truth import scene_truth
from rail_watch.simulate.weather import Weather
from rail_watch.simulate.world import world_of
from rail_watch.sun import SunPosition

SCHEMA = Path(__file__).parents[1] / "rail_watch" / "evaluate" / "schema" / "truth.schema.json"
TRAIN = [Car("locomotive-m62", "green"), Car("boxcar", "light-blue"), Car("boxcar", "reddish-brown")]


def reflectance(picture: Picture) -> np.ndarray:
    sensor = picture.shot.sensor
    return np.where(picture.dn > 0, picture.dn * sensor.scale + sensor.offset, np.nan)


@given(lon=st.floats(-179, 179), lat=st.floats(-70, 70), seed=st.integers(0, 9))
@settings(max_examples=25, deadline=None)
def test_frame_goes_there_and_back(lon: float, lat: float, seed: int) -> None:
    box = shapely.affinity.rotate(shapely.box(lon - 0.004, lat - 0.001, lon + 0.004, lat + 0.001), 20 * seed)
    frame = frame_over(replace(small_site(), polygon=box), step_m=1.0, margin_m=10)
    points = np.random.default_rng(seed).uniform(-200, 200, (5, 2))
    assert np.allclose(frame.from_lonlat(frame.to_lonlat(points)), points, atol=1e-5)


def test_texture_does_not_depend_on_the_raster() -> None:
    site = small_site()
    wide, close = frame_over(site, step_m=0.5, margin_m=20), frame_over(site, step_m=0.5, margin_m=0)
    at = np.array([[0.25, 0.25], [10.25, -3.25]])
    values = []
    for frame in (wide, close):
        exact = replace(frame, left=round(frame.left * 2) / 2, top=round(frame.top * 2) / 2)
        row, col = np.rint(exact.row_col(at)).astype(int).T
        values.append(octave(exact, 7.0, 5)[row, col])
    assert np.allclose(values[0], values[1], atol=1e-6)


@pytest.mark.parametrize(("azimuth", "elevation"), [(156.0, 22.0), (222.0, 23.0), (90.0, 45.0), (350.0, 65.0)])
def test_shadow_points_away_from_the_sun_and_has_the_right_length(azimuth: float, elevation: float) -> None:
    _, staged = small_stage()
    canvas = staged.ground.copy()
    canvas.height[:] = 0
    post = local(canvas.frame, np.array([0.0, 0.0]), heading=0.0, half=(0.6, 0.6))
    assert post is not None
    lay(canvas, post.window, post.box(0.5, 0.5), Coat(paint("grey"), 5.0))
    dark = np.argwhere(~sunlit(canvas.height, canvas.frame, SunPosition(azimuth, elevation)))
    x, y = (plane[dark[:, axis]] for plane, axis in zip(canvas.frame.axes(), (1, 0), strict=True))
    toward = canvas.frame.toward(azimuth)
    along = x * -toward[0] + y * -toward[1]
    across = x * -toward[1] + y * toward[0]
    assert along.max() == pytest.approx(5 / math.tan(math.radians(elevation)) + 0.5, abs=0.75)
    assert along.min() > -0.9 and np.abs(across).max() < 1.1


def test_a_roof_leans_away_from_the_sensor() -> None:
    _, staged = small_stage()
    canvas = staged.ground.copy()
    canvas.height[:] = 0
    canvas.height[canvas.frame.window((-2, -2, 2, 2))] = 6.0
    seen, wall = seen_from(canvas, 20.0, view_azimuth_deg=270.0)
    on_top = np.argwhere((canvas.height.ravel()[seen] > 5) & ~wall)
    x, y = (plane[on_top[:, axis]] for plane, axis in zip(canvas.frame.axes(), (1, 0), strict=True))
    east = np.array(canvas.frame.toward(90.0))
    moved = np.array([x.mean(), y.mean()]) @ east
    assert moved == pytest.approx(6 * math.tan(math.radians(20)), abs=0.5)


@pytest.mark.parametrize("name", sorted(CAR_TYPES))
def test_a_railcar_covers_its_true_size(name: str) -> None:
    world, staged = small_stage()
    canvas = staged.ground.copy()
    canvas.height[:] = 0
    load = "rust" if CAR_TYPES[name].form == "flat" else None
    (placed,) = couple(world.curve("a"), 30.0, [Car(name, "grey", load)], seed=1)
    paint_car(canvas, placed)
    kind = CAR_TYPES[name]
    floor = 1.2 if kind.form != "tank" else 1.4
    tall = canvas.height > (floor if kind.form != "flat" else 1.25)
    area = float(tall.sum()) * canvas.frame.step_m**2
    if kind.form == "tank":  # the barrel stands back from the underframe
        assert area == pytest.approx((kind.length_m - 1.9) * 3.0, rel=0.08)
    else:
        assert area == pytest.approx((kind.length_m - 2 * COUPLER_M) * kind.width_m, rel=0.06)
    assert canvas.height.max() == pytest.approx(kind.height_m + (2.59 if load else 0), abs=0.5)


def test_a_picture_is_the_same_twice_and_another_with_another_seed() -> None:
    world, staged = small_stage()
    things = Things({"a": {"t": couple(world.curve("a"), 20, TRAIN, seed=1)}})
    first, second = render(staged, shot(), things), render(staged, shot(), things)
    assert np.array_equal(first.dn, second.dn) and np.array_equal(first.quality, second.quality)
    assert not np.array_equal(first.dn, render(small_stage(seed=4)[1], shot(), things).dn)


def test_the_truth_is_where_the_pixels_change() -> None:
    world, staged = small_stage()
    things = Things({"a": {"t": couple(world.curve("a"), 22.0, TRAIN, seed=1)}})
    with_train, without = render(staged, shot(), things), render(staged, shot(), Things())
    train = scene_truth(world, things, with_train)["tracks"][0]["trains"][0]
    curve = world.drawn["a"]
    marks = np.arange(0, curve.length_m, 0.25)
    points = world.frame.to_lonlat(np.array([curve.at(mark) for mark in marks]))
    row, col = np.rint(with_train.grid.from_lonlat(points)).astype(int).T
    change = np.abs(reflectance(with_train) - reflectance(without)).max(axis=0)[row, col]
    there = marks[change > 0.025]
    assert train["railcars"] == 3 and len(train["cars"]) == 3
    assert there.min() == pytest.approx(train["start_m"], abs=1.0)
    assert there.max() == pytest.approx(train["end_m"], abs=1.0)
    assert train["end_m"] - train["start_m"] == pytest.approx(17.55 + 2 * 14.73 - 2 * COUPLER_M, abs=0.05)


def test_a_shift_moves_the_picture_by_that_much() -> None:
    _, staged = small_stage()
    still, moved = (reflectance(render(staged, shot(shift_m=shift), Things())) for shift in ((0.0, 0.0), (1.0, -1.5)))
    a, b = still[1][20:-20, 20:-20], moved[1][20:-20, 20:-20]
    inner = a[5:-5, 5:-5]
    best = min(
        ((dr, dc) for dr in range(-4, 5) for dc in range(-4, 5)),
        key=lambda d: float(
            np.nanmean((b[5 + d[0] : b.shape[0] - 5 + d[0], 5 + d[1] : b.shape[1] - 5 + d[1]] - inner) ** 2)
        ),
    )
    assert best == (3, 2)  # 1.5 m south, 1 m east, in pixels of 0.5 m


@pytest.mark.parametrize("share", [0.3, 0.6, 1.0])
def test_clouds_cover_what_was_asked_and_the_mask_says_so(share: float) -> None:
    world, staged = small_stage()
    picture = render(staged, shot(weather=Weather(cloud=share)), Things())
    cloudy = picture.quality[picture.quality > 0] == QUALITY.index("cloud")
    assert cloudy.mean() == pytest.approx(share, abs=0.2)
    truth = scene_truth(world, Things(), picture)
    assert truth["clear_fraction"] <= 1 - share + 0.2
    assert (truth["tracks"][0]["visible_fraction"] == 0) == (share == 1.0)


def test_snow_whitens_open_ground_more_than_the_track_bed() -> None:
    _, staged = small_stage()
    bare, snowy = (render(staged, shot(weather=Weather(snow=part)), Things()) for part in (0.0, 0.5))
    assert np.nanmean(reflectance(snowy)) > np.nanmean(reflectance(bare)) + 0.1
    assert snowy.snow_fraction > 0.15 and bare.snow_fraction == 0


def test_a_part_of_the_site_is_outside_the_footprint() -> None:
    world, staged = small_stage()
    picture = render(staged, shot(covers=(0.0, 0.5)), Things())
    whole = render(staged, shot(), Things())
    assert (picture.dn[0] > 0).sum() == pytest.approx(0.5 * (whole.dn[0] > 0).sum(), rel=0.1)
    assert scene_truth(world, Things(), picture)["tracks"][0]["visible_fraction"] == pytest.approx(0.5, abs=0.05)


def test_sentinel_2_numbers_carry_the_offset() -> None:
    world, staged = small_stage(SENSORS["sentinel-2-like"])
    picture = render(staged, shot(sensor=SENSORS["sentinel-2-like"]), Things())
    values = reflectance(picture)
    assert picture.dn[picture.dn > 0].min() > 1000  # below would be negative reflectance
    assert 0.03 < np.nanmedian(values) < 0.3
    assert world.site.id == "small"


def test_story_and_command_write_a_catalogue_with_its_truth(tmp_path: Path) -> None:
    import jsonschema

    path = write_small_story(tmp_path)
    done = CliRunner().invoke(command, ["--story", str(path), "--out", str(tmp_path / "out")], catch_exceptions=False)
    assert done.exit_code == 0
    truths = json.loads((tmp_path / "out" / "truth.json").read_text())["truths"]
    for truth in truths:
        jsonschema.validate(truth, json.loads(SCHEMA.read_text()))
    scene = truths[0]["scenes"][0]
    assert scene["tracks"][0]["state"] == "occupied" and scene["tracks"][1]["state"] == "empty"
    assert scene["aprons"][0]["fill_fraction"] == pytest.approx(scene["cargo"][0]["area_m2"] / (60 * 15), abs=0.01)
    again = CliRunner().invoke(command, ["--story", str(path), "--out", str(tmp_path / "again")])
    assert again.exit_code == 0
    for file in sorted((tmp_path / "out").rglob("*.*")):
        assert file.read_bytes() == (tmp_path / "again" / file.relative_to(tmp_path / "out")).read_bytes(), file.name


def test_command_draws_at_random_without_a_story(tmp_path: Path) -> None:
    write_small_story(tmp_path)
    arguments = [
        "--aoi",
        str(tmp_path / "small.geojson"),
        "--datetime",
        "2024-06-17T02:10Z",
        "--sensor",
        "planetscope-like",
    ]
    done = CliRunner().invoke(command, [*arguments, "--out", str(tmp_path / "out")], catch_exceptions=False)
    assert done.exit_code == 0
    truth = json.loads((tmp_path / "out" / "truth.json").read_text())
    assert truth["gsd_m"] == 3.0 and len(truth["scenes"]) == 1


@pytest.mark.parametrize(
    "arguments",
    [[], ["--aoi", "khasan"], ["--story", "x.json", "--aoi", "khasan"], ["--aoi", "khasan", "--datetime", "noon"]],
)
def test_command_says_what_is_missing(arguments: list[str], tmp_path: Path) -> None:
    done = CliRunner().invoke(command, [*arguments, "--out", str(tmp_path / "out")])
    assert done.exit_code == 2 and "Error" in done.output
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"schema": "2"}, "schema"),
        ({"trains": {"one": [["boxcar", "ultraviolet"]]}}, "colour"),
        ({"scenes": [{"site": "small", "sensor": "hubble", "datetime": "2022-11-30T02:11:00Z"}]}, "hubble"),
        ({"scenes": [{"site": "small", "sensor": "skysat-like", "datetime": "2022-11-30T02:11:00"}]}, "zone"),
        ({"stays": [{"train": "two", "site": "small", "track": "a", "start_m": 1}]}, "two"),
        ({"stays": 3}, "iter"),
        ({"sites": {"small": {"scenery": {"volcano": 1}}}}, "volcano"),
    ],
)
def test_a_wrong_story_is_one_clear_line(changes: dict[str, object], word: str, tmp_path: Path) -> None:
    path = write_small_story(tmp_path, **changes)
    with pytest.raises(BadInput) as caught:
        read_story(path)
    text = str(caught.value)
    assert text.startswith(str(path)) and word in text and "\n" not in text


def test_a_stay_on_a_track_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = write_small_story(tmp_path, stays=[{"train": "one", "site": "small", "track": "z", "start_m": 1}])
    done = CliRunner().invoke(command, ["--story", str(path), "--out", str(tmp_path / "out")])
    assert isinstance(done.exception, BadInput) and "'z'" in str(done.exception)


@pytest.mark.parametrize("seed", range(12))
def test_random_yards_are_valid_areas_and_the_same_again(seed: int) -> None:
    document = json.loads(json.dumps(aoi_document(random_yard(seed).site)))
    site, faults = parse(document)
    assert faults == () and site is not None and len(site.tracks) >= 2
    assert json.loads(json.dumps(aoi_document(random_yard(seed).site))) == document


def test_random_trains_never_overlap_and_stay_on_their_track() -> None:
    for seed in range(4):
        site, story = random_story(seed, scenes=6)
        told = story.sites[site.id]
        world = world_of(site, seed=seed)
        for stay in told.stays:
            length = sum(car.dimensions.length_m for car in stay.cars)
            assert stay.start_m >= 0 and stay.start_m + length <= world.drawn[stay.track].length_m + 2
            for other in told.stays:
                if (
                    other is not stay
                    and other.track == stay.track
                    and other.during[0] < stay.during[1]
                    and stay.during[0] < other.during[1]
                ):
                    assert other.start_m >= stay.start_m + length or stay.start_m >= other.start_m + 2


def test_habits_of_a_shot_depend_on_its_id_alone() -> None:
    assert with_habits(shot()) == with_habits(shot())
    assert with_habits(shot()).shift_m != with_habits(shot(id="other")).shift_m


def test_a_site_without_tracks_can_be_rendered() -> None:
    site = replace(small_site(), tracks=(), aprons=())
    story = story_of(site, ["planetscope-like"], [WHEN], seed=1, habits=Habits())
    assert story.sites["small"].stays == () and len(story.sites["small"].shots) == 1
    assert (LON, LAT) == (130.62, 42.417) and aoi.shipped()
