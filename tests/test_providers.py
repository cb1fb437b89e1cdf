"""Imagery from servers, on loopback: the same answers as from here, and each fault of a server once."""

from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_material import write_aoi
from server_material import Server, serving, write_served

from rail_watch import aoi, imagery, providers
from rail_watch.aoi import Site
from rail_watch.cli.main import run
from rail_watch.errors import BadCatalogue
from rail_watch.imagery import Scene, SceneRef, Unread, parse_interval
from rail_watch.providers import Source, signing
from rail_watch.providers.chips import Chips
from rail_watch.providers.http import Patience, Unreachable, Web
from rail_watch.providers.remote import Remote, WebDoor
from rail_watch.providers.signing import Signer, signed
from rail_watch.providers.stac_api import Wanted, search
from rail_watch.providers.stac_provider import preferred

AUTUMN = parse_interval("2023-10-01/2023-10-31")
QUICK = Patience(tries=3, first_wait_s=0.0, timeout_s=3.0, deadline_s=1.0)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = write_served(tmp_path_factory.mktemp("served"))
    with serving(folder, tmp_path_factory.mktemp("log") / "requests") as running:
        yield running


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return aoi.read(str(write_aoi(tmp_path_factory.mktemp("aoi") / "small.geojson")))


def web_of(server: Server) -> Web:
    return Web(patience=QUICK).naming(server.address)


def scenes(site: Site, source: Any, **options: Any) -> list[Scene]:
    read = [imagery.read(ref, site) for ref in providers.find(site, AUTUMN, source=source, **options).scenes]
    assert all(isinstance(one, Scene) for one in read), read
    return [one for one in read if isinstance(one, Scene)]


def refs_in(server: Server, site: Site, mode: str, token: str, *, chips: Chips | None = None) -> SceneRef:
    """The first scene, its image under a fault and its mask in order."""
    ref = imagery.find(site, (None, None), source=server.folder / "items.json").scenes[0]
    moved = tuple(
        replace(one, href=server.at(f"{mode if one.quality is None else 'plain'}/{token}/{Path(one.href).name}"))
        for one in ref.assets
    )
    return replace(ref, assets=moved, access=Remote(WebDoor(web_of(server)), chips))


# ---- the same from there as from here ------------------------------------------------------------------------------


def same(here: list[Scene], there: list[Scene]) -> None:
    assert [one.ref.id for one in here] == [one.ref.id for one in there] and here
    for one, other in zip(here, there, strict=True):
        np.testing.assert_array_equal(one.pixels, other.pixels)
        np.testing.assert_array_equal(one.quality, other.quality)
        assert one.grid == other.grid and one.digests == other.digests and one.notes == other.notes


@pytest.mark.parametrize("mode", ["plain", "getonly", "503once"])
def test_an_api_gives_what_the_folder_gives(server: Server, site: Site, mode: str) -> None:
    here = scenes(site, server.folder / "items.json")
    there = scenes(site, server.at(f"api/{mode}"))
    same(here, there)
    assert len(server.requests(f"api/{mode}/search")) >= 3, "three pages of two"


def test_the_shipped_catalogue_over_http_gives_what_it_gives_here(tmp_path: Path) -> None:
    site = aoi.read("khasan")
    when = parse_interval("2022-11-01/2022-11-10")
    local = imagery.find(site, when, source=imagery.sample_imagery_path())
    with serving(imagery.sample_imagery_path(), tmp_path / "log") as server:
        found = providers.find(site, when, source=server.at("plain/x/catalog.json"))
        there = [ref for ref in found.scenes if ref.id in {one.id for one in local.scenes}]
        assert found.faults == () and len(found.scenes) > len(local.scenes) > 0
        same([_scene(ref, site) for ref in local.scenes], [_scene(ref, site) for ref in there])


def _scene(ref: SceneRef, site: Site) -> Scene:
    answer = imagery.read(ref, site)
    assert isinstance(answer, Scene), answer
    return answer


