"""The split by recording: as published code draws it, sharing patients, and stamped."""

import random
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from respire.data.corpora.corpus import open_corpus
from respire.data.splits.split import SIDES, Cut
from respire.errors import InputError

REAL = Path(__file__).resolve().parents[4] / "shared/data/icbhi"


def catalogue(patients: list[int]) -> pd.DataFrame:
    """So many recordings of each patient, each of two cycles."""
    return pd.DataFrame(
        [
            {
                "recording": f"{101 + patient}_{session}b1_Al_sc_Meditron",
                "patient": 101 + patient,
                "device": "Meditron",
                "cycle": cycle,
                "label": cycle,
            }
            for patient, count in enumerate(patients)
            for session in range(1, count + 1)
            for cycle in range(2)
        ]
    )


@given(st.lists(st.integers(1, 9), min_size=4, max_size=12), st.integers(0, 50), st.integers(0, 50))
def test_every_recording_is_on_one_side_as_the_published_draw_puts_it(patients, outer, inner):
    cycles = catalogue(patients)
    names = sorted(set(cycles["recording"]))
    split = Cut("by-recording", outer, inner).on(cycles)
    assert sorted(name for side in SIDES for name in getattr(split, side)) == names
    random.Random(outer + 1).shuffle(names)
    assert set(split.test) == set(names[round(0.6 * len(names)) :])
    assert len(split.validation) == round(0.2 * round(0.6 * len(names)))
    assert split.stamps == ("recordings of one patient are on both sides",)


def test_the_inner_seed_says_who_is_in_validation_and_the_order_of_cycles_nothing():
    cycles = catalogue([9] * 6)
    a, b = (Cut("by-recording", 0, inner).on(cycles) for inner in (0, 1))
    assert a.test == b.test
    assert a.validation != b.validation
    shuffled = cycles.sample(frac=1, random_state=np.random.RandomState(0))
    assert Cut("by-recording").on(shuffled) == a
    assert not set(Cut("by-recording", validation=False).on(cycles).validation)


def test_patients_that_are_not_drawn_are_not_stratified():
    with pytest.raises(InputError, match="--split by-recording does not"):
        Cut("by-recording", stratify=True)


@pytest.mark.skipif(not REAL.exists(), reason=f"no recordings at {REAL}")
def test_icbhi_is_cut_as_three_published_scores_were():
    cycles = open_corpus(str(REAL)).cycles
    split = Cut("by-recording", validation=False).on(cycles)
    told = split.describe(cycles)
    assert [told[side]["recordings"] for side in ("train", "test")] == [552, 368]
    assert [told[side]["cycles"] for side in ("train", "test")] == [4213, 2685]
    patients = {side: {split.patients[name] for name in getattr(split, side)} for side in SIDES}
    assert len(patients["test"]) == 93
    assert len(patients["test"] & patients["train"]) == 76
