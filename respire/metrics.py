"""Confusion to Se, Sp and the ICBHI Score (paper section 3, "Evaluation Method").

All are fractions; a fraction without a denominator is NaN, and None in JSON. NaN meets no
threshold.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from respire.errors import InputError
from respire.labels import CLASSES, NORMAL

MIN_SE = 0.30
"""Se below which a model does not count as working, whatever its Score: calling every cycle
normal already scores .50."""


def confusion_matrix(truth: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Count cycles by true and predicted class.

    Args:
        truth: true classes, integers [n] in 0 … classes - 1.
        predicted: predicted classes, integers [n] in the same range.
        classes: number of classes C.

    Returns:
        int64 [C, C], rows true, columns predicted.

    Raises:
        ValueError: lengths differ, or a class lies outside the range.
    """
    truth, predicted = np.asarray(truth, dtype=np.int64), np.asarray(predicted, dtype=np.int64)
    if truth.shape != predicted.shape or truth.ndim != 1:
        raise ValueError(f"truth {truth.shape} and predicted {predicted.shape} must both be [n]")
    for name, labels in (("truth", truth), ("predicted", predicted)):
        if labels.size and not (labels.min() >= 0 and labels.max() < classes):
            raise ValueError(f"{name}: classes must lie in 0-{classes - 1}")
    cells = np.bincount(truth * classes + predicted, minlength=classes * classes)
    return cells.reshape(classes, classes).astype(np.int64)


def _fraction(part: float, whole: float) -> float:
    return float(part / whole) if whole else float("nan")


def _json(fraction: float) -> float | None:
    return None if np.isnan(fraction) else float(fraction)


def scorable(labels: np.ndarray) -> bool:
    """Whether cycles of these classes, integers [n], have a Score: some normal, some abnormal."""
    return bool(0 < np.count_nonzero(np.asarray(labels) == NORMAL) < len(labels))


def check_scorable(labels: np.ndarray, side: str) -> None:
    """Refuse a side of a split that has no Score.

    Args:
        labels: classes of its cycles, integers [n].
        side: what to call it.

    Raises:
        InputError: it lacks normal or abnormal cycles.
    """
    if not scorable(labels):
        normal = np.count_nonzero(np.asarray(labels) == NORMAL)
        raise InputError(
            f"the {side} side has {normal} normal and {len(labels) - normal} abnormal cycles, and "
            f"needs both; choose another --split-seed or --inner-seed, or give more recordings"
        )


@dataclass(frozen=True)
class Measure:
    """One statistic of a set of predictions.

    Attributes:
        name: in results.json and MLflow.
        label: in tables and figures.
        value: NaN where undefined.
        interval: low and high end over patients; None where there is none.
        n: how many cycles, recordings or patients it is of.
        more_is_better: whether it is.
        why_no_interval: empty where there is one.
    """

    name: str
    label: str
    value: float
    interval: tuple[float, float] | None
    n: int
    more_is_better: bool = True
    why_no_interval: str = ""


@dataclass(frozen=True, eq=False)
class Scores:
    """What a set of predictions is worth.

    Attributes:
        confusion: int64 [C, C] cycles, rows true, columns predicted; class 0 is normal.
    """

    confusion: np.ndarray

    @classmethod
    def of(cls, truth: np.ndarray, predicted: np.ndarray, classes: int) -> "Scores":
        """Score predictions of ``classes`` classes; both arrays integers [n]."""
        return cls(confusion_matrix(truth, predicted, classes))

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "Scores":
        """The Scores that ``to_json`` wrote."""
        return cls(np.asarray(stored["confusion"], dtype=np.int64))

    @property
    def n(self) -> int:
        """Number of cycles."""
        return int(self.confusion.sum())

    @property
    def recall(self) -> np.ndarray:
        """Share of each class recognised as itself, float64 [C]."""
        return np.array(
            [_fraction(row[label], row.sum()) for label, row in enumerate(self.confusion)]
        )

    @property
    def se(self) -> float:
        """Sensitivity: abnormal cycles given exactly their class, (P_c + P_w + P_b) / (N_c + …).

        A wheeze called crackle is a miss (paper section 3).
        """
        abnormal = np.delete(self.confusion, NORMAL, axis=0)
        hits = np.trace(self.confusion) - self.confusion[NORMAL, NORMAL]
        return _fraction(hits, abnormal.sum())

    @property
    def sp(self) -> float:
        """Specificity: normal cycles called normal, P_n / N_n."""
        return float(self.recall[NORMAL])

    @property
    def accuracy(self) -> float:
        """Share of all cycles predicted right; what the released code chooses its epoch by."""
        return float(np.trace(self.confusion) / self.confusion.sum())

    @property
    def macro_f1(self) -> float:
        """Mean over classes of the harmonic mean of precision and recall.

        NaN where a class is neither there nor predicted.
        """
        both = self.confusion.sum(axis=0) + self.confusion.sum(axis=1)
        hits = np.diagonal(self.confusion)
        of_each = [_fraction(2 * hit, n) for hit, n in zip(hits, both, strict=True)]
        return float(np.mean(of_each))

    @property
    def score(self) -> float:
        """The ICBHI Score, (Se + Sp) / 2."""
        return (self.se + self.sp) / 2

    @property
    def fractions(self) -> dict[str, float]:
        """Se, Sp and Score, by their names."""
        return {"se": self.se, "sp": self.sp, "score": self.score}

    def to_json(self) -> dict[str, Any]:
        """The form kept in results.json: fractions or None, the confusion as lists."""
        return {
            "se": _json(self.se),
            "sp": _json(self.sp),
            "score": _json(self.score),
            "n": self.n,
            "confusion": self.confusion.tolist(),
            "recall": [_json(recall) for recall in self.recall],
        }


def overall(predictions: pd.DataFrame, classes: int) -> Scores:
    """Score predictions.

    Args:
        predictions: a row a cycle, with integer columns ``label`` and ``predicted``.
        classes: number of classes C.
    """
    return Scores.of(predictions["label"].to_numpy(), predictions["predicted"].to_numpy(), classes)


def shortcomings(scores: Scores, baselines: Mapping[str, Scores]) -> tuple[str, ...]:
    """Why a model does not count as working, a clause for each reason; empty where it does.

    A model counts as working only with Se of at least .30, every class's recall above 0, and a
    Score above those of all baselines on the same cycles.
    """
    names = next(names for names in CLASSES.values() if len(names) == len(scores.confusion))
    reasons = []
    if not scores.se >= MIN_SE:
        reasons.append(f"Se of {percent(scores.se)}% is not at least {percent(MIN_SE)}%")
    for name, cycles, recall in zip(
        names, scores.confusion.sum(axis=1), scores.recall, strict=True
    ):
        if cycles == 0:
            reasons.append(f"there is no test cycle of class {name} to judge by")
        elif recall == 0:
            reasons.append(f"no cycle of class {name} is recognised")
    reasons += [
        f"its Score of {percent(scores.score)}% is not above that of the baseline "
        f'"{name}" ({percent(baseline.score)}%)'
        for name, baseline in baselines.items()
        if not scores.score > baseline.score
    ]
    return tuple(reasons)


def percent(fraction: float | None) -> str:
    """A fraction in percent with one decimal, as every table writes it; "–" where undefined."""
    return "–" if fraction is None or np.isnan(fraction) else f"{100 * fraction:.1f}"
