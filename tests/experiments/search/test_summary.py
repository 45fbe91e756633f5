"""What a search is said to have gained."""

import numpy as np
import pandas as pd
import pytest

from respire.experiments.search.nested import DEFAULT, WINNER, Outer
from respire.experiments.search.objective import gain
from respire.experiments.search.summary import _outer
from respire.experiments.search.trials import FINISHED, Trial

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
    told = _outer(
        Outer(0, (0, 1, 2), DEFAULT_SCORES, (winner, failed), winner, test, majority), 4, ()
    )
    assert told["winner"]["gain"] == pytest.approx(0.05)
    assert [trial["gain"] for trial in told["trials"]] == [pytest.approx(0.05), None]
    assert told["baselines"]["majority"]["score"] == 0.5
