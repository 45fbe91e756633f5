"""Does a seam mean "abnormal"? Normal cycles joined, and whether they are still called normal."""

import numpy as np
import pandas as pd
import pyarrow as pa
import torch

from respire.features.bank import CycleBank
from respire.features.concatenate import Lead, alone
from respire.features.pipeline import Pipeline
from respire.labels import NORMAL
from respire.models.network import Learnt, network_of, on_device
from respire.recipe.recipe import Recipe
from respire.runtime.compute import Compute
from respire.training.predict import predict_logits, predictions

ALONE, RECORDING, DEVICE, ANY = PARTNERS = ("alone", "same recording", "same device", "any")
"""What a normal cycle is heard with: nothing, or another normal cycle from where."""
CYCLES = 500
"""Normal cycles that are heard, or all where there are fewer."""


def hear_seams(
    recipe: Recipe, test: pa.Table, learnt: Learnt, compute: Compute, seed: int
) -> pd.DataFrame:
    """Predictions of normal test cycles by themselves, and each before another normal one.

    A network that was trained on pairs of abnormal classes alone may take the seam between two
    cycles for a sign of them.

    Args:
        recipe: features and network.
        test: rows of test recordings (data/rows.py).
        learnt: stage 1's model.
        compute: device and precision.
        seed: draws the cycles and their partners.

    Returns:
        Predictions (training/predict.py), the same cycles for each of PARTNERS, which are in a
        column ``partner``. Cycles whose recording has no other normal one are left out, and where
        all are there is no row.
    """
    bank = CycleBank.from_table(test, recipe.task, compute.device)
    normal = np.flatnonzero(bank.cycles["label"] == NORMAL)
    drawn = np.random.default_rng(seed)
    cycles = bank.cycles.loc[normal, ["recording", "device"]].assign(any=0)
    second: dict[str, np.ndarray] = {
        partner: _another(cycles[column], drawn)
        for partner, column in ((RECORDING, "recording"), (DEVICE, "device"), (ANY, "any"))
    }
    paired = np.flatnonzero(second[RECORDING] >= 0)
    heard = np.sort(drawn.choice(paired, min(CYCLES, len(paired)), replace=False))
    chosen = torch.from_numpy(normal[heard])
    leads = {ALONE: alone(chosen)} | {
        partner: Lead(chosen, torch.from_numpy(normal[others[heard]]))
        for partner, others in second.items()
    }
    if not len(heard):
        return pd.DataFrame(columns=["partner"])
    network = on_device(network_of(recipe, learnt.weights), compute.device)
    pipeline, frames = Pipeline(recipe, compute.device), []
    for partner, lead in leads.items():
        logits = predict_logits(network, pipeline, bank, chosen, compute, lead)
        told = predictions(
            bank.cycles.iloc[chosen.numpy()],
            logits.log_softmax(1).cpu().numpy(),
            learnt.counts.numpy(),
            recipe.optimisation.prior,
            recipe.classes,
        )
        frames.append(told.assign(partner=partner))
    return pd.concat(frames, ignore_index=True)


def _another(group: pd.Series, drawn: np.random.Generator) -> np.ndarray:
    """For each row another of its group, int64 [n]: its position, or -1 where it is alone."""
    others = np.full(len(group), -1)
    for positions in group.reset_index(drop=True).groupby(group.to_numpy()).indices.values():
        if len(positions) > 1:
            # A cycle of all, in random order: nobody is joined with itself.
            order = drawn.permutation(positions)
            others[order] = np.roll(order, 1)
    return others
