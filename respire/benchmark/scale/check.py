"""Measure what the model of scale (needs.py) takes as given, and hold it against larger corpora.

Seconds are core-seconds of processes, which hardly feel who else uses the machine, but for Ray's,
which are of the clock. Memory is read from Linux, which keeps each process's peak.
"""

import ctypes
import gc
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, get_args

import numpy as np
import pandas as pd
import psutil
import pyarrow as pa
import pyarrow.dataset as ds
from pyarrow import fs

from respire.benchmark.growth import small_corpus
from respire.benchmark.noise_bank import noise_bank
from respire.benchmark.scale.needs import TABLE_BYTES, Rates
from respire.data.audio import read_duration_s
from respire.data.corpora import icbhi
from respire.data.cycles import PreparedCycles, prepare_cycles
from respire.data.prepare import by_recording, key_of, prepare_block
from respire.data.rows import blocks_of
from respire.data.splits.split import Split, split
from respire.errors import InputError
from respire.features.bank import CycleBank
from respire.recipe.fields import Sampling
from respire.recipe.recipe import Recipe
from respire.runtime.storage import Storage
from respire.statistics.intervals import bootstrap, simulated_coverage
from respire.training.sampling import World, plan_epoch
from respire.training.stage1 import share_recordings

T = TypeVar("T")
WORKERS = 64
"""Workers that a simulated catalogue is shared among."""
PART = 8
"""Every so many recordings are read apart: all of them are scanned, and these are kept."""
ROOM_BYTES = 1000
"""Memory a cycle that the steps on a catalogue take at their peak, the catalogue included."""
PATIENTS_WITH_COVERAGE = 10_000
"""Test patients up to which intervals are simulated: each takes 0.2 MB of memory."""


class Cost(NamedTuple):
    """What something took: core-seconds, seconds of the clock, bytes at its peak."""

    core_s: float
    clock_s: float
    peak_bytes: float


def costs(function: Callable[[], T]) -> tuple[T, Cost]:
    """Do something once, in this process.

    Raises:
        InputError: this is not Linux, or it does not tell its peak.
    """
    gc.collect()
    pa.default_memory_pool().release_unused()
    ctypes.CDLL(None).malloc_trim(0)
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError as error:
        raise InputError(f"--measure: needs Linux, for the peak of memory ({error})") from error
    before, began, clock = _status("VmRSS"), time.process_time(), time.perf_counter()
    result = function()
    core_s, clock_s = time.process_time() - began, time.perf_counter() - clock
    return result, Cost(core_s, clock_s, max(0, _status("VmHWM") - before))


def measure_corpus(directory: str, recipe: Recipe, storage: Storage) -> dict[str, Any]:
    """Take recordings from files to a bank; Ray must be initialised, and have run tasks before.

    Args:
        directory: the recordings.
        recipe: preprocessing and task.
        storage: holds nothing of them yet.

    Returns:
        Counts, bytes and seconds, by name.
    """
    catalogue, found = costs(lambda: icbhi.read_catalogue(directory))
    cycles = catalogue.cycles
    fingerprint, hashed = costs(lambda: icbhi.fingerprint(cycles))
    blocks = blocks_of(by_recording(cycles))
    _, alone = costs(lambda: [prepare_block(block, recipe.preprocess) for block in blocks])
    prepared, on_ray = costs(
        lambda: prepare_cycles(cycles, recipe.preprocess, fingerprint, storage)
    )
    names = sorted(prepared.recordings())
    _, read_part = costs(lambda: prepared.read(names[::PART]))
    rows, read = costs(lambda: prepared.read(names))
    bank, made = costs(lambda: CycleBank.from_table(rows, recipe.task))
    audio = bank.audio.nbytes
    tables = (bank.first, bank.length, bank.label, bank.previous, bank.following, bank.whole)
    files = cycles["audio"].drop_duplicates()
    return {
        "cores": os.cpu_count(),
        "recordings": len(names),
        "cycles": len(cycles),
        "patients": int(cycles["patient"].nunique()),
        "cycle_s": float((cycles["end_s"] - cycles["start_s"]).sum()),
        "recorded_s": _recorded_s(files),
        "file_bytes": sum(Path(file).stat().st_size for file in files),
        "parquet_bytes": _parquet_bytes(prepared),
        "catalogue_bytes": int(cycles.memory_usage(deep=True).sum()),
        "bank_bytes": audio,
        "table_bytes": sum(column.nbytes for column in (*tables, bank.by_class, bank.identity)),
        "frame_bytes": int(bank.cycles.memory_usage(deep=True).sum()),
        "read_peak_bytes": read.peak_bytes,
        "bank_peak_bytes": made.peak_bytes,
        "catalogue_core_s": found.core_s,
        "fingerprint_core_s": hashed.core_s,
        "prepare_core_s": alone.core_s,
        "read_core_s": read.core_s,
        "read_part_core_s": read_part.core_s,
        "prepare_on_ray_s": on_ray.clock_s,
    }


