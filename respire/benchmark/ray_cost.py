"""What Ray Train costs: epochs through plain fit() and through one and two of its workers."""

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
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


@dataclass(frozen=True)
class _NoteFirstEpoch:
    """Notes on a worker when its first epoch began, in seconds since 1970."""

    note: Storage

    def __call__(self, row: Row) -> None:
        if row["epoch"] == 1:
            self.note.write_json(time.time() - row["seconds"])


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
    run = fit(network, train, selector, recipe, recipe.optimisation, compute, seed=0)
    return after_the_first(run.history)


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
    note = cell.storage / "first-epoch.json"
    began = time.time()
    with PeakMemory() as memory:
        run = train_stage1(
            recipe,
            corpus.prepared,
            *(split.train, split.validation, split.test),
            initial,
            compute,
            cell,
            seed=0,
            workers=workers,
            on_epoch=_NoteFirstEpoch(note),
        )
    ended, first_epoch = time.time(), note.read_json()
    trained = sum(row["seconds"] for row in run.history)
    return {
        "epoch_s": after_the_first(run.history),
        "start_s": first_epoch - began,
        "end_s": ended - first_epoch - trained,
        "peak_memory_mib": memory.mebibytes,
    }


def after_the_first(history: Sequence[Row]) -> list[float]:
    """Seconds of each epoch but the first, which also warms up."""
    return [row["seconds"] for row in history[1:]]


def _described(epochs_s: Sequence[float], plain_s: Sequence[float]) -> dict[str, float]:
    median, plain = statistics.median(epochs_s), statistics.median(plain_s)
    return {"epoch_s_minimum": min(epochs_s), "epoch_s_median": median, "of_plain": median / plain}
