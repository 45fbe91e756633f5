"""The paper's numbers beside those of a data set, and what explains a difference."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from respire.experiments.audit.census import Part
from respire.experiments.audit.claims import DEVICES, PATIENTS, RECORDINGS, Claim, number_of

Status = Literal["agrees", "differs", "depends on the copy", "not checked"]
SWAPPED = {"Litt3200": "LittC2SE", "LittC2SE": "Litt3200"}
"""Devices whose numbers the paper may have swapped."""


@dataclass(frozen=True)
class Checked:
    """A number of the paper beside ours.

    Attributes:
        where: it stands.
        what: it counts.
        printed: as the paper has it.
        ours: counted; None where the data has nothing to count it from.
        status: whether they agree; "depends on the copy" where audio was processed since.
        why: what explains a difference, where something does.
    """

    where: str
    what: str
    printed: str
    ours: float | None
    status: Status
    why: str


@dataclass(frozen=True)
class Erratum:
    """What the paper has wrong in one place.

    Attributes:
        where: it stands.
        what: the numbers, and in brackets what they are.
        why: what explains it, where something does.
    """

    where: str
    what: str
    why: str


def is_published(whole: Part, devices: Collection[str]) -> bool:
    """Whether a census, its devices named, looks like that of the paper's data set."""
    return (whole.recordings, whole.patients, set(devices)) == (RECORDINGS, PATIENTS, DEVICES)


def check(measured: Mapping[str, Any], claims: Sequence[Claim]) -> list[Checked]:
    """Look every number up.

    Args:
        measured: a census, and the audit's blank rows under ``blank_rows``.
        claims: the paper's numbers.
    """
    right = {claim.at: claim for claim in claims if claim.agrees(look_up(measured, claim.at))}
    checked = []
    for claim in claims:
        ours = look_up(measured, claim.at)
        status: Status = "agrees"
        why = ""
        if ours is None:
            status = "not checked"
        elif not claim.agrees(ours):
            status = "depends on the copy" if claim.of_audio else "differs"
            why = _explained(claim, measured, right)
        checked.append(Checked(claim.where, claim.what, claim.printed, ours, status, why))
    return checked


def errata(checked: Sequence[Checked]) -> list[Erratum]:
    """The paper's numbers that differ, those of one place with one explanation together."""
    groups: dict[tuple[str, str], list[Checked]] = {}
    for one in checked:
        if one.status == "differs":
            # What nothing explains stands by itself.
            groups.setdefault((one.where, one.why or one.what), []).append(one)
    return [
        Erratum(
            where,
            "; ".join(
                f"{one.what} {one.printed} ({shown(one.printed, one.ours)})" for one in group
            ),
            group[0].why,
        )
        for (where, _), group in groups.items()
    ]


def shown(printed: str, ours: float | None) -> str:
    """Our number as the paper prints its own; a fraction gets one digit more."""
    if ours is None:
        return "–"
    percent = printed.endswith("%")
    decimals = len(printed.rstrip("%").partition(".")[2])
    whole = not percent and decimals == 0 and float(ours).is_integer()
    return f"{100 * ours if percent else ours:.{decimals + (not whole)}f}" + "%" * percent


def look_up(measured: Mapping[str, Any], at: str) -> float | None:
    """The number at a place named by dots; None where there is none."""
    value: Any = measured
    for key in at.split("."):
        if value is None or key not in value:
            return None
        value = value[key]
    return None if value is None else float(value)


def _explained(claim: Claim, measured: Mapping[str, Any], right: Mapping[str, Claim]) -> str:
    """What explains a difference, as far as the numbers themselves say."""
    if claim.of_audio:
        return (
            "it hangs on how the audio was processed and turned into an image; this copy may be at "
            "fault, so it is no erratum of the paper"
        )
    parts = claim.at.split(".")
    swapped = ".".join(SWAPPED.get(part, part) for part in parts)
    if swapped != claim.at and claim.agrees(look_up(measured, swapped)):
        return "the numbers of Litt3200 and LittC2SE are swapped"
    if claim.instead and claim.agrees(look_up(measured, claim.instead[0])):
        return f"the paper's number is {claim.instead[1]}"
    if claim.made_of:
        above, below = claim.made_of
        if claim.agrees(number_of(above) / number_of(below)):
            return f"it follows from the text's {above} cycles of {below} patients"
    if claim.at in right:
        return f"the paper's own {right[claim.at].where} is right with {right[claim.at].printed}"
    if claim.is_cut_off(look_up(measured, claim.at)):
        return "its further digits were cut off instead of rounded"
    return claim.told.format_map(measured)
