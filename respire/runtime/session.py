"""The one place that starts or joins Ray."""

import logging
import math
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import ray
import ray.exceptions
import torch
from ray.util.placement_group import placement_group, remove_placement_group
from ray.util.queue import Queue
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from respire.errors import InputError
from respire.runtime.address import REMEDY, check_ray
from respire.runtime.compute import unseen_gpu
from respire.runtime.resources import set_up_torch
from respire.runtime.storage import Storage

T = TypeVar("T")
GPU_PATIENCE_S = 60.0
"""Between two lines that say that GPUs are still waited for."""
WORKER_PATIENCE_S = 7 * 24 * 3600
"""How long Ray Train waits for the nodes of its workers: a cloud may take its time to give back
what it took. (Ray's own minute, four times, would end a run that nobody watches.)"""


@dataclass(frozen=True)
class Share:
    """Logical CPUs and GPUs, possibly fractions, that one of several tasks at once may use."""

    cpus: float
    gpus: float


@contextmanager
def session() -> Iterator[None]:
    """Join the cluster this machine belongs to, or start Ray here; leave it at the end.

    Ray itself looks for ``$RAY_ADDRESS``, then for a cluster running on this machine. A session
    that is already open is used, and left open. What workers print stays in Ray's logs: Ray's own
    narration would drown the lines a user wants, and those come through ``console``.

    Raises:
        InputError: Ray cannot be had as the environment says.
    """
    if ray.is_initialized():
        yield
        return
    # On cores that others use too, threads that spin for long while they wait slow training tenfold
    # (measured: 30 s an epoch against 3.5 s); threads that never spin cost a tenth on idle cores.
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")  # Tune's other output cannot be silenced
    os.environ.setdefault("RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S", str(WORKER_PATIENCE_S))
    check_ray()
    try:
        ray.init(logging_level=logging.ERROR, log_to_driver=False)
    except (OSError, ValueError, RuntimeError, SystemExit) as error:
        where = os.environ.get("RAY_ADDRESS") or "none given"
        reason = str(error).strip().partition("\n")[0]
        raise InputError(
            f"Ray can neither start nor be joined (RAY_ADDRESS: {where}; {reason}); {REMEDY}"
        ) from error
    _quiet()
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def interruptible() -> Iterator[None]:
    """Within it Ctrl-C ends in KeyboardInterrupt, as everywhere.

    Ray Tune's own handler returns as if all trials had ended; Ray Train's ends the process as if
    all had been done; and either stays in place. A process that was started to ignore Ctrl-C, in a
    script's background, goes on ignoring it where it can.
    """
    os.environ.setdefault("TUNE_DISABLE_SIGINT_HANDLER", "1")
    ours = signal.getsignal(signal.SIGINT)
    if ours is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    except SystemExit as ended:
        raise KeyboardInterrupt from ended
    finally:
        signal.signal(signal.SIGINT, ours)


@contextmanager
def console() -> Iterator[Queue]:
    """A queue of lines, fed from any process of the cluster, that this process prints as they come.

    Lines go in with ``put_nowait``; all that were put in before the end are printed. The queue lies
    on this node, so that no other takes it away when it is lost.
    """
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    lines = Queue(actor_options={"num_cpus": 0, "scheduling_strategy": here})
    printer = threading.Thread(target=_print_lines, args=(lines,), daemon=True)
    printer.start()
    try:
        yield lines
    finally:
        lines.put(None)
        printer.join()
        lines.shutdown()


def _print_lines(lines: Queue) -> None:
    while (line := lines.get()) is not None:
        print(line, flush=True)


def share(parallel: int, gpu: bool, per_gpu: int | None = None) -> Share:
    """Split the cluster so that ``parallel`` tasks run at once, each on one node.

    Where one GPU has memory for ``per_gpu`` of them only, fewer run at once.

    A task gets at most one CPU and one GPU; where there are too few, several share one, so that
    four tasks on two cores hold half a core each. A node that has GPUs and no CPUs is for tasks
    that hold none. Where GPUs are wanted and gone, a task asks for a whole one, and waits for it.
    (Threads are counted apart: ``set_up_torch``.)
    """
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    cpus = [node.get("CPU", 0.0) for node in nodes]
    if not gpu:
        return Share(_part(cpus, parallel), 0.0)
    gpus = [node.get("GPU", 0.0) for node in nodes]
    if not any(gpus):
        return Share(0.0, 1.0)
    part = _part([1.0] * int(sum(gpus)), parallel)  # nor does a task lie across two GPUs
    if per_gpu is not None:
        part = max(part, whole_parts(1 / per_gpu))
    # The CPUs of a node are for as many tasks as its GPUs have room for.
    rooms = [(own, int(of) * _room(1.0, part)) for own, of in zip(cpus, gpus, strict=True)]
    return Share(min((whole_parts(own / room) for own, room in rooms if room), default=1.0), part)


