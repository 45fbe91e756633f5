import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from respire.metrics import overall
from respire.statistics.coverage import of_differences
from respire.statistics.intervals import difference_over_patients, no_interval, over_patients
from respire.statistics.paired import ROPE, Comparison, compare, differences

FRACTIONS = ("se", "sp", "score")
A_FIFTH = {"n_test": 25, "n_train": 100}
NO_OVERLAP = {"n_test": 0, "n_train": 100}

splits = st.builds(
    lambda seed, splits, mean, spread: np.random.default_rng(seed).normal(mean, spread, splits),
    st.integers(0, 10**6),
    st.integers(2, 20),
    st.floats(-0.1, 0.1),
    st.sampled_from([0.003, 0.01, 0.05]),
)


def probabilities(found: Comparison) -> tuple[float, float, float]:
    return found.posterior.a_better, found.posterior.equal, found.posterior.b_better


@given(splits)
def test_without_overlap_the_corrected_test_is_the_ordinary_t_test(d):
    found, reference = compare(d, **NO_OVERLAP), stats.ttest_1samp(d, 0)
    corrected = found.new_patients
    assert corrected.statistic == pytest.approx(reference.statistic)
    assert corrected.p == pytest.approx(reference.pvalue)
    assert corrected.degrees_of_freedom == reference.df
    interval = reference.confidence_interval()
    assert (corrected.low, corrected.high) == pytest.approx((interval.low, interval.high))
    assert found.this_data_set == pytest.approx((interval.low, interval.high))


@given(splits, st.sampled_from([0.5, 0.95]))
def test_overlap_widens_the_interval_for_new_patients_and_not_that_of_this_data_set(d, level):
    found, ordinary = compare(d, **A_FIFTH, level=level), compare(d, **NO_OVERLAP, level=level)
    assert found.this_data_set == ordinary.this_data_set
    wide, narrow = found.new_patients, ordinary.new_patients
    by = math.sqrt((1 / len(d) + 1 / 4) / (1 / len(d)))
    assert wide.high - wide.low == pytest.approx(by * (narrow.high - narrow.low))
    assert wide.statistic == pytest.approx(narrow.statistic / by)
    assert wide.p >= narrow.p


def test_an_example_worked_by_hand():
    found = compare(np.array([0.02, 0.04, 0.06]), n_test=20, n_train=80)
    scale = 0.02 * math.sqrt(1 / 3 + 1 / 4)
    assert (found.mean, found.standard_deviation) == pytest.approx((0.04, 0.02))
    assert found.new_patients.statistic == pytest.approx(0.04 / scale)
    assert found.new_patients.degrees_of_freedom == 2
    assert found.new_patients.low == pytest.approx(0.04 - 4.302653 * scale)
    assert found.new_patients.high == pytest.approx(0.04 + 4.302653 * scale)
    # with two degrees of freedom t is distributed as 1/2 + t / 2 sqrt(2 + t^2)
    t = 0.04 / scale
    assert found.new_patients.p == pytest.approx(1 - t / math.sqrt(2 + t**2))
    t = (0.04 - ROPE) / scale
    assert found.posterior.a_better == pytest.approx(0.5 + t / math.sqrt(2 + t**2) / 2)


@pytest.mark.parametrize(("seed", "mean"), [(0, 0.0), (1, 0.012), (2, -0.03)])
def test_probabilities_are_those_of_brute_force_draws_from_the_posterior(seed, mean):
    random = np.random.default_rng(seed)
    d = random.normal(mean, 0.015, 8)
    found = compare(d, **A_FIFTH)
    # mean and variance drawn under the prior 1 / sigma^2 from the model itself: s^2 estimates
    # (1 - rho) sigma^2, and the mean of 8 has variance (rho + (1 - rho) / 8) sigma^2
    rho, draws = 25 / 125, 400_000
    sigma2 = 7 * d.var(ddof=1) / random.chisquare(7, draws) / (1 - rho)
    mu = random.normal(d.mean(), np.sqrt((rho + (1 - rho) / 8) * sigma2))
    shares = ((mu > ROPE).mean(), (np.abs(mu) <= ROPE).mean(), (mu < -ROPE).mean())
    assert probabilities(found) == pytest.approx(shares, abs=0.004)
    assert found.posterior.scale * math.sqrt(7 / 5) == pytest.approx(mu.std(), rel=0.01)
    interval = (found.new_patients.low, found.new_patients.high)
    assert interval == pytest.approx(tuple(np.quantile(mu, [0.025, 0.975])), abs=4e-4)


