import os
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest
import ray
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from respire.errors import InputError
from respire.runtime import compute, session
from respire.runtime.compute import Compute
from respire.runtime.storage import Storage


def cluster_of(monkeypatch: pytest.MonkeyPatch, *nodes: dict[str, float]) -> None:
    total = {name: sum(node.get(name, 0) for node in nodes) for name in ("CPU", "GPU")}
    monkeypatch.setattr(ray, "cluster_resources", lambda: total)
    alive = [{"Alive": True, "Resources": node} for node in nodes]
    gone = {"Alive": False, "Resources": {"CPU": 64.0, "GPU": 8.0}}
    monkeypatch.setattr(ray, "nodes", lambda: [*alive, gone])


@pytest.mark.parametrize(
    ("nodes", "gpu", "share"),
    [
        ([{"CPU": 2}], False, session.Share(0.5, 0.0)),
        ([{"CPU": 64}], False, session.Share(1.0, 0.0)),
        ([{"CPU": 16, "GPU": 1}], True, session.Share(1.0, 0.25)),
        ([{"CPU": 16, "GPU": 8}], True, session.Share(1.0, 1.0)),
        ([{"CPU": 3, "GPU": 3}], True, session.Share(0.5, 0.5)),
        ([{"CPU": 2, "GPU": 8}], True, session.Share(0.25, 1.0)),
        ([{"CPU": 0}, {"CPU": 1}, {"CPU": 1}, {"CPU": 1}], False, session.Share(0.5, 0.0)),
        ([{"CPU": 1}, {"CPU": 3}], False, session.Share(1.0, 0.0)),
        ([{"CPU": 4}, {"CPU": 8, "GPU": 1}, {"CPU": 8, "GPU": 1}], True, session.Share(1.0, 0.5)),
        ([{"CPU": 4}, {"CPU": 1, "GPU": 4}], True, session.Share(0.25, 1.0)),
        (
            [{"CPU": 4}, {"CPU": 8}],
            True,
            session.Share(0.0, 1.0),
        ),  # gone: they wait for a whole one
    ],
)
def test_four_trials_always_fit_at_once(monkeypatch, nodes, gpu, share):
    cluster_of(monkeypatch, *nodes)
    assert session.share(4, gpu) == share


@pytest.mark.parametrize(
    ("nodes", "per_gpu", "gpus"),
    [
        ([{"CPU": 16, "GPU": 1}], 8, 0.25),
        ([{"CPU": 16, "GPU": 1}], 3, 0.3333),
        ([{"CPU": 16, "GPU": 1}], 1, 1.0),
        ([{"CPU": 16, "GPU": 2}], 1, 1.0),
        ([{"CPU": 16, "GPU": 2}], 2, 0.5),
    ],
)
def test_no_more_trials_share_a_gpu_than_its_memory_holds(monkeypatch, nodes, per_gpu, gpus):
    cluster_of(monkeypatch, *nodes)
    assert session.share(4, True, per_gpu) == session.Share(1.0, gpus)


@given(
    nodes=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=5),
    parallel=st.integers(1, 20),
    gpu=st.booleans(),
)
def test_as_many_tasks_as_asked_fit_none_across_two_nodes(nodes, parallel, gpu):
    assume(any(gpus if gpu else cpus for cpus, gpus in nodes))
    with pytest.MonkeyPatch.context() as monkeypatch:
        cluster_of(monkeypatch, *({"CPU": cpus, "GPU": gpus} for cpus, gpus in nodes))
        share = session.share(parallel, gpu)
    assert 0 < (share.gpus if gpu else share.cpus) <= 1
    room = 0
    for cpus, gpus in nodes:
        fits = [gpus * int(1 / share.gpus)] if gpu else []
        fits += [int(cpus / share.cpus + 1e-6)] if share.cpus else []
        room += min(fits, default=0)
    assert room >= parallel


def test_more_workers_than_processors_are_told_that_they_wait(monkeypatch):
    cluster_of(monkeypatch, {"CPU": 16, "GPU": 2})
    assert session.missing_room(2, gpu=True) is None
    assert session.missing_room(16, gpu=False) is None
    assert "needs a GPU and the cluster has 2 now" in session.missing_room(3, gpu=True)


def test_cycles_larger_than_the_object_store_are_told_of_with_both_sizes(monkeypatch):
    resources = {"CPU": 2.0, "memory": 3 * 2**30, "object_store_memory": 1.5 * 2**30}
    monkeypatch.setattr(ray, "cluster_resources", lambda: resources)
    assert session.cluster_memory() == {"memory_mib": 3072, "object_store_mib": 1536}
    assert session.crowded_store(1536 * 2**20) is None
    assert "take 1,537 MiB" in session.crowded_store(1537 * 2**20)
    assert "store has 1,536" in session.crowded_store(1537 * 2**20)


