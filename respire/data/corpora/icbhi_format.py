"""A recording of ICBHI 2017: what its name, its annotation and its audio's header say, checked.

Its name is ``patient_session_location_mode_device``; each row of its annotation is one breathing
cycle: start s, end s, crackle 0/1, wheeze 0/1 (Rocha et al. 2018, 2019).
"""

import math
import re
from collections.abc import Iterator
from functools import cache
from pathlib import PurePosixPath
from typing import NamedTuple

from respire.data.catalogue import ROUNDING_S
from respire.data.manifest import SHORTEST_S
from respire.errors import REMEDY, InputError

LOCATIONS = ("Tc", "Al", "Ar", "Pl", "Pr", "Ll", "Lr")
"""Trachea; anterior, posterior and lateral, left and right."""
MODES = ("sc", "mc")
"""Sequential (single-channel) and simultaneous (multi-channel) acquisition."""
DEVICES = ("AKGC417L", "Meditron", "LittC2SE", "Litt3200")
"""One microphone and three electronic stethoscopes, the most used first."""

_NAME = re.compile(r"([0-9]{1,9})_([0-9A-Za-z]+)_([A-Za-z]+)_([A-Za-z]+)_([0-9A-Za-z]+)")


class RecordingName(NamedTuple):
    """What a recording's name says."""

    patient: int
    session: str
    location: str
    mode: str
    device: str


class Cycle(NamedTuple):
    """A row of an annotation; label 0 normal, 1 crackle, 2 wheeze, 3 both."""

    start_s: float
    end_s: float
    label: int


def is_name(text: str) -> bool:
    """Whether a text has the parts of a recording's name, known or not."""
    return bool(_NAME.fullmatch(text))


def resembles_name(text: str) -> bool:
    """Whether a text may be a recording's name misspelt: most of its last parts are known."""
    parts = text.split("_")
    known = zip(parts[2:], (LOCATIONS, MODES, DEVICES), strict=False)
    return len(parts) == 5 and sum(part in values for part, values in known) >= 2


@cache  # a recording's name stands in several rows and files
def parse_name(recording: str) -> RecordingName:
    """Read a recording's name, or that of one of its files.

    Raises:
        InputError: the name is not patient_session_location_mode_device, or its location, mode
            or device is not one of ICBHI 2017.
    """
    match = _NAME.fullmatch(PurePosixPath(recording).stem)
    if not match:
        raise InputError(
            f"{recording}: not a recording's name (patient_session_location_mode_device, such as "
            f"101_1b1_Al_sc_Meditron); rename it, or leave it out with --skip-bad"
        )
    patient, session, location, mode, device = match.groups()
    for what, value, known in (
        ("location", location, LOCATIONS),
        ("mode", mode, MODES),
        ("device", device, DEVICES),
    ):
        if value not in known:
            raise InputError(
                f"{recording}: unknown {what} {value!r} (known: {', '.join(known)}); "
                f"rename it, or leave it out with --skip-bad"
            )
    return RecordingName(int(patient), session, location, mode, device)


def parse_annotation(text: str, where: str, duration_s: float) -> list[Cycle]:
    """A recording's cycles: rows of start s, end s, crackle 0/1, wheeze 0/1, at white space.

    Raises:
        InputError: a row is malformed, or its cycle is shorter than a sample, begins before the
            previous one ends or outlasts the recording; or there is no row.
    """
    cycles: list[Cycle] = []
    for row, columns in rows(text):
        try:
            cycle = _parse_cycle(columns)
            if cycles and cycle.start_s < cycles[-1].end_s:
                raise ValueError(
                    f"starts at {cycle.start_s:g} s, before the previous cycle's end at "
                    f"{cycles[-1].end_s:g} s"
                )
            if cycle.end_s > duration_s + ROUNDING_S:
                raise ValueError(
                    f"ends at {cycle.end_s:g} s, beyond the recording's {duration_s:g} s"
                )
        except ValueError as error:
            raise InputError(f"{where}, row {row}: {error}; {REMEDY}") from error
        cycles.append(cycle)
    if not cycles:
        raise InputError(f"{where}: no cycles; {REMEDY}")
    return cycles


def rows(text: str) -> Iterator[tuple[int, list[str]]]:
    """Rows that are not blank, split at white space, with their 1-based number in the file."""
    for number, line in enumerate(text.splitlines(), start=1):
        if columns := line.split():
            yield number, columns


def _parse_cycle(columns: list[str]) -> Cycle:
    if len(columns) != 4:
        raise ValueError(
            f"{len(columns)} columns instead of 4 (start s, end s, crackle 0/1, wheeze 0/1)"
        )
    try:
        start_s, end_s = float(columns[0]), float(columns[1])
    except ValueError:
        raise ValueError(f"{columns[0]!r} and {columns[1]!r} must be seconds") from None
    if not (math.isfinite(start_s) and math.isfinite(end_s) and start_s >= 0):
        raise ValueError(f"{columns[0]} and {columns[1]} must be finite and not negative")
    if end_s <= start_s:
        raise ValueError(f"ends at {end_s:g} s, not after its start at {start_s:g} s")
    if end_s - start_s < SHORTEST_S:
        raise ValueError(f"lasts {end_s - start_s:g} s, less than one sample at 4 kHz")
    if not {columns[2], columns[3]} <= {"0", "1"}:
        raise ValueError(f"flags {columns[2]!r} and {columns[3]!r} must be 0 or 1")
    return Cycle(start_s, end_s, label=int(columns[2]) + 2 * int(columns[3]))
