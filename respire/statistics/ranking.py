"""How well scores rank, whatever the threshold: areas and operating curves."""

import numpy as np
from scipy import stats


def auc(score: np.ndarray, positive: np.ndarray) -> float:
    """Area under the ROC curve: how probably a positive outranks a negative, ties counting half.

    That is the statistic of Mann and Whitney over the number of pairs (Hanley and McNeil 1982).

    Args:
        score: float [n], more for what looks more positive.
        positive: bool [n].

    Returns:
        A fraction; NaN without positives, without negatives or with a score that is NaN.
    """
    hits = int(np.count_nonzero(positive))
    pairs = hits * (len(positive) - hits)
    if not pairs or np.isnan(score).any():
        return float("nan")
    ranks = stats.rankdata(score)[positive].sum()
    return float((ranks - hits * (hits + 1) / 2) / pairs)


def sensitivity_at(
    specificity: np.ndarray, score: np.ndarray, positive: np.ndarray, right: np.ndarray
) -> np.ndarray:
    """The operating curve: Se at each Sp, interpolated between neighbouring thresholds.

    A threshold calls positive what scores more. Se counts positives that are called so and whose
    class is right; where all are, the curve is the ROC curve. Its ends are at Sp 0, where
    everything is called positive, and 1, where at most what outranks all negatives is.

    Args:
        specificity: fractions [m].
        score: float [n], more for what looks more positive; may be infinite.
        positive: bool [n].
        right: bool [n], whether a positive called so has the right class.

    Returns:
        Fractions [m], NaN without positives, without negatives or with a score that is NaN.
    """
    positives = np.count_nonzero(positive)
    negatives = len(positive) - positives
    if not positives or not negatives or np.isnan(score).any():
        return np.full(len(specificity), np.nan)
    order = np.argsort(score, kind="stable")
    last = np.append(score[order][1:] != score[order][:-1], True)
    below = [np.cumsum(rows[order])[last] for rows in (~positive, positive & right)]
    sp = np.append(0, below[0]) / negatives
    hits = np.count_nonzero(positive & right)
    se = (hits - np.append(0, below[1])) / positives
    # Thresholds that lose positives alone have one Sp: the lowest of them has the most Se.
    best = np.append(True, np.diff(sp) > 0)
    return np.interp(specificity, sp[best], se[best])
