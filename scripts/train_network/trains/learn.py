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

from rail_watch.change.radiometry import SLOWEST
from rail_watch.errors import BadInput
from rail_watch.interpret.network import Network
from rail_watch.interpret.sections import SCALARS
from scripts.train_network.seeds import GSD_M
from scripts.train_network.trains.augment import disturbed
from scripts.train_network.trains.measure import NOISY
from scripts.train_network.trains.paths import path_loss
from scripts.train_network.trains.sections import Row
from scripts.train_network.trains.uncouple import uncoupled

TAPS = 5
HIDDEN = 64
SILENT = 0.1
"""Share of their first weights that layers and units begin with beside those that have been taught before."""
BATCH = 28
"""Looks shown at once: `SCENES` at most of each of several tracks."""
SCENES = (2, 3, 4, 5, 7, 9, 14)
"""How many scenes of a track are shown together, disturbed alike in what belongs to the place."""
OFTENER = 3.0
"""Looks at uneven ground, or ground that hardly follows the reference's, are shown this many times as often: under snow
everything is different, and few looks are."""
RATE, LARGEST_RATE, DECAY, DROPOUT = 2e-3, 3e-3, 3e-3, 0.1
GENTLE = 0.4
"""Share of the rates at which weights are taught that have been taught before."""
RARE = -2.0
"""Log odds with which learning begins: most steps are neither a train nor a gap."""
OTHER = 0.5
"""Weight of the second log odds (gaps between cars, or a train here or beside) against those of a train."""
PATH = 5.0
"""Weight of whole paths against single steps: a path weighs a few nats where its steps, summed, weigh some twenty."""
TOLD_EVERY = 400
CHECKED_ON = 60
"""Held-out tracks that progress is told on."""

Arrays = tuple[NDArray[np.float32], NDArray[np.int8], NDArray[np.int8]]
Batch = tuple[tuple[Tensor, ...], int]
"""Sections and labels, and how many scenes of each track there are."""


@dataclass(frozen=True)
class Plan:
    """How the network of one class of GSD is built and taught."""

    dilation: tuple[int, ...]
    """Steps between taps, layer by layer: together they must reach over the longest thing that explains a step."""
    crop: int
    """Steps of track shown at once."""
    epochs: float
    gsd_m: float
    """Of the class."""
    texture: float = 0.5
    """Strongest still texture laid over a picture: where pixels are as wide as a track less of it is left."""
    tells_cars: bool = False


PLANS = {
    "fine": Plan((1, 2, 4, 8, 16, 32), 384, 8, GSD_M["fine"], tells_cars=True),
    "middle": Plan((1, 2, 4, 8, 16), 192, 6, GSD_M["middle"]),
    "coarse": Plan((1, 2, 4, 8), 96, 9, GSD_M["coarse"], texture=0.25),
}


