"""Areas and operating curves, against scikit-learn and brute force."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score, roc_curve

from respire.statistics.ranking import auc, sensitivity_at


def scored(seed: int, n: int = 60, ties: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """Scores with ties, and who is positive: somebody is, and somebody is not."""
    random = np.random.default_rng(seed)
    positive = np.append([True, False], random.random(n - 2) < 0.4)
    return random.integers(ties, size=n) / ties + 0.2 * positive, positive


seeds = st.integers(0, 10**6)


@settings(max_examples=15)
@given(seeds)
def test_the_area_is_scikit_learns_and_the_share_of_pairs_in_order(seed):
    score, positive = scored(seed)
    pairs = np.subtract.outer(score[positive], score[~positive])
    assert auc(score, positive) == pytest.approx(roc_auc_score(positive, score))
    assert auc(score, positive) == pytest.approx(((pairs > 0) + (pairs == 0) / 2).mean())
    assert auc(-score, positive) == pytest.approx(1 - auc(score, positive))


@settings(max_examples=15)
@given(seeds, st.floats(0, 1))
def test_where_every_class_is_right_the_curve_is_scikit_learns(seed, specificity):
    score, positive = scored(seed)
    found = sensitivity_at(np.array([specificity]), score, positive, positive)[0]
    fpr, tpr, _ = roc_curve(positive, score, drop_intermediate=False)
    reference = [(1 - f, t) for f, t in zip(fpr, tpr, strict=True)]
    below = max(point for point in reference if point[0] <= specificity)
    above = min(
        (point for point in reference if point[0] >= specificity), key=lambda p: (p[0], -p[1])
    )
    share = (specificity - below[0]) / (above[0] - below[0]) if above[0] > below[0] else 0
    assert found == pytest.approx(below[1] + share * (above[1] - below[1]))


@settings(max_examples=15)
@given(seeds)
def test_at_a_thresholds_own_sp_it_is_what_that_threshold_recognises(seed):
    score, positive = scored(seed)
    right = np.random.default_rng(seed).random(len(score)) < 0.6
    for threshold in np.unique(score):
        called = score > threshold
        sp = (~called[~positive]).mean()
        se = (called & right)[positive].mean()
        found = sensitivity_at(np.array([sp]), score, positive, right)[0]
        best = max(
            ((score > t) & right)[positive].mean()
            for t in np.unique(score)
            if (score <= t)[~positive].mean() == sp
        )
        assert found == pytest.approx(best)
        assert found >= se


def test_infinite_scores_that_are_equal_are_one_threshold():
    score = np.array([np.inf, np.inf, -np.inf, -np.inf])
    positive = np.array([True, False, True, False])
    found = sensitivity_at(np.array([0, 0.25, 0.5, 1.0]), score, positive, positive)
    assert found == pytest.approx([1, 0.75, 0.5, 0])


@pytest.mark.parametrize("positive", [np.zeros(4, bool), np.ones(4, bool)])
def test_of_one_kind_alone_nothing_is_defined(positive):
    assert np.isnan(auc(np.arange(4.0), positive))
    assert np.isnan(sensitivity_at(np.array([0.5]), np.arange(4.0), positive, positive)).all()
    missing = np.array([0.1, np.nan, 0.2, 0.3])
    mixed = np.array([True, False, True, False])
    assert np.isnan(auc(missing, mixed))
    assert np.isnan(sensitivity_at(np.array([0.5]), missing, mixed, mixed)).all()
