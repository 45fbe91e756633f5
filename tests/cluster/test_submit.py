"""cluster/local.yaml for real: `ray up`, `ray submit` and `ray down` over SSH, on this machine.

`ray up` and `ray down` end every Ray process that they see. So all happens in namespaces where
nothing else is to be seen: processes, ports, /tmp/ray, and a home on a head of its own. The worker
has namespaces of its own within these, and a cable to the head.
"""

import hashlib
import json
import os
import pwd
import shutil
import subprocess
import sysconfig
import venv
from getpass import getuser
from pathlib import Path

import pytest
import ray
import yaml
from commands import environment, parent_and_children
from small_run import SMALL

from respire.data.corpora.icbhi_format import DEVICES

pytestmark = pytest.mark.slow

NAMESPACES = ("unshare", "--pid", "--net", "--mount", "--mount-proc", "--fork", "--kill-child")
TOOLS = ("unshare", "mount", "ip", "ps", "pgrep", "curl", "rsync", "ssh", "ssh-keygen", "sshd")
SCRIPTS = sysconfig.get_path("scripts")
PATH = f"{SCRIPTS}:{os.environ['PATH']}:/usr/sbin:/sbin"
SITE_PACKAGES = sysconfig.get_path("purelib")
RAY = str(Path(ray.__file__).parent)
RUN = " ".join((*SMALL, "--recipe.optimisation.epochs", "2"))
SCENARIO = r"""
set -euo pipefail
PS4='+ ${SECONDS} s: '; set -x
if [ $$ != 1 ] || pgrep -x raylet; then exit 1; fi  # never where others' Ray could be seen

mount -t tmpfs tmpfs /run
mkdir -m 755 /run/sshd
for folder in /tmp/ray "$CONNECTIONS"; do mkdir -p "$folder"; mount -t tmpfs tmpfs "$folder"; done
mount --bind "$FOLDER/passwd-head" /etc/passwd
printf '%s\n' '127.0.0.1 localhost' "$HEAD $(hostname)" > "$FOLDER/hosts"
mount --bind "$FOLDER/hosts" /etc/hosts
ip link set lo up

mkdir -m 700 "$HOME/.ssh" "$HEAD_HOME/.ssh" "$WORKER_HOME/.ssh"
ssh-keygen -q -t ed25519 -N '' -f "$HOME/.ssh/key"
cp "$HOME/.ssh/key.pub" "$HEAD_HOME/.ssh/authorized_keys"
cp "$HOME/.ssh/key.pub" "$WORKER_HOME/.ssh/authorized_keys"
ssh-keygen -q -t ed25519 -N '' -f "$FOLDER/host_key"
unshare --pid --net --mount --mount-proc --fork --kill-child bash -c "$WORKER" &
worker=$!
until [ "$(readlink /proc/$worker/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do sleep .1; done
ip link add to-worker type veth peer name to-head
ip link set to-head netns $worker
ip addr add "$HEAD/24" dev to-worker
ip link set to-worker up
"$(command -v sshd)" -f /dev/null -h "$FOLDER/host_key" -o ListenAddress=$HEAD

ray get-auth-token --generate > /dev/null
env $(sed -n 's/^#   \(.*ray up -y\) .*/\1/p' "$CLUSTER") "$CLUSTER"  # as its header says
timeout 240 bash -c 'until [ "$(pgrep -xc raylet)" = 2 ]; do sleep 1; done'
ps -ewwo args > "$FOLDER/processes-up"
mount -t tmpfs tmpfs respire  # from here on, only the head has the package
ray submit "$CLUSTER" experiments/full.py -- $RUN
ray rsync-down "$CLUSTER" "$SHARED/runs/" "$FOLDER/fetched"
grep -lE ':(actor|task)_name:' /proc/$worker/root/tmp/ray/session_latest/logs/worker-*.out \
  > "$FOLDER/worked"
ray submit "$CLUSTER" experiments/full.py -- --recipe nonsense > "$FOLDER/refused" 2>&1 ||
  echo "exit code $?" >> "$FOLDER/refused"
ray down -y "$CLUSTER"
ps -ewwo args > "$FOLDER/processes-down"
as_its_header_says="ssh -n -i $HOME/.ssh/key -o StrictHostKeyChecking=no"
sed -n "s|^#   ssh |$as_its_header_says |p" "$CLUSTER" | bash
timeout 60 bash -c "while pgrep -f '[m]lflow.server' > /dev/null; do sleep 1; done"
"""

WORKER = r"""
set -euo pipefail
mount -t tmpfs tmpfs /tmp/ray
mount --bind "$FOLDER/passwd-worker" /etc/passwd
ip link set lo up
until ip addr add "$WORKER_ADDRESS/24" dev to-head 2> /dev/null; do sleep .1; done
ip link set to-head up
until [ -e "$FOLDER/host_key.pub" ]; do sleep .1; done
exec "$(command -v sshd)" -D -f /dev/null -h "$FOLDER/host_key" -o ListenAddress=$WORKER_ADDRESS
"""
HEAD, WORKER_ADDRESS = "10.77.0.1", "10.77.0.2"


