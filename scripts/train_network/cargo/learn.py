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

from rail_watch.interpret.aprons import CHANNELS, SCALARS
from rail_watch.interpret.ground_network import GroundNetwork
from scripts.train_network.cargo.augment import Shown, disturb
from scripts.train_network.cargo.rows import SCALE, UNKNOWN, Row
from scripts.train_network.seeds import GSD_M

Array = NDArray[np.float32]

BATCH = 12
"""Crops shown at once."""
RATE, LARGEST_RATE, DECAY = 2e-3, 4e-3, 1e-3
GENTLE = 0.6
"""Share of the rates at which weights are taught that have been taught before."""
SILENT = 0.1
"""Share of their first weights that units begin with beside those that have been taught before."""
RARE = -2.0
"""Log odds with which learning begins: most of an apron is bare."""
ON_CARGO = 0.35
"""Share of crops round a place that is covered; the others lie anywhere on an apron."""
TOLD_EVERY = 100
CHECKED_ON = 40
"""Held-out pictures that progress is told on."""
EVENED_ON = 60
"""Pictures on which the shares said are made to sum to the true ones."""


@dataclass(frozen=True)
class Plan:
    """How the network of one class of GSD is built and taught."""

    dilation: tuple[int, ...]
    """Pixels of the coarser grid between taps, layer by layer: together they must reach over the longest shadow."""
    factor: int
    """So many pixels make one of the coarser grid, each way."""
    width: tuple[int, int]
    """Units on the finer grid and on the coarser."""
    crop: int
    """Pixels shown at once, each way; a multiple of `factor`."""
    iterations: int
    gsd_m: float


PLANS = {
    "fine": Plan((1, 2, 4, 8), 2, (16, 24), 64, 3600, GSD_M["fine"]),
    "middle": Plan((1, 2, 4), 1, (16, 24), 32, 2400, GSD_M["middle"]),
    "coarse": Plan((1, 2), 1, (12, 16), 20, 2400, GSD_M["coarse"]),
}


