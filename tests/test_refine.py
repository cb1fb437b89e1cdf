"""Lines laid onto imagery: known displacements come back, what cannot be settled is left alone, files stay whole."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import shapely
import shapely.affinity
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage
from shapely import LineString, Polygon

from rail_watch import aoi
from rail_watch.aoi.site import Area, Site, Track
from rail_watch.cli.main import run
from rail_watch.detect import _laid
from rail_watch.grid import WGS84, Grid, local_crs, transformer
from rail_watch.imagery.scene import Quality, SceneRef
from rail_watch.interpret.refine import Refined, applied, refine
from rail_watch.interpret.refine_along import Course, courses_of
from rail_watch.interpret.refine_areas import areas_go_along
from rail_watch.interpret.refine_match import FAR_M, Pose, distances_to, gain
from rail_watch.interpret.refine_picture import Picture
from rail_watch.prepare.stack import Stack
from rail_watch.prepare.zones import local_frame, mask_of, reproject
from rail_watch.simulate.random_yard import write_series

LON, LAT = 15.0, 48.0
ZONE = "EPSG:32633"
TRACKS_M = (0.0, 4.8, 9.6, 20.0)
HALF_M = 100.0


def true_lines() -> list[LineString]:
    """Four tracks, three of a ladder's spacing and one apart, running east-north-east."""
    heading = np.radians(20)
    along, left = np.array([np.cos(heading), np.sin(heading)]), np.array([-np.sin(heading), np.cos(heading)])
    return [LineString([off * left - HALF_M * along, off * left + HALF_M * along]) for off in TRACKS_M]


def plane_frame() -> str:
    return local_crs(LON, LAT)


def site(moved: Pose | None = None, *, only: int | None = None) -> Site:
    """The yard, its lines displaced by a pose in the yard's own plane."""
    lines = true_lines()[:only]
    if moved is not None:
        lines = [LineString(shapely.transform(line, moved.moved)) for line in lines]
    outline = Polygon([(-130, -90), (130, -90), (130, 90), (-130, 90)])
    apron = Polygon([(-20, -40), (20, -40), (20, -60), (-20, -60)])
    back = [reproject(shape, plane_frame(), WGS84) for shape in (outline, apron, *lines)]
    tracks = tuple(Track(f"t{n}", f"Track {n}", LineString(line)) for n, line in enumerate(back[2:]))
    area = Area("a1", "Apron", Polygon(back[1]))
    return Site("yard", "Yard", Polygon(back[0]), tracks=tracks, aprons=(area,), accuracy_m=10.0)


def _grid(gsd_m: float) -> Grid:
    x, y = transformer(WGS84, ZONE).transform(LON, LAT)
    cols, rows = int(280 / gsd_m), int(190 / gsd_m)
    return Grid(ZONE, Affine(gsd_m, 0, x - 140, 0, -gsd_m, y + 95), (rows, cols))


def _away(grid: Grid) -> NDArray[np.float64]:
    """(row, column) metres to the nearest true track."""
    row, col = np.meshgrid(*(np.arange(n, dtype=np.float64) for n in grid.shape), indexing="ij")
    lonlat = grid.lonlat(np.stack([row, col], axis=-1))
    x, y = transformer(WGS84, plane_frame()).transform(lonlat[..., 0], lonlat[..., 1])
    return np.asarray(shapely.distance(shapely.MultiLineString(true_lines()), shapely.points(x, y)))


def stack(
    gsd_m: float = 1.0, *, scenes: int = 6, tracks: bool = True, bands: tuple[str, ...] = ("red", "nir")
) -> Stack:
    """Field and ballast, a darker middle, trains that come and go; made here, seeded."""
    grid, rng = _grid(gsd_m), np.random.default_rng(4)
    away = _away(grid) if tracks else np.full(grid.shape, 50.0)
    bed = np.clip((3.2 - away) / 0.8, 0, 1)
    field = 0.12 + 0.03 * ndimage.gaussian_filter(rng.normal(0, 1, grid.shape), 6 / gsd_m) * 12
    ground = field + bed * (0.2 - field) - 0.05 * np.exp(-((away / 0.8) ** 2))
    row, col = np.meshgrid(*(np.arange(n) * gsd_m for n in grid.shape), indexing="ij")
    pixels = np.empty((scenes, len(bands), *grid.shape), np.float32)
    for t in range(scenes):
        train = (away < 1.6) & (np.abs(col - rng.uniform(60, 220)) < 30) & (row > 0)
        shown = np.where(train, rng.uniform(0.05, 0.4), ground)
        for b in range(len(bands)):
            blurred = ndimage.gaussian_filter(shown * (1 + 0.3 * b), 0.5)
            pixels[t, b] = rng.uniform(0.9, 1.1) * blurred + rng.normal(0, 0.004, grid.shape)
    quality = np.full((scenes, *grid.shape), int(Quality.CLEAR), np.uint8)
    when = datetime(2024, 5, 1, tzinfo=UTC)
    refs = tuple(SceneRef(f"s{t}", when + timedelta(days=t), "testsat", gsd_m, ()) for t in range(scenes))
    zeros = np.zeros((scenes, 2))
    return Stack(f"testsat, {gsd_m:g} m", grid, gsd_m, bands, refs, pixels, quality, zeros, zeros[:, 0])


