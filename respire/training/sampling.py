"""Which cycles an epoch trains on (paper 2.1: mini-batches sampled uniformly from each class)."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from respire.errors import InputError
from respire.features.bank import CycleBank
from respire.recipe.fields import Sampling


@dataclass(frozen=True)
class World:
    """This worker, of rank 0 … size - 1, among all workers."""

    rank: int = 0
    size: int = 1


@dataclass(frozen=True)
class EpochPlan:
    """The samples one worker sees in one epoch, S steps of its share b of the global batch.

    Both are int64 [S, b] in host memory: indices into the worker's bank, and each sample's global
    index in the epoch, which keys its augmentation.
    """

    cycle: Tensor
    sample: Tensor


def share_of_batch(batch_size: int, workers: int) -> int:
    """A worker's share of the global batch.

    Raises:
        InputError: the workers do not divide the batch.
    """
    if workers < 1 or batch_size % workers:
        raise InputError(
            f"recipe.optimisation.batch_size: {workers} workers do not divide the global batch of "
            f"{batch_size}; choose a number of workers that does, or another batch size"
        )
    return batch_size // workers


def plan_epoch(
    bank: CycleBank,
    windows: int,
    batch_size: int,
    seed: int,
    epoch: int,
    world: World,
    shard: bool,
    sampling: Sampling = "class-uniform",
) -> EpochPlan:
    """Draw an epoch: a class uniformly, then a cycle of that class uniformly, again and again.

    Or, "cycle-uniform", one cycle after the other in random order, and all over again. Workers with
    shares of their own draw equally many each, so that the cycles of a smaller share come oftener.

    Args:
        bank: this worker's cycles.
        windows: cycles that all workers together hold; the epoch is as many windows, rounded up
            to whole batches.
        batch_size: global batch.
        seed: training seed.
        epoch: 1-based.
        world: this worker among all.
        shard: whether the bank is this worker's own share (it then draws for itself), or a replica
            (all workers then draw the same epoch, and each takes its part).
        sampling: the recipe's.

    Raises:
        InputError: the workers do not divide the batch.
    """
    share = share_of_batch(batch_size, world.size)
    steps = math.ceil(windows / batch_size)
    stream = (seed, epoch, world.rank) if shard else (seed, epoch)
    drawn = share if shard else batch_size
    draw = _class_uniform if sampling == "class-uniform" else _cycle_uniform
    cycle = draw(bank, steps * drawn, np.random.default_rng(stream)).view(steps, drawn)
    first = world.rank * share
    if not shard:
        cycle = cycle[:, first : first + share]
    sample = torch.arange(steps * batch_size).view(steps, batch_size)
    return EpochPlan(cycle, sample[:, first : first + share])


def _class_uniform(bank: CycleBank, count: int, rng: np.random.Generator) -> Tensor:
    """Indices of cycles, int64 [count], every class of the bank equally likely."""
    label = bank.cycles["label"].to_numpy()
    by_class = np.argsort(label, kind="stable")
    _, size = np.unique(label, return_counts=True)
    drawn = rng.integers(len(size), size=count)
    within = np.floor(rng.random(count) * size[drawn]).astype(np.int64)
    return torch.from_numpy(by_class[(np.cumsum(size) - size)[drawn] + within])


def _cycle_uniform(bank: CycleBank, count: int, rng: np.random.Generator) -> Tensor:
    """Indices of cycles, int64 [count], each as often as any other but for one time."""
    rounds = math.ceil(count / len(bank))
    orders = rng.permuted(np.tile(np.arange(len(bank)), (rounds, 1)), axis=1)
    return torch.from_numpy(orders.flatten()[:count])