def rates_of(measured: dict[str, Any], source: str) -> Rates:
    """The rates that one corpus, of ``measure_corpus``, shows."""
    hours = measured["recorded_s"] / 3600
    kept_s = (measured["read_core_s"] - measured["read_part_core_s"]) / (1 - 1 / PART)
    return Rates(
        source=source,
        recordings=measured["recordings"] / hours,
        cycles=measured["cycles"] / hours,
        patients=measured["patients"] / hours,
        cycle_share=measured["cycle_s"] / measured["recorded_s"],
        file_bytes=measured["file_bytes"] / hours,
        parquet_bytes=measured["parquet_bytes"] / measured["cycle_s"],
        catalogue_s=measured["catalogue_core_s"] / measured["recordings"],
        fingerprint_s=measured["fingerprint_core_s"] / measured["file_bytes"],
        prepare_s=measured["prepare_on_ray_s"] * measured["cores"] / measured["recordings"],
        scan_s=(measured["read_core_s"] - kept_s) / measured["cycle_s"],
        keep_s=kept_s / measured["cycle_s"],
        catalogue_bytes=measured["catalogue_bytes"] / measured["cycles"],
        frame_bytes=measured["frame_bytes"] / measured["cycles"],
        read_copies=measured["read_peak_bytes"] / measured["bank_bytes"],
        bank_copies=measured["bank_peak_bytes"] / measured["bank_bytes"],
    )


def measure_growth(
    recipe: Recipe, folder: Path, storage: Storage, sizes: Sequence[int]
) -> list[dict[str, Any]]:
    """Measure synthetic corpora of so many times the smallest one's patients, a row each."""
    corpora = [small_corpus(folder, times) for times in sizes]
    measure_corpus(corpora[0], recipe, storage / "first")  # imports, and Ray's first tasks
    return [
        {"times": times, **measure_corpus(corpus, recipe, storage / f"times-{times}")}
        for times, corpus in zip(sizes, corpora, strict=True)
    ]


def predicted(row: dict[str, Any], smallest: dict[str, Any], sample_rate_hz: int) -> dict[str, Any]:
    """What the model says of a corpus: bytes of its annotations, all else of the smallest one's."""
    of_cycles = row["cycles"] / smallest["cycles"]
    of_seconds = row["cycle_s"] / smallest["cycle_s"]
    of_recordings = row["recordings"] / smallest["recordings"]
    return {
        "bank_bytes": 2.0 * sample_rate_hz * row["cycle_s"],
        "table_bytes": TABLE_BYTES * row["cycles"],
        "frame_bytes": of_cycles * smallest["frame_bytes"],
        "catalogue_bytes": of_cycles * smallest["catalogue_bytes"],
        "parquet_bytes": of_seconds * smallest["parquet_bytes"],
        "catalogue_core_s": of_recordings * smallest["catalogue_core_s"],
        "fingerprint_core_s": row["file_bytes"]
        / smallest["file_bytes"]
        * smallest["fingerprint_core_s"],
        "prepare_core_s": of_recordings * smallest["prepare_core_s"],
        "prepare_on_ray_s": of_recordings * smallest["prepare_on_ray_s"],
    }


