"""The paper's tables as users run them: one of them whole, and what others need not train again."""

import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from commands import finished, parent_and_children
from pages import rows
from small_run import BACKBONE, IMAGE

from respire.command.questions import ablation
from respire.data.corpora import icbhi

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

TINY = (
    *("--recipe", "quick", "--splits", "1", "--name", "tiny"),
    *("--recipe.optimisation.epochs", "2"),
    *("--recipe.model.backbone", BACKBONE, *IMAGE),
)


@pytest.fixture(scope="module")
def data(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The corpus with a patient on both sides of its official list, as the published one has."""
    data = Path(shutil.copytree(corpus, tmp_path_factory.mktemp("data") / "corpus"))
    listed = data / icbhi.SPLIT_LIST
    tested = [line for line in listed.read_text().splitlines() if line.endswith("test")]
    patients = Counter(line.split("_")[0] for line in tested)
    moved = next(line for line in tested if patients[line.split("_")[0]] > 1)
    listed.write_text(listed.read_text().replace(moved, moved.removesuffix("test") + "train"))
    return data


@pytest.fixture(scope="module")
def folder(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where leakage.py has filled its table."""
    folder = tmp_path_factory.mktemp("tables")
    done = finished("leakage.py", folder, "--data", str(data), *TINY)
    assert done.returncode == 0, done.stderr
    assert "8 of 8 runs to do" in done.stdout
    assert rows(done.stdout)
    return folder


@pytest.fixture(scope="module")
def results(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "runs" / "leakage" / "tiny" / "results.json").read_text())


def test_every_shortcut_is_a_row_beside_its_like_without_and_stamped(results) -> None:
    told = {row["name"]: row for row in results["rows"]}
    assert {name for name, row in told.items() if row["difference"] is not None} == {
        "epoch chosen on test",
        "test cycles padded by their labels",
        "split by recording",
        "split by cycle",
        "official split as published",
    }
    assert told["epoch chosen on test"]["stamps"] == ["selected on test"]
    assert told["split by cycle"]["stamps"] == ["cycles of one patient are on both sides"]
    assert told["split by recording"]["stamps"] == ["recordings of one patient are on both sides"]
    assert told["test cycles padded by their labels"]["stamps"]
    assert not told["no shortcut"]["stamps"]
    assert len(results["stamps"]) == 4
    assert any("both sides" in warning for warning in results["warnings"])


def test_the_official_rows_test_the_patients_they_say(results) -> None:
    cycles = {row["name"]: row["splits"][0]["cycles"] for row in results["rows"]}
    published = cycles["official split as published"]
    assert 0 < cycles["official split without its shared patients"] < published


def test_a_split_by_cycle_tests_a_fifth_of_all_cycles(results, data: Path) -> None:
    annotations = [p for p in data.rglob("*.txt") if p.stem.count("_") == 4]
    cycles = sum(len(path.read_text().splitlines()) for path in annotations)
    told = next(row for row in results["rows"] if row["name"] == "split by cycle")
    assert told["splits"][0]["cycles"] == round(0.2 * cycles)


def test_baselines_stand_beside_every_kind_of_split(results) -> None:
    kinds = {row["split"] for row in results["rows"]}
    assert kinds == {"80-20", "by-recording", "by-cycle", "60-40", "60-40-disjoint"}
    assert {of["split"] for of in results["baselines"]} == kinds


def test_mlflow_has_a_run_for_each_cell_and_its_stamps(folder: Path, results) -> None:
    parent, children = parent_and_children("leakage", folder)
    assert len(children) == len(results["runs"]) == 8
    assert "selected on test" in parent.data.tags["respire.stamps"]
    told = next(row for row in results["rows"] if row["name"] == "no shortcut")
    assert parent.data.metrics["no shortcut.score"] == pytest.approx(told["score"])


def test_a_cell_that_another_table_has_run_is_not_run_again(folder: Path, data: Path) -> None:
    done = finished("window_length.py", folder, "--data", str(data), *TINY, "--windows", "3")
    assert done.returncode == 0, done.stderr
    assert "1 of 2 runs to do" in done.stdout
    table = json.loads((folder / "runs" / "window_length" / "tiny" / "results.json").read_text())
    ours, theirs = (
        next(run["key"] for run in of["runs"] if run["variant"] == name)
        for of, name in (
            (table, "7 s"),
            (json.loads((folder / "runs/leakage/tiny/results.json").read_text()), "no shortcut"),
        )
    )
    assert ours == theirs


def test_a_row_that_is_not_there_is_refused_in_one_line(
    data: Path, refusal: Callable[..., str]
) -> None:
    line = refusal(ablation, "--data", str(data), *TINY, "--rows", "BRC")
    assert line.startswith("error: --rows 'BRC': there are 'CNN', ")