cached_stack = lru_cache(stack)


def error_m(fit: Refined, start: Site) -> float:
    """Worst distance across from the true lines, all along."""
    to_true = [reproject(line.line, local_frame(start), plane_frame()) for line in fit.lines]
    found = []
    for line, true in zip(to_true, true_lines(), strict=False):
        points = shapely.points(shapely.get_coordinates(shapely.segmentize(line, 10)))
        along = shapely.line_locate_point(true, points)
        beside = (along > 1) & (along < true.length - 1)
        found.append(shapely.distance(true, points)[beside].max())
    return float(max(found))


@given(
    east=st.floats(-7, 7),
    north=st.floats(-7, 7),
    turn=st.floats(-1, 1),
)
@settings(max_examples=3, deadline=None, derandomize=True)
def test_known_moves_come_back(east: float, north: float, turn: float) -> None:
    start = site(Pose(east, north, float(np.radians(turn)), (0.0, 0.0)))
    fit = refine(cached_stack(), start)
    assert fit.believed, fit.reason
    assert error_m(fit, start) < 0.6
    assert fit.turn_deg == pytest.approx(-turn, abs=0.2)
    assert not fit.along_known
    assert fit.accuracy_m is not None and fit.accuracy_m < 2
    assert all(line.error_m < 1 for line in fit.lines)


@pytest.mark.parametrize(("accuracy_m", "moves"), [(None, True), (4.0, True), (1.0, False), (300.0, False)])
def test_detect_lays_lines_that_are_coarse_or_of_which_nothing_is_said(accuracy_m: float | None, moves: bool) -> None:
    start = replace(site(Pose(1.5, -3.0, 0.0, (0.0, 0.0))), accuracy_m=accuracy_m)
    laid, note = _laid(start, cached_stack())
    assert (laid is not start) == moves == (note is not None)
    if moves:
        assert laid.accuracy_m is not None and laid.accuracy_m < 2
        lines = [reproject(track.line, WGS84, plane_frame()) for track in laid.tracks]
        middles = [line.interpolate(0.5, normalized=True) for line in lines]
        assert max(true.distance(point) for true, point in zip(true_lines(), middles, strict=True)) < 0.6


def test_coarser_pixels_move_all_lines_together() -> None:
    start = site(Pose(3.0, -6.0, 0.01, (0.0, 0.0)))
    fit = refine(stack(3.0, scenes=8), start)
    assert fit.believed, fit.reason
    assert error_m(fit, start) < 1.0
    assert not any(line.believed for line in fit.lines)
    assert all(np.all(line.offset_m == 0) for line in fit.lines)


def test_a_line_drawn_badly_is_laid_onto_its_own_track() -> None:
    start = site()
    last = start.tracks[-1]
    frame = local_frame(start)
    astray = shapely.transform(reproject(last.line, WGS84, frame), lambda xy: xy + (-0.4, 1.0))
    start = replace(start, tracks=(*start.tracks[:-1], replace(last, line=LineString(reproject(astray, frame, WGS84)))))
    fit = refine(cached_stack(), start)
    assert fit.believed, fit.reason
    assert fit.lines[-1].believed
    assert fit.lines[-1].shift_m == pytest.approx(-1.07, abs=0.4)
    assert max(abs(line.shift_m) for line in fit.lines[:-1]) < 0.4


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (lambda: stack(tracks=False), "best place"),
        (lambda: stack(scenes=3), "only 3 of 3 scenes"),
        (lambda: stack(10.0), "too coarse"),
        (lambda: stack(bands=("vv", "vh")), "no band of visible"),
    ],
)
def test_what_cannot_be_settled_is_left_alone(made: object, reason: str) -> None:
    start = site(Pose(2.0, 2.0, 0.0, (0.0, 0.0)))
    fit = refine(made(), start)  # type: ignore[operator]
    assert not fit.believed
    assert reason in fit.reason
    assert [line.lonlat for line in fit.lines] == [track.line for track in start.tracks]
    assert fit.accuracy_m is None
    assert applied(start, fit) is start


