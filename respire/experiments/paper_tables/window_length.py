"""How long should the network listen? Table 2 of the paper: windows of 1 to 9 seconds."""

from dataclasses import replace

from respire.data.splits.split import Cut
from respire.experiments.paper_tables.printed import NOTHING, TABLE_2
from respire.experiments.paper_tables.question import Question, Row
from respire.recipe.recipe import Recipe
from respire.study.grid import Variant


def question(recipe: Recipe, cut: Cut, windows: tuple[float, ...]) -> Question:
    """A row a length, compared with the recipe's own."""
    own = recipe.features.window_seconds
    # The recipe's own comes first: the baselines are of its windows.
    names = {seconds: f"{seconds:.15g} s" for seconds in (own, *sorted({*windows} - {own}))}
    return Question(
        "Table 2, input length",
        {
            name: Variant(
                replace(recipe, features=replace(recipe.features, window_seconds=seconds)), cut
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
        primary=names[min(names)],
        note="The paper's are of its CNN, which has neither CBA nor BRC.",
    )
