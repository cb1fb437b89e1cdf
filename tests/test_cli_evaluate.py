"""`rail-watch evaluate` on a small series made in code."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from cli_material import DAYS, write_aoi, write_series, write_truth
from click.testing import CliRunner, Result

from rail_watch.cli.main import cli, run
from rail_watch.errors import BadInput
from rail_watch.evaluate import SceneScore
from rail_watch.evaluate.plots import wilson, write_plots
from rail_watch.evaluate.score import Sighting
from rail_watch.evaluate.series import BUNDLE, Judged, find_series, read_truths


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_series(tmp_path_factory.mktemp("series") / "7")
    write_aoi(folder / "aoi.geojson")
    write_truth(folder)
    return folder


def evaluate(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["evaluate", *map(str, arguments)])


def test_figures_goals_and_plots(series: Path, tmp_path: Path) -> None:
    result = evaluate("--series", series.parent, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == "3 m: 1 series, SIMULATED, 6 scenes"
    assert lines[1].split() == ["value", "95", "%", "interval", "n", "goal"]
    [found] = [line for line in lines if line.startswith("train recall")]
    assert found.split()[2] in ("0", "1")
    assert all(len(line) <= 88 for line in lines[:-1])
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "evaluation.json",
        "detection.png",
        "reliability.png",
        "false-alarms.png",
    }
    document = json.loads((tmp_path / "out" / "evaluation.json").read_text(encoding="utf-8"))
    [part] = document["results"]
    assert (part["gsd_m"], part["series"], part["scenes"], part["simulated_series"]) == (3.0, 1, 6, 1)
    hidden = next(row for row in part["figures"] if row["name"] == "state_right")
    assert hidden["goal"] == [0.97, None] and hidden["count"] == 2 * len(DAYS) and isinstance(hidden["met"], bool)


def test_a_series_that_cannot_be_judged_counts_as_unknown_and_is_named(series: Path, tmp_path: Path) -> None:
    write_aoi(tmp_path / "aoi.geojson")
    write_truth(tmp_path)
    result = evaluate("--series", tmp_path, "--format", "json", "-q")
    assert result.exit_code == 3
    [part] = json.loads(result.stdout)["results"]
    recall = next(row for row in part["figures"] if row["name"] == "train_recall")
    assert recall["value"] == 0 and recall["count"] == 1
    assert result.stderr.startswith(f"rail-watch: {tmp_path.name} (small-yard): ")


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (lambda folder: (folder / "truth.json").unlink(), "no truth.json"),
        (lambda folder: (folder / "truth.json").write_text("{"), "truth.json: not a truth document"),
        (
            lambda folder: (folder / "truth.json").write_text('{"schema": "x"}'),
            'truth.json: not a truth document: "schema"',
        ),
        (lambda folder: (folder / "aoi.geojson").unlink(), "the area 'small-yard' is not here"),
    ],
)
def test_wrong_series_are_one_line(
    break_it: object, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_aoi(tmp_path / "aoi.geojson")
    write_truth(tmp_path)
    break_it(tmp_path)  # type: ignore[operator]
    assert run(["evaluate", "--series", str(tmp_path)]) == 2
    err = capsys.readouterr().err
    assert words in err and err.count("\n") == 1


def test_a_bundle_of_truths_makes_one_series_for_each_area(tmp_path: Path) -> None:
    one = json.loads(write_truth(tmp_path, "small-yard").read_text(encoding="utf-8"))
    two = json.loads(write_truth(tmp_path, "other-yard").read_text(encoding="utf-8"))
    bundle = {"schema": BUNDLE, "truths": [one, two, one | {"gsd_m": 10}]}
    (tmp_path / "truth.json").write_text(json.dumps(bundle), encoding="utf-8")
    write_aoi(tmp_path / "small-yard.geojson", "small-yard")
    write_aoi(tmp_path / "other-yard.geojson", "other-yard")
    found = find_series([tmp_path, tmp_path])
    assert [(series.site.id, [truth.gsd_m for truth in series.truths]) for series in found] == [
        ("small-yard", [3.0, 10.0]),
        ("other-yard", [3.0]),
    ]
    (tmp_path / "truth.json").write_text(json.dumps({"schema": BUNDLE}), encoding="utf-8")
    with pytest.raises(BadInput, match="truths"):
        read_truths(tmp_path / "truth.json")


def test_series_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for name in ("10", "9", "x"):
        (tmp_path / name).mkdir()
        write_aoi(tmp_path / name / "aoi.geojson")
        write_truth(tmp_path / name)
    assert [series.folder.name for series in find_series([tmp_path])] == ["9", "10", "x"]


def test_wilson_agrees_with_the_textbook() -> None:
    low, high = wilson(np.array([0.0, 5.0, 10.0]), np.array([10.0, 10.0, 10.0]))
    assert low == pytest.approx([0, 0.2366, 0.7225], abs=2e-4)
    assert high == pytest.approx([0.2775, 0.7634, 1], abs=2e-4)


def test_plots_are_the_same_bytes_and_stand_empty_scores(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    seen = tuple(Sighting(float(m), 40.0, bool(m > 50)) for m in rng.uniform(5, 300, 60))
    full = SceneScore("a", sightings=seen, p_values=tuple(rng.uniform(0, 1, 80)), false_alarm=(False,) * 79 + (True,))
    judged = [Judged("x", 3.0, (full,), True), Judged("y", 10.0, (SceneScore("b"),), True)]
    twice = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        twice.append([path.read_bytes() for path in write_plots(judged, tmp_path / name, rate=0.01)])
    assert twice[0] == twice[1] and b"SIMULATED" in twice[0][0]
