"""The word SIMULATED laid across pixels: to be seen at once, to be seen through, and never over an object."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from rail_watch.report.page import Ink, Page, fit_size

WORD = "SIMULATED"
LETTER_SIZE = 60.0
"""Points at which the word is drawn once; pictures take it scaled."""
FILL, EDGE = 0.19, 0.26
"""Opacity of the white letters and of their dark rim: light on dark ground, dark on snow."""
RIM_PX = 5
FLATTEN = 0.6
"""Share of the picture's diagonal slant the word takes."""


@lru_cache(maxsize=1)
def _word() -> Image.Image:
    """Return the word's coverage, 0 to 255, with a margin for the rim."""
    ink = Ink(LETTER_SIZE, "#000000", bold=True, ha="center", va="center")
    width, height = fit_size(WORD, ink)
    page = Page(int(width + 40), int(height + 40))
    page.text((page.width / 2, page.height / 2), WORD, ink)
    return Image.fromarray(255 - page.pixels()[..., 0])


@lru_cache(maxsize=2)
def _laid(rows: int, cols: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(row, column) opacity of the word across a picture, and its grey, 0 to 255."""
    slant = math.atan2(rows, cols) * FLATTEN
    word = _word()
    wide = word.width * math.cos(slant) + word.height * math.sin(slant)
    high = word.width * math.sin(slant) + word.height * math.cos(slant)
    scale = 0.94 * min(cols / wide, rows / high)
    small = word.resize((max(int(word.width * scale), 1), max(int(word.height * scale), 1)), Image.Resampling.BILINEAR)
    turned = small.rotate(math.degrees(slant), Image.Resampling.BILINEAR, expand=True)
    sheet = Image.new("L", (cols, rows))
    sheet.paste(turned, ((cols - turned.width) // 2, (rows - turned.height) // 2))
    letters = np.asarray(sheet, dtype=np.float32) / 255
    rim = np.clip(ndimage.maximum_filter(np.asarray(sheet), RIM_PX).astype(np.float32) / 255 - letters, 0, 1)
    grey = np.where(letters > 0.5 * rim, 255, 0)
    return (FILL * letters + EDGE * rim).astype(np.float32), grey.astype(np.float32)


def marked(rgb: NDArray[np.uint8], spare: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return (row, column, 3) pixels with the word across them, `spare` (row, column) left as it was."""
    opacity, grey = _laid(*spare.shape)
    row, col = np.nonzero((opacity > 0.004) & ~spare)
    share = opacity[row, col, None]
    result = rgb.copy()
    result[row, col] = rgb[row, col] * (1 - share) + grey[row, col, None] * share + 0.5
    return result
