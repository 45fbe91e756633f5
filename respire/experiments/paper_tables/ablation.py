"""What is each of the paper's techniques worth? Table 1 and the single steps of section 3."""

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from respire.data.splits.kinds import Kind
from respire.data.splits.split import Cut
from respire.errors import InputError
from respire.experiments.paper_tables.printed import (
    CBA_BRC,
    CNN,
    FINE_TUNED,
    NO_AUGMENTATION,
    NOTHING,
    REFLECT_PADDING,
    TABLE_1,
    WITH_BRC,
    WITH_CBA,
    ZERO_PADDING,
    Printed,
)
from respire.experiments.paper_tables.question import Question, Row
from respire.labels import Task
from respire.recipe.fields import Padding
from respire.recipe.recipe import Recipe
from respire.study.grid import Variant

OFFICIAL: Kind = "60-40"
WITH_SEAMS = ("CNN + CBA", "CNN + CBA within a recording", "CNN + CBA, normal joined too")
"""Steps whose training windows may be joined of two cycles."""


def question(recipe: Recipe, cut: Cut) -> Question:
    """The rows of Table 1 and of section 3.

    Args:
        recipe: how to train.
        cut: who is held out of the rows that are not of the official split.

    Raises:
        InputError: it is an official split's.
    """
    if cut.listed_test:
        raise InputError(
            f"--split {cut.kind}: the table has rows of the official split beside those of random "
            f"patients; use --split 80-20"
        )
    variants: dict[str, Variant] = {}
    rows: list[Row] = []
    for split, task in blocks(cut):
        ours, here = replace(recipe, task=task), replace(cut, kind=split)
        base = with_techniques(ours, cba=False, brc=False)
        suffix = "" if (split, task) == (cut.kind, "4-class") else f", {split} {task}"
        printed = TABLE_1[split if split == OFFICIAL else "80-20", task]
        for name, row in ((CNN, base), (CBA_BRC, with_techniques(ours, cba=True, brc=True))):
            variants[name + suffix] = Variant(row, here, name == CBA_BRC)
        rows.append(Row(CNN + suffix, CNN + suffix, printed=printed[CNN]))
        if not suffix:
            for name, (step, printed_step) in steps(base).items():
                variants[name] = Variant(step, here)
                rows.append(Row(name, name, against=CNN, printed=printed_step))
        whole = CBA_BRC + suffix
        rows += [
            Row(whole, whole, against=CNN + suffix, printed=printed[CBA_BRC]),
            Row(FINE_TUNED + suffix, whole, whole, stage2=True, printed=printed[FINE_TUNED]),
        ]
    note = (
        "CNN: the recipe with smart padding and standard augmentation, without CBA and BRC; smart "
        "padding reads labels, so evaluation repeats the cycle; the other paddings are the same in "
        "training and evaluation."
    )
    if not cut.inside_training:
        note += f" Split {OFFICIAL} has one test side"
        note += "." if recipe.selection == "none" else ": its rows differ in who is in validation."
    return Question(
        "Table 1 and section 3, ablation",
        variants,
        rows,
        note=note,
        seams=(CNN, *WITH_SEAMS),
        primary=CBA_BRC,
    )


def blocks(cut: Cut) -> list[tuple[Kind, Task]]:
    """Of Table 1; the first has the single steps too.

    A cut inside the official training side reads nothing of the official test side.
    """
    official: list[tuple[Kind, Task]] = [] if cut.inside_training else [(OFFICIAL, "4-class")]
    return [(cut.kind, "4-class"), *official, (cut.kind, "2-class")]


def steps(base: Recipe) -> Mapping[str, tuple[Recipe, Printed]]:
    """Section 3: one thing changed about the base model each."""

    def padded(padding: Padding) -> Recipe:
        """In evaluation too, which smart padding alone cannot be: it reads labels."""
        return replace(
            base, features=replace(base.features, padding=padding, evaluation_padding=padding)
        )

    chances = [field.name for field in fields(base.augmentation) if field.name.endswith("_p")]
    never: dict[str, Any] = dict.fromkeys(chances, 0.0)
    plain = replace(base, augmentation=replace(base.augmentation, **never))
    joined = with_techniques(base, cba=True, brc=False)

    def joining(**changes: Any) -> Recipe:
        return replace(joined, concatenation=replace(joined.concatenation, **changes))

    paired, within, alike = WITH_SEAMS
    return {
        "CNN, no augmentation": (plain, NO_AUGMENTATION),
        paired: (joining(partners="any", join_normal=False), WITH_CBA),
        within: (joining(partners="recording", join_normal=False), NOTHING),
        alike: (joining(partners="any", join_normal=True), NOTHING),
        "CNN + BRC": (with_techniques(base, cba=False, brc=True), WITH_BRC),
        "CNN, zero padding": (padded("zero"), ZERO_PADDING),
        "CNN, reflect padding": (padded("reflect"), REFLECT_PADDING),
        "CNN, repeat padding": (padded("repeat"), NOTHING),
    }


def with_techniques(recipe: Recipe, *, cba: bool, brc: bool) -> Recipe:
    """The recipe with or without concatenation-based augmentation and blank region clipping."""
    scheme = recipe.concatenation.scheme
    clip = recipe.features.blank_region
    concatenation = replace(
        recipe.concatenation,
        scheme="off" if not cba else "same-class" if scheme == "off" else scheme,
    )
    features = replace(
        recipe.features,
        padding="smart",
        blank_region="keep" if not brc else "clip" if clip == "keep" else clip,
    )
    return replace(recipe, concatenation=concatenation, features=features)
