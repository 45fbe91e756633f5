"""A paper's table as in results.json (its fields: experiments/results/SCHEMA.md)."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from respire.evaluation.assess import Decided, Measured
from respire.experiments.paper_tables.printed import Printed
from respire.labels import Task
from respire.report.typed import Number
from respire.statistics.composition import Correlation
from respire.statistics.paired import CorrectedTest
from respire.statistics.verdicts import Detectable, Verdict
from respire.study.spread_summary import RunScores

Interval = tuple[float, float] | None


@dataclass(frozen=True, kw_only=True)
class TestedSplit(Measured):
    """One split's test side."""

    split_seed: int
    cycles: int
    patients: int


@dataclass(frozen=True, kw_only=True)
class TestedDevice(Decided):
    """A device's test cycles, of all splits and training seeds together."""

    n: int
    patients: int
    recall: tuple[Number, ...]
    confusion: tuple[tuple[int, ...], ...]
    printed: Printed | None
    difference: Number
    interval: Interval
    splits: int


@dataclass(frozen=True)
class Difference:
    """What a row is better by than another on the same splits: each statistic, and the Score's.

    The verdict is of new patients and, on a listed split, over its test patients; None where
    neither is to be had.
    """

    mean: Mapping[str, Number]
    splits: tuple[Number, ...]
    these_patients: Interval
    new_patients: CorrectedTest | None
    verdict: Verdict | None

    @property
    def one_look(self) -> Interval:
        """The 95% interval for new patients or, on a listed split, over its test patients."""
        if self.new_patients is not None:
            return self.new_patients.low, self.new_patients.high
        return None if self.verdict is None else self.verdict.one_look


@dataclass(frozen=True, kw_only=True)
class Averaged(Measured):
    """Means over splits, and the interval of the Score's."""

    name: str
    split: str
    task: Task
    interval: Interval

    @property
    def group(self) -> str:
        """Split and task."""
        return f"{self.split}, {self.task}"


@dataclass(frozen=True, kw_only=True)
class Baseline(Averaged):
    """A baseline, and its Score on each split."""

    splits: tuple[Number, ...]


@dataclass(frozen=True, kw_only=True)
class TableRow(Averaged):
    """A line of the table."""

    along: float | None
    variant: str
    stage: str
    stamps: tuple[str, ...]
    heard: tuple[str, ...] | None
    splits: tuple[TestedSplit, ...]
    recall: tuple[Number, ...]
    confusion: tuple[tuple[int, ...], ...]
    printed: Printed
    against: str | None
    difference: Difference | None
    by_device: Mapping[str, TestedDevice] | None

    def hears(self, device: str) -> bool:
        """Whether it is trained on a device's cycles."""
        return self.heard is None or device in self.heard


@dataclass(frozen=True)
class Point:
    """A device on one split."""

    device: str
    split_seed: int
    training_cycles: int
    se: float


@dataclass(frozen=True)
class TrainingSize:
    """Abnormal cycles recognised against training cycles, of one row."""

    row: str
    points: tuple[Point, ...]
    correlation: Correlation | None

    @property
    def by_device(self) -> dict[str, list[Point]]:
        """The points of each device."""
        devices: dict[str, list[Point]] = {}
        for point in self.points:
            devices.setdefault(point.device, []).append(point)
        return devices


@dataclass(frozen=True)
class Seam:
    """Of how many normal test cycles which share is called normal, of each split, by partner."""

    variant: str
    cycles: int
    called_normal: Mapping[str, tuple[float, ...]]


@dataclass(frozen=True)
class TableSummary:
    """A table of the paper."""

    split: str
    split_seeds: tuple[int, ...]
    seeds: tuple[int, ...]
    inner_seed: int
    title: str
    note: str
    axis: str
    confusions: tuple[str, ...]
    rows: tuple[TableRow, ...]
    baselines: tuple[Baseline, ...]
    training_size: TrainingSize | None
    seams: tuple[Seam, ...]
    primary: str
    detectable: Detectable | None
    recipes: Mapping[str, Mapping[str, Any]]
    runs: tuple[RunScores, ...]


Averages = TypeVar("Averages", bound=Averaged)


def grouped(averages: Iterable[Averages]) -> dict[str, list[Averages]]:
    """Those of one kind of split and one task together."""
    groups: dict[str, list[Averages]] = {}
    for one in averages:
        groups.setdefault(one.group, []).append(one)
    return groups


def highest(averages: Iterable[Averages]) -> Averages | None:
    """The one with the highest Score; None where no Score is defined."""
    known = (one for one in averages if not math.isnan(one.score))
    return max(known, key=lambda one: one.score, default=None)
