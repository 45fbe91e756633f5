"""What a table of differences can see, and what it says in words.

A verdict is of one contrast: "equivalent" where the 90% interval lies within ROPE (two one-sided
tests at 5%; Schuirmann 1987); else "better" or "worse" where the 95% interval, adjusted for the
table's other contrasts (Holm 1979), excludes 0; else "undecided". One contrast may be named
beforehand: that is tested by itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from scipy import optimize, stats

from respire.statistics.paired import ROPE, Comparison
from respire.statistics.thresholds import LEVEL
from respire.statistics.variance import overlap

POWER = 0.8
TOST_LEVEL = 2 * LEVEL - 1
"""Of the interval that equivalence is told by: 90%."""

Word = Literal["equivalent", "better", "worse", "undecided"]


class Estimated(NamedTuple):
    """A difference, its standard error (both fractions) and degrees of freedom."""

    mean: float
    scale: float
    df: int

    def interval(self, level: float) -> tuple[float, float]:
        """Low and high end of its t interval."""
        reach = float(stats.t.ppf((1 + level) / 2, self.df)) * self.scale
        return self.mean - reach, self.mean + reach

    @property
    def p(self) -> float:
        """Two-sided, of no difference."""
        if self.scale > 0:
            return 2 * float(stats.t.sf(abs(self.mean) / self.scale, self.df))
        return float(self.mean == 0)


@dataclass(frozen=True)
class Verdict:
    """What is said of one contrast.

    Attributes:
        word: the verdict.
        primary: whether it was named beforehand.
        narrow: the 90% interval, by which it is equivalent or not.
        one_look: the 95% interval, not adjusted.
        low: lower end of the adjusted 95% interval, a fraction.
        high: upper end.
        p: two-sided, of one look.
        adjusted_p: the same after Holm's correction; of the primary contrast as it is.
    """

    word: Word
    primary: bool
    narrow: tuple[float, float]
    one_look: tuple[float, float]
    low: float
    high: float
    p: float
    adjusted_p: float


def of_new_patients(compared: Comparison) -> Estimated:
    """What a comparison over splits says of new patients."""
    return Estimated(compared.mean, compared.posterior.scale, compared.splits - 1)


def verdicts(contrasts: Mapping[str, Estimated], primary: str = "") -> dict[str, Verdict]:
    """A verdict on each contrast, Holm's correction over all but the primary one."""
    others = {name: of for name, of in contrasts.items() if name != primary}
    adjusted = dict(zip(others, holm([of.p for of in others.values()]), strict=True))
    told = {}
    for name, of in contrasts.items():
        level, p = adjusted.get(name, (LEVEL, of.p))
        narrow, (low, high) = of.interval(TOST_LEVEL), of.interval(level)
        word: Word = "undecided"
        if narrow[0] >= -ROPE and narrow[1] <= ROPE:
            word = "equivalent"
        elif not low <= 0 <= high:
            word = "better" if low > 0 else "worse"
        one_look = of.interval(LEVEL)
        told[name] = Verdict(word, name == primary, narrow, one_look, low, high, of.p, p)
    return told


def holm(p: Sequence[float], level: float = LEVEL) -> list[tuple[float, float]]:
    """Holm's step-down correction (1979): of each p the level of its interval, and p adjusted.

    The m tests are taken by their p, the smallest at level 1 - alpha / m, the next at
    1 - alpha / (m - 1), until one does not reject; it and those after it keep its level. An
    interval of such a level excludes 0 where Holm's procedure rejects, and there alone.
    """
    m, alpha = len(p), 1 - level
    told = [(level, 1.0)] * m
    adjusted, left = 0.0, m
    for step, index in enumerate(np.argsort(p, kind="stable")):
        if adjusted <= alpha:
            left = m - step
        adjusted = max(adjusted, min(1.0, (m - step) * p[index]))
        told[index] = (1 - alpha / left, adjusted)
    return told


@dataclass(frozen=True)
class Detectable:
    """What a table of differences over splits can see, fractions.

    Attributes:
        splits: n.
        sd: the common standard deviation of its differences.
        these_patients: the smallest difference of this data set's average found at POWER.
        new_patients: the same for new patients.
    """

    splits: int
    sd: float
    these_patients: float
    new_patients: float


def detectable_by(
    samples: Sequence[Sequence[float]], *, n_test: float, n_train: float
) -> Detectable | None:
    """What differences over the same splits can see; None where their spread is not known.

    Args:
        samples: of each contrast, its differences, as many each.
        n_test: patients on the test side of a split.
        n_train: patients off it.
    """
    sd = pooled_sd(samples)
    if sd is None:
        return None
    splits, shared = len(samples[0]), overlap(n_test, n_train)
    return Detectable(splits, sd, detectable(sd, splits), detectable(sd, splits, shared))


def pooled_sd(samples: Sequence[Sequence[float]]) -> float | None:
    """The common standard deviation of samples about their own means; None without two in any."""
    of = [np.asarray(sample, dtype=np.float64) for sample in samples]
    of = [sample for sample in of if len(sample) > 1 and np.isfinite(sample).all()]
    df = sum(len(sample) - 1 for sample in of)
    if not df:
        return None
    return float(np.sqrt(sum((len(s) - 1) * s.var(ddof=1) for s in of) / df))


def detectable(
    sd: float, n: int, shared: float = 0.0, power: float = POWER, level: float = LEVEL
) -> float:
    """The smallest mean difference that a two-sided t test of n differences finds so often.

    By the noncentral t distribution (Cohen 1988, section 2.5).

    Args:
        sd: of a difference, a fraction.
        n: differences, 2 or more.
        shared: what the overlap of splits adds to 1 / n, for new patients (variance.overlap).
        power: how often, a fraction.
        level: 1 less the test's level.
    """
    df = n - 1
    critical = float(stats.t.ppf((1 + level) / 2, df))

    def found(shift: float) -> float:
        return float(stats.nct.sf(critical, df, shift)) - power

    shift = optimize.brentq(found, 0.0, 1.5 * critical + 2)
    return float(shift) * sd * float(np.sqrt(1 / n + shared))
