"""What does fine-tuning for each device bring? Table 3 and Fig. 6 of the paper, and section 2.1.

The common model and its four fine-tuned copies are read on the same test cycles, device by device.
The same command resumes, and a run that another experiment has done is not done again.
"""

from respire.command.command import TableOptions, command
from respire.experiments.paper_tables.printed import CBA_BRC, FINE_TUNED, TABLE_1, TABLE_3
from respire.experiments.paper_tables.question import Question, Row, Variant
from respire.recipe.recipe import Recipe


def question(recipe: Recipe) -> Question:
    """The common model and the fine-tuned ones."""
    printed = TABLE_1["80-20", "4-class"]
    common, tuned = "stage 1, all devices", "stage 2, fine-tuned"
    return Question(
        "Table 3, device-specific fine-tuning",
        {common: Variant(recipe, stage2=True)},
        [
            Row(common, common, printed=printed[CBA_BRC]),
            Row(tuned, common, common, stage2=True, printed=printed[FINE_TUNED], devices=TABLE_3),
        ],
        by_device=True,
        confusions=(common, tuned),
        note="The paper's shares of samples are swapped between Litt3200 and LittC2SE.",
    )


def main(options: TableOptions) -> None:
    """Fill the table, and print it beside the paper's."""
    from respire.experiments.paper_tables.run import run_table

    print(run_table("device_finetuning", options, question(options.recipe)))


if __name__ == "__main__":
    command(TableOptions, main, __doc__)
