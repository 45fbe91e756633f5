"""How robust a result is: a recipe over many splits and training seeds, from options to report."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pandas as pd

from respire.command.command import GridOptions, recipe_of
from respire.errors import InputError
from respire.experiments.paper_tables.question import Variant
from respire.experiments.seed_variance.report import summary, write_report
from respire.recipe.recipe import Recipe
from respire.report.page import strict
from respire.study.grid import Grid, start_grid
from respire.study.spread import summarise

EXPERIMENT = "seed_variance"
RUNS = "runs.csv"


def seed_variance(options: GridOptions, compared: tuple[str, str] | None = None) -> str:
    """Run the grid and write the report; the same options resume.

    Args:
        options: from the command line; with ``stratify``, stratified splits run beside plain ones.
        compared: two recipes as ``command.recipe_of`` reads them; without, the options' own runs.

    Returns:
        The report's conclusions and tables.

    Raises:
        InputError: bad input or an unusable setting, found before anything is trained.
        FloatingPointError: some runs failed; all others are kept.
    """
    with start_grid(EXPERIMENT, options, _variants(options, compared)) as grid:
        with grid.setting.stopwatch.part("runs"):
            grid.run()
        with grid.setting.stopwatch.part("statistics"):
            results = strict(summarise(grid, EXPERIMENT))
        runs = pd.DataFrame(results["runs"])
        (grid.folder / RUNS).write_bytes(runs.to_csv(index=False).encode())
        figures = write_report(results, grid.folder)
        _log(grid, results, figures)
        grid.setting.announce(grid.folder / "report.html", grid.tracker)
    return summary(results)


def _variants(options: GridOptions, compared: tuple[str, str] | None) -> dict[str, Variant]:
    recipes: dict[str, Recipe] = {options.recipe.preset: options.recipe}
    if compared is not None:
        recipes = {name: recipe_of(name, options.recipe) for name in compared}
        if len({replace(recipe, preset="") for recipe in recipes.values()}) == 1:
            raise InputError(f"--compare {' '.join(compared)}: both are the same recipe")
    variants = {name: Variant(recipe) for name, recipe in recipes.items()}
    if options.stratify:
        variants |= {
            f"{name}, stratified": Variant(recipe, stratify=True)
            for name, recipe in recipes.items()
        }
    return variants


def _log(grid: Grid, results: Mapping[str, Any], figures: list[str]) -> None:
    """What the parent run gets in MLflow: means and half-widths, stamps, and every file."""
    grid.tracker.log_stamps(results["stamps"], results["warnings"])
    for name, variant in results["variants"].items():
        for stage, of_stage in variant["variance"].items():
            for metric, found in of_stage.items():
                if found is not None:
                    label = f"{name}.{stage}.{metric}"
                    grid.tracker.log_metrics(
                        {
                            f"{label}.mean": found["mean"]["value"],
                            f"{label}.single_half_width": found["single_half_width"]["value"],
                        }
                    )
    grid.tracker.log_files(grid.folder, RUNS, "results.json", "report.md", "report.html", *figures)
