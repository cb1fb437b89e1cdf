"""What there is over a site, what is kept, and whether all is there that a run needs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cli_material import write_aoi
from server_material import Server, serving, write_served

from rail_watch.cli.main import run
from rail_watch.imagery import SceneRef
from rail_watch.providers.http import Patience, Web
from rail_watch.providers.survey import coming


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = write_served(tmp_path_factory.mktemp("served"))
    with serving(folder, tmp_path_factory.mktemp("log") / "requests") as running:
        yield running


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAIL_WATCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1698000000")


def test_a_search_lists_scenes_over_the_site(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    area = str(write_aoi(tmp_path / "small.geojson"))
    asked = ["search", "--aoi", area, "--source", server.at("api/plain"), "--datetime", "2023-10-05/2023-10-13"]
    assert run([*asked, "--format", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "rail-watch/search/1" and len(document["scenes"]) == 3
    assert all(one["coverage"] == 1 and one["clear_fraction"] == 1 for one in document["scenes"])
    images = [line for line in server.requests("plain/") if "small.tif" in line["path"]]
    assert images == [], "only quality layers are read"
    assert run(asked) == 0
    out = capsys.readouterr().out
    assert "3 scene(s)" in out and "100%" in out and "20231009_023000_small" in out
    before = len(server.requests())
    assert run([*asked, "--offline", "--next"]) == 0
    out = capsys.readouterr().out
    assert "3 scene(s)" in out and "Next overpasses (UTC): none known" in out and len(server.requests()) == before


def test_what_cannot_be_had_is_said(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    area = str(write_aoi(tmp_path / "small.geojson"))
    asked = ["search", "--aoi", area, "--source", server.at("api/loop"), "--datetime", "2023-10", "--no-clear"]
    assert run(asked) == 3
    out, err = capsys.readouterr()
    assert "4 scene(s)" in out and "only the first" in err and err.count("\n") == 1


def test_a_search_that_breaks_off_keeps_what_was_found_and_a_later_one_goes_on(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rail_watch.providers.source.Web", lambda: Web(patience=Patience(tries=2, first_wait_s=0)))
    area, whole = str(write_aoi(tmp_path / "small.geojson")), server.folder / "healthy-pages"
    asked = ["search", "--aoi", area, "--source", server.at("api/half"), "--datetime", "2023-10", "--format", "json"]

    def listed(*more: str) -> tuple[int, int, str]:
        status = run([*asked, *more])
        out, err = capsys.readouterr()
        return status, len(json.loads(out)["scenes"]), err

    status, count, err = listed()
    assert (status, count) == (3, 2) and "only the first 1 page(s), 2 items, could be had" in err and "added" not in err
    assert listed("--offline")[:2] == (0, 2), "the first page is remembered"
    before = len(server.requests("plain/"))
    whole.touch()
    try:
        assert listed()[:2] == (0, 6)
    finally:
        whole.unlink()
    paths = [line["path"] for line in server.requests("plain/")[before:]]
    assert paths and not any(one in path for path in paths for one in ("20231001", "20231005")), (
        "only what is new is read"
    )
    status, count, err = listed()
    assert (status, count) == (3, 6) and "what earlier searches found is added" in err
    assert listed("--no-cache", "--no-clear")[:2] == (3, 2)


def test_the_cache_can_be_looked_at_and_emptied(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    area = str(write_aoi(tmp_path / "small.geojson"))
    assert run(["search", "--aoi", area, "--source", server.at("api/plain"), "--datetime", "2023-10"]) == 0
    assert run(["cache", "info"]) == 0
    assert "windows  6" in capsys.readouterr().out
    assert run(["cache", "clear"]) == 0
    assert run(["cache", "info"]) == 0
    assert "windows  0" in capsys.readouterr().out
    monkeypatch.setenv("RAIL_WATCH_CACHE_GB", "many")
    assert run(["cache", "info"]) == 2
    assert "number of gigabytes" in capsys.readouterr().err


def test_the_doctor_names_keys_and_never_shows_them(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PL_API_KEY", "planted-secret")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    assert run(["doctor", "--offline"]) == 0
    out, err = capsys.readouterr()
    assert "planet: key PL_API_KEY is set" in out and "cdse: key AWS_ACCESS_KEY_ID is not set" in out
    assert "planted-secret" not in out + err and "JP2OpenJPEG" in out and "BAD" not in out


def test_the_doctor_asks_providers(
    server: Server, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from rail_watch.providers.stac_provider import api_at

    places = {"up": server.at("api/plain"), "refuses": server.at("403/d/items.json"), "down": "http://127.0.0.1:9"}
    monkeypatch.setattr("rail_watch.providers.known_names", lambda: list(places))
    monkeypatch.setattr("rail_watch.providers.source.provider_named", lambda name: api_at(places[name]))
    assert run(["doctor"]) == 0
    out = capsys.readouterr().out
    assert (
        "ok   up: answers" in out and "ok   refuses: answers" in out and "note down: " in out and "no connection" in out
    )


def test_overpasses_follow_from_the_repeat_cycle() -> None:
    def seen(platform: str, day: int, **properties: object) -> SceneRef:
        when = datetime(2023, 10, day, 2, 19, tzinfo=UTC)
        return SceneRef(f"{platform}-{day}", when, platform, 10, (), properties=properties)

    scenes = [
        seen("sentinel-2a", 1, **{"sat:relative_orbit": 3}),
        seen("sentinel-2a", 11, **{"sat:relative_orbit": 3}),
        seen("landsat-8", 10, **{"landsat:wrs_path": "114"}),
        seen("planetscope", 12),
    ]
    now = datetime(2023, 10, 20, tzinfo=UTC)
    found = coming(scenes, now=now)
    assert [(one.when.day, one.platform, one.track) for one in found] == [
        (21, "sentinel-2a", "orbit 3"),
        (26, "landsat-8", "path 114"),
        (31, "sentinel-2a", "orbit 3"),
    ]
    assert all(now < one.when <= now + timedelta(days=16) for one in found)


def test_overpasses_follow_from_real_items_of_every_satellite(shared_data: Path) -> None:
    """Earth Search, the default, says the orbit of Sentinel-2 only in the name of the product."""
    from rail_watch.imagery.stac_item import Place, scene_ref

    def refs(name: str, family: str) -> list[SceneRef]:
        items = json.loads((shared_data / "stac_real" / name).read_text())["features"]
        place = Place(Path(), Path(), address="https://example.com/")
        chosen = [item for item in items if family in item["collection"]]
        return [scene_ref(item, place, collection={}) for item in chosen]

    for name, family, track in (
        ("earthsearch_v1_search_page1.json", "sentinel-2-c1-l2a", "orbit 95"),
        ("earthsearch_v1_search_page1.json", "sentinel-1", "orbit 56"),
        ("planetary_computer_landsat_search_first12.json", "landsat-8", "path 197"),
        ("planetary_computer_s2_search_33items.json", "sentinel-2", "orbit 116"),
    ):
        scenes = refs(name, family)
        tracks = {one.track for one in coming(scenes, now=max(ref.when for ref in scenes), days=16)}
        assert track in tracks, (name, family, tracks)


def test_a_provider_by_name_is_asked_for_every_satellite_s_next_overpass(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from rail_watch.providers import stac_provider
    from rail_watch.providers.http import Web, origin

    shipped = stac_provider.EARTH_SEARCH
    assert isinstance(shipped, stac_provider.StacApi)
    monkeypatch.setattr(stac_provider, "EARTH_SEARCH", replace(shipped, api=server.at("api/plain")))
    monkeypatch.setattr("rail_watch.providers.source.Web", lambda: Web(frozenset({origin(server.address)})))
    whole = (server.folder / "items.json").read_text()
    document = json.loads(whole)
    kinds = [("sentinel-2-c1-l2a", "sentinel-2a", {"s2:product_uri": "S2A_MSIL2A_20231001T022000_N0509_R003_T52TEN_x"})]
    kinds += [("sentinel-1-grd", "sentinel-1a", {"sat:relative_orbit": 61})]
    kinds += [("landsat-c2-l2", "landsat-8", {"landsat:wrs_path": "114"})]
    for item, (collection, platform, more) in zip(document["features"], kinds, strict=False):
        item["collection"] = collection
        item["properties"] |= {"platform": platform, **more}
    try:
        (server.folder / "items.json").write_text(json.dumps(document))
        asked = ["search", "--aoi", str(write_aoi(tmp_path / "small.geojson")), "--datetime", "2023-10", "--no-clear"]
        assert run([*asked, "--next", "--format", "json"]) == 0
    finally:
        (server.folder / "items.json").write_text(whole)
    tracks = {one["track"] for one in json.loads(capsys.readouterr().out)["next"]}
    assert tracks == {"orbit 3", "orbit 61", "path 114"}
