"""Bundles that are hostile, or of the wrong kind, are refused in one line and write nothing outside."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from bundle_material import edited, packed, refused

from rail_watch.evidence import crate
from rail_watch.evidence.container import Member

# ---- what is hostile ----------------------------------------------------------------------------------------------


def foreign(path: Path, members: list[tuple[str, bytes, dict[str, Any]]]) -> Path:
    """Write a zip file as another program would."""
    path.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(path, "w") as file:
        for name, data, attributes in members:
            info = zipfile.ZipInfo(name)
            info.external_attr = 0o100644 << 16
            for key, value in attributes.items():
                setattr(info, key, value)
            file.writestr(info, data)
    return path


@pytest.mark.parametrize(
    ("name", "attributes", "word"),
    [
        ("../out.txt", {}, "no plain relative path"),
        ("a/../../out.txt", {}, "no plain relative path"),
        ("/tmp/out.txt", {}, "no plain relative path"),
        ("C:\\out.txt", {}, "no plain relative path"),
        ("a\nb.txt", {}, "no plain relative path"),
        (".hidden", {}, "no plain relative path"),
        ("folder/", {}, "no plain relative path"),
        ("ü.txt", {}, "no plain relative path"),
        ("link", {"external_attr": 0o120777 << 16}, "a link"),
        ("device", {"external_attr": 0o060644 << 16}, "a link"),
        ("bomb.json", {"compress_type": zipfile.ZIP_DEFLATED}, "compressed"),
    ],
)
def test_hostile_members_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, attributes: dict[str, Any], word: str
) -> None:
    file = foreign(tmp_path / "in" / "x.zip", [(name, b"0" * 1_000_000, attributes)])
    assert word in refused(file, capsys)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("names", [("a.txt", "a.txt"), ("a.txt", "A.txt")])
def test_a_name_twice_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], names: tuple[str, str]) -> None:
    rows = [Member(name, 0, 0, 30 * number + 5 * number) for number, name in enumerate(names)]
    table = b"".join(one.central() for one in rows)
    start = rows[-1].end
    end = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 2, 2, len(table), start, 0)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "x.zip").write_bytes(b"".join(one.local() for one in rows) + table + end)
    assert "twice" in refused(tmp_path / "in" / "x.zip", capsys)


def test_files_that_overlap_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = Member("a.txt", 10, 0, 0)
    rows = [one, replace(one, name="b.txt")]
    table = b"".join(row.central() for row in rows)
    end = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 2, 2, len(table), one.end, 0)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "x.zip").write_bytes(one.local() + b"0" * 10 + table + end)
    assert "overlap" in refused(tmp_path / "in" / "x.zip", capsys)


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"", "not a bundle"),
        (b"not a zip at all, but long enough to be one", "not a bundle"),
        (struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 65535, 65535, 0, 0, 0), "claims 65535 files"),
        (struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 4000, 4000, 0, 0, 0), "ends too early"),
        (struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 1, 1, 2**32 - 1, 2**32 - 1, 0), "not where it must be"),
        (struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 0, 0, 0, 0, 0), "it has no manifest-sha256.txt"),
    ],
)
def test_what_is_no_bundle_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], data: bytes, word: str
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "x.zip").write_bytes(data)
    assert word in refused(tmp_path / "in" / "x.zip", capsys)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in").mkdir()
    assert "no such file" in refused(tmp_path / "in" / "none.zip", capsys)
    assert "not a regular file" in refused(tmp_path / "in", capsys)


@pytest.mark.parametrize("name", crate.NEEDED)
def test_missing_documents_are_named(
    loose: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    (loose / name).unlink()
    (tmp_path / "in").mkdir()
    assert f"has no {name}" in refused(packed(loose, tmp_path / "in" / "x.zip", listed=False), capsys)


def _in_scene(**changes: Any) -> Callable[[Any], Any]:
    return lambda item: item["rail_watch:reading"].update(changes)


def _in_asset(**changes: Any) -> Callable[[Any], Any]:
    return lambda item: item["assets"]["00"].update(changes)


def _in_band(**changes: Any) -> Callable[[Any], Any]:
    return lambda item: item["assets"]["00"]["rail_watch:reading"]["bands"][0].update(changes)


ITEM = "items/000-20231001_023000_small-t0.json"
WRONG: list[tuple[str, Callable[[Any], Any]]] = [
    (crate.CRATE, lambda _: [1]),
    (crate.HEAD, lambda _: [1]),
    (crate.HEAD, lambda head: head.update(schema="other")),
    (crate.HEAD, lambda head: head.update(observation=5)),
    (crate.HEAD, lambda head: head.update(scenes=3)),
    (crate.HEAD, lambda head: head.update(scenes=[{"item": "../../../etc/passwd", "tiles": []}])),
    (crate.HEAD, lambda head: head.update(scenes=[{"item": {}, "tiles": []}])),
    (crate.HEAD, lambda head: head.update(left_out=7)),
    (crate.HEAD, lambda head: head.pop("site_names") and None),
    (crate.RECORD, lambda _: 5),
    (crate.RECORD, lambda record: record.update(observations=[])),
    (crate.RECORD, lambda record: record.update(parameters={"false_alarm_rate": "1", "datetime": [None, None]})),
    (crate.RECORD, lambda record: record.update(parameters={"false_alarm_rate": 0.01, "datetime": ["x", {}]})),
    (crate.RECORD, lambda record: record["scenes"][0].update(sha256=[1])),
    (crate.AREA, lambda _: {"type": "FeatureCollection"}),
    (ITEM, lambda _: 3),
    (ITEM, lambda item: item.update(id="../x")),
    (ITEM, lambda item: item.update(geometry={"type": "Polygon"})),
    (ITEM, lambda item: item.update(assets=None)),
    (ITEM, lambda item: item["properties"].update(datetime=5)),
    (ITEM, _in_scene(gsd_m="x")),
    (ITEM, _in_scene(properties=None)),
    (ITEM, _in_asset(href="/etc/passwd")),
    (ITEM, _in_asset(href="../../outside.tif")),
    (ITEM, _in_asset(href="https://example.org/a.tif")),
    (ITEM, _in_asset(href="/vsicurl/https://example.org/a.tif")),
    (ITEM, _in_asset(href="../bundle.json")),
    (ITEM, _in_asset(href="../pixels/none.tif")),
    (ITEM, _in_band(index="1")),
    (ITEM, _in_band(index=-1)),
    (ITEM, _in_band(rule="none")),
    (ITEM, _in_band(scale=None)),
]


@pytest.mark.parametrize("number", range(len(WRONG)))
def test_documents_of_the_wrong_kind_give_one_line(
    loose: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], number: int
) -> None:
    name, change = WRONG[number]
    edited(loose / name, change)
    (tmp_path / "in").mkdir()
    if name == crate.CRATE:
        told = _refused_crate(loose, tmp_path, capsys)
    else:
        told = refused(packed(loose, tmp_path / "in" / "x.zip"), capsys)
    assert "/rail-watch-" not in told  # the temporary folder


def _refused_crate(loose: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    lines = (loose / crate.MANIFEST).read_text(encoding="utf-8").splitlines()
    digests = {line[66:]: line[:64] for line in lines} | {crate.CRATE: crate.sha256(loose / crate.CRATE)}
    (loose / crate.MANIFEST).write_text(crate.manifest_text(digests), encoding="utf-8")
    return refused(packed(loose, tmp_path / "in" / "x.zip", listed=False), capsys)


def test_windows_that_claim_too_much_are_refused_before_they_are_read(
    loose: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rail_watch.evidence.enclose.MOST_VALUES", 1000)
    (tmp_path / "in").mkdir()
    assert "million values" in refused(packed(loose, tmp_path / "in" / "x.zip"), capsys)
