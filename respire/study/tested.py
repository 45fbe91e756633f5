"""What the runs of a finished grid predicted, as tables."""

import math
from collections.abc import Callable, Mapping

import pandas as pd
import pyarrow as pa

from respire.data.rows import known
from respire.evaluation.assess import values
from respire.evaluation.decided import averaged, decided
from respire.evaluation.evaluate import STAGE1
from respire.runtime.storage import Storage
from respire.study.grid import Coordinates, Grid
from respire.study.one_run import Run
from respire.training.loop import Fit
from respire.training.predict import LOG_P

WATCHED = ("score_at_chosen", "score_at_last", "score_at_best")
"""Of test, where it is watched; nothing follows from them."""
STEPS_A_NAT = 256
"""Log-probabilities beside a report are rounded to these, so that the file is small."""
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
                    "patients": known(predictions["patient"]).nunique(),
                    "epoch": fit.epoch,
                    **_watched(fit, str(stage)),
                    "key": cell.study.stage1.key,
                }
            )
    return pd.DataFrame(rows)


def tested_by(grid: Grid) -> Tested:
    """Test predictions of all training seeds, told by a column ``seed`` and in a recording's name.

    Statistics of them (evaluation/assess.py) are the means over the seeds.
    """

    def seeded(at: Coordinates, run: Run) -> pd.DataFrame:
        rows = run.predictions()
        recording = f"{at.seed}:" + rows["recording"].astype(str)
        return rows.assign(recording=recording, seed=at.seed)

    frames = _of_seeds(grid, seeded)
    return {key: pd.concat(of, ignore_index=True) for key, of in frames.items()}


def averaged_by(grid: Grid) -> Tested:
    """Test predictions of all training seeds averaged, decided as the recipe says."""
    frames = _of_seeds(grid, lambda _, run: run.undecided())
    return {
        key: decided(averaged(of), grid.variants[key[0]].recipe.prior) for key, of in frames.items()
    }


def keep_all_predictions(file: Storage, runs: Mapping[Coordinates, Run]) -> None:
    """Write the test predictions of many runs as one small file, for a report to lie beside.

    A row a run, stage and test cycle (or window of one), as training/predict.py has them, with the
    run's variant, split_seed and seed; ``log_p_CLASS`` are rounded to 1/256.
    """
    frames = [run.undecided().assign(**at._asdict()) for at, run in runs.items()]
    rows = pd.concat(frames, ignore_index=True)
    log_p = [name for name in rows.columns if name.startswith(LOG_P)]
    rows[log_p] = (rows[log_p] * STEPS_A_NAT).round() / STEPS_A_NAT
    file.write_table(
        pa.Table.from_pandas(rows, preserve_index=False),
        compression="zstd",
        use_dictionary=[name for name in rows.columns if name not in log_p],
        use_byte_stream_split=log_p,
    )


def _of_seeds(
    grid: Grid, rows_of: Callable[[Coordinates, Run], pd.DataFrame]
) -> dict[tuple[str, int, str], list[pd.DataFrame]]:
    """What each run gives, a frame a training seed, by variant, split seed and stage."""
    frames: dict[tuple[str, int, str], list[pd.DataFrame]] = {}
    for at, run in grid.runs.items():
        for stage, rows in rows_of(at, run).groupby("stage"):
            key = at.variant, at.split_seed, str(stage)
            frames.setdefault(key, []).append(rows.reset_index(drop=True))
    return frames


def _watched(fit: Fit, stage: str) -> dict[str, float]:
    """Test Scores of stage 1 at the chosen, the last and the best epoch, where test is watched."""
    seen = [row.get("test_score", math.nan) for row in fit.history]
    if stage != STAGE1 or math.isnan(seen[-1]):
        return dict.fromkeys(WATCHED, math.nan)
    return dict(zip(WATCHED, (seen[fit.epoch - 1], seen[-1], max(seen)), strict=True))
