"""What the runs of a finished grid predicted, as tables."""

import math
from collections.abc import Mapping

import pandas as pd

from respire.evaluation.assess import values
from respire.evaluation.evaluate import STAGE1
from respire.study.grid import Grid
from respire.training.loop import Fit

WATCHED = ("score_at_chosen", "score_at_last", "score_at_best")
"""Of test, where it is watched; nothing follows from them."""
Tested = Mapping[tuple[str, int, str], pd.DataFrame]
"""Test predictions by variant, split seed and stage."""


def runs_of(grid: Grid) -> pd.DataFrame:
    """A row a run and stage.

    Returns:
        Columns variant, split_seed, seed, stage; every statistic (evaluation/assess.py); cycles
        and patients of the test side; epoch, the chosen one; of stage 1, where test is watched,
        its test Score at the chosen, the last and the best epoch (WATCHED), else NaN; key, that
        of stage 1's cell.
    """
    rows = []
    for at in grid.studies:
        cell = grid.run_of(at)
        fit = cell.fit()
        for stage, predictions in cell.predictions().groupby("stage"):
            rows.append(
                {
                    **at._asdict(),
                    "stage": stage,
                    **values(predictions, len(cell.study.recipe.classes)),
                    "cycles": len(predictions),
                    "patients": predictions["patient"].nunique(),
                    "epoch": fit.epoch,
                    **_watched(fit, str(stage)),
                    "key": cell.study.stage1.key,
                }
            )
    return pd.DataFrame(rows)


def tested_by(grid: Grid) -> Tested:
    """Test predictions of all training seeds, the seed within the recording's name.

    Se, Sp and Score of them are the means over the seeds, whose cycles are the same.
    """
    frames: dict[tuple[str, int, str], list[pd.DataFrame]] = {}
    for at in grid.studies:
        for stage, rows in grid.run_of(at).predictions().groupby("stage"):
            seeded = f"{at.seed}:" + rows["recording"].astype(str)
            key = at.variant, at.split_seed, str(stage)
            frames.setdefault(key, []).append(rows.assign(recording=seeded))
    return {key: pd.concat(of, ignore_index=True) for key, of in frames.items()}


def _watched(fit: Fit, stage: str) -> dict[str, float]:
    """Test Scores of stage 1 at the chosen, the last and the best epoch, where test is watched."""
    seen = [row.get("test_score", math.nan) for row in fit.history]
    if stage != STAGE1 or math.isnan(seen[-1]):
        return dict.fromkeys(WATCHED, math.nan)
    return dict(zip(WATCHED, (seen[fit.epoch - 1], seen[-1], max(seen)), strict=True))
