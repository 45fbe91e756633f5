"""Where a network looks without and with blank region clipping."""

import io
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from respire.data.splits.split import Cut
from respire.evaluation import grad_cam
from respire.experiments.attention_maps import report, summary
from respire.experiments.attention_maps.tables import GROUPS, PARTS
from respire.recipe.recipe import Recipe
from respire.runtime.session import on_worker
from respire.study.grid import Coordinates, Extent, Grid, Variant, start_grid
from respire.study.one_run import PREDICTIONS
from respire.study.place import Place
from respire.study.spread import summarise
from respire.study.tested import keep_all_predictions

EXPERIMENT = "attention_maps"
WINDOWS, MAPS = "windows.parquet", "maps.npz"
EXAMPLES = 4
"""Windows that are drawn by themselves (the paper's Fig. 3 has one)."""


def attention_maps(
    recipe: Recipe, cut: Cut, extent: Extent, place: Place, name: str | None = None
) -> str:
    """Train both variants, draw their attention and write the report; the same arguments resume.

    Args:
        recipe: every choice that changes a number.
        cut: who is held out on the first split.
        extent: how many splits and seeds.
        place: where things are.
        name: the run's own; None for one made of variants and key.

    Returns:
        The report's sentences and tables.

    Raises:
        InputError: bad input or an unusable setting, found before anything is trained.
        FloatingPointError: a training diverged; the other is kept.
    """
    grad_cam.check_recipe(recipe)
    with start_grid(EXPERIMENT, variants(recipe, cut), extent, place, name) as grid:
        grid.run()
        experiment = grid.experiment
        part, folder = experiment.setting.stopwatch.part, experiment.folder
        with part("maps"):
            windows, maps = _look(grid)
        with part("statistics"):
            attention = summary.measured(windows)
            spread = summary.AttentionSpread(**vars(summarise(grid)), attention=attention)
        table = pa.Table.from_pandas(windows, preserve_index=False)
        keep_all_predictions(folder / PREDICTIONS, grid.runs)
        (folder / WINDOWS).write_table(table)
        (folder / MAPS).write_bytes(_packed(maps))
        results = experiment.finish(
            spread,
            lambda results: report.page(results, maps),
            _metrics(attention),
            files=(WINDOWS, MAPS, PREDICTIONS),
        )
    return report.summary(results)


def variants(recipe: Recipe, cut: Cut) -> dict[str, Variant]:
    """The recipe without blank region clipping, and with it (the recipe's own, if it has one)."""
    kept = replace(recipe.features, blank_region="keep")
    clipped = recipe.features if recipe.features != kept else replace(kept, blank_region="clip")
    return {
        name: Variant(replace(recipe, features=features), cut)
        for name, features in ((summary.WITHOUT, kept), (summary.WITH, clipped))
    }


def _look(grid: Grid) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """The windows of every run, and the arrays that the figures show.

    Returns:
        Rows as ``measured`` takes them, and float arrays by name: "mean/VARIANT" [2, M, F], mean
        maps of all windows and of those with blank rows on top, where 1 is what attention spread
        evenly over all mel bands would have; "FIELD/VARIANT" for each field of ``Seen``, of the
        examples from the first split and seed; "top_rows" and "label" of these.
    """
    frames: list[pd.DataFrame] = []
    totals: dict[str, np.ndarray] = {}
    maps: dict[str, np.ndarray] = {}
    first = next(iter(grid.studies))
    chosen: list[int] = []
    for at, study in grid.studies.items():
        test, weights = study.prepared.read(study.split.test), grid.run_of(at).fit().weights
        given = (study.recipe, test, weights, study.compute)
        gpu = study.compute.device == "cuda"
        seen = on_worker(grad_cam.attention, *given, gpu=gpu)
        frames.append(seen.windows.assign(**at._asdict()))
        totals[at.variant] = totals.get(at.variant, 0) + seen.total
        if at == first:
            chosen = grad_cam.most_blank(seen.windows, EXAMPLES)
            drawn = seen.windows.loc[chosen]
            maps |= {name: drawn[name].to_numpy() for name in ("top_rows", "label")}
            told = ("recording", "patient", "cycle")
            maps |= {name: drawn[name].to_numpy().astype(str) for name in told}
        if at == Coordinates(at.variant, first.split_seed, first.seed):
            shown = on_worker(grad_cam.examples, *given, chosen, gpu=gpu)
            maps |= {f"{name}/{at.variant}": part for name, part in shown.items()}
    windows = pd.concat(frames, ignore_index=True)
    for name, total in totals.items():
        known = windows[(windows["variant"] == name) & windows["lower_attention"].notna()]
        counts = np.array([len(known), (known["top_rows"] > 0).sum()])
        maps[f"mean/{name}"] = total * total[0].size / np.maximum(counts, 1)[:, None, None]
    return windows, maps


def _packed(maps: Mapping[str, np.ndarray]) -> bytes:
    content = io.BytesIO()
    arrays: dict[str, Any] = dict(maps)
    np.savez_compressed(content, **arrays)
    return content.getvalue()


def _metrics(attention: summary.Attention) -> dict[str, float]:
    """Shares of attention, by which MLflow compares."""
    return {
        f"{name}.{group}.{part}.{what}": mean.value
        for name, groups in attention.compared.items()
        for group in GROUPS
        for part in PARTS
        for what, mean in vars(getattr(getattr(groups, group), part)).items()
        if mean is not None
    }
