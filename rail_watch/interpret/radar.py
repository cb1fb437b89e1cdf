"""How busy a yard is, from radar: the share of it that departs from its usual state, against ground off the tracks.

At the 10 m of Sentinel-1 a train is narrower than a pixel and its echo depends on how its walls stand to the beam, so
no single train is claimed. What can be said is how much of the yard looks unlike itself, and whether that is more than
the rest of the same scene does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy  # signal and stats load when they are first named: most runs do without
import shapely
from numpy.typing import NDArray
from rasterio.features import shapes
from scipy import fft, ndimage, special

from rail_watch.aoi.site import Site
from rail_watch.change.radar import RadarChange, radar_change
from rail_watch.change.speckle import Array, Mask, Speckle, Unit
from rail_watch.grid import WGS84
from rail_watch.imagery.scene import SceneRef
from rail_watch.interpret.changes import Patch
from rail_watch.prepare.stack import Stack
from rail_watch.prepare.zones import Zones, local_frame, reproject, within, zones_of

APART_PX = 3
"""Control ground keeps this far from the yard: half the kernel, so that no vehicle reaches into it."""
REACH_PX = 20
"""Departures of pixels farther apart than this are taken for unrelated."""
LEAST_CORRELATION = 0.1
"""Correlations below this cannot be told from none in a scene of a few thousand pixels."""
TERMS = 80
"""Terms of the series for the covariance of two threshold crossings: enough for a correlation of 0.97."""
LEAST_YARD = 10
LEAST_CONTROL = 500
"""Pixels of yard and of control ground that are needed."""
LEAST_ROOM = 0.7
"""Share of the yard's outline that must fall on control ground where it is laid for comparison."""
MOST_PATCHES = 20
POWER = 0.9

State = Literal["active", "usual", "unknown"]


@dataclass(frozen=True)
class RadarLook:
    """The yard at one scene: its track corridors and aprons together."""

    scene: int
    state: State
    """active: more of it departs from its usual state than the ground off the tracks does, at the rate asked for."""
    judged_fraction: float
    """Share of the yard that could be compared."""
    compared_with: int
    """Other scenes of the same viewing geometry."""
    changed_fraction: float | None
    """Share of the judged yard whose p-value is below the false-alarm rate."""
    control_fraction: float | None
    """The same share of the ground off the tracks."""
    index: float | None
    """The activity index: changed_fraction less control_fraction, or less the false-alarm rate where that is more."""
    index_95: tuple[float, float] | None
    p_value: float | None
    """Probability that as much of the yard would depart were it no busier than the ground off the tracks."""
    least_index: float | None
    """The smallest index that this scene would have shown to be activity at 90 % probability."""
    brighter_fraction: float | None
    """Of what departs, the share that is brighter than usual: metal that came, rather than left."""
    reason: str | None = None
    """Why the state is unknown."""


@dataclass(frozen=True)
class RadarPatch(Patch):
    """A patch of ground that departs from its usual state; its p-value allows for all pixels looked at."""

    in_yard: bool
    """Half of it or more lies on track corridors or aprons."""
    decibels: float
    """Mean change of brightness."""


@dataclass(frozen=True)
class RadarSeries:
    """The yard over all scenes of one viewing geometry."""

    geometry: str
    scenes: tuple[int, ...]
    changed_fraction: float
    """Share of the yard that changed at least once (omnibus test), at the false-alarm rate."""
    control_fraction: float


@dataclass(frozen=True)
class RadarFindings:
    """Everything a radar stack says of one site."""

    looks: tuple[RadarLook, ...]
    """One per scene, in the stack's order."""
    patches: tuple[RadarPatch, ...]
    series: tuple[RadarSeries, ...]
    p_value: NDArray[np.float32]
    """(T, row, column); NaN where not judged."""
    decibels: NDArray[np.float32]
    """(T, row, column) brightness against the usual state."""
    units: tuple[Unit | None, ...]
    """Unit in which each scene was taken to come; None where it was not judged."""
    speckle: tuple[tuple[Speckle | None, ...], ...]
    """[t][b]; empty where a scene was not judged."""
    clear_fraction: Array
    """(T,) share of the site that was measured."""
    geometries: tuple[str, ...]
    """(T,) viewing geometry, in words."""


@dataclass(frozen=True)
class _Areas:
    yard: Mask
    control: Mask
    judged: Mask


def geometry_of(ref: SceneRef) -> str:
    """Name the viewing geometry: only scenes from one relative orbit see the same sides of things."""
    parts = [str(ref.properties[k]) for k in ("sat:orbit_state", "sat:relative_orbit") if k in ref.properties]
    return " orbit ".join(parts) if parts else "orbit not given"


