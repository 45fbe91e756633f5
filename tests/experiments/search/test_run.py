"""experiments/search.py as users run it: trials on Ray Tune, kills and refits."""

import json
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import pytest
from commands import client_of, finished, killed
from small_run import BACKBONE, IMAGE

from respire.command.questions import search
from respire.experiments.search.objective import gain
from respire.recipe.toml_file import read_recipe

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

THIS, NAME, TRIALS, SPLITS = "search.py", "found", 6, 2
IMPOSSIBLE = 99999
TINY = (
    *("--recipe", "quick", "--name", NAME, "--trials", str(TRIALS), "--inner-splits", str(SPLITS)),
    *("--recipe.optimisation.epochs", "2", "--recipe.model.backbone", BACKBONE, *IMAGE),
    *("--sampler", "random"),
    *("--vary", f"features.n_fft=1024|{IMPOSSIBLE}"),
    *("--only", "features.window_seconds", "optimisation.learning_rate", "features.n_fft"),
)
"""A search of seconds, where only the mechanics matter, and some recipes are impossible."""


def results_in(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "runs" / "search" / NAME / "results.json").read_text())


@dataclass(frozen=True)
class Searched:
    """A search that was killed once half of its trials were done, and went on.

    Attributes:
        folder: where it ran.
        ended: names of the trials that had ended before.
        trained: files of the trainings that had, and when they were written.
    """

    folder: Path
    ended: frozenset[str]
    trained: dict[Path, int]


