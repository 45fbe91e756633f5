"""Who is in train, validation and test: always whole patients.

The outer seed sets the test side apart; the inner seed cuts validation patients out of the rest.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any, Literal

import numpy as np
import pandas as pd

from respire.data.corpora.icbhi_format import DEVICES, parse_name
from respire.errors import InputError
from respire.labels import CLASSES

Kind = Literal["80-20", "60-40", "60-40-disjoint", "by-cycle"]
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

    There are two exceptions. Kind "60-40" is the official split as published, whose train and test
    sides share patients; train and validation are patient-disjoint there too. Kind "by-cycle"
    knows no patients (data/splits/by_cycle.py), and is stamped.

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
        patients = {side: _patients(getattr(self, side)) for side in SIDES}
        for first, second in combinations(SIDES, 2):
            both = set(getattr(self, first)) & set(getattr(self, second))
            if both:
                raise InputError(
                    f"recordings {_enumerate(both)} are in {first} and in {second}; "
                    f"sides must not share recordings"
                )
            shared = patients[first] & patients[second]
            allowed = self.kind == "by-cycle" or (self.kind == "60-40" and second == "test")
            if shared and not allowed:
                raise InputError(
                    f"patients {_enumerate(shared)} are in {first} and in {second}; "
                    f"sides must not share patients"
                )

    @property
    def stamps(self) -> tuple[str, ...]:
        """What every result on it must carry, loudly."""
        return ("cycles of one patient are on both sides",) if self.kind == "by-cycle" else ()

    def heard_on(self, devices: Iterable[str]) -> "Split":
        """The same test side, and on the others only recordings of some devices."""
        heard = set(devices)
        train, validation = (
            tuple(recording for recording in side if parse_name(recording).device in heard)
            for side in (self.train, self.validation)
        )
        return replace(self, train=train, validation=validation)

    def without_validation(self) -> "Split":
        """The same test side, and everybody else in train: for a recipe that is settled."""
        train = tuple(sorted(self.train + self.validation))
        return replace(self, train=train, validation=())

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
            random fifth of the patients in test (paper section 3). Data/apart.py has "by-cycle".
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
    patient_of = cycles.groupby("recording")["patient"].first()
    warnings: list[str] = []
    if kind == "80-20":
        (tested,) = draw_test_sides(cycles, [split_seed], stratify)
        in_test = patient_of.isin(tested)
    else:
        in_test, warnings = _official_test_side(patient_of.index, official)
    remaining = patient_of[~in_test]
    shared = in_test & patient_of.isin(remaining)
    if kind == "60-40-disjoint":
        in_test &= ~shared
    elif shared.any():
        warnings.append(_shared_warning(cycles, patient_of[shared], patient_of.index[in_test]))
    if not in_test.any():
        raise InputError(f"--split {kind}: the test side is empty; use --split 80-20")

    rest = cycles[cycles["recording"].isin(remaining.index)]
    validating = _draw(
        *_cycle_counts(rest), VALIDATION_SHARE, [_INNER, inner_seed], stratify, keep=1
    )
    in_validation = remaining.isin(validating)
    sides = {
        "train": tuple(remaining.index[~in_validation]),
        "validation": tuple(remaining.index[in_validation]),
        "test": tuple(patient_of.index[in_test]),
    }
    warnings += _absences(cycles, sides)
    return Split(kind, split_seed, inner_seed, **sides, warnings=tuple(warnings))


def draw_test_sides(
    cycles: pd.DataFrame, split_seeds: Iterable[int], stratify: bool = False
) -> Iterator[np.ndarray]:
    """The patients in test of many "80-20" splits, int64, sorted, without the splits themselves.

    Args:
        cycles: the catalogue's cycles.
        split_seeds: outer seeds, as ``split`` takes them.
        stratify: as ``split`` takes it.

    Raises:
        InputError: too few patients.
    """
    patients, counts = _cycle_counts(cycles)
    for seed in split_seeds:
        yield _draw(patients, counts, TEST_SHARE, [_OUTER, seed], stratify, keep=2)


def _draw(
    patients: np.ndarray,
    counts: np.ndarray,
    share: float,
    seed: list[int],
    stratify: bool,
    keep: int,
) -> np.ndarray:
    """Draw a share of the patients.

    Args:
        patients: those to draw from, P of them.
        counts: their cycles (``_cycle_counts``).
        share: of the patients, to draw.
        seed: of the draw.
        stratify: balance cycles by device and class.
        keep: on how many sides the patients not drawn will end: that many of those with a
            class or a device should be left.

    Returns:
        The patients drawn, int64, sorted.
    """
    if len(patients) <= keep:
        raise InputError(
            f"{len(patients)} patients cannot fill {keep + 1} patient-disjoint sides; "
            f"give a data set of more patients"
        )
    size = min(max(1, round(share * len(patients))), len(patients) - keep)
    random = np.random.default_rng(seed).random((DRAWS, len(patients)))
    drawn = random <= np.partition(random, size - 1, axis=1)[:, [size - 1]]  # [DRAWS, P]

    has = np.hstack([counts.any(axis=2), counts.any(axis=1)]).astype(float)  # [P, devices+classes]
    had, taken = has.sum(axis=0), drawn @ has
    lacks = (taken < (had >= 2)) + (had - taken < np.clip(had - 1, had >= 1, keep))
    misses = lacks.sum(axis=1)
    if not stratify:
        return patients[drawn[misses.argmin()]]
    cells = counts.reshape(len(patients), -1)
    imbalance = np.abs(drawn @ cells - share * cells.sum(axis=0)).sum(axis=1)
    return patients[drawn[np.where(misses == misses.min(), imbalance, np.inf).argmin()]]


def _cycle_counts(cycles: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """The P patients, sorted, and their cycles of each kind, [P, devices, classes] float64."""
    patients, patient = np.unique(cycles["patient"].to_numpy(), return_inverse=True)
    device = pd.Categorical(cycles["device"], categories=DEVICES).codes
    counts = np.zeros((len(patients), len(DEVICES), len(_CLASSES)))
    np.add.at(counts, (patient, device, cycles["label"].to_numpy()), 1)
    return patients, counts


def _official_test_side(
    recordings: pd.Index, official: Mapping[str, str] | None
) -> tuple[pd.Series, list[str]]:
    """Whether each recording is on the official test side, and warnings."""
    if official is None:
        raise InputError(
            "the official split list is missing; put it in the data set's directory, "
            "or use --split 80-20"
        )
    sides = recordings.to_series().map(dict(official))
    if sides.isna().any():
        raise InputError(
            f"{_enumerate(recordings[sides.isna()])}: not in the official split list; take them "
            f"out of the data set's directory, or use --split 80-20"
        )
    absent = set(official) - set(recordings)
    return sides == "test", (
        [f"{len(absent)} recordings of the official split are absent: {_enumerate(absent)}"]
        if absent
        else []
    )


def _shared_warning(cycles: pd.DataFrame, shared: pd.Series, test: pd.Index) -> str:
    """What the official split's shared patients (indexed by their test recordings) touch."""
    affected = cycles["recording"].isin(shared.index).sum()
    return (
        f"the official split has patients {_enumerate(set(shared))} on both sides: {affected} of "
        f"{cycles['recording'].isin(test).sum()} test cycles are of patients that training or "
        f"validation has heard; --split 60-40-disjoint leaves them out"
    )


