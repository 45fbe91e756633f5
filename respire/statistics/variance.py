"""How much of a metric's spread is the split's, and how much the training seed's.

Training seeds are nested in splits: result k of split j is mu + b_j + w_jk, the one-way model of
random effects (Searle, Casella and McCulloch 1992, chapter 3). b_j, of variance sigma_b^2, is what
the choice of test patients does; w_jk, of variance sigma_w^2, what initialisation, sampling and
augmentation do. All intervals take both to be normal.

mu is this data set's average: what infinitely many splits of these same patients would average
to. New patients are another matter, for all splits share the patients there are (see ``Plan``).
"""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy import stats

from respire.statistics.mean_squares import Estimate, MeanSquares
from respire.statistics.thresholds import LEVEL, SPLITS_FOR_CONCLUSION

HALF_WIDTH = 0.01
"""The half-width that is planned for, a fraction: one point of percent either way."""


@dataclass(frozen=True)
class Splits:
    """Numbers of splits, 1 or more, by a variance and its ends; None where no number is enough."""

    value: int | None
    low: int | None
    high: int | None


@dataclass(frozen=True)
class Plan:
    """How many splits make the average over splits known to ± ``half_width``.

    Both answers start from sigma^2 = sigma_b^2 + sigma_w^2, the variance of one training on one
    split among the splits of one data set.

    About this data set's average, the mean of J splits has variance sigma^2 / J.

    About new patients from where these came, it has (1 / J + ``n_test`` / ``n_train``) sigma^2
    (Nadeau and Bengio 2003): the second term is the overlap of the splits, and does not shrink.
    This assumes that, over all data sets that might have been collected, the results of two
    splits correlate by the share of patients that is tested, ``n_test`` / (``n_test`` +
    ``n_train``), whatever the method; a result's variance over them is then (1 + ``n_test`` /
    ``n_train``) sigma^2. One data set cannot tell how true that is. Of the seeds' part of sigma^2
    it is not, which makes the answer cautious.

    Attributes:
        half_width: what is aimed at, a fraction.
        seeds: training seeds in each split, 1.
        n_test: patients on the test side of a split.
        n_train: patients off it, those in train and those in validation.
        this_data_set: splits needed for this data set's average.
        new_patients: splits needed for new patients.
        least_half_width: for new patients, a fraction that no number of splits gets below.
    """

    half_width: float
    seeds: int
    n_test: float
    n_train: float
    this_data_set: Splits
    new_patients: Splits
    least_half_width: Estimate


@dataclass(frozen=True)
class Decomposition:
    """What J splits of K training seeds each say about the spread of a metric.

    Attributes:
        level: nominal share of such intervals that hold the true value.
        splits: J.
        seeds: K.
        mean: this data set's average, a fraction.
        between: sigma_b^2, the variance between splits, 0 where its unbiased estimate is negative.
        within: sigma_w^2, the variance between training seeds within a split.
        total: sigma_b^2 + sigma_w^2, that of one training on one split, unbiased: where
            ``between`` is cut off at 0 it is less than the sum of the two.
        share: sigma_b^2 / (sigma_b^2 + sigma_w^2), the intraclass correlation; None where all
            results are the same.
        single_half_width: half-width, a fraction, that should go with the result of one training
            on one split as an estimate of this data set's average: a t quantile with
            Satterthwaite's (1946) degrees of freedom times the standard deviation of one run.
        plan: how many splits would make that average known.
    """

    level: float
    splits: int
    seeds: int
    mean: Estimate
    between: Estimate
    within: Estimate
    total: Estimate
    share: Estimate | None
    single_half_width: Estimate
    plan: Plan

    @property
    def conclusive(self) -> bool:
        """Whether there are splits enough to conclude anything."""
        return self.splits >= SPLITS_FOR_CONCLUSION

    def to_json(self) -> dict[str, Any]:
        """The form kept in results.json; variances once more as ``standard_deviations``."""
        return asdict(self) | {
            "standard_deviations": {
                name: asdict(getattr(self, name).root()) for name in ("between", "within", "total")
            },
            "conclusive": self.conclusive,
        }


def decompose(
    values: np.ndarray, *, n_test: float, n_train: float, level: float = LEVEL
) -> Decomposition:
    """Analyse the variance of a metric over splits and the training seeds nested in them.

    The intervals: exact for ``within`` (chi-square), ``share`` (F; Searle 1971, chapter 9) and
    ``mean`` (t, by the mean square between splits); modified large-sample for ``total`` (Graybill
    and Wang 1980) and ``between`` (Ting, Burdick, Graybill, Jeyaratnam and Lu 1990; Burdick and
    Graybill 1992, chapter 3). Ends below 0 are 0. Half-widths and numbers of splits
    take the ends of the variance that they follow from.

    Args:
        values: Score, Se or Sp, fractions, float [J, K]: a row a split, a column a training seed.
        n_test: patients on the test side of a split; an average where splits differ. 0 leaves
            the overlap of splits out of account.
        n_train: patients off it, in train and validation together, likewise.
        level: nominal coverage, below 1, and .8 at least: the large-sample intervals are made for
            quantiles on either side of the mean.

    Raises:
        ValueError: fewer than two splits or seeds, a value that is missing or no fraction, or a
            number of patients out of range.
    """
    values = _checked(values)
    squares = MeanSquares.of(values, level)
    total = squares.split_average(1)
    z = float(stats.norm.ppf((1 + level) / 2))
    shared = overlap(n_test, n_train)
    return Decomposition(
        level,
        squares.splits,
        squares.seeds,
        mean=squares.grand_mean(float(values.mean())),
        between=squares.split_average(math.inf),
        within=squares.within_split(),
        total=total,
        share=squares.share(),
        single_half_width=total.root(squares.t_of_one_run(level)),
        plan=Plan(
            HALF_WIDTH,
            1,
            float(n_test),
            float(n_train),
            this_data_set=_splits(total, z, 0.0),
            new_patients=_splits(total, z, shared),
            least_half_width=total.root(z * math.sqrt(shared)),
        ),
    )


def overlap(n_test: float, n_train: float) -> float:
    """What the overlap of splits adds to 1 / J (Nadeau and Bengio 2003): ``n_test`` / ``n_train``.

    Raises:
        ValueError: ``n_test`` is below 0 patients, or ``n_train`` not above.
    """
    if not (0 <= n_test < math.inf and 0 < n_train < math.inf):
        raise ValueError(f"n_test {n_test} must be at least 0, and n_train {n_train} above 0")
    return n_test / n_train


def _checked(values: np.ndarray) -> np.ndarray:
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 2 or min(values.shape) < 2:
        raise ValueError(f"values {values.shape} must be [splits, seeds], at least 2 of each")
    missing = np.argwhere(~np.isfinite(values)).tolist()
    if missing:
        split, seed = missing[0]
        raise ValueError(
            f"values: {len(missing)} missing, the first in row {split} (split), column {seed} "
            f"(training seed); leave that split out, or run it again"
        )
    if np.abs(values).max() > 1:
        raise ValueError(f"values: {values.flat[np.abs(values).argmax()]} is no fraction")
    return values


def _splits(variance: Estimate, z: float, shared: float) -> Splits:
    """Splits J for which z^2 (1 / J + shared) variance is at most HALF_WIDTH^2."""

    def needed(sigma2: float) -> int | None:
        room = HALF_WIDTH**2 - z**2 * shared * sigma2
        return max(1, math.ceil(z**2 * sigma2 / room)) if room > 0 else None

    return Splits(needed(variance.value), needed(variance.low), needed(variance.high))
