"""Bundles: a finding put together here is reproduced elsewhere; what was changed, or is hostile, is named."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import zipfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from bundle_material import Made, edited, outcome, packed, refused
from cli_material import DAYS, picture, write_aoi, write_scene
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from server_material import serving, write_served

from rail_watch import aoi, imagery
from rail_watch.errors import BadInput
from rail_watch.evidence import crate
from rail_watch.evidence.enclose import enclose, enclosed
from rail_watch.evidence.item import from_item, to_item
from rail_watch.evidence.verify import Verification, verify
from rail_watch.imagery.scene import Asset, Band, SceneRef

# ---- what is whole ------------------------------------------------------------------------------------------------


def test_a_bundle_is_reproduced_in_a_fresh_process_and_folder_without_its_source(made: Made, tmp_path: Path) -> None:
    shutil.copy(made.zip, tmp_path / "elsewhere.zip")
    before = sorted(tmp_path.rglob("*"))
    done = outcome(tmp_path, "verify", "elsewhere.zip")
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "reproduced"), done.stderr
    assert made.observation in done.stdout and sorted(tmp_path.rglob("*")) == before


def test_the_same_input_gives_the_same_bytes_from_the_document_and_from_the_archive(made: Made) -> None:
    (answer,) = (made.folder / "home" / "reports" / "small-yard").glob("*/detections.json")
    named = ["--from", str(answer), "--aoi", "small.geojson", "--source", "imagery"]
    done = outcome(made.folder, "bundle", made.observation, "--out", "b.zip", *named)
    assert done.returncode == 0, done.stderr
    assert (made.folder / "b.zip").read_bytes() == made.zip.read_bytes()


@pytest.mark.slow
def test_the_last_detect_is_where_an_observation_is_looked_for_first(made: Made, tmp_path: Path) -> None:
    named = ["--aoi", str(made.folder / "small.geojson"), "--source", str(made.folder / "imagery")]
    done = outcome(tmp_path, "detect", "--jobs", "1", *named)
    assert done.returncode == 0, done.stderr
    done = outcome(tmp_path, "bundle", made.observation, "--out", "c.zip", *named)
    assert done.returncode == 0, done.stderr
    found = verify(tmp_path / "c.zip")
    assert (found.verdict, found.observation, found.not_checked) == ("reproduced", made.observation, ())


def test_other_programs_read_the_zip_and_the_list_of_digests(made: Made) -> None:
    with zipfile.ZipFile(made.zip) as file:
        assert file.testzip() is None
        lines = file.read(crate.MANIFEST).decode().splitlines()
        for digest, name in (line.split("  ") for line in lines):
            assert hashlib.sha256(file.read(name)).hexdigest() == digest
        assert {name for name in file.namelist() if name != crate.MANIFEST} == {line[66:] for line in lines}


def test_the_crate_describes_every_file_and_the_run(made: Made, loose: Path) -> None:
    document = json.loads((loose / crate.CRATE).read_text(encoding="utf-8"))
    entities = {one["@id"]: one for one in document["@graph"]}
    assert entities[crate.CRATE]["conformsTo"] == {"@id": "https://w3id.org/ro/crate/1.1"}
    root = entities["./"]
    assert {"name", "description", "datePublished", "license"} <= set(root)
    files = {path.relative_to(loose).as_posix() for path in loose.rglob("*") if path.is_file()}
    parts = {one["@id"] for one in root["hasPart"]}
    assert parts == files - {crate.CRATE, crate.MANIFEST}
    named = [one["@id"] for key in ("instrument", "object", "result") for one in entities["#run"][key]]
    assert set(named) <= set(entities) and entities["#rail-watch"]["softwareVersion"]


def test_items_are_valid_stac_and_name_no_folder_of_this_machine(made: Made, loose: Path) -> None:
    pystac = pytest.importorskip("pystac")
    for path in sorted((loose / "items").iterdir()):
        item = pystac.Item.from_file(str(path))
        item.stac_extensions = []  # their schemas are on the network
        item.validate()
        assert all((path.parent / one.href).is_file() for one in item.assets.values())
    assert str(made.folder).encode() not in made.zip.read_bytes()


def test_without_pixels_it_says_what_could_be_checked(made: Made, loose: Path) -> None:
    done = outcome(made.folder, "verify", "bare.zip", "--format", "json")
    answer = json.loads(done.stdout)
    assert (done.returncode, answer["verdict"]) == (3, "not replayed"), done.stderr
    assert "6 files of pixels were left out" in answer["not_checked"][0] and answer["checked"]
    assert made.bare.stat().st_size < made.zip.stat().st_size
    with zipfile.ZipFile(made.bare) as file:
        left = json.loads(file.read(crate.HEAD))["left_out"]
        assert not [name for name in file.namelist() if name.endswith(".tif")]
    assert left == {name: crate.sha256(loose / name) for name in left} and len(left) == 6


# ---- what was changed ---------------------------------------------------------------------------------------------


def test_one_changed_byte_in_any_member_is_found_and_named(made: Made, tmp_path: Path) -> None:
    whole = bytearray(made.zip.read_bytes())
    with zipfile.ZipFile(made.zip) as file:
        members = file.infolist()
    for info in members:
        start = info.header_offset + 30 + len(info.filename)
        for at in {start, start + info.file_size // 2, start + info.file_size - 1}:
            whole[at] ^= 1
            (tmp_path / "x.zip").write_bytes(whole)
            whole[at] ^= 1
            found = verify(tmp_path / "x.zip")
            assert found.verdict == "differs" and len(found.damaged) == 1
            assert found.damaged[0].startswith(f"{info.filename}: changed")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_one_changed_byte_anywhere_is_found(made: Made, tmp_path: Path, data: st.DataObject) -> None:
    """Any byte, changed in any way: named where it lies in a member, and refused in one line elsewhere."""
    whole = bytearray(made.zip.read_bytes())
    at = data.draw(st.integers(0, len(whole) - 1), label="offset")
    whole[at] ^= data.draw(st.integers(1, 255), label="change")
    (tmp_path / "x.zip").write_bytes(whole)
    with zipfile.ZipFile(made.zip) as file:
        spans = [(one.filename, one.header_offset + 30 + len(one.filename), one.file_size) for one in file.infolist()]
    inside = [name for name, start, size in spans if start <= at < start + size]
    if not inside:
        with pytest.raises(BadInput, match=r"x\.zip"):
            verify(tmp_path / "x.zip")
        return
    found = verify(tmp_path / "x.zip")
    assert found.verdict == "differs"
    assert [line.partition(":")[0] for line in found.damaged] == inside


@pytest.mark.slow
def test_one_changed_byte_between_the_members_is_found(made: Made, tmp_path: Path) -> None:
    whole = bytearray(made.bare.read_bytes())
    with zipfile.ZipFile(made.bare) as file:
        heads = [(one.header_offset, 30 + len(one.filename)) for one in file.infolist()]
        table = file.start_dir
    places = [at for start, size in heads for at in range(start, start + size)] + list(range(table, len(whole)))
    for at in places:
        whole[at] ^= 0x20
        (tmp_path / "x.zip").write_bytes(whole)
        whole[at] ^= 0x20
        with pytest.raises(BadInput) as caught:
            verify(tmp_path / "x.zip")
        assert "\n" not in str(caught.value) and "x.zip" in str(caught.value)


def test_a_file_replaced_added_or_taken_away_is_named(loose: Path, tmp_path: Path) -> None:
    (loose / "pictures" / "more.txt").write_text("more", encoding="utf-8")
    picture = next((loose / "pictures").glob("*.png"))
    picture.write_bytes(picture.read_bytes() + b"x")
    next((loose / "items").iterdir()).unlink()
    told = verify(packed(loose, tmp_path / "x.zip", listed=False)).damaged
    assert [line.split(": ")[1].split(",")[0] for line in told] == ["missing", "is in no list of digests", "changed"]
    assert picture.name in told[2]


def test_a_forged_record_differs_although_its_digests_are_right(loose: Path, tmp_path: Path) -> None:
    def longer(document: Any) -> None:
        for feature in document["observations" if "observations" in document else "features"]["features"]:
            feature["properties"]["railcars"] = 40

    edited(loose / crate.RECORD, longer)
    edited(loose / crate.FINDING, lambda d: longer({"observations": d}) or d)
    found = verify(packed(loose, tmp_path / "x.zip"))
    assert found.verdict == "differs"
    (wrong,) = [one for one in found.differences if not one.slight]
    assert wrong.what.endswith("railcars") and (wrong.recorded, wrong.replayed != 40) == (40, True)


def test_a_forged_look_at_another_scene_of_the_series_differs(loose: Path, tmp_path: Path) -> None:
    edited(loose / crate.RECORD, lambda record: record["scenes"][1]["tracks"][0].update(state="occupied"))
    (wrong,) = verify(packed(loose, tmp_path / "x.zip")).differences
    assert wrong.what == "scene 20231005_023000_small: tracks 1: state"


def test_absurd_values_with_right_digests_give_one_line(
    loose: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edited(loose / crate.RECORD, lambda record: record["scenes"][1].update(id={}))
    (tmp_path / "in").mkdir()
    assert "cannot be judged" in refused(packed(loose, tmp_path / "in" / "x.zip"), capsys)


def test_forged_pixels_differ_although_their_files_digests_are_right(loose: Path, tmp_path: Path) -> None:
    first, last = sorted((loose / "pixels").glob("*/*.tif"))[0:6:5]
    first.write_bytes(last.read_bytes())
    found = verify(packed(loose, tmp_path / "x.zip"))
    assert found.verdict == "differs"
    assert any(one.what == "pixels of 20231001_023000_small" for one in found.differences)


def test_a_scene_left_out_is_named(loose: Path, tmp_path: Path) -> None:
    edited(loose / crate.HEAD, lambda head: head["scenes"].pop(0) and None)
    found = verify(packed(loose, tmp_path / "x.zip"))
    assert any(one.what == "scene 20231001_023000_small" and one.replayed is None for one in found.differences)


def test_another_version_of_the_software_is_said_and_the_finding_compared(loose: Path, tmp_path: Path) -> None:
    edited(loose / crate.RECORD, lambda document: document["software"].update({"rail-watch": "0.0.1"}))
    found = verify(packed(loose, tmp_path / "x.zip"))
    assert found.verdict == "reproduced"
    assert found.notes[0].startswith("judged with rail-watch 0.0.1; replayed with rail-watch ")


# ---- putting together ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["0123456789abcdef", "--out", "x.zip"], "no such observation"),
        (["0123456789abcdef", "--out", "x.zip", "--from", "none.json"], "no such file"),
        (["0123456789abcdef", "--out", "x.zip", "--from", "imagery/20231001_023000_small.tif"], "not UTF-8 text"),
        (["0123456789abcdef", "--out", "x.zip", "--from", "other.json"], "not a shipped area; say with --aoi"),
        (["ID", "--out", "none/x.zip"], "no folder none"),
        (["ID", "--out", "x.zip", "--aoi", "tumangang"], "not the area's version that was judged"),
        (["ID", "--out", "x.zip", "--source", "other"], "does not hold scene 20231005_023000_small"),
        (["ID", "--out", "x.zip", "--source", "changed"], "the source has changed since"),
    ],
)
def test_what_cannot_be_bundled_gives_one_line(made: Made, arguments: list[str], word: str) -> None:
    for name in ("other", "changed"):
        if not (made.folder / name).exists():
            shutil.copytree(made.folder / "imagery", made.folder / name)
    (made.folder / "other.json").write_text('{"aoi": "small-yard"}', encoding="utf-8")
    (made.folder / "other" / "20231005_023000_small.tif").unlink(missing_ok=True)
    shutil.copy(
        made.folder / "imagery" / "20231001_023000_small.tif", made.folder / "changed/20231005_023000_small.tif"
    )
    named = [made.observation if one == "ID" else one for one in arguments]
    done = outcome(made.folder, "--home", "home", "bundle", *named)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    assert word in done.stderr and not (made.folder / "x.zip").exists()


def test_the_document_of_a_verification_is_json(made: Made) -> None:
    found = Verification("differs", None, None, damaged=("a: missing",))
    assert json.loads(json.dumps(found.document()))["damaged"] == ["a: missing"]


@pytest.mark.slow
def test_scenes_from_a_server_are_enclosed_from_the_cache_without_the_server(tmp_path: Path) -> None:
    write_aoi(tmp_path / "small.geojson")
    (tmp_path / "served").mkdir()
    with serving(write_served(tmp_path / "served"), tmp_path / "log") as server:
        source = server.at("api/plain")
        detect = ["detect", "--jobs", "1", "--datetime", "2023-10", "--source", source, "--aoi", "small.geojson"]
        done = outcome(tmp_path, *detect, RAIL_WATCH_CACHE=str(tmp_path / "cache"))
        assert done.returncode == 0, done.stderr
    (feature,) = json.loads((tmp_path / "out/small-yard/detections.json").read_text())["observations"]["features"]
    named = ["--out", "x.zip", "--aoi", "small.geojson", "--source", source, "--offline"]
    done = outcome(tmp_path, "bundle", feature["id"], *named, RAIL_WATCH_CACHE=str(tmp_path / "cache"))
    assert done.returncode == 0, done.stderr
    assert verify(tmp_path / "x.zip").verdict == "reproduced"
    assert b"-01.tif" in (tmp_path / "x.zip").read_bytes()  # the quality layer


TILE = SceneRef(
    id="a-1",
    when=datetime(2023, 10, 1, 2, 30, 0, 250000, tzinfo=UTC),
    platform="test-sat",
    gsd_m=0.7,
    assets=(
        Asset("x/y", "0.tif", (Band("red", 1, 1e-4, -0.1, math.nan, True, "baseline"), Band("nir", 2, nodata=0.0))),
        Asset("scl", "1.tif", quality="scl"),
    ),
    footprint=shapely.box(130.123456789012, 42, 130.2, 42.1),
    sun_azimuth_deg=150.123456789,
    licence="CC-BY-4.0",
    properties={"s2:processing_baseline": "05.09", "list": [1, 2.5, None, {"a": True}]},
)


def test_a_scene_comes_back_from_its_item_as_it_was(tmp_path: Path) -> None:
    ref = replace(TILE, assets=tuple(replace(one, href=str(tmp_path / one.href)) for one in TILE.assets))
    hrefs = {one.href: f"./{Path(one.href).name}" for one in ref.assets}
    origin = replace(ref, assets=tuple(replace(one, href="https://example.org/a.tif?sig=secret") for one in ref.assets))
    text = json.dumps(to_item(ref, hrefs, origin), allow_nan=False)
    assert "secret" not in text and str(tmp_path) not in text
    back = from_item(json.loads(text), name="item", folder=tmp_path, root=tmp_path)
    assert math.isnan(back.assets[0].bands[0].nodata or 0.0)
    assert repr(back) == repr(ref)
    bare = replace(ref, footprint=None, platform=None, gsd_m=None, licence=None, properties={})
    assert repr(from_item(to_item(bare, hrefs, bare), name="item", folder=tmp_path, root=tmp_path)) == repr(bare)


def test_tiles_of_one_overpass_are_enclosed_and_read_together(tmp_path: Path) -> None:
    """The west half of a scene in one tile, the east half in another: read from the bundle as from the source."""
    site = aoi.read(write_aoi(tmp_path / "small.geojson"))
    write_scene(tmp_path / "whole.tif", picture(DAYS[0]))
    halves = []
    for name, part in (("west", slice(0, 120)), ("east", slice(110, None))):
        data = picture(DAYS[0])
        keep = np.zeros(data.shape[2], dtype=bool)
        keep[part] = True
        data[:, :, ~keep] = 0
        write_scene(tmp_path / f"{name}.tif", data)
        bands = tuple(Band(band, index) for index, band in enumerate(("blue", "green", "red", "nir"), 1))
        halves.append(replace(TILE, id=name, gsd_m=3.0, assets=(Asset("data", str(tmp_path / f"{name}.tif"), bands),)))
    ref = replace(halves[0], tiles=(halves[1],))
    (tmp_path / "root").mkdir()
    (kept,) = enclose([ref], site, tmp_path / "root")
    assert len(kept.tiles) == 1
    (back,) = enclosed([kept], tmp_path / "root")
    there, here = (imagery.read(one, site, margin_m=60.0) for one in (ref, back))
    assert isinstance(there, imagery.Scene) and isinstance(here, imagery.Scene)
    assert "east/data" in there.digests and there.digests == here.digests and there.grid.shape == here.grid.shape
    np.testing.assert_array_equal(there.pixels, here.pixels)
    np.testing.assert_array_equal(there.quality, here.quality)
