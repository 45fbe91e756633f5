"""fit(): the training loop, plain PyTorch from top to bottom; it knows neither Ray nor MLflow."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import bf16_compress_hook
from torch.nn.functional import cross_entropy

from respire.features.bank import CycleBank
from respire.features.keyed import sample_keys
from respire.features.pipeline import Pipeline
from respire.metrics import Scores, check_scorable, confusion_matrix
from respire.models.decision import decide
from respire.models.network import (
    Learnt,
    Weights,
    as_of,
    network_input,
    on_device,
    share_batch_statistics,
)
from respire.recipe.fields import Optimisation
from respire.recipe.recipe import Recipe
from respire.runtime.compute import Compute
from respire.training.loss import class_importance, logit_adjustment
from respire.training.optimiser import MovingAverage, optimiser_of
from respire.training.predict import count_votes, predict_logits
from respire.training.sampling import World, plan_epoch

Row = dict[str, float]
OnEpoch = Callable[[Row], None]
"""What is called with each epoch's row of ``Fit.history``."""
HOST_BANK = "recordings_in_host_memory"
"""Name in an epoch's row for a bank that was too large for the GPU; left out where none was."""


@dataclass
class Fit:
    """A training run, finished or under way.

    Attributes:
        weights: state dict of the chosen epoch, on the CPU.
        counts: the training cycles (or windows) of each class, int64 [C].
        epoch: the chosen epoch, 1-based; 0 before any.
        scores: what the choice was made by, or None where the last epoch was taken.
        history: a row an epoch: epoch, train_loss, learning_rate, seconds and, where a side
            selects, validation_loss, validation_se, validation_sp, validation_score (test_loss and
            so on where test selects); where test is watched, test_se, test_sp, test_score;
            HOST_BANK.
        progress: state of network, optimiser and schedule after the last row; None once finished.
    """

    weights: Weights = field(default_factory=dict)
    counts: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.int64))
    epoch: int = 0
    scores: Scores | None = None
    history: list[Row] = field(default_factory=list)
    progress: dict[str, Any] | None = None

    def state(self) -> dict[str, Any]:
        """Everything as tensors, numbers and containers, for torch.save."""
        confusion = None if self.scores is None else torch.from_numpy(self.scores.confusion)
        return {
            "weights": self.weights,
            "counts": self.counts,
            "epoch": self.epoch,
            "confusion": confusion,
            "history": self.history,
            "progress": self.progress,
        }

    @property
    def learnt(self) -> Learnt:
        """What predicts."""
        return Learnt(self.weights, self.counts)

    @property
    def from_host_memory(self) -> bool:
        """Whether the recordings were too large for the GPU in some epoch."""
        return any(HOST_BANK in row for row in self.history)

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> "Fit":
        """The run that ``state`` described."""
        confusion = state["confusion"]
        scores = None if confusion is None else Scores(confusion.numpy())
        kept = {name: value for name, value in state.items() if name != "confusion"}
        return cls(**kept, scores=scores)


