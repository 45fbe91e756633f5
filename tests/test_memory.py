"""A corpus larger than the object store: it is prepared and trained on, with a warning."""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from commands import environment, finished, parent_and_children
from small_run import BACKBONE

from respire.data.corpora.icbhi_format import DEVICES

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

RATE_HZ = 4000
STORE_BYTES = 80_000_000
PATIENTS, RECORDINGS, CYCLES, CYCLE_S = 24, 2, 16, 25
CORPUS_BYTES = 2 * PATIENTS * RECORDINGS * CYCLES * CYCLE_S * RATE_HZ
"""Twice what the store holds, and each training side more than it holds."""
SMALL = (
    *("--recipe", "quick", "--name", "large", "--recipe.optimisation.epochs", "1"),
    *("--recipe.finetune.epochs", "1", "--recipe.finetune.unselected-epochs", "1"),
    *("--recipe.features.window-seconds", "1"),
    *("--recipe.model.backbone", BACKBONE),
)
CLUSTER = """
import sys
from ray.cluster_utils import Cluster
small = {"num_cpus": 2, "object_store_memory": int(sys.argv[1])}
cluster = Cluster(initialize_head=True, head_node_args=small)
print(cluster.address, flush=True)
sys.stdin.read()
cluster.shutdown()
"""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Noise in ICBHI's layout: few cycles, but long ones."""
    folder = tmp_path_factory.mktemp("large")
    random = np.random.default_rng(0)
    for patient in range(PATIENTS):
        device = DEVICES[patient % len(DEVICES)]
        for recording in range(RECORDINGS):
            name = folder / f"{101 + patient}_{recording + 1}b1_Al_sc_{device}"
            noise = random.integers(-9999, 9999, CYCLES * CYCLE_S * RATE_HZ, np.int16)
            sf.write(f"{name}.wav", noise, RATE_HZ)
            Path(f"{name}.txt").write_text(
                "".join(
                    f"{CYCLE_S * n}\t{CYCLE_S * (n + 1)}\t{n % 2}\t{n // 2 % 2}\n"
                    for n in range(CYCLES)
                )
            )
    return folder


@pytest.fixture
def small_ray(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A Ray of its own with little room for objects: what joins it, and where it keeps its logs."""
    own = tempfile.mkdtemp(prefix="r", dir="/tmp")  # paths of sockets must be short
    settings = {"RAY_TMPDIR": own}
    with subprocess.Popen(
        [sys.executable, "-c", CLUSTER, str(STORE_BYTES)],
        env=environment(tmp_path / "home") | settings,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as cluster:
        assert cluster.stdout is not None
        yield settings | {"RAY_ADDRESS": cluster.stdout.readline().strip()}
    shutil.rmtree(own)


def test_it_is_trained_on_with_a_warning(corpus, small_ray, tmp_path):
    assert CORPUS_BYTES > 1.5 * STORE_BYTES
    done = finished("full.py", tmp_path, "--data", str(corpus), *SMALL, **small_ray)
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "runs" / "full" / "large" / "results.json").read_text())
    (warning,) = [line for line in results["warnings"] if "object store" in line]
    assert f"take {round(CORPUS_BYTES / 2**20)} MiB" in warning
    assert f"store has {round(STORE_BYTES / 2**20)}:" in warning
    assert f"warning: {warning}" in done.stdout.splitlines()
    assert results["environment"]["object_store_mib"] == round(STORE_BYTES / 2**20)
    assert results["peak_memory_mib"] > 0
    _, children = parent_and_children("full", tmp_path)
    assert children["stage1"].data.metrics["peak_memory_mib"] > CORPUS_BYTES / 2 / 2**20
    logs = Path(small_ray["RAY_TMPDIR"]).glob("ray/session_2*/logs/*")
    assert any("spill_worker" in log.name for log in logs), "nothing had to leave the object store"
