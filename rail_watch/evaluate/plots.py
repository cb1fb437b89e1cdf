"""Pictures of how good the answers are: what is found of each length, whether p-values mean what they say."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy import stats

from rail_watch.evaluate.score import SceneScore
from rail_watch.evaluate.series import Judged
from rail_watch.evaluate.standards import standards_for
from rail_watch.report.page import house_style
from rail_watch.report.png import DPI, save

Scores = Sequence[SceneScore]
Panel = Callable[[Axes, float, Scores], None]
BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "#666666"
"""Okabe and Ito's colours, told apart by everyone."""
BIN_SIZE = 12
"""Trains in one point of the detection curve, about."""


def wilson(found: NDArray[np.float64], count: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the 95 % interval of a share (E. B. Wilson, 1927, JASA 22, 209-212)."""
    z = 1.96
    share = found / count
    middle = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * np.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    # The bounds are 0 and 1 where nothing or everything was found; rounding must not move them inside the share.
    return np.minimum(np.maximum(middle - half, 0), share), np.maximum(np.minimum(middle + half, 1), share)


def write_plots(judged: Sequence[Judged], out: Path, *, rate: float) -> list[Path]:
    """Write detection.png, reliability.png and false-alarms.png, one panel for each ground sample distance.

    Parameters
    ----------
    judged : the scored series.
    out : folder that is there.
    rate : the false-alarm rate the detector was asked for.
    """
    scores = {g: [s for one in judged if one.gsd_m == g for s in one.scores] for g in {one.gsd_m for one in judged}}
    panels: dict[str, tuple[str, Panel]] = {
        "detection.png": ("Detection probability against length", detection_panel),
        "reliability.png": ("Reliability of p-values on empty tracks", reliability_panel),
        "false-alarms.png": (
            "False alarms of empty tracks against the rate asked for",
            lambda axes, gsd, own: false_alarm_panel(axes, gsd, own, rate=rate),
        ),
    }
    kind = _kind(judged)
    with house_style():
        return [_sheet(scores, panel, out / name, title=title + kind) for name, (title, panel) in panels.items()]


def _kind(judged: Sequence[Judged]) -> str:
    simulated = [one.simulated for one in judged]
    return ", SIMULATED imagery" if all(simulated) else ", partly SIMULATED imagery" if any(simulated) else ""


def _sheet(scores: Mapping[float, Scores], panel: Panel, path: Path, *, title: str) -> Path:
    figure = Figure(figsize=(1.0 + 3.4 * max(len(scores), 1), 4.2), dpi=DPI, layout="constrained")
    canvas: Any = FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=10)
    for number, gsd in enumerate(sorted(scores), start=1):
        axes = figure.add_subplot(1, len(scores), number)
        panel(axes, gsd, scores[gsd])
        axes.tick_params(labelsize=7)
        axes.spines[["top", "right"]].set_visible(False)
        if number == 1:
            figure.legend(
                *axes.get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=7, frameon=False
            )
    canvas.draw()
    return save(np.asarray(canvas.buffer_rgba())[..., :3], path, {"Title": title, "Software": "rail-watch"})


def _nothing(axes: Axes) -> None:
    axes.text(0.5, 0.5, "nothing to draw this from", transform=axes.transAxes, ha="center", fontsize=8, color=GREY)


def _label(axes: Axes, title: str, x: str, y: str) -> None:
    axes.set_title(title, fontsize=8)
    axes.set_xlabel(x, fontsize=8)
    axes.set_ylabel(y, fontsize=8)


def detection_panel(axes: Axes, gsd: float, scores: Scores) -> None:
    """Share of the true trains in view that were found, by length, with 95 % intervals and the stated limits."""
    seen = sorted((s for score in scores for s in score.sightings if s.length_m > 0), key=lambda s: s.length_m)
    _label(axes, f"{gsd:g} m, {len(seen)} trains in view", "length of the train, m", "share found")
    if not seen:
        _nothing(axes)
        return
    parts = np.array_split(np.arange(len(seen)), max(len(seen) // BIN_SIZE, 1))
    length = np.array([np.median([seen[i].length_m for i in part]) for part in parts])
    found = np.array([sum(seen[i].found for i in part) for part in parts], dtype=float)
    count = np.array([len(part) for part in parts], dtype=float)
    low, high = wilson(found, count)
    share = found / count
    spread = [share - low, high - share]
    axes.errorbar(
        length, share, yerr=spread, fmt="o-", color=BLUE, ms=3.5, lw=1, capsize=2, label="found, 95 % interval"
    )
    axes.axhline(0.9, color=GREY, lw=0.8, ls=":")
    _limits(axes, [s.shortest_m for s in seen if s.shortest_m], standards_for(gsd).shortest_train_m)
    axes.set_xscale("log")
    low_m, high_m = axes.get_xlim()
    ticks = [t for t in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000) if low_m <= t <= high_m]
    axes.set_xticks(ticks, [str(t) for t in ticks])
    axes.set_xticks([], minor=True)
    axes.set_ylim(-0.02, 1.04)


def _limits(axes: Axes, stated: Sequence[float], counted: float) -> None:
    if stated:
        low, middle, high = np.quantile(np.array(stated), [0.25, 0.5, 0.75])
        axes.axvspan(low, high, color=ORANGE, alpha=0.18, lw=0, label="stated 90 % limit, middle half")
        axes.axvline(middle, color=ORANGE, lw=1)
    axes.axvline(counted, color=GREY, lw=0.8, ls="--", label="trains count from here")


def _p_values(scores: Scores) -> NDArray[np.float64]:
    return np.sort(np.array([p for score in scores for p in score.p_values], dtype=float))


def reliability_panel(axes: Axes, gsd: float, scores: Scores) -> None:
    """Share of empty tracks with a p-value up to p, which should be p, with the 95 % band of luck."""
    values = _p_values(scores)
    _label(axes, f"{gsd:g} m, {len(values)} empty tracks", "p-value", "share of empty tracks at or below it")
    if not len(values):
        _nothing(axes)
        return
    p = np.linspace(0, 1, 201)
    low, high = stats.binom.interval(0.95, len(values), p)
    axes.fill_between(p, low / len(values), high / len(values), color=GREY, alpha=0.2, lw=0, label="95 % by chance")
    axes.plot([0, 1], [0, 1], color=GREY, lw=0.8, ls=":")
    axes.step(
        [0, *values, 1],
        [0, *np.arange(1, len(values) + 1) / len(values), 1],
        where="post",
        color=BLUE,
        lw=1.2,
        label="p-values",
    )
    axes.set(xlim=(0, 1), ylim=(0, 1.01), aspect="equal")


def false_alarm_panel(axes: Axes, gsd: float, scores: Scores, *, rate: float) -> None:
    """False alarms an empty track would give at each rate asked for, and those it gave at the one asked for."""
    values = _p_values(scores)
    _label(
        axes, f"{gsd:g} m, {len(values)} empty tracks", "false-alarm rate asked for", "share of empty tracks below it"
    )
    if not len(values):
        _nothing(axes)
        return
    asked = np.logspace(-3, np.log10(0.5), 120)
    low, high = stats.binom.interval(0.95, len(values), asked)
    floor = 0.3 / len(values)
    got = np.searchsorted(values, asked, side="right") / len(values)
    axes.fill_between(
        asked,
        np.maximum(low / len(values), floor),
        high / len(values),
        color=GREY,
        alpha=0.2,
        lw=0,
        label="95 % by chance",
    )
    axes.plot(asked, asked, color=GREY, lw=0.8, ls=":")
    axes.plot(asked, np.maximum(got, floor), color=BLUE, lw=1.2, drawstyle="steps-post", label="p-values")
    _alarms(axes, scores, rate, floor)
    axes.set(xscale="log", yscale="log", xlim=(1e-3, 0.5), ylim=(floor, 1))


def _alarms(axes: Axes, scores: Scores, rate: float, floor: float) -> None:
    """Mark the share of empty tracks that were said to be occupied at the rate used."""
    alarms = np.array([alarm for score in scores for alarm in score.false_alarm], dtype=float)
    if not len(alarms):
        return
    low, high = wilson(np.array([alarms.sum()]), np.array([float(len(alarms))]))
    share = max(float(alarms.mean()), floor)
    spread = [[share - max(low[0], floor)], [max(high[0] - share, 0)]]
    axes.errorbar(
        [rate], [share], yerr=np.maximum(spread, 0), fmt="D", color=ORANGE, ms=4, lw=1, capsize=2, label="said occupied"
    )
