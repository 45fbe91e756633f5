"""Census: what a data set is made of, counted from its catalogue."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from respire.data.rows import known
from respire.data.splits.draw import devices_of
from respire.labels import CLASSES
from respire.statistics.composition import BOTH

NAMES = CLASSES["4-class"]
QUANTILES = (0.025, 0.25, 0.5, 0.75, 0.975)
LENGTHS: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "under 3 s": lambda length_s: length_s < 3,
    "over 3 to 6 s": lambda length_s: (length_s > 3) & (length_s <= 6),
    "4 to 6 s": lambda length_s: (length_s >= 4) & (length_s <= 6),
    "over 6 s": lambda length_s: length_s > 6,
    "over 7 s": lambda length_s: length_s > 7,
}
"""Ranges of cycle lengths that are counted; they overlap."""


@dataclass(frozen=True)
class Part:
    """Some cycles: how many, and of whom. Fields of a census: experiments/results/SCHEMA.md."""

    recordings: int
    patients: int
    cycles: int
    classes: Mapping[str, int]


@dataclass(frozen=True)
class DevicePart(Part):
    """Those of a device; shares are fractions, None where there is nothing to take one of."""

    share: float
    cycles_a_patient: float | None
    share_of_class: Mapping[str, float | None]


@dataclass(frozen=True)
class Side(Part):
    """Those of a side of the official split."""

    share: float | None
    devices: Mapping[str, Part]


@dataclass(frozen=True)
class SharedPatient:
    """Someone on both sides of the official split."""

    patient: int | str
    train_recordings: int
    test_recordings: int
    test_cycles: int
    test_both: int


@dataclass(frozen=True)
class Official:
    """The official split, and who is on both of its sides."""

    sides: Mapping[str, Side]
    unlisted_recordings: int
    listed_without_recording: int
    shared_patients: int
    shared: tuple[SharedPatient, ...]
    touched_cycles: int
    touched_both: int


@dataclass(frozen=True)
class Locations:
    """Where patients were recorded."""

    used: int
    recordings: Mapping[str, int]
    patients_by_number: Mapping[str, int]
    patients_at_all: int
    share_at_all: float | None


@dataclass(frozen=True)
class Lengths:
    """Of recordings, in seconds."""

    shortest: float
    mean: float
    median: float
    longest: float


@dataclass(frozen=True)
class CycleLengths(Lengths):
    """Of cycles, in seconds, with how many there are of some lengths."""

    quantiles: Mapping[str, float]
    counts: Mapping[str, int]
    shares: Mapping[str, float]


@dataclass(frozen=True)
class SampleRates:
    """Of the files; recordings by rate."""

    lowest_hz: int
    highest_hz: int
    recordings: Mapping[str, int]


@dataclass(frozen=True)
class Census(Part):
    """A data set."""

    hours: float
    class_shares: Mapping[str, float]
    devices: Mapping[str, DevicePart]
    devices_used: int
    patients_by_device: int
    several_devices: Mapping[str, tuple[str, ...]]
    locations: Locations
    cycle_s: CycleLengths
    recording_s: Lengths
    sample_rates: SampleRates
    official: Official | None


def census(
    cycles: pd.DataFrame, recordings: pd.DataFrame, official: Mapping[str, str] | None
) -> Census:
    """Count a data set.

    Args:
        cycles: catalogue (data/catalogue.py), one row a cycle, at least one.
        recordings: by recording name, with columns ``duration_s`` and ``rate_hz`` of its audio.
        official: each recording's side in the official split, or None without a list.
    """
    whole = _made_of(cycles)
    devices = {
        device: _of_device(cycles[cycles["device"] == device], cycles, whole["classes"])
        for device in devices_of(cycles)
    }
    return Census(
        **whole,
        hours=float(recordings["duration_s"].sum() / 3600),
        class_shares={name: count / len(cycles) for name, count in whole["classes"].items()},
        devices=devices,
        devices_used=len(devices),
        patients_by_device=sum(device.patients for device in devices.values()),
        several_devices=_several_devices(cycles),
        locations=_locations(cycles),
        cycle_s=_cycle_lengths(cycles),
        recording_s=Lengths(**_ends(recordings["duration_s"].to_numpy())),
        sample_rates=_sample_rates(recordings["rate_hz"]),
        official=None if official is None else official_overlap(cycles, official),
    )


def official_overlap(cycles: pd.DataFrame, official: Mapping[str, str]) -> Official:
    """What the official split is made of, and who is on both of its sides.

    Args:
        cycles: catalogue, one row a cycle.
        official: each listed recording's side, "train" or "test".
    """
    side = cycles["recording"].map(official)
    train, test = (cycles[side == name] for name in ("train", "test"))
    heard, tested = (set(known(part["patient"]).tolist()) for part in (train, test))
    shared = sorted(heard & tested)
    touched = test[test["patient"].isin(shared)]
    return Official(
        sides={
            name: Side(
                **_made_of(part),
                share=_share(len(part), int(side.notna().sum())),
                devices={
                    d: Part(**_made_of(part[part["device"] == d])) for d in devices_of(cycles)
                },
            )
            for name, part in (("train", train), ("test", test))
        },
        unlisted_recordings=int(cycles.loc[side.isna(), "recording"].nunique()),
        listed_without_recording=len(set(official) - set(cycles["recording"])),
        shared_patients=len(shared),
        shared=tuple(
            _shared(patient, *(part[part["patient"] == patient] for part in (train, test)))
            for patient in shared
        ),
        touched_cycles=len(touched),
        touched_both=_both(touched),
    )


def _made_of(cycles: pd.DataFrame) -> dict[str, Any]:
    """The fields of ``Part``."""
    counts = np.bincount(cycles["label"], minlength=len(NAMES))
    return {
        "recordings": _distinct(cycles, "recording"),
        "patients": int(known(cycles["patient"]).nunique()),
        "cycles": len(cycles),
        "classes": dict(zip(NAMES, counts.tolist(), strict=True)),
    }


def _of_device(cycles: pd.DataFrame, whole: pd.DataFrame, classes: Mapping[str, int]) -> DevicePart:
    part = Part(**_made_of(cycles))
    return DevicePart(
        **vars(part),
        share=len(cycles) / len(whole),
        cycles_a_patient=_share(part.cycles, part.patients),
        share_of_class={name: _share(part.classes[name], classes[name]) for name in NAMES},
    )


def _shared(patient: int, train: pd.DataFrame, test: pd.DataFrame) -> SharedPatient:
    heard, tested = (_distinct(part, "recording") for part in (train, test))
    return SharedPatient(patient, heard, tested, len(test), _both(test))


def _several_devices(cycles: pd.DataFrame) -> dict[str, tuple[str, ...]]:
    """Patients who were recorded on more than one device, by their number as text."""
    used = cycles["device"].groupby(known(cycles["patient"])).unique()
    return {
        str(patient): tuple(device for device in devices_of(cycles) if device in devices)
        for patient, devices in used.items()
        if len(devices) > 1
    }


def _locations(cycles: pd.DataFrame) -> Locations:
    visited = cycles["location"].groupby(known(cycles["patient"])).nunique()
    places = sorted(cycles["location"].unique())
    everywhere = int((visited == len(places)).sum())
    parts = {place: cycles[cycles["location"] == place] for place in places}
    return Locations(
        used=_distinct(cycles, "location"),
        recordings={place: _distinct(part, "recording") for place, part in parts.items()},
        patients_by_number={
            str(number): int((visited == number).sum()) for number in range(1, len(places) + 1)
        },
        patients_at_all=everywhere,
        share_at_all=_share(everywhere, len(visited)),
    )


def lengths_s(cycles: pd.DataFrame) -> np.ndarray:
    """Length of each cycle in seconds, float64 [N]."""
    # Annotations are written to the millisecond; the difference of two is not exact.
    return (cycles["end_s"] - cycles["start_s"]).round(6).to_numpy()


def _cycle_lengths(cycles: pd.DataFrame) -> CycleLengths:
    length_s = lengths_s(cycles)
    within = {name: inside(length_s) for name, inside in LENGTHS.items()}
    return CycleLengths(
        **_ends(length_s),
        quantiles={str(q): float(np.quantile(length_s, q)) for q in QUANTILES},
        counts={name: int(inside.sum()) for name, inside in within.items()},
        shares={name: float(inside.mean()) for name, inside in within.items()},
    )


def _ends(seconds: np.ndarray) -> dict[str, float]:
    """The fields of ``Lengths``."""
    return {
        "shortest": float(seconds.min()),
        "mean": float(seconds.mean()),
        "median": float(np.median(seconds)),
        "longest": float(seconds.max()),
    }


def _sample_rates(rates_hz: pd.Series) -> SampleRates:
    counts = rates_hz.value_counts().sort_index()
    recordings = {str(rate): int(count) for rate, count in counts.items()}
    return SampleRates(int(counts.index[0]), int(counts.index[-1]), recordings)


def _both(cycles: pd.DataFrame) -> int:
    return int((cycles["label"] == BOTH).sum())


def _distinct(cycles: pd.DataFrame, column: str) -> int:
    return int(cycles[column].nunique())


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
