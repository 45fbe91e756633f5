"""Two workers on two nodes of a core each, against one. The nodes are on this machine."""

import os
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import ray
import torch
import torch.distributed as dist
import torch.multiprocessing
from ray.cluster_utils import Cluster

from respire.benchmark.growth import prepare, small_corpus
from respire.benchmark.ray_cost import after_the_first, train_on_ray
from respire.data.splits.split import Cut
from respire.features.bank import CycleBank
from respire.models.network import respirenet
from respire.recipe.recipe import Recipe
from respire.runtime.compute import Compute
from respire.runtime.resources import set_up_torch
from respire.runtime.session import session
from respire.runtime.storage import Storage
from respire.training.loop import fit
from respire.training.stage1 import share_recordings

NODES = 2
CPU = Compute("cpu", "fp32")
EXCHANGES = 20
"""Exchanges of gradients that are timed; the first does not count."""


@dataclass(frozen=True)
class Measured:
    """Seconds.

    Attributes:
        one: of each epoch of a worker on one node.
        two: of two workers on two nodes.
        apart: of two processes that exchange nothing, the slower one's.
        exchange: in which an epoch's gradients are exchanged, nobody waiting for another.
    """

    one: list[float]
    two: list[float]
    apart: list[float]
    exchange: float


def bindable() -> list[int]:
    """Those that this process may use; empty where the system cannot bind a process to some."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def seconds_of_epochs(recipe: Recipe, storage: Storage, epochs: int) -> Measured:
    """Train stage 1 on one node and on two, and in two processes that exchange nothing.

    Args:
        recipe: all of it but the number of epochs.
        storage: a folder that holds nothing of this yet.
        epochs: epochs that count, after a first one.
    """
    optimisation = replace(recipe.optimisation, epochs=1 + epochs)
    recipe = replace(recipe, selection="validation", optimisation=optimisation)
    with tempfile.TemporaryDirectory() as temporary, pinned_nodes():
        corpus = prepare(small_corpus(Path(temporary)), recipe.preprocess, storage / "cycles")
        cut = Cut().on(corpus.cycles)
        seconds: dict[str, list[float]] = {}
        for way, workers in (("one", 1), ("two", NODES)):
            trained = train_on_ray(recipe, CPU, corpus, cut, storage / way, workers)
            assert trained is not None
            seconds[way] = trained["epoch_s"]
        shares = [
            [corpus.prepared.read(part) for part in parts]
            for parts in zip(
                share_recordings(cut.train, NODES, 0),
                share_recordings(cut.validation, NODES, 0),
                strict=True,
            )
        ]
        windows = int(corpus.cycles["recording"].isin(cut.train).sum())
    apart, exchange_s = _apart(recipe, shares)
    steps = -(-windows // recipe.optimisation.batch_size)
    return Measured(seconds["one"], seconds["two"], apart, steps * exchange_s)


@contextmanager
def pinned_nodes() -> Iterator[None]:
    """Join a Ray of a head that computes nothing and two nodes, each on a core of its own."""
    ours = bindable()
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    try:
        for core in ours[:NODES]:
            os.sched_setaffinity(0, {core})  # what is started inherits it
            cluster.add_node(num_cpus=1)
        os.sched_setaffinity(0, ours)
        os.environ["RAY_ADDRESS"] = cluster.address
        with session():
            yield
    finally:
        os.sched_setaffinity(0, ours)
        os.environ.pop("RAY_ADDRESS", None)
        ray.shutdown()
        cluster.shutdown()


@dataclass(frozen=True)
class _Share:
    """A process's part of the work that two workers do."""

    train: pa.Table
    selector: pa.Table


def _apart(recipe: Recipe, shares: Sequence[Sequence[pa.Table]]) -> tuple[list[float], float]:
    """Seconds of epochs in two processes, the slower one's, and of one exchange of gradients."""
    half = replace(
        recipe,
        optimisation=replace(
            recipe.optimisation, batch_size=recipe.optimisation.batch_size // NODES
        ),
    )
    with tempfile.TemporaryDirectory() as folder:
        torch.multiprocessing.spawn(
            _work, (folder, half, [_Share(*tables) for tables in shares]), NODES
        )
        found = [
            torch.load(Path(folder) / f"{rank}.pt", weights_only=True) for rank in range(NODES)
        ]
    epochs = [max(of) for of in zip(*(one["epoch_s"] for one in found), strict=True)]
    return epochs, statistics.median(s for one in found for s in one["exchange_s"])


def _work(rank: int, folder: str, recipe: Recipe, shares: Sequence[_Share]) -> None:
    os.sched_setaffinity(0, {bindable()[rank]})
    set_up_torch()
    train, selector = (
        CycleBank.from_table(table, recipe.task)
        for table in (shares[rank].train, shares[rank].selector)
    )
    network = respirenet(replace(recipe.model, weights="none"), len(recipe.classes))
    run = fit(network, train, selector, recipe, recipe.optimisation, CPU, seed=rank)
    dist.init_process_group("gloo", f"file://{folder}/store", rank=rank, world_size=NODES)
    gradient, exchange_s = _gradient(recipe), []
    for _ in range(1 + EXCHANGES):
        dist.barrier()
        began = time.perf_counter()
        dist.all_reduce(gradient)
        exchange_s.append(time.perf_counter() - began)
    dist.destroy_process_group()
    told = {"epoch_s": after_the_first(run.history), "exchange_s": exchange_s[1:]}
    torch.save(told, Path(folder) / f"{rank}.pt")


def _gradient(recipe: Recipe) -> torch.Tensor:
    """As many numbers as the network has parameters."""
    network = respirenet(replace(recipe.model, weights="none"), len(recipe.classes))
    return torch.zeros(sum(parameter.numel() for parameter in network.parameters()))
