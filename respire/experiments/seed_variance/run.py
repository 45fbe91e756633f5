"""How robust a result is: a recipe over many splits and training seeds."""

from collections.abc import Mapping
from dataclasses import replace

import pandas as pd

from respire.data.splits.split import Cut
from respire.errors import InputError
from respire.experiments.seed_variance.report import page, summary
from respire.recipe.recipe import Recipe
from respire.study.grid import Extent, Variant, start_grid
from respire.study.one_run import PREDICTIONS
from respire.study.place import Place
from respire.study.spread import summarise
from respire.study.spread_summary import Spread
from respire.study.tested import keep_all_predictions

RUNS = "runs.csv"


def seed_variance(
    recipes: Mapping[str, Recipe], cut: Cut, extent: Extent, place: Place, name: str | None = None
) -> str:
    """Run the grid and write the report; the same arguments resume.

    Args:
        recipes: one, or two that are compared, by the names that the report calls them.
        cut: who is held out on the first split; with ``stratify``, stratified splits run beside
            plain ones.
        extent: how many splits and seeds.
        place: where things are.
        name: the run's own; None for one made of variants and key.

    Returns:
        The report's conclusions and tables.

    Raises:
        InputError: bad input or an unusable setting, found before anything is trained.
        FloatingPointError: some runs failed; all others are kept.
    """
    if len(tasks := sorted({recipe.task for recipe in recipes.values()})) > 1:
        raise InputError(
            f"--compare: recipes of different tasks ({', '.join(tasks)}), whose Scores do not "
            f"compare; give both the same"
        )
    with start_grid("seed_variance", _variants(recipes, cut), extent, place, name) as grid:
        grid.run()
        with grid.experiment.setting.stopwatch.part("statistics"):
            spread = summarise(grid)
        folder = grid.experiment.folder
        (folder / RUNS).write_bytes(pd.DataFrame(spread.runs).to_csv(index=False).encode())
        keep_all_predictions(folder / PREDICTIONS, grid.runs)
        files = (RUNS, PREDICTIONS)
        results = grid.experiment.finish(spread, page, _metrics(spread), files=files)
    return summary(results)


def _variants(recipes: Mapping[str, Recipe], cut: Cut) -> dict[str, Variant]:
    plain = replace(cut, stratify=False)
    variants = {name: Variant(recipe, plain) for name, recipe in recipes.items()}
    if cut.stratify:
        stratified = {f"{name}, stratified": Variant(r, cut) for name, r in recipes.items()}
        variants |= stratified
    if len({variant.has_one_split for variant in variants.values()}) > 1:
        raise InputError(
            f"--compare: on --split {cut.kind} a recipe with selection none has one split, and one "
            f"that validation chooses has several; use --split 80-20, or one selection for both"
        )
    return variants


def _metrics(spread: Spread) -> dict[str, float]:
    """Means and half-widths, by which MLflow compares."""
    return {
        f"{name}.{stage}.{metric}.{part}": getattr(known, part).value
        for name, variant in spread.variants.items()
        for stage, of_stage in variant.variance.items()
        for metric, known in of_stage.items()
        for part in ("mean", "single_half_width")
        if known is not None
    }