def _absences(cycles: pd.DataFrame, sides: Mapping[str, tuple[str, ...]]) -> list[str]:
    """A warning for each side without a class or a device that the data set has."""
    side_of = {recording: side for side, names in sides.items() for recording in names}
    side = cycles["recording"].map(side_of).rename("side")
    absent: dict[str, list[str]] = {name: [] for name in sides}
    for trait in (cycles["device"], cycles["label"].map(dict(enumerate(_CLASSES)))):
        patients = cycles["patient"].groupby(trait).nunique()
        present = trait.groupby(side).unique()
        for name, missing in absent.items():
            missing += [
                f"{value} ({count} patients have it)"
                for value, count in patients.items()
                if value not in present[name]
            ]
    return [
        f"the {name} side has no cycle of {', '.join(missing)}"
        for name, missing in absent.items()
        if missing
    ]


def _count(cycles: pd.DataFrame) -> dict[str, Any]:
    by_class = np.bincount(cycles["label"], minlength=len(_CLASSES))
    return {
        "patients": int(cycles["patient"].nunique()),
        "recordings": int(cycles["recording"].nunique()),
        "cycles": len(cycles),
        "by_class": dict(zip(_CLASSES, by_class.tolist(), strict=True)),
    }


def _patients(recordings: Iterable[str]) -> set[int]:
    return {parse_name(recording).patient for recording in recordings}


def _enumerate(things: Iterable[Any], limit: int = 5) -> str:
    """Some of the things, sorted, and how many more there are."""
    ordered = sorted(things)
    more = f" and {len(ordered) - limit} more" if len(ordered) > limit else ""
    return ", ".join(map(str, ordered[:limit])) + more
