from dataclasses import replace
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import optuna
import pytest
from pages import rows, shown_images

from respire.evaluation.evaluate import STAGE1
from respire.experiments.search import figures
from respire.experiments.search.report import lead, page, summary, verdict
from respire.experiments.search.space import SPACE, read_space, suggest
from respire.experiments.search.summary import (
    FAILED,
    FINISHED,
    STOPPED,
    Default,
    OuterSplit,
    SearchSummary,
    Survival,
    Trial,
    Winner,
)
from respire.metrics import Scores, percent
from respire.recipe.presets import small
from respire.report.page import strict
from respire.report.typed import stored
from respire.runtime.storage import Storage
from respire.statistics.intervals import Difference, PatientDifference

optuna.logging.set_verbosity(optuna.logging.ERROR)
SEARCHED = read_space(small(), SPACE)


def outer_split(seed: int, winner: bool = True) -> OuterSplit:
    """What a search of one outer split leaves, made up."""
    random = np.random.default_rng(seed)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed))
    default = (0.5, 0.52, 0.48)
    trials = []
    for number in range(20):
        gain = float(random.normal(-0.02, 0.02)) if winner else -0.01 - 0.001 * number
        if number == 0:
            gain = 0.031 if winner else -0.01
        whole = number % 3 == 0
        scores = tuple(score + gain for score in default[: 3 if whole else 1])
        values = suggest(study.ask(), SEARCHED, small())
        state = FINISHED if whole else STOPPED
        trials.append(Trial(f"{number:05d}", values, scores, gain, state, "", 10.0))
    trials[1] = replace(trials[1], scores=(), gain=None, state=FAILED, reason="training diverged")
    test = Scores(np.array([[90, 10, 0, 0], [20, 30, 0, 0], [5, 5, 10, 0], [1, 1, 1, 7]]))
    better = Scores(np.array([[85, 15, 0, 0], [10, 40, 0, 0], [5, 5, 10, 0], [1, 1, 1, 7]]))
    majority = Scores(np.array([[100, 0, 0, 0], [50, 0, 0, 0], [20, 0, 0, 0], [10, 0, 0, 0]]))
    apart = Difference(0.012, -0.03, 0.05, 0.02)
    on_patients = PatientDifference(0.95, 25, apart, apart, apart)
    best = Winner(trials[0].name, 0.031, better, better.score - test.score, on_patients)
    return OuterSplit(
        seed,
        (0, 1, 2),
        Default(default, test),
        {"majority": majority},
        tuple(trials),
        best if winner else None,
        {"features.window_seconds": 0.6, "optimisation.learning_rate": 0.4},
        200.0,
    )


def made_up(*outer: OuterSplit, caution: float = 0.0) -> SearchSummary:
    survival = Survival.of(outer, 25, 126)
    return SearchSummary(small(), SEARCHED, "tpe", caution, STAGE1, 0, outer, survival)


def results_of(search: SearchSummary) -> dict[str, Any]:
    """What results.json has."""
    header = {
        "experiment": "search",
        "name": "made-up",
        "respire_version": "0",
        "numerics_version": 2,
        "warnings": ["made up"],
        "skipped": [],
        "seconds": {"search": 300.0, "total": 301.0},
        "peak_memory_mib": 1000.0,
        "environment": {"device": "cpu"},
    }
    return strict(header | stored(search))


def written(search: SearchSummary, folder: Any) -> list[str]:
    return page(search, results_of(search)).write(Storage.at(folder))


@pytest.fixture(scope="module")
def search() -> SearchSummary:
    return made_up(outer_split(0))


def test_the_sentences_tell_the_gain_on_validation_and_on_test(search: SearchSummary) -> None:
    winner = search.outer[0].winner
    assert winner is not None
    assert "gains 3.1 points on validation over recipe small" in lead(search)
    assert f"{100 * winner.test_gain:+.1f} points on test patients" in lead(search)
    assert "On one outer split" in lead(search)
    assert "95% interval of that gain is -3.0 to +5.0 points" in verdict(search)
    assert "one outer split" in verdict(search)


def test_several_outer_splits_have_an_interval_for_new_patients() -> None:
    search = made_up(outer_split(0), outer_split(1, winner=False))
    assert "On 2 outer splits" in lead(search)
    test = search.survival.test
    assert test is not None
    low, high = 100 * test.new_patients.low, 100 * test.new_patients.high
    assert f"an interval of {low:+.1f} to {high:+.1f} points for new patients (p = " in verdict(
        search
    )


