"""Floors: the least time this machine could take, from what must be computed and moved.

A train step cannot be faster than its multiplications at the rate of a large matrix product; the
input path cannot be faster than a copy of what it must read and write.
"""

from collections.abc import Callable

import torch
from torch.utils.flop_counter import FlopCounterMode

from respire.benchmark.timing import timed
from respire.models.network import network_of
from respire.recipe.recipe import Recipe
from respire.runtime.compute import Compute

MATRIX = {"cpu": 2048, "cuda": 16384}
"""Rows of the square matrices that are multiplied."""
COPIED_MIB = {"cpu": 256, "cuda": 4096}
"""Far more than any cache holds."""
REPEATS = 5


def matmul_flops_per_s(compute: Compute) -> float:
    """Floating-point operations a second of a large matrix product, in the network's precision."""
    size = MATRIX[compute.device]
    dtype = torch.bfloat16 if compute.precision == "bf16" else torch.float32
    left, right = torch.randn(2, size, size, device=compute.device).to(dtype)
    return 2 * size**3 / _fastest(lambda: left @ right, compute.device)


def copied_bytes_per_s(device: str) -> float:
    """Bytes a second of a copy within the device's memory, those read and those written."""
    source = torch.ones(COPIED_MIB[device] * 2**20 // 4, device=device)
    target = torch.zeros_like(source)
    return 2 * source.nbytes / _fastest(lambda: target.copy_(source), device)


def train_flops(recipe: Recipe, image: tuple[int, int]) -> int:
    """Floating-point operations of training on one image, forward and backward.

    Counted on shapes alone, as torch counts: convolutions and matrix products, two operations a
    multiplication.

    Args:
        recipe: gives the network.
        image: height and width.
    """
    batch = 2  # batch normalisation refuses less
    with torch.device("meta"):
        network = network_of(recipe)
        images = torch.empty(batch, 3, *image)
    with FlopCounterMode(display=False) as counter:
        network(images).sum().backward()
    return counter.get_total_flops() // batch


def input_bytes(recipe: Recipe, image: tuple[int, int]) -> int:
    """Bytes the input path must move for one window: its int16 samples in, its image out.

    Everything between could stay in a cache.

    Args:
        recipe: gives the window.
        image: height and width.
    """
    samples = recipe.features.samples(recipe.preprocess.sample_rate_hz)
    height, width = image
    return 2 * samples + 3 * 4 * height * width


def _fastest(function: Callable[[], object], device: str) -> float:
    task = timed(function, device)
    task()
    return min(task() for _ in range(REPEATS))