@pytest.mark.slow
def test_detect_through_an_api_says_what_it_says_of_the_folder(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAIL_WATCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    area = write_aoi(tmp_path / "small.geojson")
    common = ["detect", "--aoi", str(area), "--datetime", "2023-10-01/2023-10-31", "--format", "json", "--jobs", "1"]
    answers = []
    for source in (
        ["--source", str(server.folder / "items.json")],
        ["--source", server.at("api/plain")],
        ["--source", server.at("api/plain"), "--offline"],
    ):
        before = len(server.requests())
        assert run([*common, *source]) == 0
        answers.append(capsys.readouterr().out)
        asked = len(server.requests()) - before
    assert answers[0] == answers[1] == answers[2] and '"train"' in answers[0]
    assert asked == 0, "offline asks nothing"
    assert run([*common, "--source", server.at("api/getonly"), "--offline"]) == 2
    assert "the cache holds nothing of it" in capsys.readouterr().err


@pytest.mark.slow
def test_items_come_from_standard_input(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stdin:
        buffer = io.BytesIO((server.folder / "items.json").read_bytes())

    monkeypatch.setattr("sys.stdin", Stdin())
    monkeypatch.chdir(server.folder)
    area = write_aoi(tmp_path / "small.geojson")
    assert run(["detect", "--aoi", str(area), "--items", "-", "--format", "json", "--jobs", "1"]) == 0
    assert len(json.loads(capsys.readouterr().out)["scenes"]) == 6
    assert run(["detect", "--aoi", str(area), "--items", "-", "--source", "x"]) == 2
    assert run(["detect", "--aoi", str(area), "--source", server.at("api/plain")]) == 2
    assert "needs --datetime" in capsys.readouterr().err


@pytest.mark.slow
def test_several_windows_are_read_at_the_same_time(server: Server, site: Site) -> None:
    from rail_watch.detect import DetectOptions, detect_sites

    created = datetime(2024, 1, 1, tzinfo=UTC)
    detect_sites([site], source=server.at("api/files-late"), options=DetectOptions(when=AUTUMN), created=created)
    assert max(line["most"] for line in server.requests("late/")) > 2


# ---- faults of files -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["429", "503", "cutonce", "norange"])
def test_what_passes_is_waited_for(server: Server, site: Site, mode: str) -> None:
    answer = imagery.read(refs_in(server, site, mode, f"passes-{mode}"), site)
    assert isinstance(answer, Scene), answer


FAULTS = [
    ("503always", r"answers 503 \(3 tries\); try again later"),
    ("429long", "answers 429, and asks to wait 86400 s"),
    ("cut", r"sent \d+ of \d+ bytes|cannot be read"),
    ("slow", "was not done after 1 s"),
    ("403", "answers 403: the key is missing, wrong, or not for this"),
    ("gone", "answers 404|nothing there"),
    ("endless", "where its first bytes were asked; download it"),
]


@pytest.mark.parametrize(("mode", "says"), FAULTS, ids=[mode for mode, _ in FAULTS])
def test_what_does_not_pass_is_one_line(server: Server, site: Site, mode: str, says: str) -> None:
    ref = refs_in(server, site, "norange" if mode == "endless" else mode, f"fails-{mode}")
    if mode == "gone":
        ref = replace(ref, assets=(replace(ref.assets[0], href=f"{ref.assets[0].href}.gone"),))
    if mode == "endless":
        big = server.folder / "big.tif"
        big.write_bytes(b"II*\0" + bytes(4_000_000))
        ref = replace(ref, assets=(replace(ref.assets[0], href=server.at("norange/x/big.tif")),))
    answer = imagery.read(ref, site)
    assert isinstance(answer, Unread) and answer.failed
    assert answer.reason.startswith("read-failed: http://127.0.0.1") and "\n" not in answer.reason
    assert re.search(says, answer.reason), answer.reason


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("file:///etc/passwd", "not followed"),
        ("http://10.255.255.1/a.tif", "not https, and not a place you named"),
        ("https://127.0.0.1:9/a.tif", "leads to this machine or a private network"),
        ("https://169.254.169.254/latest/meta-data", "leads to this machine or a private network"),
    ],
)
def test_a_redirect_to_where_nobody_asked_is_not_followed(server: Server, site: Site, target: str, says: str) -> None:
    ref = refs_in(server, site, "away", "r")
    away = replace(ref.assets[0], href=f"{ref.assets[0].href}?to={target}")
    answer = imagery.read(replace(ref, assets=(away,)), site)
    assert isinstance(answer, Unread) and answer.failed and says in answer.reason, answer
    assert "?" not in answer.reason, "queries may hold signatures"


