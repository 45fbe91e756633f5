import json
from dataclasses import asdict
from typing import Any

import numpy as np
import optuna
import pytest
from pages import rows, shown_images

from respire.experiments.search.report import lead, summary, verdict, write_report
from respire.experiments.search.space import SPACE, read_space, suggest
from respire.metrics import Scores, percent
from respire.recipe.presets import small
from respire.runtime.storage import Storage

optuna.logging.set_verbosity(optuna.logging.ERROR)
SEARCHED = read_space(small(), SPACE)


def outer_split(seed: int, winner: bool = True) -> dict[str, Any]:
    """What a search of one outer split leaves, made up."""
    random = np.random.default_rng(seed)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed))
    trials: list[dict[str, Any]] = []
    for number in range(20):
        gain = float(random.normal(-0.02, 0.02)) if winner else -0.01 - 0.001 * number
        whole = number % 3 == 0
        trials.append(
            {
                "name": f"{number:05d}",
                "values": suggest(study.ask(), SEARCHED, small()),
                "scores": [0.5 + gain] * (3 if whole else 1),
                "gain": gain,
                "state": "finished" if whole else "stopped early",
                "reason": "",
                "seconds": 10.0,
            }
        )
    trials[0]["gain"] = 0.031 if winner else -0.01
    trials[1] |= {"gain": None, "scores": [], "state": "failed", "reason": "training diverged"}
    test = [Scores(np.array([[90, 10, 0, 0], [20, 30, 0, 0], [5, 5, 10, 0], [1, 1, 1, 7]]))]
    test.append(Scores(np.array([[85, 15, 0, 0], [10, 40, 0, 0], [5, 5, 10, 0], [1, 1, 1, 7]])))
    majority = Scores(np.array([[100, 0, 0, 0], [50, 0, 0, 0], [20, 0, 0, 0], [10, 0, 0, 0]]))
    apart = {"value": 0.012, "low": -0.03, "high": 0.05}
    return {
        "split_seed": seed,
        "inner_seeds": [0, 1, 2],
        "default": {"validation": [0.5, 0.52, 0.48], "test": test[0].to_json()},
        "baselines": {"majority": majority.to_json()},
        "trials": trials,
        "winner": {
            "name": "00000",
            "gain": 0.031,
            "test": test[1].to_json(),
            "test_gain": test[1].score - test[0].score,
            "on_patients": {"level": 0.95, "patients": 25, "score": apart},
        }
        if winner
        else None,
        "importance": {"features.window_seconds": 0.6, "optimisation.learning_rate": 0.4},
        "train_s": 200.0,
    }


def made_up(*outer: dict[str, Any], test: dict[str, Any] | None = None) -> dict[str, Any]:
    gains = [of["winner"]["test_gain"] if of["winner"] else 0.0 for of in outer]
    results = {
        "experiment": "search",
        "name": "made-up",
        "respire_version": "0",
        "numerics_version": 2,
        "recipe": asdict(small()),
        "space": [str(dimension) for dimension in SEARCHED],
        "sampler": "tpe",
        "caution": 0.0,
        "stage": "stage1",
        "training_seed": 0,
        "outer": list(outer),
        "survival": {
            "outer_splits": len(outer),
            "validation_gain": 0.031,
            "test_gain": float(np.mean(gains)),
            "share": 0.5,
            "test": test,
        },
        "warnings": ["made up"],
        "skipped": [],
        "seconds": {"search": 300.0, "total": 301.0},
        "peak_memory_mib": 1000.0,
        "environment": {"device": "cpu"},
    }
    return json.loads(json.dumps(results))


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    return made_up(outer_split(0))


def test_the_sentences_tell_the_gain_on_validation_and_on_test(results: dict[str, Any]) -> None:
    winner = results["outer"][0]["winner"]
    assert "gains 3.1 points on validation over recipe small" in lead(results)
    assert f"{100 * winner['test_gain']:+.1f} points on test patients" in lead(results)
    assert "95% interval of that gain is -3.0 to +5.0 points" in verdict(results)
    assert "one outer split" in verdict(results)


def test_several_outer_splits_have_an_interval_for_new_patients() -> None:
    test = {"new_patients": {"low": -0.01, "high": 0.04, "p": 0.2}}
    results = made_up(outer_split(0), outer_split(1), test=test)
    assert "2 outer splits" in lead(results)
    assert "an interval of -1.0 to +4.0 points for new patients (p = 0.2)" in verdict(results)


def test_a_search_without_a_winner_says_so(tmp_path) -> None:
    results = made_up(outer_split(0, winner=False))
    assert "None of the 20 recipes" in lead(results)
    assert "better on validation than recipe small" in lead(results)
    write_report(results, Storage.at(tmp_path))


def test_the_table_has_default_and_winner_on_both_sides(results: dict[str, Any]) -> None:
    (outer,) = results["outer"]
    shares = [percent(of["test"]["score"]) for of in (outer["default"], outer["winner"])]
    gain = f"{100 * outer['winner']['test_gain']:+.1f}"
    assert "standard errors" not in summary(results)
    assert "gain less 1 standard errors" in summary(results | {"caution": 1.0})
    assert ["0", "50.0", "+3.1", *shares, gain, "-3.0 to +5.0", "50.0 (majority)", "180"] in rows(
        summary(results)
    )


def test_what_the_best_recipe_changes_stands_beside_the_default(results: dict[str, Any]) -> None:
    cells = rows(summary(results))
    values = results["outer"][0]["trials"][0]["values"]
    window = f"{values['features.window_seconds']:.4g}"
    assert ["0", "features.window_seconds", "7", window] in cells
    assert len([row for row in cells if row[0] == "0" and row[1] in values]) == len(values)


def test_a_failed_trial_is_shown_with_its_reason(results: dict[str, Any], tmp_path) -> None:
    write_report(results, Storage.at(tmp_path))
    assert ["0", "failed", "training diverged", "1"] in rows((tmp_path / "report.md").read_text())


def test_the_folder_holds_results_two_reports_and_four_figures(
    results: dict[str, Any], tmp_path
) -> None:
    figures = write_report(results, Storage.at(tmp_path))
    assert [name.rpartition(".")[2] for name in figures] == ["png", "svg"] * 4
    assert {path.name for path in tmp_path.iterdir()} == {
        *("results.json", "report.md", "report.html"),
        *figures,
    }


def test_a_search_in_which_every_trial_failed_is_reported(tmp_path) -> None:
    outer = outer_split(0, winner=False)
    for trial in outer["trials"]:
        trial |= {"gain": None, "scores": [], "state": "failed", "reason": "training diverged"}
    outer["importance"] = {}
    assert write_report(made_up(outer), Storage.at(tmp_path)) == []


def test_trials_that_all_tried_the_same_have_nothing_to_slice(tmp_path) -> None:
    outer = outer_split(0)
    for trial in outer["trials"]:
        trial["values"] = outer["trials"][0]["values"]
    outer["importance"] = {}
    assert write_report(made_up(outer), Storage.at(tmp_path)) == [
        "history.png",
        "history.svg",
    ]


@pytest.mark.slow
def test_a_browser_shows_every_figure_and_reports_no_error(results, tmp_path) -> None:
    write_report(results, Storage.at(tmp_path))
    assert shown_images(tmp_path / "report.html", tmp_path / "profile") == 4
