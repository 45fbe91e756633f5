"""Test predictions of both stages and of the baselines."""

from collections.abc import Mapping

import pandas as pd
import pyarrow as pa

from respire.data.rows import of_device, spectral_of
from respire.evaluation.baselines import predict_baselines
from respire.features.bank import CycleBank
from respire.features.pipeline import Pipeline
from respire.models.network import Weights, network_of
from respire.recipe.recipe import Recipe
from respire.runtime.compute import Compute
from respire.training.predict import predict

STAGE1, STAGE2 = STAGES = ("stage1", "stage2")


def predict_stages(
    recipe: Recipe,
    test: pa.Table,
    stage1: Weights,
    devices: Mapping[str, Weights | None],
    compute: Compute,
) -> dict[str, pd.DataFrame]:
    """Predictions of stage 1's model, and of each device's own model for its cycles.

    ``test`` holds rows of the test recordings (data/rows.py), ``devices`` each device's state dict;
    None, or no entry, stands for stage 1's.

    Returns:
        For "stage1" and "stage2" a row a test cycle, in the same order (training/predict.py).
    """
    common = _predict(recipe, test, stage1, compute)
    by_device = []
    for device, rows in common.groupby("device"):
        weights = devices.get(str(device))
        if weights is not None:
            own = _predict(recipe, of_device(test, str(device)), weights, compute)
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
    return predict_baselines(
        banks[0].cycles,
        banks[1].cycles,
        train_bands,
        test_bands,
        spectral_of(train),
        spectral_of(test),
        len(recipe.classes),
    )


def _predict(recipe: Recipe, rows: pa.Table, weights: Weights, compute: Compute) -> pd.DataFrame:
    network = network_of(recipe, weights)
    bank = CycleBank.from_table(rows, recipe.task, compute.device)
    return predict(network, Pipeline(recipe, compute.device), bank, recipe.classes, compute)
