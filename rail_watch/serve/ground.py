"""A site laid flat: shapes in true metres from its centre, so that the page measures and draws without a projection."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import mapping
from shapely.geometry.base import BaseGeometry

from rail_watch.aoi.site import Site
from rail_watch.grid import WGS84, transformer
from rail_watch.prepare.zones import local_frame, reproject
from rail_watch.report.caption import place_short_names
from rail_watch.report.names import clean

MARGIN_M = 30.0
"""Shown round the site, as much as is read for co-registration."""
POWERS = tuple((i, j) for i in range(4) for j in range(4 - i))
"""Of east and north in the polynomials that lead back to longitude and latitude."""


@dataclass(frozen=True)
class Ground:
    """A site in plane coordinates: east and north in metres from the centre of its outline."""

    site: Site
    crs: str
    bounds: tuple[float, float, float, float]
    """West, south, east, north, with the margin."""

    def flat(self, shape: BaseGeometry) -> BaseGeometry:
        """Return a lon/lat shape in metres."""
        return reproject(shape, WGS84, self.crs)


def ground_of(site: Site) -> Ground:
    """Lay a site flat."""
    crs = local_frame(site)
    west, south, east, north = reproject(site.polygon, WGS84, crs).bounds
    return Ground(site, crs, (west - MARGIN_M, south - MARGIN_M, east + MARGIN_M, north + MARGIN_M))


def metres(ground: Ground, shape: BaseGeometry) -> list[Any]:
    """Return the coordinates of a lon/lat line or polygon in metres, to the centimetre, as GeoJSON nests them."""
    flat = shapely.transform(ground.flat(shape), lambda points: np.round(points, 2))
    return list(mapping(flat)["coordinates"])


def shapes(ground: Ground) -> list[dict[str, Any]]:
    """Return everything that is drawn in a site, judged or not."""
    site, names = ground.site, place_short_names(ground.site)
    found = [{"role": "site", "id": "site", "name": clean(site.name), "metres": metres(ground, site.polygon)}]
    found += [_shape(ground, "track", one.id, one.name, one.line) for one in site.tracks]
    found += [_shape(ground, "bridge", one.id, one.name, one.line) for one in site.bridges]
    areas = {"apron": site.aprons, "shed": site.sheds, "stable": site.stables, "exclude": site.excludes}
    for role, group in areas.items():
        found += [_shape(ground, role, one.id, one.name, one.polygon) for one in group]
    return [{**one, "short": names.get(str(one["id"]), one["name"])} for one in found]


def _shape(ground: Ground, role: str, id_: str, name: str, shape: BaseGeometry) -> dict[str, Any]:
    return {"role": role, "id": id_, "name": clean(name), "metres": metres(ground, shape)}


@lru_cache(maxsize=64)
def lonlat_polynomial(ground: Ground) -> dict[str, Any]:
    """Return polynomials of third degree from metres to longitude and latitude, within a millimetre over a site.

    `lon = sum(c[k] * (x / scale)**i * (y / scale)**j)` over the pairs (i, j) of `powers`; `lat` likewise.
    """
    west, south, east, north = ground.bounds
    scale = max(abs(edge) for edge in ground.bounds)
    x, y = (part.ravel() for part in np.meshgrid(np.linspace(west, east, 9), np.linspace(south, north, 9)))
    lon, lat = transformer(ground.crs, WGS84).transform(x, y)
    terms = np.stack([(x / scale) ** i * (y / scale) ** j for i, j in POWERS], axis=-1)

    def fitted(values: NDArray[np.float64]) -> list[float]:
        return [float(number) for number in np.linalg.lstsq(terms, values, rcond=None)[0]]

    return {"scale": scale, "powers": [list(pair) for pair in POWERS], "lon": fitted(lon), "lat": fitted(lat)}
