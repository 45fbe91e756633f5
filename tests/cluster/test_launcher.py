"""The cluster files of Ray's launcher mean what they say, as far as that shows without a cloud."""

import copy
import inspect
import os
import re
import subprocess
import time
import tomllib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from ray.autoscaler._private import commands
from ray.autoscaler._private.util import prepare_config, validate_config
from ray.autoscaler.v2.instance_manager.config import NodeTypeConfig
from ray.autoscaler.v2.scheduler import ResourceDemandScheduler, SchedulingRequest
from ray.autoscaler.v2.utils import ResourceRequestUtil

from respire.runtime.choices import Gpu

COMMANDS = (
    "setup_commands",
    "head_setup_commands",
    "head_start_ray_commands",
    "worker_start_ray_commands",
)
MACHINES = {
    "m7i.xlarge": {"CPU": 4},
    "g6.2xlarge": {"CPU": 8, "GPU": 1},
    "g6.12xlarge": {"CPU": 48, "GPU": 4},
    "n2-standard-4": {"CPU": 4},
    "g2-standard-8": {"CPU": 8, "GPU": 1},
}
"""What the clouds' machines have; Ray asks AWS for it, and nobody for Google's."""
MARKET = ("InstanceMarketOptions", "scheduling", "serviceAccounts")
HEAD_ADDRESS = "10.1.2.3"
Stub = Callable[[str, str], dict[str, str]]


@pytest.fixture(params=["gpu", "gcp"])
def cloud(request: pytest.FixtureRequest, root: Path) -> dict[str, Any]:
    return yaml.safe_load((root / f"cluster/{request.param}.yaml").read_text())


def machine(node_type: dict[str, Any]) -> str:
    config = node_type["node_config"]
    return str(config.get("InstanceType") or config["machineType"])


def environment(cluster: dict[str, Any], home: Path, variables: dict[str, str]) -> dict[str, str]:
    """What a login shell on the head knows after setup."""
    commands = cluster["setup_commands"] + cluster["head_setup_commands"]
    (home / ".bashrc").touch()
    for command in [command for command in commands if "respire.env" in command] * 2:
        subprocess.run(["bash", "-c", command], env=variables, check=True)  # ray up runs them again
    shell = ["bash", "-c", "source ~/.bashrc; env"]
    printed = subprocess.run(shell, env=variables, check=True, capture_output=True, text=True)
    return dict(line.split("=", 1) for line in printed.stdout.splitlines() if "=" in line)


def test_ray_accepts_the_file(cluster: dict[str, Any]) -> None:
    validate_config(prepare_config(copy.deepcopy(cluster)))


def test_ray_would_refuse_an_unknown_field(cluster: dict[str, Any]) -> None:
    cluster["idle_timeout"] = 10
    with pytest.raises(Exception, match="idle_timeout"):
        validate_config(prepare_config(cluster))


def test_no_node_type_exceeds_the_cluster(cloud: dict[str, Any]) -> None:
    types = cloud["available_node_types"].values()
    assert all(node["max_workers"] <= cloud["max_workers"] for node in types)
    assert all(node["min_workers"] == 0 for node in types)
    assert cloud["idle_timeout_minutes"] > 0


def test_head_and_workers_share_image_disk_and_network(cloud: dict[str, Any]) -> None:
    head, *workers = (
        {key: value for key, value in node["node_config"].items() if key not in MARKET}
        for node in cloud["available_node_types"].values()
    )
    for worker in workers:
        differing = {key for key in worker if worker[key] != head[key]}
        assert differing <= {"InstanceType", "machineType"}
        assert worker.keys() == head.keys()
    assert "worker_setup_commands" not in cloud


def test_gpus_are_on_all_workers_and_not_on_the_head(cloud: dict[str, Any]) -> None:
    assert cloud["head_node_type"] == "head"
    for name, node in cloud["available_node_types"].items():
        has = MACHINES[machine(node)]
        assert has.get("GPU", 0) == {"head": 0, "worker-of-four": 4}.get(name, 1)
        assert node["resources"] in ({}, has)
        assert node["resources"] or cloud["provider"]["type"] == "aws"