@pytest.fixture(scope="module")
def searched(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Searched:
    folder = tmp_path_factory.mktemp("searched")
    command = ("--data", str(corpus), *TINY)
    half = f"{TRIALS // 2} of {TRIALS} trials done"
    lines = killed(THIS, folder, lambda line: half in line, *command)
    assert half in lines[-1]
    ended = frozenset(line.split(":")[0] for line in lines if "trials done" in line)
    trained = {path: path.stat().st_mtime_ns for path in folder.rglob("fit.pt")}
    resumed = finished(THIS, folder, *command)
    assert resumed.returncode == 0, resumed.stderr
    return Searched(folder, ended, trained)


@pytest.fixture
def outer(searched: Searched) -> dict[str, Any]:
    (of,) = results_in(searched.folder)["outer"]
    return of


def test_no_trial_is_lost_or_repeated(searched: Searched, outer: dict[str, Any]) -> None:
    assert len(outer["trials"]) == TRIALS
    assert len({json.dumps(trial["values"]) for trial in outer["trials"]}) == TRIALS
    assert searched.ended <= {f"trial {trial['name']}" for trial in outer["trials"]}
    # Tune may look at a trial once more that ended just before the kill; none is trained again.
    assert {path: path.stat().st_mtime_ns for path in searched.trained} == searched.trained


def test_every_trial_is_scored_against_the_default_on_the_same_splits(
    searched: Searched, outer: dict[str, Any]
) -> None:
    default = outer["default"]["validation"]
    assert len(default) == SPLITS
    assert results_in(searched.folder)["selection"] == "none"  # each by its last epoch
    for trial in outer["trials"]:
        if trial["state"] != "failed":
            assert trial["gain"] == pytest.approx(gain(trial["scores"], default))
            assert (trial["state"] == "finished") == (len(trial["scores"]) == SPLITS)


def test_a_recipe_that_is_impossible_fails_its_trial_and_not_the_search(
    outer: dict[str, Any],
) -> None:
    states = [trial["state"] for trial in outer["trials"]]
    assert 0 < states.count("failed") < len(states)
    assert set(states) <= {"finished", "stopped early", "failed"}
    for trial in outer["trials"]:
        failed = trial["state"] == "failed"
        assert failed == (trial["values"]["features.n_fft"] == IMPOSSIBLE)
        assert failed == ("too short for an FFT" in trial["reason"])
        assert failed == (trial["gain"] is None)


def test_the_winner_is_the_best_that_came_to_all_splits_and_is_read_once_on_test(
    searched: Searched, outer: dict[str, Any]
) -> None:
    whole = [trial for trial in outer["trials"] if trial["state"] == "finished"]
    best = max(whole, key=lambda trial: trial["gain"])
    folder = searched.folder / "runs" / "search" / NAME
    if best["gain"] <= 0:
        assert outer["winner"] is None
        assert not list(folder.glob("best-*.toml"))
        return
    winner = outer["winner"]
    assert winner["name"] == best["name"]
    assert winner["test_gain"] == winner["test"]["score"] - outer["default"]["test"]["score"]
    recipe = read_recipe(folder / "best-0.toml")
    for field, value in best["values"].items():
        assert recipe.flat()[field] == value
    assert tomllib.loads((folder / "best-0.toml").read_text())["preset"] == "quick"


def test_mlflow_has_a_run_a_trial_and_a_child_a_split(
    searched: Searched, outer: dict[str, Any]
) -> None:
    client = client_of(searched.folder)
    experiment = client.get_experiment_by_name("search")
    runs = client.search_runs([experiment.experiment_id], max_results=1000)
    names = {run.info.run_name: run for run in runs}
    for trial in outer["trials"]:
        run = names.pop(f"trial {trial['name']}")
        assert run.data.tags["respire.state"] == trial["state"]
        assert run.info.status == ("FAILED" if trial["state"] == "failed" else "FINISHED")
        if trial["state"] == "failed":
            continue
        assert run.data.metrics["gain"] == pytest.approx(trial["gain"])
        for field, value in trial["values"].items():
            assert float(run.data.params[field]) == pytest.approx(value)
        for split, score in enumerate(trial["scores"]):
            child = names[f"trial {trial['name']}, inner split {split}"]
            assert child.data.tags["mlflow.parentRunId"] == run.info.run_id
            assert child.data.metrics["score"] == pytest.approx(score)
    assert {run.info.status for run in names.values()} == {"FINISHED"}
    survival = results_in(searched.folder)["survival"]
    for name in ("validation_gain", "test_gain"):
        assert names[NAME].data.metrics[name] == pytest.approx(survival[name])
        assert names[NAME].data.metrics[f"outer-0.{name}"] == pytest.approx(survival[name])


def test_the_optuna_study_is_kept_beside_the_report(
    searched: Searched, outer: dict[str, Any]
) -> None:
    folder = searched.folder / "runs" / "search" / NAME
    study = optuna.load_study(study_name="search", storage=f"sqlite:///{folder}/optuna-0.db")
    assert [t.value for t in study.trials] == [trial["gain"] for trial in outer["trials"]]
    assert (folder / "report.html").exists()


def test_a_prior_that_is_given_once_a_search_has_read_test_is_stamped(
    searched: Searched, corpus: Path
) -> None:
    assert not results_in(searched.folder)["stamps"]
    again = ["late" if word == NAME else word for word in TINY]
    told = ("--data", str(corpus), *again, "--recipe.decision.prior", "0.5")
    done = finished(THIS, searched.folder, *told)
    assert done.returncode == 0, done.stderr
    late = json.loads((searched.folder / "runs" / "search" / "late" / "results.json").read_text())
    assert late["stamps"] == ["the prior was chosen after test was read"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--trials", "0"), "--trials 0: must be at least 1"),
        (("--sampler", "gp"), "for it has a condition"),
        (("--recipe.watch-test",), "a search must not read test"),
        (("--recipe.features.evaluation-padding", "smart"), "stamped 'test labels shaped"),
        (("--vary", "features.nothing=1:2"), "no field features.nothing"),
    ],
)
def test_bad_input_is_refused_in_one_line(
    arguments: tuple[str, ...], said: str, corpus: Path, refusal: Callable[..., str]
) -> None:
    line = refusal(search, "--data", str(corpus), "--recipe", "quick", *arguments)
    assert said in line
