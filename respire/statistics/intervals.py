"""Intervals over patients: what a statistic of a test side might have been with others.

Cycles of one patient resemble each other, so it is patients that are left out, each with all of
its cycles: the jackknife of clusters (Shao and Tu 1995, section 2.1). A statistic's standard error
is that of its values without each patient, its interval a t interval with P - 1 degrees of
freedom. On simulated test sides of ICBHI's patients, whose numbers of cycles differ by a factor of
fifty, it holds the truth more often than the percentile bootstrap and the linearised t interval do
(tests/statistics/test_coverage.py): of 95% with 25 patients 93 for 91 and 87, with 49 patients 94
for 92 and 91.

An interval is about the patients that might have been tested, for one trained model: what another
split or training seed would have changed is not in it.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from respire.labels import NORMAL
from respire.statistics.thresholds import LEVEL, tails

MIN_PATIENTS = 10
"""Patients with normal and patients with abnormal cycles that an interval needs: Sp is known from
the one and Se from the other only, and with fewer of them it would promise far too much."""

_CYCLE = ["recording", "cycle"]


@dataclass(frozen=True)
class _OverPatients:
    """How intervals over patients came about.

    Attributes:
        level: nominal share of such intervals that hold the true value.
        patients: how many there are.
    """

    level: float
    patients: int

    def to_json(self) -> dict[str, Any]:
        """The form kept in results.json, low and high as a list."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
        }


@dataclass(frozen=True)
class Intervals(_OverPatients):
    """Intervals of the test fractions: low and high end of each."""

    se: tuple[float, float]
    sp: tuple[float, float]
    score: tuple[float, float]


@dataclass(frozen=True)
class Difference:
    """A difference of fractions as measured, the ends of its interval, its standard error."""

    value: float
    low: float
    high: float
    scale: float


@dataclass(frozen=True)
class PatientDifference(_OverPatients):
    """Model A less model B on one test side, with intervals over patients."""

    se: Difference
    sp: Difference
    score: Difference


def no_interval(predictions: pd.DataFrame) -> str | None:
    """Why cycles, with columns ``patient`` and ``label``, allow no interval; None where they do."""
    normal = predictions["label"] == NORMAL
    if (unknown := predictions["patient"] == "").any():
        return f"{unknown.sum()} cycles of no known patient"
    for rows, which in (
        (predictions, "test patients"),
        (predictions[normal], "test patients with normal cycles"),
        (predictions[~normal], "test patients with abnormal cycles"),
    ):
        patients = rows["patient"].nunique()
        if patients < MIN_PATIENTS:
            return f"{which}: {patients}, fewer than {MIN_PATIENTS}"
    return None


def standard_error(without: np.ndarray) -> np.ndarray:
    """The jackknife's, of a statistic's values without each of the P patients, float [P, ...]."""
    patients = len(without)
    return np.sqrt((patients - 1) * without.var(axis=0))


def t_over_patients(
    value: np.ndarray, without: np.ndarray, level: float = LEVEL
) -> tuple[np.ndarray, np.ndarray]:
    """Low and high ends of statistics' t intervals over patients, float [...].

    Args:
        value: of all patients, float [...].
        without: of all but each of them, float [P, ...].
        level: nominal coverage, between 0 and 1.
    """
    reach = stats.t.ppf(tails(level)[1], len(without) - 1) * standard_error(without)
    return value - reach, value + reach


def over_patients(predictions: pd.DataFrame, level: float = LEVEL) -> Intervals | None:
    """Intervals of Se, Sp and Score over patients, cut off at 0 and 1.

    None where ``no_interval`` says why.

    Args:
        predictions: a row a cycle, with columns ``patient``, and integers ``label`` and
            ``predicted``.
        level: nominal coverage, between 0 and 1.
    """
    if no_interval(predictions) is not None:
        return None
    found = _fractions(predictions, _hit(predictions))
    ends = np.clip(t_over_patients(*found, level), 0, 1).T.tolist()
    return Intervals(level, len(found[1]), *map(tuple, ends))


