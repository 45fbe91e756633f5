"""What of the machine a process uses, how long a run takes and how much memory it needs."""

import ctypes
import os
import platform
import resource
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

SAMPLE_SECONDS = 1.0
SAMPLE_SHARE = 0.02
"""Share of one core that sampling memory may take: Linux walks all pages of all processes."""

MALLOC_OPTIONS = {-1: 2**31 - 1, -3: 2**30}
"""glibc's M_TRIM_THRESHOLD and M_MMAP_THRESHOLD, in bytes (malloc.h)."""


def set_up_torch(parallel: int = 1) -> None:
    """Let torch use this machine's cores, shared among ``parallel`` processes on it, and its heap.

    Ray gives every worker ``OMP_NUM_THREADS=1``. And glibc may give a freed tensor's pages back to
    the kernel, which must clear them for the next one, batch after batch; whether it does depends
    on what else lies on its heap. Here it keeps them. Other C libraries are left as they are.
    cuBLAS, too, must be told before its first use which workspaces let it sum in a fixed order.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(max(1, cores() // parallel))
    if sys.platform == "linux" and platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        for option, value in MALLOC_OPTIONS.items():
            libc.mallopt(option, value)


def cores() -> int:
    """Those that this process may use: a batch system often gives a job a part of its machine."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Stopwatch:
    """Seconds spent in named parts of a run, in the order they began."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @property
    def rounded(self) -> dict[str, float]:
        """Seconds of each part, and in total, as results have them."""
        seconds = {part: round(took, 2) for part, took in self.seconds.items()}
        return seconds | {"total": round(sum(seconds.values()), 2)}

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Time a block under a name, and say on the console that it began."""
        print(f"respire: {name} ...", flush=True)
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - began


class PeakMemory:
    """The most memory that this process and all below it held together.

    It is sampled every second, or less often where that would take too much of a core. Pages that
    processes share (Ray's object store) count once. Only this machine is seen.
    """

    def __init__(self) -> None:
        self.mebibytes = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "PeakMemory":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        stopped = False
        while not stopped:
            began = time.perf_counter()
            self.mebibytes = max(self.mebibytes, _proportional_bytes() / 2**20)
            took = time.perf_counter() - began
            stopped = self._stop.wait(max(SAMPLE_SECONDS, took / SAMPLE_SHARE))


def own_peak_mib() -> float:
    """The most memory in MiB that this process ever held, pages that it shares included."""
    unit = 1 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def _proportional_bytes() -> int:
    """Proportional set size of this process and its descendants, in bytes."""
    import psutil

    me = psutil.Process()
    total = 0
    for process in (me, *me.children(recursive=True)):
        try:
            memory = process.memory_full_info()
        except psutil.Error:  # it ended, or is not ours to read
            continue
        total += getattr(memory, "pss", memory.uss)
    return total
