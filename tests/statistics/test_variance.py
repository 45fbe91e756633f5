import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from respire.statistics.variance import HALF_WIDTH, Decomposition, Estimate, decompose

COMPONENTS = ("mean", "between", "within", "total", "share")
VARIANCES = ("between", "within", "total")


def results(
    seed: int, splits: int, seeds: int, between: float, within: float, experiments: int = 1
) -> np.ndarray:
    """Results about .6, [experiments, splits, seeds], of these standard deviations."""
    random = np.random.default_rng(seed)
    split = between * random.standard_normal((experiments, splits, 1))
    return 0.6 + split + within * random.standard_normal((experiments, splits, seeds))


def analysed(values: np.ndarray, **options: float) -> Decomposition:
    """Decomposed for a fifth of the patients tested."""
    return decompose(values, **{"n_test": 25, "n_train": 100, **options})


def ends(estimate: Estimate) -> tuple[float, float, float]:
    return estimate.value, estimate.low, estimate.high


tables = st.builds(
    lambda seed, splits, seeds, between: results(seed, splits, seeds, between, 0.02)[0],
    st.integers(0, 10**6),
    st.integers(2, 10),
    st.integers(2, 5),
    st.sampled_from([0, 0.01, 0.05]),
)


@given(tables)
def test_estimates_are_those_of_sums_by_hand_and_of_scipys_analysis_of_variance(values):
    found = analysed(values)
    splits, seeds = values.shape
    grand = sum(map(sum, values)) / values.size
    s1 = sum(seeds * (sum(row) / seeds - grand) ** 2 for row in values) / (splits - 1)
    s2 = sum((x - sum(row) / seeds) ** 2 for row in values for x in row) / (splits * (seeds - 1))
    f = stats.f_oneway(*values).statistic
    assert f == pytest.approx(s1 / s2)
    assert found.mean.value == pytest.approx(grand)
    assert found.within.value == pytest.approx(s2)
    assert found.between.value == pytest.approx(max(0, s1 - s2) / seeds)
    assert found.total.value == pytest.approx((s1 - s2) / seeds + s2)
    assert found.share.value == pytest.approx(max(0, (f - 1) / (f - 1 + seeds)))


@given(tables, st.sampled_from([0.8, 0.9, 0.95, 0.99]))
def test_the_split_is_said_to_matter_just_where_the_f_test_says_so(values, level):
    found = analysed(values, level=level)
    significant = stats.f_oneway(*values).pvalue < (1 - level) / 2
    assert (found.between.low > 1e-12) == (found.share.low > 1e-9) == significant


@given(tables)
def test_exact_intervals_leave_a_fortieth_on_either_side(values):
    found = analysed(values)
    splits, seeds = values.shape
    n1, n2 = splits - 1, splits * (seeds - 1)
    f = stats.f_oneway(*values).statistic
    for end, tail in (("low", stats.chi2.sf), ("high", stats.chi2.cdf)):
        truth = getattr(found.within, end)
        assert tail(n2 * found.within.value / truth, n2) == pytest.approx(0.025)
    for end, tail in (("low", stats.f.sf), ("high", stats.f.cdf)):
        truth = getattr(found.share, end)
        if truth > 0:
            ratio = 1 + seeds * truth / (1 - truth)
            assert tail(f / ratio, n1, n2) == pytest.approx(0.025)
    t = stats.ttest_1samp(values.mean(axis=1), 0).confidence_interval()
    assert (found.mean.low, found.mean.high) == pytest.approx((t.low, t.high))


def modified_large_sample(s1: float, s2: float, splits: int, seeds: int) -> dict[str, list[float]]:
    """Burdick and Graybill (1992) as they print it, F with infinite degrees of freedom included."""
    n1, n2, infinite = splits - 1, splits * (seeds - 1), 1e12

    def f(tail: float, *n: float) -> float:
        return stats.f.isf(tail, *n)

    g1, g2 = (1 - 1 / f(0.025, n, infinite) for n in (n1, n2))
    h1, h2 = (1 / f(0.975, n, infinite) - 1 for n in (n1, n2))
    low, high = f(0.975, n1, n2), f(0.025, n1, n2)
    g12 = ((high - 1) ** 2 - g1**2 * high**2 - h2**2) / high
    h12 = ((1 - low) ** 2 - h1**2 * low**2 - g2**2) / low
    v_low = g1**2 * s1**2 + h2**2 * s2**2 + g12 * s1 * s2
    v_high = h1**2 * s1**2 + g2**2 * s2**2 + h12 * s1 * s2
    w_low = g1**2 * s1**2 + g2**2 * (seeds - 1) ** 2 * s2**2
    w_high = h1**2 * s1**2 + h2**2 * (seeds - 1) ** 2 * s2**2
    total = s1 + (seeds - 1) * s2
    return {
        "between": [(s1 - s2 - math.sqrt(v_low)) / seeds, (s1 - s2 + math.sqrt(v_high)) / seeds],
        "total": [(total - math.sqrt(w_low)) / seeds, (total + math.sqrt(w_high)) / seeds],
    }


