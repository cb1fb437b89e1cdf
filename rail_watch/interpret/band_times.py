"""When each band of a product looks at the ground: the delays that make a moving train appear in several places.

Only what is published is used. For everything else the answer is None, and no speed is given.

Sentinel-2 MSI: after blue (B02) come near infrared (B08) 0.264 s, green (B03) 0.527 s and red (B04) 1.005 s later
(Sentinel-2 User Handbook, ESA 2015; taken over by Binet, Bergsma and Poulain, ISPRS Annals V-1-2022, 57-64, who find
the true delays within 2 % of these for S2A and S2B; doi:10.5194/isprs-annals-V-1-2022-57-2022). The order is turned
round in every other of the twelve detectors: the odd ones look forward and the even ones backward (O. Hagolle, CESBIO
Multitemp, "Feedback on Sentinel-2A first image", 2015), and the parallax between the two rows grows from blue (0.022)
to red (0.034), so blue lies nearest to nadir in both. A forward-looking detector thus sees a place in red first and in
blue last, a backward-looking one in blue first. Which detector saw a place stands in the product's detector footprint
(`MSK_DETFOO`), which most catalogues do not pass on: then the delays are known up to a common sign.

PlanetScope SuperDove frames are mosaics of exposures without times of their own (Keto and Watters 2024,
arXiv:2406.07566). Landsat's 30 m are too coarse to look for a train's motion at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rail_watch.imagery.bands import family
from rail_watch.imagery.scene import SceneRef

SENTINEL_2_S = {"blue": 0.0, "nir": 0.264, "green": 0.527, "red": 1.005}
"""Seconds after blue in an even detector; odd detectors see them in reverse."""
SENTINEL_2_ERROR = 0.02
"""Largest relative deviation of a delay from the handbook's (Binet et al. 2022)."""
SENTINEL_2_REGISTRATION_PX = 0.1
"""Standard error of a pair of bands: the requirement is 0.3 pixels at 99.7 % (three of these)."""
DETECTOR_PROPERTY = "rail_watch:detector"
"""STAC property with the number (1 to 12) of the detector that saw the site, for who knows it."""
LEAST_DELAY_S = 0.2
"""Bands seen nearer together than this tell nothing of a train's speed."""


@dataclass(frozen=True)
class BandTimes:
    """When the bands of one scene were taken."""

    delay_s: NDArray[np.float64]
    """(B,) after the first of them, NaN for a band whose time is not known."""
    sign_known: bool
    """False: the delays may as well be negative, all of them."""
    relative_error: float
    """Largest deviation, as a share of each delay."""
    registration_px: float
    """Standard error of the displacement between two bands of ground that does not move."""

    @property
    def known(self) -> NDArray[np.bool_]:
        """(B,) bands that have a time."""
        return np.isfinite(self.delay_s)


def band_times(ref: SceneRef, bands: Sequence[str]) -> BandTimes | None:
    """Return when each band of a scene was taken, None where that is not documented.

    Parameters
    ----------
    ref : platform and constellation say what took it; its property `rail_watch:detector` which detector.
    bands : common names, in the order wanted.
    """
    if family(ref.platform, ref.constellation) != "sentinel-2":
        return None
    return sentinel_2_times(bands, detector=_detector(ref))


def sentinel_2_times(bands: Sequence[str], *, detector: int | None = None) -> BandTimes | None:
    """Return the times of Sentinel-2 bands in one detector (1 to 12), None where fewer than two have one."""
    delays = np.array([SENTINEL_2_S.get(band, np.nan) for band in bands], dtype=np.float64)
    known = delays[np.isfinite(delays)]
    if len(known) < 2 or np.ptp(known) < LEAST_DELAY_S:
        return None
    turned = -delays if detector is not None and detector % 2 else delays
    return BandTimes(turned, detector is not None, SENTINEL_2_ERROR, SENTINEL_2_REGISTRATION_PX)


def _detector(ref: SceneRef) -> int | None:
    value = ref.properties.get(DETECTOR_PROPERTY)
    return value if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 12 else None


__all__ = ["BandTimes", "band_times", "sentinel_2_times"]
