"""Servers and catalogues that mean harm: answers without end, places nobody named, items that are no items."""

from __future__ import annotations

import copy
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cli_material import write_aoi
from server_material import Server, items_of_series, serving, write_served

from rail_watch import aoi, imagery, providers
from rail_watch.aoi import Site
from rail_watch.errors import BadCatalogue
from rail_watch.imagery import Scene, parse_interval
from rail_watch.imagery.scene import Asset, Band
from rail_watch.providers import Source
from rail_watch.providers.chips import Chips, chip_key
from rail_watch.providers.http import Patience, Unreachable, Web
from rail_watch.providers.planet import scene_of
from rail_watch.providers.remote import Remote, WebDoor
from rail_watch.providers.survey import looks

QUICK = Patience(tries=1, timeout_s=2.0, deadline_s=0.8)


@pytest.fixture(scope="module")
def odd() -> Iterator[str]:
    """The address of a server that answers oddly."""
    command = [sys.executable, str(Path(__file__).with_name("odd_server.py"))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = write_served(tmp_path_factory.mktemp("served"))
    with serving(folder, tmp_path_factory.mktemp("log") / "requests") as running:
        yield running


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return aoi.read(str(write_aoi(tmp_path_factory.mktemp("aoi") / "small.geojson")))


# ---- answers -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["continue", "status", "header", "chunk-size", "chunks", "trailers", "body"])
def test_an_answer_without_end_is_ended(odd: str, mode: str) -> None:
    """A byte now and then keeps the time limit of a read from passing; the whole answer has one of its own."""
    start = time.monotonic()
    with pytest.raises(Unreachable, match=r"was not done after 1 s|sends more than 64 MB") as caught:
        Web(patience=QUICK).naming(odd).get(f"{odd}/{mode}")
    assert time.monotonic() - start < 10 and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("mode", "says"),
    [
        ("nowhere", "redirects to what is no address"),
        ("wait", "answers 503; try again later"),
        ("wait-long", "answers 503"),
        ("long-line", "the answer broke off"),
        ("claims-more", "the answer broke off|sent 2 of|was not done"),
        ("junk", "the answer broke off"),
        ("deep", "nested too deeply"),
        ("digits", "not JSON"),
        ("packed", "not UTF-8"),
    ],
)
def test_an_odd_answer_is_one_line(odd: str, mode: str, says: str) -> None:
    with pytest.raises(BadCatalogue, match=says) as caught:
        Web(patience=QUICK).naming(odd).get(f"{odd}/{mode}").json()
    assert "\n" not in str(caught.value) and str(caught.value).isprintable()


