"""What holds for every file of cluster/, read as text."""

import re
import tomllib
import warnings
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
FILES = ("gpu.yaml", "gcp.yaml", "local.yaml", "kuberay.yaml", "slurm.sh")
SECRETS = {
    "AWS key": r"\b(AKIA|ASIA)[A-Z0-9]{16}\b",
    "private key": r"BEGIN [A-Z ]*PRIVATE KEY",
    "long random string": r"\b(?=[A-Za-z0-9+/_]*\d)(?=[A-Za-z0-9+/_]*[A-Z])[A-Za-z0-9+_]{32,}\b",
    "hexadecimal token": r"\b[0-9a-f]{32,}\b",
    "Google key": r"\bAIza[\w-]{35}\b",
    "AWS account": r"\b\d{12}\b",
    "AWS resource": r"\b(ami|sg|subnet|vpc|i)-[0-9a-f]{8,}\b",
    "password": r"(?i)\b(password|passwd)\s*[:=]\s*\S",
}
ENDS = {
    "gpu.yaml": ("ray down", "aws ec2 terminate-instances"),
    "gcp.yaml": ("ray down", "gcloud compute instances delete"),
    "local.yaml": ("ray down", "pkill"),
    "kuberay.yaml": ("kubectl delete rayjob", "kubectl delete -f"),
    "slurm.sh": ("scancel",),
}
OPEN = {"127.0.0.1", "0.0.0.0", "10.128.0.0"}
"""Addresses that are nobody's: loopback, all interfaces, and Google's range for auto networks."""


def header(text: str) -> str:
    lines = text.splitlines()[1 if text.startswith("#!") else 0 :]
    length = next(number for number, line in enumerate(lines) if not line.startswith("#"))
    return "\n".join(line for line in lines[:length] if not line.startswith("#SBATCH"))


@pytest.fixture(params=FILES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def text(name: str) -> str:
    return (ROOT / "cluster" / name).read_text()


def test_every_file_is_tested_here() -> None:
    helpers = {"README.md", "data.py", "constraints.txt", "Dockerfile", "Dockerfile.dockerignore"}
    assert {file.name for file in (ROOT / "cluster").iterdir() if file.is_file()} == {
        *FILES,
        *helpers,
    }


def test_the_header_says_how_to_run_look_on_and_pay(name: str, text: str) -> None:
    said = header(text)
    assert f"cluster/{name}" in said
    assert "cluster/data.py" in said or name == "kuberay.yaml"
    assert "Replace every YOUR-…" in said
    assert re.search(r"\b[Cc]osts\b", said)
    assert "http://127.0.0.1:500" in text
    for command in ENDS[name]:
        assert command in said


@pytest.mark.parametrize("kind", SECRETS)
def test_no_secret_and_nobodys_account_is_in_a_file(text: str, kind: str) -> None:
    assert re.findall(SECRETS[kind], text) == []


@pytest.mark.parametrize(
    ("kind", "example"),
    [
        ("AWS key", "AKIAIOSFODNN7EXAMPLE"),
        ("private key", "-----BEGIN RSA PRIVATE KEY-----"),
        ("long random string", "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY"),
        ("hexadecimal token", "0123456789abcdef0123456789abcdef"),
        ("AWS account", "arn:aws:iam::123456789012:role/me"),
        ("AWS resource", "ImageId: ami-0abcdef1234567890"),
        ("password", "password: hunter2"),
    ],
)
def test_a_secret_would_be_found(kind: str, example: str) -> None:
    assert re.search(SECRETS[kind], example)


def test_buckets_registries_and_addresses_are_placeholders(text: str) -> None:
    assert set(re.findall(r"\b(?:s3|gs)://([^/\s\"']*)", text)) <= {"YOUR-BUCKET"}
    assert set(re.findall(r"file:///([^/\s\"']*)", text)) <= {"YOUR-SHARED", "shared", "$shared"}
    assert set(re.findall(r"(\S*)/respire:\d", text)) <= {"YOUR-REGISTRY"}
    assert set(re.findall(r"\b\d+\.\d+\.\d+\.\d+\b", text)) <= OPEN
    assert set(re.findall(r"--(?:cidr|source-ranges)[= ](\S+)", text)) <= {
        "YOUR-ADDRESS/32",
        "10.128.0.0/9",
    }


def test_placeholders_look_alike(text: str) -> None:
    for word in re.findall(r"(?i)your-[\w…*]*[-\w]*", text):
        assert re.fullmatch(r"YOUR-([…*]|[A-Z]+(-[A-Z0-9]+)*)", word), word


def test_every_file_asks_for_gpus_authenticates_and_says_which_driver(text: str) -> None:
    assert "RESPIRE_GPU" in text
    assert "token" in text
    said = " ".join(text.replace("#", " ").split())
    assert re.search(r"NVIDIA driver (of|must be) 580 or newer", said)
    assert "torch's wheels are built for CUDA 13" in said


CONSTRAINTS = (ROOT / "cluster/constraints.txt").read_text().splitlines()
PINS = {pin.name: pin for pin in (Requirement(line) for line in CONSTRAINTS if line[0] != "#")}


def pinned(name: str) -> str:
    (one,) = PINS[name].specifier
    assert one.operator == "=="
    return one.version


def test_the_constraints_fit_what_the_package_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for asked in map(Requirement, project["dependencies"]):
        assert asked.specifier.contains(pinned(asked.name)), asked
    (nccl,) = (
        need
        for need in map(Requirement, requires("torch") or [])
        if need.name.startswith("nvidia-nccl")
    )
    assert nccl.specifier.contains(pinned(nccl.name))


@pytest.mark.parametrize("name", [*FILES[:3], "slurm.sh", "Dockerfile"], indirect=False)
def test_all_nodes_install_with_the_constraints(name: str) -> None:
    installs = re.findall(r"pip install (.+)", (ROOT / "cluster" / name).read_text())
    assert installs
    for install in installs:
        assert re.match(r"(-q |--no-cache-dir )?-c (cluster|~/respire)/constraints.txt ", install)
        assert "'ray[default]'" in install
    (base,) = re.findall(r"rayproject/ray:([\d.]+)-", (ROOT / "cluster/Dockerfile").read_text())
    (said,) = re.findall(r'rayVersion: "([\d.]+)"', (ROOT / "cluster/kuberay.yaml").read_text())
    assert base == said == pinned("ray")


def test_outdated_constraints_are_warned_of() -> None:
    here = {name: version(name).partition("+")[0] for name in PINS if installed(name)}
    other = [f"{name} {here[name]}" for name in here if here[name] != pinned(name)]
    if other:
        here_are = f"cluster/constraints.txt is outdated: here are {', '.join(other)}"
        warnings.warn(f"{here_are}; make it anew as its head says", stacklevel=1)


def installed(name: str) -> bool:
    try:
        return bool(version(name))
    except PackageNotFoundError:
        return False
