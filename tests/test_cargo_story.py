"""Cargo from look to look: the same heap, grown or shrunk where that can be measured, gone where it was looked for."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from shapely import affinity, box

from rail_watch.aoi.site import Area, Site
from rail_watch.observe.link import link
from rail_watch.observe.records import ApronLook, Observation, SceneRecord, Visibility
from rail_watch.observe.sentences import summary_of, text_of

FIRST = datetime(2024, 5, 1, 2, tzinfo=UTC)
HEAP = box(130.0, 42.0, 130.001, 42.001)
SITE = Site(
    "yard", "Yard", box(129.9, 41.9, 130.1, 42.1), aprons=(Area("pad", "The pad", box(130, 42, 130.01, 42.01)),)
)


def _scene(day: int, visibility: Visibility = "clear", smallest_m2: float | None = 20.0) -> SceneRecord:
    seen = {"clear": 1.0, "partial": 0.3, "not-visible": 0.0}[visibility]
    look = ApronLook("pad", visibility, seen, None if seen == 0 else 0.1, None, smallest_m2)
    when = FIRST + timedelta(days=day)
    return SceneRecord(
        f"s{day}", when, None, "x, 0.5 m", 0.5, "used", None, seen, None, None, None, None, True, None, (), (look,)
    )


def _heap(day: int, area_m2: float, half_m2: float, *, share: float = 1.0) -> Observation:
    when = FIRST + timedelta(days=day)
    return Observation(
        id=f"heap-{day}",
        kind="cargo",
        site="yard",
        scene=f"s{day}",
        when=when,
        geometry=affinity.scale(HEAP, share, share),
        track=None,
        tracks=(),
        apron="pad",
        start_m=None,
        end_m=None,
        length_m=None,
        length_m_95=None,
        railcars=None,
        railcars_95=None,
        cars=(),
        area_m2=area_m2,
        area_m2_95=(area_m2 - half_m2, area_m2 + half_m2),
        height_m=None,
        p_value=1e-6,
        likelihood="almost certain",
        change="unknown",
        last_clear_before=None,
        first_seen=when,
        same_as=None,
        same_as_p=None,
    )


def _linked(heaps: list[Observation], scenes: list[SceneRecord]) -> list[Observation]:
    found = link([(heap, None) for heap in heaps], {"yard": scenes})
    return [replace(item, text=text_of(item, SITE, site_names={"yard": "Yard"})) for item in found]


@pytest.mark.parametrize(
    ("area_m2", "share", "words"),
    [
        (200.0, 1.4, "has grown from between 90 and 110 m² (95 %) since the previous clear look, 2024-05-01 02:00 UTC"),
        (40.0, 0.6, "has shrunk from between 90 and 110 m²"),
        (115.0, 1.05, "has not measurably grown or shrunk since"),
    ],
)
def test_growth_is_said_only_where_intervals_do_not_meet(area_m2: float, share: float, words: str) -> None:
    heaps = [_heap(0, 100.0, 10.0), _heap(3, area_m2, 10.0, share=share)]
    first, second = _linked(heaps, [_scene(0), _scene(3)])
    assert (second.same_as, second.same_as_when, second.change) == (first.id, first.when, "standing")
    assert second.first_seen == first.when and second.area_m2_before_95 == (90.0, 110.0)
    assert words in second.text


def test_the_height_is_said_where_it_is_known() -> None:
    heap = _heap(0, 100.0, 10.0)
    assert "high" not in text_of(heap, SITE, site_names={"yard": "Yard"})
    tall = replace(heap, height_m=2.04, height_m_95=(1.5, 2.6))
    said = text_of(tall, SITE, site_names={"yard": "Yard"})
    assert "about 100 m² and 2.0 m high (95 %: 1.5-2.6), lies on the pad." in said


def test_a_heap_elsewhere_on_the_apron_is_another_heap() -> None:
    moved = replace(_heap(3, 100.0, 10.0), geometry=affinity.translate(HEAP, 0.002))
    _, second = _linked([_heap(0, 100.0, 10.0), moved], [_scene(0), _scene(3)])
    assert second.same_as is None and second.change == "arrived" and "grown" not in second.text


@pytest.mark.parametrize(
    ("after", "gone"),
    [
        (_scene(3), True),
        (_scene(3, "partial"), False),
        (_scene(3, "not-visible"), False),
        (_scene(3, smallest_m2=None), False),
        (_scene(3, smallest_m2=150.0), False),
    ],
)
def test_gone_is_said_only_where_the_place_was_seen_clearly(after: SceneRecord, gone: bool) -> None:
    scenes = [_scene(0), after]
    lines = summary_of(SITE, scenes, _linked([_heap(0, 100.0, 10.0)], scenes))
    said = [line for line in lines if "gone" in line]
    assert bool(said) == gone
    if gone:
        assert "about 100 m² in all, seen 2024-05-01 02:00 UTC on the pad: gone." in said[0]


def test_gone_is_said_once_and_cloud_between_does_not_hide_it() -> None:
    scenes = [_scene(0), _scene(2, "not-visible"), _scene(3), _scene(5)]
    lines = summary_of(SITE, scenes, _linked([_heap(0, 100.0, 10.0)], scenes))
    assert [line[:10] for line in lines if "gone" in line] == ["2024-05-04"]
