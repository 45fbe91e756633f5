import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from respire.metrics import overall
from respire.statistics import coverage
from respire.statistics.coverage import simulated_sides
from respire.statistics.intervals import (
    no_interval,
    over_patients,
    standard_error,
    t_over_patients,
)

FRACTIONS = ("se", "sp", "score")


def side(seed: int, patients: int, most: int = 30, correlation: float = 0.2) -> pd.DataFrame:
    """Beta-binomial patients of 4 to ``most`` cycles, some of them of class 0 and some not.

    Every class is recognised half the time.
    """
    random = np.random.default_rng(seed)
    spread = (1 / correlation - 1) / 2
    frames = []
    for patient in range(patients):
        label = np.concatenate([[0, 1], random.integers(4, size=random.integers(2, most - 1))])
        rate = random.beta(spread, spread, size=2)[(label != 0).astype(int)]
        predicted = np.where(random.random(len(label)) < rate, label, (label + 1) % 4)
        frames.append(pd.DataFrame({"patient": patient, "label": label, "predicted": predicted}))
    return pd.concat(frames, ignore_index=True)


def tuples_of(predictions: pd.DataFrame) -> list[tuple[int, int, int, int]]:
    """Each patient's abnormal and normal cycles and hits."""
    tallies = []
    for _, cycles in predictions.groupby("patient"):
        abnormal = cycles["label"] != 0
        hit = cycles["label"] == cycles["predicted"]
        tallies.append(
            (abnormal.sum(), (~abnormal).sum(), (abnormal & hit).sum(), (~abnormal & hit).sum())
        )
    return tallies


def test_intervals_are_those_of_a_loop_that_leaves_out_each_patient():
    predictions = side(1, patients=12)
    found = over_patients(predictions, level=0.9)
    whole = overall(predictions, 4)
    without = [overall(predictions[predictions["patient"] != p], 4) for p in range(12)]
    assert (found.level, found.patients) == (0.9, 12)
    for name in FRACTIONS:
        values = np.array([getattr(scores, name) for scores in without])
        error = np.sqrt(11 / 12 * ((values - values.mean()) ** 2).sum())
        expected = stats.t.interval(0.9, 11, getattr(whole, name), error)
        assert getattr(found, name) == pytest.approx(np.clip(expected, 0, 1))


def test_the_jackknife_of_a_mean_is_the_ordinary_t_interval():
    values = np.random.default_rng(0).normal(size=15)
    without = np.array([np.delete(values, n).mean() for n in range(15)])
    assert standard_error(without) == pytest.approx(stats.sem(values))
    found = t_over_patients(values.mean(), without)
    assert found == pytest.approx(stats.t.interval(0.95, 14, values.mean(), stats.sem(values)))


def test_of_many_alike_patients_it_is_scipys_bootstrap_of_the_same_ratios():
    predictions = side(2, patients=150)
    abnormal, normal, abnormal_hits, normal_hits = np.array(tuples_of(predictions)).T

    def three(abnormal, normal, abnormal_hits, normal_hits, axis=-1):
        se = abnormal_hits.sum(axis) / abnormal.sum(axis)
        sp = normal_hits.sum(axis) / normal.sum(axis)
        return np.stack([se, sp, (se + sp) / 2])

    reference = stats.bootstrap(
        (abnormal, normal, abnormal_hits, normal_hits),
        three,
        paired=True,
        method="percentile",
        n_resamples=5_000,
        random_state=np.random.default_rng(0),
    ).confidence_interval
    found = over_patients(predictions)
    ours = np.array([getattr(found, name) for name in FRACTIONS])
    np.testing.assert_allclose(ours.T, [reference.low, reference.high], atol=0.006)


@settings(max_examples=15)
@given(st.integers(0, 10**6), st.integers(10, 20))
def test_neither_the_order_of_rows_nor_the_names_of_patients_matter(seed, patients):
    predictions = side(seed, patients, most=8)
    names = np.random.default_rng(seed).permutation([f"patient {n}" for n in range(patients)])
    other = predictions.assign(patient=names[predictions["patient"]]).sample(
        frac=1, random_state=seed
    )
    one, same = over_patients(predictions), over_patients(other)
    for name in FRACTIONS:
        assert getattr(same, name) == pytest.approx(getattr(one, name), abs=1e-12)


@settings(max_examples=15)
@given(st.integers(0, 10**6), st.floats(0.02, 0.98), st.floats(0.02, 0.98))
def test_ends_are_fractions_in_order_and_a_higher_level_is_no_narrower(seed, one, other):
    predictions = side(seed, 10, most=8, correlation=0.6)
    narrow, wide = (over_patients(predictions, level) for level in sorted((one, other)))
    for name in FRACTIONS:
        (low, high), (lower, higher) = getattr(narrow, name), getattr(wide, name)
        assert 0 <= lower <= low <= high <= higher <= 1


@pytest.mark.parametrize("seed", range(5))
def test_what_was_measured_lies_inside(seed):
    predictions = side(seed, patients=25)
    measured, found = overall(predictions, 4), over_patients(predictions)
    for name in FRACTIONS:
        low, high = getattr(found, name)
        assert low < getattr(measured, name) < high