def test_what_comes_behind_an_answer_is_not_taken_for_the_next(odd: str) -> None:
    web = Web(patience=QUICK).naming(odd)
    assert [web.get(f"{odd}/claims-less").json() for _ in range(2)] == [{}, {}]


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost", "localhost."])
def test_a_proxy_is_not_asked_for_this_machine(host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(tmp_path, tmp_path / "log") as proxy:
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("https_proxy", proxy.address)
        with pytest.raises(Unreachable, match="leads to this machine or a private network"):
            Web(patience=QUICK).get(f"https://{host}/latest/meta-data")
        assert proxy.requests() == []


# ---- items ---------------------------------------------------------------------------------------------------------


def _nested(depth: int) -> Any:
    inside: Any = []
    for _ in range(depth):
        inside = [inside]
    return inside


HARMFUL = {
    "a number that no float holds": 10**400,
    "no list of coordinates": "",
    "coordinates that no float holds": {"type": "Point", "coordinates": [10**400, 1]},
    "coordinates without end": {
        "type": "Polygon",
        "coordinates": [[[1e308, 1e308], [1, 1], [1e308, 0], [1e308, 1e308]]],
    },
    "nested deeply": {"type": "Polygon", "coordinates": _nested(500)},
    "half a surrogate": "\ud800",
    "a time before the first": "0001-01-01T00:00:00+14:00",
    "a time after the last": "9999-12-31T23:59:59-12:00",
}
PLACES = (
    ("geometry",),
    ("geometry", "coordinates"),
    ("bbox",),
    ("properties", "datetime"),
    ("properties", "gsd"),
    ("properties", "view:sun_elevation"),
    ("properties", "platform"),
    ("assets", "data", "proj:transform"),
    ("assets", "data", "href"),
    ("assets", "data", "bands"),
)


@pytest.mark.parametrize("harm", HARMFUL)
@pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")
def test_one_harmful_item_costs_at_most_itself(harm: str, site: Site) -> None:
    good = items_of_series()["features"][1]
    for place in PLACES:
        item = copy.deepcopy(items_of_series()["features"][0])
        inner: Any = item
        for key in place[:-1]:
            inner = inner[key]
        inner[place[-1]] = HARMFUL[harm]
        collection = json.dumps({"type": "FeatureCollection", "features": [item, good]}).encode()
        found = providers.find(site, (None, None), source=Source("handed in", items=collection))
        assert good["id"] in {ref.id for ref in found.scenes}, place
        looks(found.scenes, site, read=False)
        assert all("\n" not in fault for fault in found.faults)


@pytest.mark.parametrize("harm", HARMFUL)
@pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")
def test_one_harmful_item_of_planet_s_too(harm: str) -> None:
    item = {
        "id": "20230101_1",
        "_permissions": ["assets.ortho_analytic_4b_sr:download"],
        "_links": {"assets": "https://api.planet.com/x"},
        "geometry": {"type": "Point", "coordinates": [0, 0]},
        "properties": {"acquired": "2023-01-01T00:00:00Z", "pixel_resolution": 3},
    }
    assert scene_of(item).gsd_m == 3 and scene_of(item).off_nadir_deg is None, "not known is not straight down"
    for change in (
        {"geometry": HARMFUL[harm]},
        {"properties": {**item["properties"], "pixel_resolution": HARMFUL[harm]}},
    ):  # type: ignore[dict-item]
        ref = scene_of({**item, **change})
        assert ref.gsd_m in (3, None)


# ---- the store -----------------------------------------------------------------------------------------------------


def test_two_files_are_never_kept_under_one_name(site: Site) -> None:
    long = "https://example.com/" + "a" * 150
    hrefs = [
        f"{long}/1.tif",
        f"{long}/2.tif",
        f"{long}?file=1.tif",
        f"{long}?file=2.tif",
        "s3://a/1.tif",
        "s3://b/1.tif",
    ]
    keys = [chip_key("item", Asset("data", href, (Band("red", 1),)), site, 30.0) for href in hrefs]
    assert len(set(keys)) == len(hrefs)
    one = Asset("data", f"{long}?file=1.tif&sig=a&se=2023", (Band("red", 1),))
    again = [replace(one, href=f"{long}?file=1.tif&{signed}") for signed in ("se=2024&sig=b", "X-Amz-Signature=c")]
    assert {chip_key("item", other, site, 30.0) for other in again} == {keys[2]}
    assert chip_key("item", replace(one, checksum="1220" + "0" * 64), site, 30.0) != keys[2], "a file made anew"


def test_clearing_the_store_leaves_alone_what_links_in_it_lead_to(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    for name in ("a.tif", "a.json", ".draft"):
        (mine / name).write_text("mine")
        os.utime(mine / name, (0, 0))
    for kind in ("chips", "items"):
        (tmp_path / "cache" / kind).mkdir(parents=True)
        (tmp_path / "cache" / kind / "aa").symlink_to(mine)
    chips = Chips(tmp_path / "cache", limit_bytes=0)
    chips.put("00abc", lambda path: path.write_bytes(b"x") and path)
    assert chips.clear() == (1, 1) and len(list(mine.iterdir())) == 3


def through(server: Server, site: Site, chips: Chips) -> Any:
    ref = imagery.find(site, (None, None), source=server.folder / "items.json").scenes[0]
    moved = tuple(replace(one, href=server.at(f"plain/hostile/{Path(one.href).name}")) for one in ref.assets)
    access = Remote(WebDoor(Web(patience=QUICK).naming(server.address)), chips)
    return imagery.read(replace(ref, assets=moved, access=access), site)


def test_a_store_that_cannot_be_written_costs_no_scene(server: Server, site: Site, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    chips = Chips(tmp_path / "file" / "cache")
    chips.keep_items("source", [{"id": "one"}])
    assert isinstance(through(server, site, chips), Scene) and chips.items("source") == []


def test_a_full_or_read_only_store_costs_no_scene(server: Server, site: Site, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mount = shutil.which("mount")
    made = mount and subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=32k", "tmpfs", str(small)], check=False, capture_output=True, timeout=30
    )
    if not made or made.returncode:
        pytest.skip("no small disk can be mounted here")
    try:
        assert isinstance(through(server, site, Chips(small)), Scene)
        for options in ("remount,size=4m", "remount,ro"):
            subprocess.run(["mount", "-o", options, str(small)], check=True, timeout=30)
            assert isinstance(through(server, site, Chips(small)), Scene)
        assert Chips(small).size()[0] == 2, "what was kept before serves from a disk that may only be read"
    finally:
        subprocess.run(["umount", str(small)], check=False, timeout=30)


def test_no_room_for_a_window_anywhere_is_one_line(
    server: Server, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("rail_watch.providers.windows.write", full)
    answer = through(server, site, Chips(tmp_path))
    assert answer.failed and "cannot be written to" in answer.reason and answer.reason.endswith("make room there")


def test_user_s_times_at_the_ends_of_the_calendar_are_one_line(server: Server, site: Site) -> None:
    for text in ("0001-01-01/0001-02-01", "9999-12-01/9999-12-31"):
        with pytest.raises(BadCatalogue, match="end of the calendar; write"):
            providers.find(site, parse_interval(text), source=server.at("api/plain"))