def test_a_search_without_a_winner_says_so(tmp_path) -> None:
    search = made_up(outer_split(0, winner=False))
    assert "None of the 20 recipes" in lead(search)
    assert "better on validation than recipe small" in lead(search)
    assert "The best recipe" not in summary(search, {})
    written(search, tmp_path)


def test_the_table_has_default_and_winner_on_both_sides(search: SearchSummary) -> None:
    (outer,) = search.outer
    assert outer.winner is not None
    shares = [percent(scores.score) for scores in (outer.default.test, outer.winner.test)]
    gain = f"{100 * outer.winner.test_gain:+.1f}"
    assert "standard errors" not in summary(search, {})
    assert "gain less 1 standard errors" in summary(made_up(outer, caution=1.0), {})
    assert ["0", "50.0", "+3.1", *shares, gain, "-3.0 to +5.0", "50.0 (majority)", "180"] in rows(
        summary(search, {})
    )


def test_what_the_best_recipe_changes_stands_beside_the_default(search: SearchSummary) -> None:
    cells = rows(summary(search, {}))
    values = search.outer[0].trials[0].values
    window = f"{values['features.window_seconds']:.4g}"
    assert ["0", "features.window_seconds", "7", window] in cells
    assert len([row for row in cells if row[0] == "0" and row[1] in values]) == len(values)


def test_a_failed_trial_is_shown_with_its_reason(search: SearchSummary, tmp_path) -> None:
    written(search, tmp_path)
    report = (tmp_path / "report.md").read_text()
    assert ["0", "failed", "training diverged", "1"] in rows(report)
    assert "Training in them took 200.0 s." in report


def test_the_folder_holds_results_two_reports_and_four_figures(
    search: SearchSummary, tmp_path
) -> None:
    files = written(search, tmp_path)
    names = ("history", "parallel-coordinates", "slices", "importance-0")
    assert files == [f"{name}.{end}" for name in names for end in ("png", "svg")]
    assert {path.name for path in tmp_path.iterdir()} == {
        *("results.json", "report.md", "report.html"),
        *files,
    }


def test_every_outer_split_is_in_the_history_and_has_its_importance(tmp_path) -> None:
    written(made_up(outer_split(0), outer_split(1)), tmp_path)
    assert {path.name for path in tmp_path.glob("importance-*.png")} == {
        "importance-0.png",
        "importance-1.png",
    }
    drawn = (tmp_path / "report.md").read_text()
    assert drawn.count("importance-") == 2


def test_figures_leave_the_style_of_others_alone_and_nothing_open(
    search: SearchSummary, tmp_path
) -> None:
    before, theirs = dict(matplotlib.rcParams), dict(plt.style.library["ggplot"])
    written(search, tmp_path)
    assert dict(matplotlib.rcParams) == before
    assert dict(plt.style.library["ggplot"]) == theirs
    assert plt.get_fignums() == []


def test_the_figures_say_what_the_search_found(search: SearchSummary) -> None:
    """The best so far is that of trials that came to all splits, and gains are in points."""
    (outer,) = search.outer
    axis = figures.history(search.outer, search.space).axes[0]
    best = np.asarray(axis.lines[0].get_ydata(), dtype=float)
    assert best.max() == pytest.approx(3.1)
    whole, stopped = (len(dots.get_offsets()) for dots in axis.collections)
    states = [trial.state for trial in outer.trials]
    assert (whole, stopped) == (states.count(FINISHED), states.count(STOPPED))
    bars = figures.importance(outer).axes[0].patches
    assert sorted(bar.get_width() for bar in bars) == pytest.approx([0.4, 0.6])
    slices = figures.slices(search.outer, search.space).axes
    assert len(slices) == len(figures.fields_that_differ(search.outer))


def test_a_search_in_which_every_trial_failed_is_reported(tmp_path) -> None:
    outer = outer_split(0, winner=False)
    failed = [
        replace(trial, scores=(), gain=None, state=FAILED, reason="training diverged")
        for trial in outer.trials
    ]
    outer = replace(outer, trials=tuple(failed), importance={})
    assert written(made_up(outer), tmp_path) == []


def test_trials_that_all_tried_the_same_have_nothing_to_slice(tmp_path) -> None:
    outer = outer_split(0)
    same = [replace(trial, values=outer.trials[0].values) for trial in outer.trials]
    outer = replace(outer, trials=tuple(same), importance={})
    assert written(made_up(outer), tmp_path) == ["history.png", "history.svg"]


@pytest.mark.slow
def test_a_browser_shows_every_figure_and_reports_no_error(search, tmp_path) -> None:
    written(search, tmp_path)
    assert shown_images(tmp_path / "report.html", tmp_path / "profile") == 4
