"""Change away from tracks and aprons: patches of ground that differ from what the site usually looks like."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.features import shapes
from scipy import ndimage
from shapely import Polygon

from rail_watch.aoi.site import Site
from rail_watch.change.measure import ChangeMap
from rail_watch.grid import WGS84
from rail_watch.prepare.stack import Stack
from rail_watch.prepare.zones import local_frame, reproject, zones_of

PIXEL_RATE = 1e-3
"""A pixel counts as changed below this p-value; a patch needs many of them together."""
LEAST_PIXELS = 9
MOSTLY = 0.8
"""Share of looks that makes "always": one in five may be spoilt by weather or a vehicle."""
LEAST_BEFORE = 2
"""What looked otherwise at fewer earlier looks, all of them, may have been a vehicle that left."""
MOST_AT_ONCE = 0.1
"""A look in which more of the judged ground is unusual (bare trees, wet fields) says nothing of what changed at a place
afterwards: the season did."""
HALF_WAY = 0.5
"""Nearer to the usual than this share of how the place differed before, and it has left its former state."""
EDGE_PX = 2
"""Ground this near to what has been announced is the same change seen a little larger."""
MOST_PATCHES = 20
"""Only the largest patches of a scene are listed."""


@dataclass(frozen=True)
class Patch:
    """One patch of changed ground at one scene."""

    scene: int
    polygon: Polygon
    """Lon/lat."""
    area_m2: float
    p_value: float
    lasting: bool
    """It stays so at nearly every later look that shows the place, and there is one."""


def _solid(change: ChangeMap, t: int) -> NDArray[np.bool_]:
    flagged = np.nan_to_num(change.p_value[t], nan=1.0) < PIXEL_RATE
    dense = ndimage.uniform_filter(flagged.astype(np.float32), 3)
    return np.asarray((dense > 0.5) & flagged)


def patches_of(change: ChangeMap, stack: Stack, site: Site) -> list[Patch]:
    """List patches of change.

    Where a site has tracks, only what lasts is listed, and once, at the first look that shows it: vehicles, shadows and
    crops come and go on any ground, and what has been built is from then on how the place looks. The usual look of the
    place may be that before the change or that after it, whichever was seen more often; both are told. A site without
    tracks lists everything, which is what it is for.
    """
    zones = zones_of(site, change.grid)
    judged = zones.site & ~zones.exclude & ~zones.tracks & ~zones.aprons & ~zones.sheds
    solid = np.stack([_solid(change, t) & judged for t in range(len(change.p_value))])
    if solid.shape[0] < 2:
        return []
    frame = local_frame(site)
    everything = not (site.tracks or site.bridges)
    found: list[Patch] = []
    told = np.zeros(solid.shape[1:], dtype=bool)
    share = solid.sum(axis=(1, 2)) / np.maximum((change.seen & judged).sum(axis=(1, 2)), 1)
    plain = change.seen & (share <= MOST_AT_ONCE)[:, None, None]
    for t in range(len(solid)):
        lasts = _lasting(solid, change.seen, t)
        if everything:
            found += _cut(change, solid[t], lasts, t, frame)
            continue
        new = solid[t] & lasts & _first(solid, change.seen, t) & ~told
        became = _became(solid, change, plain, t) & judged & ~told
        patches = _cut(change, _whole(new), lasts, t, frame)
        if (now_usual := _whole(became)).any():
            patches += _cut(_as_before(change, t), now_usual, now_usual, t, frame)
        found += sorted(patches, key=lambda p: -p.area_m2)[:MOST_PATCHES]
        told |= ndimage.binary_dilation(_whole(new) | now_usual, iterations=EDGE_PX)
    return found


def _whole(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Leave out what is too small for a patch."""
    labels, count = ndimage.label(mask, structure=np.ones((3, 3)))
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    return np.asarray(mask & (sizes[labels] >= LEAST_PIXELS))


def _became(solid: NDArray[np.bool_], change: ChangeMap, plain: NDArray[np.bool_], t: int) -> NDArray[np.bool_]:
    """(row, column) unusual in one way at nearly every look before t, and from t on no longer in that way.

    The new state is then the usual one, or the usual lies between the two where both were seen equally often. Looks
    before t count where they are `plain`: (T, row, column) seen in a picture that is not unusual as a whole.
    """
    seen = change.seen
    before, later = plain[:t].sum(axis=0), seen[t + 1 :].sum(axis=0)
    out = seen[t] & (before >= LEAST_BEFORE) & (later >= 1)
    out &= (solid[:t] & plain[:t]).sum(axis=0) >= MOSTLY * before
    if out.any():
        was = np.nanmean(change.residual[:t][:, :, out], axis=0)
        left = (change.residual[t:][:, :, out] * was).sum(axis=1) < HALF_WAY * (was**2).sum(axis=0)
        out[out] = left[0] & (left[1:].sum(axis=0) >= MOSTLY * later[out])
    return np.asarray(out)


def _as_before(change: ChangeMap, t: int) -> ChangeMap:
    """Return the map with what the looks before t differ by from the usual in place of t's own p-values."""
    p_value = change.p_value.copy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        p_value[t] = np.nanmedian(change.p_value[:t], axis=0)
    return replace(change, p_value=p_value)


def _lasting(solid: NDArray[np.bool_], seen: NDArray[np.bool_], t: int) -> NDArray[np.bool_]:
    """(row, column) changed at nearly every later look that saw the place, of which there was at least one."""
    later_seen = seen[t + 1 :].sum(axis=0)
    later_changed = (solid[t + 1 :] & seen[t + 1 :]).sum(axis=0)
    return np.asarray((later_seen >= 1) & (later_changed >= MOSTLY * later_seen))


def _first(solid: NDArray[np.bool_], seen: NDArray[np.bool_], t: int) -> NDArray[np.bool_]:
    """(row, column) looked as usual at every look before t, of which there was at least one."""
    return np.asarray(seen[:t].any(axis=0) & ~solid[:t].any(axis=0))


def _cut(change: ChangeMap, wanted: NDArray[np.bool_], lasts: NDArray[np.bool_], t: int, frame: str) -> list[Patch]:
    labels, count = ndimage.label(wanted, structure=np.ones((3, 3)))
    if not count:
        return []
    sizes = np.bincount(labels.ravel())
    small = np.flatnonzero(sizes < LEAST_PIXELS)
    labels[np.isin(labels, small)] = 0
    patches = []
    for geometry, label in shapes(labels.astype(np.int32), labels > 0, connectivity=8, transform=change.grid.transform):
        polygon = reproject(shapely.geometry.shape(geometry), change.grid.crs, WGS84)
        area = float(reproject(polygon, WGS84, frame).area)
        where = labels == int(label)
        logs = np.log(np.maximum(change.p_value[t][where], 1e-12))
        patches.append(
            Patch(t, polygon, area, float(np.exp(max(logs.mean() * 2, -600))), bool(lasts[where].mean() > 0.5))
        )
    return sorted(patches, key=lambda p: -p.area_m2)[:MOST_PATCHES]
