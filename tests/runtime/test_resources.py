import os
import platform
import subprocess
import sys
import time

import pytest
import torch

from respire.runtime.resources import Stopwatch, set_up_torch

FAULTS_OF_TEN_TURNS = """
import resource, sys, torch
from respire.runtime.resources import set_up_torch
if sys.argv[1] == "set up":
    set_up_torch()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for turn in range(50):
    # A hole that a tensor left between small blocks is a little too small for the next one, which
    # glibc aligns: a heap that keeps its pages grows for some turns, until the holes are larger.
    if turn == 40:
        before = faults()
    tensors = [torch.ones(2**22) for _ in range(4)]
    del tensors
print(faults() - before)
"""


def page_faults(how: str) -> int:
    """Of ten turns, in a process whose glibc gives every tensor's pages back unless told not to."""
    command = [sys.executable, "-c", FAULTS_OF_TEN_TURNS, how]
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": str(2**16)}
    printed = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return int(printed.stdout)


@pytest.mark.parametrize(("parallel", "threads"), [(1, 6), (4, 1), (100, 1)])
def test_torch_gets_its_share_of_the_cores(monkeypatch, parallel, threads):
    given = []
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(6)), raising=False)
    monkeypatch.setattr(torch, "set_num_threads", given.append)
    set_up_torch(parallel)
    assert given == [threads]


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library than glibc")
def test_pages_of_freed_tensors_are_kept_for_the_next_ones():
    given_back = page_faults("as it is")
    if given_back == 0:
        pytest.skip("this kernel counts no page faults")
    assert page_faults("set up") < given_back / 10


def test_a_part_that_is_done_in_several_goes_counts_all_of_them():
    stopwatch = Stopwatch()
    with stopwatch.part("cycles"):
        time.sleep(0.02)
    once = stopwatch.seconds["cycles"]
    with stopwatch.part("cycles"):
        pass
    assert stopwatch.seconds["cycles"] > once
