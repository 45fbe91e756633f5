import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray

from respire.data.synthetic import write_corpus

# As in respire.session: must be set before torch is imported, here and in Ray's workers.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")


@pytest.fixture(scope="session")
def ray_session() -> Iterator[None]:
    """One Ray on two CPUs for all tests: starting one takes seconds."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("RAY_AUTH_MODE", "disabled")
        environment.setenv("RAY_DATA_DISABLE_PROGRESS_BARS", "1")
        ray.init(
            num_cpus=2,
            include_dashboard=False,
            logging_level=logging.ERROR,
            log_to_driver=False,
        )
        yield
        ray.shutdown()


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A synthetic corpus of 24 patients, about 50 recordings and 250 cycles."""
    directory = tmp_path_factory.mktemp("synthetic") / "corpus"
    return write_corpus(directory, patients=24, recordings_per_patient=2, cycles_per_recording=5)
