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
    picture : an image file, a folder or a catalogue; of several scenes the finest is taken, the newest of those.
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

    scene = _read(_chosen(picture, limit), limit)
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


def _chosen(picture: Path, limit: Polygon | None) -> SceneRef:
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
    return min(fine, key=lambda ref: (ref.gsd_m or math.inf, -ref.when.timestamp(), ref.id))


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
