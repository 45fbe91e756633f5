"""The disk is full: the command says so and ends, and goes on once there is room."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from commands import EXPERIMENTS, environment
from small_run import FULL, NAME, SMALL, numbers_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

MOUNT = ("unshare", "--mount", "--map-root-user")
"""In it, a disk can be made that nobody else sees, by users other than root too."""
DISK = """
set -u
kept=$1; shift
mkdir runs
mount -t tmpfs -o size=1m tmpfs runs
for room in 14m 4g; do
  "$@" > "$kept/$room.out" 2> "$kept/$room.err"; echo $? > "$kept/$room.exit"
  find runs -name '*.partial' > "$kept/$room.partial"
  mount -o remount,size=$room runs
done
"$@" > "$kept/last.out" 2> "$kept/last.err"; echo $? > "$kept/last.exit"
cp -r runs/full "$kept"
"""
"""Run a command while there is room for nothing, then for cycles, then for all."""


@pytest.fixture(scope="module")
def told(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What each of the three commands left: exit status, output, errors."""
    if shutil.which("unshare") is None:
        pytest.skip("unshare, of util-linux, is not there")
    probe = subprocess.run([*MOUNT, "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True)
    if probe.returncode:
        pytest.skip(f"no disk may be made here: {probe.stderr.decode().strip()}")
    folder = tmp_path_factory.mktemp("disk")
    (folder / "told").mkdir()
    command = [sys.executable, str(EXPERIMENTS / FULL), "--data", str(corpus), *SMALL]
    subprocess.run(
        [*MOUNT, "sh", "-c", DISK, "sh", str(folder / "told"), *command],
        cwd=folder,
        env=environment(folder / "home"),
        check=True,
    )
    return folder / "told"


@pytest.mark.parametrize("room", ["14m", "4g"])
def test_a_full_disk_is_told_in_one_line_and_half_a_file_is_not_left(told: Path, room: str) -> None:
    errors = (told / f"{room}.err").read_text()
    assert (told / f"{room}.exit").read_text() == "2\n", errors
    (line,) = [line for line in errors.splitlines() if line.startswith("error: ")]
    assert "No space left" in line
    assert "make room there" in line
    assert "Traceback" not in errors
    assert (told / f"{room}.partial").read_text() == ""


def test_once_there_is_room_the_same_command_ends_as_if_there_always_had_been(
    told: Path, uninterrupted: Path
) -> None:
    assert (told / "last.exit").read_text() == "0\n", (told / "last.err").read_text()
    results = json.loads((told / "full" / NAME / "results.json").read_text())
    assert numbers_of(results) == numbers_of(
        json.loads((uninterrupted / "runs" / "full" / NAME / "results.json").read_text())
    )
