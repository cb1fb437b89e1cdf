"""Scenes in an object store, as at CDSE: a real one on loopback that checks keys, and refusals it does not know."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from cli_material import COLUMNS, DAYS, LEFT, PIXEL, ROWS, TOP, UTM, picture, write_aoi
from object_store_material import Store, object_store
from server_material import Server, items_of_series, serving

from rail_watch import aoi, imagery, providers
from rail_watch.aoi import Site
from rail_watch.cli.main import run
from rail_watch.imagery import Scene, Unread, parse_interval
from rail_watch.providers import stac_provider
from rail_watch.providers.http import Patience, Web, origin
from rail_watch.providers.query import Query, Tools

AUTUMN = parse_interval("2023-10-01/2023-10-31")
BANDS = ("B02", "B03", "B04", "B08")
KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")


def write(path: Path, data: Any, pixel: float) -> str:
    """Write one band; as JPEG 2000 as the agency does, or as COG, by the name's end."""
    driver = {".jp2": {"driver": "JP2OpenJPEG", "QUALITY": "100", "REVERSIBLE": "YES"}, ".tif": {"driver": "COG"}}
    profile = {"count": 1, "height": data.shape[0], "width": data.shape[1], "dtype": data.dtype, "crs": UTM}
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(
        path, "w", transform=Affine(pixel, 0, LEFT, 0, -pixel, TOP), **profile, **driver[path.suffix]
    ) as dataset:
        dataset.write(data, 1)
    return path.name