def test_probabilities_are_those_of_a_grid_over_the_likelihood_of_correlated_normals():
    d, rho = np.array([0.03, 0.01, 0.025, -0.005, 0.02]), 0.2
    correlation = (1 - rho) * np.eye(5) + rho
    precision = np.linalg.inv(correlation)
    mu = np.linspace(-0.4, 0.4, 8001)
    apart = d - mu[:, None]
    square = np.einsum("mi,ij,mj->m", apart, precision, apart)
    log_sigma = np.linspace(math.log(1e-3), math.log(1), 600)[:, None]
    # prior 1 / sigma^2 of sigma^2, that is flat in log sigma
    weight = np.exp(-5 * log_sigma - square / (2 * np.exp(2 * log_sigma)))
    marginal = weight.sum(axis=0) / weight.sum()
    shares = (marginal[mu > ROPE].sum(), marginal[mu < -ROPE].sum())
    found = compare(d, n_test=20, n_train=80).posterior
    assert (found.a_better, found.b_better) == pytest.approx(shares, abs=0.003)


@given(splits)
def test_a_and_b_exchanged_mirror_everything(d):
    found, mirrored = compare(d, **A_FIFTH), compare(-d, **A_FIFTH)
    assert probabilities(mirrored) == probabilities(found)[::-1]
    assert mirrored.mean == -found.mean
    assert mirrored.standard_deviation == found.standard_deviation
    one, other = found.new_patients, mirrored.new_patients
    assert (other.statistic, other.p) == (-one.statistic, one.p)
    assert (other.low, other.high) == (-one.high, -one.low)
    assert mirrored.this_data_set == (-found.this_data_set[1], -found.this_data_set[0])


@given(splits)
def test_probabilities_are_three_shares_of_one(d):
    shares = probabilities(compare(d, **A_FIFTH))
    assert all(0 <= share <= 1 for share in shares)
    assert sum(shares) == pytest.approx(1)


@given(splits, st.integers(0, 10**6))
def test_the_order_of_splits_does_not_matter(d, seed):
    other = np.random.default_rng(seed).permutation(d)
    found, permuted = compare(d, **A_FIFTH), compare(other, **A_FIFTH)
    assert probabilities(permuted) == pytest.approx(probabilities(found), abs=1e-9)
    for end in ("low", "high", "p"):
        expected = getattr(found.new_patients, end)
        assert getattr(permuted.new_patients, end) == pytest.approx(expected, abs=1e-9)


@given(splits, st.floats(0.001, 0.1))
def test_the_better_a_is_everywhere_the_likelier_it_is_better(d, by):
    assert compare(d + by, **A_FIFTH).posterior.a_better >= compare(d, **A_FIFTH).posterior.a_better


@given(splits, st.floats(0.5, 0.99))
def test_the_interval_leaves_out_0_just_where_p_is_below_its_level(d, level):
    found = compare(d, **A_FIFTH, level=level).new_patients
    assert (found.low > 0 or found.high < 0) == (found.p < 1 - level)


