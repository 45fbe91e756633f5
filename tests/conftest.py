import gc
import logging
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest
import ray
from commands import finished
from filelock import FileLock
from hypothesis import settings
from small_run import FULL, SMALL

from respire.data.corpora.synthetic import write_corpus

# As in respire.runtime.session: must be set before torch is imported, here and in Ray's workers.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
# Before the first Ray of this process: a later one of another mode refuses what is asked of it.
os.environ["RAY_AUTH_MODE"] = "disabled"
WORKER = os.environ.get("PYTEST_XDIST_WORKER")
if WORKER:
    import torch

    torch.set_num_threads(1)  # the other cores have tests of their own

# A test that is timed says how busy the machine is.
settings.register_profile("respire", deadline=None)
settings.load_profile("respire")

CPUS = 2
PATIENCE_S = 60.0


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[None]:
    """One Ray on two CPUs for all tests: starting one takes seconds."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("RAY_DATA_DISABLE_PROGRESS_BARS", "1")
        environment.setenv("RAY_worker_niceness", "0")  # as in commands.environment
        ray.init(
            "local",
            num_cpus=CPUS,
            include_dashboard=False,
            logging_level=logging.ERROR,
            log_to_driver=False,
        )
        yield
        ray.shutdown()


@pytest.fixture
def ray_session(ray_cluster: None) -> Iterator[None]:  # noqa: ARG001
    """That Ray, which a test leaves as it was found: nothing of it runs on."""
    yield
    gc.collect()
    patience = time.monotonic() + PATIENCE_S
    while (free := ray.available_resources().get("CPU", 0)) < CPUS:
        assert time.monotonic() < patience, f"only {free} of {CPUS} CPUs were given back"
        time.sleep(0.1)


@pytest.fixture
def ray_of_its_own() -> Iterator[dict[str, str]]:
    """The environment of a process that makes a cluster, which nobody else here joins unasked."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        settings = {"RAY_SCHEDULER_EVENTS": "0", "RAY_TMPDIR": folder}
        yield os.environ | settings


Shared = Callable[[str, Callable[[Path], object]], Path]


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Shared:
    """A folder by name, for all processes of pytest-xdist: the first that asks for it fills it."""
    root = tmp_path_factory.getbasetemp()
    if WORKER:
        root = root.parent

    def filled(name: str, fill: Callable[[Path], object]) -> Path:
        folder, done = root / name, root / f"{name}.done"
        with FileLock(root / f"{name}.lock"):
            if not done.exists():
                shutil.rmtree(folder, ignore_errors=True)  # what another process did not fill
                folder.mkdir()
                fill(folder)
                done.touch()
        return folder

    return filled


@pytest.fixture(scope="session")
def corpus(shared: Shared) -> Path:
    """A synthetic corpus of 24 patients, about 50 recordings and 250 cycles."""

    def write(folder: Path) -> None:
        write_corpus(
            folder / "corpus", patients=24, recordings_per_patient=2, cycles_per_recording=5
        )

    return shared("synthetic", write) / "corpus"


@pytest.fixture(scope="session")
def uninterrupted(corpus: Path, shared: Shared) -> Path:
    """Where a small run of experiments/full.py went through without a fault."""

    def run(folder: Path) -> None:
        done = finished(FULL, folder, "--data", str(corpus), *SMALL)
        assert done.returncode == 0, done.stderr

    return shared("uninterrupted", run)


Refusal = Callable[..., str]


@pytest.fixture
def refusal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Refusal:
    """Types a command in this process, in a folder of the test's own and with nothing said in the
    environment; returns its refusal, of which it checks what is common: status 2 and one line.
    """
    for name in os.environ:
        if name.startswith(("RESPIRE_", "MLFLOW_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("RESPIRE_GPU", "none")
    monkeypatch.chdir(tmp_path)

    def refuse(question: Callable[[str], NoReturn], *arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", [f"{question.__name__}.py", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            question("a test")
        said = capsys.readouterr().err
        assert ended.value.code == 2
        assert re.fullmatch(r"error: [^\n]+\n", said), said
        return said.strip()

    return refuse
