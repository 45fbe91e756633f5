"""The train step: samples a second without an input path, with it, and of the input path alone."""

import time
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn

import respire.training.loop as loop
from respire.benchmark import machine as floors
from respire.benchmark.input_path import images, plan_batches
from respire.benchmark.noise_bank import noise_bank
from respire.benchmark.timing import in_turns, memory, synchronise
from respire.benchmark.traffic import traffic_of_steps
from respire.features.bank import CycleBank
from respire.features.draws import Draws
from respire.features.pipeline import Pipeline, image_size
from respire.models.network import network_input, network_of
from respire.recipe.recipe import Recipe
from respire.runtime.compute import Compute

STEP, LOOP, INPUT = "train step", "whole loop", "input path"
LED_IN = 1
"""Steps of an epoch before the clock starts."""


class _Metronome(Pipeline):
    """A pipeline that notes when it is asked for each batch, and may give the same images always.

    Attributes:
        still: the images to give, or None for those asked for.
        asked: seconds; the device is waited for at the first and last that count only.
    """

    def __init__(self, recipe: Recipe, device: torch.device | str, still: Tensor | None, last: int):
        super().__init__(recipe, device)
        self.still, self.last = still, last
        self.asked: list[float] = []

    def drawn_images(self, bank: CycleBank, draws: list[Draws]) -> Tensor:
        if len(self.asked) in (LED_IN, self.last):
            synchronise(self.device)
        self.asked.append(time.perf_counter())
        if self.still is not None:
            return self.still
        return super().drawn_images(bank, draws)


def measure_step(
    recipe: Recipe, compute: Compute, *, steps: int, repeats: int, network: nn.Module | None = None
) -> dict[str, Any]:
    """Time ``fit()`` with images that are already there and with the real input path.

    Both are the training loop itself, with its network, optimiser, batch and precision.

    Args:
        recipe: all of these.
        compute: device and precision.
        steps: steps in each repeat.
        repeats: repeats of each.
        network: to train in place of the recipe's, e.g. a compiled one.

    Returns:
        A size in the part "step" of results.json.
    """
    batch, image, device = recipe.optimisation.batch_size, image_size(recipe), compute.device
    bank = noise_bank(batch * (LED_IN + steps + 1), recipe, device)
    trained = network or network_of(recipe)
    still = network_input(torch.randn(batch, 3, *image, device=device))
    tasks = {
        STEP: lambda: _seconds(trained, bank, recipe, compute, steps, still),
        LOOP: lambda: _seconds(trained, bank, recipe, compute, steps, None),
        INPUT: images(recipe, bank, plan_batches(bank, recipe, steps), device),
    }
    rates = in_turns(tasks, batch * steps, repeats)
    flops, matmul = floors.train_flops(recipe, image), floors.matmul_flops_per_s(compute)
    return {
        "image": list(image),
        "batch": batch,
        "rates": {name: timing.to_json() for name, timing in rates.items()},
        "loop_of_step": rates[LOOP].times_as_fast_as(rates[STEP]),
        "input_share_of_step": rates[STEP].times_as_fast_as(rates[INPUT]),
        "floor": {
            "flops_a_sample": flops,
            "matmul_flops_per_s": matmul,
            "per_s": matmul / flops,
            "reached": rates[STEP].best_per_s * flops / matmul,
        },
        "traffic": traffic_of_steps(recipe),
        **memory(tasks[LOOP], device),
    }


def _seconds(
    network: nn.Module,
    bank: CycleBank,
    recipe: Recipe,
    compute: Compute,
    steps: int,
    still: Tensor | None,
) -> float:
    """Seconds of some steps in the middle of an epoch."""
    metronome = _Metronome(recipe, compute.device, still, LED_IN + steps)
    optimisation = replace(recipe.optimisation, epochs=1)
    with patch.object(loop, "Pipeline", lambda *_: metronome):  # fit() takes its images from it
        loop.fit(network, bank, None, recipe, optimisation, compute, seed=0)
    return metronome.asked[LED_IN + steps] - metronome.asked[LED_IN]