def track_reason(gsd_m: float) -> str:
    """Say why radar leaves every track unknown."""
    if gsd_m >= 5:
        return f"radar at {gsd_m:.0f} m cannot show single trains"
    return "radar is judged for the yard as a whole, not for single trains"


def _areas(zones: Zones) -> _Areas:
    """Yard, and control ground: the site's own where there is enough of it, else all that was read."""
    roofed = zones.sheds | zones.exclude
    yard = (zones.tracks | zones.aprons) & ~roofed
    near = within(zones.tracks | zones.aprons, APART_PX) if yard.any() else yard
    free = ~near & ~roofed
    own = free & zones.site
    control = own if own.sum() >= max(LEAST_CONTROL, 5 * int(yard.sum())) else free
    return _Areas(yard, control, (yard | free) & zones.site)


def activity_of(stack: Stack, site: Site, *, false_alarm_rate: float) -> RadarFindings:
    """Judge how busy a yard is at every scene of a radar stack.

    Parameters
    ----------
    stack : scenes with bands vv, vh, hh or hv, whatever other bands there are being left out; amplitude, linear power
        or decibels (see `rail_watch.change.speckle.unit_of`).
    site : its tracks, decks and aprons are the yard.
    false_alarm_rate : per pixel for what counts as changed, per scene for what counts as active, and per scene for any
        patch being listed.

    Returns
    -------
    RadarFindings
        One look per scene. Scenes are compared with those of the same relative orbit only.
    """
    radar = [i for i, name in enumerate(stack.bands) if name in ("vv", "vh", "hh", "hv")]
    zones = zones_of(site, stack.grid)
    areas = _areas(zones)
    pixels = stack.pixels[:, radar]
    seen = stack.clear() & np.isfinite(pixels).all(axis=1)
    geometries = tuple(geometry_of(ref) for ref in stack.scenes)
    times = len(stack.scenes)
    p_value = np.full(seen.shape, np.nan, dtype=np.float32)
    decibels = np.full(seen.shape, np.nan, dtype=np.float32)
    units: list[Unit | None] = [None] * times
    speckle: list[tuple[Speckle | None, ...]] = [()] * times
    looks: dict[int, RadarLook] = {}
    series: list[RadarSeries] = []
    for name in dict.fromkeys(geometries):
        members = [t for t in range(times) if geometries[t] == name]
        if len(members) < 2:
            looks[members[0]] = _unknown(members[0], 0, "no other scene of the same orbit to compare it with")
            continue
        change = radar_change(pixels[members], seen[members], areas.control)
        p_value[members], decibels[members] = change.p_value, change.decibels
        looks |= _looks(change, members, areas, rate=false_alarm_rate)
        series += _over_time(change, name, members, areas=areas, rate=false_alarm_rate)
        for i, t in enumerate(members):
            units[t], speckle[t] = change.units[i], change.speckle[i]
    return RadarFindings(
        looks=tuple(looks[t] for t in range(times)),
        patches=tuple(_patches(p_value, decibels, stack, site, areas=areas, rate=false_alarm_rate)),
        series=tuple(series),
        p_value=p_value,
        decibels=decibels,
        units=tuple(units),
        speckle=tuple(speckle),
        clear_fraction=np.array([float(s[zones.site].mean()) if zones.site.any() else 0.0 for s in seen]),
        geometries=geometries,
    )


def _unknown(scene: int, others: int, reason: str, *, judged: float = 0.0) -> RadarLook:
    return RadarLook(scene, "unknown", judged, others, None, None, None, None, None, None, None, reason)


def _looks(change: RadarChange, members: Sequence[int], areas: _Areas, *, rate: float) -> Mapping[int, RadarLook]:
    return {t: _look(change, i, t, areas=areas, rate=rate) for i, t in enumerate(members)}


def _look(change: RadarChange, i: int, scene: int, *, areas: _Areas, rate: float) -> RadarLook:
    others = len(change.p_value) - 1
    known = np.isfinite(change.p_value[i])
    yard, control = areas.yard & known, areas.control & known
    judged = float(yard.sum() / max(int(areas.yard.sum()), 1))
    if not areas.yard.any():
        return _unknown(scene, others, "the site has no tracks and no aprons")
    if yard.sum() < LEAST_YARD or judged < 0.5:
        return _unknown(scene, others, "less than half of the yard could be compared", judged=judged)
    if control.sum() < LEAST_CONTROL:
        return _unknown(scene, others, "too little ground off the tracks to compare it with", judged=judged)
    changed = known & (change.p_value[i] < rate)
    related = _correlation(change.score[i], control)
    here, there = float(changed[yard].mean()), float(changed[control].mean())
    expected = max(there, rate)
    dims = change.score.shape[1]
    lags = lag_shares(yard)
    spread = share_variance(lags, related, rate=expected, dims=dims)
    spread = max(spread, _elsewhere(changed, yard, control, expected=expected))
    spread += share_variance(lag_shares(control), related, rate=expected, dims=dims)
    p_value = _tail(here, expected, spread, step=1 / int(yard.sum()))
    own = _smoothed(here, share_variance(lags, related, rate=_inner(here), dims=dims))
    low, high = _beta(own, share_variance(lags, related, rate=_inner(own), dims=dims)).ppf([0.025, 0.975])
    return RadarLook(
        scene=scene,
        state="active" if p_value < rate else "usual",
        judged_fraction=judged,
        compared_with=others,
        changed_fraction=here,
        control_fraction=there,
        index=here - expected,
        index_95=(float(min(low, here)) - expected, float(max(high, here)) - expected),
        p_value=p_value,
        least_index=_least(expected, spread, lags=lags, related=related, dims=dims, rate=rate),
        brighter_fraction=float((change.decibels[i][changed & yard] > 0).mean()) if here > 0 else None,
    )


