"""A sheet of paper: pixels from the upper-left corner, drawn on with a few plain tools.

Everything drawn goes through here, so that no text from outside is ever read as markup and
nothing depends on a user's matplotlib settings or installed fonts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
from matplotlib.artist import Artist
from matplotlib.backend_bases import GraphicsContextBase, RendererBase
from matplotlib.backends.backend_agg import RendererAgg, get_hinting_flag
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, get_font
from matplotlib.ft2font import FT2Font
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, FancyBboxPatch, Polygon, Rectangle
from matplotlib.patheffects import withStroke
from matplotlib.text import Text
from matplotlib.transforms import Affine2D, Bbox
from numpy.typing import NDArray
from PIL import Image

from rail_watch.report.names import font_path, more_fonts
from rail_watch.report.png import DPI

Box = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels."""
Point = tuple[float, float]
LINE_SPACING = 1.32
"""Baseline to baseline, in letter sizes."""


@dataclass(frozen=True)
class Ink:
    """How text is set."""

    size: float = 8.0
    """Points."""
    color: str = "#1a1a1a"
    bold: bool = False
    ha: str = "left"
    va: str = "baseline"
    rotation: float = 0.0
    """Degrees counter-clockwise."""
    alpha: float = 1.0
    halo: str | None = None
    """Colour of a faint outline round the letters; None for none."""
    zorder: float = 10.0

    @property
    def line_px(self) -> float:
        """Pixels from one baseline to the next."""
        return points(self.size) * LINE_SPACING


@dataclass(frozen=True)
class Pen:
    """How lines and shapes are drawn."""

    color: str = "#1a1a1a"
    width: float = 1.0
    """Points; 0 draws no edge."""
    fill: str | None = None
    alpha: float = 1.0
    dash: tuple[float, ...] | None = None
    """On, off, … in points."""
    casing: str | None = None
    """Colour of a wider line beneath, so that it shows on any ground."""
    hatch: str | None = None
    zorder: float = 5.0


def points(size: float) -> float:
    """Points to pixels."""
    return size * DPI / 72


@lru_cache(maxsize=64)
def _font(size: float, bold: bool) -> FontProperties:
    return FontProperties(fname=str(font_path(bold=bold)), size=size)


@contextmanager
def house_style() -> Iterator[None]:
    """Draw with matplotlib's own defaults whatever the user's settings are."""
    defaults = {key: value for key, value in mpl.rcParamsDefault.items() if not key.startswith("backend")}
    with mpl.rc_context(defaults | {"hatch.linewidth": 0.8, "path.simplify": False}):
        yield


class _Renderer(RendererAgg):
    """Draws level words whole and at whole pixels; matplotlib sets letter by letter, at ten times the cost."""

    def draw_text(  # noqa: PLR0913, PLR0917 - matplotlib's signature
        self,
        gc: GraphicsContextBase,
        x: float,
        y: float,
        s: str,
        prop: FontProperties,
        angle: float,
        ismath: bool | Literal["TeX"] = False,
        mtext: Text | None = None,
    ) -> None:
        if angle or ismath:
            super().draw_text(gc, x, y, s, prop, angle, ismath, mtext)  # type: ignore[no-untyped-call]
            return
        words = _words(s, _faces(prop), prop.get_size_in_points(), self.dpi)
        rgba = np.empty((*words.cover.shape, 4), dtype=np.uint8)
        rgba[..., :3] = np.round(255 * np.array(gc.get_rgb()[:3]))
        rgba[..., 3] = words.cover
        # Rows of images run upwards, from the lowest.
        lowest = self.height - round(y + words.down) - 1
        self.draw_image(gc, round(x + words.right), lowest, rgba[::-1])

    def get_text_width_height_descent(
        self, s: str, prop: FontProperties, ismath: bool | Literal["TeX"]
    ) -> tuple[float, float, float]:
        return _words(s, _faces(prop), prop.get_size_in_points(), self.dpi).size

    def _prepare_font(self, font_prop: FontProperties) -> FT2Font:
        font = get_font(_faces(font_prop))
        font.set_size(font_prop.get_size_in_points(), self.dpi)
        return font


@dataclass(frozen=True)
class _Words:
    """A line of text, set."""

    cover: NDArray[np.uint8]
    """(row, column) how far it covers each pixel."""
    right: float
    """Where that lies right of its origin, in pixels, and"""
    down: float
    """below it."""
    size: tuple[float, float, float]
    """Width, height and descent in pixels."""


def _faces(prop: FontProperties) -> tuple[str, ...]:
    """Files of the letters: our own, then those of the language written for what ours lack."""
    own = str(prop.get_file())
    return (own, *(str(path) for path in more_fonts(bold=own.endswith("-Bold.ttf"))))


