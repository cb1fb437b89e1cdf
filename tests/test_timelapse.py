"""Films of one sensor's looks: read back frame by frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageSequence

from rail_watch.aoi.site import Site
from rail_watch.cli.main import run
from rail_watch.observe.records import Detections
from rail_watch.prepare.stack import Stack
from rail_watch.report import write_timelapses
from rail_watch.report.timelapse import EACH_MS, LAST_MS, Form
from tests import report_material as material
from tests.report_material import Look, Train

GSD = {"SkySat 1 m": 1.0, "Other 3 m": 3.0}
START = datetime(2022, 11, 29, 2, 11, tzinfo=UTC)
Material = tuple[Detections, Site, Mapping[str, Stack]]


@pytest.fixture(scope="module")
def painted() -> Material:
    days = [START + timedelta(days=n) for n in range(5)]
    looks = [
        Look(days[0], sensor="SkySat 1 m"),
        Look(days[1], (Train(3, -60, 8),), sensor="SkySat 1 m", gain=1.3),
        Look(days[2], cloud=0.95, sensor="SkySat 1 m", skipped=True),
        Look(days[3], sensor="Other 3 m"),
        Look(days[4], cloud=0.3, sensor="SkySat 1 m"),
    ]
    site = material.yard(half=150.0)
    return material.detections_of(looks, site, gsd=GSD), site, material.stacks_of(looks, gsd=GSD, half=150.0)


@pytest.mark.parametrize("form", ["gif", "webp"])
def test_each_look_that_showed_something_is_a_picture(painted: Material, tmp_path: Path, form: Form) -> None:
    detections, site, stacks = painted
    [path] = write_timelapses(detections, site, stacks, tmp_path, form=form)
    assert path.name == f"timelapse-skysat-1-m.{form}" and list(tmp_path.iterdir()) == [path]
    with Image.open(path) as film:
        pictures = [np.asarray(one.convert("RGB")).astype(int) for one in ImageSequence.Iterator(film)]
        assert film.info["loop"] == 0
        times = [EACH_MS, EACH_MS, LAST_MS]
        if form == "gif":
            assert [one.info["duration"] for one in ImageSequence.Iterator(film)] == times
    assert len(pictures) == 3
    head = [one[:98] for one in pictures]
    assert all(np.abs(one - other).max() > 100 for one, other in pairwise(head))  # dates differ
    ground = [np.median(one[98:-62], axis=(0, 1)) for one in pictures[:2]]
    assert np.abs(ground[0] - ground[1]).max() < 12  # one tone, though one look is a third brighter


@pytest.mark.parametrize("form", ["gif", "webp"])
def test_the_same_input_gives_the_same_bytes(painted: Material, tmp_path: Path, form: Form) -> None:
    written = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        written.append(write_timelapses(*painted, tmp_path / name, form=form)[0].read_bytes())
    assert written[0] == written[1]


def test_nothing_seen_shows_the_site_and_one_look_is_no_film(painted: Material, tmp_path: Path) -> None:
    detections, site, stacks = painted
    evil = replace(site, name="$x$ <b>\u202e" * 40, timezone="../../x")
    none = replace(detections, observations=())
    assert len(write_timelapses(none, evil, stacks, tmp_path, form="webp")) == 1
    assert write_timelapses(replace(none, scenes=none.scenes[:1]), site, stacks, tmp_path, form="webp") == []


def test_a_film_without_a_folder_is_refused(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["detect", "--aoi", "tumangang", "--format", "json", "--timelapse", "gif"]) == 2
    assert "give the folder with --out" in capfd.readouterr().err
