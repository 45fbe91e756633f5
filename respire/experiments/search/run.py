"""Search: which recipe holds across patient splits, from options to report."""

import tempfile
from pathlib import Path

from respire.command.command import SearchOptions
from respire.experiments.search.nested import Outer, Search, start_search
from respire.experiments.search.report import summary, write_report
from respire.experiments.search.space import apply
from respire.experiments.search.summary import study_of, summarise
from respire.recipe.toml_file import recipe_toml
from respire.report.page import strict


def search(options: SearchOptions) -> str:
    """Search and write the report; the same options resume.

    Returns:
        The report's sentences and tables.

    Raises:
        InputError: bad input or an unusable setting, found before anything is trained.
        FloatingPointError: the default recipe, or a winner refitted, diverged.
    """
    with start_search(options) as under_way:
        found = [under_way.run(split_seed) for split_seed in options.outer_seeds]
        results = strict(summarise(under_way, found))
        for outer in found:
            _keep_study(under_way, outer)
            _keep_recipe(under_way, outer)
        figures = write_report(results, under_way.folder)
        under_way.tracker.log_stamps((), results["warnings"])
        under_way.tracker.log_files(
            under_way.folder, "results.json", "report.md", "report.html", *figures
        )
        under_way.setting.announce(under_way.folder / "report.html", under_way.tracker)
    return summary(results)


def _keep_study(under_way: Search, outer: Outer) -> None:
    """Write the trials as an Optuna study, a database of its own, for optuna-dashboard."""
    with tempfile.TemporaryDirectory() as temporary:
        database = Path(temporary) / "optuna.db"
        study_of(outer.trials, under_way.space, f"sqlite:///{database}")
        file = under_way.folder / f"optuna-{outer.split_seed}.db"
        file.write_bytes(database.read_bytes())


def _keep_recipe(under_way: Search, outer: Outer) -> None:
    """Write the winner, if there is one, as a file that ``--recipe`` takes."""
    if outer.winner is None:
        return
    recipe = under_way.options.recipe
    text = recipe_toml(
        apply(recipe, outer.winner.values),
        recipe.preset,
        f"Found by respire's search {under_way.name}, outer split {outer.split_seed}.",
    )
    (under_way.folder / f"best-{outer.split_seed}.toml").write_bytes(text.encode())
