"""Does one device teach the others? Table 6 of the paper, and a table it does not have."""

from collections.abc import Sequence
from dataclasses import replace

from respire.data.splits.split import Cut
from respire.errors import InputError
from respire.experiments.paper_tables.printed import (
    CBA_BRC,
    NOTHING,
    ONE_DEVICE,
    TABLE_1,
    TABLE_6,
    TEACHER,
)
from respire.experiments.paper_tables.question import Question, Row
from respire.recipe.recipe import Recipe
from respire.study.grid import Variant

NOTE = "Rows that hear fewer devices train on fewer cycles and patients too."
SWAPPED = " The paper swaps Litt3200 and LittC2SE in Tables 3 to 5, perhaps in Table 6 too."


def question(recipe: Recipe, cut: Cut, devices: Sequence[str]) -> Question:
    """All devices, one alone, and all but one.

    Args:
        recipe: how to train.
        cut: who is held out.
        devices: that the recordings were made with, the most used, which is heard alone, first.

    Raises:
        InputError: there is but one.
    """
    first = devices[0]
    if len(devices) == 1:
        raise InputError(f"--data: the recordings have {first} only: give those of a second device")
    everything, alone = "all devices", f"{first} alone"
    without = {f"without {left_out}": others(left_out, devices) for left_out in devices}
    # Of two devices, the second left out is the first alone.
    without = {name: heard for name, heard in without.items() if heard != (first,)}
    printed = (ONE_DEVICE, TABLE_6) if first == TEACHER else (NOTHING, {})
    return Question(
        "Table 6, devices heard in training",
        {
            everything: Variant(recipe, cut),
            alone: Variant(recipe, replace(cut, heard=(first,))),
            **{name: Variant(recipe, replace(cut, heard=heard)) for name, heard in without.items()},
        },
        [
            Row(everything, everything, printed=TABLE_1["80-20", "4-class"][CBA_BRC]),
            Row(alone, alone, against=everything, printed=printed[0], devices=printed[1]),
            *(Row(name, name, against=everything) for name in without),
        ],
        by_device=True,
        primary=alone,
        note=NOTE + SWAPPED * (first == TEACHER),
    )


def others(device: str, devices: Sequence[str]) -> tuple[str, ...]:
    """All devices but one."""
    return tuple(other for other in devices if other != device)
