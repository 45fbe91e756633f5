"""What both stages and the baselines predict, before anything is decided."""

from collections.abc import Mapping

import pandas as pd
import pyarrow as pa

from respire.data.rows import of_device, spectral_of
from respire.evaluation.baselines import MEAN_BANDS, SPECTRAL, predict_baselines
from respire.features.bank import CycleBank
from respire.features.pipeline import Pipeline
from respire.models.network import Learnt
from respire.recipe.recipe import Recipe
from respire.runtime.compute import Compute
from respire.training.predict import predict

STAGE1, STAGE2 = STAGES = ("stage1", "stage2")


def predict_stages(
    recipe: Recipe,
    cycles: pa.Table,
    stage1: Learnt,
    devices: Mapping[str, Learnt | None],
    compute: Compute,
) -> dict[str, pd.DataFrame]:
    """Predictions of stage 1's model, and of each device's own model for its cycles.

    ``cycles`` holds rows of the recordings (data/rows.py), ``devices`` what each device's model has
    learnt; None, or no entry, stands for stage 1's.

    Returns:
        For "stage1" and "stage2" the same rows in the same order (training/predict.py).
    """
    common = _predict(recipe, cycles, stage1, compute)
    by_device = []
    for device, rows in common.groupby("device"):
        learnt = devices.get(str(device))
        if learnt is not None:
            own = _predict(recipe, of_device(cycles, str(device)), learnt, compute)
            rows = own.set_index(rows.index)
        by_device.append(rows)
    return {STAGE1: common, STAGE2: pd.concat(by_device).sort_index()}


def baseline_predictions(
    recipe: Recipe, train: pa.Table, test: pa.Table, compute: Compute
) -> dict[str, pd.DataFrame]:
    """Predictions of the baselines, fitted on the training side (evaluation/baselines.py)."""
    pipeline = Pipeline(recipe, compute.device)
    banks = [CycleBank.from_table(table, recipe.task, compute.device) for table in (train, test)]
    train_bands, test_bands = (pipeline.mean_mel_bands(bank).cpu().numpy() for bank in banks)
    features = {
        MEAN_BANDS: (train_bands, test_bands),
        SPECTRAL: (spectral_of(train), spectral_of(test)),
    }
    return predict_baselines(banks[0].cycles, banks[1].cycles, features, recipe.classes)


def _predict(recipe: Recipe, rows: pa.Table, learnt: Learnt, compute: Compute) -> pd.DataFrame:
    return predict(recipe, CycleBank.from_table(rows, recipe.task, compute.device), learnt, compute)
