"""The Slurm script, run with stand-ins for Slurm, Ray, MLflow and Python."""

import os
import shutil
import signal
import subprocess
import sysconfig
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

Stub = Callable[[str, str], dict[str, str]]
JOB = {
    "SLURM_JOB_ID": "1234",
    "SLURM_JOB_NUM_NODES": "3",
    "SLURM_CPUS_PER_TASK": "8",
    "SLURMD_NODENAME": "node7",
}
PORT = 20000 + 1234 * 4
ADDRESS = f"10.1.2.3:{PORT}"
MLFLOW = f"http://10.1.2.3:{PORT + 2}"
# What stands after srun's options is run here, once, whatever the number of nodes.
SRUN = r"""
options=()
while [[ $1 == --* ]]; do options+=("$1"); shift; done
echo "srun ${options[*]} | $*" >> "$LOG"
exec "$@"
"""
RAY = r"""
if [[ $1 == health-check ]]; then grep -q "^ray start --head" "$LOG" || exit 1; fi
echo "ray $*" >> "$LOG"
if [[ " $* " == *" --block "* ]]; then echo $$ >> "$PIDS"; exec sleep 20; fi
"""
SERVER = r"""echo "mlflow $*" >> "$LOG"; echo $$ >> "$PIDS"; exec sleep 20"""
PYTHON = r"""
if [[ $1 == - ]]; then
  cat > /dev/null
  until [[ $2 == 1 ]] || grep -q "^ray start --block" "$LOG"; do sleep .01; done
  echo "waited for $2 nodes at $RAY_ADDRESS" >> "$LOG"
  exit
fi
echo "python $*" >> "$LOG"
echo "$RESPIRE_DATA $RESPIRE_STORAGE $RESPIRE_GPU $MLFLOW_TRACKING_URI $RAY_ADDRESS" >> "$LOG"
token=$RAY_AUTH_TOKEN_PATH
echo "$RAY_AUTH_MODE $(stat -c %a "$token") $(wc -c < "$token")" >> "$LOG"
if [[ -n ${HANG:-} ]]; then echo $$ >> "$PIDS"; exec sleep 20; fi
exit "${STATUS:-0}"
"""


@dataclass
class Cluster:
    """Where the script runs, and what its stand-ins write down."""

    home: Path
    script: Path
    variables: dict[str, str]

    def start(self, *arguments: str, **variables: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["bash", str(self.script), *arguments],
            env=self.variables | variables,
            cwd="/",
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, **variables: str) -> tuple[int, str, str]:
        process = self.start(*arguments, **variables)
        out, error = process.communicate(timeout=15)
        return process.returncode, out, error

    def log(self) -> list[str]:
        file = self.home / "log"
        return file.read_text().splitlines() if file.exists() else []

    def alive(self) -> list[int]:
        file = self.home / "pids"
        pids = [int(line) for line in file.read_text().split()] if file.exists() else []
        return [pid for pid in pids if Path(f"/proc/{pid}").exists()]


@pytest.fixture
def cluster(tmp_path: Path, root: Path, stub: Stub) -> Cluster:
    shared = tmp_path / "shared"
    (shared / "venv/bin").mkdir(parents=True)
    (shared / "venv/bin/activate").touch()
    script = tmp_path / "slurm_script"  # Slurm runs a copy
    text = (root / "cluster/slurm.sh").read_text()
    script.write_text(text.replace("shared=YOUR-SHARED-FOLDER", f"shared={shared}"))
    bodies = {"srun": SRUN, "ray": RAY, "mlflow": SERVER, "python": PYTHON}
    for name, body in bodies.items():
        variables = stub(name, body)
    stub("hostname", "echo 10.1.2.3 172.17.0.1")
    stub("curl", 'grep -q "^mlflow server" "$LOG"')
    variables |= JOB | {"SLURM_SUBMIT_DIR": str(tmp_path), "LOG": str(tmp_path / "log")}
    return Cluster(tmp_path, script, variables | {"PIDS": str(tmp_path / "pids")})


def test_the_script_is_sound(root: Path) -> None:
    script = root / "cluster/slurm.sh"
    subprocess.run(["bash", "-n", script], check=True)
    assert os.access(script, os.X_OK)


def test_shellcheck_finds_nothing(root: Path) -> None:
    found = shutil.which("shellcheck", path=sysconfig.get_path("scripts"))
    shellcheck = found or shutil.which("shellcheck")
    assert shellcheck, "pip install -e '.[test]' brings it"
    subprocess.run([shellcheck, root / "cluster/slurm.sh"], check=True)


