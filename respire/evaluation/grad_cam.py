"""Where a network looks: Grad-CAM++ on layer 4, and how much of it lies on blank rows.

Grad-CAM++ (Chattopadhyay et al. 2018) is what the paper draws in Fig. 3 and Fig. 5. A figure only
suggests how much of the attention lies where; here each map is brought to the spectrogram's rows
and frames, made to add up to 1, and summed over the rows in question.

Everything is computed in fp32, whatever the recipe trains in: gradients of bf16 are too coarse.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from respire.data.rows import NOBODY
from respire.errors import InputError
from respire.features.bank import CycleBank
from respire.features.blank_region import BlankRegion
from respire.features.pipeline import Pipeline
from respire.models.network import Weights, network_input, network_of, on_device
from respire.recipe.recipe import Recipe
from respire.runtime.compute import Compute
from respire.statistics.intervals import MIN_PATIENTS, t_over_patients
from respire.training.predict import BATCH

MIN_ROWS = 4
"""Rows of layer 4 below which a map cannot tell a blank region from the rest."""
STRIDE = 32
"""Rows of the image to one row of layer 4, in all of torchvision's ResNets."""
RESNETS = ("resnet", "resnext", "wide_resnet")
MEASURES = ("blank_attention", "blank_rows", "lower_attention", "lower_rows")
"""Columns of ``Attention.windows`` that are fractions."""


class Seen(NamedTuple):
    """Some windows and what a network makes of them.

    Attributes:
        unclipped: shades before blank rows are clipped, float32 [B, M, F], high frequencies on top.
        shade: shades after the recipe's own clipping, before rows are made level, likewise.
        cut: rows that the recipe has cut from the top of each, int64 [B].
        maps: attention on the rows and frames of ``shade``, float32 [B, M, F]; each adds up to 1,
            or is all zero where no channel speaks for the class.
        predicted: the class that the network calls likeliest, which the maps explain, int64 [B].
    """

    unclipped: Tensor
    shade: Tensor
    cut: Tensor
    maps: Tensor
    predicted: Tensor


class Attention(NamedTuple):
    """A network's attention on a test side.

    Attributes:
        windows: a row a window: recording, patient, device, cycle, label, window (0, or which of a
            long cycle's), predicted; top_rows, the blank rows on top of the unclipped window, as a
            fraction of M (0 where nothing else would be left). Of the map, NaN where that is all
            zero: blank_attention, its share on rows that are blank in what the network is given,
            and lower_attention, that on the lower half of the mel bands. Beside each what attention
            spread evenly over the image would have: blank_rows and lower_rows.
        total: sum of the maps, brought back to the unclipped rows, float64 [2, M, F]: over all
            windows, and over those with blank rows on top.
    """

    windows: pd.DataFrame
    total: np.ndarray


