"""How likely the true trains are among all the ways a track can be split, as the detector splits it.

Step by step the log odds of a short gap hardly matter, and a few steps of doubt are enough for two trains to be told as
one. This asks for the whole: that the path the detector follows (`rail_watch.interpret.segments`) be the true one. It
is the loss of a conditional random field of two states (Lafferty et al., ICML 2001).
"""

from __future__ import annotations

import torch
from torch import Tensor

from rail_watch.interpret.segments import BOUND, SWITCH_COST

NEVER = -1e4
"""Log weight of what cannot be."""


def path_loss(odds: Tensor, occupied: Tensor) -> Tensor:
    """Return minus the log probability of the true path of each track.

    Parameters
    ----------
    odds : (N, S) log odds of a train.
    occupied : (N, S) 1 where a train stands, 0 where none, -1 where either may be.

    Returns
    -------
    (N,) nats.
    """
    score = odds.clamp(-BOUND, BOUND)
    states = torch.stack([torch.zeros_like(score), score], dim=-1)
    wrong = torch.stack([occupied == 1, occupied == 0], dim=-1)
    every, true = _total(states), _total(states.masked_fill(wrong, NEVER))
    return every - true


def _total(states: Tensor) -> Tensor:
    """(N,) log sum of the weights of all paths; states: (N, S, 2) log weight of each state at each step.

    What is shown is a piece of a track, which may begin and end in either state. Neighbouring steps are joined in
    pairs, and these again, so that it takes log2(S) rounds.
    """
    change = -SWITCH_COST * (1 - torch.eye(2))
    joined = change + states[:, :, None, :]
    steps = joined.shape[1]
    padded = 1 << (steps - 1).bit_length()
    same = torch.where(torch.eye(2) > 0, 0.0, NEVER)
    joined = torch.cat([joined, same.expand(len(joined), padded - steps, 2, 2)], dim=1)
    while joined.shape[1] > 1:
        joined = torch.logsumexp(joined[:, ::2, :, :, None] + joined[:, 1::2, None, :, :], dim=3)
    return torch.logsumexp(joined[:, 0].flatten(1), dim=-1)