@given(tables)
def test_large_sample_intervals_are_those_printed_by_burdick_and_graybill(values):
    found = analysed(values)
    splits, seeds = values.shape
    s2 = values.var(axis=1, ddof=1).mean()
    s1 = s2 * stats.f_oneway(*values).statistic
    for name, printed in modified_large_sample(s1, s2, splits, seeds).items():
        estimate = getattr(found, name)
        expected = np.maximum(printed, 0)
        np.testing.assert_allclose([estimate.low, estimate.high], expected, 1e-5, 1e-9)


def test_without_spread_within_splits_the_variance_between_them_has_the_chi_square_interval():
    means = np.random.default_rng(0).normal(0.6, 0.03, 9)
    found = analysed(np.repeat(means[:, None], 3, axis=1))
    variance = means.var(ddof=1)
    exact = 8 * variance / stats.chi2.isf([0.025, 0.975], 8)
    for name in ("between", "total"):
        assert ends(getattr(found, name)) == pytest.approx((variance, *exact))
    assert ends(found.within) == (0, 0, 0)
    assert ends(found.share) == (1, 1, 1)


@pytest.mark.parametrize(
    ("between", "within"), [(0.01, 0.03), (0.03, 0.02), (0.03, 0.003)], ids=str
)
@pytest.mark.parametrize(("splits", "seeds"), [(3, 2), (8, 3)], ids=str)
def test_on_known_components_each_interval_holds_the_truth_as_often_as_promised(
    splits, seeds, between, within
):
    total = between**2 + within**2
    truth = dict(
        zip(COMPONENTS, (0.6, between**2, within**2, total, between**2 / total), strict=True)
    )
    experiments = 2000
    held = dict.fromkeys(COMPONENTS, 0)
    for values in results(1, splits, seeds, between, within, experiments):
        found = analysed(values)
        for name, true in truth.items():
            held[name] += getattr(found, name).low <= true <= getattr(found, name).high
    for name in COMPONENTS:  # large-sample intervals are a little cautious
        assert 0.935 < held[name] / experiments < 0.975, name


def test_without_a_split_component_the_interval_misses_zero_on_one_side_only():
    values = results(2, 8, 2, 0, 0.02, 3000)
    held = np.mean([analysed(experiment).between.low == 0 for experiment in values])
    assert held == pytest.approx(0.975, abs=0.009)


@pytest.mark.parametrize(("between", "within"), [(0, 0.02), (0.01, 0.03), (0.03, 0.01)], ids=str)
def test_over_many_experiments_within_and_total_are_unbiased(between, within):
    found = [analysed(values) for values in results(3, 5, 3, between, within, 4000)]
    for name, true in (("within", within**2), ("total", between**2 + within**2)):
        estimates = [getattr(one, name).value for one in found]
        standard_error = np.std(estimates) / np.sqrt(len(estimates))
        assert np.mean(estimates) == pytest.approx(true, abs=3.5 * standard_error), name


def test_between_is_unbiased_but_for_what_is_cut_off_at_zero():
    found = [analysed(values) for values in results(4, 5, 3, 0.05, 0.01, 4000)]
    estimates = [one.between.value for one in found]
    assert np.mean(estimates) == pytest.approx(
        0.05**2, abs=3.5 * np.std(estimates) / np.sqrt(len(estimates))
    )
    nothing = [analysed(values).between.value for values in results(4, 5, 3, 0, 0.01, 500)]
    assert min(nothing) == 0
    assert np.mean(nothing) > 0.1 * 0.01**2


def test_splits_alike_but_for_their_seeds_have_no_variance_between_them():
    values = np.tile([0.5, 0.6, 0.7], (4, 1))
    found = analysed(values)
    assert (found.between.value, found.between.low) == (0, 0)
    assert (found.share.value, found.share.low) == (0, 0)
    assert found.within.value == pytest.approx(0.01)
    assert found.total.value == pytest.approx(0.01 * 2 / 3)


