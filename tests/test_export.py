"""Exports: written by the command, opened with the libraries that others use."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
import subprocess
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import geopandas
import pyogrio
import pystac
import pytest
from click.testing import CliRunner, Result
from pystac.extensions.classification import ClassificationExtension
from pystac.extensions.file import FileExtension

from rail_watch.cli.main import cli, run
from rail_watch.export import table
from rail_watch.observe.document import document_set, dumps, to_document
from rail_watch.observe.records import Detections
from tests import report_material as material

EVIL = '=HYPERLINK("http://x","<script>alert(1)</script>")'
FORMATS = {"geojson": "a.geojson", "geoparquet": "a.parquet", "gpkg": "a.gpkg", "csv": "a.csv", "stac": "stac"}


def detections(*, credit: str = "Painted for a test", text: str = "") -> Detections:
    found = material.detections_of(material.story(), material.yard(), gsd=material.GSD)
    return replace(
        found,
        software={"rail-watch": "0.1.0"},
        scenes=tuple(replace(one, credit=credit, digests={"red": "ab" * 32}) for one in found.scenes),
        observations=tuple(replace(one, text=text) for one in found.observations),
    )


@pytest.fixture(scope="module")
def answer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("answer") / "detections.json"
    path.write_text(dumps(to_document(detections())), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def exported(answer: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported")
    for style, name in FORMATS.items():
        result = export(answer, style, folder / name)
        assert result.exit_code == 0, result.output
    return folder


def export(answer: Path, style: str, out: Path) -> Result:
    return CliRunner().invoke(cli, ["export", str(answer), "--format", style, "--out", str(out)])


def document(answer: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(answer.read_text(encoding="utf-8"))
    return told


def test_nothing_half_is_left(exported: Path) -> None:
    assert {path.name for path in exported.iterdir()} == set(FORMATS.values())


def test_geojson_is_the_observations(answer: Path, exported: Path) -> None:
    told = json.loads((exported / "a.geojson").read_text(encoding="utf-8"))
    assert told == document(answer)["observations"]
    assert len(geopandas.read_file(exported / "a.geojson")) == len(told["features"])


def test_geoparquet_is_version_1_1_with_boxes(answer: Path, exported: Path) -> None:
    import pyarrow.parquet

    frame = geopandas.read_parquet(exported / "a.parquet")
    features = document(answer)["observations"]["features"]
    assert list(frame["id"]) == [one["id"] for one in features]
    assert list(frame["length_m"].dropna()) == [
        one["properties"]["length_m"] for one in features if one["properties"]["length_m"] is not None
    ]
    assert str(frame["datetime"].dt.tz) == "UTC" and frame["railcars"].dtype == "Int64"
    told = json.loads(pyarrow.parquet.read_schema(exported / "a.parquet").metadata[b"geo"])
    assert told["version"] == "1.1.0" and told["columns"]["geometry"]["covering"]["bbox"]
    assert len(geopandas.read_parquet(exported / "a.parquet", bbox=(0, 0, 1, 1))) == 0


def test_geopackage_has_its_style_and_the_looks(answer: Path, exported: Path) -> None:
    path = exported / "a.gpkg"
    frame = geopandas.read_file(path, layer="observations")
    assert len(frame) == len(document(answer)["observations"]["features"]) and frame.crs == "EPSG:4326"
    looks = pyogrio.read_dataframe(path, layer="looks", read_geometry=False)
    assert {"occupied", "empty", "unknown"} == set(looks["state"].dropna())
    assert len(looks) == sum(len(one["tracks"]) + len(one["aprons"]) for one in document(answer)["scenes"])
    with closing(sqlite3.connect(path)) as store:
        [(layer, column, style, default)] = store.execute(
            "SELECT f_table_name, f_geometry_column, styleQML, useAsDefault FROM layer_styles"
        )
        [(count,)] = store.execute("SELECT count(*) FROM gpkg_contents WHERE table_name = 'layer_styles'")
    assert (layer, default, count) == ("observations", 1, 1)
    assert column in {"geom", "geometry"}
    root = ElementTree.fromstring(style.partition("\n")[2])
    values = {one.get("value") for one in root.iter("category")}
    assert values == {"train", "train-on-bridge", "cargo", "change"}
    assert {one.get("symbol") for one in root.iter("category")} == {one.get("name") for one in root.iter("symbol")}


QGIS = """
import json, os, sys
from qgis.core import QgsApplication, QgsVectorLayer
QgsApplication.setPrefixPath("/usr", True)
app = QgsApplication([], False)
app.initQgis()
told = {}
for name in ("observations", "looks"):
    layer = QgsVectorLayer(f"{sys.argv[1]}|layername={name}", name, "ogr")
    told[name] = [layer.isValid(), layer.featureCount()]
    if name == "observations":
        _, loaded = layer.loadDefaultStyle()
        renderer = layer.renderer()
        told["loaded"] = loaded
        told["values"] = sorted(one.value() for one in renderer.categories())
        told["crs"] = layer.crs().authid()
