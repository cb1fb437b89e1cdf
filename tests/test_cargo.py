"""Cargo on aprons: what is called a piece, what is not, and what is said of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from rasterio.features import rasterize
from shapely import Polygon, box

from rail_watch.aoi.site import Area, Site
from rail_watch.change.radiometry import fit_radiometry
from rail_watch.grid import WGS84, Grid
from rail_watch.imagery.scene import Quality, SceneRef
from rail_watch.interpret.aprons import CHANNELS, SCALARS, shadow_steps, turn, turn_back, window_of
from rail_watch.interpret.cargo import ApronState, aprons_of, odds_of
from rail_watch.interpret.ground_network import GroundNetwork, apply_ground_network, load_ground_network
from rail_watch.interpret.outlines import along_pixels, within_pixels
from rail_watch.interpret.pieces import among_several, fill_of, load_trust, pieces_of
from rail_watch.prepare.stack import Stack
from rail_watch.prepare.zones import reproject, zones_of

CLASSES = ("fine", "middle", "coarse")
BANDS = ("blue", "green", "red", "nir")
GROUND = np.array([0.16, 0.18, 0.2, 0.24])
SHADE = np.array([0.45, 0.36, 0.3, 0.22])
LEFT, TOP = 500_000.0, 4_700_000.0
SUN = (180.0, 35.0)
"""In the south: shadows fall to the north, towards lower rows."""


def scene_ref(number: int, sun: tuple[float, float] = SUN) -> SceneRef:
    when = datetime(2024, 4, 1, 3, tzinfo=UTC) + timedelta(days=5 * number)
    return SceneRef(f"s{number}", when, "test", 0.5, (), sun_azimuth_deg=sun[0], sun_elevation_deg=sun[1])


def on_ground(west: float, north: float, width: float, height: float) -> Polygon:
    """A box by metres right of and below the upper left corner, in the grid's plane."""
    return box(LEFT + west, TOP - north - height, LEFT + west + width, TOP - north)


APRON = on_ground(15, 20, 70, 30)


def yard(times: int = 6, gsd_m: float = 0.5) -> tuple[Stack, Site]:
    """A gravelled apron in a field, seen bare at each of some scenes."""
    rng = np.random.default_rng(11)
    shape = (round(70 / gsd_m), round(100 / gsd_m))
    grid = Grid("EPSG:32652", Affine(gsd_m, 0, LEFT, 0, -gsd_m, TOP), shape)
    inside = rasterize([APRON], shape, transform=grid.transform).astype(bool)
    relief = rng.normal(1, 0.05, shape) * np.where(inside, 1.0, 0.7)
    still = GROUND[:, None, None] * relief
    pixels = still * rng.normal(1, 0.03, (times, 1, 1, 1)) + rng.normal(0, 0.004, (times, 4, *shape))
    site = Site("t", "T", lonlat(on_ground(0, 0, 100, 70)), aprons=(Area("a", "A", lonlat(APRON)),))
    stack = Stack(
        "test", grid, gsd_m, BANDS, tuple(scene_ref(t) for t in range(times)), pixels.astype(np.float32),
        np.zeros((times, *shape), np.uint8), np.zeros((times, 2)), np.zeros(times),
    )  # fmt: skip
    return replace(stack, quality=np.full_like(stack.quality, Quality.CLEAR)), site


def lonlat(polygon: Polygon) -> Polygon:
    return reproject(polygon, "EPSG:32652", WGS84)


def paint(stack: Stack, t: int, polygon: Polygon, colour: NDArray[np.float64], *, times: bool = False) -> None:
    """Lay an even colour over a polygon in one scene, or multiply what is there by it."""
    under = rasterize([polygon], stack.grid.shape, transform=stack.grid.transform).astype(bool)
    for b, value in enumerate(colour):
        stack.pixels[t, b][under] = stack.pixels[t, b][under] * value if times else value


def block(stack: Stack, t: int, where: tuple[float, float, float, float], *, height_m: float = 2.5) -> Polygon:
    """Set down a light block with the shadow it throws to the north; its outline."""
    west, north, width, depth = where
    reach = height_m / np.tan(np.radians(SUN[1]))
    paint(stack, t, on_ground(west, north - reach, width, depth + reach), SHADE, times=True)
    paint(stack, t, on_ground(*where), np.array([0.42, 0.45, 0.47, 0.5]))
    return on_ground(*where)


