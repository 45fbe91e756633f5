import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from respire.experiments.search.objective import gain

scores = st.lists(st.floats(0, 1), min_size=1, max_size=6)


@given(scores, scores)
def test_the_gain_is_the_mean_of_the_differences_on_the_same_splits(ours, default):
    if len(ours) > len(default):
        with pytest.raises(ValueError, match="splits of"):
            gain(ours, default)
        return
    apart = [a - b for a, b in zip(ours, default, strict=False)]
    assert gain(ours, default) == pytest.approx(sum(apart) / len(apart), abs=1e-12)


def test_an_easy_split_is_no_gain():
    default = [0.7, 0.4, 0.5]
    stopped_after_the_easy_one, equal_everywhere = [0.69], [0.7, 0.4, 0.5]
    assert gain(stopped_after_the_easy_one, default) < gain(equal_everywhere, default)


def test_caution_takes_standard_errors_off_from_two_splits_on():
    ours, default = [0.6, 0.5, 0.55], [0.5, 0.5, 0.5]
    apart = np.array([0.1, 0.0, 0.05])
    error = apart.std(ddof=1) / math.sqrt(3)
    assert gain(ours, default, caution=2) == pytest.approx(apart.mean() - 2 * error)
    assert gain(ours[:1], default, caution=2) == pytest.approx(0.1)


def test_a_score_that_is_none_is_refused_and_not_averaged_away():
    with pytest.raises(ValueError, match="without a Score"):
        gain([0.5, float("nan")], [0.5, 0.5])
    with pytest.raises(ValueError, match="0 splits of 2"):
        gain([], [0.5, 0.5])