print(json.dumps(told), flush=True)
os._exit(0)  # taking QGIS down in order crashes some versions after all is said
"""


def system_python_with_qgis() -> str | None:
    """QGIS's own Python: that of the system, which an environment does not see."""
    python = "/usr/bin/python3"
    if not Path(python).exists() or not list(Path("/usr/lib/python3/dist-packages").glob("qgis/core")):
        return None
    return python


def test_qgis_opens_the_geopackage_in_the_colours_of_the_figures(answer: Path, exported: Path, tmp_path: Path) -> None:
    python = system_python_with_qgis()
    if python is None:
        pytest.skip("QGIS's own Python is not installed; Debian: apt-get install python3-qgis (1 GB)")
    clean = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "QT_QPA_PLATFORM": "offscreen"}
    command = [python, "-c", QGIS, str(exported / "a.gpkg")]
    done = subprocess.run(command, env=clean, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout.splitlines()[-1])
    rows = len(document(answer)["observations"]["features"])
    assert told["observations"] == [True, rows] and told["looks"][0] and told["looks"][1] > 0
    assert told["crs"] == "EPSG:4326"
    assert told["loaded"] and told["values"] == ["cargo", "change", "train", "train-on-bridge"]


def test_csv_has_a_row_for_each_observation(answer: Path, exported: Path) -> None:
    rows = list(csv.DictReader(io.StringIO((exported / "a.csv").read_bytes().decode())))
    features = document(answer)["observations"]["features"]
    assert [row["id"] for row in rows] == [one["id"] for one in features]
    first = features[0]["properties"]
    assert float(rows[0]["length_m_95_low"]) == first["length_m_95"][0]
    assert rows[0]["simulated"] == "true" and 130 < float(rows[0]["lon"]) < 131


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", " =", "\uff1d", "\ufeff=", "\u200b@"])
def test_no_cell_of_a_csv_can_be_a_formula(start: str) -> None:
    text = table.csv_text([{"a": f"{start}cmd|' /C calc'!A0", "b": -1.5, "c": None}], ("a", "b", "c"))
    [row] = csv.reader(io.StringIO(text.partition("\r\n")[2], newline=""))
    assert row == [f"'{start}cmd|' /C calc'!A0", "-1.5", ""]


def test_the_catalogue_is_valid_and_every_item_derived(answer: Path, exported: Path) -> None:
    root = pystac.Catalog.from_file(str(exported / "stac" / "catalog.json"))
    root.validate()
    [collection] = root.get_children()
    collection.validate()
    items = list(root.get_items(recursive=True))
    assert len(items) == len(document(answer)["scenes"])
    for item in items:
        links = {link.rel: link.href for link in item.links}
        assert links["derived_from"].startswith("urn:rail-watch:scene:scene-") and links["source"]
        properties = item.properties
        assert properties["processing:software"] == {"rail-watch": "0.1.0"} and properties["rail_watch:simulated"]
        assert properties["label:tasks"] == ["detection"] and properties["label:type"] == "vector"
        looks = ClassificationExtension.ext(item.assets["looks"])
        assert [one.name for one in looks.classes or []] == ["unknown", "empty", "occupied"]
        for asset in item.assets.values():
            content = Path(asset.get_absolute_href() or "").read_bytes()
            assert FileExtension.ext(asset).size == len(content)
        core = {**item.to_dict(), "stac_extensions": []}  # schemas of extensions would be fetched
        pystac.Item.from_dict(core, preserve_dict=True).validate()


