"""The page on paper."""

from __future__ import annotations

import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rail_watch.errors import BadInput
from rail_watch.report import pdf, write_reports
from tests import report_material as material
from tests.report_material import Look, Train

GSD = {"SkySat 1 m": 1.0}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    when = datetime(2022, 11, 29, 2, 11, tzinfo=UTC)
    looks = [
        Look(when, sensor="SkySat 1 m"),
        Look(when.replace(day=30), (Train(3, -60, 8),), sensor="SkySat 1 m"),
    ]
    site = material.yard(half=150.0)
    stacks = material.stacks_of(looks, gsd=GSD, half=150.0)
    folder = tmp_path_factory.mktemp("pdf")
    written = write_reports(material.detections_of(looks, site, gsd=GSD), site, stacks, folder)
    return written[-1].read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def made(page: str) -> bytes:
    try:
        return pdf.pdf(page)
    except BadInput as fault:
        pytest.skip(str(fault))


def test_the_same_page_gives_the_same_bytes(page: str, made: bytes) -> None:
    assert made.startswith(b"%PDF-")
    assert pdf.pdf(page) == made


def test_the_pdf_holds_the_words_and_pictures(made: bytes, tmp_path: Path) -> None:
    if shutil.which("pdftotext") is None:
        pytest.skip("no pdftotext; Debian: apt-get install poppler-utils")
    path = tmp_path / "report.pdf"
    path.write_bytes(made)
    text = subprocess.run(["pdftotext", str(path), "-"], capture_output=True, check=True).stdout.decode()
    plain = " ".join(text.split())
    for words in ("Key findings", "SIMULATED", "What could not be seen", "Method and detection limits", "Provenance"):
        assert words in plain
    assert "Swipe between" not in plain
    images = subprocess.run(["pdfimages", "-list", str(path)], capture_output=True, check=True).stdout.decode()
    assert images.count("jpeg") >= 2


def test_no_address_is_asked_and_no_file_read(tmp_path: Path, made: bytes) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("not for paper")
    hostile = (
        f'<img src="file://{secret}"><img src="http://127.0.0.1:9/x.png"><link rel=attachment href="file://{secret}">'
    )
    assert b"not for paper" not in pdf.pdf(f"<html><body>{hostile}<p>x</p></body></html>")


def test_without_weasyprint_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "weasyprint", None)
    with pytest.raises(BadInput, match=r"rail-watch\[pdf\]"):
        pdf.check()
