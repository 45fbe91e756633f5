import json
import math
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from respire.data.corpora.icbhi_format import DEVICES
from respire.statistics.composition import (
    LARGEST,
    by_patient,
    composition,
    correlate,
    shares,
)
from respire.statistics.thresholds import POINTS_FOR_CORRELATION

NORMAL, BOTH = 0, 3
Row = tuple[int, str, int]

sides = st.lists(
    st.tuples(st.integers(101, 112), st.sampled_from(DEVICES), st.integers(0, 3)),
    min_size=1,
    max_size=80,
)


def frame(rows: Sequence[Row]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["patient", "device", "label"])


@settings(max_examples=60)
@given(sides)
def test_sizes_and_shares_are_those_counted_cycle_by_cycle(rows: list[Row]) -> None:
    counts: dict[Any, int] = dict.fromkeys([*DEVICES, *range(4)], 0)
    of_patient: dict[int, int] = {}
    for patient, device, label in rows:
        counts[device] += 1
        counts[label] += 1
        of_patient[patient] = of_patient.get(patient, 0) + 1
    largest = sorted(of_patient.values())[-5:]
    assert composition(frame(rows), DEVICES) == pytest.approx(
        {
            "cycles": len(rows),
            "patients": len(of_patient),
            "both_cycles": counts[BOTH],
            "normal": counts[NORMAL] / len(rows),
            "both": counts[BOTH] / len(rows),
            "largest": sum(largest) / len(rows),
            **{device: counts[device] / len(rows) for device in DEVICES},
        }
    )


@settings(max_examples=40)
@given(sides, st.randoms())
def test_the_order_of_cycles_does_not_matter_and_devices_share_all_of_them(rows, random) -> None:
    made_of = composition(frame(rows), DEVICES)
    random.shuffle(rows)
    assert composition(frame(rows), DEVICES) == made_of
    assert sum(made_of[device] for device in DEVICES) == pytest.approx(1)
    assert all(0 <= made_of[share] <= 1 for share in shares(DEVICES))
    assert json.loads(json.dumps(made_of, allow_nan=False)) == made_of


def test_devices_without_cycles_have_a_share_of_nothing() -> None:
    made_of = composition(frame([(101, "Meditron", 1), (102, "Meditron", 3)]), DEVICES)
    shares = {device: made_of[device] for device in DEVICES}
    assert shares == {"AKGC417L": 0, "Meditron": 1, "LittC2SE": 0, "Litt3200": 0}


@pytest.mark.parametrize("patients", range(1, 9))
def test_up_to_five_patients_are_the_largest_five_and_more_are_not(patients: int) -> None:
    rows = [(101 + p, "Meditron", 0) for p in range(patients) for _ in range(p + 1)]
    cycles = range(1, patients + 1)
    assert LARGEST == 5
    assert composition(frame(rows), DEVICES)["largest"] == sum(cycles[-5:]) / sum(cycles)
    assert (composition(frame(rows), DEVICES)["largest"] == 1) == (patients <= 5)


def splits(seed: int, number: int, slope: float) -> tuple[list[float], list[float]]:
    """Scores about .6 of splits and a share of their test sides that goes with them."""
    random = np.random.default_rng(seed)
    shares = random.random(number)
    scores = 0.6 + 0.05 * (slope * shares + random.standard_normal(number))
    return scores.tolist(), shares.tolist()


@given(
    st.builds(splits, st.integers(0, 10**6), st.integers(4, 30), st.sampled_from([-9, -1, 0, 3])),
    st.sampled_from([0.8, 0.95, 0.99]),
)
def test_correlations_are_scipys_with_fishers_interval_by_hand(drawn, level: float) -> None:
    scores, shares = drawn
    found = correlate(scores, shares, level)
    assert found is not None
    reference = stats.pearsonr(scores, shares)
    assert found.splits == len(scores)
    assert (found.r, found.p) == pytest.approx((reference.statistic, reference.pvalue))
    assert found.r == pytest.approx(np.corrcoef(scores, shares)[0, 1])
    reach = stats.norm.isf((1 - level) / 2) / math.sqrt(len(scores) - 3)
    z = math.atanh(found.r)
    assert (found.low, found.high) == pytest.approx((math.tanh(z - reach), math.tanh(z + reach)))