@pytest.mark.parametrize(
    ("difference", "shares", "statistic", "p"),
    [
        (0.1, (1, 0, 0), math.inf, 0),
        (-0.1, (0, 0, 1), -math.inf, 0),
        (0.0, (0, 1, 0), 0, 1),
        (ROPE, (0, 1, 0), math.inf, 0),
        (-ROPE, (0, 1, 0), -math.inf, 0),
    ],
)
@pytest.mark.parametrize("n", [2, 3, 10])
def test_where_all_differences_are_the_same_the_posterior_is_a_point(
    difference, shares, statistic, p, n
):
    found = compare(np.full(n, difference), **A_FIFTH)
    assert probabilities(found) == shares
    assert found.posterior.scale == found.standard_deviation == 0
    assert (found.new_patients.statistic, found.new_patients.p) == (statistic, p)
    assert found.this_data_set == (difference, difference)
    stored = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert stored["new_patients"]["statistic"] == (None if math.isinf(statistic) else statistic)


def test_a_comparison_survives_strict_json():
    found = compare(np.linspace(-0.01, 0.03, 9), n_test=np.int64(25), n_train=np.int64(101))
    stored = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert stored == found.to_json()
    assert stored["conclusive"] is True
    assert stored["posterior"]["rope"] == ROPE


def test_no_conclusion_under_eight_splits():
    enough = [compare(np.arange(n) / 100, **A_FIFTH).conclusive for n in (2, 7, 8)]
    assert enough == [False, False, True]


def test_differences_average_the_seeds_of_each_split():
    a = np.array([[0.6, 0.7], [0.5, 0.5]])
    b = np.array([[0.5, 0.6, 0.7], [0.2, 0.3, 0.4]])
    np.testing.assert_allclose(differences(a, b), [0.05, 0.2])


@pytest.mark.parametrize(
    ("shape_a", "shape_b"), [((3, 2), (4, 2)), ((3,), (3,)), ((3, 2), (3,))], ids=str
)
def test_differences_over_other_splits_are_refused(shape_a, shape_b):
    with pytest.raises(ValueError, match="of the same splits"):
        differences(np.zeros(shape_a), np.zeros(shape_b))


@pytest.mark.parametrize(
    ("d", "sizes", "message"),
    [
        ([0.1], A_FIFTH, r"differences \(1,\) must be \[splits\], at least 2"),
        ([[0.1, 0.2]], A_FIFTH, r"differences \(1, 2\)"),
        ([0.1, np.nan, 0.2], A_FIFTH, "row 1 .* is missing"),
        ([1, 10.2], A_FIFTH, "10.2 is no difference of fractions"),
        ([0.1, 0.2], {"n_test": -1, "n_train": 100}, "n_test -1"),
        ([0.1, 0.2], {"n_test": 25, "n_train": 0}, "n_train 0 above 0"),
        ([0.1, 0.2], {"n_test": 25, "n_train": math.nan}, "n_train nan above 0"),
    ],
)
def test_what_cannot_be_compared_is_refused_by_name(d, sizes, message):
    with pytest.raises(ValueError, match=message):
        compare(np.array(d), **sizes)


@pytest.mark.parametrize("level", [0.8, 0.95])
@pytest.mark.parametrize("n", [3, 8, 20])
def test_at_the_assumed_correlation_the_corrected_interval_covers_as_promised(n, level):
    covered = of_differences(n, 0.2, **A_FIFTH, seed=0, level=level)
    assert covered == pytest.approx(level, abs=4 * math.sqrt(level * (1 - level) / 20_000))


@settings(max_examples=30)
@given(st.integers(2, 20), st.floats(0, 0.9), st.floats(0, 40), st.integers(0, 1000))
def test_simulated_coverage_is_that_of_a_scaled_student_variable(n, correlation, n_test, seed):
    assumed = 1 / n + n_test / 100
    true = 1 / n + correlation / (1 - correlation)
    t = stats.t.isf(0.025, n - 1) * math.sqrt(assumed / true)
    exact = 1 - 2 * stats.t.sf(t, n - 1)
    covered = of_differences(n, correlation, n_test=n_test, n_train=100, seed=seed)
    assert covered == pytest.approx(exact, abs=0.018)


