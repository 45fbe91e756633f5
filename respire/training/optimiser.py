"""What moves the weights, how fast, and the average of them that is kept."""

from copy import deepcopy

import torch
from torch import nn

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


class MovingAverage(nn.Module):
    """The moving average of a network's weights and running statistics, on its device.

    The first steps' decay faster: else the first would keep half its weight over 68 steps at .99.
    Integers (how many batches were counted) are the network's own. torch's AveragedModel has the
    same average and the same state dict, but a GPU is waited for twice a step.

    Attributes:
        module: the average.
    """

    n_averaged: torch.Tensor

    def __init__(self, network: nn.Module, decay: float):
        super().__init__()
        self.module, self.decay = deepcopy(network), decay
        self.register_buffer("n_averaged", torch.tensor(0))  # stays on the host, which reads it
        own, its = (
            [tensor.detach() for tensor in (*of.parameters(), *of.buffers())]
            for of in (self.module, network)
        )
        self._averaged, self._counted = (
            [[t for t in tensors if t.is_floating_point() == floating] for tensors in (own, its)]
            for floating in (True, False)
        )

    @torch.no_grad()
    def update(self) -> None:
        """Take in what the network has become."""
        done = int(self.n_averaged)
        decay = min(self.decay, (1 + done) / (10 + done)) if done else 0.0
        kept, new = self._averaged
        torch._foreach_lerp_(kept, new, 1 - decay)
        kept, new = self._counted
        if kept:
            torch._foreach_copy_(kept, new)
        self.n_averaged += 1