def _set(text: str, files: tuple[str, ...], size: float, dpi: float) -> FT2Font:
    font = get_font(files)
    font.clear()
    font.set_size(size, dpi)
    font.set_text(text, 0.0, flags=get_hinting_flag())  # type: ignore[no-untyped-call]
    return font


@lru_cache(maxsize=4096)
def _words(text: str, files: tuple[str, ...], size: float, dpi: float) -> _Words:
    font = _set(text, files, size, dpi)
    font.draw_glyphs_to_bitmap(antialiased=True)
    right, down = (part / 64 for part in font.get_bitmap_offset())
    width, height = (part / 64 for part in font.get_width_height())
    descent = font.get_descent() / 64
    return _Words(np.array(font.get_image()), right, down + descent, (width, height, descent))


class _Pixels(Artist):
    """Pixels copied one to one: matplotlib's own images are resampled even where nothing changes."""

    def __init__(self, pixels: NDArray[np.uint8], corner: tuple[int, int]) -> None:
        super().__init__()
        self._corner = corner
        self._rgba = np.full((*pixels.shape[:2], 4), 255, dtype=np.uint8)
        self._rgba[..., :3] = pixels[::-1]
        self.set_zorder(1)

    def draw(self, renderer: RendererBase) -> None:
        context = renderer.new_gc()
        renderer.draw_image(context, *self._corner, self._rgba)
        context.restore()


class Page:
    """One picture in the making; made and drawn inside `house_style`."""

    def __init__(self, width: int, height: int, scale: float = 1.0) -> None:
        self.width, self.height, self.scale = width, height, scale
        self._dpi = DPI * scale
        self._size = round(width * scale), round(height * scale)
        figsize = (self._size[0] / self._dpi, self._size[1] / self._dpi)
        self._figure = Figure(figsize=figsize, dpi=self._dpi, facecolor="white")
        # Rows run downwards. No axes: they bring ticks, spines and a chain of transforms that nothing here needs.
        self._place = Affine2D().scale(scale, -scale).translate(0, self._size[1])

    def pixels(self) -> NDArray[np.uint8]:
        """Draw everything; (row, column, 3)."""
        renderer = _Renderer(*self._size, self._dpi)  # type: ignore[no-untyped-call]
        self._figure.draw(renderer)
        return np.asarray(renderer.buffer_rgba())[..., :3].copy()  # type: ignore[no-untyped-call]

    def measure(self, text: str, ink: Ink) -> tuple[float, float]:
        """Width and height of one line in the layout's pixels: small letters are a little wider than large ones."""
        files, dpi = _faces(_font(ink.size, ink.bold)), self._dpi
        return _measured(text, ink.size, files, dpi) / self.scale, points(ink.size) * 1.1

    def text(self, at: Point, text: str, ink: Ink) -> None:
        r"""Write one line, verbatim: `$`, `_` and `\` are letters like others."""
        drawn = Text(
            *at,
            text,
            fontproperties=_font(ink.size, ink.bold),
            color=ink.color,
            ha=ink.ha,
            va=ink.va,
            rotation=ink.rotation,
            alpha=ink.alpha,
            zorder=ink.zorder,
            parse_math=False,
        )
        if ink.halo:
            drawn.set_path_effects([withStroke(linewidth=1.2, foreground=ink.halo, alpha=ink.alpha)])
        self._add(drawn)

    def lines(self, at: Point, lines: Sequence[str], ink: Ink) -> float:
        """Write lines downwards from a first baseline; return the y after the last."""
        x, y = at
        for line in lines:
            self.text((x, y), line, ink)
            y += ink.line_px
        return y

    def image(self, pixels: NDArray[np.uint8], at: tuple[int, int]) -> None:
        """Lay (row, column, 3) pixels with the upper-left corner at a whole pixel, one to one."""
        left, top = (round(side * self.scale) for side in at)
        if self.scale != 1:
            size = tuple(max(round(side * self.scale), 1) for side in pixels.shape[1::-1])
            way = Image.Resampling.BICUBIC if self.scale > 1 else Image.Resampling.BOX
            pixels = np.asarray(Image.fromarray(np.ascontiguousarray(pixels)).resize((size[0], size[1]), way))
        self._add(_Pixels(pixels, (left, self._size[1] - top - pixels.shape[0])))

    def line(self, path: NDArray[np.float64], pen: Pen, *, clip: Box | None = None) -> None:
        """Draw (n, 2) points joined by straight lines."""
        for stroke in _strokes(pen):
            drawn = Line2D(
                path[:, 0],
                path[:, 1],
                color=stroke.color,
                lw=stroke.width,
                alpha=stroke.alpha,
                zorder=stroke.zorder,
                solid_capstyle="round",
                dash_capstyle="butt",
            )
            if stroke.dash:
                drawn.set_dashes(_dashes(stroke))
            self._add(drawn, clip)

    def polygon(self, path: NDArray[np.float64], pen: Pen, *, clip: Box | None = None) -> None:
        """Draw a closed shape through (n, 2) points."""
        for stroke in _strokes(pen):
            self._add(Polygon(path, closed=True, joinstyle="miter", **_patch_style(stroke)), clip)

    def rectangle(self, box: Box, pen: Pen, *, clip: Box | None = None) -> None:
        """Draw a box with square corners."""
        left, top, right, bottom = box
        self._add(Rectangle((left, top), right - left, bottom - top, **_patch_style(pen)), clip)

    def rounded(self, box: Box, pen: Pen, radius: float) -> None:
        """Draw a box with round corners."""
        left, top, right, bottom = box
        shape = f"round,pad=0,rounding_size={radius:.2f}"
        patch = FancyBboxPatch(
            (left, top),
            right - left,
            bottom - top,
            boxstyle=shape,
            mutation_aspect=1,
            **_patch_style(pen),
        )
        self._add(patch)

    def circle(self, centre: Point, radius: float, pen: Pen) -> None:
        """Draw a circle."""
        for stroke in _strokes(pen):
            self._add(Circle(centre, radius, **_patch_style(stroke)))

    def _add(self, artist: Artist, clip: Box | None = None) -> None:
        artist.set_transform(self._place)
        if clip:
            left, top, right, bottom = (side * self.scale for side in clip)
            artist.set_clip_box(Bbox.from_extents(left, self._size[1] - bottom, right, self._size[1] - top))
        self._figure.add_artist(artist)