class OverGround(nn.Module):
    """The network of `rail_watch.interpret.ground_network`, as PyTorch sees it."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        fine, wide = plan.width
        self.plan = plan
        self.read = nn.Conv2d(len(CHANNELS), fine, 3, padding=1)
        self.whole = nn.Linear(len(SCALARS), fine, bias=False)
        self.down = nn.Conv2d(fine, wide, plan.factor, stride=plan.factor)
        self.wider = nn.ModuleList(nn.Conv2d(wide, wide, 3, padding=d, dilation=d) for d in plan.dilation)
        self.up = nn.Conv2d(wide, fine, 1)
        self.join = nn.Conv2d(fine, fine, 3, padding=1)
        self.say = nn.Conv2d(fine, 1, 1)
        nn.init.constant_(self.say.bias, RARE)

    def forward(self, pictures: Tensor, scalars: Tensor) -> Tensor:
        """(N, C, row, column) pictures and (N, S) scalars to (N, row, column) log odds."""
        fine = functional.relu(self.read(pictures) + self.whole(scalars)[:, :, None, None])
        wide = functional.relu(self.down(fine))
        for layer in self.wider:
            wide = wide + functional.relu(layer(wide))
        back = self.up(wide).repeat_interleave(self.plan.factor, 2).repeat_interleave(self.plan.factor, 3)
        joined = functional.relu(self.join(functional.relu(fine + back)))
        return self.say(joined)[:, 0]

    def parts(self) -> dict[str, nn.Conv2d]:
        """Layers by the names they have in the package."""
        wider = {f"wider_{i}": layer for i, layer in enumerate(self.wider)}
        return {"read": self.read, "down": self.down, **wider, "up": self.up, "join": self.join, "say": self.say}


def begun_from(network: GroundNetwork, plan: Plan) -> OverGround:
    """Return a net that says what these weights say; units of the plan beyond theirs begin as good as silent."""
    net = OverGround(plan)
    with torch.no_grad():
        for name, layer in net.parts().items():
            layer.weight.mul_(SILENT)
            layer.bias.zero_()
            weights, bias = network.layers[name]
            side = layer.kernel_size[0]
            known = torch.from_numpy(weights.reshape(side, side, *weights.shape[1:]).transpose(3, 2, 0, 1).copy())
            layer.weight[: known.shape[0], : known.shape[1]] = known
            layer.bias[: bias.size] = torch.from_numpy(np.atleast_1d(bias).copy())
        net.whole.weight.mul_(SILENT)
        net.whole.weight[: network.whole.shape[1]] = torch.from_numpy(network.whole.T.copy())
    return net


def as_package(net: OverGround) -> GroundNetwork:
    """Return the weights as the package keeps them."""
    layers = {}
    for name, layer in net.parts().items():
        weights = layer.weight.detach().numpy().transpose(2, 3, 1, 0)
        taps = np.ascontiguousarray(weights.reshape(-1, *weights.shape[2:]), dtype=np.float32)
        layers[name] = (taps, layer.bias.detach().numpy().astype(np.float32).copy())
    whole = np.ascontiguousarray(net.whole.weight.detach().numpy().T, dtype=np.float32)
    return GroundNetwork(layers, whole, net.plan.dilation, net.plan.factor)


def cut(row: Row, centre: tuple[int, int], crop: int, gsd_m: float) -> Shown:
    """Cut a square out of a row round a place; beyond the picture's edges there is nothing."""
    low = [c - crop // 2 for c in centre]
    shape = row.covered.shape
    here = tuple(slice(max(a, 0), min(a + crop, n)) for a, n in zip(low, shape, strict=True))
    there = tuple(slice(h.start - a, h.stop - a) for h, a in zip(here, low, strict=True))
    picture = np.zeros((crop, crop, row.picture.shape[2]), np.float32)
    picture[there] = row.picture[here]
    covered = np.full((crop, crop), UNKNOWN, np.uint8)
    covered[there] = row.covered[here]
    known = (covered != UNKNOWN).astype(np.float32)
    share = np.where(known > 0, covered / SCALE, 0).astype(np.float32)
    return Shown(np.ascontiguousarray(picture.transpose(2, 0, 1)), row.scalars.copy(), share, known, gsd_m)


def _centre(row: Row, rng: np.random.Generator) -> tuple[int, int]:
    cargo = np.flatnonzero((row.covered != UNKNOWN) & (row.covered > 0.5 * SCALE))
    pool = cargo if len(cargo) and rng.random() < ON_CARGO else np.flatnonzero(row.covered != UNKNOWN)
    r, c = np.unravel_index(int(rng.choice(pool)), row.covered.shape)
    return int(r), int(c)


def loss_of(odds: Tensor, share: Tensor, known: Tensor) -> Tensor:
    """Cross entropy against the share of each pixel that is covered, where that is known."""
    each = functional.binary_cross_entropy_with_logits(odds, share, reduction="none")
    return (each * known).sum() / known.sum().clamp(min=1)


def _batch(crops: Sequence[Shown]) -> tuple[Tensor, ...]:
    parts = ([getattr(crop, name) for crop in crops] for name in ("picture", "scalars", "share", "known"))
    return tuple(torch.from_numpy(np.stack(part).astype(np.float32)) for part in parts)


def odds_on(net: OverGround, row: Row) -> Array:
    """(row, column) log odds on a whole row."""
    factor = net.plan.factor
    picture = np.pad(row.picture, ((0, -row.covered.shape[0] % factor), (0, -row.covered.shape[1] % factor), (0, 0)))
    with torch.no_grad():
        shown = torch.from_numpy(picture.astype(np.float32).transpose(2, 0, 1)[None].copy())
        odds = net(shown, torch.from_numpy(row.scalars)[None])[0].numpy()
    return np.asarray(odds[: row.covered.shape[0], : row.covered.shape[1]], dtype=np.float32)


def _checked(net: OverGround, rows: Sequence[Row]) -> str:
    """Say how the network does on rows it does not learn from. Only said: nothing is chosen by it."""
    right = said = true = 0
    for row in rows:
        known = row.covered != UNKNOWN
        yes, cargo = odds_on(net, row)[known] > 0, row.covered[known] > 0.5 * SCALE
        right, said, true = right + int((yes & cargo).sum()), said + int(yes.sum()), true + int(cargo.sum())
    return f"recall {right / max(true, 1):.3f}, precision {right / max(said, 1):.3f}"


def even(net: OverGround, rows: Sequence[Row]) -> float:
    """Shift all log odds so that the shares said sum to the true ones on rows as they come; returns the shift."""
    odds, share = [], []
    for row in rows:
        known = row.covered != UNKNOWN
        odds.append(odds_on(net, row)[known])
        share.append(row.covered[known] / SCALE)
    every, true = np.concatenate(odds).astype(np.float64), float(np.concatenate(share).mean())
    low, high = -3.0, 3.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if (1 / (1 + np.exp(-every - middle))).mean() < true else (low, middle)
    with torch.no_grad():
        net.say.bias += low
    return low


def learn(
    rows: Sequence[Row],
    held_out: Sequence[Row],
    plan: Plan,
    *,
    seed: int,
    start: GroundNetwork | None,
    progress: Callable[[str], None],
) -> GroundNetwork:
    """Learn from rows; the same rows, seed, threads and version of PyTorch give the same weights.

    Parameters
    ----------
    rows, held_out : what is learnt from, and what progress is told on.
    start : weights to begin with; random ones where None.
    progress : called with a line now and then.
    """
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True)
    rng = np.random.default_rng(seed)
    net, gentle = (OverGround(plan), 1.0) if start is None else (begun_from(start, plan), GENTLE)
    optimiser = torch.optim.AdamW(net.parameters(), lr=gentle * RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, gentle * LARGEST_RATE, total_steps=plan.iterations, pct_start=0.15
    )
    # Large aprons are shown more often, but not in proportion: their looks are alike.
    share = np.sqrt([float((row.covered != UNKNOWN).sum()) for row in rows])
    check = [row for row in held_out if row.round]
    check = check[:: max(1, len(check) // CHECKED_ON)]
    begin, running = time.monotonic(), 0.0
    for done in range(1, plan.iterations + 1):
        chosen = [rows[i] for i in rng.choice(len(rows), BATCH, p=share / share.sum())]
        crops = [cut(row, _centre(row, rng), plan.crop, plan.gsd_m) for row in chosen]
        for crop in crops:
            disturb(crop, rng)
        pictures, scalars, covered, known = _batch(crops)
        loss = loss_of(net(pictures, scalars), covered, known)
        net.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        running = loss.item() if done == 1 else 0.98 * running + 0.02 * loss.item()
        if done % TOLD_EVERY == 0 or done == plan.iterations:
            told = f"; held out: {_checked(net, check)}" if check else ""
            progress(f"{done}/{plan.iterations} loss {running:.4f}{told}; {time.monotonic() - begin:.0f} s")
    last = [row for row in rows if row.round]
    shift = even(net, last[:: max(1, len(last) // EVENED_ON)])
    progress(f"log odds shifted by {shift:+.2f}, so that shares sum to the true ones")
    return as_package(net)