def repeated(cycles: pd.DataFrame, times: int) -> pd.DataFrame:
    """A catalogue so many times over, each time with other patients; sorted as catalogues are.

    Args:
        cycles: a catalogue (data/corpora/icbhi.py); patients below 1,000.
        times: at least 1.
    """
    starts = np.flatnonzero(~cycles["recording"].duplicated().to_numpy())
    counts = np.diff(np.append(starts, len(cycles)))
    once = cycles.iloc[starts]
    number, which = np.divmod(np.arange(times * len(starts)), len(starts))
    patients = once["patient"].to_numpy()[which] + 1000 * number
    rest = once["recording"].str.partition("_")[2].to_numpy()[which]
    names = pd.Series(patients).astype(str).str.cat(pd.Series(rest), sep="_")
    order = np.argsort(names.to_numpy(), kind="stable")
    length = counts[which[order]]
    recording = np.repeat(order, length)
    within = np.arange(len(recording)) - np.repeat(np.cumsum(length) - length, length)
    made = cycles.take(starts[which[recording]] + within).reset_index(drop=True)
    made["recording"] = names.take(recording).reset_index(drop=True)
    made["patient"] = patients[recording]
    return made


def measure_catalogues(
    cycles: pd.DataFrame, hours: Sequence[float], rates: Rates, recipe: Recipe
) -> Iterator[dict[str, Any]]:
    """Run all that touches no audio on catalogues of many hours, a row each step and size.

    Sizes that this machine's free memory has no room for are left out.

    Args:
        cycles: the catalogue that is repeated.
        hours: of recordings, rising.
        rates: of that catalogue.
        recipe: preprocessing, and training for the epoch's plan.
    """
    for size in hours:
        times = max(1, round(size * rates.cycles / len(cycles)))
        if ROOM_BYTES * times * len(cycles) > psutil.virtual_memory().available:
            continue
        many = repeated(cycles, times)
        for step, cost in _steps(many, recipe):
            yield {
                "hours": size,
                "recordings": int(many["recording"].nunique()),
                "cycles": len(many),
                "step": step,
                **cost._asdict(),
            }


def _steps(cycles: pd.DataFrame, recipe: Recipe) -> Iterator[tuple[str, Cost]]:
    """Each step on a catalogue, and its cost."""
    yield "key of the cycles", costs(lambda: key_of(cycles, recipe.preprocess, ""))[1]
    table, cost = costs(lambda: by_recording(cycles))
    yield "list of recordings", cost
    yield "list of blocks", costs(partial(blocks_of, table))[1]
    del table
    cut, cost = costs(lambda: split(cycles, "80-20", 0, 0))
    yield "split", cost
    yield "side of each cycle", costs(lambda: cut.side_of(cycles))[1]
    yield "shares", costs(lambda: share_recordings(cut.train, WORKERS, 0))[1]
    bank = _silent_bank(cycles, cut, recipe)
    batch = recipe.optimisation.batch_size
    for sampling in get_args(Sampling):
        plan = partial(plan_epoch, bank, len(bank), batch, 0, 1, World(), False, sampling)
        yield f"plan of an epoch, {sampling}", costs(plan)[1]
        del plan
    del bank
    tested = cycles.loc[cycles["recording"].isin(cut.test), ["patient", "label"]]
    tested = tested.assign(predicted=np.random.default_rng(0).permutation(tested["label"]))
    if tested["patient"].nunique() <= PATIENTS_WITH_COVERAGE:
        yield "interval over patients", costs(lambda: bootstrap(tested, 0))[1]
        yield "its simulated coverage", costs(lambda: simulated_coverage(tested, 0))[1]


def _silent_bank(cycles: pd.DataFrame, cut: Split, recipe: Recipe) -> CycleBank:
    """A bank with the table of the training cycles, and no audio of theirs."""
    frame = cycles.loc[cycles["recording"].isin(cut.train), ["recording", "cycle", "label"]]
    return replace(noise_bank(4, recipe), cycles=frame.reset_index(drop=True))


def _recorded_s(files: pd.Series) -> float:
    return sum(read_duration_s(fs.LocalFileSystem(), file) for file in files)


def _parquet_bytes(prepared: PreparedCycles) -> int:
    filesystem, path = prepared.storage.filesystem()
    files = ds.dataset(path, filesystem=filesystem, format="parquet").files
    return sum(info.size for info in filesystem.get_file_info(files))


def _status(field: str) -> int:
    """Bytes of a line of /proc/self/status."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines[field].split()[0]) * 1024
