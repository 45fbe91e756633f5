"""How often the intervals of variance.py hold the truth, by simulation."""

import math

import numpy as np

from respire.statistics.thresholds import LEVEL
from respire.statistics.variance import decompose

EXPERIMENTS = 2000
SPREAD = 0.05
"""Standard deviation of a simulated run, a fraction; the intervals scale with it."""

_STREAM = 4  # intervals.py and paired.py have the streams 0 to 3 of the same seed


def simulated_coverage(
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

    Args:
        splits: J, 2 or more.
        seeds: K, 2 or more.
        share: of the variance of a run that lies between splits, from 0 to 1.
        seed: of the simulation, 0 or more.
        experiments: how many to simulate.
        level: nominal coverage.

    Returns:
        For ``mean``, ``between``, ``within`` and ``total`` a fraction, with a standard error of
        .005 near .95 at the default size.
    """
    random = np.random.default_rng([seed, _STREAM])
    between, within = SPREAD * math.sqrt(share), SPREAD * math.sqrt(1 - share)
    truth = {
        "mean": 0.5,
        "between": between**2,
        "within": within**2,
        "total": SPREAD**2,
    }
    held = dict.fromkeys(truth, 0)
    for _ in range(experiments):
        values = 0.5 + between * random.standard_normal((splits, 1))
        values = values + within * random.standard_normal((splits, seeds))
        # Without test patients the plan, which is not looked at, is the simplest.
        found = decompose(values.clip(-1, 1), n_test=0, n_train=1, level=level)
        for name, value in truth.items():
            estimate = getattr(found, name)
            held[name] += estimate.low <= value <= estimate.high
    return {name: count / experiments for name, count in held.items()}
