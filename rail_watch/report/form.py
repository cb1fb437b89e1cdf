"""Sizes of figures: how wide they are laid out, how large they are made, and what they hold beside the pictures."""

from __future__ import annotations

from dataclasses import dataclass

from rail_watch.report.png import DPI


@dataclass(frozen=True)
class Form:
    """Where a figure is to be seen."""

    width: int
    """Of the layout, in its own pixels: at `png.DPI` of them to the inch, letters have the points they are set in."""
    height: int | None
    """None: as high as pictures and caption need. Else the caption is cut to fit, and stands in full in its file."""
    scale: float
    """Pixels made for each pixel of the layout."""
    dpi: int
    """Said in the file: makes it as wide on paper as it is meant to be."""

    @property
    def narrow(self) -> bool:
        """Whether names beside the pictures and the map of the site are left out."""
        return self.height is not None


PLAIN = Form(2000, None, 1.0, DPI)
SIZES = {
    "print": Form(2000, None, 1.5, 300),
    "web": Form(2000, None, 0.8, 144),
    "social": Form(1500, 844, 16 / 15, 144),
}
"""3000 pixels wide at 300 dpi (254 mm); 1600 pixels wide; 1600 by 900 pixels."""
