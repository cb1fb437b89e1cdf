"""How good the answers are: a detections document held against the truth of a labelled series."""

from rail_watch.evaluate.figures import Figure, figures
from rail_watch.evaluate.score import SceneScore, score
from rail_watch.evaluate.standards import Standards, standards_for
from rail_watch.evaluate.truth import Truth, parse_truth, read_truth

__all__ = [
    "Figure",
    "SceneScore",
    "Standards",
    "Truth",
    "figures",
    "parse_truth",
    "read_truth",
    "score",
    "standards_for",
]
