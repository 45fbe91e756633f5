"""What a search maximises: how much better than the default recipe, on the same splits."""

import math
from collections.abc import Iterable, Sequence

import numpy as np
import optuna
from optuna.trial import TrialState

from respire.experiments.search.space import Space
from respire.experiments.search.summary import FINISHED, Trial

MIN_TRIALS = 8
"""Trials that importance needs: a forest grown on fewer tells noise."""


def gain(scores: Sequence[float], default: Sequence[float], caution: float = 0.0) -> float:
    """Mean paired difference from the default recipe, less ``caution`` standard errors of it.

    A mean of the Scores themselves would favour recipes that were stopped after an easy split.

    Args:
        scores: of a recipe on the first k splits, fractions.
        default: of the default recipe on all splits, in the same order.
        caution: standard errors that are taken off, from two splits on.

    Raises:
        ValueError: no split, more than the default has, or a Score that is none.
    """
    if not 0 < len(scores) <= len(default):
        raise ValueError(f"{len(scores)} splits of {len(default)}")
    apart = np.asarray(scores, dtype=np.float64) - np.asarray(default[: len(scores)])
    if not np.isfinite(apart).all():
        raise ValueError(f"splits without a Score: {scores}, the default's {default}")
    error = apart.std(ddof=1) / math.sqrt(len(apart)) if len(apart) > 1 else 0.0
    return float(apart.mean() - caution * error)


def best_of(trials: Sequence[Trial]) -> Trial | None:
    """The trial with the largest gain among those that came to all splits; None without a gain."""
    whole = [trial for trial in trials if trial.state == FINISHED and (trial.gain or 0.0) > 0]
    return max(whole, key=lambda trial: trial.gain or 0.0, default=None)


def study_of(trials: Iterable[Trial], space: Space, storage: str | None = None) -> optuna.Study:
    """The trials as an Optuna study, for its dashboard, its figures and what it says of importance.

    Args:
        trials: those without any Score count as failed, those that were stopped as infeasible.
        space: what they vary.
        storage: as Optuna takes it, such as ``sqlite:///optuna.db``; None keeps it in memory.
    """
    study = optuna.create_study(direction="maximize", study_name="search", storage=storage)
    distributions = {dimension.field: dimension.values for dimension in space}
    for trial in trials:
        study.add_trial(
            optuna.trial.create_trial(
                state=TrialState.FAIL if trial.gain is None else TrialState.COMPLETE,
                value=trial.gain,
                params=dict(trial.values),
                distributions={field: distributions[field] for field in trial.values},
                user_attrs={"name": trial.name, "state": trial.state, "scores": trial.scores},
                system_attrs={"constraints": [0.0 if trial.state == FINISHED else 1.0]},
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
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=seed % 2**32)
    try:
        return optuna.importance.get_param_importances(study, evaluator=evaluator)
    except (RuntimeError, ValueError):
        return {}