def check_recipe(recipe: Recipe) -> None:
    """Refuse recipes whose layer 4 cannot show where a network looks.

    Raises:
        InputError: no ResNet, or an image too low for ``MIN_ROWS`` rows at layer 4.
    """
    if not recipe.model.backbone.startswith(RESNETS):
        raise InputError(
            f"recipe.model.backbone: {recipe.model.backbone} has no layer 4 to draw attention maps "
            f"of; use a ResNet of torchvision's, such as --recipe.model.backbone resnet18"
        )
    height = recipe.features.n_mels * recipe.features.upsample
    rows = -(-height // STRIDE)
    if rows < MIN_ROWS:
        raise InputError(
            f"attention maps: images of {height} rows leave {rows} at layer 4, too coarse for a "
            f"map, which needs {MIN_ROWS}; use --recipe.features.n-mels 64 "
            f"--recipe.features.upsample 2"
        )


def grad_cam_plus_plus(
    network: nn.Module, images: Tensor, classes: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Grad-CAM++ of a batch at layer 4 (Chattopadhyay et al. 2018, equations 10 and 19).

    With activations A and gradients g of the class's logit S, and exp(S) as the score that is
    explained, a channel weighs the sum over its positions of a · relu(g), where
    a = g² / (2 g² + g³ · sum(A)). Layer 4 ends in a ReLU, so that A is never negative; where
    g > 0 the term therefore is g / (2 + g · sum(A)) and cannot be undefined, and elsewhere it is 0.
    Nor are weights negative, so that a map needs no ReLU of its own.

    Args:
        network: a ResNet of torchvision's; left in evaluation mode.
        images: float32 [B, 3, H, W].
        classes: what is explained, int64 [B]; left out, the class of the highest logit.

    Returns:
        The maps, float32 [B, h, w] with h = H / 32 rounded up, and the classes.
    """
    network.eval()
    with torch.no_grad():
        activations = images
        for name, layer in network.named_children():
            activations = layer(activations)
            if name == "layer4":
                break
    activations.requires_grad_()
    with torch.enable_grad():
        pooled = network.get_submodule("avgpool")(activations).flatten(1)
        logits = network.get_submodule("fc")(pooled)
        if classes is None:
            classes = logits.argmax(1)
        # Samples do not meet in evaluation mode: the gradient of the sum is each one's own.
        (gradient,) = torch.autograd.grad(logits.gather(1, classes[:, None]).sum(), activations)
    activations = activations.detach()
    positive = gradient.relu()
    total = activations.sum((2, 3), keepdim=True)
    weights = (positive / (2 + positive * total)).sum((2, 3))
    return torch.einsum("bk,bkhw->bhw", weights, activations), classes


def on_spectrogram(maps: Tensor, bands: int, frames: int) -> Tensor:
    """Maps [B, h, w] enlarged bilinearly to [B, M, F], each adding up to 1 or all zero."""
    enlarged = interpolate(maps[:, None], (bands, frames), mode="bilinear")[:, 0]
    return _whole(enlarged)


def unstretch(maps: Tensor, cut: Tensor) -> Tensor:
    """Bring maps [B, M, F] back to the rows that their images had before ``stretch``.

    Zero in the rows that were cut from the top (``cut``, int64 [B], less than M), each adds up to 1
    or is all zero.
    """
    height = maps.shape[1]
    below = torch.arange(height, device=maps.device) - cut[:, None]
    left = (height - cut)[:, None]
    position = ((below + 0.5) * height / left - 0.5).clamp(0, height - 1)
    upper = position.floor()
    weight = (position - upper)[:, :, None]

    def rows(index: Tensor) -> Tensor:
        return maps.gather(1, index[:, :, None].expand(-1, -1, maps.shape[2]))

    first = upper.long()
    back = torch.lerp(rows(first), rows((first + 1).clamp(max=height - 1)), weight)
    return _whole(back * (below >= 0)[:, :, None])


def on_rows(maps: Tensor, chosen: Tensor) -> Tensor:
    """The attention of each map [B, M, F] that lies on its chosen rows, bool [B, M]: float32 [B].

    A fraction, for maps that add up to 1; NaN for a map that is all zero.
    """
    of_rows = maps.sum(2)
    on_chosen = (of_rows * chosen).sum(1)
    return torch.where(of_rows.sum(1) > 0, on_chosen, torch.nan)


def see(network: nn.Module, pipeline: Pipeline, bank: CycleBank, chosen: Tensor) -> Seen:
    """Images and maps of some windows, indices into the bank (features/pipeline.py)."""
    images = pipeline.evaluation_images(bank, chosen)
    coarse, predicted = grad_cam_plus_plus(network, network_input(images))
    unclipped = pipeline.unclipped_shades(bank, chosen)
    region = pipeline.blank_region
    kept = pipeline.recipe.features.blank_region == "keep"
    cut = torch.zeros_like(predicted) if kept else region.rows(unclipped)
    maps = on_spectrogram(coarse, *unclipped.shape[1:])
    return Seen(unclipped, region(unclipped), cut, maps, predicted)


def attention(recipe: Recipe, test: pa.Table, weights: Weights, compute: Compute) -> Attention:
    """The attention of a trained network on all windows of a test side, in batches.

    ``test`` holds rows of its recordings (data/rows.py).
    """
    network, pipeline, bank = _opened(recipe, test, weights, compute)
    exactly = BlankRegion(replace(recipe.features, blank_region="clip"))
    measured, total = [], torch.zeros((), dtype=torch.float64)
    for chosen in torch.arange(len(bank)).split(BATCH):
        seen = see(network, pipeline, bank, chosen)
        top = exactly.rows(seen.unclipped)
        own, blank = unstretch(seen.maps, seen.cut), pipeline.blank_region.is_blank(seen.shade)
        height = blank.shape[1]
        lower = torch.arange(height, device=blank.device) >= height // 2
        left = (height - seen.cut).clamp(min=1)
        even = (lower.sum() / left).clamp(max=1)
        columns = (
            *(on_rows(seen.maps, blank), blank.float().mean(1)),
            *(on_rows(own, lower[None].expand_as(blank)), even),
            *(top / height, seen.predicted),
        )
        measured.append(torch.stack([column.double() for column in columns], 1).cpu())
        on_top = own * (top > 0)[:, None, None]
        total = total + torch.stack([own, on_top]).sum(1, dtype=torch.float64).cpu()
    names = (*MEASURES, "top_rows", "predicted")
    windows = bank.cycles.assign(
        window=bank.cycles.groupby(["recording", "cycle"]).cumcount(),
        **dict(zip(names, torch.cat(measured).numpy().T, strict=True)),
    )
    return Attention(windows.astype({"predicted": int}), total.numpy())


def examples(
    recipe: Recipe, test: pa.Table, weights: Weights, compute: Compute, chosen: list[int]
) -> dict[str, np.ndarray]:
    """The fields of ``Seen`` for some windows, by their rows in ``Attention.windows``."""
    network, pipeline, bank = _opened(recipe, test, weights, compute)
    seen = see(network, pipeline, bank, torch.tensor(chosen))
    return {name: part.cpu().numpy() for name, part in seen._asdict().items()}


def most_blank(windows: pd.DataFrame, n: int) -> list[int]:
    """The rows of up to n windows with the most blank rows on top, each of another patient."""
    by_blank = windows.sort_values(
        ["top_rows", "recording", "cycle", "window"], ascending=[False, True, True, True]
    )
    return by_blank.drop_duplicates("patient").index[:n].tolist()


def patient_mean(values: np.ndarray, patients: np.ndarray) -> dict[str, float | None] | None:
    """The mean of windows' values [N], finite, with its t interval over the patients [N] of each.

    Returns:
        value, low and high, of shares cut off at 0; the last two None with fewer than MIN_PATIENTS
        patients, or where one is NOBODY. None for no value at all.
    """
    if not len(values):
        return None
    patient, names = pd.factorize(patients)
    low = high = None
    if len(names) >= MIN_PATIENTS and NOBODY not in set(names):
        sums, counts = np.bincount(patient, values), np.bincount(patient)
        without = (sums.sum() - sums) / (counts.sum() - counts)
        low, high = map(float, t_over_patients(values.mean(), without))
        low = max(low, 0.0) if (values >= 0).all() else low
    return {"value": float(values.mean()), "low": low, "high": high}


def _opened(
    recipe: Recipe, test: pa.Table, weights: Weights, compute: Compute
) -> tuple[nn.Module, Pipeline, CycleBank]:
    network = on_device(network_of(recipe, weights), compute.device)
    pipeline = Pipeline(recipe, compute.device)
    bank = CycleBank.from_table(test, recipe.task, compute.device)
    return network, pipeline, pipeline.windows(bank)


def _whole(maps: Tensor) -> Tensor:
    """Each map divided by its sum; one that is all zero stays so."""
    total = maps.sum((1, 2), keepdim=True)
    return torch.where(total > 0, maps / total, 0)
