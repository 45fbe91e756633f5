import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from respire.statistics.mean_squares import MeanSquares
from respire.statistics.thresholds import LEVEL


@given(st.integers(0, 10**6), st.integers(2, 10), st.integers(2, 5), st.sampled_from([0, 0.05]))
def test_a_split_averaged_over_more_seeds_never_varies_more(seed, splits, seeds, between):
    random = np.random.default_rng(seed)
    values = between * random.standard_normal((splits, 1))
    values = 0.6 + values + 0.02 * random.standard_normal((splits, seeds))
    squares = MeanSquares.of(values, LEVEL)
    for fewer, more in pairwise(squares.split_average(n) for n in (1, 2, 3, 5, 8, math.inf)):
        assert more.value <= fewer.value + 1e-15


def test_where_splits_differ_less_than_their_seeds_twice_the_seeds_halve_all_variance():
    values = np.array([[0.5, 0.6, 0.7], [0.51, 0.61, 0.71], [0.52, 0.6, 0.7]])
    squares = MeanSquares.of(values, LEVEL)
    assert squares.split_average(math.inf).value == 0
    least = [squares.split_average(seeds).value for seeds in (3, 6, 12)]
    assert least[0] > 0
    assert [least[0] / half for half in least] == pytest.approx([1, 2, 4])
