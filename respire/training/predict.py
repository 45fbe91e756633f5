"""What a network says of a bank's cycles, before anything is decided."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from respire.features.bank import CycleBank
from respire.features.concatenate import Lead, alone
from respire.features.pipeline import Pipeline
from respire.models.network import Learnt, network_input, network_of, on_device
from respire.recipe.recipe import Recipe
from respire.runtime.compute import Compute

BATCH = 128
"""Windows predicted at once."""
LOG_P, TRAINED_ON, PRIOR = "log_p_", "trained_on_", "prior"
"""Columns of predictions, the first two before every class: log-probabilities, the training cycles
of the class, and the prior under which these are (models/decision.py)."""


@torch.no_grad()
def predict_logits(
    network: nn.Module,
    pipeline: Pipeline,
    bank: CycleBank,
    chosen: Tensor,
    compute: Compute,
    lead: Lead | None = None,
) -> Tensor:
    """Logits of the chosen entries, float32 [n, C]; the network is left in evaluation mode.

    With a ``lead``, of these entries each joined to others.
    """
    network.eval()
    if not len(chosen):  # of a worker, where there are more than entries
        return torch.empty(0, len(pipeline.recipe.classes), device=compute.device)
    logits = []
    leads = (lead or alone(chosen)).split(BATCH)
    for part, joined in zip(chosen.split(BATCH), leads, strict=True):
        images = pipeline.evaluation_images(bank, part, joined)
        with compute.autocast():
            logits.append(network(network_input(images)).float())
    return torch.cat(logits)


def count_votes(decided: Tensor, whole: Tensor, cycles: int, classes: int) -> Tensor:
    """Hard votes of windows on their cycles' classes (released code), int64 [N, C].

    Of the classes that n windows were given, int64 [n], and ``whole``, int64 [n], the cycle each is
    a window of. ``argmax(1)`` of the votes is the majority, of equals the class that comes first.
    """
    votes = torch.zeros((cycles, classes), dtype=torch.int64, device=decided.device)
    one = torch.ones(len(whole), dtype=torch.int64, device=decided.device)
    return votes.index_put((whole.to(decided.device), decided), one, accumulate=True)


class Predictor:
    """A recipe's trained network on a processor, ready for any number of banks."""

    def __init__(self, recipe: Recipe, learnt: Learnt, compute: Compute):
        self.recipe, self.compute = recipe, compute
        self.counts = learnt.counts.numpy()
        self.network = on_device(network_of(recipe, learnt.weights), compute.device)
        self.pipeline = Pipeline(recipe, compute.device)

    def __call__(self, bank: CycleBank) -> pd.DataFrame:
        """What it says of every cycle of a bank (``predictions``)."""
        windows = self.pipeline.windows(bank)
        every = torch.arange(len(windows))
        logits = predict_logits(self.network, self.pipeline, windows, every, self.compute)
        log_p = logits.log_softmax(1).cpu().numpy()
        prior = self.recipe.optimisation.prior
        return predictions(windows.cycles, log_p, self.counts, prior, self.recipe.classes)


def predict(recipe: Recipe, bank: CycleBank, learnt: Learnt, compute: Compute) -> pd.DataFrame:
    """What a recipe's network says of every cycle of a bank (``predictions``)."""
    return Predictor(recipe, learnt, compute)(bank)


def predictions(
    cycles: pd.DataFrame,
    log_p: np.ndarray,
    counts: np.ndarray,
    prior: float,
    classes: Sequence[str],
) -> pd.DataFrame:
    """Predictions as they are kept; evaluation/decided.py makes classes of them.

    Args:
        cycles: a row a cycle, or a window of one: recording, patient, device, cycle, label; the
            windows of a cycle one after the other.
        log_p: float32 [n, C], logarithms of the classes' probabilities, of each row.
        counts: the training cycles (or windows) of each class, int64 [C].
        prior: of the classes, under which these probabilities are (models/decision.py).
        classes: their names.

    Returns:
        The rows, with the columns ``window``, 0 for the first of its cycle, LOG_P and TRAINED_ON of
        every class, and PRIOR.
    """
    told = {f"{LOG_P}{name}": log_p[:, index] for index, name in enumerate(classes)}
    told |= {f"{TRAINED_ON}{name}": counts[index] for index, name in enumerate(classes)}
    window = cycles.groupby(["recording", "cycle"], sort=False, observed=True).cumcount()
    return cycles.assign(window=window, **told, **{PRIOR: prior}).reset_index(drop=True)