def _elsewhere(changed: Mask, yard: Mask, control: Mask, *, expected: float) -> float:
    """Mean squared departure of the changed share from the expected, with the yard's outline laid over control ground.

    Fields that change as a whole make it larger than the correlation of neighbours alone does. 0 where the outline
    nowhere finds room.
    """
    rows, cols = np.nonzero(yard)
    outline = yard[rows.min() : rows.max() + 1, cols.min() : cols.max() + 1].astype(np.float64)
    if outline.shape[0] > yard.shape[0] or outline.shape[1] > yard.shape[1]:
        return 0.0
    room = scipy.signal.fftconvolve(control.astype(np.float64), outline[::-1, ::-1], mode="valid")
    hits = scipy.signal.fftconvolve((changed & control).astype(np.float64), outline[::-1, ::-1], mode="valid")
    fits = room > LEAST_ROOM * outline.sum()
    if not fits.any():
        return 0.0
    return float((((hits / np.maximum(room, 1))[fits] - expected) ** 2).mean())


def _inner(share: float) -> float:
    return float(np.clip(share, 1e-3, 1 - 1e-3))


def _smoothed(share: float, variance: float) -> float:
    """Share drawn towards a half by half an independent pixel (Jeffreys), so that none and all have an interval."""
    count = _inner(share) * (1 - _inner(share)) / max(variance, 1e-12)
    return (share * count + 0.5) / (count + 1)


def _beta(mean: float, variance: float) -> scipy.stats.rv_frozen:
    """Beta law of a share; its variance can at most be that of all or nothing."""
    count = max(mean * (1 - mean) / max(variance, 1e-12) - 1, 1e-3)
    return scipy.stats.beta(mean * count, (1 - mean) * count)


def _tail(share: float, expected: float, variance: float, *, step: float) -> float:
    """Probability of a share this large or larger; shares go in steps of one pixel."""
    if share <= 0:
        return 1.0
    return float(_beta(expected, variance).sf(share - 0.5 * step))


def _least(expected: float, variance: float, *, lags: Array, related: Array, dims: int, rate: float) -> float:
    """Return the smallest index whose share would pass the threshold in nine of ten scenes alike."""
    needed = float(_beta(expected, variance).isf(rate))
    low, high = needed, 1.0
    for _ in range(10):
        share = 0.5 * (low + high)
        own = share_variance(lags, related, rate=_inner(share), dims=dims)
        passed = _beta(_inner(share), own).sf(needed) >= POWER
        low, high = (low, share) if passed else (share, high)
    return high - expected


def _correlation(score: NDArray[np.floating], control: Mask) -> Array:
    """(41, 41) correlation of departures over control ground, lag by lag, mean over bands; 0 where none is shown."""
    size = 2 * REACH_PX + 1
    out = np.zeros((size, size))
    mask = control.astype(np.float64)
    pairs = np.maximum(_lagged(mask), 1.0)
    for band in score:
        values = np.where(control, np.clip(np.nan_to_num(band), -3, 3), 0.0)
        values -= values.sum() / max(mask.sum(), 1) * mask
        product = _lagged(values) / pairs
        out += product / max(float(product[REACH_PX, REACH_PX]), 1e-12) / len(score)
    out = np.clip(out, 0, 0.97)
    out[out < LEAST_CORRELATION] = 0
    out[REACH_PX, REACH_PX] = 1
    return out


def _lagged(image: Array) -> Array:
    """(41, 41) sums of products of an image with itself a lag apart."""
    shape = [fft.next_fast_len(n + REACH_PX, real=True) for n in image.shape]
    power = np.abs(fft.rfft2(image, shape)) ** 2
    full = np.fft.fftshift(fft.irfft2(power, shape))
    row, col = full.shape[0] // 2, full.shape[1] // 2
    return np.asarray(full[row - REACH_PX : row + REACH_PX + 1, col - REACH_PX : col + REACH_PX + 1])


