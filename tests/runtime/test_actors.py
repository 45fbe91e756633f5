import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest
import ray
from cycle_rows import cycles_table

from respire.errors import InputError
from respire.runtime import actors as grid
from respire.runtime.actors import run_grid, slots

TABLE = cycles_table([[900, 1500], [1200, 700]])
JOBS = ("a", "b", "c", "d", "e")
PATIENCE_S = 120.0

Run = Callable[[str, pa.Table], None]


def cluster_of(monkeypatch: pytest.MonkeyPatch, **resources: float) -> None:
    monkeypatch.setattr(ray, "cluster_resources", lambda: resources)


def ended(run: Run, jobs: Iterable[str]) -> dict[str, str | None]:
    """Why each of the jobs failed, or None; all on one table."""
    every = list(run_grid(run, ((job, TABLE) for job in jobs), gpu=False, per_gpu=1))
    assert len(every) == len(dict(every))
    return dict(every)


def begun(folder: Path, job: str) -> int:
    return len((folder / job).read_text().split())


def killer(folder: Path, always: str | None = None) -> Run:
    """Jobs note that they have begun, and kill their process: once, or one of them always."""

    def run(job: str, _: pa.Table) -> None:
        with (folder / job).open("a") as file:
            file.write("begun\n")
        first = len((folder / job).read_text().split()) == 1
        if job == always or (always is None and first):
            os.kill(os.getpid(), signal.SIGKILL)

    return run


def assert_free() -> None:
    """The cluster has all its CPUs again, soon."""
    began = time.monotonic()
    while ray.available_resources().get("CPU", 0) < ray.cluster_resources()["CPU"]:
        assert time.monotonic() - began < PATIENCE_S / 4
        time.sleep(0.1)


def never(job: str, _: pa.Table) -> None:
    raise AssertionError(f"{job} was run")


@pytest.fixture(scope="module")
def notes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("notes")


@pytest.fixture(scope="module")
def asked(
    ray_cluster: None,  # noqa: ARG001
    notes: Path,
) -> list[tuple[str, list[str]]]:
    """Five jobs are run, each of which notes when, and waits until two have begun.

    Returns:
        Each job with those that had ended when it was asked for.
    """
    asked: list[tuple[str, list[str]]] = []
    over: list[str] = []

    def run(job: str, _: pa.Table) -> None:
        began = time.monotonic()
        (notes / f"{job}.began").touch(exist_ok=False)
        while len(list(notes.glob("*.began"))) < 2 and time.monotonic() - began < PATIENCE_S:
            time.sleep(0.05)
        time.sleep(0.2)
        (notes / f"{job}.times").write_text(json.dumps([began, time.monotonic()]))

    def jobs() -> Iterator[tuple[str, pa.Table]]:
        for job in JOBS:
            asked.append((job, list(over)))
            yield job, TABLE

    for job, failure in run_grid(run, jobs(), gpu=False, per_gpu=1):
        assert failure is None
        assert (notes / f"{job}.times").exists()
        over.append(job)
    assert sorted(over) == list(JOBS)
    return asked


@pytest.mark.parametrize(
    ("resources", "gpu", "per_gpu", "room"),
    [
        ({"CPU": 2.0}, False, 3, 2),
        ({"CPU": 16.0, "GPU": 1.0}, False, 3, 16),
        ({"CPU": 16.0, "GPU": 1.0}, True, 3, 3),
        ({"CPU": 2.0, "GPU": 8.0}, True, 2, 16),
        ({"CPU": 0.5}, False, 1, 1),
        ({}, False, 1, 1),
        ({"CPU": 4.0}, True, 2, 1),
    ],
)
def test_there_is_room_for_a_run_a_core_or_some_a_gpu_and_always_for_one(
    monkeypatch: pytest.MonkeyPatch,
    resources: dict[str, float],
    gpu: bool,
    per_gpu: int,
    room: int,
) -> None:
    cluster_of(monkeypatch, **resources)
    assert slots(gpu, per_gpu) == room


def test_no_jobs_end_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster_of(monkeypatch, CPU=2)
    assert ended(never, []) == {}


@pytest.mark.slow
@pytest.mark.usefixtures("asked")
def test_two_jobs_run_at_the_same_time_and_never_more(notes: Path) -> None:
    times = [json.loads(path.read_text()) for path in notes.glob("*.times")]
    assert len(times) == len(JOBS)
    together = [sum(began <= moment < over for began, over in times) for moment, _ in times]
    assert max(together) == 2


@pytest.mark.slow
def test_a_job_is_asked_for_only_when_there_is_room_for_it(
    asked: list[tuple[str, list[str]]],
) -> None:
    assert [(job, len(over)) for job, over in asked] == list(
        zip(JOBS, (0, 0, 1, 2, 3), strict=True)
    )


