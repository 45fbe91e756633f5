"""Mean squares of results whose training seeds are nested in splits, and what follows from them."""

import math
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
from scipy import stats

from respire.statistics.thresholds import tails


@dataclass(frozen=True)
class Estimate:
    """A number and the ends of its interval.

    The degrees of freedom are those of the mean square that limits what can be known of it: J - 1
    where splits are compared, J (K - 1) within them.
    """

    value: float
    low: float
    high: float
    degrees_of_freedom: int

    def root(self, times: float = 1.0) -> "Estimate":
        """``times`` the square root of a variance: a standard deviation, or a half-width."""
        value, low, high = (times * math.sqrt(v) for v in (self.value, self.low, self.high))
        return Estimate(value, low, high, self.degrees_of_freedom)


class _Constants(NamedTuple):
    """Quantiles, and what Burdick and Graybill (1992) make of them, under their names."""

    t: float
    chi2: tuple[float, float]  # of S2^2 / sigma_w^2
    f: tuple[float, float]
    g: tuple[float, float]  # of n1, then of n2
    h: tuple[float, float]
    g12: float
    h12: float

    @classmethod
    @cache
    def of(cls, n1: int, n2: int, level: float) -> "_Constants":
        ends = tails(level)
        t = float(stats.t.ppf(ends[1], n1))
        (low1, high1), (low2, high2) = ((stats.chi2.ppf(ends, n) / n).tolist() for n in (n1, n2))
        low, high = stats.f.ppf(ends, n1, n2).tolist()
        g1, g2, h1, h2 = 1 - 1 / high1, 1 - 1 / high2, 1 / low1 - 1, 1 / low2 - 1
        g12 = ((high - 1) ** 2 - (g1 * high) ** 2 - h2**2) / high
        h12 = ((1 - low) ** 2 - (h1 * low) ** 2 - g2**2) / low
        return cls(t, (low2, high2), (low, high), (g1, g2), (h1, h2), g12, h12)


class MeanSquares(NamedTuple):
    """The analysis of variance: S1^2 between splits on n1 = J - 1, S2^2 within on n2 = J (K - 1).

    E[S1^2] = K sigma_b^2 + sigma_w^2 and E[S2^2] = sigma_w^2.
    """

    s1: float  # S1^2 and S2^2 themselves, not their roots
    s2: float
    n1: int
    n2: int
    splits: int
    seeds: int
    constants: _Constants

    @classmethod
    def of(cls, values: np.ndarray, level: float) -> "MeanSquares":
        """Those of ``values``, float [J, K]; 0, not nearly 0, where all are the same."""
        splits, seeds = values.shape
        n1, n2 = splits - 1, splits * (seeds - 1)
        apart = values - values[:, :1]
        means = values[:, 0] + apart.mean(axis=1)
        s1 = seeds * (means - means[0]).var(ddof=1)
        s2 = apart.var(axis=1, ddof=1).mean()
        return cls(float(s1), float(s2), n1, n2, splits, seeds, _Constants.of(n1, n2, level))

    def grand_mean(self, mean: float) -> Estimate:
        """mu, and its t interval."""
        reach = self.constants.t * math.sqrt(self.s1 / (self.splits * self.seeds))
        return Estimate(mean, mean - reach, mean + reach, self.n1)

    def within_split(self) -> Estimate:
        """sigma_w^2, and its chi-square interval."""
        low, high = self.constants.chi2
        return Estimate(self.s2, self.s2 / high, self.s2 / low, self.n2)

    def share(self) -> Estimate | None:
        """sigma_b^2 / (sigma_b^2 + sigma_w^2), and its F interval; None where nothing varies."""
        if self.s1 == self.s2 == 0:
            return None
        low, high = self.constants.f
        value, low, high = (
            max(0.0, (self.s1 - f * self.s2) / (self.s1 + (self.seeds - 1) * f * self.s2))
            for f in (1.0, high, low)
        )
        return Estimate(value, low, high, self.n1)

    def split_average(self, seeds: float) -> Estimate:
        """sigma_b^2 + sigma_w^2 / ``seeds``, the variance of a split's average over so many seeds.

        One seed makes it the total, infinitely many the variance between splits alone. It is
        estimated by c1 S1^2 + c2 S2^2, c1 = 1 / K and c2 = 1 / ``seeds`` - 1 / K, its interval by
        Graybill and Wang (1980) where c2 is not negative, else by Ting et al. (1990). Where
        S1^2 < S2^2, so that sigma_b^2 is estimated as 0, more than K seeds divide all of S1^2.
        """
        (g1, g2), (h1, h2), g12, h12 = self.constants[3:]
        one, two = self.s1 / self.seeds, self.s2 * (1 / seeds - 1 / self.seeds)
        if two >= 0:
            below = (g1 * one) ** 2 + (g2 * two) ** 2
            above = (h1 * one) ** 2 + (h2 * two) ** 2
        else:
            below = (g1 * one) ** 2 + (h2 * two) ** 2 - g12 * one * two
            above = (h1 * one) ** 2 + (g2 * two) ** 2 - h12 * one * two
        value = max(one + two, min(self.s1, self.s2) / seeds)
        low = max(0.0, one + two - math.sqrt(max(0.0, below)))
        high = max(value, one + two + math.sqrt(max(0.0, above)))
        return Estimate(value, low, high, self.n1)

    def t_of_one_run(self, level: float) -> float:
        """The t quantile that goes with the total variance, c1 S1^2 + c2 S2^2.

        Its degrees of freedom are those of the chi-square of the same mean and variance
        (Satterthwaite 1946); the normal quantile where nothing varies.
        """
        one, two = self.s1 / self.seeds, self.s2 * (1 - 1 / self.seeds)
        spread = one**2 / self.n1 + two**2 / self.n2
        df = (one + two) ** 2 / spread if spread > 0 else math.inf
        return float(stats.t.ppf(tails(level)[1], df))
