"""Weights that a backbone starts from: torchvision's of ImageNet, or a file's."""

import hashlib
import pickle
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import Tensor

from respire.errors import InputError
from respire.recipe.fields import Model

Weights = dict[str, Tensor]
"""A state dict."""
IMAGENET_VERSION = "IMAGENET1K_V1"
"""The torchvision weights that existed when the paper was written."""
_DENSENETS = re.compile(r"^(.*denselayer\d+\.(?:norm|conv))\.([12]\.)")
"""What torchvision's DenseNets are called in its own files, with one dot more than in its code."""


def pretrained(model: Model) -> Weights:
    """What the model's backbone starts from, its own classifier included where the file has one.

    ImageNet's are downloaded on first use, with progress, into torch's own cache.

    Raises:
        InputError: they cannot be had; nothing takes their place.
    """
    if model.weights == "imagenet":
        weights = _imagenet_weights(model.backbone)
    else:
        weights = _weights_from_file(model.weights)
    return {_DENSENETS.sub(r"\1\2", name): value for name, value in weights.items()}


def weights_sha256(models: Iterable[Model]) -> dict[str, str]:
    """SHA-256 of each file that models start from, by what it is called; scratch has none."""
    files = {}
    for model in models:
        if model.weights == "imagenet":
            files[f"{model.backbone} {IMAGENET_VERSION}"] = _downloaded(_entry(model.backbone))
        elif model.weights != "none":
            files[model.weights] = Path(model.weights)
    return {name: _sha256(file) for name, file in sorted(files.items())}


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _entry(backbone: str) -> Any:
    """What torchvision says of a backbone's ImageNet weights."""
    try:
        return torchvision.models.get_model_weights(backbone)[IMAGENET_VERSION]
    except KeyError as error:
        raise InputError(
            f"recipe.model.weights: torchvision has no ImageNet weights for {backbone}; "
            f"use --recipe.model.weights none, or the path of a state dict"
        ) from error


def _downloaded(entry: Any) -> Path:
    """Where torch keeps them."""
    return Path(torch.hub.get_dir()) / "checkpoints" / Path(entry.url).name


def _imagenet_weights(backbone: str) -> dict[str, Tensor]:
    weights = _entry(backbone)
    try:
        return weights.get_state_dict(progress=True, check_hash=True, weights_only=True)
    except (OSError, RuntimeError) as error:
        place = _downloaded(weights)
        raise InputError(
            f"recipe.model.weights: {weights.url} cannot be had ({error}); download it elsewhere "
            f"to {place}, or give its path with --recipe.model.weights FILE, or train without "
            f"with --recipe.model.weights none"
        ) from error


def _weights_from_file(path: str) -> dict[str, Tensor]:
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise InputError(
            f"recipe.model.weights: no file {path}; use imagenet, none, or the path of a state dict"
        ) from error
    except (OSError, RuntimeError, EOFError, LookupError, ValueError, pickle.PickleError) as error:
        first_line = str(error).partition("\n")[0]
        raise InputError(
            f"recipe.model.weights: {path} cannot be read ({first_line}); "
            f"give a state dict saved with torch.save"
        ) from error
    if not isinstance(weights, dict) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in weights.items()
    ):
        raise InputError(
            f"recipe.model.weights: {path} holds no state dict; save network.state_dict()"
        )
    bad = [name for name, value in weights.items() if not value.isfinite().all()]
    if bad:
        raise InputError(
            f"recipe.model.weights: {path} holds weights that are not finite ({bad[0]}, "
            f"{len(bad)} of {len(weights)} tensors); give those of a training that did not diverge"
        )
    return weights