def test_a_catalogue_cannot_send_us_to_the_user_s_own_network(server: Server, site: Site, tmp_path: Path) -> None:
    items = json.loads((server.folder / "items.json").read_text())
    items["features"][0]["assets"]["data"]["href"] = server.at("plain/x/20231001_023000_small.tif")
    (tmp_path / "items.json").write_text(json.dumps({**items, "features": items["features"][:1]}))
    (ref,) = providers.find(site, AUTUMN, source=tmp_path / "items.json").scenes
    before = len(server.requests())
    answer = imagery.read(ref, site)
    assert isinstance(answer, Unread) and "not a place you named" in answer.reason
    assert len(server.requests()) == before


def test_a_later_try_does_reach_the_server(server: Server, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """GDAL remembers a failed open for the life of the process; a nightly run must not."""
    monkeypatch.setenv("GDAL_HTTP_MAX_RETRY", "0")
    ref = refs_in(server, site, "503reads", "later")
    assert isinstance(imagery.read(ref, site), Unread)
    (server.folder / "healthy").touch()
    before = len(server.requests("503reads/later"))
    answer = imagery.read(ref, site)
    (server.folder / "healthy").unlink()
    assert isinstance(answer, Scene), answer
    assert len(server.requests("503reads/later")) > before + 1


def test_the_user_s_own_settings_win(monkeypatch: pytest.MonkeyPatch) -> None:
    from rail_watch.providers.windows import READING, settings

    assert settings() == READING
    monkeypatch.setenv("GDAL_HTTP_TIMEOUT", "7")
    assert "GDAL_HTTP_TIMEOUT" not in settings()


@pytest.mark.slow
def test_one_scene_that_cannot_be_read_costs_only_itself(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rail_watch.providers.source.Web", lambda: Web(patience=QUICK))
    items = json.loads((server.folder / "items.json").read_text())
    for item in items["features"]:
        for asset in item["assets"].values():
            asset["href"] = asset["href"].removeprefix("./")
    items["features"][2]["assets"]["data"]["href"] = "gone.tif"
    (server.folder / "one-gone.json").write_text(json.dumps(items))
    area = write_aoi(tmp_path / "small.geojson")
    asked = ["detect", "--aoi", str(area), "--source", server.at("plain/x/one-gone.json"), "--no-cache"]
    assert run([*asked, "--format", "json", "--jobs", "1"]) == 3
    out, err = capsys.readouterr()
    status = {scene["id"]: scene["status"] for scene in json.loads(out)["scenes"]}
    assert list(status.values()).count("skipped") == 1 and status["20231009_023000_small"] == "skipped"
    assert "read-failed" in err and "answers 404" in err


# ---- faults of searches --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "items", "says"),
    [
        ("plain", 6, None),
        ("loop", 4, "circle"),
        ("endless", 2, "circle"),
        ("half", 2, "answers 500"),
        ("elsewhere", 2, "another server"),
    ],
)
def test_pages(server: Server, site: Site, mode: str, items: int, says: str | None) -> None:
    pages = search(web_of(server), server.at(f"api/{mode}"), Wanted(site.polygon))
    assert len(pages.items) == items
    assert pages.faults == [] if says is None else says in pages.faults[0] and "only the first" in pages.faults[0]


def test_what_is_no_api_is_one_line(server: Server, site: Site) -> None:
    for address, says in ((server.at("plain/x/items.json"), "404|405|501"), ("http://127.0.0.1:9", "no connection")):
        with pytest.raises(BadCatalogue, match=says) as caught:
            search(web_of(server).naming(address), address, Wanted(site.polygon))
        assert "\n" not in str(caught.value)


def test_datetimes_and_collections_are_sent(server: Server, site: Site) -> None:
    when = (datetime(2023, 10, 8, tzinfo=UTC), datetime(2023, 10, 14, tzinfo=UTC))
    assert len(search(web_of(server), server.at("api/plain"), Wanted(site.polygon, when)).items) == 2
    assert search(web_of(server), server.at("api/plain"), Wanted(site.polygon, when, ("other",))).items == []


def test_the_newer_collection_is_preferred_and_its_gaps_filled() -> None:
    def ref(name: str, collection: str) -> SceneRef:
        when = datetime(2022, 11, 4, tzinfo=UTC)
        return SceneRef(name, when, None, 10, (), properties={"collection": collection})

    new = ref("S2B_T52TEN_20221104T021909_L2A", "sentinel-2-c1-l2a")
    old = ref("S2B_52TEN_20221104_0_L2A", "sentinel-2-l2a")
    alone = ref("S2A_52TEN_20221109_0_L2A", "sentinel-2-l2a")
    kept, notes = preferred([new, old, alone], ("sentinel-2-c1-l2a", "sentinel-2-l2a"))
    assert kept == [new, alone] and len(notes) == 2


# ---- signatures, keys, Planet --------------------------------------------------------------------------------------


def test_signatures_are_fetched_late_kept_and_refreshed(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signing, "_TOKENS", {})
    signer, web = Signer(server.at("sas/token")), web_of(server)
    href = "https://acct.blob.core.windows.net/box/a.tif?se=2020-01-01T00%3A00%3A00Z&sig=old&own=1"
    first = signed(href, signer, web)
    assert "own=1" in first and "old" not in first and first.count("sig=") == 1
    second = signed(href, signer, web)
    assert second != first, "three minutes are too few: fetched anew"
    assert signed(href, signer, web) == second, "an hour is enough: kept"
    assert len(server.requests("sas/token/acct/box")) == 2
    assert signed("https://example.com/a.tif", signer, web) == "https://example.com/a.tif"


def test_a_connection_is_used_again_and_a_dead_one_is_not_missed(server: Server) -> None:
    from rail_watch.providers import connection

    connection.drop_kept()
    web, address = web_of(server), server.at("plain/again/items.json")
    first = web.get(address).body
    ((_, kept),) = [one for idle in connection._KEPT.values() for one in idle]
    assert kept.sock is not None
    before = kept.sock.getsockname()
    assert web.get(address).body == first
    ((_, kept),) = [one for idle in connection._KEPT.values() for one in idle]
    assert kept.sock is not None and kept.sock.getsockname() == before, "the same connection"
    kept.sock.shutdown(2)
    assert web.get(address).body == first, "asked again on a new one"
    with pytest.raises(Unreachable, match="404"):
        web.get(server.at("plain/again/none"))
    with pytest.raises(Unreachable):
        web.get("http://127.0.0.1:9/ x")
    connection.drop_kept()


def test_a_key_is_not_sent_on_to_another_server(server: Server, tmp_path: Path) -> None:
    (tmp_path / "b").write_text("x")
    with serving(tmp_path, tmp_path / "log") as other:
        web = web_of(server).naming(other.address)
        web.get(server.at(f"away/k?to={other.at('plain/x/b')}"), headers={"Authorization": "Bearer secret"})
        assert server.requests("away/k")[0]["keys"] == ["Authorization"] and other.requests()[0]["keys"] == []


def test_planet_is_searched_activated_and_read(
    server: Server, site: Site, shared_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rail_watch.providers.planet import Planet
    from rail_watch.providers.query import Query, Tools

    item = json.loads((shared_data / "stac_real" / "planet_data_api_PSScene_item.json").read_text())
    item["geometry"] = site.polygon.__geo_interface__
    item["properties"]["pixel_resolution"] = 3
    item["_links"]["assets"] = server.at("planet/assets/one")
    (server.folder / "planet.json").write_text(json.dumps([item]))
    (server.folder / "planet.tif").write_bytes((server.folder / "20231001_023000_small.tif").read_bytes())
    _write_udm2(server.folder)
    planet, query = Planet(server.at("planet")), Query(site, AUTUMN)
    with pytest.raises(BadCatalogue, match="PL_API_KEY"):
        planet.find(query, Tools(web_of(server)))
    monkeypatch.setenv("PL_API_KEY", "planted-secret")
    (ref,) = planet.find(query, Tools(web_of(server))).scenes
    assert ref.constellation == "planetscope" and ref.assets[1].quality == "udm2"
    first = imagery.read(ref, site)
    assert isinstance(first, Unread) and "run again in some minutes" in first.reason
    assert "planted-secret" not in first.reason
    second = imagery.read(ref, site)
    assert isinstance(second, Scene) and second.bands == ("blue", "green", "red", "nir")


def test_an_object_store_is_read_with_the_user_s_keys(
    server: Server, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As at CDSE: S3 in path style behind an endpoint of its own, keys from the environment."""
    store = {"AWS_S3_ENDPOINT": f"127.0.0.1:{server.port}", "AWS_VIRTUAL_HOSTING": "FALSE", "AWS_HTTPS": "NO"}
    ref = refs_in(server, site, "plain", "x")
    names = [Path(one.href).name for one in ref.assets]
    moved = tuple(replace(one, href=f"s3://eodata/{name}") for one, name in zip(ref.assets, names, strict=True))
    ref = replace(ref, assets=moved, access=Remote(WebDoor(web_of(server), store)))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "wrong-id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "planted-secret")
    refused = imagery.read(ref, site)
    assert isinstance(refused, Unread) and refused.reason.startswith("read-failed: s3://eodata/"), refused
    assert "planted-secret" not in refused.reason and "\n" not in refused.reason
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "planted-id")
    answer = imagery.read(ref, site)
    assert isinstance(answer, Scene), answer
    same([_scene(imagery.find(site, (None, None), source=server.folder / "items.json").scenes[0], site)], [answer])


def _write_udm2(folder: Path) -> None:
    import rasterio

    with rasterio.open(folder / "mask.tif") as one:
        profile = {**one.profile, "count": 8}
    layers = np.zeros((8, profile["height"], profile["width"]), dtype="uint8")
    layers[0] = 1
    with rasterio.open(folder / "udm2.tif", "w", **profile) as target:
        target.write(layers)


def test_real_planet_items_become_scenes(shared_data: Path) -> None:
    from rail_watch.providers.planet import scene_of

    for name in ("planet_data_api_PSScene_item.json", "planet_data_api_skysat_search.json"):
        document = json.loads((shared_data / "stac_real" / name).read_text())
        items = document if isinstance(document, list) else document.get("features", [document])
        for item in items:
            ref = scene_of(item)
            assert ref.assets[0].bands and ref.gsd_m and ref.footprint is not None and ref.off_nadir_deg is not None


# ---- the store -----------------------------------------------------------------------------------------------------


def test_a_window_is_fetched_once_and_a_damaged_one_again(server: Server, site: Site, tmp_path: Path) -> None:
    chips = Chips(tmp_path)
    ref = refs_in(server, site, "plain", "store", chips=chips)
    first = _scene(ref, site)
    asked = len(server.requests("plain/store"))
    same([first], [_scene(ref, site)])
    assert len(server.requests("plain/store")) == asked and chips.size()[0] == 2
    for path in tmp_path.glob("chips/*/*.tif"):
        assert path.read_bytes()[4:8] == b"\x08\0\0\0", "its directory stands first, as in a COG"
    for path in tmp_path.glob("chips/*/*.tif"):
        data = bytearray(path.read_bytes())
        data[-10] ^= 0xFF
        path.write_bytes(data)
    same([first], [_scene(ref, site)])
    assert len(server.requests("plain/store")) > asked


def test_the_store_keeps_its_limit_and_can_be_cleared(tmp_path: Path) -> None:
    def make(path: Path) -> Path:
        path.write_bytes(bytes(1000))
        return path

    chips = Chips(tmp_path, limit_bytes=2500)
    for number in range(5):
        chips.put(f"{number:02}abc", make)
    assert chips.size() == (2, 2000) and chips.get("04abc") is not None and chips.get("00abc") is None
    assert chips.clear() == (2, 2000) and chips.size() == (0, 0)


def test_the_store_sweeps_up_what_a_killed_process_left_and_not_what_is_being_written(tmp_path: Path) -> None:
    chips = Chips(tmp_path)
    drafts = [tmp_path / name for name in ("chips/00/.00abc.tif.1.2", "chips/01/.01abc.tif.1.sha256", "items/x/.y.1")]
    for path in drafts:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half")
    chips.put("02abc", lambda path: path.write_bytes(b"whole") and path)
    assert all(path.exists() for path in drafts)
    for path in drafts:
        os.utime(path, (0, 0))
    chips.put("03abc", lambda path: path.write_bytes(b"whole") and path)
    assert not any(path.exists() for path in drafts) and chips.size()[0] == 2


def test_an_address_that_is_none_is_one_line(site: Site) -> None:
    for source in ("ftp://example.com/x", "s3://bucket/catalog.json"):
        with pytest.raises(BadCatalogue, match="not an http or https address"):
            providers.find(site, AUTUMN, source=Source(source))
    with pytest.raises(Unreachable, match="refused"):
        Web(patience=QUICK).get("http://127.0.0.1:9/x")
