"""experiments/seed_variance.py as users run it: grids, kills and comparisons."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from commands import finished, killed, parent_and_children
from small_run import BACKBONE, IMAGE, numbers_of

from respire.command.questions import seed_variance
from respire.statistics.variance import decompose

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

THIS = "seed_variance.py"
NAME = "grid"
EPOCHS = 3
TINY = (
    *("--recipe", "quick", "--name", NAME, "--splits", "2", "--seeds", "2"),
    *("--recipe.optimisation.epochs", str(EPOCHS), "--recipe.watch-test"),
    *("--recipe.model.backbone", BACKBONE, *IMAGE),
)
"""Four runs of seconds, where only the mechanics matter."""


def results_in(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "runs" / "seed_variance" / NAME / "results.json").read_text())


@pytest.fixture(scope="module")
def uninterrupted(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("uninterrupted")
    done = finished(THIS, folder, "--data", str(corpus), *TINY)
    assert done.returncode == 0, done.stderr
    assert "4 of 4 runs to do" in done.stdout
    return folder


def test_every_run_is_a_row_and_the_components_follow_from_the_rows(uninterrupted: Path) -> None:
    folder = uninterrupted / "runs" / "seed_variance" / NAME
    runs, results = pd.read_csv(folder / "runs.csv"), results_in(uninterrupted)
    assert len(runs) == 4
    told = pd.DataFrame(results["runs"]).astype(runs.dtypes)  # a column may be empty
    pd.testing.assert_frame_equal(runs, told)
    values = runs.pivot(index="split_seed", columns="seed", values="score").to_numpy()
    found = results["variants"]["quick"]
    sizes = {
        "n_test": sum(split["patients"] for split in found["splits"]) / 2,
        "n_train": sum(split["patients_off_test"] for split in found["splits"]) / 2,
    }
    assert found["variance"]["stage1"]["score"] == decompose(values, **sizes).to_json()
    assert found["selection_cost"]["best"] >= found["selection_cost"]["chosen"]


def test_each_run_is_a_nested_run_of_mlflow_with_its_epochs_and_scores(uninterrupted: Path) -> None:
    parent, children = parent_and_children("seed_variance", uninterrupted)
    rows = {
        f"quick, split {row['split_seed']}, seed {row['seed']}": row
        for row in results_in(uninterrupted)["runs"]
    }
    assert children.keys() == rows.keys()
    for name, run in children.items():
        assert run.info.status == "FINISHED"
        assert run.data.metrics["stage1.score"] == rows[name]["score"]
        assert run.data.params["split_seed"] == str(rows[name]["split_seed"])
        assert run.data.metrics["test_score"] >= 0
    assert parent.info.status == "FINISHED"
    mean = results_in(uninterrupted)["variants"]["quick"]["variance"]["stage1"]["score"]["mean"]
    assert parent.data.metrics["quick.stage1.score.mean"] == mean["value"]


def test_killed_half_way_it_goes_on_where_it_was_and_ends_the_same(
    uninterrupted: Path, corpus: Path, tmp_path: Path
) -> None:
    command = ("--data", str(corpus), *TINY)
    lines = killed(THIS, tmp_path, lambda line: "2 of 4 runs done" in line, *command)
    assert "2 of 4 runs done" in lines[-1]
    assert not list(tmp_path.rglob("results.json"))

    resumed = finished(THIS, tmp_path, *command)
    assert resumed.returncode == 0, resumed.stderr
    left = re.search("([0-9]) of 4 runs to do", resumed.stdout)
    assert left is not None
    assert left[1] in "12"  # a run that was at work may have ended before the kill reached it
    assert numbers_of(results_in(tmp_path)) == numbers_of(results_in(uninterrupted))
    parent, children = parent_and_children("seed_variance", tmp_path)
    assert {run.info.status for run in (parent, *children.values())} == {"FINISHED"}
    assert len(children) == 4


def test_what_another_experiment_has_run_is_not_run_again_and_both_stages_are_compared(
    uninterrupted: Path, corpus: Path
) -> None:
    """The same stage 1 with another recipe beside it, and the fine-tuning of both."""
    done = finished(
        THIS,
        uninterrupted,
        *("--data", str(corpus), *TINY, "--name", "compared", "--splits", "2", "--seeds", "1"),
        *("--compare", "finetune.epochs=1,finetune.unselected_epochs=1"),
        "finetune.epochs=1,finetune.unselected_epochs=1,features.padding=zero",
        "--stage2",
    )
    assert done.returncode == 0, done.stderr
    results = json.loads(
        (uninterrupted / "runs" / "seed_variance" / "compared" / "results.json").read_text()
    )
    before = {(row["split_seed"], row["seed"]): row for row in results_in(uninterrupted)["runs"]}
    again = [
        row for row in results["runs"] if row["stage"] == "stage1" and "zero" not in row["variant"]
    ]
    assert [row["key"] for row in again] == [
        before[row["split_seed"], row["seed"]]["key"] for row in again
    ]
    # Trained before, and not again: no epoch of stage 1 of this recipe is told of.
    first = next(iter(results["variants"]))
    assert f"{first}, split 0, seed 0: epoch" not in done.stdout
    assert {row["stage"] for row in results["runs"]} == {"stage1", "stage2"}
    found = results["comparison"]["stages"]["stage2"]["score"]
    assert found["splits"] == 2
    assert results["variants"][first]["variance"]["stage2"]["score"] is None
    assert "scores" in done.stdout


def test_describing_splits_trains_nothing(corpus: Path, tmp_path: Path) -> None:
    done = finished(THIS, tmp_path, "--data", str(corpus), "--describe", "--stratify")
    assert done.returncode == 0, done.stderr
    assert "95% of 1,000 random splits" in done.stdout
    assert not (tmp_path / "runs" / "cells").exists()
    (report,) = (tmp_path / "runs" / "split_ranges").glob("*/report.html")
    assert "stratified" in report.read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--splits", "0"), "--splits 0: must be at least 1"),
        (("--compare", "small", "small,features.padding=smart"), "both are the same recipe"),
        (("--split", "60-40"), "the same for every seed"),
    ],
)
def test_bad_input_is_refused_in_one_line(
    arguments: tuple[str, ...], said: str, corpus: Path, refusal: Callable[..., str]
) -> None:
    line = refusal(seed_variance, "--data", str(corpus), "--recipe", "quick", *arguments)
    assert said in line
