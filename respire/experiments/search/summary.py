"""What a search found: trials, winners, and how much of their gain survives on test."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np

from respire.evaluation.evaluate import STAGE1, STAGE2
from respire.experiments.search.space import Space
from respire.metrics import Scores
from respire.recipe.recipe import Recipe
from respire.statistics.intervals import PatientDifference
from respire.statistics.paired import Comparison, compare

FINISHED, STOPPED, FAILED, OUT_OF_MEMORY = "finished", "stopped early", "failed", "out of memory"


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
        gain: over the default recipe on those splits, a fraction, None for none; less the search's
            caution where trials are ranked by it, without where it is told (``summarise``).
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
class Default:
    """The default recipe's Scores: on each inner split's validation side, and refitted on test."""

    validation: tuple[float, ...]
    test: Scores


@dataclass(frozen=True)
class Winner:
    """The best trial of an outer split.

    Attributes:
        name: the trial's.
        gain: over the default recipe on validation, a fraction.
        test: its recipe's Scores on test, refitted on everybody else.
        test_gain: over the default recipe on test, a fraction.
        on_patients: interval of that over the test patients; None where they are too few.
    """

    name: str
    gain: float
    test: Scores
    test_gain: float
    on_patients: PatientDifference | None


@dataclass(frozen=True)
class OuterSplit:
    """What the search on all but one outer seed's test patients found.

    Attributes:
        split_seed: who is in test.
        inner_seeds: of the validation splits.
        default: the default recipe's Scores.
        baselines: Scores of the baselines on test, by name.
        trials: every recipe that was tried, in the order they began.
        winner: the best that came to all splits; None where none beat the default.
        importance: share of the gain's variance that each field explains, the greatest first.
        train_s: seconds of the trials' trainings.
    """

    split_seed: int
    inner_seeds: tuple[int, ...]
    default: Default
    baselines: Mapping[str, Scores]
    trials: tuple[Trial, ...]
    winner: Winner | None
    importance: Mapping[str, float]
    train_s: float

    @property
    def scored(self) -> list[Trial]:
        """Trials that came to one inner split at least."""
        return [trial for trial in self.trials if trial.gain is not None]

    @property
    def gains(self) -> tuple[float, float]:
        """The winner's over the default recipe on validation and on test; 0 where there is none."""
        return (0.0, 0.0) if self.winner is None else (self.winner.gain, self.winner.test_gain)

    @property
    def changes(self) -> Mapping[str, Any]:
        """What the winner varies, by field; empty where there is none."""
        won = self.winner and self.winner.name
        return next((trial.values for trial in self.trials if trial.name == won), {})


@dataclass(frozen=True)
class Survival:
    """What is left on test of the gain on validation, fractions: means over the outer splits.

    Attributes:
        outer_splits: how many.
        validation_gain: over the default recipe, 0 where no recipe won.
        test_gain: likewise.
        share: of the one in the other; None where nothing was gained.
        test: the gains on test compared with none; None for one outer split.
    """

    outer_splits: int
    validation_gain: float
    test_gain: float
    share: float | None
    test: Comparison | None

    @classmethod
    def of(cls, outer: Sequence[OuterSplit], test_patients: float, patients: int) -> "Survival":
        """That of some outer splits.

        Args:
            outer: the splits.
            test_patients: on a test side; an average where the sides differ.
            patients: in all.
        """
        gains = np.array([split.gains for split in outer])
        validation, test = (float(column.mean()) for column in gains.T)
        compared = None
        if len(outer) > 1:
            n_train = patients - test_patients
            compared = compare(gains[:, 1], n_test=test_patients, n_train=n_train)
        return cls(
            len(outer), validation, test, test / validation if validation else None, compared
        )


@dataclass(frozen=True)
class SearchSummary:
    """What results.json has beside its header (experiments/results/SCHEMA.md).

    Attributes:
        recipe: the default one.
        space: what varied.
        sampler: who proposed recipes.
        caution: standard errors that were taken off a recipe's gain.
        stage: that was scored.
        training_seed: of all recipes.
        outer: by outer split.
        survival: over them.
        optuna: its version.
    """

    recipe: Recipe
    space: Space
    sampler: str
    caution: float
    stage: str
    training_seed: int
    outer: tuple[OuterSplit, ...]
    survival: Survival
    optuna: str = version("optuna")

    @property
    def metrics(self) -> dict[str, float]:
        """What MLflow compares searches by: the gains, means and of each outer split."""
        gains = {"": (self.survival.validation_gain, self.survival.test_gain)}
        gains |= {f"outer-{split.split_seed}.": split.gains for split in self.outer}
        names = ("validation_gain", "test_gain")
        return {
            f"{part}{name}": gain
            for part, pair in gains.items()
            for name, gain in zip(names, pair, strict=True)
        }
