"""What real aprons may do that no renderer does: every crop is disturbed anew each time it is shown.

Numbers are in the units of `rail_watch.interpret.aprons`: logarithms of light. Cargo is painted anew and more of it is
set down, with the shadow the sun would give it; so is what is no cargo: shadows of things elsewhere, puddles, snow.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from rail_watch.interpret.aprons import CHANNELS, SCALARS
from rail_watch.interpret.sections import DEEPEST

Array = NDArray[np.float32]
Rng = np.random.Generator

CHANNEL = {name: i for i, name in enumerate(CHANNELS)}
SCALAR = {name: i for i, name in enumerate(SCALARS)}
CHANGES = ("change", "change in NIR", "change in hue")
LOOKS = ("contrast", "NIR", "hue")
BOUNDS = dict(zip((*CHANGES, *LOOKS), (DEEPEST, 1.5, 1.5, DEEPEST, DEEPEST, DEEPEST), strict=True))
REPAINTED, FADED = 0.5, (0.0, 1.0)
"""Share of crops whose cargo is painted anew, and how much of the old contrast stays."""
SET_DOWN, MOST = 0.35, 4
"""Share of crops on which more cargo is set down, and how many pieces at most."""
PAINT = ((-0.25, 0.75), (0.0, 0.25), (0.1, 0.35))
"""Mean and spread of a new light against the ground's, of its near infrared, of its hue."""
LIKE_GROUND = 0.15
"""Share of pieces whose light is nearly the ground's."""
SIDES_M = ((2.0, 16.0), (2.0, 8.0))
"""Lengths and widths of what is set down."""
SHADE = (-1.3, -0.5)
"""Logarithm of the light in shadow over that in the sun."""
BLUER = ((-0.35, 0.15), (-0.3, 0.12))
"""Mean and spread of near infrared and hue in shadow, lit by the sky alone."""
SUNLESS = 0.15
"""Share of crops whose sun is withheld."""


@dataclass
class Shown:
    """A crop that is being disturbed, in place."""

    picture: Array
    """(channel, row, column)"""
    scalars: Array
    share: Array
    """(row, column) how much of each pixel is covered, and"""
    known: Array
    """(row, column) 1 where that is taught."""
    gsd_m: float

    @property
    def seen(self) -> Array:
        """(row, column) 1 where the ground was seen."""
        return self.picture[CHANNEL["seen"]]

    def add(self, channel: str, what: Array | float) -> None:
        """Add to a channel where the ground was seen."""
        self.picture[CHANNEL[channel]] += what * self.seen

    def change(self, what: Array | float, infrared: Array | float = 0.0, hue: Array | float = 0.0) -> None:
        """Let the ground look otherwise than it usually does."""
        for names, part in zip(zip(CHANGES, LOOKS, strict=True), (what, infrared, hue), strict=True):
            for name in names:
                self.add(name, part)

    def shadow(self) -> tuple[float, float]:
        """Rows and columns by which the shadow of a metre of height falls; none where there is no sun."""
        return (
            2 * float(self.scalars[SCALAR["shadow along rows"]]) / self.gsd_m,
            2 * float(self.scalars[SCALAR["shadow along columns"]]) / self.gsd_m,
        )


def disturb(shown: Shown, rng: Rng) -> None:
    """Disturb one crop: picture, scalars and labels."""
    _repaint(shown, rng)
    _set_down(shown, rng)
    _no_cargo(shown, rng)
    _veil(shown, rng)
    _texture(shown, rng)
    _jitter(shown, rng)
    _forget_bands(shown, rng)
    _settle(shown)
    _withhold(shown, rng)
    _occlude(shown, rng)
    _withhold_sun(shown, rng)


