import dataclasses
import os
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import pyarrow as pa
import pyarrow.parquet
import pytest
import ray.exceptions
import ray.train
import torch
import torch.distributed as dist
import torch.multiprocessing
from commands import ctrl_c_after
from cycle_rows import cycles_table
from hypothesis import given
from hypothesis import strategies as st
from ray.train.v2._internal.exceptions import WorkerHealthCheckFailedError

from respire.data.cycles import PreparedCycles
from respire.errors import InputError
from respire.features.bank import CycleBank
from respire.models.network import respirenet
from respire.recipe.fields import Features, Model, Optimisation
from respire.recipe.recipe import Recipe
from respire.runtime.compute import Compute
from respire.runtime.resources import cores
from respire.runtime.run_folder import RunFolder
from respire.runtime.storage import Storage
from respire.training import stage1
from respire.training.checkpoint import DAMAGED, Pace
from respire.training.loop import Fit, Row, fit
from respire.training.stage1 import share_recordings, train_stage1

PATIENCE_S = 30.0
CPU = Compute("cpu", "fp32")
RECIPE = Recipe(
    features=Features(window_seconds=0.5, n_mels=32, hop=128, colour_map="grey", upsample=1),
    model=Model(backbone="resnet18", weights="none", dropout=0.1),
    optimisation=Optimisation(optimiser="adamw", schedule="one-cycle", epochs=4, batch_size=16),
)
TABLE = cycles_table([[900, 1500, 1200, 700]] * 19, [[0, 1, 2, 3]] * 19)
NAMES = TABLE.column("recording").to_pylist()
TRAIN, SELECTOR, TEST = NAMES[:11], NAMES[11:15], NAMES[15:]
SEED = 5


@given(st.sets(st.text(max_size=5), max_size=40), st.integers(1, 8), st.integers(0, 3))
def test_every_recording_goes_to_exactly_one_worker(recordings, workers, seed):
    shares = share_recordings(list(recordings), workers, seed)
    assert len(shares) == workers
    assert sorted(name for share in shares for name in share) == sorted(recordings)
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@given(st.sets(st.text(max_size=5), max_size=20), st.integers(0, 3), st.randoms())
def test_shares_do_not_depend_on_the_order_of_recordings(recordings, seed, random):
    shuffled = list(recordings)
    random.shuffle(shuffled)
    assert share_recordings(shuffled, 3, seed) == share_recordings(list(recordings), 3, seed)


def test_blocks_come_in_any_order_and_lie_in_that_of_their_recordings(monkeypatch):
    blocks = [TABLE.slice(start, 4) for start in (8, 0, 16, 4, 12)]
    shard = SimpleNamespace(iter_batches=lambda **_: iter(blocks))
    monkeypatch.setattr("ray.train.get_dataset_shard", lambda _: shard)
    work = SimpleNamespace(recipe=RECIPE)
    ours = stage1._bank("train-0", work, torch.device("cpu"))
    assert ours.cycles.equals(bank(NAMES).cycles)
    assert torch.equal(ours.audio, bank(NAMES).audio)


def test_a_training_that_another_command_is_at_is_left_to_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def held(_: Storage, what: str) -> None:
        raise InputError(f"another command {what}")

    monkeypatch.setattr(Storage, "hold", held)
    cycles = SimpleNamespace(dataset=lambda _: None)
    with pytest.raises(InputError, match="another command trains this recipe on this split"):
        on_ray(with_epochs(1), cycles, tmp_path, 1, lambda _: None)


class LosingTrainer:
    """A trainer whose workers are lost, or fail, again and again, as often as is left."""

    left: ClassVar[list[tuple[Exception, bool]]] = []

    def __init__(self, *_: object, run_config: ray.train.RunConfig, **__: object) -> None:
        self.folder = Path(run_config.storage_path) / "ray-train"
        self.tried = 0

    def fit(self) -> SimpleNamespace:
        self.tried += 1
        if not LosingTrainer.left:
            return SimpleNamespace(return_value=FloatingPointError(f"{self.tried} tries"))
        failure, advanced = LosingTrainer.left.pop(0)
        if advanced:
            (self.folder / f"checkpoint_2026-01-{self.tried:02d}").mkdir(parents=True)
        raise ray.train.WorkerGroupError("a worker failed", {0: failure})


def lost() -> Exception:
    return WorkerHealthCheckFailedError("no answer", failure=ray.exceptions.ActorDiedError())


