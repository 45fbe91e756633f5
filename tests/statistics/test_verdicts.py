"""Verdicts, Holm's correction and power, against statsmodels and simulation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower
from statsmodels.stats.weightstats import DescrStatsW

from respire.statistics.verdicts import Estimated, detectable, holm, pooled_sd, verdicts

p_values = st.lists(st.floats(1e-6, 1), min_size=1, max_size=8)


@settings(max_examples=8)
@given(p_values)
def test_adjusted_p_are_statsmodels_and_levels_reject_just_what_holm_rejects(p):
    reject, adjusted, *_ = multipletests(p, alpha=0.05, method="holm")
    found = holm(p)
    np.testing.assert_allclose([q for _, q in found], adjusted)
    for one, rejected, (level, q) in zip(p, reject, found, strict=True):
        if abs(q - 0.05) > 1e-9:
            assert (one < 1 - level) == rejected


@settings(max_examples=25)
@given(p_values.filter(lambda p: len(p) > 1), st.integers(3, 30))
def test_adjusted_intervals_exclude_0_where_the_adjusted_p_is_small(p, df):
    contrasts = {
        str(n): Estimated(float(stats.t.isf(one / 2, df)) * 0.05, 0.05, df)
        for n, one in enumerate(p)
    }
    for told in verdicts(contrasts).values():
        if abs(told.adjusted_p - 0.05) > 1e-9:
            assert (told.low > 0 or told.high < 0) == (told.adjusted_p < 0.05)
            assert told.word == ("better" if told.adjusted_p < 0.05 else "undecided")
        if abs(told.p - 0.05) > 1e-9:
            assert (told.one_look[0] > 0 or told.one_look[1] < 0) == (told.p < 0.05)


def test_the_primary_contrast_is_tested_by_itself_and_costs_the_others_nothing():
    p = {"asked": 0.04, "one": 0.02, "two": 0.03}
    contrasts = {
        name: Estimated(-float(stats.t.isf(of / 2, 9)) * 0.02, 0.02, 9) for name, of in p.items()
    }
    told = verdicts(contrasts, primary="asked")
    assert told["asked"].adjusted_p == pytest.approx(0.04)
    assert (told["asked"].word, told["asked"].primary) == ("worse", True)
    assert told["one"].adjusted_p == pytest.approx(0.04)
    assert told["two"].adjusted_p == pytest.approx(0.04)
    alone = verdicts(contrasts)
    assert [alone[name].word for name in p] == ["undecided"] * 3


@pytest.mark.parametrize("mean", [0.0, 0.004, 0.02])
def test_equivalent_is_what_two_one_sided_tests_at_5_percent_say(mean):
    random = np.random.default_rng(0)
    for scale in (0.002, 0.01, 0.03):
        d = mean + scale * random.standard_normal(12)
        told = verdicts({"": Estimated(d.mean(), stats.sem(d), 11)})[""]
        p, *_ = DescrStatsW(d).ttost_mean(-0.01, 0.01)
        assert (told.word == "equivalent") == (p < 0.05)


def test_equivalent_comes_before_better():
    sure = verdicts({"": Estimated(0.005, 0.001, 30)})[""]
    assert sure.low > 0
    assert sure.word == "equivalent"


def test_differences_that_are_all_the_same_are_decided():
    assert verdicts({"": Estimated(0.0, 0.0, 4)})[""].word == "equivalent"
    assert verdicts({"": Estimated(-0.02, 0.0, 4)})[""].word == "worse"


@pytest.mark.parametrize("n", [3, 8, 17, 65])
def test_what_is_detected_is_what_statsmodels_solves_for(n):
    expected = 0.029 * TTestPower().solve_power(nobs=n, alpha=0.05, power=0.8)
    assert detectable(0.029, n) == pytest.approx(expected, rel=1e-3)


def test_two_points_take_about_17_splits_and_one_point_about_65():
    assert detectable(0.029, 17) == pytest.approx(0.02, abs=0.0015)
    assert detectable(0.029, 65) == pytest.approx(0.01, abs=0.0005)


def test_a_difference_of_that_size_is_found_four_times_in_five():
    random = np.random.default_rng(0)
    d = detectable(0.03, 8) + 0.03 * random.standard_normal((4000, 8))
    found = stats.ttest_1samp(d, 0, axis=1)
    assert np.mean((found.pvalue < 0.05) & (found.statistic > 0)) == pytest.approx(0.8, abs=0.02)


def test_for_new_patients_more_splits_help_ever_less():
    few, many = (detectable(0.03, n, shared=0.25) for n in (8, 5000))
    assert many == pytest.approx(0.03 * 0.5 * (1.96 + 0.8416), rel=1e-3)
    assert detectable(0.03, 8) < few


def test_the_pooled_sd_is_that_of_samples_about_their_own_means():
    random = np.random.default_rng(1)
    samples = [random.normal(mean, 0.03, 6) for mean in (0, 0.1, -0.2)]
    expected = np.sqrt(np.mean([sample.var(ddof=1) for sample in samples]))
    assert pooled_sd(samples) == pytest.approx(expected)
    assert pooled_sd([*samples, [0.1], [0.1, np.nan]]) == pytest.approx(expected)
    assert pooled_sd([[0.1], []]) is None
