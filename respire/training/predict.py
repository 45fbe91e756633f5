"""Class probabilities of a bank's cycles."""

import pandas as pd
import torch
from torch import Tensor, nn

from respire.features.bank import CycleBank
from respire.features.pipeline import Pipeline
from respire.models.network import network_input, on_device
from respire.runtime.compute import Compute

BATCH = 128
"""Windows predicted at once."""


@torch.no_grad()
def predict_logits(
    network: nn.Module, pipeline: Pipeline, bank: CycleBank, chosen: Tensor, compute: Compute
) -> Tensor:
    """Logits of the chosen entries, float32 [n, C]; the network is left in evaluation mode."""
    network.eval()
    logits = []
    for part in chosen.split(BATCH):
        images = pipeline.evaluation_images(bank, part)
        with compute.autocast():
            logits.append(network(network_input(images)).float())
    return torch.cat(logits)


def count_votes(logits: Tensor, whole: Tensor, cycles: int) -> Tensor:
    """Hard votes of windows on their cycles' classes (released code), int64 [N, C].

    Of logits [n, C] of n windows, and ``whole``, int64 [n], the cycle each is a window of.
    ``argmax(1)`` of the votes is the majority, of equals the class that comes first.
    """
    votes = torch.zeros((cycles, logits.shape[1]), dtype=torch.int64, device=logits.device)
    one = torch.ones(len(whole), dtype=torch.int64, device=logits.device)
    return votes.index_put((whole.to(logits.device), logits.argmax(1)), one, accumulate=True)


def predict(
    network: nn.Module,
    pipeline: Pipeline,
    bank: CycleBank,
    classes: tuple[str, ...],
    compute: Compute,
) -> pd.DataFrame:
    """Predictions for every cycle of a bank.

    Returns:
        One row a cycle: recording, patient, device, cycle, label, predicted, and a probability
        ``p_CLASS`` for each class. Where long cycles are cut into windows, their windows vote on
        ``predicted``, and the probabilities are the windows' means.
    """
    network = on_device(network, compute.device)
    windows = pipeline.windows(bank)
    logits = predict_logits(network, pipeline, windows, torch.arange(len(windows)), compute)
    predicted = count_votes(logits, windows.whole, len(bank)).argmax(1)
    predictions = bank.cycles.assign(predicted=predicted.cpu().numpy())
    probability = pd.DataFrame(logits.softmax(1).cpu().numpy()).groupby(windows.whole.numpy())
    for index, name in enumerate(classes):
        predictions[f"p_{name}"] = probability[index].mean().to_numpy()
    return predictions
