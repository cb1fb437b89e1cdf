"""The page of a run: read back by an HTML parser, as a browser would."""

from __future__ import annotations

import base64
import hashlib
import io
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from rail_watch.aoi.site import Site
from rail_watch.observe.records import Detections
from rail_watch.prepare.stack import Stack
from rail_watch.report import html, write_reports
from tests import report_material as material
from tests.report_material import Look, Train

START = datetime(2022, 11, 29, 2, 11, tzinfo=UTC)
GSD = {"SkySat 1 m": 1.0}
EVIL = "</script><script>alert(1)</script>\"'><img src=x onerror=alert(1)>\u202e\x00"
VOID = {"meta", "img", "br", "input", "link"}


class Read(HTMLParser):
    """Elements with their attributes, the text of each tag, and whether every tag was closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[str, dict[str, str]]] = []
        self.texts: dict[str, list[str]] = {}
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)
            self.texts.setdefault(tag, []).append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        for tag in set(self.open):
            self.texts[tag][-1] += data

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attrs for name, attrs in self.found if name == tag]


def looks() -> list[Look]:
    """Empty; a train and cargo, partly under cloud; nothing to be seen; gone."""
    trains = (Train(3, -60, 8), Train(1, -120, 5))
    return [
        Look(START, sensor="SkySat 1 m"),
        Look(START + timedelta(days=1), trains, fill=0.6, cloud=0.4, sensor="SkySat 1 m"),
        Look(START + timedelta(days=2), cloud=0.95, sensor="SkySat 1 m", skipped=True),
        Look(START + timedelta(days=3), sensor="SkySat 1 m"),
    ]


Material = tuple[Detections, Site, Mapping[str, Stack]]


@pytest.fixture(scope="module")
def painted() -> Material:
    site = material.yard(half=150.0)
    found = replace(material.detections_of(looks(), site, gsd=GSD), parameters={"false_alarm_rate": 0.01})
    return found, site, material.stacks_of(looks(), gsd=GSD, half=150.0)


@pytest.fixture(scope="module")
def written(painted: Material, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = write_reports(*painted, tmp_path_factory.mktemp("page"))[-1]
    assert path.name == "report.html" and path.stat().st_size < 6_000_000
    return path.read_text(encoding="utf-8")


def test_the_page_needs_no_other_address(written: str) -> None:
    read = Read(written)
    assert read.open == []
    for _, attrs in read.found:
        assert not {"srcset", "style", "action", "data", "poster"} & set(attrs)
        assert not [name for name in attrs if name.startswith("on")]
        assert attrs.get("src", "data:image/webp;base64,").startswith("data:image/webp;base64,")
        assert attrs.get("href", "#").startswith("#")
    assert not read.all("link") and "url(" not in written and "@import" not in written
    assert not re.search(r"https?://", written)


def test_links_within_lead_somewhere(written: str) -> None:
    read = Read(written)
    ids = [attrs["id"] for _, attrs in read.found if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert {attrs["href"][1:] for attrs in read.all("a")} <= set(ids)
    assert {attrs["aria-labelledby"] for _, attrs in read.found if "aria-labelledby" in attrs} <= set(ids)


def test_the_policy_allows_this_style_and_this_script_alone(written: str) -> None:
    read = Read(written)
    [policy] = [attrs["content"] for attrs in read.all("meta") if attrs.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'") and "unsafe" not in policy
    for tag in ("style", "script"):
        [text] = read.texts[tag]
        assert base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() in policy


def test_pictures_are_small_and_told_in_words(written: str) -> None:
    images = Read(written).all("img")
    assert len(images) == 3
    for attrs in images:
        assert len(attrs["alt"]) > 30
        with Image.open(io.BytesIO(base64.b64decode(attrs["src"].partition(",")[2]))) as image:
            assert image.size == (int(attrs["width"]), int(attrs["height"])) and image.width <= 1400


def test_pictures_to_swipe_are_of_one_size(written: str) -> None:
    boxes = [attrs for attrs in Read(written).all("div") if "data-before" in attrs]
    assert len(boxes) == 2
    for attrs in boxes:
        sizes = []
        for name in ("data-before", "data-after"):
            left, top, right, bottom = map(float, attrs[name].split())
            assert 0 <= left < right <= 1 and 0 <= top < bottom <= 1
            sizes.append((right - left, bottom - top))
        assert sizes[0] == pytest.approx(sizes[1], abs=1e-5)


def test_three_states_differ_in_sign_class_and_words(written: str) -> None:
    cells = re.findall(
        r'<td class="cell (\w+)( partly)?" title="([^"]*)"><span aria-hidden="true">([^<]*)</span>', written
    )
    assert len(cells) == 4 * 7
    by_state = {state: {sign[0] for kind, _, _, sign in cells if kind == state} for state, *_ in cells}
    assert by_state == {"occupied": {"▬"}, "empty": {"○"}, "unknown": {"?"}}
    assert ("occupied", " partly", "occupied, 111 m of train, only 60 % of it seen", "▬ 111") in cells
    assert sum(kind == "unknown" for kind, *_ in cells) == 7
    assert all("cloud over the site" in words for kind, _, words, _ in cells if kind == "unknown")


def test_what_was_not_seen_is_told_and_is_no_absence(written: str) -> None:
    unseen = written.partition('id="unseen"')[2].partition("</section>")[0]
    assert "cloud over the site" in unseen and "the whole site" in unseen
    assert "None of this is evidence of absence." in unseen
    assert "1 %" in written.partition('id="method"')[2].partition("</section>")[0]


def test_simulated_stands_on_top(written: str, painted: Material) -> None:
    assert Read(written).texts["title"][0].startswith("SIMULATED: ")
    assert "<strong>SIMULATED</strong> imagery: made by a computer" in written.partition("<header>")[0]
    detections, site, _ = painted
    real = replace(detections, scenes=tuple(replace(one, simulated=False, credit="x") for one in detections.scenes))
    assert "SIMULATED" not in html.page(real, site, [])


def test_the_same_input_gives_the_same_bytes(painted: Material, written: str, tmp_path: Path) -> None:
    assert write_reports(*painted, tmp_path)[-1].read_text(encoding="utf-8") == written


def test_hostile_words_stay_words(painted: Material, tmp_path: Path) -> None:
    detections, site, stacks = painted
    site = replace(
        site,
        name=EVIL,
        source=EVIL,
        tracks=tuple(replace(one, name=EVIL) for one in site.tracks),
        aprons=tuple(replace(one, name=EVIL) for one in site.aprons),
    )
    scenes = tuple(
        replace(
            one, credit=EVIL, reason=EVIL, platform=EVIL, sensor=EVIL, notes=(EVIL,), activity=EVIL,
            digests={EVIL: EVIL},
            tracks=tuple(replace(look, reason=EVIL) for look in one.tracks),
        )
        for one in detections.scenes
    )  # fmt: skip
    observations = tuple(replace(one, text=EVIL, likelihood=EVIL) for one in detections.observations)
    hostile = replace(
        detections, scenes=scenes, observations=observations, summary=(EVIL,), warnings=(EVIL,),
        software={EVIL: EVIL}, parameters={EVIL: [EVIL], "false_alarm_rate": EVIL}, aoi_digest=EVIL, site_name=EVIL,
    )  # fmt: skip
    text = write_reports(hostile, site, stacks, tmp_path)[-1].read_text(encoding="utf-8")
    read = Read(text)
    assert len(read.all("script")) == 1 and "alert" not in read.texts["script"][0]
    assert len(read.all("img")) == 3
    assert not [name for _, attrs in read.found for name in attrs if name.startswith("on")]
    assert not {"\u202e", "\x00"} & set(text)


def test_hostile_ids_stay_words(painted: Material) -> None:
    detections, site, _ = painted
    scenes = tuple(replace(one, id=EVIL) for one in detections.scenes[:1])
    found = replace(detections, scenes=scenes, observations=(replace(detections.observations[0], scene=EVIL),))
    assert len(Read(html.page(found, replace(site, id=EVIL, name=""), [])).all("script")) == 1


def _luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(one: str, other: str) -> float:
    high, low = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_text_has_the_contrast_of_wcag_aa(written: str) -> None:
    themes = re.findall(r":root \{(.*?)\n\s*\}", written, re.DOTALL)
    assert len(themes) == 3
    for theme in themes:
        of = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", theme))
        grounds = [of["ground"], of["box"]]
        pairs = [(of[ink], ground) for ink in ("ink", "faint", "link") for ground in grounds]
        pairs += [(of["on-full"], of["full"]), (of["on-hatch"], of["hatch-a"]), (of["on-hatch"], of["hatch-b"])]
        assert min(_contrast(*pair) for pair in pairs) >= 4.5
        assert min(_contrast(of["full"], ground) for ground in (of["ground"], of["hatch-a"])) >= 3


def test_a_site_without_tracks_tells_changes(painted: Material) -> None:
    detections, site, _ = painted
    bare = replace(site, tracks=(), bridges=(), aprons=())
    scenes = tuple(replace(one, tracks=(), aprons=()) for one in detections.scenes)
    change = replace(detections.observations[0], kind="change", track=None, tracks=(), change="unknown")
    text = html.page(replace(detections, scenes=scenes, observations=(change,)), bare, [])
    assert "ground has changed" in text and "no change seen" in text and "The site" in text
    assert Read(text).open == []
