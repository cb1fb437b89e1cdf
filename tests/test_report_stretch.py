"""The stretch: the right ground, turned along the tracks, in one tone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rail_watch.imagery.scene import Quality
from rail_watch.report.names import clean, drawable, short_names, slug
from rail_watch.report.stretch import Frame, axis_deg, frames, views
from tests import report_material as material
from tests.report_material import Look, Train

START = datetime(2022, 11, 29, 2, 11, tzinfo=UTC)
SITE = material.yard(half=150.0)


@settings(max_examples=40, deadline=None)
@given(st.floats(-180, 180), st.floats(50, 3000), st.floats(-500, 500), st.floats(-500, 500))
def test_picture_and_ground_are_inverse(angle: float, length: float, east: float, north: float) -> None:
    frame = Frame(material.PLANE, (east, north), angle, length, 0.5 * length, (1, 1)).resized(800)
    px = np.array([[0.0, 0.0], [800, 400], [123, 45]])
    assert np.allclose(frame.to_px(frame.to_lonlat(px)), px, atol=1e-3)


def test_the_track_runs_left_to_right() -> None:
    outline = material.box(-60, 50, -5, -1.5)
    ((frame, shown),) = frames(SITE, [outline], 0.5)
    assert shown == [0]
    assert frame.angle_deg == pytest.approx(material.TILT_DEG, abs=0.3)
    ends = frame.resized(1000).to_px(np.array(material.lonlat([(-60, 0), (50, 0)])))
    assert ends[1, 1] - ends[0, 1] == pytest.approx(0, abs=3)
    assert ends[1, 0] > ends[0, 0]


def test_north_and_the_sun_turn_with_the_picture() -> None:
    frame = Frame(material.PLANE, (0.0, 0.0), 90.0, 100.0, 50.0, (50, 100))
    assert np.allclose(frame.north, (1, 0))  # right points north
    assert np.allclose(frame.bearing(90), (0, 1))  # east is down


def test_without_tracks_north_is_up() -> None:
    empty = material.yard(half=150.0, tracks=0)
    assert axis_deg(empty, material.box(0, 10, 0, 10)) == 0.0


def test_far_objects_get_their_own_stretch() -> None:
    long_yard = material.yard(half=900.0)
    outlines = [material.box(x, x + 100, -5, -2) for x in (-800, -690, 700)]
    assert [shown for _, shown in frames(long_yard, outlines, 0.5)] == [[2], [0, 1]] or [
        shown for _, shown in frames(long_yard, outlines, 0.5)
    ] == [[0, 1], [2]]


def test_every_object_lies_inside_its_frame() -> None:
    rng = np.random.default_rng(5)
    outlines = [material.box(x, x + 40, y, y + 3) for x, y in rng.uniform(-90, 90, (12, 2))]
    for frame, shown in frames(SITE, outlines, 0.5):
        for index in shown:
            px = frame.resized(1000).to_px(np.array(outlines[index].exterior.coords))
            rows, cols = frame.resized(1000).shape
            assert (px >= -1).all()
            assert (px <= [cols + 1, rows + 1]).all()


def painted(*looks: Look) -> tuple[Frame, list[np.ndarray]]:
    stacks = material.stacks_of(looks, gsd={"SkySat 0.5 m": 1.0}, half=150.0)
    frame = Frame(material.PLANE, (0.0, 0.0), material.TILT_DEG, 200.0, 100.0, (1, 1)).resized(600)
    shown = views(stacks["SkySat 0.5 m"], SITE, frame, range(len(looks)))
    return frame, [view.rgb.astype(float) for view in shown]


def test_gain_is_matched_between_the_pictures() -> None:
    _, (first, second) = painted(Look(START), Look(START + timedelta(days=1), gain=1.4))
    assert np.abs(first.mean(axis=(0, 1)) - second.mean(axis=(0, 1))).max() < 4


def test_what_changed_stays_changed() -> None:
    _, (first, second) = painted(Look(START), Look(START + timedelta(days=1), (Train(3, -55, 8),), gain=1.4))
    middle = slice(150 + 3, 150 + 16)
    assert np.abs(first - second)[middle, 150:450].mean() > 2 * np.abs(first - second)[250:, :].mean()


def test_objects_are_drawn_where_they_are() -> None:
    """A bright pile's middle in the picture lies where the frame says it does, within half a pixel of the sensor."""
    frame, (picture,) = painted(Look(START, fill=0.8))
    bluish = picture[..., 2] - picture[..., 0]
    rows, cols = np.nonzero(bluish > 60)
    centre = frame.to_px(np.array(material.lonlat([((-36 + 40) / 2, 36.0)])))[0]
    assert np.hypot(cols.mean() + 0.5 - centre[0], rows.mean() + 0.5 - centre[1]) * frame.metres_per_px < 0.5