@pytest.mark.parametrize("style", sorted(FORMATS))
def test_the_same_answer_gives_the_same_bytes(style: str, answer: Path, exported: Path, tmp_path: Path) -> None:
    again = tmp_path / FORMATS[style]
    assert export(answer, style, again).exit_code == 0
    first = exported / FORMATS[style]
    paths = sorted(path for path in again.rglob("*") if path.is_file()) if again.is_dir() else [again]
    assert paths
    for path in paths:
        assert path.read_bytes() == (first / path.relative_to(again)).read_bytes()


@pytest.mark.parametrize("style", sorted(FORMATS))
def test_an_answer_without_findings_is_written_too(style: str, tmp_path: Path) -> None:
    path = tmp_path / "detections.json"
    path.write_text(dumps(to_document(replace(detections(), observations=()))), encoding="utf-8")
    result = export(path, style, tmp_path / FORMATS[style])
    assert result.exit_code == 0 and "(0 observations)" in result.output, result.output
    if style == "stac":
        pystac.Catalog.from_file(str(tmp_path / "stac" / "catalog.json")).validate()


@pytest.mark.parametrize("style", sorted(FORMATS))
def test_hostile_words_stay_words(style: str, tmp_path: Path) -> None:
    found = detections(credit=EVIL, text=EVIL)
    scenes = tuple(replace(one, id=f"../../{one.id}/\0{EVIL}") for one in found.scenes)
    seen = tuple(replace(one, scene=f"../../{one.scene}/\0{EVIL}") for one in found.observations)
    hostile = replace(found, site="../../etc", site_name=EVIL, scenes=scenes, observations=seen)
    path = tmp_path / "detections.json"
    path.write_text(dumps(document_set([to_document(hostile)])), encoding="utf-8")
    (tmp_path / "within").mkdir()
    out = tmp_path / "within" / FORMATS[style]
    result = export(path, style, out)
    assert result.exit_code == 0, result.output
    assert {one.name for one in tmp_path.iterdir()} == {"detections.json", "within"}
    assert [one.name for one in (tmp_path / "within").iterdir()] == [FORMATS[style]]
    if style == "csv":
        rows = list(csv.DictReader(io.StringIO(out.read_bytes().decode())))
        assert {row["credit"][:2] for row in rows} == {"'="}


@pytest.mark.parametrize("style", sorted(FORMATS))
def test_bad_input_is_one_line_and_leaves_nothing(
    style: str, answer: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    good = document(answer)
    bad = {
        "none.json": None,
        "text.json": "{",
        "other.json": "[]",
        "set.json": json.dumps({"schema": "rail-watch/detections-set/1", "documents": []}),
        "lacks.json": json.dumps({**good, "scenes": None}),
    }
    (tmp_path / "out").mkdir()
    for name, text in bad.items():
        if text is not None:
            (tmp_path / name).write_text(text, encoding="utf-8")
        status = run(["export", str(tmp_path / name), "--format", style, "--out", str(tmp_path / "out" / "x")])
        told = capfd.readouterr().err
        assert status == 2 and told.count("\n") == 1 and name in told, told
    assert list((tmp_path / "out").iterdir()) == []


def test_members_of_a_wrong_kind_are_told(answer: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "d.json").write_text(json.dumps({**document(answer), "aoi": 7}), encoding="utf-8")
    assert run(["export", str(tmp_path / "d.json"), "--format", "stac", "--out", str(tmp_path / "s")]) == 2
    assert "wrong kind" in capfd.readouterr().err and not (tmp_path / "s").exists()


def test_a_folder_that_holds_something_is_left_alone(
    answer: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "kept").write_text("mine")
    assert run(["export", str(answer), "--format", "stac", "--out", str(tmp_path)]) == 2
    assert "not empty" in capfd.readouterr().err and (tmp_path / "kept").read_text() == "mine"


def test_geoparquet_without_its_library_says_what_to_install(
    answer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from rail_watch.export import layers

    monkeypatch.setattr(layers, "find_spec", lambda name: None)
    assert run(["export", str(answer), "--format", "geoparquet", "--out", str(tmp_path / "a.parquet")]) == 2
    assert "pip install 'rail-watch[geoparquet]'" in capfd.readouterr().err
    assert list(tmp_path.iterdir()) == []