def test_the_interval_is_of_95_percent_unless_told() -> None:
    scores, shares = splits(seed=0, number=10, slope=1)
    assert correlate(scores, shares) == correlate(scores, shares, 0.95)
    assert correlate(scores, shares) != correlate(scores, shares, 0.9)


def test_about_a_twentieth_of_intervals_miss_a_correlation_that_is_not_there() -> None:
    found = [correlate(*splits(seed, number=10, slope=0)) for seed in range(600)]
    missed = sum(c is not None and not c.low <= 0 <= c.high for c in found)
    assert stats.binomtest(missed, len(found), 0.05).pvalue > 0.001


@given(st.integers(0, 10**6), st.floats(0.01, 100), st.floats(-1000, 1000))
def test_units_do_not_change_a_correlation_and_turning_one_round_turns_it(seed, scale, shift):
    scores, shares = splits(seed, number=8, slope=2)
    found = correlate(scores, shares)
    rescaled = correlate(scores, [scale * share + shift for share in shares])
    turned = correlate(scores, [-share for share in shares])
    assert found is not None
    assert rescaled is not None
    assert turned is not None
    assert asdict(rescaled) == pytest.approx(asdict(found), rel=1e-4, abs=1e-4)
    assert (turned.r, turned.low, turned.high, turned.p) == pytest.approx(
        (-found.r, -found.high, -found.low, found.p)
    )


@pytest.mark.parametrize("number", range(POINTS_FOR_CORRELATION + 2))
def test_fewer_than_four_splits_have_no_correlation(number: int) -> None:
    assert (correlate(*splits(0, number, slope=1)) is None) == (number < 4)


def test_what_does_not_differ_has_no_correlation() -> None:
    assert correlate([0.6] * 5, [1, 2, 3, 4, 5]) is None
    assert correlate([1, 2, 3, 4, 5], [0.6] * 5) is None
    assert correlate([0.6] * 5, [0.3] * 5) is None


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize("number", [4, 5, 10])
@pytest.mark.parametrize("step", [1, 0.1, 1 / 3])
def test_a_perfect_correlation_has_an_interval_of_numbers(sign, number, step) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = correlate([step * i for i in range(number)], [sign * i for i in range(number)])
    assert found is not None
    assert (found.r, found.low, found.high) == pytest.approx((sign, sign, sign), abs=1e-4)
    assert -1 <= found.low <= found.r <= found.high <= 1
    assert found.p == pytest.approx(0, abs=1e-6)
    json.dumps(asdict(found), allow_nan=False)


def test_the_form_for_json_holds_every_number_as_it_is() -> None:
    found = correlate(*splits(seed=3, number=7, slope=1))
    assert found is not None
    assert json.loads(json.dumps(asdict(found), allow_nan=False)) == {
        "splits": 7,
        "r": found.r,
        "low": found.low,
        "high": found.high,
        "p": found.p,
    }


def predictions(seed: int, patients: int, training_seeds: int) -> pd.DataFrame:
    """Predictions for recordings of one or two devices, as spread pools them over seeds."""
    random = np.random.default_rng(seed)
    rows = []
    for patient in range(101, 101 + patients):
        devices = random.choice(DEVICES, size=random.integers(1, 3), replace=False)
        for number in range(random.integers(1, 4)):
            device = random.choice(devices)
            name = f"{patient}_{number}b1_Al_sc_{device}"
            for cycle, label in enumerate(random.integers(0, 4, random.integers(1, 6))):
                rows += [
                    (f"{s}:{name}", patient, device, cycle, label, random.integers(0, 4))
                    for s in range(training_seeds)
                ]
    columns = ["recording", "patient", "device", "cycle", "label", "predicted"]
    return pd.DataFrame(rows, columns=columns).sample(frac=1, random_state=seed)


