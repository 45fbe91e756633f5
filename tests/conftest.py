import gc
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray
from commands import finished
from hypothesis import settings
from small_run import FULL, SMALL

from respire.data.corpora.synthetic import write_corpus

# As in respire.runtime.session: must be set before torch is imported, here and in Ray's workers.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")

# A test that is timed says how busy the machine is.
settings.register_profile("respire", deadline=None)
settings.load_profile("respire")

CPUS = 2
PATIENCE_S = 60.0


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[None]:
    """One Ray on two CPUs for all tests: starting one takes seconds."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("RAY_AUTH_MODE", "disabled")
        environment.setenv("RAY_DATA_DISABLE_PROGRESS_BARS", "1")
        ray.init(
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


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A synthetic corpus of 24 patients, about 50 recordings and 250 cycles."""
    directory = tmp_path_factory.mktemp("synthetic") / "corpus"
    return write_corpus(directory, patients=24, recordings_per_patient=2, cycles_per_recording=5)


@pytest.fixture(scope="session")
def uninterrupted(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a small run of experiments/full.py went through without a fault."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    done = finished(FULL, folder, "--data", str(corpus), *SMALL)
    assert done.returncode == 0, done.stderr
    return folder
