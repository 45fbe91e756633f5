"""Census: what a data set is made of, counted from its catalogue."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from respire.data.corpora.icbhi_format import DEVICES, LOCATIONS
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


def census(
    cycles: pd.DataFrame, recordings: pd.DataFrame, official: Mapping[str, str] | None
) -> dict[str, Any]:
    """Count a data set.

    Args:
        cycles: catalogue (data/corpora/icbhi.py), one row a cycle, at least one.
        recordings: by recording name, with columns ``duration_s`` and ``rate_hz`` of its audio.
        official: each recording's side in the official split, or None without a list.

    Returns:
        JSON-able; its content is the README's, under ``census`` of the audit. Shares are fractions,
        and None where there is nothing to take a share of.
    """
    whole = {**_made_of(cycles), "hours": float(recordings["duration_s"].sum() / 3600)}
    classes = whole["classes"]
    devices = {}
    for device in DEVICES:
        part = _made_of(cycles[cycles["device"] == device])
        devices[device] = {
            **part,
            "share": part["cycles"] / len(cycles),
            "cycles_a_patient": _share(part["cycles"], part["patients"]),
            "share_of_class": {
                name: _share(part["classes"][name], classes[name]) for name in NAMES
            },
        }
    return {
        **whole,
        "class_shares": {name: count / len(cycles) for name, count in classes.items()},
        "devices": devices,
        "devices_used": sum(device["cycles"] > 0 for device in devices.values()),
        "patients_by_device": sum(device["patients"] for device in devices.values()),
        "several_devices": _several_devices(cycles),
        "locations": _locations(cycles),
        "cycle_s": _cycle_lengths(cycles),
        "recording_s": _ends(recordings["duration_s"].to_numpy()),
        "sample_rates": _sample_rates(recordings),
        "official": None if official is None else official_overlap(cycles, official),
    }


def official_overlap(cycles: pd.DataFrame, official: Mapping[str, str]) -> dict[str, Any]:
    """What the official split is made of, and who is on both of its sides.

    Args:
        cycles: catalogue, one row a cycle.
        official: each listed recording's side, "train" or "test".
    """
    side = cycles["recording"].map(official)
    on = {name: cycles[side == name] for name in ("train", "test")}
    shared = sorted(set(on["train"]["patient"]) & set(on["test"]["patient"]))
    touched = on["test"][on["test"]["patient"].isin(shared)]
    return {
        "sides": {
            name: {
                **_made_of(part),
                "share": _share(len(part), int(side.notna().sum())),
                "devices": {device: _made_of(part[part["device"] == device]) for device in DEVICES},
            }
            for name, part in on.items()
        },
        "unlisted_recordings": int(cycles.loc[side.isna(), "recording"].nunique()),
        "listed_without_recording": len(set(official) - set(cycles["recording"])),
        "shared_patients": len(shared),
        "shared": [
            {
                "patient": int(patient),
                **{
                    f"{name}_recordings": _distinct(part[part["patient"] == patient], "recording")
                    for name, part in on.items()
                },
                "test_cycles": int((touched["patient"] == patient).sum()),
                "test_both": int(
                    (touched.loc[touched["patient"] == patient, "label"] == BOTH).sum()
                ),
            }
            for patient in shared
        ],
        "touched_cycles": len(touched),
        "touched_both": int((touched["label"] == BOTH).sum()),
    }


def _made_of(cycles: pd.DataFrame) -> dict[str, Any]:
    """Recordings, patients, cycles, and cycles of each class."""
    counts = np.bincount(cycles["label"], minlength=len(NAMES))
    return {
        "recordings": _distinct(cycles, "recording"),
        "patients": _distinct(cycles, "patient"),
        "cycles": len(cycles),
        "classes": dict(zip(NAMES, counts.tolist(), strict=True)),
    }


def _several_devices(cycles: pd.DataFrame) -> dict[str, list[str]]:
    """Patients who were recorded on more than one device, by their number as text."""
    used = cycles.groupby("patient")["device"].unique()
    return {
        str(patient): [device for device in DEVICES if device in devices]
        for patient, devices in used.items()
        if len(devices) > 1
    }


def _locations(cycles: pd.DataFrame) -> dict[str, Any]:
    visited = cycles.groupby("patient")["location"].nunique()
    everywhere = int((visited == len(LOCATIONS)).sum())
    parts = {place: cycles[cycles["location"] == place] for place in LOCATIONS}
    return {
        "used": _distinct(cycles, "location"),
        "recordings": {place: _distinct(part, "recording") for place, part in parts.items()},
        "patients_by_number": {
            str(number): int((visited == number).sum()) for number in range(1, len(LOCATIONS) + 1)
        },
        "patients_at_all": everywhere,
        "share_at_all": everywhere / len(visited),
    }


def lengths_s(cycles: pd.DataFrame) -> np.ndarray:
    """Length of each cycle in seconds, float64 [N]."""
    # Annotations are written to the millisecond; the difference of two is not exact.
    return (cycles["end_s"] - cycles["start_s"]).round(6).to_numpy()


def _cycle_lengths(cycles: pd.DataFrame) -> dict[str, Any]:
    length_s = lengths_s(cycles)
    within = {name: inside(length_s) for name, inside in LENGTHS.items()}
    return {
        **_ends(length_s),
        "quantiles": {str(q): float(np.quantile(length_s, q)) for q in QUANTILES},
        "counts": {name: int(inside.sum()) for name, inside in within.items()},
        "shares": {name: float(inside.mean()) for name, inside in within.items()},
    }


def _ends(seconds: np.ndarray) -> dict[str, float]:
    return {
        "shortest": float(seconds.min()),
        "mean": float(seconds.mean()),
        "median": float(np.median(seconds)),
        "longest": float(seconds.max()),
    }


def _sample_rates(recordings: pd.DataFrame) -> dict[str, Any]:
    counts = recordings["rate_hz"].value_counts().sort_index()
    return {
        "lowest_hz": int(counts.index[0]),
        "highest_hz": int(counts.index[-1]),
        "recordings": {str(rate): int(count) for rate, count in counts.items()},
    }


def _distinct(cycles: pd.DataFrame, column: str) -> int:
    return int(cycles[column].nunique())


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
