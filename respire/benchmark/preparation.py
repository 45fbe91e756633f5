"""Preparing recordings over Ray Data: seconds and memory, for any corpus."""

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from respire.benchmark.timing import SETTLED_S
from respire.data.corpora import icbhi
from respire.data.cycles import PreparedCycles, prepare_cycles
from respire.recipe.fields import Preprocess
from respire.runtime.resources import PeakMemory
from respire.runtime.storage import Storage


@dataclass(frozen=True)
class Preparation:
    """One pass from recordings to cycles; Ray must be initialised.

    Attributes:
        cycles: the catalogue.
        prepared: the cycles in storage.
        skipped: recordings left out, one line each.
        catalogue_s: seconds in which every file's header and annotation was read and checked.
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


def prepare(
    directory: str, recipe: Preprocess, storage: Storage, skip_bad: bool = False
) -> Preparation:
    """Prepare all recordings of a directory, in a storage that has none of them yet.

    Raises:
        InputError: a recording is bad, and ``skip_bad`` was not given.
    """
    began = time.perf_counter()
    catalogue = icbhi.read_catalogue(directory, skip_bad)
    cycles = catalogue.cycles
    catalogue_s = time.perf_counter() - began
    with PeakMemory() as memory:
        time.sleep(SETTLED_S)
        at_rest = memory.mebibytes
        began = time.perf_counter()
        prepared = prepare_cycles(cycles, recipe, icbhi.fingerprint(cycles), storage, skip_bad)
        seconds = time.perf_counter() - began
        # What was prepared faster than memory is sampled is still to be sampled once.
        time.sleep(max(0.0, SETTLED_S - seconds))
    skipped = (*catalogue.skipped, *prepared.skipped)
    return Preparation(cycles, prepared, skipped, catalogue_s, seconds, at_rest, memory.mebibytes)
