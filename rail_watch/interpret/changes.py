"""Change away from tracks and aprons: patches of ground that differ from what the site usually looks like."""

from __future__ import annotations

from dataclasses import dataclass

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
    """Still there at every later look that showed the place, and there was one."""


def _solid(change: ChangeMap, t: int) -> NDArray[np.bool_]:
    flagged = np.nan_to_num(change.p_value[t], nan=1.0) < PIXEL_RATE
    dense = ndimage.uniform_filter(flagged.astype(np.float32), 3)
    return np.asarray((dense > 0.5) & flagged)


def patches_of(change: ChangeMap, stack: Stack, site: Site) -> list[Patch]:
    """List patches of change.

    Where a site has tracks, only what lasts is listed: vehicles, shadows and crops come and go on any ground. A site
    without tracks lists everything, which is what it is for.
    """
    zones = zones_of(site, change.grid)
    judged = zones.site & ~zones.exclude & ~zones.tracks & ~zones.aprons & ~zones.sheds
    solid = np.stack([_solid(change, t) & judged for t in range(len(change.p_value))])
    if solid.shape[0] < 2:
        return []
    frame = local_frame(site)
    everything = not (site.tracks or site.bridges)
    found: list[Patch] = []
    for t in range(len(solid)):
        lasts = _lasting(solid, change.seen, t)
        wanted = solid[t] if everything else solid[t] & lasts & ~_before(solid, t)
        found += _cut(change, wanted, lasts, t, frame)
    return found


def _lasting(solid: NDArray[np.bool_], seen: NDArray[np.bool_], t: int) -> NDArray[np.bool_]:
    """(row, column) changed at every later look that saw the place, of which there was at least one."""
    later_seen = seen[t + 1 :].sum(axis=0)
    later_changed = (solid[t + 1 :] & seen[t + 1 :]).sum(axis=0)
    return np.asarray((later_seen >= 1) & (later_changed >= 0.8 * later_seen))


def _before(solid: NDArray[np.bool_], t: int) -> NDArray[np.bool_]:
    return np.asarray(solid[:t].any(axis=0)) if t else np.zeros(solid.shape[1:], dtype=bool)


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
