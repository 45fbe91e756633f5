"""Is recipe A better than recipe B?

Two recipes on the same splits are compared by their differences, in which what makes a split easy
or hard falls away. Which question that answers depends on what else might have been:

- the same patients split otherwise: this data set's average, an ordinary t interval;
- new patients from where these came: the splits overlap, so that more of them say ever less that
  is new. The corrected resampled t-test (Nadeau and Bengio 2003) and the Bayesian correlated
  t-test (Corani and Benavoli 2015; Benavoli, Corani, Demsar and Zaffalon 2017) allow for it;
- other test patients for two models trained once: ``intervals.difference_over_patients``.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy import stats

from respire.statistics.thresholds import LEVEL, SPLITS_FOR_CONCLUSION, tails
from respire.statistics.variance import overlap

ROPE = 0.01
"""Half-width of the region of practical equivalence, a fraction: recipes within one point of
percent of each other are practically equal."""


@dataclass(frozen=True)
class CorrectedTest:
    """The corrected resampled t-test of Nadeau and Bengio (2003).

    The mean of J differences of variance s^2 is given the variance (1 / J + n_test / n_train) s^2.

    Attributes:
        statistic: mean over its standard error; infinite (None in results.json) where all
            differences are the same and not 0, 0 where they are 0.
        p: two-sided, of no difference.
        low: lower end of the interval of the expected difference, a fraction.
        high: upper end.
        degrees_of_freedom: J - 1.
    """

    statistic: float | None
    p: float
    low: float
    high: float
    degrees_of_freedom: int


@dataclass(frozen=True)
class Posterior:
    """The Bayesian correlated t-test (Corani and Benavoli 2015).

    Differences are normal, any two of one correlation rho = n_test / (n_test + n_train), and
    the prior says nothing of mean and variance. The expected difference then has a Student
    distribution of J - 1 degrees of freedom about the mean difference, whose central interval is
    that of ``CorrectedTest``. Where all differences are the same it is a point.

    Attributes:
        scale: sqrt((1 / J + rho / (1 - rho)) s^2), a fraction.
        rope: half-width of the region of practical equivalence, a fraction.
        a_better: probability that A is better by more than ``rope``.
        equal: that neither is.
        b_better: that B is.
    """

    scale: float
    rope: float
    a_better: float
    equal: float
    b_better: float


@dataclass(frozen=True)
class Comparison:
    """Recipe A less recipe B over the same splits.

    Attributes:
        level: nominal share of such intervals that hold the true value.
        splits: J.
        n_test: patients on the test side of a split.
        n_train: patients off it.
        mean: of the differences, a fraction.
        standard_deviation: of the differences, J - 1 in the denominator, a fraction.
        this_data_set: low and high end of the ordinary t interval of this data set's average over
            splits. It says nothing of new patients.
        new_patients: the corrected test.
        posterior: its Bayesian counterpart.
    """

    level: float
    splits: int
    n_test: float
    n_train: float
    mean: float
    standard_deviation: float
    this_data_set: tuple[float, float]
    new_patients: CorrectedTest
    posterior: Posterior

    @property
    def conclusive(self) -> bool:
        """Whether there are splits enough to conclude anything."""
        return self.splits >= SPLITS_FOR_CONCLUSION

    def to_json(self) -> dict[str, Any]:
        """The form kept in results.json: pairs as lists, an infinite statistic as None."""
        stored = asdict(self) | {
            "this_data_set": list(self.this_data_set),
            "conclusive": self.conclusive,
        }
        if math.isinf(self.new_patients.statistic or 0.0):
            stored["new_patients"]["statistic"] = None
        return stored


def differences(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """What A is better by on each split, training seeds averaged: float64 [J].

    Results are fractions, float [J, K] and [J, K'], of the same splits in the same order.

    Raises:
        ValueError: the numbers of splits differ.
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if a.ndim != 2 or b.ndim != 2 or len(a) != len(b):
        raise ValueError(f"a {a.shape} and b {b.shape} must be [splits, seeds] of the same splits")
    return a.mean(axis=1) - b.mean(axis=1)


def compare(
    differences: np.ndarray, *, n_test: float, n_train: float, level: float = LEVEL
) -> Comparison:
    """Compare two recipes by their differences on the same splits.

    Args:
        differences: A less B of a metric, fractions, float [J].
        n_test: patients on the test side of a split; an average where splits differ. 0 leaves
            the overlap of splits out of account.
        n_train: patients off it, in train and validation together, likewise.
        level: nominal coverage, between 0 and 1.

    Raises:
        ValueError: fewer than two splits, a difference that is missing or none of fractions, or
            a number of patients out of range.
    """
    d = np.asarray(differences, dtype=np.float64)
    if d.ndim != 1 or len(d) < 2:
        raise ValueError(f"differences {d.shape} must be [splits], at least 2 of them")
    if not np.isfinite(d).all():
        split = int(np.flatnonzero(~np.isfinite(d))[0])
        raise ValueError(f"differences: that of row {split} (split) is missing; leave it out")
    if np.abs(d).max() > 1:
        raise ValueError(f"differences: {d[np.abs(d).argmax()]} is no difference of fractions")
    shared = overlap(n_test, n_train)
    df = len(d) - 1
    t = float(stats.t.ppf(tails(level)[1], df))
    apart = d - d[0]  # exactly 0 where all are the same
    mean, s = float(d[0] + apart.mean()), float(apart.std(ddof=1))
    reach = t * s / math.sqrt(len(d))
    scale = s * math.sqrt(1 / len(d) + shared)
    a_better, b_better = (_above_rope(m, scale, df) for m in (mean, -mean))
    return Comparison(
        level,
        len(d),
        float(n_test),
        float(n_train),
        mean,
        s,
        this_data_set=(mean - reach, mean + reach),
        new_patients=_corrected(mean, scale, df, t),
        posterior=Posterior(scale, ROPE, a_better, max(0.0, 1 - (a_better + b_better)), b_better),
    )


def _corrected(mean: float, scale: float, df: int, t: float) -> CorrectedTest:
    alike = math.copysign(math.inf, mean) if mean else 0.0
    statistic = mean / scale if scale > 0 else alike
    p = 2 * float(stats.t.sf(abs(statistic), df))
    return CorrectedTest(statistic, p, mean - t * scale, mean + t * scale, df)


def _above_rope(mean: float, scale: float, df: int) -> float:
    """Probability that the expected difference is above ROPE."""
    return float(stats.t.sf((ROPE - mean) / scale, df)) if scale > 0 else float(mean > ROPE)
