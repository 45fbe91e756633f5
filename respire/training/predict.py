"""Class probabilities of a bank's cycles."""

import pandas as pd
import torch
from torch import Tensor, nn

from respire.features.bank import CycleBank
from respire.features.pipeline import Pipeline
from respire.training.device import Compute

BATCH = 128
"""Windows predicted at once."""


@torch.no_grad()
def predict_logits(
    network: nn.Module, pipeline: Pipeline, bank: CycleBank, chosen: Tensor, compute: Compute
) -> Tensor:
    """Logits of the chosen cycles, float32 [n, C]; the network is left in evaluation mode."""
    network.eval()
    logits = []
    for part in chosen.split(BATCH):
        images = pipeline.evaluation_images(bank, part)
        with compute.autocast():
            logits.append(network(images.contiguous(memory_format=torch.channels_last)).float())
    return torch.cat(logits)


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
        ``p_CLASS`` for each class.
    """
    network = network.to(compute.device).to(memory_format=torch.channels_last)
    chosen = torch.arange(len(bank), device=compute.device)
    probability = predict_logits(network, pipeline, bank, chosen, compute).softmax(1).cpu().numpy()
    predictions = bank.cycles.assign(predicted=probability.argmax(1))
    for index, name in enumerate(classes):
        predictions[f"p_{name}"] = probability[:, index]
    return predictions