def _strokes(pen: Pen) -> list[Pen]:
    """The casing, where there is one, then the line itself."""
    if pen.casing is None:
        return [pen]
    under = replace(pen, color=pen.casing, width=pen.width + 1.6, fill=None, dash=None, casing=None, hatch=None)
    return [replace(under, alpha=0.75 * pen.alpha), replace(pen, casing=None)]


def _patch_style(pen: Pen) -> dict[str, Any]:
    style: dict[str, Any] = {
        "edgecolor": pen.color if pen.width or pen.hatch else "none",
        "facecolor": pen.fill or "none",
        "linewidth": pen.width,
        "alpha": pen.alpha,
        "hatch": pen.hatch,
        "zorder": pen.zorder,
    }
    if pen.dash:
        style["linestyle"] = (0, _dashes(pen))
    return style


def _dashes(pen: Pen) -> tuple[float, ...]:
    """Dash lengths in line widths, as matplotlib counts them."""
    return tuple(part / max(pen.width, 0.1) for part in pen.dash or ())


@lru_cache(maxsize=8192)
def _measured(text: str, size: float, files: tuple[str, ...], dpi: float) -> float:
    return _set(text, files, size, dpi).get_width_height()[0] / 64


def _measure(text: str, size: float, bold: bool) -> float:
    return _measured(text, size, _faces(_font(size, bold)), DPI)


def fit_size(text: str, ink: Ink) -> tuple[float, float]:
    """Width and height of one line in pixels."""
    return _measure(text, ink.size, ink.bold), points(ink.size) * 1.1


def wrap(text: str, ink: Ink, width: float) -> list[str]:
    """Break into lines no wider than `width` pixels; a word that is too long is cut.

    Japanese and Chinese letters may stand on either side of a break, but for marks that close what is before them.
    """
    lines: list[str] = []
    room = 0.0
    space = _measure("n n", ink.size, ink.bold) - _measure("nn", ink.size, ink.bold)
    for piece, spaced in _pieces(text):
        wide = _measure(piece, ink.size, ink.bold)
        gap = space if spaced else 0.0
        if lines and gap + wide <= room + space * spaced:
            lines[-1] += f"{' ' * spaced}{piece}"
            room -= wide + gap
        else:
            lines.append(fit(piece, ink, width))
            room = width - wide - space
    return lines


WIDE = r"\u3000-\u30ff\u4e00-\u9fff\uff00-\uffef"
"""Kana, Chinese characters and their marks; Korean is set by words."""
CLOSING = "、。，．・：；？！）」』】ー々ぁぃぅぇぉっゃゅょァィゥェォッャュョ"
_BREAKS = re.compile(rf"[{WIDE}][{CLOSING}]*|[^{WIDE}]+")


def _pieces(text: str) -> Iterator[tuple[str, bool]]:
    """Yield what must stay on one line, and whether a space stands before it."""
    ended = False
    for word in text.split():
        for index, piece in enumerate(_BREAKS.findall(word)):
            yield piece, index == 0 and not ended
        ended = word[-1] in CLOSING


def fit(text: str, ink: Ink, width: float) -> str:
    """Cut with an ellipsis until it is no wider than `width` pixels."""
    if _measure(text, ink.size, ink.bold) <= width:
        return text
    low, high = 0, len(text)
    while low < high - 1:
        middle = (low + high) // 2
        if _measure(text[:middle] + "…", ink.size, ink.bold) <= width:
            low = middle
        else:
            high = middle
    return text[:low].rstrip() + "…"
