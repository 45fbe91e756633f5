"""What a search is said to have gained."""

import numpy as np
import pandas as pd
import pytest

from respire.experiments.search.nested import DEFAULT, WINNER, summarise
from respire.experiments.search.objective import gain
from respire.experiments.search.summary import FINISHED, SearchPlan, SearchSummary, Trial
from respire.recipe.presets import small
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
    told = summarise(
        *(0, (0, 1, 2), DEFAULT_SCORES, (winner, failed), winner, test, majority, 4, ())
    ).to_json()
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
    winner = Trial("a", {}, SCORES, 0.05, FINISHED, "", 1.0)
    test = {DEFAULT: predictions(0), WINNER: predictions(1)}
    majority = predictions(2).assign(predicted=0, baseline="majority")
    shared = (0, (0, 1, 2), DEFAULT_SCORES, (winner,))
    outer = (
        summarise(*shared, winner, test, majority, 4, ()),
        summarise(*shared, None, {DEFAULT: test[DEFAULT]}, majority, 4, ()),
    )
    gained = outer[0].gains[1]
    survival = SearchSummary(small(), (), SearchPlan(1, 3, (0, 1)), 0, outer, 25, 126).to_json()[
        "survival"
    ]
    assert survival["validation_gain"] == pytest.approx(0.025)
    assert survival["test_gain"] == pytest.approx(gained / 2)
    assert survival["share"] == pytest.approx(gained / 0.05)
    assert survival["test"] == compare(np.array([gained, 0.0]), n_test=25, n_train=101).to_json()
    alone = SearchSummary(small(), (), SearchPlan(1, 3, (1,)), 0, outer[1:], 25, 126).to_json()
    assert alone["survival"]["test"] is None
    assert alone["survival"]["share"] is None
