"""What every map picture carries: scale bar, north arrow, sun, locator, and the band SIMULATED."""

from __future__ import annotations

import math

import numpy as np
import shapely
from numpy.typing import NDArray

from rail_watch.aoi.site import Site
from rail_watch.grid import WGS84
from rail_watch.observe.records import SceneRecord
from rail_watch.prepare.zones import local_frame, reproject
from rail_watch.report.language import say
from rail_watch.report.page import Box, Ink, Page, Pen
from rail_watch.report.stretch import Frame, ways
from rail_watch.sun import SunPosition, sun_position

BADGE_HEIGHT = 84
SHORT_BAR = 80.0
"""Pixels; a shorter scale bar has no room for its zero."""
BADGE_GROUND = Pen(width=0, fill="#101418", alpha=0.72, zorder=8)
LIGHT = "#ffffff"
SUN_COLOUR = "#ffd23f"
BAND = "#111111"
BAND_TEXT = "#ffcf33"
FRAME_RED = "#d1242f"


def round_length(limit: float) -> float:
    """Largest of 1, 2, 5 times a power of ten that is not above the limit."""
    power = 10.0 ** math.floor(math.log10(limit))
    return next(step * power for step in (5.0, 2.0, 1.0) if step * power <= limit * (1 + 1e-9))


def metres(length: float) -> str:
    """Write a length as a map would: `50 m`, `1 km`."""
    return f"{length / 1000:g} km" if length >= 1000 else f"{length:g} m"


def sun_of(record: SceneRecord, site: Site) -> SunPosition | None:
    """The catalogue's sun, or the computed one; None where the picture contradicts it."""
    if record.sun_doubted:
        return None
    if record.sun_azimuth_deg is not None and record.sun_elevation_deg is not None:
        return SunPosition(record.sun_azimuth_deg, record.sun_elevation_deg)
    centre = site.polygon.centroid
    return sun_position(record.when, centre.x, centre.y)


def badge_width(frame: Frame) -> float:
    """Pixels the badge of north arrow, sun and scale bar takes."""
    return 2.12 * BADGE_HEIGHT + 40 + _bar_px(frame)


def _bar_px(frame: Frame) -> float:
    return round_length(0.2 * frame.shape[1] * frame.metres_per_px) / frame.metres_per_px


def badge(page: Page, box: Box, frame: Frame, sun: SunPosition | None, *, dial: bool = True) -> None:
    """Draw north arrow, sun dial (where there is one sun to show) and scale bar on a dark plate."""
    left, top, _, bottom = box
    page.rounded(box, BADGE_GROUND, 10)
    middle = (top + bottom) / 2
    _north_arrow(page, (left + BADGE_HEIGHT / 2, middle), frame)
    if dial:
        _sun_dial(page, (left + 1.62 * BADGE_HEIGHT, middle), frame, sun)
    _scale_bar(page, (left + 2.12 * BADGE_HEIGHT + 8, middle), frame)


def _north_arrow(page: Page, centre: tuple[float, float], frame: Frame) -> None:
    ahead = np.array(frame.north)
    aside = np.array([-ahead[1], ahead[0]])
    middle = np.array(centre) - 8 * ahead
    tip, tail, notch = middle + 24 * ahead, middle - 22 * ahead, middle - 11 * ahead
    page.polygon(np.array([tip, tail - 13 * aside, notch]), Pen(LIGHT, 0.6, fill=LIGHT, zorder=9))
    page.polygon(np.array([tip, tail + 13 * aside, notch]), Pen(LIGHT, 0.6, zorder=9))
    letter = middle + 36 * ahead
    page.text((letter[0], letter[1]), say("figure.north"), Ink(7, LIGHT, bold=True, ha="center", va="center"))


def _sun_dial(page: Page, centre: tuple[float, float], frame: Frame, sun: SunPosition | None) -> None:
    """A rim with the sun on the side from which the light comes, and the way the shadows fall."""
    radius = 22.0
    page.circle(centre, radius, Pen("#8b949e", 0.7, zorder=9))
    if sun is None or sun.elevation_deg <= 0:
        page.text(centre, say("figure.no_sun"), Ink(5, LIGHT, ha="center", va="center"))
        return
    middle, to_sun = np.array(centre), np.array(frame.bearing(sun.azimuth_deg))
    disc = middle + radius * to_sun
    for turn in range(8):
        ray = np.array([math.cos(turn * math.pi / 4), math.sin(turn * math.pi / 4)])
        page.line(np.array([disc + 9 * ray, disc + 13.5 * ray]), Pen(SUN_COLOUR, 0.9, zorder=9))
    page.circle((disc[0], disc[1]), 7, Pen(width=0, fill=SUN_COLOUR, zorder=9))
    end = middle - 15 * to_sun
    page.line(np.array([disc - 11 * to_sun, end]), Pen(SUN_COLOUR, 0.9, zorder=9))
    aside = np.array([-to_sun[1], to_sun[0]])
    head = np.array([end - 7 * to_sun, end + 5 * aside, end - 5 * aside])
    page.polygon(head, Pen(width=0, fill=SUN_COLOUR, zorder=9))