def patients_by_hand(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """What each patient brings, from sets of cycles and lists of hits."""
    found = []
    for patient in set(rows["patient"]):
        devices, labels, hits = set(), {}, []
        for row in rows[rows["patient"] == patient].itertuples():
            devices.add(row.device)
            labels[row.recording.split(":")[-1], row.cycle] = row.label
            hits.append(row.label == row.predicted)
        found.append(
            {
                "patient": patient,
                "devices": "+".join(sorted(devices)),
                "cycles": len(labels),
                "abnormal": sum(label != NORMAL for label in labels.values()) / len(labels),
                "recognised": sum(hits) / len(hits),
            }
        )
    return sorted(found, key=lambda row: (-row["cycles"], row["patient"]))


@settings(max_examples=50)
@given(st.integers(0, 10**6), st.integers(1, 8), st.integers(1, 4))
def test_patients_bring_what_is_counted_by_hand(seed, patients, training_seeds) -> None:
    rows = predictions(seed, patients, training_seeds)
    found = by_patient(rows).to_dict("records")
    expected = patients_by_hand(rows)
    assert [list(row) for row in found] == [list(row) for row in expected]
    assert found == [pytest.approx(row) for row in expected]


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.floats(0.3, 1))
def test_cycles_that_only_some_seeds_have_are_counted_once_too(seed: int, kept: float) -> None:
    rows = predictions(seed, patients=5, training_seeds=3).sample(frac=kept, random_state=seed)
    assert by_patient(rows).to_dict("records") == list(map(pytest.approx, patients_by_hand(rows)))


@pytest.mark.parametrize("seed", range(5))
def test_more_training_seeds_do_not_bring_more_cycles(seed: int) -> None:
    several = predictions(seed, patients=6, training_seeds=3)
    one = several[several["recording"].str.startswith("1:")]
    alone = one.assign(recording=one["recording"].str.removeprefix("1:"))
    columns = ["patient", "devices", "cycles", "abnormal"]
    pd.testing.assert_frame_equal(by_patient(several)[columns], by_patient(one)[columns])
    pd.testing.assert_frame_equal(by_patient(one), by_patient(alone))
    assert by_patient(alone)["cycles"].sum() == len(alone)


def test_recordings_of_one_name_in_two_corpora_are_two() -> None:
    rows = pd.DataFrame(
        [
            (f"{seed}:{corpus}:visit", f"{corpus}:1", "Eko", cycle, cycle, 0)
            for seed in (0, 1)
            for corpus in ("east", "west")
            for cycle in (0, 1)
        ],
        columns=["recording", "patient", "device", "cycle", "label", "predicted"],
    )
    assert by_patient(rows)["cycles"].tolist() == [2, 2]


def test_a_patient_on_two_devices_is_one_row_with_both_named() -> None:
    rows = pd.DataFrame(
        [
            ("102_1b1_Al_sc_Litt3200", 102, "Litt3200", 0, 0, 0),
            ("101_1b1_Al_sc_Meditron", 101, "Meditron", 0, 0, 1),
            ("101_1b1_Al_sc_Meditron", 101, "Meditron", 1, 3, 3),
            ("101_1b1_Al_sc_AKGC417L", 101, "AKGC417L", 0, 1, 2),
        ],
        columns=["recording", "patient", "device", "cycle", "label", "predicted"],
    )
    assert by_patient(rows).values.tolist() == [
        [101, "AKGC417L+Meditron", 3, pytest.approx(2 / 3), pytest.approx(1 / 3)],
        [102, "Litt3200", 1, 0.0, 1.0],
    ]
