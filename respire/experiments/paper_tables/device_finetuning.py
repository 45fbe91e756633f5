"""What does fine-tuning for each device bring? Table 3 and Fig. 6 of the paper, and section 2.1."""

from respire.data.splits.split import Cut
from respire.experiments.paper_tables.printed import CBA_BRC, FINE_TUNED, TABLE_1, TABLE_3
from respire.experiments.paper_tables.question import Question, Row
from respire.recipe.recipe import Recipe
from respire.study.grid import Variant


def question(recipe: Recipe, cut: Cut) -> Question:
    """The common model and the fine-tuned ones."""
    printed = TABLE_1["80-20", "4-class"]
    common, tuned = "stage 1, all devices", "stage 2, fine-tuned"
    return Question(
        "Table 3, device-specific fine-tuning",
        {common: Variant(recipe, cut, stage2=True)},
        [
            Row(common, common, printed=printed[CBA_BRC]),
            Row(tuned, common, common, stage2=True, printed=printed[FINE_TUNED], devices=TABLE_3),
        ],
        by_device=True,
        confusions=(common, tuned),
        primary=tuned,
        note="The paper's shares of samples are swapped between Litt3200 and LittC2SE.",
    )
