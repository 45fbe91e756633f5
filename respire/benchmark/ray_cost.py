"""What Ray Train costs: epochs through plain fit() and through one and two of its workers."""

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

from respire.benchmark.growth import Preparation
from respire.data.splits.split import Cut, Split
from respire.features.bank import CycleBank
from respire.models.network import network_of
from respire.recipe.recipe import Recipe
from respire.runtime.compute import Compute
from respire.runtime.resources import PeakMemory, set_up_torch
from respire.runtime.run_folder import RunFolder
from respire.runtime.session import missing_room
from respire.runtime.storage import Storage
from respire.training.loop import Row, fit
from respire.training.stage1 import train_stage1

WORKERS = (1, 2)
PLAIN = "plain fit()"


@dataclass
class _NoteEpochs:
    """Notes on a worker when its first epoch began and each one ended, in seconds since 1970.

    From one end to the next also passes what Ray is waited for.
    """

    note: Storage
    times: list[float] = field(default_factory=list)

    def __call__(self, row: Row) -> None:
        now = time.time()
        self.times = [*(self.times or [now - row["seconds"]]), now]
        self.note.write_json(self.times)


def measure_training(
    recipe: Recipe, compute: Compute, corpus: Preparation, storage: Storage, epochs: int
) -> dict[str, Any]:
    """Train stage 1 for a few epochs in each way; the first epoch of each does not count.

    Plain and Ray's epochs take turns, as far as trainers that take half a minute to start allow.

    Args:
        recipe: all of it but the number of epochs and what selects: validation does.
        compute: device and precision.
        corpus: the recordings; Ray must be initialised.
        storage: holds nothing of this training yet.
        epochs: epochs that count.

    Returns:
        The part "ray" of results.json. A way that the machine has no room for is None.
    """
    optimisation = replace(recipe.optimisation, epochs=1 + epochs)
    recipe = replace(recipe, selection="validation", optimisation=optimisation)
    split = Cut().on(corpus.cycles)
    plain: list[float] = []
    ways: dict[str, dict[str, Any] | None] = {}
    for workers in WORKERS:
        plain += _plain(recipe, compute, corpus, split)
        name = f"Ray Train, {workers} worker{'s' * (workers > 1)}"
        ways[name] = train_on_ray(recipe, compute, corpus, split, storage, workers)
    on_side = corpus.cycles["recording"].isin
    return {
        "train_cycles": int(on_side(split.train).sum()),
        "validation_cycles": int(on_side(split.validation).sum()),
        "ways": {
            name: None if way is None else way | _described(way["epoch_s"], plain)
            for name, way in ({PLAIN: {"epoch_s": plain}} | ways).items()
        },
    }


def _plain(recipe: Recipe, compute: Compute, corpus: Preparation, split: Split) -> list[float]:
    set_up_torch()
    train, selector = (
        CycleBank.from_table(corpus.prepared.read(side), recipe.task, compute.device)
        for side in (split.train, split.validation)
    )
    network = network_of(recipe)
    ends: list[float] = []
    given = (network, train, selector, recipe, recipe.optimisation, compute)
    fit(*given, seed=0, after_epoch=lambda _: ends.append(time.time()))
    return between(ends)


def train_on_ray(
    recipe: Recipe,
    compute: Compute,
    corpus: Preparation,
    split: Split,
    storage: Storage,
    workers: int,
) -> dict[str, Any] | None:
    """Train stage 1 on Ray Train: seconds of each epoch, of start and end, and peak memory.

    None where the cluster has no room for so many workers.
    """
    if missing_room(workers, compute.device == "cuda"):
        return None
    cell = RunFolder(storage, {"workers": workers})
    initial = network_of(recipe).state_dict()
    note = cell.storage / "epochs.json"
    began = time.time()
    with PeakMemory() as memory:
        train_stage1(
            recipe,
            corpus.prepared,
            *(split.train, split.validation, split.test),
            initial,
            compute,
            cell,
            seed=0,
            workers=workers,
            on_epoch=_NoteEpochs(note),
        )
    ended, (first, *ends) = time.time(), note.read_json()
    return {
        "epoch_s": between(ends),
        "start_s": first - began,
        "end_s": ended - ends[-1],
        "peak_memory_mib": memory.mebibytes,
    }


def between(ends: Sequence[float]) -> list[float]:
    """Seconds of each epoch but the first, which also warms up."""
    return [end - before for before, end in pairwise(ends)]


def _described(epochs_s: Sequence[float], plain_s: Sequence[float]) -> dict[str, float]:
    median, plain = statistics.median(epochs_s), statistics.median(plain_s)
    return {"epoch_s_minimum": min(epochs_s), "epoch_s_median": median, "of_plain": median / plain}