def tries(monkeypatch: pytest.MonkeyPatch, folder: Path, *left: tuple[Exception, bool]) -> str:
    """How a training on such a trainer ends."""
    monkeypatch.setattr(stage1, "_Trainer", LosingTrainer)
    monkeypatch.setattr(LosingTrainer, "left", list(left))
    cycles = SimpleNamespace(dataset=lambda _: None)
    with pytest.raises((FloatingPointError, ray.train.TrainingFailedError)) as ended:
        on_ray(with_epochs(1), cycles, folder, 1, lambda _: None)
    return str(ended.value)


def test_lost_workers_are_replaced_as_often_as_it_takes_while_checkpoints_are_new(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert tries(monkeypatch, tmp_path, *[(lost(), True)] * 12) == "13 tries"


def test_workers_that_are_lost_without_a_new_checkpoint_end_the_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert "worker failed" in tries(monkeypatch, tmp_path / "none", (lost(), False))
    losses = [(lost(), True), (lost(), True), (lost(), False)]
    assert "worker failed" in tries(monkeypatch, tmp_path / "then", *losses)
    assert not LosingTrainer.left


def test_an_error_of_the_program_is_not_tried_without_end(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    wrong = ZeroDivisionError("division by zero")
    assert "worker failed" in tries(monkeypatch, tmp_path, (wrong, True), (wrong, True))
    assert len(LosingTrainer.left) == 1


def with_epochs(epochs: int) -> Recipe:
    optimisation = dataclasses.replace(RECIPE.optimisation, epochs=epochs)
    return dataclasses.replace(RECIPE, optimisation=optimisation)


def bank(recordings: Sequence[str]) -> CycleBank:
    chosen = [name in recordings for name in NAMES]
    return CycleBank.from_table(TABLE.filter(pa.array(chosen)), "4-class")


def plain_fit(
    recipe: Recipe, recordings: Sequence[str], threads: int, watched: CycleBank | None = None
) -> Fit:
    """The same run without Ray."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    network = respirenet(recipe.model, 4)
    return fit(
        network,
        bank(recordings),
        bank(SELECTOR),
        recipe,
        recipe.optimisation,
        CPU,
        seed=SEED,
        watched=watched,
    )


def plain_worker(rank: int, folder: str, recipe: Recipe, shares: list[list[str]]) -> None:
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=len(shares)
    )
    run = plain_fit(recipe, shares[rank], max(1, cores() // len(shares)))
    torch.save(run.state(), f"{folder}/{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture
def prepared(tmp_path: Path) -> PreparedCycles:
    files = tmp_path / "cycles"
    files.mkdir()
    whole = TABLE.append_column("error", pa.nulls(len(TABLE), pa.string()))
    pyarrow.parquet.write_table(whole, files / "cycles.parquet")
    return PreparedCycles(Storage.at(files), "made up", ())


def on_ray(
    recipe: Recipe,
    prepared: PreparedCycles,
    folder: Path,
    workers: int,
    on_epoch: Callable[[Row], None],
) -> Fit:
    torch.manual_seed(0)
    initial = respirenet(recipe.model, 4).state_dict()
    cell = RunFolder(Storage.at(folder), {"test": "stage 1"})
    return train_stage1(
        recipe,
        prepared,
        TRAIN,
        SELECTOR,
        TEST,
        initial,
        CPU,
        cell,
        seed=SEED,
        workers=workers,
        on_epoch=on_epoch,
    )


def killer(folder: Path) -> Callable[[Row], None]:
    """Note every epoch; kill the worker after the third, once."""
    epochs, killed = folder / "epochs", folder / "killed"

    def on_epoch(row: Row) -> None:
        with epochs.open("a") as file:
            file.write(f"{row['epoch']:.0f}\n")
        if row["epoch"] == 3 and not killed.exists():
            killed.touch()
            os.kill(os.getpid(), signal.SIGKILL)

    return on_epoch


def killer_that_damages(folder: Path) -> Callable[[Row], None]:
    """Before it kills the worker after the third epoch, damage the newest checkpoint."""
    kill = killer(folder)

    def known_checkpoints() -> list[Path]:
        """Both, the older first, once Ray Train has noted them: it goes on from those."""
        patience = time.monotonic() + PATIENCE_S
        while time.monotonic() < patience:
            found = sorted((folder / "runs").rglob("checkpoint_*/fit.pt"))
            notes = (folder / "runs").rglob("checkpoint_manager_snapshot.json")
            noted = "".join(file.read_text() for file in notes)
            if len(found) == 2 and all(file.parent.name in noted for file in found):
                return found
            time.sleep(0.1)
        raise TimeoutError("Ray Train did not note two checkpoints")

    def on_epoch(row: Row) -> None:
        if row["epoch"] == 3 and not (folder / "killed").exists():
            _, newest = known_checkpoints()
            newest.write_bytes(newest.read_bytes()[:1000])
        if row.get(DAMAGED):
            (folder / "said").touch()
        kill(row)

    return on_epoch


def never(row: Row) -> None:
    raise AssertionError(f"epoch {row['epoch']} was trained again")


def assert_same(one: Fit, other: Fit) -> None:
    def without_seconds(run: Fit) -> list[Row]:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in run.history]

    assert without_seconds(one) == without_seconds(other)
    assert one.epoch == other.epoch
    assert (one.scores.confusion == other.scores.confusion).all()
    assert one.weights.keys() == other.weights.keys()
    assert all(torch.equal(one.weights[name], other.weights[name]) for name in one.weights)


@pytest.mark.slow
@pytest.mark.usefixtures("ray_session")
def test_a_worker_killed_half_way_ends_as_plain_fit_and_is_not_trained_again(
    prepared: PreparedCycles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage1, "PACE", Pace(0.0, 0.0))
    monkeypatch.setattr(stage1, "RETRIES", 0)  # one loss more than a trainer bears
    run = on_ray(RECIPE, prepared, tmp_path / "runs", 1, killer(tmp_path))
    assert_same(run, plain_fit(RECIPE, TRAIN, cores()))
    epochs = [int(line) for line in (tmp_path / "epochs").read_text().split()]
    # The second epoch's checkpoint may not have left the worker when it was killed.
    assert epochs in ([1, 2, 3, 3, 4], [1, 2, 3, 2, 3, 4])

    assert run.progress is None
    assert not list((tmp_path / "runs").rglob("ray-train"))
    (fit_file,) = (tmp_path / "runs").rglob("fit.pt")
    (fit_file.parent / "ray-train").mkdir()  # as a command leaves it that is killed just then
    assert_same(on_ray(RECIPE, prepared, tmp_path / "runs", 1, never), run)
    assert not list((tmp_path / "runs").rglob("ray-train"))


@pytest.mark.slow
@pytest.mark.usefixtures("ray_session")
def test_a_damaged_checkpoint_costs_the_epochs_since_the_one_before_and_is_told(
    prepared: PreparedCycles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage1, "PACE", Pace(0.0, 0.0))
    run = on_ray(RECIPE, prepared, tmp_path / "runs", 1, killer_that_damages(tmp_path))
    assert_same(run, plain_fit(RECIPE, TRAIN, cores()))
    assert (tmp_path / "said").exists()
    epochs = [int(line) for line in (tmp_path / "epochs").read_text().split()]
    assert epochs == [1, 2, 3, 2, 3, 4]


@pytest.mark.slow
@pytest.mark.usefixtures("ray_session")
def test_watched_test_recordings_are_noted_in_every_row_and_train_nothing(
    prepared: PreparedCycles, tmp_path: Path
) -> None:
    recipe = dataclasses.replace(with_epochs(2), watch_test=True)
    run = on_ray(recipe, prepared, tmp_path / "runs", 1, lambda _: None)
    threads = cores()
    assert_same(run, plain_fit(recipe, TRAIN, threads, watched=bank(TEST)))
    assert all({"test_se", "test_sp", "test_score"} <= row.keys() for row in run.history)
    unwatched = plain_fit(recipe, TRAIN, threads)
    assert run.epoch == unwatched.epoch
    assert all(torch.equal(run.weights[name], unwatched.weights[name]) for name in run.weights)


@pytest.mark.slow
@pytest.mark.usefixtures("ray_session")
def test_two_workers_train_on_their_shares_and_lose_no_row(
    prepared: PreparedCycles, tmp_path: Path
) -> None:
    recipe = with_epochs(1)
    run = on_ray(recipe, prepared, tmp_path / "runs", 2, lambda _: None)
    shares = share_recordings(TRAIN, 2, SEED)
    torch.multiprocessing.spawn(plain_worker, (str(tmp_path), recipe, shares), 2)
    assert_same(run, Fit.from_state(torch.load(tmp_path / "0.pt")))


@pytest.mark.slow
@pytest.mark.usefixtures("ray_session")
def test_ctrl_c_is_an_interruption_and_leaves_nothing_finished(
    prepared: PreparedCycles, tmp_path: Path
) -> None:
    begun = tmp_path / "begun"

    def on_epoch(_: Row) -> None:
        begun.touch()
        time.sleep(1)

    with pytest.raises(KeyboardInterrupt), ctrl_c_after(begun):
        on_ray(with_epochs(50), prepared, tmp_path, 1, on_epoch)
    assert not list(tmp_path.rglob("fit.pt"))
