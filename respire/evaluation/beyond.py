"""What a Score hides: ranks, the operating curve, calibration, patients and recordings.

Predictions are decided (evaluation/decided.py): a row a cycle of one training, with columns
``patient``, ``recording``, ``label``, ``predicted`` and a probability ``p_CLASS`` of each class,
under the prior that is decided under. What needs a column that is not there is NaN.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from respire.data.rows import NOBODY
from respire.labels import CLASSES, NORMAL
from respire.report.typed import Number
from respire.statistics.calibration import Bin, brier, expected_calibration_error, reliability
from respire.statistics.composition import correlation
from respire.statistics.ranking import auc, sensitivity_at

GRID = tuple(step / 100 for step in range(101))
"""Sp at which the operating curve is told."""


@dataclass(frozen=True)
class Answer:
    """A recording's or a patient's share of abnormal cycles, as annotated and as predicted."""

    name: str
    cycles: int
    annotated: float
    predicted: float


@dataclass(frozen=True)
class Beyond:
    """What figures show of predictions.

    Attributes:
        operating_curve: Se at each Sp of GRID, interpolated between thresholds.
        reliability: probability of abnormal against what is annotated, "" of all devices, then of
            each.
        recordings: their answers.
        patients: their answers.
    """

    operating_curve: Sequence[Number]
    reliability: Mapping[str, Sequence[Bin]]
    recordings: Sequence[Answer]
    patients: Sequence[Answer]


def look_beyond(predictions: pd.DataFrame) -> Beyond:
    """What figures show of predictions, which need columns ``device`` and probabilities."""
    devices = predictions.groupby("device", sort=True, observed=True)
    rows = {"": predictions, **{str(device): of for device, of in devices}}
    return Beyond(
        operating_curve=_curve(predictions, GRID).tolist(),
        reliability={name: reliability(_p(of), _is_abnormal(of)) for name, of in rows.items()},
        recordings=_answers(predictions, "recording"),
        patients=_answers(predictions, "patient"),
    )


def abnormal(predictions: pd.DataFrame) -> pd.DataFrame:
    """Rows of abnormal cycles."""
    return predictions[_is_abnormal(predictions)]


def normal(predictions: pd.DataFrame) -> pd.DataFrame:
    """Rows of normal cycles."""
    return predictions[~_is_abnormal(predictions)]


def auc_abnormal(predictions: pd.DataFrame) -> float:
    """Area under the ROC curve of abnormal against normal."""
    return auc(_p(predictions), _is_abnormal(predictions))


def auc_of(predictions: pd.DataFrame, name: str) -> float:
    """Area under the ROC curve of a class of the 4-class task against the rest."""
    label = predictions["label"].to_numpy()
    return auc(_column(predictions, f"p_{name}"), label == CLASSES["4-class"].index(name))


def se_at(predictions: pd.DataFrame, specificity: float) -> float:
    """Se at this Sp, interpolated between thresholds on the odds of normal."""
    return float(_curve(predictions, (specificity,))[0])


def ece(predictions: pd.DataFrame) -> float:
    """Expected calibration error of the probability of abnormal, in ten bins of equal mass."""
    return expected_calibration_error(_p(predictions), _is_abnormal(predictions))


def brier_of(predictions: pd.DataFrame) -> float:
    """Brier score of the probability of abnormal."""
    return brier(_p(predictions), _is_abnormal(predictions))


def recall_over_patients(predictions: pd.DataFrame) -> float:
    """Mean over patients of the share of a patient's cycles that get exactly their class."""
    hit = predictions["label"].to_numpy() == predictions["predicted"].to_numpy()
    _, _, (shares,) = _shares(predictions["patient"], hit)
    return float(shares.mean()) if len(shares) else float("nan")


def score_over_patients(predictions: pd.DataFrame) -> float:
    """Mean of Se over patients with abnormal cycles and Sp over those with normal ones."""
    sides = abnormal(predictions), normal(predictions)
    return sum(map(recall_over_patients, sides)) / 2


def agreement(predictions: pd.DataFrame, by: str) -> float:
    """Pearson's r of the shares of abnormal cycles, predicted and annotated, by recording, say.

    NaN where one of the two is everywhere the same.
    """
    if by not in predictions:
        return float("nan")
    *_, (annotated, predicted) = _shares(predictions[by], *_called_abnormal(predictions))
    return correlation(annotated, predicted)


def _answers(predictions: pd.DataFrame, by: str) -> list[Answer]:
    names, cycles, shares = _shares(predictions[by], *_called_abnormal(predictions))
    return [
        Answer(str(name), int(n), *map(float, of))
        for name, n, *of in zip(names, cycles, *shares, strict=True)
    ]


def _called_abnormal(predictions: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Whether each cycle is annotated, and predicted, as abnormal: bool [n] both."""
    return _is_abnormal(predictions), predictions["predicted"].to_numpy() != NORMAL


def _shares(groups: pd.Series, *flags: np.ndarray) -> tuple[pd.Index, np.ndarray, list[np.ndarray]]:
    """The groups' names, sorted, their rows, and the share of each group's rows with each flag.

    NOBODY is no group.
    """
    known = (groups != NOBODY).to_numpy()
    group, names = pd.factorize(groups[known], sort=True)
    cycles = np.bincount(group, minlength=len(names))
    return names, cycles, [np.bincount(group, flag[known], len(names)) / cycles for flag in flags]


def _curve(predictions: pd.DataFrame, specificity: Sequence[float]) -> np.ndarray:
    """Se at each Sp: a cycle is abnormal where the odds of its likeliest such class are greater.

    The decision itself is the threshold at even odds; of cycles that are cut into windows, whose
    votes are counted, only nearly so.
    """
    told = ([f"p_{name}" for name in classes[1:]] for classes in CLASSES.values())
    names = next((names for names in told if {*names} <= {*predictions}), ["p_"])
    p = np.stack([_column(predictions, name) for name in names], axis=1)
    likeliest = p.max(axis=1)
    right = 1 + p.argmax(axis=1) == predictions["label"].to_numpy()
    odds = likeliest / (likeliest + _column(predictions, "p_normal"))
    return sensitivity_at(np.asarray(specificity), odds, _is_abnormal(predictions), right)


def _p(predictions: pd.DataFrame) -> np.ndarray:
    """Probability of abnormal, float64 [n]."""
    return 1 - _column(predictions, "p_normal")


def _column(predictions: pd.DataFrame, name: str) -> np.ndarray:
    """A column, float64 [n]; NaN where there is none."""
    if name not in predictions:
        return np.full(len(predictions), np.nan)
    return predictions[name].to_numpy(dtype=np.float64)


def _is_abnormal(predictions: pd.DataFrame) -> np.ndarray:
    return predictions["label"].to_numpy() != NORMAL
