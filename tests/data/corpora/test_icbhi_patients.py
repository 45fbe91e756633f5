from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from respire.data.corpora import icbhi
from respire.data.corpora.corpus import open_corpus
from respire.data.corpora.icbhi_patients import (
    DEMOGRAPHICS,
    DIAGNOSES,
    parse_demographics,
    parse_diagnoses,
)
from respire.errors import InputError

REAL = Path(__file__).resolve().parents[4] / "shared/data/icbhi"


def test_demographics_are_read_as_they_are_written() -> None:
    told = parse_demographics("\n101 3 F NA 19 99\n226 4.5 M 23.1 NA NA\r\n9 NA NA NA NA NA\n", "f")
    assert told.index.tolist() == [101, 226, 9]
    assert told["age"].tolist()[:2] == [3, 4.5]
    assert told["sex"].tolist()[:2] == ["F", "M"]
    assert told["bmi"].isna().tolist() == [True, False, True]
    assert told.loc[9].isna().all()


@pytest.mark.parametrize(
    "row", ["101 3 F NA 19", "A1 3 F NA 1 2", "102 x F 2 1 2", "102 3 W 2 1 2"]
)
def test_a_malformed_row_of_the_demographics_is_named(row: str) -> None:
    with pytest.raises(InputError, match=r"^info.txt, row 2: expected a patient once"):
        parse_demographics(f"101 3 F NA 19 99\n{row}\n", "info.txt")


def test_a_patient_told_twice_is_refused() -> None:
    with pytest.raises(InputError, match="row 2"):
        parse_demographics("101 3 F NA 19 99\n101 3 F NA 19 99\n", "f")
    with pytest.raises(InputError, match="row 2"):
        parse_diagnoses("101,COPD\n101,COPD\n", "f")


def test_diagnoses_are_read_with_and_without_names_of_columns() -> None:
    with_names, without = (
        parse_diagnoses(f"{head}101,URTI\n102,\n", "f") for head in ("ID,CLASS\n", "")
    )
    pd.testing.assert_frame_equal(with_names, without)
    assert with_names["diagnosis"].dropna().to_dict() == {101: "URTI"}


def test_patients_reach_the_corpus_and_change_neither_cycles_nor_fingerprint(
    corpus: Path, tmp_path: Path
) -> None:
    few = tmp_path / "few"
    few.mkdir()
    for file in sorted(corpus.glob("1*"))[:8]:
        (few / file.name).symlink_to(file)
    before = open_corpus(str(few))
    assert before.patients.empty
    assert not len(before.patients.columns)
    patient = int(before.cycles["patient"].iloc[0])
    (few / DEMOGRAPHICS).write_text(f"{patient} 61 F 25.5 NA NA\n999 3 M NA 19 99\n")
    (few / DIAGNOSES).write_text(f"{patient},COPD\n")
    after = open_corpus(str(few))
    assert after.patients.to_dict("index") == {
        patient: {"age": 61, "sex": "F", "bmi": 25.5, "diagnosis": "COPD"}
    }
    assert after.patients.index.name == "patient"
    assert after.fingerprint == before.fingerprint
    pd.testing.assert_frame_equal(after.cycles, before.cycles)


def test_a_column_without_a_value_is_left_out(tmp_path: Path) -> None:
    (tmp_path / DEMOGRAPHICS).write_text("101 3 F NA 19 99\n")
    patients, warnings = icbhi.read_patients(str(tmp_path))
    assert patients.columns.tolist() == ["age", "sex"]
    assert warnings == ()


def test_a_file_of_patients_that_cannot_be_read_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / DEMOGRAPHICS).write_text("whatever it says")
    (tmp_path / DIAGNOSES).write_text("101,COPD")
    (tmp_path / "again").mkdir()
    patients, warnings = icbhi.read_patients(str(tmp_path))
    assert patients.columns.tolist() == ["diagnosis"]
    assert len(warnings) == 1
    assert f"{DEMOGRAPHICS}, row 1" in warnings[0]
    (tmp_path / "again" / DIAGNOSES).write_text("101,Asthma")
    assert "differ" in icbhi.read_patients(str(tmp_path))[1][1]


@pytest.mark.skipif(not REAL.exists(), reason=f"no recordings at {REAL}")
def test_the_real_patients_are_the_published_ones() -> None:
    patients, warnings = icbhi.read_patients(str(REAL))
    assert warnings == ()
    assert len(patients) == 126
    assert patients["diagnosis"].value_counts()["COPD"] == 64
    assert patients["sex"].value_counts().to_dict() == {"M": 79, "F": 46}
    assert (patients["age"].min(), patients["age"].max()) == (0.25, 93)
    assert np.isnan(patients.loc[101, "bmi"])
