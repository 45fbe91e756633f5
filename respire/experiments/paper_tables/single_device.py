"""Does one device teach the others? Table 6 of the paper, and a table it does not have."""

from dataclasses import replace

from respire.data.corpora.icbhi_format import DEVICES
from respire.data.splits.split import Cut
from respire.experiments.paper_tables.printed import CBA_BRC, ONE_DEVICE, TABLE_1, TABLE_6
from respire.experiments.paper_tables.question import Question, Row
from respire.recipe.recipe import Recipe
from respire.study.grid import Variant


def question(recipe: Recipe, cut: Cut) -> Question:
    """All devices, one alone, and all but one."""
    everything, alone = "all devices", f"{DEVICES[0]} alone"
    without = {f"without {device}": device for device in DEVICES}
    return Question(
        "Table 6, devices heard in training",
        {
            everything: Variant(recipe, cut),
            alone: Variant(recipe, replace(cut, heard=DEVICES[:1])),
            **{
                name: Variant(recipe, replace(cut, heard=others(device)))
                for name, device in without.items()
            },
        },
        [
            Row(everything, everything, printed=TABLE_1["80-20", "4-class"][CBA_BRC]),
            Row(alone, alone, against=everything, printed=ONE_DEVICE, devices=TABLE_6),
            *(Row(name, name, against=everything) for name in without),
        ],
        by_device=True,
        primary=alone,
        note="Rows that hear fewer devices train on fewer cycles and patients too. The paper swaps "
        "Litt3200 and LittC2SE in Tables 3 to 5; whether in Table 6 too cannot be told.",
    )


def others(device: str) -> tuple[str, ...]:
    """All devices but one."""
    return tuple(other for other in DEVICES if other != device)
