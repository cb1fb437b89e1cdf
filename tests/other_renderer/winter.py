"""Series in winter: snow lies at half of the looks, whole, thin or in patches, in places of any latitude.

Of the renderer's own series few are snowy, and of their looks few again; what trains look like in snow is learnt and
measured on these.
"""

from __future__ import annotations

from pathlib import Path
from unittest import mock

import numpy as np

from tests.other_renderer import picture, series
from tests.other_renderer.write import render_series

SNOWY, WHOLE = 0.5, 0.3
"""Share of looks with snow, and of these with a whole cover."""
COLD = 0.3
"""The greenest that a look is, from 0 in deep winter to 1 in high summer."""


def _weather(rng: np.random.Generator, season: float, snowy: bool, wetness: float) -> picture.Weather:
    snow = 0.0
    if rng.random() < SNOWY:
        snow = 1.0 if rng.random() < WHOLE else float(rng.uniform(0.05, 0.95))
    wet = float(rng.uniform(0.3, 1.0)) if rng.random() < wetness else 0.0
    return picture.Weather(min(season, COLD), wet, snow, float(rng.uniform(0, 1)))


def render_winter(gsd: float, seed: int, folder: Path, scenes: int | None = None) -> Path:
    """Draw one series in winter."""
    with mock.patch.object(series, "_weather", _weather):
        return render_series(gsd, seed, folder, scenes)