def test_the_ordinary_interval_covers_less_the_more_overlapping_splits_there_are():
    covered = [of_differences(n, 0.2, **NO_OVERLAP, seed=0) for n in (3, 8, 20, 50)]
    assert covered == sorted(covered, reverse=True)
    assert covered[1] < 0.8
    assert covered[3] < 0.45


def test_simulated_coverage_is_that_of_a_loop_over_compare():
    random = np.random.default_rng(0)
    common, own = random.standard_normal((1500, 1)), random.standard_normal((1500, 8))
    d = 0.02 + 0.01 * (math.sqrt(0.4) * common + math.sqrt(0.6) * own)
    tests = [compare(row, **A_FIFTH).new_patients for row in d]
    held = np.mean([test.low <= 0.02 <= test.high for test in tests])
    assert of_differences(8, 0.4, **A_FIFTH, seed=1) == pytest.approx(held, abs=0.035)


@pytest.mark.parametrize(("n", "correlation"), [(1, 0.2), (8, 1.0), (8, -0.1)])
def test_coverage_is_not_simulated_for_impossible_experiments(n, correlation):
    with pytest.raises(ValueError, match="splits of correlation"):
        of_differences(n, correlation, **A_FIFTH, seed=0)


def pair(seed: int, patients: int, gain: float = 0.1) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Two models' predictions of the same cycles; A is right where B is, and ``gain`` more often.

    Some patients have as many cycles as others, and other hits.
    """
    random = np.random.default_rng(seed)
    frames = []
    for patient in range(patients):
        label = np.concatenate([[0, 1], random.integers(4, size=random.integers(2, 6))])
        rate = random.beta(2, 2, size=2)[(label != 0).astype(int)]
        chance = random.random(len(label))
        wrong = (label + 1) % 4
        frames.append(
            pd.DataFrame(
                {
                    "recording": f"{100 + patient}_{patient % 2}",
                    "cycle": np.arange(len(label)),
                    "patient": 100 + patient,
                    "label": label,
                    "a": np.where(chance < rate + gain, label, wrong),
                    "b": np.where(chance < rate, label, wrong),
                }
            )
        )
    both = pd.concat(frames, ignore_index=True)
    a, b = (both.assign(predicted=both[model]).drop(columns=["a", "b"]) for model in "ab")
    return a, b


def test_differences_of_patients_are_those_of_a_loop_that_leaves_out_each():
    a, b = pair(0, 12)
    found = difference_over_patients(a, b, level=0.9)

    def apart(name, kept):
        one, other = (getattr(overall(model[kept], 4), name) for model in (a, b))
        return one - other

    for name in FRACTIONS:
        difference = getattr(found, name)
        without = np.array([apart(name, a["patient"] != patient) for patient in range(100, 112)])
        error = np.sqrt(11 / 12 * ((without - without.mean()) ** 2).sum())
        value = apart(name, a["patient"] > 0)
        low, high = stats.t.interval(0.9, 11, value, error)
        assert (difference.value, difference.scale) == pytest.approx((value, error))
        assert (difference.low, difference.high) == pytest.approx((low, high))
    assert (found.level, found.patients) == (0.9, 12)


@settings(max_examples=15)
@given(st.integers(0, 10**6), st.integers(10, 16))
def test_models_exchanged_mirror_their_difference(seed, patients):
    a, b = pair(seed, patients)
    found, mirrored = difference_over_patients(a, b), difference_over_patients(b, a)
    for name in FRACTIONS:
        one, other = getattr(found, name), getattr(mirrored, name)
        assert (other.value, other.low, other.high) == pytest.approx(
            (-one.value, -one.high, -one.low)
        )


@settings(max_examples=15)
@given(st.integers(0, 10**6))
def test_the_order_of_rows_does_not_matter_nor_that_they_differ(seed):
    a, b = pair(seed, 12)
    shuffled = [model.sample(frac=1, random_state=seed + n) for n, model in enumerate((a, b))]
    assert difference_over_patients(*shuffled) == difference_over_patients(a, b)


def test_a_model_differs_from_itself_by_nothing_at_all():
    a, _ = pair(1, 12)
    found = difference_over_patients(a, a)
    for name in FRACTIONS:
        difference = getattr(found, name)
        assert (difference.value, difference.low, difference.high) == (0, 0, 0)


def test_against_a_model_that_is_always_wrong_the_difference_is_the_model_itself():
    a, _ = pair(2, 40)
    found = difference_over_patients(a, a.assign(predicted=-1))
    alone = over_patients(a)
    for name in FRACTIONS:
        difference = getattr(found, name)
        assert (difference.low, difference.high) == pytest.approx(getattr(alone, name))


def test_leaving_out_the_same_patients_of_both_is_narrower_than_one_by_one():
    a, b = pair(3, 40, gain=0.05)
    paired = difference_over_patients(a, b).score
    alone = [np.ptp(over_patients(model).score) for model in (a, b)]
    assert paired.high - paired.low < 0.6 * math.hypot(*alone)


@pytest.mark.parametrize(("patients", "least"), [(10, 0.85), (40, 0.9)])
def test_the_interval_over_patients_holds_the_expected_difference_nearly_as_often_as_promised(
    patients, least
):
    # A is right wherever B is and, independently, in a tenth of the other cases: were the hit
    # rates' mean 1/2 everywhere, A would gain .05
    random = np.random.default_rng(0)
    a, _ = pair(5, patients)
    held, sides = 0, 120
    label = a["label"].to_numpy()
    index = a["patient"].to_numpy() - 100, (label != 0).astype(int)
    for _ in range(sides):
        hit = random.random(len(a)) < random.beta(2, 2, size=(patients, 2))[index]
        more = hit | (random.random(len(a)) < 0.1)
        models = [a.assign(predicted=np.where(right, label, -1)) for right in (more, hit)]
        score = difference_over_patients(*models).score
        held += score.low <= 0.05 <= score.high
    assert least < held / sides < 0.985


def test_few_patients_get_no_interval():
    a, b = pair(0, 9)
    assert no_interval(a) is not None
    assert difference_over_patients(a, b) is None
    assert difference_over_patients(*(model.iloc[:0] for model in (a, b))) is None
    assert difference_over_patients(*pair(0, 10)) is not None


def spoilt(predictions: pd.DataFrame, column: str) -> pd.DataFrame:
    """The same but for one value in row 3 (cycle 3 of 100_0)."""
    other = predictions.copy()
    other.loc[3, column] += 1
    return other


@pytest.mark.parametrize(
    ("change_a", "change_b", "message"),
    [
        (
            None,
            lambda b: b.drop(3),
            "cycles in A and not in B: 1, the first cycle 3 of recording 100_0",
        ),
        (lambda a: a.drop([0, 3]), None, "cycles in B and not in A: 2, the first cycle 0 of"),
        (lambda a: pd.concat([a, a[3:4]]), None, "cycles twice in A: 1, the first cycle 3 of"),
        (None, lambda b: pd.concat([b, b[3:5]]), "cycles twice in B: 2, the first cycle 3 of"),
        (None, lambda b: spoilt(b, "label"), "of another label in A and B: 1, .* cycle 3 of"),
        (lambda a: spoilt(a, "patient"), None, "of another patient in A and B: 1, "),
    ],
    ids=["less in B", "less in A", "twice in A", "twice in B", "label", "patient"],
)
def test_predictions_of_other_cycles_are_refused_with_the_first_that_differs(
    change_a, change_b, message
):
    models = [
        change(model) if change else model
        for change, model in zip((change_a, change_b), pair(0, 12), strict=True)
    ]
    with pytest.raises(ValueError, match=message):
        difference_over_patients(*models)


def test_a_difference_of_patients_survives_strict_json():
    found = difference_over_patients(*pair(6, 12))
    stored = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert stored == found.to_json()
    assert stored.keys() == {"level", "patients", *FRACTIONS}
