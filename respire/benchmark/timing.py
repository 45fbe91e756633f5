"""Timing: what is compared is run in turns within one process, A B A B ..., and warmed up before.

A machine that others use too slows down and recovers over minutes; turns let both sides of a ratio
share that.
"""

import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from respire.runtime.resources import SAMPLE_SECONDS, PeakMemory

SETTLED_S = 1.5 * SAMPLE_SECONDS
"""In so many seconds memory is sampled."""

Task = Callable[[], float]
"""Does its work once, and says in how many seconds."""


@dataclass(frozen=True)
class Timing:
    """Repeats of one task.

    Attributes:
        units: what a repeat works through, e.g. windows.
        seconds: of each repeat.
    """

    units: int
    seconds: tuple[float, ...]

    @property
    def per_s(self) -> float:
        """Units a second, the median repeat's."""
        return self.units / statistics.median(self.seconds)

    @property
    def best_per_s(self) -> float:
        """Units a second, the fastest repeat's: the one that others disturbed least."""
        return self.units / min(self.seconds)

    def times_as_fast_as(self, other: "Timing") -> float:
        """How many times as fast as a task that took turns with it, the median over the turns."""
        turns = zip(self.seconds, other.seconds, strict=True)
        return statistics.median(
            (self.units / ours) / (other.units / theirs) for ours, theirs in turns
        )

    def to_json(self) -> dict[str, Any]:
        """The form kept in results.json."""
        return {
            "per_s": self.per_s,
            "best_per_s": self.best_per_s,
            "units": self.units,
            "repeats": len(self.seconds),
            "seconds_minimum": min(self.seconds),
            "seconds_median": statistics.median(self.seconds),
        }


def in_turns(tasks: Mapping[str, Task], units: int, repeats: int) -> dict[str, Timing]:
    """Time tasks against each other, after one run of each that does not count.

    Args:
        tasks: by name.
        units: what a run of any works through.
        repeats: runs of each that count.
    """
    for task in tasks.values():
        task()
    seconds = [{name: task() for name, task in tasks.items()} for _ in range(repeats)]
    return {name: Timing(units, tuple(turn[name] for turn in seconds)) for name in tasks}


def timed(function: Callable[[], object], device: torch.device | str) -> Task:
    """The function as a task; where the device is a GPU, until that has done its work."""

    def task() -> float:
        synchronise(device)
        began = time.perf_counter()
        function()
        synchronise(device)
        return time.perf_counter() - began

    return task


def over(
    function: Callable[..., object], parts: Iterable[Sequence[Any]], device: torch.device | str
) -> Task:
    """As a task: a function of each part's members, one part after the other."""

    def run() -> None:
        for part in parts:
            function(*part)

    return timed(run, device)


def synchronise(device: torch.device | str) -> None:
    """Wait until a GPU has done all it was given."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize()


def peak_mib(function: Callable[[], object]) -> float:
    """Mebibytes this process and all below it hold while a function runs, again and again.

    Apart from the timing, which the sampling would disturb; until it has been sampled.
    """
    with PeakMemory() as memory:
        began = time.perf_counter()
        while time.perf_counter() - began < SETTLED_S:
            function()
    return memory.mebibytes


def memory(task: Task, device: str) -> dict[str, float | None]:
    """Mebibytes of a task's processes (``peak_mib``), and that tensors held on a GPU so far.

    The latter is None without a GPU.
    """
    peak = peak_mib(task)
    on_gpu = torch.cuda.max_memory_allocated() / 2**20 if device == "cuda" else None
    return {"peak_memory_mib": peak, "gpu_peak_mib": on_gpu}
