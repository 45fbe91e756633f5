"""What a run keeps of its validation side, and how it is decided."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

from respire.evaluation.decided import decided
from respire.evaluation.evaluate import STAGE1
from respire.metrics import overall
from respire.recipe.fields import Decision
from respire.recipe.presets import small
from respire.recipe.recipe import Recipe
from respire.runtime.storage import Storage
from respire.study import one_run
from respire.study.one_run import Run, train_and_validate
from respire.training.predict import predictions


def heard(recipe: Recipe) -> pd.DataFrame:
    random = np.random.default_rng(0)
    label = random.integers(0, 4, 200)
    log_p = random.normal(0, 1, (200, 4)) + np.eye(4)[label]
    log_p -= np.log(np.exp(log_p).sum(1, keepdims=True))
    cycles = pd.DataFrame(
        {
            "recording": [f"r{number // 5}" for number in range(200)],
            "patient": np.arange(200) // 10,
            "device": "Meditron",
            "cycle": np.arange(200) % 5,
            "label": label,
        }
    )
    counts = np.array([400, 100, 50, 20])
    return predictions(cycles, log_p, counts, recipe.optimisation.prior, recipe.classes)


def test_validation_is_decided_under_the_prior_of_whoever_asks(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Runs that differ in their decision alone share what stage 1 has heard."""
    rows = heard(small())
    monkeypatch.setattr(one_run, "_predicted", lambda *_: {STAGE1: rows})
    home = SimpleNamespace(storage=Storage.at(tmp_path))
    scores = {}
    for prior in (1.0, 0.0, 3.0):
        recipe = replace(small(), decision=Decision(prior=prior))
        run = Run("a", cast(Any, SimpleNamespace(recipe=recipe, stage1=home)), stage2=False)
        train_and_validate(run, cast(Any, None))
        assert run.validated
        scores[prior] = run.validation().score
        assert scores[prior] == overall(decided(rows, prior), 4).score
    assert len(set(scores.values())) == 3
