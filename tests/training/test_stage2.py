import dataclasses
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from commands import ctrl_c_after
from cycle_rows import cycles_table

from respire.errors import InputError
from respire.features.bank import CycleBank
from respire.models.network import Learnt, respirenet
from respire.recipe.fields import Features, FineTune, Model, Optimisation
from respire.recipe.recipe import Recipe
from respire.runtime.compute import Compute
from respire.runtime.resources import cores
from respire.runtime.storage import Storage
from respire.training import stage2
from respire.training.finetune import DeviceModel, Tuning, finetune, learning_rates
from respire.training.loop import Row
from respire.training.stage2 import (
    DeviceCycles,
    _trials_per_gpu,
    each_device,
    train_stage2,
    trial_name,
)

CPU = Compute("cpu", "fp32")
DEVICES = ("AKGC417L", "Meditron", "LittC2SE", "Litt3200")
RECIPE = Recipe(
    features=Features(window_seconds=0.5, n_mels=32, hop=128, colour_map="grey", upsample=1),
    model=Model(backbone="shufflenet_v2_x0_5", weights="none", dropout=0.1),
    optimisation=Optimisation(batch_size=16),
    finetune=FineTune(learning_rate=1e-2, epochs=3),
)
FOUR_TRIALS = dataclasses.replace(
    RECIPE, finetune=dataclasses.replace(RECIPE.finetune, trials_per_device=4, epochs=1)
)
SEED = 2
KILLED = "Meditron"
PATIENCE_S = 120.0
GIB = 2**30

OnEpoch = Callable[[Row], None]


def cycles_of(device: str, train: int = 6) -> DeviceCycles:
    """Recordings of a device, another patient each; none to learn from if ``train`` is 0."""

    def rows(count: int, seed: int):
        sizes, labels = [[900, 1500, 1200, 700]] * count, [[0, 1, 2, 3]] * count
        return cycles_table(sizes, labels, [device] * count, seed)

    seed = DEVICES.index(device)
    return DeviceCycles(rows(max(train, 1), seed).slice(0, train), rows(4, seed + 10))


def stage1_learnt() -> Learnt:
    torch.manual_seed(0)
    return Learnt(respirenet(RECIPE.model, 4).state_dict(), torch.tensor([4, 3, 2, 1]))


def tune(
    folder: Path,
    devices: dict[str, DeviceCycles],
    on_epoch: Callable[[str], OnEpoch],
    recipe: Recipe = RECIPE,
    here: bool = False,
) -> dict[str, DeviceModel]:
    return train_stage2(
        recipe,
        stage1_learnt(),
        devices,
        CPU,
        Storage.at(folder),
        {"test": "stage 2", "epochs": recipe.finetune.epochs},
        seed=SEED,
        on_epoch=on_epoch,
        here=here,
    )


def meeting(folder: Path) -> Callable[[str], OnEpoch]:
    """Trials note their epochs and wait in the first until all four are there.

    One of them is killed once, in its second epoch.
    """

    def of(trial: str) -> OnEpoch:
        def on_epoch(row: Row) -> None:
            with (folder / f"{trial}.epochs").open("a") as file:
                file.write(f"{row['epoch']:.0f}\n")
            began = time.monotonic()
            while len(list(folder.glob("*.epochs"))) < 4:
                if time.monotonic() - began > PATIENCE_S:
                    (folder / f"{trial}.alone").touch()
                    break
                time.sleep(0.1)
            marker = folder / "killed"
            if trial == KILLED and row["epoch"] == 2 and not marker.exists():
                marker.touch()
                os.kill(os.getpid(), signal.SIGKILL)

        return on_epoch

    return of


def never(trial: str) -> OnEpoch:
    def on_epoch(row: Row) -> None:
        raise AssertionError(f"{trial}: epoch {row['epoch']} was trained again")

    return on_epoch


def silent(_: str) -> OnEpoch:
    return lambda _: None


def without_seconds(trial: Tuning) -> list[Row]:
    return [{k: v for k, v in row.items() if k != "seconds"} for row in trial.fit.history]


def same(one: Tuning, other: Tuning) -> bool:
    weights, others = one.fit.weights, other.fit.weights
    return without_seconds(one) == without_seconds(other) and all(
        torch.equal(weights[name], others[name]) for name in weights
    )


def trials_in(folder: Path) -> dict[str, Tuning]:
    """The finished trials by their cells' keys."""
    return {
        path.parent.name: Tuning.from_state(torch.load(path, weights_only=True))
        for path in folder.glob("cells/*/trial.pt")
    }


@pytest.fixture(scope="module")
def notes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("notes")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def tuned(
    ray_cluster: None,  # noqa: ARG001
    notes: Path,
    runs: Path,
) -> dict[str, DeviceModel]:
    return tune(runs, {device: cycles_of(device) for device in DEVICES}, meeting(notes))