def missing() -> str | None:
    """What this machine lacks."""
    absent = [tool for tool in TOOLS if not shutil.which(tool, path=PATH)]
    if absent:
        return f"not installed: {', '.join(absent)}"
    cable = "ip link add here type veth peer name there"
    told = {"env": os.environ | {"PATH": PATH}, "capture_output": True, "text": True}
    tried = subprocess.run([*NAMESPACES, "sh", "-c", cable], check=False, **told)
    return f"no namespaces of its own: {tried.stderr.strip()}" if tried.returncode else None


def adapted(text: str, shared: Path, key: Path) -> str:
    """The cluster file, for two machines without GPUs and without network."""
    for old, new in {
        "[YOUR-WORKER-1, YOUR-WORKER-2]": f"[{WORKER_ADDRESS}]",
        "YOUR-HEAD": HEAD,
        "~/.ssh/YOUR-KEY": str(key),  # ssh takes ~ for the head's home here
        "YOUR-USER": getuser(),
        "/YOUR-SHARED": str(shared),
        "RESPIRE_GPU=required": "RESPIRE_GPU=none",
        "-c ~/respire/constraints.txt 'ray[default]' -e": "-e",
    }.items():
        assert old in text
        text = text.replace(old, new)
    assert "YOUR-" not in str(yaml.safe_load(text))
    return text


def install_dependencies(folder: Path) -> None:
    """Make a machine's ~/venv, which finds all that is installed here; pip adds respire alone."""
    venv.create(folder)
    (site_packages,) = folder.glob("lib/python*/site-packages")
    (site_packages / "here.pth").write_text(SITE_PACKAGES)
    for name in ("pip", "ray", "mlflow"):
        _, script = (Path(SCRIPTS) / name).read_text().split("\n", 1)
        (folder / "bin" / name).write_text(f"#!{folder}/bin/python\n{script}")
        (folder / "bin" / name).chmod(0o755)
    # "false" is how pip's configuration says that there is no isolation.
    (folder / "pip.conf").write_text("[install]\nno-deps = true\nno-build-isolation = false\n")


@pytest.fixture(scope="module")
def folder(corpus: Path, root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the whole scenario left."""
    if (lack := missing()) is not None:
        pytest.skip(lack)
    folder = tmp_path_factory.mktemp("submit")
    shared, cluster = folder / "shared", folder / "local.yaml"
    shared.mkdir()
    (shared / "icbhi").symlink_to(corpus)
    text = (root / "cluster/local.yaml").read_text()
    cluster.write_text(adapted(text, shared, folder / "laptop/.ssh/key"))
    users, here = Path("/etc/passwd").read_text(), pwd.getpwuid(os.getuid()).pw_dir
    for name in ("head", "worker"):
        install_dependencies(folder / name / "venv")
        (folder / f"passwd-{name}").write_text(users.replace(f":{here}:", f":{folder / name}:"))
    user = hashlib.sha256(getuser().encode()).hexdigest()[:10]  # as Ray names its folder
    variables = environment(folder / "laptop") | {
        "PATH": PATH,
        "TMPDIR": str(folder / "laptop"),
        "FOLDER": str(folder),
        "SHARED": str(shared),
        "HEAD_HOME": str(folder / "head"),
        "WORKER_HOME": str(folder / "worker"),
        "HEAD": HEAD,
        "WORKER": WORKER,
        "WORKER_ADDRESS": WORKER_ADDRESS,
        "CLUSTER": str(cluster),
        "CONNECTIONS": f"/tmp/ray_ssh_{user}",
        "RUN": RUN,
    }
    del variables["RAY_AUTH_MODE"], variables["RESPIRE_GPU"]
    said = folder / "said"
    try:
        with said.open("w") as out:
            subprocess.run(
                [*NAMESPACES, "bash", "-c", SCENARIO],
                cwd=root,
                env=variables,
                stdout=out,
                stderr=subprocess.STDOUT,
                timeout=500,
                check=True,
            )
    finally:
        print(said.read_text())
    return folder


def test_the_run_leaves_its_results_in_the_files_storage(folder: Path) -> None:
    (stored,) = (folder / "shared/runs/full").glob("*/results.json")
    (fetched,) = (folder / "fetched/full").glob("*/results.json")
    assert fetched.read_text() == stored.read_text()
    results = json.loads(fetched.read_text())
    assert results["stages"]["stage2"]["overall"]["n"] > 0


def test_the_worker_that_the_launcher_started_takes_part(folder: Path) -> None:
    assert (folder / "worked").read_text().count("\n") >= 2


def test_the_files_mlflow_server_keeps_the_finished_run(folder: Path) -> None:
    parent, children = parent_and_children("full", folder / "head")
    assert set(children) == {"stage1", *DEVICES}
    assert {run.info.status for run in (parent, *children.values())} == {"FINISHED"}
    assert parent.data.metrics
    assert list((folder / "shared/mlflow").rglob("report.html"))


def test_a_script_that_fails_fails_the_submission(folder: Path) -> None:
    printed = (folder / "refused").read_text()
    assert "nonsense" in printed
    assert printed.endswith("exit code 1\n")


def test_down_ends_ray_but_not_mlflows_server(folder: Path) -> None:
    up, down = ((folder / f"processes-{when}").read_text() for when in ("up", "down"))
    assert f"{RAY}/core/src/ray/raylet/raylet" in up
    assert RAY not in down
    assert "ray::" not in down
    assert "mlflow server" in down
