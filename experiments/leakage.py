"""What are four shortcuts worth? Points of Score that say nothing about patients.

Choosing the epoch on test, padding test cycles by their labels, testing patients that were trained
on (the official split has two), and splitting by cycle instead of by patient. Each is compared
with the same recipe without it, on the same splits where that can be; all are stamped. The same
command resumes, and a run that another experiment has done is not done again.
"""

from dataclasses import replace

from respire.command.command import TableOptions, command
from respire.experiments.paper_tables.question import Question, Row, Variant
from respire.recipe.recipe import Recipe

PLAIN = "no shortcut"
OWN_CYCLE = "no shortcut, own cycle repeated"
DISJOINT = "official split without its shared patients"


def question(recipe: Recipe) -> Question:
    """Each shortcut beside its like without."""
    by_label = replace(recipe, features=replace(recipe.features, evaluation_padding="smart"))
    # A cycle that lies apart from its recording has no neighbours to be padded with.
    own_cycle = replace(recipe, features=replace(recipe.features, padding="repeat"))
    shortcuts = {
        "epoch chosen on test": (Variant(replace(recipe, selection="test")), PLAIN),
        "test cycles padded by their labels": (Variant(by_label), PLAIN),
        "split by cycle": (Variant(own_cycle, split="by-cycle"), OWN_CYCLE),
        "official split as published": (Variant(recipe, split="60-40"), DISJOINT),
    }
    honest = {
        PLAIN: Variant(recipe),
        OWN_CYCLE: Variant(own_cycle),
        DISJOINT: Variant(recipe, split="60-40-disjoint"),
    }
    return Question(
        "Four shortcuts",
        honest | {name: variant for name, (variant, _) in shortcuts.items()},
        [
            *(Row(name, name) for name in honest),
            *(Row(name, name, against=against) for name, (_, against) in shortcuts.items()),
        ],
        note="The official rows share their trainings' patients and differ in who is tested; "
        "those split by cycle test other cycles than the row they are compared with.",
    )


def main(options: TableOptions) -> None:
    """Fill the table, and print it."""
    from respire.experiments.paper_tables.run import run_table

    print(run_table("leakage", options, question(options.recipe)))


if __name__ == "__main__":
    command(TableOptions, main, __doc__)
