"""Cargo on aprons: how much of each lies covered, and the pieces, held against what empty aprons show."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from shapely import Polygon

from rail_watch.aoi.site import Site
from rail_watch.change.radiometry import Radiometry
from rail_watch.grid import WGS84
from rail_watch.interpret.aprons import (
    CHANNELS,
    Window,
    apron_scene,
    bare_apron,
    describe_apron,
    first_weights,
    scalars_of,
    second_weights,
    turn,
    turn_back,
    window_of,
)
from rail_watch.interpret.ground_network import apply_ground_network, load_ground_network
from rail_watch.interpret.heights import Height, ShadowScene, height_of
from rail_watch.interpret.looks import REASONS
from rail_watch.interpret.network import network_class
from rail_watch.interpret.outlines import along_pixels, within_pixels
from rail_watch.interpret.pieces import (
    EVEN,
    CargoTrust,
    Pieces,
    among_several,
    area_interval,
    fill_of,
    load_trust,
    pieces_of,
)
from rail_watch.interpret.strips import FINE_GSD_M
from rail_watch.prepare.stack import Stack
from rail_watch.prepare.zones import mask_of, reproject

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]

LEAST_AREA_M2 = 8.0
"""Smaller patches are not called cargo: a car, a person's shadow, a puddle."""
LEAST_VISIBLE = 0.1
"""Less of an apron in sight, and nothing is said of it."""
RESTLESS = 0.25
"""Where open ground differs from the bare baseline by as much (spread of the logarithm), a scene is odd;"""
UNLIKE = 0.25
"""so it is where the ground follows the reference's less than this (snow, half melted)."""
DARK, TALL_M, THROWN = -0.4, 3.5, 0.8
"""Logarithm of the light over the apron's from which a piece may be a shadow, how tall the heap may be that throws it,
and how much of the piece must lie in that shadow."""
MAYBE = -1.0
"""Log odds from which a pixel of the first round takes no part in the second's picture of bare apron."""


@dataclass(frozen=True)
class ApronOdds:
    """What the network says of an apron at one scene."""

    odds: Array
    """(row, column) log odds of cargo, NaN where not seen."""
    odd: bool
    """The ground looks little as it usually does: snow in patches, or thawing, is easily taken for cargo."""
    contrast: Array
    """(row, column) logarithm of light over the apron's usual light, NaN where not seen."""


@dataclass(frozen=True)
class Pile:
    """One patch of cargo at one scene."""

    apron: str
    scene: int
    polygon: Polygon
    """Lon/lat."""
    area_m2: float
    area_m2_95: tuple[float, float]
    p_value: float
    """Probability that an empty apron shows a piece as plain as this or more so; adjusted where there are several."""
    height: Height | None = None
    """None where no shadow of it could be measured."""


@dataclass(frozen=True)
class ApronState:
    """One apron at one scene."""

    apron: str
    scene: int
    visible_fraction: float
    fill_fraction: float | None
    fill_95: tuple[float, float] | None
    smallest_m2: float | None
    """Nine of ten pieces this large are found; None where none are, however large."""
    reason: str | None
    piles: tuple[Pile, ...]


def aprons_of(
    stack: Stack, site: Site, *, radiometry: Radiometry, blocked: Mask, false_alarm_rate: float = 0.01
) -> list[ApronState]:
    """Judge every apron at every scene.

    Parameters
    ----------
    blocked : (row, column) ground under tracks, sheds and excluded areas, which is no apron.
    false_alarm_rate : share of looks at an empty apron that may show a piece.
    """
    states: list[ApronState] = []
    for area in site.aprons:
        window = window_of(stack, site, area, blocked=blocked, radiometry=radiometry)
        if window is None:
            continue
        for t, look in enumerate(odds_of(window)):
            reason = _why(stack, area.polygon, t)
            states.append(judge_apron(window, look, t, reason=reason, rate=false_alarm_rate))
    return states


def odds_of(window: Window) -> list[ApronOdds | None]:
    """Ask the network at each scene; None where a scene shows too little.

    Two rounds: what the first finds covered takes no part in the second's picture of bare apron.
    """
    first = first_weights(window)
    found = _round(window, first, None)
    with np.errstate(invalid="ignore"):
        taken = np.stack([np.zeros_like(window.inside) if o is None else o.odds > MAYBE for o in found])
    return _round(window, second_weights(window, first, taken), taken) if taken.any() else found


