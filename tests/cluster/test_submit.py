"""cluster/local.yaml for real: `ray up`, `ray submit` and `ray down` over SSH, on this machine.

`ray up` and `ray down` end every Ray process that they see. So all happens in namespaces where
nothing else is to be seen: processes, ports, /tmp/ray, and a home on a head of its own.
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
mount --bind "$FOLDER/passwd" /etc/passwd
ip link set lo up

mkdir -m 700 "$HEAD_HOME/.ssh"
ssh-keygen -q -t ed25519 -N '' -f "$HEAD_HOME/.ssh/id_ed25519"
cp "$HEAD_HOME/.ssh/id_ed25519.pub" "$HEAD_HOME/.ssh/authorized_keys"
ssh-keygen -q -t ed25519 -N '' -f "$FOLDER/host_key"
"$(command -v sshd)" -f /dev/null -h "$FOLDER/host_key" -o ListenAddress=127.0.0.1

ray get-auth-token --generate > /dev/null
ray up -y "$CLUSTER"
ps -ewwo args > "$FOLDER/processes-up"
mount -t tmpfs tmpfs respire  # from here on, only the head has the package
ray submit "$CLUSTER" experiments/full.py -- $RUN
ray rsync-down "$CLUSTER" "$SHARED/runs/" "$FOLDER/fetched"
ray submit "$CLUSTER" experiments/full.py -- --recipe nonsense > "$FOLDER/refused" 2>&1 ||
  echo "exit code $?" >> "$FOLDER/refused"
ray down -y "$CLUSTER"
ps -ewwo args > "$FOLDER/processes-down"
sed -n 's/^#   ssh /ssh -n -o StrictHostKeyChecking=no /p' "$CLUSTER" | bash  # as its header says
timeout 60 bash -c "while pgrep -f '[m]lflow.server' > /dev/null; do sleep 1; done"
"""


def missing() -> str | None:
    """What this machine lacks."""
    absent = [tool for tool in TOOLS if not shutil.which(tool, path=PATH)]
    if absent:
        return f"not installed: {', '.join(absent)}"
    tried = subprocess.run([*NAMESPACES, "true"], capture_output=True, text=True, check=False)
    return f"no namespaces of its own: {tried.stderr.strip()}" if tried.returncode else None


def adapted(text: str, shared: Path) -> str:
    """The cluster file, for one machine without GPUs and without network."""
    for old, new in {
        "[YOUR-WORKER-1, YOUR-WORKER-2]": "[]",
        "YOUR-HEAD": "127.0.0.1",
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
    """Make the head's ~/venv, which finds all that is installed here; pip adds respire alone."""
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
    shared, home, cluster = folder / "shared", folder / "head", folder / "local.yaml"
    shared.mkdir()
    (shared / "icbhi").symlink_to(corpus)
    install_dependencies(home / "venv")
    cluster.write_text(adapted((root / "cluster/local.yaml").read_text(), shared))
    users, here = Path("/etc/passwd").read_text(), pwd.getpwuid(os.getuid()).pw_dir
    (folder / "passwd").write_text(users.replace(f":{here}:", f":{home}:"))
    user = hashlib.sha256(getuser().encode()).hexdigest()[:10]  # as Ray names its folder
    variables = environment(folder / "laptop") | {
        "PATH": PATH,
        "TMPDIR": str(folder / "laptop"),
        "FOLDER": str(folder),
        "SHARED": str(shared),
        "HEAD_HOME": str(home),
        "CLUSTER": str(cluster),
        "CONNECTIONS": f"/tmp/ray_ssh_{user}",
        "RUN": RUN,
    }
    del variables["RAY_AUTH_MODE"], variables["RESPIRE_GPU"]
    done = subprocess.run(
        [*NAMESPACES, "bash", "-c", SCENARIO],
        cwd=root,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=500,
        check=False,
    )
    print(done.stdout)
    assert done.returncode == 0
    return folder


def test_the_run_leaves_its_results_in_the_files_storage(folder: Path) -> None:
    (stored,) = (folder / "shared/runs/full").glob("*/results.json")
    (fetched,) = (folder / "fetched/full").glob("*/results.json")
    assert fetched.read_text() == stored.read_text()
    results = json.loads(fetched.read_text())
    assert results["stages"]["stage2"]["overall"]["n"] > 0


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
