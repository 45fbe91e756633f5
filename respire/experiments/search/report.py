"""The report of a search: summary in, page and sentences out."""

from collections.abc import Mapping
from typing import Any

from respire.experiments.full.tables import STAGES
from respire.experiments.search import figures, tables
from respire.experiments.search.summary import SearchSummary
from respire.experiments.seed_variance.tables import between, points
from respire.report.page import Page, Picture, Section
from respire.report.style import count
from respire.runtime.storage import Storage


def write_report(
    search: SearchSummary, results: Mapping[str, Any], directory: Storage
) -> list[str]:
    """Write results.json, report.md, the self-contained report.html and the figures.

    Args:
        search: what was found.
        results: content of results.json, strict (its fields: experiments/results/SCHEMA.md).
        directory: where the files go.

    Returns:
        Names of the figures' files.

    Raises:
        InputError: the directory cannot be written.
    """
    return Page(
        results,
        facts=f"{_facts(search)} · respire {results['respire_version']}",
        lead=lead(search),
        verdict=verdict(search),
        sections=[
            Section("Results", [tables.survival(search), tables.winners(search)]),
            Section("Trials", [tables.trials(search), tables.states(search)], _pictures(search)),
            Section("Reproduction", tables.reproduction(search, results)),
        ],
    ).write(directory)


def summary(search: SearchSummary) -> str:
    """What the command prints last."""
    shown = [tables.survival(search), tables.winners(search)]
    return "\n\n".join([lead(search), verdict(search), *(table.markdown() for table in shown)])


def lead(search: SearchSummary) -> str:
    """The gain on validation, and what is left of it on test."""
    trials = sum(len(split.trials) for split in search.outer)
    splits = count(len(search.outer), "outer split").replace("1 ", "one ")
    if not any(split.winner for split in search.outer):
        return (
            f"None of the {trials} recipes that were tried on {splits} is better on validation "
            f"than recipe {search.recipe.preset}."
        )
    validation, test = search.gains
    return (
        f"On {splits}, the best of {trials} recipes gains {points(validation)} "
        f"points on validation over recipe {search.recipe.preset}, and "
        f"{100 * test:+.1f} points on test patients that no search has seen."
    )


def verdict(search: SearchSummary) -> str:
    """How far the gain can be trusted."""
    if search.survival is not None:
        test = search.survival.new_patients
        return (
            f"Over the {len(search.outer)} outer splits the gain on test has an "
            f"interval of {between(test.low, test.high)} points for new patients "
            f"(p = {test.p:.2g})."
        )
    winner = search.outer[0].winner
    if winner is None:
        return "Nothing was gained, and nothing can be lost on test."
    apart = winner.on_patients
    if apart is None:
        return "The test side has too few patients for an interval of the gain."
    return (
        f"Over the {apart.patients} test patients the {apart.level:.0%} interval of that "
        f"gain is {between(apart.score.low, apart.score.high)} points, of these two "
        "models and this one outer split; repeat the search with more --outer-seeds to know more."
    )


def _pictures(search: SearchSummary) -> list[Picture]:
    outer = search.outer
    if not any(split.scored for split in outer):
        return []
    pictures = [
        Picture(
            "history",
            "Gain of every trial over the default recipe on the same inner splits, and the best "
            "so far of those that came to all; open: stopped early.",
            figures.history(outer, search.space),
        )
    ]
    if fields := figures.fields_that_differ(outer):
        most = f"The {figures.AXES} fields that explain most. " * (len(fields) > figures.AXES)
        pictures += [
            Picture(
                "parallel-coordinates",
                f"A line a trial through its gain and the values it varied. {most}Dotted: stopped "
                "early; None: a trial that does not vary the field.",
                figures.parallel_coordinates(outer, search.space),
            ),
            Picture(
                "slices",
                "Gain against each field by itself; open: stopped early.",
                figures.slices(outer, search.space),
            ),
        ]
    return pictures + [
        Picture(
            f"importance-{split.split_seed}",
            "Share of the gain's variance that each field explains by itself (fANOVA); fields "
            "that only some trials have are not in it.",
            figures.importance(split, search.space),
        )
        for split in outer
        if split.importance
    ]


def _facts(search: SearchSummary) -> str:
    first, recipe, plan = search.outer[0], search.recipe, search.plan
    return (
        f"Recipe {recipe.preset}, {recipe.task}, {STAGES[plan.stage].lower()} · "
        f"{len(first.trials)} trials by {plan.sampler}, each on up to {len(first.inner_seeds)} "
        f"inner splits (seeds {', '.join(map(str, first.inner_seeds))}) · outer split seeds "
        f"{', '.join(str(split.split_seed) for split in search.outer)} · "
        f"{recipe.optimisation.epochs} epochs · training seed {search.training_seed}"
    )
