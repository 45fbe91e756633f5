"""Intervals of Se, Sp and ICBHI Score by resampling patients.

Cycles of one patient resemble each other, so it is patients that are resampled, each with all of
its cycles: the bootstrap of clusters (Davison and Hinkley 1997, section 3.8). The Se and Sp of a
resample are ratios of sums over its patients, as those of the test side itself are.

An interval is about the patients that might have been tested, for one trained model: what another
split or training seed would have changed is not in it.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from respire.labels import NORMAL
from respire.statistics.thresholds import LEVEL, tails

RESAMPLES = 5000
MIN_PATIENTS = 10
"""Patients with normal and patients with abnormal cycles that an interval needs: Sp is known from
the one and Se from the other only, and with fewer of them percentiles promise far too much."""

_CYCLE = ["recording", "cycle"]
_BOOTSTRAP, _DIFFERENCE = 0, 2  # streams of one seed; coverage.py has 1, 3 and 4


@dataclass(frozen=True)
class _OverPatients:
    """How percentile intervals over patients came about.

    Attributes:
        level: nominal share of such intervals that hold the true value.
        patients: how many were resampled.
        resamples: how many times.
        undefined: resamples that drew no normal or no abnormal cycle and so have no Score; they
            are left out, which makes the others those of test sides that have one.
    """

    level: float
    patients: int
    resamples: int
    undefined: int

    def to_json(self) -> dict[str, Any]:
        """The form kept in results.json, low and high as a list."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
        }


@dataclass(frozen=True)
class Intervals(_OverPatients):
    """Percentile intervals of the test fractions: low and high end of each."""

    se: tuple[float, float]
    sp: tuple[float, float]
    score: tuple[float, float]

    @property
    def ends(self) -> dict[str, tuple[float, float]]:
        """Low and high end by the statistic's name."""
        return {"se": self.se, "sp": self.sp, "score": self.score}


@dataclass(frozen=True)
class Difference:
    """A difference of fractions as measured, and the ends of its interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class PatientDifference(_OverPatients):
    """Model A less model B on one test side, with percentile intervals over patients."""

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


def bootstrap(
    predictions: pd.DataFrame, seed: int, resamples: int = RESAMPLES, level: float = LEVEL
) -> Intervals | None:
    """Percentile bootstrap intervals of Se, Sp and Score, patients resampled with replacement.

    They follow from cycles, patients and seed, 0 or more; the patients' names and the order of the
    rows do not matter. None where ``no_interval`` says why.

    Args:
        predictions: a row a cycle, with columns ``patient``, and integers ``label`` and
            ``predicted``.
        seed: of the draws.
        resamples: number of draws.
        level: nominal coverage, between 0 and 1.
    """
    if no_interval(predictions) is not None:
        return None
    hits, cycles = tally(predictions)
    draws = draws_of(cycles, resamples, np.random.default_rng([seed, _BOOTSTRAP]))
    sp, se = (np.tensordot(draws, hits, 1) / np.tensordot(draws, cycles, 1)).T
    lows, highs = np.quantile([se, sp, (se + sp) / 2], tails(level), axis=1).tolist()
    undefined = resamples - len(draws)
    return Intervals(level, len(cycles), resamples, undefined, *zip(lows, highs, strict=True))


def bootstrap_difference(
    a: pd.DataFrame, b: pd.DataFrame, seed: int, resamples: int = RESAMPLES, level: float = LEVEL
) -> PatientDifference | None:
    """``bootstrap`` intervals of what model A is better by on the test side of one split.

    Each resample compares both models on the same patients. The order of the rows does not matter;
    A and B exchanged mirror everything. Predictions are as for ``bootstrap``, of the same cycles,
    with columns ``recording`` and ``cycle`` too. None where ``no_interval`` says why.

    Raises:
        ValueError: the two are not of the same cycles, patients and labels; it names the first
            that differs.
    """
    a, b = _same_cycles(a, b)
    if no_interval(a) is not None:
        return None
    patient, names = pd.factorize(a["patient"])
    label = a["label"].to_numpy()
    gain = (label == a["predicted"].to_numpy()).astype(int) - (label == b["predicted"].to_numpy())
    cell, cells = 2 * patient + (label != NORMAL), 2 * len(names)
    gains = np.bincount(cell, gain, cells).reshape(-1, 2)
    cycles = np.bincount(cell, minlength=cells).reshape(-1, 2)
    draws = draws_of(cycles, resamples, np.random.default_rng([seed, _DIFFERENCE]))
    sp, se = (draws @ gains / (draws @ cycles)).T
    measured_sp, measured_se = gains.sum(axis=0) / cycles.sum(axis=0)
    ends = np.quantile([se, sp, (se + sp) / 2], tails(level), axis=1).T.tolist()
    measured = (measured_se, measured_sp, (measured_se + measured_sp) / 2)
    return PatientDifference(
        level,
        len(names),
        resamples,
        resamples - len(draws),
        *(Difference(float(value), *pair) for value, pair in zip(measured, ends, strict=True)),
    )


def tally(predictions: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Recognised and all cycles of each patient, int64 [P, 2] each: normal, then abnormal.

    Patients come in the order of their numbers, that of their cycles first: their names then mean
    nothing, and two models of the same cycles have the same second array.
    """
    patient, names = pd.factorize(predictions["patient"])
    label = predictions["label"].to_numpy()
    cell = 2 * patient + (label != NORMAL)
    hit = label == predictions["predicted"].to_numpy()
    hits, cycles = (
        np.bincount(cells, minlength=2 * len(names)).reshape(-1, 2) for cells in (cell[hit], cell)
    )
    order = np.lexsort(np.hstack([hits, cycles]).T)
    return hits[order], cycles[order]


def draws_of(cycles: np.ndarray, resamples: int, random: np.random.Generator) -> np.ndarray:
    """How often each resample holds each patient, float64 [at most R, P].

    Resamples without normal or without abnormal cycles are left out.
    """
    patients = len(cycles)
    counts = random.multinomial(patients, np.full(patients, 1 / patients), size=resamples)
    draws = counts.astype(np.float64)
    return draws[(draws @ cycles > 0).all(axis=1)]


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
