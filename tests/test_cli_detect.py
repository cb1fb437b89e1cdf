"""`rail-watch detect` on a small series made in code."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import dataclass
from pathlib import Path

import jsonschema
import pytest
from cli_material import DAYS, TRAIN, aoi_document, write_aoi, write_series
from click.testing import CliRunner, Result

from rail_watch.cli.main import cli, run
from rail_watch.errors import BadInput
from rail_watch.observe.document import from_document, schema_path
from rail_watch.report import fonts, pdf


@dataclass(frozen=True)
class Ran:
    """One whole run with files."""

    aoi: Path
    source: Path
    out: Path
    result: Result


def detect(*arguments: object, **environment: str) -> Result:
    runner = CliRunner(env={"SOURCE_DATE_EPOCH": "1700000000", **environment})
    return runner.invoke(cli, ["detect", *map(str, arguments)])


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """`detect` once with a log and all files."""
    folder = tmp_path_factory.mktemp("detect")
    aoi, source, out = write_aoi(folder / "small.geojson"), write_series(folder / "imagery"), folder / "out"
    return Ran(aoi, source, out, detect("--aoi", aoi, "--source", source, "--out", out, "--exit-code"))


@pytest.fixture(scope="module")
def short(ran: Ran, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three of the scenes, the middle one broken."""
    folder = tmp_path_factory.mktemp("short")
    for day in DAYS[:3]:
        name = f"{day}_023000_small.tif"
        data = (ran.source / name).read_bytes()
        part = len(data) // 4
        (folder / name).write_bytes(data[:part] + bytes(part) + data[2 * part :] if day == DAYS[1] else data)
    return folder


def test_the_train_is_found_and_the_exit_code_says_so(ran: Ran) -> None:
    assert ran.result.exit_code == 10, ran.result.output
    document = json.loads((ran.out / "small-yard" / "detections.json").read_text(encoding="utf-8"))
    jsonschema.validate(document, json.loads(schema_path().read_text(encoding="utf-8")))
    trains = [f["properties"] for f in document["observations"]["features"]]
    assert {(t["kind"], t["track"], t["datetime"][:10]) for t in trains} == {("train", TRAIN[1], "2023-10-13")}
    assert document["created"] == "2023-11-14T22:13:20Z" and document["simulated"]
    assert [len(scene["tracks"]) for scene in document["scenes"]] == [2] * len(DAYS)
    assert from_document(document).site_name == "Small yard"


def test_every_file_is_there_and_no_half_ones(ran: Ran) -> None:
    folder = ran.out / "small-yard"
    names = {path.name for path in folder.iterdir()}
    assert {"detections.json", "observations.geojson", "overview.png"} <= names
    assert any(name.startswith("2023-10-13") and name.endswith(".png") for name in names)
    assert not [name for name in names if name.startswith(".")]
    assert stat.S_IMODE((folder / "detections.json").stat().st_mode) & 0o600 == 0o600
    geojson = json.loads((folder / "observations.geojson").read_text(encoding="utf-8"))
    document = json.loads((folder / "detections.json").read_text(encoding="utf-8"))
    assert geojson["features"] == document["observations"]["features"]


def test_the_log_reads_at_eighty_columns(ran: Ran) -> None:
    log = ran.result.stdout
    assert log.startswith("Small yard (small-yard)  SIMULATED imagery\n6 scenes judged\n")
    assert "2023-10-13 02:30 UTC  test-sat, 3 m  SIMULATED\n  [#] occupied  t1: " in log
    assert "  [ ] empty     t1, t2. A train of " in log
    assert all(len(line) <= 80 for line in log.splitlines()[:-1])
    assert "\x1b" not in log and "Summary\n" in log
    assert "  6 scenes: no cloud mask came with this scene" in log
    assert f"Reports: {ran.out / 'small-yard'}{os.sep}  (" in log.splitlines()[-1]