def test_hidden_and_absent_are_kept_apart() -> None:
    look = Look(START, cloud=0.5)
    stack = material.stacks_of([look], gsd={"SkySat 0.5 m": 1.0}, half=150.0)["SkySat 0.5 m"]
    frame = Frame(material.PLANE, (0.0, 0.0), 0.0, 900.0, 500.0, (1, 1)).resized(450)
    (view,) = views(stack, SITE, frame, [0])
    assert 0.05 < view.hidden.mean() < 0.5
    assert view.absent.mean() > 0.2
    assert not (view.hidden & view.absent).any()


def test_a_frame_off_the_scene_is_blank() -> None:
    stack = material.stacks_of([Look(START)], gsd={"SkySat 0.5 m": 1.0}, half=150.0)["SkySat 0.5 m"]
    frame = Frame(material.PLANE, (9000.0, 0.0), 0.0, 200.0, 100.0, (1, 1)).resized(300)
    (view,) = views(stack, SITE, frame, [0])
    assert view.absent.all()


def test_grey_when_there_is_no_true_colour() -> None:
    from dataclasses import replace

    stack = material.stacks_of([Look(START)], gsd={"SkySat 0.5 m": 1.0}, half=150.0)["SkySat 0.5 m"]
    pan = replace(stack, bands=("pan",), pixels=stack.pixels[:, :1])
    radar = replace(stack, bands=("vv",), pixels=np.maximum(stack.pixels[:, :1], 0))
    frame = Frame(material.PLANE, (0.0, 0.0), 0.0, 200.0, 100.0, (1, 1)).resized(300)
    for one in (pan, radar):
        (view,) = views(one, SITE, frame, [0])
        assert np.ptp(view.rgb.astype(int), axis=2).max() <= 1
        assert view.rgb.std() > 5


def test_a_scene_all_cloud_still_makes_a_picture() -> None:
    from dataclasses import replace

    stack = material.stacks_of([Look(START)], gsd={"SkySat 0.5 m": 1.0}, half=150.0)["SkySat 0.5 m"]
    cloudy = replace(stack, quality=np.full_like(stack.quality, int(Quality.CLOUD)))
    frame = Frame(material.PLANE, (0.0, 0.0), 0.0, 200.0, 100.0, (1, 1)).resized(300)
    (view,) = views(cloudy, SITE, frame, [0])
    assert view.hidden.all()


@given(st.text(max_size=300))
def test_names_become_one_plain_line(text: str) -> None:
    for made in (clean(text, 60), drawable(text, "t1")):
        assert "\n" not in made
        assert all(letter.isprintable() for letter in made)
        assert len(clean(text, 60)) <= 60


@given(st.text(max_size=100))
def test_file_names_are_safe(text: str) -> None:
    made = slug(text, otherwise="sensor")
    assert made
    assert set(made) <= set("abcdefghijklmnopqrstuvwxyz0123456789.-")
    assert not made.startswith((".", "-"))


def test_unknown_letters_fall_back_to_the_id() -> None:
    assert drawable("두만강 1번선", "t1") == "t1"
    assert drawable("Дорога 1", "t1") == "Дорога 1"
    assert drawable("Track 두 5") == "Track □ 5"


def test_names_are_cut_only_where_they_stay_apart() -> None:
    names = {
        "t1": "Track 1 of the yard",
        "t2": "Track 2 of the yard, by the shed",
        "a": "Siding (east)",
        "b": "Siding (west)",
    }
    assert short_names(names) == {"t1": "Track 1", "t2": "Track 2", "a": "Siding (east)", "b": "Siding (west)"}