@pytest.mark.slow
@pytest.mark.usefixtures("ray_session")
def test_a_function_runs_in_another_process_and_its_input_errors_come_back_as_they_were():
    def refuse() -> None:
        raise InputError("one line")

    assert session.on_worker(os.getpid, gpu=False) != os.getpid()
    with pytest.raises(InputError, match=r"^one line$"):
        session.on_worker(refuse, gpu=False)


@pytest.mark.slow
@pytest.mark.usefixtures("ray_session")
def test_lines_from_other_processes_are_printed_before_the_console_closes(capsys):
    with session.console() as lines:
        session.on_worker(lines.put, "from afar", gpu=False)
    assert capsys.readouterr().out == "from afar\n"


@pytest.mark.parametrize(
    ("storage", "tracking", "remedy"),
    [
        ("runs", "http://head:5000", "file:///"),
        ("/mnt/runs", "http://head:5000", "file:///"),
        ("s3://bucket/runs", "sqlite:////home/me/mlflow.db", "mlflow server"),
        ("file:///mnt/runs", "http://head:5000", None),
        ("gs://bucket/runs", "https://head", None),
    ],
)
def test_what_other_nodes_cannot_see_is_refused_where_there_are_any(
    monkeypatch, storage, tracking, remedy
):
    for nodes in ([True], [True, False], [True, True, False]):
        monkeypatch.setattr(ray, "nodes", lambda nodes=nodes: [{"Alive": of} for of in nodes])
        if sum(nodes) > 1 and remedy is not None:
            with pytest.raises(InputError, match=f"cluster has 2 nodes; .*{remedy}"):
                session.check_shared(Storage.at(storage), tracking)
        else:
            session.check_shared(Storage.at(storage), tracking)


WAITS = """
import threading, time
import ray
from ray.cluster_utils import Cluster
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
cluster.connect()
from respire.runtime.session import cluster_gpus, wait_for_gpus
waiting = threading.Thread(target=wait_for_gpus, args=(1,))
waiting.start()
time.sleep(3)
print("alive" if waiting.is_alive() else "gone on without", flush=True)
cluster.add_node(num_cpus=0, num_gpus=1)
waiting.join(60)
print("done" if cluster_gpus() == 1 and not waiting.is_alive() else "still waiting", flush=True)
wait_for_gpus(1)
ray.shutdown()
cluster.shutdown()
"""


@pytest.mark.slow
def test_gpus_that_are_required_are_waited_for_until_a_node_brings_them(ray_of_its_own):
    done = subprocess.run(
        [sys.executable, "-c", WAITS],
        env=ray_of_its_own,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    said, *after = done.stdout.splitlines()
    assert said.startswith("waiting for GPUs: 1 required, 0 in the cluster")
    assert after == ["alive", "done"]


def test_a_gpu_that_is_required_and_not_there_is_refused_where_it_would_train():
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(InputError, match="PyTorch finds no GPU"):
        Compute.resolve("required", "auto")


@pytest.mark.parametrize(
    ("version", "built", "said"),
    [
        (
            "NVRM version: NVIDIA UNIX x86_64 Kernel Module  570.86.15  Thu Jan 23 2025",
            "13.0",
            "built for CUDA 13.0; the NVIDIA driver is 570.86.15",
        ),
        (None, None, "built without CUDA; no NVIDIA driver is loaded"),
    ],
)
def test_who_finds_no_gpu_names_driver_and_torch(monkeypatch, tmp_path, version, built, said):
    file = tmp_path / "version"
    if version:
        file.write_text(version)
    monkeypatch.setattr(compute, "DRIVER", file)
    monkeypatch.setattr(torch.version, "cuda", built)
    told = compute.unseen_gpu()
    assert f"torch {torch.__version__}, {said} (CUDA 13 needs 580 or newer" in told
    assert "\n" not in told


def test_a_gpu_that_ray_gave_and_torch_does_not_find_is_no_reason_to_train_on_the_cpu(
    monkeypatch,
):
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")

    def run_here(**given):
        assert given["num_gpus"] == 1
        return lambda run: SimpleNamespace(remote=run)

    monkeypatch.setattr(session, "share", lambda *_: session.Share(1.0, 1.0))
    monkeypatch.setattr(session.ray, "remote", run_here)
    monkeypatch.setattr(session.ray, "get", lambda done: done)
    with pytest.raises(InputError, match=r"Ray gave a GPU, and PyTorch finds no GPU .*torch 2"):
        session.on_worker(Compute.resolve, "auto", "auto", gpu=True)


def test_ctrl_c_interrupts_whatever_handler_some_library_has_left():
    def fit():
        with session.interruptible():
            signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        with pytest.raises(KeyboardInterrupt):
            fit()
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("ended", [SystemExit(0), KeyboardInterrupt()])
def test_ctrl_c_is_an_interruption_whatever_a_handler_makes_of_it(ended):
    ours = signal.getsignal(signal.SIGINT)

    def fit():
        with session.interruptible():
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            raise ended

    with pytest.raises(KeyboardInterrupt):
        fit()
    assert signal.getsignal(signal.SIGINT) is ours
