"""experiments/search.py as users run it: trials on Ray Tune, kills and refits."""

import json
import tomllib
from pathlib import Path
from typing import Any

import optuna
import pytest
from commands import client_of, finished, killed

from respire.evaluation.objective import gain
from respire.recipe_file import read_recipe

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

THIS, NAME, TRIALS, SPLITS = "search.py", "found", 4, 2
TINY = (
    *("--recipe", "quick", "--name", NAME, "--trials", str(TRIALS), "--inner-splits", str(SPLITS)),
    *("--recipe.optimisation.epochs", "2", "--recipe.features.hop", "512"),
    *("--recipe.features.n-mels", "16", "--sampler", "random"),
    *("--only", "features.window_seconds", "optimisation.learning_rate"),
)
"""A search of seconds, where only the mechanics matter."""


def results_in(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "runs" / "search" / NAME / "results.json").read_text())


@pytest.fixture(scope="module")
def uninterrupted(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("uninterrupted")
    done = finished(THIS, folder, "--data", str(corpus), *TINY)
    assert done.returncode == 0, done.stderr
    assert f"{TRIALS} of {TRIALS} trials done" in done.stdout
    return folder


def test_every_trial_is_scored_against_the_default_on_the_same_splits(uninterrupted: Path) -> None:
    (outer,) = results_in(uninterrupted)["outer"]
    default = outer["default"]["validation"]
    assert len(default) == SPLITS
    assert len(outer["trials"]) == TRIALS
    for trial in outer["trials"]:
        assert trial["gain"] == pytest.approx(gain(trial["scores"], default))
        assert (trial["state"] == "finished") == (len(trial["scores"]) == SPLITS)
        assert set(trial["values"]) == {"features.window_seconds", "optimisation.learning_rate"}


def test_the_winner_is_the_best_that_came_to_all_splits_and_is_read_once_on_test(
    uninterrupted: Path,
) -> None:
    (outer,) = results_in(uninterrupted)["outer"]
    whole = [trial for trial in outer["trials"] if trial["state"] == "finished"]
    best = max(whole, key=lambda trial: trial["gain"])
    folder = uninterrupted / "runs" / "search" / NAME
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


def test_mlflow_has_a_run_a_trial_and_a_child_a_split(uninterrupted: Path) -> None:
    client = client_of(uninterrupted)
    experiment = client.get_experiment_by_name("search")
    runs = client.search_runs([experiment.experiment_id], max_results=1000)
    names = {run.info.run_name: run for run in runs}
    assert {run.info.status for run in runs} == {"FINISHED"}
    (outer,) = results_in(uninterrupted)["outer"]
    for trial in outer["trials"]:
        run = names[f"trial {trial['name']}"]
        assert run.data.metrics["gain"] == pytest.approx(trial["gain"])
        for field, value in trial["values"].items():
            assert float(run.data.params[field]) == pytest.approx(value)
        assert run.data.tags["respire.state"] == trial["state"]
        for split, score in enumerate(trial["scores"]):
            child = names[f"trial {trial['name']}, inner split {split}"]
            assert child.data.tags["mlflow.parentRunId"] == run.info.run_id
            assert child.data.metrics["score"] == pytest.approx(score)


def test_the_optuna_study_is_kept_beside_the_report(uninterrupted: Path) -> None:
    folder = uninterrupted / "runs" / "search" / NAME
    study = optuna.load_study(study_name="search", storage=f"sqlite:///{folder}/optuna-0.db")
    (outer,) = results_in(uninterrupted)["outer"]
    assert [t.value for t in study.trials] == [trial["gain"] for trial in outer["trials"]]
    assert (folder / "report.html").exists()


def test_killed_in_a_trial_it_goes_on_and_tries_as_many(corpus: Path, tmp_path: Path) -> None:
    command = ("--data", str(corpus), *TINY)
    lines = killed(THIS, tmp_path, lambda line: "2 of 4 trials done" in line, *command)
    assert "2 of 4 trials done" in lines[-1]
    before = {line.split(":")[0] for line in lines if "trials done" in line}
    trained = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("fit.pt")}

    resumed = finished(THIS, tmp_path, *command)
    assert resumed.returncode == 0, resumed.stderr
    (outer,) = results_in(tmp_path)["outer"]
    assert len(outer["trials"]) == TRIALS
    assert len({json.dumps(trial["values"]) for trial in outer["trials"]}) == TRIALS
    names = {f"trial {trial['name']}" for trial in outer["trials"]}
    assert before <= names
    # Tune may look at a trial once more that ended just before the kill; none is trained again.
    assert {path: path.stat().st_mtime_ns for path in trained} == trained


def test_a_recipe_that_is_impossible_fails_its_trial_and_not_the_search(
    corpus: Path, tmp_path: Path
) -> None:
    done = finished(
        THIS,
        tmp_path,
        *("--data", str(corpus), *TINY, "--trials", "3", "--only", "features.n_fft"),
        *("--vary", "features.n_fft=256|99999"),
    )
    assert done.returncode == 0, done.stderr
    (outer,) = results_in(tmp_path)["outer"]
    for trial in outer["trials"]:
        assert (trial["state"] == "failed") == (trial["values"]["features.n_fft"] == 99999)
        assert ("too short for an FFT" in trial["reason"]) == (trial["state"] == "failed")
    states = [trial["state"] for trial in outer["trials"]]
    assert 0 < states.count("failed") < len(states)


def test_bad_input_is_refused_in_one_line(corpus: Path, tmp_path: Path) -> None:
    for arguments, said in (
        (("--trials", "0"), "--trials 0: must be at least 1"),
        (("--sampler", "gp"), "for it has a condition"),
        (("--recipe.watch-test",), "a search must not read test"),
        (("--vary", "features.nothing=1:2"), "no field features.nothing"),
    ):
        done = finished(THIS, tmp_path, "--data", str(corpus), "--recipe", "quick", *arguments)
        assert done.returncode == 2
        (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
        assert said in line