def difference_over_patients(
    a: pd.DataFrame, b: pd.DataFrame, level: float = LEVEL
) -> PatientDifference | None:
    """The same of what model A is better by on the test side of one split.

    Both models are without the same patient at a time. The order of the rows does not matter; A
    and B exchanged mirror everything. Predictions are as for ``over_patients``, of the same
    cycles, with columns ``recording`` and ``cycle`` too. None where ``no_interval`` says why.

    Raises:
        ValueError: the two are not of the same cycles, patients and labels; it names the first
            that differs.
    """
    a, b = _same_cycles(a, b)
    if no_interval(a) is not None:
        return None
    label = a["label"].to_numpy()
    gain = (label == a["predicted"].to_numpy()).astype(float) - (label == b["predicted"].to_numpy())
    return _difference(*_fractions(a, gain), level)


def difference_of_units(
    a: pd.DataFrame, b: pd.DataFrame, level: float = LEVEL
) -> PatientDifference | None:
    """The same of two ways to cut the same patients' recordings, such as windows less cycles.

    Both are without the same patient at a time. Predictions are as for ``over_patients``. None
    where ``no_interval`` says why, of either.

    Raises:
        ValueError: the two are not of the same patients.
    """
    if set(a["patient"]) != set(b["patient"]):
        raise ValueError("A and B are of other patients")
    if no_interval(a) is not None or no_interval(b) is not None:
        return None
    (of_a, without_a), (of_b, without_b) = (_fractions(rows, _hit(rows)) for rows in (a, b))
    return _difference(of_a - of_b, without_a - without_b, level)


def _hit(predictions: pd.DataFrame) -> np.ndarray:
    return (predictions["label"] == predictions["predicted"]).to_numpy(dtype=np.float64)


def _difference(value: np.ndarray, without: np.ndarray, level: float) -> PatientDifference:
    ends = np.clip(t_over_patients(value, without, level), -1, 1)
    known = np.array([value, *ends, standard_error(without)]).T.tolist()
    return PatientDifference(level, len(without), *(Difference(*one) for one in known))


def tally(predictions: pd.DataFrame, worth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each patient's cycles, normal then abnormal: what they are worth, and how many; [P, 2] each.

    Of predictions with columns ``patient`` and ``label``, and what each is worth, float [n].
    """
    patient, names = pd.factorize(predictions["patient"], sort=True)
    cell, cells = 2 * patient + (predictions["label"].to_numpy() != NORMAL), 2 * len(names)
    sums, cycles = (np.bincount(cell, w, cells).reshape(-1, 2) for w in (worth, None))
    return sums, cycles


def ratios(sums: np.ndarray, cycles: np.ndarray) -> np.ndarray:
    """Se, Sp and Score, float [..., 3], of sums and cycles, normal then abnormal, [..., 2]."""
    sp, se = np.moveaxis(sums / cycles, -1, 0)
    return np.stack([se, sp, (se + sp) / 2], axis=-1)


def _fractions(predictions: pd.DataFrame, worth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Se, Sp and Score of all patients, [3], and without each, [P, 3]."""
    sums, cycles = tally(predictions, worth)
    whole, count = sums.sum(axis=0), cycles.sum(axis=0)
    return ratios(whole, count), ratios(whole - sums, count - cycles)


def _same_cycles(a: pd.DataFrame, b: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Both by recording and cycle, in the same order."""
    a, b = (frame.set_index(_CYCLE).sort_index() for frame in (a, b))
    for name, index in (
        ("cycles twice in A", a.index[a.index.duplicated()]),
        ("cycles twice in B", b.index[b.index.duplicated()]),
        ("cycles in A and not in B", a.index.difference(b.index)),
        ("cycles in B and not in A", b.index.difference(a.index)),
    ):
        if len(index):
            raise ValueError(f"{name}: {_named(index)}")
    for column in ("patient", "label"):
        differ = a[column].to_numpy() != b[column].to_numpy()
        if differ.any():
            raise ValueError(f"cycles of another {column} in A and B: {_named(a.index[differ])}")
    return a, b


def _named(index: pd.Index) -> str:
    recording, cycle = index[0]
    return f"{len(index)}, the first cycle {cycle} of recording {recording}"
