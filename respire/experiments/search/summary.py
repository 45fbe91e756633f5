"""What a search found: results.json, and how much of the gain survives on test."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

import numpy as np
import optuna

from respire.evaluation.evaluate import STAGE1, STAGE2
from respire.experiments.search.nested import DEFAULT, WINNER, Outer, Search
from respire.experiments.search.objective import gain
from respire.experiments.search.space import Space
from respire.experiments.search.trials import Trial
from respire.metrics import overall
from respire.statistics.intervals import bootstrap_difference
from respire.statistics.paired import compare
from respire.study.study import Study

MIN_TRIALS = 8
"""Trials that importance needs: a forest grown on fewer tells noise."""


def summarise(under_way: Search, found: Sequence[Outer]) -> dict[str, Any]:
    """What results.json has beside its header (experiments/results/SCHEMA.md)."""
    plan = under_way.plan
    studies = [study for of in under_way.inner.values() for study in of]
    outer = [_outer(of, len(under_way.recipe.classes), under_way.space) for of in found]
    return {
        "recipe": asdict(under_way.recipe),
        "space": [str(dimension) for dimension in under_way.space],
        "sampler": plan.sampler,
        "caution": plan.caution,
        "stage": STAGE2 if plan.stage2 else STAGE1,
        "training_seed": under_way.seed,
        "optuna": version("optuna"),
        "outer": outer,
        "survival": _survival(outer, studies),
    }


def _outer(outer: Outer, classes: int, space: Space) -> dict[str, Any]:
    test = {name: overall(rows, classes) for name, rows in outer.test.items()}
    told: dict[str, Any] = {
        "split_seed": outer.split_seed,
        "inner_seeds": list(outer.inner_seeds),
        "default": {"validation": list(outer.default), "test": test[DEFAULT].to_json()},
        "baselines": {
            str(name): overall(rows, classes).to_json()
            for name, rows in outer.baselines.groupby("baseline")
        },
        "trials": [
            # What trials are ranked by has the search's caution taken off.
            asdict(trial)
            | {"gain": None if trial.gain is None else gain(trial.scores, outer.default)}
            for trial in outer.trials
        ],
        "winner": None,
        "importance": importance(study_of(outer.trials, space), outer.split_seed),
        "train_s": sum(trial.seconds for trial in outer.trials),
    }
    if outer.winner is not None:
        apart = bootstrap_difference(outer.test[WINNER], outer.test[DEFAULT], outer.split_seed)
        told["winner"] = {
            "name": outer.winner.name,
            "gain": gain(outer.winner.scores, outer.default),
            "test": test[WINNER].to_json(),
            "test_gain": test[WINNER].score - test[DEFAULT].score,
            "on_patients": None if apart is None else apart.to_json(),
        }
    return told


def _survival(outer: Sequence[Mapping[str, Any]], studies: Sequence[Study]) -> dict[str, Any]:
    """How much of the gain on validation is there on test; none where there is no winner."""
    gains = [(of["winner"] or {"gain": 0.0, "test_gain": 0.0}) for of in outer]
    validation, test = ([float(of[which]) for of in gains] for which in ("gain", "test_gain"))
    cycles = studies[0].cycles
    tested = [
        cycles.loc[cycles["recording"].isin(study.split.test), "patient"].nunique()
        for study in studies
    ]
    n_test = float(np.mean(tested))
    compared = None
    if len(test) > 1:
        everybody = float(cycles["patient"].nunique())
        compared = compare(np.array(test), n_test=n_test, n_train=everybody - n_test).to_json()
    return {
        "outer_splits": len(outer),
        "validation_gain": float(np.mean(validation)),
        "test_gain": float(np.mean(test)),
        "share": float(np.mean(test) / np.mean(validation)) if any(validation) else None,
        "test": compared,
    }


def study_of(trials: Iterable[Trial], space: Space, storage: str | None = None) -> optuna.Study:
    """The trials as an Optuna study, for its dashboard and what it can say of importance.

    Args:
        trials: those without any Score count as failed.
        space: what they vary.
        storage: as Optuna takes it, such as ``sqlite:///optuna.db``; None keeps it in memory.
    """
    study = optuna.create_study(direction="maximize", study_name="search", storage=storage)
    distributions = {dimension.field: dimension.distribution() for dimension in space}
    states = optuna.trial.TrialState
    for trial in trials:
        study.add_trial(
            optuna.trial.create_trial(
                state=states.FAIL if trial.gain is None else states.COMPLETE,
                value=trial.gain,
                params=dict(trial.values),
                distributions={field: distributions[field] for field in trial.values},
                user_attrs={"name": trial.name, "state": trial.state, "scores": trial.scores},
            )
        )
    return study


def importance(study: optuna.Study, seed: int) -> dict[str, float]:
    """Share of the gain's variance that each field explains by itself (fANOVA, Hutter 2014).

    Returns:
        The fields that every trial has, the most important first; empty where trials with a gain
        are few or all have the same.
    """
    gains = [trial.value for trial in study.trials if trial.value is not None]
    if len(gains) < MIN_TRIALS or len(set(gains)) == 1:
        return {}
    try:
        return optuna.importance.get_param_importances(
            study, evaluator=optuna.importance.FanovaImportanceEvaluator(seed=seed)
        )
    except (RuntimeError, ValueError):
        return {}
