"""Every language says what the English text says, with the same gaps, and its letters can be drawn."""

from __future__ import annotations

import json
import re
import string
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from shapely import box

from rail_watch.errors import BadInput
from rail_watch.interpret.looks import REASONS, TOO_SHORT
from rail_watch.observe.assemble import UNSURE_REASON
from rail_watch.observe.moving import COMPASS
from rail_watch.observe.records import Observation
from rail_watch.observe.sentences import text_of
from rail_watch.observe.words import TERMS
from rail_watch.report import fonts, write_reports
from rail_watch.report.caption import day, sentence, short_day, told
from rail_watch.report.language import LANGUAGES, catalogue, number, plural, say, spoken
from rail_watch.report.names import drawable
from rail_watch.report.page import Ink, fit_size, wrap
from tests import report_material as material
from tests.report_material import Look, Train

OTHERS = [code for code in LANGUAGES if code != "en"]
WHEN = datetime(2022, 11, 30, 2, 11, tzinfo=UTC)


def have_letters(code: str) -> bool:
    try:
        fonts.needed(code)
    except BadInput:
        return False
    return True


DRAWN = [
    pytest.param(
        code, marks=pytest.mark.skipif(not have_letters(code), reason="no font: apt-get install fonts-noto-cjk")
    )
    for code in LANGUAGES
]