@pytest.mark.parametrize("value", [0, 0.1, 0.7, 1])
def test_where_all_results_are_the_same_everything_is_a_point_and_the_share_undefined(value):
    found = analysed(np.full((5, 3), value))
    assert ends(found.mean) == pytest.approx((value, value, value))
    for name in (*VARIANCES, "single_half_width"):
        assert ends(getattr(found, name)) == (0, 0, 0)
    assert found.share is None
    assert found.plan.this_data_set.value == found.plan.new_patients.high == 1


def test_degrees_of_freedom_are_those_of_the_mean_square_that_limits():
    found = analysed(results(0, 3, 2, 0.02, 0.02)[0])
    degrees = {name: getattr(found, name).degrees_of_freedom for name in COMPONENTS}
    assert degrees == {"mean": 2, "between": 2, "within": 3, "total": 2, "share": 2}


@given(tables, st.floats(-0.2, 0.2))
def test_a_shift_of_all_results_moves_the_mean_and_nothing_else(values, shift):
    found, shifted = analysed(values), analysed(values + shift)
    assert ends(shifted.mean) == pytest.approx(tuple(end + shift for end in ends(found.mean)))
    for name in (*VARIANCES, "share", "single_half_width"):
        assert ends(getattr(shifted, name)) == pytest.approx(
            ends(getattr(found, name)), rel=1e-6, abs=1e-12
        )


@given(tables, st.floats(0.01, 1.2))
def test_results_scaled_scale_means_by_as_much_variances_by_its_square_and_no_share(values, by):
    found, scaled = analysed(values), analysed(values * by)
    powers = dict.fromkeys(VARIANCES, 2) | {"mean": 1, "single_half_width": 1, "share": 0}
    for name, power in powers.items():
        assert ends(getattr(scaled, name)) == pytest.approx(
            tuple(end * by**power for end in ends(getattr(found, name))), rel=1e-6, abs=1e-12
        )


@given(tables, st.integers(0, 10**6))
def test_neither_the_order_of_splits_nor_that_of_seeds_within_them_matters(values, seed):
    random = np.random.default_rng(seed)
    other = random.permuted(values[random.permutation(len(values))], axis=1)
    found, permuted = analysed(values), analysed(other)
    for name in (*COMPONENTS, "single_half_width"):
        assert ends(getattr(permuted, name)) == pytest.approx(
            ends(getattr(found, name)), rel=1e-6, abs=1e-12
        )


def test_seeds_exchanged_between_splits_do_matter():
    values = results(5, 6, 3, 0.05, 0.005)[0]
    shuffled = np.random.default_rng(0).permuted(values, axis=0)
    assert analysed(shuffled).share.value < 0.5 < analysed(values).share.value


@given(tables, st.floats(0.8, 0.99), st.floats(0.8, 0.99))
def test_estimates_lie_in_their_intervals_and_a_higher_level_is_no_narrower(values, one, other):
    narrow, wide = (analysed(values, level=level) for level in sorted((one, other)))
    for name in ("mean", *VARIANCES, "share"):
        inner, outer = getattr(narrow, name), getattr(wide, name)
        assert outer.low <= inner.low + 1e-12
        assert inner.high <= outer.high + 1e-12
        assert inner.low - 1e-12 <= inner.value <= inner.high + 1e-12


def test_a_single_result_lies_within_its_half_width_of_the_average_as_often_as_promised():
    found = analysed(results(6, 2000, 3, 0.03, 0.02)[0])
    apart = results(7, 40_000, 1, 0.03, 0.02) - 0.6
    assert np.mean(np.abs(apart) < found.single_half_width.value) == pytest.approx(0.95, abs=0.01)


@pytest.mark.parametrize(("between", "within"), [(0.05, 0.0), (0.03, 0.03), (0.01, 0.05)])
def test_of_few_splits_too_where_1_96_would_be_too_narrow(between, within):
    random, held = np.random.default_rng(0), np.zeros(2)
    for values in results(8, 6, 2, between, within, experiments=1500):
        found = analysed(values)
        new = 0.6 + random.normal(0, math.hypot(between, within))
        reach = np.array([found.single_half_width.value, 1.96 * found.total.root().value])
        held += abs(new - 0.6) < reach
    with_t, with_normal = held / 1500
    assert 0.94 < with_t < 0.97
    assert with_normal < with_t - 0.01


def test_where_seeds_say_all_or_nothing_satterthwaites_degrees_are_the_splits_or_all():
    splits = results(9, 8, 1, 0.03, 0)[0]
    apart = analysed(np.repeat(splits, 3, axis=1))
    t = apart.single_half_width.value / apart.total.root().value
    assert t == pytest.approx(stats.t.ppf(0.975, 7))


