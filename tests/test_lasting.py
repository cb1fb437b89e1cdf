"""A canopy built over a track: told once, never taken for a train. Drawn by the renderer that is not the package's."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from moving_material import detections_of

from rail_watch import aoi
from rail_watch.grid import WGS84
from rail_watch.prepare.zones import local_frame, reproject
from tests.other_renderer import write
from tests.other_renderer.series import Series, draw_series
from tests.other_renderer.yard import Block, along

SINCE, BEGIN_M, LENGTH_M, WIDTH_M = 4, 215.0, 60.0, 12.0


def _with_canopy(gsd: float, seed: int, scenes: int | None = None) -> Series:
    series = draw_series(gsd, seed, scenes)
    track = next(track for track in series.yard.tracks if track.id == "t2")
    s = np.arange(BEGIN_M, BEGIN_M + LENGTH_M, 5.0)
    sides = (along(track.xy, s, -WIDTH_M / 2), along(track.xy, s[::-1], WIDTH_M / 2))
    canopy = Block("canopy", "shed", np.concatenate(sides), 6.0, "metal")
    series.yard, series.change_at, series.regravel = replace(series.yard, later=(canopy,)), SINCE, None
    return series


def test_a_canopy_is_told_once_and_is_no_train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write, "draw_series", _with_canopy)
    write.render_series(0.5, 0, tmp_path, 9)
    found = detections_of(tmp_path / "aoi.geojson", tmp_path)
    scenes = sorted((scene.when, scene.id) for scene in found.scenes)
    number = {name: i for i, (_, name) in enumerate(scenes)}

    site = aoi.read(str(tmp_path / "aoi.geojson"))
    frame = local_frame(site)
    line = reproject(next(track.line for track in site.tracks if track.id == "t2"), WGS84, frame)
    middle = line.interpolate(BEGIN_M + LENGTH_M / 2).buffer(10.0)
    over = {
        number[item.scene]: reproject(item.geometry, WGS84, frame).intersection(middle).area
        for item in found.observations
        if item.kind == "change" and reproject(item.geometry, WGS84, frame).intersects(middle)
    }
    assert over.pop(SINCE) > 0.5 * 20.0 * WIDTH_M
    assert sum(over.values()) < 0.2 * 20.0 * WIDTH_M

    truth = json.loads((tmp_path / "truth.json").read_text(encoding="utf-8"))
    empty = {s["id"] for s in truth["scenes"] for t in s["tracks"] if t["track"] == "t2" and t["state"] == "empty"}
    later = [scene for scene in found.scenes if number[scene.id] >= SINCE and scene.id in empty]
    states = {look.state for scene in later for look in scene.tracks if look.track == "t2"}
    assert len(later) >= 3 and "occupied" not in states