def _round(window: Window, weights: Array, taken: Mask | None) -> list[ApronOdds | None]:
    network = load_ground_network(network_class(window.gsd_m))
    baseline = bare_apron(window, weights)
    finite = np.isfinite(baseline).all(axis=0)
    scenes = [apron_scene(window, baseline, t, None if taken is None else taken[t]) for t in range(len(window.pixels))]
    out: list[ApronOdds | None] = []
    for t, picture in enumerate(describe_apron(window, scenes, baseline)):
        scene, shadow = scenes[t], window.shadows[t]
        if picture is None or scene is None:
            out.append(None)
            continue
        seen = turn(window.usable[t] & window.inside & finite, shadow)
        odds = apply_ground_network(network, turn(picture, shadow), scalars_of(window, scene, t), seen)
        odd = scene.noise > RESTLESS or float(window.gain[t].min()) < UNLIKE
        known = picture[..., CHANNELS.index("seen")] > 0
        contrast = np.where(known, picture[..., CHANNELS.index("contrast")], np.nan)
        out.append(ApronOdds(turn_back(odds, shadow), odd, contrast))
    return out


def judge_apron(window: Window, look: ApronOdds | None, t: int, *, reason: str | None, rate: float) -> ApronState:
    visible = float((window.inside & window.usable[t]).sum() / window.inside.sum())
    reason = reason if visible <= 0.995 else None
    if look is None or visible < LEAST_VISIBLE or not np.isfinite(look.odds).any():
        return ApronState(window.area.id, t, visible, None, None, None, reason, ())
    trust = load_trust(network_class(window.gsd_m))
    fill, limits = fill_of(look.odds, np.isfinite(look.odds), trust)
    smallest = max(trust.smallest_m2, LEAST_AREA_M2) if np.isfinite(trust.smallest_m2) else None
    piles = _piles(window, look, t, trust=trust, rate=rate)
    return ApronState(window.area.id, t, visible, fill, limits, smallest, reason, piles)


def _piles(window: Window, look: ApronOdds, t: int, *, trust: CargoTrust, rate: float) -> tuple[Pile, ...]:
    """Pieces plainer than an empty apron of this size shows at the rate, their number allowed for."""
    ground = np.isfinite(look.odds)
    pieces = pieces_of(look.odds, ground, gsd_m=window.gsd_m)
    in_sight = np.full(len(pieces.area_m2), ground.sum() * window.gsd_m**2)
    large = pieces.area_m2 >= LEAST_AREA_M2
    p_value = (trust.odd if look.odd else trust.usual).p_value(pieces.statistic, in_sight)
    large &= ~_shadows(pieces, look.contrast, window.shadows[t] / window.gsd_m)
    p_value[large] = among_several(p_value[large])
    good = large & (p_value < rate)
    if window.gsd_m <= FINE_GSD_M:
        outlines = along_pixels(pieces.labels, good, window.grid.transform)
    else:
        outlines = within_pixels(pieces, good, window.grid.transform, gsd_m=window.gsd_m)
    shown = ShadowScene(
        contrast=look.contrast,
        open=np.isfinite(look.contrast) & ~window.blocked,
        cargo=np.nan_to_num(look.odds, nan=-np.inf) > EVEN,
        steps=window.shadows[t],
        gsd_m=window.gsd_m,
    )
    piles = []
    for i, outline in outlines.items():
        area = float(pieces.area_m2[i])
        polygon = reproject(outline, window.grid.crs, WGS84)
        height = height_of(pieces.labels == i + 1, shown)
        piles.append(Pile(window.area.id, t, polygon, area, area_interval(area, trust), float(p_value[i]), height))
    return tuple(piles)


def _shadows(pieces: Pieces, contrast: Array, steps: NDArray[np.float64]) -> Mask:
    """(pieces,) what lies where the shadow of a plainer piece falls, and is as dark as a shadow.

    Parameters
    ----------
    steps : rows and columns by which the shadow of a metre of height falls.
    """
    count = len(pieces.area_m2)
    out = np.zeros(count, dtype=bool)
    if count < 2 or not steps.any():
        return out
    index = np.arange(1, count + 1)
    dark = np.asarray(ndimage.median(np.nan_to_num(contrast), pieces.labels, index)) < DARK
    reach = float(np.hypot(*steps)) * TALL_M
    for i in np.flatnonzero(dark).tolist():
        plainer = np.isin(pieces.labels, np.flatnonzero(pieces.statistic > pieces.statistic[i]) + 1)
        rows, cols = np.nonzero(pieces.labels == i + 1)
        thrown = np.zeros(len(rows), dtype=bool)
        for share in np.linspace(0, 1, int(np.ceil(reach)) + 1)[1:]:
            r, c = (np.round(at - share * TALL_M * s).astype(int) for at, s in zip((rows, cols), steps, strict=True))
            inside = (r >= 0) & (c >= 0) & (r < plainer.shape[0]) & (c < plainer.shape[1])
            thrown[inside] |= plainer[r[inside], c[inside]]
        out[i] = thrown.mean() > THROWN
    return out


def _why(stack: Stack, apron: Polygon, t: int) -> str | None:
    where = mask_of([apron], stack.grid)
    counts = {name: int((stack.quality[t][where] == code).sum()) for code, name in REASONS.items()}
    worst = max(counts, key=lambda name: counts[name])
    return worst if counts[worst] else None


__all__ = ["ApronState", "Pile", "aprons_of", "odds_of"]