def test_workers_are_spot_nodes_unless_their_name_says_otherwise(cloud: dict[str, Any]) -> None:
    types = cloud["available_node_types"]
    spot = str(types["worker"]["node_config"]).lower()
    assert "spot" in spot
    assert "spot" not in str(types["worker-on-demand"]["node_config"]).lower()
    assert machine(types["worker"]) == machine(types["worker-on-demand"])


@pytest.mark.parametrize("swapped", [False, True])
def test_as_many_workers_come_as_gpus_are_asked_for(cloud: dict[str, Any], swapped: bool) -> None:
    types = copy.deepcopy(cloud["available_node_types"])
    for node in types.values():
        node["resources"] = MACHINES[machine(node)]
    if swapped:
        spot, on_demand = types["worker"], types["worker-on-demand"]
        spot["max_workers"], on_demand["max_workers"] = on_demand["max_workers"], 8
    launched, left = scheduled(types, cloud["max_workers"], 4)
    assert launched == {"worker-on-demand" if swapped else "worker": 4}
    assert not left


def test_four_workers_may_share_a_node_of_four_gpus(root: Path) -> None:
    cluster = yaml.safe_load((root / "cluster/gpu.yaml").read_text())
    types = copy.deepcopy(cluster["available_node_types"])
    for node in types.values():
        node["resources"] = MACHINES[machine(node)]
    of_four = types["worker-of-four"]
    assert "spot" in str(of_four["node_config"])
    types["worker"]["max_workers"], of_four["max_workers"] = of_four["max_workers"], 8
    assert scheduled(types, cluster["max_workers"], 4) == (Counter({"worker-of-four": 1}), [])


def scheduled(types: dict[str, Any], most: int, gpus: int) -> tuple[Counter[str], list[Any]]:
    """What the autoscaler launches where so many GPUs are asked for, and what it cannot give."""
    asked = [ResourceRequestUtil.make({"GPU": 1.0}) for _ in range(gpus)]
    reply = ResourceDemandScheduler().schedule(
        SchedulingRequest(
            disable_launch_config_check=True,
            node_type_configs={
                name: NodeTypeConfig(name, 0, node["max_workers"], resources=node["resources"])
                for name, node in types.items()
            },
            max_num_nodes=most + 1,  # the head's is another
            resource_requests=ResourceRequestUtil.group_by_count(asked),
        )
    )
    launched = Counter({launch.instance_type: launch.count for launch in reply.to_launch})
    return launched, list(reply.infeasible_resource_requests)


def test_the_scheduler_that_is_asked_here_is_the_one_that_ray_up_starts() -> None:
    # Ray's second autoscaler, unless the environment of `ray up` says otherwise.
    source = inspect.getsource(commands)
    assert 'os.getenv("RAY_UP_enable_autoscaler_v2", "1") == "1"' in source


def test_on_aws_only_the_users_security_group_opens_ports(root: Path) -> None:
    # What provider.security_group names, Ray opens to SSH from anywhere, whatever stands in it.
    cluster = yaml.safe_load((root / "cluster/gpu.yaml").read_text())
    assert "security_group" not in cluster["provider"]
    for node in cluster["available_node_types"].values():
        assert node["node_config"]["SecurityGroupIds"] == ["YOUR-SECURITY-GROUP"]
        assert node["node_config"]["ImageId"] == "YOUR-AMI"
        assert node["node_config"]["IamInstanceProfile"] == {"Name": "YOUR-INSTANCE-PROFILE"}
        assert "KeyName" not in node["node_config"]


def test_on_google_what_is_the_users_is_a_placeholder(root: Path) -> None:
    cluster = yaml.safe_load((root / "cluster/gcp.yaml").read_text())
    provider = cluster["provider"]
    assert provider["project_id"] == "YOUR-PROJECT"
    assert provider["availability_zone"].startswith(provider["region"])
    for node in cluster["available_node_types"].values():
        config = node["node_config"]
        assert config["disks"][0]["initializeParams"]["sourceImage"] == "YOUR-IMAGE"
        (interface,) = config["networkInterfaces"]
        network = f"projects/YOUR-PROJECT/regions/{provider['region']}/subnetworks/respire"
        assert interface["subnetwork"] == network
        for account in config.get("serviceAccounts", []):
            assert "@YOUR-PROJECT." in account["email"]


