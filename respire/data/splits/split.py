"""Who is in train, validation and test: always whole patients.

The outer seed sets the test side apart; the inner seed cuts validation patients out of the rest. A
``Cut`` says so before any recording is looked at, a ``Split`` is what comes of it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any

import pandas as pd

from respire.data.rows import NOBODY
from respire.data.splits.by_cycle import draw_cycles, take_apart
from respire.data.splits.by_recording import draw_recordings
from respire.data.splits.draw import (
    absences,
    counted,
    devices_of,
    draw_test_sides,
    draw_validation_side,
    listed,
    nobodys,
    official_test_side,
    shared_warning,
)
from respire.data.splits.kinds import LISTED, RANDOM, SHARING, Kind
from respire.errors import InputError

SIDES = ("train", "validation", "test")


@dataclass(frozen=True)
class Cut:
    """Who is held out; the same cut of the same cycles, in any order, is the same split.

    Attributes:
        kind: "80-20", a random fifth of the patients in test (paper section 3); "60-40", the
            official split as published, which shares patients between its sides;
            "60-40-disjoint", the same without these patients' test recordings; "60-40-train", a
            random fifth of the patients of the official training side, to choose a recipe by:
            nothing of the official test side is read; "by-recording" and "by-cycle", random ones,
            whoever their patients are (by_recording.py, by_cycle.py).
        split_seed: outer seed, who is in test (unused by the official split).
        inner_seed: who is in validation, a fifth of the patients not in test. Equal for both
            official kinds.
        stratify: balance random patients by device and class (draw.py).
        heard: devices that training and validation are restricted to; None for all.
        validation: whether anybody is in validation; else they are in train. None leaves it to the
            recipe: who is held out belongs to the cut, what chooses to the recipe.

    Raises:
        InputError: a negative seed, or what is to be stratified cuts no patients.
    """

    kind: Kind = "80-20"
    split_seed: int = 0
    inner_seed: int = 0
    stratify: bool = False
    heard: tuple[str, ...] | None = None
    validation: bool | None = None

    def __post_init__(self) -> None:
        for option, seed in (("split", self.split_seed), ("inner", self.inner_seed)):
            if seed < 0:
                raise InputError(f"--{option}-seed {seed}: must be 0 or more")
        if self.stratify and not self.patients_apart:
            raise InputError(
                f"--stratify: draws patients, which --split {self.kind} does not; drop one"
            )

    @property
    def patients_apart(self) -> bool:
        """Whether patients are cut, and not recordings or cycles."""
        return self.kind not in SHARING

    @property
    def cycles_apart(self) -> bool:
        """Whether recordings are taken apart, for cycles are cut."""
        return self.kind == "by-cycle"

    @property
    def needs_list(self) -> bool:
        """Whether official sides matter, which a list in the data set names."""
        return self.kind in LISTED or self.inside_training

    @property
    def listed_test(self) -> bool:
        """Whether the test side is the official one, the same for every outer seed."""
        return self.kind in LISTED

    @property
    def inside_training(self) -> bool:
        """Whether it is the official training side that is cut, and the other is not there."""
        return self.kind == "60-40-train"

    @property
    def holds_out(self) -> bool:
        """Whether nobody in test is heard in training."""
        return self.random_test or self.kind == "60-40-disjoint"

    @property
    def random_test(self) -> bool:
        """Whether test patients are drawn at random, anew for each outer seed."""
        return self.kind in RANDOM

    def at(self, number: int) -> "Cut":
        """The cut of this number, from 0, in a grid: of one test side, another validation side."""
        if self.listed_test:
            return replace(self, inner_seed=self.inner_seed + number)
        return replace(self, split_seed=self.split_seed + number)

    def units(
        self, catalogue: pd.DataFrame, official: Mapping[str, str] | None = None
    ) -> pd.DataFrame:
        """The cycles of a catalogue (data/catalogue.py) that are cut, what is cut as a recording.

        Args:
            catalogue: all cycles.
            official: each recording's official side, where ``needs_list``.

        Raises:
            InputError: the official training side is to be cut, and is not known.
        """
        if self.cycles_apart:
            return take_apart(catalogue)
        if not self.inside_training:
            return catalogue
        in_test, _ = official_test_side(pd.Index(catalogue["recording"].unique()), official)
        trained = catalogue["recording"].isin(in_test.index[~in_test])
        return catalogue[trained].reset_index(drop=True)

    def on(self, units: pd.DataFrame, official: Mapping[str, str] | None = None) -> "Split":
        """Cut.

        Args:
            units: the catalogue's cycles, as ``units`` gives them.
            official: each recording's official side, where ``needs_list``.

        Raises:
            InputError: too few patients, no official split where one is needed, or recordings that
                it does not list.
        """
        once = units.drop_duplicates("recording").set_index("recording").sort_index()
        patient_of = once["patient"]
        warnings: list[str] = []
        if self.patients_apart:
            sides, warnings = self._patients_on(units, patient_of, official)
        else:
            draw = draw_cycles if self.cycles_apart else draw_recordings
            sides = draw(once.index.to_numpy(), self.split_seed, self.inner_seed)
        split = Split(
            self,
            **sides,
            patients=dict(zip(map(str, once.index), patient_of.tolist(), strict=True)),
            devices={str(name): str(device) for name, device in once["device"].items()},
            warnings=tuple(warnings),
        )
        split = split if self.heard is None else split.heard_on(self.heard)
        return split.without_validation() if self.validation is False else split

    def _patients_on(
        self, cycles: pd.DataFrame, patient_of: pd.Series, official: Mapping[str, str] | None
    ) -> tuple[dict[str, tuple[str, ...]], list[str]]:
        """Recordings by side, whole patients each, and what a reader must know of them."""
        warnings: list[str] = []
        if self.random_test and (patient_of == NOBODY).any():
            raise nobodys(patient_of)
        if self.random_test:
            (tested,) = draw_test_sides(cycles, [self.split_seed], self.stratify)
            in_test = patient_of.isin(tested)
        else:
            in_test, warnings = official_test_side(patient_of.index, official)
        remaining = patient_of[~in_test]
        if (remaining == NOBODY).any():
            raise nobodys(remaining)
        shared = in_test & patient_of.isin(remaining)
        if self.kind == "60-40-disjoint":
            in_test &= ~shared
        elif shared.any():
            warnings.append(shared_warning(cycles, patient_of[shared], patient_of.index[in_test]))
        if not in_test.any():
            raise InputError(f"--split {self.kind}: the test side is empty; use --split 80-20")
        rest = cycles[cycles["recording"].isin(remaining.index)]
        in_validation = remaining.isin(draw_validation_side(rest, self.inner_seed, self.stratify))
        in_validation &= self.validation is not False
        sides = {
            "train": tuple(remaining.index[~in_validation]),
            "validation": tuple(remaining.index[in_validation]),
            "test": tuple(patient_of.index[in_test]),
        }
        return sides, [*warnings, *absences(cycles, sides, self.kind)]


@dataclass(frozen=True)
class Split:
    """Recordings on three sides, no patient on two of them.

    There are two exceptions. Kind "60-40" is the official split as published, whose train and test
    sides share patients; train and validation are patient-disjoint there too. Kinds "by-recording"
    and "by-cycle" know no patients, and are stamped.

    Attributes:
        cut: how the sides were chosen.
        train: recordings, sorted.
        validation: recordings, sorted.
        test: recordings, sorted.
        patients: whose each recording is.
        devices: which device made each recording.
        warnings: what a reader of any result must know about the split.

    Raises:
        InputError: a recording or a patient is on two sides, naming them.
    """

    cut: Cut
    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]
    patients: Mapping[str, int | str] = field(repr=False)
    devices: Mapping[str, str] = field(repr=False)
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        patients = {side: self._patients(getattr(self, side)) for side in SIDES}
        for first, second in combinations(SIDES, 2):
            both = set(getattr(self, first)) & set(getattr(self, second))
            if both:
                raise InputError(
                    f"recordings {listed(both)} are in {first} and in {second}; "
                    f"sides must not share recordings"
                )
            shared = patients[first] & patients[second]
            allowed = not self.cut.patients_apart or (not self.cut.holds_out and second == "test")
            if shared and not allowed:
                raise InputError(
                    f"patients {listed(shared)} are in {first} and in {second}; "
                    f"sides must not share patients"
                )

    @property
    def stamps(self) -> tuple[str, ...]:
        """What every result on it must carry, loudly."""
        if self.cut.patients_apart:
            return ()
        units = "cycles" if self.cut.cycles_apart else "recordings"
        return (f"{units} of one patient are on both sides",)

    def heard_on(self, devices: Iterable[str]) -> "Split":
        """The same test side, and on the others only recordings of some devices."""
        heard = set(devices)
        train, validation = (
            tuple(recording for recording in side if self.devices[recording] in heard)
            for side in (self.train, self.validation)
        )
        return replace(self, train=train, validation=validation)

    def without_validation(self) -> "Split":
        """The same test side, and everybody else in train: for a recipe that is settled."""
        train = tuple(sorted(self.train + self.validation))
        return replace(self, cut=replace(self.cut, validation=False), train=train, validation=())

    def side_of(self, cycles: pd.DataFrame) -> pd.Series:
        """The side of each cycle: "train", "validation" or "test", on the cycles' index.

        Cycles whose recordings "60-40-disjoint" removed are left out.

        Raises:
            InputError: a recording belongs to no side, so split and cycles are of other data.
        """
        sides = {recording: side for side in SIDES for recording in getattr(self, side)}
        of_cycle = cycles["recording"].map(sides)
        strangers = set(cycles.loc[of_cycle.isna(), "recording"]) - set(self.patients)
        if strangers:
            raise InputError(
                f"{listed(strangers)}: on no side of this split; "
                f"draw the split from the same recordings"
            )
        return of_cycle.dropna().astype(str).rename("side")

    def describe(self, cycles: pd.DataFrame) -> dict[str, Any]:
        """Patients, recordings and cycles by side, class and device, ready for JSON."""
        side_of = self.side_of(cycles)
        cycles = cycles.loc[side_of.index]
        devices = devices_of(cycles)
        described = {}
        for side in SIDES:
            ours = cycles[side_of == side]
            described[side] = counted(ours) | {
                "by_device": {device: counted(ours[ours["device"] == device]) for device in devices}
            }
        return described

    def _patients(self, recordings: Iterable[str]) -> set[int | str]:
        return {self.patients[recording] for recording in recordings}
