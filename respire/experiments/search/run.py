"""Search: which recipe holds across patient splits."""

from dataclasses import replace

import numpy as np

from respire.data.splits.split import Cut
from respire.experiments.search import report
from respire.experiments.search.nested import check_honest, search_split
from respire.experiments.search.samplers import check_sampler
from respire.experiments.search.space import SPACE, STAGE2_SPACE, apply, read_space
from respire.experiments.search.summary import SearchPlan, SearchSummary, Survival
from respire.recipe.identity import digest
from respire.recipe.recipe import Recipe
from respire.recipe.toml_file import recipe_toml
from respire.study.experiment import Planned, open_setting
from respire.study.place import Place


def search(
    recipe: Recipe, cut: Cut, seed: int, plan: SearchPlan, place: Place, name: str | None = None
) -> str:
    """Search and write the report; the same arguments resume.

    Args:
        recipe: the default one, that the others are compared with; all are trained to their last
            epoch.
        cut: who is held out; its outer seed gives way to the plan's, its inner seed is the first.
        seed: training seed of all recipes.
        plan: how to search.
        place: where things are.
        name: the search's own; None for one made of recipe and key.

    Returns:
        The report's sentences and tables.

    Raises:
        InputError: bad input or an unusable setting, found before anything is trained.
        FloatingPointError: the default recipe, or a winner refitted, diverged.
        RunError: every trial of an outer split failed.
    """
    texts = SPACE + STAGE2_SPACE if plan.stage2 else SPACE
    space = read_space(recipe, texts, plan.vary, plan.only)
    check_honest(recipe, cut, space, plan.outer_seeds)
    recipe = replace(recipe, selection="none")  # the best epoch of those who score would be luck
    check_sampler(plan.sampler, space)
    inner_seeds = range(cut.inner_seed, cut.inner_seed + plan.inner_splits)
    planned: dict[tuple[int, int | None], Planned] = {
        (outer, inner): Planned(
            recipe, replace(cut, split_seed=outer, inner_seed=inner, validation=True), seed
        )
        for outer in plan.outer_seeds
        for inner in inner_seeds
    }
    planned |= {
        (outer, None): Planned(recipe, replace(cut, split_seed=outer, validation=False), seed)
        for outer in plan.outer_seeds
    }
    with open_setting("search", place, planned) as setting:
        identity = {
            "space": [str(dimension) for dimension in space],
            "sampler": plan.sampler,
            "trials": plan.trials,
            "caution": plan.caution,
            "stage": plan.stage,
            "studies": [of.whole.key for (_, at), of in setting.studies.items() if at is not None],
        }
        key = digest(identity)
        experiment = setting.begin(name, recipe.preset, identity, key)
        experiment.tracker.log_recipe(recipe)
        inner = [[setting.studies[o, i] for i in inner_seeds] for o in plan.outer_seeds]
        outer = tuple(
            search_split(experiment, studies, setting.studies[seed, None], space, plan)
            for seed, studies in zip(plan.outer_seeds, inner, strict=True)
        )
        splits = [studies[0].split for studies in inner]
        tested = [len({split.patients[name] for name in split.test}) for split in splits]
        patients = inner[0][0].cycles["patient"].nunique()
        summary = SearchSummary(
            *(recipe, space, plan.sampler, plan.caution, plan.stage, seed, outer),
            Survival.of(outer, float(np.mean(tested)), patients),
        )
        for split in outer:
            if split.winner is not None:
                number = split.split_seed
                comment = f"Found by respire's search {experiment.name}, outer split {number}."
                best = recipe_toml(apply(recipe, split.changes), recipe.preset, comment)
                (experiment.folder / f"best-{number}.toml").write_bytes(best.encode())
        results = experiment.finish(
            summary, lambda results: report.page(summary, results), summary.metrics
        )
    return report.summary(summary, results)
