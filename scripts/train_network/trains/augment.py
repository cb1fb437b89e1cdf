"""What real imagery may do that no renderer does: every crop is disturbed anew each time it is shown.

A batch holds several scenes of each track, one after the other. What belongs to the place or the sensor (bands, still
texture, direction) is the same in all scenes of a track; noise, haze and gaps are each scene's own. Numbers are in the
units of `rail_watch.interpret.sections`: logarithms of light.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from rail_watch.interpret.sections import CHANNELS, DEEPEST, SCALARS
from rail_watch.interpret.shadows import HALF_WIDTH_M, coverage
from rail_watch.interpret.strips import offsets_m, steps_for

CHANNEL = {name: i for i, name in enumerate(CHANNELS)}
SCALAR = {name: i for i, name in enumerate(SCALARS)}
CHANGES = ("change", "change in NIR", "change in hue")
LOOKS = ("contrast", "NIR", "hue")
ACROSS, ALONG = (1, 3, 5, 9), (1, 3, 7, 15, 31)
"""Samples over which texture is smooth."""
SUN = ("reach of shadows", "shear of shadows", "sun")
REPAINTED, PAINT, FADED = 0.35, 0.7, (0.3, 1.1)
"""Share of looks whose cars are painted anew, the spread of their new light, and how much of the old contrast stays."""
EXTREMES, EXTREME = 0.4, (-2.6, 1.4)
"""Share of these that may be as dark as the darkest ground of the scene, at which light is bounded, or very bright."""
SNOWY, SNOW = 0.15, (0.3, 2.4)
"""Share of looks with snow in patches, and how much brighter it is (logarithm)."""
SUNLESS = 0.15
"""Share of looks whose sun is withheld."""


@dataclass(frozen=True)
class Shown:
    """A batch taken apart; changed in place."""

    section: Tensor
    """(N, channels, zones, S)"""
    whole: Tensor
    """(N, scalars, S)"""
    seen: Tensor
    """(N, zones, S)"""
    scenes: int
    """Scenes of each track: N is a multiple of it."""

    @classmethod
    def of(cls, batch: Tensor, scenes: int = 1) -> Shown:
        """Take apart (N, F, S) sections."""
        count, features, steps = batch.shape
        zones = (features - len(SCALARS)) // len(CHANNELS)
        cut = len(CHANNELS) * zones
        section = batch[:, :cut].reshape(count, len(CHANNELS), zones, steps).clone()
        return cls(section, batch[:, cut:].clone(), (section[:, CHANNEL["seen"]] > 0).float(), scenes)

    def joined(self) -> Tensor:
        """Put together: (N, F, S)."""
        return torch.cat([self.section.flatten(1, 2), self.whole], dim=1)

    def add(self, channel: str, what: Tensor) -> None:
        """Add to a channel where the ground was seen."""
        self.section[:, CHANNEL[channel]] += what * self.seen

    def blank(self, channels: tuple[str, ...], which: Tensor) -> None:
        """Set channels to nothing in some of the batch."""
        for name in channels:
            self.section[which, CHANNEL[name]] = 0


def disturbed(
    batch: Tensor, cars: Tensor, rng: np.random.Generator, *, scenes: int, texture: float, gsd_m: float
) -> tuple[Tensor, Tensor]:
    """(N, F, S) disturbed sections, and (N,) which of them were turned end to end: their labels must be too.

    Parameters
    ----------
    batch : `scenes` of each track, one after the other.
    cars : (N, S) a number for each car at its steps, 0 where none stands.
    texture : the strongest still texture laid over a picture.
    gsd_m : of the class: how far a car's light is spread.
    """
    shown = Shown.of(batch, scenes)
    _repaint(shown, cars, rng, gsd_m=gsd_m)
    _snow(shown, cars, rng, gsd_m=gsd_m)
    _forget_bands(shown)
    _jitter(shown)
    _texture(shown, rng, texture)
    _haze(shown)
    shown.blank(LOOKS, _some_tracks(shown, 0.1))
    shown.blank(("unrest",), _some_tracks(shown, 0.1))
    _occlude(shown, rng)
    _withhold_sun(shown)
    return _turn(shown)


def _some(shown: Shown, share: float) -> Tensor:
    return torch.rand(len(shown.whole)) < share


def _some_tracks(shown: Shown, share: float) -> Tensor:
    """(N,) the same for all scenes of a track."""
    return (torch.rand(len(shown.whole) // shown.scenes) < share).repeat_interleave(shown.scenes)


def _each(shown: Shown, scale: float) -> Tensor:
    """(N, 1, 1) normal numbers."""
    return torch.randn(len(shown.whole), 1, 1) * scale


def _forget_bands(shown: Shown) -> None:
    """Sensors without near infrared, and panchromatic ones."""
    for share, band, scalar in ((0.25, "NIR", "NIR"), (0.15, "hue", "colour")):
        which = _some_tracks(shown, share)
        shown.blank((f"change in {band}", band), which)
        shown.whole[which, SCALAR[scalar]] = 0


def _repaint(shown: Shown, cars: Tensor, rng: np.random.Generator, *, gsd_m: float) -> None:
    """Cars of any colour: darker than the ballast, brighter, and just as it is."""
    offsets = offsets_m(gsd_m)
    for i in np.flatnonzero(_some(shown, REPAINTED).numpy() & (cars > 0).any(1).numpy()).tolist():
        body = _bodies(shown, i, cars, offsets, gsd_m=gsd_m)
        kept = float(rng.uniform(*FADED))
        middle = rng.uniform(*EXTREME) if rng.random() < EXTREMES else rng.normal(-0.2, PAINT)
        paint = rng.normal(middle, 0.5 * PAINT, int(cars[i].max()) + 1).astype(np.float32)
        light = torch.from_numpy(paint)[cars[i].long()]
        for change, look in zip(CHANGES, LOOKS, strict=True):
            new = light if change == "change" else torch.zeros_like(light)
            old = shown.section[i, CHANNEL[change]]
            difference = body * (new - (1 - kept) * old) * shown.seen[i]
            shown.section[i, CHANNEL[change]] += difference
            shown.section[i, CHANNEL[look]] += difference
        part = CHANNEL["change in noise"]
        shown.section[i, part] = torch.where(body > 0.02, _in_noise(shown, i), shown.section[i, part])


def _bodies(shown: Shown, i: int, cars: Tensor, offsets: NDArray[np.float64], *, gsd_m: float) -> Tensor:
    """(zones, S) how far samples lie on cars, which stand where the picture shows them: off the line, perhaps."""
    here = cars[i] > 0
    if not here.any():
        return torch.zeros_like(shown.seen[i])
    seen = shown.section[i, CHANNEL["change"]][:, here].abs().mean(1).numpy()
    bodies = [coverage(offsets - off, -HALF_WIDTH_M, HALF_WIDTH_M, blur_m=0.5 * gsd_m) for off in (-2, -1, 0, 1, 2)]
    return torch.from_numpy(max(bodies, key=lambda body: float(body @ seen)))[:, None] * here


def _in_noise(shown: Shown, i: int) -> Tensor:
    """(zones, S) the change of a look in terms of its noise."""
    noise = torch.exp(shown.whole[i, SCALAR["noise"]] - 2.5)
    return torch.asinh(shown.section[i, CHANNEL["change"]] / (3 * noise)) / 2 * shown.seen[i]


def _snow(shown: Shown, cars: Tensor, rng: np.random.Generator, *, gsd_m: float) -> None:
    """Snow in patches, half melted or just fallen: ground, and at times roofs, brighter here and darker there."""
    offsets = offsets_m(gsd_m)
    zones, steps = shown.seen.shape[1:]
    across, along = float(np.ptp(offsets)), steps * steps_for(gsd_m)[0]
    for i in np.flatnonzero(_some(shown, SNOWY).numpy()).tolist():
        grain = float(np.exp(rng.uniform(np.log(3.0), np.log(60.0))))
        knots = (max(round(across / grain) + 1, 2), max(round(along / grain) + 1, 2))
        field = functional.interpolate(torch.randn(1, 1, *knots), (zones, steps), mode="bicubic", align_corners=True)
        sharp, cover = float(rng.uniform(1.5, 8.0)), float(rng.normal(0, 0.7))
        depth = float(rng.uniform(*SNOW))
        patch = depth * torch.sigmoid(sharp * (field[0, 0] + cover))
        body = _bodies(shown, i, cars, offsets, gsd_m=gsd_m).clamp(0, 1)
        roofs = float(rng.choice([0.0, rng.uniform(0, 1)]))
        # What a scene is compared with follows its usual ground: snow, or what has thawed.
        patch = (patch - float(rng.choice([0.0, patch.mean().item(), depth]))) * (1 - (1 - roofs) * body)
        for change, look, share in zip(CHANGES, LOOKS, (1.0, -0.2, 0.1), strict=True):
            for name in (change, look):
                part = shown.section[i, CHANNEL[name]]
                part += share * patch * shown.seen[i]
                part.clamp_(-DEEPEST, DEEPEST)
        noise = torch.exp(shown.whole[i, SCALAR["noise"]] - 2.5)
        noise = torch.sqrt(noise**2 + (float(rng.uniform(0.3, 1.0)) * patch.std()) ** 2)
        shown.whole[i, SCALAR["noise"]] = torch.log(noise) + 2.5
        shown.section[i, CHANNEL["change in noise"]] = _in_noise(shown, i)


def _withhold_sun(shown: Shown) -> None:
    """Looks of which nobody says where the sun stood: shadows may fall to either side."""
    which = _some(shown, SUNLESS)
    for name in SUN:
        shown.whole[which, SCALAR[name]] = 0
    mirrored = which & _some(shown, 0.5)
    shown.section[mirrored] = shown.section[mirrored].flip(2)


def _jitter(shown: Shown) -> None:
    """Noise, and levels a little off as a whole."""
    noise = torch.randn_like(shown.seen) * torch.rand(len(shown.whole), 1, 1) * 0.06
    for channel, scale in zip(CHANGES, (0.04, 0.02, 0.02), strict=True):
        shown.add(channel, _each(shown, scale) + (noise if channel == "change" else 0))
    for channel, scale in zip(LOOKS, (0.06, 0.06, 0.04), strict=True):
        shown.add(channel, _each(shown, scale) + (noise if channel == "contrast" else 0))


def _texture(shown: Shown, rng: np.random.Generator, strongest: float) -> None:
    """Ground of any texture that stays as it is: seen in the picture, not in the change."""
    count, zones, steps = shown.seen.shape
    across, along = int(rng.choice(ACROSS)), int(rng.choice(ALONG))
    count //= shown.scenes
    field = torch.randn(count, 1, zones + across - 1, steps + along - 1)
    field = functional.avg_pool2d(functional.avg_pool2d(field, (1, along), 1), (across, 1), 1)[:, 0]
    field = field / field.std().clamp(min=1e-6)
    strength = torch.rand(count, 1, 1) * strongest * (torch.rand(count, 1, 1) < 0.7)
    parts = {"contrast": field, "NIR": 0.3 * field.flip(0), "hue": 0.2 * field.flip(0)}
    for channel, part in parts.items():
        shown.add(channel, (strength * part).repeat_interleave(shown.scenes, dim=0))


def _haze(shown: Shown) -> None:
    """Haze and thin cloud, wider than a train."""
    count, zones, steps = shown.seen.shape
    strength = _some(shown, 0.2).float()[:, None, None] * torch.rand(count, 1, 1) * 0.35
    coarse = torch.randn(count, 1, max(zones // 4, 2), max(steps // 24, 2))
    veil = functional.interpolate(coarse, size=(zones, steps), mode="bicubic", align_corners=False)[:, 0]
    shown.add("change", strength * veil)
    shown.add("contrast", strength * veil)
    shown.add("change in noise", torch.asinh(strength * veil / 0.12) / 2)


def _occlude(shown: Shown, rng: np.random.Generator) -> None:
    """Stretches that were not seen."""
    steps = shown.seen.shape[-1]
    for i in np.flatnonzero(_some(shown, 0.1).numpy()).tolist():
        start = int(rng.integers(0, steps))
        shown.section[i, :, :, start : start + int(rng.integers(3, max(steps // 6, 4)))] = 0


def _turn(shown: Shown) -> tuple[Tensor, Tensor]:
    """Tracks have no direction; shadows sheared forward are then sheared back."""
    which = _some_tracks(shown, 0.5)
    shown.section[which] = shown.section[which].flip(-1)
    shown.whole[which] = shown.whole[which].flip(-1)
    shown.whole[which, SCALAR["shear of shadows"]] *= -1
    return shown.joined(), which
