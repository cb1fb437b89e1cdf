"""A figure as the page shows it: smaller, compressed, with where its two pictures stand."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rail_watch.report.caption import Caption
from rail_watch.report.page import Box

WIDEST = 1400
"""Pixels; a page is read on screens, the PNG beside it is there for print."""
QUALITY, EFFORT = 75, 0
"""WebP's; more effort saves a sixth of the bytes and takes half as long again."""


@dataclass(frozen=True)
class Shown:
    """One figure, fit for the page."""

    name: str
    """File name without ending."""
    caption: Caption
    scene: str
    """Scene it is of; empty for the overview."""
    webp: bytes
    size: tuple[int, int]
    """Width and height in pixels."""
    panels: tuple[Box, ...]
    """The earlier and the later picture in it as left, top, right, bottom, in shares of width and height; or none."""
    dates: tuple[str, ...] = ()
    """When they were taken, for people."""


def shown(
    name: str, pixels: NDArray[np.uint8], caption: Caption, *, scene: str = "", panels: Sequence[Box] = ()
) -> Shown:
    """Return (row, column, 3) pixels no wider than `WIDEST`, as WebP without metadata: same input, same bytes."""
    rows, cols, _ = pixels.shape
    width = min(cols, WIDEST)
    height = max(round(rows * width / cols), 1)
    small = Image.fromarray(pixels).resize((width, height), Image.Resampling.HAMMING)
    stream = io.BytesIO()
    small.save(stream, "WEBP", quality=QUALITY, method=EFFORT)
    places = tuple((left / cols, top / rows, right / cols, bottom / rows) for left, top, right, bottom in panels)
    return Shown(name, caption, scene, stream.getvalue(), (width, height), places)
