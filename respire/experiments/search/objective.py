"""What a search maximises: how much better than the default recipe, on the same splits."""

import math
from collections.abc import Sequence

import numpy as np


def gain(scores: Sequence[float], default: Sequence[float], caution: float = 0.0) -> float:
    """Mean paired difference from the default recipe, less ``caution`` standard errors of it.

    A mean of the Scores themselves would favour recipes that were stopped after an easy split.

    Args:
        scores: of a recipe on the first k splits, fractions.
        default: of the default recipe on all splits, in the same order.
        caution: standard errors that are taken off, from two splits on.

    Raises:
        ValueError: no split, more than the default has, or a Score that is none.
    """
    if not 0 < len(scores) <= len(default):
        raise ValueError(f"{len(scores)} splits of {len(default)}")
    apart = np.asarray(scores, dtype=np.float64) - np.asarray(default[: len(scores)])
    if not np.isfinite(apart).all():
        raise ValueError(f"splits without a Score: {scores}, the default's {default}")
    error = apart.std(ddof=1) / math.sqrt(len(apart)) if len(apart) > 1 else 0.0
    return float(apart.mean() - caution * error)
