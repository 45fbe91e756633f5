"""What a search found: trials, winners, and how much of their gain survives on test."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.metadata import version
from typing import Any

import numpy as np
import optuna

from respire.evaluation.evaluate import STAGE1, STAGE2
from respire.experiments.search.objective import gain
from respire.experiments.search.space import Space
from respire.metrics import Scores
from respire.recipe.recipe import Recipe
from respire.statistics.intervals import PatientDifference
from respire.statistics.paired import Comparison, compare

FINISHED, STOPPED, FAILED, OUT_OF_MEMORY = "finished", "stopped early", "failed", "out of memory"
MIN_TRIALS = 8
"""Trials that importance needs: a forest grown on fewer tells noise."""


@dataclass(frozen=True)
class SearchPlan:
    """How to search.

    Attributes:
        trials: how many recipes to try.
        inner_splits: validation splits that each is scored on.
        outer_seeds: split seeds that set test patients apart; the search is repeated for each.
        sampler: who proposes recipes (samplers.py).
        caution: standard errors that are taken off a recipe's gain.
        vary: dimensions that replace those of the same field of the space, or come on top.
        only: fields of the space that are varied; None for all.
        stage2: whether recipes are scored after device-specific fine-tuning.
        per_gpu: how many trials share a GPU; without GPUs each gets a core.
    """

    trials: int
    inner_splits: int
    outer_seeds: tuple[int, ...]
    sampler: str = "tpe"
    caution: float = 0.0
    vary: tuple[str, ...] = ()
    only: tuple[str, ...] | None = None
    stage2: bool = False
    per_gpu: int = 2

    @property
    def stage(self) -> str:
        """The stage that is scored."""
        return STAGE2 if self.stage2 else STAGE1


@dataclass(frozen=True)
class Trial:
    """A recipe that was tried.

    Attributes:
        name: short and unique in its search.
        values: what it varies, by field.
        scores: validation Score on each inner split it came to, fractions.
        gain: over the default recipe on those splits, less the search's caution (objective.py), by
            which trials are ranked; None for none.
        state: FINISHED (all splits), STOPPED (worse than others on the first ones), FAILED or
            OUT_OF_MEMORY.
        reason: why it failed, "" where it did not.
        seconds: of its trainings, those that an earlier invocation had finished left out.
    """

    name: str
    values: Mapping[str, Any]
    scores: tuple[float, ...]
    gain: float | None
    state: str
    reason: str
    seconds: float


@dataclass(frozen=True)
class Winner:
    """The best trial of an outer split.

    Attributes:
        trial: the trial.
        test: its recipe's Scores on test, refitted on everybody else.
        gain: over the default recipe on validation, a fraction.
        test_gain: over the default recipe on test, a fraction.
        on_patients: interval of that over the test patients; None where they are too few.
    """

    trial: Trial
    test: Scores
    gain: float
    test_gain: float
    on_patients: PatientDifference | None

    def to_json(self) -> dict[str, Any]:
        """The form kept in results.json."""
        return {
            "name": self.trial.name,
            "gain": self.gain,
            "test": self.test.to_json(),
            "test_gain": self.test_gain,
            "on_patients": None if self.on_patients is None else self.on_patients.to_json(),
        }


@dataclass(frozen=True)
class OuterSplit:
    """What the search on all but one outer seed's test patients found.

    Attributes:
        split_seed: who is in test.
        inner_seeds: of the validation splits.
        default: the default recipe's validation Scores on them, fractions.
        test: its Scores on test, refitted on everybody else.
        baselines: Scores of the baselines on test, by name.
        trials: every recipe that was tried, in the order they began.
        winner: the best that came to all splits; None where none beat the default.
        importance: share of the gain's variance that each field explains, the greatest first.
    """

    split_seed: int
    inner_seeds: tuple[int, ...]
    default: tuple[float, ...]
    test: Scores
    baselines: Mapping[str, Scores]
    trials: tuple[Trial, ...]
    winner: Winner | None
    importance: Mapping[str, float]

    @property
    def scored(self) -> list[Trial]:
        """Trials that came to one inner split at least."""
        return [trial for trial in self.trials if trial.gain is not None]

    @property
    def gains(self) -> tuple[float, float]:
        """The winner's over the default recipe on validation and on test; 0 where there is none."""
        return (0.0, 0.0) if self.winner is None else (self.winner.gain, self.winner.test_gain)

    @property
    def train_s(self) -> float:
        """Seconds of the trials' trainings."""
        return sum(trial.seconds for trial in self.trials)

    def gain(self, trial: Trial) -> float:
        """What a trial with a Score gains over the default recipe, without caution."""
        return gain(trial.scores, self.default)

    def to_json(self) -> dict[str, Any]:
        """The form kept in results.json."""
        return {
            "split_seed": self.split_seed,
            "inner_seeds": list(self.inner_seeds),
            "default": {"validation": list(self.default), "test": self.test.to_json()},
            "baselines": {name: scores.to_json() for name, scores in self.baselines.items()},
            "trials": [
                asdict(trial) | {"gain": None if trial.gain is None else self.gain(trial)}
                for trial in self.trials
            ],
            "winner": None if self.winner is None else self.winner.to_json(),
            "importance": dict(self.importance),
            "train_s": self.train_s,
        }


