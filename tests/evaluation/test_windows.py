"""What a window truly holds, and its Score beside that of cycles, against brute force."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from respire.evaluation.windows import compare_windows, truth_of_windows
from respire.labels import CLASSES, UNKNOWN
from respire.metrics import overall

SETS = [set(), {"crackle"}, {"wheeze"}, {"crackle", "wheeze"}]
"""Of the four classes, what is heard."""


def table(seed: int, recordings: int = 5) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Windows and cycles of some recordings, on a grid so coarse that sides meet midpoints."""
    random = np.random.default_rng(seed)

    def made(count: int) -> pd.DataFrame:
        start_s = random.integers(0, 20, count) / 2
        return pd.DataFrame(
            {
                "recording": random.choice([f"r{n}" for n in range(recordings)], count),
                "start_s": start_s,
                "end_s": start_s + random.integers(1, 8, count) / 2,
                "label": random.integers(0, 4, count),
            }
        )

    return made(30).drop(columns="label"), made(40)


@given(st.integers(0, 10_000))
def test_a_window_holds_all_that_cycles_hold_whose_midpoint_lies_in_it(seed: int) -> None:
    windows, cycles = table(seed)
    truth = truth_of_windows(windows, cycles, "4-class")
    two = truth_of_windows(windows, cycles, "2-class")
    for number, window in enumerate(windows.itertuples()):
        within = [
            SETS[cycle.label]
            for cycle in cycles.itertuples()
            if cycle.recording == window.recording
            and window.start_s <= (cycle.start_s + cycle.end_s) / 2 <= window.end_s
        ]
        union = SETS.index(set().union(*within)) if within else UNKNOWN
        assert truth[number] == union
        assert two[number] == min(union, 1)


def judged(label: np.ndarray, patients: np.ndarray, seed: int) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    right = random.random(len(label)) < 0.5
    return pd.DataFrame(
        {
            "recording": [f"r{patient}" for patient in patients],
            "patient": patients,
            "label": label,
            "predicted": np.where(right, label, random.integers(0, 4, len(label))),
        }
    )


def test_windows_are_scored_beside_cycles_and_both_are_without_the_same_patient() -> None:
    random = np.random.default_rng(0)
    patients = np.arange(14).repeat(12)
    cycles = judged(random.integers(0, 4, len(patients)), patients, 1)
    sides = np.arange(14).repeat(7)
    windows = judged(random.integers(-1, 4, len(sides)), sides, 2)
    told = compare_windows(windows, cycles, 4, window_s=7.0)
    true = windows[windows["label"] >= 0]
    assert told.without_cycle == (windows["label"] == UNKNOWN).sum()
    assert told.recordings == 14

    def gain(without: int | None = None) -> float:
        (a, b) = (overall(of[of["patient"] != without], 4).score for of in (true, cycles))
        return a - b

    assert told.windows["score"] - told.cycles["score"] == pytest.approx(gain())
    of_each = np.array([gain(patient) for patient in range(14)])
    scale = np.sqrt(13 / 14 * ((of_each - of_each.mean()) ** 2).sum())
    assert told.difference is not None
    score = told.difference["score"]
    assert score["value"] == pytest.approx(gain())
    assert score["scale"] == pytest.approx(scale)
    # 2.160 is Student's t at 13 degrees of freedom.
    assert score["high"] - score["value"] == pytest.approx(2.1604 * scale, rel=1e-4)


def test_too_few_patients_have_scores_without_an_interval() -> None:
    label = np.tile([0, 1, 2], 9)
    rows = judged(label, np.arange(9).repeat(3), 3)
    told = compare_windows(rows, rows, len(CLASSES["4-class"]), window_s=7.0)
    assert told.difference is None
    assert "9, fewer than 10" in told.no_interval
    assert told.windows == told.cycles
