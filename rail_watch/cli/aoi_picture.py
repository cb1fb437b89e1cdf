"""``rail-watch aoi new --from-image``: the lines of an area of interest out of one picture."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rail_watch.errors import NoUsableImagery

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray
    from shapely import Polygon

    from rail_watch.imagery.scene import Scene, SceneRef

ACCURACY_M = 5.0
"""What very fine imagery may lie off by itself, and a line in it by a metre or two more."""


MOST_LOOKS = 6
"""Scenes of which the clearest is taken."""


@dataclass(frozen=True)
class Drawn:
    """Lines found in a scene."""

    scene: str
    ways: tuple[Any, ...]
    """`rail_watch.aoi.osm_read.Way`, lon/lat."""


def drawn_from(picture: Path, limit: Polygon | None, *, dark: bool) -> Drawn:
    """Return the track lines in a picture, as ways of a map.

    Parameters
    ----------
    picture : an image file, a folder or a catalogue; of several scenes see `scene_of`.
    limit : lon/lat, what to look at; None: the whole picture.
    dark : tracks are darker than the ground between them.

    Raises
    ------
    NoUsableImagery
        No scene with pixels fine enough, or no bundle of lines in it.
    """
    import numpy as np

    from rail_watch.aoi.osm import FROM_PICTURE
    from rail_watch.aoi.osm_read import Way
    from rail_watch.interpret.lines import find_lines

    scene = scene_of(picture, limit)
    lines = find_lines(brightness(scene), scene.grid.metres_per_pixel(), dark=dark)
    if not lines:
        raise NoUsableImagery(
            f"{picture}: no lines side by side in {scene.ref.id}; try --dark, another picture, or a --box"
        )
    tags = {"railway": "rail", "source": FROM_PICTURE}
    ways = []
    for line in lines:
        lonlat = scene.grid.lonlat(np.asarray(line.coords)[:, ::-1])
        ways.append(Way(tuple((float(lon), float(lat)) for lon, lat in lonlat), tags))
    return Drawn(scene.ref.id, tuple(ways))


def scene_of(picture: Path, limit: Polygon | None) -> Scene:
    """Return the scene to look at: of the finest, the newest of them, the one that shows most free of cloud and snow.

    Raises
    ------
    NoUsableImagery
        No scene with pixels fine enough, or none that can be read.
    """
    import numpy as np

    from rail_watch.imagery.scene import Quality

    best, most, faults = None, -1.0, list[NoUsableImagery]()
    for ref in _chosen(picture, limit):
        try:
            scene = _read(ref, limit)
        except NoUsableImagery as fault:
            faults.append(fault)
            continue
        clear = float(np.sum(scene.quality == Quality.CLEAR)) * scene.grid.metres_per_pixel() ** 2
        if clear > most:
            best, most = scene, clear
    if best is None:
        raise faults[0]
    return best


def _chosen(picture: Path, limit: Polygon | None) -> list[SceneRef]:
    """Return the finest scenes, the newest first: few of them, for each is read whole."""
    import shapely

    from rail_watch import imagery
    from rail_watch.aoi.site import Site
    from rail_watch.interpret.lines import COARSEST_M

    everywhere = Site("new", "new", limit or shapely.box(-180, -90, 180, 90))
    found = imagery.find(everywhere, (None, None), source=picture)
    fine = [ref for ref in found.scenes if ref.gsd_m is not None and ref.gsd_m <= COARSEST_M and ref.footprint]
    if not fine:
        why = f": {found.faults[0]}" if found.faults else ""
        raise NoUsableImagery(f"{picture}: no scene there with pixels of at most {COARSEST_M:g} m{why}")
    finest = min(ref.gsd_m or math.inf for ref in fine)
    like = [ref for ref in fine if (ref.gsd_m or math.inf) <= 1.2 * finest]
    return sorted(like, key=lambda ref: (-ref.when.timestamp(), ref.id))[:MOST_LOOKS]


def _read(ref: SceneRef, limit: Polygon | None) -> Scene:
    """Read what of a scene is asked for."""
    from rail_watch import imagery
    from rail_watch.aoi.site import Site
    from rail_watch.imagery.scene import Scene
    from rail_watch.interpret.lines import MOST_PIXELS

    assert ref.footprint is not None
    got = imagery.read(ref, Site("new", "new", limit or ref.footprint), margin_m=0.0)
    if not isinstance(got, Scene):
        raise NoUsableImagery(f"{ref.id}: {got.reason}")
    if got.quality.size > MOST_PIXELS:
        size = " x ".join(str(side) for side in got.quality.shape)
        raise NoUsableImagery(f"{ref.id}: {size} pixels; give a smaller --box, or --around (at most {MOST_PIXELS:,})")
    return got


def brightness(scene: Scene) -> NDArray[np.float32]:
    """(row, column) mean of the bands, each over its median; NaN where nothing is seen."""
    import numpy as np

    from rail_watch.imagery.scene import Quality

    seen = np.isin(scene.quality, (Quality.CLEAR, Quality.SNOW, Quality.SATURATED))
    seen &= np.isfinite(scene.pixels).all(axis=0)
    if not seen.any():
        raise NoUsableImagery(f"{scene.ref.id}: nothing to be seen in it, cloud all over")
    usual = np.median(scene.pixels[:, seen], axis=1)
    even = scene.pixels / np.maximum(usual, 1e-6)[:, None, None]
    return np.where(seen, even.mean(axis=0), np.float32(np.nan)).astype(np.float32)