def test_clouded_scenes_take_no_part() -> None:
    clouded = stack(scenes=7)
    clouded.quality[2:5] = int(Quality.CLOUD)
    fit = refine(clouded, site())
    assert fit.believed, fit.reason
    assert fit.scenes == 4


def test_a_site_without_lines_says_so() -> None:
    assert refine(cached_stack(), site(only=0)).reason == "the site has no tracks or bridges"


@lru_cache
def fit_at_3_4() -> Refined:
    return refine(cached_stack(), site(Pose(3.0, 4.0, 0.0, (0.0, 0.0))))


def test_areas_go_with_the_lines_as_a_whole() -> None:
    start = site(Pose(3.0, 4.0, 0.0, (0.0, 0.0)))
    fit = fit_at_3_4()
    now = applied(start, fit)
    frame = local_frame(start)
    before, after = (reproject(one.aprons[0].polygon, WGS84, frame) for one in (start, now))
    moved = np.array(after.centroid.coords[0]) - np.array(before.centroid.coords[0])
    there = fit.pose.moved(np.array(before.centroid.coords))[0] - np.array(before.centroid.coords[0])
    np.testing.assert_allclose(moved, there, atol=0.01)
    assert now.polygon == start.polygon
    assert now.accuracy_m == fit.accuracy_m


def _shifted(start: Site, east: float) -> Site:
    frame = local_frame(start)
    areas = [reproject(area.polygon, WGS84, frame) for area in start.aprons]
    back = [reproject(shapely.affinity.translate(area, east), frame, WGS84) for area in areas]
    return replace(start, aprons=tuple(replace(a, polygon=Polygon(b)) for a, b in zip(start.aprons, back, strict=True)))


def test_areas_go_with_the_lines_where_the_picture_shows_their_edges_there() -> None:
    true, off = site(), _shifted(site(), 4.0)
    shown = cached_stack()
    pixels = shown.pixels.copy()
    pixels[..., mask_of([true.aprons[0].polygon], shown.grid)] += 0.2
    shown = replace(shown, pixels=pixels)
    assert areas_go_along(shown, off, true, by_m=4.0)
    assert not areas_go_along(shown, true, off, by_m=4.0)
    assert not areas_go_along(shown, off, true, by_m=0.5), "too little to matter"
    assert not areas_go_along(shown, replace(off, aprons=()), replace(true, aprons=()), by_m=4.0), "nothing tells"


def test_same_input_same_answer() -> None:
    start = site(Pose(3.0, 4.0, 0.0, (0.0, 0.0)))
    first, second = fit_at_3_4(), refine(cached_stack(), start)
    assert first.pose == second.pose
    assert [line.lonlat.wkb for line in first.lines] == [line.lonlat.wkb for line in second.lines]


@given(
    east=st.floats(-20, 20),
    north=st.floats(-20, 20),
    turn=st.floats(-0.1, 0.1),
    points=st.lists(st.tuples(st.floats(-500, 500), st.floats(-500, 500)), min_size=1, max_size=5),
)
def test_a_pose_undone_is_no_pose(east: float, north: float, turn: float, points: list[tuple[float, float]]) -> None:
    pose, xy = Pose(east, north, turn, (10.0, -20.0)), np.array(points)
    np.testing.assert_allclose(pose.undone(pose.moved(xy)), xy, atol=1e-9)


@given(st.lists(st.tuples(st.floats(-60, 60), st.floats(-60, 60)), min_size=1, max_size=8))
@settings(max_examples=20, deadline=None)
def test_the_distance_map_agrees_with_geometry(points: list[tuple[float, float]]) -> None:
    lines = [LineString([(-40, -30), (0, 0), (40, 5)]), LineString([(-40, -20), (0, 10)])]
    found = distances_to(lines)(np.array(points))
    true = np.minimum(shapely.distance(shapely.MultiLineString(lines), shapely.points(points)), FAR_M)
    np.testing.assert_allclose(found, true, atol=0.3)


@given(st.integers(0, 50))
@settings(max_examples=15, deadline=None)
def test_gain_does_not_depend_on_units(seed: int) -> None:
    rng = np.random.default_rng(seed)
    away = rng.uniform(0, 12, 500).clip(max=FAR_M)
    looks = np.stack([np.cos(away) + rng.normal(0, 1, 500), rng.normal(0, 1, 500)], axis=1)
    looks -= looks.mean(axis=0)
    assert gain(away, looks * (3.0, 0.2)) == pytest.approx(gain(away, looks), rel=1e-3)


