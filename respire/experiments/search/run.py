"""Search: which recipe holds across patient splits."""

import tempfile
from pathlib import Path

from respire.data.splits.split import Cut
from respire.experiments.search import report
from respire.experiments.search.nested import start_search
from respire.experiments.search.space import Space, apply
from respire.experiments.search.summary import OuterSplit, SearchPlan, study_of
from respire.recipe.recipe import Recipe
from respire.recipe.toml_file import recipe_toml
from respire.study.experiment import Experiment
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
        summary = under_way.summary()
        experiment = under_way.experiment
        for split in summary.outer:
            _keep_study(split, summary.space, experiment)
            _keep_recipe(split, recipe, experiment)
        experiment.finish(summary.to_json(), lambda results: report.page(summary, results))
    return report.summary(summary)


def _keep_study(split: OuterSplit, space: Space, experiment: Experiment) -> None:
    """Write the trials as an Optuna study, a database of its own, for optuna-dashboard."""
    with tempfile.TemporaryDirectory() as temporary:
        database = Path(temporary) / "optuna.db"
        study_of(split.trials, space, f"sqlite:///{database}")
        (experiment.folder / f"optuna-{split.split_seed}.db").write_bytes(database.read_bytes())


def _keep_recipe(split: OuterSplit, default: Recipe, experiment: Experiment) -> None:
    """Write the winner, if there is one, as a file that ``--recipe`` takes."""
    if split.winner is not None:
        text = recipe_toml(
            apply(default, split.winner.trial.values),
            default.preset,
            f"Found by respire's search {experiment.name}, outer split {split.split_seed}.",
        )
        (experiment.folder / f"best-{split.split_seed}.toml").write_bytes(text.encode())
