"""The report of a search: summary in, page and sentences out."""

from collections.abc import Mapping
from typing import Any

from respire.experiments.search import figures, tables
from respire.experiments.search.summary import SearchSummary
from respire.metrics import percent
from respire.report.numbers import between, count, signed
from respire.report.page import Page, Picture, Section, printed
from respire.report.reproduction import STAGES


def page(search: SearchSummary, results: Mapping[str, Any]) -> Page:
    """The report, given the content of results.json too."""
    return Page(
        results,
        facts=f"{_facts(search)} · respire {results['respire_version']}",
        lead=lead(search),
        verdict=verdict(search),
        sections=[
            Section("Results", [tables.survival(search), *tables.winners(search)]),
            Section("Trials", [tables.trials(search), tables.states(search)], _pictures(search)),
            Section("Reproduction", tables.reproduction(search, results)),
        ],
    )


def summary(search: SearchSummary, results: Mapping[str, Any]) -> str:
    """What the command prints last."""
    shown = [tables.survival(search), *tables.winners(search)]
    return printed(results, lead(search), verdict(search), *shown)


def lead(search: SearchSummary) -> str:
    """The gain on validation, and what is left of it on test."""
    trials = sum(len(split.trials) for split in search.outer)
    splits = count(len(search.outer), "outer split").replace("1 ", "one ")
    if not any(split.winner for split in search.outer):
        return (
            f"None of the {trials} recipes that were tried on {splits} is better on validation "
            f"than recipe {search.recipe.preset}."
        )
    return (
        f"On {splits}, the best of {trials} recipes gains "
        f"{percent(search.survival.validation_gain)} points on validation over recipe "
        f"{search.recipe.preset}, and {signed(search.survival.test_gain)} points on test patients "
        "that no search has seen."
    )


def verdict(search: SearchSummary) -> str:
    """How far the gain can be trusted."""
    if search.survival.test is not None:
        test = search.survival.test.new_patients
        return (
            f"Over the {len(search.outer)} outer splits the gain on test has an "
            f"interval of {between((test.low, test.high))} points for new patients "
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
        f"gain is {between((apart.score.low, apart.score.high))} points, of these two "
        "models and this one outer split; repeat the search with more --outer-seeds to know more."
    )


def _pictures(search: SearchSummary) -> list[Picture]:
    outer, space = search.outer, search.space
    pictures = []
    if any(split.scored for split in outer):
        text = (
            "Gain of every trial over the default recipe on the same inner splits, and the best so "
            "far of those that came to all; open: stopped early."
        )
        pictures.append(Picture("history", text, figures.history(outer, space)))
    if fields := figures.fields_that_differ(outer):
        most = f"The {figures.AXES} fields that explain most. " * (len(fields) > figures.AXES)
        text = (
            f"A line a trial through its gain and the values it varied. {most}Dotted: stopped "
            "early; None: a trial that does not vary the field."
        )
        drawn = figures.parallel_coordinates(outer, space)
        pictures.append(Picture("parallel-coordinates", text, drawn))
        text = "Gain against each field by itself; open: stopped early."
        pictures.append(Picture("slices", text, figures.slices(outer, space)))
    text = (
        "Share of the gain's variance that each field explains by itself (fANOVA); fields that "
        "only some trials have are not in it."
    )
    return pictures + [
        Picture(f"importance-{split.split_seed}", text, figures.importance(split))
        for split in outer
        if split.importance
    ]


def _facts(search: SearchSummary) -> str:
    first, recipe = search.outer[0], search.recipe
    return (
        f"Recipe {recipe.preset}, {recipe.task}, {STAGES[search.stage].lower()} · "
        f"{len(first.trials)} trials by {search.sampler}, each on up to {len(first.inner_seeds)} "
        f"inner splits (seeds {', '.join(map(str, first.inner_seeds))}) · outer split seeds "
        f"{', '.join(str(split.split_seed) for split in search.outer)} · "
        f"{recipe.optimisation.epochs} epochs · training seed {search.training_seed}"
    )
