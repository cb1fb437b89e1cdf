"""Report pictures: made from painted yards, read back, compared."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from shapely import LineString

from rail_watch.aoi.site import Site
from rail_watch.observe.records import Detections
from rail_watch.prepare.stack import Stack
from rail_watch.report import write_reports
from rail_watch.report.caption import pair_caption
from tests import report_material as material
from tests.report_material import Look, Train

GOLDEN = Path(__file__).parent / "golden"
HALF = 150.0
START = datetime(2022, 11, 29, 2, 11, tzinfo=UTC)
GSD = {"SkySat 1 m": 1.0}


def looks() -> list[Look]:
    """Empty; a train and cargo, partly under cloud; the train and the cargo gone."""
    trains = (Train(3, -60, 8), Train(1, -120, 5))
    return [
        Look(START, sensor="SkySat 1 m", gain=1.2),
        Look(START + timedelta(days=1), trains, fill=0.6, cloud=0.4, sensor="SkySat 1 m"),
        Look(START + timedelta(days=2), (replace(trains[1], change="standing"),), sensor="SkySat 1 m", gain=0.9),
    ]


Material = tuple[Detections, Site, Mapping[str, Stack]]


@pytest.fixture(scope="module")
def painted() -> Material:
    site = material.yard(half=HALF)
    stacks = material.stacks_of(looks(), gsd=GSD, half=HALF)
    return material.detections_of(looks(), site, gsd=GSD), site, stacks


@pytest.fixture(scope="module")
def written(painted: Material, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_reports(*painted, tmp_path_factory.mktemp("report"))


def text_chunks(path: Path) -> dict[str, str]:
    with Image.open(path) as image:
        image.load()
        return dict(image.info)  # type: ignore[arg-type]


def test_each_date_gets_a_figure_and_each_picture_its_caption(written: list[Path]) -> None:
    assert [path.name for path in written] == [
        "overview.png",
        "overview.txt",
        "2022-11-30-0211-skysat-1-m.png",
        "2022-11-30-0211-skysat-1-m.txt",
        "2022-12-01-0211-skysat-1-m.png",
        "2022-12-01-0211-skysat-1-m.txt",
        "report.html",
    ]
    assert all(path.stat().st_size > 0 for path in written)


def test_the_same_input_gives_the_same_bytes(painted: Material, written: list[Path], tmp_path: Path) -> None:
    again = write_reports(*painted, tmp_path)
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in written]


def test_a_users_matplotlib_settings_change_nothing(painted: Material, written: list[Path], tmp_path: Path) -> None:
    import matplotlib as mpl

    with mpl.rc_context({"font.size": 30, "lines.linewidth": 9, "text.color": "red", "savefig.dpi": 30}):
        detections, site, stacks = painted
        again = write_reports(replace(detections, observations=()), site, stacks, tmp_path)
    plain = write_reports(replace(detections, observations=()), site, stacks, tmp_path / "plain")
    assert again[0].read_bytes() == plain[0].read_bytes()


def test_captions_say_what_is_seen_and_what_cannot_be_told(written: list[Path]) -> None:
    text = written[3].read_text()
    assert "Figure 2. Close-up of Painted yard on November 30, 2022, 02:11 UTC (11:11 Asia/Pyongyang)." in text
    assert "Train, about 8 railcars, 111 m" in text
    assert "Track 4" in text
    assert "cannot be determined" in text
    assert "could not be seen and may hide more" in text
    assert "Compared with the previous clear look of the same sensor, on 29 Nov 2022" in text
    assert "Painted for a test" in text


@pytest.mark.parametrize(
    ("counted", "words"),
    [(True, "their number follows from the length"), (False, "how many there are cannot be determined")],
)
def test_of_cars_that_cannot_be_told_apart_a_number_is_explained_only_where_one_is_given(
    counted: bool, words: str
) -> None:
    site = material.yard()
    run = material.detections_of([Look(START, (Train(3, -60, 8),), sensor="coarse")], site, gsd={"coarse": 10.0})
    (train,) = run.observations
    seen = train if counted else replace(train, railcars=None, railcars_95=None)
    text = pair_caption(site, (run.scenes[0], None), [seen], number=1, hidden=0.0).text()
    assert f"Single railcars cannot be told apart at 10 m; {words}." in text


def test_what_has_gone_is_told(written: list[Path]) -> None:
    text = written[5].read_text()
    assert "The cargo (about 1,100 m²) seen on 30 Nov 2022 on Cargo pad is gone." in text


def test_metadata_carries_the_caption_and_nothing_that_varies(written: list[Path]) -> None:
    words = text_chunks(written[2])
    assert words["Title"].startswith("Figure 2. Close-up of Painted yard")
    assert "Train, about 8 railcars" in words["Description"]
    assert words["Source"] == "Imagery: Painted for a test. Annotation: rail-watch."
    assert set(words) == {"Title", "Description", "Source", "Comment", "SIMULATED", "dpi"}
    assert words["dpi"] == pytest.approx((200, 200), abs=0.1)


@pytest.mark.parametrize("index", [0, 2, 4])
def test_simulated_is_said_everywhere(written: list[Path], index: int) -> None:
    assert "SIMULATED" in text_chunks(written[index])
    assert written[index + 1].read_text().startswith("SIMULATED")
    with Image.open(written[index]) as image:
        band = np.asarray(image)[:62]
    assert (band.max(axis=2) < 40).mean() > 0.4  # the black band, whatever stands on it


def test_real_imagery_is_not_called_simulated(painted: Material, tmp_path: Path) -> None:
    detections, site, stacks = painted
    real = replace(detections, scenes=tuple(replace(scene, simulated=False) for scene in detections.scenes))
    for path in write_reports(real, site, stacks, tmp_path):
        assert b"SIMULATED" not in path.read_bytes()


def test_the_mark_spares_the_objects(painted: Material, tmp_path: Path) -> None:
    from rail_watch.report.watermark import marked

    rgb = np.full((300, 1200, 3), 120, dtype=np.uint8)
    spare = np.zeros((300, 1200), dtype=bool)
    spare[100:200, 300:900] = True
    result = marked(rgb, spare)
    assert (result[spare] == 120).all()
    assert (result[~spare] != 120).any(axis=1).mean() > 0.05


@pytest.mark.parametrize("index", [0, 2, 4])
def test_pictures_look_as_they_did(written: list[Path], index: int) -> None:
    """Compare with a quarter-size picture kept beside the tests (RAIL_WATCH_RENEW_GOLDEN=1 writes them anew)."""
    with Image.open(written[index]) as image:
        small = np.asarray(image.convert("RGB").resize((image.width // 4, image.height // 4), Image.Resampling.BOX))
    golden = GOLDEN / f"report-{written[index].name}"
    if os.environ.get("RAIL_WATCH_RENEW_GOLDEN"):
        golden.parent.mkdir(exist_ok=True)
        Image.fromarray(small).quantize(96).save(golden, optimize=True)
    with Image.open(golden) as image:
        kept = np.asarray(image.convert("RGB"))
    assert small.shape == kept.shape
    difference = np.abs(small.astype(int) - kept).max(axis=2)
    assert (difference > 48).mean() < 0.01
    assert difference.mean() < 4


def test_no_track_means_a_change_figure(tmp_path: Path) -> None:
    """A site without tracks: north up, changes outlined, no track names, no train words."""
    site = material.yard(half=HALF, tracks=0)
    stacks = material.stacks_of(looks(), gsd=GSD, half=HALF, tracks=0)
    found = material.detections_of(looks(), site, gsd=GSD)
    changed = tuple(
        replace(one, kind="change", track=None, tracks=(), apron=None, length_m=None, railcars=None, area_m2=432.0)
        for one in found.observations
    )
    paths = write_reports(replace(found, observations=changed), site, stacks, tmp_path)
    assert len(paths) == 7
    text = paths[3].read_text()
    assert "Change, about 430 m²" in text
    assert "The cause of the outlined changes" in text
    assert "railcar" not in text


def test_no_earlier_look_gives_a_single_picture(painted: Material, tmp_path: Path) -> None:
    detections, site, stacks = painted
    only = replace(detections, scenes=detections.scenes[1:2])
    paths = write_reports(only, site, stacks, tmp_path)
    assert "No earlier clear look" in paths[3].read_text()


def test_a_scene_missing_from_the_stacks_is_left_to_the_overview(painted: Material, tmp_path: Path) -> None:
    detections, site, _ = painted
    names = [path.name for path in write_reports(detections, site, {}, tmp_path)]
    assert names == ["overview.png", "overview.txt", "report.html"]


HOSTILE = [
    "$\\frac{1}{0}$ & <b>_x^2_</b> %s {0}",
    "line\nbreak\ttab\x00nul\x1b[31m",
    "\u202eright to left\u2066\u200f",
    "W" * 3000,
    "두만강 1번선",
    "Zalgo" + "\u0301" * 400,
    "\ud800 lone surrogate",
    "",
]


@pytest.mark.parametrize("first", [0, 3, 6])
def test_hostile_names_are_only_letters(painted: Material, tmp_path: Path, first: int) -> None:
    detections, site, stacks = painted
    name = HOSTILE[first]
    tracks = tuple(
        replace(track, name=other) for track, other in zip(site.tracks, HOSTILE[first:] + HOSTILE, strict=False)
    )
    site = replace(site, name=name, tracks=tracks, timezone=f"../{name[:20]}")
    scenes = tuple(replace(scene, credit=name, sensor=name, reason=name) for scene in detections.scenes)
    observations = tuple(replace(one, text=name) for one in detections.observations[:1])
    hostile = replace(detections, scenes=scenes[:2], observations=observations, summary=(name,), warnings=(name,))
    paths = write_reports(hostile, site, stacks, tmp_path)
    assert {path.parent for path in paths} == {tmp_path}
    assert all(path.name.isascii() and len(path.name) < 80 for path in paths)
    for path in paths:
        if path.suffix == ".png":
            with Image.open(path) as image:
                assert image.width <= 2200
        else:
            text = path.read_text(encoding="utf-8")
            assert not {"\x00", "\x1b", "\u202e", "\u2066"} & set(text)


@pytest.mark.parametrize("count", [1, 3, 110])
def test_the_overview_holds_any_number_of_looks(tmp_path: Path, count: int) -> None:
    site = material.yard()
    many = [Look(START + timedelta(days=n), (Train(n % 6, 0, 5),), cloud=0.4 * (n % 3 == 1)) for n in range(count)]
    found = material.detections_of(many, site, gsd={"SkySat 0.5 m": 0.5})
    paths = [path for path in write_reports(found, site, {}, tmp_path) if path.suffix == ".png"]
    assert len(paths) == -(-count // 52)
    for path in paths:
        with Image.open(path) as image:
            assert image.width <= 2200


def test_occupied_empty_and_unseen_differ_in_grey_and_in_pattern() -> None:
    from rail_watch.report.page import house_style
    from rail_watch.report.sheet import tile

    with house_style():
        shown = {state: tile(state, 0, 100, 44).mean(axis=2) for state in ("occupied", "empty", "unknown")}
    medians = sorted(float(np.median(pixels)) for pixels in shown.values())
    assert min(np.diff(medians)) > 30
    assert shown["unknown"].std() > 15  # hatched, not plain grey


def test_figures_are_capped_and_movements_come_first(
    painted: Material, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from rail_watch.report import reports

    monkeypatch.setattr(reports, "MOST_FIGURES", 1)
    assert len(write_reports(*painted, tmp_path)) == 5


def test_a_track_of_one_point_far_away_does_no_harm(painted: Material, tmp_path: Path) -> None:
    detections, site, stacks = painted
    stray = replace(site.tracks[0], id="stray", line=LineString([(130.0, 42.0), (130.0001, 42.0)]))
    paths = write_reports(detections, replace(site, tracks=(*site.tracks, stray)), stacks, tmp_path)
    assert len(paths) == 7