def test_a_line_s_offsets_follow_a_bend_with_honest_errors() -> None:
    rng = np.random.default_rng(3)
    xy = np.stack([rng.uniform(0, 400, 8000), rng.uniform(-15, 15, 8000)], axis=1)
    true = 0.8 * np.sin(xy[:, 0] / 400 * np.pi)
    looks = np.exp(-(((xy[:, 1] - true) / 1.5) ** 2))[:, None] + rng.normal(0, 0.3, (8000, 1))
    course = courses_of(Picture(xy, looks - looks.mean(axis=0)), [LineString([(0, 0), (400, 0)])])[0]
    miss = course.offset_m - 0.8 * np.sin(course.along_m / 400 * np.pi)
    assert np.sqrt(np.mean(miss**2)) < 0.25
    assert (np.abs(miss) < 2 * course.error_m).all()
    assert (course.error_m < 0.5).all()


def test_offsets_move_a_line_to_its_left() -> None:
    course = Course(np.array([0.0, 100.0]), np.array([1.0, 1.0]), np.array([0.1, 0.1]), 2.0)
    moved = course.moved(LineString([(0, 0), (50, 0), (100, 0)]))
    assert moved.equals_exact(LineString([(0, 1), (100, 1)]), 1e-9)


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_series(3, tmp_path_factory.mktemp("series"), sensor="planetscope-like", scenes=8)


def displaced_file(series: Path, folder: Path) -> Path:
    """The series' area of interest, its lines 4 m off, with things of its own that must survive."""
    document = json.loads((series / "aoi.geojson").read_text(encoding="utf-8"))
    for feature in document["features"]:
        if feature["properties"]["role"] == "track":
            line = feature["geometry"]["coordinates"]
            feature["geometry"]["coordinates"] = [[lon + 3e-5, lat + 3e-5] for lon, lat in line]
            feature["properties"]["owner"] = "Müller"
    document["mine"] = {"kept": True}
    document["features"].append({"type": "Feature", "geometry": None, "properties": {"role": "note"}})
    path = folder / "off.geojson"
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def test_the_command_writes_the_refined_area(series: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    start, out = displaced_file(series, tmp_path), tmp_path / "made" / "refined.geojson"
    before = start.read_bytes()
    status = run(["aoi", "refine", str(start), "--source", str(series), "--out", str(out)])
    told = capsys.readouterr().out
    assert status == 0, told
    assert "SIMULATED" in told and "Written" in told and "moved with the others" in told
    assert start.read_bytes() == before
    site_now, document = aoi.read(out), json.loads(out.read_text(encoding="utf-8"))
    assert aoi.validate(out) == ()
    assert site_now.accuracy_m is not None and site_now.accuracy_m < 3
    assert "refined by rail-watch" in (site_now.source or "") and "SIMULATED" in (site_now.source or "")
    assert document["mine"] == {"kept": True}
    assert document["features"][-1]["properties"]["role"] == "note"
    assert any(feature["properties"].get("owner") == "Müller" for feature in document["features"])
    true = aoi.read(series / "aoi.geojson")
    frame = local_frame(true)
    for now, then in zip(site_now.tracks, true.tracks, strict=True):
        middle = shapely.line_interpolate_point(reproject(now.line, WGS84, frame), 0.5, normalized=True)
        assert shapely.distance(middle, reproject(then.line, WGS84, frame)) < 2.5


def test_without_out_nothing_is_written(series: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    start = displaced_file(series, tmp_path)
    assert run(["aoi", "refine", str(start), "--source", str(series)]) == 0
    assert "nothing was written" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [start]


def test_no_usable_imagery_is_status_4(series: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    start, out = str(displaced_file(series, tmp_path)), tmp_path / "out.geojson"
    short = ["--datetime", "1999", "--out", str(out)]
    assert run(["aoi", "refine", start, "--source", str(series), *short]) == 4
    assert "no scene" in capsys.readouterr().err
    assert not out.exists()


def test_bad_input_is_one_line(series: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["aoi", "refine", str(tmp_path / "gone.geojson"), "--source", str(series)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    bare = json.loads((series / "aoi.geojson").read_text(encoding="utf-8"))
    bare["features"] = [one for one in bare["features"] if one["properties"]["role"] == "site"]
    path = tmp_path / "bare.geojson"
    path.write_text(json.dumps(bare), encoding="utf-8")
    assert run(["aoi", "refine", str(path), "--source", str(series)]) == 2
    assert "no tracks or bridges" in capsys.readouterr().err