def lag_shares(mask: Mask) -> Array:
    """(41, 41) share of all pairs of a mask's pixels that lie a lag apart."""
    values = mask.astype(np.float64)
    return _lagged(values) / max(float(values.sum()), 1.0) ** 2


def share_variance(lags: Array, related: Array, *, rate: float, dims: int) -> float:
    """Variance of the share of an area's pixels whose departure passes a threshold.

    Squared lengths of correlated Gaussian vectors have Kibble's bivariate gamma law (Sankhya 5, 1941), whose expansion
    in Laguerre polynomials gives the covariance of two crossings at every correlation.

    Parameters
    ----------
    lags : (41, 41) of `lag_shares` of the area.
    related : (41, 41) correlation by lag.
    rate : chance of one pixel to pass.
    dims : bands in a departure.
    """
    return float((lags * _crossing(related, rate=rate, dims=dims)).sum())


def _crossing(correlation: Array, *, rate: float, dims: int) -> Array:
    """Covariance of two threshold crossings at each correlation of the departures."""
    alpha = dims / 2 - 1
    cut = float(special.chdtri(dims, rate)) / 2
    order = np.arange(1, TERMS + 1)
    log_norm = 0.5 * (special.gammaln(order + 1) - special.gammaln(order + dims / 2) - special.gammaln(dims / 2))
    base = np.exp(log_norm + (alpha + 1) * np.log(cut) - cut) / order
    terms = (base * special.eval_genlaguerre(order - 1, alpha + 1, cut)) ** 2
    squared = np.where(correlation < 1, correlation, 0.0) ** 2
    out = squared * np.polynomial.polynomial.polyval(squared, terms)
    return np.where(correlation >= 1, rate * (1 - rate), np.minimum(out, rate * (1 - rate)))


def _over_time(
    change: RadarChange, name: str, members: Sequence[int], *, areas: _Areas, rate: float
) -> list[RadarSeries]:
    p_value = change.series.p_value
    known = np.isfinite(p_value)
    yard, control = areas.yard & known, areas.control & known
    if not (yard.any() and control.any()):
        return []
    shares = [float((p_value[mask] < rate).mean()) for mask in (yard, control)]
    return [RadarSeries(name, tuple(members), *shares)]


def _patches(
    p_value: NDArray[np.float32],
    decibels: NDArray[np.float32],
    stack: Stack,
    site: Site,
    *,
    areas: _Areas,
    rate: float,
) -> list[RadarPatch]:
    """List patches of connected changed pixels, of which one at least is too odd for all pixels looked at."""
    frame = local_frame(site)
    out: list[RadarPatch] = []
    for t, values in enumerate(p_value):
        known = np.isfinite(values) & areas.judged
        changed = known & (values < rate)
        labels, count = ndimage.label(changed, structure=np.ones((3, 3)))
        if not count:
            continue
        least = ndimage.minimum(values.astype(np.float64), labels, np.arange(1, count + 1)) * int(known.sum())
        labels[~np.isin(labels, 1 + np.flatnonzero(np.asarray(least) < rate))] = 0
        cut = shapes(labels.astype(np.int32), labels > 0, connectivity=8, transform=stack.grid.transform)
        here = []
        for outline, label in cut:
            where = labels == int(label)
            polygon = reproject(shapely.geometry.shape(outline), stack.grid.crs, WGS84)
            here.append(
                RadarPatch(
                    scene=t,
                    polygon=polygon,
                    area_m2=float(reproject(polygon, WGS84, frame).area),
                    p_value=float(np.asarray(least)[int(label) - 1]),
                    lasting=False,
                    in_yard=bool(areas.yard[where].mean() >= 0.5),
                    decibels=float(decibels[t][where].mean()),
                )
            )
        out += sorted(here, key=lambda p: -p.area_m2)[:MOST_PATCHES]
    return out


def in_words(look: RadarLook) -> str:
    """One sentence on how busy the yard was, for a summary."""
    if look.state == "unknown" or look.index is None or look.index_95 is None:
        return f"how busy the yard was cannot be told ({look.reason})."
    assert look.changed_fraction is not None and look.control_fraction is not None and look.least_index is not None
    shares = (
        f"{100 * look.changed_fraction:.0f} % of tracks and aprons look unlike their usual state, against "
        f"{100 * look.control_fraction:.0f} % of the ground off the tracks (excess {100 * look.index:.0f} %, 95 %: "
        f"{100 * look.index_95[0]:.0f} to {100 * look.index_95[1]:.0f} %)"
    )
    if look.state == "active":
        return f"{shares}: something on the yard is not as usual. Radar at this resolution does not show what."
    return (
        f"{shares}: no more than usual. Activity over {100 * look.least_index:.0f} % of the yard or more would most "
        "likely have been seen."
    )
