"""How long should the network listen? Table 2 of the paper: windows of 1 to 9 seconds.

Each length is trained on the same patient-disjoint splits; differences are from the recipe's own
length. The same command resumes, and a run that another experiment has done is not done again.
"""

from dataclasses import dataclass, replace

from respire.command.command import TableOptions, command
from respire.experiments.paper_tables.printed import NOTHING, TABLE_2
from respire.experiments.paper_tables.question import Question, Row, Variant
from respire.recipe.recipe import Recipe


@dataclass(frozen=True)
class WindowLengthOptions(TableOptions):
    """What every table can be told, and which windows."""

    windows: tuple[float, ...] = (1, 2, 3, 4, 5, 6, 7, 8, 9)
    """Lengths to try beside the recipe's own (seconds)."""


def question(recipe: Recipe, windows: tuple[float, ...]) -> Question:
    """A row a length, compared with the recipe's own."""
    own = recipe.features.window_seconds
    # The recipe's own comes first: the baselines are of its windows.
    names = {seconds: f"{seconds:.15g} s" for seconds in (own, *sorted({*windows} - {own}))}
    return Question(
        "Table 2, input length",
        {
            name: Variant(
                replace(recipe, features=replace(recipe.features, window_seconds=seconds))
            )
            for seconds, name in names.items()
        },
        [
            Row(
                name,
                name,
                against="" if seconds == own else names[own],
                printed=TABLE_2.get(int(seconds), NOTHING) if seconds % 1 == 0 else NOTHING,
            )
            for seconds, name in sorted(names.items())
        ],
        axis="Window (s)",
        along={name: seconds for seconds, name in names.items()},
    )


def main(options: WindowLengthOptions) -> None:
    """Fill the table, and print it beside the paper's."""
    from respire.experiments.paper_tables.run import run_table

    print(run_table("window_length", options, question(options.recipe, options.windows)))


if __name__ == "__main__":
    command(WindowLengthOptions, main, __doc__)
