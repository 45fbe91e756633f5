"""The Score of patients who have something in common: to be read, and not tested.

Nobody was drawn by sex, age or diagnosis, groups overlap, and with so many of them some differ by
chance: what stands here may raise a question and answers none.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from respire.evaluation.assess import Decided
from respire.metrics import overall
from respire.statistics.intervals import no_interval, over_patients

AGE_BANDS = {"under 18": (0, 18), "18 to 64": (18, 65), "65 and over": (65, 200)}
"""In years, from and below."""


@dataclass(frozen=True, kw_only=True)
class Subgroup(Decided):
    """Test cycles of patients, or of a place, that have something in common, and their Score."""

    what: str
    group: str
    cycles: int
    patients: int
    interval: tuple[float, float]


@dataclass(frozen=True)
class Subgroups:
    """Those with patients enough for an interval, and why others are not told."""

    shown: Sequence[Subgroup]
    left_out: Mapping[str, str]


def subgroups(
    predictions: pd.DataFrame, patients: pd.DataFrame, locations: Mapping[str, str], classes: int
) -> Subgroups:
    """The Score by sex, age band, chest location and diagnosis.

    Args:
        predictions: decided (evaluation/decided.py), a row a cycle, with columns patient,
            recording, label and predicted.
        patients: indexed by patient, with any of the columns sex, age (years) and diagnosis.
        locations: of each recording, its place on the chest; empty where it is not known.
        classes: number of classes C.
    """
    shown, left_out = list[Subgroup](), dict[str, str]()
    for what, of_each in _attributes(predictions, patients, locations):
        for group, rows in predictions.groupby(of_each, sort=False, observed=True):
            if (found := over_patients(rows)) is None:
                left_out[f"{what} {group}"] = no_interval(rows) or ""
                continue
            shown.append(
                Subgroup(
                    **overall(rows, classes).fractions,
                    what=what,
                    group=str(group),
                    cycles=len(rows),
                    patients=found.patients,
                    interval=found.score,
                )
            )
    return Subgroups(shown, left_out)


def _attributes(
    predictions: pd.DataFrame, patients: pd.DataFrame, locations: Mapping[str, str]
) -> Iterator[tuple[str, pd.Series]]:
    """What is known of each row: the attribute's name, and the row's group or nothing."""
    who = predictions["patient"]
    if "sex" in patients:
        yield "sex", who.map(patients["sex"])
    if "age" in patients:
        bands, age = pd.Series(index=who.index, dtype=object), who.map(patients["age"])
        for band, (start, end) in AGE_BANDS.items():
            bands[(age >= start) & (age < end)] = band
        yield "age", bands
    if locations:
        yield "location", predictions["recording"].map(locations)
    if "diagnosis" in patients:
        yield "diagnosis", who.map(patients["diagnosis"])
