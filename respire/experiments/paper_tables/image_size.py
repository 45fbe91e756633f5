"""What is a larger image worth? The spectrogram enlarged 1, 2 and 3 times."""

from dataclasses import replace

from respire.data.splits.split import Cut
from respire.experiments.paper_tables.question import Question, Row
from respire.features.pipeline import image_size
from respire.recipe.recipe import Recipe
from respire.study.grid import Variant


def question(recipe: Recipe, cut: Cut, sizes: tuple[int, ...]) -> Question:
    """A row a size, compared with the smallest."""
    enlarged = {
        upsample: replace(recipe, features=replace(recipe.features, upsample=upsample))
        for upsample in sorted(set(sizes))
    }
    names = {upsample: "{}x{}".format(*image_size(larger)) for upsample, larger in enlarged.items()}
    smallest = names[min(names)]
    return Question(
        "Image size",
        {names[upsample]: Variant(larger, cut) for upsample, larger in enlarged.items()},
        [Row(name, name, against="" if name == smallest else smallest) for name in names.values()],
        axis="Times enlarged",
        along={name: upsample for upsample, name in names.items()},
        primary=names[max(names)],
    )
