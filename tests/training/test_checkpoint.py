from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from respire.errors import InputError
from respire.metrics import Scores
from respire.runtime.run_folder import RunFolder
from respire.runtime.storage import Storage
from respire.training import checkpoint
from respire.training.checkpoint import PACE, Checkpoints, Pace
from respire.training.loop import Fit, Row

ALWAYS = Pace(0.0, 0.0)


def under_way(epochs: int) -> Fit:
    """A run after so many epochs, the last of which is the best."""
    generator = torch.Generator().manual_seed(epochs)
    weights, momentum = (torch.randn(2, 3, generator=generator) for _ in range(2))
    return Fit(
        weights={"layer": weights},
        epoch=epochs,
        scores=Scores(np.array([[5, 1], [2, 2 + epochs]])),
        history=[{"epoch": epoch, "train_loss": 1 / epoch} for epoch in range(1, epochs + 1)],
        progress={"network": {"layer": weights}, "optimiser": {"state": {0: momentum}, "lr": 0.1}},
    )


def same(one: object, other: object) -> bool:
    """Whether two trees of containers, numbers and tensors are equal."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return torch.equal(one, other)
    return type(one) is type(other) and one == other


@pytest.fixture
def cell(tmp_path: Path) -> RunFolder:
    return RunFolder(Storage.at(tmp_path), {"test": "checkpoints"})


@pytest.fixture
def rows() -> list[Row]:
    return []


@pytest.fixture
def checkpoints(cell: RunFolder, rows: list[Row]) -> Checkpoints:
    return Checkpoints(cell, rows.append)


def test_what_was_not_begun_starts_nowhere(checkpoints: Checkpoints) -> None:
    assert checkpoints.start() is None


def test_a_run_starts_where_it_was_saved(checkpoints: Checkpoints, cell: RunFolder) -> None:
    checkpoints(under_way(1))
    begun = Checkpoints(cell, lambda _: None).start()
    assert begun is not None
    assert same(begun.state(), under_way(1).state())


def test_a_run_is_saved_only_when_what_was_saved_is_old(
    checkpoints: Checkpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    def saved() -> int:
        start = checkpoints.start()
        assert start is not None
        return len(start.history)

    monkeypatch.setattr(checkpoint, "PACE", Pace(1e9))
    checkpoints(under_way(1))
    checkpoints(under_way(2))
    assert saved() == 1
    monkeypatch.setattr(checkpoint, "PACE", ALWAYS)
    checkpoints(under_way(3))
    assert saved() == 3
    checkpoints(under_way(4))
    assert saved() == 4
    monkeypatch.setattr(checkpoint, "PACE", Pace(1e9))
    checkpoints(under_way(5))
    assert saved() == 4


@given(st.floats(0, 1e4), st.floats(0, 60), st.floats(0, 60))
def test_saving_takes_a_twentieth_of_the_time_at_most_and_happens_again_in_time(
    saved: float, took_s: float, late_s: float
) -> None:
    due = saved + max(15.0, 19 * took_s)
    with mock.patch("time.monotonic", return_value=due - 1e-3):
        assert not PACE.due(saved, took_s)
    with mock.patch("time.monotonic", return_value=due + 1e-3 + late_s):
        assert PACE.due(saved, took_s)
    assert took_s <= (due - saved + took_s) / 20 + 1e-9


def test_what_takes_long_to_save_is_saved_less_often(
    checkpoints: Checkpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, saves = [0.0], []

    def save(*_: object) -> None:
        saves.append(now[0])
        now[0] += 4.0

    monkeypatch.setattr(RunFolder, "save", save)
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    for epochs in range(1, 61):
        now[0] += 5.0
        checkpoints(under_way(epochs))
    gaps = np.diff(saves)
    assert len(saves) == 4
    assert all(80 <= gap <= 85 for gap in gaps)


@pytest.mark.parametrize("pace", [ALWAYS, Pace(1e9)])
def test_every_row_is_reported_saved_or_not(
    checkpoints: Checkpoints, rows: list[Row], monkeypatch: pytest.MonkeyPatch, pace: Pace
) -> None:
    monkeypatch.setattr(checkpoint, "PACE", pace)
    for epochs in (1, 2, 3):
        checkpoints(under_way(epochs))
    assert rows == under_way(3).history


def test_a_finished_run_is_kept_under_its_name_without_how_it_came_about(
    checkpoints: Checkpoints, cell: RunFolder, tmp_path: Path
) -> None:
    run = under_way(2)
    checkpoints(run)
    checkpoints.finish("fit", run, lambda: {"run": run.state(), "learning_rate": 0.1})
    assert run.progress is None
    kept = cell.load("fit")
    assert kept is not None
    assert same(kept, {"run": {**under_way(2).state(), "progress": None}, "learning_rate": 0.1})
    assert checkpoints.start() is None
    assert not list(tmp_path.rglob("progress*"))


def damage(file: Path, how: str) -> None:
    content = bytearray(file.read_bytes())
    if how == "cut short":
        del content[len(content) // 2 :]
    elif how == "empty":
        content.clear()
    else:
        # One byte alone might be one of those between the archive's entries.
        for place in range(len(content) // 2, len(content) // 2 + 256):
            content[place] ^= 0xFF
    file.write_bytes(content)


@pytest.mark.parametrize("how", ["cut short", "empty", "other bytes"])
def test_a_run_whose_newest_checkpoint_is_damaged_goes_on_from_the_one_before_and_says_so(
    cell: RunFolder, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "PACE", ALWAYS)
    first = Checkpoints(cell, lambda _: None)
    for epochs in (1, 2, 3):
        first(under_way(epochs))
    files = [Path(cell.storage.uri) / f"{name}.pt" for name in checkpoint.PROGRESS]
    newest = max(files, key=lambda file: file.stat().st_mtime_ns)
    damage(newest, how)
    rows: list[Row] = []
    again = Checkpoints(cell, rows.append)
    start = again.start()
    assert start is not None
    assert same(start.state(), under_way(2).state())
    again(under_way(3))
    again(under_way(4))
    assert [row.get(checkpoint.DAMAGED) for row in rows] == [1.0, None]
    assert under_way(3).history[-1] == {k: v for k, v in rows[0].items() if k != checkpoint.DAMAGED}
    kept = Checkpoints(cell, rows.append).start()
    assert kept is not None
    assert len(kept.history) == 4


def test_where_every_checkpoint_is_damaged_the_run_begins_again(cell: RunFolder) -> None:
    Checkpoints(cell, lambda _: None)(under_way(1))
    damage(Path(cell.storage.uri) / f"{checkpoint.PROGRESS[0]}.pt", "other bytes")
    assert Checkpoints(cell, lambda _: None).start() is None


def test_a_finished_run_that_is_damaged_is_named_with_the_remedy(cell: RunFolder) -> None:
    cell.save("fit", under_way(2).state())
    damage(Path(cell.storage.uri) / "fit.pt", "other bytes")
    with pytest.raises(InputError, match=r"fit\.pt: damaged .*delete it"):
        cell.load("fit")
