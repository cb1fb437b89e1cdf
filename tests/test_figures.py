"""Figures made to order: every template in every size, the looks asked for, and what is refused."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from shapely import LineString, box

from rail_watch.aoi.site import Site
from rail_watch.cli.main import run
from rail_watch.errors import BadInput
from rail_watch.observe import document
from rail_watch.observe.records import SUN_ELSEWHERE, Detections
from rail_watch.prepare.stack import Stack
from rail_watch.report import furniture
from rail_watch.report.dimension import beside
from rail_watch.report.figures import TEMPLATES, Order, Template, chosen, make
from rail_watch.report.form import SIZES
from rail_watch.report.labels import Room, clutter_raster
from tests import report_material as material
from tests.report_material import Look, Train

GOLDEN = Path(__file__).parent / "golden"
HALF = 150.0
START = datetime(2022, 11, 29, 2, 11, tzinfo=UTC)
GSD = {"SkySat 1 m": 1.0}
Material = tuple[Detections, Site, Mapping[str, Stack]]


@pytest.fixture(scope="module")
def painted() -> Material:
    trains = (Train(3, -60, 8), Train(1, -120, 5))
    looks = [
        Look(START, sensor="SkySat 1 m"),
        Look(START + timedelta(days=1), trains, fill=0.6, sensor="SkySat 1 m"),
        Look(START + timedelta(days=2), (replace(trains[1], change="standing"),), sensor="SkySat 1 m"),
        Look(START + timedelta(days=3), sensor="SkySat 1 m", cloud=0.3),
    ]
    site = material.yard(half=HALF)
    return material.detections_of(looks, site, gsd=GSD), site, material.stacks_of(looks, gsd=GSD, half=HALF)


def order(painted: Material, template: Template, size: str = "web", at: tuple[str, ...] = ()) -> Order:
    return Order(template, SIZES[size], chosen(painted[0], template, at))


@pytest.mark.parametrize("size", list(SIZES))
@pytest.mark.parametrize("template", TEMPLATES)
def test_every_template_in_every_size(painted: Material, template: Template, size: str) -> None:
    pixels, caption = make(*painted, order(painted, template, size))
    rows, cols, _ = pixels.shape
    if size == "social":
        assert abs(cols - 1600) <= 2 and abs(rows - 900) <= 2
    else:
        assert cols == {"print": 3000, "web": 1600}[size]
    assert caption.alt and caption.credit and caption.heading
    assert "SIMULATED" in caption.text()


@pytest.mark.parametrize("template", ["pair", "sequence", "timeline"])
def test_the_same_order_gives_the_same_pixels(painted: Material, template: Template) -> None:
    one, two = (make(*painted, order(painted, template, "social"))[0] for _ in range(2))
    assert np.array_equal(one, two)


@pytest.mark.parametrize("template", ["figure", "sequence", "overview"])
def test_figures_look_as_they_did(painted: Material, template: Template) -> None:
    """As in `test_report`: RAIL_WATCH_RENEW_GOLDEN=1 writes the kept pictures anew."""
    image = Image.fromarray(make(*painted, order(painted, template, "social"))[0])
    small = np.asarray(image.resize((image.width // 4, image.height // 4), Image.Resampling.BOX))
    golden = GOLDEN / f"figure-{template}.png"
    if os.environ.get("RAIL_WATCH_RENEW_GOLDEN"):
        Image.fromarray(small).quantize(96).save(golden, optimize=True)
    with Image.open(golden) as kept:
        difference = np.abs(small.astype(int) - np.asarray(kept.convert("RGB"))).max(axis=2)
    assert (difference > 48).mean() < 0.01
    assert difference.mean() < 4


def test_looks_are_named_by_date_scene_or_observation(painted: Material) -> None:
    detections = painted[0]
    second = sorted(detections.scenes, key=lambda record: record.when)[1]
    seen = next(one for one in detections.observations if one.scene == second.id)
    for word in ("2022-11-30", "2022-11-30T02:11", second.id, seen.id):
        assert chosen(detections, "pair", (word,)) == (second.id,)
    assert chosen(detections, "timeline", ()) == ()
    assert len(chosen(detections, "sequence", ())) == 4


@pytest.mark.parametrize(
    ("template", "at", "word"),
    [
        ("pair", ("1999-01-01",), "no such observation, scene or date"),
        ("pair", ("2022-11-29", "2022-11-30"), "shows one look"),
        ("sequence", ("2022-11-29", "2022-11-30"), "3 to 6 looks, not 2"),
    ],
)
def test_what_cannot_be_shown_is_refused(painted: Material, template: Template, at: tuple[str, ...], word: str) -> None:
    with pytest.raises(BadInput, match=word):
        chosen(painted[0], template, at)


def test_a_first_look_has_no_pair(painted: Material) -> None:
    with pytest.raises(BadInput, match="no earlier clear look"):
        make(*painted, order(painted, "pair", at=("2022-11-29",)))


def test_a_scene_that_is_not_in_the_source_is_named(painted: Material) -> None:
    detections, site, _ = painted
    with pytest.raises(BadInput, match="--source"):
        make(detections, site, {}, order(painted, "figure"))


def test_a_sequence_tells_each_look_and_what_cannot_be_told(painted: Material) -> None:
    _, caption = make(*painted, order(painted, "sequence"))
    text = caption.text()
    for letter, date in zip("ABCD", ("29 Nov", "30 Nov", "1 Dec", "2 Dec"), strict=True):
        assert f"{letter}, {date} 2022" in text
    assert "is gone" in text
    assert "Gone: train" in " ".join(caption.brief)
    assert "cannot be determined" in text
    assert "the same train" not in text


def test_a_dimension_line_is_as_long_as_the_train_and_keeps_off_others() -> None:
    room = Room((1000.0, 400.0), clutter_raster((1000.0, 400.0), []))
    train = box(200, 200, 700, 220)
    line = beside(train, "110 m", room)
    assert line is not None
    assert np.hypot(*(line.end - line.start)) == pytest.approx(500)
    assert LineString([line.start, line.end]).distance(train) > 5
    below, above = box(200, 235, 700, 245), box(200, 175, 700, 185)
    assert beside(train, "110 m", room, [below, above]) is None
    assert beside(box(200, 200, 260, 220), "14 m", room) is None


def test_the_command_draws_from_the_kept_answer(
    painted: Material, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Grid and timeline need no imagery; the caption stands beside the picture and in it."""
    detections = replace(painted[0], site="tumangang")
    kept = tmp_path / "detections.json"
    kept.write_text(document.dumps(document.to_document(detections)), encoding="utf-8")
    out = tmp_path / "grid.png"
    assert run(["figure", str(kept), "--template", "track-grid", "--language", "de", "--out", str(out)]) == 0
    assert "grid.png" in capsys.readouterr().out
    words = out.with_suffix(".txt").read_text(encoding="utf-8")
    assert "Alternativtext:" in words
    with Image.open(out) as image:
        image.load()
        assert str(image.info["Title"]) in words
        assert image.info["dpi"][0] == pytest.approx(144, abs=0.5)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--out", "a.jpg"], "PNG"),
        (["--out", "a.png", "--aoi", "khasan", "--template", "timeline"], "is the area khasan"),
        (["--out", "a.png", "--template", "timeline"], "--aoi"),
    ],
)
def test_bad_orders_are_one_line(
    painted: Material, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str],
    arguments: list[str], word: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    Path("detections.json").write_text(document.dumps(document.to_document(painted[0])), encoding="utf-8")
    assert run(["figure", "detections.json", *arguments]) == 2
    error = capfd.readouterr().err
    assert word in error and error.count("\n") == 1
    assert not Path("a.png").exists()


def test_a_sun_that_the_picture_contradicts_is_not_drawn(painted: Material, monkeypatch: pytest.MonkeyPatch) -> None:
    detections, site, stacks = painted
    scenes = [replace(scene, notes=(*scene.notes, SUN_ELSEWHERE)) for scene in detections.scenes]
    doubted = replace(detections, scenes=tuple(scenes))
    dials = []
    monkeypatch.setattr(furniture, "_sun_dial", lambda *_: dials.append(1))
    for template in TEMPLATES[:3]:
        make(doubted, site, stacks, order(painted, template))
    assert not dials and furniture.sun_of(scenes[0], site) is None
    make(detections, site, stacks, order(painted, "figure"))
    assert dials
