"""What a run needs by hours of recordings, in counts, bytes and seconds, and what gives out first.

Everything grows in proportion to the hours. What an hour holds and what each piece of work costs is
measured (``Rates``); what machines there are is said by the user (``Machines``); nothing else goes
in. No GPU's speed is known here: it is given, or bounded.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from respire.data.rows import RECORDINGS_A_BLOCK
from respire.data.splits.draw import TEST_SHARE, VALIDATION_SHARE
from respire.errors import InputError
from respire.features.bank import GPU_SHARE
from respire.recipe.recipe import Recipe

TABLE_BYTES = 8 * 8
"""Of a cycle in a bank: six int64 columns, its place among those of its class, its identity."""
CHECKPOINT_COPIES = {"sgd": 3, "adamw": 4}
"""Of the weights in a checkpoint: the chosen epoch's, the last one's, and the optimiser's; where
weights are averaged, the average is one more."""
GIB = 2**30
OBJECT_STORE_SHARE = 0.3
"""Of a node's memory, what Ray's object store may take by default."""
QUEUED_TASKS = 1_000_000
"""Tasks queued on one node that Ray has been tested with (its release/benchmarks/README.md)."""

REMEDIES = {
    "a worker's training bank, on its GPU": "none needed: the bank stays in host memory; more "
    "workers",
    "the selector, whole on every worker's GPU": "none needed: it stays in host memory; more "
    "workers do not help",
    "rows in the object store of the driver's node": "the sharded bank; a larger driver; else Ray "
    "writes them to its disk",
    "all training rows as one object, for the baselines": "a larger driver; else Ray keeps them on "
    "its disk",
    "the driver: catalogue, and training rows, which stage 2 reads there": "a larger driver",
    "a worker's memory: its bank, or both of the baselines": "larger nodes; more workers do not "
    "help the baselines",
    "Ray tasks queued at once, one a block": "larger blocks",
}
"""What grows with the hours until it is full, and what to do then."""


@dataclass(frozen=True)
class Rates:
    """What an hour of recordings holds, and what work on it costs; all measured.

    Attributes:
        source: what was measured, on what.
        recordings: an hour.
        cycles: an hour.
        patients: an hour.
        cycle_share: of the recorded time, what lies within cycles.
        file_bytes: of audio files, an hour.
        parquet_bytes: of a second of cycles.
        catalogue_s: core-seconds a recording, to find, check and hash it.
        fingerprint_s: core-seconds a byte of audio files, to hash it.
        prepare_s: seconds a recording, times the cores, to read, filter and slice it over Ray.
        scan_s: core-seconds a second of cycles in Parquet, to look for some.
        keep_s: core-seconds a second of cycles that are kept.
        catalogue_bytes: of a cycle in the catalogue, its recording's path included.
        frame_bytes: of a cycle in a bank's table of cycles.
        read_copies: peak of reading rows, of the audio's own size.
        bank_copies: peak of making a bank of rows, theirs not counted, of the audio's own size.
    """

    source: str
    recordings: float
    cycles: float
    patients: float
    cycle_share: float
    file_bytes: float
    parquet_bytes: float
    catalogue_s: float
    fingerprint_s: float
    prepare_s: float
    scan_s: float
    keep_s: float
    catalogue_bytes: float
    frame_bytes: float
    read_copies: float
    bank_copies: float

    @classmethod
    def read(cls, file: Path, otherwise: Path) -> "Rates":
        """The rates that a results.json holds.

        Args:
            file: of experiments/scale.py, or of experiments/benchmark.py, which says how long
                finding and preparing recordings takes on its machine.
            otherwise: of experiments/scale.py, for the rest.

        Raises:
            InputError: the file is neither.
        """
        try:
            results = json.loads(file.read_text())
            if "rates" in results:
                return cls(**results["rates"])
            part = results.get("recordings") or results["scaling"]["sizes"][-1]
            cores = results["environment"]["threads"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{file}: not the results.json of experiments/scale.py, nor of "
                f"experiments/benchmark.py with its recordings or scaling part ({error!r})"
            ) from error
        rest = cls.read(otherwise, otherwise)
        return replace(
            rest,
            source=f"finding and preparing: {file}; all else: {rest.source}",
            catalogue_s=part["catalogue_s"] / part["recordings"],
            prepare_s=part["prepare_s_minimum"] * cores / part["recordings"],
        )


@dataclass(frozen=True)
class Machines:
    """What a run may use, as the user says.

    Attributes:
        workers: training workers, on GPUs one a GPU.
        cores: that prepare recordings, all nodes together.
        gpu_gib: memory of a worker's GPU.
        host_gib: memory of the node that is a worker's share.
        driver_gib: memory of the driver's node.
        windows_per_s: training windows a second of one worker; None where nobody measured it.
        peak_tflops: of one worker, by its data sheet; None where not said.
        utilisation: of that peak, what is assumed to be reached.

    Raises:
        InputError: one is not above 0.
    """

    workers: int = 1
    cores: int = 2
    gpu_gib: float = 80.0
    host_gib: float = 64.0
    driver_gib: float = 64.0
    windows_per_s: float | None = None
    peak_tflops: float | None = None
    utilisation: float = 1.0

    def __post_init__(self) -> None:
        for field, value in asdict(self).items():
            if value is not None and value <= 0:
                raise InputError(f"--{field.replace('_', '-')} {value:g}: must be above 0")


def needs(
    hours: float, machines: Machines, rates: Rates, recipe: Recipe, flops: int, parameters: int
) -> dict[str, float | None]:
    """What a run on so many hours of recordings needs, both stages on an 80-20 split.

    Args:
        hours: of recordings, pauses between cycles included.
        machines: workers, cores and, if known, their speed.
        rates: as measured.
        recipe: gives rate, batch, epochs, bank and optimiser.
        flops: floating-point operations of training on one window (benchmark/machine.py).
        parameters: numbers in the network.

    Returns:
        Counts, bytes (``_bytes``) and seconds (``_s``; of wall time on all cores that may work),
        by name; a time that depends on what nobody said is None.
    """
    cycle_s = 3600 * hours * rates.cycle_share
    audio = 2.0 * recipe.preprocess.sample_rate_hz * cycle_s
    recordings, cycles = round(hours * rates.recordings), round(hours * rates.cycles)
    selects = 0.0 if recipe.selection == "none" else (1 - TEST_SHARE) * VALIDATION_SHARE
    trains = 1 - TEST_SHARE - selects
    train, selector, test = (share * audio for share in (trains, selects, TEST_SHARE))
    workers, optimisation = machines.workers, recipe.optimisation
    shards = workers if optimisation.bank == "sharded" else 1
    copies = workers // shards
    windows = round(trains * cycles)
    trained = windows * flops + selects * cycles * flops / 3  # forward: a third
    rate, peak = machines.windows_per_s, machines.peak_tflops
    epoch_s = None if rate is None else trained / flops / rate / workers
    bound_s = None if peak is None else trained / (peak * 1e12 * machines.utilisation) / workers
    table = TABLE_BYTES + rates.frame_bytes
    saved = CHECKPOINT_COPIES[optimisation.optimiser] + (optimisation.average_decay > 0)
    kept = (copies + 1) * trains + 2 * selects + TEST_SHARE
    return {
        "recordings": recordings,
        "cycles": cycles,
        "patients": round(hours * rates.patients),
        "file_bytes": hours * rates.file_bytes,
        "parquet_bytes": rates.parquet_bytes * cycle_s,
        "blocks": math.ceil(recordings / RECORDINGS_A_BLOCK),
        "catalogue_s": recordings * rates.catalogue_s,
        "fingerprint_s": hours * rates.file_bytes * rates.fingerprint_s,
        "prepare_s": recordings * rates.prepare_s / machines.cores,
        # On the driver: each worker's rows and the selector's; for stage 2 both again; the test's.
        "read_s": cycle_s * ((workers + 4) * rates.scan_s + kept * rates.keep_s),
        "catalogue_bytes": cycles * rates.catalogue_bytes,
        "cycles_bytes": audio,
        "train_bank_bytes": train / shards,
        "selector_bank_bytes": selector,
        "test_bank_bytes": test,
        "train_tables_bytes": windows / shards * table,
        "selector_tables_bytes": selects * cycles * table,
        "object_store_bytes": copies * train + selector,
        "largest_object_bytes": train,
        # Reading the training rows; or, in stage 2, all rows, and those of each device beside them.
        "driver_bytes": cycles * rates.catalogue_bytes
        + max(rates.read_copies * train, 2 * (train + selector)),
        # Rows and banks of stage 1; or, on one worker, those of the baselines.
        "worker_bytes": (1 + rates.bank_copies) * max(train / shards + selector, train + test),
        "steps_an_epoch": math.ceil(windows / optimisation.batch_size),
        "plan_bytes": 16.0 * windows / shards,
        "index_bytes": 8.0
        * recipe.features.samples(recipe.preprocess.sample_rate_hz)
        * math.ceil(optimisation.batch_size / workers),
        "checkpoint_bytes": 4.0 * parameters * saved,
        "epoch_flops": trained,
        "epoch_s": epoch_s,
        "epoch_bound_s": bound_s,
        "training_s": None if epoch_s is None else optimisation.epochs * epoch_s,
        "training_bound_s": None if bound_s is None else optimisation.epochs * bound_s,
    }


@dataclass(frozen=True)
class Limit:
    """Something that ends before the recordings do.

    Attributes:
        name: what is full.
        unit: of ``need`` and ``room``: "bytes", "tasks" or "workers".
        need: of this run.
        room: what there is.
        hours: at which it is full with these machines; infinite where they play no part.
        remedy: what to do then.
        fatal: whether the run ends there; otherwise it goes on more slowly.
    """

    name: str
    unit: str
    need: float
    room: float
    hours: float
    remedy: str
    fatal: bool = True


def limits(
    hours: float, machines: Machines, recipe: Recipe, needed: Mapping[str, Any]
) -> list[Limit]:
    """Where each limit lies, the first one first; ``needed`` is what ``needs`` says."""
    bank = GPU_SHARE * machines.gpu_gib * GIB
    host, driver = machines.host_gib * GIB, machines.driver_gib * GIB
    store, batch = OBJECT_STORE_SHARE * driver, recipe.optimisation.batch_size
    rooms = (
        ("train_bank_bytes", bank, False),
        ("selector_bank_bytes", bank, False),
        ("object_store_bytes", store, False),
        ("largest_object_bytes", store, False),
        ("driver_bytes", driver, True),
        ("worker_bytes", host, True),
        ("blocks", QUEUED_TASKS, True),
    )
    found = []
    for (name, remedy), (key, room, fatal) in zip(REMEDIES.items(), rooms, strict=True):
        unit, need = "bytes" if key.endswith("_bytes") else "tasks", needed[key]
        full = hours * room / need if need else math.inf  # nobody selects: no selector
        found.append(Limit(name, unit, need, room, full, remedy, fatal))
    name = "windows of the global batch, at least one a worker"
    remedy = "fewer workers, or a larger batch, which is another recipe"
    full = 0.0 if machines.workers > batch else math.inf
    found.append(Limit(name, "workers", machines.workers, batch, full, remedy))
    return sorted(found, key=lambda limit: limit.hours)
