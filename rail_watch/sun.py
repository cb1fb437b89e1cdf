"""Where the sun stands: NOAA's solar position formulas, good to about 0.02 degrees.

Reference: J. Meeus, Astronomical Algorithms, 2nd ed. (1998), chapters 25 and 28, in the
low-precision form published by NOAA's Global Monitoring Laboratory.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True)
class SunPosition:
    """Direction to the sun."""

    azimuth_deg: float
    """Clockwise from true north, 0 to 360."""
    elevation_deg: float
    """Above the horizon, with no correction for refraction; negative at night."""


def sun_position(when: datetime, lon: float, lat: float) -> SunPosition:
    """Return the sun's direction at an aware datetime and a WGS 84 point (degrees east, north)."""
    moment = when.astimezone(UTC)
    j2000 = datetime(2000, 1, 1, 12, tzinfo=UTC)
    century = (moment - j2000).total_seconds() / 86400 / 36525
    mean_longitude = math.radians((280.46646 + century * (36000.76983 + 0.0003032 * century)) % 360)
    anomaly = math.radians(357.52911 + century * (35999.05029 - 0.0001537 * century))
    eccentricity = 0.016708634 - century * (0.000042037 + 0.0000001267 * century)
    equation_of_centre = (
        math.sin(anomaly) * (1.914602 - century * (0.004817 + 0.000014 * century))
        + math.sin(2 * anomaly) * (0.019993 - 0.000101 * century)
        + math.sin(3 * anomaly) * 0.000289
    )
    node = math.radians(125.04 - 1934.136 * century)
    longitude = mean_longitude + math.radians(equation_of_centre - 0.00569 - 0.00478 * math.sin(node))
    seconds = 21.448 - century * (46.8150 + century * (0.00059 - century * 0.001813))
    obliquity = math.radians(23 + (26 + seconds / 60) / 60 + 0.00256 * math.cos(node))
    declination = math.asin(math.sin(obliquity) * math.sin(longitude))

    y = math.tan(obliquity / 2) ** 2
    equation_of_time_min = 4 * math.degrees(
        y * math.sin(2 * mean_longitude)
        - 2 * eccentricity * math.sin(anomaly)
        + 4 * eccentricity * y * math.sin(anomaly) * math.cos(2 * mean_longitude)
        - 0.5 * y * y * math.sin(4 * mean_longitude)
        - 1.25 * eccentricity**2 * math.sin(2 * anomaly)
    )
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    minutes = (moment - midnight).total_seconds() / 60
    hour_angle = math.radians((minutes + equation_of_time_min + 4 * lon) / 4 - 180)
    phi = math.radians(lat)
    elevation = math.asin(
        math.sin(phi) * math.sin(declination) + math.cos(phi) * math.cos(declination) * math.cos(hour_angle)
    )
    azimuth = math.atan2(
        math.sin(hour_angle),
        math.cos(hour_angle) * math.sin(phi) - math.tan(declination) * math.cos(phi),
    )
    return SunPosition((math.degrees(azimuth) + 180) % 360, math.degrees(elevation))
