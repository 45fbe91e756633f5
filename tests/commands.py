"""Experiments as users run them, from the command line."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
from mlflow import MlflowClient
from mlflow.entities import Run

EXPERIMENTS = Path(__file__).resolve().parents[1] / "experiments"


def environment(home: Path) -> dict[str, str]:
    """A machine that has never seen respire."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("RESPIRE_", "MLFLOW_", "RAY_"))
    }
    home.mkdir(parents=True, exist_ok=True)
    return kept | {
        "HOME": str(home),
        "XDG_CACHE_HOME": str(home / "cache"),
        "RAY_AUTH_MODE": "disabled",
        "RESPIRE_GPU": "none",
    }


def finished(experiment: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run an experiment in a folder and wait for its end."""
    return subprocess.run(
        [sys.executable, str(EXPERIMENTS / experiment), *arguments],
        cwd=folder,
        env=environment(folder / "home"),
        capture_output=True,
        text=True,
        timeout=800,
        check=False,
    )


def killed(
    experiment: str, folder: Path, when: Callable[[str], bool], *arguments: str
) -> list[str]:
    """Run an experiment and kill it, and all below it, once a line of its output says so."""
    process = subprocess.Popen(
        [sys.executable, str(EXPERIMENTS / experiment), *arguments],
        cwd=folder,
        env=environment(folder / "home"),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    lines = []
    assert process.stdout is not None
    for line in process.stdout:
        lines.append(line.rstrip())
        if when(line):
            break
    below = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    _, alive = psutil.wait_procs(below, timeout=20)
    for orphan in alive:
        orphan.kill()
    psutil.wait_procs(alive, timeout=20)
    return lines


def client_of(folder: Path) -> MlflowClient:
    """Reads the MLflow store that an experiment left in a folder."""
    return MlflowClient(tracking_uri=f"sqlite:///{folder}/mlflow.db")


def parent_and_children(experiment: str, folder: Path) -> tuple[Run, dict[str, Run]]:
    """The one parent run of an MLflow experiment in a folder, and its nested runs by name."""
    client = client_of(folder)
    found = client.get_experiment_by_name(experiment)
    runs = client.search_runs([found.experiment_id])
    children = [run for run in runs if "mlflow.parentRunId" in run.data.tags]
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parent.info.run_id}
    named = {run.info.run_name: run for run in children}
    assert len(named) == len(children)
    return parent, named
