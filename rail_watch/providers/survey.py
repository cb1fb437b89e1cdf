"""What there is over a site, and when satellites come next."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import shapely

from rail_watch.aoi.site import Site
from rail_watch.imagery.bands import family
from rail_watch.imagery.clear import clear_share
from rail_watch.imagery.mosaic import coverage
from rail_watch.imagery.radiometry import number
from rail_watch.imagery.scene import SceneRef

AT_ONCE = 8
CYCLES = {"sentinel-1": 12, "sentinel-2": 10, "landsat-8": 16, "landsat-7": 16}
"""Days after which one satellite flies the same track again (ESA, Sentinel user guides; USGS, Landsat 8 handbook)."""


@dataclass(frozen=True)
class Look:
    """One scene as a table shows it."""

    ref: SceneRef
    coverage: float | None
    """Share of the site inside the scene's footprint; None where the catalogue gives none."""
    clear: float | None
    """Share of the site that its quality layer calls clear; None where it has none or was not asked."""
    cloud_percent: float | None
    """Of the whole scene, as the catalogue says."""
    trouble: str | None = None
    """Why the quality layer could not be read."""


@dataclass(frozen=True)
class Overpass:
    """A satellite over the site in time to come."""

    when: datetime
    platform: str
    track: str
    """Relative orbit or WRS path."""


def looks(scenes: Sequence[SceneRef], site: Site, *, read: bool) -> list[Look]:
    """Return the scenes with how much of the site they cover and show clearly.

    Parameters
    ----------
    read : read the quality layers' windows; without it `clear` is None.
    """

    def look(ref: SceneRef) -> Look:
        shapes = [one.footprint for one in (ref, *ref.tiles) if one.footprint is not None]
        covered = coverage(replace(ref, footprint=shapely.union_all(shapes)), site) if shapes else None
        found = clear_share(ref, site) if read else None
        trouble = found if isinstance(found, str) else None
        cloud = number(ref.properties.get("eo:cloud_cover"))
        return Look(ref, covered, None if isinstance(found, str) else found, cloud, trouble)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(look, scenes))


def _cycle(ref: SceneRef) -> int | None:
    named = family(ref.platform, ref.constellation, ref.id)
    text = " ".join(word for word in (ref.platform, ref.constellation) if word).lower()
    return CYCLES["sentinel-1"] if "sentinel-1" in text else CYCLES.get(named)


def _track(ref: SceneRef) -> str | None:
    for key, word in (("sat:relative_orbit", "orbit"), ("landsat:wrs_path", "path")):
        if ref.properties.get(key) is not None:
            return f"{word} {ref.properties[key]}"
    # Earth Search gives no orbit of Sentinel-2 but in the product's own name.
    names = (str(ref.properties.get("s2:product_uri", "")), ref.id)
    found = next((match for name in names if (match := re.match(r"S2[A-D]_MSIL.*_R(\d{3})_", name))), None)
    return f"orbit {int(found[1])}" if found else None


def coming(scenes: Iterable[SceneRef], *, now: datetime, days: int = 16) -> list[Overpass]:
    """Return the overpasses of the days to come, by the repeat cycle of each satellite and track seen before.

    Good to some minutes. It knows nothing of clouds, of plans (not every overpass is an acquisition) or of satellites
    that have been moved or switched off since.
    """
    last: dict[tuple[str, str], SceneRef] = {}
    for ref in sorted(scenes, key=lambda one: one.when):
        track = _track(ref)
        if ref.platform and track and _cycle(ref):
            last[ref.platform, track] = ref
    found = []
    for (platform, track), ref in last.items():
        cycle = timedelta(days=_cycle(ref) or 1)
        when = ref.when + cycle * max(0, -((ref.when - now) // cycle))
        while when <= now + timedelta(days=days):
            if when > now:
                found.append(Overpass(when, platform, track))
            when += cycle
    return sorted(found, key=lambda one: (one.when, one.platform))
