"""How often the intervals of this room hold the truth, by simulation.

Seeds are 0 or more, and levels, the intervals' nominal coverage, lie between 0 and 1.
"""

import math

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

from respire.statistics.intervals import ratios, t_over_patients, tally
from respire.statistics.thresholds import LEVEL, tails
from respire.statistics.variance import decompose, overlap

SIMULATED_SIDES = 2000
HIT_RATES = (2.0, 2.0)
"""Beta distribution of a simulated patient's hit rate: mean .5, correlation between two cycles of
a patient 1 / (1 + 2 + 2) = .2. The Score's coverage hardly depends on either: on ICBHI's patients
it stays within .02 for correlations of .05 to .5 and means of .25 to .75. That of Se and Sp does
fall as they come near 0 or 1."""

EXPERIMENTS = 2000
SPREAD = 0.05
"""Standard deviation of a simulated run, a fraction; the intervals scale with it."""

DIFFERENCE_EXPERIMENTS = 20_000

_PATIENTS, _DIFFERENCES, _SPLITS = 1, 3, 4  # streams of one seed


def over_patients(
    predictions: pd.DataFrame, seed: int, sides: int = SIMULATED_SIDES, level: float = LEVEL
) -> float:
    """Share of simulated test sides whose interval over patients holds the true Score.

    A simulated side has these patients with as many normal and abnormal cycles as they have here.
    How often a patient's cycles are recognised is drawn from HIT_RATES, once for its normal and
    once for its abnormal ones; cycle by cycle it is a matter of chance. The coverage is therefore
    a fact about the test side, the same for every model, and not one that any model was seen to
    have: hit rates that depend on a patient's number of cycles are not in it.

    Of predictions as ``intervals.over_patients`` takes them, for which ``no_interval`` is None: a
    fraction, with a standard error of .006 at the default size.
    """
    a, b = HIT_RATES
    hits, cycles = simulated_sides(predictions, seed, sides)
    whole, count = hits.sum(axis=0), cycles.sum(axis=0)
    without = ratios(whole - hits, (count - cycles)[:, None])
    low, high = t_over_patients(ratios(whole, count), without, level)
    return _held(low[:, 2], a / (a + b), high[:, 2])


def simulated_sides(
    predictions: pd.DataFrame, seed: int, sides: int
) -> tuple[np.ndarray, np.ndarray]:
    """Recognised cycles on simulated test sides, [P, sides, 2], and all, [P, 2]: normal first."""
    _, cycles = tally(predictions, np.zeros(len(predictions)))
    random = np.random.default_rng([seed, _PATIENTS])
    of_each = np.repeat(cycles[:, None], sides, axis=1)
    return random.binomial(of_each, random.beta(*HIT_RATES, size=of_each.shape)), cycles


def over_splits(
    splits: int,
    seeds: int,
    share: float,
    seed: int,
    experiments: int = EXPERIMENTS,
    level: float = LEVEL,
) -> dict[str, float]:
    """Share of simulated experiments whose intervals hold the truth.

    Effects of splits and of training seeds are normal, as the intervals take them to be: what is
    learnt is how good the large-sample intervals are with so few, not how far from normal real
    results may be.

    Of J splits of K seeds, 2 or more each, with the ``share`` of the variance of a run that lies
    between splits, from 0 to 1: for ``mean``, ``between``, ``within`` and ``total`` a fraction,
    with a standard error of .005 near .95 at the default size.
    """
    random = np.random.default_rng([seed, _SPLITS])
    between, within = SPREAD * math.sqrt(share), SPREAD * math.sqrt(1 - share)
    truth = {"mean": 0.5, "between": between**2, "within": within**2, "total": SPREAD**2}
    found = []
    for _ in range(experiments):
        values = 0.5 + between * random.standard_normal((splits, 1))
        values = values + within * random.standard_normal((splits, seeds))
        # Without test patients the plan, which is not looked at, is the simplest.
        found.append(decompose(values.clip(-1, 1), n_test=0, n_train=1, level=level))
    estimates = {name: [getattr(one, name) for one in found] for name in truth}
    return {
        name: _held([e.low for e in of], truth[name], [e.high for e in of])
        for name, of in estimates.items()
    }


def of_differences(
    splits: int,
    correlation: float,
    *,
    n_test: float,
    n_train: float,
    seed: int,
    experiments: int = DIFFERENCE_EXPERIMENTS,
    level: float = LEVEL,
) -> float:
    """Share of simulated experiments whose corrected interval holds the expected difference.

    The differences of an experiment are normal and equicorrelated. Where ``correlation`` is
    ``n_test`` / (``n_test`` + ``n_train``) the interval is exact; what can be learnt is how much
    is lost where it is not, for the data set cannot tell which it is. ``n_test`` = 0 makes it the
    ordinary t interval.

    Args:
        splits: J, 2 or more.
        correlation: of any two differences, from 0 to below 1.
        n_test: patients on the test side of a split, as the interval takes it.
        n_train: patients off it, likewise.
        seed: of the simulation.
        experiments: how many to simulate.
        level: of the interval.

    Returns:
        A fraction, with a standard error of .0015 near .95 at the default size.

    Raises:
        ValueError: splits, correlation or a number of patients out of range.
    """
    if splits < 2 or not 0 <= correlation < 1:
        raise ValueError(f"{splits} splits of correlation {correlation}: need 2 or more, in [0, 1)")
    random = np.random.default_rng([seed, _DIFFERENCES])
    d = math.sqrt(1 - correlation) * random.standard_normal((experiments, splits))
    d += math.sqrt(correlation) * random.standard_normal((experiments, 1))
    t = stats.t.ppf(tails(level)[1], splits - 1)
    reach = t * d.std(axis=1, ddof=1) * math.sqrt(1 / splits + overlap(n_test, n_train))
    return _held(-reach, d.mean(axis=1), reach)


def _held(low: ArrayLike, truth: ArrayLike, high: ArrayLike) -> float:
    """Share of intervals, ends included, that hold the truth."""
    return float(np.mean((low <= np.asarray(truth)) & (np.asarray(truth) <= high)))
