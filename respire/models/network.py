"""RespireNet: a torchvision backbone, then 128 - 128 - classes (paper section 2)."""

import hashlib
import warnings
from collections import OrderedDict
from dataclasses import replace
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
import torchvision
from torch import Tensor, nn

from respire.errors import InputError
from respire.labels import CLASSES, Task
from respire.models.pretrained import Weights, pretrained
from respire.recipe.fields import Model
from respire.recipe.recipe import Recipe


class Learnt(NamedTuple):
    """A trained network: its state dict, and the training cycles of each class, int64 [C]."""

    weights: Weights
    counts: Tensor


def respirenet(model: Model, classes: int) -> nn.Module:
    """The network of a recipe: the backbone with its classifier replaced by the head.

    A module from images [B, 3, H, W] to logits [B, C], of C ``classes``. Weights not loaded are
    drawn from torch's global generator.

    Raises:
        InputError: no such backbone, or its weights cannot be had.
    """
    # Those for detection, segmentation and video would download weights of their own.
    if model.backbone not in torchvision.models.list_models(module=torchvision.models):
        raise InputError(
            f"recipe.model.backbone: torchvision has no classification model {model.backbone!r}; "
            f"see torchvision.models.list_models(module=torchvision.models)"
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of other initial weights in some later version
        network = torchvision.models.get_model(model.backbone, weights=None)
    name, classifier = _classifier(network, model.backbone)
    if model.weights != "none":
        _load_backbone(network, name, model)
    parent = network.get_submodule(name.rpartition(".")[0])
    setattr(parent, name.rpartition(".")[2], _head(classifier.in_features, model, classes))
    return network


def fingerprint(weights: dict[str, Tensor]) -> str:
    """A digest of a state dict's names and values: which weights a run started from."""
    digest = hashlib.blake2b(digest_size=8)
    for name, tensor in weights.items():
        digest.update(name.encode())
        digest.update(
            tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes()
        )
    return digest.hexdigest()


def as_of(network: nn.Module, weights: Weights) -> Weights:
    """Weights with the versions of a network's modules, which only a state dict of torch's has.

    Some networks (MNASNet) load nothing without them.
    """
    state: Any = OrderedDict(weights)
    state._metadata = network.state_dict()._metadata  # type: ignore[attr-defined]
    return state


def _head(width: int, model: Model, classes: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Dropout(model.dropout),
        nn.Linear(width, model.head_width),
        nn.ReLU(),
        nn.Dropout(model.dropout),
        nn.Linear(model.head_width, model.head_width),
        nn.ReLU(),
        nn.Linear(model.head_width, classes),
    )


def _classifier(network: nn.Module, backbone: str) -> tuple[str, nn.Linear]:
    """The backbone's last linear layer and its dotted name."""
    linear = [(name, m) for name, m in network.named_modules() if isinstance(m, nn.Linear)]
    if not linear:
        raise InputError(
            f"recipe.model.backbone: {backbone} does not end in a linear classifier; "
            f"choose a torchvision classification model such as resnet34"
        )
    return linear[-1]


def _load_backbone(network: nn.Module, classifier: str, model: Model) -> None:
    """Load all but the classifier, which the head replaces."""
    weights = {k: v for k, v in pretrained(model).items() if not k.startswith(f"{classifier}.")}
    try:
        keys = network.load_state_dict(as_of(network, weights), strict=False)
    except RuntimeError as error:
        raise InputError(
            f"recipe.model.weights: {model.weights} has other shapes than {model.backbone}; "
            f"give the state dict of a torchvision {model.backbone}"
        ) from error
    missing = [k for k in keys.missing_keys if not k.startswith(f"{classifier}.")]
    if missing or keys.unexpected_keys:
        raise InputError(
            f"recipe.model.weights: {model.weights} is no state dict of {model.backbone} "
            f"({len(missing)} of its tensors missing, {len(keys.unexpected_keys)} unknown); "
            f"give the state dict of a torchvision {model.backbone}"
        )


class _OverWorkers(torch.autograd.Function):
    """The sum over all workers, through which gradients flow back to each of them."""

    @staticmethod
    def forward(_: Any, value: Tensor) -> Tensor:
        total = value.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(_: Any, gradient: Tensor) -> Tensor:
        return _OverWorkers.forward(_, gradient)


class GlobalBatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation over the batches of all workers, on processors.

    torch's SyncBatchNorm does the same, but on accelerators only.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Normalise [B, C, H, W] by the mean and variance over all workers."""
        if not self.training:
            return super().forward(input)
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        count = input.numel() / input.shape[1] * dist.get_world_size()
        mean = _OverWorkers.apply(input.float().sum((0, 2, 3))) / count
        centred = input.float() - mean[:, None, None]
        variance = _OverWorkers.apply(centred.square().sum((0, 2, 3))) / count
        with torch.no_grad():
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * count / (count - 1), self.momentum)
        normal = centred * (variance + self.eps).rsqrt()[:, None, None]
        return normal * self.weight[:, None, None] + self.bias[:, None, None]


def share_batch_statistics(network: nn.Module, device: str) -> nn.Module:
    """Make every BatchNorm2d of what will be on a device normalise over all workers' batches."""
    if device == "cuda":
        return nn.SyncBatchNorm.convert_sync_batchnorm(network)
    for name, module in list(network.named_modules()):
        if type(module) is nn.BatchNorm2d:
            shared = GlobalBatchNorm2d(module.num_features, module.eps, module.momentum)
            shared.load_state_dict(module.state_dict())
            network.set_submodule(name, shared)
    return network


def initial_weights(model: Model, task: Task, seed: int) -> Weights:
    """State dict of the untrained network.

    Raises:
        InputError: the model's weights cannot be had.
    """
    torch.manual_seed(seed)
    return respirenet(model, len(CLASSES[task])).state_dict()


def network_of(recipe: Recipe, weights: Weights | None = None) -> nn.Module:
    """A recipe's network with given weights, or drawn from torch's global generator.

    Pretrained weights are nowhere looked for: they are in the initial ones (``initial_weights``).
    """
    network = respirenet(replace(recipe.model, weights="none"), len(recipe.classes))
    if weights is not None:
        network.load_state_dict(as_of(network, weights))
    return network


def on_device(network: nn.Module, device: str) -> nn.Module:
    """The network on a device, its weights as ``network_input`` lies in memory."""
    return network.to(device).to(memory_format=torch.channels_last)


def network_input(images: Tensor) -> Tensor:
    """Images [B, 3, H, W] as convolutions read them fastest: channels last in memory."""
    return images.contiguous(memory_format=torch.channels_last)