def test_on_google_gpu_nodes_may_be_stopped_and_reach_the_bucket(root: Path) -> None:
    types = yaml.safe_load((root / "cluster/gcp.yaml").read_text())["available_node_types"]
    for name in ("worker", "worker-on-demand"):
        config = types[name]["node_config"]
        assert config["scheduling"]["onHostMaintenance"] == "TERMINATE"  # GPUs cannot migrate
        assert config["serviceAccounts"][0]["scopes"]


def test_down_keeps_mlflows_database(cluster: dict[str, Any]) -> None:
    # AWS stops nodes unless told otherwise, Google deletes them.
    default = cluster["provider"]["type"] != "gcp"
    assert cluster["provider"].get("cache_stopped_nodes", default)


def test_on_premises_the_machines_are_placeholders(root: Path) -> None:
    cluster = yaml.safe_load((root / "cluster/local.yaml").read_text())
    provider = cluster["provider"]
    addresses = [provider["head_ip"], *provider["worker_ips"], cluster["auth"]["ssh_user"]]
    assert all(address.startswith("YOUR-") for address in addresses)
    assert len(set(addresses)) == len(addresses)


def test_what_is_mounted_can_be_installed(cluster: dict[str, Any], root: Path) -> None:
    mounts = dict(cluster["file_mounts"])
    token = "~/.ray/auth_token"
    assert mounts.pop(token) == token  # made by `ray get-auth-token --generate`
    assert all((root / local).exists() for local in mounts.values())
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    needed = {"respire", "pyproject.toml", project["readme"], *project["license-files"]}
    assert mounts.pop("~/respire/constraints.txt") == "cluster/constraints.txt"
    assert {f"~/respire/{name}": name for name in needed} == mounts


def test_every_command_is_a_whole_shell_command(cluster: dict[str, Any]) -> None:
    for command in (command for group in COMMANDS for command in cluster[group]):
        assert isinstance(command, str)
        subprocess.run(["bash", "-n", "-c", command], check=True)


def test_a_login_shell_knows_what_the_command_line_needs(
    cluster: dict[str, Any], tmp_path: Path
) -> None:
    variables = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    known = environment(cluster, tmp_path, variables)
    scheme = {"aws": "s3://", "gcp": "gs://", "local": "file:///"}[cluster["provider"]["type"]]
    assert known["RESPIRE_STORAGE"].startswith(scheme)
    assert known["RESPIRE_DATA"].startswith(scheme.removeprefix("file://"))
    assert known["RESPIRE_GPU"] == "required"
    assert known["RESPIRE_GPU"] in get_args(Gpu)
    assert known["RAY_AUTH_MODE"] == "token"
    assert re.fullmatch(r"http://[^/]+:5000", known["MLFLOW_TRACKING_URI"])
    assert known["MLFLOW_BACKEND_STORE_URI"].startswith("sqlite:////")
    assert known["MLFLOW_ARTIFACTS_DESTINATION"].startswith(scheme)
    assert known["PATH"] == f"{tmp_path}/venv/bin:/usr/bin:/bin"
    assert (tmp_path / ".bashrc").read_text().count("\n") == 1


def test_rays_dashboard_is_on_loopback(cluster: dict[str, Any]) -> None:
    (start,) = [line for line in cluster["head_start_ray_commands"] if "ray start" in line]
    assert "--dashboard-host=127.0.0.1" in start
    assert "0.0.0.0" not in str(cluster)


