"""Label placement: whatever is asked for, nothing overlaps and no two leaders cross."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from rail_watch.report.labels import Label, Placed, Room, clutter_raster, place, segments_cross, spread

EXTENT = (500.0, 300.0)
points = st.tuples(st.floats(10, 490), st.floats(10, 290))
sizes = st.tuples(st.floats(30, 180), st.floats(16, 50))
labels = st.lists(st.builds(lambda size, at: Label(size, np.array([at])), sizes, points), min_size=1, max_size=9)
blocked = st.lists(st.tuples(st.floats(0, 300), st.floats(0, 200)), max_size=2)


def overlap(one: tuple[float, ...], two: tuple[float, ...]) -> bool:
    return one[0] < two[2] and two[0] < one[2] and one[1] < two[3] and two[1] < one[3]


def arranged(wanted: list[Label], corners: list[tuple[float, float]]) -> tuple[list[Placed], Room]:
    boxes = tuple((x, y, x + 180, y + 90) for x, y in corners)
    room = Room(EXTENT, clutter_raster(EXTENT, []), boxes)
    return [placed for placed in place(wanted, room) if placed is not None], room


@settings(max_examples=25, deadline=None)
@given(labels, blocked)
def test_labels_never_overlap_and_stay_inside(wanted: list[Label], corners: list[tuple[float, float]]) -> None:
    found, room = arranged(wanted, corners)
    for placed in found:
        assert placed.box[0] >= 0
        assert placed.box[1] >= 0
        assert placed.box[2] <= EXTENT[0]
        assert placed.box[3] <= EXTENT[1]
        assert not any(overlap(placed.box, box) for box in room.blocked)
    assert not any(overlap(one.box, two.box) for one, two in itertools.combinations(found, 2))


@settings(max_examples=25, deadline=None)
@given(labels)
def test_leaders_cross_neither_each_other_nor_labels(wanted: list[Label]) -> None:
    found, _ = arranged(wanted, [])
    for one, two in itertools.permutations(found, 2):
        assert not segments_cross((one.start, one.tip), (two.start, two.tip))
        steps = np.linspace(0, 1, 50)[:, None]
        path = np.array(one.start) + (np.array(one.tip) - one.start) * steps
        left, top, right, bottom = two.box
        inside = (path[:, 0] > left) & (path[:, 0] < right) & (path[:, 1] > top) & (path[:, 1] < bottom)
        assert not inside.any()


def test_placement_is_the_same_every_time() -> None:
    rng = np.random.default_rng(3)
    wanted = [Label((150, 50), rng.uniform(50, 250, (3, 2))) for _ in range(8)]
    room = Room(EXTENT, clutter_raster(EXTENT, []))
    assert place(wanted, room) == place(wanted, room)


def test_a_label_keeps_off_what_it_would_hide() -> None:
    train = np.array([[50.0, 150], [450, 150], [450, 170], [50, 170]])
    room = Room(EXTENT, clutter_raster(EXTENT, [(train, 30.0)]))
    (placed,) = place([Label((200, 60), np.array([[250.0, 160]]))], room)
    assert placed is not None
    assert not overlap(placed.box, (50, 150, 450, 170))


def test_a_label_with_no_room_is_left_out() -> None:
    room = Room((100, 100), clutter_raster((100, 100), []))
    assert place([Label((300, 60), np.array([[50.0, 50]]))], room) == (None,)


@given(st.lists(st.tuples(st.floats(0, 400), st.sampled_from([20.0, 40.0])), min_size=1, max_size=15))
def test_names_are_spread_apart_in_order(wanted: list[tuple[float, float]]) -> None:
    places, heights = [place for place, _ in wanted], [height for _, height in wanted]
    result = spread(places, heights, low=0, high=1000)
    order = sorted(range(len(wanted)), key=lambda i: (places[i], i))
    spans = [(result[i] - heights[i] / 2, result[i] + heights[i] / 2) for i in order]
    assert all(below[0] >= above[1] - 1e-6 for above, below in itertools.pairwise(spans))
    assert spans[0][0] >= -1e-6
    assert spans[-1][1] <= 1000 + 1e-6


def test_names_far_enough_apart_stay_where_they_are() -> None:
    assert spread([30.0, 200.0, 90.0], [20.0] * 3, low=0, high=400) == [30.0, 200.0, 90.0]
