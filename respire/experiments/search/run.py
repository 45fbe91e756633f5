"""Search: which recipe holds across patient splits."""

import tempfile
from pathlib import Path

from respire.data.splits.split import Cut
from respire.experiments.search.nested import Outer, Search, SearchPlan, start_search
from respire.experiments.search.report import summary, write_report
from respire.experiments.search.space import apply
from respire.experiments.search.summary import study_of, summarise
from respire.recipe.recipe import Recipe
from respire.recipe.toml_file import recipe_toml
from respire.study.place import Place


def search(
    recipe: Recipe, cut: Cut, seed: int, plan: SearchPlan, place: Place, name: str | None = None
) -> str:
    """Search and write the report; the same arguments resume.

    Args:
        recipe: the default one, that the others are compared with.
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
    """
    with start_search(recipe, cut, seed, plan, place, name) as under_way:
        outer = [under_way.run(split_seed) for split_seed in plan.outer_seeds]
        found = summarise(under_way, outer)
        for one in outer:
            _keep_study(under_way, one)
            _keep_recipe(under_way, one)
        folder = under_way.experiment.folder
        results = under_way.experiment.finish(
            found, lambda results: write_report(results, folder), {}
        )
    return summary(results)


def _keep_study(under_way: Search, outer: Outer) -> None:
    """Write the trials as an Optuna study, a database of its own, for optuna-dashboard."""
    with tempfile.TemporaryDirectory() as temporary:
        database = Path(temporary) / "optuna.db"
        study_of(outer.trials, under_way.space, f"sqlite:///{database}")
        file = under_way.experiment.folder / f"optuna-{outer.split_seed}.db"
        file.write_bytes(database.read_bytes())


def _keep_recipe(under_way: Search, outer: Outer) -> None:
    """Write the winner, if there is one, as a file that ``--recipe`` takes."""
    if outer.winner is None:
        return
    text = recipe_toml(
        apply(under_way.recipe, outer.winner.values),
        under_way.recipe.preset,
        f"Found by respire's search {under_way.experiment.name}, outer split {outer.split_seed}.",
    )
    (under_way.experiment.folder / f"best-{outer.split_seed}.toml").write_bytes(text.encode())