def texts(of: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Every message by section and name; plural forms one by one."""
    for section, messages in of.items():
        for name, message in messages.items():
            forms = (
                message.values() if isinstance(message, dict) else message if isinstance(message, list) else [message]
            )
            for form in forms:
                yield f"{section}.{name}", form


def gaps(text: str) -> set[str]:
    return {f"{name}:{form}" for _, name, form, _ in string.Formatter().parse(text) if name is not None}


@pytest.mark.parametrize("code", OTHERS)
def test_every_language_has_every_message_and_no_other(code: str) -> None:
    english, other = catalogue("en"), catalogue(code)
    assert {s: set(m) for s, m in english.items()} == {s: set(m) for s, m in other.items()}


@pytest.mark.parametrize("code", OTHERS)
def test_every_message_has_the_gaps_of_the_english_one(code: str) -> None:
    wanted: dict[str, set[str]] = {}
    for key, text in texts(catalogue("en")):
        wanted.setdefault(key, set()).update(gaps(text))
    for key, text in texts(catalogue(code)):
        assert text, key
        assert gaps(text) == wanted[key], key


@pytest.mark.parametrize("code", LANGUAGES)
def test_plural_forms_are_those_of_the_language(code: str) -> None:
    forms = {plural(code, n) for n in (0, 1, 2, 5, 100)}
    for section, messages in catalogue(code).items():
        for name, message in messages.items():
            if isinstance(catalogue("en")[section][name], dict):
                assert set(message) == forms, f"{section}.{name}"
            if name in ("months", "short") and section == "date":
                assert len(message) == 12
    assert plural("fr", 0) == "one"
    assert plural("de", 0) == "other"


@pytest.mark.parametrize(("code", "words"), [("en", "1 railcar "), ("fr", "1 wagon "), ("es", "1 vagón ")])
def test_a_train_of_one_car_is_told_in_the_singular(code: str, words: str) -> None:
    with spoken(code):
        assert words in say("sight.train_cars", n=1, low=1, high=3, length="14", place="Track 1")


def test_fixed_words_of_the_answer_are_all_translated() -> None:
    for code in LANGUAGES:
        words = catalogue(code)
        assert {term for _, _, term in TERMS} == set(words["likelihood"])
        assert {*REASONS.values(), TOO_SHORT, UNSURE_REASON} <= set(words["reason"])
        assert set(COMPASS) == set(words["compass"])


@pytest.mark.parametrize("code", LANGUAGES)
def test_simulated_is_said_in_every_language(code: str) -> None:
    with spoken(code):
        assert "SIMULATED" in say("caption.simulated")
        assert "SIMULATED" in say("figure.band")


FORBIDDEN = {
    "en": r"the same train|weapons|ammunition|confirmed|proves",
    "ko": r"같은 열차|동일한? 열차|무기|탄약|확인되었",
    "ja": r"同じ列車|同一の列車|武器|弾薬|断定",
    "fr": r"le même train|\barmes\b|munitions|confirmé",
    "de": r"derselbe Zug|desselben Zuges|Waffen|Munition|bestätigt",
    "es": r"el mismo tren|\barmas\b|munición|confirmado",
}


@pytest.mark.parametrize("code", LANGUAGES)
def test_no_language_is_surer_than_english(code: str) -> None:
    for key, text in texts(catalogue(code)):
        assert not re.search(FORBIDDEN[code], text), key


def observation(**more: Any) -> Observation:
    plain: dict[str, Any] = dict(
        id="a", kind="train", site="yard", scene="s", when=WHEN, geometry=box(0, 0, 1, 1), track="t1", tracks=("t1",),
        apron=None, start_m=0.0, end_m=110.0, length_m=110.0, length_m_95=(94.0, 135.0), railcars=8,
        railcars_95=(7, 11), cars=(), area_m2=None, area_m2_95=None, height_m=None, p_value=0.001,
        likelihood="very likely", change="arrived", last_clear_before=WHEN, first_seen=WHEN, same_as=None,
        same_as_p=None,
    )  # fmt: skip
    return Observation(**(plain | more))


def cargo(**more: Any) -> Observation:
    return observation(
        kind="cargo", track=None, tracks=(), apron="pad", length_m=None, railcars=None, area_m2=59.0, **more
    )


SEEN = [
    observation(),
    observation(railcars=None, railcars_95=None),
    observation(kind="train-on-bridge"),
    observation(last_clear_before=None),
    observation(change="standing"),
    cargo(),
    cargo(height_m=2.5, height_m_95=(2.0, 3.1)),
    cargo(change="standing", area_m2_95=(50.0, 70.0), area_m2_before_95=(20.0, 30.0)),
    cargo(change="standing", area_m2_95=(10.0, 15.0), area_m2_before_95=(20.0, 30.0)),
    cargo(change="standing", area_m2_95=(25.0, 35.0), area_m2_before_95=(20.0, 30.0)),
    cargo(change="standing"),
    observation(kind="change", track=None, tracks=(), length_m=None, railcars=None, area_m2=108.0),
]


@pytest.mark.parametrize("one", SEEN)
def test_the_catalogue_says_in_english_what_the_answer_says(one: Observation) -> None:
    """What the other languages are translated from is what `observe` writes, but for dates and names of places."""
    site = material.yard()
    own = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", "WHEN", text_of(one, site, site_names={}))
    from_catalogue = told(one, site).replace("30 Nov 2022, 02:11 UTC", "WHEN")
    assert from_catalogue.lower() == own.lower()


@pytest.mark.parametrize("code", OTHERS)
@pytest.mark.parametrize("one", SEEN)
def test_numbers_of_a_sentence_are_the_same_in_every_language(one: Observation, code: str) -> None:
    site = material.yard()
    plain = [int(digits) for digits in re.findall(r"\d+", re.sub(r"30 Nov 2022, 02:11 UTC", "", told(one, site)))]
    with spoken(code):
        text = sentence(replace(one, text="An English sentence."), site)
        text = text.replace(short_day(WHEN), "").replace("02:11 UTC", "")
    assert sorted(int(digits) for digits in re.findall(r"\d+", text)) == sorted(plain)
    assert "English" not in text


def test_dates_and_numbers_are_those_of_the_language() -> None:
    wanted = {
        "en": ("November 30, 2022", "1,234.5"),
        "ko": ("2022년 11월 30일", "1,234.5"),
        "ja": ("2022年11月30日", "1,234.5"),
        "fr": ("30 novembre 2022", "1\u00a0234,5"),
        "de": ("30. November 2022", "1.234,5"),
        "es": ("30 de noviembre de 2022", "1\u00a0234,5"),
    }
    for code, (date, value) in wanted.items():
        with spoken(code):
            assert day(WHEN) == date
            assert number(1234.5, ",.1f") == value


def test_values_are_never_read_as_gaps() -> None:
    assert say("caption.uncredited", platform="{site}{0}").startswith("{site}{0}")


@pytest.mark.parametrize("code", DRAWN)
def test_every_letter_of_a_language_can_be_drawn(code: str) -> None:
    with spoken(code):
        for key, text in texts(catalogue(code)):
            if not key.startswith("page."):
                assert "\u25a1" not in drawable(text, limit=4000), key


def test_a_missing_font_is_said_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fonts, "_installed", dict)
    with pytest.raises(BadInput, match="fonts-noto-cjk"):
        fonts.needed("ko")
    assert fonts.needed("de") == ()


@pytest.mark.parametrize("code", [p for p in DRAWN if p.values[0] in ("ja", "ko")])
def test_lines_are_broken_as_the_language_breaks_them(code: str) -> None:
    with spoken(code):
        text = say("cannot.carry") + say("cannot.between")
        lines = wrap(text, Ink(8), 300)
        assert len(lines) > 3
        assert all(fit_size(line, Ink(8))[0] <= 301 for line in lines)
        assert not any(line[0] in "、。" for line in lines)
        assert "".join(lines).replace(" ", "") == text.replace(" ", "")


@pytest.mark.parametrize("code", [p for p in DRAWN if p.values[0] in ("ko", "de")])
def test_a_report_in_another_language(code: str, tmp_path: Path) -> None:
    half, gsd = 150.0, {"SkySat 1 m": 1.0}
    looks = [
        Look(WHEN, sensor="SkySat 1 m"),
        Look(WHEN.replace(day=1, month=12), (Train(3, -60, 8),), sensor="SkySat 1 m"),
    ]
    site, stacks = material.yard(half=half), material.stacks_of(looks, gsd=gsd, half=half)
    with spoken(code):
        written = write_reports(material.detections_of(looks, site, gsd=gsd), site, stacks, tmp_path)
        carry = say("cannot.carry")
    page = written[-1].read_text(encoding="utf-8")
    assert f'<html lang="{code}">' in page
    assert catalogue(code)["page"]["key"] in page
    assert "Key findings" not in page
    assert "SIMULATED</strong> SIMULATED" not in page
    figure = next(path for path in written if path.name.startswith("2022-12-01") and path.suffix == ".png")
    with Image.open(figure) as image:
        image.load()
        assert carry in json.dumps(dict(image.info), ensure_ascii=False, default=str)
    assert carry in figure.with_suffix(".txt").read_text(encoding="utf-8")