def fit(
    network: nn.Module,
    train: CycleBank,
    selector: CycleBank | None,
    recipe: Recipe,
    optimisation: Optimisation,
    compute: Compute,
    *,
    seed: int,
    watched: CycleBank | None = None,
    start: Fit | None = None,
    after_epoch: Callable[[Fit], None] = lambda _: None,
) -> Fit:
    """Train the network; keep the epoch with the best Score on the selecting side, or the last.

    Under torch.distributed every worker calls it with the same arguments and its own ``train``
    bank; gradients are averaged, and metrics are those of all workers together. Called again with
    the ``start`` that an interrupted run left, it ends as that run would have.

    Args:
        network: images [B, 3, H, W] to logits [B, C]; trained in place.
        train: the cycles to learn from (with sharded banks, this worker's).
        selector: the cycles whose Score chooses the epoch, whole on every worker; None takes the
            last epoch.
        recipe: features, model and classes.
        optimisation: optimiser, epochs and batch (stage 1 and stage 2 differ in them).
        compute: device and precision.
        seed: training seed.
        watched: the test side, for ``recipe.watch_test``: every epoch's Scores on it are noted in
            ``Fit.history``, and nothing follows from them.
        start: where an interrupted run stood.
        after_epoch: called with the run so far after every epoch.

    Raises:
        InputError: the selecting side lacks normal or abnormal cycles, so that it has no Score; or
            the workers do not divide the batch.
        FloatingPointError: the loss is no longer finite.
    """
    if selector is not None:
        check_scorable(selector.cycles["label"].to_numpy(), "selecting")
    world = World(dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else World()
    compute.settle()
    if recipe.model.sync_batchnorm and world.size > 1:
        network = share_batch_statistics(network, compute.device)
    network = on_device(network, compute.device)
    replica = replicated(network, optimisation.exchange) if world.size > 1 else network
    pipeline = Pipeline(recipe, compute.device)
    train = pipeline.windows(train)
    importance = class_importance(recipe, optimisation).to(compute.device)
    shard = world.size > 1 and optimisation.bank == "sharded"
    held = torch.bincount(train.label, minlength=len(recipe.classes)).to(compute.device)
    held = _over_workers(held, world) if shard else held
    windows = int(held.sum())
    adjustment = logit_adjustment(held, optimisation)
    steps = math.ceil(windows / optimisation.batch_size)
    optimiser, schedule = optimiser_of(network, optimisation, steps)
    decay = optimisation.average_decay
    average = MovingAverage(network, decay) if decay > 0 else None
    kept = network if average is None else average.module
    run = start or Fit(counts=held.cpu())
    if run.progress is not None:
        network.load_state_dict(as_of(network, run.progress["network"]))
        if average is not None:
            average.load_state_dict(as_of(average, run.progress["average"]))
        optimiser.load_state_dict(run.progress["optimiser"])
        schedule.load_state_dict(run.progress["schedule"])

    for epoch in range(len(run.history) + 1, optimisation.epochs + 1):
        began = time.perf_counter()
        torch.manual_seed(_dropout_seed(seed, epoch, world.rank))
        drawn = (optimisation.batch_size, seed, epoch, world, shard, optimisation.sampling)
        plan = plan_epoch(train, windows, *drawn)
        labels = train.label[plan.cycle].to(compute.device, non_blocking=True)
        epoch_draws = pipeline.draw(train, plan.cycle, sample_keys(seed, epoch, plan.sample))
        replica.train()
        losses = torch.zeros((), device=compute.device)
        for draws, label in zip(epoch_draws, labels, strict=True):
            images = pipeline.drawn_images(train, draws)
            with compute.autocast():
                logits = replica(network_input(images))
            logits = logits.float() - adjustment
            loss = cross_entropy(logits, label, weight=importance, reduction="sum") / len(label)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            if average is not None:
                average.update()
            losses += loss.detach()
        for module in dict.fromkeys((network, kept)):
            _share_buffers(module, world)
        train_loss = float(_over_workers(losses, world)) / (steps * world.size)
        learning_rate = optimiser.param_groups[0]["lr"]
        if not math.isfinite(train_loss):
            raise FloatingPointError(
                f"the training loss is {train_loss} in epoch {epoch}, at a learning rate of "
                f"{learning_rate:g}: lower it (--recipe.optimisation.learning-rate, or of "
                f"fine-tuning --recipe.finetune.learning-rate)"
            )
        row: Row = {"epoch": epoch, "train_loss": train_loss, "learning_rate": learning_rate}
        if train.in_host_memory:
            row[HOST_BANK] = 1.0
        scores = None
        if selector is not None:
            loss_there, scores = evaluate(kept, pipeline, selector, recipe, compute, world, held)
            row |= {f"{recipe.selection}_loss": loss_there, **_noted(recipe.selection, scores)}
        if watched is not None:
            _, seen = evaluate(kept, pipeline, watched, recipe, compute, world, held)
            row |= _noted("test", seen)
        if scores is None or run.scores is None or _better(scores, run.scores, recipe):
            run.weights = {k: v.detach().cpu().clone() for k, v in kept.state_dict().items()}
            run.epoch, run.scores = epoch, scores
        run.history = [*run.history, row | {"seconds": time.perf_counter() - began}]
        run.progress = {
            "network": network.state_dict(),
            "average": None if average is None else average.state_dict(),
            "optimiser": optimiser.state_dict(),
            "schedule": schedule.state_dict(),
        }
        after_epoch(run)
    return run


def evaluate(
    network: nn.Module,
    pipeline: Pipeline,
    bank: CycleBank,
    recipe: Recipe,
    compute: Compute,
    world: World,
    counts: Tensor,
) -> tuple[float, Scores]:
    """Mean cross-entropy and Scores on a bank, each worker predicting every size-th entry.

    Where long cycles are cut into windows, the loss is over windows, and a cycle's class is what
    most of its windows say (predict.py). Of a network trained on so many cycles of each class,
    ``counts``, int64 [C]; classes are decided under the training prior.
    """
    cycles = len(bank)
    bank = pipeline.windows(bank)
    chosen = torch.arange(len(bank))[world.rank :: world.size]
    logits = predict_logits(network, pipeline, bank, chosen, compute)
    label = bank.label[chosen].to(compute.device)
    loss = _over_workers(cross_entropy(logits, label, reduction="sum"), world) / len(bank)
    decided = decide(logits, counts.to(compute.device), 0.0)
    votes = count_votes(decided, bank.whole[chosen], cycles, len(recipe.classes))
    votes = _over_workers(votes, world)
    predicted = votes.argmax(1).cpu().numpy()
    truth = torch.empty(cycles, dtype=torch.int64).index_put((bank.whole,), bank.label)
    return float(loss), Scores(confusion_matrix(truth.numpy(), predicted, len(recipe.classes)))


def _noted(side: str, scores: Scores) -> Row:
    return {f"{side}_{name}": value for name, value in scores.fractions.items()}


def _better(scores: Scores, before: Scores, recipe: Recipe) -> bool:
    """Whether an epoch beats the best before it, by the recipe's yardstick."""
    if recipe.selected_by == "accuracy":
        return scores.accuracy > before.accuracy
    return scores.score > before.score


def _over_workers(value: Tensor, world: World) -> Tensor:
    """The sum over all workers."""
    if world.size > 1:
        dist.all_reduce(value)
    return value


def replicated(network: nn.Module, exchange: Literal["fp32", "bf16"]) -> nn.Module:
    """The network, its gradients averaged over all workers.

    Running statistics are not sent before every step (torch's default: 108 tensors of a ResNet-34):
    training reads none, and at the end of an epoch all are given the first worker's.
    """
    replica = nn.parallel.DistributedDataParallel(
        network, forward_sync_buffers=False, gradient_as_bucket_view=True
    )
    if exchange == "bf16":
        replica.register_comm_hook(None, bf16_compress_hook)
    return replica


def _share_buffers(network: nn.Module, world: World) -> None:
    """Give all workers the first one's running statistics, those that are kept and scored."""
    if world.size > 1:
        for buffer in network.buffers():
            dist.broadcast(buffer, 0)


def _dropout_seed(seed: int, epoch: int, rank: int) -> int:
    """Seeds torch's generator afresh each epoch, so that a resumed run repeats the same epoch."""
    return int(np.random.SeedSequence((seed, epoch, rank)).generate_state(1, np.uint64)[0] >> 1)
