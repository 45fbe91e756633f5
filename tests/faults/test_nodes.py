"""Several nodes on one machine: where the work lies, and what is lost with a node or a server."""

import json
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from commands import disturbed, finished
from mlflow import MlflowClient
from ray.cluster_utils import Cluster
from servers import TrackingServer
from small_run import BACKBONE, EPOCHS, FULL, IMAGE, SMALL, numbers_in

from respire.data.corpora.icbhi_format import DEVICES
from respire.data.corpora.synthetic import write_corpus

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

NODES, WORKERS = 3, 2
AWAY_S = 60.0
SEARCH = (
    *("--recipe", "quick", "--name", "found", "--trials", "3", "--inner-splits", "1"),
    *("--recipe.optimisation.epochs", "1", "--recipe.model.backbone", BACKBONE, *IMAGE),
    *("--sampler", "random"),
    *("--only", "features.window_seconds", "optimisation.learning_rate"),
)


@dataclass(frozen=True)
class Undisturbed:
    """A run to which nothing happens.

    Attributes:
        folder: where its results are.
        workers: the node of each worker of stage 1.
        tunings: the node of each fine-tuning.
    """

    folder: Path
    workers: list[str]
    tunings: list[str]


@contextmanager
def three_nodes() -> Iterator[Cluster]:
    """A head that computes nothing, as on a cloud, and three nodes of a core each."""
    with pytest.MonkeyPatch.context() as environment, tempfile.TemporaryDirectory() as folder:
        environment.setenv("RAY_TMPDIR", folder)  # nobody else on this machine joins it unasked
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
        for _ in range(NODES):
            cluster.add_node(num_cpus=1)
        try:
            yield cluster
        finally:
            cluster.shutdown()


def nodes_of(cluster: Cluster, what: str, *states: str) -> list[str]:
    """The node of each actor of a class."""
    return [
        actor["Address"]["NodeID"]
        for actor in cluster.global_state.actor_table(None).values()
        if actor["ActorClassName"] == what and (not states or actor["State"] in states)
    ]


def command(folder: Path, recordings: Path, server: TrackingServer) -> tuple[str, ...]:
    """Data, storage and tracking store as all nodes see them."""
    storage = ("--storage", (folder / "runs").as_uri(), "--tracking-uri", server.uri)
    return ("--data", str(recordings), *storage)


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Several blocks more than the nodes prepare at once."""
    folder = tmp_path_factory.mktemp("many") / "corpus"
    return write_corpus(folder, patients=24, recordings_per_patient=6, cycles_per_recording=2)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrackingServer]:
    server = TrackingServer(tmp_path_factory.mktemp("server"))
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="module")
def undisturbed(
    recordings: Path, server: TrackingServer, tmp_path_factory: pytest.TempPathFactory
) -> Undisturbed:
    folder = tmp_path_factory.mktemp("undisturbed")
    with three_nodes() as cluster:
        done = finished(
            FULL,
            folder,
            *command(folder, recordings, server),
            *(*SMALL, "--workers", str(WORKERS)),
            RAY_ADDRESS=cluster.address,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return Undisturbed(
            folder, nodes_of(cluster, "RayTrainWorker"), nodes_of(cluster, "ImplicitFunc")
        )


def test_the_work_of_a_run_lies_on_all_nodes(undisturbed: Undisturbed) -> None:
    assert len(set(undisturbed.workers)) == len(undisturbed.workers) == WORKERS
    assert len(undisturbed.tunings) == len(DEVICES)
    assert len(set(undisturbed.tunings)) == NODES
    (manifest,) = undisturbed.folder.glob("runs/cycles/*/manifest.json")
    assert len(json.loads(manifest.read_text())["files"]) > NODES


def test_without_its_server_for_a_minute_and_then_without_a_node_it_ends_the_same(
    undisturbed: Undisturbed, recordings: Path, server: TrackingServer, tmp_path: Path
) -> None:
    faults: list[str] = []

    def away() -> None:
        time.sleep(AWAY_S)
        server.start()

    back = threading.Thread(target=away)
    with three_nodes() as cluster:

        def disturb(line: str) -> None:
            if line.startswith("stage1: epoch 1/") and not faults:
                server.kill()
                back.start()
                faults.append("server")
            if line.startswith("stage1: epoch 3/") and faults == ["server"]:
                lost = nodes_of(cluster, "RayTrainWorker", "ALIVE")[0]
                (node,) = [node for node in cluster.worker_nodes if node.node_id == lost]
                cluster.remove_node(node, allow_graceful=False)
                faults.append("node")

        lines = disturbed(
            FULL,
            tmp_path,
            disturb,
            *command(tmp_path, recordings, server),
            *(*SMALL, "--workers", str(WORKERS)),
            RAY_ADDRESS=cluster.address,
        )
        back.join()
        assert faults == ["server", "node"], lines
        assert len(nodes_of(cluster, "RayTrainWorker")) == 2 * WORKERS
    assert numbers_in(tmp_path) == numbers_in(undisturbed.folder)
    client = MlflowClient(tracking_uri=server.uri)
    experiment = client.get_experiment_by_name("full")
    runs = client.search_runs([experiment.experiment_id])
    assert {run.info.status for run in runs} == {"FINISHED"}
    for run in runs:
        if run.info.run_name == "stage1":
            epochs = client.get_metric_history(run.info.run_id, "train_loss")
            assert {metric.step for metric in epochs} == set(range(1, EPOCHS + 1))


def test_trials_of_a_search_lie_on_all_nodes(
    recordings: Path, server: TrackingServer, tmp_path: Path
) -> None:
    with three_nodes() as cluster:
        done = finished(
            "search.py",
            tmp_path,
            *command(tmp_path, recordings, server),
            *SEARCH,
            RAY_ADDRESS=cluster.address,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert len(set(nodes_of(cluster, "ImplicitFunc"))) == NODES
    results = json.loads((tmp_path / "runs/search/found/results.json").read_text())
    (outer,) = results["outer"]
    assert len(outer["trials"]) == NODES
