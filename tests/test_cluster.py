"""The cluster file means what it says, as far as that can be seen without a cloud."""

import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

ROOT = Path(__file__).resolve().parents[1]
COMMANDS = (
    "setup_commands",
    "head_setup_commands",
    "head_start_ray_commands",
    "worker_start_ray_commands",
)


@pytest.fixture(scope="module")
def cluster() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "cluster/gpu.yaml").read_text())


def test_ray_accepts_the_file(cluster: dict[str, Any]) -> None:
    validate_config(prepare_config(cluster))


def test_no_node_type_exceeds_the_cluster(cluster: dict[str, Any]) -> None:
    types = cluster["available_node_types"].values()
    assert all(node["max_workers"] <= cluster["max_workers"] for node in types)


def test_head_and_workers_are_the_same_machine(cluster: dict[str, Any]) -> None:
    head, worker = (cluster["available_node_types"][n]["node_config"] for n in ("head", "worker"))
    assert worker == head | {"InstanceMarketOptions": {"MarketType": "spot"}}


def test_what_is_mounted_can_be_installed(cluster: dict[str, Any]) -> None:
    mounts = cluster["file_mounts"]
    assert all((ROOT / local).exists() for local in mounts.values())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = {"respire", "pyproject.toml", project["readme"], *project["license-files"]}
    assert {f"~/respire/{name}": name for name in needed} == mounts


def test_every_command_is_a_whole_shell_command(cluster: dict[str, Any]) -> None:
    for command in (command for group in COMMANDS for command in cluster[group]):
        assert isinstance(command, str)
        subprocess.run(["bash", "-n", "-c", command], check=True)


def test_a_login_shell_knows_what_the_command_line_needs(
    cluster: dict[str, Any], tmp_path: Path
) -> None:
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    wanted = [
        command
        for command in cluster["setup_commands"] + cluster["head_setup_commands"]
        if "respire.env" in command
    ]
    (tmp_path / ".bashrc").touch()
    for command in wanted * 2:  # ray up runs them again
        subprocess.run(["bash", "-c", command], env=environment, check=True)
    shell = ["bash", "-c", "source ~/.bashrc; env"]
    printed = subprocess.run(shell, env=environment, check=True, capture_output=True, text=True)
    known = dict(line.split("=", 1) for line in printed.stdout.splitlines())
    assert known["RESPIRE_STORAGE"].startswith("s3://")
    assert known["RESPIRE_DATA"].startswith("s3://")
    assert known["RESPIRE_GPU"] == "auto"
    assert known["MLFLOW_TRACKING_URI"].endswith(":5000")
    assert known["PATH"] == f"{tmp_path}/venv/bin:/usr/bin:/bin"
    assert (tmp_path / ".bashrc").read_text().count("\n") == 1
