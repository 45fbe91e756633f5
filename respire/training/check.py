"""Whether a recipe's network can learn from a recipe's images, tried before anything is read."""

import warnings
from functools import cache

import torch
from torch import Tensor, nn

from respire.errors import InputError
from respire.features.pipeline import image_size
from respire.labels import CLASSES, Task
from respire.models.network import network_input, respirenet
from respire.recipe.fields import Model
from respire.recipe.recipe import Recipe

LARGEST_IMAGE = 2**22
"""Pixels; the paper's have 126,144."""


def check_network(recipe: Recipe, workers: int = 1) -> None:
    """Pass two images of the recipe's size through its network as training would.

    Args:
        recipe: of the images, the network and the batch.
        workers: that the batch is shared among.

    Raises:
        InputError: the network cannot take them, or does not give a logit a class; or a batch is
            one image and the network normalises over batches.
    """
    height, width = image_size(recipe)
    if height * width > LARGEST_IMAGE:
        raise InputError(
            f"recipe.features: images of {height} x {width} have more than {LARGEST_IMAGE:,} "
            f"pixels; lower window_seconds, upsample or n_mels, or raise hop"
        )
    normalises = _passes(_drawn(recipe.model), recipe.task, height, width)
    batch, shared = recipe.optimisation.batch_size, recipe.model.sync_batchnorm
    if normalises and (batch if shared else batch // workers) == 1:
        raise InputError(
            f"recipe.optimisation.batch_size: {batch} leaves each of {workers} workers one image, "
            f"and {recipe.model.backbone} normalises over a batch; use at least {2 * workers}"
        )


def _drawn(model: Model) -> Model:
    """The network's shape, whatever its weights."""
    return Model(backbone=model.backbone, weights="none", head_width=model.head_width)


@cache
def _passes(model: Model, task: Task, height: int, width: int) -> bool:
    """Whether the network normalises over batches, once it took a batch of two."""
    with torch.random.fork_rng(devices=[]), torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = respirenet(model, len(CLASSES[task])).train()
        try:
            logits = network(network_input(torch.rand(2, 3, height, width)))
        except Exception as error:  # what torchvision's networks refuse in their own ways
            reason = str(error).strip().partition("\n")[0] or type(error).__name__
            raise InputError(
                f"recipe.model.backbone: {model.backbone} cannot learn from images of {height} x "
                f"{width} ({reason}); use another such as resnet34, or images that it takes"
            ) from error
    if not isinstance(logits, Tensor) or logits.shape != (2, len(CLASSES[task])):
        raise InputError(
            f"recipe.model.backbone: {model.backbone} does not give one logit a class in training; "
            f"use another such as resnet34"
        )
    return any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in network.modules())