def judged(stack: Stack, site: Site, **given: float) -> list[ApronState]:
    zones = zones_of(site, stack.grid)
    radiometry = fit_radiometry(stack, zones)
    return aprons_of(stack, site, radiometry=radiometry, blocked=zones.tracks | zones.sheds, **given)


def test_a_bare_apron_shows_no_piece() -> None:
    stack, site = yard()
    for state in judged(stack, site):
        assert state.piles == ()
        assert state.fill_fraction is not None and state.fill_fraction < 0.01
        assert state.fill_95 is not None and state.fill_95[0] == 0
        assert state.reason is None


def test_an_apron_darker_than_all_stable_ground_keeps_its_contrast() -> None:
    """New asphalt amid pale fields: the darkest stable ground is brighter than it, and is no dark level for it."""
    stack, site = yard()
    for t in range(len(stack.scenes)):
        paint(stack, t, APRON, np.full(4, 0.25), times=True)
        paint(stack, t, on_ground(0, 55, 100, 15), np.full(4, 2.0), times=True)  # what gain and offset are told by
    radiometry = fit_radiometry(stack, zones_of(site, stack.grid))
    asphalt = np.median(stack.pixels[:, :, 60, 100], axis=0)
    assert (radiometry.dark > asphalt).all()
    window = window_of(stack, site, site.aprons[0], blocked=np.zeros(stack.grid.shape, bool), radiometry=radiometry)
    assert window is not None
    for look in odds_of(window):
        assert look is not None
        seen = look.contrast[window.inside]
        assert abs(np.median(seen)) < 0.2 and np.percentile(np.abs(seen), 95) < 0.6
    outline = block(stack, 3, (40, 30, 8, 5))
    states = judged(stack, site)
    assert [len(state.piles) for state in states] == [0, 0, 0, 1, 0, 0]
    found = reproject(states[3].piles[0].polygon, WGS84, "EPSG:32652")
    assert found.intersection(outline).area > 0.7 * found.union(outline).area


def test_a_block_appears_where_it_stands_with_its_area() -> None:
    stack, site = yard()
    outline = block(stack, 3, (40, 30, 8, 5))
    states = judged(stack, site)
    assert [len(state.piles) for state in states] == [0, 0, 0, 1, 0, 0]
    (pile,) = states[3].piles
    found = reproject(pile.polygon, WGS84, "EPSG:32652")
    assert found.intersection(outline).area > 0.7 * found.union(outline).area
    assert pile.area_m2_95[0] <= outline.area <= pile.area_m2_95[1]
    assert pile.p_value < 0.01
    fill, limits = states[3].fill_fraction, states[3].fill_95
    assert fill is not None and limits is not None
    assert limits[0] <= outline.area / APRON.area <= limits[1]


def test_two_blocks_apart_are_two() -> None:
    stack, site = yard()
    block(stack, 2, (25, 30, 8, 5))
    block(stack, 2, (60, 35, 6, 6))
    assert len(judged(stack, site)[2].piles) == 2


def test_a_shadow_is_no_cargo() -> None:
    stack, site = yard()
    # Of a tree or mast that stands south of the apron.
    paint(stack, 4, on_ground(40, 32, 6, 26), SHADE, times=True)
    assert judged(stack, site)[4].piles == ()


def test_of_an_apron_out_of_sight_nothing_is_said() -> None:
    stack, site = yard()
    block(stack, 1, (40, 30, 8, 5))
    stack.quality[1] = Quality.CLOUD
    state = judged(stack, site)[1]
    assert (state.visible_fraction, state.fill_fraction, state.fill_95, state.smallest_m2) == (0, None, None, None)
    assert (state.reason, state.piles) == ("cloud", ())


def test_half_an_apron_under_cloud_is_judged_on_the_rest() -> None:
    stack, site = yard()
    block(stack, 1, (65, 30, 8, 5))
    stack.quality[1, :, :100] = Quality.CLOUD
    state = judged(stack, site)[1]
    assert state.visible_fraction == pytest.approx(0.5, abs=0.02)
    assert state.reason == "cloud"
    assert len(state.piles) == 1


