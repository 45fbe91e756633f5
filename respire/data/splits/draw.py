"""Patients drawn for a side of a split, and the official sides.

A random side is the first of `DRAWS` random draws of patients in which every class and every
device is on both sides of the cut, as far as enough patients have it: with one such patient
it stays in train, with two it is in train and test. Where no draw achieves that, the
draw that misses least is taken. What a side lacks becomes a warning.

Stratified, among the draws that miss least, the one is taken whose number of cycles of each device
and class lies nearest the side's share of all (rerandomisation; Morgan and Rubin 2012). Unlike
strata of patients, this needs no patient to have one class or one device only.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from respire.data.rows import NOBODY, known
from respire.data.splits.kinds import Kind
from respire.errors import InputError
from respire.labels import CLASSES

TEST_SHARE = 0.2
"""Share of the patients on the test side of an 80-20 split."""
VALIDATION_SHARE = 0.2
"""Share of the remaining patients in validation."""
DRAWS = 256
"""Candidates drawn for a side; the first that has every class and device is taken."""

_CLASSES = CLASSES["4-class"]
_OUTER, _INNER = 0, 1  # keep the streams of equal outer and inner seeds apart


def devices_of(cycles: pd.DataFrame) -> tuple[str, ...]:
    """The devices of a catalogue's cycles, the most used first, equals by name."""
    counts = (
        cycles["device"].value_counts().sort_index().sort_values(ascending=False, kind="stable")
    )
    return tuple(map(str, counts.index))


def draw_test_sides(
    cycles: pd.DataFrame, split_seeds: Iterable[int], stratify: bool = False
) -> Iterator[np.ndarray]:
    """The patients in test of many "80-20" splits, sorted, without the splits themselves.

    Raises:
        InputError: too few patients.
    """
    patients, counts = _cycle_counts(cycles)
    for seed in split_seeds:
        yield _draw(patients, counts, TEST_SHARE, [_OUTER, seed], stratify, keep=2)


def draw_validation_side(
    cycles: pd.DataFrame, inner_seed: int, stratify: bool = False
) -> np.ndarray:
    """The patients in validation, sorted, drawn from the cycles of all not in test.

    Raises:
        InputError: too few patients.
    """
    seed = [_INNER, inner_seed]
    return _draw(*_cycle_counts(cycles), VALIDATION_SHARE, seed, stratify, keep=1)


def cut_share(names: np.ndarray, share: float, seed: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """A share of the names, drawn at random whoever their patients are, and the rest; sorted."""
    drawn = np.random.default_rng(seed).permutation(np.sort(names))
    size = round(share * len(names))
    return np.sort(drawn[:size]), np.sort(drawn[size:])


def validation_share(names: np.ndarray, inner_seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Those of the names in validation, drawn likewise, and those in train; both sorted."""
    return cut_share(names, VALIDATION_SHARE, [_INNER, inner_seed])


def _draw(
    patients: np.ndarray,
    counts: np.ndarray,
    share: float,
    seed: list[int],
    stratify: bool,
    keep: int,
) -> np.ndarray:
    """A share of the P patients, whose cycles are ``counts``, sorted.

    ``keep`` is on how many sides the patients not drawn will end: that many of those with a class
    or a device should be left.
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
    devices = devices_of(cycles)
    device = pd.Categorical(cycles["device"], categories=devices).codes
    counts = np.zeros((len(patients), len(devices), len(_CLASSES)))
    np.add.at(counts, (patient, device, cycles["label"].to_numpy()), 1)
    return patients, counts


def official_test_side(
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
            f"{listed(recordings[sides.isna()])}: {sides.isna().sum()} of {len(sides)} recordings "
            f"are not in the official split list (official_side in a manifest); add them, take "
            f"them out of the data set, or use --split 80-20"
        )
    if sides.nunique() == 1:
        raise InputError(
            f"the official split list has only one side, {sides.iloc[0]}; fetch the whole list, or "
            f"use --split 80-20"
        )
    absent = set(official) - set(recordings)
    return sides == "test", (
        [f"{len(absent)} recordings of the official split are absent: {listed(absent)}"]
        if absent
        else []
    )


def nobodys(patients: pd.Series) -> InputError:
    """What a user is told whose recordings, by patient, are of nobody known and would be split."""
    return InputError(
        f"{listed(patients.index[patients == NOBODY])}: of no patient (group_kind none), so they "
        f"can only be tested on: give them official_side test and use --split 60-40, or leave them "
        f"out of the manifest"
    )


def shared_warning(cycles: pd.DataFrame, shared: pd.Series, test: pd.Index) -> str:
    """What the official split's shared patients (indexed by their test recordings) touch."""
    affected = cycles["recording"].isin(shared.index).sum()
    return (
        f"the official split has patients {listed(set(shared))} on both sides: {affected} of "
        f"{cycles['recording'].isin(test).sum()} test cycles are of patients that training or "
        f"validation has heard; --split 60-40-disjoint leaves them out"
    )


def absences(cycles: pd.DataFrame, sides: Mapping[str, tuple[str, ...]], kind: Kind) -> list[str]:
    """A warning for each side of a kind of split without a class or device of the data set."""
    side_of = {recording: side for side, names in sides.items() for recording in names}
    side = cycles["recording"].map(side_of).rename("side")
    absent: dict[str, list[str]] = {name: [] for name, recordings in sides.items() if recordings}
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
        f"split {kind}: the {name} side has no cycle of {', '.join(missing)}"
        for name, missing in absent.items()
        if missing
    ]


def counted(cycles: pd.DataFrame) -> dict[str, Any]:
    """Patients, recordings and cycles there, and cycles by class."""
    by_class = np.bincount(cycles["label"], minlength=len(_CLASSES))
    return {
        "patients": int(known(cycles["patient"]).nunique()),
        "recordings": int(cycles["recording"].nunique()),
        "cycles": len(cycles),
        "by_class": dict(zip(_CLASSES, by_class.tolist(), strict=True)),
    }


def listed(things: Iterable[Any], limit: int = 5) -> str:
    """Some of the things, sorted, and how many more there are."""
    ordered = sorted(things)
    more = f" and {len(ordered) - limit} more" if len(ordered) > limit else ""
    return ", ".join(map(str, ordered[:limit])) + more
