"""A bank of noise, as long and as skewed as ICBHI 2017: what a cycle sounds like costs nothing."""

import numpy as np
import pyarrow as pa
import torch

from respire.features.bank import CycleBank
from respire.recipe.recipe import Recipe

CYCLES_A_RECORDING = 7
MEDIAN_S = 2.54
SPREAD = 0.35
SHORTEST_S, LONGEST_S = 0.2, 16.16
"""Lengths of ICBHI's cycles; a log-normal distribution of this spread has their mean of 2.70 s."""
CLASS_COUNTS = (3642, 1864, 886, 506)
"""ICBHI's normal cycles, and those with crackles, wheezes and both."""
LEVEL = 3000
"""Standard deviation of the noise, of 32,767."""


def noise_bank(
    cycles: int, recipe: Recipe, device: torch.device | str = "cpu", seed: int = 0
) -> CycleBank:
    """Make a bank without any file.

    Args:
        cycles: how many, at least 4.
        recipe: gives the rate and the task.
        device: where the audio lives.
        seed: of lengths, classes and noise.
    """
    rng = np.random.default_rng(seed)
    seconds = np.exp(rng.normal(np.log(MEDIAN_S), SPREAD, cycles))
    seconds[[0, -1]] = SHORTEST_S, LONGEST_S
    lengths = np.rint(seconds.clip(SHORTEST_S, LONGEST_S) * recipe.preprocess.sample_rate_hz)
    shares = np.array(CLASS_COUNTS) / sum(CLASS_COUNTS)
    labels = rng.choice(4, cycles, p=shares)
    labels[:4] = range(4)
    starts = np.arange(0, cycles, CYCLES_A_RECORDING)
    rows = []
    for start in starts.tolist():
        own = slice(start, start + CYCLES_A_RECORDING)
        samples = lengths[own].astype(np.int32)
        noise = rng.normal(0, LEVEL, samples.sum()).clip(-32767, 32767)
        rows.append(
            {
                "recording": f"noise-{start:06d}",
                "patient": start,
                "device": "none",
                "cycle": list(range(len(samples))),
                "label": labels[own],
                "samples": samples,
                "audio": noise.astype(np.int16),
            }
        )
    return CycleBank.from_table(pa.Table.from_pylist(rows), recipe.task, device)
