"""Who ICBHI 2017's patients are: age, sex, BMI and diagnosis, from two files that may be there.

``demographic_info.txt`` has a row a patient: number, age in years, sex, BMI of an adult, weight in
kg and height in cm of a child. ``patient_diagnosis.csv`` has number and diagnosis. No number that a
run learns from or is tested on follows from them, so they are no part of the data's fingerprint.
"""

from typing import Any

import pandas as pd

from respire.data.corpora.icbhi_format import rows
from respire.errors import InputError

DEMOGRAPHICS = "demographic_info.txt"
DIAGNOSES = "patient_diagnosis.csv"
_UNKNOWN = "NA"


def parse_demographics(text: str, where: str) -> pd.DataFrame:
    """Age in years float64, sex "F" or "M", BMI in kg/m² float64 (adults), indexed by patient.

    Raises:
        InputError: a row is malformed or names a patient a second time.
    """
    people: dict[int, dict[str, Any]] = {}
    for row, columns in rows(text):
        try:
            patient, age, sex, bmi, _, _ = columns
            if int(patient) in people or sex not in ("F", "M", _UNKNOWN):
                raise ValueError
            people[int(patient)] = {"age": _number(age), "sex": _text(sex), "bmi": _number(bmi)}
        except ValueError:
            raise InputError(
                f"{where}, row {row}: expected a patient once, with age, sex (F, M), BMI, weight "
                f"and height, or NA; fetch the file again"
            ) from None
    return pd.DataFrame.from_dict(people, orient="index", columns=["age", "sex", "bmi"])


def parse_diagnoses(text: str, where: str) -> pd.DataFrame:
    """The diagnosis, indexed by patient; a first row of column names is passed over.

    Raises:
        InputError: a row is malformed or names a patient a second time.
    """
    people: dict[int, str | None] = {}
    for row, line in enumerate(text.splitlines(), start=1):
        patient, comma, diagnosis = line.partition(",")
        if not line.strip() or (row == 1 and not patient.strip().isdecimal()):
            continue
        if not (comma and patient.strip().isdecimal()) or int(patient) in people:
            raise InputError(
                f"{where}, row {row}: expected a patient once, a comma and a diagnosis; "
                f"fetch the file again"
            )
        people[int(patient)] = _text(diagnosis.strip())
    return pd.DataFrame.from_dict(people, orient="index", columns=["diagnosis"])


PARSERS = {DEMOGRAPHICS: parse_demographics, DIAGNOSES: parse_diagnoses}
"""By the file's name."""


def _number(text: str) -> float | None:
    return None if text == _UNKNOWN else float(text)


def _text(text: str) -> str | None:
    return None if text in ("", _UNKNOWN) else text
