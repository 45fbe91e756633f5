"""experiments/scale.py: its arithmetic against counting, its catalogues, its report."""

import dataclasses
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from catalogues import repeated
from cycle_rows import cycles_table
from hypothesis import given, settings
from hypothesis import strategies as st

from respire.benchmark.scale.needs import TABLE_BYTES, Machines, Rates, limits, needs
from respire.benchmark.scale.report import report
from respire.data import prepare, rows
from respire.data.corpora import icbhi
from respire.data.prepare import by_recording
from respire.data.splits.split import Cut
from respire.errors import InputError
from respire.features.bank import CycleBank
from respire.models.network import respirenet
from respire.recipe.fields import Model
from respire.recipe.presets import paper, quick
from respire.recipe.recipe import Recipe
from respire.runtime.run_folder import dump_state
from respire.training.loop import fit
from respire.training.sampling import World, plan_epoch
from respire.training.stage1 import share_recordings

EXPERIMENTS = Path(__file__).resolve().parents[2] / "experiments"
COMMITTED = EXPERIMENTS / "results" / "scale" / "icbhi" / "results.json"
RATES = Rates(
    source="a test",
    recordings=10.0,
    cycles=100.0,
    patients=5.0,
    cycle_share=0.5,
    file_bytes=1e6,
    parquet_bytes=4000.0,
    catalogue_s=1e-3,
    fingerprint_s=1e-9,
    prepare_s=0.01,
    scan_s=1e-3,
    keep_s=1e-4,
    catalogue_bytes=200.0,
    frame_bytes=50.0,
    read_copies=3.0,
    bank_copies=1.0,
)


def with_optimisation(**changes: Any) -> Recipe:
    recipe = paper()
    return dataclasses.replace(
        recipe, optimisation=dataclasses.replace(recipe.optimisation, **changes)
    )


def needed(hours: float = 10.0, recipe: Recipe | None = None, **machines: Any) -> dict[str, Any]:
    return needs(hours, Machines(**machines), RATES, recipe or paper(), 10**9, 1000)


@pytest.fixture(scope="module")
def catalogue(corpus: Path) -> pd.DataFrame:
    return icbhi.read_catalogue(str(corpus)).cycles


def test_a_cycle_in_a_bank_takes_as_many_bytes_of_numbers_as_counted() -> None:
    bank = CycleBank.from_table(cycles_table([[90, 240], [50]], [[0, 1], [2]], seed=4), "4-class")
    numbers = [v for v in vars(bank).values() if isinstance(v, torch.Tensor)]
    numbers += [bank.groups("any").entries, bank.identity]
    tables = [t for t in numbers if t is not bank.audio]
    assert sum(t.nbytes for t in tables) == TABLE_BYTES * len(bank)


def test_the_banks_hold_two_bytes_a_sample_of_their_sides_cycles() -> None:
    samples = 10 * 3600 * 0.5 * 4000
    one, eight = needed(), needed(workers=8)
    assert one["cycles_bytes"] == 2 * samples
    assert one["train_bank_bytes"] == pytest.approx(2 * samples * 0.8 * 0.8)
    assert eight["train_bank_bytes"] == pytest.approx(one["train_bank_bytes"] / 8)
    assert eight["selector_bank_bytes"] == one["selector_bank_bytes"]
    assert one["selector_bank_bytes"] == pytest.approx(2 * samples * 0.8 * 0.2)
    assert one["test_bank_bytes"] == pytest.approx(2 * samples * 0.2)


def test_a_replicated_bank_is_whole_on_every_worker_and_so_often_in_the_object_store() -> None:
    recipe = with_optimisation(bank="replicated")
    one, eight = needed(recipe=recipe), needed(recipe=recipe, workers=8)
    assert eight["train_bank_bytes"] == one["train_bank_bytes"]
    assert eight["object_store_bytes"] == pytest.approx(
        8 * one["train_bank_bytes"] + one["selector_bank_bytes"]
    )
    assert needed(workers=8)["object_store_bytes"] == pytest.approx(one["object_store_bytes"])


@settings(max_examples=20)
@given(times=st.integers(1, 40), workers=st.integers(1, 8))
def test_counts_are_those_of_a_real_split_and_its_shares(
    catalogue: pd.DataFrame, times: int, workers: int
) -> None:
    many = repeated(catalogue, times)
    cut = Cut().on(many)
    trained = many["recording"].isin(cut.train)
    rates = dataclasses.replace(
        RATES,
        recordings=float(catalogue["recording"].nunique()),
        cycles=float(len(catalogue)),
        patients=float(catalogue["patient"].nunique()),
    )
    said = needs(times, Machines(workers=workers), rates, paper(), 1, 1)
    assert (said["recordings"], said["cycles"]) == (many["recording"].nunique(), len(many))
    assert said["patients"] == many["patient"].nunique()
    assert said["blocks"] == len(rows.blocks_of(by_recording(many)))
    assert 64 * said["steps_an_epoch"] == pytest.approx(trained.sum(), rel=0.45, abs=64)
    share = max(map(len, share_recordings(cut.train, workers, 0)))
    assert share == pytest.approx(0.64 * said["recordings"] / workers, rel=0.45, abs=2)