@dataclass(frozen=True)
class SearchSummary:
    """What a search found.

    Attributes:
        recipe: the default one.
        space: what varied.
        plan: how it was searched.
        training_seed: of all recipes.
        outer: by outer split.
        test_patients: on a test side; an average where the sides differ.
        patients: in all.
    """

    recipe: Recipe
    space: Space
    plan: SearchPlan
    training_seed: int
    outer: tuple[OuterSplit, ...]
    test_patients: float
    patients: int

    @property
    def gains(self) -> tuple[float, float]:
        """On validation and on test, fractions: means over the outer splits."""
        validation, test = zip(*(split.gains for split in self.outer), strict=True)
        return float(np.mean(validation)), float(np.mean(test))

    @cached_property
    def survival(self) -> Comparison | None:
        """The gains on test compared with none; None for one outer split."""
        if len(self.outer) == 1:
            return None
        gains = np.array([split.gains[1] for split in self.outer])
        n_train = self.patients - self.test_patients
        return compare(gains, n_test=self.test_patients, n_train=n_train)

    def to_json(self) -> dict[str, Any]:
        """What results.json has beside its header (experiments/results/SCHEMA.md)."""
        validation, test = self.gains
        return {
            "recipe": asdict(self.recipe),
            "space": [str(dimension) for dimension in self.space],
            "sampler": self.plan.sampler,
            "caution": self.plan.caution,
            "stage": self.plan.stage,
            "training_seed": self.training_seed,
            "optuna": version("optuna"),
            "outer": [split.to_json() for split in self.outer],
            "survival": {
                "outer_splits": len(self.outer),
                "validation_gain": validation,
                "test_gain": test,
                "share": test / validation if validation else None,
                "test": None if self.survival is None else self.survival.to_json(),
            },
        }


def study_of(
    trials: Iterable[Trial], space: Space, storage: str | None = None, name: str = "search"
) -> optuna.Study:
    """The trials as an Optuna study, for its dashboard, its figures and what it says of importance.

    Args:
        trials: those without any Score count as failed, those that were stopped as infeasible.
        space: what they vary.
        storage: as Optuna takes it, such as ``sqlite:///optuna.db``; None keeps it in memory.
        name: the study's.
    """
    study = optuna.create_study(direction="maximize", study_name=name, storage=storage)
    distributions = {dimension.field: dimension.values for dimension in space}
    states = optuna.trial.TrialState
    for trial in trials:
        study.add_trial(
            optuna.trial.create_trial(
                state=states.FAIL if trial.gain is None else states.COMPLETE,
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
    try:
        return optuna.importance.get_param_importances(
            study, evaluator=optuna.importance.FanovaImportanceEvaluator(seed=seed)
        )
    except (RuntimeError, ValueError):
        return {}
