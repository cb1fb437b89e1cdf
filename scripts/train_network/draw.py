"""Draw labelled series by seed with any renderer."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from scripts.train_network.seeds import GSD_M, LONE, Drawn

SENSORS = {"fine": "skysat-like", "middle": "planetscope-like", "coarse": "sentinel-2-like"}
"""Sensors of the package's own simulator."""
OF_OTHER_RENDERER = ("other", LONE, "winter", "busy")
"""What tests/other_renderer draws."""


def _other_renderer(name: str) -> Callable[[float, int, Path, int | None], Path]:
    from tests.other_renderer import busy, lone, winter, write

    draws = (write.render_series, lone.render_lone, winter.render_winter, busy.render_busy)
    return dict(zip(OF_OTHER_RENDERER, draws, strict=True))[name]


def draw(series: Drawn, work: Path, *, scenes: int | None = None) -> bool:
    """Draw one series into its folder; False where it is there already. `scenes`: the renderer's own choice if None."""
    folder = series.folder(work)
    if (folder / "truth.json").exists():
        return False
    # Under another name until it is whole: an interrupted run leaves nothing that looks like a series.
    part = folder.with_name(f"{series.seed}.part")
    shutil.rmtree(part, ignore_errors=True)
    if series.renderer in OF_OTHER_RENDERER:
        _other_renderer(series.renderer)(GSD_M[series.network_class], series.seed, part, scenes)
    elif series.renderer == "crossings":
        from rail_watch.simulate.random_crossing import write_crossing

        write_crossing(series.seed, part, sensor=SENSORS[series.network_class], scenes=scenes or 10)
    else:
        from rail_watch.simulate.random_yard import write_series

        write_series(series.seed, part, sensor=SENSORS[series.network_class], scenes=scenes or 10)
    part.rename(folder)
    return True
