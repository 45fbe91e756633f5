"""What are five shortcuts worth? Points of Score that say nothing about patients."""

from dataclasses import replace

from respire.data.splits.split import Cut
from respire.experiments.paper_tables.question import Question, Row
from respire.recipe.recipe import Recipe
from respire.study.grid import Variant

PLAIN = "no shortcut"
OWN_CYCLE = "no shortcut, own cycle repeated"
DISJOINT = "official split without its shared patients"
NOTE = (
    "The official rows share their trainings' patients and differ in who is tested; those split by "
    "recording or by cycle test other cycles than the row they are compared with, and those by "
    "recording train on 60% of all, not on 80%."
)


def question(recipe: Recipe, cut: Cut) -> Question:
    """Each shortcut beside its like without.

    A cut inside the official training side has those that read nothing of the official test side.
    """
    by_label = replace(recipe, features=replace(recipe.features, evaluation_padding="smart"))
    # A cycle that lies apart from its recording has no neighbours to be padded with.
    own_cycle = replace(recipe, features=replace(recipe.features, padding="repeat"))
    by_recording, by_cycle = (
        replace(cut, kind=kind, stratify=False) for kind in ("by-recording", "by-cycle")
    )
    # Trained on the same patients as without the shortcut: only what chooses differs.
    alike = replace(cut, validation=False) if recipe.selection == "none" else cut
    shortcuts = {
        "epoch chosen on test": (Variant(replace(recipe, selection="test"), alike), PLAIN),
        "test cycles padded by their labels": (Variant(by_label, cut), PLAIN),
        "split by recording": (Variant(recipe, by_recording), PLAIN),
        "split by cycle": (Variant(own_cycle, by_cycle), OWN_CYCLE),
        "official split as published": (Variant(recipe, replace(cut, kind="60-40")), DISJOINT),
    }
    honest = {
        PLAIN: Variant(recipe, cut),
        OWN_CYCLE: Variant(own_cycle, cut),
        DISJOINT: Variant(recipe, replace(cut, kind="60-40-disjoint")),
    }
    asked = Question(
        "Shortcuts",
        honest | {name: variant for name, (variant, _) in shortcuts.items()},
        [
            *(Row(name, name) for name in honest),
            *(Row(name, name, against=against) for name, (_, against) in shortcuts.items()),
        ],
        note="" if cut.inside_training else NOTE,
        primary="epoch chosen on test",
    )
    inside = [name for name, (variant, _) in shortcuts.items() if variant.cut.kind == cut.kind]
    return asked.only(inside) if cut.inside_training else asked
