"""What a catalogue says of a scene, and what reading it gave: plain data, no input or output here."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from shapely import Polygon
from shapely.geometry.base import BaseGeometry

from rail_watch.aoi.site import Site
from rail_watch.grid import Grid
from rail_watch.imagery.radiometry import Rule

QualityKind = Literal["scl", "udm2", "qa-pixel", "bqa", "data-mask", "cloud", "cloud-probability"]


class Quality(IntEnum):
    """Why a pixel can or cannot be judged. The states never merge before the last table."""

    CLEAR = 0
    OUTSIDE = 1
    """Outside the scene's footprint."""
    NODATA = 2
    """Inside the footprint, but the sensor gave no value (or a value that is not finite)."""
    CLOUD = 3
    CLOUD_SHADOW = 4
    SNOW = 5
    """Flagged as snow or ice by the product. Judged, but remembered."""
    READ_FAILED = 6
    SATURATED = 7


@dataclass(frozen=True)
class Band:
    """One spectral band inside an asset."""

    name: str
    """Common name: blue green red nir rededge swir16 swir22 pan vv vh …"""
    index: int
    """Band number in the file, from 1."""
    scale: float = 1.0
    offset: float = 0.0
    nodata: float | None = None
    assumed: bool = False
    """True: the catalogue gives no scale, so the product's documented one stands in, for whole numbers only."""
    rule: Rule = "file"
    """Where scale and offset come from; see `radiometry.RULES`."""


@dataclass(frozen=True)
class Asset:
    """One file of a scene."""

    key: str
    href: str
    """Absolute path of a local file, or an https address."""
    bands: tuple[Band, ...] = ()
    """Empty for a quality asset."""
    quality: QualityKind | None = None
    """What kind of quality layer it is; None for imagery."""
    checksum: str | None = None
    """`file:checksum` of the catalogue, multihash hex, where given."""


class Access(Protocol):
    """What can bring parts of files on the network to this machine. Implemented above this layer."""

    def brought(self, ref: SceneRef, site: Site, *, margin_m: float) -> AbstractContextManager[SceneRef | Unread]:
        """Give the scene with local files that hold at least the window of the site, for as long as the block lasts.

        Unread where that cannot be: failed, or the image does not show the site.
        """
        ...


@dataclass(frozen=True)
class SceneRef:
    """One acquisition as the catalogue describes it: no pixels."""

    id: str
    when: datetime
    """Acquisition time, aware, UTC."""
    platform: str | None
    gsd_m: float | None
    assets: tuple[Asset, ...]
    footprint: BaseGeometry | None = None
    """Lon/lat; None when the catalogue gives none."""
    constellation: str | None = None
    sun_azimuth_deg: float | None = None
    sun_elevation_deg: float | None = None
    off_nadir_deg: float | None = None
    view_azimuth_deg: float | None = None
    """Azimuth from the target to the sensor, clockwise from north (`view:azimuth`)."""
    simulated: bool = False
    credit: str | None = None
    """Line to print under a picture."""
    licence: str | None = None
    properties: Mapping[str, object] = field(default_factory=dict)
    """The item's own properties, as read, and the name of its `collection`."""
    tiles: tuple[SceneRef, ...] = ()
    """Other tiles of the same overpass, to fill what this one does not show; see `mosaic`."""
    access: Access | None = field(default=None, compare=False, repr=False)
    """What brings the windows of assets on the network to this machine; None: local files only."""


@dataclass(frozen=True)
class Scene:
    """Pixels of one scene over one site, on the scene's own grid."""

    ref: SceneRef
    grid: Grid
    bands: tuple[str, ...]
    """Common names, in the order of the first axis of `pixels`."""
    pixels: NDArray[np.float32]
    """(band, row, column) after scale and offset; NaN where quality is OUTSIDE, NODATA or READ_FAILED."""
    quality: NDArray[np.uint8]
    """(row, column) of `Quality`."""
    digests: Mapping[str, str] = field(default_factory=dict)
    """Asset key to SHA-256 of the decoded window, so that a finding can be replayed and checked."""
    notes: tuple[str, ...] = ()
    """What was noticed while reading, in words (an offset corrected, a checksum not given …)."""


@dataclass(frozen=True)
class Unread:
    """A scene that could not be read, and why."""

    ref: SceneRef
    reason: str
    failed: bool = True
    """True: an error (exit status 3). False: nothing over the site, which is no fault."""


__all__ = ["Access", "Asset", "Band", "Polygon", "Quality", "QualityKind", "Scene", "SceneRef", "Unread"]
