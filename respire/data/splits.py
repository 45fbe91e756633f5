"""Who is in train, validation and test: always whole patients (DESIGN invariants 1 and 2).

The outer seed sets the test side apart; the inner seed cuts validation patients out of the rest.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from respire.data.icbhi import DEVICES, parse_name
from respire.errors import InputError
from respire.recipe import CLASSES

Kind = Literal["80-20", "60-40", "60-40-disjoint"]
SIDES = ("train", "validation", "test")

TEST_SHARE = 0.2
"""Share of the patients on the test side of an 80-20 split."""
VALIDATION_SHARE = 0.2
"""Share of the remaining patients in validation."""
DRAWS = 256
"""Candidates drawn for a side; the first that has every class and device is taken."""

_CLASSES = CLASSES["4-class"]
_OUTER, _INNER = 0, 1  # keep the streams of equal outer and inner seeds apart


@dataclass(frozen=True)
class Split:
    """Recordings on three sides, no patient on two of them.

    The one exception is kind "60-40", the official split as published, whose train and test
    sides share patients; train and validation are patient-disjoint there too.

    Attributes:
        kind: how the test side was chosen.
        split_seed: outer seed (who is in test; unused by the official split).
        inner_seed: who is in validation.
        train: recordings, sorted.
        validation: recordings, sorted.
        test: recordings, sorted.
        warnings: what a reader of any result must know about the split.

    Raises:
        InputError: a recording or a patient is on two sides, naming them.
    """

    kind: Kind
    split_seed: int
    inner_seed: int
    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for first, second in (("train", "validation"), ("train", "test"), ("validation", "test")):
            ours, theirs = set(getattr(self, first)), set(getattr(self, second))
            if both := sorted(ours & theirs):
                raise InputError(f"recordings {_enumerate(both)} are in {first} and in {second}")
            shared = sorted(_patients(ours) & _patients(theirs))
            if shared and not (self.kind == "60-40" and second == "test"):
                raise InputError(
                    f"patients {_enumerate(shared)} are in {first} and in {second}; "
                    f"sides must not share patients"
                )

    def side_of(self, cycles: pd.DataFrame) -> pd.Series:
        """The side of each cycle: "train", "validation" or "test", on the cycles' index.

        Cycles whose recordings "60-40-disjoint" removed are left out.

        Raises:
            InputError: a recording belongs to no side, so split and cycles are of other data.
        """
        sides = {recording: side for side in SIDES for recording in getattr(self, side)}
        of_cycle = cycles["recording"].map(sides)
        strangers = cycles.loc[of_cycle.isna(), ["recording", "patient"]].drop_duplicates()
        if self.kind == "60-40-disjoint":
            seen = _patients(self.train + self.validation)
            strangers = strangers[~strangers["patient"].isin(seen)]
        if len(strangers):
            raise InputError(
                f"{_enumerate(strangers['recording'])}: on no side of this split; "
                f"draw the split from the same recordings"
            )
        return of_cycle.dropna().astype(str).rename("side")

    def describe(self, cycles: pd.DataFrame) -> dict[str, Any]:
        """Patients, recordings and cycles by side, class and device, ready for JSON."""
        side_of = self.side_of(cycles)
        cycles = cycles.loc[side_of.index]
        described = {}
        for side in SIDES:
            ours = cycles[side_of == side]
            described[side] = _count(ours) | {
                "by_device": {device: _count(ours[ours["device"] == device]) for device in DEVICES}
            }
        return described


def split(
    cycles: pd.DataFrame,
    kind: Kind,
    split_seed: int,
    inner_seed: int,
    official: Mapping[str, str] | None = None,
    stratify: bool = False,
) -> Split:
    """Draw a split; the same seeds on the same cycles, in any order, give the same split.

    A random side is the first of `DRAWS` random draws of patients in which every class and every
    device is on both sides of the cut, as far as enough patients have it: with one such patient
    it stays in train, with two it is in train and test. Where no draw achieves that, the
    draw that misses least is taken. What a side lacks becomes a warning.

    With `stratify`, among the draws that miss least, the one is taken whose number of
    cycles of each device and class lies nearest the side's share of all (rerandomisation; Morgan
    and Rubin 2012). Unlike strata of patients, this needs no patient to have one class or one
    device only.

    Args:
        cycles: the catalogue's cycles.
        kind: "60-40", the official split as published, which shares patients between its sides;
            "60-40-disjoint", the same without these patients' test recordings; or "80-20", a
            random fifth of the patients in test (paper section 3).
        split_seed: outer seed, who is in test ("80-20" only).
        inner_seed: who is in validation, a fifth of the patients not in test. Equal for both
            official kinds.
        official: each recording's official side, for the 60-40 kinds.
        stratify: balance the random cuts by device and class.

    Raises:
        InputError: too few patients, a negative seed, no official split where one is needed, or
            recordings that it does not list.
    """
    if min(split_seed, inner_seed) < 0:
        raise InputError(f"seeds {split_seed} and {inner_seed}: seeds must be 0 or more")
    patients = _Patients.of(cycles)
    side_of, warnings = cycles.groupby("recording")["patient"].first().to_frame(), list[str]()
    if kind == "80-20":
        in_test = _cut(patients, TEST_SHARE, [_OUTER, split_seed], stratify, keep=2)
        side_of["test"] = side_of["patient"].isin(patients.ids[in_test])
    else:
        side_of["test"] = _official_test_side(side_of.index, official)
        warnings += _not_in_catalogue(side_of.index, official)
    rest = side_of.loc[~side_of["test"], "patient"]
    shared = side_of["test"] & side_of["patient"].isin(rest)
    if kind == "60-40-disjoint":
        side_of = side_of[~shared]
    elif shared.any():
        warnings.append(_shared_warning(side_of[shared], side_of, cycles))

    remaining = _Patients.of(cycles[cycles["recording"].isin(rest.index)])
    in_validation = _cut(remaining, VALIDATION_SHARE, [_INNER, inner_seed], stratify, keep=1)
    validates = side_of["patient"].isin(remaining.ids[in_validation]) & ~side_of["test"]
    recordings = {
        "train": side_of.index[~side_of["test"] & ~validates],
        "validation": side_of.index[validates],
        "test": side_of.index[side_of["test"]],
    }
    for side, names in recordings.items():
        warnings += _lacking(side, cycles[cycles["recording"].isin(names)], cycles)
    sides = {side: tuple(sorted(names)) for side, names in recordings.items()}
    return Split(kind, split_seed, inner_seed, **sides, warnings=tuple(warnings))


@dataclass(frozen=True)
class _Patients:
    """What a cut needs to know of P patients with cycles in G of the device-class cells.

    Attributes:
        ids: [P], sorted.
        counts: cycles, [P, devices, classes] float64.
    """

    ids: np.ndarray
    counts: np.ndarray

    @classmethod
    def of(cls, cycles: pd.DataFrame) -> "_Patients":
        ids, patient = np.unique(cycles["patient"].to_numpy(), return_inverse=True)
        counts = np.zeros((len(ids), len(DEVICES), len(_CLASSES)))
        device = cycles["device"].map({name: i for i, name in enumerate(DEVICES)}).to_numpy()
        np.add.at(counts, (patient, device, cycles["label"].to_numpy()), 1)
        return cls(ids, counts)

    @property
    def has(self) -> np.ndarray:
        """Whether a patient has a device or a class, [P, devices + classes] float64."""
        return np.hstack([self.counts.any(axis=2), self.counts.any(axis=1)]).astype(float)


def _cut(
    patients: _Patients, share: float, seed: list[int], stratify: bool, keep: int
) -> np.ndarray:
    """Which patients go to the other side, [P] bool.

    Args:
        patients: the patients to cut.
        share: of the patients that go.
        seed: of the draw.
        stratify: balance cycles by device and class.
        keep: how many patients of each class and device should stay, so that `keep` sides can
            still be made of those who do.
    """
    total = len(patients.ids)
    if total <= keep:
        raise InputError(
            f"{total} patients are too few for patient-disjoint train, validation and test "
            f"sides; give a data set of more patients"
        )
    going = min(max(1, round(share * total)), total - keep)
    order = np.random.default_rng(seed).random((DRAWS, total)).argsort(axis=1)
    drawn = order.argsort(axis=1) < going  # [DRAWS, P]

    have = patients.has.sum(axis=0)
    go = drawn @ patients.has  # [DRAWS, devices + classes]
    missing = (go < (have >= 2)) + (have - go < np.minimum(keep, np.maximum(have - 1, have >= 1)))
    misses = missing.sum(axis=1)
    if not stratify:
        return drawn[misses.argmin()]
    cells = patients.counts.reshape(total, -1)
    imbalance = np.abs(drawn @ cells - share * cells.sum(axis=0)).sum(axis=1)
    return drawn[np.where(misses == misses.min(), imbalance, np.inf).argmin()]


def _official_test_side(recordings: pd.Index, official: Mapping[str, str] | None) -> np.ndarray:
    if official is None:
        raise InputError(
            "the official split list is missing: put it in the data set's directory, "
            "or use --split 80-20"
        )
    unlisted = [recording for recording in recordings if recording not in official]
    if unlisted:
        raise InputError(
            f"{_enumerate(unlisted)}: not in the official split list; leave them out of the "
            f"directory, or use --split 80-20"
        )
    return np.array([official[recording] == "test" for recording in recordings], dtype=bool)


def _not_in_catalogue(recordings: pd.Index, official: Mapping[str, str] | None) -> list[str]:
    absent = sorted(set(official or ()) - set(recordings))
    if not absent:
        return []
    return [f"{len(absent)} recordings of the official split are missing: {_enumerate(absent)}"]


def _shared_warning(shared: pd.DataFrame, recordings: pd.DataFrame, cycles: pd.DataFrame) -> str:
    test = cycles["recording"].isin(recordings.index[recordings["test"]])
    affected = cycles["recording"].isin(shared.index)
    return (
        f"the official split has patients {_enumerate(sorted(set(shared['patient'])))} on both "
        f"sides: {affected.sum()} of {test.sum()} test cycles are of patients that training or "
        f"validation has heard; --split 60-40-disjoint leaves them out"
    )


def _lacking(side: str, ours: pd.DataFrame, cycles: pd.DataFrame) -> list[str]:
    """A warning where a side has no cycle of a class or device that the data set has."""
    lacks = []
    for column, names in (
        ("device", dict(zip(DEVICES, DEVICES, strict=True))),
        ("label", dict(enumerate(_CLASSES))),
    ):
        for value, name in names.items():
            patients = cycles.loc[cycles[column] == value, "patient"].nunique()
            if patients and not (ours[column] == value).any():
                lacks.append(f"{name} (which {patients} patients have)")
    return [f"the {side} side has no cycle of {', '.join(lacks)}"] if lacks else []


def _count(cycles: pd.DataFrame) -> dict[str, Any]:
    by_class = np.bincount(cycles["label"], minlength=len(_CLASSES))
    return {
        "patients": int(cycles["patient"].nunique()),
        "recordings": int(cycles["recording"].nunique()),
        "cycles": len(cycles),
        "by_class": dict(zip(_CLASSES, by_class.tolist(), strict=True)),
    }


def _patients(recordings: Any) -> set[int]:
    return {parse_name(recording).patient for recording in recordings}


def _enumerate(things: Any, limit: int = 5) -> str:
    """Some of the things, and how many more there are."""
    names = [str(thing) for thing in things]
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