def test_a_stricter_rate_reports_less() -> None:
    stack, site = yard()
    block(stack, 3, (40, 30, 8, 5))
    assert sum(len(state.piles) for state in judged(stack, site, false_alarm_rate=0.0)) == 0


@pytest.mark.parametrize("name", CLASSES)
def test_weights_fit_the_pictures_they_are_given(name: str) -> None:
    network, trust = load_ground_network(name), load_trust(name)
    picture = np.zeros((13, 21, len(CHANNELS)), np.float32)
    odds = apply_ground_network(network, picture, np.zeros(len(SCALARS), np.float32), np.ones((13, 21), bool))
    assert odds.shape == (13, 21)
    assert np.isfinite(odds).all()
    for law in (trust.usual, trust.odd):
        assert law.threshold(0.001, law.metres) > law.threshold(0.1, law.metres)
    assert trust.smallest_m2 > 0 and min(*trust.area_error, *trust.fill_error) >= 0


def test_the_network_is_a_dilated_convolution_with_nothing_beyond_the_edges() -> None:
    rng = np.random.default_rng(5)

    def layer(taps: int, depth: int, out: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        return rng.normal(size=(taps, depth, out)).astype("f4"), rng.normal(size=out).astype("f4")

    layers = {"read": layer(9, 2, 3), "down": layer(4, 3, 4), "wider_0": layer(9, 4, 4), "up": layer(1, 4, 3)}
    layers |= {"join": layer(9, 3, 3), "say": layer(1, 3, 1)}
    network = GroundNetwork(layers, rng.normal(size=(2, 3)).astype("f4"), (2,), 2)
    picture = rng.normal(size=(6, 8, 2)).astype("f4")

    def around(values: NDArray[np.float32], name: str, dilation: int) -> NDArray[np.float32]:
        weights, bias = layers[name]
        out = np.tile(bias, (*values.shape[:2], 1))
        for r, c in np.ndindex(values.shape[:2]):
            for tap in range(9):
                rr, cc = r + (tap // 3 - 1) * dilation, c + (tap % 3 - 1) * dilation
                if 0 <= rr < values.shape[0] and 0 <= cc < values.shape[1]:
                    out[r, c] += values[rr, cc] @ weights[tap]
        return out

    whole = np.array([0.3, -0.7], np.float32)
    fine = np.maximum(around(picture, "read", 1) + whole @ network.whole, 0)
    weights, bias = layers["down"]
    corners = [fine[r::2, c::2] @ weights[2 * r + c] for r in (0, 1) for c in (0, 1)]
    wide = np.maximum(np.sum(corners, axis=0) + bias, 0)
    wide = wide + np.maximum(around(wide, "wider_0", 2), 0)
    back = np.kron(wide @ layers["up"][0][0] + layers["up"][1], np.ones((2, 2, 1)))
    joined = np.maximum(around(np.maximum(fine + back, 0).astype("f4"), "join", 1), 0)
    expected = joined @ layers["say"][0][0] + layers["say"][1]
    where = rng.random((6, 8)) < 0.5
    found = apply_ground_network(network, picture, whole, where)
    assert np.allclose(found[where], expected[..., 0][where], atol=1e-3)
    assert np.isnan(found[~where]).all()


@given(azimuth=st.floats(0, 360), elevation=st.floats(5, 85))
@settings(max_examples=50)
def test_pictures_turn_so_that_shadows_fall_towards_higher_rows(azimuth: float, elevation: float) -> None:
    grid = Grid("EPSG:32652", Affine(0.5, 0, LEFT, 0, -0.5, TOP), (40, 50))
    shadow = np.array(shadow_steps(grid, azimuth, elevation))
    rows, cols = np.mgrid[0:40, 0:50]
    along = shadow[0] * rows + shadow[1] * cols
    turned = turn(along, shadow)
    down, right = float(turned[1, 0] - turned[0, 0]), float(turned[0, 1] - turned[0, 0])
    assert down >= right - 1e-9 >= -2e-9
    assert (turn_back(turned, shadow) == along).all()


def test_shadows_fall_away_from_the_sun() -> None:
    grid = Grid("EPSG:32652", Affine(0.5, 0, LEFT, 0, -0.5, TOP), (40, 50))
    assert shadow_steps(grid, 180.0, 45.0) == pytest.approx((-1.0, 0.0), abs=0.02)
    assert shadow_steps(grid, 90.0, 45.0) == pytest.approx((0.0, -1.0), abs=0.02)
    assert shadow_steps(grid, 90.0, 1.0) == (0.0, 0.0)


def test_heaps_that_touch_at_a_neck_are_two_pieces_and_a_bent_one_is_one() -> None:
    odds = np.full((60, 80), -5.0, np.float32)
    rows, cols = np.mgrid[0:60, 0:80]
    for centre in (25, 45):
        odds[(rows - 30) ** 2 + (cols - centre) ** 2 < 11**2] = 5.0
    ground = np.ones(odds.shape, bool)
    touching = pieces_of(odds, ground, gsd_m=0.5)
    assert len(touching.area_m2) == 2
    assert touching.area_m2.sum() == pytest.approx((odds > 0).sum() * 0.25, rel=0.05)
    bar = np.full((60, 80), -5.0, np.float32)
    bar[20:30, 10:70] = 5.0
    assert len(pieces_of(bar, ground, gsd_m=0.5).area_m2) == 1


def test_nothing_found_is_no_piece() -> None:
    pieces = pieces_of(np.full((5, 5), -3.0, np.float32), np.ones((5, 5), bool), gsd_m=10.0)
    assert pieces.labels.max() == 0
    assert len(pieces.statistic) == 0


@given(level=st.floats(-9, 9))
@settings(max_examples=30)
def test_the_interval_of_fill_holds_the_fill(level: float) -> None:
    odds = np.full((9, 9), level, np.float32)
    fill, (low, high) = fill_of(odds, np.ones((9, 9), bool), load_trust("fine"))
    assert 0 <= low <= fill <= high <= 1


def test_several_pieces_are_held_to_less_and_one_to_the_same() -> None:
    assert among_several(np.array([0.02])) == pytest.approx(0.02)
    adjusted = among_several(np.array([1e-6, 0.015, 0.3, 0.018]))
    assert adjusted[0] == pytest.approx(1e-6, rel=1e-3)
    # The third strongest of pieces of which a bare apron shows 0.018 is one of three.
    assert adjusted[1] == adjusted[3] == pytest.approx(0.006, rel=0.02) and adjusted[2] == pytest.approx(
        0.085, rel=0.05
    )
    assert len(among_several(np.zeros(0))) == 0


def test_looks_at_bare_aprons_pass_as_often_as_is_asked() -> None:
    rng = np.random.default_rng(7)
    passes = 0
    for _ in range(4000):
        # False pieces come one by one: of their strongest, the law.
        strength = rng.exponential(1.0, rng.poisson(0.4))
        p_value = -np.expm1(-0.4 * np.exp(-strength))
        passes += bool((among_several(p_value) < 0.05).any())
    assert passes / 4000 == pytest.approx(0.05, abs=0.012)


@pytest.mark.parametrize("gsd_m", [3.0, 10.0])
def test_a_heap_smaller_than_its_pixels_is_outlined_within_them(gsd_m: float) -> None:
    heap = on_ground(31.0, 27.0, 3.6 * gsd_m, 1.7 * gsd_m)
    transform, shape = Affine(gsd_m, 0, LEFT, 0, -gsd_m, TOP), (20, 30)
    parts = rasterize([heap], (20 * 30, 30 * 30), transform=transform @ Affine.scale(1 / 30))
    share = parts.reshape(20, 30, 30, 30).mean(axis=(1, 3))
    odds = np.clip(np.log(share + 1e-9) - np.log(1 - share + 1e-9), -9, 9).astype(np.float32)
    pieces = pieces_of(odds, np.ones(shape, bool), gsd_m=gsd_m)
    kept = np.ones(len(pieces.area_m2), bool)
    within = within_pixels(pieces, kept, transform, gsd_m=gsd_m)[0]
    along = along_pixels(pieces.labels, kept, transform)[0]

    def overlap(outline: Polygon) -> float:
        return float(outline.intersection(heap).area / outline.union(heap).area)

    assert within.area == pytest.approx(heap.area, rel=0.1)
    assert overlap(within) > 0.75 and overlap(within) >= overlap(along)