@pytest.mark.slow
@pytest.mark.usefixtures("ray_session")
def test_a_job_that_loses_another_actor_is_not_taken_for_a_lost_one(tmp_path: Path) -> None:
    def run(job: str, _: pa.Table) -> None:
        (tmp_path / f"{job}.{time.monotonic_ns()}").touch()
        raise ray.exceptions.ActorDiedError

    with pytest.raises(ray.exceptions.ActorDiedError):
        dict(run_grid(run, iter([("a", TABLE)]), gpu=False, per_gpu=1))
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.slow
@pytest.mark.usefixtures("ray_session")
def test_a_table_that_jobs_share_arrives_as_it_was_and_is_sent_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = cycles_table([[800]], seed=1)
    jobs = {"a": TABLE, "b": TABLE, "c": other, "d": TABLE}
    sent: list[object] = []
    put = ray.put

    def counted(value: object) -> ray.ObjectRef:
        sent.append(value)
        return put(value)

    def run(job: str, cycles: pa.Table) -> None:
        pyarrow.parquet.write_table(cycles, tmp_path / job)

    monkeypatch.setattr(grid.ray, "put", counted)
    assert dict(run_grid(run, iter(jobs.items()), gpu=False, per_gpu=1)) == dict.fromkeys(jobs)
    for job, cycles in jobs.items():
        assert pyarrow.parquet.read_table(tmp_path / job).equals(cycles)
    assert [id(value) for value in sent] == [id(TABLE), id(other)]


@pytest.mark.slow
@pytest.mark.usefixtures("ray_session")
def test_a_job_that_diverges_or_is_refused_says_why_and_the_others_go_on(tmp_path: Path) -> None:
    def run(job: str, _: pa.Table) -> None:
        if job == "b":
            raise FloatingPointError("the training loss is nan in epoch 2")
        if job == "c":
            raise InputError("too few cycles")
        (tmp_path / job).touch(exist_ok=False)

    failures = {"b": "the training loss is nan in epoch 2", "c": "too few cycles"}
    assert ended(run, JOBS) == dict.fromkeys(JOBS) | failures
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "d", "e"]


GROWS = """
import sys, time
from pathlib import Path
import pyarrow as pa
import ray
from ray.cluster_utils import Cluster
from respire.runtime import actors as grid

grid.LOOK_AGAIN_S = 0.5
begun = Path(sys.argv[1])
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "num_gpus": 1})
cluster.connect()

def run(job, _):
    (begun / job).write_text(ray.get_runtime_context().get_node_id())
    while len({file.read_text() for file in begun.iterdir()} - {""}) < 2:
        time.sleep(0.05)  # no job ends before another node has one

jobs = grid.run_grid(run, ((job, pa.table({})) for job in "abcde"), gpu=True, per_gpu=1)
import threading
ended = []
following = threading.Thread(target=lambda: ended.extend(jobs))
following.start()
while not list(begun.iterdir()):
    time.sleep(0.05)
time.sleep(2)
print(len(list(begun.iterdir())), "begun on one GPU", flush=True)
cluster.add_node(num_cpus=1, num_gpus=1)
following.join(60)
print(sorted(ended), flush=True)
ray.shutdown()
cluster.shutdown()
"""


@pytest.mark.slow
def test_a_grid_on_gpus_waits_in_line_for_more_and_uses_a_node_that_joins(
    tmp_path: Path, ray_of_its_own: dict[str, str]
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", GROWS, str(tmp_path)],
        env=ray_of_its_own,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stdout.splitlines() == [
        "1 begun on one GPU",
        str([(job, None) for job in "abcde"]),
    ]


@pytest.mark.slow
@pytest.mark.usefixtures("ray_session")
def test_a_bug_in_a_job_ends_the_grid() -> None:
    def run(job: str, _: pa.Table) -> None:
        if job == "b":
            raise ZeroDivisionError("a bug")

    with pytest.raises(ZeroDivisionError, match="a bug") as bug:
        ended(run, JOBS)
    assert bug.tb is not None  # and, though it holds all that the grid held, no room:
    assert_free()


@pytest.mark.slow
@pytest.mark.usefixtures("ray_session")
def test_a_grid_that_nobody_follows_to_its_end_gives_back_its_room() -> None:
    def run(job: str, _: pa.Table) -> None:
        time.sleep(0 if job == "a" else PATIENCE_S)

    half = run_grid(run, ((job, TABLE) for job in JOBS), gpu=False, per_gpu=1)
    assert next(half) == ("a", None)
    half.close()
    assert_free()


@pytest.mark.slow
@pytest.mark.usefixtures("ray_session")
def test_every_job_whose_process_is_killed_is_begun_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # With two actors and three jobs one actor's jobs are killed twice: each job counts for itself.
    monkeypatch.setattr(grid, "RETRIES", 1)
    assert ended(killer(tmp_path), "abc") == dict.fromkeys("abc")
    assert [begun(tmp_path, job) for job in "abc"] == [2, 2, 2]


@pytest.mark.slow
@pytest.mark.usefixtures("ray_session")
def test_a_job_that_always_kills_its_process_is_given_up_and_the_others_finish(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grid, "RETRIES", 2)
    failures = ended(killer(tmp_path, always="b"), "abcd")
    assert failures.pop("b").startswith("its process was lost 3 times (The actor died")
    assert failures == dict.fromkeys("acd")
    assert [begun(tmp_path, job) for job in "abcd"] == [1, 3, 1, 1]
    assert_free()  # though the error and the frames it was raised in refer to each other
