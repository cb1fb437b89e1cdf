"""Radar scenes made in code for the tests: speckled ground, a yard on it, trains as bright lines. SIMULATED."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from scipy import ndimage
from shapely import LineString, Polygon

from rail_watch.aoi.site import Area, Site, Track
from rail_watch.grid import WGS84, Grid, transformer
from rail_watch.imagery.scene import SceneRef
from rail_watch.prepare.stack import Stack

Array = NDArray[np.float64]
GSD = 10.0
SHAPE = (120, 140)
LEFT, TOP = 300_000.0, 4_700_000.0
GRID = Grid("EPSG:32652", Affine(GSD, 0, LEFT, 0, -GSD, TOP), SHAPE)


def speckle(looks: float, shape: Sequence[int], *, blur: float = 0.0, seed: int = 0) -> Array:
    """Gamma variates of mean 1 and (about) so many looks; `blur` (pixels) makes neighbours alike.

    Correlated speckle is made as it arises: the power of a smooth complex Gaussian field, summed over whole looks.
    """
    rng = np.random.default_rng(seed)
    if blur == 0:
        return rng.gamma(looks, 1 / looks, shape)
    power = np.zeros(shape)
    for _ in range(int(looks)):
        for _part in range(2):
            field = ndimage.gaussian_filter(rng.standard_normal(shape), (0,) * (len(shape) - 2) + (blur, blur))
            power += field**2 / (2 * looks)
    return power / _blurred_power(blur)


def _blurred_power(blur: float) -> float:
    impulse = np.zeros((33, 33))
    impulse[16, 16] = 1
    return float((ndimage.gaussian_filter(impulse, blur) ** 2).sum())


def _lonlat(rows_cols: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    to_lonlat = transformer(GRID.crs, WGS84)
    return [to_lonlat.transform(LEFT + GSD * col, TOP - GSD * row) for row, col in rows_cols]


def yard_site() -> Site:
    """Four tracks of 600 m, 25 m apart (aslant), and an apron of 150 m by 60 m beside them."""
    tracks = tuple(
        Track(f"t{k}", f"Track {k}", LineString(_lonlat([(58 + 2.5 * k, 40), (62 + 2.5 * k, 100)])))
        for k in range(1, 5)
    )
    apron = Area("a1", "Apron", Polygon(_lonlat([(50, 60), (50, 75), (56, 75), (56, 60)])))
    edge = Polygon(_lonlat([(5, 5), (5, 135), (115, 135), (115, 5)]))
    return Site("yard", "Yard", edge, tracks=tracks, aprons=(apron,))


def backscatter(seed: int = 7) -> Array:
    """(row, column) power of fields, a wood, a lake and buildings."""
    rng = np.random.default_rng(seed)
    fields = ndimage.zoom(rng.choice([0.04, 0.06, 0.09, 0.14], (6, 7)), 20, order=0)
    fields[:30, :35] = 0.01
    for _ in range(40):
        row, col = rng.integers(5, 110), rng.integers(5, 130)
        fields[row : row + 2, col : col + 2] *= 8
    return np.asarray(fields)


def ref(index: int, *, orbit: int | None = 61) -> SceneRef:
    given: Mapping[str, object] = (
        {} if orbit is None else {"sat:orbit_state": "descending", "sat:relative_orbit": orbit}
    )
    when = datetime(2023, 1, 1, 21, 30, tzinfo=UTC) + timedelta(days=12 * index)
    return SceneRef(f"S1_SIMULATED_{index}", when, "sentinel-1a", GSD, (), simulated=True, properties=given)


def yard_stack(
    scenes: int = 8,
    *,
    looks: float = 4.4,
    blur: float = 0.0,
    bands: tuple[str, ...] = ("vv", "vh"),
    seed: int = 0,
    trains: Mapping[int, Sequence[tuple[int, int, int]]] | None = None,
    echo_db: float = 8.0,
    fields_db: float = 0.0,
    orbits: Sequence[int | None] | None = None,
) -> Stack:
    """Scenes of linear power of one ground; `trains`: scene to (row, first column, last column) raised by the echo."""
    ground = np.stack([backscatter() * (1.0 if name in ("vv", "hh") else 0.2) for name in bands])
    power = np.broadcast_to(ground, (scenes, *ground.shape)).copy()
    for t, lines in (trains or {}).items():
        for row, first, last in lines:
            power[t, :, row, first:last] *= 10 ** (echo_db / 10)
    if fields_db:
        # Fields 200 m wide, each wetter or drier than the last time in all bands alike.
        each = np.random.default_rng(seed + 2).normal(0, fields_db, (scenes, 1, 6, 7))
        power *= 10 ** (np.kron(each, np.ones((1, 1, 20, 20))) / 10)
    power *= speckle(looks, power.shape, blur=blur, seed=seed)
    # Weather: each scene and band is a little brighter or darker as a whole.
    power *= np.exp(np.random.default_rng(seed + 1).normal(0, 0.2, power.shape[:2]))[..., None, None]
    return Stack(
        sensor="sentinel-1, 10 m",
        grid=GRID,
        gsd_m=GSD,
        bands=bands,
        scenes=tuple(ref(t, orbit=orbits[t] if orbits else 61) for t in range(scenes)),
        pixels=power.astype(np.float32),
        quality=np.zeros((scenes, *SHAPE), dtype=np.uint8),
        shift_m=np.zeros((scenes, 2)),
        shift_error_m=np.full(scenes, np.nan),
    )


__all__ = ["GRID", "SHAPE", "backscatter", "ref", "speckle", "yard_site", "yard_stack"]
