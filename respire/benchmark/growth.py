"""Scaling: seconds and memory for 1, 4 and 16 times as many cycles."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from respire.benchmark.preparation import Preparation, describe, prepare
from respire.benchmark.timing import peak_mib
from respire.data.corpora.synthetic import write_corpus
from respire.features.bank import CycleBank
from respire.recipe.recipe import Recipe
from respire.runtime.compute import Compute
from respire.runtime.storage import Storage
from respire.training.loop import fit

PATIENTS, RECORDINGS_A_PATIENT, CYCLES_A_RECORDING = 16, 3.5, 7.5
"""Of the smallest corpus: 420 cycles, a sixteenth of ICBHI 2017."""
POOLED = 4
"""Height and width that the cheap network pools an image to."""


def small_corpus(folder: Path, times: int = 1) -> str:
    """Write a synthetic corpus with so many times the patients of the smallest."""
    directory = folder / f"corpus-{times}"
    write_corpus(
        directory,
        patients=PATIENTS * times,
        recordings_per_patient=RECORDINGS_A_PATIENT,
        cycles_per_recording=CYCLES_A_RECORDING,
    )
    return str(directory)


def measure_scaling(
    recipe: Recipe,
    compute: Compute,
    folder: Path,
    storage: Storage,
    *,
    sizes: Sequence[int],
    epochs: int,
    repeats: int,
) -> dict[str, Any]:
    """Prepare corpora of several sizes, and train a network on them that costs next to nothing.

    What is left of an epoch is the input path. Ray must be initialised; as its first tasks take
    seconds to start, the smallest corpus is prepared once more, before all.

    Args:
        recipe: preprocessing and input path.
        compute: device and precision.
        folder: where the corpora are written.
        storage: holds nothing of them yet.
        sizes: how many times the smallest corpus, rising.
        epochs: epochs that count; one goes before.
        repeats: preparations of each corpus, in turns.

    Returns:
        The part "scaling" of results.json.
    """
    corpora = {times: small_corpus(folder, times) for times in sizes}
    runs: dict[int, list[Preparation]] = {times: [] for times in sizes}
    prepare(corpora[sizes[0]], recipe.preprocess, storage / "scaling-first")
    for repeat in range(repeats):
        for times, directory in corpora.items():
            place = storage / f"scaling-{times}-{repeat}"
            runs[times].append(prepare(directory, recipe.preprocess, place))
    rows = [
        {"times": times, **describe(runs[times]), **_trained(recipe, compute, runs[times], epochs)}
        for times in sizes
    ]
    return {
        "sizes": rows,
        "slopes": {name: slope(rows, name) for name in ("prepare_s", "epoch_s")},
    }


def slope(rows: Sequence[dict[str, Any]], column: str) -> float:
    """Growth of a column with the cycles, from smallest to largest: 1 is in proportion."""
    first, last = rows[0], rows[-1]
    return math.log(last[column] / first[column]) / math.log(last["cycles"] / first["cycles"])


def _trained(
    recipe: Recipe, compute: Compute, runs: Sequence[Preparation], epochs: int
) -> dict[str, Any]:
    recordings = sorted(runs[0].prepared.recordings())
    bank = CycleBank.from_table(runs[0].prepared.read(recordings), recipe.task, compute.device)
    cheap = nn.Sequential(
        nn.AdaptiveAvgPool2d(POOLED),
        nn.Flatten(),
        nn.Linear(3 * POOLED**2, len(recipe.classes)),
    )

    def train(epochs: int) -> list[float]:
        optimisation = replace(recipe.optimisation, epochs=epochs)
        run = fit(cheap, bank, None, recipe, optimisation, compute, seed=0)
        return [row["seconds"] for row in run.history]

    seconds = train(1 + epochs)[1:]
    return {
        "epoch_s": statistics.median(seconds),
        "epoch_s_minimum": min(seconds),
        "epoch_peak_memory_mib": peak_mib(lambda: train(1)),
    }