@pytest.mark.parametrize("workers", [1, 4])
def test_the_plan_of_an_epoch_takes_as_many_bytes_as_it_holds(workers: int) -> None:
    from respire.benchmark.noise_bank import noise_bank

    bank = noise_bank(640, paper())
    plan = plan_epoch(bank, 640, 64, 0, 1, World(0, workers), False)
    rates = dataclasses.replace(RATES, cycles=1000.0)
    said = needs(1.0, Machines(workers=workers), rates, paper(), 1, 1)
    assert plan.cycle.nbytes + plan.sample.nbytes == said["plan_bytes"]
    assert len(plan.cycle) == said["steps_an_epoch"]


@pytest.mark.parametrize("optimiser", ["sgd", "adamw"])
def test_a_checkpoint_holds_as_many_copies_of_the_weights_as_counted(optimiser: str) -> None:
    recipe = dataclasses.replace(
        quick(),
        model=Model(backbone="resnet18", weights="none"),
        optimisation=dataclasses.replace(
            quick().optimisation, optimiser=optimiser, schedule="constant", epochs=1, batch_size=4
        ),
    )
    bank = CycleBank.from_table(
        cycles_table([[900, 2400]] * 2, [[0, 1], [2, 0]], seed=4), "4-class"
    )
    from respire.runtime.compute import Compute

    states = []
    network = respirenet(recipe.model, 4)
    fit(
        network,
        bank,
        None,
        recipe,
        recipe.optimisation,
        Compute("cpu", "fp32"),
        seed=0,
        after_epoch=lambda run: states.append(len(dump_state(run.state()))),
    )
    parameters = sum(p.numel() for p in network.parameters())
    said = needs(1.0, Machines(), RATES, recipe, 1, parameters)["checkpoint_bytes"]
    assert states == [pytest.approx(said, rel=0.01)]


def test_seconds_add_up() -> None:
    said = needed(hours=10.0, cores=4, workers=2)
    assert said["prepare_s"] == pytest.approx(100 * 0.01 / 4)
    assert said["catalogue_s"] == pytest.approx(0.1)
    assert said["fingerprint_s"] == pytest.approx(0.01)
    cycle_s = 10 * 3600 * 0.5
    kept = 0.64 + 0.16 + 0.64 + 0.16 + 0.2
    assert said["read_s"] == pytest.approx(cycle_s * (6 * 1e-3 + kept * 1e-4))


def test_no_time_on_a_gpu_is_told_that_nobody_gave() -> None:
    assert {needed()[key] for key in ("epoch_s", "training_s", "epoch_bound_s")} == {None}
    given_rate = needed(windows_per_s=100.0, workers=2)
    assert given_rate["epoch_s"] == pytest.approx((640 + 160 / 3) / 100 / 2)
    assert given_rate["training_s"] == pytest.approx(200 * given_rate["epoch_s"])
    bound = needed(peak_tflops=1.0, utilisation=0.5)
    assert bound["epoch_bound_s"] == pytest.approx((640 + 160 / 3) * 1e9 / 0.5e12)


@given(
    hours=st.floats(1, 1e5),
    workers=st.integers(1, 64),
    gib=st.floats(1, 1000),
    bank=st.sampled_from(["sharded", "replicated"]),
)
def test_at_the_hours_of_a_limit_what_is_needed_is_what_there_is(
    hours: float, workers: int, gib: float, bank: str
) -> None:
    recipe = with_optimisation(bank=bank)
    machines = Machines(workers=workers, host_gib=gib, driver_gib=2 * gib, gpu_gib=gib)
    now = needs(hours, machines, RATES, recipe, 1, 1)
    found = limits(hours, machines, recipe, now)
    assert [limit.hours for limit in found] == sorted(limit.hours for limit in found)
    for limit in found:
        if limit.unit == "bytes":
            then = needs(limit.hours, machines, RATES, recipe, 1, 1)
            again = limits(limit.hours, machines, recipe, then)
            (same,) = (other for other in again if other.name == limit.name)
            rounding = 1 / max(1, then["cycles"]) + 1 / now["cycles"]  # there, and here
            assert same.need == pytest.approx(limit.room, rel=rounding)


