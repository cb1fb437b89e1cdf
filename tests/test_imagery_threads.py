"""Many threads at once, with warnings as errors: the outcome may not depend on who comes first."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from imagery_material import LEFT, TOP, painted, small_site, write_tif
from rasterio.errors import NotGeoreferencedWarning

from rail_watch import imagery
from rail_watch.errors import BadRaster
from rail_watch.grid import Grid
from rail_watch.imagery import Asset, Band, Scene, SceneRef, window
from rail_watch.imagery.safe_open import safe_open

THREADS, ROUNDS = 8, 40
PATIENCE_S = 0.2
GRID = Grid("EPSG:32652", Affine(10, 0, LEFT, 0, -10, TOP), (20, 20))
TURNED = Grid("EPSG:32652", Affine(10, 1, LEFT, 1, -10, TOP), (20, 20))


@pytest.fixture
def often() -> Iterator[None]:
    """Threads take turns as often as they can."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


@pytest.fixture
def nowhere(tmp_path: Path) -> Path:
    """A raster without a transform."""
    path = tmp_path / "nowhere.tif"
    profile = {"driver": "GTiff", "width": 8, "height": 8, "count": 1, "dtype": "uint8"}
    with pytest.warns(NotGeoreferencedWarning), rasterio.open(path, "w", **profile) as dataset:
        dataset.write(np.zeros((1, 8, 8), dtype=np.uint8))
    return path


class Meeting:
    """Stands in for a function: who comes first waits for a second caller, and it is kept whether one came."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function, self.second, self.met = function, threading.Event(), False
        self.inside, self.lock = 0, threading.Lock()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with self.lock:
            self.inside += 1
            if self.inside > 1:
                self.met = True
                self.second.set()
        try:
            self.second.wait(PATIENCE_S)
            return self.function(*args, **kwargs)
        finally:
            with self.lock:
                self.inside -= 1


def at_once(job: Callable[[], object], *, threads: int, rounds: int = 1) -> list[object]:
    """What a job gives when many threads do it again and again, all starting together."""
    together = threading.Barrier(threads)

    def repeated(_: int) -> list[object]:
        together.wait()
        return [job() for _ in range(rounds)]

    with ThreadPoolExecutor(threads) as pool:
        return [given for many in pool.map(repeated, range(threads)) for given in many]


def reason(path: Path) -> str:
    try:
        with safe_open(path):
            return "it was opened"
    except BadRaster as fault:
        return str(fault)


def laid() -> float:
    return float(window.lay(np.ones((1, 20, 20), dtype=np.float32), GRID, TURNED, fill=-1).sum())


@pytest.mark.parametrize(
    ("place", "name", "job"),
    [
        (rasterio, "open", reason),
        (window, "geometry_mask", lambda _: window.site_mask(small_site(), GRID)),
        (window, "reproject", lambda _: laid()),
    ],
)
def test_no_two_threads_change_the_filters_of_warnings_at_once(
    place: object, name: str, job: Callable[[Path], object], nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    meeting = Meeting(getattr(place, name))
    monkeypatch.setattr(place, name, meeting)
    at_once(lambda: job(nowhere), threads=2)
    assert not meeting.met


@pytest.mark.usefixtures("often")
def test_a_raster_that_lies_nowhere_is_refused_in_one_way(nowhere: Path) -> None:
    [told] = set(at_once(lambda: reason(nowhere), threads=THREADS, rounds=ROUNDS))
    assert "not georeferenced" in str(told)


@pytest.mark.usefixtures("often")
def test_scenes_are_read_by_many_threads_without_a_warning(tmp_path: Path) -> None:
    asset = Asset("a", str(write_tif(tmp_path / "a.tif", painted(1))), (Band("pan", 1),))
    ref = SceneRef("s", datetime(2022, 11, 4, tzinfo=UTC), None, None, (asset,))
    site = small_site()
    read = at_once(lambda: type(imagery.read(ref, site)), threads=THREADS, rounds=ROUNDS // 4)
    assert set(read) == {Scene}
    assert len(set(at_once(laid, threads=THREADS, rounds=ROUNDS))) == 1
