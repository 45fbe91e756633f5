"""What is said of a finished grid: fields of results.json (experiments/results/SCHEMA.md)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from respire.evaluation.assess import EVERY, Measured, by_name, mean
from respire.recipe.recipe import Recipe
from respire.report.typed import Number, stored
from respire.statistics.composition import Correlation
from respire.statistics.intervals import Intervals, PatientDifference
from respire.statistics.paired import Comparison
from respire.statistics.variance import Decomposition
from respire.statistics.verdicts import Detectable, Verdict

_Comparisons: Any = by_name(Comparison | None)


@dataclass(frozen=True)
class Covered(Intervals):
    """Intervals, and how often such ones hold the truth, simulated."""

    coverage: Number


@dataclass(frozen=True, kw_only=True)
class StageMeans(Measured):
    """Means over training seeds, and the interval over the test side's patients."""

    interval: Covered | None


@dataclass(frozen=True, kw_only=True)
class SplitSpread:
    """One split: its test side, shares of its cycles by their names, and Scores by stage.

    ``averaged`` are the Scores of all training seeds' mean probabilities; None with one seed.
    """

    split_seed: int
    cycles: int
    patients: int
    both_cycles: int
    shares: Mapping[str, float]
    patients_off_test: int
    scores: Mapping[str, StageMeans]
    averaged: Mapping[str, Measured] | None = None

    def amount(self, what: str) -> float:
        """Of what the test side is made of: "cycles", or a share of them."""
        return self.cycles if what == "cycles" else self.shares[what]


@dataclass(frozen=True, kw_only=True)
class BaselineSpread(Measured):
    """Means of a baseline over splits, its Score's spread, and on how many it is beaten."""

    standard_deviation: float | None
    splits: int
    beaten_on: int


@dataclass(frozen=True)
class Patient:
    """What a patient brings to a test side (statistics/composition.py)."""

    patient: int | str
    devices: str
    cycles: int
    abnormal: float
    recognised: float


@dataclass(frozen=True)
class EndOfRange:
    """The worst or the best split, and its patients, the largest first."""

    split_seed: int
    patients: Sequence[Patient]


@dataclass(frozen=True)
class SelectionCost:
    """Stage 1's mean test Score at the chosen, the last and the test-best epoch."""

    runs: int
    chosen: Number
    last: Number
    best: Number
    best_less_chosen: Comparison | None


@dataclass(frozen=True)
class VariantSpread:
    """All that is said of one variant by itself (experiments/results/SCHEMA.md)."""

    recipe: Recipe
    stratify: bool
    splits: Sequence[SplitSpread]
    variance: Mapping[str, Mapping[str, Decomposition | None]]
    coverage: Mapping[str, float] | None
    baselines: Mapping[str, BaselineSpread]
    composition: Mapping[str, Correlation | None]
    ends: Mapping[str, EndOfRange]
    along_prior: Mapping[str, Number]
    selection_cost: SelectionCost | None

    def means(self, stage: str) -> Measured:
        """Over all splits."""
        return _mean([split.scores[stage] for split in self.splits])

    def by_split(self, stage: str) -> list[float]:
        """The Score on each split."""
        return [split.scores[stage].score for split in self.splits]

    def averaged(self, stage: str) -> Measured | None:
        """Over all splits, of the training seeds' mean probabilities; None with one seed."""
        averaged = [split.averaged[stage] for split in self.splits if split.averaged]
        return _mean(averaged) if averaged else None

    def worst_first(self, stage: str) -> list[SplitSpread]:
        """The splits by their Scores, those without one last."""
        order = np.argsort(self.by_split(stage), kind="stable")
        return [self.splits[index] for index in order]

    @property
    def best_baseline(self) -> tuple[str, BaselineSpread]:
        """The one of the highest mean Score, with its name."""
        return max(self.baselines.items(), key=lambda baseline: baseline[1].score)


def _mean(measured: Sequence[Measured]) -> Measured:
    """Of every statistic."""
    return Measured(**mean([{name: getattr(one, name) for name in EVERY} for one in measured]))


@dataclass(frozen=True, kw_only=True)
class StageContrast(_Comparisons):
    """A less B by split, in their order and over patients; comparison and verdict by statistic."""

    differences: Mapping[str, Sequence[Number]]
    patients: Mapping[str, PatientDifference | None]
    verdicts: Mapping[str, Verdict]


@dataclass(frozen=True)
class DifferenceCoverage:
    """How often the interval for new patients holds the truth where differences so correlate."""

    correlation: float
    coverage: float


@dataclass(frozen=True)
class Contrast:
    """Two recipes on the same plain splits, A less B; the last stage's Score is primary."""

    a: str
    b: str
    split_seeds: Sequence[int]
    stages: Mapping[str, StageContrast]
    coverage: Sequence[DifferenceCoverage]
    detectable: Detectable | None


@dataclass(frozen=True)
class _Where:
    variant: str
    split_seed: int
    seed: int
    stage: str


@dataclass(frozen=True)
class RunScores(Measured, _Where):
    """A stage of one run (study/tested.py)."""

    cycles: int
    patients: int
    epoch: int
    score_at_chosen: Number
    score_at_last: Number
    score_at_best: Number
    key: str


@dataclass(frozen=True)
class Spread:
    """What results.json has beside its header (experiments/results/SCHEMA.md)."""

    split: str
    split_seeds: Sequence[int]
    seeds: Sequence[int]
    inner_seed: int
    stages: Sequence[str]
    variants: Mapping[str, VariantSpread]
    comparison: Contrast | None
    runs: Sequence[RunScores]

    @property
    def recipes(self) -> dict[str, dict[str, Any]]:
        """The recipe of every variant, as a mapping."""
        return {name: stored(variant.recipe) for name, variant in self.variants.items()}
