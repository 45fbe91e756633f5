"""Grid: many runs on warm Ray actors, each of which does one after the other.

A trainer of Ray Train takes half a minute to start, an actor that has started none. The paper-size
stage 1 runs there, the many small runs that an experiment compares run here.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import pyarrow as pa
import ray
import ray.exceptions

from respire.errors import InputError
from respire.runtime.resources import set_up_torch
from respire.runtime.session import share, whole_parts

RETRIES = 3
"""How often a run is begun again whose actor was lost, with its node or for want of memory."""

LOOK_AGAIN_S = 30.0
"""How soon a node that has joined is seen, where no run ends before."""

T = TypeVar("T")


def slots(gpu: bool, per_gpu: int) -> int:
    """Runs that the cluster has room for at once: one a core, or some a GPU; at least one."""
    resources = ray.cluster_resources()
    room = per_gpu * resources.get("GPU", 0) if gpu else resources.get("CPU", 1)
    return max(1, int(room))


def run_grid(
    run: Callable[[T, pa.Table], None],
    jobs: Iterable[tuple[T, pa.Table]],
    *,
    gpu: bool,
    per_gpu: int,
) -> Iterator[tuple[T, str | None]]:
    """Do every job in the cluster, as many at once as there is room for.

    Nodes that join later are used too; on GPUs as many jobs again as there is room for wait in
    line, so that a cluster that grows on demand does.

    A job, picklable, is taken when there is room for it; cycles that several share are sent to each
    node once. ``run`` leaves its result in storage.

    Yields:
        Each job once it has ended, in any order, and why it failed, or None; the others go on.
    """
    sent: dict[int, tuple[pa.Table, ray.ObjectRef]] = {}
    busy: dict[ray.ObjectRef, tuple[Any, T, ray.ObjectRef, int]] = {}
    idle: list[Any] = []
    started: list[Any] = []
    waiting = iter(jobs)
    more = True

    def begin(of: T, table: ray.ObjectRef, times: int) -> None:
        if not idle:
            started.append(_start(gpu, per_gpu))
            idle.append(started[-1])
        actor = idle.pop()
        busy[actor.run.remote(run, of, table)] = actor, of, table, times

    try:
        while more or busy:
            begun_at_once = (2 if gpu else 1) * slots(gpu, per_gpu)
            while more and len(busy) < begun_at_once:
                job = next(waiting, None)
                if job is None:
                    more = False
                    break
                of, cycles = job
                if id(cycles) not in sent:
                    sent[id(cycles)] = cycles, ray.put(cycles)
                begin(of, sent[id(cycles)][1], 1)
            while idle:  # what is in line or begun again may wait for their room
                idle.pop().__ray_terminate__.remote()
            if busy:
                done, _ = ray.wait(list(busy), num_returns=1, timeout=LOOK_AGAIN_S)
                if not done:
                    continue
                (ended,) = done
                actor, of, table, times = busy.pop(ended)
                try:
                    failure = _failure(ended)
                    idle.append(actor)
                except (ray.exceptions.RayActorError, ray.exceptions.OutOfMemoryError) as error:
                    if isinstance(error, ray.exceptions.RayTaskError):
                        raise  # not this actor was lost, but one that its job needs
                    ray.kill(actor)
                    if times <= RETRIES:
                        begin(of, table, times + 1)
                        continue
                    reason = str(error).strip().splitlines()[0]
                    failure = f"its process was lost {times} times ({reason})"
                yield of, failure
    finally:  # a lost actor's error refers to this frame and back, which would keep the others
        for actor in started:
            ray.kill(actor)


class _Runner:
    """What each actor is: a process that is ready to compute."""

    def __init__(self, parallel: int):
        set_up_torch(parallel)

    def run(self, run: Callable[[T, pa.Table], None], job: T, cycles: pa.Table) -> None:
        """Do a job."""
        run(job, cycles)


def _start(gpu: bool, per_gpu: int) -> Any:
    """An actor; those of GPUs hold no CPU, for where a node has few all its GPUs shall be used."""
    room = slots(gpu, per_gpu)
    cpus, gpus = (0.0, whole_parts(1 / per_gpu)) if gpu else (share(room, gpu).cpus, 0.0)
    return ray.remote(num_cpus=cpus, num_gpus=gpus)(_Runner).remote(room)


def _failure(ended: "ray.ObjectRef") -> str | None:
    """Why a job failed, if it did."""
    try:
        ray.get(ended)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, FloatingPointError | InputError):
            return str(error.cause)
        raise
    return None
