"""Calibration, against scikit-learn and probabilities that are true by construction."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from respire.statistics.calibration import brier, expected_calibration_error, reliability


def told(seed: int, n: int = 300, decimals: int = 2) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    p = random.beta(0.7, 0.9, n).round(decimals)
    return p, random.random(n) < p**1.5


@settings(max_examples=15)
@given(st.integers(0, 10**6), st.integers(2, 15))
def test_bins_are_scikit_learns_quantile_bins_and_hold_every_case_once(seed, bins):
    p, happened = told(seed)
    share, said = calibration_curve(happened, p, n_bins=bins, strategy="quantile")
    found = reliability(p, happened, bins)
    np.testing.assert_allclose([b.said for b in found], said)
    np.testing.assert_allclose([b.happened for b in found], share)
    assert sum(b.n for b in found) == len(p)
    expected = sum(b.n * abs(h - s) for b, h, s in zip(found, share, said, strict=True)) / len(p)
    assert expected_calibration_error(p, happened, bins) == pytest.approx(expected)


def test_bins_are_of_equal_mass_and_the_order_of_cases_does_not_matter():
    p, happened = told(1, n=1000, decimals=12)
    assert {b.n for b in reliability(p, happened)} == {100}
    order = np.random.default_rng(0).permutation(1000)
    p, happened = told(2, n=1000, decimals=1)
    np.testing.assert_allclose(reliability(p[order], happened[order]), reliability(p, happened))


def test_probabilities_that_are_true_have_hardly_any_error_and_doubled_ones_have():
    random = np.random.default_rng(3)
    p = random.random(50_000) / 2
    happened = random.random(50_000) < p
    assert expected_calibration_error(p, happened) < 0.01
    assert expected_calibration_error(2 * p, happened) == pytest.approx(0.25, abs=0.01)


@settings(max_examples=15)
@given(st.integers(0, 10**6))
def test_the_brier_score_is_scikit_learns(seed):
    p, happened = told(seed)
    assert brier(p, happened) == pytest.approx(brier_score_loss(happened, p))


def test_without_cases_or_probabilities_nothing_is_defined():
    nobody, nothing = np.array([]), np.array([], bool)
    assert np.isnan(expected_calibration_error(nobody, nothing))
    assert np.isnan(brier(nobody, nothing))
    missing = np.array([0.5, np.nan])
    assert reliability(missing, missing > 0) == []
    assert np.isnan(expected_calibration_error(missing, missing > 0))
    assert np.isnan(brier(missing, missing > 0))