def missing_room(workers: int, gpu: bool) -> str | None:
    """What the cluster lacks for so many workers, if anything.

    Not an error: a cluster that grows starts the nodes once they are asked for.
    """
    resource = "GPU" if gpu else "CPU"
    there = int(ray.cluster_resources().get(resource, 0))
    if workers <= there:
        return None
    return (
        f"--workers {workers}: each needs a {resource} and the cluster has {there} now; training "
        f"waits until more nodes join (stop it and ask for fewer workers where none will)"
    )


def cluster_memory() -> dict[str, int]:
    """Memory of all nodes together, in MiB, as Ray counts it: for processes, and for objects.

    Ray takes 30% of a node's memory for its object store, or what ``ray start
    --object-store-memory`` said.
    """
    resources = ray.cluster_resources()
    return {
        "memory_mib": round(resources.get("memory", 0) / 2**20),
        "object_store_mib": round(resources.get("object_store_memory", 0) / 2**20),
    }


def crowded_store(size: int) -> str | None:
    """That so many bytes of cycles are more than the cluster's object store holds, if they are."""
    mebibytes, room = round(size / 2**20), cluster_memory()["object_store_mib"]
    if mebibytes <= room:
        return None
    return (
        f"the cycles take {mebibytes:,} MiB and the cluster's object store has {room:,}: they pass "
        f"through it block by block, and what does not fit waits on disk, which takes longer (more "
        f"room: ray start --object-store-memory BYTES)"
    )


def cluster_gpus() -> float:
    """GPUs of the whole cluster; the driver's machine may have none."""
    return float(ray.cluster_resources().get("GPU", 0.0))


def wait_for_gpus(wanted: int) -> None:
    """Ask the cluster for so many GPUs, and wait until they are there; says what it waits for.

    A cluster that grows starts nodes for what is asked; what is asked ends with this process.
    """
    if cluster_gpus() >= wanted:
        return
    print(
        f"waiting for GPUs: {wanted} required, {cluster_gpus():.0f} in the cluster; it goes on "
        f"once they are there (where none will, stop it and use --gpu none or fewer --workers)",
        flush=True,
    )
    asked = placement_group([{"GPU": 1.0}] * wanted)
    try:
        while not asked.wait(GPU_PATIENCE_S):
            print(f"still waiting: the cluster has {cluster_gpus():.0f} GPUs", flush=True)
    finally:
        remove_placement_group(asked)


def check_shared(storage: Storage, tracking_uri: str) -> None:
    """Refuse what only this machine sees, where the cluster has others.

    Raises:
        InputError: the storage is a path, or the tracking store a database file.
    """
    check_seen(storage, f"--storage {storage.uri}: a folder")
    nodes = _nodes()
    if nodes > 1 and tracking_uri.startswith("sqlite:"):
        raise InputError(
            f"--tracking-uri {tracking_uri}: a file of this machine, and the cluster has {nodes} "
            f"nodes; start one with `mlflow server` and give its address, http://HOST:5000"
        )


def check_seen(place: Storage, told: str) -> None:
    """Refuse a path of this machine where the cluster has other nodes.

    Args:
        place: a file or folder.
        told: how the message begins, such as "FILE: a path".

    Raises:
        InputError: other nodes do not see it.
    """
    nodes = _nodes()
    if nodes > 1 and place.is_local:
        raise InputError(
            f"{told} of this machine, and the cluster has {nodes} nodes; give s3://…, gs://…, or "
            f"file:///… for a folder that lies there on every node"
        )


def _nodes() -> int:
    return sum(node["Alive"] for node in ray.nodes())


def on_worker(function: Callable[..., T], *arguments: Any, gpu: bool) -> T:
    """Run a function once in the cluster, on a CPU or a GPU, with all threads of its machine.

    Raises:
        InputError: the function did, there; or Ray gave it a GPU that PyTorch does not find.
    """
    part = share(1, gpu)

    def run(*received: Any) -> T:
        set_up_torch()
        if part.gpus and not torch.cuda.is_available():
            raise InputError(f"Ray gave a GPU, and {unseen_gpu()}")
        return function(*received)

    task = ray.remote(num_cpus=part.cpus, num_gpus=part.gpus, max_retries=3)(run)
    try:
        return ray.get(task.remote(*arguments))
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, InputError):
            raise error.cause from None
        raise


def _part(amounts: Sequence[float], parallel: int) -> float:
    """The largest part, at most 1, of which the nodes' amounts hold ``parallel`` together."""
    parts = {whole_parts(of / room) for of in amounts for room in range(1, parallel + 1)} - {0.0}
    enough = [part for part in parts if sum(_room(of, part) for of in amounts) >= parallel]
    return max(enough, default=0.0)


def _room(amount: float, part: float) -> int:
    return int(amount / part + 1e-9) if part else 0


def whole_parts(part: float) -> float:
    """A part of a processor, at most 1, rounded down to the ten-thousandths that Ray counts in."""
    return min(1.0, math.floor(part * 10_000) / 10_000)


def _quiet() -> None:
    """Keep Ray's own narration off the console; errors stay, and Data's come as exceptions too."""
    for name in ("ray.train", "ray.tune"):
        logging.getLogger(name).setLevel(logging.ERROR)
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
