"""The process that a user starts is killed, and the same command goes on."""

import time
from pathlib import Path

import pytest
from commands import finished, killed, parent_and_children
from small_run import EPOCHS, FULL, SMALL, numbers_in

from respire.data.corpora.icbhi_format import DEVICES

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

PATIENCE_S = 60.0


def test_killed_in_every_part_it_ends_as_an_uninterrupted_run(
    uninterrupted: Path, corpus: Path, tmp_path: Path
) -> None:
    command = ("--data", str(corpus), *SMALL)

    def preparing(line: str) -> bool:
        """Some cycles are written, and nothing yet says that all are."""
        if "cycles ..." not in line:
            return False
        patience = time.monotonic() + PATIENCE_S
        while not list(tmp_path.glob("runs/cycles/*/*/*")):
            assert time.monotonic() < patience
            time.sleep(0.001)
        return True

    lines = killed(FULL, tmp_path, preparing, *command)
    assert "cycles ..." in lines[-1]
    assert not list(tmp_path.glob("runs/cycles/*/manifest.json"))

    def in_stage_1(line: str) -> bool:
        # On a fast machine the epochs may be over before the first checkpoint is due.
        written = list(tmp_path.glob("runs/cells/*/ray-train/checkpoint_*"))
        return f"epoch {EPOCHS - 1}/" in line or ("epoch" in line and bool(written))

    lines = killed(FULL, tmp_path, in_stage_1, *command)
    assert "stage1: epoch" in lines[-1]
    assert not list(tmp_path.glob("runs/cells/*/fit.pt"))

    def in_stage_2(line: str) -> bool:
        return any(f"{device}: epoch" in line for device in DEVICES)

    lines = killed(FULL, tmp_path, in_stage_2, *command)
    assert in_stage_2(lines[-1])
    assert not list(tmp_path.rglob("results.json"))

    resumed = finished(FULL, tmp_path, *command)
    assert resumed.returncode == 0, resumed.stderr
    assert "stage1: epoch" not in resumed.stdout
    assert numbers_in(tmp_path) == numbers_in(uninterrupted)
    parent, children = parent_and_children("full", tmp_path)
    assert {run.info.status for run in (parent, *children.values())} == {"FINISHED"}
    assert set(children) == {"stage1", *DEVICES}
