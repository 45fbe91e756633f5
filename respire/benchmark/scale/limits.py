"""What gives out first, and at how many hours of recordings, if all grows in proportion."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from respire.benchmark.scale.needs import Machines
from respire.features.bank import GPU_SHARE
from respire.recipe.recipe import Recipe

GIB = 2**30
OBJECT_STORE_SHARE = 0.3
"""Of a node's memory, what Ray's object store may take by default."""
QUEUED_TASKS = 1_000_000
"""Tasks queued on one node that Ray has been tested with (its release/benchmarks/README.md)."""


@dataclass(frozen=True)
class Limit:
    """Something that ends before the recordings do.

    Attributes:
        name: what is full.
        unit: of ``need`` and ``room``: "bytes", "tasks" or "workers".
        need: of this run.
        room: what there is.
        hours: of recordings at which it is full with these machines; infinite where the hours
            play no part.
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
    """Where each limit lies, the first one first.

    Args:
        hours: of recordings.
        machines: what there is.
        recipe: gives the batch.
        needed: what ``needs`` says of them.
    """
    gpu, host, driver = (
        GIB * size for size in (machines.gpu_gib, machines.host_gib, machines.driver_gib)
    )
    store = OBJECT_STORE_SHARE * driver
    found = [
        (
            "a worker's training bank, on its GPU",
            "train_bank_bytes",
            GPU_SHARE * gpu,
            "none needed: the bank stays in host memory; more workers",
            False,
        ),
        (
            "the selector, whole on every worker's GPU",
            "selector_bank_bytes",
            GPU_SHARE * gpu,
            "none needed: it stays in host memory; more workers do not help",
            False,
        ),
        (
            "rows in the object store of the driver's node",
            "object_store_bytes",
            store,
            "the sharded bank; a larger driver; else Ray writes them to its disk",
            False,
        ),
        (
            "all training rows as one object, for the baselines",
            "largest_object_bytes",
            store,
            "a larger driver; else Ray keeps them on its disk",
            False,
        ),
        (
            "the driver: catalogue, and training rows, which stage 2 reads there",
            "driver_bytes",
            driver,
            "a larger driver",
            True,
        ),
        (
            "a worker's memory: its bank, or both of the baselines",
            "worker_bytes",
            host,
            "larger nodes; more workers do not help the baselines",
            True,
        ),
        (
            "Ray tasks queued at once, one a block",
            "blocks",
            QUEUED_TASKS,
            "larger blocks",
            True,
        ),
    ]
    batch = recipe.optimisation.batch_size
    return sorted(
        [
            Limit(
                name,
                "bytes" if key.endswith("_bytes") else "tasks",
                needed[key],
                room,
                hours * room / needed[key],
                remedy,
                fatal,
            )
            for name, key, room, remedy, fatal in found
        ]
        + [
            Limit(
                "windows of the global batch, at least one a worker",
                "workers",
                machines.workers,
                batch,
                0.0 if machines.workers > batch else math.inf,
                "fewer workers, or a larger batch, which is another recipe",
            )
        ],
        key=lambda limit: limit.hours,
    )