@pytest.fixture(scope="module")
def korean(ran: Ran, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same run, told in Korean and put on paper."""
    try:
        pdf.check()
        fonts.needed("ko")
    except BadInput as fault:
        pytest.skip(str(fault))
    out = tmp_path_factory.mktemp("korean")
    result = detect("--aoi", ran.aoi, "--source", ran.source, "--out", out, "--language", "ko", "--pdf", "-q")
    assert result.exit_code in (0, 3), result.output
    return out / "small-yard"


def test_language_changes_what_people_read_and_nothing_else(ran: Ran, korean: Path) -> None:
    english = ran.out / "small-yard"
    for name in ("detections.json", "observations.geojson"):
        assert (korean / name).read_bytes() == (english / name).read_bytes()
    pictures = {path.name for path in english.glob("*.png")}
    assert {path.name for path in korean.glob("*.png")} == pictures
    page = (korean / "report.html").read_text(encoding="utf-8")
    assert '<html lang="ko"' in page and "Small yard" in page and "2023년 10월 13일" in page
    for name in pictures:
        words = (korean / name).with_suffix(".txt").read_text(encoding="utf-8")
        assert any("가" <= letter <= "힣" for letter in words), name
        assert (korean / name).read_bytes() != (english / name).read_bytes()


def test_a_pdf_stands_beside_the_page(ran: Ran, korean: Path) -> None:
    assert (korean / "report.pdf").read_bytes().startswith(b"%PDF-")
    assert not (ran.out / "small-yard" / "report.pdf").exists()


def test_json_is_alone_on_standard_output_and_nothing_is_written(
    ran: Ran, short: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = detect("--aoi", ran.aoi, "--source", short, "--format", "json", "--false-alarm-rate", "0.05")
    assert result.exit_code == 3
    document = json.loads(result.stdout)
    assert document["parameters"]["false_alarm_rate"] == 0.05
    assert document["scenes"][1]["status"] == "skipped" and document["scenes"][1]["reason"]
    assert {row["state"] for row in document["scenes"][1]["tracks"]} == {"unknown"}
    lines = [line for line in result.stderr.splitlines() if "could not read" in line]
    assert len(lines) == 1 and f"{DAYS[1]}_023000_small" in lines[0]
    assert list(tmp_path.iterdir()) == []


def test_several_areas_make_a_set_and_one_collection(ran: Ran, short: Path, tmp_path: Path) -> None:
    (short / f"{DAYS[1]}_023000_small.tif").unlink()
    write_aoi(tmp_path / "other.geojson", "other-yard")
    (tmp_path / "far.geojson").write_text(json.dumps(_far()), encoding="utf-8")
    asked = ("--aoi", ran.aoi, "--aoi", tmp_path, "--aoi", ran.aoi, "--source", short, "--offline")
    result = detect(*asked, "--format", "json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    jsonschema.validate(document, json.loads(schema_path().read_text(encoding="utf-8")))
    assert document["schema"] == "rail-watch/detections-set/1"
    assert [one["aoi"] for one in document["documents"]] == ["small-yard", "other-yard"]
    assert result.stderr == "rail-watch: far-yard: no scene of the source shows it\n"
    quiet = detect(*asked, "--format", "geojson", "-q")
    assert json.loads(quiet.stdout)["type"] == "FeatureCollection" and quiet.stderr == ""


def _far() -> dict[str, object]:
    document = aoi_document("far-yard")
    for feature in document["features"]:
        rings = feature["geometry"]["coordinates"]
        for point in rings[0] if feature["geometry"]["type"] == "Polygon" else rings:
            point[0] -= 20
    return document


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["--datetime", "1999"], 4, ["no scene shows small-yard"]),
        (["--sensor", "landsat"], 4, ["no scene shows small-yard"]),
        (["--datetime", "2023-13"], 2, ["2023-13", "2022-10-01/2022-12-31"]),
        (["--datetime", ""], 2, ["interval"]),
        (["--source", "/no/such/folder"], 2, ["/no/such/folder"]),
        (["--source", "https://example.org/stac", "--offline"], 2, ["--offline"]),
        (["--aoi", "no-such-place"], 2, ["no-such-place"]),
        (["--out", "{aoi}"], 2, ["--out", "is a file"]),
        (["--out", "{aoi}/deeper"], 2, ["--out", "small.geojson is no folder"]),
        (["--false-alarm-rate", "nan"], 2, ["--false-alarm-rate", "not a number"]),
    ],
)
def test_what_cannot_be_is_one_line(
    ran: Ran, arguments: list[str], status: int, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    told = [text.format(aoi=ran.aoi) for text in arguments]
    assert run(["detect", "--aoi", str(ran.aoi), "--source", str(ran.source), *told]) == status
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and err.startswith("rail-watch: error: ")
    assert all(word in err for word in words), err


def test_two_areas_of_one_id_are_refused(ran: Ran, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = aoi_document()
    document["features"] = document["features"][:-1]
    (tmp_path / "twin.geojson").write_text(json.dumps(document), encoding="utf-8")
    assert run(["detect", "--aoi", str(ran.aoi), "--aoi", str(tmp_path / "twin.geojson")]) == 2
    assert "'small-yard' is that of another area" in capsys.readouterr().err


def test_a_bad_epoch_is_named(ran: Ran, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "soon")
    assert run(["detect", "--aoi", str(ran.aoi), "--source", str(ran.source)]) == 2
    assert "SOURCE_DATE_EPOCH is 'soon'" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_to_is_bad_input(ran: Ran, tmp_path: Path) -> None:
    from rail_watch.cli.files import write_answer
    from rail_watch.errors import BadInput

    (tmp_path / "out").write_text("in the way", encoding="utf-8")
    with pytest.raises(BadInput, match=r"cannot write .*--out"):
        write_answer(None, tmp_path / "out" / "small-yard")  # type: ignore[arg-type]
