"""Runs are tracked as they were, whoever logs them and wherever to."""

import json
import math
import multiprocessing
import os
import pickle
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
from mlflow import MlflowClient

from respire.errors import InputError
from respire.recipe.presets import quick
from respire.recipe.recipe import Recipe
from respire.runtime.storage import Storage
from respire.runtime.tracking import EpochLogger, Tracker
from respire.runtime.tracking_store import client

EXPERIMENT = "respire/full"
DEVICES = ("AKGC417L", "Meditron", "LittC2SE", "Litt3200")


@pytest.fixture(scope="module")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    client(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def uri(empty_database: Path, tmp_path: Path) -> str:
    shutil.copy(empty_database, tmp_path)
    return f"sqlite:///{tmp_path}/mlflow.db"


def runs_of(uri: str) -> list[Any]:
    store = MlflowClient(tracking_uri=uri)
    experiment = store.get_experiment_by_name(EXPERIMENT)
    return [] if experiment is None else list(store.search_runs([experiment.experiment_id]))


def run_of(tracker: Tracker) -> Any:
    return MlflowClient(tracking_uri=tracker.uri).get_run(tracker.run_id)


def history(tracker: Tracker, metric: str) -> list[tuple[int, float]]:
    store = MlflowClient(tracking_uri=tracker.uri)
    return [(m.step, m.value) for m in store.get_metric_history(tracker.run_id, metric)]


def log_results(tracker: Tracker, score: float) -> None:
    """What an experiment says in the end."""
    tracker.log_tags({"split.kind": "80-20", "split.split_seed": 0})
    tracker.log_stamps(["selected on test"], ["Litt3200: no validation patient"])
    tracker.log_metrics(
        {
            "stage1.score": score,
            "stage1.sp": None,
            "stage2.Meditron.se": 0.4,
            "baselines.mean mel bands.score": 0.5,
        }
    )
    confusion = {"classes": ["normal", "abnormal"], "stage1.Meditron": [[1, 0], [2, 1]]}
    tracker.log_json(confusion, "confusion/stage1.json")


CYCLES = pd.DataFrame(
    {
        "recording": ["a", "a", "b", "c", "d"],
        "patient": [1, 1, 2, 3, 4],
        "label": [0, 1, 2, 3, 0],
        "start_s": [0.0, 1.0, 0.0, 0.0, 0.0],
        "audio": ["/somewhere/a.wav", "/somewhere/a.wav", "b.wav", "c.wav", "d.wav"],
    }
)
SIDES = pd.Series(["train", "train", "validation", "test"], index=[0, 1, 2, 3])  # d was removed


def test_importing_tracking_does_not_import_mlflow() -> None:
    code = "import sys, respire.runtime.tracking; sys.exit('mlflow' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


# What a run holds


def test_the_same_name_and_key_resume_and_another_key_does_not(uri: str) -> None:
    first = Tracker.start(uri, EXPERIMENT, "it's 80-20", "k1")
    stage = first.child("stage1", {"device": "all"})
    stage.finish("FINISHED")
    first.finish("FAILED")
    assert Tracker.start(uri, EXPERIMENT, "it's 80-20", "k1") == first
    assert first.child("stage1") == stage
    assert run_of(stage).info.status == run_of(first).info.status == "RUNNING"
    others = {
        Tracker.start(uri, EXPERIMENT, "it's 80-20", "k2"),
        Tracker.start(uri, EXPERIMENT, "another", "k1"),
        first.child("stage2"),
    }
    assert len({first, stage} | others) == len(runs_of(uri)) == 5
    assert run_of(stage).data.tags["mlflow.parentRunId"] == first.run_id
    with pytest.raises(InputError, match="quotation mark"):
        Tracker.start(uri, EXPERIMENT, 'a "quoted" name', "k1")


def test_a_nested_run_with_its_own_key_is_never_taken_for_a_parent(uri: str) -> None:
    parent = Tracker.start(uri, EXPERIMENT, "grid", "k1")
    cell = parent.child("cell", {"respire.key": "k2"})
    assert Tracker.start(uri, EXPERIMENT, "cell", "k2") != cell


@pytest.mark.parametrize(
    ("error", "status"), [(None, "FINISHED"), (ValueError, "FAILED"), (KeyboardInterrupt, "KILLED")]
)
def test_a_run_ends_as_its_block_does(
    uri: str, error: type[BaseException] | None, status: str
) -> None:
    tracker = Tracker.start(uri, EXPERIMENT, "run", "k")
    with pytest.raises(error) if error else nullcontext(), tracker:
        if error:
            raise error
    assert run_of(tracker).info.status == status


def test_epochs_are_logged_at_their_step_without_undefined_metrics(uri: str) -> None:
    tracker = Tracker.start(uri, EXPERIMENT, "run", "k")
    logger = pickle.loads(pickle.dumps(tracker.epochs))
    for epoch, loss in ((1, 2.0), (2, 1.0), (2, 1.0)):  # epoch 2 again, after a resume
        logger(epoch, {"train_loss": loss, "validation_score": None, "validation_se": math.nan})
    assert set(history(tracker, "train_loss")) == {(1, 2.0), (2, 1.0)}
    assert run_of(tracker).data.metrics == {"train_loss": 1.0}


def test_the_whole_recipe_is_logged_and_may_be_logged_again(uri: str) -> None:
    tracker = Tracker.start(uri, EXPERIMENT, "run", "k")
    recipe = quick().flat() | {"long": "x" * 10_000} | {f"many.{i}": i for i in range(80)}
    for _ in range(2):
        tracker.log_params(recipe)
    logged = run_of(tracker).data.params
    assert logged.keys() == recipe.keys()
    assert logged["optimisation.epochs"] == str(quick().optimisation.epochs)


def test_when_a_run_goes_on_its_recipe_may_have_another_name_and_place_of_weights(
    uri: str,
) -> None:
    for name in ("mine", "final"):
        tracker = Tracker.start(uri, EXPERIMENT, "run", "k")
        model = replace(quick().model, weights=f"/{name}/weights.pth")
        tracker.log_recipe(replace(quick(), preset=name, model=model))
    run = run_of(tracker).data
    assert run.tags["respire.recipe"] == "final"
    assert run.tags["respire.weights"] == "/final/weights.pth"
    assert "model.weights" not in run.params
    assert run.params["model.backbone"] == quick().model.backbone
    assert run.params["optimisation.epochs"] == str(quick().optimisation.epochs)


def test_two_runs_can_be_searched_side_by_side(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, recipe, score in (("a", Recipe(), 0.6), ("b", quick(), 0.4)):
        with Tracker.start(uri, EXPERIMENT, name, name) as tracker:
            tracker.log_recipe(recipe)
            log_results(tracker, score)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    table = mlflow.search_runs(
        experiment_names=[EXPERIMENT],
        filter_string="metrics.`stage1.score` > 0.3 and tags.`split.kind` = '80-20'",
        order_by=["metrics.`stage1.score` DESC"],
    )
    assert list(table["metrics.stage1.score"]) == [0.6, 0.4]
    assert list(table["tags.respire.recipe"]) == ["paper", "quick"]
    assert "params.preset" not in table
    assert list(table["metrics.stage2.Meditron.se"]) == [0.4, 0.4]
    assert list(table["metrics.baselines.mean mel bands.score"]) == [0.5, 0.5]
    assert "metrics.stage1.sp" not in table  # undefined
    assert set(table["tags.respire.stamps"]) == {"selected on test"}
    assert set(table["tags.split.split_seed"]) == {"0"}
    note = table["tags.mlflow.note.content"][0]
    assert note == "**SELECTED ON TEST**\n\nLitt3200: no validation patient"


def test_the_split_is_three_dataset_inputs_that_do_not_depend_on_the_folder(uri: str) -> None:
    digests = []
    for name, folder in (("here", "/somewhere/"), ("there", "s3://bucket/")):
        tracker = Tracker.start(uri, EXPERIMENT, name, "k")
        for _ in range(2):  # again, after a resume
            tracker.log_split(CYCLES.assign(audio=folder + CYCLES["recording"]), SIDES, "split 0")
        inputs = run_of(tracker).inputs.dataset_inputs
        rows = {i.tags[0].value: json.loads(i.dataset.profile)["num_rows"] for i in inputs}
        assert rows == {"train": 2, "validation": 1, "test": 1}
        assert all(i.tags[0].key == "mlflow.data.context" for i in inputs)
        digests.append({i.tags[0].value: i.dataset.digest for i in inputs})
    assert digests[0] == digests[1]
    assert len(set(digests[0].values())) == 3


def test_files_and_folders_of_a_storage_become_artifacts(uri: str, tmp_path: Path) -> None:
    storage = Storage.at(tmp_path / "my run")
    for name in ("report.md", "figures/curves.png", "models/stage1.pt"):
        (storage / name).write_bytes(name.encode())
    tracker = Tracker.start(uri, EXPERIMENT, "run", "k")
    tracker.log_files(storage, "report.md", "figures", "models/stage1.pt")
    log_results(tracker, 0.5)
    root = tmp_path / "mlartifacts" / EXPERIMENT / tracker.run_id / "artifacts"
    for name in ("report.md", "figures/curves.png", "models/stage1.pt"):
        assert (root / name).read_bytes() == name.encode()
    confusion = json.loads((root / "confusion/stage1.json").read_text())
    assert confusion["classes"] == ["normal", "abnormal"]
    assert confusion["stage1.Meditron"] == [[1, 0], [2, 1]]


# Many writers, and a server


def fine_tune(tracker: Tracker, device: str) -> None:
    """What a trial in a worker process does."""
    with tracker.child(device, {"device": device}) as trial:
        for epoch in range(1, 31):
            trial.epochs(epoch, {"train_loss": 1 / epoch, "validation_score": epoch / 30})


def fine_tune_four_devices_at_once(tracker: Tracker) -> None:
    spawn = multiprocessing.get_context("spawn")
    trials = [spawn.Process(target=fine_tune, args=(tracker, device)) for device in DEVICES]
    for trial in trials:
        trial.start()
    for trial in trials:
        trial.join()
    assert [trial.exitcode for trial in trials] == [0] * 4


def as_the_api_returns(uri: str) -> list[Any]:
    """All runs with their histories, less what tells one store from another."""
    store = MlflowClient(tracking_uri=uri)
    runs = runs_of(uri)
    names = {run.info.run_id: run.info.run_name for run in runs}
    return sorted(
        (
            run.info.run_name,
            run.info.status,
            names.get(run.data.tags.get("mlflow.parentRunId")),
            sorted(run.data.params.items()),
            sorted((k, v) for k, v in run.data.tags.items() if k != "mlflow.parentRunId"),
            [
                (name, [(m.step, m.value) for m in store.get_metric_history(run_id, name)])
                for name in sorted(run.data.metrics)
            ],
            sorted((i.dataset.digest, i.tags[0].value) for i in run.inputs.dataset_inputs),
            sorted(artifact.path for artifact in store.list_artifacts(run_id, "confusion")),
        )
        for run_id, run in ((run.info.run_id, run) for run in runs)
    )


def experiment_with_four_trials(uri: str) -> list[Any]:
    with Tracker.start(uri, EXPERIMENT, "run", "k") as tracker:
        tracker.log_params(quick().flat())
        tracker.log_split(CYCLES, SIDES, "split 0")
        fine_tune_four_devices_at_once(tracker)
        log_results(tracker, 0.5)
    return as_the_api_returns(uri)


@pytest.mark.slow
def test_four_trials_log_at_once_to_a_fresh_database(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    runs = experiment_with_four_trials(uri)
    assert [run[0] for run in runs] == sorted([*DEVICES, "run"])
    expected = [(epoch, epoch / 30) for epoch in range(1, 31)]
    for _, status, parent, _, _, metrics, _, _ in runs[:-1]:
        assert (status, parent) == ("FINISHED", "run")
        assert dict(metrics)["validation_score"] == expected


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--workers", "1"]
    command += ["--port", str(port), "--backend-store-uri", f"sqlite:///{tmp_path}/server.db"]
    command += ["--artifacts-destination", str(tmp_path / "server")]
    with (tmp_path / "server.log").open("w") as log:
        process = subprocess.Popen(
            command, cwd=tmp_path, stdout=log, stderr=log, start_new_session=True
        )
    try:
        for _ in range(120):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1).close()
                break
            except OSError:
                time.sleep(1)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, 15)
        process.wait()


@pytest.mark.slow
def test_a_server_holds_exactly_what_a_database_does(server: str, uri: str) -> None:
    assert experiment_with_four_trials(server) == experiment_with_four_trials(uri)


def test_a_logger_is_no_more_than_its_address() -> None:
    logger = EpochLogger("http://host", "run")
    assert pickle.loads(pickle.dumps(logger)) == logger
