"""Draw labelled series by seed with any renderer."""

from __future__ import annotations

import shutil
from pathlib import Path

from scripts.train_network.seeds import GSD_M, LONE, Drawn

SENSORS = {"fine": "skysat-like", "middle": "planetscope-like", "coarse": "sentinel-2-like"}
"""Sensors of the package's own simulator."""


def draw(series: Drawn, work: Path, *, scenes: int | None = None) -> bool:
    """Draw one series into its folder; False where it is there already. `scenes`: the renderer's own choice if None."""
    folder = series.folder(work)
    if (folder / "truth.json").exists():
        return False
    # Under another name until it is whole: an interrupted run leaves nothing that looks like a series.
    part = folder.with_name(f"{series.seed}.part")
    shutil.rmtree(part, ignore_errors=True)
    if series.renderer == "other":
        from tests.other_renderer.write import render_series

        render_series(GSD_M[series.network_class], series.seed, part, scenes)
    elif series.renderer == LONE:
        from tests.other_renderer.lone import render_lone

        render_lone(GSD_M[series.network_class], series.seed, part, scenes)
    elif series.renderer == "winter":
        from tests.other_renderer.winter import render_winter

        render_winter(GSD_M[series.network_class], series.seed, part, scenes)
    elif series.renderer == "busy":
        from tests.other_renderer.busy import render_busy

        render_busy(GSD_M[series.network_class], series.seed, part, scenes)
    elif series.renderer == "crossings":
        from rail_watch.simulate.random_crossing import write_crossing

        write_crossing(series.seed, part, sensor=SENSORS[series.network_class], scenes=scenes or 10)
    else:
        from rail_watch.simulate.random_yard import write_series

        write_series(series.seed, part, sensor=SENSORS[series.network_class], scenes=scenes or 10)
    part.rename(folder)
    return True
