"""What things are made of: reflectance in blue, green, red, near infrared, and how rough they look.

Values are typical of spectral libraries (USGS splib07, ECOSTRESS) for weathered outdoor surfaces, rounded.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BANDS = ("blue", "green", "red", "nir")
Spectrum = NDArray[np.float32]


@dataclass(frozen=True)
class Material:
    """A surface."""

    bgrn: tuple[float, float, float, float]
    """Reflectance in `BANDS`."""
    rough: float = 0.10
    """Relative contrast of its fine texture (metres and less)."""
    mottle: float = 0.10
    """Relative contrast of its coarse texture (tens of metres)."""
    snow: float = 1.0
    """How readily snow lies on it, 0 to 1."""

    @property
    def spectrum(self) -> Spectrum:
        """(4,) reflectance."""
        return np.asarray(self.bgrn, dtype=np.float32)


GROUND = {
    "dry-grass": Material((0.074, 0.100, 0.130, 0.215), 0.24, 0.18),
    "green-grass": Material((0.035, 0.068, 0.048, 0.330), 0.16, 0.16),
    "soil": Material((0.092, 0.120, 0.158, 0.205), 0.16, 0.14),
    "dirt": Material((0.130, 0.157, 0.187, 0.232), 0.09, 0.12),
    "ballast": Material((0.128, 0.138, 0.150, 0.172), 0.12, 0.10, 0.75),
    "old-ballast": Material((0.088, 0.096, 0.108, 0.132), 0.14, 0.14, 0.75),
    "track-bed": Material((0.074, 0.078, 0.088, 0.108), 0.12, 0.12, 0.55),
    "concrete": Material((0.168, 0.184, 0.196, 0.222), 0.07, 0.12),
    "asphalt": Material((0.092, 0.098, 0.106, 0.120), 0.06, 0.10, 0.7),
    "gravel": Material((0.170, 0.190, 0.210, 0.240), 0.12, 0.10),
    "field": Material((0.070, 0.090, 0.115, 0.165), 0.12, 0.12),
    "sand": Material((0.205, 0.240, 0.275, 0.320), 0.07, 0.12),
    "water": Material((0.058, 0.066, 0.054, 0.026), 0.04, 0.08, 0.0),
    "planks": Material((0.085, 0.092, 0.102, 0.140), 0.12, 0.10, 0.6),
    "steel": Material((0.130, 0.135, 0.135, 0.150), 0.05, 0.05, 0.2),
    "conifer": Material((0.026, 0.042, 0.036, 0.190), 0.35, 0.10, 0.4),
    "bare-tree": Material((0.058, 0.070, 0.082, 0.150), 0.30, 0.10, 0.3),
    "leafy-tree": Material((0.028, 0.052, 0.034, 0.360), 0.30, 0.10, 0.3),
}

ROOFS = {
    "tile": Material((0.076, 0.098, 0.150, 0.215), 0.07, 0.06, 0.9),
    "grey-sheet": Material((0.180, 0.190, 0.200, 0.225), 0.06, 0.08, 0.9),
    "blue-sheet": Material((0.255, 0.215, 0.140, 0.190), 0.04, 0.06, 0.9),
    "rusty-sheet": Material((0.090, 0.104, 0.148, 0.200), 0.10, 0.12, 0.9),
    "pale-sheet": Material((0.245, 0.255, 0.265, 0.285), 0.04, 0.08, 0.9),
    "tar": Material((0.070, 0.074, 0.080, 0.092), 0.06, 0.08, 0.9),
}

PAINT = {
    "grey": (0.160, 0.166, 0.172, 0.190),
    "light-grey": (0.275, 0.282, 0.288, 0.300),
    "dark-grey": (0.092, 0.095, 0.100, 0.112),
    "red": (0.066, 0.064, 0.165, 0.240),
    "reddish-brown": (0.062, 0.070, 0.122, 0.185),
    "brown": (0.070, 0.080, 0.102, 0.150),
    "rust": (0.060, 0.076, 0.118, 0.180),
    "light-blue": (0.270, 0.236, 0.165, 0.200),
    "blue": (0.165, 0.118, 0.072, 0.120),
    "green": (0.062, 0.095, 0.060, 0.130),
    "dark-green": (0.042, 0.060, 0.044, 0.110),
    "black": (0.044, 0.044, 0.046, 0.052),
    "yellow": (0.070, 0.190, 0.250, 0.300),
    "orange": (0.060, 0.110, 0.240, 0.310),
    "white": (0.420, 0.430, 0.435, 0.440),
    "ballast-grey": (0.124, 0.134, 0.146, 0.168),
    "tarpaulin-blue": (0.250, 0.175, 0.100, 0.190),
    "tarpaulin-green": (0.064, 0.096, 0.070, 0.150),
    "tarpaulin-grey": (0.190, 0.198, 0.204, 0.220),
    "crates": (0.120, 0.160, 0.205, 0.270),
    "timber": (0.130, 0.180, 0.240, 0.330),
    "coal": (0.040, 0.041, 0.043, 0.050),
    "ore": (0.055, 0.066, 0.100, 0.140),
    "stone": (0.190, 0.205, 0.220, 0.240),
}


def paint(name: str) -> Spectrum:
    """Return the reflectance of a paint or load by name.

    Raises
    ------
    KeyError
        There is no such paint.
    """
    return np.asarray(PAINT[name], dtype=np.float32)


def greenness(day_of_year: int, latitude: float) -> float:
    """Return how green grass and leaves are, 0 in the cold half of the year to 1 in summer (mid-latitudes)."""
    day = (day_of_year + (182 if latitude < 0 else 0)) % 365
    if abs(latitude) < 23:
        return 0.6
    return float(np.clip((np.cos((day - 200) / 365 * 2 * np.pi) + 0.15) / 0.8, 0, 1))


SNOW = np.asarray((0.72, 0.73, 0.73, 0.68), dtype=np.float32)
CLOUD = np.asarray((0.66, 0.66, 0.66, 0.64), dtype=np.float32)
