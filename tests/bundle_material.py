"""A small yard watched for a night, and the train of its archive bundled."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cli_material import write_aoi, write_series

from rail_watch.cli.main import run
from rail_watch.evidence import crate
from rail_watch.evidence.container import pack, unpack

EPOCH = "1697950800"


@dataclass(frozen=True)
class Made:
    folder: Path
    observation: str
    zip: Path
    bare: Path
    """The same without pixels."""


def outcome(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"SOURCE_DATE_EPOCH": EPOCH, "OMP_NUM_THREADS": "1"} | variables
    command = [sys.executable, "-m", "rail_watch", *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def make(folder: Path) -> Made:
    """Make a home that watches a small yard, one run done, and the train of its archive bundled twice."""
    write_aoi(folder / "small.geojson")
    write_series(folder / "imagery")
    named = ["--aoi", "small.geojson", "--source", "imagery"]
    steps = [["site", "add", "small-yard", *named], ["run", "--due"]]
    for step in steps:
        done = outcome(folder, "--home", "home", *step)
        assert done.returncode == 0, done.stderr
    (answer,) = (folder / "home" / "reports" / "small-yard").glob("*/detections.json")
    features = json.loads(answer.read_text(encoding="utf-8"))["observations"]["features"]
    name = next(one["id"] for one in features if one["properties"]["kind"] == "train")
    for out, more in (("a.zip", []), ("bare.zip", ["--without-pixels"])):
        done = outcome(folder, "--home", "home", "bundle", name, "--out", out, *more)
        assert done.returncode == 0, done.stderr
    return Made(folder, name, folder / "a.zip", folder / "bare.zip")


def unpacked(made: Made, tmp_path: Path) -> Path:
    """The bundle's files in a folder."""
    folder = tmp_path / "loose"
    folder.mkdir()
    unpack(made.zip, folder)
    return folder


def packed(folder: Path, out: Path, *, listed: bool = True) -> Path:
    """Pack a folder, its digests made right as a forger would."""
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    if listed:
        document = json.loads(files[crate.CRATE].read_text(encoding="utf-8"))
        for one in document["@graph"]:
            if one["@id"] in files and "sha256" in one:
                one["sha256"] = crate.sha256(files[one["@id"]])
        files[crate.CRATE].write_text(json.dumps(document), encoding="utf-8")
        digests = {name: crate.sha256(path) for name, path in files.items() if name != crate.MANIFEST}
        files[crate.MANIFEST].write_text(crate.manifest_text(digests), encoding="utf-8")
    return pack(files, out)


def edited(path: Path, change: Callable[[Any], Any]) -> None:
    document = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(change(document) or document), encoding="utf-8")


def refused(path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """Return the one line with which the program refuses a file."""
    before = {one for one in path.parent.parent.rglob("*")}
    assert run(["verify", str(path)]) == 2
    told = capsys.readouterr()
    assert told.out == "" and told.err.count("\n") == 1 and "Traceback" not in told.err
    assert {one for one in path.parent.parent.rglob("*")} == before
    return told.err
