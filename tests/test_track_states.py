"""What a look at a track is called: a track that shows something is not called empty for want of proof."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from rail_watch.interpret.looks import Looks
from rail_watch.observe.assemble import UNSURE_REASON, Judged, track_looks
from rail_watch.observe.records import TrackLook

ONE = np.ones((1, 1))


def _look(*, p_value: float, statistic: float, fraction: float = 1.0, reason: str | None = None) -> TrackLook:
    looks = Looks(
        visible=[],
        beside=[],
        visible_fraction=fraction * ONE,
        metres=np.zeros((2, 1, 1)),
        statistic=np.array([[[statistic]], [[np.nan]]]),
        p_value=p_value * ONE,
        laws=[],
        known=cast(Any, None),
        reason=[[reason]],
    )
    strip = SimpleNamespace(track="t1", is_bridge=False)
    findings = SimpleNamespace(radar=None, looks=looks, trains=(), strips=(strip,), limits_m=30.0 * ONE)
    judged = cast(Judged, SimpleNamespace(findings=findings, stack=SimpleNamespace(gsd_m=3.0)))
    (look,) = track_looks(judged, cast(Any, None), 0)
    return look


@pytest.mark.parametrize(
    ("p_value", "statistic", "state"),
    [(0.015, 1.0, "unknown"), (0.015, -1.0, "empty"), (0.05, 1.0, "empty"), (0.5, -3.0, "empty")],
)
def test_a_track_that_shows_something_rare_is_not_called_empty(p_value: float, statistic: float, state: str) -> None:
    look = _look(p_value=p_value, statistic=statistic)
    assert look.state == state and look.p_value == p_value
    assert look.reason == (UNSURE_REASON if state == "unknown" else None)


def test_what_hides_half_of_a_track_is_not_the_reason_where_something_shows() -> None:
    assert _look(p_value=0.015, statistic=1.0, fraction=0.9, reason="cloud").reason == UNSURE_REASON
    assert _look(p_value=np.nan, statistic=np.nan, fraction=0.0, reason="cloud").reason == "cloud"
