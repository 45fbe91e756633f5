"""Does one device teach the others? Table 6 of the paper, and a table it does not have.

Trained on AKGC417L alone, as in the paper; then on all devices but one, for each of the four, which
tells what a recipe is worth on a stethoscope that it has never heard. All rows are tested on the
same patients. The same command resumes, and a run that another experiment has done is not done
again.
"""

from respire.command.command import TableOptions, command
from respire.data.corpora.icbhi_format import DEVICES
from respire.experiments.paper_tables.printed import CBA_BRC, ONE_DEVICE, TABLE_1, TABLE_6
from respire.experiments.paper_tables.question import Question, Row, Variant
from respire.recipe.recipe import Recipe


def question(recipe: Recipe) -> Question:
    """All devices, one alone, and all but one."""
    everything, alone = "all devices", f"{DEVICES[0]} alone"
    without = {f"without {device}": device for device in DEVICES}
    return Question(
        "Table 6, devices heard in training",
        {
            everything: Variant(recipe),
            alone: Variant(recipe, heard=DEVICES[:1]),
            **{
                name: Variant(recipe, heard=tuple(other for other in DEVICES if other != device))
                for name, device in without.items()
            },
        },
        [
            Row(everything, everything, printed=TABLE_1["80-20", "4-class"][CBA_BRC]),
            Row(alone, alone, against=everything, printed=ONE_DEVICE, devices=TABLE_6),
            *(Row(name, name, against=everything) for name in without),
        ],
        by_device=True,
        note="Rows that hear fewer devices train on fewer cycles and patients too. The paper swaps "
        "Litt3200 and LittC2SE in Tables 3 to 5; whether in Table 6 too cannot be told.",
    )


def main(options: TableOptions) -> None:
    """Fill the tables, and print them beside the paper's."""
    from respire.experiments.paper_tables.run import run_table

    print(run_table("single_device", options, question(options.recipe)))


if __name__ == "__main__":
    command(TableOptions, main, __doc__)
