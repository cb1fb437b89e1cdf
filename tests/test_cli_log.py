"""The log on the terminal: three states that cannot be mistaken for one another, in plain text."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import click
import pytest
from report_material import GSD, Look, Train, detections_of, story, yard

from rail_watch.cli.log import log_lines
from rail_watch.observe.records import Detections, TrackLook

SENSOR = "SkySat 0.5 m"
DAY = timedelta(days=1)
START = story()[0].when
SITE = yard()


def told(detections: Detections, width: int = 200) -> list[str]:
    """Return the log's lines without colours."""
    return [click.unstyle(line) for line in log_lines(detections, SITE, width=width)]


def seen(*looks: Look) -> Detections:
    return detections_of(looks, SITE, gsd=GSD)


def rows(detections: Detections, mark: str) -> list[str]:
    """Return the rows with a mark, what they say only."""
    return [line.partition(mark)[2].strip() for line in told(detections) if mark in line]


def with_tracks(detections: Detections, **changes: object) -> Detections:
    """Return the detections with every row of a track changed."""
    scenes = [
        replace(scene, tracks=tuple(replace(look, **changes) for look in scene.tracks))  # type: ignore[arg-type]
        for scene in detections.scenes
    ]
    return replace(detections, scenes=tuple(scenes))


def test_every_track_is_in_one_of_three_states() -> None:
    detections = seen(Look(START, (Train(3, -60, 8),), cloud=0.25))
    (scene,) = detections.scenes
    hidden = TrackLook("t1", "not-visible", 0.0, "unknown", None, None, "cloud")
    detections = replace(detections, scenes=(replace(scene, tracks=(hidden, *scene.tracks[1:])),))
    (occupied,) = rows(detections, "[#] occupied")
    (empty,) = rows(detections, "[ ] empty")
    (unknown,) = rows(detections, "[?] unknown")
    assert occupied.startswith("Track 4: train of 111 m (95 %: 110-113), about 8 railcars (95 %: 8-8), almost certain")
    assert empty.startswith("Track 2 (75 % in view), 3 (75 % in view), 5 (75 % in view)")
    assert unknown == "Track 1: could not be judged (cloud)."


def test_cloud_never_reads_as_empty() -> None:
    detections = seen(Look(START, cloud=0.95), Look(START + DAY, skipped=True))
    assert rows(detections, "[ ] empty") == [] and len(rows(detections, "[?] unknown")) == 3
    assert rows(detections, "[?] unknown")[-1] == "Nothing could be judged: cloud over the site."


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        (29.2, "A train of 30 m or longer would very likely have shown."),
        (2.0, "Even one railcar would very likely have shown."),
        (None, "How short a train would have shown could not be told."),
    ],
)
def test_what_an_empty_track_would_have_shown_is_said(limit: float | None, words: str) -> None:
    detections = with_tracks(seen(Look(START)), shortest_detectable_m=limit)
    (empty,) = rows(detections, "[ ] empty")
    assert empty.endswith(words)


def test_arrived_there_and_gone_are_told_apart() -> None:
    train = Train(3, -60, 8)
    detections = seen(
        Look(START, (train,)), Look(START + DAY, (replace(train, change="standing"),)), Look(START + 2 * DAY)
    )
    first, second = rows(detections, "[#] occupied")
    assert "arrived since 2022-11-22 02:11" in first and "there since 2022-11-25 02:11 or before" in second
    assert rows(detections, "[-] gone") == ["Track 4: the train of 111 m seen 2022-11-26 02:11 is not there any more."]


def test_a_train_hidden_by_cloud_is_not_called_gone() -> None:
    train = Train(3, -60, 8)
    detections = seen(Look(START, (train,)), Look(START + DAY, cloud=0.95), Look(START + 2 * DAY, cloud=0.25))
    assert rows(detections, "[-] gone") == []


def test_trains_stand_in_the_order_of_the_tracks() -> None:
    detections = seen(Look(START, (Train(4, 0, 3), Train(1, 40, 12), Train(1, -200, 5))))
    shuffled = replace(detections, observations=detections.observations[::-1])
    lengths = [line.split(" m ")[0] for line in rows(shuffled, "[#] occupied")]
    assert lengths == ["Track 2: train of 70", "Track 2: train of 167", "Track 5: train of 42"]


def test_cargo_is_told_with_its_area_and_share() -> None:
    (cargo,) = rows(seen(Look(START, fill=0.5)), "[+] cargo")
    assert cargo.startswith("Cargo pad: 1 patch, 920 m² (95 %: 828-1012), almost certain, on 50 % of the ground")


def test_another_site_is_named_with_the_train_it_may_be() -> None:
    detections = seen(Look(START, (Train(3, -60, 8),)))
    (train,) = detections.observations
    same = replace(train, same_as="x", same_as_p=1e-3, same_as_site="khasan", same_as_when=START - DAY)
    (row,) = rows(replace(detections, observations=(same,)), "[#] occupied")
    assert "appears to be the train of 2022-11-24 02:11 at khasan" in row


@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_line_is_too_long_and_no_number_loses_its_unit(width: int) -> None:
    lines = told(detections_of(story(), SITE, gsd=GSD), width)
    assert max(map(len, lines)) <= width
    assert not [line for line in lines if line.endswith(("%:", "(95", "2022-11-25"))]
    assert not [line for line in lines if line.strip().startswith(("m ", "m² ", "% "))]


def test_names_from_outside_cannot_command_the_terminal() -> None:
    detections = seen(Look(START, (Train(3, -60, 8),), sensor=SENSOR))
    (scene,) = detections.scenes
    evil = replace(scene, sensor="Sky\x1b[2J\r\nSat", status="skipped", reason="cloud\x1b]0;title\x07\u202e")
    made = replace(detections, site_name="Yard\x1b[31m", scenes=(evil,), summary=("all\x08 well\n[#] occupied",))
    text = "\n".join(told(made))
    assert not [letter for letter in text if letter in "\x1b\x07\x08\r\u202e"]
    assert [line for line in text.splitlines() if line.startswith("[#]")] == []


def test_simulated_imagery_is_called_so_at_the_head_and_at_each_scene() -> None:
    lines = told(seen(Look(START), Look(START + DAY)))
    assert lines[0] == "Painted yard (yard)  SIMULATED imagery"
    assert sum(line.endswith("SIMULATED") for line in lines) == 2
