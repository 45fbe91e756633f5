"""Levels and smallest numbers that every statistic here shares."""

from collections.abc import Iterable

import numpy as np
from scipy import stats

LEVEL = 0.95
SPLITS_FOR_INTERVAL = 3
"""Splits that the t interval of their average needs: two leave one degree of freedom."""
POINTS_FOR_CORRELATION = 4
"""Points that the interval of a correlation needs: it has n - 3 in it."""
SPLITS_FOR_CONCLUSION = 8
"""Splits below which nothing is concluded about a spread: with 8 of them the upper end of a
variance between splits is still four times its estimate."""


def tails(level: float) -> tuple[float, float]:
    """The two probabilities that a central interval of this level lies between."""
    return (1 - level) / 2, (1 + level) / 2


def t_interval(values: Iterable[float], level: float = LEVEL) -> tuple[float, float] | None:
    """Low and high end of the t interval of an average over splits, one number each [J].

    None with fewer than SPLITS_FOR_INTERVAL of them, or where one is not finite.
    """
    known = np.array(list(values), dtype=np.float64)
    if len(known) < SPLITS_FOR_INTERVAL or not np.isfinite(known).all():
        return None
    reach = stats.t.ppf(tails(level)[1], len(known) - 1) * known.std(ddof=1) / np.sqrt(len(known))
    return float(known.mean() - reach), float(known.mean() + reach)
