"""Preparing recordings over Ray Data, and an epoch of them: seconds and memory, by their number."""

import math
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
from torch import nn

from respire.benchmark.timing import SETTLED_S, peak_mib
from respire.data.corpora.corpus import open_corpus
from respire.data.corpora.synthetic import write_corpus
from respire.data.cycles import PreparedCycles, prepare_cycles
from respire.features.bank import CycleBank
from respire.recipe.fields import Preprocess
from respire.recipe.recipe import Recipe
from respire.runtime.compute import Compute
from respire.runtime.resources import PeakMemory
from respire.runtime.storage import Storage
from respire.training.loop import fit

PATIENTS, RECORDINGS_A_PATIENT, CYCLES_A_RECORDING = 16, 3.5, 7.5
"""Of the smallest corpus: 420 cycles, a sixteenth of ICBHI 2017."""
POOLED = 4
"""Height and width that the cheap network pools an image to."""


@dataclass(frozen=True)
class Preparation:
    """One pass from recordings to cycles; Ray must be initialised.

    Attributes:
        cycles: the catalogue.
        prepared: the cycles in storage.
        skipped: recordings left out, one line each.
        catalogue_s: seconds in which all headers and annotations were checked, and files hashed.
        seconds: of reading, filtering, slicing and writing.
        at_rest_mib: what all processes held together before, Ray's included.
        peak_memory_mib: the most they held meanwhile.
    """

    cycles: pd.DataFrame
    prepared: PreparedCycles
    skipped: tuple[str, ...]
    catalogue_s: float
    seconds: float
    at_rest_mib: float
    peak_memory_mib: float


def prepare(data: str, recipe: Preprocess, storage: Storage, skip_bad: bool = False) -> Preparation:
    """Prepare all recordings of a corpus, in a storage that has none of them yet.

    Raises:
        InputError: a recording is bad, and ``skip_bad`` was not given.
    """
    began = time.perf_counter()
    corpus = open_corpus(data, skip_bad)
    cycles = corpus.cycles
    catalogue_s = time.perf_counter() - began
    with PeakMemory() as memory:
        time.sleep(SETTLED_S)
        at_rest = memory.mebibytes
        began = time.perf_counter()
        prepared = prepare_cycles(cycles, recipe, corpus.fingerprint, storage, skip_bad)
        seconds = time.perf_counter() - began
        # What was prepared faster than memory is sampled is still to be sampled once.
        time.sleep(max(0.0, SETTLED_S - seconds))
    skipped = (*corpus.skipped, *prepared.skipped)
    return Preparation(cycles, prepared, skipped, catalogue_s, seconds, at_rest, memory.mebibytes)


def describe(runs: Sequence[Preparation]) -> dict[str, Any]:
    """Repeats of one preparation as results.json keeps them: median seconds, highest memory."""
    cycles = runs[0].cycles
    return {
        "recordings": int(cycles["recording"].nunique()),
        "cycles": len(cycles),
        "audio_s": float((cycles["end_s"] - cycles["start_s"]).sum()),
        "preparations": len(runs),
        "catalogue_s": statistics.median(run.catalogue_s for run in runs),
        "prepare_s": statistics.median(run.seconds for run in runs),
        "prepare_s_minimum": min(run.seconds for run in runs),
        "at_rest_mib": max(run.at_rest_mib for run in runs),
        "prepare_peak_memory_mib": max(run.peak_memory_mib for run in runs),
    }


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
    prepare(corpora[sizes[0]], recipe.preprocess, storage / "scaling-first")
    turns = [
        {
            times: prepare(corpus, recipe.preprocess, storage / f"scaling-{times}-{repeat}")
            for times, corpus in corpora.items()
        }
        for repeat in range(repeats)
    ]
    rows = []
    for times in sizes:
        runs = [turn[times] for turn in turns]
        trained = _trained(recipe, compute, runs[0].prepared, epochs)
        rows.append({"times": times, **describe(runs), **trained})
    return {"sizes": rows, "slopes": {name: slope(rows, name) for name in ("prepare_s", "epoch_s")}}


def slope(rows: Sequence[dict[str, Any]], column: str) -> float:
    """Growth of a column with the cycles, from smallest to largest: 1 is in proportion."""
    first, last = rows[0], rows[-1]
    return math.log(last[column] / first[column]) / math.log(last["cycles"] / first["cycles"])


def _trained(
    recipe: Recipe, compute: Compute, prepared: PreparedCycles, epochs: int
) -> dict[str, Any]:
    cycles = prepared.read(sorted(prepared.recordings()))
    bank = CycleBank.from_table(cycles, recipe.task, compute.device)
    pool, width = nn.AdaptiveAvgPool2d(POOLED), 3 * POOLED**2
    cheap = nn.Sequential(pool, nn.Flatten(), nn.Linear(width, len(recipe.classes)))

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