class AlongTrack(nn.Module):
    """The network of `rail_watch.interpret.network`, as PyTorch sees it."""

    def __init__(self, features: int, plan: Plan) -> None:
        super().__init__()
        self.dilation = plan.dilation
        self.read = nn.Conv1d(features, HIDDEN, 1)
        self.along = nn.ModuleList(
            nn.Conv1d(HIDDEN, HIDDEN, TAPS, padding=TAPS // 2 * d, dilation=d) for d in self.dilation
        )
        self.say = nn.Conv1d(HIDDEN, 2, 1)
        nn.init.constant_(self.say.bias, RARE)

    def forward(self, sections: Tensor) -> Tensor:
        """(N, F, S) sections to (N, 2, S) log odds."""
        values = functional.relu(self.read(sections))
        for layer in self.along:
            values = values + functional.relu(layer(values))
        return self.say(functional.dropout(values, DROPOUT, self.training))


def begun_from(network: Network, plan: Plan) -> AlongTrack:
    """Return a net that says what these weights say; what the plan has beyond them begins as good as silent.

    Raises
    ------
    BadInput
        The weights are of another shape.
    """
    net = AlongTrack(len(network.read), plan)
    here, width = len(network.dilation), network.read.shape[1]
    if network.dilation != plan.dilation[:here] or width > HIDDEN:
        raise BadInput(f"weights with layers {network.dilation} cannot begin a network with layers {plan.dilation}")
    parts = [(net.read, network.read[None], network.read_bias), (net.say, network.say[None], network.say_bias)]
    parts += zip(net.along[:here], network.along, network.along_bias, strict=True)
    with torch.no_grad():
        for layer in net.along:
            layer.weight.mul_(SILENT)
            layer.bias.zero_()
        net.say.weight.mul_(SILENT)
        for layer, weights, bias in parts:
            known = torch.from_numpy(weights.transpose(2, 1, 0).copy())
            layer.weight[: known.shape[0], : known.shape[1]] = known
            layer.bias[: len(bias)] = torch.from_numpy(bias.copy())
    return net


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


def by_track(rows: Sequence[Row], sources: Sequence[int]) -> list[list[Row]]:
    """Gather the rows of one track and round: its scenes. `sources`: of each row, which series it is of."""
    tracks: dict[tuple[int, int, int], list[Row]] = {}
    for row, source in zip(rows, sources, strict=True):
        tracks.setdefault((source, row.strip, row.round), []).append(row)
    return list(tracks.values())


def _cut(row: Row, start: int, crop: int) -> Arrays:
    """Cut a piece of a track out; short tracks are followed by steps of which nothing is known."""
    part = slice(start, start + crop)
    short = crop - len(row.occupied[part])
    return (
        np.pad(row.sections[part].astype(np.float32), ((0, short), (0, 0))).T,
        np.pad(row.occupied[part], (0, short), constant_values=-1),
        np.pad(row.other[part], (0, short), constant_values=-1),
    )


def _tensors(parts: Sequence[Arrays]) -> tuple[Tensor, ...]:
    return tuple(torch.from_numpy(np.stack(part).astype(np.float32)) for part in zip(*parts, strict=True))


def loss_of(odds: Tensor, occupied: Tensor, other: Tensor, *, tells_cars: bool) -> Tensor:
    """Cross entropy of trains where the truth is known, of gaps where one stands or trains near by; and of paths."""
    loss = PATH * path_loss(odds[:, 0], occupied).sum() / (occupied >= 0).sum().clamp(min=1)
    ranges = (occupied >= 0, (occupied > 0) if tells_cars else (other >= 0))
    for i, (truth, known, weight) in enumerate(zip((occupied, other), ranges, (1.0, OTHER), strict=True)):
        each = functional.binary_cross_entropy_with_logits(odds[:, i], truth.clamp(min=0), reduction="none")
        loss = loss + weight * (each * known).sum() / known.sum().clamp(min=1)
    return loss


def _checked(net: AlongTrack, tracks: Sequence[Sequence[Row]], plan: Plan) -> str:
    """Say how the network does on rows it does not learn from. Only said: nothing is chosen by it."""
    losses, right, said, true = [], 0, 0, 0
    net.eval()
    with torch.no_grad():
        for rows in tracks:
            sections, occupied, other = _tensors([(r.sections.T, r.occupied, r.other) for r in rows])  # type: ignore[misc]
            odds = net(sections)
            losses.append(loss_of(odds, occupied, other, tells_cars=plan.tells_cars).item())
            yes, train = (odds[:, 0] > 0) & (occupied >= 0), occupied == 1
            right, said, true = right + int((yes & train).sum()), said + int(yes.sum()), true + int(train.sum())
    net.train()
    return f"loss {np.mean(losses):.4f}, recall {right / max(true, 1):.3f}, precision {right / max(said, 1):.3f}"


def iterations_for(rows: Sequence[Row], plan: Plan, epochs: float) -> int:
    """Count the batches of so many epochs: in one, as many steps are shown as there are."""
    steps = sum(min(len(row.occupied), 4 * plan.crop) for row in rows)
    return max(round(epochs * steps / plan.crop / BATCH), 1)


def _weights(tracks: Sequence[Sequence[Row]], plan: Plan) -> NDArray[np.float64]:
    """Long tracks and long series are shown more often, but not without bound."""
    return np.array([min(len(rows[0].occupied), 4 * plan.crop) * min(len(rows), 20) for rows in tracks], dtype=float)


def _how_often(rows: Sequence[Row]) -> NDArray[np.float64]:
    """(N,) share of looks that each of a track's scenes gets."""
    whole = np.stack([row.sections[0, -len(SCALARS) :] for row in rows]).astype(np.float64)
    noise, likeness = (whole[:, SCALARS.index(name)] for name in ("noise", "likeness to the reference"))
    often = np.where((noise > np.log(NOISY) + 2.5) | (likeness < SLOWEST), OFTENER, 1.0)
    return np.asarray(often / often.sum())


def _batch(tracks: Sequence[Sequence[Row]], share: NDArray[np.float64], plan: Plan, rng: np.random.Generator) -> Batch:
    """Cut the same piece out of several scenes of each of some tracks."""
    scenes = int(rng.choice(SCENES))
    parts: list[Arrays] = []
    for i in rng.choice(len(tracks), max(BATCH // scenes, 1), p=share):
        rows = tracks[i]
        start = int(rng.integers(0, max(len(rows[0].occupied) - plan.crop, 0) + 1))
        # A series that has fewer scenes is shown with some of them twice, disturbed differently.
        chosen = rng.choice(len(rows), scenes, replace=len(rows) < scenes, p=_how_often(rows))
        parts += [_cut(rows[j], start, plan.crop) for j in chosen]
    return _tensors(parts), scenes


@dataclass(frozen=True)
class Course:
    """One learning."""

    iterations: int
    """Batches shown."""
    seed: int
    """Of weights, crops and disturbances."""
    start: Network | None = None
    """Weights to begin with; random ones where not given."""


def learn(
    tracks: Sequence[Sequence[Row]],
    held_out: Sequence[Sequence[Row]],
    plan: Plan,
    course: Course,
    *,
    progress: Callable[[str], None],
) -> Network:
    """Learn from rows; the same rows, seed, threads and version of PyTorch give the same weights.

    Parameters
    ----------
    tracks, held_out : rows by track, from `by_track`: what is learnt from, and what progress is told on.
    progress : called with a line now and then.
    """
    torch.manual_seed(course.seed)
    torch.use_deterministic_algorithms(True)
    rng = np.random.default_rng(course.seed)
    start, iterations = course.start, course.iterations
    share = _weights(tracks, plan)
    net = AlongTrack(tracks[0][0].sections.shape[1], plan) if start is None else begun_from(start, plan)
    gentle = 1.0 if start is None else GENTLE
    optimiser = torch.optim.AdamW(net.parameters(), lr=gentle * RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, gentle * LARGEST_RATE, total_steps=iterations, pct_start=0.15
    )
    check = [rows for rows in held_out if rows[0].round]
    check = check[:: max(1, len(check) // CHECKED_ON)]
    begin, running = time.monotonic(), 0.0
    for done in range(1, iterations + 1):
        loss = _step(net, _batch(tracks, share / share.sum(), plan, rng), plan, rng)
        optimiser.step()
        schedule.step()
        running = loss if done == 1 else 0.98 * running + 0.02 * loss
        if done % TOLD_EVERY == 0 or done == iterations:
            told = f"; held out: {_checked(net, check, plan)}" if check else ""
            progress(f"{done}/{iterations} loss {running:.4f}{told}; {time.monotonic() - begin:.0f} s")
    return as_package(net)


def cars_of(occupied: Tensor, gaps: Tensor | None, rng: np.random.Generator) -> Tensor:
    """(N, S) a number for each car; where gaps cannot be told trains are cut anywhere, every ten steps or so."""
    cuts = gaps > 0 if gaps is not None else torch.from_numpy(rng.random(occupied.shape) < 0.1)
    number = 1 + torch.cumsum(cuts, dim=1)
    body = occupied > 0 if gaps is None else (occupied > 0) & ~cuts
    return torch.where(body, number, 0)


def _step(net: AlongTrack, batch: Batch, plan: Plan, rng: np.random.Generator) -> float:
    """Find the gradient of one batch; returns its loss."""
    (sections, occupied, other), scenes = batch
    uncoupled(sections, (occupied, other), rng, scenes=scenes, gsd_m=plan.gsd_m)
    cars = cars_of(occupied, other if plan.tells_cars else None, rng)
    sections, turned = disturbed(sections, cars, rng, scenes=scenes, texture=plan.texture, gsd_m=plan.gsd_m)
    occupied[turned], other[turned] = occupied[turned].flip(-1), other[turned].flip(-1)
    odds = net(sections)
    loss = loss_of(odds, occupied, other, tells_cars=plan.tells_cars)
    net.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(net.parameters(), 1.0)
    return loss.item()
