"""Subgroups: who is in each, and that few are not told."""

import numpy as np
import pandas as pd
import pytest

from respire.evaluation.subgroups import AGE_BANDS, subgroups
from respire.metrics import overall
from respire.statistics.intervals import over_patients

PATIENTS = 40


def predictions() -> pd.DataFrame:
    random = np.random.default_rng(0)
    patient = np.repeat(np.arange(PATIENTS), 12)
    return pd.DataFrame(
        {
            "patient": patient,
            "recording": [f"{one}_{n % 2}" for n, one in enumerate(patient)],
            "label": np.tile([0, 1, 0, 2, 0, 0, 1, 0, 3, 0, 1, 1], PATIENTS),
            "predicted": random.integers(4, size=len(patient)),
        }
    )


PEOPLE = pd.DataFrame(
    {
        "sex": ["F", "M", None, "F"] * (PATIENTS // 4),
        "age": np.append(np.linspace(0, 90, PATIENTS - 1), np.nan),
        "diagnosis": ["COPD"] * 31 + ["URTI"] * 9,
    }
)
LOCATIONS = {f"{patient}_{n}": ("Al", "Tc")[n] for patient in range(PATIENTS) for n in range(2)}


def test_every_group_has_the_score_and_interval_of_its_own_cycles():
    rows = predictions()
    told = {(of.what, of.group): of for of in subgroups(rows, PEOPLE, LOCATIONS, 4).shown}
    sex, age = rows["patient"].map(PEOPLE["sex"]), rows["patient"].map(PEOPLE["age"])
    expected = {
        ("sex", "F"): rows[sex == "F"],
        ("sex", "M"): rows[sex == "M"],
        ("location", "Al"): rows[rows["recording"].str.endswith("_0")],
        ("location", "Tc"): rows[rows["recording"].str.endswith("_1")],
        ("diagnosis", "COPD"): rows[rows["patient"] < 31],
        **{
            ("age", band): rows[(age >= start) & (age < end)]
            for band, (start, end) in AGE_BANDS.items()
            if rows[(age >= start) & (age < end)]["patient"].nunique() >= 10
        },
    }
    assert told.keys() == expected.keys()
    for key, of in expected.items():
        found = told[key]
        assert found.score == pytest.approx(overall(of, 4).score)
        assert found.interval == pytest.approx(over_patients(of).score)
        assert (found.cycles, found.patients) == (len(of), of["patient"].nunique())


def test_fewer_than_ten_patients_are_left_out_by_name():
    told = subgroups(predictions(), PEOPLE, {}, 4)
    assert told.left_out["diagnosis URTI"] == "test patients: 9, fewer than 10"
    assert not [of for of in told.shown if of.group == "URTI"]


def test_where_nothing_is_known_of_patients_there_is_no_group():
    told = subgroups(predictions(), pd.DataFrame(), {}, 4)
    assert not told.shown
    assert not told.left_out
