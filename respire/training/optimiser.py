"""What moves the weights, how fast, and the average of them that is kept."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from respire.recipe.fields import Optimisation


def optimiser_of(
    network: nn.Module, optimisation: Optimisation, steps: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    """The optimiser, and its schedule over all epochs of ``steps`` steps."""
    optimiser: torch.optim.Optimizer
    rate, decay = optimisation.learning_rate, optimisation.weight_decay
    if optimisation.optimiser == "sgd":
        momentum = optimisation.momentum
        optimiser = torch.optim.SGD(network.parameters(), rate, momentum, weight_decay=decay)
    else:
        optimiser = torch.optim.AdamW(network.parameters(), rate, weight_decay=decay)
    if optimisation.schedule == "constant":
        return optimiser, torch.optim.lr_scheduler.LambdaLR(optimiser, lambda _: 1.0)
    return optimiser, torch.optim.lr_scheduler.OneCycleLR(
        optimiser,
        rate,
        # One step more than is taken: the scheduler is stepped once after the last batch too.
        total_steps=steps * optimisation.epochs + 1,
        cycle_momentum=optimisation.optimiser == "adamw",
    )


def average_of(network: nn.Module, decay: float) -> AveragedModel | None:
    """The moving average of the network's weights and running statistics, where one is wanted.

    The first steps' decay faster: else the first would keep half its weight over 68 steps at .99.
    """
    if decay == 0:
        return None

    def move(kept: Any, new: Any, steps: Tensor | int) -> None:
        done = int(average.n_averaged)  # on the host: a GPU need not be waited for
        get_ema_multi_avg_fn(min(decay, (1 + done) / (10 + done)))(kept, new, steps)

    average = AveragedModel(network, multi_avg_fn=move, use_buffers=True)
    return average
