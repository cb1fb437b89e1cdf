"""Are the numbers reflectance? Find Sentinel-2 scenes whose offset of 0.1 was forgotten or taken off twice.

Catalogues have had the offset of processing baseline 04.00 wrong for many scenes, in flags and in members; read as they
say, such a scene differs from its neighbours by 0.1 in every band, and everything in it would be change. The gate:

What cannot have happened is not looked for: numbers read with an offset have not forgotten it, numbers read without one
have not lost it twice, and before baseline 04.00 there was none.

1. by itself: clear ground cannot be darker than nothing. Where the darkest pixels of most bands lie below
   `IMPOSSIBLE`, and would lie in the usual range with 0.1 more, 0.1 was taken off twice;
2. by its neighbours: where median and darkest pixels of every band lie 0.1 above those of more scenes than lie with
   it, and even its darkest pixels are as bright as `HAZY`, the offset was forgotten;
3. where it cannot be told which of the two is right (as many say one as the other), the brighter are not compared.

Numbers: the offset itself is 0.1; `SPREAD` is what the median of clear ground of one place varies by in the visible
bands from scene to scene, less than a third of it, twice that in the near infrared; atmospheric correction is good to
0.02 on dark ground, so that -0.05 is out of its reach (ESA, Sentinel-2 L2A data quality report: 0.05 r + 0.005).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rail_watch.aoi.site import Site
from rail_watch.imagery.bands import family
from rail_watch.imagery.radiometry import FIRST_WITH_OFFSET, baseline
from rail_watch.imagery.scene import Quality, Scene, Unread
from rail_watch.imagery.window import polygon_mask, site_mask

STEP = 0.1
SPREAD = 0.03
IMPOSSIBLE = -0.05
HAZY = 0.08
USUAL_DARK = (-0.03, 0.25)
DARK_PERCENT = 2.0
FEWEST_PIXELS = 100
BANDS = ("blue", "green", "red", "nir")
_UNIT = 1e-4


@dataclass(frozen=True)
class _Level:
    """How bright clear ground of one scene is: (band,) arrays."""

    dark: NDArray[np.float64]
    middle: NDArray[np.float64]
    spread: NDArray[np.float64]
    """(band,) SPREAD of the middle, twice that in the near infrared: leaves come and go."""
    mistaken: tuple[bool, bool]
    """Whether, by what its item says, the offset can have been taken off twice, or forgotten."""

    def shifted(self, by: float) -> _Level:
        """Return the levels of the same ground that much brighter."""
        return replace(self, dark=self.dark + by, middle=self.middle + by)


def _concerned(scene: Scene) -> bool:
    """Return whether a scene is Sentinel-2 in whole numbers of 1e-4, with no scale of the user's own."""
    bands = [band for asset in scene.ref.assets for band in asset.bands]
    collection = scene.ref.properties.get("collection")
    named = family(
        scene.ref.platform, scene.ref.constellation, collection if isinstance(collection, str) else None, scene.ref.id
    )
    known = any(abs(band.scale - _UNIT) < _UNIT / 100 for band in bands)
    return named == "sentinel-2" and known and not any(band.rule == "override" for band in bands)


def _level(scene: Scene, site: Site) -> _Level | None:
    """Return the levels of ground that should not change, else of the site; None with too little clear ground."""
    rows = [index for index, name in enumerate(scene.bands) if name in BANDS]
    clear = scene.quality == Quality.CLEAR
    inside = clear & site_mask(site, scene.grid)
    steady = inside & polygon_mask([area.polygon for area in site.stables], scene.grid) if site.stables else inside
    used = steady if steady.sum() >= FEWEST_PIXELS else inside
    if not rows or used.sum() < FEWEST_PIXELS:
        return None
    values = scene.pixels[rows][:, used]
    spread = np.array([2 * SPREAD if scene.bands[row] == "nir" else SPREAD for row in rows])
    dark, middle = np.percentile(values, [DARK_PERCENT, 50.0], axis=1)
    return _Level(dark, middle, spread, _mistaken(scene))


def _mistaken(scene: Scene) -> tuple[bool, bool]:
    """Return (twice, forgotten): what read with an offset cannot have forgotten it, and the other way round.

    A processing baseline before 04.00 has no offset that could be forgotten.
    """
    offsets = [band.offset for asset in scene.ref.assets for band in asset.bands]
    number = baseline(scene.ref.properties)
    taken = any(offset <= -STEP / 2 for offset in offsets)
    return taken, not taken and (number is None or number >= FIRST_WITH_OFFSET)


def _shifted(scene: Scene, by: float, why: str) -> Scene:
    note = f"reflectance was {-by:+.1f} off in every band ({why}); corrected by {by:+.1f}"
    return replace(scene, pixels=scene.pixels + np.float32(by), notes=(*scene.notes, note))


def _twice(level: _Level) -> bool:
    """Return whether the offset was taken off twice, as the scene itself tells."""
    low, high = USUAL_DARK
    impossible = (level.dark < IMPOSSIBLE).sum() * 2 >= len(level.dark)
    usual = ((level.dark + STEP > low) & (level.dark + STEP < high)).all()
    return bool(level.mistaken[0] and impossible and usual)


def _above(one: _Level, other: _Level) -> bool:
    """Return whether one scene lies the offset above another in every band, dark pixels too."""
    if one.middle.shape != other.middle.shape or not one.mistaken[1]:
        return False
    even = (np.abs(one.middle - other.middle - STEP) < one.spread).all()
    dark_too = (np.abs(one.dark - other.dark - STEP) < one.spread).all() and (one.dark > HAZY).all()
    return bool(even and dark_too)


def _alike(one: _Level, other: _Level) -> bool:
    return one.middle.shape == other.middle.shape and bool((np.abs(one.middle - other.middle) < one.spread).all())


def checked(scenes: Sequence[Scene], site: Site) -> tuple[list[Scene], list[Unread]]:
    """Return the scenes with an unambiguous error of the offset corrected, and those that cannot be compared.

    Parameters
    ----------
    scenes : of one site, in any order, which is kept.
    site : clear pixels of its `stable` ground are looked at, else all clear pixels inside it.
    """
    first: list[Scene] = []
    levels: list[_Level | None] = []
    for scene in scenes:
        level = _level(scene, site) if _concerned(scene) else None
        if level is not None and _twice(level):
            first.append(_shifted(scene, STEP, "its darkest pixels lay below zero"))
            levels.append(level.shifted(STEP))
        else:
            first.append(scene)
            levels.append(level)
    kept: list[Scene] = []
    refused: list[Unread] = []
    for scene, level in zip(first, levels, strict=True):
        others = [other for other in levels if other is not None and other is not level]
        below = sum(_above(level, other) for other in others) if level is not None else 0
        beside = 1 + sum(_alike(level, other) for other in others) if level is not None else 1
        if not below:
            kept.append(scene)
        elif below > beside:
            kept.append(_shifted(scene, -STEP, f"{below} scenes of the same ground lie that much lower"))
        else:
            refused.append(Unread(scene.ref, _doubt(below, beside)))
    return kept, refused


def _doubt(below: int, beside: int) -> str:
    return (
        f"not compared: its reflectance lies 0.1 above that of the same ground in {below} of {below + beside} scenes, "
        "so its offset may have been forgotten; write rail_watch:scale and rail_watch:offset into its item to settle it"
    )
