"""Predictions to measures: the one list of what is measured, and in which order it is shown."""

from collections.abc import Callable
from dataclasses import dataclass, make_dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from respire.data.rows import known
from respire.evaluation import beyond
from respire.metrics import Measure, overall, percent
from respire.report.typed import Number
from respire.statistics.calibration import BINS
from respire.statistics.intervals import no_interval, t_over_patients
from respire.statistics.thresholds import LEVEL

SEED = "seed"
"""Column of predictions of several training seeds: statistics are of each by itself, averaged."""
COUNTED: dict[str, Callable[[pd.DataFrame], int]] = {
    "cycles": len,
    "recordings": lambda rows: rows["recording"].nunique() if "recording" in rows else 0,
    "patients": lambda rows: known(rows["patient"]).nunique(),
    "patients with abnormal cycles": lambda rows: known(beyond.abnormal(rows)["patient"]).nunique(),
    "patients with normal cycles": lambda rows: known(beyond.normal(rows)["patient"]).nunique(),
}
"""What a statistic may be of, and how many of them predictions hold."""


class Statistic(NamedTuple):
    """What is measured.

    Attributes:
        name: in results.json and MLflow.
        label: in tables and figures.
        of: given predictions of one training (evaluation/decided.py) and the number of classes,
            its value; NaN where undefined, as without the columns that it needs.
        more_is_better: whether it is.
        counted: what it is of (COUNTED).
        least: what it cannot be below; above 1 it cannot be.
    """

    name: str
    label: str
    of: Callable[[pd.DataFrame, int], float]
    more_is_better: bool = True
    counted: str = "cycles"
    least: float = 0.0

    def written(self, value: float | None) -> str:
        """A value as tables write it: in percent, a correlation as it is."""
        if self.least == 0 or value is None or np.isnan(value):
            return percent(value)
        return f"{value:+.2f}"


DECIDED = (
    Statistic("se", "Se", lambda rows, classes: overall(rows, classes).se),
    Statistic("sp", "Sp", lambda rows, classes: overall(rows, classes).sp),
    Statistic("score", "Score", lambda rows, classes: overall(rows, classes).score),
)
"""The columns of every table; the last is what results are compared by."""
BEYOND = (
    Statistic("auc", "AUC", lambda rows, _: beyond.auc_abnormal(rows)),
    Statistic("auc_crackle", "AUC crackle", lambda rows, _: beyond.auc_of(rows, "crackle")),
    Statistic("auc_wheeze", "AUC wheeze", lambda rows, _: beyond.auc_of(rows, "wheeze")),
    Statistic("auc_both", "AUC both", lambda rows, _: beyond.auc_of(rows, "both")),
    Statistic("macro_f1", "Macro-F1", lambda rows, classes: overall(rows, classes).macro_f1),
    Statistic("se_at_sp70", "Se at Sp 70", lambda rows, _: beyond.se_at(rows, 0.7)),
    Statistic("se_at_sp80", "Se at Sp 80", lambda rows, _: beyond.se_at(rows, 0.8)),
    Statistic("ece", "ECE", lambda rows, _: beyond.ece(rows), more_is_better=False),
    Statistic("brier", "Brier", lambda rows, _: beyond.brier_of(rows), more_is_better=False),
    Statistic(
        *("se_patients", "Se, patients"),
        lambda rows, _: beyond.recall_over_patients(beyond.abnormal(rows)),
        counted="patients with abnormal cycles",
    ),
    Statistic(
        *("sp_patients", "Sp, patients"),
        lambda rows, _: beyond.recall_over_patients(beyond.normal(rows)),
        counted="patients with normal cycles",
    ),
    Statistic(
        *("score_patients", "Score, patients"),
        lambda rows, _: beyond.score_over_patients(rows),
        counted="patients",
    ),
    Statistic(
        *("recording_r", "r, recordings"),
        lambda rows, _: beyond.agreement(rows, "recording"),
        counted="recordings",
        least=-1.0,
    ),
    Statistic(
        *("patient_r", "r, patients"),
        lambda rows, _: beyond.agreement(rows, "patient"),
        counted="patients",
        least=-1.0,
    ),
)
"""What one Score hides, a row each: what no threshold decides, calibration, patients."""
ABOUT_BEYOND = (
    "AUC: of abnormal against normal cycles, and of each abnormal class against the rest; chance "
    "is 50. Se at Sp 70 and 80: on the operating curve, interpolated between its thresholds. ECE "
    f"(expected calibration error, {BINS} bins of equal mass) and Brier score: of the probability "
    "of abnormal under the prior that is decided under; less is better."
)
ABOUT_PATIENTS = (
    "Se, Sp and Score, patients: a patient counts once however many its cycles, in Se those with "
    "abnormal cycles, in Sp those with normal ones. r: Pearson's, of a recording's or patient's "
    "share of cycles predicted abnormal with the share that is annotated so."
)
STATISTICS = (*DECIDED, *BEYOND)
"""In the order of results.json, MLflow and reports."""

