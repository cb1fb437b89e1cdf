"""An area of interest as the rest of the house sees it: plain frozen data in WGS 84 lon/lat."""

from __future__ import annotations

from dataclasses import dataclass

from shapely import LineString, Polygon


@dataclass(frozen=True)
class Track:
    """One track; trains stand on it."""

    id: str
    name: str
    line: LineString
    """Centre line, lon/lat; distances along it run from its first vertex."""
    gauge_mm: int | None = None


@dataclass(frozen=True)
class Bridge:
    """One bridge deck with a track on it."""

    id: str
    name: str
    line: LineString
    """Centre line of the deck, lon/lat."""
    deck_width_m: float | None = None


@dataclass(frozen=True)
class Area:
    """A piece of ground with a role: apron, shed, stable or exclude."""

    id: str
    name: str
    polygon: Polygon
    """Lon/lat."""


@dataclass(frozen=True)
class Site:
    """An area of interest: what is loaded, and what is judged in it."""

    id: str
    name: str
    polygon: Polygon
    """What is loaded and watched, lon/lat."""
    tracks: tuple[Track, ...] = ()
    bridges: tuple[Bridge, ...] = ()
    aprons: tuple[Area, ...] = ()
    sheds: tuple[Area, ...] = ()
    stables: tuple[Area, ...] = ()
    excludes: tuple[Area, ...] = ()
    accuracy_m: float | None = None
    """How far the lines may lie from the truth; None when the file does not say."""
    source: str | None = None
    """Where the geometry comes from, in words."""
    timezone: str | None = None
    """IANA name of the site's own clock, for captions; None: UTC only."""
    linked: tuple[str, ...] = ()
    """Ids of sites between which trains shuttle; the same train is looked for there too."""
    digest: str = ""
    """SHA-256 of the AOI file's bytes."""