def run_head(cluster: dict[str, Any], home: Path, stub: Stub, curl: str) -> list[str]:
    """Run what starts MLflow on the head; what its server was started with."""
    started = home / "started"
    stub("hostname", f'[ "$1" = -I ] && echo {HEAD_ADDRESS} 172.17.0.1')
    stub("curl", curl)
    variables = stub("mlflow", f'echo "$@" >> {started}')
    variables = environment(cluster, home, variables) | {"PATH": variables["PATH"]}
    (command,) = [line for line in cluster["head_start_ray_commands"] if "mlflow server" in line]
    subprocess.run(["bash", "-c", command], env=variables, check=True, cwd=home)
    deadline = time.monotonic() + 10
    while "false" in curl and not started.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    return started.read_text().splitlines() if started.exists() else []


def test_mlflows_server_listens_on_the_heads_address_within_the_cluster_alone(
    cluster: dict[str, Any], tmp_path: Path, stub: Stub
) -> None:
    (arguments,) = run_head(cluster, tmp_path, stub, "false")
    local = cluster["provider"]["type"] == "local"
    address = "YOUR-HEAD" if local else HEAD_ADDRESS
    assert f"--host {address} --port 5000" in arguments
    uri = (tmp_path / "respire.env").read_text()
    assert f"MLFLOW_TRACKING_URI=http://{address}:5000" in uri
    # Private addresses are among the Host headers that MLflow answers by itself, others are not.
    assert ("--allowed-hosts YOUR-HEAD:5000" in arguments) == local


def test_a_server_that_runs_is_not_started_again(
    cluster: dict[str, Any], tmp_path: Path, stub: Stub
) -> None:
    assert run_head(cluster, tmp_path, stub, "true") == []


def test_the_head_waits_until_mlflow_answers(
    cluster: dict[str, Any], tmp_path: Path, stub: Stub
) -> None:
    asked = tmp_path / "asked"
    body = f'echo "$@" >> {asked}; [ $(wc -l < {asked}) -ge 2 ]'
    variables = stub("curl", body) | {"MLFLOW_TRACKING_URI": "http://head:5000"}
    variables |= stub("sleep", "true")
    command = cluster["head_start_ray_commands"][-1]
    subprocess.run(["bash", "-c", command], env=variables, check=True)
    assert asked.read_text().splitlines() == ["-sf http://head:5000/health"] * 2


def test_workers_know_where_mlflow_is(cluster: dict[str, Any], stub: Stub) -> None:
    variables = stub("ray", 'echo "$MLFLOW_TRACKING_URI $@"') | {"RAY_HEAD_IP": HEAD_ADDRESS}
    command = cluster["worker_start_ray_commands"][-1]
    done = subprocess.run(
        ["bash", "-c", command], env=variables, check=True, capture_output=True, text=True
    )
    local = cluster["provider"]["type"] == "local"
    address = "YOUR-HEAD" if local else HEAD_ADDRESS
    assert done.stdout == f"http://{address}:5000 start --address={HEAD_ADDRESS}:6379\n"


@pytest.mark.parametrize(
    ("host", "answered"),
    [
        ("10.1.2.3:5000", True),  # Google's private addresses
        ("172.31.5.6:5000", True),  # AWS's
        ("127.0.0.1:5001", True),  # through SSH
        ("head.example.org:5000", False),  # why local.yaml names its own
    ],
)
def test_mlflow_answers_private_addresses_by_itself(host: str, answered: bool) -> None:
    from mlflow.server.security_utils import get_default_allowed_hosts, is_allowed_host_header

    assert is_allowed_host_header(get_default_allowed_hosts(), host) == answered


def test_nodes_get_what_their_storage_needs(cluster: dict[str, Any]) -> None:
    (install,) = [line for line in cluster["setup_commands"] if "pip install" in line]
    needed = {"aws": "boto3", "gcp": "google-cloud-storage", "local": ""}
    assert needed[cluster["provider"]["type"]] in install
    assert install.endswith("-e ~/respire")


def test_the_token_that_is_shipped_is_the_one_that_ray_makes() -> None:
    from ray._private.authentication import authentication_token_setup as setup

    mounted = Path("~/.ray/auth_token").expanduser()
    assert Path(os.fspath(setup._get_default_token_path())) == mounted