LABELS = {statistic.name: statistic.label for statistic in DECIDED}
NAMES = tuple(LABELS)
EVERY = tuple(statistic.name for statistic in STATISTICS)
UNDEFINED = "undefined, or so without one of the patients"


def by_name(kind: Any, names: tuple[str, ...] = NAMES) -> Any:
    """A dataclass to derive from, with a field of this kind for each of the names."""
    fields = [(name, kind) for name in names]
    return make_dataclass("by_name", fields, frozen=True, kw_only=True)


_Decided: Any = by_name(Number)
_Numbers: Any = by_name(Number, tuple(statistic.name for statistic in BEYOND))


@dataclass(frozen=True, kw_only=True)
class Decided(_Decided):
    """Something tested, in results.json: Se, Sp and Score, NaN where undefined."""

    @property
    def measures(self) -> list[float]:
        """In the order of every table's columns."""
        return [getattr(self, name) for name in NAMES]


@dataclass(frozen=True, kw_only=True)
class Measured(_Numbers, Decided):
    """The same with every statistic by its name."""


def values(predictions: pd.DataFrame, classes: int) -> dict[str, float]:
    """Every statistic of decided predictions (evaluation/decided.py), by its name.

    Of several training seeds, told by a column ``seed``, it is the mean of each one's: ranks and
    probabilities of two networks are not pooled.
    """
    if SEED not in predictions:
        return {statistic.name: statistic.of(predictions, classes) for statistic in STATISTICS}
    of_each = [
        values(rows.drop(columns=SEED), classes) for _, rows in predictions.groupby(SEED, sort=True)
    ]
    return mean(of_each)


def mean(of_each: list[dict[str, float]]) -> dict[str, float]:
    """Of every statistic over several sets of predictions; NaN where it is in any."""
    return {name: float(np.mean([of[name] for of in of_each])) for name in EVERY}


def counts(predictions: pd.DataFrame) -> dict[str, int]:
    """How many there are of what statistics are of."""
    return {counted: of(predictions) for counted, of in COUNTED.items()}


def intervals(
    predictions: pd.DataFrame, classes: int, level: float = LEVEL
) -> dict[str, Any] | None:
    """Every statistic's interval over patients (statistics/intervals.py), as in results.json.

    Returns:
        ``level``, ``patients``, and by each statistic's name its low and high end, or None where
        it is undefined, of all patients or without one of them. None where there are too few
        patients (``no_interval``).
    """
    if no_interval(predictions) is not None:
        return None
    patients = predictions["patient"]
    whole = values(predictions, classes)
    without = [values(predictions[patients != patient], classes) for patient in patients.unique()]
    ends: dict[str, Any] = {"level": level, "patients": len(without)}
    for statistic in STATISTICS:
        of_each = np.array([values[statistic.name] for values in without])
        found = np.array(t_over_patients(np.array(whole[statistic.name]), of_each, level))
        known = np.isfinite(found).all()
        ends[statistic.name] = np.clip(found, statistic.least, 1).tolist() if known else None
    return ends


def assess(predictions: pd.DataFrame, classes: int) -> tuple[Measure, ...]:
    """Every statistic with its interval over patients (statistics/intervals.py).

    Args:
        predictions: a row a cycle of one training, with columns ``patient``, and ``label`` and
            ``predicted``, indices of classes (labels.py: 0 normal, 1 crackle, 2 wheeze, 3 both; or
            1 abnormal); what needs ``recording`` or probabilities ``p_CLASS`` is undefined without.
        classes: number of classes C.
    """
    why, found, n = no_interval(predictions), intervals(predictions, classes), counts(predictions)
    measured, measures = values(predictions, classes), []
    for statistic in STATISTICS:
        ends = found and found[statistic.name]
        measures.append(
            Measure(
                *(statistic.name, statistic.label, measured[statistic.name]),
                interval=tuple(ends) if ends else None,
                n=n[statistic.counted],
                more_is_better=statistic.more_is_better,
                why_no_interval="" if ends else why or UNDEFINED,
            )
        )
    return tuple(measures)


def described(predictions: pd.DataFrame, classes: int) -> dict[str, Any]:
    """What results.json says of predictions: every statistic, n, recall, confusion, ``counts``."""
    told = overall(predictions, classes).to_json() | values(predictions, classes)
    return told | {"counted": counts(predictions)}


def described_by_device(predictions: pd.DataFrame, classes: int) -> dict[str, dict[str, Any]]:
    """The same of each ``device`` that has any cycles, in the devices' alphabetical order."""
    return {
        str(device): described(rows, classes)
        for device, rows in predictions.groupby("device", sort=True, observed=True)
    }
