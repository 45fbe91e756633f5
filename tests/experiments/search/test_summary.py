"""What a search is said to have gained."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from respire.evaluation.evaluate import STAGE1
from respire.experiments.search.nested import DEFAULT, WINNER, summarise
from respire.experiments.search.objective import gain
from respire.experiments.search.summary import FINISHED, STOPPED, SearchSummary, Survival, Trial
from respire.recipe.presets import small
from respire.report.typed import stored
from respire.statistics.paired import compare

DEFAULT_SCORES = (0.5, 0.5, 0.5)
SCORES = (0.60, 0.50, 0.55)


def predictions(seed: int) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    label = np.repeat([0, 1, 2, 3], 30)
    return pd.DataFrame(
        {
            "recording": "r",
            "cycle": np.arange(120),
            "patient": np.tile(np.arange(10), 12),
            "label": label,
            "predicted": np.where(random.random(120) < 0.5, label, 0),
        }
    )


def test_what_is_told_is_the_gain_itself_however_cautious_the_search() -> None:
    cautious = gain(SCORES, DEFAULT_SCORES, caution=1.0)
    assert cautious < 0.03
    winner = Trial("a", {}, SCORES, cautious, FINISHED, "", 1.0)
    failed = Trial("b", {}, (), None, "failed", "diverged", 1.0)
    test = {DEFAULT: predictions(0), WINNER: predictions(1)}
    majority = predictions(2).assign(predicted=0, baseline="majority")
    told = stored(summarise(0, (0, 1, 2), DEFAULT_SCORES, (winner, failed), test, majority, 4, {}))
    assert told["default"]["validation"] == [*DEFAULT_SCORES]
    assert told["train_s"] == 2.0
    assert told["winner"]["gain"] == pytest.approx(0.05)
    assert [trial["gain"] for trial in told["trials"]] == [pytest.approx(0.05), None]
    assert told["baselines"]["majority"]["score"] == 0.5
    assert told["winner"]["test_gain"] == pytest.approx(
        told["winner"]["test"]["score"] - told["default"]["test"]["score"]
    )
    assert told["winner"]["on_patients"]["score"]["value"] == pytest.approx(
        told["winner"]["test_gain"]
    )


def test_an_outer_split_without_a_winner_gains_nothing_and_counts() -> None:
    winner = Trial("a", {"features.hop": 128}, SCORES, 0.05, FINISHED, "", 1.0)
    stopped = replace(winner, state=STOPPED)
    test = {DEFAULT: predictions(0), WINNER: predictions(1)}
    majority = predictions(2).assign(predicted=0, baseline="majority")
    outer = tuple(
        summarise(seed, (0, 1, 2), DEFAULT_SCORES, (trial,), test, majority, 4, {})
        for seed, trial in enumerate((winner, stopped))
    )
    assert [split.changes for split in outer] == [{"features.hop": 128}, {}]
    gained = outer[0].gains[1]
    survival = Survival.of(outer, 25, 126)
    assert survival.validation_gain == pytest.approx(0.025)
    assert survival.test_gain == pytest.approx(gained / 2)
    assert survival.share == pytest.approx(gained / 0.05)
    assert survival.test == compare(np.array([gained, 0.0]), n_test=25, n_train=101)
    alone = Survival.of(outer[1:], 25, 126)
    assert alone.test is None
    assert alone.share is None


def test_mlflow_gets_the_gains_of_the_search_and_of_each_outer_split() -> None:
    winner = Trial("a", {}, SCORES, 0.05, FINISHED, "", 1.0)
    test = {DEFAULT: predictions(0), WINNER: predictions(1)}
    majority = predictions(2).assign(predicted=0, baseline="majority")
    split = summarise(3, (0, 1, 2), DEFAULT_SCORES, (winner,), test, majority, 4, {})
    survival = Survival.of((split,), 25, 126)
    found = SearchSummary(small(), (), "tpe", 0.0, STAGE1, 0, (split,), survival)
    gained = split.gains[1]
    assert found.metrics == pytest.approx(
        {
            "validation_gain": 0.05,
            "test_gain": gained,
            "outer-3.validation_gain": 0.05,
            "outer-3.test_gain": gained,
        }
    )