@pytest.fixture
def plain_threads() -> Iterator[None]:
    """The threads that each of four trials has."""
    before = torch.get_num_threads()
    torch.set_num_threads(max(1, cores() // 4))
    yield
    torch.set_num_threads(before)


def test_each_device_has_its_rows_of_both_sides_or_none() -> None:
    devices = ["Meditron", "AKGC417L", "Meditron", "LittC2SE"]
    train = cycles_table([[900], [1500], [1200], [700]], devices=devices)
    selector = cycles_table([[800], [600]], devices=["AKGC417L", "Meditron"], seed=1)
    cut = each_device(train, selector, DEVICES)
    assert cut.keys() == set(DEVICES)

    def rows(table: pa.Table, *positions: int) -> pa.Table:
        return pa.concat_tables([table.slice(0, 0), *(table.slice(at, 1) for at in positions)])

    assert cut["AKGC417L"].train.equals(rows(train, 1))
    assert cut["AKGC417L"].selector.equals(rows(selector, 0))
    assert cut["Meditron"].train.equals(rows(train, 0, 2))
    assert cut["Meditron"].selector.equals(rows(selector, 1))
    assert cut["LittC2SE"].train.equals(rows(train, 3))
    for empty in (cut["LittC2SE"].selector, cut["Litt3200"].train, cut["Litt3200"].selector):
        assert empty.equals(rows(train))


def test_here_trials_run_one_after_the_other_and_finished_ones_not_again(tmp_path: Path) -> None:
    seen: list[tuple[str, float]] = []

    def noting(trial: str) -> OnEpoch:
        return lambda row: seen.append((trial, row["epoch"]))

    devices = {device: cycles_of(device) for device in ("Meditron", "AKGC417L")}
    alone = tune(tmp_path, {"Meditron": devices["Meditron"]}, noting, here=True)
    assert seen == [("Meditron", 1), ("Meditron", 2), ("Meditron", 3)]
    seen.clear()
    both = tune(tmp_path, devices, noting, here=True)
    assert seen == [("AKGC417L", 1), ("AKGC417L", 2), ("AKGC417L", 3)]
    assert same(both["Meditron"].trial, alone["Meditron"].trial)
    again = tune(tmp_path, devices, never, here=True)
    assert all(same(again[device].trial, both[device].trial) for device in devices)
    assert len(trials_in(tmp_path)) == 2
    assert not list(tmp_path.rglob("progress.pt"))


def card_of(monkeypatch: pytest.MonkeyPatch, free: int, reserved: int, peak: int) -> None:
    """A GPU whose memory a training takes some of."""
    for name, told in {
        "mem_get_info": (free, 2 * free),
        "memory_reserved": reserved,
        "max_memory_reserved": peak,
        "empty_cache": None,
        "reset_peak_memory_stats": None,
    }.items():
        monkeypatch.setattr(torch.cuda, name, lambda told=told: told)


@pytest.mark.parametrize(
    ("peak_gib", "room"), [(4.5, 4), (5.5, 3), (6.6, 3), (9.0, 2), (12.0, 1), (21.0, 1)]
)
def test_as_many_trials_share_a_gpu_as_one_of_them_leaves_memory_for(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    peak_gib: float,
    room: int,
) -> None:
    trained = []
    monkeypatch.setattr(stage2, "on_worker", lambda work, *told, gpu: work(*told))  # noqa: ARG005
    monkeypatch.setattr(stage2, "finetune", lambda *told, **_: trained.append(told))
    card_of(monkeypatch, free=20 * GIB, reserved=GIB, peak=int(peak_gib * GIB))
    devices = {device: cycles_of(device, train=at + 1) for at, device in enumerate(DEVICES)}
    assert _trials_per_gpu(RECIPE, stage1_learnt(), devices, CPU) == room
    ((_, bank, selector, short, _),) = trained
    assert selector is None
    assert bank.cycles["recording"].nunique() == 4  # of the device that has the most
    assert short.finetune.unselected_epochs == 1
    said = capsys.readouterr().out
    free = f"{peak_gib + 0.5:.1f} GiB of a GPU that has 21.5 free: {room} at once"
    assert (free in said) == (room < 4)


def test_a_gpu_without_memory_for_one_trial_is_refused_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError

    monkeypatch.setattr(stage2, "finetune", full)
    card_of(monkeypatch, free=6 * GIB, reserved=0, peak=0)
    with pytest.raises(InputError, match=r"6\.5 GiB free.*--recipe\.optimisation\.batch-size"):
        stage2._memory_of_a_trial(RECIPE, stage1_learnt(), cycles_of("Meditron").train, CPU)


@pytest.mark.slow
@pytest.mark.usefixtures("tuned")
def test_four_trials_run_at_the_same_time(notes: Path) -> None:
    assert sorted(path.stem for path in notes.glob("*.epochs")) == sorted(DEVICES)
    assert not list(notes.glob("*.alone"))


@pytest.mark.slow
@pytest.mark.usefixtures("plain_threads")
def test_every_trial_is_plain_finetune_and_one_killed_half_way_too(
    tuned: dict[str, DeviceModel], notes: Path
) -> None:
    assert (notes / "killed").exists()
    assert (notes / f"{KILLED}.epochs").read_text().split() == ["1", "2", "2", "3"]
    for device in (KILLED, "AKGC417L"):
        cycles = cycles_of(device)
        alone = finetune(
            stage1_learnt(),
            CycleBank.from_table(cycles.train, "4-class"),
            CycleBank.from_table(cycles.selector, "4-class"),
            RECIPE,
            CPU,
            learning_rate=1e-2,
            seed=SEED,
        )
        assert same(tuned[device].trial, alone)
        assert (tuned[device].trial.before.confusion == alone.before.confusion).all()


@pytest.mark.slow
@pytest.mark.usefixtures("plain_threads")
def test_here_trials_are_those_of_ray_tune(
    tuned: dict[str, DeviceModel], runs: Path, tmp_path: Path
) -> None:
    here = tune(tmp_path, {device: cycles_of(device) for device in DEVICES}, silent, here=True)
    assert here.keys() == tuned.keys()
    for device in DEVICES:
        assert here[device].decision == tuned[device].decision
        assert here[device].reason == tuned[device].reason
    one, other = trials_in(tmp_path), trials_in(runs)
    assert len(one) == len(DEVICES)
    assert one.keys() == other.keys()
    for key, trial in one.items():
        assert same(trial, other[key])
        assert trial.learning_rate == other[key].learning_rate
        assert (trial.before.confusion == other[key].before.confusion).all()


@pytest.mark.slow
def test_a_second_call_runs_nothing(tuned: dict[str, DeviceModel], runs: Path) -> None:
    again = tune(runs, {device: cycles_of(device) for device in DEVICES}, never)
    for device in DEVICES:
        assert again[device].decision == tuned[device].decision
        assert again[device].reason == tuned[device].reason
        assert same(again[device].trial, tuned[device].trial)


@pytest.mark.slow
def test_a_device_without_training_cycles_keeps_stage_1_and_says_so(
    tuned: dict[str, DeviceModel], runs: Path
) -> None:
    devices = {device: cycles_of(device) for device in DEVICES}
    devices["Litt3200"] = cycles_of("Litt3200", train=0)
    kept = tune(runs, devices, never)
    assert kept.keys() == tuned.keys()
    assert kept["Litt3200"].decision == "kept stage 1"
    assert kept["Litt3200"].learnt is None
    assert "no training cycles" in kept["Litt3200"].reason


@pytest.mark.slow
@pytest.mark.usefixtures("ray_session")
def test_of_four_learning_rates_the_best_by_validation_is_kept(tmp_path: Path) -> None:
    model = tune(tmp_path, {"LittC2SE": cycles_of("LittC2SE")}, silent, FOUR_TRIALS)["LittC2SE"]
    trials = list(trials_in(tmp_path).values())
    rates = learning_rates(FOUR_TRIALS.finetune)
    assert sorted(trial.learning_rate for trial in trials) == sorted(rates)
    scores = {trial.learning_rate: trial.fit.scores.score for trial in trials}
    assert model.trial.fit.scores.score == max(scores.values())
    # Of equals it is the first in the recipe's order.
    assert model.trial.learning_rate == rates[int(np.argmax([scores[rate] for rate in rates]))]
    assert len({trial_name("LittC2SE", rate, FOUR_TRIALS) for rate in rates}) == 4
    assert not list(tmp_path.rglob("progress.pt"))
    assert not list(tmp_path.rglob("ray-tune"))


@pytest.mark.slow
@pytest.mark.usefixtures("ray_session")
def test_what_ray_tune_left_when_a_command_was_killed_at_its_end_is_removed(
    tmp_path: Path,
) -> None:
    devices = {"LittC2SE": cycles_of("LittC2SE")}
    tune(tmp_path, devices, silent)
    (trial,) = tmp_path.rglob("trial.pt")
    (trial.parent / "ray-tune").mkdir()
    tune(tmp_path, devices, never)
    assert not list(tmp_path.rglob("ray-tune"))


@pytest.mark.slow
@pytest.mark.usefixtures("ray_session")
def test_ctrl_c_is_an_interruption_and_decides_about_no_device(tmp_path: Path) -> None:
    begun = tmp_path / "begun"

    def slowly(_: str) -> OnEpoch:
        def on_epoch(_: Row) -> None:
            begun.touch()
            time.sleep(5)

        return on_epoch

    with pytest.raises(KeyboardInterrupt), ctrl_c_after(begun):
        tune(tmp_path, {device: cycles_of(device) for device in DEVICES}, slowly)
    assert not list(tmp_path.rglob("trial.pt"))