def test_more_workers_than_windows_in_a_batch_end_at_once() -> None:
    few, many = Machines(workers=64), Machines(workers=65)
    assert limits(1, few, paper(), needed(workers=64))[-1].hours == np.inf
    assert limits(1, many, paper(), needed(workers=65))[0].unit == "workers"
    assert limits(1, many, paper(), needed(workers=65))[0].hours == 0


def test_where_nobody_selects_the_selector_is_never_full() -> None:
    recipe = dataclasses.replace(paper(), selection="none")
    found = {of.name: of for of in limits(1, Machines(), recipe, needed(recipe=recipe))}
    (selector,) = (of for name, of in found.items() if name.startswith("the selector"))
    assert (selector.need, selector.hours) == (0, np.inf)


def test_a_repeated_catalogue_is_one_that_could_have_been_read(catalogue: pd.DataFrame) -> None:
    assert repeated(catalogue, 1).equals(catalogue)
    many = repeated(catalogue, 3)
    assert len(many) == 3 * len(catalogue)
    assert many["patient"].nunique() == 3 * catalogue["patient"].nunique()
    assert many.dtypes.equals(catalogue.dtypes)
    assert many["recording"].is_monotonic_increasing
    assert (many.groupby("recording")["cycle"].diff().dropna() == 1).all()
    theirs = many[many["patient"] >= 2000]
    theirs = theirs.assign(
        patient=theirs["patient"] - 2000,
        recording=[
            f"{int(patient) - 2000}_{rest}"
            for patient, _, rest in theirs["recording"].str.partition("_").itertuples(index=False)
        ],
    )
    columns = ["recording", "cycle"]
    pd.testing.assert_frame_equal(
        theirs.sort_values(columns, ignore_index=True),
        catalogue.sort_values(columns, ignore_index=True),
    )


def test_a_row_a_recording_is_what_grouping_in_pandas_gives(catalogue: pd.DataFrame) -> None:
    mixed = repeated(catalogue, 3).sample(frac=1, random_state=0)
    mixed = mixed.sort_values("cycle", kind="stable", ignore_index=True)
    by = [*prepare._OF_RECORDING, "audio"]
    expected = mixed.groupby(by, sort=True)[prepare._OF_CYCLE].agg(list).reset_index()
    assert by_recording(mixed).to_pylist() == expected.to_dict("records")


def test_rates_of_a_benchmark_replace_those_of_finding_and_preparing(tmp_path: Path) -> None:
    ours, benchmark, neither = (tmp_path / f"{name}.json" for name in ("a", "b", "c"))
    ours.write_text(json.dumps({"rates": dataclasses.asdict(RATES)}))
    part = {"catalogue_s": 2.0, "recordings": 100, "prepare_s_minimum": 30.0}
    benchmark.write_text(json.dumps({"recordings": part, "environment": {"threads": 4}}))
    neither.write_text("{}")
    assert Rates.read(ours, ours) == RATES
    read = Rates.read(benchmark, ours)
    assert (read.catalogue_s, read.prepare_s) == (0.02, 1.2)
    assert read.cycles == RATES.cycles
    assert str(benchmark) in read.source
    for bad in (neither, tmp_path / "missing.json"):
        with pytest.raises(InputError, match="not the results"):
            Rates.read(bad, ours)


@pytest.mark.parametrize("option", ["cores", "gpu_gib", "utilisation", "peak_tflops"])
def test_machines_of_nothing_are_refused(option: str) -> None:
    with pytest.raises(InputError, match=rf"--{option.replace('_', '-')} 0"):
        Machines(**{option: 0})


def test_the_committed_report_is_what_its_results_say() -> None:
    results = json.loads(COMMITTED.read_text())
    whole = COMMITTED.with_name("report.md").read_text()  # its checks are made no more
    for section in re.split(r"\n(?=## )", report(results).markdown())[1:-1]:
        assert section.strip() in whole
    rates = Rates.read(COMMITTED, COMMITTED)
    recipe = paper()
    for run in results["runs"]:
        machines = Machines(**results["machines"] | {"workers": run["workers"]})
        for size in run["sizes"]:
            again = needs(
                size["hours"], machines, rates, recipe, results["flops"], results["parameters"]
            )
            assert again == pytest.approx(size["needs"])


def test_help_says_what_can_be_given_and_imports_nothing_heavy() -> None:
    asked = subprocess.run(
        [sys.executable, "-X", "importtime", str(EXPERIMENTS / "scale.py"), "--help"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert asked.returncode == 0
    imported = set(re.findall(r"^import time:.*\| +(\w+)$", asked.stderr, re.MULTILINE))
    assert not imported & {"torch", "torchvision", "ray", "mlflow", "pandas", "pyarrow"}
    for option in ("--hours", "--gpus", "--measured", "--peak-tflops", "--driver-gib"):
        assert option in asked.stdout
