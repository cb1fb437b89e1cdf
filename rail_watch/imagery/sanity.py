"""Are the numbers reflectance? Find Sentinel-2 scenes whose offset of 0.1 was forgotten or taken off twice.

Catalogues have had the offset of processing baseline 04.00 wrong for many scenes, in flags and in members; read as they
say, such a scene differs from its neighbours by 0.1 in every band, and everything in it would be change. The gate:

What cannot have happened is not looked for: numbers read with an offset have not forgotten it, numbers read without one
have not lost it twice, and before baseline 04.00 there was none.

1. by itself: nothing is darker than nothing. A scene in which half of the bands have a floor below `IMPOSSIBLE` has
   lost 0.1 twice; it is corrected where more than the floor says so, else not compared. One band's floor below
   `DOUBTFUL` is enough not to compare it.
2. by itself: shadows, water and conifers lie near nothing. A scene with a floor below `LIFTED` in any band has not
   forgotten 0.1, whatever its neighbours look like: it is never touched.
3. by its neighbours: a lifted scene that lies above others in the visible bands by what the offset could have added
   (`RAISED`) is corrected where it lies `STEP` above most of them in every band alike, and is not compared otherwise:
   it may be haze. Haze is told from an offset where it can be: it raises blue more than red, and the near infrared,
   bright itself, least. In the same way a scene `STEP` below most others in every band is corrected.

Numbers: the offset itself is 0.1; atmospheric correction is good to 0.005 + 0.05 r (ESA, Sentinel-2 L2A data quality
report), so that -0.03 on dark ground is out of its reach and -0.02 all but; `LIFTED` is 0.1 less that. `SPREAD` is what
the same pixels vary by from scene to scene, less than a third of the offset.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rail_watch.aoi.site import Site
from rail_watch.grid import Grid
from rail_watch.imagery.bands import family
from rail_watch.imagery.radiometry import FIRST_WITH_OFFSET, baseline
from rail_watch.imagery.scene import Quality, Scene, Unread
from rail_watch.imagery.window import polygon_mask, site_mask

STEP = 0.1
SPREAD, SPREAD_NIR, TILT = 0.03, 0.04, 0.02
IMPOSSIBLE, DOUBTFUL, LIFTED = -0.03, -0.02, 0.08
RAISED = (0.05, 0.3)
"""What a lifted scene may lie above others by: the offset, with haze over one of the two."""
NEAREST = 3
"""Scenes next in time that are asked: leaves come and go by more than the offset."""
USUAL_DARK = (-0.03, 0.25)
FLOOR_PERCENT, DARK_PERCENT = 0.5, 2.0
FEWEST_PIXELS, MOST_PIXELS = 100, 20_000
BANDS = ("blue", "green", "red", "nir")
UNSEEN = (Quality.OUTSIDE, Quality.NODATA, Quality.READ_FAILED, Quality.SATURATED)
_UNIT = 1e-4
_MEND = "write rail_watch:scale and rail_watch:offset into its item to settle it"

Array = NDArray[np.float64]


@dataclass(frozen=True)
class _Level:
    """How bright the ground of one scene is: (band,) arrays."""

    floor: Array
    """Of all that was measured, shadows and snow too."""
    dark: Array
    middle: Array
    """Of clear ground."""
    visible: NDArray[np.bool_]
    """(band,) whether it is no near infrared."""
    mistaken: tuple[bool, bool]
    """Whether, by what its item says, the offset can have been taken off twice, or forgotten."""
    values: NDArray[np.float32]
    """(band, row, column)."""
    used: NDArray[np.bool_]
    """(row, column) clear ground, steady where the site says so."""
    grid: Grid

    @property
    def lifted(self) -> bool:
        """Whether even its shadows are so bright that an offset may have been forgotten."""
        return self.mistaken[1] and bool((self.floor >= LIFTED).all())

    def shifted(self, by: float) -> _Level:
        """Return the levels of the same ground that much brighter."""
        moved = replace(self, floor=self.floor + by, dark=self.dark + by, middle=self.middle + by)
        return replace(moved, values=self.values + np.float32(by))


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
    here = site_mask(site, scene.grid)
    inside = (scene.quality == Quality.CLEAR) & here
    steady = inside & polygon_mask([area.polygon for area in site.stables], scene.grid) if site.stables else inside
    used = steady if steady.sum() >= FEWEST_PIXELS else inside
    if not rows or used.sum() < FEWEST_PIXELS:
        return None
    values = scene.pixels[rows]
    measured = values[:, here & ~np.isin(scene.quality, UNSEEN)]
    floor = np.nanpercentile(measured.astype(np.float64), FLOOR_PERCENT, axis=1)
    dark, middle = np.percentile(values[:, used], [DARK_PERCENT, 50.0], axis=1)
    visible = np.array([scene.bands[row] != "nir" for row in rows])
    return _Level(floor, dark, middle, visible, _mistaken(scene), values, used, scene.grid)


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


def _twice(level: _Level) -> bool | None:
    """Return whether the offset was taken off twice, as the scene itself tells; None: it may have been."""
    if not level.mistaken[0] or not (level.floor < DOUBTFUL).any():
        return False
    low, high = USUAL_DARK
    impossible = (level.floor < IMPOSSIBLE).sum() * 2 >= len(level.floor)
    put_back = level.dark[level.visible] + STEP
    usual = ((put_back > low) & (put_back < high)).all()
    deep = max((level.dark < IMPOSSIBLE).sum(), (level.floor < 2 * IMPOSSIBLE).sum()) * 2 >= len(level.dark)
    return True if impossible and usual and deep else None


def _apart(one: _Level, other: _Level) -> Array | None:
    """(band,) how much brighter one scene is, at the pixels clear in both where they have a grid; None: too few."""
    if one.middle.shape != other.middle.shape:
        return None
    if one.grid != other.grid:
        return np.asarray(one.middle - other.middle)
    both = np.flatnonzero(one.used & other.used)
    if len(both) < FEWEST_PIXELS:
        return None
    both = both[:: max(1, len(both) // MOST_PIXELS)]
    bands = len(one.middle)
    away = one.values.reshape(bands, -1)[:, both] - other.values.reshape(bands, -1)[:, both]
    return np.asarray(np.median(away, axis=1), dtype=np.float64)


def _exact(away: Array, level: _Level, step: float) -> bool:
    """Return whether a difference is a step and nothing else: the same in every band, as haze is not."""
    seen, infrared = away[level.visible], away[~level.visible]
    close = (np.abs(seen - step) < SPREAD).all() and (np.abs(infrared - step) < SPREAD_NIR).all()
    return bool(close and (len(seen) == 0 or np.ptp(seen) < TILT))


@dataclass(frozen=True)
class _Votes:
    """What other scenes say of one."""

    exact: int
    asked: int
    """Of the right scenes nearest in time: how many lie a step off, of how many."""
    raised: int
    compared: int
    """Of all: above how many it lies by what an offset might have added, of how many."""

    @property
    def settled(self) -> bool:
        """Whether most of those nearest in time say the same, and more than one."""
        return self.exact >= 2 and 2 * self.exact > self.asked


def _votes(level: _Level, others: Sequence[_Level], step: float) -> _Votes:
    """Ask other scenes, the nearest in time first, how far one lies from them, in the direction of a step."""
    exact, asked, raised, compared = 0, 0, 0, 0
    for other in others:
        away = _apart(level, other)
        if away is None:
            continue
        compared += 1
        seen = away[level.visible] * np.sign(step)
        raised += bool(len(seen) and ((seen > RAISED[0]) & (seen < RAISED[1])).all())
        if asked < NEAREST and not other.lifted:
            asked += 1
            exact += _exact(away, level, step)
    return _Votes(exact, asked, raised, compared)


def checked(scenes: Sequence[Scene], site: Site) -> tuple[list[Scene], list[Unread]]:
    """Return the scenes with an unambiguous error of the offset corrected, and those that cannot be compared.

    Parameters
    ----------
    scenes : of one site, in any order, which is kept.
    site : clear pixels of its `stable` ground are looked at, else all clear pixels inside it.
    """
    levels = [_level(scene, site) if _concerned(scene) else None for scene in scenes]
    alone = [None if level is None else _twice(level) for level in levels]
    # What a scene says of itself comes first: the others are then asked about scenes that are right.
    first = [
        level.shifted(STEP) if level is not None and own else level for level, own in zip(levels, alone, strict=True)
    ]
    kept: list[Scene] = []
    refused: list[Unread] = []
    for index, (scene, level) in enumerate(zip(scenes, first, strict=True)):
        if level is None:
            kept.append(scene)
            continue
        near = sorted(range(len(scenes)), key=lambda place: (abs(scenes[place].ref.when - scene.ref.when), place))
        others = [other for place in near if (other := first[place]) is not None and place != index]
        got = _shifted(scene, STEP, "its darkest pixels lay below zero") if alone[index] else scene
        answer = got if alone[index] else _judged(scene, level, others, doubtful=alone[index] is None)
        if isinstance(answer, Scene):
            kept.append(answer)
        else:
            refused.append(answer)
    return kept, refused


def _judged(scene: Scene, level: _Level, others: Sequence[_Level], *, doubtful: bool) -> Scene | Unread:
    """Return a scene as it is, corrected by its neighbours, or refused."""
    if level.lifted:
        votes = _votes(level, others, STEP)
        if votes.settled:
            return _shifted(scene, -STEP, f"{votes.exact} scenes of the same ground lie that much lower")
        if votes.raised:
            return Unread(scene.ref, _doubt(votes))
    elif level.mistaken[0]:
        votes = _votes(level, others, -STEP)
        if votes.settled:
            return _shifted(scene, STEP, f"{votes.exact} scenes of the same ground lie that much higher")
        if doubtful:
            return Unread(scene.ref, _negative())
    return scene


def _doubt(votes: _Votes) -> str:
    return (
        f"not compared: its reflectance lies about 0.1 above that of the same ground in {votes.raised} of "
        f"{votes.compared} other scenes, even in its shadows: haze, or a forgotten offset; {_MEND}"
    )


def _negative() -> str:
    return f"not compared: its darkest pixels lie below zero, so its offset may have been taken off twice; {_MEND}"