def test_as_many_splits_as_planned_know_the_average_to_a_point_and_one_fewer_do_not():
    values = results(8, 12, 3, 0.03, 0.02)[0]
    found = analysed(values)
    needed = found.plan.this_data_set.value
    variance = found.between.value + found.within.value
    half_widths = [1.959964 * math.sqrt(variance / splits) for splits in (needed - 1, needed)]
    assert half_widths[1] <= HALF_WIDTH < half_widths[0]


def test_the_average_of_as_many_splits_as_planned_is_within_a_point_as_often_as_promised():
    plan = analysed(results(9, 2000, 3, 0.03, 0.02)[0]).plan
    averages = results(10, plan.this_data_set.value, 1, 0.03, 0.02, 10_000).mean(axis=(1, 2))
    assert np.mean(np.abs(averages - 0.6) < HALF_WIDTH) == pytest.approx(0.95, abs=0.012)


def test_for_new_patients_too_where_splits_correlate_by_the_share_of_patients_tested():
    n_test, n_train, spread = 5, 95, 0.02
    plan = analysed(results(11, 3000, 2, spread, 1e-6)[0], n_test=n_test, n_train=n_train).plan
    splits = plan.new_patients.value
    assert splits > plan.this_data_set.value
    random = np.random.default_rng(0)
    # results of variance spread^2 among splits, correlated by .05 over data sets
    common = spread * math.sqrt(n_test / n_train) * random.standard_normal((10_000, 1))
    averages = (common + spread * random.standard_normal((10_000, splits))).mean(axis=1)
    assert np.mean(np.abs(averages) < HALF_WIDTH) == pytest.approx(0.95, abs=0.012)


def test_for_new_patients_a_fifth_tested_leaves_a_half_width_that_no_number_of_splits_gets_below():
    found = analysed(results(12, 12, 3, 0.03, 0.02)[0])
    assert found.plan.new_patients.value is None
    assert found.plan.new_patients.high is None
    least = found.plan.least_half_width.value
    assert least == pytest.approx(1.959964 * found.total.root().value / 2)
    assert least > HALF_WIDTH
    assert found.plan.this_data_set.value is not None


@given(tables, st.floats(1, 40))
def test_new_patients_take_as_many_splits_at_least_and_are_out_of_reach_just_below_the_least(
    values, n_test
):
    plan = analysed(values, n_test=n_test).plan
    for end in ("value", "low", "high"):
        here, new = getattr(plan.this_data_set, end), getattr(plan.new_patients, end)
        assert here >= 1
        assert (new is None) == (getattr(plan.least_half_width, end) >= HALF_WIDTH)
        assert new is None or new >= here


def test_no_conclusion_under_eight_splits():
    enough = [analysed(results(0, splits, 2, 0.02, 0.02)[0]).conclusive for splits in (2, 7, 8, 9)]
    assert enough == [False, False, True, True]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.full((1, 5), 0.5), r"values \(1, 5\) must be \[splits, seeds\], at least 2 of each"),
        (np.full((5, 1), 0.5), r"\(5, 1\)"),
        (np.full(5, 0.5), r"\(5,\)"),
        (np.array([[0.5, 0.6], [0.5, np.nan]]), r"1 missing, the first in row 1 .* column 1 "),
        (np.array([[0.5, np.inf], [0.5, np.nan]]), r"2 missing, the first in row 0 "),
        (np.array([[50.1, 60.2], [55.3, 58.4]]), "60.2 is no fraction"),
    ],
)
def test_what_cannot_be_decomposed_is_refused_with_the_place(values, message):
    with pytest.raises(ValueError, match=message):
        analysed(values)


@pytest.mark.parametrize("options", [{"n_test": -1}, {"n_train": 0}, {"n_test": math.nan}], ids=str)
def test_a_plan_without_patients_is_refused_by_name(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        analysed(results(0, 3, 2, 0.02, 0.02)[0], **options)


@pytest.mark.parametrize("values", [results(13, 9, 2, 0.02, 0.02)[0], np.full((2, 2), 0.5)])
def test_a_decomposition_survives_strict_json(values):
    found = analysed(values)
    stored = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert stored == found.to_json()
    assert stored["conclusive"] is found.conclusive
    for name in VARIANCES:
        deviation = stored["standard_deviations"][name]
        for end in ("value", "low", "high"):
            assert deviation[end] ** 2 == pytest.approx(stored[name][end])
