"""A sheet of paper: pixels from the upper-left corner, drawn on with a few plain tools.

Everything drawn goes through here, so that no text from outside is ever read as markup and
nothing depends on a user's matplotlib settings or installed fonts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.artist import Artist
from matplotlib.backend_bases import RendererBase
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, FancyBboxPatch, Polygon, Rectangle
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from rail_watch.report.names import font_path
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


class _Pixels(Artist):
    """Pixels copied one to one: matplotlib's own images are resampled even where nothing changes."""

    def __init__(self, pixels: NDArray[np.uint8], corner: tuple[int, int]) -> None:
        super().__init__()
        self._corner = corner
        opaque = np.full((*pixels.shape[:2], 1), 255, dtype=np.uint8)
        self._rgba = np.ascontiguousarray(np.concatenate([pixels, opaque], axis=-1)[::-1])
        self.set_zorder(1)

    def draw(self, renderer: RendererBase) -> None:
        context = renderer.new_gc()
        renderer.draw_image(context, *self._corner, self._rgba)
        context.restore()


class Page:
    """One picture in the making; made and drawn inside `house_style`."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self._figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI, facecolor="white")
        self._canvas = FigureCanvasAgg(self._figure)
        self._axes = self._figure.add_axes((0, 0, 1, 1))
        self._axes.set_xlim(0, width)
        self._axes.set_ylim(height, 0)
        self._axes.set_axis_off()
        self._axes.set_autoscale_on(False)

    def pixels(self) -> NDArray[np.uint8]:
        """Draw everything; (row, column, 3)."""
        self._canvas.draw()  # type: ignore[no-untyped-call]
        return np.asarray(self._canvas.buffer_rgba())[..., :3].copy()  # type: ignore[no-untyped-call]

    def measure(self, text: str, ink: Ink) -> tuple[float, float]:
        """Width and height of one line in pixels."""
        return fit_size(text, ink)

    def text(self, at: Point, text: str, ink: Ink, *, clip: Box | None = None) -> None:
        r"""Write one line, verbatim: `$`, `_` and `\` are letters like others."""
        drawn = self._axes.text(
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
        if clip:
            drawn.set_clip_path(self._clip(clip))

    def lines(self, at: Point, lines: Sequence[str], ink: Ink) -> float:
        """Write lines downwards from a first baseline; return the y after the last."""
        x, y = at
        for line in lines:
            self.text((x, y), line, ink)
            y += ink.line_px
        return y

    def image(self, pixels: NDArray[np.uint8], at: tuple[int, int]) -> None:
        """Lay (row, column, 3) pixels with the upper-left corner at a whole pixel, one to one."""
        left, top = at
        self._axes.add_artist(_Pixels(pixels, (left, self.height - top - pixels.shape[0])))

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
            self._axes.add_artist(drawn)
            if stroke.dash:
                drawn.set_dashes(_dashes(stroke))
            if clip:
                drawn.set_clip_path(self._clip(clip))

    def polygon(self, path: NDArray[np.float64], pen: Pen, *, clip: Box | None = None) -> None:
        """Draw a closed shape through (n, 2) points."""
        for stroke in _strokes(pen):
            patch = Polygon(path, closed=True, joinstyle="miter", **_patch_style(stroke))
            self._axes.add_artist(patch)
            if clip:
                patch.set_clip_path(self._clip(clip))

    def rectangle(self, box: Box, pen: Pen, *, clip: Box | None = None) -> None:
        """Draw a box with square corners."""
        left, top, right, bottom = box
        patch = Rectangle((left, top), right - left, bottom - top, **_patch_style(pen))
        self._axes.add_artist(patch)
        if clip:
            patch.set_clip_path(self._clip(clip))

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
        self._axes.add_artist(patch)

    def circle(self, centre: Point, radius: float, pen: Pen) -> None:
        """Draw a circle."""
        for stroke in _strokes(pen):
            self._axes.add_artist(Circle(centre, radius, **_patch_style(stroke)))

    def _clip(self, box: Box) -> Rectangle:
        left, top, right, bottom = box
        return Rectangle((left, top), right - left, bottom - top, transform=self._axes.transData)


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


@lru_cache(maxsize=1)
def _ruler() -> FigureCanvasAgg:
    return FigureCanvasAgg(Figure(figsize=(1, 1), dpi=DPI))


@lru_cache(maxsize=8192)
def _measure(text: str, size: float, bold: bool) -> float:
    renderer = _ruler().get_renderer()  # type: ignore[no-untyped-call]
    width, _, _ = renderer.get_text_width_height_descent(text, _font(size, bold), ismath=False)
    return float(width)


def fit_size(text: str, ink: Ink) -> tuple[float, float]:
    """Width and height of one line in pixels."""
    return _measure(text, ink.size, ink.bold), points(ink.size) * 1.1


def wrap(text: str, ink: Ink, width: float) -> list[str]:
    """Break into lines no wider than `width` pixels; a word that is too long is cut."""
    lines: list[list[str]] = []
    room = 0.0
    space = _measure("n n", ink.size, ink.bold) - _measure("nn", ink.size, ink.bold)
    for word in text.split():
        wide = _measure(word, ink.size, ink.bold)
        if lines and wide <= room:
            lines[-1].append(word)
        else:
            lines.append([fit(word, ink, width)])
            room = width
        room -= wide + space
    return [" ".join(line) for line in lines]


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