def test_more_cycles_of_the_same_patients_that_say_the_same_narrow_nothing():
    predictions = side(3, patients=15)
    four = over_patients(pd.concat([predictions] * 4))
    assert four.score == pytest.approx(over_patients(predictions).score)


def test_patients_heard_all_right_or_all_wrong_make_it_wider_than_as_many_hits_at_random():
    predictions = side(4, patients=30, correlation=0.97)
    scattered = []
    for _, cycles in predictions.groupby("label"):
        order = np.random.default_rng(0).permutation(len(cycles))
        scattered.append(cycles.assign(predicted=cycles["predicted"].to_numpy()[order]))
    widths = [np.ptp(over_patients(p).score) for p in (predictions, pd.concat(scattered))]
    assert widths[0] > 2 * widths[1]


@pytest.mark.parametrize(
    ("predicted", "se", "sp"),
    [(lambda label: label, 1, 1), (lambda label: 0 * label, 0, 1), (lambda label: label ^ 1, 0, 0)],
    ids=["all right", "all called normal", "all wrong"],
)
def test_where_all_patients_are_alike_the_interval_is_a_point(predicted, se, sp):
    cycles = side(6, patients=12)
    found = over_patients(cycles.assign(predicted=predicted(cycles["label"])))
    assert (found.se, found.sp) == ((se, se), (sp, sp))
    assert found.score == ((se + sp) / 2, (se + sp) / 2)


def first_only_normal(predictions: pd.DataFrame, patients: int) -> pd.DataFrame:
    """The same, the first patients without their abnormal cycles."""
    return predictions[(predictions["patient"] >= patients) | (predictions["label"] == 0)]


@pytest.mark.parametrize(
    ("predictions", "reason"),
    [
        (side(0, 10).iloc[:0], "test patients: 0, fewer than 10"),
        (side(0, 1), "test patients: 1, fewer than 10"),
        (side(0, 9), "test patients: 9, fewer than 10"),
        (
            first_only_normal(side(0, 12), 12),
            "test patients with abnormal cycles: 0, fewer than 10",
        ),
        (
            first_only_normal(side(0, 40), 31),
            "test patients with abnormal cycles: 9, fewer than 10",
        ),
        (side(0, 12).query("label > 0"), "test patients with normal cycles: 0, fewer than 10"),
    ],
)
def test_few_patients_get_no_interval_but_the_reason(predictions, reason):
    assert over_patients(predictions) is None
    assert no_interval(predictions) == reason


def test_ten_patients_with_normal_and_ten_with_abnormal_cycles_are_enough():
    for predictions in (side(0, 10), first_only_normal(side(0, 40), 30)):
        assert no_interval(predictions) is None
        assert over_patients(predictions) is not None


def test_intervals_survive_strict_json():
    found = over_patients(side(8, patients=11))
    stored = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert stored == found.to_json()
    ends = {name: tuple(stored[name]) for name in FRACTIONS}
    assert replace(found, **ends) == found
    assert stored.keys() == {"level", "patients", *FRACTIONS}


def test_simulated_coverage_is_that_of_a_loop_over_the_same_sides():
    predictions = side(3, 12).sort_values(["patient", "label"])
    hits, cycles = simulated_sides(predictions, 7, sides=60)
    assert cycles.tolist() == [[n, a] for a, n, *_ in tuples_of(predictions)]
    held = 0
    for simulated in hits.swapaxes(0, 1):
        right = [
            [n < hit for n in range(of)]
            for hit, of in zip(simulated.flat, cycles.flat, strict=True)
        ]
        hit = np.concatenate(right)
        guess = np.where(hit, predictions["label"], -1)
        low, high = over_patients(predictions.assign(predicted=guess)).score
        held += low <= 0.5 <= high
    assert coverage.over_patients(predictions, 7, sides=60) == held / 60


def test_simulated_coverage_nears_its_level_with_the_number_of_patients():
    few, some, many = (coverage.over_patients(side(0, n), 0, sides=4000) for n in (10, 25, 150))
    assert 0.9 < few <= some + 0.01
    assert some > 0.93
    assert many == pytest.approx(0.95, abs=0.02)


def test_simulated_coverage_follows_the_asked_level():
    predictions = side(0, 60)
    for level in (0.5, 0.8):
        assert coverage.over_patients(predictions, 0, level=level) == pytest.approx(level, abs=0.04)


@pytest.mark.parametrize(
    "rates", [(9.5, 9.5), (0.5, 0.5), (1, 3)], ids=["correlation .05", ".5", "mean .25"]
)
def test_simulated_coverage_hardly_depends_on_the_hit_rates_assumed(rates, monkeypatch):
    predictions = side(9, 25, most=120)
    assumed = coverage.over_patients(predictions, 0)
    monkeypatch.setattr(coverage, "HIT_RATES", rates)
    assert coverage.over_patients(predictions, 0) == pytest.approx(assumed, abs=0.03)


def test_simulated_coverage_is_a_fact_about_the_patients_and_not_about_the_model():
    predictions = side(5, patients=20)
    assert coverage.over_patients(predictions, 0, sides=50) == coverage.over_patients(
        predictions.assign(predicted=0), 0, sides=50
    )
