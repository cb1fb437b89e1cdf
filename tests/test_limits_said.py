"""What a look that shows no train says of shorter trains: no limit of one track is said of another."""

from __future__ import annotations

from dataclasses import replace

import pytest
from report_material import GSD, Look, detections_of, story, yard

from rail_watch.observe.records import SceneRecord
from rail_watch.observe.sentences import summary_of
from rail_watch.report.looks import shortest_shown

SITE = yard(tracks=3)


def empty(*limits: float | None) -> SceneRecord:
    """A scene in which three tracks look empty, with these detection limits."""
    (scene,) = detections_of([Look(story()[0].when)], SITE, gsd=GSD).scenes
    tracks = tuple(
        replace(look, state="empty", shortest_detectable_m=limit)
        for look, limit in zip(scene.tracks[:3], limits, strict=True)
    )
    return replace(scene, tracks=tracks)


@pytest.mark.parametrize(
    ("limits", "sentence", "short"),
    [
        ((20.0, 31.0, 24.0), "a train longer than 31 m would most likely have been seen", "31"),
        (
            (20.0, None, 24.0),
            "on 2 of them a train longer than 24 m would most likely have been seen, of the other that could not be "
            "told",
            "> 24",
        ),
        ((None, None, None), "how short a train would have been seen could not be told", "–"),
    ],
)
def test_limits_are_said_of_the_tracks_they_hold_for(
    limits: tuple[float | None, ...], sentence: str, short: str
) -> None:
    scene = empty(*limits)
    (line,) = summary_of(SITE, [scene], [])
    assert line.endswith(f"no train on 3 tracks that could be seen; {sentence}.")
    assert shortest_shown(scene) == short


def test_of_a_look_that_was_skipped_no_limit_is_shown() -> None:
    assert shortest_shown(replace(empty(20.0, 20.0, 20.0), status="skipped")) == "–"
