"""Solar position after the Astronomical Almanac's low-precision formulas (J. J. Michalsky, Solar Energy 40, 1988)."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np


def solar_position(when: datetime, lon: float, lat: float) -> tuple[float, float]:
    """Azimuth (clockwise from true north) and elevation of the sun, degrees; good to 0.01 degree, no refraction."""
    days = (when - datetime(2000, 1, 1, 12, tzinfo=UTC)).total_seconds() / 86400
    mean_longitude = (280.460 + 0.9856474 * days) % 360
    anomaly = np.radians((357.528 + 0.9856003 * days) % 360)
    ecliptic = np.radians(mean_longitude + 1.915 * np.sin(anomaly) + 0.020 * np.sin(2 * anomaly))
    obliquity = np.radians(23.439 - 4e-7 * days)
    right_ascension = np.arctan2(np.cos(obliquity) * np.sin(ecliptic), np.cos(ecliptic))
    declination = np.arcsin(np.sin(obliquity) * np.sin(ecliptic))
    sidereal_deg = (280.46061837 + 360.98564736629 * days + lon) % 360
    hour = np.radians(sidereal_deg) - right_ascension
    phi = np.radians(lat)
    up = np.sin(phi) * np.sin(declination) + np.cos(phi) * np.cos(declination) * np.cos(hour)
    east = -np.cos(declination) * np.sin(hour)
    north = np.cos(phi) * np.sin(declination) - np.sin(phi) * np.cos(declination) * np.cos(hour)
    return float(np.degrees(np.arctan2(east, north)) % 360), float(np.degrees(np.arcsin(up)))
