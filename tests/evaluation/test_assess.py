import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import recall_score

from respire.evaluation.assess import (
    LABELS,
    NAMES,
    assess,
    described,
    described_by_device,
    values,
)
from respire.statistics.intervals import bootstrap, no_interval


def predictions(patients: int, seed: int = 0) -> pd.DataFrame:
    """Ten cycles a patient, of all four classes, half of them recognised."""
    random = np.random.default_rng(seed)
    label = np.tile([0, 0, 0, 0, 1, 1, 2, 2, 3, 3], patients)
    guess = random.integers(4, size=len(label))
    predicted = np.where(random.random(len(label)) < 0.5, label, guess)
    patient = np.repeat(np.arange(patients), 10)
    return pd.DataFrame({"patient": patient, "label": label, "predicted": predicted})


@given(st.integers(1, 30), st.integers(0, 1000))
def test_values_are_recalls_of_normal_and_of_abnormal_cycles_by_their_class(patients, seed):
    rows = predictions(patients, seed)
    measured = values(rows, 4)
    sp = recall_score(rows["label"], rows["predicted"], labels=[0], average="micro")
    se = recall_score(rows["label"], rows["predicted"], labels=[1, 2, 3], average="micro")
    assert measured == pytest.approx({"se": se, "sp": sp, "score": (se + sp) / 2})


def test_measures_stand_in_the_order_of_tables_each_with_its_interval_over_patients():
    rows = predictions(25)
    measures = assess(rows, 4, seed=3)
    found = bootstrap(rows, 3)
    assert found is not None
    assert [measure.name for measure in measures] == list(NAMES) == ["se", "sp", "score"]
    assert [measure.label for measure in measures] == list(LABELS.values())
    assert {measure.name: measure.value for measure in measures} == values(rows, 4)
    assert [measure.interval for measure in measures] == [found.se, found.sp, found.score]
    assert all(m.n == 250 and m.more_is_better and m.why_no_interval == "" for m in measures)


def test_too_few_patients_have_no_interval_and_the_measures_say_why():
    rows = predictions(9)
    for measure in assess(rows, 4, seed=0):
        assert measure.interval is None
        assert measure.why_no_interval == no_interval(rows) != ""


def test_what_cannot_be_had_is_nan_in_values_and_beside_the_rest_in_results():
    rows = predictions(3).query("label > 0")
    assert math.isnan(values(rows, 4)["sp"])
    assert math.isnan(values(rows, 4)["score"])
    stored = described(rows, 4)
    assert stored["n"] == len(rows)
    assert np.sum(stored["confusion"]) == len(rows)
    assert stored["se"] == values(rows, 4)["se"]


@given(st.integers(1, 10), st.randoms(use_true_random=False))
def test_devices_add_up_to_all_cycles(patients, random):
    rows = predictions(patients)
    rows["device"] = [random.choice(["AKGC417L", "Litt3200"]) for _ in range(len(rows))]
    devices = described_by_device(rows, 4)
    assert list(devices) == sorted(rows["device"].unique())
    confusions = [np.array(of_device["confusion"]) for of_device in devices.values()]
    np.testing.assert_array_equal(sum(confusions), np.array(described(rows, 4)["confusion"]))
