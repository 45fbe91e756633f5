"""Experiments as users run them, from the command line."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from mlflow import MlflowClient
from mlflow.entities import Run

PATIENCE_S = 20.0
WAIT_S = 120.0
EXPERIMENTS = Path(__file__).resolve().parents[2] / "experiments"


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
        "RAY_ADDRESS": "local",  # no command joins unasked what another test has started
        "RAY_AUTH_MODE": "disabled",
        "RAY_worker_niceness": "0",  # other tests at work beside it do not make way either
        "RESPIRE_GPU": "none",
    }


def finished(
    experiment: str, folder: Path, *arguments: str, **settings: str
) -> subprocess.CompletedProcess[str]:
    """Run an experiment in a folder, with settings in its environment, and wait for its end."""
    return subprocess.run(
        [sys.executable, str(EXPERIMENTS / experiment), *arguments],
        cwd=folder,
        env=environment(folder / "home") | settings,
        capture_output=True,
        text=True,
        timeout=800,
        check=False,
    )


def is_alive(process: psutil.Process) -> bool:
    """Whether a process runs; one that has ended stays a zombie where nobody asks for its end."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


@contextmanager
def running(
    experiment: str, folder: Path, *arguments: str, **settings: str
) -> Iterator[subprocess.Popen[str]]:
    """An experiment whose output can be read while it runs; all of it is killed at the end."""
    process = subprocess.Popen(
        [sys.executable, str(EXPERIMENTS / experiment), *arguments],
        cwd=folder,
        env=environment(folder / "home") | settings,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        below = []
        if process.poll() is None:
            os.kill(process.pid, signal.SIGSTOP)  # it must not go on while its children are found
            below = psutil.Process(process.pid).children(recursive=True)
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        assert process.stdout is not None
        process.stdout.close()
        patience = time.monotonic() + PATIENCE_S  # what Ray leaves behind ends by itself
        while alive := [one for one in below if is_alive(one)]:
            if time.monotonic() > patience:
                for orphan in alive:
                    orphan.kill()
            time.sleep(0.05)


def killed(
    experiment: str, folder: Path, when: Callable[[str], bool], *arguments: str
) -> list[str]:
    """Run an experiment and kill it, and all below it, once a line of its output says so."""
    lines = []
    with running(experiment, folder, *arguments) as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line.rstrip())
            if when(line):
                break
    return lines


@contextmanager
def ctrl_c_after(begun: Path) -> Iterator[None]:
    """Within it Ctrl-C is pressed in this process as soon as a file is there."""

    def press() -> None:
        patience = time.monotonic() + WAIT_S
        while not begun.exists():
            if time.monotonic() > patience:
                return
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    # What a script starts in its background ignores Ctrl-C from the beginning.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    presser = threading.Thread(target=press)
    presser.start()
    try:
        yield
    finally:
        presser.join()
        signal.signal(signal.SIGINT, before)


def disturbed(
    experiment: str, folder: Path, disturb: Callable[[str], None], *arguments: str, **settings: str
) -> list[str]:
    """Run an experiment to its end, and let each line of its output disturb it."""
    lines = []
    with running(experiment, folder, *arguments, **settings) as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line.rstrip())
            disturb(line)
        assert process.wait() == 0, "\n".join(lines[-30:])
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