def smooth(rng: Rng, shape: tuple[int, ...], grain_px: float) -> Array:
    """(row, column) a random field of unit spread, smooth over so many pixels."""
    small = tuple(max(int(np.ceil(n / max(grain_px, 1.0))) + 2, 3) for n in shape)
    field = rng.standard_normal(small).astype(np.float32)
    if grain_px > 1:
        field = ndimage.zoom(field, [(n + 2) / m + 1e-6 for n, m in zip(shape, small, strict=True)], order=2)
    top, left = (max((m - n) // 2, 0) for n, m in zip(shape, field.shape, strict=True))
    cut = field[top : top + shape[0], left : left + shape[1]]
    return np.asarray(cut / max(float(cut.std()), 1e-6), dtype=np.float32)


def _paint(rng: Rng) -> tuple[float, float, float]:
    """Light, near infrared and hue of a thing against the ground's."""
    values = [float(rng.normal(*law)) for law in PAINT]
    if rng.random() < LIKE_GROUND:
        values[0] = float(rng.choice([-1, 1]) * rng.uniform(0.1, 0.3))
    return values[0], values[1], values[2]


def _spread(share: Array, rng: Rng) -> Array:
    """Blur as a sensor does."""
    return np.asarray(ndimage.gaussian_filter(share, rng.uniform(0.4, 0.8)), dtype=np.float32)


def _lay(shown: Shown, body: Array, rng: Rng, *, kept: float) -> None:
    """Paint what a blurred body covers; `kept`: how much of the light that was there stays."""
    light, infrared, hue = _paint(rng)
    inner = light + rng.uniform(0.02, 0.35) * smooth(rng, body.shape, rng.uniform(0.5, 3.0) / shown.gsd_m)
    for part, new in zip(range(3), (inner, infrared, hue), strict=True):
        old = shown.picture[CHANNEL[CHANGES[part]]]
        shown.add(LOOKS[part], body * (new - (1 - kept) * old))
        shown.add(CHANGES[part], body * (new - (1 - kept) * old))


def _repaint(shown: Shown, rng: Rng) -> None:
    """Cargo of any colour: darker than the ground, brighter, and nearly as it is."""
    heaps, count = ndimage.label(shown.share > 0)
    if not count or rng.random() >= REPAINTED:
        return
    for heap in range(1, count + 1):
        if rng.random() < 0.7:
            _lay(shown, _spread(np.where(heaps == heap, shown.share, 0), rng), rng, kept=float(rng.uniform(*FADED)))


def shape_of(rng: Rng, shape: tuple[int, int], gsd_m: float) -> Array:
    """(row, column) coverage by one thing somewhere: a block, a heap, or a row of blocks."""
    rows, cols = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    centre = rng.uniform(0, shape[0]), rng.uniform(0, shape[1])
    stretch = 1.0 if gsd_m < 2 else rng.uniform(1.0, 2.5)
    length, width = (float(rng.uniform(*side)) * stretch / gsd_m for side in SIDES_M)
    turn = float(rng.choice([rng.uniform(0, np.pi), rng.normal(0, 0.05), np.pi / 2 + rng.normal(0, 0.05)]))
    u = (rows - centre[0]) * np.cos(turn) + (cols - centre[1]) * np.sin(turn)
    v = -(rows - centre[0]) * np.sin(turn) + (cols - centre[1]) * np.cos(turn)
    if rng.random() < 0.35:
        radius = np.hypot(u / (length / 2), v / (width / 2)) + 0.12 * smooth(rng, shape, width / 2)
        return np.asarray(np.clip(0.5 + (1 - radius) * min(length, width) / 2, 0, 1), dtype=np.float32)
    block = np.clip(0.5 + length / 2 - np.abs(u), 0, 1) * np.clip(0.5 + width / 2 - np.abs(v), 0, 1)
    if rng.random() < 0.2:
        longer, offset = length * rng.uniform(0.4, 0.8), length * rng.uniform(-0.3, 0.3)
        other = np.clip(0.5 + width / 2 - np.abs(u - offset), 0, 1) * np.clip(0.5 + longer / 2 - np.abs(v), 0, 1)
        block = np.maximum(block, other)
    return np.asarray(block, dtype=np.float32)


def swept(body: Array, step: tuple[float, float], height_m: float) -> Array:
    """(row, column) where the shadow of a body falls, itself included."""
    reach = float(np.hypot(*step)) * height_m
    out = body.copy()
    for part in np.linspace(0, 1, int(min(np.ceil(reach), 120)) + 1)[1:]:
        moved = ndimage.shift(body, [part * height_m * s for s in step], order=1, prefilter=False)
        np.maximum(out, moved, out=out)
    return out


def _darken(shown: Shown, shade: Array, rng: Rng) -> None:
    """Let ground lie in shadow."""
    infrared, hue = (float(rng.normal(*law)) for law in BLUER)
    shown.change(shade * float(rng.uniform(*SHADE)), shade * infrared, shade * hue)


def _set_down(shown: Shown, rng: Rng) -> None:
    """More cargo, of any shape and colour, with its shadow."""
    if rng.random() >= SET_DOWN:
        return
    apron = shown.picture[CHANNEL["apron"]]
    for _ in range(int(rng.integers(1, MOST + 1))):
        body = shape_of(rng, (apron.shape[0], apron.shape[1]), shown.gsd_m) * apron
        if body.sum() < 2 or (body * (shown.share > 0)).any():
            continue
        shade = _spread(swept(body, shown.shadow(), float(rng.uniform(0.7, 4.0))) * (1 - body), rng)
        _darken(shown, shade * (1 - _spread(shown.share, rng)), rng)
        _lay(shown, _spread(body, rng), rng, kept=0.0)
        shown.share = np.maximum(shown.share, body)


def _no_cargo(shown: Shown, rng: Rng) -> None:
    """What is easily taken for cargo: shadows of things that stand elsewhere, puddles, patches of snow."""
    bare, shape = 1 - _spread(shown.share, rng), (shown.share.shape[0], shown.share.shape[1])
    metre = 1 / shown.gsd_m
    if rng.random() < 0.2:
        thing = shape_of(rng, shape, shown.gsd_m)
        step = shown.shadow() if any(shown.shadow()) else (float(rng.uniform(0, 3)) * metre, 0.0)
        thrown = swept(thing, step, float(rng.uniform(2, 8)))
        start = rng.uniform(3, 12) * np.array(step) / max(np.hypot(*step), 1e-6) * metre
        shade = _spread(ndimage.shift(thrown, start, order=1, prefilter=False), rng)
        _darken(shown, bare * shade, rng)
    for share, law, grains in ((0.15, (-0.7, -0.1), (2, 12)), (0.12, (0.2, 1.4), (1, 10))):
        if rng.random() < share:
            field = smooth(rng, shape, float(rng.uniform(*grains)) * metre) + 0.3 * smooth(rng, shape, metre)
            patch = np.clip((field - rng.uniform(0.2, 2.0)) / rng.uniform(0.1, 0.8), 0, 1)
            what = bare * patch * rng.uniform(*law)
            shown.change(what, -0.15 * np.abs(what), -0.1 * what)


def _veil(shown: Shown, rng: Rng) -> None:
    """Haze, thin cloud, ground that dries in patches: wider than a heap."""
    if rng.random() < 0.3:
        grain = float(rng.uniform(15, 60)) / shown.gsd_m
        veil = smooth(rng, shown.share.shape, grain) * rng.uniform(0, 0.25)
        shown.change(veil, -0.3 * veil, -0.3 * veil)


def _texture(shown: Shown, rng: Rng) -> None:
    """Ground of any texture: still, seen in the picture and not in the change; and a little that is not still."""
    for grain_m, still, share in ((2, True, 0.6), (8, True, 0.5), (1, False, 0.4), (5, False, 0.3)):
        if rng.random() < share:
            field = smooth(rng, shown.share.shape, grain_m * float(rng.uniform(0.4, 2)) / shown.gsd_m)
            field = field * rng.uniform(0, 0.25 if still else 0.08)
            for channel, part in zip(LOOKS, (1.0, 0.2, 0.15), strict=True):
                shown.add(channel, part * field)
            if not still:
                shown.add("change", field)


def _jitter(shown: Shown, rng: Rng) -> None:
    """Noise, and levels a little off as a whole."""
    spread = float(rng.random() * 0.06)
    noise = (rng.standard_normal(shown.share.shape) * spread).astype(np.float32)
    for channel, scale in zip(CHANGES, (0.05, 0.03, 0.03), strict=True):
        shown.add(channel, rng.normal(0, scale) + (noise if channel == "change" else 0))
    for channel, scale in zip(LOOKS, (0.08, 0.08, 0.06), strict=True):
        shown.add(channel, rng.normal(0, scale) + (noise if channel == "contrast" else 0))
    shown.picture[CHANNEL["unrest"]] += rng.normal(0, 0.2)
    own = np.exp(shown.scalars[SCALAR["noise"]] - 2.5)
    shown.scalars[SCALAR["noise"]] = np.log(np.hypot(own, spread)) + 2.5


def _forget_bands(shown: Shown, rng: Rng) -> None:
    """Sensors without near infrared, and panchromatic ones."""
    for share, band, scalar in ((0.25, "NIR", "NIR"), (0.1, "hue", "colour")):
        if rng.random() < share:
            shown.picture[[CHANNEL[f"change in {band}"], CHANNEL[band]]] = 0
            shown.scalars[SCALAR[scalar]] = 0


def _settle(shown: Shown) -> None:
    """Keep every channel within its bounds, and the change in units of noise true to the change."""
    for name, bound in BOUNDS.items():
        np.clip(shown.picture[CHANNEL[name]], -bound, bound, out=shown.picture[CHANNEL[name]])
    noise = np.exp(shown.scalars[SCALAR["noise"]] - 2.5)
    shown.picture[CHANNEL["change in noise"]] = np.arcsinh(shown.picture[CHANNEL["change"]] / (3 * noise)) / 2


def _withhold(shown: Shown, rng: Rng) -> None:
    """Now and then without contrast or unrest, or with an apron and sheds drawn carelessly."""
    if rng.random() < 0.1:
        shown.picture[[CHANNEL[name] for name in LOOKS]] = 0
    if rng.random() < 0.15:
        shown.picture[CHANNEL["unrest"]] = 0
    if rng.random() < 0.15:
        shown.picture[CHANNEL["blocked"]] = 0
    if rng.random() < 0.2:
        moved = rng.integers(-2, 3, 2)
        shown.picture[CHANNEL["apron"]] = np.roll(shown.picture[CHANNEL["apron"]], moved, (0, 1))


def _occlude(shown: Shown, rng: Rng) -> None:
    """Ground that was not seen."""
    if rng.random() < 0.1:
        rows, cols = shown.share.shape
        top, left = int(rng.integers(-rows // 4, rows)), int(rng.integers(-cols // 4, cols))
        height, width = int(rng.integers(3, rows // 2)), int(rng.integers(3, cols // 2))
        cut = slice(max(top, 0), max(top + height, 0)), slice(max(left, 0), max(left + width, 0))
        hidden = [CHANNEL[name] for name in (*CHANGES, *LOOKS, "change in noise", "seen")]
        for channel in hidden:
            shown.picture[channel][cut] = 0
        shown.known[cut] = 0


def _withhold_sun(shown: Shown, rng: Rng) -> None:
    """Looks of which nobody says where the sun stood: shadows may fall to any side."""
    if rng.random() >= SUNLESS:
        return
    shown.scalars[[SCALAR[name] for name in ("shadow along rows", "shadow along columns", "sun")]] = 0
    steps = tuple(slice(None, None, int(step)) for step in rng.choice([-1, 1], 2))
    swap = rng.random() < 0.5

    def turned(values: Array) -> Array:
        values = values[(..., *steps)]
        return np.ascontiguousarray(values.swapaxes(-1, -2) if swap else values)

    shown.picture, shown.share, shown.known = turned(shown.picture), turned(shown.share), turned(shown.known)