def _scale_bar(page: Page, start: tuple[float, float], frame: Frame) -> None:
    x, y = start
    length_px = _bar_px(frame)
    half = length_px / 2
    for piece, fill in ((0, LIGHT), (1, "#101418")):
        box = (x + piece * half, y + 8, x + (piece + 1) * half, y + 18)
        page.rectangle(box, Pen(LIGHT, 0.7, fill=fill, zorder=9))
    length = length_px * frame.metres_per_px
    if length_px > SHORT_BAR:
        page.text((x, y - 1), "0", Ink(6.5, LIGHT, ha="center"))
    left = length_px <= SHORT_BAR
    at = (x if left else x + length_px, y - 1)
    page.text(at, metres(round(length, 6)), Ink(6.5, LIGHT, ha="left" if left else "right"))


def locator(page: Page, box: Box, site: Site, frame: Frame) -> None:
    """Draw the site's outline and lines, north up, with the stretch's frame."""
    left, top, right, bottom = box
    page.rectangle(box, Pen("#9aa4ae", 0.7, fill="#f4f6f8", zorder=2))
    outline = reproject(site.polygon, WGS84, local_frame(site))
    here = reproject(shapely.Polygon(frame.corners()), WGS84, local_frame(site))
    low_x, low_y, high_x, high_y = shapely.union(outline, here).bounds
    scale = min((right - left - 24) / (high_x - low_x), (bottom - top - 52) / (high_y - low_y))
    middle = np.array([(low_x + high_x) / 2, (low_y + high_y) / 2])
    centre = np.array([(left + right) / 2, (top + bottom - 24) / 2])

    def on_page(coordinates: NDArray[np.float64]) -> NDArray[np.float64]:
        placed: NDArray[np.float64] = centre + (coordinates - middle) * [scale, -scale]
        return placed

    page.polygon(on_page(shapely.get_coordinates(outline)), Pen("#57606a", 0.8, fill="#e3e8ed", zorder=3))
    for area in (*site.aprons, *site.sheds):
        shape = shapely.get_coordinates(reproject(area.polygon, WGS84, local_frame(site)))
        page.polygon(on_page(shape), Pen(width=0, fill="#c4ccd4", zorder=4))
    for part in ways(site):
        shape = shapely.get_coordinates(reproject(part.line, WGS84, local_frame(site)))
        page.line(on_page(shape), Pen("#6e7781", 0.5, zorder=5))
    page.polygon(on_page(shapely.get_coordinates(here)), Pen(FRAME_RED, 1.3, zorder=6))
    _locator_scale(page, box, scale)


def _locator_scale(page: Page, box: Box, scale: float) -> None:
    left, _, right, bottom = box
    length = round_length(0.4 * (right - left) / scale)
    y = bottom - 12
    page.line(np.array([[left + 12, y], [left + 12 + length * scale, y]]), Pen("#24292f", 1.2))
    page.text((left + 20 + length * scale, y + 5), metres(length), Ink(6, "#24292f"))
    page.polygon(
        np.array([[right - 18, y - 22], [right - 25, y + 2], [right - 11, y + 2]]), Pen(width=0, fill="#24292f")
    )
    page.text((right - 36, y + 2), say("figure.north"), Ink(6, "#24292f", bold=True, ha="center"))


def simulated_band(page: Page, height: int) -> None:
    """A black band across the top that cannot be overlooked or cropped off without leaving a gap."""
    page.rectangle((0, 0, page.width, height), Pen(width=0, fill=BAND, zorder=3))
    words = say("figure.band")
    ink = Ink(10, BAND_TEXT, bold=True, ha="center", va="center")
    free = page.measure(words, ink)[0] / 2 + 50
    for x in range(-height, page.width, 64):
        if abs(x + 12 + height / 2 - page.width / 2) > free + height / 2:
            stripe = np.array([[x, height], [x + 24, height], [x + 24 + height, 0], [x + height, 0]], dtype=float)
            page.polygon(stripe, Pen(width=0, fill=BAND_TEXT, zorder=4))
    page.text((page.width / 2, height / 2 + 1), words, ink)
