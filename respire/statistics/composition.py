"""What a test side is made of, and how much of a lucky split that explains."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from respire.labels import CLASSES, NORMAL
from respire.statistics.thresholds import LEVEL, POINTS_FOR_CORRELATION, tails

LARGEST = 5
"""Patients whose share of the cycles is told: a test side may hinge on few."""
BOTH = CLASSES["4-class"].index("both")


def shares(devices: Sequence[str]) -> tuple[str, ...]:
    """What ``composition`` gives as a share of the cycles."""
    return ("normal", "both", "largest", *devices)


def composition(cycles: pd.DataFrame, devices: Sequence[str]) -> dict[str, float]:
    """Sizes and shares of a test side.

    Of a row a cycle, with columns ``patient``, ``device`` and ``label`` (4-class task). The shares
    of all ``devices`` are told, whether they are there or not.

    Returns:
        Counts ``cycles``, ``patients`` and ``both_cycles``; and fractions of the cycles:
        ``normal``, ``both``, the ``largest`` five patients together, and each device by its name.
        Who is not known, "", is no patient.
    """
    by_patient = cycles.loc[cycles["patient"] != "", "patient"].value_counts()
    used = cycles["device"].value_counts(normalize=True)
    return {
        "cycles": len(cycles),
        "patients": len(by_patient),
        "both_cycles": int((cycles["label"] == BOTH).sum()),
        "normal": float((cycles["label"] == NORMAL).mean()),
        "both": float((cycles["label"] == BOTH).mean()),
        "largest": float(by_patient.head(LARGEST).sum() / len(cycles)),
        **{device: float(used.get(device, 0.0)) for device in devices},
    }


@dataclass(frozen=True)
class Correlation:
    """How the Score of a split goes with something about its test side.

    Pearson's r with its interval (by Fisher's transformation), and the two-sided p of none, not
    corrected for how many are looked at.
    """

    splits: int
    r: float
    low: float
    high: float
    p: float


def correlation(x: np.ndarray, y: np.ndarray) -> float:
    """Pearson's r of two series [n]; NaN with fewer than two points, or where one does not vary."""
    if len(x) < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan")
    return float(np.corrcoef(x, y)[0, 1])


def correlate(
    scores: Sequence[float], values: Sequence[float], level: float = LEVEL
) -> Correlation | None:
    """Correlate the splits' Scores with something about their test sides.

    ``scores`` are each split's mean over its training seeds, fractions [J], ``values`` a number of
    ``composition`` for each. The interval, of coverage ``level``, takes both to be normal. None
    with fewer than four splits, or where they do not differ.
    """
    x, y = np.asarray(values, dtype=np.float64), np.asarray(scores, dtype=np.float64)
    if len(x) < POINTS_FOR_CORRELATION or np.ptp(x) == 0 or np.ptp(y) == 0:
        return None
    found = stats.pearsonr(x, y)
    interval = found.confidence_interval(tails(level)[1] - tails(level)[0])
    return Correlation(len(x), *map(float, (found.statistic, *interval, found.pvalue)))


def by_patient(predictions: pd.DataFrame) -> pd.DataFrame:
    """What each patient brings to a test side.

    Args:
        predictions: a row a test cycle and training seed, with columns ``patient``, ``device``,
            ``recording`` (after its seed, where there are several, as in "0:NAME"), ``cycle``,
            ``label`` and ``predicted``.

    Returns:
        A row a patient, the one with the most cycles first: patient, devices (joined by "+"),
        cycles, abnormal (fraction of them), and recognised (fraction given exactly their class,
        over cycles and seeds).
    """
    rows = predictions.assign(
        recording=predictions["recording"].str.split(":", n=1).str[-1],
        abnormal=predictions["label"] != NORMAL,
        recognised=predictions["label"] == predictions["predicted"],
    )
    cycles = rows.drop_duplicates(["recording", "cycle"]).groupby("patient")
    table = pd.DataFrame(
        {
            "devices": cycles["device"].agg(lambda devices: "+".join(sorted(set(devices)))),
            "cycles": cycles.size(),
            "abnormal": cycles["abnormal"].mean(),
            "recognised": rows.groupby("patient")["recognised"].mean(),
        }
    ).reset_index()
    return table.sort_values(["cycles", "patient"], ascending=[False, True], ignore_index=True)
