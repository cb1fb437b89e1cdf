"""Where the sun throws a train's shadow, in the frame of its track."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from rail_watch.imagery.scene import SceneRef
from rail_watch.sun import sun_position

TALL_M = 3.6
"""What most cars reach: ground in the shadow of a train this tall is not taken for bare."""
HALF_WIDTH_M = 1.55
"""Half the width of a railcar (2.8 to 3.3 m)."""
LONGEST_SHADOW_M = 18.0
"""Shadows are followed this far across; beyond it other things stand in the way."""


class SunState(Enum):
    """What the picture says of the sun that was stated."""

    UNDISPUTED = "undisputed"
    """Borne out, or nothing to see it by."""
    SHADOWLESS = "shadowless"
    """Trains throw none of the shadows they should."""
    ELSEWHERE = "elsewhere"
    """Shadows fall to another side."""


@dataclass(frozen=True)
class Sun:
    """The sun over one strip at one scene."""

    side: int
    """On which side of the track the shadow falls: 1 left of the direction of travel, -1 right, 0 none to be seen."""
    across: float
    """Metres of shadow across the track per metre of height."""
    shear: float
    """Metres the shadow moves along the track per metre across."""


def sun_over(ref: SceneRef, lonlat: tuple[float, float]) -> tuple[float, float]:
    """Azimuth and elevation in degrees: the catalogue's where it gives both, else computed."""
    if ref.sun_azimuth_deg is not None and ref.sun_elevation_deg is not None:
        return ref.sun_azimuth_deg, ref.sun_elevation_deg
    place = sun_position(ref.when, *lonlat)
    return place.azimuth_deg, place.elevation_deg


def sun_on_track(azimuth_deg: float, elevation_deg: float, heading_deg: float) -> Sun:
    """Return the direction of shadows seen from a track with this heading."""
    if elevation_deg <= 3:
        return Sun(0, 0.0, 0.0)
    reach = 1 / math.tan(math.radians(elevation_deg))
    # The shadow points away from the sun: azimuth + 180. Along and left of the direction of travel:
    angle = math.radians(azimuth_deg + 180 - heading_deg)
    along, left = reach * math.cos(angle), -reach * math.sin(angle)
    if abs(left) < 0.1:
        return Sun(0, 0.0, 0.0)
    return Sun(1 if left > 0 else -1, abs(left), float(np.clip(along / abs(left), -6, 6)))


def mean_heading(headings_deg: NDArray[np.float64]) -> float:
    """Circular mean of headings in degrees."""
    angles = np.radians(headings_deg)
    return math.degrees(math.atan2(float(np.sin(angles).mean()), float(np.cos(angles).mean()))) % 360


def coverage(across_m: NDArray[np.float64], low_m: float, high_m: float, *, blur_m: float) -> NDArray[np.float32]:
    """Share of each sample covered by a band from `low_m` to `high_m`, seen through a Gaussian PSF of this sigma."""
    from scipy.special import ndtr

    return np.asarray(ndtr((across_m - low_m) / blur_m) - ndtr((across_m - high_m) / blur_m), dtype=np.float32)
