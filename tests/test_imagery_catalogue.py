"""Static STAC catalogues: what is found, what is filtered, and what a bad item costs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from imagery_material import (
    asset,
    bands_of,
    catalog,
    collection_of_items,
    item,
    link,
    painted,
    save,
    small_site,
    write_tif,
)
from shapely.geometry import box, mapping

from rail_watch import imagery
from rail_watch.errors import BadCatalogue, BadInput
from rail_watch.imagery import Found, Scene, SceneRef, parse_interval

ALWAYS = (None, None)


def found(source: Path, **options: Any) -> Found:
    return imagery.find(small_site(), options.pop("when", ALWAYS), source=source, **options)


def only(source: Path, **options: Any) -> SceneRef:
    result = found(source, **options)
    assert result.faults == ()
    (ref,) = result.scenes
    return ref


def one_item(folder: Path, content: Any) -> Path:
    return save(folder / "item.json", content)


def radiometry(ref: SceneRef) -> list[tuple[str, float, float, float | None]]:
    return [(band.name, band.scale, band.offset, band.nodata) for one in ref.assets for band in one.bands]


def test_a_catalogue_is_walked_to_its_pixels(tmp_path: Path) -> None:
    write_tif(tmp_path / "c" / "2022" / "a.tif", painted())
    save(tmp_path / "catalog.json", catalog(link("child", "./c/collection.json"), link("self", "https://example.com")))
    shared = {"license": "CC-BY-4.0", "providers": [{"name": "Maker", "roles": ["producer"]}, {"name": "Host"}]}
    save(tmp_path / "c" / "collection.json", catalog(link("item", "2022/i.json"), type="Collection", **shared))
    save(tmp_path / "c" / "2022" / "i.json", item(**{"view:sun_azimuth": 170, "view:sun_elevation": 25.5}))
    for source in (tmp_path, tmp_path / "catalog.json", tmp_path / "c", tmp_path / "c" / "2022" / "i.json"):
        ref = only(source)
        assert (ref.id, ref.platform, ref.gsd_m) == ("scene", "testsat-1", 10)
        assert ref.when == datetime(2022, 11, 4, 2, tzinfo=UTC)
        assert ref.sun_azimuth_deg == 170 and ref.sun_elevation_deg == 25.5
        assert isinstance(imagery.read(ref, small_site()), Scene)
    ref = only(tmp_path)
    assert ref.licence == "CC-BY-4.0" and ref.credit == "Imagery: Maker"


@pytest.mark.parametrize("wrap", [collection_of_items, lambda *items: list(items)], ids=["ItemCollection", "list"])
def test_items_in_one_file_come_in_order_of_time_then_id(tmp_path: Path, wrap: Any) -> None:
    when = ["2022-11-04T02:00:00Z", "2022-10-01T01:00:00+09:00", "2022-11-04T02:00:00Z"]
    items = [item(name, datetime=moment) for name, moment in zip("cab", when, strict=True)]
    scenes = found(save(tmp_path / "items.json", wrap(*items))).scenes
    assert [ref.id for ref in scenes] == ["a", "b", "c"]
    assert scenes[0].when == datetime(2022, 9, 30, 16, tzinfo=UTC)


def test_loops_and_repeated_links_end(tmp_path: Path) -> None:
    save(tmp_path / "catalog.json", catalog(*[link("child", "a/catalog.json")] * 2, link("child", "catalog.json")))
    save(
        tmp_path / "a" / "catalog.json",
        catalog(link("child", "../catalog.json"), link("item", "i.json"), link("next", "catalog.json")),
    )
    save(tmp_path / "a" / "i.json", item())
    assert only(tmp_path).id == "scene"


def test_a_broken_branch_is_a_fault_and_the_rest_is_kept(tmp_path: Path) -> None:
    links = [link("item", name) for name in ("good.json", "gone.json", "broken.json", "timeless.json")]
    save(tmp_path / "catalog.json", catalog(*links, link("child", "https://example.com/catalog.json")))
    save(tmp_path / "good.json", item("good"))
    save(tmp_path / "broken.json", "{")
    save(tmp_path / "timeless.json", item("timeless", datetime=None))
    result = found(tmp_path)
    assert [ref.id for ref in result.scenes] == ["good"]
    assert len(result.faults) == 4
    assert all("\n" not in line and str(tmp_path) in line for line in result.faults)
    for word in ("gone.json", "broken.json", "'timeless': no `datetime`", "https://example.com/catalog.json"):
        assert any(word in line for line in result.faults)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("https://example.com/stac", "a catalogue on the network"),
        ("earth-search", "no such file or folder"),
        ("nowhere", "no such file or folder"),
        ("a\0b", "NUL"),
        ("x" * 5000, "no such file or folder"),
    ],
)
def test_a_source_that_cannot_be_used_is_one_line(source: str, words: str) -> None:
    with pytest.raises(BadCatalogue, match=words) as caught:
        imagery.find(small_site(), ALWAYS, source=source)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", ["{", "[1, 2]", "null", '{"type": "Topology"}', '{"type": "Catalog", "links": 5}'])
def test_a_document_that_is_no_catalogue(tmp_path: Path, content: str) -> None:
    try:
        result = found(save(tmp_path / "catalog.json", content))
    except BadCatalogue as fault:
        assert str(tmp_path) in str(fault) and "\n" not in str(fault)
    else:
        assert result.scenes == ()


def test_the_middle_of_an_interval_stands_in_for_the_time(tmp_path: Path) -> None:
    given = {"datetime": None, "start_datetime": "2022-11-04T00:00:00Z", "end_datetime": "2022-11-04 04:00:00+00:00"}
    assert only(one_item(tmp_path, item(**given))).when == datetime(2022, 11, 4, 2, tzinfo=UTC)


def test_filters_by_time_sensor_and_place(tmp_path: Path) -> None:
    site = small_site()
    west, south, east, north = site.polygon.bounds
    over, beside = box(west, south, east, north), box(west + 1, south, east + 1, north)
    items = [
        {**item("s2", platform="sentinel-2a", instruments=["msi"]), "geometry": mapping(over)},
        {**item("sky", constellation="SkySat", datetime="2022-12-01T00:00:00Z"), "collection": "planet-skysat"},
        {**item("beside"), "geometry": mapping(beside)},
        {**item("box"), "bbox": list(over.bounds)},
        {**item("farbox"), "bbox": list(beside.bounds)},
        {**item("turned"), "geometry": mapping(box(west + 360, south, east + 360, north))},
        {**item("brokenshape"), "geometry": {"type": "Polygon", "coordinates": 7}},
    ]
    source = save(tmp_path / "items.json", collection_of_items(*items))

    def ids(**options: Any) -> set[str]:
        return {ref.id for ref in found(source, **options).scenes}

    assert ids() == {"s2", "sky", "box", "turned", "brokenshape"}
    assert ids(when=parse_interval("2022-11-30/..")) == {"sky"}
    assert ids(when=parse_interval("2022-11-04")) == {"s2", "box", "turned", "brokenshape"}
    assert ids(sensor="SENTINEL") == {"s2"} == ids(sensor="Msi")
    assert ids(sensor="skysat") == {"sky"} == ids(sensor="planet-sky")


def test_of_two_entries_with_one_id_the_newest_counts(tmp_path: Path) -> None:
    items = [
        item(platform=name, updated=f"2023-0{month}-01T00:00:00Z") for name, month in (("a", 2), ("b", 3), ("c", 1))
    ]
    result = found(save(tmp_path / "items.json", collection_of_items(*items)))
    assert [ref.platform for ref in result.scenes] == ["b"]
    assert result.notes == ("scene scene is listed more than once; the newest entry is used",) and not result.faults


def test_of_two_processings_of_one_acquisition_the_newest_counts(tmp_path: Path) -> None:
    stem = "S2B_MSIL2A_20221104T021909"
    ids = [f"{stem}_N0509_R003_T52TEN_20240101T000000", f"{stem}_N0400_R003_T52TEN_20221104T054321"]
    other = f"{stem}_N0400_R003_T52TDN_20221104T054321"
    result = found(save(tmp_path / "items.json", collection_of_items(*[item(name) for name in (*ids, other)])))
    (scene,) = result.scenes
    assert {scene.id, *(tile.id for tile in scene.tiles)} == {ids[0], other}, "its two tiles are one look"
    assert result.notes[0] == f"scene {ids[1]} is an older processing of {ids[0]}, which is used"
    assert "one overpass" in result.notes[1] and len(result.notes) == 2


def test_processings_under_ids_of_a_catalogue_s_own_are_known_by_the_product_s_name(tmp_path: Path) -> None:
    def entry(number: int, baseline: str, made: str, updated: str) -> dict[str, Any]:
        product = f"S2B_MSIL2A_20221104T021909_N{baseline.replace('.', '')}_R003_T52TEN_{made}.SAFE"
        members = {"s2:product_uri": product, "s2:processing_baseline": baseline, "updated": updated}
        return item(f"S2B_52TEN_20221104_{number}_L2A", platform="sentinel-2b", **members)

    old = entry(0, "04.00", "20221104T054321", "2024-06-01T00:00:00Z")  # listed anew later, and older all the same
    new = entry(1, "05.09", "20240101T000000", "2024-01-01T00:00:00Z")
    result = found(save(tmp_path / "two.json", collection_of_items(old, new)))
    assert [ref.id for ref in result.scenes] == ["S2B_52TEN_20221104_1_L2A"] and not result.scenes[0].tiles
    assert "S2B_52TEN_20221104_0_L2A is an older processing" in result.notes[0]
    # Of one baseline they are two parts of a tile, and both are read.
    part = entry(1, "04.00", "20221104T061234", "2022-11-05T00:00:00Z")
    (scene,) = found(save(tmp_path / "parts.json", collection_of_items(old, part))).scenes
    assert {scene.id, *(tile.id for tile in scene.tiles)} == {f"S2B_52TEN_20221104_{i}_L2A" for i in (0, 1)}


def test_tiles_are_one_look_only_of_one_satellite_orbit_and_day(tmp_path: Path) -> None:
    def tile(platform: str, orbit: int, mgrs: str, when: str) -> dict[str, Any]:
        members = {"platform": platform, "sat:relative_orbit": orbit, "s2:mgrs_tile": mgrs, "datetime": when}
        return item(f"{platform}-{orbit}-{mgrs}-{when[8:13]}", **members)

    first = tile("sentinel-2a", 3, "52TEN", "2022-11-04T02:00:00Z")
    others = [
        tile("sentinel-2a", 3, "52TDN", "2022-11-04T02:00:20Z"),
        tile("sentinel-2a", 3, "52TFN", "2022-11-04T03:40:00Z"),
        tile("sentinel-2a", 103, "52TDN", "2022-11-04T02:00:21Z"),
        tile("sentinel-2b", 3, "52TDN", "2022-11-04T02:00:22Z"),
        {**item("unnamed", platform="sentinel-2a"), "collection": "x"},
    ]
    result = found(save(tmp_path / "items.json", collection_of_items(first, *others)))
    assert sorted(len(ref.tiles) for ref in result.scenes) == [0, 0, 0, 0, 1]


SPELLINGS: dict[str, dict[str, Any]] = {
    "1.1 on the asset": asset("a.tif", "red", "nir", **{"raster:scale": 0.5, "raster:offset": -1, "nodata": 7}),
    "1.1 on the band": {
        **asset("a.tif"),
        "bands": [{**band, "raster:scale": 0.5, "raster:offset": -1, "nodata": 7} for band in bands_of("red", "nir")],
    },
    "1.0": {
        **asset("a.tif"),
        "eo:bands": [{"name": "B4", "common_name": "red"}, {"name": "B8", "common_name": "nir"}],
        "raster:bands": [{"scale": 0.5, "offset": -1, "nodata": 7}] * 2,
    },
    "1.0, one entry for all": {
        **asset("a.tif"),
        "eo:bands": [{"name": "red"}, {"name": "nir"}],
        "raster:bands": [{"scale": 0.5, "offset": -1, "nodata": 7}],
    },
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_scale_offset_and_nodata_in_every_spelling(tmp_path: Path, spelling: str) -> None:
    ref = only(one_item(tmp_path, item(assets={"x": SPELLINGS[spelling]})))
    assert radiometry(ref) == [("red", 0.5, -1, 7), ("nir", 0.5, -1, 7)]


def test_the_collection_s_item_assets_fill_in(tmp_path: Path) -> None:
    shared = {"item_assets": {"B04": {"eo:bands": [{"common_name": "red"}], "raster:bands": [{"scale": 0.5}]}}}
    save(tmp_path / "collection.json", catalog(link("item", "item.json"), type="Collection", **shared))
    one_item(tmp_path, item(assets={"B04": asset("a.tif")}))
    assert radiometry(only(tmp_path)) == [("red", 0.5, 0, None)]


SENTINEL = {"platform": "sentinel-2a", "constellation": "sentinel-2"}


@pytest.mark.parametrize(
    ("properties", "members", "expected"),
    [
        ({"s2:processing_baseline": "05.10"}, {}, (0.0001, -0.1, 0)),
        ({"s2:processing_baseline": "04.00"}, {}, (0.0001, -0.1, 0)),
        ({"s2:processing_baseline": "02.12"}, {}, (0.0001, 0, 0)),
        ({"processing:version": "05.11"}, {"raster:scale": 0.0001}, (0.0001, -0.1, 0)),
        ({"s2:processing_baseline": "05.11"}, {"raster:scale": 0.0001, "raster:offset": 0}, (0.0001, 0, 0)),
        (
            {"s2:processing_baseline": "05.11", "earthsearch:boa_offset_applied": True},
            {"raster:scale": 0.0001, "raster:offset": -0.1},
            (0.0001, 0, 0),
        ),
        (
            {"s2:processing_baseline": "05.11", "earthsearch:boa_offset_applied": False},
            {"raster:scale": 0.0001, "raster:offset": -0.1},
            (0.0001, -0.1, 0),
        ),
        ({}, {}, (1, 0, None)),
        ({"s2:processing_baseline": "05.10"}, {"data_type": "float32"}, (1, 0, None)),
    ],
)
def test_the_sentinel_2_offset(
    tmp_path: Path, properties: dict[str, Any], members: dict[str, Any], expected: tuple[float, float, float | None]
) -> None:
    content = item(assets={"B04": asset("a.tif", **members)}, **SENTINEL, **properties)
    assert radiometry(only(one_item(tmp_path, content))) == [("red", *expected)]


def test_the_finest_measured_bands_are_taken_and_pictures_left(tmp_path: Path) -> None:
    assets = {
        "visual": asset("tci.tif", "red", "green", "blue", roles=["visual"], gsd=10),
        "preview": asset("p.tif", "red", roles=["overview"], gsd=1),
        "B04_20m": asset("r20.tif", "red", gsd=20),
        "B04_10m": asset("r10.tif", "red", gsd=10),
        "B04_jp2": {**asset("r.jp2", "red", gsd=10), "type": "image/jp2"},
        "B8A": asset("n.tif", "nir08", gsd=20),
        "B08": asset("n10.tif", "nir", **{"proj:transform": [10, 0, 0, 0, -10, 0]}),
        "AOT": asset("aot.tif", gsd=10),
        "metadata": {"href": "m.xml", "type": "application/xml"},
    }
    ref = only(one_item(tmp_path, item(assets=assets, **SENTINEL)))
    assert [(one.key, one.bands[0].name) for one in ref.assets] == [("B04_10m", "red"), ("B08", "nir")]


def test_a_picture_serves_where_nothing_else_is(tmp_path: Path) -> None:
    assets = {"visual": asset("tci.tif", "red", "green", "blue", roles=["visual"])}
    assert [band.name for band in only(one_item(tmp_path, item(assets=assets))).assets[0].bands] == [
        "red",
        "green",
        "blue",
    ]


def test_colour_goes_along_with_a_panchromatic_band(tmp_path: Path) -> None:
    assets = {
        "pan": asset("pan.tif", "pan", gsd=0.5),
        "ms": asset("ms.tif", "blue", "green", "red", "nir", gsd=2),
        "swir": asset("swir.tif", "swir16", gsd=7.5),
    }
    ref = only(one_item(tmp_path, item(assets=assets)))
    assert [one.key for one in ref.assets] == ["pan", "ms"] and ref.gsd_m == 0.5


@pytest.mark.parametrize(
    ("key", "members", "kind"),
    [
        ("scl", {}, "scl"),
        ("SCL_20m", {}, "scl"),
        ("udm2", {}, "udm2"),
        ("ortho_udm2", {}, "udm2"),
        ("qa_pixel", {"roles": ["cloud", "cloud-shadow", "snow-ice"]}, "qa-pixel"),
        ("mask", {"roles": ["data-mask"]}, "data-mask"),
        ("c", {"roles": ["data", "cloud"]}, "cloud"),
        ("c", {"roles": ["data", "cloud"], "title": "Cloud probability"}, "cloud-probability"),
        ("qa_aerosol", {"roles": ["metadata", "data-mask", "water-mask"]}, None),
        ("snow", {"roles": ["snow-ice"]}, None),
    ],
)
def test_quality_layers_are_known_by_name_or_role(
    tmp_path: Path, key: str, members: dict[str, Any], kind: str | None
) -> None:
    assets = {"data": asset("a.tif", "red"), key: asset("q.tif", **members)}
    kinds = [one.quality for one in only(one_item(tmp_path, item(assets=assets))).assets]
    assert kinds == ([None] if kind is None else [None, kind])


def test_a_product_s_own_classes_win_over_masks_by_role(tmp_path: Path) -> None:
    assets = {
        "data": asset("a.tif", "red"),
        "cloud": asset("CLD_20m.tif", roles=["data", "cloud"]),
        "mask": asset("m.tif", roles=["data-mask"]),
        "scl": asset("scl.tif"),
    }
    ref = only(one_item(tmp_path, item(assets=assets)))
    assert [one.quality for one in ref.assets] == [None, "scl"]


def test_what_says_simulated_is_simulated(tmp_path: Path) -> None:
    for members in ({"rail_watch:simulated": True}, {"title": "SIMULATED scene"}, {"platform": "simulated-skysat"}):
        assert only(one_item(tmp_path, item(**members))).simulated
    assert not only(one_item(tmp_path, item())).simulated


def test_names_that_would_steer_a_terminal_are_made_plain(tmp_path: Path) -> None:
    ref = only(one_item(tmp_path, item(platform="a\x1b[2J\u202eb\nc", license="x" * 5000)))
    assert ref.platform == "a[2Jb c" and ref.licence is not None and len(ref.licence) == 300


def test_a_view_s_angles_are_kept_when_they_can_be_true(tmp_path: Path) -> None:
    given = {"view:off_nadir": 12, "view:azimuth": 400, "view:sun_azimuth": "south", "s2:mean_solar_zenith": 60}
    ref = only(one_item(tmp_path, item(**given)))
    assert (ref.off_nadir_deg, ref.view_azimuth_deg, ref.sun_azimuth_deg, ref.sun_elevation_deg) == (12, None, None, 30)


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("2022-10-01/2022-12-31", (2022, 10, 1), (2022, 12, 31, 23, 59, 59, 999999)),
        ("2022-02", (2022, 2, 1), (2022, 2, 28, 23, 59, 59, 999999)),
        ("2024", (2024, 1, 1), (2024, 12, 31, 23, 59, 59, 999999)),
        ("2022-10-01/..", (2022, 10, 1), None),
        ("/2022-10-01T09:00:00+09:00", None, (2022, 10, 1)),
        ("../..", None, None),
        ("2022-11-04T01:24:00Z", (2022, 11, 4, 1, 24), (2022, 11, 4, 1, 24)),
    ],
)
def test_intervals(text: str, first: tuple[int, ...] | None, last: tuple[int, ...] | None) -> None:
    ends = [None if end is None else datetime(*end, tzinfo=UTC) for end in (first, last)]  # type: ignore[arg-type,misc]
    assert list(parse_interval(text)) == ends


@pytest.mark.parametrize(
    "text", ["", "/", "yesterday", "2022-13", "2022-02-30", "2023/2022", "1/2/3", "2022-10-01T25:00Z", "0000"]
)
def test_what_is_no_interval_is_one_line(text: str) -> None:
    with pytest.raises(BadInput, match="write it as") as caught:
        parse_interval(text)
    assert "\n" not in str(caught.value)


MOMENTS = st.datetimes(datetime(1980, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))


@given(first=MOMENTS, length=st.timedeltas(timedelta(0), timedelta(days=4000)))
def test_an_interval_survives_being_written(first: datetime, length: timedelta) -> None:
    assert parse_interval(f"{first.isoformat()}/{(first + length).isoformat()}") == (first, first + length)


@given(text=st.text(alphabet="0123456789-/:.TZ+ ", max_size=30))
def test_any_text_is_an_interval_or_bad_input(text: str) -> None:
    try:
        first, last = parse_interval(text)
    except BadInput:
        return
    assert first is None or last is None or first <= last