def cdse_item(item: dict[str, Any], day: str, bucket: Path) -> dict[str, Any]:
    """Return an item spelt as CDSE's are, its files written to a folder that stands for the bucket."""
    end = ".jp2" if DAYS.index(day) % 2 else ".tif"
    where = bucket / "Sentinel-2" / day
    assets = {}
    for number, band in enumerate(BANDS):
        data = picture(day)[number] + 1000
        name = write(where / f"T52TFN_{day}T023000_{band}_10m{end}", data.astype("uint16"), PIXEL)
        assets[f"{band}_10m"] = {
            "href": f"s3://eodata/Sentinel-2/{day}/{name}",
            "type": "image/jp2" if end == ".jp2" else "image/tiff; application=geotiff",
            "roles": ["data", "reflectance"],
            "gsd": PIXEL,
            "bands": [{"name": band, "raster:scale": 1e-4, "raster:offset": -0.1, "nodata": 0}],
        }
    classes = np.full((ROWS // 2, COLUMNS // 2), 5, dtype="uint8")
    name = write(where / f"T52TFN_{day}T023000_SCL_20m{end}", classes, 2 * PIXEL)
    media = assets["B02_10m"]["type"]
    assets["SCL_20m"] = {"href": f"s3://eodata/Sentinel-2/{day}/{name}", "type": media, "roles": ["data"]}
    properties = {**item["properties"], "platform": "sentinel-2c", "constellation": "sentinel-2"}
    scene = f"S2C_MSIL2A_{day}T023000_N0511_R122_T52TFN_{day}T145914"
    return {**item, "id": scene, "collection": "sentinel-2-l2a", "properties": properties, "assets": assets}


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the catalogue, and below it what goes into the bucket."""
    folder = tmp_path_factory.mktemp("cdse")
    series = items_of_series()["features"]
    items = [cdse_item(item, day, folder / "eodata") for item, day in zip(series, DAYS, strict=True)]
    (folder / "items.json").write_text(json.dumps({"type": "FeatureCollection", "features": items}))
    here = json.dumps({"type": "FeatureCollection", "features": items}).replace("s3://eodata/", "./eodata/")
    (folder / "here.json").write_text(here)
    return folder


@pytest.fixture(scope="module")
def store(bucket: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with object_store(bucket / "eodata", "eodata", tmp_path_factory.mktemp("moto") / "log") as running:
        yield running


@pytest.fixture(scope="module")
def server(bucket: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(bucket, tmp_path_factory.mktemp("log") / "requests") as running:
        yield running


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return aoi.read(str(write_aoi(tmp_path_factory.mktemp("aoi") / "small.geojson")))


@pytest.fixture
def cdse(server: Server, monkeypatch: pytest.MonkeyPatch) -> stac_provider.StacApi:
    """The provider as it ships, but for its address; no key of the machine's own is found."""
    for name in (*KEYS, "AWS_PROFILE", "AWS_DEFAULT_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    shipped = stac_provider.CDSE
    assert isinstance(shipped, stac_provider.StacApi)
    moved = replace(shipped, api=server.at("api/plain"))
    monkeypatch.setattr(stac_provider, "CDSE", moved)
    named = frozenset({origin(server.address)})
    monkeypatch.setattr("rail_watch.providers.source.Web", lambda: Web(named, Patience(tries=1)))
    return moved


def at(endpoint: str, keys: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """Say in the environment which store to ask, and with whose keys: it wins over the provider's own endpoint."""
    monkeypatch.setenv("AWS_S3_ENDPOINT", endpoint)
    monkeypatch.setenv("AWS_HTTPS", "NO")
    for name, value in zip(KEYS, keys, strict=False):
        monkeypatch.setenv(name, value)


def first(cdse: stac_provider.StacApi, site: Site, server: Server) -> Any:
    tools = Tools(Web(frozenset({origin(server.address)}), Patience(tries=1)))
    return cdse.find(Query(site, AUTUMN), tools).scenes[0]


@pytest.mark.parametrize("who", ["user", "session"])
def test_scenes_of_a_bucket_read_as_they_do_from_here(
    who: str, bucket: Path, store: Store, cdse: Any, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    at(f"127.0.0.1:{store.port}", getattr(store, who), monkeypatch)
    found = providers.find(site, AUTUMN, source="cdse")
    local = imagery.find(site, (None, None), source=bucket / "here.json")
    assert found.faults == local.faults == () and len(found.scenes) == len(local.scenes) == len(DAYS)
    for near, far in zip(local.scenes, found.scenes, strict=True):
        here, there = imagery.read(near, site), imagery.read(far, site)
        assert isinstance(here, Scene) and isinstance(there, Scene), there
        np.testing.assert_array_equal(there.pixels, here.pixels)
        np.testing.assert_array_equal(there.quality, here.quality)
        assert there.grid == here.grid and there.bands == ("blue", "green", "red", "nir")


FAULTS = {
    "no keys": ((), r"AWS_SECRET_ACCESS_KEY .*not defined.*; put your keys into AWS_ACCESS_KEY_ID and AWS_SECRET"),
    "a key without its secret": (("AKIAPLANTED",), "put your keys into AWS_ACCESS_KEY_ID and AWS_SECRET"),
    "an unknown key": (("AKIAPLANTED", "planted"), "does not exist in our records.*are the keys in AWS_ACCESS_KEY_ID"),
    "a wrong secret": (("USER", "planted"), "signature.*are the keys in AWS_ACCESS_KEY_ID .* right, and valid still"),
    "a wrong token": (("SESSION", "SECRET", "planted"), "token.*are the keys in AWS_ACCESS_KEY_ID .* right"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_a_store_has_against_a_key_is_one_line_with_the_mend(
    fault: str, store: Store, server: Server, cdse: Any, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys, says = FAULTS[fault]
    own = {"USER": store.user[0], "SESSION": store.session[0], "SECRET": store.session[1]}
    at(f"127.0.0.1:{store.port}", tuple(own.get(key, key) for key in keys), monkeypatch)
    answer = imagery.read(first(cdse, site, server), site)
    assert isinstance(answer, Unread) and answer.failed
    assert answer.reason.startswith("read-failed: s3://eodata/Sentinel-2/") and "\n" not in answer.reason
    assert "planted" not in answer.reason.lower() and store.session[1] not in answer.reason, "no secret is shown"
    assert re.search(says, answer.reason), answer.reason


def test_an_object_that_comes_later_is_found_then(
    bucket: Path, store: Store, server: Server, cdse: Any, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GDAL remembers for the life of the process that an object was not there; a nightly run must not."""
    at(f"127.0.0.1:{store.port}", store.user, monkeypatch)
    ref = first(cdse, site, server)
    late = replace(ref.assets[0], href="s3://eodata/late.tif")
    ref = replace(ref, assets=(late, *ref.assets[1:]))
    answer = imagery.read(ref, site)
    assert isinstance(answer, Unread) and answer.reason.endswith("it is not there; search again or leave it out")
    store.put(next(bucket.glob(f"eodata/Sentinel-2/{DAYS[0]}/*B02*")), "eodata", "late.tif")
    assert isinstance(imagery.read(ref, site), Scene)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("expired", "token has expired.*valid still"),
        ("terse", "refused by the object store, which gives no reason.*right, and is it there"),
        ("bare", "403.*valid still"),
        ("painted", r"\(\[31mno key\); fetch it again"),
    ],
)
def test_refusals_of_other_stores(
    name: str, says: str, server: Server, cdse: Any, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    at(f"127.0.0.1:{server.port}", ("planted-id", "planted-secret"), monkeypatch)
    ref = first(cdse, site, server)
    ref = replace(ref, assets=(replace(ref.assets[0], href=f"s3://eodata/{name}/B02.tif"),))
    answer = imagery.read(ref, site)
    assert isinstance(answer, Unread) and answer.reason.isprintable(), answer
    assert re.search(says, answer.reason), answer.reason


@pytest.mark.slow
def test_what_a_bucket_lacks_costs_the_scenes_it_hits(
    bucket: Path, store: Store, cdse: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    at(f"127.0.0.1:{store.port}", store.user, monkeypatch)
    whole = (bucket / "items.json").read_text()
    lacking = whole.replace(f"s3://eodata/Sentinel-2/{DAYS[1]}", f"s3://eodata/Sentinel-2/{DAYS[1]}-gone")
    lacking = lacking.replace(f"s3://eodata/Sentinel-2/{DAYS[2]}", f"s3://no-such-bucket/{DAYS[2]}")
    asked = ["detect", "--aoi", str(write_aoi(tmp_path / "small.geojson")), "--source", "cdse", "--no-cache"]
    asked += ["--datetime", "2023-10-01/2023-10-31", "--format", "json", "--jobs", "1"]
    (bucket / "items.json").write_text(lacking)
    try:
        assert run(asked) == 3
    finally:
        (bucket / "items.json").write_text(whole)
    out, err = capsys.readouterr()
    document = json.loads(out)
    skipped = {scene["id"][11:19]: scene["reason"] for scene in document["scenes"] if scene["status"] == "skipped"}
    assert sorted(skipped) == [DAYS[1], DAYS[2]] and all("read-failed: s3://" in why for why in skipped.values())
    assert "key does not exist" in err and "bucket does not exist" in err and store.user[1] not in err + out
    assert '"train"' in out, "the rest is judged"