def test_one_head_the_others_workers_then_the_run(cluster: Cluster) -> None:
    code, out, error = cluster.run("--workers", "3", "--name", "a b")
    assert (code, error) == (0, "")
    log = cluster.log()
    step = "srun --export=ALL --ntasks-per-node=1 --cpus-per-task=8"
    head = next(line for line in log if "--head" in line)
    assert head.startswith(f"{step} --nodes=1 --ntasks=1 --nodelist=node7 | ray start --head")
    assert f"--node-ip-address=10.1.2.3 --port={PORT} --include-dashboard=false" in head
    (worker,) = [line for line in log if "--exclude" in line]
    assert worker.startswith(f"{step} --nodes=2 --ntasks=2 --exclude=node7 | ray start --block")
    assert f"--address={ADDRESS}" in worker
    healthy = log.index(f"ray health-check --address {ADDRESS}")
    waited = log.index(f"waited for 3 nodes at {ADDRESS}")
    run = log.index("python experiments/full.py --workers 3 --name a b")
    assert log.index(head) < healthy < waited < run
    assert healthy < log.index(worker)
    assert f"10.1.2.3:{PORT + 2}" in out


def test_the_run_knows_what_the_command_line_needs(cluster: Cluster) -> None:
    cluster.run()
    shared = cluster.home / "shared"
    known = f"{shared}/icbhi file://{shared}/runs required {MLFLOW} {ADDRESS}"
    assert known in cluster.log()


def test_storage_and_data_may_lie_elsewhere(cluster: Cluster) -> None:
    cluster.run(RESPIRE_STORAGE="s3://bucket/runs", RESPIRE_DATA="/data")
    assert f"/data s3://bucket/runs required {MLFLOW} {ADDRESS}" in cluster.log()


def test_one_node_is_head_alone(cluster: Cluster) -> None:
    code, _, _ = cluster.run(SLURM_JOB_NUM_NODES="1")
    assert code == 0
    assert len([line for line in cluster.log() if line.startswith("ray start")]) == 1
    assert f"waited for 1 nodes at {ADDRESS}" in cluster.log()


def test_mlflow_listens_on_the_heads_address_and_keeps_its_store_on_the_share(
    cluster: Cluster,
) -> None:
    cluster.run()
    (server,) = [line for line in cluster.log() if line.startswith("mlflow")]
    assert server.startswith(f"mlflow server --host 10.1.2.3 --port {PORT + 2} --workers 1")
    assert f"--allowed-hosts 10.1.2.3:{PORT + 2}," in server
    assert f"--backend-store-uri sqlite:///{cluster.home}/shared/mlflow.db" in server
    assert f"--artifacts-destination {cluster.home}/shared/mlflow" in server


def test_a_server_that_is_given_is_used(cluster: Cluster) -> None:
    cluster.run(MLFLOW_TRACKING_URI="http://ours:5000")
    assert not [line for line in cluster.log() if line.startswith("mlflow")]
    assert any("required http://ours:5000" in line for line in cluster.log())


def test_the_token_is_the_jobs_own_private_and_removed(cluster: Cluster) -> None:
    cluster.run()
    assert "token 600 64" in cluster.log()
    assert not list((cluster.home / "shared").glob(".ray-token*"))


@pytest.mark.parametrize("status", [0, 1, 2])
def test_the_runs_exit_code_is_the_jobs_and_all_else_is_ended(
    cluster: Cluster, status: int
) -> None:
    code, _, _ = cluster.run(STATUS=str(status))
    assert code == status
    assert cluster.alive() == []
    assert cluster.log()[-1].endswith("| rm -rf /tmp/ray-1234")


def test_scancel_ends_everything_at_once(cluster: Cluster) -> None:
    process = cluster.start(HANG="1")
    deadline = time.monotonic() + 20
    # Both Ray processes (of which the stand-in of srun starts one a step), MLflow and the run.
    while len(cluster.alive()) < 4 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert len(cluster.alive()) == 4
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=15)
    assert process.returncode == 143
    assert cluster.alive() == []
    assert not list((cluster.home / "shared").glob(".ray-token*"))


def test_jobs_that_share_a_node_share_no_port(cluster: Cluster) -> None:
    ports = set()
    for job in range(1234, 1239):
        port = 20000 + job % 2500 * 4
        ports |= {port, port + 1, port + 2}
    assert len(ports) == 15
    assert max(20000 + job % 2500 * 4 + 3 for job in range(5000)) < 32768  # Linux's own begin there
    cluster.run(SLURM_JOB_ID="3735")
    (head,) = [line for line in cluster.log() if line.startswith("ray start --head")]
    assert f"--port={20000 + 1235 * 4} " in head
    assert f"--ray-client-server-port={20000 + 1235 * 4 + 1} " in head


def test_placeholders_left_in_are_told_before_anything_starts(cluster: Cluster, root: Path) -> None:
    cluster.script = root / "cluster/slurm.sh"
    code, _, error = cluster.run()
    assert code == 2
    assert "replace every YOUR-…" in error
    assert cluster.log() == []


def test_a_head_that_never_answers_ends_the_job(cluster: Cluster, stub: Stub) -> None:
    stub("ray", RAY.replace("|| exit 1", "; exit 1"))
    text = cluster.script.read_text()
    cluster.script.write_text(text.replace("SECONDS + 300", "SECONDS + 0"))
    code, _, error = cluster.run()
    assert code == 1
    assert "waited in vain for Ray's head" in error
    assert cluster.alive() == []
    assert not [line for line in cluster.log() if line.startswith("python")]
