"""Our provider against a real STAC API: pages, times, filters, a real item's numbers, and pixels in the end."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import postgres_material
import pytest
import shapely
from cli_material import write_aoi
from server_material import serving, write_served
from stac_server_material import stac_server

from rail_watch import aoi, imagery, providers
from rail_watch.imagery import Scene, SceneRef, Unread, parse_interval, sample_imagery_path
from rail_watch.providers import Source, stac_api
from rail_watch.providers.http import Patience, Web
from rail_watch.providers.query import Tools, scenes_of
from rail_watch.providers.remote import Remote, WebDoor
from rail_watch.providers.stac_api import Wanted, search

pytestmark = pytest.mark.slow
WORLD = shapely.box(-180, -90, 180, 90)
REAL = ("earthsearch_v1_search_page1.json", "pc_s2_4items_2024_N0510.json", "cdse_stac110_S2C_N0511_item.json")


@dataclass(frozen=True)
class Api:
    address: str
    sample: list[dict[str, Any]]
    real: list[dict[str, Any]]

    @property
    def web(self) -> Web:
        return Web(patience=Patience(tries=2, first_wait_s=0.1)).naming(self.address)


def _sample_items() -> list[dict[str, Any]]:
    """The items of the sample catalogue, found as a file each."""
    found = []
    for path in sorted(sample_imagery_path().rglob("*.json")):
        document = json.loads(path.read_text())
        if document.get("type") == "Feature":
            found.append({**document, "collection": "sample", "links": []})
    return found


def _real_items(folder: Path) -> list[dict[str, Any]]:
    found = []
    for name in REAL:
        document = json.loads((folder / name).read_text()) if (folder / name).exists() else []
        for item in document if isinstance(document, list) else document.get("features", [document]):
            found.append({**item, "collection": f"real-{Path(name).stem.split('_')[0]}", "links": []})
    return found


def _collection(name: str) -> dict[str, Any]:
    extent = {"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [["2015-01-01T00:00:00Z", None]]}}
    words = {"description": name, "license": "other", "links": [], "extent": extent}
    return {"type": "Collection", "stac_version": "1.0.0", "id": name, **words}


@pytest.fixture(scope="module")
def api(postgres: postgres_material.Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    shared = Path(os.environ.get("RAIL_WATCH_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))
    served = write_served(tmp_path_factory.mktemp("served"))
    real = _real_items(shared / "stac_real")
    with serving(served, tmp_path_factory.mktemp("log") / "requests") as files:
        small = json.loads((served / "items.json").read_text())["features"]
        for item in small:
            for asset in item["assets"].values():
                asset["href"] = files.at(f"plain/pg/{asset['href'].removeprefix('./')}")
        items = [*_sample_items(), *small, *real]
        collections = [_collection(name) for name in sorted({item["collection"] for item in items})]
        with stac_server(postgres, collections, items, tmp_path_factory.mktemp("stac")) as address:
            yield Api(address, _sample_items(), real)


def _scenes(item: dict[str, Any], api: Api) -> tuple[SceneRef, ...]:
    tools = Tools(api.web)
    return scenes_of([item], address=f"{api.address}/search", door=WebDoor(tools.web), tools=tools).scenes


def ids(pages: stac_api.Pages) -> set[str]:
    assert pages.faults == []
    return {str(item["id"]) for item in pages.items}


def test_every_page_is_had_once(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stac_api, "PAGE", 7)
    pages = search(api.web, api.address, Wanted(WORLD, collections=("sample",)))
    assert ids(pages) == {item["id"] for item in api.sample} and len(pages.items) == len(api.sample) > 14


def test_times_and_filters_choose(api: Api) -> None:
    when = (datetime(2022, 11, 1, tzinfo=UTC), datetime(2022, 11, 10, tzinfo=UTC))
    wanted = {item["id"] for item in api.sample if "2022-11-01" <= item["properties"]["datetime"] < "2022-11-10"}
    assert ids(search(api.web, api.address, Wanted(WORLD, when, ("sample",)))) == wanted != set()
    fine = {item["id"] for item in api.sample if item["properties"].get("gsd", 99) < 1}
    finer = {"op": "<", "args": [{"property": "gsd"}, 1]}
    assert ids(search(api.web, api.address, Wanted(WORLD, collections=("sample",), filter=finer))) == fine != set()


def test_real_items_come_back_with_the_numbers_they_went_in_with(api: Api) -> None:
    if not api.real:
        pytest.skip("no real imagery beside the checkout (../shared/data); set RAIL_WATCH_SHARED_DATA to its folder")
    names = tuple({str(item["collection"]) for item in api.real})
    found = {str(item["id"]): item for item in search(api.web, api.address, Wanted(WORLD, collections=names)).items}
    for item in api.real:
        there, here = (_scenes(one, api) for one in (found[str(item["id"])], item))
        assert [(ref.id, ref.when, ref.gsd_m) for ref in there] == [(ref.id, ref.when, ref.gsd_m) for ref in here]
        for one, other in zip(there, here, strict=True):
            assert {asset.key: asset.bands for asset in one.assets} == {
                asset.key: asset.bands for asset in other.assets
            }
    assert sum(len(_scenes(item, api)) for item in api.real) >= 5


def test_the_site_s_scenes_are_found_and_read(api: Api, tmp_path: Path) -> None:
    site = aoi.read(str(write_aoi(tmp_path / "small.geojson")))
    when = parse_interval("2023-10-01/2023-10-31")
    found = providers.find(site, when, source=Source(api.address))
    assert found.faults == () and len(found.scenes) == 6
    # The files are on another server of this machine, which nobody named: a catalogue may not send us there.
    refused = imagery.read(found.scenes[0], site)
    assert isinstance(refused, Unread) and "not a place you named" in refused.reason
    named = Remote(WebDoor(api.web.naming(found.scenes[0].assets[0].href)))
    for ref in found.scenes:
        assert isinstance(imagery.read(replace(ref, access=named), site), Scene)
