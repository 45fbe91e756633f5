"""Predictions to measures: the one list of what is measured, and in which order it is shown."""

from collections.abc import Callable
from dataclasses import dataclass, make_dataclass
from typing import Any, NamedTuple

import pandas as pd

from respire.metrics import Measure, overall
from respire.report.typed import Number
from respire.statistics.intervals import bootstrap, no_interval


class Statistic(NamedTuple):
    """What is measured.

    Attributes:
        name: in results.json and MLflow.
        label: in tables and figures.
        of: given predictions (a row a cycle, training/predict.py) and the number of classes, its
            value; NaN where undefined.
        more_is_better: whether it is.
    """

    name: str
    label: str
    of: Callable[[pd.DataFrame, int], float]
    more_is_better: bool = True


STATISTICS = (
    Statistic("se", "Se", lambda predictions, classes: overall(predictions, classes).se),
    Statistic("sp", "Sp", lambda predictions, classes: overall(predictions, classes).sp),
    Statistic("score", "Score", lambda predictions, classes: overall(predictions, classes).score),
)
"""In the order of every table; the last is what results are compared by."""

LABELS = {statistic.name: statistic.label for statistic in STATISTICS}
NAMES = tuple(LABELS)


def by_name(kind: Any) -> Any:
    """A dataclass to derive from, with a field of this kind for every statistic."""
    fields = [(name, kind) for name in NAMES]
    return make_dataclass("by_name", fields, frozen=True, kw_only=True)


_Numbers: Any = by_name(Number)


@dataclass(frozen=True, kw_only=True)
class Measured(_Numbers):
    """Something tested, in results.json: every statistic by its name, NaN where undefined."""

    @property
    def measures(self) -> list[float]:
        """In the order of every table."""
        return [getattr(self, name) for name in NAMES]


def values(predictions: pd.DataFrame, classes: int) -> dict[str, float]:
    """Every statistic of predictions with columns ``label`` and ``predicted``, by its name."""
    return {statistic.name: statistic.of(predictions, classes) for statistic in STATISTICS}


def assess(predictions: pd.DataFrame, classes: int, seed: int) -> tuple[Measure, ...]:
    """Every statistic with its interval over patients (statistics/intervals.py).

    Args:
        predictions: a row a cycle, with columns ``patient``, ``label`` and ``predicted``.
        classes: number of classes C.
        seed: of the interval's resamples, 0 or more.
    """
    found, why = bootstrap(predictions, seed), no_interval(predictions) or ""
    ends = {} if found is None else found.ends
    return tuple(
        Measure(
            *(statistic.name, statistic.label, statistic.of(predictions, classes)),
            interval=ends.get(statistic.name),
            n=len(predictions),
            more_is_better=statistic.more_is_better,
            why_no_interval=why,
        )
        for statistic in STATISTICS
    )


def described(predictions: pd.DataFrame, classes: int) -> dict[str, Any]:
    """What results.json says of predictions: every statistic, n, recall and confusion."""
    return overall(predictions, classes).to_json() | values(predictions, classes)


def described_by_device(predictions: pd.DataFrame, classes: int) -> dict[str, dict[str, Any]]:
    """The same of each ``device`` that has any cycles, in the devices' alphabetical order."""
    return {
        str(device): described(rows, classes)
        for device, rows in predictions.groupby("device", sort=True, observed=True)
    }
