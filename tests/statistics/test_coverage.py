import numpy as np
import pytest
from scipy import stats

from respire.statistics.coverage import SPREAD, over_splits
from respire.statistics.variance import decompose


@pytest.mark.parametrize("share", [0.0, 0.4, 0.9])
def test_exact_intervals_hold_the_truth_as_often_as_they_say(share):
    found = over_splits(8, 2, share, seed=0, experiments=1500)
    for name in ("mean", "within"):
        # Exact by theory: only the simulation's own error is left.
        low, high = stats.binom.ppf((0.0005, 0.9995), 1500, 0.95) / 1500
        assert low <= found[name] <= high
    for name in ("between", "total"):
        assert 0.93 <= found[name] <= 1


def test_it_counts_what_decompose_says_of_the_experiments_it_draws():
    random, share = np.random.default_rng([5, 4]), 0.3
    held = {"between": 0, "total": 0}
    for _ in range(50):
        effects = SPREAD * np.sqrt(share) * random.standard_normal((4, 1))
        values = 0.5 + effects + SPREAD * np.sqrt(1 - share) * random.standard_normal((4, 3))
        found = decompose(values, n_test=0, n_train=1, level=0.8)
        held["between"] += found.between.low <= share * SPREAD**2 <= found.between.high
        held["total"] += found.total.low <= SPREAD**2 <= found.total.high
    told = over_splits(4, 3, share, seed=5, experiments=50, level=0.8)
    assert {name: told[name] * 50 for name in held} == pytest.approx(held)


def test_the_same_seed_gives_the_same_coverage_and_a_lower_level_less():
    told = over_splits(5, 2, 0.5, seed=1, experiments=300)
    assert told == over_splits(5, 2, 0.5, seed=1, experiments=300)
    less = over_splits(5, 2, 0.5, seed=1, experiments=300, level=0.8)
    assert all(less[name] < told[name] for name in told)
