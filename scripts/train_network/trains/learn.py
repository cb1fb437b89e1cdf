"""Learn the weights of one class of GSD. Needs PyTorch; what it writes does not."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from rail_watch.interpret.network import Network
from scripts.train_network.trains.augment import disturbed
from scripts.train_network.trains.sections import Row

TAPS = 5
HIDDEN = 48
BATCH = 24
RATE, LARGEST_RATE, DECAY, DROPOUT = 2e-3, 3e-3, 3e-3, 0.1
RARE = -2.0
"""Log odds with which learning begins: most steps are neither a train nor a gap."""
GAPS = 0.5
"""Weight of the gaps between cars against the trains, where cars can be told apart."""
TOLD_EVERY = 400
CHECKED_ON = 300
"""Held-out rows that progress is told on."""

Arrays = tuple[NDArray[np.float32], NDArray[np.int8], NDArray[np.int8]]


@dataclass(frozen=True)
class Plan:
    """How the network of one class of GSD is built and taught."""

    dilation: tuple[int, ...]
    """Steps between taps, layer by layer: together they must reach over the longest thing that explains a step."""
    crop: int
    """Steps of track shown at once."""
    epochs: float
    texture: float = 0.5
    """Strongest still texture laid over a picture: where pixels are as wide as a track less of it is left."""
    tells_cars: bool = False


PLANS = {
    "fine": Plan((1, 2, 4, 8, 16), 512, 9, tells_cars=True),
    "middle": Plan((1, 2, 4, 8), 256, 4.5),
    "coarse": Plan((1, 2, 4, 8), 96, 9, texture=0.25),
}


class AlongTrack(nn.Module):
    """The network of `rail_watch.interpret.network`, as PyTorch sees it."""

    def __init__(self, features: int, dilation: Sequence[int]) -> None:
        super().__init__()
        self.dilation = tuple(dilation)
        self.read = nn.Conv1d(features, HIDDEN, 1)
        self.along = nn.ModuleList(
            nn.Conv1d(HIDDEN, HIDDEN, TAPS, padding=TAPS // 2 * d, dilation=d) for d in self.dilation
        )
        self.say = nn.Conv1d(HIDDEN, 2, 1)
        nn.init.constant_(self.say.bias, RARE)

    def forward(self, sections: Tensor) -> Tensor:
        """(N, F, S) sections to (N, 2, S) log odds of a train and of a gap between cars."""
        values = functional.relu(self.read(sections))
        for layer in self.along:
            values = values + functional.relu(layer(values))
        return self.say(functional.dropout(values, DROPOUT, self.training))


def as_package(net: AlongTrack) -> Network:
    """Return the weights as the package keeps them."""

    def array(part: Tensor, axes: tuple[int, ...]) -> NDArray[np.float32]:
        return np.ascontiguousarray(part.detach().numpy().transpose(axes), dtype=np.float32)

    return Network(
        read=array(net.read.weight[:, :, 0], (1, 0)),
        read_bias=array(net.read.bias, (0,)),
        along=tuple(array(layer.weight, (2, 1, 0)) for layer in net.along),
        along_bias=tuple(array(layer.bias, (0,)) for layer in net.along),
        dilation=net.dilation,
        say=array(net.say.weight[:, :, 0], (1, 0)),
        say_bias=array(net.say.bias, (0,)),
    )


def _cut(row: Row, crop: int, rng: np.random.Generator) -> Arrays:
    """Cut a piece of a track out; short tracks are followed by steps of which nothing is known."""
    start = int(rng.integers(0, max(len(row.occupied) - crop, 0) + 1))
    part = slice(start, start + crop)
    short = crop - len(row.occupied[part])
    return (
        np.pad(row.sections[part].astype(np.float32), ((0, short), (0, 0))).T,
        np.pad(row.occupied[part], (0, short), constant_values=-1),
        np.pad(row.coupling[part], (0, short)),
    )


def _tensors(parts: Sequence[Arrays]) -> tuple[Tensor, ...]:
    return tuple(torch.from_numpy(np.stack(part).astype(np.float32)) for part in zip(*parts, strict=True))


def loss_of(odds: Tensor, occupied: Tensor, coupling: Tensor, *, tells_cars: bool) -> Tensor:
    """Cross entropy of trains where the truth is known, and of gaps where a train stands."""
    known = (occupied >= 0).float()
    each = functional.binary_cross_entropy_with_logits(odds[:, 0], occupied.clamp(min=0), reduction="none")
    loss = (each * known).sum() / known.sum().clamp(min=1)
    if tells_cars:
        taken = (occupied > 0).float()
        each = functional.binary_cross_entropy_with_logits(odds[:, 1], coupling, reduction="none")
        loss = loss + GAPS * (each * taken).sum() / taken.sum().clamp(min=1)
    return loss


def _checked(net: AlongTrack, rows: Sequence[Row], plan: Plan) -> str:
    """Say how the network does on rows it does not learn from. Only said: nothing is chosen by it."""
    losses, right, said, true = [], 0, 0, 0
    net.eval()
    with torch.no_grad():
        for row in rows:
            sections, occupied, coupling = _tensors([(row.sections.T, row.occupied, row.coupling)])  # type: ignore[list-item]
            odds = net(sections)
            losses.append(loss_of(odds, occupied, coupling, tells_cars=plan.tells_cars).item())
            yes, train = (odds[:, 0] > 0) & (occupied >= 0), occupied == 1
            right, said, true = right + int((yes & train).sum()), said + int(yes.sum()), true + int(train.sum())
    net.train()
    return f"loss {np.mean(losses):.4f}, recall {right / max(true, 1):.3f}, precision {right / max(said, 1):.3f}"


def iterations_for(rows: Sequence[Row], plan: Plan, epochs: float) -> int:
    """Count the batches of so many epochs: in one, as many steps are shown as there are."""
    return max(round(epochs * _weights(rows, plan).sum() / plan.crop / BATCH), 1)


def _weights(rows: Sequence[Row], plan: Plan) -> NDArray[np.float64]:
    """Long tracks are shown more often, but not without bound."""
    return np.minimum([float(len(row.occupied)) for row in rows], 4.0 * plan.crop)


def learn(
    rows: Sequence[Row],
    held_out: Sequence[Row],
    plan: Plan,
    *,
    iterations: int,
    seed: int,
    progress: Callable[[str], None],
) -> Network:
    """Learn from rows; the same rows, seed, threads and version of PyTorch give the same weights.

    Parameters
    ----------
    rows, held_out : what is learnt from, and what progress is told on.
    iterations : batches shown.
    progress : called with a line now and then.
    """
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True)
    rng = np.random.default_rng(seed)
    share = _weights(rows, plan)
    net = AlongTrack(rows[0].sections.shape[1], plan.dilation)
    optimiser = torch.optim.AdamW(net.parameters(), lr=RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LARGEST_RATE, total_steps=iterations, pct_start=0.15)
    check = [row for row in held_out if row.round]
    check = check[:: max(1, len(check) // CHECKED_ON)]
    begin, running = time.monotonic(), 0.0
    for done in range(1, iterations + 1):
        index = rng.choice(len(rows), BATCH, p=share / share.sum())
        loss = _step(net, _tensors([_cut(rows[i], plan.crop, rng) for i in index]), plan, rng)
        optimiser.step()
        schedule.step()
        running = loss if done == 1 else 0.98 * running + 0.02 * loss
        if done % TOLD_EVERY == 0 or done == iterations:
            told = f"; held out: {_checked(net, check, plan)}" if check else ""
            progress(f"{done}/{iterations} loss {running:.4f}{told}; {time.monotonic() - begin:.0f} s")
    return as_package(net)


def _step(net: AlongTrack, batch: tuple[Tensor, ...], plan: Plan, rng: np.random.Generator) -> float:
    """Find the gradient of one batch; returns its loss."""
    sections, occupied, coupling = batch
    sections, turned = disturbed(sections, rng, texture=plan.texture)
    occupied[turned], coupling[turned] = occupied[turned].flip(-1), coupling[turned].flip(-1)
    loss = loss_of(net(sections), occupied, coupling, tells_cars=plan.tells_cars)
    net.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(net.parameters(), 1.0)
    return loss.item()
