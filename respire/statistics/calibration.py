"""Whether what is said with a probability of p happens in a share p of the cases."""

from typing import NamedTuple

import numpy as np

BINS = 10
"""Of equal mass: as many cases in each, but for ties."""


class Bin(NamedTuple):
    """Cases of like probability: how many, their mean probability, the share that happened."""

    n: int
    said: float
    happened: float


def reliability(p: np.ndarray, happened: np.ndarray, bins: int = BINS) -> list[Bin]:
    """Cases by their probability, in bins between its quantiles, equal ones always in one bin.

    Args:
        p: probabilities, float [n].
        happened: bool [n].
        bins: how many; those that ties leave empty are not told.
    """
    if not len(p) or np.isnan(p).any():
        return []
    inner = np.quantile(p, np.linspace(0, 1, bins + 1))[1:-1]
    place = np.searchsorted(inner, p)
    counts, said, happens = (
        np.bincount(place, weights, minlength=bins) for weights in (None, p, happened)
    )
    return [
        Bin(int(counts[b]), float(said[b] / counts[b]), float(happens[b] / counts[b]))
        for b in np.flatnonzero(counts)
    ]


def expected_calibration_error(p: np.ndarray, happened: np.ndarray, bins: int = BINS) -> float:
    """Mean distance over cases of a bin's share from its mean probability (Naeini et al. 2015).

    Args:
        p: probabilities, float [n].
        happened: bool [n].
        bins: of equal mass (``reliability``).

    Returns:
        A fraction; NaN without cases or with a probability that is NaN.
    """
    found = reliability(p, happened, bins)
    if not found:
        return float("nan")
    return sum(b.n * abs(b.happened - b.said) for b in found) / len(p)


def brier(p: np.ndarray, happened: np.ndarray) -> float:
    """Mean squared distance of p, float [n], from what happened, bool [n] (Brier 1950)."""
    return float(np.mean((p - happened) ** 2)) if len(p) else float("nan")
